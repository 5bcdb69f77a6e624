//! How does a lane become ours? It is claimed, which shuts others out, and opened behind its stored position.

use super::{Step, Worker};
use crate::consumer::Shared;
use crate::record::{Cursor, Position, Start};
use crate::source::{Gap, GapKind, Opened};
use crate::store::{Claim, LaneKey};
use crate::{Error, Result, Store};

impl<S: Store> Worker<S> {
    pub(super) async fn claim(&mut self) -> Step<Claim> {
        self.persist("claiming the lane", |shared, key| async move {
            claim(&shared, &key).await
        })
        .await
    }

    /// The stored position belongs to another log, or to another incarnation of this one.
    pub(super) fn is_another_log(&self, claim: &Claim) -> bool {
        claim.cluster != self.key.cluster || claim.incarnation != self.key.incarnation
    }

    /// The gap between a log that is no more and the one that was assigned: all that it holds.
    pub(super) async fn recreated(&mut self) -> Step<Gap> {
        let (earliest, latest) = self
            .persist("looking at the new log", |shared, key| async move {
                let earliest = shared.source.resolve(&key.lane, &Start::Earliest).await?;
                let latest = shared.source.resolve(&key.lane, &Start::Latest).await?;
                Ok((earliest, latest))
            })
            .await?;
        let (first, next) = (next_of(&earliest), next_of(&latest));
        let missing = first
            .zip(next)
            .map(|(first, next)| next.saturating_sub(first));
        let holds = |offset: Option<u64>| offset.filter(|_| missing > Some(0));
        Ok(Gap {
            kind: GapKind::Recreated,
            first: holds(first).map(Into::into),
            last: holds(next).map(|next| (next - 1).into()),
            missing,
        })
    }

    /// What is settled above the cursor, and not in the log any more: it lost its tail. The records that will have these
    /// positions are others, which nobody has seen.
    pub(super) async fn lost_tail(&mut self, claim: &Claim) -> Step<Option<Gap>> {
        let highest = claim.settled.last().and_then(Position::number);
        // Kinesis gives no sequence number twice.
        let Some(highest) = highest else {
            return Ok(None);
        };
        let latest = self
            .persist(
                "looking for the end of the lane",
                |shared, key| async move { shared.source.resolve(&key.lane, &Start::Latest).await },
            )
            .await?;
        let Some(next) = next_of(&latest).filter(|next| *next <= highest) else {
            return Ok(None);
        };
        Ok(Some(Gap {
            kind: GapKind::Truncated,
            first: None,
            last: next.checked_sub(1).map(Into::into),
            missing: Some(highest + 1 - next),
        }))
    }

    pub(super) async fn open(&mut self, cursor: &Cursor) -> Step<Opened> {
        self.persist("opening the lane", |shared, key| async move {
            shared.source.open(&key.lane, cursor).await
        })
        .await
    }

    /// After a lost fence: the source knows whether the lane is still this member's.
    pub(super) async fn is_ours(&mut self, cursor: &Cursor) -> Step<bool> {
        Ok(!matches!(self.open(cursor).await?, Opened::NotOurs))
    }
}

/// The offset that is read next behind a cursor, where the log counts its records.
fn next_of(cursor: &Cursor) -> Option<u64> {
    match cursor {
        Cursor::Start => Some(0),
        Cursor::After(position) => position.number()?.checked_add(1),
        Cursor::At(_) | Cursor::Closed => None,
    }
}

async fn claim<S: Store>(shared: &Shared<S>, key: &LaneKey) -> Result<Claim> {
    if S::KEPT_BY_LOG {
        let stored = shared.source.committed(&key.lane).await?;
        let (cursor, incarnation) = match stored {
            Some(stored) => (stored.cursor, stored.incarnation),
            None => {
                let first = shared.source.begin(&key.lane, &shared.start).await?;
                let cursors = vec![(key.lane.clone(), first.clone())];
                shared.source.save(cursors).await?;
                (first, None)
            }
        };
        return Ok(Claim {
            epoch: 0,
            cursor,
            cluster: key.cluster.clone(),
            incarnation: incarnation.unwrap_or_else(|| key.incarnation.clone()),
            settled: Vec::new(),
        });
    }
    if let Some(claim) = shared.store.claim(key, None).await? {
        return Ok(claim);
    }
    let first = shared.source.begin(&key.lane, &shared.start).await?;
    let claim = shared.store.claim(key, Some(&first)).await?;
    claim.ok_or_else(|| {
        Error::permanent("the store has no row for the lane after a claim that writes it")
    })
}
