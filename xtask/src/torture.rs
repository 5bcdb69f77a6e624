//! `cargo xtask torture`: the fault bench, built with its fault points.

use crate::run::{Result, cargo, root, run};

/// What to pass on.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Options of the bench itself; `cargo xtask torture --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Builds the bench beside the normal build, for the fault points are a `cfg` that no user's build has.
pub fn torture(arguments: &Arguments) -> Result {
    let mut command = cargo(&["run", "--release", "--example", "torture", "--"]);
    command
        .args(&arguments.options)
        .env("RUSTFLAGS", "--cfg logpipe_fault")
        .env("CARGO_TARGET_DIR", root().join("target/torture"));
    run(&mut command)
}
