//! The contract of a log that records are written to.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::Error;
use crate::record::{Header, LaneId, Position};

/// A record that is to be written.
#[derive(Clone)]
pub struct NewRecord {
    /// Records of one key stay in order; `None` spreads.
    pub key: Option<Bytes>,
    /// Beside the value; an error where the log has no headers.
    pub headers: Vec<Header>,
    /// The framed message; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Kept where the log lets a writer say so; the log's clock otherwise.
    pub timestamp: Option<Timestamp>,
}

/// Writes to one topic.
///
/// Called from many tasks. Records of one key that are handed over one after the other, within a batch or across
/// batches, are written in that order, also when some of them have to be sent again.
pub trait Sink: Send + Sync {
    /// The topic.
    fn topic(&self) -> &str;

    /// Writes a batch: one result for each record, in their order. `Ok` means durable. Dropping the future does not stop
    /// what was handed over.
    fn send(&self, batch: Vec<NewRecord>) -> BoxFuture<'static, Vec<Result<Sent, SendError>>>;

    /// Waits until everything that was handed over has its result.
    fn flush(&self) -> BoxFuture<'_, crate::Result<()>>;
}

/// Where a record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The lane.
    pub lane: LaneId,
    /// The position within it.
    pub position: Position,
}

/// A record that has no acknowledgement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message breaks a rule of its schema; nothing was sent.
    #[error("the message was not sent: {0}")]
    Invalid(#[from] crate::Invalid),
    /// The record is not in the log and will not appear there.
    #[error("the record was not written: {0}")]
    NotWritten(Error),
    /// The log did not answer: the record may be there.
    #[error("the record may have been written: {0}")]
    MaybeWritten(Error),
}

impl SendError {
    /// Whether sending it again may write it twice.
    pub fn may_have_been_written(&self) -> bool {
        matches!(self, Self::MaybeWritten(_))
    }

    /// Whether sending it again, unchanged, can succeed.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Invalid(_) => false,
            Self::NotWritten(error) | Self::MaybeWritten(error) => error.is_retriable(),
        }
    }
}
