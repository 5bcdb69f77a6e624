//! `cargo xtask bench`: the figures, each a ratio against a named opponent of the same run.

use crate::run::{Result, cargo, run};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only this bench: `decode` or `generated`.
    name: Option<String>,
}

/// Each is a program of benches/ that prints a table and, behind it, JSON lines.
const BENCHES: [&str; 2] = ["decode", "generated"];

/// Runs the benches one after the other: they would disturb each other.
pub fn bench(arguments: &Arguments) -> Result {
    let chosen = match &arguments.name {
        None => BENCHES.to_vec(),
        Some(name) => match BENCHES.iter().find(|bench| *bench == name) {
            Some(bench) => vec![*bench],
            None => {
                return Err(format!(
                    "no bench is called {name:?}; there are {}",
                    BENCHES.join(", ")
                ));
            }
        },
    };
    for bench in chosen {
        run(&mut cargo(&["bench", "--bench", bench]))?;
    }
    Ok(())
}
