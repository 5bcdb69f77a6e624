//! Crates that are made for a measurement, outside the workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::root;

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
