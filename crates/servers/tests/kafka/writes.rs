//! What becomes of a record that is not acknowledged, and of those behind it?

use std::time::{Duration, Instant};

use logpipe::sink::{SendError, Sent};
use logpipe::store::Memory;
use logpipe::{Log, Producer};
use logpipe_servers::kafka::{Broker, Settings, create_topic, shared};

use crate::support::{Note, PATIENCE, Seen, consumer, log, notes, run, send, settings};

/// Within this a producer gives a record up.
const GIVES_UP: Duration = Duration::from_secs(3);

fn impatient(bootstrap: &str) -> Log {
    let millis = GIVES_UP.as_millis().to_string();
    let settings = settings(bootstrap).client("message.timeout.ms", millis);
    Log::new(settings.build().unwrap())
}

/// What the topic holds, by the numbers of its notes.
async fn read(bootstrap: &str, topic: &str) -> Vec<i64> {
    let seen = Seen::default();
    let outcome = run(consumer(&log(bootstrap), topic, Memory::new(), &seen)).await;
    assert!(outcome.held.is_empty(), "{outcome:?}");
    seen.all()
}

async fn give_up(producer: &Producer, note: &Note) -> SendError {
    match tokio::time::timeout(PATIENCE, producer.send(note)).await {
        Ok(sent) => sent.unwrap_err(),
        Err(_) => panic!("the producer does not give up"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_written_is_told_from_what_may_have_been() {
    let mut broker = Broker::start_with(&Settings {
        properties: vec![("message.max.bytes".into(), "10000".into())],
        ..Settings::default()
    })
    .unwrap();
    let bootstrap = broker.bootstrap();
    create_topic(&bootstrap, "t", 1).await.unwrap();
    let producer = impatient(&bootstrap).producer("t").await.unwrap();
    let [first, silent, absent, last] = <[Note; 4]>::try_from(notes(0..4)).unwrap();
    producer.send(&first).await.unwrap();

    // Nothing that compresses, and more than the broker takes.
    let mut digits = 1_u64;
    let mut digit = || {
        digits = digits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'!' + (digits >> 33) as u8 % 64)
    };
    let large = Note {
        id: (0..50_000).map(|_| digit()).collect(),
        number: -1,
    };
    let refused = give_up(&producer, &large).await;
    assert!(!refused.may_have_been_written(), "{refused}");
    assert!(!refused.is_retriable(), "{refused}");
    assert!(
        refused.to_string().contains("`max.message.bytes`"),
        "{refused}"
    );

    // It has the record and does not answer.
    broker.process().signal("STOP").unwrap();
    let unknown = give_up(&producer, &silent).await;
    assert!(unknown.may_have_been_written(), "{unknown}");
    broker.process().signal("CONT").unwrap();
    producer.send(&last).await.unwrap();

    broker.kill();
    let unsent = give_up(&producer, &absent).await;
    assert!(!unsent.may_have_been_written(), "{unsent}");
    assert!(unsent.is_retriable(), "{unsent}");
    assert!(
        unsent.to_string().contains("Connection refused"),
        "{unsent}"
    );
    broker.up().unwrap();
    let left = read(&bootstrap, "t").await;
    assert!(left == [0, 3] || left == [0, 1, 3], "{left:?}");
}

/// A broker that lost its last records lost count of what the producer wrote, too: librdkafka gives such a producer up.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_lost_to_a_fatal_error_is_replaced() {
    let mut broker = Broker::start().unwrap();
    let bootstrap = broker.bootstrap();
    create_topic(&bootstrap, "t", 1).await.unwrap();
    let producer = log(&bootstrap).producer("t").await.unwrap();
    producer.send_all(&notes(0..3)).await.unwrap();
    broker.stop().unwrap();
    broker.save("three").unwrap();
    broker.up().unwrap();
    producer.send_all(&notes(3..6)).await.unwrap();
    broker.stop().unwrap();
    broker.restore("three").unwrap();
    broker.up().unwrap();

    let lost = producer.send_all(&notes(6..9)).await.unwrap_err();
    // By the word of librdkafka, which can't reason about them any more.
    for result in &lost.results {
        let failed = result.as_ref().unwrap_err();
        assert!(
            failed.may_have_been_written() && failed.is_retriable(),
            "{failed}"
        );
    }
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = producer.send_all(&notes(6..9)).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    producer.send_all(&notes(9..12)).await.unwrap();
    assert_eq!(read(&bootstrap, "t").await, [0, 1, 2, 6, 7, 8, 9, 10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_slows_down_and_loses_nothing() {
    const RECORDS: i64 = 5_000;
    let (bootstrap, topic) = (shared(), format!("full-{}", std::process::id()));
    create_topic(&bootstrap, &topic, 1).await.unwrap();
    let small = settings(&bootstrap).client("queue.buffering.max.messages", "10");
    let log = Log::new(small.build().unwrap());
    let producer = log.producer(&topic).await.unwrap();
    // All at once, and in the order of their calls.
    let notes = notes(0..RECORDS);
    let (first, second) = notes.split_at(notes.len() / 2);
    let (first, second) = tokio::join!(producer.send_all(first), producer.send_all(second));
    let sent: Vec<Sent> = first.unwrap().into_iter().chain(second.unwrap()).collect();
    let positions = sent.iter().map(|sent| sent.position.number().unwrap());
    assert!(positions.eq(0..RECORDS as u64));
    send(&log, &topic, [RECORDS]).await;
    assert!(read(&bootstrap, &topic).await.into_iter().eq(0..=RECORDS));
}
