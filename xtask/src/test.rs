//! `cargo xtask test`: every test of the workspace, against real servers that it starts, and one line that counts them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use logpipe_servers::kafka::{self, Broker};
use logpipe_servers::{kinesis_local, python};

use crate::run::{BROKERS, Result, cargo, line};
use crate::tools;

/// What to test.
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// Leave out the tests that start servers, and the clients that only they need.
    #[arg(long)]
    no_services: bool,
    /// Only tests whose names contain this.
    filter: Option<String>,
}

/// Runs the tests; fails when one fails, and when there was none to run.
pub fn test(arguments: &Arguments) -> Result {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    // Held until the tests are over: dropping it ends it.
    let broker = match arguments.no_services {
        true => None,
        false => Some(servers()?),
    };
    if let Some(broker) = &broker {
        command.args(BROKERS).env(kafka::SHARED, broker.bootstrap());
    }
    command
        .arg("--")
        .args(&arguments.filter)
        .stdout(Stdio::piped());
    let line = line(&command);
    eprintln!("\n$ {line}");
    let mut tests = command
        .spawn()
        .map_err(|error| format!("`{line}` did not start: {error}"))?;
    let (mut passed, mut failed) = (0, 0);
    for text in BufReader::new(tests.stdout.take().expect("is piped")).lines() {
        let text = text.map_err(|error| format!("reading the output of `{line}`: {error}"))?;
        println!("{text}");
        if let Some((more_passed, more_failed)) = counts(&text) {
            passed += more_passed;
            failed += more_failed;
        }
    }
    let status = tests
        .wait()
        .map_err(|error| format!("waiting for `{line}`: {error}"))?;
    println!("\n{passed} passed, {failed} failed");
    match status.success() {
        false => Err(format!("`{line}` failed: {status}")),
        true if passed == 0 => Err("no test ran".into()),
        true => Ok(()),
    }
}

/// Fetches what tests start for themselves, and starts the broker that they share.
fn servers() -> Result<Broker> {
    tools::check()?;
    kinesis_local::prepare().map_err(|error| error.to_string())?;
    python::prepare().map_err(|error| error.to_string())?;
    Broker::start().map_err(|error| error.to_string())
}

/// The figures of a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; ..`.
fn counts(line: &str) -> Option<(u32, u32)> {
    let (_, figures) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut figures = figures.split("; ").map(|figure| figure.split_once(' '));
    let (passed, _) = figures.next()??;
    let (failed, _) = figures.next()??;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn a_summary_line_is_counted_and_no_other() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(counts(line), Some((12, 3)));
        assert_eq!(counts("running 3 tests"), None);
        assert_eq!(counts("test result: nonsense"), None);
    }
}
