//! `logpipe check`: what is wrong with the schemas, shown in their text?

use std::fmt;

use logpipe_build::diagnostic::{Diagnostic, Severity};
use logpipe_build::source::Sources;
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Output};
use crate::schemas;

/// Everything that is wrong with schemas/, each fault in the text it is about. Writes nothing.
///
/// Warnings are shown and are no reason to fail.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe check
  logpipe check --format json | jq -r '\"\\(.file):\\(.line): \\(.message)\"'")]
pub struct Arguments {}

pub fn run(output: &mut Output) -> Outcome {
    let checked = logpipe_build::check(&schemas::project());
    let count = |severity| {
        let of = checked.diagnostics.iter();
        of.filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    for diagnostic in &checked.diagnostics {
        if output.is_json() {
            output.json(&Fault::from(diagnostic))?;
        } else {
            output.line(excerpt(diagnostic, &checked.sources, output.theme()).trim_end())?;
        }
    }
    output.flush()?;
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    output::note(&format!(
        "{}: {}, {}",
        output::count(checked.sources.iter().count(), "schema"),
        output::count(errors, "error"),
        output::count(warnings, "warning"),
    ));
    if errors > 0 {
        Err(Failure::Told)
    } else {
        Ok(())
    }
}

#[derive(Serialize)]
struct Fault<'a> {
    severity: &'static str,
    file: &'a str,
    line: u32,
    column: u32,
    message: &'a str,
    help: &'a str,
}

impl<'a> From<&'a Diagnostic> for Fault<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        Self {
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            file: &diagnostic.source,
            line: diagnostic.line,
            column: diagnostic.column,
            message: &diagnostic.message,
            help: &diagnostic.help,
        }
    }
}

/// The fault with the lines around it.
fn excerpt(diagnostic: &Diagnostic, sources: &Sources, theme: GraphicalTheme) -> String {
    // A fault of a file as such has no text, and an excerpt of a line that is longer than a screen shows nothing.
    let text = sources
        .get(&diagnostic.source)
        .map(|source| source.text.as_str());
    let text = text.filter(|text| !text.is_empty() && text.lines().all(|line| line.len() <= 400));
    let shown = Shown {
        diagnostic,
        source: text.map(|text| NamedSource::new(&diagnostic.source, text.to_owned())),
    };
    let mut out = String::new();
    let drawn = GraphicalReportHandler::new_themed(theme).render_report(&mut out, &shown);
    match drawn {
        Ok(()) if shown.source.is_some() => out,
        _ => diagnostic.to_string(),
    }
}

#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = &self.diagnostic.help;
        (!help.is_empty()).then(|| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span;
        let length = (span.end.saturating_sub(span.start)) as usize;
        let span = SourceSpan::from((span.start as usize, length));
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            Some("here".into()),
            span,
        ))))
    }
}
