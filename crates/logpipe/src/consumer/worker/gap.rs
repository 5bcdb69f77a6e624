//! What happens where the stored position and the log do not fit? A named incident, never a silent new start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Break, Step, Worker};
use crate::consumer::Shared;
use crate::health::LaneState;
use crate::policy::OnGap;
use crate::record::{Cursor, Start};
use crate::source::{Gap, GapKind, Opened};
use crate::store::{Commit, Held, LaneKey, Settlement};
use crate::{Error, Result, Store};

/// How often a log that went away is looked for: a permission is given back, a stream is there again.
const RECHECK: Duration = Duration::from_secs(5);

impl Break {
    /// What a log that does not go on where we stand asks for.
    pub(super) fn outside(gap: Gap) -> Self {
        match gap.kind {
            GapKind::Recreated => Self::Another,
            _ => Self::Gap(gap),
        }
    }
}

impl<S: Store> Worker<S> {
    /// Waits until the source takes the lane away, which it does to assign it as what it is now. Going on behind the gap
    /// here would store a position of the new log under the old one's name.
    pub(super) async fn stand_back(&mut self) -> Step {
        warn!(
            topic = self.key.lane.topic(),
            lane = self.key.lane.shard(),
            incident = GapKind::Recreated.name(),
            "the log was made anew, and the lane is assigned anew"
        );
        self.set(LaneState::Waiting("the log was made anew".into()));
        loop {
            match self.pulse.obey() {
                Ok(()) | Err(Break::Gap(_)) => self.pulse.moment(None).await,
                Err(other) => return Err(other),
            }
        }
    }

    /// Goes on behind the gap, or does not, as `on_gap` says.
    pub(super) async fn bridge(&mut self, gap: Gap) -> Step {
        let missing = gap
            .missing
            .map_or("an unknown number of".into(), |n| n.to_string());
        let what = format!(
            "{}: the stored position is not in this log, {missing} records are affected",
            gap.kind.name()
        );
        warn!(
            topic = self.key.lane.topic(),
            lane = self.key.lane.shard(),
            incident = gap.kind.name(),
            missing = gap.missing,
            "the stored position is outside the log"
        );
        let gone = matches!(gap.kind, GapKind::Deleted | GapKind::Denied);
        let start = match self.shared.settings.on_gap {
            OnGap::Stop => {
                let error = Error::permanent(format!("{}: {what}", self.key.lane));
                return Err(Break::Stop(error));
            }
            OnGap::Earliest if !gone => Start::Earliest,
            OnGap::Latest if !gone => Start::Latest,
            OnGap::Earliest | OnGap::Latest | OnGap::Hold => {
                let way_out = match gone {
                    true => "the lane goes on by itself once the log can be read again",
                    false => {
                        "set a position with `logpipe offsets set`, or on_gap = \"earliest\" | \"latest\""
                    }
                };
                self.set(LaneState::Held(format!("{what}; {way_out}")));
                let mut recheck = Instant::now() + RECHECK;
                loop {
                    match self.pulse.obey() {
                        // Held is held, whatever else happens to the log.
                        Ok(()) | Err(Break::Gap(_)) => {}
                        Err(other) => return Err(other),
                    }
                    self.pulse.moment(gone.then_some(recheck)).await;
                    if gone && Instant::now() >= recheck {
                        if self.is_back().await? {
                            info!(lane = %self.key.lane, "the log is back");
                            return Ok(());
                        }
                        recheck = Instant::now() + RECHECK;
                    }
                }
            }
        };
        let forget = matches!(gap.kind, GapKind::Recreated | GapKind::Truncated);
        let start = &start;
        let cursor = self
            .persist("going on behind a gap", |shared, key| async move {
                reposition(&shared, &key, start, forget).await
            })
            .await?;
        info!(lane = %self.key.lane, %cursor, "going on behind the gap");
        Ok(())
    }

    /// Whether a log that went away can be read again. What it is now, and whether the position fits, is found out when
    /// the lane is looked at anew.
    async fn is_back(&mut self) -> Step<bool> {
        let (shared, lane) = (self.shared.clone(), self.key.lane.clone());
        let look = async {
            let anywhere = shared.source.resolve(&lane, &Start::Earliest).await?;
            shared.source.open(&lane, &anywhere).await
        };
        Ok(match self.pulse.guard(look).await? {
            Ok(Opened::OutOfRange(gap)) => !matches!(gap.kind, GapKind::Deleted | GapKind::Denied),
            Ok(Opened::Reader(_)) => true,
            // The source says so itself.
            Ok(Opened::NotOurs) => false,
            Err(error) => {
                debug!(%lane, %error, "the log is not back");
                false
            }
        })
    }
}

/// Stores a start behind a gap.
async fn reposition<S: Store>(
    shared: &Shared<S>,
    key: &LaneKey,
    start: &Start,
    forget: bool,
) -> Result<Cursor> {
    let cursor = shared.source.resolve(&key.lane, start).await?;
    if S::KEPT_BY_LOG {
        let cursors = vec![(key.lane.clone(), cursor.clone())];
        shared.source.save(cursors).await?;
        return Ok(cursor);
    }
    let Some(claim) = shared.store.claim(key, Some(&cursor)).await? else {
        return Err(Error::permanent("the store has no row for the lane"));
    };
    let held = Held {
        key: key.clone(),
        epoch: claim.epoch,
        cursor: claim.cursor,
    };
    let settlement = Settlement {
        cursor: Some(cursor.clone()),
        forget,
        ..Settlement::default()
    };
    let store = shared.store.clone();
    let written = async move {
        let mut session = store.begin(&held).await?;
        store.settle(&mut session, settlement).await?;
        Ok::<_, Error>(store.commit(session).await)
    };
    match shared.store.place(&Arc::default(), written).await?? {
        Commit::Done => Ok(cursor),
        Commit::Fenced => Err(Error::fenced("another owner has the lane")),
        Commit::Unavailable(error) | Commit::Refused(error) | Commit::Unknown(error) => Err(error),
    }
}
