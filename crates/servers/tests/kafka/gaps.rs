//! Is a log that does not go on where a consumer stands always an incident, with its records counted?

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use logpipe::policy::OnGap;
use logpipe::record::{Cursor, LaneId};
use logpipe::source::{Budget, Fetched, GapKind, Opened};
use logpipe::store::{Memory, Sqlite};
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

/// The controller has made it; until the broker knows that too, what is sent goes to the old one, and with it.
async fn until_another(log: &Log, topic: &str, before: Option<String>) {
    let deadline = Instant::now() + PATIENCE;
    while [None, before.clone()].contains(&incarnation(log, topic).await) {
        assert!(Instant::now() < deadline, "the broker keeps the old topic");
    }
}

async fn sqlite() -> (tempfile::TempDir, Sqlite) {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path().join("app.db")).await.unwrap();
    (dir, store)
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
        let (_dir, store) = sqlite().await;
        let topic = format!("expired.{way}.sqlite");
        retention(bootstrap, &topic, store, on_gap).await;
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
        until_another(&log, topic, before).await;
        // More than there were: by its offset alone the position would be a good one.
        let anew: Vec<i64> = (20..28).collect();
        send(&log, topic, anew.clone()).await;
        let says = ["Recreated", " 8 records"];
        bridged(&log, topic, store, &seen, on_gap, says, &anew).await;
    }))
    .await;
}

/// A consumer that has handled five and goes on while its log is broken.
struct Reading {
    topic: String,
    on_gap: OnGap,
    seen: Seen,
    running: Running,
}

impl Reading {
    async fn start<S: Store>(log: &Log, topic: &str, store: S, on_gap: OnGap) -> Self {
        let seen = Seen::default();
        let running = Running::start(consumer(log, topic, store, &seen).on_gap(on_gap));
        until("the first are handled", || seen.all().len() == 5).await;
        running.idle().await;
        Self {
            topic: topic.into(),
            on_gap,
            seen,
            running,
        }
    }

    /// One for each way to go on and each store that these are.
    async fn all(log: &Log, kind: &str, is_kept_by_broker: bool) -> (tempfile::TempDir, Vec<Self>) {
        let (dir, store) = sqlite().await;
        let mut all = Vec::new();
        for (on_gap, way) in WAYS {
            let topic = |store: &str| format!("{kind}.{way}.{store}");
            all.push(Self::start(log, &topic("memory"), Memory::new(), on_gap).await);
            all.push(Self::start(log, &topic("sqlite"), store.clone(), on_gap).await);
            if is_kept_by_broker {
                all.push(Self::start(log, &topic("broker"), Broker, on_gap).await);
            }
        }
        (dir, all)
    }

    /// What has to come of a gap under it; `left` is what the log holds now.
    async fn bridges(self, log: &Log, says: [&str; 2], left: &[i64]) {
        let Self {
            topic,
            on_gap,
            seen,
            running,
        } = self;
        let after = || seen.all().split_off(5);
        if on_gap == OnGap::Hold {
            until("the lane is held", || running.why().contains(says[0])).await;
            assert!(
                running.why().contains(says[1]),
                "{topic}: {}",
                running.why()
            );
            send(log, &topic, [100]).await;
            assert_eq!(running.stop().await.held.len(), 1, "{topic}");
            assert!(after().is_empty(), "{topic}: {:?}", after());
            return;
        }
        // Behind all that the log holds, whether it was handled or passed over.
        let end = Some(Cursor::After((left.len() as u64 - 1).into()));
        let deadline = Instant::now() + PATIENCE;
        while running.cursor() != end {
            let why = running.why();
            assert!(
                Instant::now() < deadline,
                "{topic}: {why}, {:?}",
                seen.all()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        send(log, &topic, [100]).await;
        until("what comes behind the gap is handled", || {
            seen.all().last() == Some(&100)
        })
        .await;
        assert!(running.stop().await.held.is_empty(), "{topic}");
        let mut expected = match on_gap {
            OnGap::Earliest => left.to_vec(),
            _ => Vec::new(),
        };
        expected.push(100);
        assert_eq!(after(), expected, "{topic}");
    }
}

/// Held first for being deleted, and then for being another.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_and_made_again_under_a_running_consumer() {
    let broker = kafka::Broker::start().unwrap();
    let bootstrap = &*broker.bootstrap();
    let log = log(bootstrap);
    create_topic(bootstrap, "t", 1).await.unwrap();
    send(&log, "t", 0..5).await;
    let reading = Reading::start(&log, "t", Memory::new(), OnGap::Hold).await;
    delete(bootstrap, "t").await;
    let running = &reading.running;
    until("the lane is held", || running.why().contains("Deleted")).await;
    make_anew(bootstrap, "t").await;
    reading.bridges(&log, ["Recreated", " records"], &[]).await;
}

/// While nobody who knows its port can see it, so that the new topic holds records when it is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_under_a_running_consumer() {
    let mut broker = kafka::Broker::start().unwrap();
    let log_here = log(&broker.bootstrap());
    for (_, way) in WAYS {
        for store in ["memory", "sqlite", "broker"] {
            let topic = format!("running.{way}.{store}");
            create_topic(&broker.bootstrap(), &topic, 1).await.unwrap();
            send(&log_here, &topic, 0..5).await;
        }
    }
    let (_dir, readings) = Reading::all(&log_here, "running", true).await;

    broker.stop().unwrap();
    let here = broker.hide().unwrap();
    broker.up().unwrap();
    let elsewhere = &*broker.bootstrap();
    let log_elsewhere = &log(elsewhere);
    join_all(readings.iter().map(|Reading { topic, .. }| async move {
        let before = incarnation(log_elsewhere, topic).await;
        delete(elsewhere, topic).await;
        make_anew(elsewhere, topic).await;
        until_another(log_elsewhere, topic, before).await;
        send(log_elsewhere, topic, 20..28).await;
    }))
    .await;
    broker.stop().unwrap();
    broker.listen_at(here).unwrap();
    broker.up().unwrap();

    let anew: Vec<i64> = (20..28).collect();
    let says = ["Recreated", " 8 records"];
    let bridged = readings
        .into_iter()
        .map(|reading| reading.bridges(&log_here, says, &anew));
    join_all(bridged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_tail() {
    let mut broker = kafka::Broker::start().unwrap();
    let bootstrap = &*broker.bootstrap();
    let cases = WAYS.map(|(on_gap, way)| {
        let topic = format!("truncated.{way}");
        (on_gap, topic, Memory::new(), Seen::default())
    });
    let log = &log(bootstrap);
    let running =
        WAYS.map(|(_, way)| ["memory", "sqlite"].map(|store| format!("cut.{way}.{store}")));
    let running = running.as_flattened();
    let stopped = cases.iter().map(|(_, topic, ..)| topic);
    let topics: Vec<&String> = stopped.chain(running).collect();
    for topic in &topics {
        create_topic(bootstrap, topic, 1).await.unwrap();
        send(log, topic, 0..2).await;
    }
    broker.stop().unwrap();
    broker.save("two").unwrap();
    broker.up().unwrap();
    for topic in &topics {
        send(log, topic, 2..5).await;
    }
    for (_, topic, store, seen) in &cases {
        let outcome = run(consumer(log, topic, store.clone(), seen)).await;
        assert_eq!(outcome.handled, 5);
    }
    let (_dir, readings) = Reading::all(log, "cut", false).await;

    broker.stop().unwrap();
    broker.restore("two").unwrap();
    broker.up().unwrap();
    // Who wrote the lost records has numbered them, and is refused by a broker that does not know the numbers.
    let log = &crate::support::log(bootstrap);
    let (says, left) = (["Truncated", " 3 records"], &[0, 1]);
    let going = readings
        .into_iter()
        .map(|reading| reading.bridges(log, says, left));
    join_all(going).await;
    join_all(cases.iter().map(|(on_gap, topic, store, seen)| async move {
        bridged(log, topic, store.clone(), seen, *on_gap, says, left).await;
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
