//! From schema files to Rust, at build time: what goes in is `schemas/`, what comes out is `generated/`.
//!
//! A build script is one call, `fn main() { logpipe_build::build() }`,
//! and the crate mounts what it made, once:
//!
//! ```ignore
//! #[path = "../generated/mod.rs"]
//! #[rustfmt::skip]
//! mod generated;
//! pub use generated::*;
//! ```
//!
//! The stages are those of the modules, in this order: discover, json, refs, lower (what the files mean), name, layout
//! (what Rust calls it and where it lives), check, emit, render, sync (the only one that writes). With `LOGPIPE_LOCKED=1`
//! in the environment nothing is written: what is not up to date is an error.

pub mod catalog;
mod check;
mod decimal;
pub mod diagnostic;
mod dialect;
mod digest;
mod discover;
mod emit;
mod finite;
pub mod hash;
mod json;
mod layout;
mod lower;
pub mod name;
pub mod read;
mod refs;
mod render;
pub mod rule;
mod script;
pub mod source;
mod sync;
mod upcast;
mod uri;

use std::io;
use std::path::{Path, PathBuf};

pub use script::build;

use catalog::{Catalog, Shape};
use diagnostic::{Diagnostic, Report as Faults, Severity};
use source::Sources;
pub use sync::Stamp;

/// Where things lie.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder above `schemas`; diagnostics name files relative to it.
    pub root: PathBuf,
    /// What time a written file bears.
    pub stamp: Stamp,
}

impl Options {
    /// The usual shape: `schemas` and `generated` beside each other in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            stamp: Stamp::Now,
        }
    }

    /// The input: `schemas`.
    pub fn schemas(&self) -> PathBuf {
        self.root.join("schemas")
    }

    /// The output: `generated`.
    pub fn generated(&self) -> PathBuf {
        self.root.join("generated")
    }
}

/// What the schemas say, and everything there is to say about them.
#[derive(Debug)]
pub struct Checked {
    /// What they mean; with errors, only as far as it was understood.
    pub catalog: Catalog,
    /// Their texts, to show the places of diagnostics.
    pub sources: Sources,
    /// In the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether anything stands in the way of generating.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// What was done.
#[derive(Debug)]
pub struct Report {
    /// Paths in `generated` that were written.
    pub written: Vec<String>,
    /// Paths that were removed.
    pub removed: Vec<String>,
    /// Paths that were right already.
    pub unchanged: Vec<String>,
    /// What was read, with its warnings.
    pub checked: Checked,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The schemas have faults; what was generated last is untouched.
    #[error("the schemas have faults: see `logpipe check`")]
    Schemas(Box<Checked>),
    /// The generated code is not what the schemas ask for, and this was not to write it.
    #[error("{} not up to date with schemas/; run `logpipe generate` and commit what it wrote", sentence(.0))]
    Stale(Vec<String>),
    /// A file could not be read or written.
    #[error("can't {doing} {}: {source}", path.display())]
    Io {
        /// `read`
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// `generated/a.rs, generated/b.rs and 3 more are`
fn sentence(paths: &[String]) -> String {
    let shown = paths
        .iter()
        .take(3)
        .map(|path| format!("generated/{path}"))
        .collect::<Vec<_>>()
        .join(", ");
    match paths.len() {
        1 => format!("{shown} is"),
        0..=3 => format!("{shown} are"),
        more => format!("{shown} and {} more are", more - 3),
    }
}

/// Reads the schemas and says what they mean and what is wrong with them.
pub fn check(options: &Options) -> Checked {
    checked(read::read(&options.schemas()))
}

/// Brings `generated` up to date.
///
/// # Errors
///
/// Faults of the schemas, all at once, before anything is written; or a file that can't be read or written.
pub fn generate(options: &Options) -> Result<Report, Error> {
    let (checked, changes) = compare(options)?;
    sync::apply(&options.generated(), &changes, options.stamp)?;
    Ok(Report {
        written: paths(&changes),
        removed: changes.remove,
        unchanged: changes.unchanged,
        checked,
    })
}

/// What is generated for schemas that lie in no folder, as [`read::read_texts`] takes them: each file's path in
/// `generated`, and its text. Touches no disk.
///
/// # Errors
///
/// What is wrong with the schemas.
pub fn generate_texts<P, B>(
    files: impl IntoIterator<Item = (P, B)>,
) -> Result<Vec<(String, String)>, Box<Checked>>
where
    P: Into<String>,
    B: Into<Vec<u8>>,
{
    let checked = checked(read::read_texts(files));
    if checked.has_errors() {
        return Err(Box::new(checked));
    }
    let emitter = emit::Emitter::new(&checked.catalog);
    let plans = emit::plan(&checked.catalog);
    let texts = plans.iter().map(|plan| {
        let text = render::render(plan, emitter.file(plan));
        (plan.path.clone(), text)
    });
    Ok(texts.collect())
}

/// Finds out whether `generated` is up to date, and writes nothing.
///
/// # Errors
///
/// As [`generate`], and [`Error::Stale`] where it would have changed something.
pub fn verify(options: &Options) -> Result<Report, Error> {
    let (checked, changes) = compare(options)?;
    let stale = paths(&changes)
        .into_iter()
        .chain(changes.remove)
        .collect::<Vec<_>>();
    if stale.is_empty() {
        Ok(Report {
            written: Vec::new(),
            removed: Vec::new(),
            unchanged: changes.unchanged,
            checked,
        })
    } else {
        Err(Error::Stale(stale))
    }
}

/// Finds out whether the message `name` can have another version: returns the newest one that has a file, `None` where it
/// is new. Writes nothing.
///
/// # Errors
///
/// What would be wrong with the names of the message's files.
pub fn admit(options: &Options, name: &str) -> Result<Option<u32>, Vec<Diagnostic>> {
    let folder = options.schemas();
    let shown = discover::name_of(&folder);
    let mut report = Faults::default();
    let files = match folder.exists() {
        true => discover::folder(&folder, &mut report),
        false => Vec::new(),
    };
    // Other messages' faults are no reason: whoever mends them may want a new file for it.
    let own = format!("{shown}/{name}.v");
    let mut faults = report.finish();
    faults.retain(|fault| fault.source.starts_with(&own));
    let versions = files.iter().filter_map(|file| match &file.kind {
        discover::Kind::Message { stem, version } if stem == name => Some(*version),
        _ => None,
    });
    let newest = versions.max();
    if let Some(next) = newest.unwrap_or_default().checked_add(1) {
        let path = format!("{name}.v{next}.json");
        faults.extend(discover::beside(&shown, files, path));
    }
    match faults.is_empty() {
        true => Ok(newest),
        false => Err(faults),
    }
}

/// A schema file that is a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The type as it stands in the envelope.
    pub message_type: String,
    /// Its version.
    pub version: u32,
    /// The file: `schemas/person.v1.json`.
    pub source: String,
    /// The type it becomes: `person::v1::Person`.
    pub rust: String,
    /// The member that keys its records.
    pub key: Option<String>,
}

/// What the schemas are, in the order of modules and versions.
///
/// # Errors
///
/// Faults of the schemas.
pub fn list(options: &Options) -> Result<Vec<Listed>, Error> {
    let checked = check(options);
    if checked.has_errors() {
        return Err(Error::Schemas(Box::new(checked)));
    }
    let catalog = &checked.catalog;
    let listed = catalog.messages.iter().map(|message| {
        let root = &catalog.types[message.root.0];
        let key = match (&root.shape, message.key) {
            (Shape::Struct { fields, .. }, Some(key)) => {
                fields.get(key).map(|field| field.wire.clone())
            }
            _ => None,
        };
        Listed {
            message_type: message.wire.clone(),
            version: message.version,
            source: message.source.clone(),
            rust: format!("{}::v{}::{}", message.rust, message.version, root.name),
            key,
        }
    });
    Ok(listed.collect())
}

fn compare(options: &Options) -> Result<(Checked, sync::Changes), Error> {
    let checked = check(options);
    if checked.has_errors() {
        return Err(Error::Schemas(Box::new(checked)));
    }
    let changes = sync::compare(&options.generated(), &checked.catalog)?;
    Ok((checked, changes))
}

/// The stages between reading and emitting. Names of a catalog with faults would only make more of them.
fn checked(
    (mut catalog, sources, mut diagnostics): (Catalog, Sources, Vec<Diagnostic>),
) -> Checked {
    if !diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
    {
        name::assign(&mut catalog);
        layout::assign(&mut catalog);
        diagnostics.extend(check::check(&catalog, &sources));
        diagnostics.sort();
    }
    Checked {
        catalog,
        sources,
        diagnostics,
    }
}

fn paths(changes: &sync::Changes) -> Vec<String> {
    changes.write.iter().map(|(path, _)| path.clone()).collect()
}
