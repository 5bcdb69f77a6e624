//! Do consumers end as they were told to, with every position where it belongs, when a rebalance is under way?
//!
//! Positions are kept by the broker. A record that is handled twice would show a position that was not saved before its
//! lane was given up, a missing one a position that was saved too early.

use std::sync::Arc;
use std::time::Duration;

use logpipe::{Broker, Consumer, Log, Outcome};
use logpipe_servers::kafka;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use crate::support::{self, Note, PATIENCE, Running, Seen, until};

const PARTITIONS: i32 = 4;
const RECORDS: i64 = 200;

/// A topic with records in every partition.
struct Topic {
    name: String,
    bootstrap: String,
    log: Log,
}

impl Topic {
    async fn new(name: &str) -> Self {
        let bootstrap = kafka::shared();
        let name = format!("ends-{name}-{}", std::process::id());
        kafka::create_topic(&bootstrap, &name, PARTITIONS)
            .await
            .unwrap();
        let log = support::log(&bootstrap);
        let topic = Self {
            name,
            bootstrap,
            log,
        };
        topic.send(0).await;
        topic
    }

    /// So many more records, counted from `first`.
    async fn send(&self, first: i64) {
        let notes: Vec<Note> = (first..first + RECORDS)
            .map(|number| Note {
                id: number.to_string(),
                number,
            })
            .collect();
        let producer = self.log.producer(&self.name).await.unwrap();
        producer.send_all(&notes).await.unwrap();
    }

    fn consumer(&self, seen: &Seen) -> Consumer<Broker> {
        support::consumer(&self.log, &self.name, Broker, seen)
    }

    /// A consumer whose every record needs a permit.
    fn gated(&self, seen: &Seen, gate: &Arc<Semaphore>) -> Consumer<Broker> {
        Consumer::new(self.log.source(&*self.name))
            .group(&self.name)
            .dead_letter(format!("{}.dead", self.name))
            .on_with(
                (seen.clone(), gate.clone()),
                async |(seen, gate): &(Seen, Arc<Semaphore>), note: Note, _cx| {
                    gate.acquire().await.expect("is never closed").forget();
                    seen.push(note.number);
                    Ok(())
                },
            )
    }

    /// Members of the group; while one of them still works on lanes that it has to give up, the rebalance goes on.
    fn members(&self) -> usize {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .unwrap();
        let groups = client.fetch_group_list(Some(&self.name), PATIENCE).unwrap();
        groups
            .groups()
            .first()
            .map_or(0, |group| group.members().len())
    }

    /// Whether the broker's positions are the ends of all partitions.
    fn is_done(&self) -> bool {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.name)
            .create()
            .unwrap();
        let mut lanes = TopicPartitionList::new();
        lanes.add_partition_range(&self.name, 0, PARTITIONS - 1);
        let committed = client.committed_offsets(lanes, PATIENCE).unwrap();
        (0..PARTITIONS).all(|partition| {
            let (_, end) = client
                .fetch_watermarks(&self.name, partition, PATIENCE)
                .unwrap();
            let lane = committed.find_partition(&self.name, partition).unwrap();
            lane.offset() == Offset::Offset(end)
        })
    }
}

fn assert_each_once(seen: &Seen, records: i64) {
    let mut all = seen.all();
    all.sort_unstable();
    assert_eq!(all, (0..records).collect::<Vec<_>>());
}

/// Waits for it, and for a status of 0.
async fn ends(consumer: Running) -> Outcome {
    let outcome = consumer.ended().await;
    assert!(outcome.held.is_empty(), "{:?}", outcome.held);
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_consumer_ends_though_another_one_took_half_of_its_lanes() {
    let topic = Topic::new("idle").await;
    let seen = Seen::default();
    // Longer than a busy machine takes to share the lanes.
    let idle = Duration::from_secs(10);
    let first = Running::start(topic.consumer(&seen).idle_timeout(idle));
    until("the first records are handled", || {
        seen.all().len() as i64 == RECORDS
    })
    .await;
    let second = Running::start(topic.consumer(&seen));
    let halves = || [first.states().len(), second.states().len()] == [2, 2];
    until("each has half of the lanes", halves).await;
    second.idle().await;
    assert!(first.is_on());
    let outcome = ends(first).await;
    assert_eq!(outcome.handled as i64, RECORDS);
    // What it gave up and what it left is the other one's.
    topic.send(RECORDS).await;
    until("the rest is handled", || {
        seen.all().len() as i64 == 2 * RECORDS
    })
    .await;
    let outcome = second.stop().await;
    assert_eq!(outcome.handled as i64, RECORDS);
    assert_each_once(&seen, 2 * RECORDS);
    assert!(topic.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stops_after_so_many_takes_no_more_in_a_rebalance() {
    let topic = Topic::new("count").await;
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(10)));
    let first = Running::start(topic.gated(&seen, &gate).stop_after(25));
    until("it waits in a handler", || seen.all().len() == 10).await;
    let second = Running::start(topic.consumer(&seen));
    until("the other one is in the group", || topic.members() == 2).await;
    gate.add_permits(1_000);
    let outcome = ends(first).await;
    assert_eq!(outcome.handled, 25);
    until("the other one handles the rest", || {
        seen.all().len() as i64 == RECORDS
    })
    .await;
    let outcome = second.stop().await;
    assert_eq!(outcome.handled as i64, RECORDS - 25);
    assert_each_once(&seen, RECORDS);
    assert!(topic.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_told_to_end_in_a_rebalance_drains_first() {
    let topic = Topic::new("signal").await;
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(10)));
    let first = Running::start(topic.gated(&seen, &gate));
    until("it waits in a handler", || seen.all().len() == 10).await;
    let second = Running::start(topic.consumer(&seen));
    until("the other one is in the group", || topic.members() == 2).await;
    let stopping = tokio::spawn(first.stop());
    gate.add_permits(1_000);
    let first = stopping.await.unwrap();
    assert!(first.held.is_empty(), "{:?}", first.held);
    until("the other one handles the rest", || {
        seen.all().len() as i64 == RECORDS
    })
    .await;
    let second = second.stop().await;
    assert_eq!((first.handled + second.handled) as i64, RECORDS);
    assert_each_once(&seen, RECORDS);
    assert!(topic.is_done());
}
