//! Who is woken when a lane grows: one watcher per process asks the files, lanes wait for what it finds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::db::{File, Identity, blocking};
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
            // The last to close a file writes its WAL back, which takes a while.
            let _ = blocking(move || drop((log, groups))).await;
            return;
        };
        let mut is_changed = true;
        match log.look().await {
            Look::Same => is_changed = false,
            Look::Gone => {
                ends.publish_all(&HashMap::new());
                ends.groups.send_replace(());
            }
            Look::Changed { reopened } => {
                let (before, ends) = (if reopened { Seen::default() } else { seen }, ends.clone());
                let looked = log.read(move |log| before.look(log, &ends)).await;
                // Where it failed, the file is opened anew, and what was seen begins anew with that.
                seen = looked.unwrap_or_default();
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
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    shape: Option<i64>,
    seq: i64,
}

impl Seen {
    /// Publishes what changed.
    fn look(mut self, log: &Connection, ends: &Ends) -> rusqlite::Result<Self> {
        let known = self.shape;
        let changed = self.ends_above(log, self.seq)?;
        if self.shape == known {
            changed
                .iter()
                .for_each(|(lane, end)| ends.publish(lane, *end));
        } else {
            ends.publish_all(&self.ends_above(log, -1)?);
            ends.groups.send_replace(());
        }
        Ok(self)
    }

    /// The ends of the partitions that changed after `seq`, and what is seen with them.
    fn ends_above(&mut self, log: &Connection, seq: i64) -> rusqlite::Result<HashMap<LaneId, End>> {
        let mut statement = log.prepare_cached(
            "SELECT s.seq, s.shape, p.id, p.number, p.next, t.name FROM state s LEFT JOIN partitions p ON p.seq > ? LEFT JOIN topics t ON t.id = p.topic",
        )?;
        let mut rows = statement.query([seq])?;
        let mut found = HashMap::new();
        while let Some(row) = rows.next()? {
            self.seq = row.get(0)?;
            self.shape = Some(row.get(1)?);
            // The state alone where nothing changed.
            if let Some(partition) = row.get(2)? {
                let number: i64 = row.get(3)?;
                let lane = LaneId::new(row.get_ref(5)?.as_str()?, number.to_string());
                let next = row.get::<_, i64>(4)?.cast_unsigned();
                found.insert(lane, End { partition, next });
            }
        }
        Ok(found)
    }
}

/// A connection that only asks whether others wrote.
struct Looker {
    file: Arc<File>,
    open: Option<(Connection, Identity)>,
    version: Option<i64>,
    is_gone: bool,
}

enum Look {
    Same,
    Changed {
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

    async fn look(&mut self) -> Look {
        let Some(current) = self.file.identity() else {
            self.open = None;
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
            (self.open, self.version) = (None, None);
            let file = self.file.clone();
            // Busy is as good as unchanged: the next tick asks again.
            let opened = blocking(move || file.open(Duration::ZERO)).await;
            let Ok(Ok(connection)) = opened else {
                return Look::Same;
            };
            self.open = Some((connection, current));
        }
        let last = self.version;
        self.version = self.ask();
        match self.version {
            Some(version) if last != Some(version) => Look::Changed { reopened },
            _ => Look::Same,
        }
    }

    /// Changes when others wrote. A few microseconds, so it is asked on the task's own thread; `None` where it fails.
    fn ask(&self) -> Option<i64> {
        let (connection, _) = self.open.as_ref()?;
        let mut statement = connection.prepare_cached("PRAGMA data_version").ok()?;
        statement.query_row([], |row| row.get(0)).ok()
    }

    /// Reads from the file; closes it where that fails.
    async fn read<T, W>(&mut self, work: W) -> Option<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (connection, identity) = self.open.take()?;
        let done = blocking(move || work(&connection).map(|value| (value, connection))).await;
        match done.ok()? {
            Ok((value, connection)) => {
                self.open = Some((connection, identity));
                Some(value)
            }
            Err(error) => {
                tracing::debug!(%error, "the local log could not be looked at; trying again");
                None
            }
        }
    }
}
