//! What all SQLite files of ours have in common: who may read them, and what SQLite's errors are.

#[cfg(any(feature = "local", feature = "kinesis"))]
mod file;

use std::fs::{DirBuilder, OpenOptions};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::ErrorCode;

#[cfg(any(feature = "local", feature = "kinesis"))]
pub(crate) use file::{Failed, File, Shared};
#[cfg(feature = "local")]
pub(crate) use file::{Identity, NotCommitted, blocking};

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

/// SQLite's result code without its extension; `None` where the error is not SQLite's.
pub(crate) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether others hold the file.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(code(error), Some(DatabaseBusy | DatabaseLocked))
}
