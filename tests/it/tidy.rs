//! Rules of the repository that no compiler knows.

use std::process::Command;

use crate::project::{files, root};

fn tree(package: &str, edges: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            edges,
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

#[test]
fn the_halves_never_see_each_other() {
    let run_time = tree("logpipe", "normal,no-proc-macro");
    for name in ["logpipe-build", "syn", "prettyplease"] {
        assert!(
            !run_time.iter().any(|package| package == name),
            "logpipe depends on {name}"
        );
    }
    let build_time = tree("logpipe-build", "normal");
    for name in ["logpipe", "tokio", "rusqlite", "rdkafka"] {
        assert!(
            !build_time.iter().any(|package| package == name),
            "logpipe-build depends on {name}"
        );
    }
}

#[test]
fn the_default_tree_has_no_broker_and_no_tls() {
    let all = tree("nouns", "normal,build");
    let unwanted = |name: &&String| {
        [
            "rdkafka",
            "rdkafka-sys",
            "openssl",
            "openssl-sys",
            "jsonschema",
        ]
        .contains(&name.as_str())
            || name.starts_with("aws-")
    };
    assert_eq!(all.iter().find(unwanted), None);
}

#[test]
fn generated_is_owned_by_the_generator() {
    for (name, text) in files(&root().join("generated")) {
        assert!(
            text.starts_with("// @generated"),
            "generated/{name} has no banner"
        );
    }
}

#[test]
fn every_source_file_says_which_question_it_answers() {
    for folder in ["src", "crates", "xtask", "tests", "examples", "benches"] {
        let folder = root().join(folder);
        if !folder.exists() {
            continue;
        }
        for (name, text) in files(&folder) {
            let golden = name.contains("golden/") || name.contains("/target/");
            if name.ends_with(".rs") && !golden {
                assert!(
                    text.starts_with("//!"),
                    "{}/{name}: the first line is not `//! ..`",
                    folder.display()
                );
            }
        }
    }
}
