//! `logpipe send`: what it sends, what it refuses, and that it judges as the generated code does.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use logpipe::record::{Cursor, Record};
use logpipe::source::{Backend, Budget, Fetched, Opened};
use logpipe::{AnyOf, Failure, Format, Log, Rejected, envelope};
use serde_json::Value;

use crate::{Ended, Place};

/// The code that was generated for the schemas of tests/golden/shapes: every shape, presence and rule.
#[allow(unused)]
#[path = "../../../logpipe-build/tests/golden/shapes/generated/mod.rs"]
#[rustfmt::skip]
mod shapes;
/// The code of the example service.
#[allow(unused)]
#[path = "../../../../generated/mod.rs"]
#[rustfmt::skip]
mod nouns;

const PERSON: &str =
    r#"{"uuid":"12345678-1234-4678-9234-567812345678","first_name":"Joe","last_name":"Schmoe"}"#;

impl Place {
    /// A project with the schemas of a folder of the workspace.
    fn with_schemas(folder: &str) -> Self {
        let place = Self::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["", "types/"] {
            let Ok(entries) = fs::read_dir(root.join(folder).join(part)) else {
                continue;
            };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_file() {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    let text = fs::read_to_string(&path).unwrap();
                    place.write(&format!("schemas/{part}{name}"), &text);
                }
            }
        }
        place
    }

    /// Calls the command with these lines on standard input.
    fn with_lines(&self, words: &str, lines: &str) -> Ended {
        let mut command = self.command(words.split_whitespace());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let lines = lines.to_owned();
        let writing = std::thread::spawn(move || {
            // A command that has seen enough closes its end.
            let _ = stdin.write_all(lines.as_bytes());
        });
        let ended = Ended::from(child.wait_with_output().unwrap());
        writing.join().unwrap();
        ended
    }

    /// Every record of a topic.
    async fn records(&self, topic: &str) -> Vec<Record> {
        let log = Log::local(self.path().join("data")).await.unwrap();
        let backend: &dyn Backend = &**log.backend();
        let mut records = Vec::new();
        for lane in backend.lanes(topic).await.unwrap() {
            let opened = backend.read(&lane.lane, &Cursor::Start).await.unwrap();
            let Opened::Reader(mut reader) = opened else {
                panic!("the lane is whole");
            };
            loop {
                let budget = Budget {
                    records: 1_000,
                    bytes: 1 << 20,
                };
                let Fetched::Records(fetch) = reader.fetch(budget).await.unwrap() else {
                    panic!("the lane goes on");
                };
                records.extend(fetch.records);
                if fetch.at_end {
                    break;
                }
            }
        }
        records
    }
}

#[tokio::test]
async fn lines_are_checked_and_sent_with_their_key() {
    let place = Place::with_schemas("schemas");
    let lines = format!("{PERSON}\n\n  {PERSON}  \r\n");
    let send = "send nouns --type person --version 1";

    // Nothing is made by a slip of the pen, nor by a dry run.
    let absent = place.with_lines(send, &lines);
    assert_eq!(absent.code, 3, "{}", absent.stderr);
    let dry = place.with_lines(&format!("{send} --dry-run"), &lines);
    assert_eq!(
        (dry.code, dry.stdout.as_str()),
        (0, "2 messages of person v1 may be sent; nothing was\n")
    );
    assert!(!place.path().join("data").exists());

    let sent = place.with_lines(&format!("{send} --create"), &lines);
    assert_eq!(
        (sent.code, sent.stdout.as_str()),
        (0, "2 messages sent to nouns\n"),
        "{}",
        sent.stderr
    );
    let sent = place.with_lines(
        &format!("{send} --key-field first_name --set producer.id=me --format json"),
        PERSON,
    );
    assert_eq!(
        sent.stdout, "{\"failed\":0,\"sent\":1,\"topic\":\"nouns\"}\n",
        "{}",
        sent.stderr
    );
    let records = place.records("nouns").await;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found: Vec<_> = records
        .iter()
        .map(|one| {
            (
                text(one.key.as_ref().unwrap()),
                text(one.value.as_ref().unwrap()),
            )
        })
        .collect();
    found.sort();
    let value =
        |tail: &str| format!(r#"json:{{"type":"person","version":1,"message":{PERSON}{tail}}}"#);
    let uuid = "12345678-1234-4678-9234-567812345678";
    assert_eq!(
        found,
        [
            (uuid.to_owned(), value("")),
            (uuid.to_owned(), value("")),
            ("Joe".to_owned(), value(r#","producer":"me""#)),
        ]
    );
    let slip = place.with_lines("send noun --type person --version 1", PERSON);
    assert_eq!(
        (slip.code, slip.stderr.as_str()),
        (1, "logpipe: there is no topic `noun`; there are nouns\n")
    );
}

#[tokio::test]
async fn the_first_wrong_line_ends_it_and_is_named() {
    let place = Place::with_schemas("schemas");
    let lines = format!(
        "{PERSON}\n{}\n{PERSON}\n",
        PERSON
            .replace("\"Joe\"", "\"SECRET\"")
            .replace("1234-4678", "nonsense")
    );
    let send = "send nouns --type person --version 1 --create";
    let ended = place.with_lines(send, &lines);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert_eq!(
        ended.stderr,
        "logpipe: line 2: /uuid: must be a UUID, as 12345678-1234-4678-9234-567812345678\n\
         logpipe: 1 message sent; this line and what follows were not\n"
    );
    assert_eq!(place.records("nouns").await.len(), 1);

    let dry = place.with_lines(&format!("{send} --dry-run"), &format!("{lines}\u{0}\n[\n"));
    assert_eq!(dry.code, 1);
    assert_eq!(
        dry.stdout,
        "2 messages of person v1 may be sent; nothing was\n"
    );
    for (line, told) in
        dry.stderr
            .lines()
            .zip(["line 2: /uuid: ", "line 4: ", "line 5: ", "3 lines "])
    {
        assert!(line.contains(told), "{}", dry.stderr);
    }
    assert!(!ended.stderr.contains("SECRET") && !dry.stderr.contains("SECRET"));
}

#[test]
fn a_type_or_version_that_has_no_schema_is_told_with_those_that_have() {
    let place = Place::with_schemas("schemas");
    let table = [
        (
            "send nouns --type persn",
            "there is no schema of a type `persn`; there are order, person, place, thing",
        ),
        (
            "send nouns --type person",
            "say which version of person: --version 1, 2",
        ),
        (
            "send nouns --type person --version 3",
            "there is no schema of person v3; there are versions 1, 2",
        ),
        (
            "send nouns --type place --key-field places",
            "place v1 has no member `places` that can be a key; there are `uuid`, `name`, `latitude`, `longitude`",
        ),
    ];
    for (words, told) in table {
        let ended = place.run(words);
        assert_eq!(
            (ended.code, ended.stderr),
            (2, format!("logpipe: {told}\n")),
            "{words}"
        );
    }
    place.write("schemas/person.v1.json", "{");
    assert_eq!(place.run("send nouns --type place --dry-run").code, 1);
}

/// What stands in the place of each member in turn.
const HOSTILE: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "1.0",
    "1e2",
    "1.5",
    "3",
    "3.0",
    "7",
    "7.0",
    "255",
    "256",
    "0.01",
    "0.015",
    "0.1",
    "1000",
    "1000.01",
    "1234566",
    "1234567",
    "2147483648",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "1e-400",
    "1e16",
    "123456789012345678901234567890",
    "\"\"",
    "\"x\"",
    "\"ABC\"",
    "\"abc\"",
    "\"12\\\"x\\\"\"",
    "\"red\"",
    "\"fine\"",
    "\"\\u0000\\u20ac\\ud83d\\ude00\"",
    "\"12345678-1234-4678-9234-56781234567A\"",
    "\"2024-02-29T12:00:00Z\"",
    "\"2024-02-29t12:00:00.5+01:00\"",
    "\"9999-12-31T23:59:59-01:00\"",
    "\"2024-02-29\"",
    "\"2023-02-29\"",
    "\"12:00:00\"",
    "\"P1DT2H\"",
    "\"a@b.c\"",
    "\"http://a/b\"",
    "\"127.0.0.1\"",
    "\"::1\"",
    "\"GB\"",
    "\"eur\"",
    "\"EUR\"",
    "[]",
    "[null]",
    "[\"a\",\"a\"]",
    "[\"a\",null,\"bb\"]",
    "[\"\"]",
    "[\"123456\"]",
    "[1,1.0]",
    "[[1],[2,0]]",
    "[[0]]",
    "[1,2,3,4,5,6,7]",
    "{}",
    "{\"a\":1}",
    "{\"a\":\"x\"}",
    "{\"b\":1}",
    "{\"a\":-1,\"b\":2}",
    "{\"a\":-1,\"a\":2}",
    "{\"a\":2,\"a\":-1}",
    "{\"inner\":\"x\"}",
    "{\"inner\":1}",
    "{\"left\":{\"right\":{}}}",
    "{\"right\":{\"tree\":{\"children\":[{},{\"left\":1}]}}}",
    "{\"lines\":[],\"country\":\"gb\"}",
];

/// A good message, and what becomes of it: hostile members, absent, unknown and duplicate ones, no object, no JSON.
fn lines(good: &str) -> Vec<String> {
    let members: BTreeMap<String, Value> = serde_json::from_str(good).unwrap();
    let object = |members: &[(String, String)]| {
        let members = members
            .iter()
            .map(|(name, text)| format!("{name:?}:{text}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    let base: Vec<(String, String)> = members
        .iter()
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect();
    let mut lines = vec![
        good.to_owned(),
        format!(" {good}\t"),
        "{}".into(),
        format!("{good} 1"),
        "nonsense".into(),
    ];
    lines.extend(HOSTILE.iter().map(|text| (*text).to_owned()));
    let depth = 200;
    lines.push("{\"left\":".repeat(depth) + "1" + &"}".repeat(depth));
    for at in 0..base.len() {
        let mut without = base.clone();
        let (name, value) = without.remove(at);
        lines.push(object(&without));
        for text in HOSTILE {
            let mut with = base.clone();
            with[at].1 = (*text).to_owned();
            lines.push(object(&with));
            // Duplicates: the last wins, whatever the first was.
            with.push((name.clone(), value.clone()));
            lines.push(object(&with));
        }
        let mut with = base.clone();
        with.insert(0, ("unknown \u{20ac}".into(), "[1.0,{}]".into()));
        lines.push(object(&with));
    }
    lines
}

/// A record's key and value.
type Pair = (Option<Vec<u8>>, Vec<u8>);

/// What the generated code says: the record that it would send, or path and reason.
fn judged<A: AnyOf>(
    message_type: &str,
    version: u32,
    line: &str,
    format: Format,
) -> Result<Pair, Option<(String, String)>> {
    let value =
        format!("json:{{\"type\":\"{message_type}\",\"version\":{version},\"message\":{line}}}");
    // What breaks the envelope too has other words: that it is refused is all that can be compared.
    let rejected = |rejected: Rejected| {
        let path = rejected.path().map(str::to_owned);
        path.map(|path| (path, rejected.reason()))
    };
    let opened = envelope::open_exact(Some(value.as_bytes())).map_err(rejected)?;
    match A::decode(message_type, version, opened.body) {
        Ok(message) => match message.seal(format, "me") {
            Ok(sealed) => Ok((message.key().map(Into::into), sealed)),
            // An integer that MessagePack can't write: the command names no member for it.
            Err(invalid) => Err(Some(("/*".into(), invalid.reason))),
        },
        Err(Failure::Rejected(why)) => Err(rejected(why)),
        Err(_) => panic!("nothing is handled here"),
    }
}

/// Both see the same lines: they accept the same, for the same reasons refuse the same, and write the same bytes.
async fn agree<A: AnyOf>(place: &Place, message_type: &str, version: u32, good: &str) {
    let lines = lines(good);
    for format in Format::ALL {
        let send = format!(
            "send all --type {message_type} --version {version} --format json --set producer.id=me --set producer.format={format}"
        );
        let dry = place.with_lines(&format!("{send} --dry-run"), &lines.join("\n"));
        let mut refused: BTreeMap<usize, (String, String)> = BTreeMap::new();
        for row in dry.stdout.lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            if let Some(line) = row["line"].as_u64() {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                refused.insert(line as usize - 1, (text("path"), text("reason")));
            }
        }
        assert_eq!(refused.get(&0), None, "{good}");
        let mut sent = Vec::new();
        let mut valid = String::new();
        for (index, line) in lines.iter().enumerate() {
            match (
                judged::<A>(message_type, version, line, *format),
                refused.get(&index),
            ) {
                (Ok(record), None) => {
                    sent.push(record);
                    valid += &format!("{line}\n");
                }
                (Err(None), Some(_)) => {}
                (Err(Some(why)), Some(told)) => {
                    assert_eq!(why, *told, "{message_type} v{version}: {line}")
                }
                (Ok(_), Some(told)) => {
                    panic!("{message_type} v{version}: {line} was refused: {told:?}")
                }
                (Err(why), None) => {
                    panic!("{message_type} v{version}: {line} was not refused: {why:?}")
                }
            }
        }
        assert!(
            sent.len() > 20 && refused.len() > 20,
            "{message_type}: {} and {}",
            sent.len(),
            refused.len()
        );
        let topic = format!("{message_type}-{version}-{format}");
        let words = send.replacen("all", &topic, 1) + " --create";
        let ended = place.with_lines(&words, &valid);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let records = place.records(&topic).await;
        let mut found: Vec<_> = records
            .iter()
            .map(|one| {
                (
                    one.key.as_deref().map(<[u8]>::to_vec),
                    one.value.as_ref().unwrap().to_vec(),
                )
            })
            .collect();
        found.sort();
        sent.sort();
        for (found, sent) in found.iter().zip(&sent) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(&found.1), text(&sent.1));
        }
        assert!(found == sent, "{message_type} v{version} in {format}");
    }
}

#[tokio::test]
async fn the_command_and_the_generated_code_agree_about_every_value() {
    let place = Place::with_schemas("crates/logpipe-build/tests/golden/shapes/schemas");
    let shapes = r#"{"id":"12345678-1234-4678-9234-567812345678","flag":true,"u8":1,"i32":-5,"u64":5,"odd_range":3,
        "always":7,"ratio":0.25,"code":"ABC","text":null,"moment":"2024-02-29T12:00:00Z","site":"http://a/b",
        "color":"red","mood":"odd","tags":["a",null],"grid":[[1]],"prices":{"a":1},"anything":[1.0,null],
        "maybe":{"inner":"x"},"tree":{"right":{"tree":{}}},"closed":{"a":1}}"#
        .replace('\n', "");
    agree::<shapes::dispatch::AnyMessage>(&place, "golden.Shapes", 1, &shapes).await;

    let place = Place::with_schemas("schemas");
    let uuid = "12345678-1234-4678-9234-567812345678";
    let person = PERSON.replacen('}', r#","email":"a@example.com"}"#, 1);
    let place_1 = format!(r#"{{"uuid":"{uuid}","name":"x","latitude":1.5,"longitude":-0.25}}"#);
    let thing = format!(r#"{{"uuid":"{uuid}","name":"x","owner":null,"tags":["a"]}}"#);
    let order = format!(
        r#"{{"id":"NO-000000000007","placed_at":"2024-02-29T12:00:00Z","customer":"{uuid}","channel":"web",
        "ship_to":{{"lines":["1 Road"],"country":"GB"}},"lines":[{{"sku":"umbrella-black","quantity":1,"price":19.99}}],
        "total":19.99,"currency":"EUR","gift":true,"labels":{{"a":"b"}},"contact":"a@example.com","deliver_on":"2024-02-29",
        "deliver_from":"12:00:00","hold_for":"P1D","source_ip":"127.0.0.1","referrer":"http://a/b"}}"#
    )
    .replace('\n', "");
    for (message_type, version, good) in [
        ("person", 1, PERSON),
        ("person", 2, &person),
        ("place", 1, &place_1),
        ("thing", 1, &thing),
        ("order", 1, &order),
    ] {
        agree::<nouns::dispatch::AnyMessage>(&place, message_type, version, good).await;
    }
}
