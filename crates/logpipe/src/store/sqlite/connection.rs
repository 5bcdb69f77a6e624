//! How the store's one writing connection is kept from committing anything that the store did not ask for.
//!
//! A statement can end the transaction by itself (`INSERT OR ROLLBACK`, a full disk). What is written after that would
//! commit on its own, without the position. So every commit on this connection is refused by a hook unless the store has
//! asked for it; a transaction that ended is noticed by the hooks too; and a connection whose state is in any doubt is
//! dropped, which rolls back. A handler that says COMMIT itself is stopped before that, by an authorizer: the transaction
//! stays whole, and only its record fails.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::OwnedMutexGuard;

use super::away::{Leash, give_back, leash};
use super::tx::Tx;
use crate::db;
use crate::fault::Transaction;
use crate::store::Commit;
use crate::{Error, Result};

/// Statements that stay prepared: with rusqlite's own 16 a handler of 20 texts prepares each of them again and again.
const STATEMENTS: usize = 256;

/// How many steps of SQLite's machine pass between two looks at whether to stop: a fraction of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// Opens connections to the store's file.
pub(super) struct Connector {
    pub(super) path: PathBuf,
    /// What the application does to each of them.
    pub(super) setup: Option<Box<Setup>>,
}

pub(super) type Setup = dyn Fn(&Connection) -> rusqlite::Result<()> + Send + Sync;

impl Connector {
    pub(super) fn connect(&self) -> Result<Connection> {
        // What goes wrong here SQLite finds too, and says in words that are known.
        let _ = db::create_private(&self.path);
        self.open().map_err(fault)
    }

    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        // Without the flag for URIs: a path is a path, whatever it begins with.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        // What is busy is waited for outside of SQLite, whose own waiting starves all but one.
        connection.busy_timeout(Duration::ZERO)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "synchronous", "FULL")?;
        if let Some(setup) = &self.setup {
            setup(&connection)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        Ok(connection)
    }
}

/// What the connection's hooks and the store tell each other.
pub(super) struct Guard {
    /// The store asked for the commit that comes.
    asked: AtomicBool,
    /// It went through.
    committed: AtomicBool,
    /// The transaction ended without the store's asking.
    ended: AtomicBool,
    /// A handler is at work.
    handling: AtomicBool,
    /// When its statements are to stop, in nanoseconds since `born`; 0 for never.
    deadline: AtomicU64,
    /// One was stopped.
    overdue: AtomicBool,
    born: Instant,
    /// Of the work that uses the connection.
    leash: Mutex<Leash>,
    savepoint: String,
}

impl Guard {
    fn new() -> Self {
        Self {
            asked: AtomicBool::new(false),
            committed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            handling: AtomicBool::new(false),
            deadline: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
            born: Instant::now(),
            leash: Mutex::default(),
            // Not to be guessed: a handler that left one of the same name open would keep what its record wrote.
            savepoint: format!("logpipe_{:016x}", rand::random::<u64>()),
        }
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A handler begins.
    fn begin(&self, deadline: Option<Duration>) {
        let deadline = deadline.map_or(0, |deadline| {
            let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
            self.nanos().saturating_add(deadline).max(1)
        });
        self.overdue.store(false, SeqCst);
        self.deadline.store(deadline, SeqCst);
        self.handling.store(true, SeqCst);
    }

    /// What comes is the store's own.
    fn end(&self) {
        self.handling.store(false, SeqCst);
        self.deadline.store(0, SeqCst);
    }

    /// Whether the handler's time is over; remembers that.
    pub(super) fn is_overdue(&self) -> bool {
        let deadline = self.deadline.load(SeqCst);
        let is_overdue = deadline != 0 && self.nanos() > deadline;
        if is_overdue {
            self.overdue.store(true, SeqCst);
        }
        is_overdue
    }

    fn must_stop(&self) -> bool {
        let leash = self.leash.lock().unwrap_or_else(PoisonError::into_inner);
        leash.load(SeqCst) || self.is_overdue()
    }

    /// What a handler may not do: end the transaction, or have another one; and write what only the store writes.
    fn authorize(&self, action: AuthAction<'_>) -> Authorization {
        if !self.handling.load(SeqCst) {
            return Authorization::Allow;
        }
        let is_refused = match action {
            AuthAction::Transaction { .. }
            | AuthAction::Attach { .. }
            | AuthAction::Detach { .. } => true,
            AuthAction::Savepoint { savepoint_name, .. } => savepoint_name == self.savepoint,
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name }
            | AuthAction::DropTable { table_name }
            | AuthAction::AlterTable { table_name, .. }
            | AuthAction::CreateTrigger { table_name, .. }
            | AuthAction::CreateTempTrigger { table_name, .. }
            | AuthAction::DropTrigger { table_name, .. }
            | AuthAction::DropIndex { table_name, .. } => is_own(table_name),
            _ => false,
        };
        match is_refused {
            true => Authorization::Deny,
            false => Authorization::Allow,
        }
    }
}

/// SQLite compares names without regard to ASCII case.
fn is_own(table: &str) -> bool {
    let prefix = table.as_bytes().get(..8);
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"logpipe_"))
}

/// A connection that writes.
pub(super) struct Writer {
    pub(super) tx: Tx,
    guard: Arc<Guard>,
    /// An own statement failed: whatever a handler did to the connection, the next one starts with a new connection.
    is_doubtful: Cell<bool>,
    mark: Mark,
}

/// The statements about the savepoint before a record.
struct Mark {
    set: String,
    undo: String,
    release: String,
    is_set: bool,
}

impl Writer {
    pub(super) fn connect(connector: &Connector) -> Result<Self> {
        let connection = connector.connect()?;
        let guard = Arc::new(Guard::new());
        Self::watch(&connection, &guard).map_err(fault)?;
        let name = &guard.savepoint;
        Ok(Self {
            mark: Mark {
                set: format!("SAVEPOINT {name}"),
                undo: format!("ROLLBACK TO {name}"),
                release: format!("RELEASE {name}"),
                is_set: false,
            },
            tx: Tx::new(connection, guard.clone()),
            guard,
            is_doubtful: Cell::new(false),
        })
    }

    /// Sets the hooks. All of them once: to set the authorizer makes every prepared statement be prepared again.
    fn watch(connection: &Connection, guard: &Arc<Guard>) -> rusqlite::Result<()> {
        let hook = guard.clone();
        connection.commit_hook(Some(move || {
            let asked = hook.asked.swap(false, SeqCst);
            let flag = if asked { &hook.committed } else { &hook.ended };
            flag.store(true, SeqCst);
            !asked
        }))?;
        let hook = guard.clone();
        connection.rollback_hook(Some(move || hook.ended.store(true, SeqCst)))?;
        let hook = guard.clone();
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || hook.must_stop()))?;
        let hook = guard.clone();
        connection.authorizer(Some(move |asked: AuthContext<'_>| {
            hook.authorize(asked.action)
        }))
    }

    /// The connection, outside of a transaction.
    pub(super) fn connection(&self) -> &Connection {
        self.tx.connection()
    }

    /// Begins a transaction that holds the file's write lock.
    pub(super) fn begin(&mut self) -> Result {
        let guard = &self.guard;
        guard.asked.store(false, SeqCst);
        guard.committed.store(false, SeqCst);
        guard.ended.store(false, SeqCst);
        guard.end();
        *guard.leash.lock().unwrap_or_else(PoisonError::into_inner) = leash();
        self.mark.is_set = false;
        self.run("BEGIN IMMEDIATE")
    }

    /// Runs a statement that begins or ends the transaction. It is prepared each time: one that is prepared already is
    /// found by a handler that says the same words, and the authorizer is not asked.
    fn run(&self, statement: &str) -> Result {
        self.connection()
            .execute(statement, [])
            .map(drop)
            .map_err(fault)
    }
}

/// A transaction that the store's statements run in: the store's own, or one of the user's.
pub(super) trait Within {
    /// Runs some of the store's statements.
    fn own<T>(&self, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T>;
}

/// The user's own transaction, which nothing but the user ends.
pub(super) struct Theirs<'a>(pub(super) &'a Connection);

impl Within for Theirs<'_> {
    fn own<T>(&self, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        statements(self.0).map_err(fault)
    }
}

impl Within for Open {
    fn own<T>(&self, statements: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        statements(self.writer.connection()).map_err(|error| {
            self.writer.is_doubtful.set(true);
            fault(error)
        })
    }
}

/// A transaction on the writer. Dropped, it takes its connection with it.
pub(super) struct Open {
    /// Where the connection goes back to; nobody else writes until then.
    pub(super) slot: OwnedMutexGuard<Option<Writer>>,
    pub(super) writer: Writer,
    /// Lets the fault bench know of it.
    pub(super) _seen: Transaction,
}

impl Open {
    /// An error where the transaction is not whole any more.
    pub(super) fn is_whole(&self) -> Result {
        if self.writer.guard.ended.load(SeqCst) || self.writer.connection().is_autocommit() {
            return Err(Error::msg(
                "the transaction ended inside a handler, by a statement that rolls back by itself (INSERT OR ROLLBACK, a \
                 full disk); nothing of it was written",
            ));
        }
        Ok(())
    }

    /// Whether a statement of the handler was stopped since the mark.
    pub(super) fn is_overdue(&self) -> bool {
        self.writer.guard.overdue.load(SeqCst)
    }

    fn step(&self, statement: &str) -> Result {
        self.is_whole()?;
        self.own(|connection| connection.prepare_cached(statement)?.execute([]).map(drop))
    }

    /// Sets the savepoint, in place of the one before, and lets a handler work until the deadline.
    pub(super) fn mark(&mut self, deadline: Option<Duration>) -> Result {
        self.release()?;
        self.step(&self.writer.mark.set)?;
        self.writer.mark.is_set = true;
        self.writer.guard.begin(deadline);
        Ok(())
    }

    /// Rolls back to the savepoint.
    pub(super) fn undo(&mut self) -> Result {
        self.writer.guard.end();
        self.is_whole()?;
        if !self.writer.mark.is_set {
            return Err(Error::permanent("no mark was set in this transaction"));
        }
        self.step(&self.writer.mark.undo)
    }

    /// Ends the savepoint, if there is one, and with it those that a handler left open. An error where it is not there any
    /// more: a handler that went back behind it has undone more than its own.
    pub(super) fn release(&mut self) -> Result {
        self.writer.guard.end();
        self.is_whole()?;
        if std::mem::take(&mut self.writer.mark.is_set) {
            self.step(&self.writer.mark.release)?;
        }
        Ok(())
    }

    pub(super) fn commit(self) -> Commit {
        if let Err(error) = self.is_whole() {
            return Commit::Refused(error);
        }
        self.writer.guard.asked.store(true, SeqCst);
        let done = self.writer.connection().execute("COMMIT", []);
        self.writer.guard.asked.store(false, SeqCst);
        let committed = self.writer.guard.committed.load(SeqCst);
        match done {
            Ok(_) if committed => {
                self.give_back();
                Commit::Done
            }
            Ok(_) => Commit::Unknown(Error::unavailable("SQLite committed without a word")),
            // The transaction is open after these two; dropping the connection rolls it back.
            Err(error) => match db::code(&error) {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Commit::Unavailable(fault(error))
                }
                Some(ErrorCode::ConstraintViolation) => Commit::Refused(fault(error)),
                _ => Commit::Unknown(fault(error).into_unavailable()),
            },
        }
    }

    pub(super) fn rollback(self) {
        self.writer.guard.end();
        if self.writer.is_doubtful.get() || self.is_whole().is_err() {
            return;
        }
        if self.writer.run("ROLLBACK").is_ok() {
            self.give_back();
        }
    }

    fn give_back(self) {
        let Self {
            mut slot,
            writer,
            _seen,
        } = self;
        *slot = Some(writer);
        give_back(slot);
    }
}

/// Whether the database is in trouble, so that any record would fail as this one did.
pub(super) fn is_trouble(error: &rusqlite::Error) -> bool {
    matches!(
        db::code(error),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NotADatabase
        )
    )
}

/// An error of the database, with what it asks of the run time.
pub(super) fn fault(error: rusqlite::Error) -> Error {
    let trouble = is_trouble(&error);
    let error = Error::from(error);
    if trouble {
        error.into_unavailable()
    } else {
        error
    }
}
