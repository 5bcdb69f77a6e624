//! Which files does the schemas folder hold, and what does each file's name say?
//!
//! `person.v1.json` is version 1 of the message `person`; files below `types/` are library schemas, which messages
//! reach by `$ref` and which have no version. Nothing outside the folder is read, links included.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::diagnostic::{Diagnostic, Report, quote};
use crate::name;

/// A schema is read by people; this is some twenty thousand lines.
const BYTES: u64 = 1 << 20;

/// Folders below `types/`.
const FOLDERS: usize = 8;

/// What a file system takes as one name.
const NAME: usize = 255;

/// Library schemas lie here.
const TYPES: &str = "types";

/// Modules that the generator writes itself, crates that a module beside them would hide (the messages are usually
/// mounted at the root of theirs), and names that some systems keep for devices.
#[rustfmt::skip]
const RESERVED: [&str; 11] = [
    "mod", "dispatch",
    "alloc", "core", "logpipe", "proc_macro", "std",
    "aux", "con", "nul", "prn",
];

/// A schema file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Within the folder: `person.v1.json`, `types/address.json`.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

/// What a file is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message at one version.
    Message {
        /// `com.acme.Person`
        stem: String,
        version: u32,
    },
    /// Types that messages refer to.
    Library,
}

/// The files of a folder, in the order of their paths.
pub(crate) fn folder(folder: &Path, report: &mut Report) -> Vec<File> {
    let shown = name_of(folder);
    let root = match folder.canonicalize() {
        Ok(root) if root.is_dir() => root,
        Ok(_) => {
            report.file(
                &shown,
                "this is no folder",
                "schemas lie in a folder, a file each",
            );
            return Vec::new();
        }
        Err(error) => {
            let message = format!("the folder of schemas can't be opened: {}", plain(&error));
            report.file(&shown, message, "make it, and put a `person.v1.json` there");
            return Vec::new();
        }
    };
    let mut walk = Walk {
        root: &root,
        shown: &shown,
        files: Vec::new(),
        report,
    };
    walk.folder(&root, "", 0);
    let mut files = walk.files;
    settle(&shown, &mut files, report);
    files
}

/// Files that never were on a disk, for tests and tools: (path within the folder, content).
pub(crate) fn texts(
    texts: impl IntoIterator<Item = (String, Vec<u8>)>,
    report: &mut Report,
) -> Vec<File> {
    let mut files = Vec::new();
    for (path, bytes) in texts {
        if bytes.len() as u64 > BYTES {
            too_large(&format!("schemas/{path}"), report);
        } else if let Some(kind) = classify("schemas", &path, report) {
            files.push(File { path, kind, bytes });
        }
    }
    settle("schemas", &mut files, report);
    files
}

/// What a new file of this path within the folder would add to what is wrong with the names of those that are there.
pub(crate) fn beside(folder: &str, mut files: Vec<File>, path: String) -> Vec<Diagnostic> {
    let mut report = Report::default();
    if let Some(kind) = classify(folder, &path, &mut report) {
        let bytes = Vec::new();
        files.push(File { path, kind, bytes });
        settle(folder, &mut files, &mut report);
    }
    report.finish()
}

/// What a folder is called in messages and origins: its last part.
pub(crate) fn name_of(folder: &Path) -> String {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "schemas".into())
}

struct Walk<'a> {
    root: &'a Path,
    shown: &'a str,
    files: Vec<File>,
    report: &'a mut Report,
}

impl Walk<'_> {
    /// Recursion ends at [`FOLDERS`].
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let names = fs::read_dir(folder).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut names = match names {
            Ok(names) => names,
            Err(error) => {
                self.report.file(
                    &self.shown(prefix),
                    format!("this folder can't be read: {}", plain(&error)),
                    "let whoever builds read it",
                );
                return;
            }
        };
        names.sort();
        for name in names {
            let path = folder.join(&name);
            let Some(name) = name.to_str() else {
                let shown = self.shown(&format!("{prefix}{}", name.to_string_lossy()));
                self.report.file(
                    &shown,
                    "this name is not UTF-8",
                    "rename the file: `person.v1.json`",
                );
                continue;
            };
            if name.starts_with('.') || name == "README.md" || depth == 0 && name == "logpipe.lock"
            {
                continue;
            }
            let within = format!("{prefix}{name}");
            match self.entry(&path) {
                Ok(Entry::File) => self.file(&path, within),
                Ok(Entry::Folder)
                    if depth == 0 && name == TYPES || (1..FOLDERS).contains(&depth) =>
                {
                    self.folder(&path, &format!("{within}/"), depth + 1);
                }
                Ok(Entry::Folder) => {
                    let help = format!(
                        "messages lie in `{}/` itself, library schemas below `{TYPES}/`",
                        self.shown
                    );
                    self.report
                        .file(&self.shown(&within), "a folder is not expected here", help);
                }
                Ok(Entry::Outside) => {
                    let message =
                        "this link leads outside the folder of schemas, and nothing is read there";
                    self.report.file(
                        &self.shown(&within),
                        message,
                        "copy the file into the folder",
                    );
                }
                Ok(Entry::Other) => {
                    self.report.file(
                        &self.shown(&within),
                        "this is neither a file nor a folder",
                        "remove it",
                    );
                }
                Err(error) => {
                    self.report.file(
                        &self.shown(&within),
                        format!("this can't be read: {}", plain(&error)),
                        "let whoever builds read it, or remove it",
                    );
                }
            }
        }
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let link = fs::symlink_metadata(path)?.is_symlink();
        let metadata = fs::metadata(path)?;
        Ok(match metadata.is_dir() {
            // A folder that is a link could hold itself.
            _ if link && (metadata.is_dir() || !path.canonicalize()?.starts_with(self.root)) => {
                Entry::Outside
            }
            true => Entry::Folder,
            false if metadata.is_file() => Entry::File,
            false => Entry::Other,
        })
    }

    fn file(&mut self, path: &Path, within: String) {
        let Some(kind) = classify(self.shown, &within, self.report) else {
            return;
        };
        let mut bytes = Vec::new();
        match fs::File::open(path).and_then(|file| file.take(BYTES + 1).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 > BYTES => too_large(&self.shown(&within), self.report),
            Ok(_) => self.files.push(File {
                path: within,
                kind,
                bytes,
            }),
            Err(error) => {
                self.report.file(
                    &self.shown(&within),
                    format!("this can't be read: {}", plain(&error)),
                    "let whoever builds read it, or remove it",
                );
            }
        }
    }

    fn shown(&self, within: &str) -> String {
        format!("{}/{within}", self.shown)
    }
}

enum Entry {
    File,
    Folder,
    /// A link to somewhere else.
    Outside,
    Other,
}

/// What a file is by its path within the folder, or a word about why it is nothing.
fn classify(folder: &str, path: &str, report: &mut Report) -> Option<Kind> {
    let shown = format!("{folder}/{path}");
    let (parent, name) = path
        .rsplit_once('/')
        .map_or((None, path), |(parent, name)| (Some(parent), name));
    if path
        .split('/')
        .any(|part| part.len() > NAME || !is_name(part))
    {
        report.file(
            &shown,
            "a name is made of ASCII letters, digits, `.`, `_` and `-`, begins with a letter or digit, and has at most 255",
            "rename it: `person.v1.json`",
        );
        return None;
    }
    if name.ends_with(".avsc") {
        report.file(
            &shown,
            "Avro: not yet; this version reads JSON Schema alone",
            "write the message as `.json`",
        );
        return None;
    }
    let Some(stem) = name.strip_suffix(".json") else {
        report.file(
            &shown,
            "this is no schema",
            "schemas are `.json` files; move others elsewhere, or hide them with a dot",
        );
        return None;
    };
    if parent.is_some_and(|parent| parent == TYPES || parent.starts_with("types/")) {
        return Some(Kind::Library);
    }
    if parent.is_some() {
        report.file(
            &shown,
            "a folder is not expected here",
            "library schemas lie below `types/`",
        );
        return None;
    }
    let help =
        "call it `NAME.vN.json`, N from 1, or move it to `types/`, where files have no version";
    let Some((stem, version)) = stem.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        report.file(&shown, "the name says no version", help);
        return None;
    };
    let digits = version
        .strip_prefix('v')
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let Some(digits) = digits.filter(|digits| !digits.is_empty()) else {
        report.file(&shown, format!("{} is no version", quote(version)), help);
        return None;
    };
    match digits.parse::<u32>() {
        Ok(0) => report.file(&shown, "versions begin at 1", help),
        Ok(_) if digits.starts_with('0') => {
            report.file(
                &shown,
                format!("the version {} begins with a zero", quote(version)),
                help,
            );
        }
        Ok(version) => {
            let module = name::module(stem);
            if is_reserved(&module) {
                let message = format!("{} is a name that is taken", quote(&module));
                report.file(
                    &shown,
                    message,
                    "choose another, and keep the wire name with `\"x-logpipe\": {\"type\": ..}`",
                );
                return None;
            }
            return Some(Kind::Message {
                stem: stem.into(),
                version,
            });
        }
        Err(_) => report.file(
            &shown,
            format!("the version {} is above {}", quote(version), u32::MAX),
            help,
        ),
    }
    None
}

/// Puts files in order and tells of those that can't stand beside each other.
fn settle(folder: &str, files: &mut Vec<File>, report: &mut Report) {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut modules = BTreeMap::<String, String>::new();
    let mut spellings = BTreeMap::<String, String>::new();
    files.retain(|file| {
        let (stem, module) = match &file.kind {
            Kind::Message { stem, .. } => (stem.clone(), name::module(stem)),
            Kind::Library => (file.path.clone(), file.path.clone()),
        };
        let first = modules
            .entry(module.clone())
            .or_insert_with(|| stem.clone());
        let shown = format!("{folder}/{}", file.path);
        let help = "rename one, and keep its wire name with `\"x-logpipe\": {\"type\": ..}`";
        if *first != stem {
            let message = format!(
                "{} and {} would both be the module {}",
                quote(first),
                quote(&stem),
                quote(&module)
            );
            report.file(&shown, message, help);
            return false;
        }
        let first = spellings
            .entry(stem.to_ascii_lowercase())
            .or_insert_with(|| stem.clone());
        if *first != stem {
            let message = format!(
                "{} and {} differ in case only, which some systems can't tell apart",
                quote(first),
                quote(&stem)
            );
            report.file(&shown, message, help);
            return false;
        }
        true
    });
}

fn is_name(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_alphanumeric())
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_reserved(module: &str) -> bool {
    let module = module.trim_end_matches('_');
    let device = |prefix: &str| {
        module
            .strip_prefix(prefix)
            .is_some_and(|port| port.len() == 1 && port.as_bytes()[0].is_ascii_digit())
    };
    RESERVED.contains(&module) || device("com") || device("lpt")
}

fn too_large(shown: &str, report: &mut Report) {
    let message = format!("this file is larger than {} KiB", BYTES >> 10);
    report.file(
        shown,
        message,
        "move parts of it to `types/` and refer to them",
    );
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}
