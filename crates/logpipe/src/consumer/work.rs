//! What is done where the store works: a run through its handler, or a record through a loop of the user's own, without a
//! transaction of ours until the loop has answered.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::run::{Done, Finished, Job, Run, Start, Unbegun, Verdict, Within, failed};
use super::worker::{Wanted, write};
use crate::deliveries::{Answer, Offer};
use crate::fault::{self, Point};
use crate::handler::Erased;
use crate::lane::Plan;
use crate::policy::Order;
use crate::record::Position;
use crate::store::{Commit, Due, Held, Pace, Reason, Settlement};
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

/// What a lane has done where its store wants it done.
pub(super) struct Work<S: Store> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) pace: Arc<Pace>,
    pub(super) wanted: Wanted,
    pub(super) held: Held,
    pub(super) route: u32,
}

/// What came of it.
pub(super) enum Ran<S: Store> {
    /// To be settled.
    Finished(Finished<S>),
    /// All of them are settled, and this came of it.
    Written(Done, Commit),
    /// A loop's record, settled by the loop's own transaction: there is nothing left to write.
    Committed(Job),
}

/// What is left to do for a record that a loop has seen to.
enum Taken<S: Store> {
    Settle(S::Session, Verdict),
    Committed,
}

impl<S: Store> Work<S> {
    /// Decodes the records, begins a transaction and hands them to their handler. `plan` is what settling all of them would
    /// write.
    pub(super) async fn execute(self, plan: Plan, jobs: Vec<Job>) -> Result<Ran<S>, Unbegun> {
        let start = self.start(jobs, Within::Lane(self.held.clone()));
        let run = match self.shared.router.handler(self.route) {
            Some(handler) => handler.run(start).await?,
            None => start.decided().await?,
        };
        fault::point(Point::InTransaction);
        Ok(self.finish(run, plan).await)
    }

    /// Hands a record of the lane over to a loop; `plan` is what settling it would write.
    pub(super) async fn hand_over(self, plan: Plan, mut job: Job) -> Result<Ran<S>, Unbegun> {
        match self.take(&plan, &mut job).await {
            Ok(Taken::Committed) => Ok(Ran::Committed(job)),
            Ok(Taken::Settle(session, verdict)) => {
                let within = Within::Session(session, self.held.key.lane.clone());
                let mut run = self.start(vec![job], within).begin().await?;
                run.answered(verdict).await;
                Ok(self.finish(run, plan).await)
            }
            Err(error) => Err((vec![job], error)),
        }
    }

    fn start(&self, jobs: Vec<Job>, within: Within<S>) -> Start<S> {
        Start {
            store: self.shared.store.clone(),
            rules: self.shared.rules.clone(),
            pace: self.pace.clone(),
            jobs,
            within,
        }
    }

    /// Where all records are settled as planned, that is written and committed at once: each trip to where the store works
    /// costs as much as some records, and no transaction is open on the way.
    async fn finish(self, run: Run<S>, plan: Plan) -> Ran<S> {
        if !(run.is_all_settled() && self.wanted.is_so()) {
            return Ran::Finished(run.finish());
        }
        let Finished { session, done, .. } = run.finish();
        let settlement = Settlement {
            cursor: plan.cursor,
            above: plan.above,
            ..Settlement::default()
        };
        let commit = write(self.shared.store.clone(), session, settlement).await;
        Ran::Written(done, commit)
    }

    async fn take(&self, plan: &Plan, job: &mut Job) -> Result<Taken<S>> {
        let (shared, held) = (&self.shared, &self.held);
        if let (Order::Key, Some(key)) = (shared.rules.order, job.current.record.ordered_by()) {
            let mut session = shared.store.begin(held).await?;
            if shared.store.is_parked(&mut session, key).await? {
                return Ok(Taken::Settle(session, Verdict::Queued));
            }
            shared.store.rollback(session).await;
        }
        let Some(handler) = shared.router.handler(self.route) else {
            return Err(Error::permanent("the route has no loop"));
        };
        let due = Due::Record {
            held: held.clone(),
            cursor: plan.cursor.clone(),
            above: plan.above.clone(),
        };
        match answer(&**handler, due, job).await? {
            Answered::Verdict(verdict) => {
                let session = shared.store.begin(held).await?;
                Ok(Taken::Settle(session, verdict))
            }
            Answered::Committing => {
                committed(shared, held, plan).await?;
                Ok(Taken::Committed)
            }
        }
    }
}

/// Waits for what the loop says.
pub(super) async fn answer<S: Store>(
    handler: &dyn Erased<S>,
    due: Due,
    job: &mut Job,
) -> Result<Answered> {
    let offer = Offer {
        current: &job.current,
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
        Ok(Answer::Park(text)) => Verdict::Park(Box::new(Reason {
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

/// Waits for the end of the user's transaction, and finds what it wrote. An error [`Error::is_fenced`], whatever it was:
/// the record may be settled, so it is not offered again before the lane has looked anew.
async fn committed<S: Store>(shared: &Shared<S>, held: &Held, plan: &Plan) -> Result {
    let moved = Held {
        cursor: plan.cursor.clone().unwrap_or_else(|| held.cursor.clone()),
        ..held.clone()
    };
    loop {
        match is_written(shared, &moved, &plan.above).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(Error::fenced("the loop's transaction was rolled back")),
            // It may still be committed: nothing else may happen to the record.
            Err(error) if error.is_unavailable() => tokio::time::sleep(ASK_AGAIN).await,
            Err(error) if error.is_fenced() => return Err(error),
            Err(error) => return Err(Error::fenced(error)),
        }
    }
}

async fn is_written<S: Store>(
    shared: &Shared<S>,
    moved: &Held,
    above: &[Position],
) -> Result<bool> {
    let mut session = shared.store.begin(moved).await?;
    let mut is_written = true;
    for position in above {
        is_written &= shared.store.is_settled(&mut session, position).await?;
    }
    shared.store.rollback(session).await;
    Ok(is_written)
}
