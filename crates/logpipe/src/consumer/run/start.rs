//! What happens to a run before its transaction? Its messages are decoded: while they are, other lanes may write, and whatever
//! a message takes to decode, no transaction waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Job, Rules, Run, Verdict, failed};
use crate::handler::Current;
use crate::record::LaneId;
use crate::store::{Held, Pace};
use crate::{Error, Failure, Result, Store};

/// Records on their way into a transaction.
pub(crate) struct Start<S: Store> {
    pub(crate) store: S,
    pub(crate) rules: Arc<Rules>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) within: Within<S>,
}

/// The transaction that they go into.
pub(crate) enum Within<S: Store> {
    /// One of this lane's, to be begun.
    Lane(Held),
    /// This one.
    Session(S::Session, LaneId),
}

/// The records of a transaction that could not be begun, and why.
pub(crate) type Unbegun = (Vec<Job>, Error);

/// A message, or what decoding it says of the record. For a record whose end is decided, it is never looked at.
pub(crate) type Decoded<M> = std::result::Result<M, Verdict>;

impl<S: Store> Start<S> {
    /// One for each record.
    pub(crate) fn decode<M>(
        &self,
        decode: impl Fn(&Current) -> Result<M, Failure>,
    ) -> Vec<Decoded<M>> {
        let decoded = self.jobs.iter().map(|job| {
            if job.decided.is_some() {
                return Err(Verdict::Back);
            }
            // Types that are written by hand decode by hand.
            match catch_unwind(AssertUnwindSafe(|| decode(&job.current))) {
                Ok(Ok(message)) => Ok(message),
                Ok(Err(Failure::Rejected(rejected))) => Err(Verdict::Rejected(rejected.into())),
                Ok(Err(Failure::Reopen)) => Err(Verdict::Reroute),
                Ok(Err(Failure::Handler(error))) => Err(failed("Failed", error.to_string())),
                Err(_) => Err(failed("Panicked", "decoding the message panicked")),
            }
        });
        decoded.collect()
    }

    /// Begins the transaction, behind those of others.
    pub(crate) async fn begin(self) -> std::result::Result<Run<S>, Unbegun> {
        let Self {
            store,
            rules,
            pace,
            jobs,
            within,
        } = self;
        let (session, lane) = match within {
            Within::Session(session, lane) => (session, lane),
            Within::Lane(held) => match store.begin(&held).await {
                Ok(session) => (session, held.key.lane),
                Err(error) => return Err((jobs, error)),
            },
        };
        Ok(Run::new(store, rules, pace, session, lane, jobs))
    }

    /// For records that no handler sees: their end is decided.
    pub(crate) async fn decided(self) -> std::result::Result<Run<S>, Unbegun> {
        let mut run = self.begin().await?;
        run.decided().await;
        Ok(run)
    }
}
