//! When is it not the records' fault any more? The breaker holds all lanes of a consumer when a large share of recent
//! records would be parked: a deployment that can't read them, a dependency that fails without saying so.
//!
//! It looks at the last records that were settled, of all lanes together. Where a record is about to be parked that would
//! make the share too large, it is not parked: its lane is held before it, and the other lanes are held where they are.
//! After a pause the lanes go on, and the share is that of what follows; so during a long trouble about `minimum`
//! records are parked in each pause, and nobody has to come for a trouble that passes. A restart has the same effect.
//!
//! Records that only queue behind a parked one of their key do not count: one key is one trouble. Neither do redriven
//! ones, which are parked already.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::warn;

/// When lanes are held instead of parking more records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The share of recent records that would be parked, in percent; above 100 never.
    pub percent: u32,
    /// How many recent records are looked at.
    pub window: usize,
    /// How many of them would be parked, at least.
    pub minimum: usize,
    /// How long the lanes are held.
    pub pause_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            percent: 50,
            window: 200,
            minimum: 100,
            pause_ms: 30_000,
        }
    }
}

pub(crate) struct Breaker {
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of each recent record, the newest last: whether it was parked.
    recent: VecDeque<bool>,
    open: Option<Open>,
}

/// Lanes are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) until: Instant,
    pub(crate) why: String,
}

impl Breaker {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether lanes are held now.
    pub(crate) fn open(&self, now: Instant) -> Option<Open> {
        let mut state = self.state();
        if state.open.as_ref().is_some_and(|open| open.until <= now) {
            // What was before the pause says nothing about what is after it.
            *state = State::default();
        }
        state.open.clone()
    }

    /// Asked before a record is parked, for this kind of reason; `pending` are the records of the same transaction
    /// before it, and whether they are to be parked.
    pub(crate) fn park(&self, now: Instant, pending: &[bool], kind: &str) -> Result<(), Open> {
        if let Some(open) = self.open(now) {
            return Err(open);
        }
        let mut state = self.state();
        let Settings {
            percent,
            window,
            minimum,
            pause_ms,
        } = self.settings;
        let before = pending.iter().rev().chain(state.recent.iter().rev());
        let before = before.take(window.saturating_sub(1));
        let (records, parked) = before.fold((1, 1), |(records, parked), &was| {
            (records + 1, parked + usize::from(was))
        });
        if parked < minimum.max(1) || parked * 100 < records * percent as usize {
            return Ok(());
        }
        let open = Open {
            until: now + Duration::from_millis(pause_ms),
            why: format!(
                "by the breaker, for {pause_ms} ms: {parked} of the last {records} records would be parked, the newest as \
                 {kind}; look at these before their cause parks more"
            ),
        };
        warn!("all lanes are held {}", open.why);
        state.open = Some(open.clone());
        Err(open)
    }

    /// These records are settled, and were parked or not.
    pub(crate) fn settled(&self, records: impl IntoIterator<Item = bool>) {
        let mut state = self.state();
        state.recent.extend(records);
        let excess = state.recent.len().saturating_sub(self.settings.window);
        state.recent.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Settings {
            percent: 50,
            window: 10,
            minimum: 3,
            pause_ms: 1_000,
        })
    }

    #[test]
    fn share_and_minimum_both_have_to_be_reached() {
        let table: [(&[bool], &[bool], bool); 6] = [
            (&[], &[], true),
            // Two of two, and the third is the minimum.
            (&[true, true], &[], false),
            (&[true], &[true], false),
            (&[false, false, false, false, true, true], &[], true),
            // What is pending is the newest, and only ten count.
            (&[true; 9], &[false; 9], true),
            (&[false; 20], &[true; 4], false),
        ];
        for (recent, pending, may) in table {
            let breaker = breaker();
            breaker.settled(recent.iter().copied());
            let parked = breaker.park(Instant::now(), pending, "Failed");
            assert_eq!(parked.is_ok(), may, "{recent:?} {pending:?}");
        }
    }

    #[test]
    fn after_the_pause_it_looks_at_what_follows() {
        let breaker = breaker();
        let now = Instant::now();
        breaker.settled([true, true]);
        let open = breaker.park(now, &[], "Invalid").unwrap_err();
        assert!(open.why.contains("3 of the last 3"), "{}", open.why);
        assert_eq!(breaker.open(now), Some(open.clone()));
        assert_eq!(breaker.park(now, &[], "Invalid"), Err(open.clone()));
        assert_eq!(breaker.open(open.until), None);
        assert_eq!(breaker.park(open.until, &[true], "Invalid"), Ok(()));
    }

    #[test]
    fn above_a_hundred_percent_it_never_opens() {
        let breaker = Breaker::new(Settings {
            percent: 101,
            ..Settings::default()
        });
        breaker.settled([true; 1_000]);
        assert_eq!(breaker.park(Instant::now(), &[], "Failed"), Ok(()));
    }
}
