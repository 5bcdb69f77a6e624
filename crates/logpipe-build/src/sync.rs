//! What of `generated/` differs from what it should be? Found out in one place, and written by the same: nothing else
//! touches files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Error;
use crate::catalog::Catalog;
use crate::emit::{self, Emitter};
use crate::render::{self, MARK};

/// What has to happen for the folder to be right.
#[derive(Debug, Default)]
pub struct Changes {
    /// Path in the folder, and text.
    pub write: Vec<(String, String)>,
    /// Files of ours that no schema asks for any more.
    pub remove: Vec<String>,
    /// Files that are right already.
    pub unchanged: Vec<String>,
}

/// What time a written file bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// That of writing.
    Now,
    /// This one. Within a build script it has to be older than the script's start, or cargo runs it once more.
    At(SystemTime),
}

/// Compares the folder with the catalog. Files whose banner says that nothing went into them anew are not made again.
pub fn compare(folder: &Path, catalog: &Catalog) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let emitter = Emitter::new(catalog);
    let plans = emit::plan(catalog);
    for plan in &plans {
        let old = read(&folder.join(&plan.path))?;
        if old
            .as_deref()
            .is_some_and(|old| render::is_current(plan, old))
        {
            changes.unchanged.push(plan.path.clone());
            continue;
        }
        let text = render::render(plan, emitter.file(plan));
        if old
            .as_deref()
            .is_some_and(|old| render::is_same(old, &text))
        {
            changes.unchanged.push(plan.path.clone());
        } else {
            changes.write.push((plan.path.clone(), text));
        }
    }
    let planned = plans
        .iter()
        .map(|plan| plan.path.as_str())
        .collect::<BTreeSet<_>>();
    changes.remove = ours(folder)?
        .into_iter()
        .filter(|path| !planned.contains(path.as_str()))
        .collect();
    Ok(changes)
}

/// Makes it so.
pub fn apply(folder: &Path, changes: &Changes, stamp: Stamp) -> Result<(), Error> {
    for (path, text) in &changes.write {
        let path = folder.join(path);
        write(&path, text, stamp).map_err(|source| Error::io("write", &path, source))?;
    }
    for path in &changes.remove {
        let path = folder.join(path);
        match fs::remove_file(&path) {
            // Another build of the same folder may have been first.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, error));
            }
            _ => {}
        }
        if let Some(parent) = path.parent()
            && parent != folder
        {
            let _ = fs::remove_dir(parent); // unless something is in it
        }
    }
    Ok(())
}

/// Writes beside, then renames: cargo and an editor may do this at once, and read while it happens.
fn write(path: &Path, text: &str, stamp: Stamp) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        if let Stamp::At(time) = stamp {
            file.set_modified(time)?;
        }
        drop(file);
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Every file in the folder that carries our banner; others are not ours to judge.
fn ours(folder: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for entry in entries(folder)? {
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if entry.is_dir() {
            for inner in entries(&entry)? {
                let inner_name = inner
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                if is_ours(&inner)? {
                    found.push(format!("{name}/{inner_name}"));
                }
            }
        } else if is_ours(&entry)? {
            found.push(name);
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| Error::io("read", folder, source))?,
    };
    let paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(|source| Error::io("read", folder, source))?;
    paths.sort();
    Ok(paths)
}

fn is_ours(path: &Path) -> Result<bool, Error> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    Ok(is_rust && path.is_file() && read(path)?.is_some_and(|text| text.starts_with(MARK)))
}

/// The text of a file, if it is there. One that is not UTF-8 is none of ours.
fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read", path, source)),
    }
}
