//! How does a lane wait? Always so that it says it is alive, and hears what the consumer wants.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tracing::debug;

use super::{Break, Command, Step};
use crate::Store;
use crate::consumer::Shared;
use crate::record::LaneId;
use crate::source::Gap;
use crate::store::Pace;

/// How often a lane says that it is alive, and the longest that it goes unsaid while all is well.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// Where there is nothing to wait for but a beat or the consumer.
const FAR: Duration = Duration::from_secs(3_600);

pub(super) struct Pulse<S: Store> {
    shared: Arc<Shared<S>>,
    lane: LaneId,
    command: watch::Receiver<Command>,
    beat: Interval,
    pace: Arc<Pace>,
    /// The incident that was seen to: the command stays what it was.
    incident: Option<Gap>,
}

/// Whether anybody still waits for what a lane does.
pub(in crate::consumer) struct Wanted(watch::Receiver<Command>);

impl Wanted {
    /// Not where the lane is lost, or the consumer has ended without it.
    pub(in crate::consumer) fn is_so(&self) -> bool {
        self.0.has_changed().is_ok() && !matches!(*self.0.borrow(), Command::Drop)
    }
}

impl<S: Store> Pulse<S> {
    pub(super) fn new(
        shared: Arc<Shared<S>>,
        lane: LaneId,
        command: watch::Receiver<Command>,
    ) -> Self {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            shared,
            lane,
            command,
            beat,
            pace: Arc::default(),
            incident: None,
        }
    }

    /// A beat, news from the consumer, or that moment: whichever comes first. Cancel-safe.
    pub(super) async fn moment(&mut self, until: Option<Instant>) {
        let until = until.unwrap_or_else(|| Instant::now() + FAR);
        tokio::select! {
            biased;
            // A consumer that is gone says nothing any more, which `obey` notices.
            _ = self.command.changed() => {}
            // Not for this task's own sake: a handler may block a thread elsewhere.
            _ = self.beat.tick() => if self.pace.is_moving() {
                self.shared.source.alive(&self.lane);
                self.shared.board.beat(&self.lane);
            },
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// For work that can't be dropped while a handler blocks its thread.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted(self.command.clone())
    }

    /// Told of what handlers do.
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// As [`guard`](Self::guard), where the store wants its work done.
    pub(super) async fn place<T, W>(&mut self, work: W) -> Step<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let (shared, pace) = (self.shared.clone(), self.pace.clone());
        let placed = shared.store.place(&pace, work);
        match self.guard(placed).await? {
            Ok(done) => Ok(done),
            Err(error) => {
                debug!(lane = %self.lane, %error, "the lane's work was given up");
                Err(Break::Drop)
            }
        }
    }

    /// Runs to its end, and gives up where the lane is lost, the consumer has ended, or draining takes too long.
    pub(super) async fn guard<T>(&mut self, future: impl Future<Output = T>) -> Step<T> {
        let done = self.watch(future).await;
        // A handler that blocks another thread still works on the lane's records: the lane is not given away before that.
        self.pace.returned().await;
        done
    }

    async fn watch<T>(&mut self, future: impl Future<Output = T>) -> Step<T> {
        tokio::pin!(future);
        loop {
            if self.is_orphaned() {
                return Err(Break::Drop);
            }
            let by = match *self.command.borrow() {
                Command::Drop => return Err(Break::Drop),
                Command::Drain(by) => Some(by),
                Command::Go | Command::Incident(_) => None,
            };
            tokio::select! {
                biased;
                result = &mut future => return Ok(result),
                () = self.moment(by) => {
                    if by.is_some_and(|by| by <= Instant::now()) {
                        return Err(Break::Drain);
                    }
                }
            }
        }
    }

    /// What the consumer wants, where that is not to go on.
    pub(super) fn obey(&mut self) -> Step {
        if self.is_orphaned() {
            return Err(Break::Drop);
        }
        match &*self.command.borrow_and_update() {
            Command::Go => Ok(()),
            Command::Drain(_) => Err(Break::Drain),
            Command::Drop => Err(Break::Drop),
            Command::Incident(gap) if self.incident.as_ref() == Some(gap) => Ok(()),
            Command::Incident(gap) => {
                self.incident = Some(gap.clone());
                Err(Break::Gap(gap.clone()))
            }
        }
    }

    /// By when the consumer wants the lane drained, where it does.
    pub(super) fn drain_by(&self) -> Option<Instant> {
        match *self.command.borrow() {
            Command::Drain(by) => Some(by),
            _ => None,
        }
    }

    fn is_orphaned(&self) -> bool {
        self.command.has_changed().is_err()
    }
}
