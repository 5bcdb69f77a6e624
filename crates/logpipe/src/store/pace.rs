//! How does the run time know that work which a store has put on another thread comes along?

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

/// What the run time and a store tell each other of work on another thread ([`Store::place`](super::Store::place)).
///
/// A handler that blocks its thread can't be dropped, and its lane is not to look alive. So a store says when a poll of
/// the work leaves and comes back, and the run time counts what handlers finish.
#[derive(Debug, Default)]
pub struct Pace {
    is_away: AtomicBool,
    is_handling: AtomicBool,
    steps: AtomicU64,
    /// The steps at the last look.
    seen: AtomicU64,
    back: Notify,
}

impl Pace {
    /// A poll of the work goes to another thread, where it can't be dropped.
    pub fn leave(&self) {
        self.is_away.store(true, SeqCst);
    }

    /// It has ended, and what it left behind is dropped.
    pub fn come_back(&self) {
        self.is_away.store(false, SeqCst);
        self.back.notify_one();
    }

    /// A handler is called.
    pub(crate) fn begin(&self) {
        self.is_handling.store(true, SeqCst);
    }

    /// It returned.
    pub(crate) fn end(&self) {
        self.steps.fetch_add(1, SeqCst);
        self.is_handling.store(false, SeqCst);
    }

    /// Whether no handler has blocked the work since the last look.
    pub(crate) fn is_moving(&self) -> bool {
        let steps = self.steps.load(SeqCst);
        let is_further = self.seen.swap(steps, SeqCst) != steps;
        is_further || !(self.is_away.load(SeqCst) && self.is_handling.load(SeqCst))
    }

    /// Waits until no poll is on another thread.
    pub(crate) async fn returned(&self) {
        while self.is_away.load(SeqCst) {
            self.back.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_blocks_its_thread_does_not_move() {
        let pace = Pace::default();
        assert!(pace.is_moving(), "nothing is away");
        pace.begin();
        assert!(pace.is_moving(), "a handler that waits can be dropped");
        pace.leave();
        assert!(!pace.is_moving(), "its thread can't");
        pace.end();
        pace.begin();
        assert!(pace.is_moving(), "the next one has begun");
        assert!(!pace.is_moving(), "and has not ended");
        pace.end();
        assert!(pace.is_moving());
        assert!(pace.is_moving(), "what is away is the store's own work");
    }

    #[tokio::test]
    async fn what_is_away_is_waited_for() {
        let pace = Pace::default();
        pace.returned().await;
        pace.leave();
        tokio::join!(pace.returned(), async { pace.come_back() });
    }
}
