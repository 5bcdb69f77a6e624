//! A run: consecutive records of one route, handled in one transaction.

mod start;
mod together;

use std::future::{Future, poll_fn};
use std::iter;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use futures_util::FutureExt;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use crate::consumer::dead_letter::Letter;
use crate::error::Kind;
use crate::handler::{Current, Cx, Handle};
use crate::policy::{Order, Policies, Policy};
use crate::record::LaneId;
use crate::store::{Pace, Reason};
use crate::{Error, Rejected, Result, Store};

pub(crate) use start::{Decoded, Start, Unbegun, Within};

/// A record on its way through a handler.
pub(crate) struct Job {
    /// Its number in the lane's window.
    pub(crate) seq: u64,
    pub(crate) current: Box<Current>,
    /// How it ends, where that is known before any handler sees it.
    pub(crate) decided: Option<Verdict>,
}

/// How a record came out of its run.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// A handler took it.
    Handled,
    /// Its type is one that this consumer does not care for.
    Ignored,
    /// No handler can take it.
    Rejected(Box<Rejected>),
    /// The attempt failed; what the handler wrote is undone.
    Failed(Box<Reason>),
    /// It is to be parked at once, whatever the attempts.
    Park(Box<Reason>),
    /// Its attempts are used up.
    Exhausted(Box<Reason>),
    /// Records of its key are parked: it queues behind them.
    Queued,
    /// It is parked on the dead-letter topic: settled once it is there.
    DeadLetter(Box<Letter>),
    /// The whole envelope says another type or version than its head: it has to be routed again.
    Reroute,
    /// Not tried.
    Back,
    /// Tried together with others, of which one is the culprit: to be tried alone.
    Alone,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// What is done can be committed.
    Whole,
    /// The same, then the lane waits: something that handlers need is down. The last record that was tried goes back.
    Waits(Error),
    /// The store is in trouble: nothing of the run is kept and no attempt is used.
    Trouble(Error),
    /// The transaction ended by itself under the last record that was tried: nothing of the run is kept, that record
    /// loses an attempt, and the others go again one by one.
    Torn,
}

/// The rules of a run.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) order: Order,
    /// An attempt that takes longer is dropped.
    pub(crate) deadline: Option<Duration>,
    pub(crate) policies: Policies,
}

/// The records, the transaction, and what came out so far.
pub(crate) struct Run<S: Store> {
    store: S,
    rules: Arc<Rules>,
    /// Told of each call of a handler.
    pace: Arc<Pace>,
    /// Shows the record at hand, and nothing in between.
    cx: Cx<S>,
    jobs: Vec<Job>,
    /// One for each job that is through, in order.
    verdicts: Vec<Verdict>,
    /// Keys of records that stay unsettled, or are to be parked: later records of them go back.
    stuck: Vec<Bytes>,
    /// No further record: the policy of one of them is that the lane does not go on.
    halted: bool,
    end: End,
}

/// Records and what came of them.
pub(crate) type Done = iter::Zip<vec::IntoIter<Job>, vec::IntoIter<Verdict>>;

/// What a run leaves.
pub(crate) struct Finished<S: Store> {
    pub(crate) session: S::Session,
    /// Every record of the run, in order.
    pub(crate) done: Done,
    pub(crate) end: End,
}

impl<S: Store> Run<S> {
    fn new(
        store: S,
        rules: Arc<Rules>,
        pace: Arc<Pace>,
        session: S::Session,
        lane: LaneId,
        jobs: Vec<Job>,
    ) -> Self {
        Self {
            store,
            rules,
            pace,
            cx: Cx::new(session, Current::nothing(lane)),
            verdicts: Vec::with_capacity(jobs.len()),
            jobs,
            stuck: Vec::new(),
            halted: false,
            end: End::Whole,
        }
    }

    /// Hands one message after the other to the handler.
    pub(crate) async fn all<H: Handle<S>>(
        &mut self,
        handler: &H,
        decoded: Vec<Decoded<H::Message>>,
    ) {
        let mut decoded = decoded.into_iter();
        while let Some(message) = self.next(&mut decoded).await {
            let span = self.span();
            let call = handler.handle(message, &mut self.cx);
            // Where nobody listens, to enter and to leave it would cost more than to decode the message.
            if span.is_disabled() {
                let attempt = attempt(self.rules.deadline, call).await;
                self.after(attempt).await;
            } else {
                let attempt = attempt(self.rules.deadline, call)
                    .instrument(span.clone())
                    .await;
                self.after(attempt).instrument(span).await;
            }
        }
    }

    /// Takes records whose end is decided; for those that no handler sees.
    async fn decided(&mut self) {
        let left = self.admit().await;
        debug_assert!(!left, "what no handler sees has its end decided");
    }

    /// Takes a record that was seen to outside of the run.
    pub(crate) async fn answered(&mut self, verdict: Verdict) {
        if self.admit().await {
            self.give(verdict);
        }
    }

    /// Moves on to the next record that a handler has to see, and shows it.
    async fn next<M>(&mut self, decoded: &mut vec::IntoIter<Decoded<M>>) -> Option<M> {
        let message = loop {
            let before = self.verdicts.len();
            if !self.admit().await {
                return None;
            }
            // What is decided, or goes back, was passed over.
            match decoded.nth(self.verdicts.len() - before)? {
                Ok(message) => break message,
                Err(verdict) => self.give(verdict),
            }
        };
        if let Err(error) = self.mark().await {
            self.end = End::Trouble(error);
            return None;
        }
        self.swap();
        Some(message)
    }

    /// A handler is to be called.
    async fn mark(&mut self) -> Result {
        let deadline = self.rules.deadline;
        self.store.mark(self.cx.session(), deadline).await?;
        self.pace.begin();
        Ok(())
    }

    /// Moves on to the next record that a handler has to see.
    async fn admit(&mut self) -> bool {
        while let End::Whole = self.end
            && !self.halted
            && let Some(job) = self.jobs.get_mut(self.verdicts.len())
        {
            let is_parked = matches!(job.decided, Some(Verdict::DeadLetter(_)));
            if self.rules.order == Order::Key
                && !is_parked
                && let Some(key) = job.current.record.ordered_by()
            {
                if self.stuck.contains(key) {
                    self.verdicts.push(Verdict::Back);
                    continue;
                }
                match self.store.is_parked(self.cx.session(), key).await {
                    Ok(false) => {}
                    Ok(true) => {
                        self.verdicts.push(Verdict::Queued);
                        continue;
                    }
                    Err(error) => {
                        self.end = End::Trouble(error);
                        return false;
                    }
                }
            }
            if let Some(decided) = job.decided.clone() {
                self.give(decided);
                continue;
            }
            return true;
        }
        false
    }

    /// Shows the record at hand in `cx`, or takes it away again.
    fn swap(&mut self) {
        let job = &mut self.jobs[self.verdicts.len()];
        std::mem::swap(&mut job.current, &mut self.cx.current);
    }

    async fn after(&mut self, attempt: Attempt) {
        self.pace.end();
        self.swap();
        match self.came(attempt).await {
            Came::Done => self.give(Verdict::Handled),
            Came::Failed(verdict) => {
                if self.store.undo(self.cx.session()).await.is_err() {
                    self.end = End::Torn;
                }
                self.give(verdict);
            }
            Came::Torn(verdict) => {
                self.end = End::Torn;
                self.give(verdict);
            }
            Came::Waits(error) => self.end = End::Waits(error),
            Came::Trouble(error) => self.end = End::Trouble(error),
        }
    }

    /// Who is at fault decides.
    async fn came(&mut self, attempt: Attempt) -> Came {
        let error = match attempt {
            // A handler may take the error of the statement that was stopped for something else, or for nothing.
            _ if self.store.is_overdue(self.cx.session()) => return Came::overdue(),
            Attempt::Returned(Ok(())) if self.store.whole(self.cx.session()).await => {
                return Came::Done;
            }
            Attempt::Returned(Ok(())) => {
                return Came::Torn(failed(
                    "TransactionEnded",
                    "the handler returned Ok, but its transaction was ended by a statement or a commit of its own",
                ));
            }
            Attempt::Returned(Err(error)) => error,
            Attempt::Panicked => return Came::Failed(failed("Panicked", "the handler panicked")),
            Attempt::Overdue => return Came::overdue(),
        };
        let text = error.to_string();
        match error.kind() {
            _ if self.store.is_store_trouble(&error) => Came::Trouble(error),
            Kind::Fenced => Came::Trouble(error),
            Kind::Unavailable => match self.store.undo(self.cx.session()).await {
                Ok(()) => Came::Waits(error),
                Err(_) => Came::Trouble(error),
            },
            Kind::Failed => Came::Failed(failed("Failed", text)),
            Kind::Permanent | Kind::Park => Came::Failed(Verdict::Park(Box::new(Reason {
                kind: "Refused".into(),
                text,
            }))),
            Kind::Tombstone => Came::Failed(Verdict::Rejected(Rejected::Tombstone.into())),
        }
    }

    fn give(&mut self, verdict: Verdict) {
        let job = &self.jobs[self.verdicts.len()];
        if !matches!(
            verdict,
            Verdict::Handled | Verdict::Ignored | Verdict::DeadLetter(_)
        ) && let Some(key) = job.current.record.ordered_by()
        {
            self.stuck.push(key.clone());
        }
        if let Verdict::Rejected(rejected) = &verdict {
            let policy = self.rules.policies.of(rejected);
            self.halted |= matches!(policy, Policy::Hold | Policy::Stop);
        }
        self.verdicts.push(verdict);
    }

    /// Whether each record of it is settled by what a handler did, or needs none.
    pub(crate) fn is_all_settled(&self) -> bool {
        let is_settled = |verdict| matches!(verdict, &Verdict::Handled | &Verdict::Ignored);
        matches!(self.end, End::Whole)
            && self.verdicts.len() == self.jobs.len()
            && self.verdicts.iter().all(is_settled)
    }

    /// Ends the run: what was not tried goes back.
    pub(crate) fn finish(mut self) -> Finished<S> {
        self.verdicts.resize(self.jobs.len(), Verdict::Back);
        Finished {
            session: self.cx.into_session(),
            done: self.jobs.into_iter().zip(self.verdicts),
            end: self.end,
        }
    }

    /// One for each message: what an incident is debugged by, without key and payload.
    fn span(&self) -> Span {
        // Where nobody listens to any, even a disabled one would be told its fields.
        if LevelFilter::current() < LevelFilter::INFO {
            return Span::none();
        }
        let Current {
            record,
            message_type,
            version,
            attempt,
            opening: _,
            confirm: _,
        } = &*self.cx.current;
        tracing::info_span!(
            "message",
            topic = record.lane.topic(),
            lane = record.lane.shard(),
            position = %record.position,
            r#type = &**message_type,
            version,
            attempt,
            records = tracing::field::Empty,
        )
    }
}

pub(super) fn failed(kind: &str, text: impl Into<String>) -> Verdict {
    Verdict::Failed(Box::new(Reason {
        kind: kind.into(),
        text: text.into(),
    }))
}

/// What an attempt means for the record, or the records, that it was at.
enum Came {
    /// The handler took it, and the transaction is whole.
    Done,
    /// What it wrote has to be undone.
    Failed(Verdict),
    /// The transaction ended by itself.
    Torn(Verdict),
    /// Something that the handler needs is down; what it wrote is undone.
    Waits(Error),
    /// The store is in trouble.
    Trouble(Error),
}

impl Came {
    fn overdue() -> Self {
        let text = "the attempt took longer than its deadline and was stopped";
        Self::Failed(failed("Deadline", text))
    }
}

/// How one attempt ended.
enum Attempt {
    Returned(Result),
    Panicked,
    Overdue,
}

async fn attempt(deadline: Option<Duration>, handler: impl Future<Output = Result>) -> Attempt {
    // What a panic leaves half done is in the transaction and undone with it; the context is only read afterwards.
    let caught = AssertUnwindSafe(handler).catch_unwind();
    tokio::pin!(caught);
    let outcome = match poll_fn(|cx| Poll::Ready(caught.as_mut().poll(cx))).await {
        // Many handlers never wait, and the clock of a deadline costs more than they do.
        Poll::Ready(outcome) => outcome,
        Poll::Pending => match deadline {
            None => caught.await,
            Some(deadline) => match tokio::time::timeout(deadline, caught).await {
                Ok(outcome) => outcome,
                Err(_) => return Attempt::Overdue,
            },
        },
    };
    outcome.map_or(Attempt::Panicked, Attempt::Returned)
}
