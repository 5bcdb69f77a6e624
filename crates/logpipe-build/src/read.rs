//! What do the schemas of a folder mean? From files to the catalog, with everything that is wrong on the way.

use std::path::Path;

use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Report};
use crate::discover::{self, File};
use crate::json;
use crate::lower;
use crate::refs::Documents;
use crate::source::{Source, Sources, Span};

/// Reads every schema of a folder.
///
/// All that is wrong is told at once, in the order of files and places. The catalog is complete only if none of the
/// diagnostics is an error.
pub fn read(folder: &Path) -> (Catalog, Sources, Vec<Diagnostic>) {
    let mut report = Report::default();
    let files = discover::folder(folder, &mut report);
    understand(&discover::name_of(folder), files, report)
}

/// Reads schemas that lie in no folder: each a path within one (`person.v1.json`, `types/address.json`) and a content,
/// which may be anything. Touches no disk.
pub fn read_texts<P, B>(
    files: impl IntoIterator<Item = (P, B)>,
) -> (Catalog, Sources, Vec<Diagnostic>)
where
    P: Into<String>,
    B: Into<Vec<u8>>,
{
    let mut report = Report::default();
    let files = discover::texts(
        files
            .into_iter()
            .map(|(path, bytes)| (path.into(), bytes.into())),
        &mut report,
    );
    understand("schemas", files, report)
}

fn understand(
    folder: &str,
    files: Vec<File>,
    mut report: Report,
) -> (Catalog, Sources, Vec<Diagnostic>) {
    let mut kept = Vec::new();
    for File { path, kind, bytes } in files {
        let (source, sound) = text(format!("{folder}/{path}"), bytes, &mut report);
        kept.push((path, kind, source, sound));
    }
    let sources = kept.iter().map(|(.., source, _)| source.clone()).collect();
    let trees = kept.iter().map(|(path, _, source, sound)| {
        let tree = if *sound {
            json::read(source, &mut report)
        } else {
            None
        };
        (source, path.clone(), tree)
    });
    let trees = trees.collect::<Vec<_>>();
    let documents = Documents::new(trees, &mut report);
    let catalog = lower::lower(
        &documents,
        kept.iter().map(|(_, kind, source, _)| (kind, source)),
        &mut report,
    );
    (catalog, Sources::new(sources), report.finish())
}

/// The text of a file, and whether it is text at all.
fn text(name: String, bytes: Vec<u8>, report: &mut Report) -> (Source, bool) {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to() as u32;
            let source = Source::new(name, String::from_utf8_lossy(error.as_bytes()));
            report.error(
                &source,
                Span { start: at, end: at },
                "the file is not UTF-8 from here on",
                "save it as UTF-8",
            );
            return (source, false);
        }
    };
    let source = Source::new(name, text);
    let mark = source.text.starts_with('\u{feff}');
    if mark {
        let span = Span {
            start: 0,
            end: '\u{feff}'.len_utf8() as u32,
        };
        report.error(
            &source,
            span,
            "the file begins with a byte order mark",
            "save it as UTF-8 without one",
        );
    }
    (source, !mark)
}
