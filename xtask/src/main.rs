//! The developer commands: `cargo xtask ci | test | services | bench | torture | fuzz`.

mod bench;
mod ci;
mod fuzz;
mod run;
mod services;
mod test;
mod tools;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tasks. What one needs and this machine lacks, it names before it begins.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that has to hold before a change lands: format, lints, documentation, generated code, tests, licences.
    Ci,
    /// All tests of the workspace, against real servers that it fetches, starts and ends.
    Test(test::Arguments),
    /// Real servers to work against.
    Services(services::Arguments),
    /// The figures: ratios against named opponents, in alternating rounds of one run.
    Bench(bench::Arguments),
    /// Kills, stops and aborts consumers under load, then counts every effect.
    Torture(torture::Arguments),
    /// Runs the fuzz targets.
    Fuzz(fuzz::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Ci => ci::ci(),
        Task::Test(arguments) => test::test(&arguments),
        Task::Services(arguments) => services::services(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Torture(arguments) => torture::torture(&arguments),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
