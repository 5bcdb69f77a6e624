//! What an operator does with a store: look at positions and parked records, and change them by hand.

use jiff::Timestamp;

use super::{LaneKey, Reason, Store};
use crate::Result;
use crate::record::{Cursor, LaneId, Record};

/// A store that keeps positions and parked records where commands can reach them.
///
/// Every method is one transaction of its own and may be called while consumers run.
pub trait Administration: Store {
    /// The lanes with their positions, by consumer and lane; of one consumer or of all.
    fn lanes(&self, consumer: Option<&str>)
    -> impl Future<Output = Result<Vec<StoredLane>>> + Send;

    /// Moves a lane to a cursor, forgets what is settled above it and raises the epoch, so that whoever holds the lane
    /// loses it. The key names the consumer, the lane, and the cluster and incarnation of the log that the cursor is meant
    /// for: both are stored with it, for a consumer holds a lane whose position is of another log.
    /// Returns the lane as it is now; `None` where the consumer never had it. Whether the consumer is running is for the
    /// caller to ask of its group.
    fn set_cursor(
        &self,
        key: &LaneKey,
        cursor: &Cursor,
    ) -> impl Future<Output = Result<Option<StoredLane>>> + Send;

    /// Parked records that match, oldest first: at most `limit` of those behind the number `after`.
    fn parked(
        &self,
        filter: &Filter,
        after: Option<i64>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Parked>>> + Send;

    /// How many parked records match.
    fn count_parked(&self, filter: &Filter) -> impl Future<Output = Result<u64>> + Send;

    /// Marks what matches ready for its consumer to handle again, and with a record that blocks its key the whole key:
    /// its records run in their order or not at all. Returns how many records are newly ready.
    fn redrive(&self, filter: &Filter) -> impl Future<Output = Result<u64>> + Send;

    /// Deletes what matches for ever, and only that: what queues behind it stays. Returns how many.
    fn drop_parked(&self, filter: &Filter) -> impl Future<Output = Result<u64>> + Send;
}

/// Which parked records: those that meet all that is given.
#[derive(Clone, Default)]
pub struct Filter {
    /// Of this consumer.
    pub consumer: Option<String>,
    /// Read from this topic.
    pub topic: Option<String>,
    /// With this [`Reason::kind`].
    pub kind: Option<String>,
    /// Of this key.
    pub key: Option<Vec<u8>>,
    /// With one of these numbers.
    pub ids: Option<Vec<i64>>,
    /// Marked ready, or not.
    pub ready: Option<bool>,
}

/// A parked record as an operator sees it. It has no `Debug`, because the record has none.
#[derive(Clone)]
pub struct Parked {
    /// The store's own number of it; younger records have higher ones.
    pub id: i64,
    /// Of which consumer.
    pub consumer: String,
    /// Byte for byte.
    pub record: Record,
    /// Why.
    pub reason: Reason,
    /// How often a handler tried it.
    pub attempts: u32,
    /// Later records of its key queue behind it.
    pub blocks_key: bool,
    /// Marked for its consumer to handle again.
    pub ready: bool,
    /// When it was parked.
    pub parked_at: Timestamp,
}

/// A lane's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLane {
    /// The consumer: its group.
    pub consumer: String,
    /// The lane.
    pub lane: LaneId,
    /// The cluster that the cursor is meant for.
    pub cluster: String,
    /// The incarnation of the log that the cursor is meant for.
    pub incarnation: String,
    /// How often the lane was claimed.
    pub epoch: u64,
    /// Where reading resumes.
    pub cursor: Cursor,
    /// How many records are settled above the cursor.
    pub settled: u64,
    /// When the row last changed.
    pub updated_at: Timestamp,
}
