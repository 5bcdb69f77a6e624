//! How the consumers are: what each lane does, which are held and why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::record::{Cursor, LaneId};
use crate::store::Guarantee;

/// A lane that has not come back to the run time for this long is stuck: its handler blocks the thread.
const STUCK: Duration = Duration::from_secs(5);

/// A snapshot of a service.
#[derive(Debug, Clone)]
pub struct Health {
    /// In the order in which they were added.
    pub consumers: Vec<ConsumerHealth>,
}

/// A snapshot of a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerHealth {
    /// The consumer group.
    pub group: String,
    /// What it promises.
    pub guarantee: Guarantee,
    /// Messages that a handler took.
    pub handled: u64,
    /// Records that were parked.
    pub parked: u64,
    /// Records that were ignored, or skipped by a policy.
    pub skipped: u64,
    /// The lanes that are ours now.
    pub lanes: Vec<LaneHealth>,
    /// The group has said which lanes are ours. Not at the start, and not after all were lost, until it says so anew.
    pub has_joined: bool,
    /// What redriving of parked records does, while there is something to redrive; [`LaneState::Waiting`] where it can't.
    pub redriving: Option<LaneState>,
}

/// A snapshot of a lane.
#[derive(Debug, Clone)]
pub struct LaneHealth {
    /// Which.
    pub lane: LaneId,
    /// What it does.
    pub state: LaneState,
    /// Everything up to here is settled.
    pub cursor: Option<Cursor>,
    /// Bytes of records that were fetched and are not settled.
    pub buffered_bytes: usize,
}

/// What a lane does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LaneState {
    /// Claiming the lane and opening its log.
    Starting,
    /// Handling records.
    Running,
    /// Everything there is, is settled.
    Idle,
    /// The store, the log or a dependency is down: it tries again.
    Waiting(String),
    /// Paused by a policy: why, and what to do.
    Held(String),
    /// Its handler blocks the thread.
    Stuck,
}

impl Health {
    /// Every consumer has joined its group, no lane is held, stuck or waiting, and redriving is not waiting.
    pub fn is_well(&self) -> bool {
        if !self.consumers.iter().all(|consumer| consumer.has_joined) {
            return false;
        }
        let mut states = self.consumers.iter().flat_map(|consumer| {
            let lanes = consumer.lanes.iter().map(|lane| &lane.state);
            lanes.chain(&consumer.redriving)
        });
        states.all(|state| {
            matches!(
                state,
                LaneState::Starting | LaneState::Running | LaneState::Idle
            )
        })
    }
}

impl fmt::Display for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::Idle => f.write_str("idle"),
            Self::Waiting(why) => write!(f, "waiting: {why}"),
            Self::Held(why) => write!(f, "held: {why}"),
            Self::Stuck => f.write_str("stuck: its handler blocks the thread"),
        }
    }
}

/// Where lanes write what they do, for health, idleness and the outcome.
pub(crate) struct Board {
    group: String,
    guarantee: Guarantee,
    lanes: Mutex<BTreeMap<LaneId, Status>>,
    by_version: Mutex<BTreeMap<(Cow<'static, str>, u32), u64>>,
    handled: AtomicU64,
    parked: AtomicU64,
    skipped: AtomicU64,
    joined: AtomicBool,
    /// When the group last said what is ours, or a lane last ceased to be: a consumer without lanes is idle from then on.
    since: Mutex<Instant>,
    /// A lane began or ceased to be idle.
    pub(crate) changed: Notify,
}

struct Status {
    state: LaneState,
    /// Why it does not go on from a record, also while an older one still waits for its retry. Only a lane that is held
    /// and has nothing left to do is in the state of the same name.
    held: Option<String>,
    /// All that it has left to do waits for a clock that somebody moves by hand.
    is_lagging: bool,
    since: Instant,
    beat: Instant,
    cursor: Option<Cursor>,
    buffered_bytes: usize,
}

/// Where redriving stands on the board: like a lane, so that a consumer is not idle while parked records go again.
pub(crate) fn redrive_place() -> LaneId {
    LaneId::new("parked", "redrive")
}

/// What a transaction settled.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) handled: Vec<(Cow<'static, str>, u32, u64)>,
    pub(crate) parked: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    #[expect(clippy::ptr_arg, reason = "a borrowed name is kept as one")]
    pub(crate) fn handled(&mut self, message_type: &Cow<'static, str>, version: u32) {
        match self.handled.last_mut() {
            Some((last, v, count)) if last == message_type && *v == version => *count += 1,
            _ => self.handled.push((message_type.clone(), version, 1)),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        let handled: u64 = self.handled.iter().map(|(_, _, count)| count).sum();
        handled + self.parked + self.skipped
    }
}

impl Board {
    pub(crate) fn new(group: &str, guarantee: Guarantee) -> Self {
        Self {
            group: group.into(),
            guarantee,
            lanes: Mutex::default(),
            by_version: Mutex::default(),
            handled: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
            changed: Notify::new(),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<LaneId, Status>> {
        self.lanes
            .lock()
            .expect("nothing panics while it holds the board")
    }

    /// A lane is ours and its task is about to start.
    pub(crate) fn begin(&self, lane: &LaneId) {
        self.set(lane, LaneState::Starting);
    }

    pub(crate) fn set(&self, lane: &LaneId, state: LaneState) {
        let now = Instant::now();
        let mut lanes = self.lanes();
        let status = lanes.entry(lane.clone()).or_insert_with(|| Status {
            state: LaneState::Starting,
            held: None,
            is_lagging: false,
            since: now,
            beat: now,
            cursor: None,
            buffered_bytes: 0,
        });
        status.beat = now;
        if status.state != state {
            status.state = state;
            status.since = now;
            drop(lanes);
            self.changed.notify_waiters();
            self.changed.notify_one();
        }
    }

    /// Whether the lane waits for a clock that somebody moves by hand, and for nothing else.
    pub(crate) fn lag(&self, lane: &LaneId, is_lagging: bool) {
        let mut lanes = self.lanes();
        let Some(status) = lanes.get_mut(lane) else {
            return;
        };
        if std::mem::replace(&mut status.is_lagging, is_lagging) != is_lagging {
            drop(lanes);
            self.changed.notify_waiters();
            self.changed.notify_one();
        }
    }

    /// Why the lane does not go on, where it does not.
    pub(crate) fn hold(&self, lane: &LaneId, why: Option<String>) {
        if let Some(status) = self.lanes().get_mut(lane) {
            status.held = why;
        }
    }

    /// The lane's task came back to the run time.
    pub(crate) fn beat(&self, lane: &LaneId) {
        if let Some(status) = self.lanes().get_mut(lane) {
            status.beat = Instant::now();
        }
    }

    /// How far the lane is, and what it holds.
    pub(crate) fn cursor(&self, lane: &LaneId, cursor: &Cursor, buffered_bytes: usize) {
        if let Some(status) = self.lanes().get_mut(lane) {
            status.buffered_bytes = buffered_bytes;
            if status.cursor.as_ref() != Some(cursor) {
                status.cursor = Some(cursor.clone());
            }
        }
    }

    pub(crate) fn remove(&self, lane: &LaneId) {
        if self.lanes().remove(lane).is_some() {
            // Others may be about to come in its place: the children of a shard that was split.
            self.touch();
        }
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    pub(crate) fn add(&self, tally: Tally) {
        let mut handled = 0;
        if !tally.handled.is_empty() {
            let mut by_version = self
                .by_version
                .lock()
                .expect("nothing panics while it holds the board");
            for (message_type, version, count) in tally.handled {
                handled += count;
                *by_version.entry((message_type, version)).or_default() += count;
            }
        }
        self.handled.fetch_add(handled, Ordering::Relaxed);
        self.parked.fetch_add(tally.parked, Ordering::Relaxed);
        self.skipped.fetch_add(tally.skipped, Ordering::Relaxed);
    }

    pub(crate) fn handled(&self) -> Vec<(String, u32, u64)> {
        let by_version = self
            .by_version
            .lock()
            .expect("nothing panics while it holds the board");
        let lines = by_version.iter();
        lines
            .map(|((message_type, version), count)| (message_type.to_string(), *version, *count))
            .collect()
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.since
            .lock()
            .expect("nothing panics while it holds a moment")
    }

    fn touch(&self) {
        *self.since() = Instant::now();
    }

    /// The group is joined: from now on a consumer without lanes has nothing to do.
    pub(crate) fn joined(&self) {
        self.touch();
        self.joined.store(true, Ordering::Release);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// All lanes were lost: until the group says what is ours now, nobody knows whether there is something to do.
    pub(crate) fn parted(&self) {
        self.joined.store(false, Ordering::Release);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Resolves when the group is joined and no lane has anything to do before somebody moves the clock.
    pub(crate) async fn quiet(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let joined = self.joined.load(Ordering::Acquire);
            if joined && (self.idle_since().is_some() || self.is_lagging()) {
                return;
            }
            changed.await;
        }
    }

    /// Whether every lane has nothing to do, or nothing before its clock is moved.
    fn is_lagging(&self) -> bool {
        self.lanes().values().all(|status| {
            status.is_lagging || matches!(status.state, LaneState::Idle | LaneState::Held(_))
        })
    }

    /// Since when nothing happens in any lane, and none came or went; `None` while something does.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let start = *self.since();
        self.lanes().values().try_fold(start, |latest, status| {
            matches!(status.state, LaneState::Idle | LaneState::Held(_))
                .then(|| latest.max(status.since))
        })
    }

    pub(crate) fn held(&self) -> Vec<(LaneId, String)> {
        let lanes = self.lanes();
        let held = lanes
            .iter()
            .filter_map(|(lane, status)| match (&status.held, &status.state) {
                (Some(why), _) | (None, LaneState::Held(why)) => Some((lane.clone(), why.clone())),
                _ => None,
            });
        held.collect()
    }

    pub(crate) fn snapshot(&self) -> ConsumerHealth {
        let now = Instant::now();
        let lanes = self.lanes();
        ConsumerHealth {
            group: self.group.clone(),
            guarantee: self.guarantee,
            handled: self.handled.load(Ordering::Relaxed),
            parked: self.parked.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            lanes: lanes
                .iter()
                .filter(|(lane, _)| **lane != redrive_place())
                .map(|(lane, status)| LaneHealth {
                    lane: lane.clone(),
                    state: if now.duration_since(status.beat) > STUCK {
                        LaneState::Stuck
                    } else {
                        match (&status.held, &status.state) {
                            (Some(why), LaneState::Running) => LaneState::Held(why.clone()),
                            (_, state) => state.clone(),
                        }
                    },
                    cursor: status.cursor.clone(),
                    buffered_bytes: status.buffered_bytes,
                })
                .collect(),
            has_joined: self.joined.load(Ordering::Acquire),
            redriving: lanes
                .get(&redrive_place())
                .map(|status| status.state.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that worked for hours has nothing to do for a moment while its only lane gives way to others.
    #[tokio::test(start_paused = true)]
    async fn a_consumer_is_idle_from_the_last_time_on_that_a_lane_came_or_went() {
        let hour = Duration::from_secs(3_600);
        let board = Board::new("readers", Guarantee::AtLeastOnce);
        let (parent, child) = (LaneId::new("nouns", "0"), LaneId::new("nouns", "1"));
        board.begin(&parent);
        board.joined();
        tokio::time::advance(hour).await;
        assert_eq!(board.idle_since(), None);
        board.remove(&parent);
        let gone = Instant::now();
        assert_eq!(board.idle_since(), Some(gone));
        tokio::time::advance(hour).await;
        // What is not there can't go.
        board.remove(&parent);
        assert_eq!(board.idle_since(), Some(gone));
        board.joined();
        assert_eq!(board.idle_since(), Some(Instant::now()));
        board.begin(&child);
        assert_eq!(board.idle_since(), None);
        board.set(&child, LaneState::Idle);
        tokio::time::advance(hour).await;
        assert_eq!(board.idle_since(), Some(Instant::now() - hour));
        board.remove(&child);
        assert_eq!(board.idle_since(), Some(Instant::now()));
    }
}
