//! A consumer: what it reads, who handles it, and by what rules.

pub mod breaker;
mod dead_letter;
mod driver;
mod quota;
mod redrive;
mod router;
pub(crate) mod run;
mod settings;
mod settle;
mod work;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::breaker::Breaker;
use self::dead_letter::DeadLetters;
use self::quota::Quota;
pub(crate) use self::quota::{BUFFER_BYTES, Budget};
use self::router::Router;
use self::run::Rules;
pub use self::settings::Settings;
use crate::clock::Clock;
use crate::handler::{HandlerFn, HandlerFnWith, Route};
use crate::health::Board;
use crate::log::Subscription;
use crate::policy::{OnGap, Order, Policy};
use crate::record::Start;
use crate::service::{Outcome, Stop};
use crate::source::{Join, Source};
use crate::store::Guarantee;
use crate::{Batch, BatchFn, BatchFnWith, Broker, Cx, Error, Log, Message, Result, Store};

/// Reads topics as a group and hands messages to handlers.
///
/// ```
/// # use logpipe::{Consumer, Log, Policy};
/// # let log = Log::memory();
/// let billing = Consumer::new(log.source("nouns"))
///     .group("billing")
///     .dead_letter("nouns-dead")
///     .ignore("thing")
///     .on_unknown_type(Policy::Park);
/// ```
#[must_use = "a consumer does nothing until a service runs it"]
pub struct Consumer<S: Store = Broker> {
    subscription: Subscription,
    store: S,
    group: Option<String>,
    instance_id: Option<String>,
    routes: Vec<Route<S>>,
    ignored: Vec<String>,
    /// A topic, and the log that it is a topic of.
    dead_letter: Option<(Subscription, String)>,
    start: Start,
    settings: Settings,
    limit: Option<u64>,
    idle_timeout: Option<Duration>,
    require: Option<Guarantee>,
    clock: Clock,
    /// What whoever operates the program says, until it is laid over the rest.
    configured: Option<crate::config::Consumer>,
    /// For the whole process: whether whoever operates it says so, and how many.
    pub(crate) buffer_bytes: Option<(bool, usize)>,
}

impl Consumer<Broker> {
    /// A consumer whose positions the log keeps: at least once.
    pub fn new(subscription: Subscription) -> Self {
        Self::with_store(subscription, Broker)
    }
}

impl<S: Store> Consumer<S> {
    /// A consumer whose positions, parked records and effects are in `store`. An argument of the constructor, because
    /// handlers are written for a store.
    pub fn with_store(subscription: Subscription, store: S) -> Self {
        Self {
            subscription,
            store,
            group: None,
            instance_id: None,
            routes: Vec::new(),
            ignored: Vec::new(),
            dead_letter: None,
            start: Start::default(),
            settings: Settings::default(),
            limit: None,
            idle_timeout: None,
            require: None,
            clock: Clock::system(),
            configured: None,
            buffer_bytes: None,
        }
    }

    /// The name under which positions are kept. Required; members of one group share the lanes.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Static membership, where the log has it: a restart under the same id needs no rebalance.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.instance_id = Some(id.into());
        self
    }

    /// Adds what handles a type: `person::handler(..)` or `place::latest(..)`.
    // Not generic: a handler for another store is then rustc's plain `expected Route<Broker>, found Route<Sqlite>`.
    pub fn register(mut self, route: Route<S>) -> Self {
        self.routes.push(route);
        self
    }

    /// Adds several: `every(..)`.
    pub fn register_all(mut self, routes: impl IntoIterator<Item = Route<S>>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// Handles one version of a type: `.on(async |p: place::v1::Place, cx: &mut Cx| ..)`. All versions that the build
    /// knows must be handled; `run()` names those that are not before it reads anything.
    pub fn on<M, F>(mut self, handler: F) -> Self
    where
        M: Message,
        F: AsyncFn(M, &mut Cx<S>) -> Result + for<'a> HandlerFn<'a, M, S>,
    {
        self.routes.push(Route::on(handler));
        self
    }

    /// As [`Consumer::on`], with state that the closure borrows.
    pub fn on_with<T, M, F>(mut self, state: T, handler: F) -> Self
    where
        T: Send + Sync + 'static,
        M: Message,
        F: AsyncFn(&T, M, &mut Cx<S>) -> Result + for<'a> HandlerFnWith<'a, T, M, S>,
    {
        self.routes.push(Route::on_with(state, handler));
        self
    }

    /// Handles one version of a type, several messages at once: `.on_batch(async |people: &mut Batch<person::v2::Person>,
    /// cx: &mut Cx| ..)`. Generated code has the same as `person::v2_batch(..)`.
    pub fn on_batch<M, F>(mut self, handler: F) -> Self
    where
        M: Message,
        F: AsyncFn(&mut Batch<M>, &mut Cx<S>) -> Result + for<'a> BatchFn<'a, M, S>,
    {
        self.routes.push(Route::batch(handler));
        self
    }

    /// As [`Consumer::on_batch`], with state that the closure borrows.
    pub fn on_batch_with<T, M, F>(mut self, state: T, handler: F) -> Self
    where
        T: Send + Sync + 'static,
        M: Message,
        F: AsyncFn(&T, &mut Batch<M>, &mut Cx<S>) -> Result + for<'a> BatchFnWith<'a, T, M, S>,
    {
        self.routes.push(Route::batch_with(state, handler));
        self
    }

    /// Messages of this type are none of this consumer's business: settled without a word.
    pub fn ignore(mut self, message_type: impl Into<String>) -> Self {
        self.ignored.push(message_type.into());
        self
    }

    /// Parks on a topic of the same log instead of in the store. Its acknowledgement precedes the position: a crash in
    /// between doubles a dead letter, and none is lost. One that the topic does not take, for it has become too large or
    /// the topic is not there, holds the lane.
    ///
    /// What is written has the record's key. Where the log has headers, value and headers are the record's own, and more
    /// say what happened: `logpipe-consumer`, `logpipe-origin-topic`, `logpipe-origin-lane`, `logpipe-origin-position`,
    /// `logpipe-reason` (`Malformed`, `Failed` ..), `logpipe-reason-text`, `logpipe-attempts`, and where it has a time
    /// `logpipe-origin-timestamp`. The letter's own time is that of its writing: its topic's retention counts from there.
    ///
    /// Where it has none, on Kinesis, the value is the text `logpipe-dead-letter:`, a JSON object on one line with members
    /// of the same names, all of them strings; a line feed; and then the record's own value,
    /// byte for byte, to the end. A record without value has no line feed. It has to fit: what is added takes some 500 bytes.
    ///
    /// ```text
    /// logpipe-dead-letter:{"logpipe-attempts":"5","logpipe-consumer":"billing", .. "logpipe-reason":"Failed", ..}
    /// json:{"type":"person","version":1,"message":{ .. }}
    /// ```
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter = Some((self.subscription.clone(), topic.into()));
        self
    }

    /// As [`Consumer::dead_letter`], on a topic of another log.
    ///
    /// ```
    /// # use logpipe::{Consumer, Log};
    /// # let (log, archive) = (Log::memory(), Log::memory());
    /// let billing = Consumer::new(log.source("nouns")).group("billing").dead_letter_on(&archive, "nouns-dead");
    /// ```
    pub fn dead_letter_on(mut self, log: &Log, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        self.dead_letter = Some((log.source(topic.as_str()), topic));
        self
    }

    /// Where a group without a stored position begins.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Everything that is a number or a word, at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Changes single settings: `.set(|s| s.window = 64)`.
    pub fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Takes what `[consumer]` says. What the file, the environment or a flag sets goes before what the program sets on
    /// this consumer, whether before or after this call; the rest holds where the program sets nothing.
    pub fn configure(mut self, config: &crate::config::Consumer) -> Self {
        self.configured = Some(config.clone());
        self
    }

    /// With what it was configured with laid over what the program has set.
    pub(crate) fn resolved(mut self) -> Self {
        let Some(config) = self.configured.take() else {
            return self;
        };
        config.lay(&mut self.settings);
        if config.goes_before("start", self.start == Start::default()) {
            self.start = config.start.clone();
        }
        if config.goes_before("idle_timeout_ms", self.idle_timeout.is_none()) {
            self.idle_timeout = config.idle_timeout_ms.map(Duration::from_millis);
        }
        self.buffer_bytes = Some((config.is_said("buffer_bytes"), config.buffer_bytes.get()));
        self
    }

    /// Which records wait for a failing or parked one.
    pub fn order(self, order: Order) -> Self {
        self.set(|settings| settings.order = order)
    }

    /// A record is handled no sooner than this after it was written.
    pub fn min_lag(self, lag: Duration) -> Self {
        self.set(|settings| settings.min_lag_ms = millis(lag))
    }

    /// An attempt that takes longer is dropped and counts as failed.
    pub fn attempt_deadline(self, deadline: Duration) -> Self {
        self.set(|settings| settings.attempt_deadline_ms = millis(deadline))
    }

    /// Ends once N records are settled, handled or not; no other is begun.
    pub fn stop_after(mut self, records: u64) -> Self {
        self.limit = Some(records);
        self
    }

    /// Ends once nothing happened for this long: the group is joined, every lane is at its end or held, and nothing is in
    /// flight, in retry or waiting.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// Refuses to start where the consumer promises less.
    pub fn require(mut self, guarantee: Guarantee) -> Self {
        self.require = Some(guarantee);
        self
    }

    /// What minimum lag reads the time from, and waits by.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Bytes that are no envelope; by default they are parked.
    pub fn on_malformed(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_malformed = policy)
    }

    /// A format that this build does not read; by default parked.
    pub fn on_unknown_format(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_unknown_format = policy)
    }

    /// A type that nobody handles; by default parked.
    pub fn on_unknown_type(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_unknown_type = policy)
    }

    /// A version that this build does not know, of a type that it handles; by default the lane holds.
    pub fn on_unknown_version(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_unknown_version = policy)
    }

    /// A version that was retired; by default parked.
    pub fn on_retired(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_retired = policy)
    }

    /// A message that breaks a rule of its schema; by default parked.
    pub fn on_invalid(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_invalid = policy)
    }

    /// A deleted key that nobody handles; by default parked.
    pub fn on_tombstone(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_tombstone = policy)
    }

    /// A record whose attempts are used up; by default parked.
    pub fn on_failed(self, policy: Policy) -> Self {
        self.set(|settings| settings.policies.on_failed = policy)
    }

    /// A stored position outside the log, or from another incarnation of it; by default the lane holds.
    pub fn on_gap(self, on_gap: OnGap) -> Self {
        self.set(|settings| settings.on_gap = on_gap)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.group.as_deref()
    }

    pub(crate) fn guarantee(&self) -> Guarantee {
        self.store.guarantee()
    }

    pub(crate) fn topics(&self) -> &[String] {
        self.subscription.topics()
    }

    /// Where records come from, and where those go that are parked on a topic.
    pub(crate) fn flow(&self) -> Flow {
        let log = self.subscription.backend().identity();
        let of_log = |topic: &String| Place {
            log: log.clone(),
            topic: topic.clone(),
        };
        let parks = self.settings.policies.all().contains(&Policy::Park);
        let dead_letter = self.dead_letter.as_ref().filter(|_| parks);
        Flow {
            from: self.topics().iter().map(of_log).collect(),
            dead_letter: dead_letter.map(|(log, topic)| Place {
                log: log.backend().identity(),
                topic: topic.clone(),
            }),
            store: self.store.identity(),
        }
    }

    /// Everything that can be wrong before the first record is read.
    fn check(&self) -> Result<(String, Router<S>)> {
        let group = match &self.group {
            Some(group) if !group.is_empty() => group.clone(),
            _ => {
                return Err(Error::permanent(format!(
                    "the consumer of {} has no group: add `.group(\"name\")`",
                    self.topics().join(", ")
                )));
            }
        };
        let router = Router::new(self.routes.clone(), &self.ignored)
            .map_err(|error| error.context(format!("consumer {group}")))?;
        if let Some(require) = self.require
            && self.guarantee() < require
        {
            return Err(Error::permanent(format!(
                "consumer {group} requires \"{require}\", but with {} it promises \"{}\": give it a store",
                self.store.describe(),
                self.guarantee()
            )));
        }
        let parks = self.settings.policies.all().contains(&Policy::Park);
        if S::KEPT_BY_LOG && self.dead_letter.is_none() && parks {
            return Err(Error::permanent(format!(
                "consumer {group} would have to park records and has nowhere to: add `.dead_letter(\"topic\")`, or a store (`Consumer::with_store(..)`), or give every class a policy of hold, skip or stop"
            )));
        }
        let flow = self.flow();
        if let Some(place) = flow.dead_letter.filter(|place| flow.from.contains(place)) {
            return Err(Error::permanent(format!(
                "consumer {group} would read what it parks, for ever: `{}` is a topic of its own; give `.dead_letter(\"topic\")` another",
                place.topic
            )));
        }
        let capabilities = self.subscription.backend().capabilities();
        if S::KEPT_BY_LOG && !capabilities.broker_cursors {
            return Err(Error::permanent(format!(
                "consumer {group}: {} keeps no positions, give it a store (`Consumer::with_store(..)`)",
                self.subscription.backend().describe()
            )));
        }
        Ok((group, router))
    }

    /// Runs until it is told to stop, is idle for its time, or has its N records.
    pub(crate) fn run(
        self,
        board: Arc<Board>,
        budget: Budget,
        stop: Stop,
    ) -> BoxFuture<'static, Result<Outcome>> {
        Box::pin(async move {
            let (group, router) = self.check()?;
            let backend = self.subscription.backend().clone();
            let source = backend
                .join(Join {
                    group: group.clone(),
                    topics: self.subscription.topics().to_vec(),
                    instance_id: self.instance_id,
                })
                .await
                .map_err(|error| error.context(format!("consumer {group} joining its group")))?;
            tracing::info!(
                consumer = group,
                log = backend.describe(),
                store = self.store.describe(),
                "{}",
                self.store.guarantee()
            );
            let deadline = self.settings.attempt_deadline_ms;
            let shared = Arc::new(Shared {
                rules: Arc::new(Rules {
                    order: self.settings.order,
                    deadline: (deadline > 0).then(|| Duration::from_millis(deadline)),
                    policies: self.settings.policies.clone(),
                }),
                group,
                topics: self.subscription.topics().to_vec(),
                store: self.store,
                router,
                source,
                dead_letters: self
                    .dead_letter
                    .map(|(log, topic)| DeadLetters::new(log, topic)),
                start: self.start,
                breaker: Breaker::new(self.settings.breaker.clone()),
                settings: self.settings,
                board,
                quota: Quota::new(self.limit),
                budget,
                clock: self.clock,
            });
            driver::drive(shared, self.idle_timeout, stop).await
        })
    }

    pub(crate) fn check_only(&self) -> Result {
        self.check().map(|_| ())
    }
}

/// Where a consumer's records come from, and where those go that it parks on a topic.
pub(crate) struct Flow {
    pub(crate) from: Vec<Place>,
    pub(crate) dead_letter: Option<Place>,
    /// Where the positions are, if not in the log.
    pub(crate) store: Option<String>,
}

/// A topic of a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    log: String,
    pub(crate) topic: String,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the lanes of a running consumer share.
struct Shared<S: Store> {
    group: String,
    topics: Vec<String>,
    store: S,
    router: Router<S>,
    source: Box<dyn Source>,
    dead_letters: Option<DeadLetters>,
    start: Start,
    settings: Settings,
    rules: Arc<Rules>,
    board: Arc<Board>,
    breaker: Breaker,
    quota: Quota,
    budget: Budget,
    clock: Clock,
}
