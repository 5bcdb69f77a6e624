//! A service: consumers that run together, drain together, and end with one outcome.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::consumer::{BUFFER_BYTES, Budget, Consumer, Flow, Place};
use crate::health::{Board, Health};
use crate::producer::Producer;
use crate::record::LaneId;
use crate::{Error, Result, Store};

/// Consumers that run together.
///
/// Consumers drain first, producers flush after: what a handler sends while draining is still sent.
#[must_use = "a service does nothing until it is run"]
pub struct Service {
    consumers: Vec<Member>,
    producers: Vec<Producer>,
    boards: Monitor,
    buffer_bytes: Option<usize>,
    clock: Option<Clock>,
    /// As consumers were configured: whether whoever operates the program says so, and how many.
    configured_bytes: Option<(bool, usize)>,
}

struct Member {
    group: Option<String>,
    flow: Flow,
    check: Result,
    run: Box<Run>,
}

/// A consumer's `run`, whatever its store.
type Run = dyn FnOnce(Arc<Board>, Budget, Stop, Option<Clock>) -> BoxFuture<'static, Result<Outcome>>
    + Send;

/// Looks at a service while it runs.
#[derive(Clone, Default)]
pub struct Monitor(Vec<Arc<Board>>);

/// What a service did until it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a held lane is in here, and the exit code"]
pub struct Outcome {
    /// Messages that a handler took.
    pub handled: u64,
    /// Records that were parked.
    pub parked: u64,
    /// Records that were ignored, or skipped by a policy.
    pub skipped: u64,
    /// Lanes that were held, and why.
    pub held: Vec<HeldLane>,
}

/// A lane that did not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLane {
    /// The consumer group.
    pub consumer: String,
    /// The lane.
    pub lane: LaneId,
    /// Why, and what to do.
    pub why: String,
}

impl Outcome {
    /// 0, or 1 where a lane is held.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.held.is_empty()))
    }
}

impl fmt::Display for HeldLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is held for {}: {}",
            self.lane, self.consumer, self.why
        )
    }
}

impl Service {
    /// Without consumers yet.
    pub fn new() -> Self {
        Self {
            consumers: Vec::new(),
            producers: Vec::new(),
            boards: Monitor::default(),
            buffer_bytes: None,
            clock: None,
            configured_bytes: None,
        }
    }

    /// Adds a consumer.
    pub fn with<S: Store>(mut self, consumer: Consumer<S>) -> Self {
        let consumer = consumer.resolved();
        let group = consumer.name().map(str::to_owned);
        let board = Board::new(group.as_deref().unwrap_or_default(), consumer.guarantee());
        self.boards.0.push(Arc::new(board));
        self.configured_bytes = self.configured_bytes.max(consumer.buffer_bytes);
        self.consumers.push(Member {
            group,
            flow: consumer.flow(),
            check: consumer.check_only(),
            run: Box::new(move |board, budget, stop, clock| {
                let consumer = match clock {
                    Some(clock) => consumer.clock(clock),
                    None => consumer,
                };
                consumer.run(board, budget, stop)
            }),
        });
        self
    }

    /// Adds a producer that handlers send with: it is flushed once the consumers are drained.
    pub fn flush(mut self, producer: &Producer) -> Self {
        self.producers.push(producer.clone());
        self
    }

    /// Bytes that all lanes of this service may buffer, together, each an equal part; what the file, the environment or a
    /// flag says goes before it. A record that is larger than a lane's part comes alone.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = Some(bytes);
        self
    }

    /// What minimum lag of all consumers reads the time from, whatever they say themselves.
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How the consumers are, now.
    pub fn health(&self) -> Health {
        self.boards.health()
    }

    /// What the consumers read, each topic once.
    pub(crate) fn topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = self
            .consumers
            .iter()
            .flat_map(|member| member.flow.from.iter().map(|place| place.topic.clone()))
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// A handle that outlives the call of [`Service::run`].
    pub fn monitor(&self) -> Monitor {
        self.boards.clone()
    }

    /// Runs until every consumer has ended by itself: idle, or with its N records.
    pub async fn run(self) -> Result<Outcome> {
        self.run_until(std::future::pending()).await
    }

    /// Runs until `signal` resolves, then drains; see [`shutdown_signal`].
    ///
    /// A handler that blocks its thread for longer than draining may take is left behind: its transaction never commits.
    /// Tokio waits for blocked threads when a runtime is dropped, so a program that has such handlers ends with
    /// `std::process::exit`, or with tokio's `Runtime::shutdown_background`.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<Outcome> {
        self.check()?;
        let (asking, asked) = watch::channel(false);
        let budget = Budget::new(match self.configured_bytes {
            Some((true, said)) => said,
            configured => {
                let default = configured.map_or(BUFFER_BYTES, |(_, bytes)| bytes);
                self.buffer_bytes.unwrap_or(default)
            }
        });
        let mut tasks = JoinSet::new();
        for (member, board) in self.consumers.into_iter().zip(&self.boards.0) {
            tasks.spawn((member.run)(
                board.clone(),
                budget.clone(),
                Stop(asked.clone()),
                self.clock.clone(),
            ));
        }
        tokio::pin!(signal);
        let mut outcome = Outcome::default();
        let mut failure = None;
        let mut signalled = false;
        loop {
            let ended = tokio::select! {
                () = &mut signal, if !signalled => {
                    signalled = true;
                    asking.send_replace(true);
                    continue;
                }
                ended = tasks.join_next() => ended,
            };
            let result = match ended {
                None => break,
                Some(Ok(result)) => result,
                Some(Err(error)) => Err(Error::permanent(format!(
                    "a consumer's task ended: {error}"
                ))),
            };
            match result {
                Ok(one) => outcome.add(one),
                // One that stops, stops all.
                Err(error) => {
                    failure.get_or_insert(error);
                    asking.send_replace(true);
                }
            }
        }
        for producer in &self.producers {
            let flushed = producer.flush().await;
            if let Err(error) = flushed {
                failure.get_or_insert(error.context("flushing a producer"));
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }

    fn check(&self) -> Result {
        let mut lanes = HashSet::new();
        let mut positions = HashSet::new();
        for member in &self.consumers {
            if let Err(error) = &member.check {
                return Err(Error::permanent(error));
            }
            let group = &member.group;
            for place in &member.flow.from {
                let topic = &place.topic;
                let store = member.flow.store.as_ref();
                let shares = if !lanes.insert((group, place)) {
                    "they would take each other's lanes"
                } else if store.is_some_and(|store| !positions.insert((group, topic, store))) {
                    "on two logs, with their positions in the same place of one store"
                } else {
                    continue;
                };
                return Err(Error::permanent(format!(
                    "two consumers of this service read `{topic}` as group `{}`: {shares}; give them different groups, or register all handlers on one",
                    group.as_deref().unwrap_or_default()
                )));
            }
            self.check_circle(member)?;
        }
        Ok(())
    }

    /// What a consumer parks on a topic must not come back to it, by way of others that park what they read there.
    fn check_circle(&self, member: &Member) -> Result {
        let mut topics = Vec::new();
        let Some(place) = &member.flow.dead_letter else {
            return Ok(());
        };
        if !self.leads_back(member, place, &mut topics) {
            return Ok(());
        }
        let names: Vec<String> = topics
            .iter()
            .map(|place| format!("`{}`", place.topic))
            .collect();
        Err(Error::permanent(format!(
            "consumer {} and others would park the same records on {} for ever, each what the one before has parked: give one of them another dead-letter topic",
            member.group.as_deref().unwrap_or_default(),
            names.join(" and ")
        )))
    }

    /// Whether what is parked at `place` comes back to a topic that `member` reads; `topics` are those on the way.
    fn leads_back<'a>(
        &'a self,
        member: &Member,
        place: &'a Place,
        topics: &mut Vec<&'a Place>,
    ) -> bool {
        if topics.contains(&place) {
            return false;
        }
        topics.push(place);
        let mut readers = self.consumers.iter();
        let leads_back = member.flow.from.contains(place)
            || readers.any(|other| {
                let next = other.flow.dead_letter.as_ref();
                other.flow.from.contains(place)
                    && next.is_some_and(|next| self.leads_back(member, next, topics))
            });
        if !leads_back {
            topics.pop();
        }
        leads_back
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new()
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.handled += other.handled;
        self.parked += other.parked;
        self.skipped += other.skipped;
        self.held.extend(other.held);
    }
}

impl Monitor {
    /// How the consumers are, now.
    pub fn health(&self) -> Health {
        Health {
            consumers: self.0.iter().map(|board| board.snapshot()).collect(),
        }
    }

    /// How many messages of each type and version handlers took; one line for each consumer.
    pub(crate) fn handled(&self) -> Vec<(String, u32, u64)> {
        self.0.iter().flat_map(|board| board.handled()).collect()
    }

    /// Resolves when every consumer has joined its group and has nothing to do.
    pub(crate) async fn quiet(&self) {
        for board in &self.0 {
            board.quiet().await;
        }
    }
}

/// Tells a consumer to drain.
#[derive(Clone)]
pub(crate) struct Stop(pub(crate) watch::Receiver<bool>);

impl Stop {
    /// Resolves once that is asked, or when nobody is left to ask.
    pub(crate) async fn asked(&mut self) {
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

/// Resolves on SIGTERM or SIGINT.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM can't be listened for; SIGINT can");
                interrupt().await;
            }
        }
    }
    #[cfg(not(unix))]
    interrupt().await;
}

async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "SIGINT can't be listened for");
        std::future::pending::<()>().await;
    }
}
