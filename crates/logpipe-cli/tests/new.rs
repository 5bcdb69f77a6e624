//! Does a project that `logpipe new` makes build, run and pass its test, and does `logpipe add` go on from there?
//!
//! It compiles the run time once more, in a target folder that it keeps: minutes the first time, seconds afterwards.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn a_new_project_builds_runs_and_grows() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Below the checkout, as with README's line: cargo would take it for a member of that workspace, were it none itself.
    let readme = fs::read_to_string(checkout.join("README.md")).unwrap();
    let line = readme.split('`').find(|code| code.contains(" -- new "));
    assert_eq!(line, Some("cargo run -p logpipe-cli -- new shop --path ."));
    let below = checkout.join("target");
    fs::create_dir_all(&below).unwrap();
    let place = tempfile::tempdir_in(below.canonicalize().unwrap()).unwrap();
    let shop = place.path().join("my-shop");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new");
    let run = |mut command: Command| {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}\n{told}");
        (text(&output), told)
    };
    let logpipe = |folder: &Path, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logpipe"));
        command.current_dir(folder).args(arguments);
        run(command)
    };
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(&shop)
            .args(arguments)
            .env("CARGO_TARGET_DIR", &target);
        // What this build was told says nothing to that one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOGPIPE_")) {
            command.env_remove(name);
        }
        run(command)
    };

    let (made, next) = logpipe(
        place.path(),
        &["new", "my-shop", "--path", checkout.to_str().unwrap()],
    );
    assert_eq!(made, "my-shop\n");
    assert_eq!(next, "logpipe: next: cd my-shop && cargo run\n");
    // The versions that this checkout is tested with; cargo drops what the project does not need.
    fs::copy(checkout.join("Cargo.lock"), shop.join("Cargo.lock")).unwrap();

    let generated = fs::read_to_string(shop.join("generated/note/v1.rs")).unwrap();
    let (report, told) = cargo(&["run"]);
    assert!(!told.contains("warning"), "{told}");
    assert!(
        report.starts_with("handled  1\nparked   0\nnotes    1 in ./data/app.db\n"),
        "{report}"
    );
    assert_eq!(
        fs::read_to_string(shop.join("generated/note/v1.rs")).unwrap(),
        generated
    );
    let (report, _) = cargo(&["run"]);
    assert!(
        report.starts_with("handled  1\nparked   0\nnotes    2 in "),
        "{report}"
    );
    assert!(report.contains("logpipe tail notes\n"), "{report}");
    let (tail, _) = logpipe(&shop, &["tail", "notes"]);
    assert_eq!(
        tail.matches("\"text\":\"written by cargo run\"").count(),
        2,
        "{tail}"
    );
    let (lag, _) = logpipe(&shop, &["lag"]);
    assert!(lag.contains("my-shop"), "{lag}");
    cargo(&["test"]);
    // What the generator wrote is as cargo fmt wants it, and so is the rest.
    cargo(&["fmt", "--check"]);

    logpipe(&shop, &["add", "person"]);
    cargo(&["build"]);
    assert!(shop.join("generated/person/v1.rs").is_file());

    // A second version, and the compiler names who has to learn it.
    logpipe(&shop, &["add", "note"]);
    let mut build = Command::new(env!("CARGO"));
    build
        .current_dir(&shop)
        .arg("build")
        .env("CARGO_TARGET_DIR", &target);
    let failed = build.output().unwrap();
    let told = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success());
    assert!(
        told.contains("missing: `v2`") && told.contains("src/handlers.rs"),
        "{told}"
    );
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
