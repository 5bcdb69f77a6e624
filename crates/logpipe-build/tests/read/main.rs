//! What does the generator make of schemas, sound and unsound? All through its public entry, without what it writes.
//!
//! * `faults`: a schema and what is told of it, with line and column
//! * `meaning`: a schema and the types, rules and names it becomes
//! * `references`: what `$ref` leads to, over files and drafts
//! * `folder`: which files are read, on a disk and by their names
//! * `unreached`: what is told of schemas that become nothing
//! * `hostile`: schemas that were written to hurt

mod faults;
mod folder;
mod hostile;
mod meaning;
mod references;
mod unreached;

use logpipe_build::catalog::Catalog;
use logpipe_build::diagnostic::{Diagnostic, Severity};
use logpipe_build::read::read_texts;

/// One message, and what was told of it.
fn read_one(schema: &str) -> (Catalog, Vec<Diagnostic>) {
    let (catalog, _, diagnostics) = read_texts([("a.v1.json", schema)]);
    (catalog, diagnostics)
}

/// The catalog of sound files.
fn sound(files: &[(&str, &str)]) -> Catalog {
    let (catalog, _, diagnostics) = read_texts(files.iter().copied());
    assert!(
        diagnostics.is_empty(),
        "{files:#?}\n{}",
        lines(&diagnostics).join("\n")
    );
    catalog
}

/// Diagnostics as a build prints them, warnings marked.
fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mark = |severity| {
        if severity == Severity::Warning {
            "warning: "
        } else {
            ""
        }
    };
    diagnostics
        .iter()
        .map(|one| format!("{}{one}", mark(one.severity)))
        .collect()
}

/// Compares what was told with the starts of what is expected.
fn assert_told(what: &str, diagnostics: &[Diagnostic], expected: &[&str]) {
    let told = lines(diagnostics);
    let fits = told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|(told, expected)| told.replace("schemas/a.v1.json:", "").starts_with(expected));
    assert!(fits, "{what}\nexpected {expected:#?}\ntold {told:#?}");
    for one in diagnostics {
        assert!(!one.help.is_empty(), "what to do? {one}");
    }
    for line in told {
        assert!(
            !line.contains('\n') && line.len() < 1000,
            "more than a line: {line}"
        );
    }
}
