//! `logpipe generate`: is the generated code what the schemas say, and if not, make it so.

use logpipe_build::Error;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Output, Row};
use crate::schemas;

/// Brings generated/ up to date with schemas/, and prints what it changed.
///
/// `cargo build` does the same in a project with a build script. A project without one commits generated/ and runs this.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe generate
  logpipe generate --check    # in CI: status 1 and the stale files, and nothing is written")]
pub struct Arguments {
    /// Writes nothing: prints what is not up to date, and ends with 1 where there is something.
    #[arg(long)]
    check: bool,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Outcome {
    let project = schemas::project();
    if arguments.check {
        schemas::sound(&project)?;
        return match logpipe_build::verify(&project) {
            Ok(report) => {
                output::note(&format!(
                    "{} up to date",
                    output::count(report.unchanged.len(), "file")
                ));
                Ok(())
            }
            Err(Error::Stale(files)) => {
                output.rows(&changes(&files, "stale"))?;
                output.flush()?;
                Err(Failure::wrong(
                    "generated/ is not what schemas/ asks for; run `logpipe generate` and commit what it writes",
                ))
            }
            Err(error) => Err(schemas::failure(error)),
        };
    }
    let report = logpipe_build::generate(&project).map_err(schemas::failure)?;
    schemas::warn(&report.checked.diagnostics);
    let mut rows = changes(&report.written, "written");
    rows.extend(changes(&report.removed, "removed"));
    output.rows(&rows)?;
    let (written, removed) = (report.written.len(), report.removed.len());
    let unchanged = report.unchanged.len();
    output::note(&format!(
        "{} written, {removed} removed, {unchanged} up to date",
        output::count(written, "file")
    ));
    Ok(())
}

#[derive(Serialize)]
struct Change {
    change: &'static str,
    file: String,
}

fn changes(files: &[String], change: &'static str) -> Vec<Change> {
    let files = files.iter().map(|file| format!("generated/{file}"));
    files.map(|file| Change { change, file }).collect()
}

impl Row for Change {
    const HEAD: &'static [&'static str] = &["change", "file"];

    fn cells(&self) -> Vec<String> {
        vec![self.change.into(), self.file.clone()]
    }
}
