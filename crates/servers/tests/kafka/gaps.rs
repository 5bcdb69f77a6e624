//! Is a log that does not go on where a consumer stands always an incident, with its records counted?

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use logpipe::policy::OnGap;
use logpipe::record::{Cursor, LaneId};
use logpipe::source::{Budget, Fetched, GapKind, Opened};
use logpipe::store::Memory;
use logpipe::{Broker, Log, Outcome, Store};
use logpipe_servers::kafka::{self, create_topic};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::{PATIENCE, Running, Seen, consumer, log, run, send, until};

/// Each way to go on behind a gap, and its name.
const WAYS: [(OnGap, &str); 3] = [
    (OnGap::Hold, "hold"),
    (OnGap::Earliest, "earliest"),
    (OnGap::Latest, "latest"),
];

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap()
}

async fn delete(bootstrap: &str, topic: &str) {
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let deleted = admin(bootstrap).delete_topics(&[topic], &options).await;
    assert!(deleted.unwrap().iter().all(Result::is_ok));
}

/// Makes it again once the broker has forgotten the one of that name.
async fn make_anew(bootstrap: &str, topic: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = create_topic(bootstrap, topic, 1).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Which topic the broker knows by this name, if any.
async fn incarnation(log: &Log, topic: &str) -> Option<String> {
    let lanes = log.backend().lanes(topic).await.unwrap();
    Some(lanes.first()?.incarnation.clone())
}

/// What has to come of a gap, whatever its kind: five were handled before it, and `left` is what the log holds now.
async fn bridged<S: Store>(
    log: &Log,
    topic: &str,
    store: S,
    seen: &Seen,
    on_gap: OnGap,
    says: [&str; 2],
    left: &[i64],
) {
    let again = || consumer(log, topic, store.clone(), seen).on_gap(on_gap);
    let outcome: Outcome = run(again()).await;
    let after: Vec<i64> = seen.all().split_off(5);
    match on_gap {
        OnGap::Hold => {
            let [held] = &*outcome.held else {
                panic!("{topic}: {outcome:?}");
            };
            for says in says {
                assert!(held.why.contains(says), "{topic}: {}", held.why);
            }
            assert!(after.is_empty(), "{topic}: a held lane handled {after:?}");
            return;
        }
        OnGap::Earliest => assert_eq!(after, left, "{topic}: {outcome:?}"),
        _ => assert!(after.is_empty(), "{topic}: {after:?}"),
    }
    assert!(outcome.held.is_empty(), "{topic}: {outcome:?}");
    // Behind the gap all is as it was.
    send(log, topic, [100]).await;
    assert_eq!(run(again()).await.handled, 1, "{topic}");
    assert_eq!(seen.all().last(), Some(&100), "{topic}");
}

async fn retention<S: Store>(bootstrap: &str, topic: &str, store: S, on_gap: OnGap) {
    let (log, seen) = (log(bootstrap), Seen::default());
    create_topic(bootstrap, topic, 1).await.unwrap();
    send(&log, topic, 0..5).await;
    assert_eq!(
        run(consumer(&log, topic, store.clone(), &seen))
            .await
            .handled,
        5
    );
    send(&log, topic, 5..10).await;
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(topic, 0, Offset::Offset(8))
        .unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    admin(bootstrap)
        .delete_records(&before, &options)
        .await
        .unwrap();
    let says = ["Expired", " 3 records"];
    bridged(&log, topic, store, &seen, on_gap, says, &[8, 9]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_removed_unread() {
    let broker = kafka::Broker::start().unwrap();
    let bootstrap = &broker.bootstrap();
    join_all(WAYS.map(|(on_gap, way)| async move {
        let topic = format!("expired.{way}");
        retention(bootstrap, &topic, Memory::new(), on_gap).await;
        let topic = format!("expired.{way}.broker");
        retention(bootstrap, &topic, Broker, on_gap).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_while_nobody_looked() {
    let broker = kafka::Broker::start().unwrap();
    let bootstrap = &broker.bootstrap();
    join_all(WAYS.map(|(on_gap, way)| async move {
        let topic = &*format!("stopped.{way}");
        let (log, seen, store) = (log(bootstrap), Seen::default(), Memory::new());
        create_topic(bootstrap, topic, 1).await.unwrap();
        send(&log, topic, 0..5).await;
        assert_eq!(
            run(consumer(&log, topic, store.clone(), &seen))
                .await
                .handled,
            5
        );
        let before = incarnation(&log, topic).await;
        delete(bootstrap, topic).await;
        make_anew(bootstrap, topic).await;
        // The controller has made it; until the broker knows that too, what is sent goes to the old one, and with it.
        let deadline = Instant::now() + PATIENCE;
        while [None, before.clone()].contains(&incarnation(&log, topic).await) {
            assert!(Instant::now() < deadline, "the broker keeps the old topic");
        }
        // More than there were: by its offset alone the position would be a good one.
        let anew: Vec<i64> = (20..28).collect();
        send(&log, topic, anew.clone()).await;
        let says = ["Recreated", " 8 records"];
        bridged(&log, topic, store, &seen, on_gap, says, &anew).await;
    }))
    .await;
}

async fn while_running<S: Store>(bootstrap: &str, topic: &str, store: S, on_gap: OnGap) {
    let (log, seen) = (log(bootstrap), Seen::default());
    create_topic(bootstrap, topic, 1).await.unwrap();
    send(&log, topic, 0..5).await;
    let running = Running::start(consumer(&log, topic, store, &seen).on_gap(on_gap));
    until("the first are handled", || seen.all().len() == 5).await;
    delete(bootstrap, topic).await;
    until("the lane is held", || running.why().contains("Deleted")).await;
    make_anew(bootstrap, topic).await;
    if on_gap == OnGap::Hold {
        until("the lane is held", || running.why().contains("Recreated")).await;
        send(&log, topic, 20..28).await;
        assert_eq!(running.stop().await.held.len(), 1);
        assert_eq!(seen.all().len(), 5, "{topic}");
        return;
    }
    // Nothing is in it before the lane is at its end, so that nothing is passed over.
    running.idle().await;
    send(&log, topic, 20..28).await;
    until("the new topic's are handled", || seen.all().len() == 13).await;
    assert!(running.stop().await.held.is_empty());
    assert_eq!(seen.all()[5..], (20..28).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_under_a_running_consumer() {
    let broker = kafka::Broker::start().unwrap();
    let bootstrap = &broker.bootstrap();
    join_all(WAYS.map(|(on_gap, way)| async move {
        let topic = format!("running.{way}");
        while_running(bootstrap, &topic, Memory::new(), on_gap).await;
        let topic = format!("running.{way}.broker");
        while_running(bootstrap, &topic, Broker, on_gap).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_tail() {
    let mut broker = kafka::Broker::start().unwrap();
    let bootstrap = &*broker.bootstrap();
    let cases = WAYS.map(|(on_gap, way)| {
        let topic = format!("truncated.{way}");
        (on_gap, topic, Memory::new(), Seen::default())
    });
    let running = "truncated.running";
    for (_, topic, ..) in &cases {
        create_topic(bootstrap, topic, 1).await.unwrap();
        send(&log(bootstrap), topic, 0..2).await;
    }
    create_topic(bootstrap, running, 1).await.unwrap();
    broker.stop().unwrap();
    broker.save("two").unwrap();
    broker.up().unwrap();
    for (_, topic, store, seen) in &cases {
        let log = log(bootstrap);
        send(&log, topic, 2..5).await;
        assert_eq!(
            run(consumer(&log, topic, store.clone(), seen))
                .await
                .handled,
            5
        );
    }
    let (log_of_running, seen) = (log(bootstrap), Seen::default());
    send(&log_of_running, running, 0..5).await;
    let reading = Running::start(consumer(&log_of_running, running, Memory::new(), &seen));
    until("all are handled", || seen.all().len() == 5).await;

    broker.stop().unwrap();
    broker.restore("two").unwrap();
    broker.up().unwrap();
    until("the lane is held", || reading.why().contains("Truncated")).await;
    assert!(reading.why().contains(" 5 records"), "{}", reading.why());
    assert_eq!(reading.stop().await.held.len(), 1);
    join_all(cases.iter().map(|(on_gap, topic, store, seen)| async move {
        let says = ["Truncated", " 3 records"];
        let log = log(bootstrap);
        bridged(&log, topic, store.clone(), seen, *on_gap, says, &[0, 1]).await;
    }))
    .await;
}

/// A new log with other records where the reader stands: by its offset alone the position would be a good one.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_tail_and_was_written_past_who_reads_it() {
    let mut broker = kafka::Broker::start().unwrap();
    let bootstrap = &*broker.bootstrap();
    create_topic(bootstrap, "t", 1).await.unwrap();
    let reading = log(bootstrap);
    send(&reading, "t", 0..2).await;
    broker.stop().unwrap();
    broker.save("two").unwrap();
    broker.up().unwrap();
    send(&reading, "t", 2..5).await;
    // Without a group, whose session would end meanwhile, and with it what the reader knows.
    let lane = LaneId::new("t", "0");
    let opened = reading.backend().read(&lane, &Cursor::Start).await;
    let Ok(Opened::Reader(mut reader)) = opened else {
        panic!("the lane can't be read");
    };
    let budget = Budget {
        records: 100,
        bytes: 1 << 20,
    };
    let mut read = 0;
    while read < 5 {
        let Fetched::Records(fetched) = reader.fetch(budget).await.unwrap() else {
            panic!("the lane ended");
        };
        read += fetched.records.len();
        reader.ready().await.unwrap();
    }

    broker.stop().unwrap();
    broker.restore("two").unwrap();
    let here = broker.hide().unwrap();
    // Started twice, so that who wrote the lost records and who writes the new ones are leaders of different epochs.
    broker.up().unwrap();
    broker.stop().unwrap();
    broker.up().unwrap();
    send(&log(&broker.bootstrap()), "t", 20..28).await;
    broker.stop().unwrap();
    broker.listen_at(here).unwrap();
    broker.up().unwrap();

    let deadline = Instant::now() + PATIENCE;
    let gap = loop {
        assert!(
            Instant::now() < deadline,
            "it goes on as if nothing was lost"
        );
        match reader.fetch(budget).await {
            Ok(Fetched::OutOfRange(gap)) => break gap,
            Ok(Fetched::Records(fetched)) => {
                assert!(fetched.records.is_empty(), "it goes on in another log");
                // Not the test: how long the reader may wait.
                let _ = tokio::time::timeout(PATIENCE / 10, reader.ready()).await;
            }
            Ok(Fetched::Ended) => panic!("partitions do not end"),
            Err(error) => {
                assert!(error.is_retriable(), "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    assert_eq!((gap.kind, gap.missing), (GapKind::Truncated, Some(3)));
}
