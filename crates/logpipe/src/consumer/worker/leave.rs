//! What is the log told? The position, now and then and at the end; that the lane is given back; that it is finished.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::pulse::BEAT;
use super::{Break, Step, Tenure, Worker};
use crate::Store;
use crate::error::Context;
use crate::lane::Next;
use crate::record::Cursor;

impl<S: Store> Worker<S> {
    /// Tells the log: that is the promise itself where it keeps the positions, and a mirror for lag tools elsewhere.
    pub(super) async fn save(&mut self, tenure: &mut Tenure, now: bool) -> Step {
        let interval = Duration::from_millis(self.shared.settings.save_interval_ms);
        if !tenure.unsaved {
            // Nothing more can be told: of a record that is settled above the position such a log keeps nothing.
            confirm(tenure.confirms.drain(..));
            return Ok(());
        }
        let is_awaited = !tenure.confirms.is_empty();
        if !(now || is_awaited || tenure.saved_at.elapsed() >= interval) {
            return Ok(());
        }
        if !S::KEPT_BY_LOG
            && tenure.saved_at.elapsed() < 5 * BEAT
            && *tenure.lane.cursor() != Cursor::Closed
        {
            return Ok(());
        }
        let cursors = vec![(self.key.lane.clone(), tenure.lane.cursor().clone())];
        let saved = self.pulse.guard(self.shared.source.save(cursors)).await?;
        tenure.saved_at = Instant::now();
        match saved {
            Ok(()) => {
                tenure.unsaved = false;
                confirm(tenure.confirms.drain(..));
            }
            Err(error) if !S::KEPT_BY_LOG => {
                debug!(%error, "the log's mirror of the position was not written")
            }
            Err(error) => {
                return self
                    .fenced_or_trouble(error.context("saving the position"))
                    .await;
            }
        }
        Ok(())
    }

    /// What is left to do when the lane is to be drained. A store knows what is settled above the cursor; a log that keeps
    /// the position alone does not, and the next owner would handle it again. There the records below it are settled
    /// first, retries that wait among them, for as long as there is time, and none behind it.
    pub(super) async fn even_out(&mut self, tenure: &mut Tenure) -> Step {
        while S::KEPT_BY_LOG && tenure.lane.is_uneven() {
            let by = match self.pulse.obey() {
                Ok(()) | Err(Break::Drain) => self.pulse.drain_by(),
                Err(other) => return Err(other),
            };
            let Some(by) = by.filter(|&by| by > Instant::now()) else {
                break;
            };
            match tenure.lane.next(Instant::now(), self.shared.quota.left()) {
                Next::Run { seqs, .. } => {
                    self.run(tenure, seqs).await?;
                    // A loop that waits for its receipt asks for no other record.
                    self.save(tenure, false).await?;
                }
                Next::At(due) => self.pulse.moment(Some(due.min(by))).await,
                Next::Nothing => break,
            }
        }
        Err(Break::Drain)
    }

    /// Settled to its end: only now may the lanes that follow it be read.
    pub(super) async fn finish(&mut self) -> Step {
        let finished = self
            .persist("finishing the lane", |shared, key| async move {
                match shared.source.finish(&key.lane).await {
                    Err(error) if error.is_fenced() => Ok(false),
                    finished => finished.map(|()| true),
                }
            })
            .await?;
        match finished {
            true => Ok(()),
            false => Err(Break::Drop),
        }
    }

    /// Drained: only now may another have it.
    pub(super) async fn release(&mut self, tenure: Option<Tenure>) {
        let by = self.pulse.drain_by().unwrap_or_else(|| {
            Instant::now() + Duration::from_millis(self.shared.settings.drain_ms)
        });
        let lane = self.key.lane.clone();
        let shared = self.shared.clone();
        let unsaved = tenure
            .filter(|tenure| tenure.unsaved)
            .map(|tenure| (tenure.lane.cursor().clone(), tenure.confirms));
        let leaving = async move {
            if let Some((cursor, confirms)) = unsaved {
                let saved = shared.source.save(vec![(lane.clone(), cursor)]).await;
                saved.context("saving the position")?;
                confirm(confirms);
            }
            shared.source.release(&lane).await
        };
        match tokio::time::timeout_at(by, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(lane = %self.key.lane, %error, "the lane could not be released")
            }
            Err(_) => warn!(lane = %self.key.lane, "the lane could not be released in time"),
        }
    }
}

/// Tells those who wait for it that it is durable.
pub(super) fn confirm(confirms: impl IntoIterator<Item = oneshot::Sender<()>>) {
    for confirm in confirms {
        // Nobody has to wait for it.
        let _ = confirm.send(());
    }
}
