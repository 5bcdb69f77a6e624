//! What all SQLite files of ours have in common: who may read them, where their work blocks, and what SQLite's errors are.

#[cfg(any(feature = "local", feature = "kinesis"))]
mod file;

use std::fs::{DirBuilder, OpenOptions};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::ErrorCode;

use crate::{Error, Result};

#[cfg(any(feature = "local", feature = "kinesis"))]
pub(crate) use file::{Failed, File, Shared};
#[cfg(feature = "local")]
pub(crate) use file::{Identity, NotCommitted};

/// Makes an empty file that its owner alone may use; one that exists stays as it is. What SQLite lays beside a database
/// gets the mode of the database.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    // To close a file takes away the locks that SQLite has on it in this process. Whoever opens a database calls this
    // first, so nobody has the new one open yet.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Makes a folder, and those above it, that their owner alone may use; those that exist stay as they are.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path)
}

/// Runs `work` on a thread that may block. It goes to its end even if the caller does not wait for that.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| shutting_down())
}

/// What becomes of work whose run time is dropped.
pub(crate) fn shutting_down() -> Error {
    Error::unavailable("the run time is shutting down")
}

/// SQLite's result code without its extension; `None` where the error is not SQLite's.
pub(crate) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether others hold the file.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(code(error), Some(DatabaseBusy | DatabaseLocked))
}
