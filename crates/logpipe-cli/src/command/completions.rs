//! `logpipe completions`: what does a shell need to complete our commands?

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::failure::Outcome;
use crate::output::Output;

/// A script with which a shell completes `logpipe`: commands, flags and their words.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe completions bash > ~/.local/share/bash-completion/completions/logpipe
  logpipe completions zsh > ~/.zfunc/_logpipe
  logpipe completions fish > ~/.config/fish/completions/logpipe.fish")]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Outcome {
    // Into memory first: written straight to a closed pipe it would panic.
    let mut script = Vec::new();
    let mut command = crate::Arguments::command();
    generate(arguments.shell, &mut command, "logpipe", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())
}
