//! `cargo xtask ci`: what has to hold before a change lands, cheapest first.

use std::time::Instant;

use crate::run::{BROKERS, Result, answers, cargo, run};
use crate::{test, tools};

/// The features of crates/logpipe; each has to build alone, for a user pays for what they name. A log or a store needs an
/// encoding beside it.
const FEATURES: [&str; 6] = [
    "json",
    "msgpack",
    "json,local",
    "json,sqlite",
    "json,kafka",
    "json,kinesis",
];

/// Runs every check; stops at the first that fails.
pub fn ci() -> Result {
    if !answers("cargo-deny", &["--version"]) {
        return Err(
            "cargo-deny is missing: `cargo install --locked cargo-deny` (.ci/run does it)".into(),
        );
    }
    tools::check()?;
    let began = Instant::now();
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets"]);
    run(clippy.args(BROKERS).args(["--", "-D", "warnings"]))?;
    for feature in FEATURES {
        run(&mut cargo(&[
            "clippy",
            "-p",
            "logpipe",
            "--no-default-features",
            "--features",
            feature,
            "--",
            "-D",
            "warnings",
        ]))?;
    }
    // A workspace of its own, which nothing above looks at.
    run(&mut cargo(&[
        "clippy",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    // The command's binary has the library's name, and both would be documented in one folder.
    let mut doc = cargo(&["doc", "--workspace", "--lib", "--no-deps"]);
    run(doc.args(BROKERS).env("RUSTDOCFLAGS", "-D warnings"))?;
    run(cargo(&["build"]).env("LOGPIPE_LOCKED", "1"))?;
    test::test(&test::Arguments::default())?;
    run(&mut cargo(&[
        "deny", "check", "licenses", "bans", "sources",
    ]))?;
    eprintln!("\nAll checks passed in {} s.", began.elapsed().as_secs());
    Ok(())
}
