//! How a SQLite file of ours is opened, known again, and written to: the local log, and the leases of groups.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

use crate::{Error, Result};

/// How long a writer waits while other processes hold the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits before it says so.
const SILENCE: Duration = Duration::from_secs(1);

/// A file of ours.
pub(crate) struct File {
    pub path: PathBuf,
    /// SQLite's `application_id`: says that the file is this file and no other.
    pub application: i32,
    /// Steps from one version of the schema to the next, counted by `user_version`.
    pub migrations: &'static [&'static str],
    pub synchronous: SqliteSynchronous,
}

/// Tells a file from another one that has its path now. Where the platform has no such number, an open file can't be
/// deleted either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

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

    pub(crate) fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(self.synchronous)
    }

    /// Opens the file for writing; makes it, its folder and its tables where they are missing.
    pub(crate) async fn connect(&self) -> Result<(SqliteConnection, Identity)> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::from(error).context(format!("making the folder {}", folder.display()))
            })?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Switching a new file to WAL fails at once where two processes do it at the same time.
            match self.try_connect().await {
                Err(error) if is_busy(&error) && Instant::now() < deadline => pause().await,
                Err(error) => return Err(self.explain(error, "opening")),
                Ok(opened) => return opened,
            }
        }
    }

    async fn try_connect(&self) -> sqlx::Result<Result<(SqliteConnection, Identity)>> {
        // Without a busy timeout: SQLite's own waiting blocks in steps that all processes share.
        let options = self
            .options()
            .create_if_missing(true)
            .busy_timeout(Duration::ZERO);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        if let Err(error) = self.migrate(&mut connection).await? {
            return Ok(Err(error));
        }
        Ok(self
            .identity()
            .map(|identity| (connection, identity))
            .ok_or_else(|| {
                Error::unavailable(format!(
                    "{} was deleted while it was opened",
                    self.path.display()
                ))
            }))
    }

    async fn migrate(&self, connection: &mut SqliteConnection) -> sqlx::Result<Result> {
        let newest = self.migrations.len() as i64;
        let (application, version) = header(connection).await?;
        if application == self.application && version == newest {
            return Ok(Ok(()));
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // Again, now that nobody else can be at it.
        let (application, version) = header(&mut transaction).await?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *transaction)
            .await?;
        let is_new = application == 0 && version == 0 && tables == 0;
        if !is_new && application != self.application {
            return Ok(Err(Error::permanent(format!(
                "{} is a SQLite database of something else; name another path",
                self.path.display()
            ))));
        }
        if version > newest {
            return Ok(Err(Error::permanent(format!(
                "{} was written by a newer logpipe (its schema has version {version}, this one knows {newest}): update this program",
                self.path.display()
            ))));
        }
        for step in &self.migrations[usize::try_from(version).unwrap_or(0)..] {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        let stamp = format!(
            "PRAGMA application_id = {}; PRAGMA user_version = {newest}",
            self.application
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(stamp))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Says what SQLite's error means for this file.
    pub(crate) fn explain(&self, error: sqlx::Error, doing: &str) -> Error {
        let path = self.path.display();
        let hint = match primary_code(&error) {
            Some(BUSY | LOCKED) => {
                "other processes hold the file; one that was stopped inside a transaction holds it until it goes on or ends"
            }
            Some(FULL) => "the disk is full; nothing was written",
            Some(CORRUPT) => {
                "the file is damaged: restore it, or move it away with what lies beside it and begin anew"
            }
            Some(NOTADB) => "the file is no SQLite database; name another path",
            Some(READONLY) => "the file or its folder can't be written to",
            Some(CANTOPEN) => "the file can't be opened: check the folder and its permissions",
            _ => "SQLite failed",
        };
        let is_permanent = matches!(primary_code(&error), Some(CORRUPT | NOTADB | READONLY));
        let error = Error::from(error)
            .context(hint)
            .context(format!("{doing} {path}"));
        match is_permanent {
            true => error.into_permanent(),
            false => error.into_unavailable(),
        }
    }
}

/// A connection that writes, one transaction after the other. Whoever drops a future of it midway leaves the file locked,
/// so it belongs to tasks that run to their end.
pub(crate) struct Writer {
    pub file: Arc<File>,
    open: Option<(SqliteConnection, Identity)>,
}

/// Why a commit has no acknowledgement.
pub(crate) enum NotCommitted {
    /// Nothing was written.
    Undone(Error),
    /// Nobody knows.
    Unknown(Error),
}

impl Writer {
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self { file, open: None }
    }

    /// Begins a transaction in the file that the path names now; waits while others hold it, then says so.
    pub(crate) async fn begin(&mut self) -> Result<&mut SqliteConnection> {
        let current = self.file.identity();
        if self
            .open
            .as_ref()
            .is_none_or(|(_, opened)| Some(*opened) != current)
        {
            // Drop the old one first: it may be the same file, gone bad.
            self.open = None;
            self.open = Some(self.file.connect().await?);
        }
        let (connection, _) = self.open.as_mut().expect("it was opened above");
        let began = Instant::now();
        let mut has_said = false;
        loop {
            match sqlx::raw_sql("BEGIN IMMEDIATE")
                .execute(&mut *connection)
                .await
            {
                Ok(_) => return Ok(connection),
                Err(error) if is_busy(&error) && began.elapsed() < PATIENCE => {
                    if began.elapsed() > SILENCE && !std::mem::replace(&mut has_said, true) {
                        let file = self.file.path.display();
                        tracing::warn!(%file, "waiting: another process holds the file; one that was stopped inside a transaction holds it until it goes on or ends");
                    }
                    pause().await;
                }
                Err(error) => return Err(self.file.explain(error, "writing to")),
            }
        }
    }

    /// Commits what was begun.
    pub(crate) async fn commit(&mut self) -> Result<(), NotCommitted> {
        let Some((connection, _)) = &mut self.open else {
            return Err(NotCommitted::Undone(Error::unavailable(
                "the connection was lost",
            )));
        };
        let Err(error) = sqlx::raw_sql("COMMIT").execute(&mut *connection).await else {
            return Ok(());
        };
        // A refused commit leaves the transaction open, and what can be rolled back was not committed.
        let was_refused = matches!(primary_code(&error), Some(BUSY | LOCKED | FULL));
        let error = self.file.explain(error, "writing to");
        match self.rollback().await && was_refused {
            true => Err(NotCommitted::Undone(error)),
            false => Err(NotCommitted::Unknown(error)),
        }
    }

    /// Rolls back what was begun; a connection that can't is closed, which does the same. Whether it could.
    pub(crate) async fn rollback(&mut self) -> bool {
        let Some((connection, _)) = &mut self.open else {
            return false;
        };
        let is_rolled_back = sqlx::raw_sql("ROLLBACK").execute(connection).await.is_ok();
        if !is_rolled_back {
            self.open = None;
        }
        is_rolled_back
    }
}

/// A file that several tasks write to, a transaction at a time.
pub(crate) struct Shared {
    writer: Mutex<Writer>,
}

impl Shared {
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self {
            writer: Mutex::new(Writer::new(file)),
        }
    }

    /// Runs `work` in a transaction. It goes to its end even if the caller does not wait for that: a transaction that is
    /// left open would lock all processes out.
    pub(crate) async fn write<T, W>(self: &Arc<Self>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failed>>
            + Send
            + 'static,
    {
        let table = self.clone();
        let done = tokio::spawn(async move {
            let mut writer = table.writer.lock().await;
            let connection = writer.begin().await?;
            match work(connection).await {
                Ok(value) => match writer.commit().await {
                    Ok(()) => Ok(value),
                    Err(NotCommitted::Undone(error) | NotCommitted::Unknown(error)) => Err(error),
                },
                Err(error) => {
                    writer.rollback().await;
                    Err(match error {
                        Failed::Sql(error) => writer.file.explain(error, "writing to"),
                        Failed::Refused(error) => error,
                    })
                }
            }
        });
        done.await
            .unwrap_or_else(|_| Err(Error::unavailable("the run time is shutting down")))
    }
}

/// What stops a transaction.
pub(crate) enum Failed {
    Sql(sqlx::Error),
    Refused(Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

async fn header(connection: &mut SqliteConnection) -> sqlx::Result<(i32, i64)> {
    let application = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let version = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(connection)
        .await?;
    Ok((application, version))
}

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// SQLite's result code without its extension.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

/// A short wait, of random length so that those who wait do not meet again.
async fn pause() {
    let wait = rand::random_range(1.0..10.0);
    tokio::time::sleep(Duration::from_micros((wait * 1000.0) as u64)).await;
}
