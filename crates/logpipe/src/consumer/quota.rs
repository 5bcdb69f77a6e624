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
    pub(crate) lanes: Arc<AtomicUsize>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            lanes: Arc::default(),
        }
    }

    /// What one lane may hold now.
    pub(crate) fn share(&self) -> usize {
        self.bytes / self.lanes.load(Ordering::Relaxed).max(1)
    }
}
