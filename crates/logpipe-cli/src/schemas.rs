//! What do the schema commands have in common: where the schemas are, and how their faults end a command?

use logpipe_build::diagnostic::Diagnostic;
use logpipe_build::{Error, Options};

use crate::failure::Failure;
use crate::output;

/// The project that the command works in.
pub fn project() -> Options {
    Options::new(".")
}

/// What the schemas say, where they have no faults. What looks unintended goes to standard error, a line each.
pub fn sound(project: &Options) -> Result<(), Failure> {
    let checked = logpipe_build::check(project);
    if checked.has_errors() {
        return Err(failure(Error::Schemas(Box::new(checked))));
    }
    warn(&checked.diagnostics);
    Ok(())
}

/// Tells of diagnostics on standard error, a line each.
pub fn warn(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        output::note(&diagnostic.to_string());
    }
}

/// How a failed stage of the generator ends a command: faults go to standard error, a line each.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::Schemas(checked) => {
            warn(&checked.diagnostics);
            Failure::wrong("the schemas have faults; `logpipe check` shows them in their text")
        }
        other => Failure::wrong(other),
    }
}
