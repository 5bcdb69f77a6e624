//! How a SQLite file of ours is opened, known again, and written to: the local log, and the leases of groups.
//!
//! SQLite blocks its thread, so it runs on threads that may block. A file that others hold is not waited for there: a
//! task sleeps before the next try.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Mutex;

use super::{blocking, code, create_private, create_private_dir, is_busy, shutting_down};
use crate::{Error, Result};

/// How long a writer waits while other processes hold the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits before it says so.
const SILENCE: Duration = Duration::from_secs(1);

/// More statements than any file is asked with: each is prepared once.
const STATEMENTS: usize = 256;

/// A file of ours.
pub(crate) struct File {
    pub path: PathBuf,
    /// SQLite's `application_id`: says that the file is this file and no other.
    pub application: i32,
    /// Steps from one version of the schema to the next, counted by `user_version`.
    pub migrations: &'static [&'static str],
    /// SQLite's `synchronous`: `FULL` where a commit survives a power cut, else `NORMAL`.
    pub synchronous: &'static str,
}

/// Tells a file from another one that has its path now. Where the platform has no such number, an open file can't be
/// deleted either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

/// A connection that writes, and to which file.
type Open = (Connection, Identity);

impl File {
    /// The file that the path names now; `None` where there is none.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Some(Identity(metadata.dev(), metadata.ino()))
        }
        #[cfg(not(unix))]
        {
            let _ = metadata;
            Some(Identity(0, 0))
        }
    }

    /// Opens a file that exists. SQLite waits for this long, on this thread, while others hold it.
    pub(crate) fn open(&self, wait: Duration) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(wait)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }

    /// Opens the file for writing; waits while others hold it.
    async fn connect(self: &Arc<Self>) -> Result<Open> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = self.clone();
            // Switching a new file to WAL fails at once where two processes do it at the same time.
            match blocking(move || file.try_connect()).await? {
                Err(Failed::Sql(error)) if is_busy(&error) && Instant::now() < deadline => {
                    pause().await;
                }
                opened => return opened.map_err(|failed| self.explain(failed, "opening")),
            }
        }
    }

    /// Opens the file for writing; makes it, its folder and its tables where they are missing.
    fn try_connect(&self) -> Result<Open, Failed> {
        if let Some(folder) = self.path.parent() {
            create_private_dir(folder).map_err(|error| {
                let doing = format!("making the folder {}", folder.display());
                Failed::Refused(Error::from(error).context(doing))
            })?;
        }
        // Where this fails, SQLite finds no file and says so.
        let _ = create_private(&self.path);
        // Without a wait: SQLite's own waiting blocks in steps that all processes share.
        let mut connection = self.open(Duration::ZERO)?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {}",
            self.synchronous
        ))?;
        self.migrate(&mut connection)?;
        match self.identity() {
            Some(identity) => Ok((connection, identity)),
            None => Err(Failed::Refused(Error::unavailable(format!(
                "{} was deleted while it was opened",
                self.path.display()
            )))),
        }
    }

    fn migrate(&self, connection: &mut Connection) -> Result<(), Failed> {
        let newest = self.migrations.len() as i64;
        if header(connection)? == (self.application, newest) {
            return Ok(());
        }
        let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
        // Again, now that nobody else can be at it.
        let (application, version) = header(&transaction)?;
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let is_new = application == 0 && version == 0 && tables == 0;
        if !is_new && application != self.application {
            return Err(Failed::Refused(Error::permanent(format!(
                "{} is a SQLite database of something else; name another path",
                self.path.display()
            ))));
        }
        if version > newest {
            return Err(Failed::Refused(Error::permanent(format!(
                "{} was written by a newer logpipe (its schema has version {version}, this one knows {newest}): update this program",
                self.path.display()
            ))));
        }
        for step in &self.migrations[usize::try_from(version).unwrap_or(0)..] {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", self.application)?;
        transaction.pragma_update(None, "user_version", newest)?;
        Ok(transaction.commit()?)
    }

    /// Begins a transaction in the file that the path names now.
    fn begin<'o>(&self, open: &'o mut Option<Open>) -> Result<&'o Connection, Failed> {
        let current = self.identity();
        // Dropped before the next is opened: it may be the same file, gone bad.
        let kept = open.take().filter(|(_, opened)| Some(*opened) == current);
        let (connection, _) = open.insert(match kept {
            Some(kept) => kept,
            None => self.try_connect()?,
        });
        run(connection, "BEGIN IMMEDIATE")?;
        Ok(connection)
    }

    /// One try at a transaction. `work` comes back where it could not be begun.
    fn attempt<T, W>(
        &self,
        open: &mut Option<Open>,
        work: W,
    ) -> Result<Result<T, NotCommitted>, (W, Failed)>
    where
        W: FnOnce(&Connection) -> Result<T, Failed>,
    {
        let connection = match self.begin(open) {
            Ok(connection) => connection,
            Err(failed) => return Err((work, failed)),
        };
        let done = work(connection)
            .map_err(|failed| NotCommitted::Undone(self.explain(failed, "writing to")))
            .and_then(|value| self.commit(connection).map(|()| value));
        // A connection that can't roll back is closed, which does the same.
        if done.is_err() && run(connection, "ROLLBACK").is_err() {
            *open = None;
        }
        Ok(done)
    }

    fn commit(&self, connection: &Connection) -> Result<(), NotCommitted> {
        use ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
        let Err(error) = run(connection, "COMMIT") else {
            return Ok(());
        };
        // A refused commit leaves the transaction open, and what is still open was not committed.
        let was_refused = matches!(code(&error), Some(DatabaseBusy | DatabaseLocked | DiskFull));
        let error = self.explain(error, "writing to");
        match was_refused && !connection.is_autocommit() {
            true => Err(NotCommitted::Undone(error)),
            false => Err(NotCommitted::Unknown(error)),
        }
    }

    /// Says what SQLite's error means for this file.
    pub(crate) fn explain(&self, failed: impl Into<Failed>, doing: &str) -> Error {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            ReadOnly,
        };
        let error = match failed.into() {
            Failed::Sql(error) => error,
            Failed::Refused(error) => return error,
        };
        let code = code(&error);
        let hint = match code {
            Some(DatabaseBusy | DatabaseLocked) => {
                "other processes hold the file; one that was stopped inside a transaction holds it until it goes on or ends"
            }
            Some(DiskFull) => "the disk is full; nothing was written",
            Some(DatabaseCorrupt) => {
                "the file is damaged: restore it, or move it away with what lies beside it and begin anew"
            }
            Some(NotADatabase) => "the file is no SQLite database; name another path",
            Some(ReadOnly) => "the file or its folder can't be written to",
            Some(CannotOpen) => "the file can't be opened: check the folder and its permissions",
            _ => "SQLite failed",
        };
        let error = Error::from(error)
            .context(hint)
            .context(format!("{doing} {}", self.path.display()));
        match code {
            Some(DatabaseCorrupt | NotADatabase | ReadOnly) => error.into_permanent(),
            _ => error.into_unavailable(),
        }
    }
}

/// A file that several tasks write to, a transaction at a time.
pub(crate) struct Shared {
    file: Arc<File>,
    /// A thread takes the connection for as long as it writes. One that panics closes it, which rolls back.
    open: Mutex<Option<Open>>,
}

/// Why a commit has no acknowledgement.
pub(crate) enum NotCommitted {
    /// Nothing was written.
    Undone(Error),
    /// Nobody knows.
    Unknown(Error),
}

impl Shared {
    /// The file, opened: made and brought up to date where it is not.
    pub(crate) async fn open(file: Arc<File>) -> Result<Self> {
        let open = Mutex::new(Some(file.connect().await?));
        Ok(Self { file, open })
    }

    /// The file, which the first transaction opens.
    #[cfg(feature = "local")]
    pub(crate) fn new(file: Arc<File>) -> Self {
        let open = Mutex::new(None);
        Self { file, open }
    }

    /// Runs `work` in a transaction. It goes to its end even if the caller does not wait for that.
    pub(crate) async fn write<T, W>(self: &Arc<Self>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Failed> + Send + 'static,
    {
        let shared = self.clone();
        let done = tokio::spawn(async move { shared.transact(work).await });
        done.await
            .unwrap_or_else(|_| Err(NotCommitted::Unknown(shutting_down())))
            .map_err(|failure| match failure {
                NotCommitted::Undone(error) | NotCommitted::Unknown(error) => error,
            })
    }

    /// As [`Shared::write`], for tasks that wait for the end: begins nothing more once it is dropped.
    pub(crate) async fn transact<T, W>(&self, mut work: W) -> Result<T, NotCommitted>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Failed> + Send + 'static,
    {
        let mut open = self.open.lock().await;
        let began = Instant::now();
        let mut has_said = false;
        loop {
            let (file, mut taken) = (self.file.clone(), open.take());
            let tried = blocking(move || {
                let tried = file.attempt(&mut taken, work);
                (taken, tried)
            });
            let (back, tried) = tried.await.map_err(NotCommitted::Unknown)?;
            *open = back;
            match tried {
                Ok(done) => return done,
                Err((again, Failed::Sql(error)))
                    if is_busy(&error) && began.elapsed() < PATIENCE =>
                {
                    if began.elapsed() > SILENCE && !std::mem::replace(&mut has_said, true) {
                        let file = self.file.path.display();
                        tracing::warn!(%file, "waiting: another process holds the file; one that was stopped inside a transaction holds it until it goes on or ends");
                    }
                    work = again;
                    pause().await;
                }
                Err((_, failed)) => {
                    let error = self.file.explain(failed, "writing to");
                    return Err(NotCommitted::Undone(error));
                }
            }
        }
    }
}

/// What stops a transaction.
pub(crate) enum Failed {
    Sql(rusqlite::Error),
    Refused(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Runs a statement that takes and returns nothing.
fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn header(connection: &Connection) -> rusqlite::Result<(i32, i64)> {
    let application = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok((application, version))
}

/// A short wait, of random length so that those who wait do not meet again.
async fn pause() {
    let wait = rand::random_range(1.0..10.0);
    tokio::time::sleep(Duration::from_micros((wait * 1000.0) as u64)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(folder: &tempfile::TempDir) -> Arc<File> {
        Arc::new(File {
            path: folder.path().join("numbers.db"),
            application: 1,
            migrations: &["CREATE TABLE numbers (number INTEGER) STRICT"],
            synchronous: "NORMAL",
        })
    }

    fn add(table: &Connection) -> Result<i64, Failed> {
        table.execute("INSERT INTO numbers VALUES (1)", [])?;
        Ok(table.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn work_that_fails_or_panics_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::open(numbers(&folder)).await.unwrap());
        let refused = shared.write(|table| {
            add(table)?;
            Err::<(), _>(Failed::Refused(Error::permanent("no")))
        });
        assert_eq!(refused.await.unwrap_err().to_string(), "no");
        let panicked = shared.write(|table| {
            let added = add(table).map(drop);
            assert!(added.is_err(), "this panic belongs to the test");
            added
        });
        assert!(panicked.await.is_err());
        assert_eq!(shared.write(add).await.unwrap(), 1);
    }

    /// The clock moves by itself while all tasks sleep, so the time out comes after several tries.
    #[tokio::test(start_paused = true)]
    async fn a_transaction_waits_for_others_and_goes_on_though_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::open(numbers(&folder)).await.unwrap());
        let other = numbers(&folder).open(Duration::ZERO).unwrap();
        run(&other, "BEGIN IMMEDIATE").unwrap();
        let writing = tokio::time::timeout(Duration::from_millis(50), shared.write(add));
        assert!(
            writing.await.is_err(),
            "it was written in spite of the lock"
        );
        run(&other, "COMMIT").unwrap();
        // Behind the one that nobody waits for.
        assert_eq!(shared.write(add).await.unwrap(), 2);
    }
}
