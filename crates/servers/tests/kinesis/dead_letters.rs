//! Does what can't be handled get to the dead-letter stream whole, on a log without headers, and before the position moves?

use std::time::Duration;

use bytes::Bytes;
use logpipe::record::{Cursor, Position, Record};
use logpipe::sink::{NewRecord, Sent};
use logpipe::source::Backend;
use logpipe::store::sqlite::rusqlite::Connection;
use logpipe::store::{Administration, Sqlite};
use logpipe::{Broker, Consumer, Cx, Error, Log, Store};
use serde_json::Value;

use crate::shared::{self, IDLE, Note, Running, Seen, until};
use crate::{Bed, GROUP, STREAM, read_all, soon};

const DEAD: &str = "nouns-dead";

async fn bed() -> Bed {
    let bed = Bed::new(1).await;
    bed.server.admin().create(DEAD, 1).await;
    bed
}

/// Any bytes: what of them is a message, and what is none, must come back as it was.
async fn send(bed: &Bed, key: Option<&str>, value: &[u8]) -> Sent {
    let sink = bed.log.sink(STREAM).await.unwrap();
    let record = NewRecord {
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        headers: Vec::new(),
        value: Some(Bytes::copy_from_slice(value)),
        timestamp: None,
    };
    soon(sink.send(vec![record])).await.remove(0).unwrap()
}

fn note(id: &str, number: i64) -> Vec<u8> {
    format!(r#"json:{{"type":"note","version":1,"message":{{"id":"{id}","number":{number}}}}}"#)
        .into_bytes()
}

/// A consumer whose handler refuses numbers below zero.
fn consumer<S: Store>(bed: &Bed, store: S, seen: &Seen) -> Consumer<S> {
    let log = Log::new(bed.log.clone());
    Consumer::with_store(log.source(STREAM), store)
        .group(GROUP)
        .dead_letter(DEAD)
        .set(|settings| {
            settings.retry.attempts = 2;
            settings.retry.first_delay_ms = 10;
        })
        .on_with(
            seen.clone(),
            async |seen: &Seen, note: Note, _: &mut Cx<S>| {
                if note.number < 0 {
                    return Err(Error::msg("below zero"));
                }
                seen.push(note.number);
                Ok(())
            },
        )
}

/// What is in the dead-letter stream, taken apart as the documentation says.
async fn letters(bed: &Bed) -> Vec<(Record, Value, Vec<u8>)> {
    let lane = bed.log.lanes(DEAD).await.unwrap().remove(0).lane;
    let mut reader = bed.open(&lane, &Cursor::Start).await;
    let letters = read_all(&mut *reader).await.into_iter();
    let part = |record: Record| {
        let value = record.value.as_deref().unwrap();
        let rest = value.strip_prefix(b"logpipe-dead-letter:").unwrap();
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let line = serde_json::from_slice(&rest[..end]).unwrap();
        let value = rest[end + 1..].to_vec();
        (record, line, value)
    };
    letters.map(part).collect()
}

async fn saved(bed: &Bed) -> Option<Cursor> {
    let saved = bed.log.saved(GROUP).await.unwrap();
    let of = saved.into_iter().find(|(lane, _)| lane.topic() == STREAM);
    of.map(|(_, cursor)| cursor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_holds_the_record_byte_for_byte_and_can_be_sent_again() {
    let bed = bed().await;
    let bytes: Vec<u8> = (0..=255).chain(*b"\n\n").collect();
    let sent = [
        send(&bed, Some("a"), &note("a", 1)).await,
        send(&bed, Some("a"), &note("a", -1)).await,
        send(&bed, None, &bytes).await,
        send(&bed, Some("é"), b"").await,
        send(&bed, Some("a"), &note("a", 2)).await,
    ];
    let seen = Seen::default();
    let outcome = shared::run(consumer(&bed, Broker, &seen)).await;
    assert!(outcome.held.is_empty(), "{:?}", outcome.held);
    assert_eq!((outcome.handled, outcome.parked), (2, 3));
    assert_eq!(seen.all(), [1, 2]);
    assert_eq!(
        saved(&bed).await,
        Some(Cursor::After(sent[4].position.clone()))
    );

    let mut letters = letters(&bed).await;
    assert_eq!(letters.len(), 3);
    letters.sort_by_key(|(_, line, _)| {
        let position = line["logpipe-origin-position"].as_str().unwrap();
        position.parse::<Position>().unwrap()
    });
    let expected = [
        (1, Some("a"), note("a", -1), "Failed", "below zero", "2"),
        (2, None, bytes, "UnknownFormat", "", "0"),
        (3, Some("é"), Vec::new(), "Malformed", "", "0"),
    ];
    for ((record, line, value), (n, key, bytes, reason, text, attempts)) in
        letters.iter().zip(expected)
    {
        assert_eq!(record.key.as_deref(), key.map(str::as_bytes));
        assert_eq!(*value, bytes);
        let member = |name: &str| line[name].as_str().unwrap().to_owned();
        assert_eq!(member("logpipe-consumer"), GROUP);
        assert_eq!(member("logpipe-origin-topic"), STREAM);
        assert_eq!(member("logpipe-origin-lane"), sent[n].lane.shard());
        assert_eq!(
            member("logpipe-origin-position"),
            sent[n].position.to_string()
        );
        assert_eq!(member("logpipe-reason"), reason);
        assert!(member("logpipe-reason-text").contains(text), "{line}");
        assert_eq!(member("logpipe-attempts"), attempts);
        let written = member("logpipe-origin-timestamp");
        written.parse::<jiff::Timestamp>().unwrap();
    }

    // Nobody takes a dead letter for the message in it; and what is in it can be sent as it was. Nothing of them is parked.
    let reading = Consumer::new(Log::new(bed.log.clone()).source(DEAD))
        .group("dead")
        .on_unknown_format(logpipe::Policy::Skip)
        .dead_letter(STREAM)
        .on(async |_: Note, _: &mut Cx| Ok(()));
    let read = shared::run(reading).await;
    assert_eq!((read.handled, read.skipped, read.parked), (0, 3, 0));
    send(&bed, Some("a"), &letters[0].2).await;
    let again = shared::run(consumer(&bed, Broker, &seen)).await;
    assert_eq!((again.handled, again.parked), (0, 1));
}

/// Refused for good: the lane is held, and says by whom and what to do. Once that is done it goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_position_waits_for_the_acknowledgement() {
    tokio::join!(
        waits_for_the_acknowledgement(false),
        waits_for_the_acknowledgement(true)
    );
}

async fn waits_for_the_acknowledgement(in_sql: bool) {
    let bed = bed().await;
    let sent = [
        send(&bed, Some("a"), &note("a", 1)).await,
        send(&bed, Some("b"), &note("b", -1)).await,
        send(&bed, Some("b"), &note("b", 2)).await,
    ];
    let file = bed.folder.path().join("app.db");
    let sqlite = Sqlite::open(&file).await.unwrap();
    let seen = Seen::default();
    let start = || match in_sql {
        true => Running::start(consumer(&bed, sqlite.clone(), &seen)),
        false => Running::start(consumer(&bed, Broker, &seen)),
    };
    let position = async || match in_sql {
        true => {
            let lanes = sqlite.lanes(Some(GROUP)).await.unwrap();
            Some(lanes.into_iter().next()?.cursor)
        }
        false => saved(&bed).await,
    };
    let state = |running: &Running| match running.monitor.health().consumers[0].lanes.first() {
        Some(lane) => lane.state.to_string(),
        None => String::new(),
    };
    let before = Some(Cursor::After(sent[0].position.clone()));

    bed.server.faults().deny("PutRecords");
    let running = start();
    until("the lane is held", || state(&running).contains("held: ")).await;
    let why = state(&running);
    assert!(why.contains(&format!("dead-letter topic {DEAD}")), "{why}");
    assert!(why.contains("allow kinesis:PutRecords"), "{why}");
    assert!(why.contains(&sent[1].position.to_string()), "{why}");
    assert_eq!(position().await, before);
    let held = running.stop().await;
    assert_eq!((held.handled, held.parked), (1, 0));
    assert_eq!(position().await, before);
    assert_eq!(seen.all(), [1]);

    // An answer that is lost is no acknowledgement: the letter is written again, and never left out.
    bed.server.faults().allow("PutRecords");
    bed.server.faults().lose_answers(1);
    let running = start();
    until("the rest is handled", || seen.all() == [1, 2]).await;
    let rest = running.stop().await;
    assert_eq!((rest.handled, rest.parked), (1, 1));
    let after = Some(Cursor::After(sent[2].position.clone()));
    assert_eq!(position().await, after);
    let written = letters(&bed).await;
    assert_eq!(written.len(), 2);
    assert!(written.iter().all(|(_, _, value)| *value == note("b", -1)));
}

/// A transaction of SQLite holds the whole file, and a topic may take minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_to_the_database_while_the_topic_has_not_answered() {
    let bed = bed().await;
    send(&bed, Some("a"), &note("a", -1)).await;
    let file = bed.folder.path().join("app.db");
    let sqlite = Sqlite::open(&file).await.unwrap();
    let faults = bed.server.faults();
    let before = faults.calls("PutRecords");
    faults.delay("PutRecords", Duration::from_secs(6));
    let running = Running::start(consumer(&bed, sqlite, &Seen::default()));
    until("the dead letter is on its way", || {
        faults.calls("PutRecords") > before
    })
    .await;
    let parked = || running.monitor.health().consumers[0].parked;
    let other = Connection::open(&file).unwrap();
    other.busy_timeout(Duration::from_secs(2)).unwrap();
    let written = other.execute_batch("create table others (number integer)");
    written.expect("nobody holds the file");
    assert_eq!(parked(), 0);
    until("it is parked", || parked() == 1).await;
    assert_eq!(running.stop().await.parked, 1);
    assert_eq!(letters(&bed).await.len(), 1);
}

/// A record that the stream took has no room for what a dead letter adds: held, and never passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_too_large_with_its_reason_holds_the_lane() {
    let bed = bed().await;
    let large = vec![b'x'; (1 << 20) - 10];
    send(&bed, Some("a"), &large).await;
    send(&bed, Some("b"), &note("b", 1)).await;
    let seen = Seen::default();
    let service = consumer(&bed, Broker, &seen).idle_timeout(IDLE);
    let outcome = Running::start(service).ended().await;
    assert_eq!((outcome.handled, outcome.parked), (0, 0));
    let [held] = &outcome.held[..] else {
        panic!("{:?}", outcome.held);
    };
    assert!(
        held.why.contains("raise its maximum record size"),
        "{}",
        held.why
    );
    assert!(letters(&bed).await.is_empty());
    assert!(matches!(saved(&bed).await, Some(Cursor::Start)));
}
