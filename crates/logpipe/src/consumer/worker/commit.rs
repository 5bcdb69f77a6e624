//! How does what a run settled become durable, and what follows from that?

use bytes::Bytes;
use tokio::time::Instant;
use tracing::warn;

use super::leave::confirm;
use super::{Break, Step, Tenure, Worker};
use crate::consumer::settle::Settling;
use crate::fault::{self, Point};
use crate::health::LaneState;
use crate::store::{Commit, Held, ParkedCount, Settlement};
use crate::{Result, Store};

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
        let (held, shared) = (self.held(tenure), self.shared.clone());
        let store = shared.store.clone();
        match self
            .pulse
            .place(async move { store.begin(&held).await })
            .await?
        {
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
        let keys = settling.keys_to_park();
        if !keys.is_empty() {
            let counting = count_parked(self.shared.store.clone(), session, keys);
            match self.pulse.place(counting).await? {
                Ok((counted, counts)) => {
                    session = counted;
                    settling.keep_to_caps(counts);
                }
                Err(error) => {
                    let fates = settling.undo(&mut tenure.lane);
                    tenure.lane.undone(Instant::now(), &fates);
                    return self.fenced_or_trouble(error.context("parking")).await;
                }
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
            self.roll_back(session).await?;
            return self.committed(tenure, settling);
        }
        let committing = write(self.shared.store.clone(), session, settlement);
        let commit = self.pulse.place(committing).await?;
        self.wrote(tenure, settling, commit).await
    }

    /// What a commit came to.
    pub(super) async fn wrote(
        &mut self,
        tenure: &mut Tenure,
        settling: Settling<'_, S>,
        commit: Commit,
    ) -> Step {
        match commit {
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

    /// Nothing of the session is kept.
    pub(super) async fn roll_back(&mut self, session: S::Session) -> Step {
        let store = self.shared.store.clone();
        self.pulse
            .place(async move { store.rollback(session).await })
            .await
    }

    /// It is durable.
    pub(super) fn committed(&mut self, tenure: &mut Tenure, settling: Settling<'_, S>) -> Step {
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

/// How much is parked, for each of these keys.
async fn count_parked<S: Store>(
    store: S,
    mut session: S::Session,
    keys: Vec<Option<Bytes>>,
) -> Result<(S::Session, Vec<ParkedCount>)> {
    let mut counts = Vec::with_capacity(keys.len());
    for key in keys {
        match store.parked_count(&mut session, key.as_deref()).await {
            Ok(count) => counts.push(count),
            Err(error) => {
                store.rollback(session).await;
                return Err(error);
            }
        }
    }
    Ok((session, counts))
}

/// Writes what is settled, and commits.
pub(in crate::consumer) async fn write<S: Store>(
    store: S,
    mut session: S::Session,
    settlement: Settlement,
) -> Commit {
    let parks = !settlement.parked.is_empty();
    if let Err(error) = store.settle(&mut session, settlement).await {
        store.rollback(session).await;
        return Commit::Unavailable(error.context("storing the position"));
    }
    if parks {
        fault::point(Point::WhileParking);
    }
    fault::point(Point::BeforeCommit);
    store.commit(session).await
}
