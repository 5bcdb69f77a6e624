//! What the benches share: crates made for a measurement, CPU time of child processes, tables and JSON lines.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A crate outside the workspace that a bench builds.
pub struct Crate {
    dir: PathBuf,
}

impl Crate {
    /// An empty one; `dependencies` is TOML.
    pub fn new(name: &str, dependencies: &str) -> Self {
        let dir = root().join("target/bench").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("src")).unwrap();
        fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\n{dependencies}\n[workspace]\n\n[profile.dev]\ndebug = false\n"
        );
        fs::write(dir.join("Cargo.toml"), manifest).unwrap();
        Self { dir }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Generates from its schemas/.
    pub fn generate(&self) {
        if let Err(error) = logpipe_build::generate(&logpipe_build::Options::new(&self.dir)) {
            panic!("{error}");
        }
    }

    /// Cargo in it, quiet; a failure ends the bench.
    pub fn cargo(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", root().join("target/bench/target"))
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Seconds of CPU time that ended child processes used so far.
pub fn children_cpu() -> f64 {
    let stat =
        fs::read_to_string("/proc/self/stat").expect("needs Linux: CPU time is read from /proc");
    let (_, fields) = stat
        .rsplit_once(") ")
        .expect("the command's name is in brackets");
    let ticks: f64 = fields
        .split(' ')
        .skip(13)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

/// Seconds of CPU time that this process used so far.
pub fn own_cpu() -> f64 {
    let stat =
        fs::read_to_string("/proc/self/stat").expect("needs Linux: CPU time is read from /proc");
    let (_, fields) = stat
        .rsplit_once(") ")
        .expect("the command's name is in brackets");
    let ticks: f64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Whether cargo only wants to know that the bench starts (`cargo test` runs benches so).
pub fn is_test() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}
