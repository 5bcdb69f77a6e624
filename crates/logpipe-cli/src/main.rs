//! The `logpipe` command: what was asked, who does it, and how does it end?

mod command;
mod failure;
mod log;
mod message;
mod output;
mod positions;
mod progress;
mod scan;
mod schemas;
mod typed;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use logpipe::config::{Config, Loaded, Loader};

use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output};

/// Typed, versioned messages over logs: schema work and operations.
///
/// What a command finds goes to standard output, everything else to standard error. It ends with
/// 0 when it is done, 1 when what it checked is wrong, 2 when it was called wrongly, and 3 when a log or a
/// database can't be reached.
#[derive(Parser)]
#[command(name = "logpipe", version, after_help = FIRST_STEPS)]
struct Arguments {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  logpipe new shop --git URL    a project of its own, ready to build
  logpipe add person            schemas/person.v1.json, to be filled in
  logpipe check                 what is wrong with the schemas, shown in their text
  logpipe topics                what the log holds";

/// What every command takes.
#[derive(clap::Args)]
struct Shared {
    /// How to print what was found: for people, or one JSON object a line.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "human",
        help_heading = "Everywhere"
    )]
    format: Format,
    /// Works in this folder.
    #[arg(
        short = 'C',
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = "Everywhere"
    )]
    directory: Option<PathBuf>,
    /// Reads settings from this file, in place of logpipe.toml.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// Sets one key above file and environment, such as `log.dir=./data`.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Everywhere")]
    set: Vec<(String, String)>,
}

#[derive(Subcommand)]
enum Command {
    New(command::new::Arguments),
    Add(command::add::Arguments),
    Check(command::check::Arguments),
    Generate(command::generate::Arguments),
    List(command::list::Arguments),
    Topics(command::topics::Arguments),
    Tail(command::tail::Arguments),
    Send(command::send::Arguments),
    Versions(command::versions::Arguments),
    Lag(command::lag::Arguments),
    Parked(command::parked::Arguments),
    Offsets(command::offsets::Arguments),
    Config(command::config::Arguments),
    Completions(command::completions::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.code()
        }
    }
}

async fn run(Arguments { shared, command }: Arguments) -> Outcome {
    if let Some(folder) = &shared.directory {
        std::env::set_current_dir(folder)
            .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    }
    let mut output = Output::new(shared.format);
    match command {
        Command::New(arguments) => command::new::run(&arguments, &mut output)?,
        Command::Add(arguments) => command::add::run(&arguments, &mut output)?,
        Command::Check(_) => command::check::run(&mut output)?,
        Command::Generate(arguments) => command::generate::run(&arguments, &mut output)?,
        Command::List(_) => command::list::run(&mut output)?,
        Command::Topics(_) => command::topics::run(&shared, &mut output).await?,
        Command::Tail(arguments) => command::tail::run(&arguments, &shared, &mut output).await?,
        Command::Send(arguments) => command::send::run(arguments, &shared, &mut output).await?,
        Command::Versions(arguments) => {
            command::versions::run(&arguments, &shared, &mut output).await?
        }
        Command::Lag(arguments) => command::lag::run(&arguments, &shared, &mut output).await?,
        Command::Parked(arguments) => command::parked::run(arguments, &shared, &mut output).await?,
        Command::Offsets(arguments) => {
            command::offsets::run(arguments, &shared, &mut output).await?
        }
        Command::Config(arguments) => command::config::run(arguments, &shared, &mut output)?,
        Command::Completions(arguments) => command::completions::run(&arguments, &mut output)?,
    }
    output.finish()
}

impl Shared {
    /// The settings of this call.
    fn settings(&self) -> Result<Loaded, Failure> {
        let loader = match &self.config {
            Some(file) => Config::loader().file(file),
            None => Config::loader(),
        };
        let set = |loader: Loader, (key, value): &(String, String)| loader.flag(key, value);
        let loader = self.set.iter().fold(loader, set);
        loader.load().map_err(Failure::usage)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write it as `section.key=value`")?;
    Ok((key.trim().into(), value.into()))
}
