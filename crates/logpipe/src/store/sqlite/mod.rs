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
mod statements;
mod temporary;
#[cfg(test)]
mod tests;
mod waiting;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

use self::connection::{Open, Theirs, Within, Writer, code, fault, is_trouble, primary_code};
use self::statements::Fence;
use self::temporary::Folder;
use self::waiting::{Blocked, Waiting};
use super::{
    Claim, Commit, Due, Guarantee, Held, LaneKey, ParkedCount, Reason, Redrive, Settlement, Store,
    Transactional,
};
use crate::error::Context;
use crate::fault::{Mistake, Point, Transaction, planted, point};
use crate::record::{Cursor, Position};
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
        let seen = Transaction::begin();
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
                return Ok(Open {
                    slot,
                    writer,
                    _seen: seen,
                });
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

    async fn settle_in(&self, connection: &mut SqliteConnection, due: &Due) -> Result {
        if !connection.is_in_transaction() {
            return Err(Error::permanent(
                "the connection is in no transaction: begin one, write, `ack_in`, then commit it",
            ));
        }
        // Whole or not at all, also where the user goes on after an error.
        let step = async |connection: &mut SqliteConnection, statement: &'static str| {
            let done = sqlx::query(statement).execute(connection).await;
            done.map(drop).map_err(fault)
        };
        step(connection, "SAVEPOINT logpipe_ack").await?;
        let written = write_due(&mut Theirs(connection), due).await;
        if written.is_err() {
            step(connection, "ROLLBACK TO logpipe_ack").await?;
        }
        step(connection, "RELEASE logpipe_ack").await?;
        written
    }
}

/// What [`Store::begin`] checks and [`Store::settle`] writes, for a record that is handled elsewhere.
async fn write_due(within: &mut Theirs<'_>, due: &Due) -> Result {
    match due {
        Due::Record {
            held,
            cursor,
            above,
        } => {
            let Some(fence) = statements::fence(within, held).await? else {
                return Err(statements::fenced(&held.key));
            };
            write_position(within, held, &fence, cursor.as_ref(), above, false).await
        }
        Due::Parked(id) => statements::delete_parked(within, *id).await,
    }
}

async fn write_position(
    within: &mut impl Within,
    held: &Held,
    fence: &Fence,
    cursor: Option<&Cursor>,
    above: &[Position],
    forget: bool,
) -> Result {
    statements::write_lane(within, held, cursor).await?;
    if fence.any_settled {
        let forget = forget || fence.moved;
        statements::forget_settled(within, fence.row, forget, cursor).await?;
    }
    statements::write_settled(within, fence.row, above).await
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
        let Some(claim) = statements::claim(&mut open, key, first)
            .await
            .context(doing())?
        else {
            open.rollback().await;
            return Ok(None);
        };
        durable(open.commit().await).context(doing())?;
        Ok(Some(claim))
    }

    async fn begin(&self, held: &Held) -> Result<Session> {
        let mut open = self.transaction().await?;
        match statements::fence(&mut open, held).await? {
            Some(fence) => Ok(Session {
                open,
                any_parked: fence.any_parked,
                scope: Scope::Lane(held.clone(), fence),
                late: None,
            }),
            None => {
                open.rollback().await;
                Err(statements::fenced(&held.key))
            }
        }
    }

    async fn mark(&self, session: &mut Session) -> Result {
        session.open.mark().await
    }

    async fn undo(&self, session: &mut Session) -> Result {
        session.open.undo().await
    }

    async fn whole(&self, session: &mut Session) -> bool {
        session.open.release().await.is_ok()
    }

    async fn is_parked(&self, session: &mut Session, key: &[u8]) -> Result<bool> {
        if !session.any_parked {
            return Ok(false);
        }
        session.open.is_whole()?;
        let (consumer, topic) = session.scope.consumer_and_topic();
        statements::is_parked(&mut session.open, consumer, topic, key).await
    }

    async fn is_settled(&self, session: &mut Session, position: &Position) -> Result<bool> {
        match &session.scope {
            Scope::Lane(_, fence) => {
                statements::is_settled(&mut session.open, fence.row, position).await
            }
            Scope::Redrive { .. } => Ok(false),
        }
    }

    async fn parked_count(&self, session: &mut Session, key: Option<&[u8]>) -> Result<ParkedCount> {
        session.open.is_whole()?;
        let (consumer, topic) = session.scope.consumer_and_topic();
        statements::count_parked(&mut session.open, consumer, topic, key).await
    }

    async fn settle(&self, session: &mut Session, settlement: Settlement) -> Result {
        session.open.release().await?;
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
        write_position(open, held, fence, cursor.as_ref(), &above, forget).await?;
        for park in parked {
            statements::write_parked(open, &held.key.consumer, park).await?;
        }
        Ok(())
    }

    async fn commit(&self, session: Session) -> Commit {
        let Session {
            open, scope, late, ..
        } = session;
        let committed = open.commit().await;
        match (late, scope) {
            (Some(late), Scope::Lane(held, _)) if matches!(committed, Commit::Done) => {
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
        let Some(parked) = statements::oldest_ready(&mut open, consumer).await? else {
            open.rollback().await;
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
        session.open.release().await?;
        statements::delete_parked(&mut session.open, redrive.id).await
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
        statements::park_again(open, redrive.id, reason, attempts).await?;
        let key = redrive.record.key.as_deref();
        statements::park_key_of(open, redrive.id, consumer, topic, key).await
    }
}
