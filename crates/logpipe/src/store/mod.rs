//! The contract of what keeps positions, parked records and, where it is a database, the handlers' effects.
//!
//! **The fence.** A lane is a row `(consumer, lane) -> (epoch, cursor, ..)`. Each assignment *claims* it, which raises
//! the epoch; every transaction that writes begins by finding its own epoch and cursor in the row. Whoever lost the lane
//! finds another epoch, rolls back and drops what it has in flight. A position alone is no fence: with retries or keys
//! in parallel, the write of a process that was stopped and woke up matches the position too.
//!
//! **Above the cursor.** The cursor is the last record below which everything is settled. A record that is settled while
//! an older one still waits is a row of its own, written in the same transaction, given back by the next claim and
//! deleted when the cursor passes it.

mod admin;
mod broker;
mod memory;
mod pace;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::record::{Cursor, LaneId, Position, Record};
use crate::{Error, Result};

pub use admin::{Administration, Filter, Parked, StoredLane};
pub use broker::Broker;
pub use memory::{Fault, Memory};
pub use pace::Pace;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;

/// Keeps positions for consumers.
///
/// One value is shared by all lanes of a consumer, in clones. Futures may be dropped at any point: what was not
/// committed is then rolled back.
pub trait Store: Clone + Send + Sync + 'static {
    /// A transaction, or `()` where there is none.
    type Session: Send + 'static;

    /// The positions lie in the log itself ([`Broker`]): the run time asks the source for them and saves
    /// them there, and calls none of the methods below but [`describe`](Store::describe).
    const KEPT_BY_LOG: bool = false;

    /// What this is and where, for people: `SQLite in app.db`.
    fn describe(&self) -> String;

    /// What two values that are the same store have in common, and two stores have not; `None` where positions lie in
    /// the log.
    fn identity(&self) -> Option<String> {
        Some(self.describe())
    }

    /// What a handler's effects can rely on.
    fn guarantee(&self) -> Guarantee;

    /// Runs what uses a session: all that the run time does between [`begin`](Store::begin) and the end of a session goes
    /// through here. A store whose statements block a thread puts each poll of it on a thread that may be blocked, and
    /// tells `pace`. Dropped, the work ends as soon as it can, and `pace` says when it has. An error means that the run
    /// time shuts down, and nothing of the session is kept.
    fn place<T, W>(&self, _pace: &Arc<Pace>, work: W) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        async { Ok(work.await) }
    }

    /// Takes the lane: raises its epoch and returns what is stored. Where nothing is stored yet, `first` is stored with
    /// this claim; with `first` of `None` nothing happens and `None` is returned, so that the start is only resolved
    /// where it is needed.
    fn claim(
        &self,
        lane: &LaneKey,
        first: Option<&Cursor>,
    ) -> impl Future<Output = Result<Option<Claim>>> + Send;

    /// Begins a transaction for a claimed lane and checks the fence: an error that [`is_fenced`](Error::is_fenced) when
    /// the row has another epoch or cursor. Waits, and tries again, while others hold the database, up to the store's
    /// own limit; then the error [`is_unavailable`](Error::is_unavailable).
    fn begin(&self, held: &Held) -> impl Future<Output = Result<Self::Session>> + Send;

    /// Marks the point that [`undo`](Store::undo) returns to: before each record. A later mark replaces an earlier one. An
    /// error means what it means in `undo`. A store whose statements block a thread stops those of the handler that run
    /// for longer than `deadline` from now on, and remembers that.
    fn mark(
        &self,
        session: &mut Self::Session,
        deadline: Option<Duration>,
    ) -> impl Future<Output = Result> + Send;

    /// Whether a statement was stopped since the mark, because the deadline had passed: whatever the handler made of that,
    /// its attempt has failed.
    fn is_overdue(&self, _session: &Self::Session) -> bool {
        false
    }

    /// Undoes what the handler wrote since the mark. An error means that the whole transaction is gone (a statement ended
    /// it, the connection broke): the session must be dropped and every record of it runs again.
    fn undo(&self, session: &mut Self::Session) -> impl Future<Output = Result> + Send;

    /// Whether the transaction is still whole after a handler returned `Ok`, and ends the mark: a handler may have ended
    /// the transaction without an error, or gone back behind the mark. Where it is not whole the record has failed, and
    /// the session must be dropped.
    fn whole(&self, session: &mut Self::Session) -> impl Future<Output = bool> + Send;

    /// Whether records of this key are parked, so that a later one has to queue behind them. Cheap where nothing is
    /// parked at all.
    fn is_parked(
        &self,
        session: &mut Self::Session,
        key: &[u8],
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Whether this record is settled above the lane's cursor, where the session found it.
    fn is_settled(
        &self,
        session: &mut Self::Session,
        position: &Position,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// How many records are parked, without those of this transaction: what caps are held against. Asked before a
    /// record is parked.
    fn parked_count(
        &self,
        session: &mut Self::Session,
        key: Option<&[u8]>,
    ) -> impl Future<Output = Result<ParkedCount>> + Send;

    /// Writes the new cursor, the positions settled above it, and what is parked, into the transaction. Once in a
    /// transaction, as the last thing before the commit; an error means what it means in [`undo`](Store::undo). A position
    /// that is settled above the cursor already is an error that [`is_fenced`](Error::is_fenced).
    fn settle(
        &self,
        session: &mut Self::Session,
        settlement: Settlement,
    ) -> impl Future<Output = Result> + Send;

    /// Commits.
    fn commit(&self, session: Self::Session) -> impl Future<Output = Commit> + Send;

    /// Rolls back.
    fn rollback(&self, session: Self::Session) -> impl Future<Output = ()> + Send;

    /// Whether this error, that came out of a handler, is the store's trouble and not the record's: the connection, a
    /// lock, a full disk.
    fn is_store_trouble(&self, error: &Error) -> bool;

    /// Begins a transaction with the oldest record that `parked redrive` marked ready, if there is one, of those that the
    /// consumer parked from these topics: another consumer of its group, on another topic, has other handlers.
    fn begin_redrive(
        &self,
        consumer: &str,
        topics: &[String],
    ) -> impl Future<Output = Result<Option<(Self::Session, Redrive)>>> + Send;

    /// Removes the record that this session redrives: it was handled. With the last record of a key the key is open.
    fn redriven(
        &self,
        session: &mut Self::Session,
        redrive: &Redrive,
    ) -> impl Future<Output = Result> + Send;

    /// Parks the record again, and its key with all that queues behind it.
    fn park_again(
        &self,
        session: &mut Self::Session,
        redrive: &Redrive,
        reason: &Reason,
        attempts: u32,
    ) -> impl Future<Output = Result> + Send;
}

/// A store whose transaction handlers can write through.
#[diagnostic::on_unimplemented(
    message = "this consumer keeps its positions in `{Self}`, which has no transaction",
    label = "`cx.tx()` needs a store with a database",
    note = "give the consumer one, `Consumer::with_store(source, store::Sqlite::open(\"app.db\").await?)`, and write the handler for it: `impl person::Handler<Sqlite> for ..`"
)]
pub trait Transactional: Store {
    /// What a handler's statements go through.
    type Connection: ?Sized;

    /// The transaction of a session.
    fn connection(session: &mut Self::Session) -> &mut Self::Connection;
}

/// What is due when a record that was handed out is acknowledged.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "sqlite"), expect(dead_code))]
pub(crate) enum Due {
    /// The position of its lane moves.
    Record {
        /// The lane, as it was claimed.
        held: Held,
        /// As [`Settlement::cursor`].
        cursor: Option<Cursor>,
        /// As [`Settlement::above`].
        above: Vec<Position>,
    },
    /// It was parked, as [`Redrive::id`]: it no longer is.
    Parked(i64),
}

/// Whose position it is, in which log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// The consumer: its group.
    pub consumer: String,
    /// The lane.
    pub lane: LaneId,
    /// As [`Assigned::cluster`](crate::source::Assigned::cluster).
    pub cluster: String,
    /// As [`Assigned::incarnation`](crate::source::Assigned::incarnation).
    pub incarnation: String,
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The new epoch of the row.
    pub epoch: u64,
    /// Where reading resumes.
    pub cursor: Cursor,
    /// The cluster that the cursor was stored for; the run time compares it.
    pub cluster: String,
    /// The incarnation that the cursor was stored for; the run time compares it. [`Store::settle`] writes the lane's own.
    pub incarnation: String,
    /// What is settled above the cursor, in order.
    pub settled: Vec<Position>,
}

/// A claimed lane as a transaction has to find it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The lane.
    pub key: LaneKey,
    /// From the claim.
    pub epoch: u64,
    /// As it was last written.
    pub cursor: Cursor,
}

/// What one transaction settles.
#[derive(Default)]
pub struct Settlement {
    /// The new cursor, where it moves.
    pub cursor: Option<Cursor>,
    /// Settled above the cursor by this transaction.
    pub above: Vec<Position>,
    /// Parked by this transaction, in the order of the lane.
    pub parked: Vec<Park>,
    /// Forgets what was settled above the cursor: over a gap ([`Recreated`](crate::source::GapKind::Recreated),
    /// [`Truncated`](crate::source::GapKind::Truncated)) the same positions mean other records. Implied where the lane's
    /// cluster or incarnation is not the stored one.
    pub forget: bool,
}

/// How much is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParkedCount {
    /// Of the consumer.
    pub consumer: u64,
    /// Of the key, among those that block it.
    pub key: u64,
}

/// A record to park.
pub struct Park {
    /// Byte for byte.
    pub record: Record,
    /// Why.
    pub reason: Reason,
    /// How often a handler tried it.
    pub attempts: u32,
    /// Later records of its key queue behind it.
    pub blocks_key: bool,
}

/// Why a record is parked: never its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What an operator selects by: `Malformed`, `Invalid`, `Failed`, `Panicked`, `Deadline`, [`Reason::QUEUED`] ..
    pub kind: String,
    /// In words.
    pub text: String,
}

impl Reason {
    /// The kind of a record that is parked only because an older one of its key is.
    pub const QUEUED: &str = "Queued";

    /// The kind of a record whose transaction can't be committed, as with a deferred constraint that does not hold.
    pub const COMMIT_REFUSED: &str = "CommitRefused";
}

/// A parked record on its way back to its handler.
pub struct Redrive {
    /// The store's own number of it.
    pub id: i64,
    /// Byte for byte.
    pub record: Record,
    /// Attempts before it was parked.
    pub attempts: u32,
    /// When it was parked.
    pub parked_at: Timestamp,
}

/// What came of a commit.
#[derive(Debug)]
pub enum Commit {
    /// Durable.
    Done,
    /// Another owner has the lane; nothing was written.
    Fenced,
    /// Nothing was written; it may go through later.
    Unavailable(Error),
    /// Nothing was written, and the same writes can never be: what only a commit checks (a deferred foreign key) does not
    /// hold. The transaction's records run again one by one; the culprit has failed.
    Refused(Error),
    /// Nobody knows: claim again and read the cursor.
    Unknown(Error),
}

/// What a consumer promises about handlers' effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Every message is handled at least once; after a crash some are handled again.
    AtLeastOnce,
    /// What a handler writes through its transaction happens exactly once; everything else at least once.
    EffectsOnce,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeastOnce => "at least once: the position moves after handling",
            Self::EffectsOnce => {
                "effects exactly once: a handler's writes, the position and parking commit together"
            }
        })
    }
}
