//! A copy of the root package, outside the workspace, that a test may change and build.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

/// A folder under target/, emptied at each start; its builds share the dependencies of all copies.
pub struct Project {
    dir: PathBuf,
}

/// What a command left behind.
pub struct Ran {
    /// Whether it ended with status 0.
    pub success: bool,
    /// The exit status.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Project {
    /// Copies what a user's repository would hold.
    pub fn new(name: &str) -> Self {
        let dir = root().join("target/projects").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(&dir).unwrap();
        for part in ["src", "schemas", "generated"] {
            copy(&root().join(part), &dir.join(part)).unwrap();
        }
        fs::copy(root().join("build.rs"), dir.join("build.rs")).unwrap();
        fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        // The package as it stands, with the workspace's own words put in: a user's has neither.
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let (package, _) = manifest
            .split_once("[[example]]")
            .unwrap_or((&manifest, ""));
        let (package, _) = package
            .split_once("[dev-dependencies]")
            .unwrap_or((package, ""));
        let (package, _) = package.split_once("[lints]").unwrap_or((package, ""));
        let workspace = manifest
            .split_once("[workspace.dependencies]")
            .expect("the root has one")
            .1;
        let (dependencies, _) = workspace
            .split_once("\n[workspace.lints")
            .unwrap_or((workspace, ""));
        // A name of its own: cargo takes packages of one name that share a target folder for one.
        let package = package.replacen("name = \"nouns\"", &format!("name = \"nouns-{name}\""), 1);
        let manifest = format!(
            "{package}\n[lib]\nname = \"nouns\"\n[workspace]\n[workspace.package]\nversion = \"0.1.0\"\nedition = \"2024\"\nrust-version = \"1.95\"\n\
             license = \"MIT OR Apache-2.0\"\n[workspace.dependencies]{}\n[profile.dev]\ndebug = false\n",
            dependencies.replace(
                "path = \"crates/",
                &format!("path = \"{}/crates/", root().display())
            )
        );
        let project = Self { dir };
        project.write("Cargo.toml", &manifest);
        project
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Replaces text that has to be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} holds no {from:?}");
        self.write(path, &text.replace(from, to));
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.dir.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Runs cargo in the copy.
    pub fn cargo(&self, arguments: &[&str]) -> Ran {
        self.cargo_with(arguments, &[])
    }

    /// Runs cargo in the copy, with variables.
    pub fn cargo_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", root().join("target/projects/target"))
            .env("CARGO_TERM_COLOR", "never")
            .env_remove("RUSTFLAGS")
            .env_remove("LOGPIPE_LOCKED")
            .envs(variables.iter().copied())
            .output()
            .expect("cargo starts");
        output.into()
    }

    /// Every file of generated/, with its text.
    pub fn generated(&self) -> Vec<(String, String)> {
        files(&self.dir.join("generated"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            success: output.status.success(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// It worked.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            self.success,
            "status {:?}\n{}\n{}",
            self.code, self.stdout, self.stderr
        );
        self
    }

    /// It failed, and said all of this.
    #[track_caller]
    pub fn fails_with(self, words: &[&str]) -> Self {
        assert!(!self.success, "it worked\n{}\n{}", self.stdout, self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "it did not say {word:?}:\n{}",
                self.stderr
            );
        }
        self
    }
}

/// All files below a folder, by relative path, in order.
pub fn files(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(dir)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push((
                    name,
                    String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
                ));
            }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
