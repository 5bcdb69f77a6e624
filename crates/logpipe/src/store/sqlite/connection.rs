//! How the store's one writing connection is kept from committing anything that the store did not ask for.
//!
//! A statement can end the transaction by itself (`INSERT OR ROLLBACK`, a full disk), and so can a handler (`COMMIT`).
//! What is written after that would commit on its own, without the position. So every commit on this connection is
//! refused by a hook unless the store has asked for it; a transaction that ended is noticed by the hooks too; and a
//! connection whose state is in any doubt is dropped, which rolls back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr, SqlStr};
use tokio::sync::OwnedMutexGuard;

use crate::fault::Transaction;
use crate::store::Commit;
use crate::{Error, Result};

/// What the connection's hooks, which run on its thread, and the store tell each other.
#[derive(Default)]
struct Guard {
    /// The store asked for the commit that comes.
    asked: AtomicBool,
    /// It went through.
    committed: AtomicBool,
    /// The transaction ended without the store's asking.
    ended: AtomicBool,
    /// Whatever statement runs is to stop.
    interrupt: AtomicBool,
}

/// A connection that writes.
pub(super) struct Writer {
    connection: SqliteConnection,
    guard: Arc<Guard>,
    /// An own statement failed: whatever a handler did to the connection, the next one starts with a new connection.
    doubtful: bool,
    mark: Mark,
}

/// The statements about the savepoint before a record. Its name is not to be guessed: a handler that used the same one
/// could undo the record before its own.
struct Mark {
    set: SqlStr,
    renew: SqlStr,
    undo: SqlStr,
    release: SqlStr,
    is_set: bool,
}

impl Mark {
    fn new() -> Self {
        let name = format!("logpipe_{:016x}", rand::random::<u64>());
        let sql = |text: String| AssertSqlSafe(Arc::<str>::from(text)).into_sql_str();
        Self {
            set: sql(format!("SAVEPOINT {name}")),
            renew: sql(format!("RELEASE {name}; SAVEPOINT {name}")),
            undo: sql(format!("ROLLBACK TO {name}")),
            release: sql(format!("RELEASE {name}")),
            is_set: false,
        }
    }
}

impl Drop for Writer {
    /// The thread of the connection ends when it has done what it was told; then the connection closes and rolls back.
    /// A statement of a handler that was dropped must not keep it, and with it the file, for longer than it takes to
    /// notice.
    fn drop(&mut self) {
        self.guard.asked.store(false, SeqCst);
        self.guard.interrupt.store(true, SeqCst);
    }
}

/// How many steps of SQLite's machine pass between two looks at whether to stop: a fraction of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

impl Writer {
    pub(super) async fn connect(options: &SqliteConnectOptions) -> Result<Self> {
        let mut connection = options.connect().await.map_err(fault)?;
        let guard = Arc::new(Guard::default());

        // sqlx counts how deep transactions are nested, and only its own. Told once that there is one, it makes
        // savepoints of those that handlers begin, while ours begin and end as plain statements.
        std::mem::forget(connection.begin_with("BEGIN").await.map_err(fault)?);
        run(&mut connection, "ROLLBACK".into_sql_str()).await?;

        let mut handle = connection.lock_handle().await.map_err(fault)?;
        let hook = guard.clone();
        handle.set_commit_hook(move || {
            let asked = hook.asked.swap(false, SeqCst);
            let flag = if asked { &hook.committed } else { &hook.ended };
            flag.store(true, SeqCst);
            asked
        });
        let hook = guard.clone();
        handle.set_rollback_hook(move || hook.ended.store(true, SeqCst));
        let hook = guard.clone();
        handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || !hook.interrupt.load(SeqCst));
        drop(handle);

        Ok(Self {
            connection,
            guard,
            doubtful: false,
            mark: Mark::new(),
        })
    }

    /// The connection, outside of a transaction.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Begins a transaction that holds the file's write lock.
    pub(super) async fn begin(&mut self) -> Result {
        self.guard.asked.store(false, SeqCst);
        self.guard.committed.store(false, SeqCst);
        self.guard.ended.store(false, SeqCst);
        self.mark.is_set = false;
        run(&mut self.connection, "BEGIN IMMEDIATE".into_sql_str()).await
    }
}

/// A transaction that the store's statements run in: the store's own, or one of the user's.
pub(super) trait Within: Send {
    fn connection(&mut self) -> &mut SqliteConnection;

    /// Passes on the outcome of one of the store's statements.
    fn own<T>(&mut self, outcome: sqlx::Result<T>) -> Result<T>;
}

/// The user's own transaction, which nothing but the user ends.
pub(super) struct Theirs<'a>(pub(super) &'a mut SqliteConnection);

impl Within for Theirs<'_> {
    fn connection(&mut self) -> &mut SqliteConnection {
        self.0
    }

    fn own<T>(&mut self, outcome: sqlx::Result<T>) -> Result<T> {
        outcome.map_err(fault)
    }
}

impl Within for Open {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.writer.connection
    }

    fn own<T>(&mut self, outcome: sqlx::Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            self.writer.doubtful = true;
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
        if self.writer.guard.ended.load(SeqCst) || !self.writer.connection.is_in_transaction() {
            return Err(Error::msg(
                "the transaction ended inside a handler, by COMMIT or ROLLBACK or a statement that rolls back by itself \
                 (INSERT OR ROLLBACK, a full disk); nothing of it was written",
            ));
        }
        Ok(())
    }

    async fn step(&mut self, statement: SqlStr) -> Result {
        self.is_whole()?;
        let done = run(&mut self.writer.connection, statement).await;
        self.writer.doubtful |= done.is_err();
        done
    }

    /// Sets the savepoint anew.
    pub(super) async fn mark(&mut self) -> Result {
        let mark = &mut self.writer.mark;
        let statement = if std::mem::replace(&mut mark.is_set, true) {
            mark.renew.clone()
        } else {
            mark.set.clone()
        };
        self.step(statement).await
    }

    /// Rolls back to the savepoint. A statement whose future a handler dropped may still run: it is stopped first, which
    /// may cost the transaction, but not the time that it would take.
    pub(super) async fn undo(&mut self) -> Result {
        self.is_whole()?;
        self.writer.guard.interrupt.store(true, SeqCst);
        let idle = self.writer.connection.ping().await;
        self.writer.guard.interrupt.store(false, SeqCst);
        self.own(idle)?;
        if !self.writer.mark.is_set {
            return Err(Error::permanent("no mark was set in this transaction"));
        }
        self.step(self.writer.mark.undo.clone()).await
    }

    /// Ends the savepoint, if there is one, and with it those that a handler left open. An error where it is not there any
    /// more: a handler that went back behind it has undone more than its own.
    pub(super) async fn release(&mut self) -> Result {
        self.is_whole()?;
        if std::mem::take(&mut self.writer.mark.is_set) {
            self.step(self.writer.mark.release.clone()).await?;
        }
        Ok(())
    }

    pub(super) async fn commit(mut self) -> Commit {
        if let Err(error) = self.is_whole() {
            return Commit::Refused(error);
        }
        self.writer.guard.asked.store(true, SeqCst);
        let done = sqlx::query("COMMIT")
            .execute(&mut self.writer.connection)
            .await;
        self.writer.guard.asked.store(false, SeqCst);
        let committed = self.writer.guard.committed.load(SeqCst);
        match done {
            Ok(_) if committed => {
                self.give_back();
                Commit::Done
            }
            Ok(_) => Commit::Unknown(Error::unavailable("SQLite committed without a word")),
            // The transaction is open after these two; dropping the connection rolls it back.
            Err(error) => match primary_code(&error) {
                Some(code::BUSY | code::LOCKED) => Commit::Unavailable(fault(error)),
                Some(code::CONSTRAINT) => Commit::Refused(fault(error)),
                _ => Commit::Unknown(fault(error).into_unavailable()),
            },
        }
    }

    pub(super) async fn rollback(mut self) {
        if self.writer.doubtful || self.is_whole().is_err() {
            return;
        }
        let rolled_back = run(&mut self.writer.connection, "ROLLBACK".into_sql_str()).await;
        if rolled_back.is_ok() {
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
    }
}

async fn run(connection: &mut SqliteConnection, statement: SqlStr) -> Result {
    // As a query and not as bare text: sqlx then keeps the prepared statement.
    let done = sqlx::query(statement).execute(connection).await;
    done.map(drop).map_err(fault)
}

/// Primary result codes of SQLite, <https://sqlite.org/rescode.html>.
pub(super) mod code {
    pub(in super::super) const BUSY: i32 = 5;
    pub(in super::super) const LOCKED: i32 = 6;
    pub(in super::super) const NOMEM: i32 = 7;
    pub(in super::super) const READONLY: i32 = 8;
    pub(in super::super) const IOERR: i32 = 10;
    pub(in super::super) const CORRUPT: i32 = 11;
    pub(in super::super) const FULL: i32 = 13;
    pub(in super::super) const CANTOPEN: i32 = 14;
    pub(in super::super) const PROTOCOL: i32 = 15;
    pub(in super::super) const CONSTRAINT: i32 = 19;
    pub(in super::super) const NOTADB: i32 = 26;
}

/// SQLite's result code, without what extends it.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    error.try_downcast_ref::<SqliteError>()?;
    let extended: i32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Whether the database is in trouble, so that any record would fail as this one did.
pub(super) fn is_trouble(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => true,
        error => matches!(
            primary_code(error),
            Some(
                code::BUSY
                    | code::LOCKED
                    | code::NOMEM
                    | code::READONLY
                    | code::IOERR
                    | code::CORRUPT
                    | code::FULL
                    | code::CANTOPEN
                    | code::PROTOCOL
                    | code::NOTADB
            )
        ),
    }
}

/// An error of the database, with what it asks of the run time.
pub(super) fn fault(error: sqlx::Error) -> Error {
    let trouble = is_trouble(&error);
    let error = Error::from(error);
    if trouble {
        error.into_unavailable()
    } else {
        error
    }
}
