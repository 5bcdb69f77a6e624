//! The store in an SQLite file: positions, parked records and the handlers' effects commit together.
//!
//! Put the store into the file that the handlers write to: one file is one transaction. All lanes of a process share one
//! connection for writing, for SQLite has one writer at a time in any case; commands that look use another one.
//!
//! **Durability.** The file is in WAL mode with `synchronous = FULL`: what was committed survives a power cut. With
//! `NORMAL` ([`Sqlite::open_with`]) a power cut may take the last transactions back, but takes effects and position back
//! together, so that effects still happen exactly once *within this file*. What left the file in the meantime, a row that
//! another program read, a position mirrored to the log, is then ahead of it; hence the default.
//!
//! **Threads.** Statements are plain calls, without `await`. Each poll of a run of handlers goes to tokio's blocking pool,
//! so that neither a statement nor a commit holds up the run time's own threads. A pool that is full of other work
//! (`max_blocking_threads`, 512 by default) delays the consumer.
//!
//! **Versions.** A program has one SQLite, so a rusqlite of its own must be 0.39, as the one that is re-exported here. It
//! links beside sqlx-sqlite 0.9.

mod ack;
mod admin;
mod away;
mod connection;
mod rows;
mod schema;
mod statements;
mod temporary;
#[cfg(test)]
mod tests;
mod tx;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Mutex;

use self::away::Away;
use self::connection::{Connector, Open, Setup, Within, Writer, fault, is_trouble};
use self::statements::Fence;
use self::temporary::Folder;
use self::waiting::{Blocked, Waiting};
use super::{
    Claim, Commit, Guarantee, Held, LaneKey, Pace, ParkedCount, Reason, Redrive, Settlement, Store,
    Transactional,
};
use crate::error::Context;
use crate::fault::{Mistake, Point, Transaction, planted, point};
use crate::record::{Cursor, Position};
use crate::{Error, Result, db};

pub use self::ack::AckIn;
pub use self::tx::Tx;
pub use rusqlite;

/// Keeps positions and parked records in an SQLite file, in the transaction that handlers write through.
///
/// Cloning is cheap; clones share the connection. Several processes may use one file.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    connector: Connector,
    writer: Arc<Mutex<Option<Writer>>>,
    reader: Arc<Mutex<Option<Connection>>>,
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
    Lane(Held, Fence),
    Redrive { consumer: String, topic: String },
}

impl Scope {
    fn consumer_and_topic(&self) -> (&str, &str) {
        match self {
            Self::Lane(held, _) => (&held.key.consumer, held.key.lane.topic()),
            Self::Redrive { consumer, topic } => (consumer, topic),
        }
    }
}

impl Sqlite {
    /// Opens the file, or makes it (readable by its owner alone), and brings the store's tables into it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(path.as_ref().into(), None, None).await
    }

    /// Opens with what the application does to each new connection: pragmas, functions, collations, another
    /// `synchronous`. It may be called at any time, on any thread. The journal mode is WAL, and stays so.
    pub async fn open_with(
        path: impl AsRef<Path>,
        setup: impl Fn(&Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::new(path.as_ref().into(), Some(Box::new(setup)), None).await
    }

    /// A new file in a temporary folder, which is deleted with the last clone: for tests.
    pub async fn temporary() -> Result<Self> {
        let folder = Folder::new()?;
        Self::new(folder.path().join("store.db"), None, Some(folder)).await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.connector.path
    }

    async fn new(path: PathBuf, setup: Option<Box<Setup>>, folder: Option<Folder>) -> Result<Self> {
        let store = Self {
            inner: Arc::new(Inner {
                connector: Connector { path, setup },
                writer: Arc::default(),
                reader: Arc::default(),
                blocked: Blocked::default(),
                patience: waiting::PATIENCE,
                _folder: folder,
            }),
        };
        let prepared = store.away({
            let store = store.clone();
            async move { store.prepare().await }
        });
        prepared.await.context(format_args!(
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
        let writer = loop {
            let attempt = Writer::connect(&self.inner.connector);
            if let Some(writer) = waiting.attempted(attempt).await.map_err(explained)? {
                break writer;
            }
        };
        let version = schema::version(writer.connection());
        let version = version.map_err(|error| explained(fault(error)))?;
        if schema::is_behind(version, path)? {
            drop(writer);
            let open = self.transaction().await.map_err(explained)?;
            schema::migrate(&open, path).map_err(explained)?;
            return durable(open.commit());
        }
        // Found out now and not with the first record. It would change nothing, and the hook refuses even that.
        let probe = "UPDATE logpipe_schema SET version = version WHERE false";
        match writer.connection().execute(probe, []) {
            Err(error) if db::code(&error) == Some(ErrorCode::ReadOnly) => {
                Err(explained(fault(error)))
            }
            _ => Ok(()),
        }
    }

    /// Work of the store's own, away from the run time's threads.
    async fn away<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        Away::new(&Arc::default(), work).await?
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
            Ok(open) => open.commit(),
            Err(error) => Commit::Unknown(error),
        }
    }

    fn waiting(&self) -> Waiting<'_> {
        Waiting::new(&self.inner.blocked, self.path(), self.inner.patience)
    }

    /// A connection that only looks.
    fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.inner.connector.open()?;
        connection.busy_timeout(waiting::PATIENCE)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// Begins a transaction that can write, behind those of other lanes and processes.
    async fn transaction(&self) -> Result<Open> {
        let mut slot = self.inner.writer.clone().lock_owned().await;
        let mut idle = slot.take();
        let seen = Transaction::begin();
        let waiting = self.waiting();
        loop {
            let connected = match idle.take() {
                Some(writer) => Ok(writer),
                None => Writer::connect(&self.inner.connector),
            };
            let attempt = connected.and_then(|mut writer| match writer.begin() {
                Ok(()) => Ok(writer),
                Err(error) => {
                    idle = Some(writer);
                    Err(error)
                }
            });
            let begun = waiting.attempted(attempt).await;
            if let Some(writer) = begun.context("beginning a transaction")? {
                return Ok(Open {
                    slot,
                    writer,
                    _seen: seen,
                });
            }
        }
    }

    async fn claimed(&self, key: &LaneKey, first: Option<&Cursor>) -> Result<Option<Claim>> {
        let open = self.transaction().await?;
        let Some(claim) = statements::claim(&open, key, first)? else {
            open.rollback();
            return Ok(None);
        };
        durable(open.commit())?;
        Ok(Some(claim))
    }
}

/// What SQLite's codes mean for a file that is being opened.
fn explained(error: Error) -> Error {
    match error.downcast_ref().and_then(db::code) {
        Some(ErrorCode::NotADatabase) => {
            Error::permanent("the file is not an SQLite database: give another path")
        }
        Some(ErrorCode::ReadOnly) => {
            Error::permanent("this process may not write to the file or its folder")
        }
        Some(ErrorCode::CannotOpen) => error
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
    type Connection = Tx;

    fn connection(session: &mut Session) -> &mut Tx {
        &mut session.open.writer.tx
    }
}

fn write_position(
    within: &impl Within,
    held: &Held,
    fence: &Fence,
    cursor: Option<&Cursor>,
    above: &[Position],
    forget: bool,
) -> Result {
    statements::write_lane(within, held, cursor)?;
    if fence.any_settled {
        let forget = forget || fence.moved;
        statements::forget_settled(within, fence.row, forget, cursor)?;
    }
    statements::write_settled(within, &held.key, fence.row, above)
}

impl Store for Sqlite {
    type Session = Session;

    fn describe(&self) -> String {
        format!("SQLite in {}", self.path().display())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::EffectsOnce
    }

    fn place<T, W>(&self, pace: &Arc<Pace>, work: W) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        Away::new(pace, work)
    }

    async fn claim(&self, key: &LaneKey, first: Option<&Cursor>) -> Result<Option<Claim>> {
        let doing = || format!("claiming {} for `{}`", key.lane, key.consumer);
        let (store, lane, first) = (self.clone(), key.clone(), first.cloned());
        self.away(async move { store.claimed(&lane, first.as_ref()).await })
            .await
            .context(doing())
    }

    async fn begin(&self, held: &Held) -> Result<Session> {
        let open = self.transaction().await?;
        match statements::fence(&open, held)? {
            Some(fence) => Ok(Session {
                open,
                any_parked: fence.any_parked,
                scope: Scope::Lane(held.clone(), fence),
                late: None,
            }),
            None => {
                open.rollback();
                Err(statements::fenced(&held.key))
            }
        }
    }

    async fn mark(&self, session: &mut Session, deadline: Option<Duration>) -> Result {
        session.open.mark(deadline)
    }

    fn is_overdue(&self, session: &Session) -> bool {
        session.open.is_overdue()
    }

    async fn undo(&self, session: &mut Session) -> Result {
        session.open.undo()
    }

    async fn whole(&self, session: &mut Session) -> bool {
        session.open.release().is_ok()
    }

    async fn is_parked(&self, session: &mut Session, key: &[u8]) -> Result<bool> {
        if !session.any_parked {
            return Ok(false);
        }
        session.open.is_whole()?;
        let (consumer, topic) = session.scope.consumer_and_topic();
        statements::is_parked(&session.open, consumer, topic, key)
    }

    async fn is_settled(&self, session: &mut Session, position: &Position) -> Result<bool> {
        match &session.scope {
            Scope::Lane(_, fence) => statements::is_settled(&session.open, fence.row, position),
            Scope::Redrive { .. } => Ok(false),
        }
    }

    async fn parked_count(&self, session: &mut Session, key: Option<&[u8]>) -> Result<ParkedCount> {
        session.open.is_whole()?;
        let (consumer, topic) = session.scope.consumer_and_topic();
        statements::count_parked(&session.open, consumer, topic, key)
    }

    async fn settle(&self, session: &mut Session, settlement: Settlement) -> Result {
        session.open.release()?;
        if planted(Mistake::PositionOutside) && session.late.is_none() {
            session.late = Some(settlement);
            return Ok(());
        }
        let Session { open, scope, .. } = session;
        let Scope::Lane(held, fence) = scope else {
            return Err(Error::permanent("a session that redrives settles no lane"));
        };
        let Settlement {
            cursor,
            above,
            parked,
            forget,
        } = settlement;
        write_position(open, held, fence, cursor.as_ref(), &above, forget)?;
        for park in parked {
            statements::write_parked(open, &held.key.consumer, park)?;
        }
        Ok(())
    }

    async fn commit(&self, session: Session) -> Commit {
        let Session {
            open, scope, late, ..
        } = session;
        let committed = open.commit();
        match (late, scope) {
            (Some(late), Scope::Lane(held, _)) if matches!(committed, Commit::Done) => {
                point(Point::BeforeCommit);
                self.settle_late(&held, late).await
            }
            _ => committed,
        }
    }

    async fn rollback(&self, session: Session) {
        session.open.rollback();
    }

    fn is_store_trouble(&self, error: &Error) -> bool {
        error.downcast_ref().is_some_and(is_trouble)
    }

    async fn begin_redrive(
        &self,
        consumer: &str,
        topics: &[String],
    ) -> Result<Option<(Session, Redrive)>> {
        // Asked all the time, so it must not take the write lock from those who have work.
        let topics = serde_json::to_string(topics)?;
        if !self.any_ready(consumer, topics.clone()).await? {
            return Ok(None);
        }
        let open = self.transaction().await?;
        let Some(parked) = statements::oldest_ready(&open, consumer, &topics)? else {
            open.rollback();
            return Ok(None);
        };
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
        session.open.release()?;
        statements::delete_parked(&session.open, redrive.id)
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
        open.release()?;
        statements::park_again(open, redrive.id, reason, attempts)?;
        let key = redrive.record.key.as_deref();
        statements::park_key_of(open, redrive.id, consumer, topic, key)
    }
}
