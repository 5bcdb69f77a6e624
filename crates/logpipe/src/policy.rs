//! What happens to a record that no handler can take: the words, and which class gets which by default.

use std::fmt;

use crate::Rejected;

/// What happens to a record that can't be handled.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The lane pauses before the record; other lanes go on. Health, log and the outcome say so.
    Hold,
    /// The record is kept byte for byte, with its reason, in the store or on the dead-letter topic, and the lane goes on.
    Park,
    /// The record is settled without a trace but a log line. The one word that loses a message, so nobody's default.
    Skip,
    /// The consumer drains and `run()` returns the error.
    Stop,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hold => "hold",
            Self::Park => "park",
            Self::Skip => "skip",
            Self::Stop => "stop",
        })
    }
}

/// What happens where a stored position is outside the log, or from another incarnation of it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnGap {
    /// The lane pauses; a person decides.
    #[default]
    Hold,
    /// On with the oldest record there is.
    Earliest,
    /// On with what is written from now on.
    Latest,
    /// The consumer drains and `run()` returns the error.
    Stop,
}

/// Which records wait for a parked or failing one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Later records of its key wait, also behind a parked one.
    Key,
    /// None: a later record of the key may be handled before it.
    None,
}

/// A policy for each class of records that can't be handled.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// Bytes that are no envelope.
    pub on_malformed: Policy,
    /// An envelope in a format that this build does not read.
    pub on_unknown_format: Policy,
    /// A type that no handler is registered for.
    pub on_unknown_type: Policy,
    /// A version that this build does not know, of a type that it handles. The cure is a deploy and the log still has the
    /// record, hence `hold`.
    pub on_unknown_version: Policy,
    /// A version that was retired.
    pub on_retired: Policy,
    /// A message that breaks a rule of its schema.
    pub on_invalid: Policy,
    /// A deleted key that no handler takes.
    pub on_tombstone: Policy,
    /// A record whose attempts are used up.
    pub on_failed: Policy,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            on_malformed: Policy::Park,
            on_unknown_format: Policy::Park,
            on_unknown_type: Policy::Park,
            on_unknown_version: Policy::Hold,
            on_retired: Policy::Park,
            on_invalid: Policy::Park,
            on_tombstone: Policy::Park,
            on_failed: Policy::Park,
        }
    }
}

impl Policies {
    pub(crate) fn all(&self) -> [Policy; 8] {
        [
            self.on_malformed,
            self.on_unknown_format,
            self.on_unknown_type,
            self.on_unknown_version,
            self.on_retired,
            self.on_invalid,
            self.on_tombstone,
            self.on_failed,
        ]
    }

    /// The one place that decides the fate of a rejected record.
    pub(crate) fn of(&self, rejected: &Rejected) -> Policy {
        match rejected {
            Rejected::Malformed { .. } => self.on_malformed,
            Rejected::UnknownFormat { .. } => self.on_unknown_format,
            // Neither parked nor skipped, whatever is set: there are messages in it, and a later version reads them.
            Rejected::Aggregated => Policy::Hold,
            Rejected::UnknownType { .. } => self.on_unknown_type,
            Rejected::UnknownVersion { .. } => self.on_unknown_version,
            Rejected::Retired { .. } => self.on_retired,
            Rejected::Invalid { .. } => self.on_invalid,
            Rejected::Tombstone => self.on_tombstone,
        }
    }
}
