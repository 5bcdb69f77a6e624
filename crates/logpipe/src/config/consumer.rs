//! `[consumer]`: how are messages handled, and what becomes of those that can't be?

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consumer::{BUFFER_BYTES, Settings, breaker};
use crate::policy::{OnGap, Order, Policies, Policy};
use crate::record::Start;
use crate::retry;

/// How messages are handled, and what becomes of those that can't be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Consumer {
    /// How often a record's handler is called before the record is parked.
    pub attempts: NonZeroU32,
    /// How long one call of a handler may take, in milliseconds; then it is dropped and counts as failed.
    pub attempt_deadline_ms: NonZeroU64,
    /// How long a record is tried again, in milliseconds from its first failure, whatever attempts are left.
    pub retry_time_ms: u64,
    /// The wait before the second attempt, in milliseconds. It doubles with each further one.
    pub retry_first_delay_ms: u64,
    /// The longest wait between two attempts, in milliseconds.
    pub retry_longest_delay_ms: u64,
    /// How many records of a lane may lie between the oldest unsettled and the newest that was fetched.
    pub window: NonZeroU32,
    /// How many records share one transaction at most.
    pub run: NonZeroU32,
    /// How many bytes of records all lanes of the process may hold together.
    pub buffer_bytes: NonZeroUsize,
    /// How old a record has to be before it is handled, in milliseconds.
    pub min_lag_ms: u64,
    /// How long draining may take at shutdown, in milliseconds.
    pub drain_ms: u64,
    /// Where the log keeps positions: how often they are saved at most, in milliseconds. Never ahead of handling.
    pub save_interval_ms: u64,
    /// How many records of a consumer may be parked; then lanes hold instead.
    pub parked_max: u64,
    /// How many records of one key may be parked; then its lane holds instead.
    pub parked_per_key_max: u64,
    /// Lanes are held when this share of recent records would be parked, in percent; above 100 never.
    pub breaker_percent: u32,
    /// How many recent records the breaker looks at.
    pub breaker_window: NonZeroU32,
    /// How many of them would be parked, at least, before lanes are held.
    pub breaker_minimum: NonZeroU32,
    /// How long the breaker holds lanes, in milliseconds; then they go on by themselves.
    pub breaker_pause_ms: u64,
    /// Ends the consumer when it has had nothing to do for so long, in milliseconds; without it, it runs on.
    pub idle_timeout_ms: Option<u64>,
    /// Where a group without a stored position begins: `earliest`, `latest` or a time such as `2024-01-02T03:04:05Z`.
    #[serde(with = "start")]
    #[schemars(with = "String")]
    pub start: Start,
    /// Which records wait for a failing or parked one.
    pub order: Order,
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
    /// Keys that the file, the environment or a flag sets: they go before what the program sets in code.
    #[serde(skip)]
    pub(super) said: BTreeSet<String>,
}

/// Lays single settings over those of a program: key, and where it is in [`Settings`].
macro_rules! lay {
    ($(#[$docs:meta])* $($key:literal: $($field:ident).+;)*) => {
        /// The keys that [`Consumer::lay`] sees to.
        #[cfg(test)]
        pub(super) const LAID: &[&str] = &[$($key),*];

        impl Consumer {
            $(#[$docs])*
            pub(crate) fn lay(&self, over: &mut Settings) {
                let (mine, defaults) = (self.settings(), Settings::default());
                $(if self.goes_before($key, over.$($field).+ == defaults.$($field).+) {
                    over.$($field).+ = mine.$($field).+;
                })*
            }
        }
    };
}

lay! {
    /// Lays these settings over those that a program has set in code.
    "attempts": retry.attempts;
    "attempt_deadline_ms": attempt_deadline_ms;
    "retry_time_ms": retry.time_ms;
    "retry_first_delay_ms": retry.first_delay_ms;
    "retry_longest_delay_ms": retry.longest_delay_ms;
    "window": window;
    "run": run;
    "min_lag_ms": min_lag_ms;
    "drain_ms": drain_ms;
    "save_interval_ms": save_interval_ms;
    "parked_max": parked_max;
    "parked_per_key_max": parked_per_key_max;
    "breaker_percent": breaker.percent;
    "breaker_window": breaker.window;
    "breaker_minimum": breaker.minimum;
    "breaker_pause_ms": breaker.pause_ms;
    "order": order;
    "on_gap": on_gap;
    "on_malformed": policies.on_malformed;
    "on_unknown_format": policies.on_unknown_format;
    "on_unknown_type": policies.on_unknown_type;
    "on_unknown_version": policies.on_unknown_version;
    "on_retired": policies.on_retired;
    "on_invalid": policies.on_invalid;
    "on_tombstone": policies.on_tombstone;
    "on_failed": policies.on_failed;
}

impl Consumer {
    /// Whether this key's value replaces what a program has set in code: where whoever operates it says so, or where the
    /// program has left it at logpipe's default.
    pub(crate) fn goes_before(&self, key: &str, is_default: bool) -> bool {
        is_default || self.is_said(key)
    }

    /// Whether the file, the environment or a flag sets it.
    pub(crate) fn is_said(&self, key: &str) -> bool {
        self.said.contains(key)
    }

    /// What a consumer is built with.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            retry: retry::Settings {
                attempts: self.attempts.get(),
                time_ms: self.retry_time_ms,
                first_delay_ms: self.retry_first_delay_ms,
                longest_delay_ms: self.retry_longest_delay_ms,
            },
            attempt_deadline_ms: self.attempt_deadline_ms.get(),
            order: self.order,
            window: self.window.get() as usize,
            run: self.run.get() as usize,
            min_lag_ms: self.min_lag_ms,
            drain_ms: self.drain_ms,
            save_interval_ms: self.save_interval_ms,
            parked_max: self.parked_max,
            parked_per_key_max: self.parked_per_key_max,
            breaker: breaker::Settings {
                percent: self.breaker_percent,
                window: self.breaker_window.get() as usize,
                minimum: self.breaker_minimum.get() as usize,
                pause_ms: self.breaker_pause_ms,
            },
            policies: Policies {
                on_malformed: self.on_malformed,
                on_unknown_format: self.on_unknown_format,
                on_unknown_type: self.on_unknown_type,
                on_unknown_version: self.on_unknown_version,
                on_retired: self.on_retired,
                on_invalid: self.on_invalid,
                on_tombstone: self.on_tombstone,
                on_failed: self.on_failed,
            },
            on_gap: self.on_gap,
        }
    }
}

/// The defaults of the consumer itself.
impl Default for Consumer {
    fn default() -> Self {
        let defaults = Settings::default();
        let whole = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Policies {
            on_malformed,
            on_unknown_format,
            on_unknown_type,
            on_unknown_version,
            on_retired,
            on_invalid,
            on_tombstone,
            on_failed,
        } = defaults.policies;
        Self {
            attempts: at_least_one(defaults.retry.attempts),
            attempt_deadline_ms: NonZeroU64::new(defaults.attempt_deadline_ms)
                .unwrap_or(NonZeroU64::MIN),
            retry_time_ms: defaults.retry.time_ms,
            retry_first_delay_ms: defaults.retry.first_delay_ms,
            retry_longest_delay_ms: defaults.retry.longest_delay_ms,
            window: at_least_one(whole(defaults.window)),
            run: at_least_one(whole(defaults.run)),
            buffer_bytes: NonZeroUsize::new(BUFFER_BYTES).unwrap_or(NonZeroUsize::MIN),
            min_lag_ms: defaults.min_lag_ms,
            drain_ms: defaults.drain_ms,
            save_interval_ms: defaults.save_interval_ms,
            parked_max: defaults.parked_max,
            parked_per_key_max: defaults.parked_per_key_max,
            breaker_percent: defaults.breaker.percent,
            breaker_window: at_least_one(whole(defaults.breaker.window)),
            breaker_minimum: at_least_one(whole(defaults.breaker.minimum)),
            breaker_pause_ms: defaults.breaker.pause_ms,
            idle_timeout_ms: None,
            start: Start::default(),
            order: defaults.order,
            on_gap: defaults.on_gap,
            on_malformed,
            on_unknown_format,
            on_unknown_type,
            on_unknown_version,
            on_retired,
            on_invalid,
            on_tombstone,
            on_failed,
            said: BTreeSet::new(),
        }
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
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
