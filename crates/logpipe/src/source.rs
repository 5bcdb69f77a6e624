//! The contract of a log that records are read from: who owns which lane, and how a lane is read.
//!
//! A [`Backend`] is a cluster, a region, a folder. [`Backend::join`] makes this process a member of a consumer group and
//! returns its [`Source`]. The run time then waits for [`Event`]s; for each assigned lane it claims the lane's row in
//! the [`Store`](crate::Store), opens a [`LaneReader`] behind the stored cursor, and asks it for records as it has room.
//! What nobody asks for is not fetched.
//!
//! The life of a lane, which every backend keeps and the conformance suite (`crate::testing::conformance`) holds:
//!
//! ```text
//! Assigned > claim > open > run > Revoking: drain, save > release
//!                                 Lost: drop everything, write nothing
//!                                 Ended and settled: Closed is stored > finish (only now may its children be assigned)
//! ```

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::record::{Cursor, LaneId, Position, Record, Start};
use crate::sink::Sink;
use crate::{Error, Result};

/// A log: Kafka, Kinesis, the embedded local log, or memory.
///
/// Every method may be called from any thread and at the same time as any other.
pub trait Backend: Send + Sync + 'static {
    /// What this is and where, for people: `local log in ./data`.
    fn describe(&self) -> String;

    /// What two values that are the same log have in common, and two logs have not.
    fn identity(&self) -> String {
        self.describe()
    }

    /// What this log can carry and do.
    fn capabilities(&self) -> Capabilities;

    /// Joins a consumer group. Topics that do not exist yet are made where the backend makes topics on first use.
    fn join(&self, join: Join) -> BoxFuture<'_, Result<Box<dyn Source>>>;

    /// Opens a topic for writing.
    fn sink(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn Sink>>>;

    /// The topics there are, in order of their names.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>>>;

    /// The lanes of a topic with the records that they hold now.
    fn lanes(&self, topic: &str) -> BoxFuture<'_, Result<Vec<LaneExtent>>>;

    /// Reads a lane without a group: for commands that look. Semantics as [`Source::open`].
    fn read(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>>;

    /// Turns a start into a cursor, as [`Source::resolve`].
    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>>;

    /// The positions that the log itself keeps for a group, for lag tools; what [`Source::save`] wrote.
    fn saved(&self, group: &str) -> BoxFuture<'_, Result<Vec<(LaneId, Cursor)>>>;

    /// Writes positions for a group that has no member, for `logpipe offsets set`; an error where it has one.
    fn reset(&self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>>;

    /// Removes the oldest records of a topic and returns how many: retention, where it is ours to keep.
    fn trim(&self, topic: &str, before: &Before) -> BoxFuture<'_, Result<u64>> {
        let error = Error::permanent(format!(
            "{} keeps its own retention: set it there, not here ({topic}, {before})",
            self.describe()
        ));
        Box::pin(async move { Err(error) })
    }
}

/// Which records retention removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// From the oldest on, those that were written before this. The first younger one ends it, per lane.
    Time(Timestamp),
    /// Those in front of this position, in every lane.
    Position(Position),
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "before {time}"),
            Self::Position(position) => write!(f, "before position {position}"),
        }
    }
}

/// What a log can carry and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Records carry headers.
    pub headers: bool,
    /// A record's value may be null: tombstones.
    pub null_value: bool,
    /// A record's key may be null.
    pub null_key: bool,
    /// A record's key may be empty, which is another thing than none.
    pub empty_key: bool,
    /// A record keeps the time that its writer gave it; else the log stamps it.
    pub writer_time: bool,
    /// A lane can be opened at a time.
    pub time_seek: bool,
    /// Positions can be kept by the log itself: the `Broker` store.
    pub broker_cursors: bool,
}

/// How a process joins a group.
#[derive(Debug, Clone)]
pub struct Join {
    /// The consumer group.
    pub group: String,
    /// What it reads.
    pub topics: Vec<String>,
    /// Static membership, where the log has it: survives a restart without a rebalance.
    pub instance_id: Option<String>,
}

/// What a lane holds at this moment.
#[derive(Debug, Clone)]
pub struct LaneExtent {
    /// The lane.
    pub lane: LaneId,
    /// Identifies the log itself, as [`Assigned::cluster`].
    pub cluster: String,
    /// Changes when the topic is deleted and made again.
    pub incarnation: String,
    /// The oldest record still there.
    pub first: Option<Position>,
    /// The newest record.
    pub last: Option<Position>,
    /// When the oldest was written, where the log tells without being read. Kafka and Kinesis do not: `logpipe versions`
    /// reads them, and knows.
    pub oldest: Option<Timestamp>,
    /// How many records there are, where the log can tell.
    pub count: Option<u64>,
}

/// A membership in a consumer group. Dropping it leaves the group as a crash would: lanes go to others once they see it.
pub trait Source: Send + Sync {
    /// Waits for the next event. Cancel-safe: an event is either returned or stays to be returned. Called by one task.
    fn event(&self) -> BoxFuture<'_, Result<Event>>;

    /// Opens an assigned lane behind `cursor`. Lanes may be opened again, at another cursor, while they are assigned.
    fn open(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>>;

    /// The position that the log itself keeps for this group, if any. For the `Broker` store.
    fn committed(&self, lane: &LaneId) -> BoxFuture<'_, Result<Option<Committed>>>;

    /// Turns a start into a cursor that means the same tomorrow: latest becomes a position, a time may stay a time.
    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>>;

    /// Where the group's start is in a lane that it has no position of. It is that of [`Source::resolve`] where the lane
    /// was there when this member joined. Into one that came later others may have written before we saw it: a consumer
    /// that begins with what comes begins with all of that.
    fn begin(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        self.resolve(lane, start)
    }

    /// Writes positions into the log: the promise itself for the `Broker` store, else a mirror for lag tools, best
    /// effort. A lane that is no longer ours is an error ([`Error::is_fenced`]) and nothing of it is written.
    fn save(&self, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>>;

    /// Gives a lane up: it is drained and its position is stored. Only now may another member get it.
    fn release(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>>;

    /// A lane that ended is settled to its last record and `Closed` is stored. Only now may its children be assigned; those
    /// that fall to this member at once are what [`Source::event`] returns next when this returns, so that a consumer whose
    /// only lane it was does not look idle in between.
    fn finish(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>>;

    /// Says that the lane's work goes on, or has ended. A source that renews leases renews only those of lanes that were
    /// alive within the lease; the run time stops calling this for a lane whose handler blocks its thread. Where such a
    /// lane is lost, it is not assigned to this member again before this was called.
    fn alive(&self, lane: &LaneId);

    /// Leaves the group in good order: every lane has been released.
    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
}

/// What happens to a membership.
#[derive(Debug)]
pub enum Event {
    /// These lanes are ours from now on.
    Assigned(Vec<Assigned>),
    /// Give these lanes back: stop intake, settle what is in flight, store, [`Source::release`]; by `deadline` they are
    /// lost.
    Revoking {
        /// Which.
        lanes: Vec<LaneId>,
        /// By when.
        deadline: Instant,
    },
    /// These lanes are already another member's: drop what is in flight and write nothing.
    Lost(Vec<LaneId>),
    /// Something happened to a lane's log while it was ours.
    Incident(LaneId, Gap),
    /// The membership has ended for good, and joining again in the same way would end the same: so does the consumer, with
    /// this error. Its lanes were [`Event::Lost`] before.
    Ended(Error),
    /// The group is joined but this member has no lane now. Said once after each assignment that leaves it so, for a
    /// consumer that waits to be idle must know that it has joined.
    Joined,
}

/// A position that the log itself keeps for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Where reading resumes.
    pub cursor: Cursor,
    /// The incarnation of the lane that it was stored for, where the log keeps that too.
    pub incarnation: Option<String>,
}

/// A lane that was given to this member.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// Which.
    pub lane: LaneId,
    /// Identifies the log itself; a stored position of another cluster is not a position here.
    pub cluster: String,
    /// Changes when the topic is deleted and made again.
    pub incarnation: String,
}

/// What came of opening a lane.
pub enum Opened {
    /// Records follow.
    Reader(Box<dyn LaneReader>),
    /// The cursor is outside the log: never silently replaced.
    OutOfRange(Gap),
    /// The lane is not assigned to this member.
    NotOurs,
}

/// A stored position that the log no longer stands behind, or a log that went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What happened.
    pub kind: GapKind,
    /// The oldest record there is now.
    pub first: Option<Position>,
    /// The newest record there is now.
    pub last: Option<Position>,
    /// How many records are affected, where they can be counted: those that retention removed unsettled, those that were
    /// settled and are lost, or all that a log holds which was made anew.
    pub missing: Option<u64>,
}

/// The named incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapKind {
    /// The topic was deleted and made again, or the log's files were. With Kafka, and positions that only the broker keeps,
    /// this is noticed by members that run: what the broker knew of a deleted topic's readers went with it.
    Recreated,
    /// The stored position lies beyond the end: the log lost its tail. One that has grown past the position since, while
    /// nobody read it, can't be told from one that lost nothing.
    Truncated,
    /// Retention removed records that were not settled.
    Expired,
    /// The topic is gone.
    Deleted,
    /// We may no longer read it.
    Denied,
}

impl GapKind {
    /// The name that logs, health and configuration use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recreated => "Recreated",
            Self::Truncated => "Truncated",
            Self::Expired => "Expired",
            Self::Deleted => "Deleted",
            Self::Denied => "Denied",
        }
    }
}

/// Reads one lane, forwards only. Used by one task at a time.
pub trait LaneReader: Send {
    /// Returns what is there, up to `budget`, without waiting for more. Cancel-safe: records that were not returned are
    /// returned by the next call. A record larger than the budget is returned alone.
    fn fetch(&mut self, budget: Budget) -> BoxFuture<'_, Result<Fetched>>;

    /// Waits until a fetch may return more than the last one did. Cancel-safe; may wake without cause.
    fn ready(&mut self) -> BoxFuture<'_, Result<()>>;
}

/// How much a fetch may return.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Records.
    pub records: usize,
    /// Bytes of keys, values and headers.
    pub bytes: usize,
}

/// What a fetch found.
pub enum Fetched {
    /// Records in order, perhaps none.
    Records(Fetch),
    /// The lane has ended and every record of it was returned.
    Ended,
    /// The log went away under the reader.
    OutOfRange(Gap),
}

/// Records of one lane.
pub struct Fetch {
    /// In order.
    pub records: Vec<Record>,
    /// Everything up to here was seen: it can lie behind the last record, past compacted, aborted and control records.
    pub through: Option<Position>,
    /// There was nothing behind this when the log was asked.
    pub at_end: bool,
    /// How many records follow, where the log can tell.
    pub behind: Option<u64>,
}

/// Time to wait before an operation on a log or store is tried again: doubles from 50 ms to 5 s, with jitter.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let full = Duration::from_millis(50 << attempt.min(7)).min(Duration::from_secs(5));
    full.mul_f64(rand::random_range(0.5..1.0))
}
