//! How does a run go through a handler that takes its records together?
//!
//! One call, one savepoint. What can't be blamed on single records is blamed on none: they go again one by one.

use std::collections::BTreeMap;

use tracing::Instrument;

use super::{Came, Decoded, End, Run, Verdict, attempt, failed};
use crate::batch::{Batch, Together};
use crate::handler::Current;
use crate::policy::Order;
use crate::{Message, Store};

impl<S: Store> Run<S> {
    /// Hands all messages to the handler at once.
    pub(crate) async fn together<M: Message>(
        &mut self,
        handler: &impl Together<M, S>,
        decoded: Vec<Decoded<M>>,
    ) {
        let mut batch = Batch::new();
        let members = self.gather(&mut batch, decoded).await;
        let Some(first) = batch.currents().first() else {
            return;
        };
        let ready = match self.end {
            End::Whole => self.mark().await,
            _ => Ok(()),
        };
        if let Err(error) = ready {
            self.end = End::Trouble(error);
        }
        self.cx.current = first.shown();
        let mut came = None;
        if let End::Whole = self.end {
            let span = self.span();
            span.record("records", members.len());
            let call = handler.handle(&mut batch, &mut self.cx);
            let attempt = attempt(self.rules.deadline, call).instrument(span).await;
            self.pace.end();
            came = Some(self.came(attempt).await);
        }
        let (currents, said) = batch.into_parts();
        self.cx.current = Current::nothing(self.cx.current.record.lane.clone());
        for (&index, current) in members.iter().zip(currents) {
            self.jobs[index].current = current;
        }
        if let Some(came) = came {
            self.conclude(&members, said, came).await;
        }
    }

    /// The messages that the handler has to see; the other records have their verdict, and these are not tried yet.
    async fn gather<M: Message>(
        &mut self,
        batch: &mut Batch<M>,
        decoded: Vec<Decoded<M>>,
    ) -> Vec<usize> {
        let (mut decoded, mut taken) = (decoded.into_iter(), 0);
        let mut members = Vec::new();
        while self.admit().await {
            let index = self.verdicts.len();
            let message = decoded.nth(index - taken);
            taken = index + 1;
            match message {
                Some(Ok(message)) => {
                    let current = &mut self.jobs[index].current;
                    let nothing = Current::nothing(current.record.lane.clone());
                    batch.push(message, std::mem::replace(current, nothing));
                    members.push(index);
                    self.verdicts.push(Verdict::Back);
                }
                Some(Err(verdict)) => self.give(verdict),
                None => break,
            }
        }
        members
    }

    async fn conclude(&mut self, members: &[usize], said: BTreeMap<usize, String>, came: Came) {
        match came {
            Came::Done => {
                let said = said.into_iter();
                let said: BTreeMap<usize, String> =
                    said.map(|(index, why)| (members[index], why)).collect();
                if self.is_overtaken(members, &said) {
                    self.none_of(members, None).await;
                } else {
                    self.divide(members, said);
                }
            }
            Came::Failed(verdict) => self.none_of(members, Some(verdict)).await,
            Came::Torn(verdict) => self.torn(members, verdict),
            Came::Waits(error) => {
                // What is behind a record that goes back must not be ahead of it.
                self.verdicts.fill(Verdict::Back);
                self.end = End::Waits(error);
            }
            Came::Trouble(error) => self.end = End::Trouble(error),
        }
    }

    /// A later record of a failed one's key was handled with it.
    fn is_overtaken(&self, members: &[usize], said: &BTreeMap<usize, String>) -> bool {
        let key = |index: usize| self.jobs[index].current.record.ordered_by();
        self.rules.order == Order::Key
            && said.keys().any(|&bad| {
                let later = members.iter().filter(|&&member| member > bad);
                key(bad).is_some() && later.into_iter().any(|&member| key(member) == key(bad))
            })
    }

    /// Each as the handler said.
    fn divide(&mut self, members: &[usize], mut said: BTreeMap<usize, String>) {
        for &member in members {
            self.verdicts[member] = match said.remove(&member) {
                Some(why) => failed("Failed", why),
                None => Verdict::Handled,
            };
        }
        // Those that no handler saw were judged before it was known what becomes of the others.
        let mut stuck = Vec::new();
        for (job, verdict) in self.jobs.iter().zip(&mut self.verdicts) {
            let Some(key) = job.current.record.ordered_by() else {
                continue;
            };
            if self.rules.order == Order::Key && stuck.contains(&key) {
                *verdict = Verdict::Back;
            } else if matches!(verdict, Verdict::Failed(_)) {
                stuck.push(key);
            }
        }
    }

    /// Nothing of the batch is kept. One alone has this verdict; of several nobody knows which it was.
    async fn none_of(&mut self, members: &[usize], verdict: Option<Verdict>) {
        if self.store.undo(self.cx.session()).await.is_err() {
            let verdict = verdict.unwrap_or(Verdict::Alone);
            return self.torn(members, verdict);
        }
        match (members, verdict) {
            (&[only], Some(verdict)) => {
                self.verdicts.truncate(only);
                self.give(verdict);
            }
            _ => {
                self.verdicts.fill(Verdict::Back);
                for &member in members {
                    self.verdicts[member] = Verdict::Alone;
                }
            }
        }
    }

    /// The transaction is gone.
    fn torn(&mut self, members: &[usize], verdict: Verdict) {
        self.end = End::Torn;
        self.verdicts.fill(Verdict::Back);
        if let &[only] = members {
            self.verdicts[only] = verdict;
        }
    }
}
