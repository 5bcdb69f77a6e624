//! What happens while others hold the file.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Error, Result, db};

/// How long one transaction waits, until the run time hears of it and decides.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a wait has to be for the log to say so, and to say so again.
const REMARK: Duration = Duration::from_secs(1);
const REMARK_AGAIN: Duration = Duration::from_secs(10);

/// Since when others hold the file, over all transactions that gave up on it: a clone of the store tells it once.
#[derive(Default)]
pub(super) struct Blocked(Mutex<Option<Block>>);

struct Block {
    since: Instant,
    remarked: Option<Instant>,
}

impl Blocked {
    fn get(&self) -> MutexGuard<'_, Option<Block>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file was free.
    fn over(&self, file: &Path) {
        let Some(block) = self.get().take() else {
            return;
        };
        if block.remarked.is_some() {
            tracing::info!(
                file = %file.display(),
                seconds = block.since.elapsed().as_secs(),
                "the file is free again"
            );
        }
    }

    /// The file was not free; returns since when.
    fn still(&self, file: &Path) -> Instant {
        let mut block = self.get();
        let now = Instant::now();
        let block = block.get_or_insert(Block {
            since: now,
            remarked: None,
        });
        let due = match block.remarked {
            None => block.since + REMARK,
            Some(remarked) => remarked + REMARK_AGAIN,
        };
        if now >= due {
            block.remarked = Some(now);
            tracing::warn!(
                file = %file.display(),
                seconds = block.since.elapsed().as_secs(),
                "others hold the file: a process that was stopped inside a transaction holds it all"
            );
        }
        block.since
    }
}

/// One transaction's wait.
pub(super) struct Waiting<'a> {
    blocked: &'a Blocked,
    file: &'a Path,
    started: Instant,
    patience: Duration,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(blocked: &'a Blocked, file: &'a Path, patience: Duration) -> Self {
        Self {
            patience,
            blocked,
            file,
            started: Instant::now(),
        }
    }

    /// After an attempt: its value, or none when it is worth another one, for which it has then waited. Others wait for
    /// the same file, hence the jitter.
    pub(super) async fn attempted<T>(&self, attempt: Result<T>) -> Result<Option<T>> {
        let error = match attempt {
            Ok(value) => {
                self.blocked.over(self.file);
                return Ok(Some(value));
            }
            Err(error) => error,
        };
        if !is_locked(&error) {
            return Err(error);
        }
        let since = self.blocked.still(self.file);
        if self.started.elapsed() >= self.patience {
            return Err(error.context(format_args!(
                "others have held {} for {} s (a process that was stopped inside a transaction holds it all)",
                self.file.display(),
                since.elapsed().as_secs(),
            )));
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..20))).await;
        Ok(None)
    }
}

fn is_locked(error: &Error) -> bool {
    error.downcast_ref().is_some_and(db::is_busy)
}
