//! Do consumers end as they were told to, with every position where it belongs, when a rebalance is under way?
//!
//! Positions are kept by the broker. A record that is handled twice would show a position that was not saved before its
//! lane was given up, a missing one a position that was saved too early.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use logpipe::{Broker, Consumer, Log, Outcome, Service, shutdown_signal};
use logpipe_servers::{Process, kafka};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use crate::shared::drained;
use crate::support::{self, Note, PATIENCE, Running, Seen, until};

const PARTITIONS: i32 = 4;
const RECORDS: i64 = 200;

const NAME: &str = "LOGPIPE_TEST_NAME";
const GO: &str = "LOGPIPE_TEST_GO";

/// In front of each number that a process handled.
const SAW: &str = "saw ";

/// What a process has to have done by then, whatever happens to who started it.
const LIFE: Duration = Duration::from_secs(120);

/// A topic with records in every partition.
struct Topic {
    name: String,
    bootstrap: String,
    log: Log,
}

impl Topic {
    async fn new(name: &str) -> Self {
        let topic = Self::of(format!("ends-{name}-{}", std::process::id()));
        kafka::create_topic(&topic.bootstrap, &topic.name, PARTITIONS)
            .await
            .unwrap();
        topic.send(0).await;
        topic
    }

    /// One that is there.
    fn of(name: String) -> Self {
        let bootstrap = kafka::shared();
        Self {
            log: support::log(&bootstrap),
            name,
            bootstrap,
        }
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

    /// A consumer whose every record needs a permit, and is seen then.
    fn gated(
        &self,
        gate: &Arc<Semaphore>,
        see: impl Fn(i64) + Send + Sync + 'static,
    ) -> Consumer<Broker> {
        Consumer::new(self.log.source(&*self.name))
            .group(&self.name)
            .dead_letter(format!("{}.dead", self.name))
            .on_with(
                (gate.clone(), Arc::new(see)),
                async |(gate, see): &(Arc<Semaphore>, Arc<_>), note: Note, _cx| {
                    gate.acquire().await.expect("is never closed").forget();
                    see(note.number);
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
    let see = seen.clone();
    let gated = topic.gated(&gate, move |number| see.push(number));
    let first = Running::start(gated.stop_after(25));
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

/// A consumer process: it waits in its handlers after ten records, until a file appears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is the process that a test of this file starts"]
async fn a_process() {
    let variable = |name| std::env::var(name).ok();
    let (Some(name), Some(go)) = (variable(NAME), variable(GO)) else {
        return;
    };
    // The harness has begun a line.
    println!();
    let topic = Topic::of(name);
    let gate = Arc::new(Semaphore::new(10));
    let consumer = topic.gated(&gate, |number| println!("{SAW}{number}"));
    let service = Service::new().with(consumer);
    tokio::spawn(async move {
        while !Path::new(&go).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gate.add_permits(1_000);
    });
    let run = service.run_until(shutdown_signal());
    let outcome = tokio::time::timeout(LIFE, run).await.unwrap().unwrap();
    assert!(outcome.held.is_empty(), "{:?}", outcome.held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_in_a_rebalance_drains_first() {
    let topic = Topic::new("signal").await;
    let seen = Seen::default();
    let folder = tempfile::tempdir().unwrap();
    let (go, output) = (folder.path().join("go"), folder.path().join("output"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["ends::a_process", "--exact", "--ignored", "--nocapture"])
        .env(NAME, &topic.name)
        .env(GO, &go);
    let process = Process::start("a consumer of the test's own", &command, &output).unwrap();
    let handled = || {
        let output = std::fs::read_to_string(&output).unwrap();
        let numbers = output.lines().filter_map(|line| line.strip_prefix(SAW));
        numbers
            .map(|number| number.parse::<i64>().unwrap())
            .collect::<Vec<_>>()
    };
    until("it waits in a handler", || handled().len() == 10).await;
    let second = Running::start(topic.consumer(&seen));
    until("the other one is in the group", || topic.members() == 2).await;
    process.signal("TERM").unwrap();
    std::fs::write(&go, "").unwrap();
    drained(process).await;
    let first = handled();
    until("the other one handles the rest", || {
        (first.len() + seen.all().len()) as i64 == RECORDS
    })
    .await;
    let outcome = second.stop().await;
    assert_eq!(outcome.handled as usize, RECORDS as usize - first.len());
    first.into_iter().for_each(|number| seen.push(number));
    assert_each_once(&seen, RECORDS);
    assert!(topic.is_done());
}
