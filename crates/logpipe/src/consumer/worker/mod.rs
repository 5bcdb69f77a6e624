//! One lane, from its assignment until it is given back: what happens, in which order?
//!
//! * `claim`: how it becomes ours
//! * `intake`: how records come into its window
//! * `boxes`: where they lie on their way
//! * `run`: how they reach their handler
//! * `dead_letters`: how those that are parked get to the dead-letter topic
//! * `commit`: how what came of it becomes durable
//! * `gap`: what happens where position and log do not fit
//! * `leave`: what the log is told
//! * `pulse`: how all of them wait

mod boxes;
mod claim;
mod commit;
mod dead_letters;
mod gap;
mod intake;
mod leave;
mod pulse;
mod run;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

pub(super) use self::boxes::Boxes;
pub(super) use self::commit::write;
use self::pulse::Pulse;
pub(super) use self::pulse::Wanted;
use super::Shared;
use super::quota::Share;
use super::router::Routed;
use super::run::{Job, Verdict};
use super::settle::{Held, RECHECK};
use crate::error::Kind;
use crate::fault::{self, Point};
use crate::handler::Current;
use crate::health::LaneState;
use crate::lane::{Keyed, Lane, Limits, Next};
use crate::record::Cursor;
use crate::source::{Assigned, Gap, LaneReader, Opened, backoff};
use crate::store::LaneKey;
use crate::{Error, Result, Store};

/// The longest wait between two tries of what is nobody's fault among the records: short enough that the lane is back
/// soon after whatever it was has passed.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the consumer asks of a lane.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// Go on.
    Go,
    /// Settle what is in flight until then, store the position, release the lane.
    Drain(Instant),
    /// The lane is another's: write nothing.
    Drop,
    /// Something happened to the log.
    Incident(Gap),
}

/// How a lane's task ended.
pub(super) enum Exit {
    /// Given back, or not ours any more.
    Left,
    /// A policy says stop.
    Stopped(Error),
}

/// Why a lane stops what it is doing.
enum Break {
    /// Asked to drain.
    Drain,
    /// Nothing of the lane is ours.
    Drop,
    /// Another owner wrote, or nobody knows whether a commit went through: look at the lane anew.
    Anew,
    /// The log and the position do not fit.
    Gap(Gap),
    /// What is under the topic's name is not what was assigned: the source takes the lane away and assigns it anew.
    Another,
    /// A policy says stop.
    Stop(Error),
}

type Step<T = ()> = std::result::Result<T, Break>;

/// What the lane keeps of a record in its window.
pub(super) struct Content {
    current: Box<Current>,
    /// How it ends, where that is known before any handler sees it.
    decided: Option<Verdict>,
}

pub(super) struct Worker<S: Store> {
    shared: Arc<Shared<S>>,
    key: LaneKey,
    pulse: Pulse<S>,
    /// Failures in a row of the store, the log or a dependency.
    troubles: u32,
    /// How often in a row the lane was looked at anew, and nothing was settled since.
    anew: u32,
    /// Taken from the quota by records that are not settled.
    places: u64,
    share: Share,
    state: LaneState,
    /// Where the record before went.
    routed: Option<Routed>,
    boxes: Boxes,
    /// Where records have to wait by a clock that somebody moves by hand: tokio's time and its own, at the last look.
    clock_hands: Option<(Instant, Duration)>,
}

/// A claimed and opened lane.
struct Tenure {
    epoch: u64,
    lane: Lane<Content>,
    reader: Box<dyn LaneReader>,
    /// The log may have more than was fetched.
    more: bool,
    /// Nothing was behind what was fetched when the log was asked.
    at_end: bool,
    /// A cursor that the log has not been told of.
    unsaved: bool,
    saved_at: Instant,
    /// Receipts that wait until the log has the position.
    confirms: Vec<oneshot::Sender<()>>,
    held: Option<Held>,
    ended: bool,
}

impl<S: Store> Worker<S> {
    pub(super) fn new(
        shared: Arc<Shared<S>>,
        assigned: Assigned,
        command: watch::Receiver<Command>,
    ) -> Self {
        let key = LaneKey {
            consumer: shared.group.clone(),
            lane: assigned.lane,
            cluster: assigned.cluster,
            incarnation: assigned.incarnation,
        };
        let is_by_hand = shared.clock.is_manual() && shared.settings.min_lag_ms > 0;
        Self {
            clock_hands: is_by_hand.then(|| (Instant::now(), shared.clock.uptime())),
            pulse: Pulse::new(shared.clone(), key.lane.clone(), command),
            // Counted before any lane of the same assignment runs, for that one would take all.
            share: shared.budget.share(),
            shared,
            key,
            troubles: 0,
            anew: 0,
            places: 0,
            state: LaneState::Starting,
            routed: None,
            boxes: Boxes::default(),
        }
    }

    /// The life of the lane.
    pub(super) async fn work(mut self) -> Exit {
        let exit = self.live().await;
        // Where a handler had blocked the thread, the lane was lost, and now it may be had again.
        self.shared.source.alive(&self.key.lane);
        exit
    }

    async fn live(&mut self) -> Exit {
        self.set(LaneState::Starting);
        loop {
            let mut tenure = None;
            let Err(broken) = self.tenure(&mut tenure).await else {
                break Exit::Left;
            };
            self.shared
                .quota
                .give_back(std::mem::take(&mut self.places));
            self.share.hold(0);
            if let Err(broken) = self.mend(broken, &mut tenure).await {
                match broken {
                    Break::Drain => self.release(tenure).await,
                    Break::Stop(error) => {
                        self.release(tenure).await;
                        break Exit::Stopped(error);
                    }
                    Break::Drop | Break::Anew | Break::Another | Break::Gap(_) => {}
                }
                break Exit::Left;
            }
        }
    }

    /// What the lane can go on from, if it is still ours; everything else is the end of its task. Of a tenure that the
    /// store may know better nothing is kept, so that nothing of it is saved.
    async fn mend(&mut self, broken: Break, tenure: &mut Option<Tenure>) -> Step {
        match broken {
            Break::Anew => {
                debug!(lane = %self.key.lane, "looking at the lane anew");
                let cursor = tenure
                    .take()
                    .map_or(Cursor::Start, |tenure| tenure.lane.cursor().clone());
                if !self.is_ours(&cursor).await? {
                    return Err(Break::Drain);
                }
                // At once, as a rule: another owner has the lane, or a commit is to be looked up. Where that settles
                // nothing, once and again, looking faster helps nobody.
                if let Some(again) = self.anew.checked_sub(1) {
                    let wait = backoff(again).min(LONGEST_WAIT);
                    self.wait(Instant::now() + wait).await?;
                }
                self.anew += 1;
                Ok(())
            }
            Break::Gap(gap) => {
                *tenure = None;
                self.bridge(gap).await
            }
            Break::Another => {
                *tenure = None;
                self.stand_back().await
            }
            end => Err(end),
        }
    }

    /// From the claim on; `Ok` when the lane has ended and is finished.
    async fn tenure(&mut self, tenure: &mut Option<Tenure>) -> Step {
        let claim = self.claim().await?;
        if self.is_another_log(&claim) {
            let gap = self.recreated().await?;
            return Err(Break::Gap(gap));
        }
        fault::point(Point::AfterClaim);
        if claim.cursor == Cursor::Closed {
            return self.finish().await;
        }
        let reader = match self.open(&claim.cursor).await? {
            Opened::Reader(reader) => reader,
            Opened::OutOfRange(gap) => return Err(Break::outside(gap)),
            Opened::NotOurs => return Err(Break::Drop),
        };
        if let Some(gap) = self.lost_tail(&claim).await? {
            return Err(Break::Gap(gap));
        }
        let settings = &self.shared.settings;
        let limits = Limits {
            window: settings.window.max(1),
            run: settings.run.max(1),
        };
        let tenure = tenure.insert(Tenure {
            epoch: claim.epoch,
            lane: Lane::new(limits, settings.order, claim.cursor, claim.settled),
            reader,
            more: true,
            at_end: false,
            unsaved: false,
            saved_at: Instant::now(),
            confirms: Vec::new(),
            held: None,
            ended: false,
        });
        self.shared.board.hold(&self.key.lane, None);
        self.show(tenure);
        loop {
            match self.pulse.obey() {
                Err(Break::Drain) => return self.even_out(tenure).await,
                obeyed => obeyed?,
            }
            self.break_off(tenure);
            let fetched = self.fetch(tenure).await?;
            self.follow_clock(tenure);
            let fresh = self.shared.quota.left();
            match tenure.lane.next(Instant::now(), fresh) {
                Next::Run { seqs, .. } => {
                    self.lag(false);
                    // After trouble it is another try, and says what it waits for until one succeeds.
                    if self.troubles == 0 {
                        self.set(LaneState::Running);
                    }
                    if tenure.lane.has_waiting() {
                        fault::point(Point::RetryWaiting);
                    }
                    self.run(tenure, seqs).await?;
                }
                Next::At(due) => {
                    self.save(tenure, true).await?;
                    self.rest(tenure, Some(due)).await?;
                }
                Next::Nothing => {
                    self.pass(tenure).await?;
                    if *tenure.lane.cursor() == Cursor::Closed {
                        self.save(tenure, true).await?;
                        return self.finish().await;
                    }
                    // What came needed no handler, and more may follow.
                    if !(fetched && tenure.more) {
                        self.save(tenure, true).await?;
                        self.rest(tenure, None).await?;
                    }
                }
            }
            self.save(tenure, false).await?;
        }
    }

    /// Holds the lane where the breaker holds all of them.
    fn break_off(&self, tenure: &mut Tenure) {
        if tenure.held.is_none()
            && let Some(open) = self.shared.breaker.open(Instant::now())
        {
            tenure.lane.hold_all();
            let held = Held {
                seq: 0,
                why: open.why,
                until: Some(open.until),
                full: None,
                at: None,
            };
            self.hold(tenure, held);
        }
    }

    /// Of several reasons the one of the lowest record counts: the lane gets to the others when that has passed.
    fn hold(&self, tenure: &mut Tenure, held: Held) {
        if tenure
            .held
            .as_ref()
            .is_none_or(|before| held.seq <= before.seq)
        {
            if let Some(at) = &held.at {
                warn!(
                    topic = self.key.lane.topic(),
                    lane = self.key.lane.shard(),
                    position = %at.position,
                    r#type = &*at.message_type,
                    version = at.version,
                    attempt = at.attempt,
                    "the lane is held {}",
                    held.why
                );
            }
            let why = Some(held.why.clone());
            self.shared.board.hold(&self.key.lane, why);
            tenure.held = Some(held);
        }
    }

    /// What held the lane has passed, or may have: then it goes on. Where too much is parked it stays held, and does not
    /// look as if it did anything, until there is room.
    async fn recheck(&mut self, tenure: &mut Tenure) -> Step {
        if let Some(full) = tenure.held.as_ref().and_then(|held| held.full.clone()) {
            let looking = full.holds(self.shared.clone(), self.held(tenure));
            match self.pulse.place(looking).await? {
                Ok(false) => {}
                Ok(true) => {
                    if let Some(held) = &mut tenure.held {
                        held.until = Some(Instant::now() + RECHECK);
                    }
                    return Ok(());
                }
                Err(error) => return self.fenced_or_trouble(error).await,
            }
        }
        self.shared.board.hold(&self.key.lane, None);
        tenure.held = None;
        tenure.lane.resume();
        Ok(())
    }

    /// Until `until`, until something arrives, or until the consumer wants something.
    async fn rest(&mut self, tenure: &mut Tenure, until: Option<Instant>) -> Step {
        let recheck = tenure.held.as_ref().and_then(|held| held.until);
        if recheck.is_some_and(|at| at <= Instant::now()) {
            return self.recheck(tenure).await;
        }
        // What is held has no use for its places among the N records after which the consumer stops.
        let places = tenure.lane.displace();
        self.places = self.places.saturating_sub(places);
        self.shared.quota.give_back(places);
        let is_quiet = tenure.lane.is_quiet();
        self.set(match &tenure.held {
            Some(held) if is_quiet => LaneState::Held(held.why.clone()),
            None if is_quiet && tenure.at_end && !tenure.more => LaneState::Idle,
            _ => LaneState::Running,
        });
        // By itself such a clock stands still: whoever moves it is not waited for.
        let is_lagging = until.is_some() && !tenure.lane.has_waiting();
        let is_lagging = self.lag(is_lagging);
        let up = self.clock_hands.map_or(Duration::MAX, |(_, up)| up);
        // A full window has no use for more, and what is known to be there needs no news.
        let wants = tenure.lane.room() > 0 && !tenure.more && !tenure.ended;
        let until = [until, recheck].into_iter().flatten().min();
        let shared = self.shared.clone();
        tokio::select! {
            biased;
            () = self.pulse.moment(until) => {}
            ready = tenure.reader.ready(), if wants => match ready {
                Ok(()) => tenure.more = true,
                Err(error) => self.trouble(error.context("waiting for records")).await?,
            },
            () = shared.clock.moved(up), if is_lagging => {}
            () = shared.quota.changed(), if tenure.lane.room() < shared.settings.window => {}
        }
        Ok(())
    }

    /// Tries until it succeeds, or the lane has to stop.
    // Not an `AsyncFn` that borrows: rustc does not see that its futures are `Send` for every lifetime.
    async fn persist<T, F>(
        &mut self,
        doing: &str,
        operation: impl Fn(Arc<Shared<S>>, LaneKey) -> F,
    ) -> Step<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            let tried = operation(self.shared.clone(), self.key.clone());
            match self.pulse.guard(tried).await? {
                Ok(done) => {
                    self.troubles = 0;
                    return Ok(done);
                }
                Err(error) => self.trouble(error.context(doing)).await?,
            }
        }
    }

    async fn fenced_or_trouble(&mut self, error: Error) -> Step {
        if error.kind() == Kind::Fenced {
            return Err(Break::Anew);
        }
        self.trouble(error).await
    }

    /// Nobody's fault among the records: the lane waits, and uses up no attempt.
    async fn trouble(&mut self, error: Error) -> Step {
        let wait = backoff(self.troubles).min(LONGEST_WAIT);
        self.troubles += 1;
        warn!(
            topic = self.key.lane.topic(),
            lane = self.key.lane.shard(),
            %error,
            tries = self.troubles,
            "waiting, then trying again"
        );
        self.set(LaneState::Waiting(error.to_string()));
        self.wait(Instant::now() + wait).await
    }

    async fn wait(&mut self, until: Instant) -> Step {
        while Instant::now() < until {
            self.pulse.obey()?;
            self.pulse.moment(Some(until)).await;
        }
        Ok(())
    }

    /// Says how far the lane is, and what it holds.
    fn show(&mut self, tenure: &Tenure) {
        let lane = &tenure.lane;
        self.share.hold(lane.size());
        self.shared
            .board
            .cursor(&self.key.lane, lane.cursor(), lane.size());
    }

    /// Says whether the lane waits for a clock that somebody moves by hand, and for nothing else.
    fn lag(&self, is_lagging: bool) -> bool {
        if self.clock_hands.is_none() {
            return false;
        }
        self.shared.board.lag(&self.key.lane, is_lagging);
        is_lagging
    }

    fn set(&mut self, state: LaneState) {
        if self.state != state || state == LaneState::Starting {
            self.shared.board.set(&self.key.lane, state.clone());
            self.state = state;
        }
    }
}

impl Keyed for Content {
    fn key(&self) -> Option<&Bytes> {
        self.current.record.ordered_by()
    }
}

impl Content {
    /// Of a record that ran and is not settled: whoever waited for it is told so.
    pub(super) fn of(job: Job) -> Self {
        let Job {
            seq: _,
            mut current,
            decided,
        } = job;
        current.confirm = None;
        Self { current, decided }
    }
}
