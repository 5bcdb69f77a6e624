//! Runs parked records again that somebody marked ready, in the order of their keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::Shared;
use super::run::{End, Job, Rules, Run, Verdict};
use crate::handler::Current;
use crate::health::{LaneState, Tally, redrive_place};
use crate::policy::Order;
use crate::source::backoff;
use crate::store::{Commit, Reason, Redrive};
use crate::{Result, Store};

/// How often the store is asked whether something is ready.
const EVERY: Duration = Duration::from_secs(1);

/// What came of asking.
enum Redriven {
    /// Nothing is ready.
    Nothing,
    /// One record went, one way or the other.
    One,
}

pub(super) async fn run<S: Store>(shared: Arc<Shared<S>>, mut stop: watch::Receiver<bool>) {
    if S::KEPT_BY_LOG {
        return;
    }
    let place = redrive_place();
    let mut troubles = 0;
    let mut torn = None;
    while !*stop.borrow() {
        let wait = match one(&shared, &mut torn).await {
            Ok(Redriven::One) => {
                troubles = 0;
                shared.board.set(&place, LaneState::Running);
                continue;
            }
            Ok(Redriven::Nothing) => {
                troubles = 0;
                shared.board.remove(&place);
                EVERY
            }
            Err(error) => {
                warn!(consumer = shared.group, %error, "redriving waits, then tries again");
                troubles += 1;
                backoff(troubles)
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
    shared.board.remove(&place);
}

/// `torn` remembers a record whose transaction ended by itself: the next one parks it without trying.
async fn one<S: Store>(shared: &Shared<S>, torn: &mut Option<(i64, Reason)>) -> Result<Redriven> {
    let Some((mut session, redrive)) = shared.store.begin_redrive(&shared.group).await? else {
        return Ok(Redriven::Nothing);
    };
    let classified = shared.router.classify(&redrive.record, true);
    let tried = redrive.attempts.saturating_add(1);
    let lane = redrive.record.lane.clone();
    if let Some((_, reason)) = torn.take_if(|(id, _)| *id == redrive.id) {
        park_again(shared, &mut session, &redrive, &reason, tried).await?;
        return commit(shared, session).await;
    }
    let job = Job {
        seq: 0,
        decided: classified.decided,
        current: Current {
            record: redrive.record.clone(),
            message_type: classified.message_type.clone(),
            version: classified.version,
            attempt: tried,
            exact: true,
            confirm: None,
        },
    };
    let rules = Arc::new(Rules {
        // Its key is parked, by this very record.
        order: Order::None,
        ..(*shared.rules).clone()
    });
    let mut run = Run::new(shared.store.clone(), rules, session, lane, vec![job]);
    match shared.router.handler(classified.route) {
        Some(handler) => handler.run(&mut run).await,
        None => run.decided().await,
    }
    let finished = run.finish();
    let mut session = finished.session;
    let verdict = finished.done.into_iter().next().map(|(_, verdict)| verdict);
    match finished.end {
        End::Whole => {}
        End::Torn => {
            shared.store.rollback(session).await;
            *torn = Some((redrive.id, reason_of(verdict)));
            return Ok(Redriven::One);
        }
        End::Waits(error) | End::Trouble(error) => {
            shared.store.rollback(session).await;
            return Err(error);
        }
    }
    match verdict {
        Some(Verdict::Handled | Verdict::Ignored) => {
            shared.store.redriven(&mut session, &redrive).await?;
            let redriven = commit(shared, session).await?;
            info!(
                topic = redrive.record.lane.topic(),
                lane = redrive.record.lane.shard(),
                position = %redrive.record.position,
                "redriven"
            );
            let mut tally = Tally::default();
            tally.handled(&classified.message_type, classified.version);
            shared.board.add(tally);
            Ok(redriven)
        }
        verdict => {
            let reason = reason_of(verdict);
            park_again(shared, &mut session, &redrive, &reason, tried).await?;
            commit(shared, session).await
        }
    }
}

async fn park_again<S: Store>(
    shared: &Shared<S>,
    session: &mut S::Session,
    redrive: &Redrive,
    reason: &Reason,
    tried: u32,
) -> Result {
    warn!(
        topic = redrive.record.lane.topic(),
        lane = redrive.record.lane.shard(),
        position = %redrive.record.position,
        reason = reason.kind,
        "parked again: {}",
        reason.text
    );
    shared
        .store
        .park_again(session, redrive, reason, tried)
        .await
}

async fn commit<S: Store>(shared: &Shared<S>, session: S::Session) -> Result<Redriven> {
    match shared.store.commit(session).await {
        Commit::Done => Ok(Redriven::One),
        Commit::Fenced => Ok(Redriven::One),
        Commit::Unavailable(error) | Commit::Refused(error) | Commit::Unknown(error) => Err(error),
    }
}

fn reason_of(verdict: Option<Verdict>) -> Reason {
    match verdict {
        Some(Verdict::Failed(reason) | Verdict::Hopeless(reason)) => reason,
        Some(Verdict::Rejected(rejected)) => Reason {
            kind: rejected.kind().into(),
            text: rejected.to_string(),
        },
        _ => Reason {
            kind: "Failed".into(),
            text: "the record could not be handled".into(),
        },
    }
}
