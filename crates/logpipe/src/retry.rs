//! When a failed record is tried again, and when that is enough.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often, and how long, a record is tried before it is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Attempts, the first included.
    pub attempts: u32,
    /// Time from the first failure on; whichever bound is reached first.
    pub time_ms: u64,
    /// Wait before the second attempt; it doubles from there.
    pub first_delay_ms: u64,
    /// The longest wait between two attempts.
    pub longest_delay_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: 5,
            time_ms: 60_000,
            first_delay_ms: 100,
            longest_delay_ms: 10_000,
        }
    }
}

impl Settings {
    /// How long to wait when `used` attempts have failed, the first of them `since` ago; `None` when it is enough.
    pub(crate) fn next(&self, used: u32, since: Duration) -> Option<Duration> {
        if used >= self.attempts || since >= Duration::from_millis(self.time_ms) {
            return None;
        }
        let doublings = used.saturating_sub(1).min(20);
        let delay = self.first_delay_ms.saturating_mul(1 << doublings);
        let delay = Duration::from_millis(delay.min(self.longest_delay_ms));
        // Jitter, so that records that failed together do not come back together.
        Some(delay.mul_f64(rand::random_range(0.8..1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_end_it() {
        let settings = Settings {
            attempts: 3,
            time_ms: 1_000,
            first_delay_ms: 100,
            longest_delay_ms: 150,
        };
        let delay = |used, since| settings.next(used, Duration::from_millis(since));
        assert!(delay(1, 0).unwrap() <= Duration::from_millis(100));
        assert!(delay(2, 999).unwrap() <= Duration::from_millis(150));
        assert_eq!(delay(3, 0), None);
        assert_eq!(delay(1, 1_000), None);
        // However many attempts are allowed, the arithmetic holds.
        let settings = Settings {
            attempts: u32::MAX,
            first_delay_ms: u64::MAX,
            ..settings
        };
        assert!(settings.next(u32::MAX - 1, Duration::ZERO).is_some());
    }
}
