//! `cargo xtask bench`: the figures, each a ratio against a named opponent of the same run.

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::run::{Result, cargo, run};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only this bench; otherwise all of them.
    #[arg(value_parser = names())]
    name: Option<String>,
    /// What the bench itself takes, such as `--records 100000`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A program that prints tables and, behind each, JSON lines.
struct Bench {
    name: &'static str,
    asks: &'static str,
    /// What cargo builds it with.
    build: &'static [&'static str],
}

/// With the clients of both brokers, as all commands name them, so that the native libraries are built once.
const SERVERS: &[&str] = &[
    "--package",
    "logpipe-servers",
    "--features",
    "kafka,kinesis",
];

/// Those that need no server lie in benches/, the others in crates/servers/benches/.
const BENCHES: &[Bench] = &[
    Bench {
        name: "decode",
        asks: "a decoded and checked message, against serde_json into the known type",
        build: &[],
    },
    Bench {
        name: "dispatch",
        asks: "finding a type and version, from 1 to 1,000 pairs",
        build: &[],
    },
    Bench {
        name: "generated",
        asks: "checking 200 generated files, against serde derive of the same",
        build: &[],
    },
    Bench {
        name: "local",
        asks: "the local log, and effects once into SQLite, against bare rusqlite",
        build: &[],
    },
    Bench {
        name: "ticker",
        asks: "how long SQLite's statements and commits hold up the run time, against none",
        build: &[],
    },
    Bench {
        name: "idle",
        asks: "a busy topic beside 20 idle ones, against alone",
        build: &[],
    },
    Bench {
        name: "kafka",
        asks: "consuming and sending on a real Kafka, against the bare client (--records N)",
        build: SERVERS,
    },
    Bench {
        name: "memory",
        asks: "memory while records wait on Kafka, against the configured budget (--records N)",
        build: SERVERS,
    },
    Bench {
        name: "kinesis",
        asks: "PutRecords in the order of keys, against a PutRecord per message",
        build: SERVERS,
    },
];

fn names() -> PossibleValuesParser {
    BENCHES
        .iter()
        .map(|bench| PossibleValue::new(bench.name).help(bench.asks))
        .collect::<Vec<_>>()
        .into()
}

/// Runs the benches one after the other: they would disturb each other.
pub fn bench(arguments: &Arguments) -> Result {
    let is_chosen = |bench: &&Bench| {
        let name = arguments.name.as_deref();
        name.is_none_or(|name| name == bench.name)
    };
    for bench in BENCHES.iter().filter(is_chosen) {
        let mut command = cargo(&["bench", "--bench", bench.name]);
        command
            .args(bench.build)
            .arg("--")
            .args(&arguments.arguments);
        run(&mut command)?;
    }
    Ok(())
}
