//! How does a lane become ours? It is claimed, which shuts others out, and opened behind its stored position.

use super::{Step, Worker};
use crate::consumer::Shared;
use crate::record::Cursor;
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
    pub(super) fn other_log(&self, claim: &Claim) -> Option<Gap> {
        let same = claim.cluster == self.key.cluster && claim.incarnation == self.key.incarnation;
        (!same).then_some(Gap {
            kind: GapKind::Recreated,
            first: None,
            last: None,
            missing: None,
        })
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

async fn claim<S: Store>(shared: &Shared<S>, key: &LaneKey) -> Result<Claim> {
    if S::KEPT_BY_LOG {
        let stored = shared.source.committed(&key.lane).await?;
        let (cursor, incarnation) = match stored {
            Some(stored) => (stored.cursor, stored.incarnation),
            None => {
                let first = shared.source.resolve(&key.lane, &shared.start).await?;
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
    let first = shared.source.resolve(&key.lane, &shared.start).await?;
    let claim = shared.store.claim(key, Some(&first)).await?;
    claim.ok_or_else(|| {
        Error::permanent("the store has no row for the lane after a claim that writes it")
    })
}
