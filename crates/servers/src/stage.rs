//! Where servers' programs and data lie: `target/services`, with a scratch folder for each run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use crate::{Error, Result};

/// `target/services` of this checkout, whatever folder cargo builds into.
pub fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies in crates/");
    root.join("target/services")
}

/// A prepared folder under [`folder`]: made by `prepare` in a folder beside it and then renamed, so that it is whole or not
/// there. Whoever comes second uses what is there, and waits for it within a process.
pub fn prepared(name: &str, prepare: impl FnOnce(&Path) -> Result) -> Result<PathBuf> {
    static PREPARING: Mutex<()> = Mutex::new(());
    let _preparing = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = folder().join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    let partial = folder().join(format!("{name}.partial-{}", std::process::id()));
    remove(&partial)?;
    fs::create_dir_all(&partial)
        .map_err(Error::io(format_args!("making {}", partial.display())))?;
    prepare(&partial)?;
    match fs::rename(&partial, &ready) {
        Ok(()) => Ok(ready),
        Err(_) if ready.is_dir() => {
            remove(&partial)?;
            Ok(ready)
        }
        Err(error) => Err(Error::io(format_args!("renaming {}", partial.display()))(
            error,
        )),
    }
}

/// A folder for one run of a server; it goes when this is dropped, or with the next run after a process that was killed.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runs = folder().join("run");
        sweep(&runs);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{name}-{}-{count}", std::process::id()));
        // A process of the same id that was killed may have left one.
        remove(&path)?;
        fs::create_dir_all(&path).map_err(Error::io(format_args!("making {}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is swept by a later run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what killed processes left: folders are named for the process that made them.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.rsplit('-').nth(1));
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes a folder that may not be there.
pub fn remove(path: &Path) -> Result {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(format_args!(
            "removing {}",
            path.display()
        ))(error)),
        _ => Ok(()),
    }
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result {
    let failed = |error| Error::io(format_args!("copying {}", from.display()))(error);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(failed)?;
        }
    }
    Ok(())
}
