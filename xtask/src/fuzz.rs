//! `cargo xtask fuzz`: runs the fuzz targets with libFuzzer, on the stable toolchain.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{Result, answers, cargo, root, run};

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

/// Builds all targets, then runs each for its time; a finding is an error that names the input's file.
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
    for target in chosen {
        let corpus = root().join("fuzz/target/corpus").join(target);
        std::fs::create_dir_all(&corpus)
            .map_err(|error| format!("making {}: {error}", corpus.display()))?;
        let program = root()
            .join("fuzz/target")
            .join(&host)
            .join("release")
            .join(target);
        let seeds = root().join("fuzz/seeds").join(target);
        let mut command = Command::new(program);
        command
            .arg(&corpus)
            .args(seeds.is_dir().then_some(seeds))
            .arg(format!("-max_total_time={}", arguments.seconds))
            .args([
                "-print_final_stats=1",
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-max_len=65536",
            ])
            .arg(format!(
                "-artifact_prefix={}/",
                root().join("fuzz/target").display()
            ));
        run(&mut command)?;
    }
    Ok(())
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
