//! Is every record handled that others can see, and no other: of transactions, of partitions that come later, by handlers
//! that take their time?

use std::time::{Duration, Instant};

use logpipe::record::{Cursor, LaneId, Start};
use logpipe::store::{Administration, Memory};
use logpipe::{Broker, Consumer, Error, Log};
use logpipe_servers::kafka::{create_topic, shared};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::{self, Note, PATIENCE, Running, Seen, consumer, run, send, until};

async fn topic(name: &str, partitions: i32) -> String {
    let topic = format!("{name}-{}", std::process::id());
    create_topic(&shared(), &topic, partitions).await.unwrap();
    topic
}

/// Writes notes as one transaction, which is left as it is.
fn write(producer: &BaseProducer, topic: &str, numbers: std::ops::Range<i64>) {
    producer.begin_transaction().unwrap();
    for number in numbers {
        let value = format!(
            r#"json:{{"type":"note","version":1,"message":{{"id":"a","number":{number}}}}}"#
        );
        let record = BaseRecord::to(topic).key("a").payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Marks of transactions and records of aborted ones take offsets and are nobody's records; those of one that is open
/// may become some.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_committed_is_read_and_ends_are_found_behind_the_rest() {
    let topic = topic("transactions", 1).await;
    let lane = LaneId::new(&*topic, "0");
    let (log, seen) = (support::log(&shared()), Seen::default());
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", shared())
        .set("transactional.id", &topic)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for (numbers, is_kept) in [
        (0..5, true),
        (5..10, false),
        (10..13, true),
        (13..20, false),
    ] {
        write(&producer, &topic, numbers);
        match is_kept {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
    }
    // Twenty records and four marks.
    let committed: Vec<i64> = (0..5).chain(10..13).collect();
    let behind = |seen: &Seen| {
        let seen = seen.clone();
        let (log, lane, topic) = (log.clone(), lane.clone(), topic.clone());
        async move {
            let saved = log.backend().saved(&topic).await.unwrap();
            let extent = log.backend().lanes(&topic).await.unwrap();
            (seen.all(), saved, extent[0].last.clone(), lane)
        }
    };
    let outcome = run(consumer(&log, &topic, Broker, &seen)).await;
    assert_eq!(outcome.handled, 8);
    let (all, saved, last, lane) = behind(&seen).await;
    assert_eq!(all, committed);
    assert_eq!(last, Some(23.into()), "the end is behind the last mark");
    assert_eq!(saved, [(lane, Cursor::After(23.into()))], "nothing is left");

    // One that is open hides what others commit behind it, and is no reason to be busy.
    write(&producer, &topic, 20..22);
    send(&log, &topic, [30]).await;
    assert_eq!(run(consumer(&log, &topic, Broker, &seen)).await.handled, 0);
    let (_, _, last, _) = behind(&seen).await;
    assert_eq!(last, Some(23.into()), "what is hidden counts for nothing");
    let running = Running::start(consumer(&log, &topic, Broker, &seen));
    running.idle().await;
    producer.commit_transaction(PATIENCE).unwrap();
    until("what was hidden is handled", || seen.all().len() == 11).await;
    assert_eq!(seen.all()[8..], [20, 21, 30]);
    running.idle().await;
    assert!(running.stop().await.held.is_empty());
    let (_, saved, _, lane) = behind(&seen).await;
    assert_eq!(saved, [(lane, Cursor::After(27.into()))]);
}

/// Found, and read from their start whatever the group began with: nobody can have read them before.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_come_later_are_found() {
    let topic = topic("later", 1).await;
    let settings = support::settings(&shared()).client("topic.metadata.refresh.interval.ms", "500");
    let log = Log::new(settings.build().unwrap());
    let seen = Seen::default();
    send(&log, &topic, 0..3).await;
    let latest = || consumer(&log, &topic, Broker, &seen).start(Start::Latest);
    let running = Running::start(latest());
    running.idle().await;

    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", shared())
        .create()
        .unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let grow = async |partitions| {
        let wanted = NewPartitions::new(&topic, partitions);
        let made = admin.create_partitions(&[wanted], &options).await.unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    };
    grow(4).await;
    // A producer that knows them, perhaps before the group does. Keys enough for all of them.
    let notes: Vec<Note> = (10..50)
        .map(|number| Note {
            id: number.to_string(),
            number,
        })
        .collect();
    let producer = support::log(&shared()).producer(&topic).await.unwrap();
    let sent = producer.send_all(&notes).await.unwrap();
    let mut shards: Vec<&str> = sent.iter().map(|sent| sent.lane.shard()).collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(shards, ["0", "1", "2", "3"]);
    until("all are handled", || seen.all().len() == 40).await;
    let mut all = seen.all();
    all.sort_unstable();
    assert_eq!(all, (10..50).collect::<Vec<_>>());
    assert_eq!(running.states().len(), 4);
    running.idle().await;
    assert!(running.stop().await.held.is_empty());

    // And those that come while no member runs.
    grow(8).await;
    let producer = support::log(&shared()).producer(&topic).await.unwrap();
    let sent = producer.send_all(&notes).await.unwrap();
    assert!(sent.iter().any(|sent| sent.lane.shard() > "3"));
    assert_eq!(run(latest()).await.handled, 40);
}

/// The group waits for members that do not poll for no longer than `max.poll.interval.ms`; ours are polled by a thread that
/// no handler holds up.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_slower_than_the_group_waits_is_not_thrown_out() {
    const INTERVAL: Duration = Duration::from_secs(6);
    let topic = topic("slow", 1).await;
    let millis = INTERVAL.as_millis().to_string();
    let settings = support::settings(&shared()).client("max.poll.interval.ms", millis);
    let log = Log::new(settings.build().unwrap());
    let (seen, store) = (Seen::default(), Memory::new());
    send(&log, &topic, 0..2).await;
    let slow = Consumer::with_store(log.source(&*topic), store.clone())
        .group(&topic)
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(note.number);
            if note.number == 0 {
                tokio::time::sleep(INTERVAL * 2).await;
            }
            Ok(())
        })
        .stop_after(2);
    let began = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, logpipe::Service::new().with(slow).run()).await;
    assert_eq!(outcome.unwrap().unwrap().handled, 2);
    assert!(began.elapsed() >= INTERVAL * 2);
    assert_eq!(
        seen.all(),
        [0, 1],
        "a member that is thrown out begins anew"
    );
    let lanes = store.lanes(None).await.unwrap();
    assert_eq!(
        lanes[0].epoch, 1,
        "nobody else has had the lane, not even itself again"
    );
}

/// Headers are read when somebody asks: here long after the client was given the record back.
#[tokio::test(flavor = "multi_thread")]
async fn headers_are_there_however_late_they_are_asked_for() {
    const RECORDS: i64 = 5_000;
    const ASKS: i64 = 5;
    let topic = topic("headers", 1).await;
    let (log, seen) = (support::log(&shared()), Seen::default());
    let producer = log.producer(&topic).await.unwrap();
    let notes: Vec<Note> = (0..RECORDS)
        .map(|number| Note {
            id: number.to_string(),
            number,
        })
        .collect();
    let sent = notes.iter().map(|note| {
        let message = producer.message(note);
        let message = match note.number {
            ASKS => message.header("trace", "abc").header("trace", "def"),
            _ => message,
        };
        message.send()
    });
    for sent in sent.collect::<Vec<_>>() {
        sent.await.unwrap();
    }
    let consumer = Consumer::new(log.source(&*topic))
        .group(&topic)
        .dead_letter(format!("{topic}.dead"))
        .set(|settings| {
            settings.window = 2 * RECORDS as usize;
            settings.retry.attempts = 1_000;
            settings.retry.first_delay_ms = 50;
            settings.retry.longest_delay_ms = 50;
        })
        .on_with(seen.clone(), async |seen, note: Note, cx| {
            if note.number == ASKS {
                if (seen.all().len() as i64) < RECORDS - 1 {
                    return Err(Error::msg("the others first"));
                }
                assert_eq!(cx.header("trace"), Some(&b"def"[..]));
            } else {
                assert_eq!(cx.header("trace"), None);
            }
            seen.push(note.number);
            Ok(())
        });
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled as i64, outcome.parked), (RECORDS, 0));
    assert_eq!(seen.all().last(), Some(&ASKS));
}
