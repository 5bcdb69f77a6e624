//! `cargo xtask torture`: the fault bench, built with its fault points.

use logpipe_servers::kafka::{self, Broker, Settings};

use crate::run::{Result, cargo, root, run};
use crate::tools;

/// What to pass on.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Options of the bench itself; `cargo xtask torture --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Builds the bench beside the normal build, for the fault points are a `cfg` that no user's build has. Where it is to
/// torture consumers of Kafka, it gets a broker of its own.
pub fn torture(arguments: &Arguments) -> Result {
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
    command
        .arg("--")
        .args(&arguments.options)
        .env("RUSTFLAGS", "--cfg logpipe_fault")
        .env("CARGO_TARGET_DIR", root().join("target/torture"));
    run(&mut command)
}

/// The bench itself reads its options; only this one has to be known before it is built.
fn on_kafka(options: &[String]) -> bool {
    options.iter().any(|option| option == "--backend=kafka")
        || options
            .windows(2)
            .any(|pair| pair == ["--backend", "kafka"])
}
