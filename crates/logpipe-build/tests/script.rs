//! What does cargo make of the build script? A real package is built by a real cargo: when it is fresh, what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const V1: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": { "name": { "type": "string" } }
}
"#;

/// A package with a build script, outside this workspace. What it builds is kept between runs, its sources are not.
struct Package {
    root: tempfile::TempDir,
    target: PathBuf,
}

impl Package {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let library = Path::new(env!("CARGO_MANIFEST_DIR"));
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            &format!(
                "[package]\nname = \"fresh\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[build-dependencies]\nlogpipe-build = {{ path = {:?} }}\n[workspace]\n",
                library.display().to_string()
            ),
        );
        // The versions that are here already: the build needs no network.
        fs::copy(
            library.join("../../Cargo.lock"),
            root.path().join("Cargo.lock"),
        )
        .unwrap();
        write("build.rs", "fn main() { logpipe_build::build() }");
        // What the text of the generated code is to rustc does not matter here, only that it reads it.
        write(
            "src/lib.rs",
            "pub const GENERATED: &str = include_str!(\"../generated/mod.rs\");",
        );
        write("schemas/person.v1.json", V1);
        Self {
            root,
            target: Path::new(env!("CARGO_TARGET_TMPDIR")).join("script"),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Builds, and returns whether that went well and what cargo said.
    fn build(&self, locked: bool) -> (bool, String) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--offline", "--verbose"])
            .current_dir(self.root.path());
        cargo
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("LOGPIPE_LOCKED");
        if locked {
            cargo.env("LOGPIPE_LOCKED", "1");
        }
        let output = cargo.output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn builds(&self) -> String {
        let (ok, said) = self.build(false);
        assert!(ok, "{said}");
        said
    }
}

/// One story, for each of its steps costs a run of cargo.
#[test]
fn cargo_runs_it_when_it_has_to_and_shows_one_line_per_fault() {
    let package = Package::new();

    // Right after a build that wrote files, nothing is to be done.
    package.builds();
    let mod_rs = fs::read_to_string(package.path("generated/mod.rs")).unwrap();
    assert!(
        package.builds().contains("Fresh fresh"),
        "after a first build"
    );

    // A new schema is noticed, and so is its end.
    fs::write(package.path("schemas/person.v2.json"), V1).unwrap();
    assert!(!package.builds().contains("Fresh fresh"));
    assert!(package.path("generated/person/v2.rs").exists());
    assert!(
        package.builds().contains("Fresh fresh"),
        "after a new schema"
    );
    fs::remove_file(package.path("schemas/person.v2.json")).unwrap();
    package.builds();
    assert!(!package.path("generated/person/v2.rs").exists());
    assert_eq!(
        fs::read_to_string(package.path("generated/mod.rs")).unwrap(),
        mod_rs
    );

    // What was edited by hand is put right; verified, it is an error that says what to do.
    let v1 = package.path("generated/person/v1.rs");
    let text = fs::read_to_string(&v1).unwrap();
    fs::write(&v1, format!("{text}// mine\n")).unwrap();
    let (ok, said) = package.build(true);
    assert!(!ok);
    assert!(
        said.contains("generated/person/v1.rs is not up to date with schemas/; run `logpipe generate` and commit what it wrote"),
        "{said}"
    );
    assert!(
        fs::read_to_string(&v1).unwrap().ends_with("// mine\n"),
        "a locked build writes nothing"
    );
    package.builds();
    assert_eq!(fs::read_to_string(&v1).unwrap(), text);
    assert!(
        package.build(true).0,
        "a locked build of what is up to date"
    );

    // Faults: a line each, the command last, no dump around them, and the last good output stays.
    fs::write(
        package.path("schemas/person.v1.json"),
        V1.replace("\"string\"", "\"strin\""),
    )
    .unwrap();
    fs::write(
        package.path("schemas/place.v1.json"),
        V1.replace("{ \"type\"", "{ \"oneOf\": [], \"type\""),
    )
    .unwrap();
    let (ok, said) = package.build(false);
    assert!(!ok);
    let errors = said
        .lines()
        .filter_map(|line| line.strip_prefix("error: "))
        .collect::<Vec<_>>();
    let named = |start: &str| errors.iter().any(|error| error.contains(start));
    assert!(
        named("schemas/person.v1.json:4:") && named("schemas/place.v1.json:4:"),
        "{said}"
    );
    assert!(named("`logpipe check` shows the places"), "{said}");
    for noise in [
        "panicked",
        "--- stdout",
        "--- stderr",
        "exit status",
        "RUST_BACKTRACE",
    ] {
        assert!(!said.contains(noise), "{said}");
    }
    assert_eq!(fs::read_to_string(&v1).unwrap(), text);
}
