//! Where the broker alone keeps the position: is what can't be handled on the dead-letter topic, whole, before the position
//! moves past it?

use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use logpipe::record::{Cursor, Header, LaneId, Record};
use logpipe::sink::NewRecord;
use logpipe::source::{Budget, Fetched, Opened};
use logpipe::{Broker, Consumer, Error, Log};
use logpipe_servers::kafka::{create_topic, shared};

use crate::support::{self, Note, PATIENCE, Running, Seen, until};

/// The header values' bytes are theirs alone.
const BINARY: &[u8] = &[0, 159, 255];

fn header(name: &str, value: &'static [u8]) -> Header {
    Header {
        name: name.into(),
        value: Bytes::from_static(value),
    }
}

fn note(number: i64, headers: Vec<Header>) -> NewRecord {
    let value =
        format!(r#"json:{{"type":"note","version":1,"message":{{"id":"a","number":{number}}}}}"#);
    NewRecord {
        // Each a key of its own, so that nobody waits behind another.
        key: Some(Bytes::from(number.to_string())),
        headers,
        value: Some(Bytes::from(value)),
        timestamp: Some(Timestamp::from_millisecond(1_700_000_000_123 + number).unwrap()),
    }
}

/// All that a topic of one partition holds.
async fn read(log: &Log, topic: &str, records: usize) -> Vec<Record> {
    let lane = LaneId::new(topic, "0");
    let opened = log.backend().read(&lane, &Cursor::Start).await.unwrap();
    let Opened::Reader(mut reader) = opened else {
        panic!("{topic} can't be read");
    };
    let budget = Budget {
        records: 100,
        bytes: 1 << 20,
    };
    let (mut all, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        assert!(Instant::now() < deadline, "{} records came", all.len());
        let Fetched::Records(fetched) = reader.fetch(budget).await.unwrap() else {
            panic!("{topic} is not what it was");
        };
        all.extend(fetched.records);
        if fetched.at_end && all.len() >= records {
            return all;
        }
        reader.ready().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_whole_on_the_dead_letter_topic_before_the_position_moves() {
    let (bootstrap, topic) = (shared(), format!("poison-{}", std::process::id()));
    let dead = format!("{topic}.dead");
    create_topic(&bootstrap, &topic, 1).await.unwrap();
    let log = support::log(&bootstrap);
    let sink = log.backend().sink(&topic).await.unwrap();
    let poison = note(
        1,
        vec![
            header("trace", b"one"),
            header("trace", BINARY),
            header("empty", b""),
        ],
    );
    let malformed = NewRecord {
        key: None,
        headers: Vec::new(),
        value: Some(Bytes::from_static(BINARY)),
        timestamp: poison.timestamp,
    };
    let sent = [note(0, Vec::new()), poison, malformed, note(3, Vec::new())];
    for result in sink.send(sent.to_vec()).await {
        result.unwrap();
    }

    let seen = Seen::default();
    let consumer = Consumer::<Broker>::new(log.source(&*topic))
        .group(&topic)
        .dead_letter(&dead)
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            if note.number == 1 {
                return Err(Error::park("nobody wants it"));
            }
            seen.push(note.number);
            Ok(())
        });
    let running = Running::start(consumer);
    let position = async || {
        let saved = log.backend().saved(&topic).await.unwrap();
        saved.into_iter().next().map(|(_, cursor)| cursor)
    };
    // It does not exist, so nobody acknowledges what is parked.
    until("the lane waits", || running.why().contains(&dead)).await;
    assert!(
        running.why().contains("kafka-topics.sh --create"),
        "{}",
        running.why()
    );
    let stays = [Some(Cursor::Start), Some(Cursor::After(0.into()))];
    assert!(stays.contains(&position().await), "{:?}", position().await);

    create_topic(&bootstrap, &dead, 1).await.unwrap();
    until("all are settled", || seen.all().last() == Some(&3)).await;
    running.idle().await;
    let outcome = running.stop().await;
    assert_eq!((outcome.handled, outcome.parked), (2, 2));
    assert_eq!(position().await, Some(Cursor::After(3.into())));

    let parked = read(&log, &dead, 2).await;
    assert_eq!(parked.len(), 2, "each is parked once");
    for (parked, (original, position, reason, text, attempts)) in parked.iter().zip([
        (&sent[1], "1", "Refused", "nobody wants it", "1"),
        // No handler was tried.
        (&sent[2], "2", "Malformed", "malformed", "0"),
    ]) {
        assert!(parked.value == original.value && parked.key == original.key);
        assert!(parked.timestamp > original.timestamp, "it is of now");
        let written = original.timestamp.unwrap().to_string();
        let (own, origin) = parked.headers.split_at(original.headers.len());
        assert!(
            own == original.headers,
            "its own headers come first, as they were"
        );
        let origin: Vec<(&str, &str)> = origin
            .iter()
            .map(|header| (&*header.name, std::str::from_utf8(&header.value).unwrap()))
            .collect();
        let why = origin
            .iter()
            .find(|(name, _)| *name == "logpipe-reason-text");
        let (_, why) = *why.unwrap();
        assert!(why.contains(text), "{why}");
        assert_eq!(
            origin,
            [
                ("logpipe-consumer", &*topic),
                ("logpipe-origin-topic", &*topic),
                ("logpipe-origin-lane", "0"),
                ("logpipe-origin-position", position),
                ("logpipe-reason", reason),
                ("logpipe-reason-text", why),
                ("logpipe-attempts", attempts),
                ("logpipe-origin-timestamp", &*written),
            ]
        );
    }
}
