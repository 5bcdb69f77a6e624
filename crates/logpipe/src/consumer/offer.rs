//! How does a record go through a loop of the user's own? Without a transaction of ours, until the loop has answered.

use std::time::Duration;

use super::Shared;
use super::run::{Finished, Job, Run, Verdict, failed};
use crate::deliveries::{Answer, Offer};
use crate::handler::Erased;
use crate::lane::Plan;
use crate::policy::Order;
use crate::store::{Due, Held, Reason};
use crate::{Error, Failure, Result, Store};

/// How often the store is asked whether the user's transaction has ended, where asking does not wait for it.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What the loop's answer means for the record.
pub(super) enum Answered {
    /// To be written.
    Verdict(Verdict),
    /// Written by the user's transaction, if that is committed.
    Committing,
}

/// Hands a record of a lane over; `plan` is what settling it would write. `None` where its route is no loop.
pub(super) async fn hand_over<S: Store>(
    shared: &Shared<S>,
    handler: &dyn Erased<S>,
    held: &Held,
    plan: Plan,
    mut job: Job,
) -> std::result::Result<Finished<S>, (Vec<Job>, Error)> {
    let taken = take(shared, handler, held, &plan, &mut job).await;
    let (session, verdict) = match taken {
        Ok(taken) => taken,
        Err(error) => return Err((vec![job], error)),
    };
    let (store, rules) = (shared.store.clone(), shared.rules.clone());
    let mut run = Run::new(store, rules, session, held.key.lane.clone(), vec![job]);
    run.answered(verdict).await;
    Ok(run.finish())
}

async fn take<S: Store>(
    shared: &Shared<S>,
    handler: &dyn Erased<S>,
    held: &Held,
    plan: &Plan,
    job: &mut Job,
) -> Result<(S::Session, Verdict)> {
    if let (Order::Key, Some(key)) = (shared.rules.order, &job.current.record.key) {
        let mut session = shared.store.begin(held).await?;
        if shared.store.is_parked(&mut session, key).await? {
            return Ok((session, Verdict::Queued));
        }
        shared.store.rollback(session).await;
    }
    let due = Due::Record {
        held: held.clone(),
        cursor: plan.cursor.clone(),
        above: plan.above.clone(),
    };
    match answer(shared, handler, due, job).await? {
        Answered::Verdict(verdict) => Ok((shared.store.begin(held).await?, verdict)),
        Answered::Committing => {
            let session = committed(shared, held, plan).await?;
            Ok((session, Verdict::Handled))
        }
    }
}

/// Waits for what the loop says.
pub(super) async fn answer<S: Store>(
    shared: &Shared<S>,
    handler: &dyn Erased<S>,
    due: Due,
    job: &mut Job,
) -> Result<Answered> {
    let offer = Offer {
        current: &job.current,
        store: shared.store.clone(),
        due,
    };
    let Some(offered) = handler.offer(offer) else {
        return Err(Error::permanent("the route is no loop"));
    };
    let verdict = match offered.await {
        Ok(Answer::Ack(confirm)) => {
            job.current.confirm = Some(confirm);
            Verdict::Handled
        }
        Ok(Answer::Committing) => return Ok(Answered::Committing),
        Ok(Answer::Park(text)) => Verdict::Hopeless(Box::new(Reason {
            kind: "Refused".into(),
            text,
        })),
        Ok(Answer::Retry) => failed("Failed", "the loop wants it again"),
        Ok(Answer::Nothing) => failed("Failed", "its receipt was dropped"),
        Ok(Answer::Gone) => return Err(Error::unavailable("the loop is gone")),
        Err(Failure::Rejected(rejected)) => Verdict::Rejected(rejected.into()),
        Err(Failure::Reopen) => Verdict::Reroute,
        Err(Failure::Handler(error)) => failed("Failed", error.to_string()),
    };
    Ok(Answered::Verdict(verdict))
}

/// Waits for the end of the user's transaction, and finds what it wrote; [`Error::is_fenced`] where it wrote nothing:
/// then the lane has to look anew, and the record comes again.
async fn committed<S: Store>(shared: &Shared<S>, held: &Held, plan: &Plan) -> Result<S::Session> {
    let moved = Held {
        cursor: plan.cursor.clone().unwrap_or_else(|| held.cursor.clone()),
        ..held.clone()
    };
    loop {
        let mut session = match shared.store.begin(&moved).await {
            Ok(session) => session,
            // It may still be committed: nothing else may happen to the record.
            Err(error) if error.is_unavailable() => {
                tokio::time::sleep(ASK_AGAIN).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        for position in &plan.above {
            if !shared.store.is_settled(&mut session, position).await? {
                return Err(Error::fenced("the loop's transaction was rolled back"));
            }
        }
        return Ok(session);
    }
}
