//! How does what a run settled become durable, and what follows from that?

use tokio::time::Instant;
use tracing::warn;

use super::leave::confirm;
use super::{Break, Step, Tenure, Worker};
use crate::Store;
use crate::consumer::Shared;
use crate::consumer::settle::Settling;
use crate::fault::{self, Point};
use crate::health::LaneState;
use crate::store::{Commit, Held, Settlement};

impl<S: Store> Worker<S> {
    /// The lane as a transaction has to find it.
    pub(super) fn held(&self, tenure: &Tenure) -> Held {
        Held {
            key: self.key.clone(),
            epoch: tenure.epoch,
            cursor: tenure.lane.cursor().clone(),
        }
    }

    /// The cursor follows the log past what needs no handler, and to its end.
    pub(super) async fn pass(&mut self, tenure: &mut Tenure) -> Step {
        if tenure.lane.plan(&[]).cursor.is_none() {
            return Ok(());
        }
        let held = self.held(tenure);
        let shared = self.shared.clone();
        match self.pulse.guard(shared.store.begin(&held)).await? {
            Ok(session) => {
                self.commit(tenure, session, Settling::new(&shared, Instant::now()))
                    .await
            }
            Err(error) => self.fenced_or_trouble(error).await,
        }
    }

    /// Writes cursor, settled positions and parked records, and commits.
    pub(super) async fn commit(
        &mut self,
        tenure: &mut Tenure,
        mut session: S::Session,
        mut settling: Settling<'_, S>,
    ) -> Step {
        if settling.has_parks() {
            let prepared = self
                .pulse
                .guard(settling.prepare_parks(&mut session))
                .await?;
            if let Err(error) = prepared {
                self.shared.store.rollback(session).await;
                let fates = settling.undo(&mut tenure.lane);
                tenure.lane.undone(Instant::now(), &fates);
                return self.fenced_or_trouble(error.context("parking")).await;
            }
        }
        let plan = tenure.lane.plan(settling.fates());
        let settlement = Settlement {
            cursor: plan.cursor,
            above: plan.above,
            parked: settling.take_parks(),
            forget: false,
        };
        let writes = settlement.cursor.is_some()
            || !settlement.above.is_empty()
            || !settlement.parked.is_empty();
        if !writes {
            self.shared.store.rollback(session).await;
            return self.committed(tenure, settling);
        }
        let committing = write(&self.shared, session, settlement);
        match self.pulse.guard(committing).await? {
            Commit::Done => {
                fault::point(Point::AfterCommit);
                self.committed(tenure, settling)
            }
            Commit::Fenced => Err(Break::Anew),
            Commit::Unknown(error) => {
                warn!(lane = %self.key.lane, %error, "nobody knows whether a commit went through");
                self.set(LaneState::Waiting(error.to_string()));
                Err(Break::Anew)
            }
            Commit::Unavailable(error) => {
                let fates = settling.undo(&mut tenure.lane);
                tenure.lane.undone(Instant::now(), &fates);
                self.fenced_or_trouble(error).await
            }
            Commit::Refused(error) => {
                let fates = settling.refused(&mut tenure.lane, &error);
                tenure.lane.undone(Instant::now(), &fates);
                self.trouble(error.context("committing")).await
            }
        }
    }

    /// It is durable.
    fn committed(&mut self, tenure: &mut Tenure, settling: Settling<'_, S>) -> Step {
        let before = tenure.lane.cursor().clone();
        let any_tried = settling.any_tried();
        let outcome = settling.done(&mut tenure.lane, &mut self.boxes);
        let has_moved = *tenure.lane.cursor() != before;
        tenure.unsaved |= has_moved;
        // Where all records go back, what they wait for is still down.
        if any_tried || has_moved {
            self.troubles = 0;
            self.anew = 0;
        }
        self.show(tenure);
        let settled = outcome.tally.total();
        self.places = self.places.saturating_sub(settled);
        self.shared.quota.settled(settled);
        self.shared.board.add(outcome.tally);
        if S::KEPT_BY_LOG {
            // It is durable once the log has the position, which is saved at once where somebody waits for it.
            tenure.confirms.extend(outcome.confirms);
        } else {
            confirm(outcome.confirms);
        }
        if let Some(held) = outcome.held {
            tenure.lane.hold_from(held.seq);
            self.hold(tenure, held);
        }
        match outcome.stop {
            Some(error) => Err(Break::Stop(error)),
            None => Ok(()),
        }
    }
}

async fn write<S: Store>(
    shared: &Shared<S>,
    mut session: S::Session,
    settlement: Settlement,
) -> Commit {
    let parks = !settlement.parked.is_empty();
    if let Err(error) = shared.store.settle(&mut session, settlement).await {
        shared.store.rollback(session).await;
        return Commit::Unavailable(error.context("storing the position"));
    }
    if parks {
        fault::point(Point::WhileParking);
    }
    fault::point(Point::BeforeCommit);
    shared.store.commit(session).await
}
