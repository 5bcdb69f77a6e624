//! Who is woken when a lane grows: one watcher per process asks the files, lanes wait for what it finds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::watch;

use crate::db::{File, Identity};
use crate::record::LaneId;

/// Between two looks at the records while something happens, and while nothing does.
const BUSY_TICK: Duration = Duration::from_millis(5);
const IDLE_TICK: Duration = Duration::from_millis(20);

/// How many looks without a change make the log an idle one.
const IDLE_AFTER: u32 = 50;

/// Between two looks at the groups.
const GROUPS_TICK: Duration = Duration::from_millis(40);

/// The end of a lane, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    /// Of which partition, or 0 where nothing is known yet. Another one than a reader's says that its topic is gone.
    pub partition: i64,
    pub next: u64,
}

/// The ends that somebody waits for.
#[derive(Default)]
pub(super) struct Ends {
    lanes: Mutex<HashMap<LaneId, watch::Sender<End>>>,
    /// Topics were made or deleted, or the group file changed.
    pub groups: watch::Sender<()>,
}

impl Ends {
    fn lanes(&self) -> MutexGuard<'_, HashMap<LaneId, watch::Sender<End>>> {
        self.lanes
            .lock()
            .expect("nothing panics while it holds the ends")
    }

    pub(super) fn subscribe(&self, lane: &LaneId) -> watch::Receiver<End> {
        self.lanes().entry(lane.clone()).or_default().subscribe()
    }

    pub(super) fn publish(&self, lane: &LaneId, end: End) {
        if let Some(sender) = self.lanes().get(lane) {
            sender.send_if_modified(|known| {
                // Two tasks publish, and the older news may come second.
                let is_news = end.partition != known.partition || end.next > known.next;
                if is_news {
                    *known = end;
                }
                is_news
            });
        }
    }

    /// Takes all that there is: lanes that are missing are gone, those that nobody waits for are forgotten.
    fn publish_all(&self, ends: &HashMap<LaneId, End>) {
        self.lanes().retain(|_, sender| sender.receiver_count() > 0);
        for (lane, sender) in self.lanes().iter() {
            let end = ends.get(lane).copied().unwrap_or(End {
                partition: -1,
                next: 0,
            });
            sender.send_if_modified(|known| std::mem::replace(known, end) != end);
        }
    }
}

/// Looks until nobody holds `ends` any more.
pub(super) async fn watch(ends: Weak<Ends>, log: Arc<File>, groups: Arc<File>) {
    let mut log = Looker::new(log);
    let mut groups = Looker::new(groups);
    let mut seen = Seen::default();
    let mut quiet = 0_u32;
    let mut groups_due = Instant::now();
    loop {
        let Some(ends) = ends.upgrade() else {
            return;
        };
        let mut is_changed = true;
        match log.look().await {
            Look::Same => is_changed = false,
            Look::Gone => {
                ends.publish_all(&HashMap::new());
                ends.groups.send_replace(());
            }
            Look::Changed {
                connection,
                reopened,
            } => {
                if reopened {
                    seen = Seen::default();
                }
                match seen.look(connection, &ends).await {
                    Ok(true) => ends.groups.send_replace(()),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the local log could not be looked at; trying again");
                        log.forget();
                    }
                }
            }
        }
        if groups_due <= Instant::now() {
            groups_due = Instant::now() + GROUPS_TICK;
            if !matches!(groups.look().await, Look::Same) {
                ends.groups.send_replace(());
            }
        }
        drop(ends);
        quiet = if is_changed {
            0
        } else {
            quiet.saturating_add(1)
        };
        tokio::time::sleep(if quiet < IDLE_AFTER {
            BUSY_TICK
        } else {
            IDLE_TICK
        })
        .await;
    }
}

/// What of the log was published.
#[derive(Default)]
struct Seen {
    shape: Option<i64>,
    seq: i64,
}

impl Seen {
    /// Publishes what changed. Whether topics were made or deleted.
    async fn look(&mut self, connection: &mut SqliteConnection, ends: &Ends) -> sqlx::Result<bool> {
        let known = self.shape;
        let changed = self.ends_above(connection, self.seq).await?;
        if self.shape == known {
            changed
                .iter()
                .for_each(|(lane, end)| ends.publish(lane, *end));
            return Ok(false);
        }
        let all = self.ends_above(connection, -1).await?;
        ends.publish_all(&all);
        Ok(true)
    }

    /// The ends of the partitions that changed after `seq`, and what is seen with them.
    async fn ends_above(
        &mut self,
        connection: &mut SqliteConnection,
        seq: i64,
    ) -> sqlx::Result<HashMap<LaneId, End>> {
        let rows = sqlx::query(
            "SELECT s.seq, s.shape, p.id, p.number, p.next, t.name FROM state s LEFT JOIN partitions p ON p.seq > ? LEFT JOIN topics t ON t.id = p.topic",
        )
        .bind(seq)
        .fetch_all(connection)
        .await?;
        let mut found = HashMap::new();
        for row in &rows {
            self.seq = row.try_get(0)?;
            self.shape = Some(row.try_get(1)?);
            // The state alone where nothing changed.
            if let Some(partition) = row.try_get(2)? {
                let lane = LaneId::new(
                    row.try_get::<&str, _>(5)?,
                    row.try_get::<i64, _>(3)?.to_string(),
                );
                let next = row.try_get::<i64, _>(4)?.cast_unsigned();
                found.insert(lane, End { partition, next });
            }
        }
        Ok(found)
    }
}

/// A connection that only asks whether others wrote.
struct Looker {
    file: Arc<File>,
    open: Option<(SqliteConnection, Identity)>,
    version: Option<i64>,
    is_gone: bool,
}

enum Look<'c> {
    Same,
    Changed {
        connection: &'c mut SqliteConnection,
        /// Another file than before, or the first.
        reopened: bool,
    },
    /// There is no file; said once.
    Gone,
}

impl Looker {
    fn new(file: Arc<File>) -> Self {
        Self {
            file,
            open: None,
            version: None,
            is_gone: false,
        }
    }

    fn forget(&mut self) {
        self.open = None;
        self.version = None;
    }

    async fn look(&mut self) -> Look<'_> {
        let Some(current) = self.file.identity() else {
            self.forget();
            return match std::mem::replace(&mut self.is_gone, true) {
                true => Look::Same,
                false => Look::Gone,
            };
        };
        self.is_gone = false;
        let reopened = self
            .open
            .as_ref()
            .is_none_or(|(_, opened)| *opened != current);
        if reopened {
            self.forget();
            let Ok(connection) = SqliteConnection::connect_with(&self.file.options()).await else {
                return Look::Same;
            };
            self.open = Some((connection, current));
        }
        let Some((connection, _)) = self.open.as_mut() else {
            return Look::Same;
        };
        match sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut *connection)
            .await
        {
            Ok(version) if self.version == Some(version) => Look::Same,
            Ok(version) => {
                self.version = Some(version);
                Look::Changed {
                    connection,
                    reopened,
                }
            }
            Err(_) => {
                self.version = None;
                Look::Same
            }
        }
    }
}
