//! What do the tests of consumers share, whatever the log? A message, a place where handlers leave what they saw, a
//! consumer that runs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logpipe::{Consumer, Error, Monitor, Outcome, Service, Store};
use logpipe_servers::Process;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing has to happen before a consumer is done.
pub const IDLE: Duration = Duration::from_millis(500);

/// The message.
#[derive(Clone, PartialEq)]
pub struct Note {
    pub id: String,
    pub number: i64,
}

logpipe::wire! {
    struct Note open {
        id: "id";
        number: "number";
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

    fn untyped(&self) -> &dyn logpipe::Untyped {
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
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<Result<Outcome, Error>>,
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

    /// Waits for it to end by itself.
    pub async fn ended(self) -> Outcome {
        // Held as long as it is waited for: dropped it would be the signal.
        let _stop = self.stop;
        end(self.task).await
    }

    /// Tells it to end, and waits for that.
    pub async fn stop(self) -> Outcome {
        let _ = self.stop.send(());
        end(self.task).await
    }
}

async fn end(task: JoinHandle<Result<Outcome, Error>>) -> Outcome {
    match tokio::time::timeout(PATIENCE, task).await {
        Ok(ended) => ended.unwrap().unwrap(),
        Err(_) => panic!("the consumer did not end"),
    }
}

/// Waits for the status 0 of a process that was told to end.
pub async fn drained(mut process: Process) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.ended().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        assert!(Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
