//! The bounds that lanes share: N records and then stop, and the bytes of one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// At most N records are settled, and no other is begun.
pub(crate) struct Quota {
    limit: Option<u64>,
    /// Begun by a lane that may still settle them, and settled.
    taken: AtomicU64,
    settled: AtomicU64,
    changed: Notify,
}

impl Quota {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            taken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// How many more may begin, at this moment.
    pub(crate) fn left(&self) -> usize {
        match self.limit {
            None => usize::MAX,
            Some(limit) => {
                let left = limit.saturating_sub(self.taken.load(Ordering::Acquire));
                usize::try_from(left).unwrap_or(usize::MAX)
            }
        }
    }

    /// Takes a place for one record, which it keeps until it is settled or its lane goes.
    pub(crate) fn take(&self) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let taken = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < limit).then_some(taken + 1)
            });
        taken.is_ok()
    }

    /// Places of a lane that went away with its records unsettled.
    pub(crate) fn give_back(&self, places: u64) {
        if places > 0 {
            self.taken.fetch_sub(places, Ordering::AcqRel);
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn settled(&self, records: u64) {
        if self.limit.is_some() && records > 0 {
            self.settled.fetch_add(records, Ordering::AcqRel);
            self.changed.notify_waiters();
            self.changed.notify_one();
        }
    }

    /// Resolves when places came back or records were settled.
    pub(crate) async fn changed(&self) {
        if self.limit.is_some() {
            self.changed.notified().await;
        } else {
            std::future::pending().await
        }
    }

    /// Resolves when N records are settled.
    pub(crate) async fn reached(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.limit {
                Some(limit) if self.settled.load(Ordering::Acquire) >= limit => return,
                _ => changed.await,
            }
        }
    }
}

/// Bytes that all lanes of a process may buffer, unless said otherwise.
pub(crate) const BUFFER_BYTES: usize = 64 << 20;

/// The bytes that all lanes of a process may buffer.
#[derive(Clone)]
pub(crate) struct Budget {
    bytes: usize,
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Pool {
    lanes: AtomicUsize,
    /// Reserved and held by all of them.
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            pool: Arc::default(),
        }
    }

    /// For one more lane.
    pub(crate) fn share(&self) -> Share {
        self.pool.lanes.fetch_add(1, Ordering::AcqRel);
        Share {
            budget: self.clone(),
            held: 0,
        }
    }
}

/// One lane's part of the budget: an equal one, and no more than the others have left, whose parts were larger while
/// there were fewer lanes.
pub(crate) struct Share {
    budget: Budget,
    held: usize,
}

impl Share {
    /// Reserves what the lane may fetch now, until [`Share::hold`] says what came of it. A lane that holds nothing may
    /// always fetch one record, whatever the others hold, or it would wait for lanes that may be stuck.
    pub(crate) fn reserve(&mut self) -> usize {
        let Budget { bytes, pool } = &self.budget;
        let equal = bytes / pool.lanes.load(Ordering::Acquire).max(1);
        let room = equal.saturating_sub(self.held);
        let least = usize::from(self.held == 0);
        let reserving = |used: usize| room.min(bytes.saturating_sub(used)).max(least);
        let used = pool
            .used
            .update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used + reserving(used)
            });
        let reserved = reserving(used);
        self.held += reserved;
        reserved
    }

    /// The lane holds this much.
    pub(crate) fn hold(&mut self, bytes: usize) {
        let used = &self.budget.pool.used;
        if bytes > self.held {
            used.fetch_add(bytes - self.held, Ordering::AcqRel);
        } else {
            used.fetch_sub(self.held - bytes, Ordering::AcqRel);
        }
        self.held = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
        self.budget.pool.lanes.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_share_equally_and_later_ones_get_what_is_left() {
        let budget = Budget::new(1_000);
        let mut first = budget.share();
        assert_eq!(first.reserve(), 1_000);
        first.hold(900);
        let mut second = budget.share();
        assert_eq!(second.reserve(), 100, "what the first leaves of it");
        second.hold(100);
        assert_eq!((first.reserve(), second.reserve()), (0, 0));
        let mut third = budget.share();
        assert_eq!(third.reserve(), 1, "one record, so that it goes on");
        third.hold(40);
        assert_eq!(third.reserve(), 0);
        first.hold(0);
        assert_eq!(third.reserve(), 1_000 / 3 - 40);
        drop((first, third));
        assert_eq!(second.reserve(), 900);
    }
}
