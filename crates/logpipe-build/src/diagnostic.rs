//! What is wrong with a schema, where, and what to do about it?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::source::{Source, Span};

/// One fault. Prints as `schemas/person.v2.json:7:15: what is wrong; what to do`, always on one line.
///
/// The order of diagnostics is that of files and of places within them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The file, as [`Source::name`].
    pub source: String,
    /// The bytes it is about. Empty at the start of the file where it is about the file itself.
    pub span: Span,
    /// Of the span's start, from 1.
    pub line: u32,
    /// Of the span's start, from 1, in characters.
    pub column: u32,
    /// Whether the build can go on.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do; empty only where that is plain.
    pub help: String,
}

/// Whether the build can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can't; what was generated last stays.
    Error,
    /// It can, but the schema may not say what its author meant.
    Warning,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.source, self.line, self.column, self.message
        )?;
        if self.help.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.help)
        }
    }
}

/// So many errors, and so many warnings, are told of one file: a file that has more was not meant to be a schema, and
/// counting columns for each would cost the square of a long line.
const TOLD_OF_ONE_FILE: usize = 100;

/// Where the stages put what they find. A fault that is met twice, as one in a library schema is by every message
/// that refers to it, is told once.
#[derive(Debug, Default)]
pub(crate) struct Report {
    found: Vec<Diagnostic>,
    /// File, place and words of each, to know it again without counting its columns.
    seen: BTreeSet<(String, Span, String)>,
    /// How many of each file: errors, warnings.
    told: BTreeMap<String, [usize; 2]>,
}

impl Report {
    /// Tells of a fault that ends the build.
    pub(crate) fn error(
        &mut self,
        source: &Source,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.tell(Severity::Error, source, span, message.into(), help.into());
    }

    /// Tells of something that looks unintended.
    pub(crate) fn warn(
        &mut self,
        source: &Source,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.tell(Severity::Warning, source, span, message.into(), help.into());
    }

    /// Tells of a fault in the file as such: its name, its place, its size.
    pub(crate) fn file(&mut self, name: &str, message: impl Into<String>, help: impl Into<String>) {
        self.error(
            &Source::new(quote_path(name), ""),
            Span::default(),
            message,
            help,
        );
    }

    /// Whether another fault of that file would be told: what only serves to word it can be left out if not.
    pub(crate) fn has_room(&self, source: &Source, severity: Severity) -> bool {
        let told = self.told.get(&source.name);
        told.is_none_or(|told| told[severity as usize] <= TOLD_OF_ONE_FILE)
    }

    /// Everything found, in the order of files and places.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort();
        self.found
    }

    fn tell(
        &mut self,
        severity: Severity,
        source: &Source,
        span: Span,
        mut message: String,
        mut help: String,
    ) {
        if !self.has_room(source, severity)
            || !self
                .seen
                .insert((source.name.clone(), span, message.clone()))
        {
            return;
        }
        let told = &mut self.told.entry(source.name.clone()).or_default()[severity as usize];
        if *told == TOLD_OF_ONE_FILE {
            message = format!("more than {TOLD_OF_ONE_FILE} faults in this file");
            help = "the rest is told when these are mended".into();
        }
        *told += 1;
        let position = source.position(span.start);
        let (line, column) = (position.line, position.column);
        let source = source.name.clone();
        self.found.push(Diagnostic {
            source,
            span,
            line,
            column,
            severity,
            message,
            help,
        });
    }
}

/// A name from a schema, fit to stand in a message: in backticks, on one line, at most 60 characters.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", clean(name, 60))
}

/// A file's name, on one line.
pub(crate) fn quote_path(path: &str) -> String {
    clean(path, 300)
}

fn clean(text: &str, length: usize) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == length {
            out.push('\u{2026}');
            break;
        }
        match character {
            // What breaks a line, hides, or turns the direction of what follows.
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                out.extend(character.escape_unicode());
            }
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

/// Among more names than these nobody is helped by one.
const CANDIDATES: usize = 200;

/// The word of `known` that somebody who wrote `word` most likely meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The measure costs the product of the lengths, so a word that no name can be near to is not measured.
    if word.len() > 64 {
        return None;
    }
    let near = known
        .into_iter()
        .take(CANDIDATES)
        .filter(|known| known.len().abs_diff(word.len()) <= 8);
    let rated = near.map(|known| {
        (
            strsim::osa_distance(&word.to_lowercase(), &known.to_lowercase()),
            known,
        )
    });
    let (distance, known) = rated.min_by_key(|&(distance, known)| (distance, known))?;
    (distance <= word.chars().count().div_ceil(3)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_is_one_line_with_place_and_way_out() {
        let source = Source::new("schemas/person.v2.json", "{\n  \"type\": 5\n}");
        let mut report = Report::default();
        report.error(
            &source,
            Span { start: 12, end: 13 },
            format!("{} is no type", quote("a\n\u{202e}b")),
            "name one",
        );
        report.warn(&source, Span { start: 2, end: 3 }, "odd", "");
        let found = report
            .finish()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                "schemas/person.v2.json:2:1: odd",
                "schemas/person.v2.json:2:11: `a\\n\\u{202e}b` is no type; name one",
            ]
        );
    }

    #[test]
    fn a_fault_is_told_once_and_a_flood_ends() {
        let source = Source::new("schemas/a.v1.json", "x".repeat(5000));
        let mut report = Report::default();
        for start in (0..2000).chain(0..2000) {
            report.error(&source, Span { start, end: start }, "wrong", "");
        }
        report.warn(&source, Span::default(), "a warning is not crowded out", "");
        let found = report.finish();
        assert_eq!(found.len(), 100 + 1 + 1);
        assert!(
            found
                .iter()
                .any(|one| one.message.contains("more than 100 faults"))
        );
    }

    #[test]
    fn only_a_near_word_is_offered() {
        assert_eq!(
            nearest("requierd", ["readOnly", "required"]),
            Some("required")
        );
        assert_eq!(nearest("oneof", ["oneOf", "not"]), Some("oneOf"));
        assert_eq!(nearest("colour", ["required", "not"]), None);
    }
}
