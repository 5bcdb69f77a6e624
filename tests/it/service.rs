//! The example service, run as a user runs it: by its binary, in a folder of its own.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use logpipe::store::sqlite::rusqlite::Connection;

use crate::project::{Ran, root};

pub fn nouns(dir: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_nouns"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    output.into()
}

/// The command, run as README says.
fn logpipe(dir: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "-p", "logpipe-cli", "--", "-C"])
        .arg(dir)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    output.into()
}

/// The text behind a label of the report.
fn line<'a>(report: &'a str, label: &str) -> &'a str {
    let found = report
        .lines()
        .find_map(|line| line.strip_prefix(label)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no line `{label}` in\n{report}"))
        .trim()
}

#[test]
fn the_second_run_handles_nothing_again_and_a_lost_log_is_named() {
    let dir = tempfile::tempdir().unwrap();

    let first = nouns(dir.path(), &[]).ok().stdout;
    assert!(first.lines().count() <= 15, "{first}");
    assert_eq!(
        line(&first, "schemas"),
        "order v1, person v1 v2, place v1, thing v1"
    );
    let sent: u32 = line(&first, "sent")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        line(&first, "handled").starts_with(&format!("{sent} new, 0 handled again")),
        "{first}"
    );

    let second = nouns(dir.path(), &[]).ok().stdout;
    assert!(
        line(&second, "handled").starts_with(&format!("{sent} new, 0 handled again")),
        "{second}"
    );

    // The log goes, the database with its positions stays: never silently read from somewhere else.
    lose_the_log(dir.path());
    let third = nouns(dir.path(), &[]);
    assert_eq!(third.code, Some(1), "{}\n{}", third.stdout, third.stderr);
    let said = format!("{}{}", third.stdout, third.stderr);
    assert!(said.contains("Recreated"), "{said}");
    assert!(said.contains("offsets set"), "the cure is named: {said}");
    let lag = logpipe(dir.path(), &["lag", "nouns"]);
    assert_eq!(lag.code, Some(1), "{}\n{}", lag.stdout, lag.stderr);
    assert!(lag.stdout.contains("Recreated"), "{}", lag.stdout);

    // The cure, and it cures: what the new log holds is handled, in its order and once.
    for group in ["nouns", "orders"] {
        let cure = ["offsets", "set", group, group, "--to", "earliest"];
        logpipe(dir.path(), &[&cure[..], &["--execute"]].concat()).ok();
    }
    let cured = nouns(dir.path(), &["consume"]).ok().stdout;
    assert!(
        line(&cured, "handled").starts_with(&format!("{sent} new, 0 handled again")),
        "{cured}"
    );
    logpipe(dir.path(), &["lag"]).ok();
}

/// Deletes the local log; the groups' leases and the database stay.
fn lose_the_log(dir: &Path) {
    for entry in fs::read_dir(dir.join("data")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("log.db") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn inspect_prints_one_line_and_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let uuid = "12345678-1234-4678-9234-567812345678";
    let good = format!(
        r#"json:{{"type":"person","version":1,"message":{{"uuid":"{uuid}","first_name":"Joe","last_name":"Schmoe"}}}}"#
    );
    for (value, expected) in [
        (
            good.as_str(),
            serde_json::json!({
                "framing": "json", "type": "person", "version": 1, "key": uuid, "ok": true, "rejection": null, "encoded": good
            }),
        ),
        (
            r#"json:{"type":"person","version":7,"message":{}}"#,
            serde_json::json!({ "kind": "UnknownVersion" }),
        ),
        (
            r#"json:{"type":"nobody","version":1,"message":{}}"#,
            serde_json::json!({ "kind": "UnknownType" }),
        ),
        (
            r#"json:{"type":"person","version":1,"message":{"uuid":5}}"#,
            serde_json::json!({ "kind": "Invalid", "path": "/uuid" }),
        ),
        ("pickle:x", serde_json::json!({ "kind": "UnknownFormat" })),
        ("hello", serde_json::json!({ "kind": "Malformed" })),
    ] {
        fs::write(dir.path().join("value"), value).unwrap();
        let ran = nouns(dir.path(), &["inspect", "value"]);
        let printed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let ok = printed["ok"].as_bool().unwrap();
        assert_eq!(ran.code, Some(if ok { 0 } else { 1 }), "{value}");
        let place = if ok { &printed } else { &printed["rejection"] };
        for (member, wanted) in expected.as_object().unwrap() {
            assert_eq!(
                &place[member], wanted,
                "{member} of {value}: {}",
                ran.stdout
            );
        }
    }
}

#[test]
fn inspect_prints_its_members_in_order_and_what_is_no_text_as_hex() {
    let dir = tempfile::tempdir().unwrap();
    let uuid = "12345678-1234-4678-9234-567812345678";
    let packed = [
        b"msgpack:\x83\xa4type\xa6person\xa7version\x01\xa7message\x83\xa4uuid\xd9\x24",
        uuid.as_bytes(),
        b"\xaafirst_name\xa3Joe\xa9last_name\xa6Schmoe",
    ]
    .concat();
    let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    for (value, code, printed) in [
        (
            packed,
            0,
            format!(
                r#"{{"framing":"msgpack","type":"person","version":1,"key":"{uuid}","ok":true,"rejection":null,"encoded":"{hex}"}}"#
            ),
        ),
        (
            br#"json:{"type":"person","version":1,"message":{"uuid":5}}"#.to_vec(),
            1,
            r#"{"framing":"json","type":"person","version":1,"key":null,"ok":false,"rejection":{"kind":"Invalid","path":"/uuid","reason":""#.into(),
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nouns"));
        command.args(["inspect", "-"]).current_dir(dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&value).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stdout.starts_with(&printed), "{}", ran.stdout);
        assert_eq!(ran.stdout.lines().count(), 1);
    }
    // It looks, and makes nothing.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Producing and consuming apart: one consumer, the other, and one that stays for what comes.
#[cfg(unix)]
#[tokio::test]
async fn what_is_produced_is_consumed_by_whoever_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let sent = nouns(dir.path(), &["produce", "--count", "2"]).ok().stdout;
    assert_eq!(sent, "sent      10 messages: 8 to nouns, 2 to orders\n");
    for (only, handled) in [("orders", 2), ("nouns", 8), ("orders", 0)] {
        let report = nouns(dir.path(), &["consume", "--only", only]).ok().stdout;
        assert_eq!(
            line(&report, "handled"),
            format!("{handled} new, 0 handled again"),
            "{only}"
        );
    }

    let mut command = Command::new(env!("CARGO_BIN_EXE_nouns"));
    command
        .args(["consume", "--follow"])
        .current_dir(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let following = command.stderr(Stdio::null()).spawn().unwrap();
    nouns(dir.path(), &["produce", "--count", "1"]).ok();
    let database = dir.path().join("data/app.db");
    let deadline = Instant::now() + Duration::from_secs(60);
    while nouns::journal::counts(&database).unwrap().handled < 15 {
        assert!(Instant::now() < deadline, "what came was not handled");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stop = format!("kill -TERM {}", following.id());
    assert!(
        Command::new("sh")
            .args(["-c", &stop])
            .status()
            .unwrap()
            .success()
    );
    let report = Ran::from(following.wait_with_output().unwrap()).ok().stdout;
    assert_eq!(line(&report, "handled"), "5 new, 0 handled again");
}

#[test]
fn a_log_that_this_build_lacks_names_its_feature_and_a_misspelled_one_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let misspelled = nouns(dir.path(), &["--backend", "kafk"]);
    assert_eq!(misspelled.code, Some(2), "{}", misspelled.stderr);
    assert!(
        misspelled.stderr.contains("did you mean `kafka`?"),
        "{}",
        misspelled.stderr
    );
    if !cfg!(feature = "kinesis") {
        let lacking = nouns(dir.path(), &["produce", "--backend", "kinesis"]);
        assert_eq!(lacking.code, Some(2), "{}", lacking.stderr);
        assert!(
            lacking.stderr.contains("cargo run --features kinesis"),
            "{}",
            lacking.stderr
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The journal of the first services, which did not say when a record was written, goes on.
#[test]
fn a_journal_of_before_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let database = Connection::open(dir.path().join("data/app.db")).unwrap();
    let journal = "create table handled (type text, version integer, topic text, shard text, position text);
        insert into handled values ('person', 1, 'nouns', '0', '0'), ('person', 1, 'nouns', '0', '0')";
    database.execute_batch(journal).unwrap();
    drop(database);
    let report = nouns(dir.path(), &[]).ok().stdout;
    assert_eq!(line(&report, "handled"), "100 new, 1 handled again");
}

/// 2 is for how it was called, 3 for what can't be reached, and the words say what and where.
#[test]
fn the_status_says_whose_fault_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.db");
    fs::write(
        &bad,
        "no database, though it is long enough to be taken for one".repeat(20),
    )
    .unwrap();
    type Row<'a> = (&'a str, Option<(&'a str, &'a str)>, i32, &'a [&'a str]);
    let table: [Row; 6] = [
        ("consume --only bogus", None, 2, &["bogus", "orders"]),
        ("inspect absent", None, 1, &["absent"]),
        (
            "produce",
            Some(("LOGPIPE_STORE_PATH", "bad.db")),
            3,
            &["bad.db", "not an SQLite database"],
        ),
        (
            "produce",
            Some(("LOGPIPE_STORE_PATH", "bad.db/deep/app.db")),
            3,
            &["bad.db/deep", "app.db", "store.path"],
        ),
        (
            "produce",
            Some(("LOGPIPE_LOG_DIR", "bad.db")),
            3,
            &["bad.db"],
        ),
        (
            "produce",
            Some(("LOGPIPE_LOG_DIR", "bad.db/deep")),
            3,
            &["bad.db/deep"],
        ),
    ];
    for (words, variable, code, said) in table {
        let output = Command::new(env!("CARGO_BIN_EXE_nouns"))
            .args(words.split_whitespace())
            .current_dir(dir.path())
            .envs(variable)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let ran = Ran::from(output);
        let told = format!("nouns {words}, {variable:?}: {}", ran.stderr);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{told}");
        for word in said {
            assert!(ran.stderr.contains(word), "{told}");
        }
        // What was called wrongly makes nothing.
        assert!(code == 3 || !dir.path().join("data").exists(), "{told}");
    }
}

/// On a terminal, which `script` makes.
#[cfg(target_os = "linux")]
#[test]
fn events_are_coloured_for_terminals_that_have_colours_and_users_who_want_them() {
    let dir = tempfile::tempdir().unwrap();
    let call = format!("{} consume", env!("CARGO_BIN_EXE_nouns"));
    for (term, no_color, coloured) in [
        ("xterm", None, true),
        ("xterm", Some(""), true),
        ("xterm", Some("0"), false),
        ("dumb", None, false),
    ] {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &call, "/dev/null"]);
        script.env_remove("NO_COLOR").env("TERM", term);
        script.envs(no_color.map(|text| ("NO_COLOR", text)));
        let ran = Ran::from(script.current_dir(dir.path()).output().unwrap()).ok();
        assert!(ran.stdout.contains("INFO"), "{}", ran.stdout);
        assert_eq!(
            ran.stdout.contains('\u{1b}'),
            coloured,
            "TERM={term} NO_COLOR={no_color:?}: {:?}",
            ran.stdout
        );
    }
}

/// As behind `2>&1 | head -1`, where the reader has gone: neither the report nor what is said beside it finds one.
#[test]
fn streams_that_nobody_reads_are_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("value"), "hello").unwrap();
    for (words, code) in [
        ("", 0),
        ("produce --count 1", 0),
        ("consume", 0),
        ("inspect value", 1),
        ("--backend kafk", 2),
    ] {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let status = Command::new(env!("CARGO_BIN_EXE_nouns"))
            .args(words.split_whitespace())
            .current_dir(dir.path())
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(closed())
            .stderr(closed())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "nouns {words}");
    }
}
