//! What do the tests of consumers share? A message, a place where handlers leave what they saw, a consumer that runs.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logpipe::health::LaneState;
use logpipe::kafka::{Builder, Kafka};
use logpipe::{Consumer, Error, Log, Monitor, Outcome, Service, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing has to happen before a consumer is done.
pub const IDLE: Duration = Duration::from_millis(500);

/// The message.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    pub id: String,
    pub number: i64,
}

logpipe::wire! {
    struct Note open {
        id: "id" required;
        number: "number" required;
    }
}
logpipe::message! { Note = "note" version 1, of Any, key id; }

/// The versions that consumers know.
pub enum Any {}

impl logpipe::Versions for Any {
    const TYPE: &'static str = "note";
    const VERSIONS: &'static [u32] = &[1];

    fn decode(_: u32, body: logpipe::Body<'_>) -> Result<Self, logpipe::Failure> {
        Err(body.unknown_version())
    }

    fn key(&self) -> Option<Cow<'_, [u8]>> {
        match *self {}
    }

    fn seal(&self, _: logpipe::Format, _: &str) -> Result<Vec<u8>, logpipe::Invalid> {
        match *self {}
    }
}

/// What handlers saw, in their order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<i64>>>);

impl Seen {
    pub fn push(&self, number: i64) {
        self.0.lock().unwrap().push(number);
    }

    pub fn all(&self) -> Vec<i64> {
        self.0.lock().unwrap().clone()
    }
}

/// A log whose groups notice quickly.
pub fn settings(bootstrap: &str) -> Builder {
    Kafka::builder(bootstrap)
        .session_timeout(Duration::from_secs(6))
        .client("heartbeat.interval.ms", "500")
}

pub fn log(bootstrap: &str) -> Log {
    Log::new(settings(bootstrap).build().unwrap())
}

/// Notes of one key.
pub fn notes(numbers: impl IntoIterator<Item = i64>) -> Vec<Note> {
    let note = |number| Note {
        id: "a".into(),
        number,
    };
    numbers.into_iter().map(note).collect()
}

/// Sends notes of one key.
pub async fn send(log: &Log, topic: &str, numbers: impl IntoIterator<Item = i64>) {
    let producer = log.producer(topic).await.unwrap();
    producer.send_all(&notes(numbers)).await.unwrap();
}

/// A consumer in the group named after its topic.
pub fn consumer<S: Store>(log: &Log, topic: &str, store: S, seen: &Seen) -> Consumer<S> {
    Consumer::with_store(log.source(topic), store)
        .group(topic)
        .dead_letter(format!("{topic}.dead"))
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(note.number);
            Ok(())
        })
}

/// Runs a consumer until nothing happens any more.
pub async fn run<S: Store>(consumer: Consumer<S>) -> Outcome {
    let service = Service::new().with(consumer.idle_timeout(IDLE));
    match tokio::time::timeout(PATIENCE, service.run()).await {
        Ok(outcome) => outcome.unwrap(),
        Err(_) => panic!("the consumer did not become idle"),
    }
}

/// Waits for something that has to happen.
pub async fn until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A consumer that runs beside the test.
pub struct Running {
    pub monitor: Monitor,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Outcome, Error>>,
}

impl Running {
    pub fn start<S: Store>(consumer: Consumer<S>) -> Self {
        let service = Service::new().with(consumer);
        let monitor = service.monitor();
        let (stop, stopped) = oneshot::channel();
        let signal = async {
            // Dropped without a word it stops too.
            let _ = stopped.await;
        };
        Self {
            monitor,
            stop,
            task: tokio::spawn(service.run_until(signal)),
        }
    }

    pub fn states(&self) -> Vec<LaneState> {
        let health = self.monitor.health();
        let lanes = health.consumers.into_iter().flat_map(|one| one.lanes);
        lanes.map(|lane| lane.state).collect()
    }

    /// Why lanes are held or wait.
    pub fn why(&self) -> String {
        let states: Vec<String> = self.states().iter().map(LaneState::to_string).collect();
        states.join("\n")
    }

    pub async fn idle(&self) {
        until("every lane is at its end", || {
            let states = self.states();
            !states.is_empty() && states.iter().all(|state| *state == LaneState::Idle)
        })
        .await;
    }

    /// Whether it has not ended.
    pub fn is_on(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends it without a word to anybody.
    pub async fn kill(self) {
        self.task.abort();
        // Cancelled, as it was asked to be.
        let _ = self.task.await;
    }

    pub async fn stop(self) -> Outcome {
        let _ = self.stop.send(());
        match tokio::time::timeout(PATIENCE, self.task).await {
            Ok(ended) => ended.unwrap().unwrap(),
            Err(_) => panic!("the consumer did not stop"),
        }
    }
}
