//! `cargo xtask torture`: the fault bench, built with its fault points.

use std::process::Command;

use logpipe_servers::kafka::{self, Broker, Settings};

use crate::run::{Result, cargo, root, run};
use crate::tools;

/// What to pass on.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Plants each mistake in turn and runs the suites of store and delivery: every one has to fail a test.
    #[arg(long, exclusive = true)]
    plants: bool,
    /// Options of the bench itself; `cargo xtask torture --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Builds the bench beside the normal build, for the fault points are a `cfg` that no user's build has. Where it is to
/// torture consumers of Kafka, it gets a broker of its own.
pub fn torture(arguments: &Arguments) -> Result {
    if arguments.plants {
        return plants();
    }
    let mut command = cargo(&["run", "--release", "--example", "torture"]);
    // Held until the bench is over: dropping it ends it.
    let mut broker = None;
    if on_kafka(&arguments.options) {
        tools::check()?;
        command.args(["--features", "kafka"]);
        let settings = Settings {
            auto_create: true,
            ..Settings::default()
        };
        broker = Some(Broker::start_with(&settings).map_err(|error| error.to_string())?);
    }
    if let Some(broker) = &broker {
        command.env(kafka::SHARED, broker.bootstrap());
    }
    with_faults(command.arg("--").args(&arguments.options));
    run(&mut command)
}

/// Built with the fault points, beside the normal build.
fn with_faults(command: &mut Command) {
    command
        .env("RUSTFLAGS", "--cfg logpipe_fault")
        .env("CARGO_TARGET_DIR", root().join("target/torture"));
}

/// The mistakes that the run time can be made to make: `Mistake` in crates/logpipe/src/fault.rs.
const PLANTS: &[&str] = &[
    "no_epoch",
    "position_outside",
    "ack_outside",
    "settled_twice",
    "redrive_anywhere",
    "old_letter",
];

/// Runs the suites without a mistake, when they have to pass, and with each, when a test has to fail.
fn plants() -> Result {
    let suites = || {
        let suites = ["test", "--package", "logpipe", "--no-fail-fast"];
        let mut command = cargo(&suites);
        command.args(["--lib", "--test", "delivery"]);
        with_faults(&mut command);
        command
    };
    run(&mut suites())?;
    let mut missed = Vec::new();
    for plant in PLANTS {
        let mut command = suites();
        command.env("LOGPIPE_PLANT", plant);
        let output = command.output().map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if printed.contains("no such mistake") {
            return Err(format!("the run time knows no mistake `{plant}`"));
        }
        let failed: Vec<&str> = printed.lines().filter_map(failed).collect();
        println!(
            "{plant:<18} {} tests fail: {}",
            failed.len(),
            failed.join(", ")
        );
        println!(r#"{{"plant":"{plant}","failed":{}}}"#, failed.len());
        if failed.is_empty() {
            missed.push(*plant);
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("no test notices {}", missed.join(", "))),
    }
}

/// The name in a line such as `test store::tests::a_test ... FAILED`.
fn failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The bench itself reads its options; only this one has to be known before it is built.
fn on_kafka(options: &[String]) -> bool {
    options.iter().any(|option| option == "--backend=kafka")
        || options
            .windows(2)
            .any(|pair| pair == ["--backend", "kafka"])
}
