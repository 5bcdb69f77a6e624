//! Does README show what is there? Every block of it names a file or a command, and is held against that.
//!
//! The words behind a block's language say what it shows: "```rust src/handlers.rs" is an excerpt of that file,
//! "```text $ cargo run" is what the command prints. A test that runs the command asks for its block with [`shown`].

use std::fs;

use crate::project::{Ran, root};

/// A block of README.
struct Block {
    language: String,
    /// A path, `$ command`, or empty.
    source: String,
    text: String,
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn blocks() -> Vec<Block> {
    let readme = readme();
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("```") else {
            continue;
        };
        let (language, source) = head.split_once(' ').unwrap_or((head, ""));
        let text = lines.by_ref().take_while(|line| *line != "```");
        blocks.push(Block {
            language: language.into(),
            source: source.into(),
            text: text.map(|line| format!("{line}\n")).collect(),
        });
    }
    blocks
}

/// What README says that this command prints.
#[track_caller]
pub fn shown(command: &str) -> String {
    let wanted = format!("$ {command}");
    let mut found = blocks().into_iter().filter(|block| block.source == wanted);
    let block = found.next();
    assert!(found.next().is_none(), "README shows `{command}` twice");
    block
        .unwrap_or_else(|| panic!("README no longer shows `{command}`"))
        .text
}

/// The commands that a test runs; each says so beside its name.
const RUN: &[&str] = &[
    "cargo run",                                     // below
    "cargo build",                                   // walk.rs
    "cargo run --features kafka -- --backend kafka", // below, where there is a broker
];

#[test]
fn excerpts_are_of_the_files_that_they_name() {
    let mut excerpts = 0;
    for Block {
        language,
        source,
        text,
    } in blocks()
    {
        match (language.as_str(), source.strip_prefix("$ ")) {
            (_, Some(command)) => assert!(RUN.contains(&command), "nothing runs `{command}`"),
            // To be typed. Which commands there are is held by the command's own help.
            ("sh", None) => assert_eq!(source, ""),
            ("toml", None) if source.is_empty() => {
                let parsed = toml_keys(&text);
                assert!(!parsed.is_empty(), "no TOML: {text}");
            }
            (_, None) => {
                let path = root().join(&source);
                let file = fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("README shows {source:?}: {error}"));
                is_excerpt(&source, &text, &file);
                excerpts += 1;
            }
        }
    }
    assert!(excerpts >= 3, "schema, generated type and handler");
}

/// Every line stands in the file, one behind the other; `// ..` stands for any number of them.
fn is_excerpt(source: &str, text: &str, file: &str) {
    let mut rest: Vec<&str> = file.lines().collect();
    for (index, part) in text.split("// ..\n").enumerate() {
        let part: Vec<&str> = part.trim_end().lines().collect();
        let Some(start) = rest.windows(part.len()).position(|window| window == part) else {
            panic!(
                "{source} no longer holds part {index} of what README shows:\n{}",
                part.join("\n")
            );
        };
        rest.drain(..start + part.len());
    }
}

/// The sections and keys of TOML in README; a section that logpipe reads has to have these keys.
fn toml_keys(text: &str) -> Vec<String> {
    let known: Vec<String> = logpipe::config::keys()
        .iter()
        .map(|key| key.path())
        .collect();
    let mut section = "";
    let mut keys = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or(name);
            continue;
        }
        let Some((name, _)) = line.split_once(" = ") else {
            continue;
        };
        let key = format!("{section}.{name}");
        let ours = known
            .iter()
            .any(|known| known.starts_with(&format!("{section}.")));
        assert!(
            !ours || known.contains(&key),
            "README sets `{key}`, which is no key"
        );
        keys.push(key);
    }
    keys
}

#[test]
fn the_table_of_settings_is_the_one_that_the_command_prints() {
    let table = logpipe::config::markdown();
    assert!(
        readme().contains(&table),
        "README's settings are stale; write them again: cargo run -p logpipe-cli -- config keys"
    );
}

#[test]
fn the_report_is_what_the_service_prints() {
    let dir = tempfile::tempdir().unwrap();
    let printed = crate::service::nouns(dir.path(), &[]).ok().stdout;
    let here = dir.path().canonicalize().unwrap();
    let printed = printed.replace(&here.display().to_string(), ".");
    assert_eq!(printed, shown("cargo run"));
}

/// Every line that README shows of a compiler's error stands in what the compiler said, in this order. Where it stands in
/// the file is left out, for that moves with every line above it.
#[track_caller]
pub fn error_is_shown(command: &str, ran: &Ran) {
    let plain = |line: &str| {
        let line = line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
        let place = line.rfind(".rs:").map_or(line.len(), |at| at + 3);
        line[..place].trim_end().to_owned()
    };
    let mut said = ran.stderr.lines().map(plain);
    for line in shown(command).lines().map(plain) {
        assert!(
            said.any(|said| said == line),
            "README shows a line that the compiler did not say there: {line}\n{}",
            ran.stderr
        );
    }
}

/// On a broker that makes topics on first use, as the one of `cargo xtask services up kafka` does.
#[cfg(feature = "kafka")]
#[test]
fn the_report_on_kafka_is_what_the_service_prints() {
    use logpipe_servers::kafka::{Broker, Settings};

    let broker = Broker::start_with(&Settings {
        auto_create: true,
        ..Settings::default()
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_nouns"))
            .args(["--backend", "kafka"])
            .current_dir(dir.path())
            .env("LOGPIPE_KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
            .output();
        Ran::from(output.unwrap()).ok()
    };
    let plain = |text: &str| {
        let text = text.replace(|c: char| c.is_ascii_digit(), "0");
        let squeezed = |line: &str| {
            let mut words: Vec<&str> = line.split('0').collect();
            words.retain(|word| !word.is_empty());
            words.join("0")
        };
        text.lines().map(squeezed).collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(
        plain(&first.stdout),
        plain(&shown("cargo run --features kafka -- --backend kafka"))
    );
    let second = run().stdout;
    assert!(
        second.contains("handled   100 new, 0 handled again\n"),
        "{second}"
    );
    // What each consumer promises is said at its start, in words that README explains.
    let guarantees = [
        logpipe::store::Guarantee::EffectsOnce,
        logpipe::store::Guarantee::AtLeastOnce,
    ];
    for guarantee in guarantees.map(|guarantee| guarantee.to_string()) {
        assert!(
            readme().contains(&format!("| {guarantee} |")),
            "{guarantee}"
        );
    }
    assert!(
        first.stderr.contains("effects exactly once: "),
        "{}",
        first.stderr
    );
}
