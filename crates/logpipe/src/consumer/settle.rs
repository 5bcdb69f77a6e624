//! What becomes of each record of a run: the match that decides, in one place.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Shared;
use super::run::{Job, Verdict};
use super::worker::Content;
use crate::health::Tally;
use crate::lane::{Fate, Lane};
use crate::policy::Policy;
use crate::store::{Park, Reason};
use crate::{Error, Result, Store};

/// A lane that reached a cap looks again.
const RECHECK: Duration = Duration::from_secs(10);

/// Fates of a run's records, and what its transaction has to write.
pub(super) struct Settling<'a, S: Store> {
    shared: &'a Shared<S>,
    now: Instant,
    entries: Vec<Entry>,
    parks: Vec<(usize, Park)>,
    /// Of each settled record that says something about the records at large: whether it is parked.
    recent: Vec<bool>,
    outcome: Outcome,
}

struct Entry {
    job: Job,
    route: u32,
    fate: Fate,
    /// A handler took it.
    handled: bool,
}

/// What the lane does once the transaction is durable.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) held: Option<Held>,
    pub(super) stop: Option<Error>,
    /// Receipts that wait for it.
    pub(super) confirms: Vec<oneshot::Sender<()>>,
}

/// Why the lane does not go on from a record.
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) why: String,
    /// Too much is parked, which may pass: when to look again.
    pub(super) until: Option<Instant>,
}

impl<'a, S: Store> Settling<'a, S> {
    pub(super) fn new(shared: &'a Shared<S>, now: Instant) -> Self {
        Self {
            shared,
            now,
            entries: Vec::new(),
            parks: Vec::new(),
            recent: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    pub(super) fn fates(&self) -> Vec<(u64, Fate)> {
        let fates = self.entries.iter();
        fates.map(|entry| (entry.job.seq, entry.fate)).collect()
    }

    /// Who is at fault decides; then the policy of its class.
    pub(super) fn judge(
        &mut self,
        lane: &Lane<Content>,
        mut job: Job,
        verdict: Verdict,
        route: u32,
    ) {
        let mut handled = false;
        let mut route = route;
        let fate = match verdict {
            Verdict::Handled => {
                handled = true;
                self.recent.push(false);
                Fate::Settled
            }
            Verdict::Ignored => {
                self.outcome.tally.skipped += 1;
                Fate::Settled
            }
            Verdict::Back => Fate::Back,
            Verdict::Alone => Fate::Alone,
            Verdict::Reroute => {
                let classified = self.shared.router.classify(&job.current.record, true);
                route = classified.route;
                job.decided = classified.decided;
                job.current.message_type = classified.message_type;
                job.current.version = classified.version;
                job.current.exact = true;
                Fate::Back
            }
            Verdict::Queued => self.park(
                &job,
                Reason {
                    kind: Reason::QUEUED.into(),
                    text: "an older record of its key is parked".into(),
                },
            ),
            Verdict::Rejected(rejected) => {
                let policy = self.shared.settings.policies.of(&rejected);
                let reason = Reason {
                    kind: rejected.kind().into(),
                    text: rejected.to_string(),
                };
                self.by_policy(policy, &job, reason)
            }
            Verdict::Failed(reason) => match self.retry(lane, &job, &reason) {
                Some(fate) => fate,
                None => self.by_policy(self.shared.settings.policies.on_failed, &job, *reason),
            },
            Verdict::Hopeless(reason) => {
                self.by_policy(self.shared.settings.policies.on_failed, &job, *reason)
            }
        };
        self.entries.push(Entry {
            job,
            route,
            fate,
            handled,
        });
    }

    fn by_policy(&mut self, policy: Policy, job: &Job, reason: Reason) -> Fate {
        let record = &job.current.record;
        let (topic, lane) = (record.lane.topic(), record.lane.shard());
        let position = &record.position;
        match policy {
            Policy::Park => {
                let breaker = &self.shared.breaker;
                match breaker.park(self.now, &self.recent, &reason.kind) {
                    Ok(()) => {
                        self.recent.push(true);
                        self.park(job, reason)
                    }
                    Err(open) => {
                        self.hold(job.seq, open.why, Some(open.until));
                        Fate::Back
                    }
                }
            }
            Policy::Skip => {
                warn!(topic, lane, %position, reason = reason.kind, "skipped, as its policy says: {}", reason.text);
                self.outcome.tally.skipped += 1;
                Fate::Settled
            }
            Policy::Hold => {
                self.hold(job.seq, format!("at {position}: {}", reason.text), None);
                Fate::Back
            }
            Policy::Stop => {
                self.outcome.stop = Some(Error::permanent(format!(
                    "stopped at {}, position {position}, as its policy says: {}",
                    record.lane, reason.text
                )));
                Fate::Back
            }
        }
    }

    fn hold(&mut self, seq: u64, why: String, until: Option<Instant>) {
        if self.outcome.held.as_ref().is_none_or(|held| seq < held.seq) {
            self.outcome.held = Some(Held { seq, why, until });
        }
    }

    fn park(&mut self, job: &Job, reason: Reason) -> Fate {
        let current = &job.current;
        info!(
            topic = current.record.lane.topic(),
            lane = current.record.lane.shard(),
            position = %current.record.position,
            r#type = &*current.message_type,
            version = current.version,
            attempt = current.attempt,
            reason = reason.kind,
            "parked: {}",
            reason.text
        );
        let park = Park {
            record: (*current.record).clone(),
            attempts: match &job.decided {
                None if reason.kind != Reason::QUEUED => current.attempt,
                // This time no handler saw it.
                _ => current.attempt - 1,
            },
            blocks_key: self.shared.rules.order == crate::policy::Order::Key
                && current.record.key.is_some(),
            reason,
        };
        self.parks.push((self.entries.len(), park));
        Fate::Settled
    }

    /// In place, with backoff, while both bounds allow it.
    fn retry(&self, lane: &Lane<Content>, job: &Job, reason: &Reason) -> Option<Fate> {
        let current = &job.current;
        let (_, first) = lane.attempts(job.seq);
        let since = first.map_or_else(Default::default, |first| self.now - first);
        let delay = self.shared.settings.retry.next(current.attempt, since)?;
        warn!(
            topic = current.record.lane.topic(),
            lane = current.record.lane.shard(),
            position = %current.record.position,
            r#type = &*current.message_type,
            version = current.version,
            attempt = current.attempt,
            reason = reason.kind,
            "failed, to be tried again: {}",
            reason.text
        );
        Some(Fate::Retry {
            due: self.now + delay,
        })
    }

    pub(super) fn has_parks(&self) -> bool {
        !self.parks.is_empty()
    }

    /// Keeps to the caps, and writes what goes to the dead-letter topic: its acknowledgement precedes the position.
    pub(super) async fn prepare_parks(&mut self, session: &mut S::Session) -> Result {
        if let Some(dead_letter) = &self.shared.dead_letter {
            let parks: Vec<Park> = self.parks.drain(..).map(|(_, park)| park).collect();
            self.outcome.tally.parked += parks.len() as u64;
            return dead_letter.send(&self.shared.group, parks).await;
        }
        let settings = &self.shared.settings;
        let mut kept: Vec<(usize, Park)> = Vec::new();
        for (index, park) in std::mem::take(&mut self.parks) {
            let key = park.record.key.as_deref().filter(|_| park.blocks_key);
            let count = self.shared.store.parked_count(session, key).await?;
            let new = kept.len() as u64;
            let new_of_key = kept
                .iter()
                .filter(|(_, other)| key.is_some() && other.record.key.as_deref() == key)
                .count() as u64;
            let full = if count.consumer + new >= settings.parked_max {
                Some(format!(
                    "{} records are parked, the most allowed (parked_max)",
                    count.consumer
                ))
            } else if key.is_some() && count.key + new_of_key >= settings.parked_per_key_max {
                Some(format!(
                    "{} records of one key are parked, the most allowed (parked_per_key_max)",
                    count.key
                ))
            } else {
                None
            };
            match full {
                None => kept.push((index, park)),
                Some(why) => {
                    let entry = &mut self.entries[index];
                    entry.fate = Fate::Back;
                    let seq = entry.job.seq;
                    let until = Some(self.now + RECHECK);
                    self.hold(seq, format!("{why}; redrive or drop some"), until);
                }
            }
        }
        self.parks = kept;
        Ok(())
    }

    /// What is to be parked in the store.
    pub(super) fn take_parks(&mut self) -> Vec<Park> {
        let parks: Vec<Park> = self.parks.drain(..).map(|(_, park)| park).collect();
        self.outcome.tally.parked += parks.len() as u64;
        parks
    }

    /// Nothing was committed: everything is as before.
    pub(super) fn undo(self, lane: &mut Lane<Content>) -> Vec<(u64, Fate)> {
        let back = self.entries.into_iter().map(|entry| {
            let seq = entry.job.seq;
            lane.give_back(seq, Content::of(entry.job, entry.route));
            lane.reroute(seq, entry.route);
            (seq, Fate::Back)
        });
        back.collect()
    }

    /// The commit was refused for good: of several they go again one by one, and the one alone has failed.
    pub(super) fn refused(mut self, lane: &mut Lane<Content>, error: &Error) -> Vec<(u64, Fate)> {
        let handled = self.entries.iter().filter(|entry| entry.handled).count();
        let entries = std::mem::take(&mut self.entries);
        let fates = entries.into_iter().map(|entry| {
            let seq = entry.job.seq;
            if entry.handled && handled == 1 {
                let verdict = Verdict::Failed(Box::new(Reason {
                    kind: Reason::COMMIT_REFUSED.into(),
                    text: error.to_string(),
                }));
                return (seq, self.fail(lane, entry.job, verdict, entry.route));
            }
            lane.give_back(seq, Content::of(entry.job, entry.route));
            (seq, Fate::Alone)
        });
        fates.collect()
    }

    /// The culprit of a transaction that is gone: its end is decided now and written by the next one.
    pub(super) fn fail(
        &self,
        lane: &mut Lane<Content>,
        mut job: Job,
        verdict: Verdict,
        route: u32,
    ) -> Fate {
        let seq = job.seq;
        let fate = match verdict {
            Verdict::Failed(reason) => match self.retry(lane, &job, &reason) {
                Some(fate) => fate,
                None => {
                    job.decided = Some(Verdict::Hopeless(reason));
                    Fate::Retry { due: self.now }
                }
            },
            verdict @ (Verdict::Hopeless(_) | Verdict::Rejected(_)) => {
                job.decided = Some(verdict);
                Fate::Retry { due: self.now }
            }
            _ => Fate::Alone,
        };
        lane.give_back(seq, Content::of(job, route));
        fate
    }

    /// It is durable.
    pub(super) fn done(self, lane: &mut Lane<Content>) -> Outcome {
        let mut outcome = self.outcome;
        let fates: Vec<(u64, Fate)> = self
            .entries
            .iter()
            .map(|entry| (entry.job.seq, entry.fate))
            .collect();
        for entry in self.entries {
            let Entry {
                mut job,
                route,
                fate,
                handled,
            } = entry;
            if fate == Fate::Settled {
                if handled {
                    let current = &job.current;
                    outcome
                        .tally
                        .handled(&current.message_type, current.version);
                }
                outcome.confirms.extend(job.current.confirm.take());
            } else {
                lane.reroute(job.seq, route);
                lane.give_back(job.seq, Content::of(job, route));
            }
        }
        lane.settled(self.now, &fates);
        self.shared.breaker.settled(self.recent);
        outcome
    }
}
