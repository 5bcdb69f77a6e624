//! Runs parked records again that somebody marked ready, in the order of their keys.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::Shared;
use super::offer::{Answered, answer};
use super::run::{End, Job, Rules, Run, Verdict};
use crate::handler::{Current, Erased};
use crate::health::{LaneState, Tally, redrive_place};
use crate::policy::Order;
use crate::source::backoff;
use crate::store::{Commit, Due, Reason, Redrive};
use crate::{Result, Store};

/// How often the store is asked whether something is ready.
const EVERY: Duration = Duration::from_secs(1);

/// Type and version of a record.
type Version = (Cow<'static, str>, u32);

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
    let of = (classified.message_type.clone(), classified.version);
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
            record: Box::new(redrive.record.clone()),
            message_type: classified.message_type.clone(),
            version: classified.version,
            attempt: tried,
            exact: true,
            confirm: None,
        },
    };
    let handler = shared.router.handler(classified.route);
    if let Some(handler) = handler
        && handler.is_loop()
        && job.decided.is_none()
    {
        shared.store.rollback(session).await;
        return offer(shared, &**handler, &redrive, job).await;
    }
    let rules = Arc::new(Rules {
        // Its key is parked, by this very record.
        order: Order::None,
        ..(*shared.rules).clone()
    });
    let mut run = Run::new(shared.store.clone(), rules, session, lane, vec![job]);
    match handler {
        Some(handler) => handler.run(&mut run).await,
        None => run.decided().await,
    }
    let finished = run.finish();
    let session = finished.session;
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
    settle(shared, session, &redrive, verdict, &of).await
}

/// What becomes of the record, where its transaction is whole.
async fn settle<S: Store>(
    shared: &Shared<S>,
    mut session: S::Session,
    redrive: &Redrive,
    verdict: Option<Verdict>,
    of: &Version,
) -> Result<Redriven> {
    match verdict {
        Some(Verdict::Handled | Verdict::Ignored) => {
            shared.store.redriven(&mut session, redrive).await?;
            let redriven = commit(shared, session).await?;
            told(shared, redrive, of);
            Ok(redriven)
        }
        verdict => {
            let reason = reason_of(verdict);
            let tried = redrive.attempts.saturating_add(1);
            park_again(shared, &mut session, redrive, &reason, tried).await?;
            commit(shared, session).await
        }
    }
}

/// Hands it to a loop of the user's own, without a transaction.
async fn offer<S: Store>(
    shared: &Shared<S>,
    handler: &dyn Erased<S>,
    redrive: &Redrive,
    mut job: Job,
) -> Result<Redriven> {
    let of = (job.current.message_type.clone(), job.current.version);
    let due = Due::Parked(redrive.id);
    // The loop takes the time that it takes, and meanwhile the consumer is not idle.
    shared.board.set(&redrive_place(), LaneState::Running);
    let answered = answer(shared, handler, due, &mut job).await?;
    let again = shared.store.begin_redrive(&shared.group).await?;
    let again = again.filter(|(_, again)| again.id == redrive.id);
    match (answered, again) {
        (Answered::Verdict(verdict), Some((session, _))) => {
            let redriven = settle(shared, session, redrive, Some(verdict), &of).await?;
            if let Some(confirm) = job.current.confirm {
                // Nobody has to wait for it.
                let _ = confirm.send(());
            }
            Ok(redriven)
        }
        // Rolled back by the loop: it goes again.
        (Answered::Committing, Some((session, _))) => {
            shared.store.rollback(session).await;
            Ok(Redriven::One)
        }
        (Answered::Committing, None) => {
            told(shared, redrive, &of);
            Ok(Redriven::One)
        }
        // Somebody else saw to it meanwhile.
        (Answered::Verdict(_), None) => Ok(Redriven::One),
    }
}

/// It was handled, and that is durable.
fn told<S: Store>(shared: &Shared<S>, redrive: &Redrive, (message_type, version): &Version) {
    info!(
        topic = redrive.record.lane.topic(),
        lane = redrive.record.lane.shard(),
        position = %redrive.record.position,
        "redriven"
    );
    let mut tally = Tally::default();
    tally.handled(message_type, *version);
    shared.board.add(tally);
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
        Some(Verdict::Failed(reason) | Verdict::Hopeless(reason)) => *reason,
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
