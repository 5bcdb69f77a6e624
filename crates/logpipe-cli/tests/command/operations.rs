//! Operations, on a local log and an SQLite store that the tests fill.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use bytes::Bytes;
use logpipe::Log;
use logpipe::record::{Cursor, Header, LaneId, Record};
use logpipe::sink::NewRecord;
use logpipe::source::{Before, Join};
use logpipe::store::{Claim, Held, LaneKey, Park, Reason, Settlement, Sqlite, Store};
use serde_json::Value;

use crate::Place;

const PERSON: &str =
    r#"json:{"type":"person","version":1,"message":{"name":"J\u00f3e","age":30},"producer":"me"}"#;
const NEWER: &str = r#"json:{ "version": 2, "type": "person", "message": {"name": "Joe"} }"#;

/// `contents` as they stand in `nouns`, all with the key `k` and so in one lane, in order.
async fn filled(place: &Place, contents: &[Option<&[u8]>]) -> (Log, LaneId) {
    filled_topic(place, "nouns", contents).await
}

async fn filled_topic(place: &Place, topic: &str, contents: &[Option<&[u8]>]) -> (Log, LaneId) {
    let log = Log::local(place.path().join("data")).await.unwrap();
    let records = contents.iter().map(|value| NewRecord {
        key: Some(Bytes::from_static(b"k")),
        headers: vec![],
        value: value.map(Bytes::copy_from_slice),
        timestamp: None,
    });
    let sink = log.backend().sink(topic).await.unwrap();
    let mut sent = sink.send(records.collect()).await;
    let lane = sent.pop().unwrap().unwrap().lane;
    assert!(sent.into_iter().all(|sent| sent.unwrap().lane == lane));
    (log, lane)
}

fn json(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The store at the default path, in which `group` has claimed the lane and settled up to `settled`.
async fn claimed(
    place: &Place,
    group: &str,
    log: &Log,
    lane: &LaneId,
    settlement: Settlement,
) -> (Sqlite, Held) {
    let lanes = log.backend().lanes(lane.topic()).await.unwrap();
    let extent = lanes
        .into_iter()
        .find(|extent| extent.lane == *lane)
        .unwrap();
    let store = Sqlite::open(place.path().join("data/app.db"))
        .await
        .unwrap();
    let key = LaneKey {
        consumer: group.into(),
        lane: lane.clone(),
        cluster: extent.cluster,
        incarnation: extent.incarnation,
    };
    let claim = store.claim(&key, Some(&Cursor::Start)).await.unwrap();
    let Some(Claim { epoch, cursor, .. }) = claim else {
        panic!("the claim stores the start");
    };
    let mut held = Held { key, epoch, cursor };
    let next = settlement.cursor.clone();
    let mut session = store.begin(&held).await.unwrap();
    store.settle(&mut session, settlement).await.unwrap();
    store.commit(session).await;
    held.cursor = next.unwrap_or(held.cursor);
    (store, held)
}

fn parked(lane: &LaneId, position: u64, value: &[u8], kind: &str) -> Park {
    Park {
        record: Record {
            lane: lane.clone(),
            position: position.into(),
            timestamp: None,
            key: Some(Bytes::from_static(b"secret-key")),
            headers: vec![Header {
                name: "h".into(),
                value: Bytes::new(),
            }]
            .into(),
            value: Some(Bytes::copy_from_slice(value)),
        },
        reason: Reason {
            kind: kind.into(),
            text: "no email".into(),
        },
        attempts: 5,
        blocks_key: false,
    }
}

#[tokio::test]
async fn topics_and_versions_tell_what_is_left() {
    let place = Place::new();
    let values = [
        Some(PERSON.as_bytes()),
        Some(NEWER.as_bytes()),
        Some(PERSON.as_bytes()),
        Some(b"rubbish"),
        None,
    ];
    let (log, _) = filled(&place, &values).await;

    let topics = json(&place.done("topics --format json"));
    assert_eq!(
        (
            &topics[0]["topic"],
            &topics[0]["lanes"],
            &topics[0]["records"]
        ),
        (&"nouns".into(), &4.into(), &5.into())
    );
    let human = place.done("topics");
    assert!(
        human.starts_with("topic  lanes  records  oldest\nnouns      4        5  "),
        "{human}"
    );

    let versions = json(&place.done("versions nouns --format json"));
    let rows: Vec<_> = versions
        .iter()
        .map(|row| {
            (
                &row["type"],
                &row["version"],
                &row["rejection"],
                &row["records"],
            )
        })
        .collect();
    let (person, null) = (Value::from("person"), Value::Null);
    assert_eq!(
        rows,
        [
            (&person, &1.into(), &null, &2.into()),
            (&person, &2.into(), &null, &1.into()),
            (&null, &null, &"Malformed".into(), &1.into()),
            (&null, &null, &"Tombstone".into(), &1.into()),
        ]
    );
    assert!(
        versions
            .iter()
            .all(|row| row["oldest"].is_string() && row["youngest"].is_string())
    );

    // What retention removed is not there, and no fault.
    let second = Before::Position(3_u64.into());
    log.trim("nouns", second).await.unwrap();
    let left = json(&place.done("versions nouns --format json"));
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(place.done("tail nouns").lines().count(), 2);

    let absent = place.run("versions noun");
    assert_eq!(
        (absent.code, absent.stderr.as_str()),
        (1, "logpipe: there is no topic `noun`; there are nouns\n")
    );
}

#[tokio::test]
async fn tail_shows_the_newest_decoded_or_raw() {
    let place = Place::new();
    let many: Vec<_> = (0..1200)
        .map(|n| format!(r#"json:{{"type":"n","version":1,"message":{{"n":{n}}}}}"#))
        .collect();
    let mut values: Vec<Option<&[u8]>> = many.iter().map(|value| Some(value.as_bytes())).collect();
    let hostile: &[u8] = b"json:\x1b[31m\xff";
    values.extend([Some(hostile), None, Some(NEWER.as_bytes())]);
    let (_log, lane) = filled(&place, &values).await;

    let newest = json(&place.done("tail nouns -n 4 --format json"));
    let at = |n: usize| {
        newest[n]["position"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!((newest.len(), at(0), at(3)), (4, 1199, 1202));
    assert_eq!(newest[0]["message"]["n"], 1199);
    assert_eq!(
        (&newest[1]["rejection"], &newest[2]["rejection"]),
        (&"Malformed".into(), &"Tombstone".into())
    );
    assert_eq!(
        (&newest[3]["type"], &newest[3]["version"], &newest[3]["key"]),
        (&"person".into(), &2.into(), &"k".into())
    );

    let human = place.done("tail nouns -n 1");
    assert!(human.starts_with(&format!("{lane} 1202 ")), "{human}");
    assert!(
        human.ends_with(" k person v2 {\"name\":\"Joe\"}\n"),
        "{human}"
    );
    let raw = place.done("tail nouns -n 3 --raw");
    assert!(raw.contains(" 6a736f6e3a1b5b33316dff\n"), "{raw}");
    assert!(raw.ends_with(&format!(" k {NEWER}\n")), "{raw}");

    assert_eq!(
        place.done("tail nouns --from earliest").lines().count(),
        1203
    );
    assert_eq!(place.done("tail nouns --from 2999-01-01T00:00:00Z"), "");
    assert_eq!(place.run("tail nouns --from yesterday").code, 2);
    assert_eq!(place.done("tail nouns -n 0"), "");
}

#[tokio::test]
async fn a_closed_pipe_is_no_failure() {
    let place = Place::new();
    let (log, lane) = filled(&place, &[Some(PERSON.as_bytes()); 5]).await;
    let settlement = Settlement {
        cursor: Some(Cursor::After(1.into())),
        parked: vec![parked(&lane, 0, b"rubbish", "Malformed")],
        ..Settlement::default()
    };
    claimed(&place, "nouns", &log, &lane, settlement).await;
    for words in [
        "topics",
        "tail nouns",
        "tail nouns --raw",
        "tail nouns --follow",
        "versions nouns",
        "versions nouns --format json",
        "lag",
        "offsets show",
        "offsets set nouns nouns --to latest",
        "parked list",
        "parked show 1",
    ] {
        place.unread(words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_follows_what_is_written_while_it_runs() {
    let place = Place::new();
    let (log, lane) = filled(&place, &[Some(PERSON.as_bytes())]).await;
    let mut command = place.command(["tail", "nouns", "--follow", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || json(&lines.next().unwrap().unwrap()).remove(0);
    assert_eq!(next()["position"], "0");

    let record = NewRecord {
        key: Some(Bytes::from_static(b"k")),
        headers: vec![],
        value: Some(Bytes::from_static(NEWER.as_bytes())),
        timestamp: None,
    };
    let sink = log.backend().sink(lane.topic()).await.unwrap();
    sink.send(vec![record]).await.remove(0).unwrap();
    let followed = next();
    assert_eq!(
        (&followed["position"], &followed["version"]),
        (&"1".into(), &2.into())
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn lag_counts_what_follows_and_names_what_the_log_lost() {
    let place = Place::new();
    let (log, lane) = filled(&place, &[Some(PERSON.as_bytes()); 5]).await;
    let settled = Settlement {
        cursor: Some(Cursor::After(1.into())),
        ..Settlement::default()
    };
    claimed(&place, "nouns", &log, &lane, settled).await;

    let rows = json(&place.done("lag --format json"));
    assert_eq!(
        (&rows[0]["group"], &rows[0]["cursor"], &rows[0]["behind"]),
        (&"nouns".into(), &"after:1".into(), &3.into())
    );
    let unknown = place.run("lag nobody");
    assert_eq!(unknown.code, 1);

    let beyond = Settlement {
        cursor: Some(Cursor::After(900.into())),
        ..Settlement::default()
    };
    claimed(&place, "beyond", &log, &lane, beyond).await;
    let lost = place.run("lag beyond");
    assert_eq!(lost.code, 1, "{}", lost.stdout);
    assert!(
        lost.stdout.contains("after:900  Truncated"),
        "{}",
        lost.stdout
    );
    assert!(lost.stderr.contains("offsets set"), "{}", lost.stderr);

    // A topic that is gone has nowhere to move a position to: what is named has to be possible.
    drop(log);
    for file in ["log.db", "log.db-wal", "log.db-shm"] {
        let _ = fs::remove_file(place.path().join("data").join(file));
    }
    let (_log, _) = filled_topic(&place, "other", &[Some(PERSON.as_bytes())]).await;
    let gone = place.run("lag nouns");
    assert_eq!(gone.code, 1, "{}", gone.stdout);
    assert!(gone.stdout.contains("after:1   Deleted"), "{}", gone.stdout);
    assert!(gone.stderr.contains("made again first"), "{}", gone.stderr);
    let (_log, _) = filled(&place, &[Some(PERSON.as_bytes())]).await;
    place.done("offsets set nouns nouns --to earliest --execute");
    let cured = json(&place.done("lag nouns --format json"));
    assert_eq!(cured[0]["behind"], 1, "{cured:?}");
}

#[tokio::test]
async fn offsets_move_only_when_told_to_and_while_nobody_reads() {
    let place = Place::new();
    let (log, lane) = filled(&place, &[Some(PERSON.as_bytes()); 5]).await;
    let settled = Settlement {
        cursor: Some(Cursor::After(3.into())),
        ..Settlement::default()
    };
    let (store, held) = claimed(&place, "nouns", &log, &lane, settled).await;
    let cursor = || json(&place.done("offsets show nouns --format json"))[0]["cursor"].clone();

    let set = format!(
        "offsets set nouns nouns --shard {} --to after:1",
        lane.shard()
    );
    let dry = place.run(&set);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("after:3  after:1"), "{}", dry.stdout);
    assert!(dry.stderr.contains("--execute"), "{}", dry.stderr);
    assert_eq!(cursor(), "after:3");

    let join = Join {
        group: "nouns".into(),
        topics: vec!["nouns".into()],
        instance_id: None,
    };
    let member = log.backend().join(join).await.unwrap();
    member.event().await.unwrap();
    let refused = place.run(&format!("{set} --execute"));
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert_eq!(cursor(), "after:3");
    member.leave().await.unwrap();

    place.done(&format!("{set} --execute"));
    assert_eq!(cursor(), "after:1");
    // Who held the lane has lost it.
    let late = store.begin(&held).await.err().expect("fenced");
    assert!(late.is_fenced(), "{late}");

    let outside = place.run(&format!(
        "offsets set nouns nouns --shard {} --to after:77 --execute",
        lane.shard()
    ));
    assert_eq!(outside.code, 1);
    assert_eq!(
        place
            .run("offsets set nouns nouns --shard 99 --to latest")
            .code,
        1
    );
    assert_eq!(place.run("offsets set nouns nouns --to yesterday").code, 2);
    place.done("offsets set nouns nouns --to latest --execute");
    assert_eq!(json(&place.done("lag nouns --format json"))[0]["behind"], 0);

    // A name that nobody has a position under is a slip, or has to be meant.
    for words in [
        "offsets show nobody",
        "offsets set nobody nouns --to earliest",
        "offsets set nobody nouns --to earliest --execute",
        "lag nobody",
    ] {
        let ended = place.run(words);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (1, ""),
            "{words}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("a group `nobody`"),
            "{words}: {}",
            ended.stderr
        );
    }
    place.done("offsets set nobody nouns --to earliest --new-group --execute");
    assert_eq!(
        json(&place.done("offsets show nobody --format json")).len(),
        4
    );
}

#[tokio::test]
async fn parked_records_are_listed_shown_redriven_and_dropped() {
    let place = Place::new();
    let (log, lane) = filled(&place, &[Some(PERSON.as_bytes()); 3]).await;
    let settlement = Settlement {
        cursor: Some(Cursor::After(2.into())),
        parked: vec![
            parked(&lane, 0, PERSON.as_bytes(), "Invalid"),
            parked(&lane, 1, b"rubbish", "Malformed"),
            parked(&lane, 2, PERSON.as_bytes(), "Invalid"),
        ],
        ..Settlement::default()
    };
    claimed(&place, "nouns", &log, &lane, settlement).await;

    let list = place.done("parked list");
    assert_eq!(list.lines().count(), 4, "{list}");
    assert!(
        !list.contains("secret-key") && !list.contains("Joe"),
        "{list}"
    );
    assert_eq!(
        json(&place.done("parked list --kind Invalid --format json")).len(),
        2
    );
    let id = json(&place.done("parked list --kind Malformed --format json"))[0]["id"].to_string();

    let shown = place.done(&format!("parked show {id} --raw"));
    assert!(shown.ends_with(" secret-key rubbish\n"), "{shown}");
    for words in [
        "parked show 999".to_owned(),
        "parked redrive 999".to_owned(),
        format!("parked redrive {id} 999"),
        "parked drop 999".to_owned(),
        format!("parked drop {id} 999 --execute"),
        format!("parked redrive {id} --kind Invalid"),
    ] {
        let ended = place.run(&words);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (1, ""),
            "{words}: {}",
            ended.stderr
        );
    }
    let untouched = json(&place.done("parked list --format json"));
    assert!(
        untouched.len() == 3 && untouched.iter().all(|row| row["state"] == "parked"),
        "{untouched:?}"
    );

    for words in ["parked redrive", "parked drop --execute"] {
        assert_eq!(place.run(words).code, 2, "{words}");
    }
    assert_eq!(place.done("parked redrive --kind Invalid"), "2 ready\n");
    assert_eq!(place.done("parked redrive --kind Invalid"), "0 ready\n");
    assert_eq!(
        place.done(&format!("parked drop {id}")),
        "1 would be dropped\n"
    );
    assert_eq!(place.done("parked list").lines().count(), 4);
    assert_eq!(
        place.done(&format!("parked drop {id} --execute")),
        "1 dropped\n"
    );
    assert_eq!(place.done("parked list").lines().count(), 3);
    assert_eq!(
        place.done("parked drop --all --execute --format json"),
        "{\"dropped\":2}\n"
    );
    assert_eq!(place.done("parked list"), "");
}

#[test]
fn what_is_not_there_ends_with_3_and_is_not_made() {
    let place = Place::new();
    let log = [
        "topics",
        "tail nouns",
        "versions nouns",
        "lag",
        "offsets show",
    ];
    let store = ["parked list", "parked redrive --all"];
    for words in log.iter().chain(&store) {
        let ended = place.run(words);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (3, ""),
            "{words}: {}",
            ended.stderr
        );
    }
    assert!(!place.path().join("data").exists());
    place.write(
        "data/log.db",
        "this is no database, whatever its name says, and long enough to be one",
    );
    assert_eq!(
        place.run("topics").code,
        3,
        "{}",
        place.run("topics").stderr
    );
}
