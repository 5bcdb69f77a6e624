//! Runs parked records again that somebody marked ready, in the order of their keys.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::Shared;
use super::run::{End, Job, Rules, Start, Verdict, Within};
use super::work::{Answered, answer};
use crate::envelope::Opening;
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
    /// One record was tried, and nothing of that is kept.
    Undone,
}

/// A record whose transaction ended by itself, or can't be committed, and why.
type Torn = Option<(i64, Reason)>;

pub(super) async fn run<S: Store>(shared: Arc<Shared<S>>, mut stop: watch::Receiver<bool>) {
    if S::KEPT_BY_LOG {
        return;
    }
    let place = redrive_place();
    let mut troubles = 0;
    let mut torn = Torn::None;
    while !*stop.borrow() {
        let (work, known) = (shared.clone(), torn.take());
        let work = async move {
            let mut torn = known;
            (one(&work, &mut torn).await, torn)
        };
        let placed = shared.store.place(&Arc::default(), work).await;
        let redriven = placed.and_then(|(redriven, known)| {
            torn = known;
            redriven
        });
        let wait = match redriven {
            Ok(Redriven::One | Redriven::Undone) => {
                troubles = 0;
                continue;
            }
            Ok(Redriven::Nothing) => {
                troubles = 0;
                shared.board.remove(&place);
                EVERY
            }
            Err(error) => {
                warn!(consumer = shared.group, %error, "redriving waits, then tries again");
                shared
                    .board
                    .set(&place, LaneState::Waiting(error.to_string()));
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

/// `torn` remembers a record that the next pass parks without trying.
async fn one<S: Store>(shared: &Shared<S>, torn: &mut Torn) -> Result<Redriven> {
    let (store, group) = (&shared.store, &shared.group);
    let Some((mut session, redrive)) = store.begin_redrive(group, &shared.topics).await? else {
        return Ok(Redriven::Nothing);
    };
    // Its handler, or a loop, takes the time that it takes, and meanwhile the consumer is not idle.
    shared.board.set(&redrive_place(), LaneState::Running);
    let classified = shared.router.classify(&redrive.record, true);
    let of = (classified.message_type.clone(), classified.version);
    let tried = redrive.attempts.saturating_add(1);
    let lane = redrive.record.lane.clone();
    if let Some((_, reason)) = torn.as_ref().filter(|(id, _)| *id == redrive.id) {
        park_again(shared, &mut session, &redrive, reason, &of).await?;
        let parked = committed(shared.store.commit(session).await)?;
        *torn = None;
        return Ok(parked);
    }
    let job = Job {
        seq: 0,
        decided: classified.decided,
        current: Box::new(Current {
            record: redrive.record.clone(),
            message_type: classified.message_type.clone(),
            version: classified.version,
            attempt: tried,
            opening: Opening::Exact,
            confirm: None,
        }),
    };
    let handler = shared.router.handler(classified.route);
    if let Some(handler) = handler
        && handler.is_loop()
        && job.decided.is_none()
    {
        shared.store.rollback(session).await;
        return offer(shared, &**handler, &redrive, job, torn).await;
    }
    let rules = Arc::new(Rules {
        // Its key is parked, by this very record.
        order: Order::None,
        ..(*shared.rules).clone()
    });
    let start = Start {
        store: shared.store.clone(),
        rules,
        pace: Arc::default(),
        jobs: vec![job],
        within: Within::Session(session, lane),
    };
    let begun = match handler {
        Some(handler) => handler.run(start).await,
        None => start.decided().await,
    };
    let run = begun.map_err(|(_, error)| error)?;
    let finished = run.finish();
    let session = finished.session;
    let verdict = { finished.done }.next().map(|(_, verdict)| verdict);
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
    settle(shared, session, &redrive, verdict, &of, torn).await
}

/// What becomes of the record, where its transaction is whole.
async fn settle<S: Store>(
    shared: &Shared<S>,
    mut session: S::Session,
    redrive: &Redrive,
    verdict: Option<Verdict>,
    of: &Version,
    torn: &mut Torn,
) -> Result<Redriven> {
    match verdict {
        Some(Verdict::Handled) => {
            let commit = match shared.store.redriven(&mut session, redrive).await {
                Ok(()) => shared.store.commit(session).await,
                Err(error) if error.is_unavailable() => return Err(error),
                // What the handler wrote is in the way.
                Err(error) => {
                    shared.store.rollback(session).await;
                    Commit::Refused(error)
                }
            };
            match commit {
                Commit::Done => told(shared, redrive, of),
                Commit::Refused(error) => {
                    let reason = Reason {
                        kind: Reason::COMMIT_REFUSED.into(),
                        text: error.to_string(),
                    };
                    *torn = Some((redrive.id, reason));
                    return Ok(Redriven::Undone);
                }
                Commit::Fenced => return Ok(Redriven::Undone),
                Commit::Unavailable(error) | Commit::Unknown(error) => return Err(error),
            }
            Ok(Redriven::One)
        }
        verdict => {
            let reason = reason_of(verdict);
            park_again(shared, &mut session, redrive, &reason, of).await?;
            committed(shared.store.commit(session).await)
        }
    }
}

/// Hands it to a loop of the user's own, without a transaction.
async fn offer<S: Store>(
    shared: &Shared<S>,
    handler: &dyn Erased<S>,
    redrive: &Redrive,
    mut job: Job,
    torn: &mut Torn,
) -> Result<Redriven> {
    let of = (job.current.message_type.clone(), job.current.version);
    let due = Due::Parked(redrive.id);
    let answered = answer(handler, due, &mut job).await?;
    let (store, group) = (&shared.store, &shared.group);
    let again = store.begin_redrive(group, &shared.topics).await?;
    let again = again.filter(|(_, again)| again.id == redrive.id);
    match (answered, again) {
        (Answered::Verdict(verdict), Some((session, _))) => {
            let redriven = settle(shared, session, redrive, Some(verdict), &of, torn).await?;
            if let (Redriven::One, Some(confirm)) = (&redriven, job.current.confirm) {
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
        r#type = &**message_type,
        version,
        attempt = redrive.attempts.saturating_add(1),
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
    (message_type, version): &Version,
) -> Result {
    let tried = redrive.attempts.saturating_add(1);
    warn!(
        topic = redrive.record.lane.topic(),
        lane = redrive.record.lane.shard(),
        position = %redrive.record.position,
        r#type = &**message_type,
        version,
        attempt = tried,
        reason = reason.kind,
        "parked again: {}",
        reason.text
    );
    shared
        .store
        .park_again(session, redrive, reason, tried)
        .await
}

fn committed(commit: Commit) -> Result<Redriven> {
    match commit {
        Commit::Done | Commit::Fenced => Ok(Redriven::One),
        Commit::Unavailable(error) | Commit::Refused(error) | Commit::Unknown(error) => Err(error),
    }
}

fn reason_of(verdict: Option<Verdict>) -> Reason {
    match verdict {
        Some(Verdict::Failed(reason) | Verdict::Exhausted(reason) | Verdict::Park(reason)) => {
            *reason
        }
        // It was not ignored when it was parked, so it is not to vanish in silence.
        Some(Verdict::Ignored) => Reason {
            kind: "Ignored".into(),
            text: "the consumer ignores its type now: handle it, or `logpipe parked drop` it"
                .into(),
        },
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
