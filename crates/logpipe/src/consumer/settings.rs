//! What can be set about a consumer, and the defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker;
use crate::policy::{OnGap, Order, Policies};
use crate::retry;

/// Everything about a consumer that is a number or a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Retries of a failed record.
    pub retry: retry::Settings,
    /// An attempt that takes longer is dropped and counts as failed.
    pub attempt_deadline_ms: u64,
    /// Which records wait for a failing or parked one.
    pub order: Order,
    /// Records of a lane between the lowest unsettled and the highest fetched.
    pub window: usize,
    /// Records that share one transaction, at most.
    pub run: usize,
    /// A record is handled no sooner than this after it was written.
    pub min_lag_ms: u64,
    /// How long draining may take, at shutdown.
    pub drain_ms: u64,
    /// Positions are saved in the log at most this often; never ahead of handling.
    pub save_interval_ms: u64,
    /// Parked records of the consumer; at this number lanes hold instead of parking more.
    pub parked_max: u64,
    /// Parked records of one key; the same.
    pub parked_per_key_max: u64,
    /// When lanes are held instead of parking more records.
    pub breaker: breaker::Settings,
    /// What becomes of records that can't be handled.
    pub policies: Policies,
    /// What happens when a stored position is outside the log.
    pub on_gap: OnGap,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry: retry::Settings::default(),
            attempt_deadline_ms: 30_000,
            order: Order::Key,
            window: 1_024,
            run: 128,
            min_lag_ms: 0,
            drain_ms: 25_000,
            save_interval_ms: 200,
            parked_max: 100_000,
            parked_per_key_max: 10_000,
            breaker: breaker::Settings::default(),
            policies: Policies::default(),
            on_gap: OnGap::Hold,
        }
    }
}

impl Settings {
    pub(super) fn min_lag(&self) -> Duration {
        Duration::from_millis(self.min_lag_ms)
    }
}
