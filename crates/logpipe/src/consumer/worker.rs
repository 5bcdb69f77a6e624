//! One lane, from its assignment until it is given back: claim, open, run, settle.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tracing::{debug, info, warn};

use super::Shared;
use super::router::Classified;
use super::run::{End, Finished, Job, Run, Verdict};
use super::settle::Settling;
use crate::error::{Context, Kind};
use crate::fault::{self, Point};
use crate::handler::Current;
use crate::health::LaneState;
use crate::lane::{Arrival, Fate, Lane, Limits, Next};
use crate::policy::OnGap;
use crate::record::{Cursor, Record, Start};
use crate::source::{Assigned, Budget, Fetched, Gap, GapKind, LaneReader, Opened, backoff};
use crate::store::{Claim, Commit, Held, LaneKey, Settlement};
use crate::{Error, Result, Store};

/// How often a lane says that it is alive, and the longest that it goes unsaid while all is well.
const BEAT: Duration = Duration::from_secs(1);

/// A lane that reached a cap looks again.
const RECHECK: Duration = Duration::from_secs(10);

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
    /// A policy says stop.
    Stop(Error),
}

type Step<T = ()> = std::result::Result<T, Break>;

/// What the lane keeps of a record in its window.
pub(super) struct Content {
    pub(super) record: Record,
    pub(super) classified: Classified,
    pub(super) exact: bool,
    /// It has taken its place among the N records after which the consumer stops.
    counted: bool,
}

pub(super) struct Worker<S: Store> {
    shared: Arc<Shared<S>>,
    key: LaneKey,
    command: watch::Receiver<Command>,
    beat: Interval,
    /// Failures in a row of the store, the log or a dependency.
    troubles: u32,
    /// Taken from the quota by records that are not settled.
    places: u64,
    /// The incident that was seen to: the command stays what it was.
    incident: Option<Gap>,
    state: LaneState,
}

/// A claimed and opened lane.
struct Tenure {
    epoch: u64,
    lane: Lane<Content>,
    reader: Box<dyn LaneReader>,
    /// The log may have more than was fetched.
    more: bool,
    /// A cursor that the log has not been told of.
    unsaved: bool,
    saved_at: Instant,
    held: Option<String>,
    recheck: Option<Instant>,
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
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            shared,
            key,
            command,
            beat,
            troubles: 0,
            places: 0,
            incident: None,
            state: LaneState::Starting,
        }
    }

    /// The life of the lane.
    pub(super) async fn work(mut self) -> Exit {
        self.shared.budget.lanes.fetch_add(1, Ordering::Relaxed);
        self.set(LaneState::Starting);
        let exit = loop {
            let mut tenure = None;
            let broken = match self.tenure(&mut tenure).await {
                Ok(()) => break Exit::Left,
                Err(broken) => broken,
            };
            self.shared
                .quota
                .give_back(std::mem::take(&mut self.places));
            match broken {
                Break::Drain => {
                    self.release(tenure).await;
                    break Exit::Left;
                }
                Break::Drop => break Exit::Left,
                Break::Anew => {
                    debug!(lane = %self.key.lane, "looking at the lane anew");
                    let cursor =
                        tenure.map_or(Cursor::Start, |tenure| tenure.lane.cursor().clone());
                    match self.is_ours(cursor).await {
                        Ok(true) => {}
                        Ok(false) => {
                            self.release(None).await;
                            break Exit::Left;
                        }
                        Err(Break::Drain) => {
                            self.release(None).await;
                            break Exit::Left;
                        }
                        Err(_) => break Exit::Left,
                    }
                }
                Break::Gap(gap) => match self.bridge(gap).await {
                    Ok(()) => {}
                    Err(Break::Drain) => {
                        self.release(None).await;
                        break Exit::Left;
                    }
                    Err(Break::Stop(error)) => break Exit::Stopped(error),
                    Err(_) => break Exit::Left,
                },
                Break::Stop(error) => {
                    self.release(tenure).await;
                    break Exit::Stopped(error);
                }
            }
        };
        self.shared.budget.lanes.fetch_sub(1, Ordering::Relaxed);
        exit
    }

    /// From the claim on; `Ok` when the lane has ended and is finished.
    async fn tenure(&mut self, tenure: &mut Option<Tenure>) -> Step {
        let claim = self.claim().await?;
        if let Some(gap) = self.other_log(&claim) {
            return Err(Break::Gap(gap));
        }
        fault::point(Point::AfterClaim);
        if claim.cursor == Cursor::Closed {
            return self.finish().await;
        }
        let reader = match self.open(&claim.cursor).await? {
            Opened::Reader(reader) => reader,
            Opened::OutOfRange(gap) => return Err(Break::Gap(gap)),
            Opened::NotOurs => return Err(Break::Drop),
        };
        let settings = &self.shared.settings;
        let limits = Limits {
            window: settings.window.max(1),
            run: settings.run.max(1),
        };
        self.shared.board.cursor(&self.key.lane, &claim.cursor);
        let tenure = tenure.insert(Tenure {
            epoch: claim.epoch,
            lane: Lane::new(limits, settings.order, claim.cursor, claim.settled),
            reader,
            more: true,
            unsaved: false,
            saved_at: Instant::now(),
            held: None,
            recheck: None,
            ended: false,
        });
        loop {
            self.obey()?;
            let fetched = self.fetch(tenure).await?;
            let now = Instant::now();
            let fresh = self.shared.quota.left();
            match tenure.lane.next(now, fresh) {
                Next::Run { seqs, .. } => {
                    self.set(LaneState::Running);
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

    // Claim and open.

    async fn claim(&mut self) -> Step<Claim> {
        loop {
            let shared = self.shared.clone();
            let key = self.key.clone();
            match self
                .guarded(async move { claim(&shared, &key).await })
                .await?
            {
                Ok(claim) => {
                    self.troubles = 0;
                    return Ok(claim);
                }
                Err(error) => self.trouble(error.context("claiming the lane")).await?,
            }
        }
    }

    /// The stored position belongs to another log, or to another incarnation of this one.
    fn other_log(&self, claim: &Claim) -> Option<Gap> {
        let same = claim.cluster == self.key.cluster && claim.incarnation == self.key.incarnation;
        (!same).then_some(Gap {
            kind: GapKind::Recreated,
            first: None,
            last: None,
            missing: None,
        })
    }

    async fn open(&mut self, cursor: &Cursor) -> Step<Opened> {
        loop {
            let shared = self.shared.clone();
            let (lane, at) = (self.key.lane.clone(), cursor.clone());
            let opened = self
                .guarded(async move { shared.source.open(&lane, &at).await })
                .await?;
            match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => self.trouble(error.context("opening the lane")).await?,
            }
        }
    }

    /// After a lost fence: the source knows whether the lane is still this member's.
    async fn is_ours(&mut self, cursor: Cursor) -> Step<bool> {
        Ok(!matches!(self.open(&cursor).await?, Opened::NotOurs))
    }

    /// A position that the log does not stand behind: never silently replaced.
    async fn bridge(&mut self, gap: Gap) -> Step {
        let missing = gap
            .missing
            .map_or("an unknown number of".into(), |n| n.to_string());
        let what = format!(
            "{}: the stored position is not in this log, {missing} records are affected",
            gap.kind.name()
        );
        warn!(
            topic = self.key.lane.topic(),
            lane = self.key.lane.shard(),
            incident = gap.kind.name(),
            missing = gap.missing,
            "the stored position is outside the log"
        );
        let gone = matches!(gap.kind, GapKind::Deleted | GapKind::Denied);
        let start = match self.shared.settings.on_gap {
            OnGap::Stop => {
                let error = Error::permanent(format!("{}: {what}", self.key.lane));
                return Err(Break::Stop(error));
            }
            OnGap::Earliest if !gone => Start::Earliest,
            OnGap::Latest if !gone => Start::Latest,
            OnGap::Earliest | OnGap::Latest | OnGap::Hold => {
                self.set(LaneState::Held(format!(
                    "{what}; set a position with `logpipe offsets set`, or on_gap = \"earliest\" | \"latest\""
                )));
                loop {
                    match self.obey() {
                        // Held is held, whatever else happens to the log.
                        Ok(()) | Err(Break::Gap(_)) => self.idle_until(None).await,
                        Err(other) => return Err(other),
                    }
                }
            }
        };
        loop {
            let shared = self.shared.clone();
            let key = self.key.clone();
            let start = start.clone();
            let forget = matches!(gap.kind, GapKind::Recreated | GapKind::Truncated);
            let done = self
                .guarded(async move { reposition(&shared, &key, &start, forget).await })
                .await?;
            match done {
                Ok(cursor) => {
                    info!(lane = %self.key.lane, %cursor, "going on behind the gap");
                    return Ok(());
                }
                Err(error) => self.trouble(error.context("going on behind a gap")).await?,
            }
        }
    }

    // Intake.

    /// Whether anything came.
    async fn fetch(&mut self, tenure: &mut Tenure) -> Step<bool> {
        let room = tenure.lane.room();
        let share = self
            .shared
            .budget
            .share()
            .saturating_sub(tenure.lane.size());
        // Half a window at a time: fetching costs a round trip whatever it returns.
        if !tenure.more || room < self.shared.settings.window.div_ceil(2) || share == 0 {
            return Ok(false);
        }
        let budget = Budget {
            records: room,
            bytes: share,
        };
        let fetched = {
            let fetch = tenure.reader.fetch(budget);
            guarded(
                &mut self.command,
                &mut self.beat,
                &self.shared,
                &self.key,
                fetch,
            )
            .await?
        };
        match fetched {
            Ok(Fetched::Records(fetch)) => {
                tenure.more = !fetch.at_end;
                let came = !fetch.records.is_empty();
                let now = Instant::now();
                for record in fetch.records {
                    tenure.lane.push(self.arrival(record, now));
                }
                if let Some(through) = fetch.through {
                    tenure.lane.through(through);
                }
                Ok(came)
            }
            Ok(Fetched::Ended) => {
                tenure.more = false;
                tenure.ended = true;
                tenure.lane.end();
                Ok(false)
            }
            Ok(Fetched::OutOfRange(gap)) => Err(Break::Gap(gap)),
            Err(error) => {
                self.trouble(error.context("reading the lane")).await?;
                Ok(false)
            }
        }
    }

    fn arrival(&self, record: Record, now: Instant) -> Arrival<Content> {
        let lag = self.shared.settings.min_lag();
        let due = record.timestamp.filter(|_| !lag.is_zero()).map(|written| {
            let due = written.saturating_add(lag).unwrap_or(written);
            let wait = due.duration_since(self.shared.clock.now());
            let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
            now + wait.min(lag)
        });
        let classified = self.shared.router.classify(&record, false);
        Arrival {
            position: record.position.clone(),
            key: record.key.clone(),
            route: classified.route,
            size: record.size(),
            due,
            content: Content {
                record,
                classified,
                exact: false,
                counted: false,
            },
        }
    }

    // Running and settling.

    async fn run(&mut self, tenure: &mut Tenure, seqs: Vec<u64>) -> Step {
        let route = tenure.lane.route(seqs[0]);
        let mut jobs = Vec::with_capacity(seqs.len());
        let mut back = Vec::new();
        for seq in seqs {
            let Some(mut content) = tenure.lane.take(seq) else {
                continue;
            };
            if !content.counted {
                if !self.shared.quota.take() {
                    tenure.lane.give_back(seq, content);
                    back.push((seq, Fate::Back));
                    continue;
                }
                content.counted = true;
                self.places += 1;
            }
            let (attempts, _) = tenure.lane.attempts(seq);
            jobs.push(Job {
                seq,
                decided: content.classified.decided,
                current: Current {
                    record: content.record,
                    message_type: content.classified.message_type,
                    version: content.classified.version,
                    attempt: attempts + 1,
                    exact: content.exact,
                    confirm: None,
                },
            });
        }
        if !back.is_empty() {
            tenure.lane.undone(Instant::now(), &back);
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let held = self.held(tenure);
        let shared = self.shared.clone();
        let ran = self
            .guarded(async move { execute(&shared, &held, route, jobs).await })
            .await?;
        match ran {
            Ok(finished) => self.after(tenure, route, finished).await,
            Err((jobs, error)) => {
                let fates = put_back(tenure, route, jobs, Fate::Back);
                tenure.lane.undone(Instant::now(), &fates);
                self.fenced_or_trouble(error).await
            }
        }
    }

    fn held(&self, tenure: &Tenure) -> Held {
        Held {
            key: self.key.clone(),
            epoch: tenure.epoch,
            cursor: tenure.lane.cursor().clone(),
        }
    }

    /// The one place that decides what becomes of a run.
    async fn after(&mut self, tenure: &mut Tenure, route: u32, finished: Finished<S>) -> Step {
        let Finished { session, done, end } = finished;
        let now = Instant::now();
        let waits = match end {
            End::Whole => None,
            End::Waits(error) => Some(error),
            End::Trouble(error) => {
                self.shared.store.rollback(session).await;
                let jobs = done.into_iter().map(|(job, _)| job).collect();
                let fates = put_back(tenure, route, jobs, Fate::Back);
                tenure.lane.undone(now, &fates);
                return self.fenced_or_trouble(error).await;
            }
            End::Torn => {
                self.shared.store.rollback(session).await;
                self.torn(tenure, route, done);
                return Ok(());
            }
        };
        let shared = self.shared.clone();
        let mut settling = Settling::new(&shared, now);
        for (job, verdict) in done {
            settling.judge(&tenure.lane, job, verdict, route);
        }
        self.commit(tenure, session, settling).await?;
        match waits {
            Some(error) => self.trouble(error).await,
            None => Ok(()),
        }
    }

    /// A transaction that ended by itself: its last record is the culprit, the others go again one by one.
    fn torn(&self, tenure: &mut Tenure, route: u32, done: Vec<(Job, Verdict)>) {
        let now = Instant::now();
        let culprit = done
            .iter()
            .rposition(|(_, verdict)| !matches!(verdict, Verdict::Back));
        let mut fates = Vec::new();
        for (index, (job, verdict)) in done.into_iter().enumerate() {
            if Some(index) == culprit {
                let seq = job.seq;
                let fate =
                    Settling::new(&self.shared, now).fail(&mut tenure.lane, job, verdict, route);
                fates.push((seq, fate));
            } else {
                fates.extend(put_back(tenure, route, vec![job], Fate::Alone));
            }
        }
        tenure.lane.undone(now, &fates);
    }

    /// Writes cursor, settled positions and parked records, and commits.
    async fn commit(
        &mut self,
        tenure: &mut Tenure,
        mut session: S::Session,
        mut settling: Settling<'_, S>,
    ) -> Step {
        if settling.has_parks() {
            let prepared = self.guarded(settling.prepare_parks(&mut session)).await?;
            if let Err(error) = prepared {
                self.shared.store.rollback(session).await;
                let fates = settling.undo(&mut tenure.lane);
                tenure.lane.undone(Instant::now(), &fates);
                return self.fenced_or_trouble(error.context("parking")).await;
            }
        }
        let plan = tenure.lane.plan(&settling.fates());
        let parked = settling.take_parks();
        if plan.cursor.is_some() || !plan.above.is_empty() || !parked.is_empty() {
            let parks = !parked.is_empty();
            let settlement = Settlement {
                cursor: plan.cursor,
                above: plan.above,
                parked,
                forget: false,
            };
            let shared = self.shared.clone();
            let committing = async move {
                if let Err(error) = shared.store.settle(&mut session, settlement).await {
                    shared.store.rollback(session).await;
                    return Commit::Unavailable(error.context("storing the position"));
                }
                if parks {
                    fault::point(Point::WhileParking);
                }
                fault::point(Point::BeforeCommit);
                shared.store.commit(session).await
            };
            let committed = self.guarded(committing).await?;
            match committed {
                Commit::Done => fault::point(Point::AfterCommit),
                Commit::Fenced => return Err(Break::Anew),
                Commit::Unknown(error) => {
                    warn!(lane = %self.key.lane, %error, "nobody knows whether a commit went through");
                    return Err(Break::Anew);
                }
                Commit::Unavailable(error) => {
                    let fates = settling.undo(&mut tenure.lane);
                    tenure.lane.undone(Instant::now(), &fates);
                    return self.fenced_or_trouble(error).await;
                }
                Commit::Refused(error) => {
                    let fates = settling.refused(&mut tenure.lane, &error);
                    tenure.lane.undone(Instant::now(), &fates);
                    return self.trouble(error.context("committing")).await;
                }
            }
        } else {
            self.shared.store.rollback(session).await;
        }
        self.troubles = 0;
        let before = tenure.lane.cursor().clone();
        let outcome = settling.done(&mut tenure.lane);
        tenure.unsaved |= *tenure.lane.cursor() != before;
        self.shared
            .board
            .cursor(&self.key.lane, tenure.lane.cursor());
        let settled = outcome.tally.total();
        self.places = self.places.saturating_sub(settled);
        self.shared.quota.settled(settled);
        self.shared.board.add(outcome.tally);
        for confirm in outcome.confirms {
            // Nobody has to wait for it.
            let _ = confirm.send(());
        }
        if let Some(held) = outcome.held {
            warn!(
                topic = self.key.lane.topic(),
                lane = self.key.lane.shard(),
                "the lane is held {}",
                held.why
            );
            tenure.lane.hold_from(held.seq);
            tenure.held = Some(held.why);
            tenure.recheck = held.passing.then(|| Instant::now() + RECHECK);
        }
        match outcome.stop {
            Some(error) => Err(Break::Stop(error)),
            None => Ok(()),
        }
    }

    /// The cursor follows the log past what needs no handler, and to its end.
    async fn pass(&mut self, tenure: &mut Tenure) -> Step {
        if tenure.lane.plan(&[]).cursor.is_none() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let held = self.held(tenure);
        match self
            .guarded(async move { shared.store.begin(&held).await })
            .await?
        {
            Ok(session) => {
                let shared = self.shared.clone();
                self.commit(tenure, session, Settling::new(&shared, Instant::now()))
                    .await
            }
            Err(error) => self.fenced_or_trouble(error).await,
        }
    }

    /// Tells the log: that is the promise itself where it keeps the positions, and a mirror for lag tools elsewhere.
    async fn save(&mut self, tenure: &mut Tenure, now: bool) -> Step {
        let interval = Duration::from_millis(self.shared.settings.save_interval_ms);
        if !tenure.unsaved || !(now || tenure.saved_at.elapsed() >= interval) {
            return Ok(());
        }
        if !S::KEPT_BY_LOG
            && tenure.saved_at.elapsed() < 5 * BEAT
            && *tenure.lane.cursor() != Cursor::Closed
        {
            return Ok(());
        }
        let shared = self.shared.clone();
        let cursors = vec![(self.key.lane.clone(), tenure.lane.cursor().clone())];
        let saved = self
            .guarded(async move { shared.source.save(cursors).await })
            .await?;
        tenure.saved_at = Instant::now();
        match saved {
            Ok(()) => tenure.unsaved = false,
            Err(error) if !S::KEPT_BY_LOG => {
                debug!(%error, "the log's mirror of the position was not written")
            }
            Err(error) => {
                return self
                    .fenced_or_trouble(error.context("saving the position"))
                    .await;
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Step {
        loop {
            let shared = self.shared.clone();
            let lane = self.key.lane.clone();
            match self
                .guarded(async move { shared.source.finish(&lane).await })
                .await?
            {
                Ok(()) => return Ok(()),
                Err(error) if error.is_fenced() => return Err(Break::Drop),
                Err(error) => self.trouble(error.context("finishing the lane")).await?,
            }
        }
    }

    /// Drained: only now may another have it.
    async fn release(&mut self, tenure: Option<Tenure>) {
        let by = match *self.command.borrow() {
            Command::Drain(by) => by,
            _ => Instant::now() + Duration::from_millis(self.shared.settings.drain_ms),
        };
        let lane = self.key.lane.clone();
        let shared = self.shared.clone();
        let unsaved = tenure
            .filter(|tenure| tenure.unsaved)
            .map(|tenure| tenure.lane.cursor().clone());
        let leaving = async move {
            if let Some(cursor) = unsaved {
                let saved = shared.source.save(vec![(lane.clone(), cursor)]).await;
                saved.context("saving the position")?;
            }
            shared.source.release(&lane).await
        };
        match tokio::time::timeout_at(by, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(lane = %self.key.lane, %error, "the lane could not be released")
            }
            Err(_) => warn!(lane = %self.key.lane, "the lane could not be released in time"),
        }
    }

    // Waiting.

    /// Until `until`, until something arrives, or until the consumer wants something.
    async fn rest(&mut self, tenure: &mut Tenure, until: Option<Instant>) -> Step {
        if tenure.recheck.is_some_and(|at| at <= Instant::now()) {
            tenure.recheck = None;
            tenure.held = None;
            tenure.lane.resume();
            return Ok(());
        }
        if let Some(why) = &tenure.held
            && tenure.lane.is_quiet()
        {
            let why = why.clone();
            self.set(LaneState::Held(why));
        } else if tenure.lane.is_quiet() && !tenure.more {
            self.set(LaneState::Idle);
        } else {
            self.set(LaneState::Running);
        }
        // A full window has no use for more, and what is known to be there needs no news.
        let wants = tenure.lane.room() > 0 && !tenure.more && !tenure.ended;
        let until = [until, tenure.recheck].into_iter().flatten().min();
        let far = Instant::now() + Duration::from_secs(3_600);
        let quota = self.shared.quota.changed();
        tokio::select! {
            biased;
            _ = self.command.changed() => {}
            _ = self.beat.tick() => {
                self.shared.source.alive(&self.key.lane);
                self.shared.board.beat(&self.key.lane);
            }
            ready = tenure.reader.ready(), if wants => match ready {
                Ok(()) => tenure.more = true,
                Err(error) => self.trouble(error.context("waiting for records")).await?,
            },
            () = quota, if tenure.lane.room() < self.shared.settings.window => {}
            () = tokio::time::sleep_until(until.unwrap_or(far)) => {}
        }
        Ok(())
    }

    /// A beat, or news from the consumer.
    async fn idle_until(&mut self, until: Option<Instant>) {
        let far = Instant::now() + Duration::from_secs(3_600);
        tokio::select! {
            biased;
            _ = self.command.changed() => {}
            _ = self.beat.tick() => {
                self.shared.source.alive(&self.key.lane);
                self.shared.board.beat(&self.key.lane);
            }
            () = tokio::time::sleep_until(until.unwrap_or(far)) => {}
        }
    }

    fn obey(&mut self) -> Step {
        match &*self.command.borrow_and_update() {
            Command::Go => Ok(()),
            Command::Drain(_) => Err(Break::Drain),
            Command::Drop => Err(Break::Drop),
            Command::Incident(gap) if self.incident.as_ref() == Some(gap) => Ok(()),
            Command::Incident(gap) => {
                self.incident = Some(gap.clone());
                Err(Break::Gap(gap.clone()))
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
        // Short enough that the lane is back soon after whatever it was has passed.
        let wait = backoff(self.troubles).min(Duration::from_secs(2));
        self.troubles += 1;
        warn!(
            topic = self.key.lane.topic(),
            lane = self.key.lane.shard(),
            %error,
            tries = self.troubles,
            "waiting, then trying again"
        );
        self.set(LaneState::Waiting(error.to_string()));
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.obey()?;
            self.idle_until(Some(until)).await;
        }
        Ok(())
    }

    fn set(&mut self, state: LaneState) {
        if self.state != state || state == LaneState::Starting {
            self.shared.board.set(&self.key.lane, state.clone());
            self.state = state;
        }
    }

    async fn guarded<T>(&mut self, future: impl Future<Output = T>) -> Step<T> {
        guarded(
            &mut self.command,
            &mut self.beat,
            &self.shared,
            &self.key,
            future,
        )
        .await
    }
}

/// Runs to its end, says meanwhile that the lane is alive, and gives up where the lane is lost or draining takes too
/// long.
async fn guarded<S: Store, T>(
    command: &mut watch::Receiver<Command>,
    beat: &mut Interval,
    shared: &Shared<S>,
    key: &LaneKey,
    future: impl Future<Output = T>,
) -> Step<T> {
    tokio::pin!(future);
    loop {
        let by = match *command.borrow() {
            Command::Drop => return Err(Break::Drop),
            Command::Drain(by) => Some(by),
            Command::Go | Command::Incident(_) => None,
        };
        let far = Instant::now() + Duration::from_secs(3_600);
        tokio::select! {
            biased;
            result = &mut future => return Ok(result),
            _ = beat.tick() => {
                shared.source.alive(&key.lane);
                shared.board.beat(&key.lane);
            }
            // A consumer that is gone says nothing any more.
            changed = command.changed() => if changed.is_err() {
                return Err(Break::Drop);
            },
            () = tokio::time::sleep_until(by.unwrap_or(far)) => {
                if by.is_some() {
                    return Err(Break::Drain);
                }
            }
        }
    }
}

async fn claim<S: Store>(shared: &Shared<S>, key: &LaneKey) -> Result<Claim> {
    if S::KEPT_BY_LOG {
        let stored = shared.source.committed(&key.lane).await?;
        let (cursor, incarnation) = match stored {
            Some(stored) => (stored.cursor, stored.incarnation),
            None => {
                let first = shared.source.resolve(&key.lane, &shared.start).await?;
                let cursors = vec![(key.lane.clone(), first.clone())];
                shared.source.save(cursors).await?;
                (first, None)
            }
        };
        return Ok(Claim {
            epoch: 0,
            cursor,
            cluster: key.cluster.clone(),
            incarnation: incarnation.unwrap_or_else(|| key.incarnation.clone()),
            settled: Vec::new(),
        });
    }
    if let Some(claim) = shared.store.claim(key, None).await? {
        return Ok(claim);
    }
    let first = shared.source.resolve(&key.lane, &shared.start).await?;
    let claim = shared.store.claim(key, Some(&first)).await?;
    claim.ok_or_else(|| {
        Error::permanent("the store has no row for the lane after a claim that writes it")
    })
}

/// Stores a start behind a gap.
async fn reposition<S: Store>(
    shared: &Shared<S>,
    key: &LaneKey,
    start: &Start,
    forget: bool,
) -> Result<Cursor> {
    let cursor = shared.source.resolve(&key.lane, start).await?;
    if S::KEPT_BY_LOG {
        let cursors = vec![(key.lane.clone(), cursor.clone())];
        shared.source.save(cursors).await?;
        return Ok(cursor);
    }
    let Some(claim) = shared.store.claim(key, Some(&cursor)).await? else {
        return Err(Error::permanent("the store has no row for the lane"));
    };
    let held = Held {
        key: key.clone(),
        epoch: claim.epoch,
        cursor: claim.cursor,
    };
    let mut session = shared.store.begin(&held).await?;
    let settlement = Settlement {
        cursor: Some(cursor.clone()),
        forget,
        ..Settlement::default()
    };
    shared.store.settle(&mut session, settlement).await?;
    match shared.store.commit(session).await {
        Commit::Done => Ok(cursor),
        Commit::Fenced => Err(Error::fenced("another owner has the lane")),
        Commit::Unavailable(error) | Commit::Refused(error) | Commit::Unknown(error) => Err(error),
    }
}

/// Begins a transaction and hands the records to their handler.
async fn execute<S: Store>(
    shared: &Shared<S>,
    held: &Held,
    route: u32,
    jobs: Vec<Job>,
) -> std::result::Result<Finished<S>, (Vec<Job>, Error)> {
    let session = match shared.store.begin(held).await {
        Ok(session) => session,
        Err(error) => return Err((jobs, error)),
    };
    let (store, rules) = (shared.store.clone(), shared.rules.clone());
    let mut run = Run::new(store, rules, session, held.key.lane.clone(), jobs);
    match shared.router.handler(route) {
        Some(handler) => handler.run(&mut run).await,
        None => run.decided().await,
    }
    fault::point(Point::InTransaction);
    Ok(run.finish())
}

/// Gives the records of a run back to the lane.
fn put_back(tenure: &mut Tenure, route: u32, jobs: Vec<Job>, fate: Fate) -> Vec<(u64, Fate)> {
    let mut fates = Vec::with_capacity(jobs.len());
    for job in jobs {
        fates.push((job.seq, fate));
        tenure.lane.give_back(job.seq, Content::of(job, route));
    }
    fates
}

impl Content {
    /// What the lane keeps of a record that ran and is not settled.
    pub(super) fn of(job: Job, route: u32) -> Self {
        let Current {
            record,
            message_type,
            version,
            exact,
            attempt: _,
            confirm: _,
        } = job.current;
        Self {
            record,
            classified: Classified {
                route,
                message_type,
                version,
                decided: job.decided,
            },
            exact,
            counted: true,
        }
    }
}
