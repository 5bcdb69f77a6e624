//! `cargo xtask fuzz`: runs the fuzz targets with libFuzzer, on the stable toolchain.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::run::{Result, answers, cargo, line, root, run};

/// What to fuzz.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only this target.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// Coverage counters are a pass of LLVM that stable rustc takes; only sanitizers need a nightly.
const COVERAGE: &str = "--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds all targets, then runs each for its time; a finding ends its target, and is an error once the others had
/// theirs.
pub fn fuzz(arguments: &Arguments) -> Result {
    if !answers("c++", &["--version"]) {
        return Err("libFuzzer is C++: install a C++ compiler (`c++`)".into());
    }
    let targets = targets()?;
    let chosen: Vec<&String> = match &arguments.target {
        None => targets.iter().collect(),
        Some(name) => match targets.iter().find(|target| *target == name) {
            Some(target) => vec![target],
            None => {
                return Err(format!(
                    "no fuzz target is called {name:?}; there are {}",
                    targets.join(", ")
                ));
            }
        },
    };
    // Naming the target keeps the coverage flags away from build scripts and proc macros.
    let host = host()?;
    run(cargo(&[
        "build",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
        &host,
    ])
    .env("RUSTFLAGS", COVERAGE))?;
    let mut runs = Vec::new();
    for target in chosen {
        runs.push(one(target, &host, arguments.seconds)?);
    }
    print(&runs);
    let findings: Vec<&str> = runs
        .iter()
        .filter(|run| !run.is_clean)
        .map(|run| run.target.as_str())
        .collect();
    match findings.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "findings in {}: the inputs lie in fuzz/target/, named above",
            findings.join(", ")
        )),
    }
}

/// What came of one target.
struct Run {
    target: String,
    seconds: u64,
    /// Inputs that were tried.
    inputs: u64,
    /// Inputs that reached something new, and are kept.
    kept: u64,
    /// Of memory, at its peak.
    mebibytes: u64,
    is_clean: bool,
}

/// Runs a target for its time. What libFuzzer says passes through; its last lines are the figures.
fn one(target: &str, host: &str, seconds: u32) -> Result<Run> {
    let built = root().join("fuzz/target");
    let corpus = built.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .map_err(|error| format!("making {}: {error}", corpus.display()))?;
    let seeds = root().join("fuzz/seeds").join(target);
    let mut command = Command::new(built.join(host).join("release").join(target));
    command
        .arg(&corpus)
        .args(seeds.is_dir().then_some(seeds))
        .arg(format!("-max_total_time={seconds}"))
        .args([
            "-print_final_stats=1",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-max_len=65536",
        ])
        .arg(format!("-artifact_prefix={}/", built.display()))
        .stderr(Stdio::piped());
    let line = line(&command);
    eprintln!("\n$ {line}");
    let began = Instant::now();
    let failed = |error: std::io::Error| format!("`{line}`: {error}");
    let mut child = command.spawn().map_err(failed)?;
    let said = child.stderr.take().expect("it was asked for");
    let (mut inputs, mut kept, mut mebibytes) = (0, 0, 0);
    for line in BufReader::new(said).lines() {
        let line = line.map_err(failed)?;
        eprintln!("{line}");
        let figure = |name: &str| line.strip_prefix(name)?.trim().parse().ok();
        inputs = figure("stat::number_of_executed_units:").unwrap_or(inputs);
        kept = figure("stat::new_units_added:").unwrap_or(kept);
        mebibytes = figure("stat::peak_rss_mb:").unwrap_or(mebibytes);
    }
    Ok(Run {
        is_clean: child.wait().map_err(failed)?.success(),
        target: target.to_owned(),
        seconds: began.elapsed().as_secs(),
        inputs,
        kept,
        mebibytes,
    })
}

/// As a table, then as JSON lines.
fn print(runs: &[Run]) {
    println!(
        "\n{:<12} {:>8} {:>12} {:>8} {:>6}   finding",
        "target", "seconds", "inputs", "kept", "MiB"
    );
    for run in runs {
        println!(
            "{:<12} {:>8} {:>12} {:>8} {:>6}   {}",
            run.target,
            run.seconds,
            run.inputs,
            run.kept,
            run.mebibytes,
            if run.is_clean { "none" } else { "yes" }
        );
    }
    for run in runs {
        println!(
            r#"{{"fuzz":"{}","seconds":{},"inputs":{},"kept":{},"peak_mib":{},"finding":{}}}"#,
            run.target, run.seconds, run.inputs, run.kept, run.mebibytes, !run.is_clean
        );
    }
}

/// The targets: one file each.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/targets");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("reading {}: {error}", folder.display()))?;
    let mut targets: Vec<String> = entries
        .filter_map(|entry| {
            Some(
                PathBuf::from(entry.ok()?.file_name())
                    .file_stem()?
                    .to_str()?
                    .to_owned(),
            )
        })
        .collect();
    targets.sort();
    Ok(targets)
}

fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("`rustc -vV`: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| "`rustc -vV` names no host".into())
}
