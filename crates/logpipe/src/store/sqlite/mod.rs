//! The store in an SQLite file: positions, parked records and the handlers' effects commit together.
//!
//! Put the store into the file that the handlers write to: one file is one transaction. All lanes of a process share one
//! connection for writing, for SQLite has one writer at a time in any case; commands that look use another one.
//!
//! **Durability.** The file is in WAL mode with SQLite's default, `synchronous = FULL`: what was committed survives a
//! power cut. With `NORMAL` ([`Sqlite::with_options`]) a power cut may take the last transactions back, but takes effects
//! and position back together, so that effects still happen exactly once *within this file*. What left the file in the
//! meantime, a row that another program read, a position mirrored to the log, is then ahead of it; hence the default.

mod admin;
mod connection;
mod rows;
mod schema;
mod temporary;
#[cfg(test)]
mod tests;
mod waiting;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Row};

use self::connection::{Open, Writer, code, fault, is_trouble, primary_code};
use self::rows::{STATE_PARKED, STATE_READY};
use self::temporary::Folder;
use self::waiting::{Blocked, Waiting};
use super::{
    Claim, Commit, Guarantee, Held, LaneKey, Park, ParkedCount, Reason, Redrive, Settlement, Store,
    Transactional,
};
use crate::error::Context;
use crate::fault::{Mistake, Point, planted, point};
use crate::record::Cursor;
use crate::{Error, Result};

pub use sqlx;

/// Keeps positions and parked records in an SQLite file, in the transaction that handlers write through.
///
/// Cloning is cheap; clones share the connection. Several processes may use one file.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    options: SqliteConnectOptions,
    writer: Arc<tokio::sync::Mutex<Option<Writer>>>,
    reader: tokio::sync::Mutex<Option<SqliteConnection>>,
    blocked: Blocked,
    patience: Duration,
    /// Of [`Sqlite::temporary`]; deleted with the last clone.
    _folder: Option<Folder>,
}

/// A transaction of [`Sqlite`].
pub struct Session {
    open: Open,
    scope: Scope,
    /// A record of the consumer is parked.
    any_parked: bool,
    /// What a planted mistake settles after the commit instead of in it.
    late: Option<Settlement>,
}

enum Scope {
    Lane {
        held: Held,
        /// The number of the lane's row.
        row: i64,
        /// The row was stored for another cluster or incarnation than the lane has.
        moved: bool,
        any_settled: bool,
    },
    Redrive {
        consumer: String,
        topic: String,
    },
}

impl Scope {
    fn consumer_and_topic(&self) -> (&str, &str) {
        match self {
            Self::Lane { held, .. } => (&held.key.consumer, held.key.lane.topic()),
            Self::Redrive { consumer, topic } => (consumer, topic),
        }
    }
}

impl Sqlite {
    /// Opens the file, or makes it, and brings the store's tables into it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(options(path.as_ref()), None).await
    }

    /// Opens with options of the application: pragmas, collations, another `synchronous`. The journal mode is WAL whatever
    /// they say; a database in memory is an error, for its connections don't share it.
    pub async fn with_options(options: SqliteConnectOptions) -> Result<Self> {
        Self::new(options, None).await
    }

    /// A new file in a temporary folder, which is deleted with the last clone: for tests.
    pub async fn temporary() -> Result<Self> {
        let folder = Folder::new()?;
        let options = options(&folder.path().join("store.db"));
        Self::new(options, Some(folder)).await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.inner.options.get_filename()
    }

    async fn new(options: SqliteConnectOptions, folder: Option<Folder>) -> Result<Self> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(waiting::INSIDE);
        let store = Self {
            inner: Arc::new(Inner {
                options,
                writer: Arc::default(),
                reader: tokio::sync::Mutex::default(),
                blocked: Blocked::default(),
                patience: waiting::PATIENCE,
                _folder: folder,
            }),
        };
        store.prepare().await.context(format_args!(
            "opening the SQLite store {}",
            store.path().display()
        ))?;
        Ok(store)
    }

    /// Makes sure that the tables are there, and that this process can write to them.
    async fn prepare(&self) -> Result {
        let path = self.path();
        if path == Path::new(":memory:") || path.as_os_str().is_empty() {
            return Err(Error::permanent(
                "a database in memory is not shared between connections: use Sqlite::temporary()",
            ));
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Error::permanent("its folder does not exist: create it"));
        }
        let waiting = self.waiting();
        let mut writer = loop {
            let attempt = Writer::connect(&self.inner.options).await;
            if let Some(writer) = waiting.attempted(attempt).await.map_err(explained)? {
                break writer;
            }
        };
        let version = schema::version(writer.connection())
            .await
            .map_err(explained)?;
        if schema::is_behind(version, path)? {
            let mut open = self.transaction().await.map_err(explained)?;
            schema::migrate(&mut open, path).await.map_err(explained)?;
            return durable(open.commit().await);
        }
        // Found out now and not with the first record. It would change nothing, and the hook refuses even that.
        let probe = sqlx::query("UPDATE logpipe_schema SET version = version WHERE false")
            .execute(writer.connection())
            .await;
        match probe {
            Err(error) if primary_code(&error) == Some(code::READONLY) => {
                Err(explained(fault(error)))
            }
            _ => Ok(()),
        }
    }

    /// The planted mistake: the position in a transaction of its own.
    async fn settle_late(&self, held: &Held, settlement: Settlement) -> Commit {
        let settled = async {
            let mut session = self.begin(held).await?;
            // Only the first settlement of a session is put off.
            session.late = Some(Settlement::default());
            self.settle(&mut session, settlement).await?;
            Ok(session.open)
        };
        match settled.await {
            Ok(open) => open.commit().await,
            Err(error) => Commit::Unknown(error),
        }
    }

    fn waiting(&self) -> Waiting<'_> {
        Waiting::new(&self.inner.blocked, self.path(), self.inner.patience)
    }

    /// Begins a transaction that can write, behind those of other lanes and processes.
    async fn transaction(&self) -> Result<Open> {
        let mut slot = self.inner.writer.clone().lock_owned().await;
        let mut idle = slot.take();
        let waiting = self.waiting();
        loop {
            let attempt = match idle.take() {
                Some(writer) => Ok(writer),
                None => Writer::connect(&self.inner.options).await,
            };
            let attempt = match attempt {
                Ok(mut writer) => match writer.begin().await {
                    Ok(()) => Ok(writer),
                    Err(error) => {
                        idle = Some(writer);
                        Err(error)
                    }
                },
                Err(error) => Err(error),
            };
            let begun = waiting.attempted(attempt).await;
            if let Some(writer) = begun.context("beginning a transaction")? {
                return Ok(Open { slot, writer });
            }
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        // It would log the text of statements, which handlers may have put values into.
        .disable_statement_logging()
}

/// What SQLite's codes mean for a file that is being opened.
fn explained(error: Error) -> Error {
    let code = error.downcast_ref::<sqlx::Error>().and_then(primary_code);
    match code {
        Some(code::NOTADB) => {
            Error::permanent("the file is not an SQLite database: give another path")
        }
        Some(code::READONLY) => {
            Error::permanent("this process may not write to the file or its folder")
        }
        Some(code::CANTOPEN) => error
            .context("the file can't be opened or made: look at the rights of it and its folder"),
        _ => error,
    }
}

/// The outcome of a commit, for those who have nothing to do again.
fn durable(commit: Commit) -> Result {
    match commit {
        Commit::Done => Ok(()),
        Commit::Fenced => Err(Error::fenced("another owner has the lane")),
        Commit::Unavailable(error) | Commit::Refused(error) | Commit::Unknown(error) => Err(error),
    }
}

impl Transactional for Sqlite {
    type Connection = SqliteConnection;

    fn connection(session: &mut Session) -> &mut SqliteConnection {
        session.open.connection()
    }
}

impl Store for Sqlite {
    type Session = Session;

    fn describe(&self) -> String {
        format!("SQLite in {}", self.path().display())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::EffectsOnce
    }

    async fn claim(&self, key: &LaneKey, first: Option<&Cursor>) -> Result<Option<Claim>> {
        let doing = || format!("claiming {} for `{}`", key.lane, key.consumer);
        let mut open = self.transaction().await.context(doing())?;
        let Some(claim) = claim(&mut open, key, first).await.context(doing())? else {
            open.rollback().await;
            return Ok(None);
        };
        durable(open.commit().await).context(doing())?;
        Ok(Some(claim))
    }

    async fn begin(&self, held: &Held) -> Result<Session> {
        let mut open = self.transaction().await?;
        let found = sqlx::query(
            "UPDATE logpipe_lanes SET cursor = cursor
             WHERE consumer = ?1 AND topic = ?2 AND shard = ?3 AND (epoch = ?4 OR ?6) AND cursor = ?5
             RETURNING id, cluster, incarnation,
                 EXISTS (SELECT 1 FROM logpipe_settled WHERE lane = id) AS any_settled,
                 EXISTS (SELECT 1 FROM logpipe_parked WHERE consumer = ?1) AS any_parked",
        )
        .bind(&held.key.consumer)
        .bind(held.key.lane.topic())
        .bind(held.key.lane.shard())
        .bind(i64::try_from(held.epoch)?)
        .bind(held.cursor.to_string())
        .bind(planted(Mistake::NoEpoch))
        .fetch_all(open.connection())
        .await;
        let found = open.own(found)?;
        let [row] = &found[..] else {
            open.rollback().await;
            return Err(fenced(&held.key));
        };
        let scope = Scope::Lane {
            row: row.try_get("id")?,
            moved: row.try_get::<String, _>("cluster")? != held.key.cluster
                || row.try_get::<String, _>("incarnation")? != held.key.incarnation,
            any_settled: row.try_get("any_settled")?,
            held: held.clone(),
        };
        let any_parked = row.try_get("any_parked")?;
        Ok(Session {
            open,
            scope,
            any_parked,
            late: None,
        })
    }

    async fn mark(&self, session: &mut Session) -> Result {
        session.open.mark().await
    }

    async fn undo(&self, session: &mut Session) -> Result {
        session.open.undo().await
    }

    async fn whole(&self, session: &mut Session) -> bool {
        session.open.is_whole().is_ok()
    }

    async fn is_parked(&self, session: &mut Session, key: &[u8]) -> Result<bool> {
        if !session.any_parked {
            return Ok(false);
        }
        session.open.is_whole()?;
        let (consumer, topic) = session.scope.consumer_and_topic();
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM logpipe_parked
             WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3)",
        )
        .bind(consumer)
        .bind(topic)
        .bind(key)
        .fetch_one(session.open.connection())
        .await;
        session.open.own(found)
    }

    async fn parked_count(&self, session: &mut Session, key: Option<&[u8]>) -> Result<ParkedCount> {
        session.open.is_whole()?;
        let (consumer, topic) = session.scope.consumer_and_topic();
        let counted = sqlx::query_as::<_, (i64, i64)>(
            "SELECT coalesce((SELECT records FROM logpipe_parked_totals WHERE consumer = ?1), 0),
                 (SELECT count(*) FROM logpipe_parked
                  WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3)",
        )
        .bind(consumer)
        .bind(topic)
        .bind(key)
        .fetch_one(session.open.connection())
        .await;
        let (consumer, key) = session.open.own(counted)?;
        Ok(ParkedCount {
            consumer: u64::try_from(consumer)?,
            key: u64::try_from(key)?,
        })
    }

    async fn settle(&self, session: &mut Session, settlement: Settlement) -> Result {
        if planted(Mistake::PositionOutside) && session.late.is_none() {
            session.late = Some(settlement);
            return session.open.release().await;
        }
        let Session { open, scope, .. } = session;
        let Scope::Lane {
            held,
            row,
            moved,
            any_settled,
        } = scope
        else {
            return Err(Error::permanent("a session that redrives settles no lane"));
        };
        open.release().await?;
        write_lane(open, held, settlement.cursor.as_ref()).await?;
        if *any_settled {
            let forget = settlement.forget || *moved;
            forget_settled(open, *row, forget, settlement.cursor.as_ref()).await?;
        }
        if !settlement.above.is_empty() {
            let ranked: Vec<[String; 2]> = settlement
                .above
                .iter()
                .map(|position| [rows::rank(position), position.to_string()])
                .collect();
            let written = sqlx::query(
                "INSERT INTO logpipe_settled (lane, rank, position)
                 SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
                 ON CONFLICT DO NOTHING",
            )
            .bind(*row)
            .bind(serde_json::to_string(&ranked)?)
            .execute(open.connection())
            .await;
            open.own(written)?;
        }
        for park in settlement.parked {
            write_parked(open, &held.key.consumer, park).await?;
        }
        Ok(())
    }

    async fn commit(&self, session: Session) -> Commit {
        let Session {
            open, scope, late, ..
        } = session;
        let committed = open.commit().await;
        match (late, scope) {
            (Some(late), Scope::Lane { held, .. }) if matches!(committed, Commit::Done) => {
                point(Point::BeforeCommit);
                self.settle_late(&held, late).await
            }
            _ => committed,
        }
    }

    async fn rollback(&self, session: Session) {
        session.open.rollback().await;
    }

    fn is_store_trouble(&self, error: &Error) -> bool {
        error.downcast_ref::<sqlx::Error>().is_some_and(is_trouble)
    }

    async fn begin_redrive(&self, consumer: &str) -> Result<Option<(Session, Redrive)>> {
        // Asked all the time, so it must not take the write lock from those who have work.
        if !self.any_ready(consumer).await? {
            return Ok(None);
        }
        let mut open = self.transaction().await?;
        let found = sqlx::query(
            "SELECT * FROM logpipe_parked WHERE consumer = ?1 AND state = ?2 ORDER BY id LIMIT 1",
        )
        .bind(consumer)
        .bind(STATE_READY)
        .fetch_optional(open.connection())
        .await;
        let Some(row) = open.own(found)? else {
            open.rollback().await;
            return Ok(None);
        };
        let parked = rows::parked(&row)?;
        let session = Session {
            open,
            scope: Scope::Redrive {
                consumer: parked.consumer,
                topic: parked.record.lane.topic().into(),
            },
            any_parked: true,
            late: None,
        };
        let redrive = Redrive {
            id: parked.id,
            record: parked.record,
            attempts: parked.attempts,
            parked_at: parked.parked_at,
        };
        Ok(Some((session, redrive)))
    }

    async fn redriven(&self, session: &mut Session, redrive: &Redrive) -> Result {
        let open = &mut session.open;
        open.release().await?;
        let deleted = sqlx::query("DELETE FROM logpipe_parked WHERE id = ?1")
            .bind(redrive.id)
            .execute(open.connection())
            .await;
        match open.own(deleted)?.rows_affected() {
            1 => Ok(()),
            // The handler has the whole file before it.
            _ => Err(Error::msg(
                "the parked record was deleted while it was redriven",
            )),
        }
    }

    async fn park_again(
        &self,
        session: &mut Session,
        redrive: &Redrive,
        reason: &Reason,
        attempts: u32,
    ) -> Result {
        let Session { open, scope, .. } = session;
        let (consumer, topic) = scope.consumer_and_topic();
        open.release().await?;
        let written = sqlx::query(
            "UPDATE logpipe_parked SET state = ?2, reason_kind = ?3, reason_text = ?4, attempts = ?5 WHERE id = ?1",
        )
        .bind(redrive.id)
        .bind(STATE_PARKED)
        .bind(&reason.kind)
        .bind(&reason.text)
        .bind(attempts)
        .execute(open.connection())
        .await;
        open.own(written)?;
        let written = sqlx::query(
            "UPDATE logpipe_parked SET state = ?4
             WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3
                 AND (SELECT blocks_key FROM logpipe_parked WHERE id = ?5) = 1",
        )
        .bind(consumer)
        .bind(topic)
        .bind(redrive.record.key.as_deref())
        .bind(STATE_PARKED)
        .bind(redrive.id)
        .execute(open.connection())
        .await;
        open.own(written).map(drop)
    }
}

fn fenced(key: &LaneKey) -> Error {
    Error::fenced(format_args!(
        "{} of `{}` was claimed by another owner",
        key.lane, key.consumer
    ))
}

async fn claim(open: &mut Open, key: &LaneKey, first: Option<&Cursor>) -> Result<Option<Claim>> {
    let now = Timestamp::now().to_string();
    let claimed = sqlx::query(
        "UPDATE logpipe_lanes SET epoch = epoch + 1, updated_at = ?4
         WHERE consumer = ?1 AND topic = ?2 AND shard = ?3
         RETURNING id, epoch, cursor, cluster, incarnation",
    )
    .bind(&key.consumer)
    .bind(key.lane.topic())
    .bind(key.lane.shard())
    .bind(&now)
    .fetch_all(open.connection())
    .await;
    if let [row] = &open.own(claimed)?[..] {
        let damaged = |column| rows::damaged(format_args!("lane {}", key.lane), column);
        let settled =
            sqlx::query("SELECT position FROM logpipe_settled WHERE lane = ?1 ORDER BY rank")
                .bind(row.try_get::<i64, _>("id")?)
                .fetch_all(open.connection())
                .await;
        let settled = open.own(settled)?;
        let settled = settled
            .iter()
            .map(|row| rows::parse(row, "position").ok_or_else(|| damaged("position")));
        return Ok(Some(Claim {
            epoch: u64::try_from(row.try_get::<i64, _>("epoch")?)?,
            cursor: rows::parse(row, "cursor").ok_or_else(|| damaged("cursor"))?,
            cluster: row.try_get("cluster")?,
            incarnation: row.try_get("incarnation")?,
            settled: settled.collect::<Result<_>>()?,
        }));
    }
    let Some(first) = first else {
        return Ok(None);
    };
    let written = sqlx::query(
        "INSERT INTO logpipe_lanes (consumer, topic, shard, updated_at, cluster, incarnation, epoch, cursor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
    )
    .bind(&key.consumer)
    .bind(key.lane.topic())
    .bind(key.lane.shard())
    .bind(&now)
    .bind(&key.cluster)
    .bind(&key.incarnation)
    .bind(first.to_string())
    .execute(open.connection())
    .await;
    open.own(written)?;
    Ok(Some(Claim {
        epoch: 1,
        cursor: first.clone(),
        cluster: key.cluster.clone(),
        incarnation: key.incarnation.clone(),
        settled: Vec::new(),
    }))
}

async fn write_lane(open: &mut Open, held: &Held, cursor: Option<&Cursor>) -> Result {
    let written = sqlx::query(
        "UPDATE logpipe_lanes
         SET cursor = coalesce(?5, cursor), cluster = ?6, incarnation = ?7, updated_at = ?8
         WHERE consumer = ?1 AND topic = ?2 AND shard = ?3 AND (epoch = ?4 OR ?9)",
    )
    .bind(&held.key.consumer)
    .bind(held.key.lane.topic())
    .bind(held.key.lane.shard())
    .bind(i64::try_from(held.epoch)?)
    .bind(cursor.map(ToString::to_string))
    .bind(&held.key.cluster)
    .bind(&held.key.incarnation)
    .bind(Timestamp::now().to_string())
    .bind(planted(Mistake::NoEpoch))
    .execute(open.connection())
    .await;
    match open.own(written)?.rows_affected() {
        1 => Ok(()),
        _ => Err(fenced(&held.key)),
    }
}

/// Deletes what the cursor passed, or everything.
async fn forget_settled(
    open: &mut Open,
    row: i64,
    forget: bool,
    cursor: Option<&Cursor>,
) -> Result {
    let passed = match cursor {
        _ if forget => None,
        Some(Cursor::Closed) => None,
        Some(Cursor::After(position)) => Some(rows::rank(position)),
        Some(Cursor::Start | Cursor::At(_)) | None => return Ok(()),
    };
    let deleted =
        sqlx::query("DELETE FROM logpipe_settled WHERE lane = ?1 AND (?2 IS NULL OR rank <= ?2)")
            .bind(row)
            .bind(passed)
            .execute(open.connection())
            .await;
    open.own(deleted).map(drop)
}

async fn write_parked(open: &mut Open, consumer: &str, park: Park) -> Result {
    let Park {
        record,
        reason,
        attempts,
        blocks_key,
    } = park;
    // A key waits or runs as a whole. A record that queues behind one which has just been redriven runs next.
    let alone = match blocks_key && reason.kind == Reason::QUEUED {
        true => STATE_READY,
        false => STATE_PARKED,
    };
    let written = sqlx::query(
        "INSERT INTO logpipe_parked (consumer, topic, key, blocks_key, shard, position, timestamp, headers, value,
             reason_kind, reason_text, attempts, parked_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
             coalesce((SELECT state FROM logpipe_parked
                       WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3 AND ?4
                       ORDER BY id LIMIT 1), ?14))",
    )
    .bind(consumer)
    .bind(record.lane.topic())
    .bind(record.key.as_deref())
    .bind(blocks_key)
    .bind(record.lane.shard())
    .bind(record.position.to_string())
    .bind(record.timestamp.map(|timestamp| timestamp.to_string()))
    .bind(rows::write_headers(&record.headers)?)
    .bind(record.value.as_deref())
    .bind(reason.kind)
    .bind(reason.text)
    .bind(attempts)
    .bind(Timestamp::now().to_string())
    .bind(alone)
    .execute(open.connection())
    .await;
    open.own(written).map(drop)
}
