//! `[consumer]`: how are messages handled, and what becomes of those that can't be?

use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{OnGap, Order, Policies, Policy};
use crate::record::Start;

/// How messages are handled, and what becomes of those that can't be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Consumer {
    /// How often a record's handler is called before the record is parked.
    pub attempts: NonZeroU32,
    /// How long one call of a handler may take, in milliseconds; then it is dropped and counts as failed.
    pub attempt_deadline_ms: NonZeroU64,
    /// The pause before the second attempt, in milliseconds. It doubles with each further one.
    pub retry_first_ms: u64,
    /// The longest pause between two attempts, in milliseconds.
    pub retry_longest_ms: u64,
    /// How long a record is tried again at most, in milliseconds, whatever attempts are left.
    pub retry_for_ms: u64,
    /// How many records of a lane may lie between the oldest unsettled and the newest in work.
    pub window: NonZeroU32,
    /// How old a record has to be before it is handled, in milliseconds.
    pub min_lag_ms: u64,
    /// Ends the consumer when it has had nothing to do for so long, in milliseconds; without it, it runs on.
    pub idle_timeout_ms: Option<u64>,
    /// Where a group without a stored position begins: `earliest`, `latest` or a time such as `2024-01-02T03:04:05Z`.
    #[serde(with = "start")]
    #[schemars(with = "String")]
    pub start: Start,
    /// Which records wait for a parked or failing one. Without it: `key` where there is a SQL store, else `none`.
    pub order: Option<Order>,
    /// What happens where a stored position is outside the log, or from another incarnation of it.
    pub on_gap: OnGap,
    /// What happens to bytes that are no envelope.
    pub on_malformed: Policy,
    /// What happens to an envelope in a format that this build does not read.
    pub on_unknown_format: Policy,
    /// What happens to a type that no handler is registered for.
    pub on_unknown_type: Policy,
    /// What happens to a version that this build does not know, of a type that it handles. The cure is a deploy.
    pub on_unknown_version: Policy,
    /// What happens to a version that was retired.
    pub on_retired: Policy,
    /// What happens to a message that breaks a rule of its schema.
    pub on_invalid: Policy,
    /// What happens to a deleted key that no handler takes.
    pub on_tombstone: Policy,
    /// What happens to a record whose attempts are used up.
    pub on_failed: Policy,
}

impl Consumer {
    /// A policy for each class of records that can't be handled.
    pub fn policies(&self) -> Policies {
        Policies {
            on_malformed: self.on_malformed,
            on_unknown_format: self.on_unknown_format,
            on_unknown_type: self.on_unknown_type,
            on_unknown_version: self.on_unknown_version,
            on_retired: self.on_retired,
            on_invalid: self.on_invalid,
            on_tombstone: self.on_tombstone,
            on_failed: self.on_failed,
        }
    }
}

impl Default for Consumer {
    fn default() -> Self {
        let policies = Policies::default();
        Self {
            attempts: NonZeroU32::new(5).expect("not zero"),
            attempt_deadline_ms: NonZeroU64::new(30_000).expect("not zero"),
            retry_first_ms: 100,
            retry_longest_ms: 10_000,
            retry_for_ms: 60_000,
            window: NonZeroU32::new(1_000).expect("not zero"),
            min_lag_ms: 0,
            idle_timeout_ms: None,
            start: Start::Earliest,
            order: None,
            on_gap: OnGap::default(),
            on_malformed: policies.on_malformed,
            on_unknown_format: policies.on_unknown_format,
            on_unknown_type: policies.on_unknown_type,
            on_unknown_version: policies.on_unknown_version,
            on_retired: policies.on_retired,
            on_invalid: policies.on_invalid,
            on_tombstone: policies.on_tombstone,
            on_failed: policies.on_failed,
        }
    }
}

/// A start as text. A position is none: it is another one in each lane, and `logpipe offsets set` is for that.
mod start {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    use crate::record::Start;

    pub fn serialize<S: Serializer>(start: &Start, serializer: S) -> Result<S::Ok, S::Error> {
        match start {
            Start::Earliest => serializer.serialize_str("earliest"),
            Start::Latest => serializer.serialize_str("latest"),
            Start::At(time) => serializer.collect_str(time),
            Start::After(_) => Err(ser::Error::custom("a position is no start of a group")),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Start, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            time => time.parse().map(Start::At).map_err(|_| {
                let expected = "`earliest`, `latest` or a time with its offset";
                de::Error::custom(format!("this is none of {expected}"))
            }),
        }
    }
}
