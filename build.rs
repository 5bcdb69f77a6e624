//! Which messages does the service know? Those of `schemas/`, made into `generated/` before it is compiled.

fn main() {
    logpipe_build::build();
}
