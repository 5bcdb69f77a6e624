//! The user's own service on a log in memory: send, look what came of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::clock::{Clock, ManualClock};
use crate::memory::{self, Memory};
use crate::sink::NewRecord;
use crate::{Log, Message, Outcome, Result, Service, Store, Versions};

/// Runs the application's real service, with the store that the test passes, on a log in memory.
///
/// Each send writes to the log, starts the service, waits until nothing is left to do, and drains it: every send is a
/// restart, too. What goes wrong panics, as a test wants it.
///
/// Time stands still for the log and for what minimum lag waits by, until [`TestPipe::advance`] moves it.
///
/// ```
/// # use logpipe::{Consumer, Log, Service, store::Memory, testing::TestPipe};
/// # fn service(log: Log, store: Memory) -> Service {
/// #     Service::new().with(Consumer::with_store(log.source("nouns"), store).group("docs"))
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut pipe = TestPipe::new(|log, store| service(log, store), Memory::new());
/// pipe.send_bytes("nouns", None, b"json:{\"type\":\"other\",\"version\":1,\"message\":{}}").await;
/// pipe.assert().parked(1).held(0);
/// pipe.restart().await;
/// pipe.assert().parked(1);
/// # }
/// ```
pub struct TestPipe<S, F> {
    log: Log,
    clock: ManualClock,
    store: S,
    build: F,
    topics: Vec<String>,
    counts: Counts,
}

/// Over all runs.
#[derive(Default)]
struct Counts {
    handled: BTreeMap<(String, u32), u64>,
    parked: u64,
    skipped: u64,
    /// Of the last run.
    held: Vec<String>,
}

impl<S: Store, F: Fn(Log, S) -> Service> TestPipe<S, F> {
    /// `build` is the application's `fn service(log, store) -> Service`.
    pub fn new(build: F, store: S) -> Self {
        let clock = ManualClock::at(Timestamp::now());
        let log = Log::new(Memory::with(memory::Settings {
            clock: clock.clock(),
            ..memory::Settings::default()
        }));
        let topics = build(log.clone(), store.clone()).topics();
        Self {
            log,
            clock,
            store,
            build,
            topics,
            counts: Counts::default(),
        }
    }

    /// The log, to look into or to read with other consumers.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The clock that stamps records and that the service's consumers read.
    pub fn clock(&self) -> Clock {
        self.clock.clock()
    }

    /// Lets so much time pass, and runs the service.
    ///
    /// # Panics
    /// Where the service fails.
    pub async fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.restart().await;
    }

    /// The store that the service uses.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Sends to the only topic that the service reads, and runs the service.
    ///
    /// # Panics
    /// Where the service reads several topics ([`TestPipe::send_to`]), and where it fails.
    pub async fn send<M: Message>(&mut self, message: &M) {
        let topic = self.only_topic();
        self.send_to(&topic, message).await;
    }

    /// Sends to one of several topics, and runs the service.
    ///
    /// # Panics
    /// Where the service fails.
    pub async fn send_to<M: Message>(&mut self, topic: &str, message: &M) {
        let producer = expect(self.log.producer(topic).await);
        expect(producer.send(message).await);
        self.restart().await;
    }

    /// Deletes a key of the only topic that the service reads, and runs the service.
    ///
    /// # Panics
    /// As [`TestPipe::send`].
    pub async fn delete<A: Versions>(&mut self, key: impl AsRef<[u8]>) {
        let producer = expect(self.log.producer(&self.only_topic()).await);
        expect(producer.delete::<A>(key).await);
        self.restart().await;
    }

    /// Writes bytes that are perhaps no message, and runs the service.
    ///
    /// # Panics
    /// Where the service fails.
    pub async fn send_bytes(&mut self, topic: &str, key: Option<&[u8]>, value: &[u8]) {
        let sink = expect(self.log.backend().sink(topic).await);
        let record = NewRecord {
            key: key.map(Bytes::copy_from_slice),
            headers: Vec::new(),
            value: Some(Bytes::copy_from_slice(value)),
            timestamp: None,
        };
        for result in sink.send(vec![record]).await {
            expect(result);
        }
        self.restart().await;
    }

    /// Starts the service anew, on what log and store hold, until nothing is left to do.
    ///
    /// # Panics
    /// Where the service fails.
    pub async fn restart(&mut self) {
        let _ = expect(self.run().await);
    }

    /// As [`TestPipe::restart`], for a service that is expected to fail.
    pub async fn run(&mut self) -> Result<Outcome> {
        let service = (self.build)(self.log.clone(), self.store.clone()).clock(self.clock());
        let monitor = service.monitor();
        let quiet = monitor.clone();
        let result = service.run_until(quiet.quiet()).await;
        for (message_type, version, count) in monitor.handled() {
            *self
                .counts
                .handled
                .entry((message_type, version))
                .or_default() += count;
        }
        for consumer in monitor.health().consumers {
            self.counts.parked += consumer.parked;
            self.counts.skipped += consumer.skipped;
        }
        if let Ok(outcome) = &result {
            self.counts.held = outcome.held.iter().map(ToString::to_string).collect();
        }
        result
    }

    /// What came of everything that was sent so far.
    pub fn assert(&self) -> Assert<'_> {
        Assert(&self.counts)
    }

    fn only_topic(&self) -> String {
        match &self.topics[..] {
            [topic] => topic.clone(),
            topics => panic!(
                "the service reads {} topics ({}): say which with `send_to`",
                topics.len(),
                topics.join(", ")
            ),
        }
    }
}

/// Claims about what came of it. Each panics where it does not hold.
pub struct Assert<'a>(&'a Counts);

impl Assert<'_> {
    /// Handlers took this many messages of this version.
    ///
    /// # Panics
    /// Where they did not.
    #[track_caller]
    pub fn handled<M: Message>(self, expected: u64) -> Self {
        let key = (M::TYPE.to_owned(), M::VERSION);
        let handled = self.0.handled.get(&key).copied().unwrap_or(0);
        assert_eq!(
            handled,
            expected,
            "{} version {} handled",
            M::TYPE,
            M::VERSION
        );
        self
    }

    /// This many records were parked, those that queue behind others included.
    ///
    /// # Panics
    /// Where they were not.
    #[track_caller]
    pub fn parked(self, expected: u64) -> Self {
        assert_eq!(self.0.parked, expected, "records parked");
        self
    }

    /// This many records were ignored or skipped.
    ///
    /// # Panics
    /// Where they were not.
    #[track_caller]
    pub fn skipped(self, expected: u64) -> Self {
        assert_eq!(self.0.skipped, expected, "records skipped");
        self
    }

    /// This many lanes are held.
    ///
    /// # Panics
    /// Where they are not.
    #[track_caller]
    pub fn held(self, expected: usize) -> Self {
        assert_eq!(self.0.held.len(), expected, "lanes held: {:?}", self.0.held);
        self
    }
}

#[track_caller]
fn expect<T, E: Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
