//! What do the schema commands have in common: where the schemas are, and how their faults end a command?

use logpipe_build::{Error, Options};

use crate::failure::Failure;
use crate::output;

/// The project that the command works in.
pub fn project() -> Options {
    Options::new(".")
}

/// How a failed stage of the generator ends a command: faults go to standard error, a line each.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::Schemas(checked) => {
            for diagnostic in &checked.diagnostics {
                output::note(&diagnostic.to_string());
            }
            Failure::wrong("the schemas have faults; `logpipe check` shows them in their text")
        }
        other => Failure::wrong(other),
    }
}
