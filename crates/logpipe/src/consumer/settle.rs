//! What becomes of each record of a run: the match that decides, in one place.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Shared;
use super::dead_letter::Letter;
use super::run::{Job, Verdict};
use super::worker::{Boxes, Content};
use crate::handler::Current;
use crate::health::Tally;
use crate::lane::{Fate, Lane};
use crate::policy::Policy;
use crate::record::Position;
use crate::store::{self, Park, ParkedCount, Reason};
use crate::{Error, Rejected, Result, Store};

/// Says what becomes of a record that was not handled, and why.
macro_rules! tell {
    ($level:ident, $current:expr, $reason:expr, $what:literal) => {
        tracing::$level!(
            topic = $current.record.lane.topic(),
            lane = $current.record.lane.shard(),
            position = %$current.record.position,
            r#type = &*$current.message_type,
            version = $current.version,
            attempt = $current.attempt,
            reason = $reason.kind,
            concat!($what, ": {}"),
            $reason.text
        )
    };
}

/// A lane that reached a cap looks again.
pub(super) const RECHECK: Duration = Duration::from_secs(10);

/// Fates of a run's records, and what its transaction has to write.
pub(super) struct Settling<'a, S: Store> {
    shared: &'a Shared<S>,
    now: Instant,
    entries: Vec<Entry>,
    /// One for each entry, with its number in the lane.
    fates: Vec<(u64, Fate)>,
    parks: Vec<Parking>,
    /// Of each settled record that says something about the records at large: whether it is parked.
    recent: Vec<bool>,
    outcome: Outcome,
}

struct Entry {
    job: Job,
    route: u32,
    /// A handler took it.
    handled: bool,
}

/// A record that is to be parked.
struct Parking {
    /// Its place among the entries.
    entry: usize,
    /// Its place among what the breaker is told.
    recent: Option<usize>,
    /// How it ends, where it can't be parked now.
    decided: Option<Verdict>,
    park: Park,
}

impl Parking {
    fn key(&self) -> Option<Bytes> {
        self.park
            .record
            .key
            .clone()
            .filter(|_| self.park.blocks_key)
    }
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
    /// It may pass: when to look again.
    pub(super) until: Option<Instant>,
    /// Too much is parked.
    pub(super) full: Option<Full>,
    /// The record, where it is one that is held.
    pub(super) at: Option<At>,
}

/// What the log says of a record.
pub(super) struct At {
    pub(super) position: Position,
    pub(super) message_type: Cow<'static, str>,
    pub(super) version: u32,
    pub(super) attempt: u32,
}

impl At {
    pub(super) fn of(current: &Current) -> Self {
        Self {
            position: current.record.position.clone(),
            message_type: current.message_type.clone(),
            version: current.version,
            attempt: current.attempt,
        }
    }
}

/// A cap of parked records was reached.
#[derive(Clone)]
pub(super) struct Full {
    /// Of the record that would have been one too many, where it blocks that.
    key: Option<Bytes>,
}

impl Full {
    /// Whether there is still no room.
    pub(super) async fn holds<S: Store>(
        self,
        shared: Arc<Shared<S>>,
        held: store::Held,
    ) -> Result<bool> {
        let mut session = shared.store.begin(&held).await?;
        let key = self.key.as_deref();
        let count = shared.store.parked_count(&mut session, key).await;
        shared.store.rollback(session).await;
        Ok(shared.cap(count?, key.is_some()).is_some())
    }
}

impl<S: Store> Shared<S> {
    /// What keeps one more record from being parked.
    fn cap(&self, count: ParkedCount, has_key: bool) -> Option<String> {
        let settings = &self.settings;
        let (count, of, name) = if count.consumer >= settings.parked_max {
            (count.consumer, "", "parked_max")
        } else if has_key && count.key >= settings.parked_per_key_max {
            (count.key, " of one key", "parked_per_key_max")
        } else {
            return None;
        };
        Some(format!(
            "{count} records{of} are parked, the most allowed ({name}); redrive or drop some"
        ))
    }
}

impl<'a, S: Store> Settling<'a, S> {
    pub(super) fn new(shared: &'a Shared<S>, now: Instant) -> Self {
        Self::with_capacity(shared, now, 0)
    }

    /// With room for so many records.
    pub(super) fn with_capacity(shared: &'a Shared<S>, now: Instant, records: usize) -> Self {
        Self {
            shared,
            now,
            entries: Vec::with_capacity(records),
            fates: Vec::with_capacity(records),
            parks: Vec::new(),
            recent: Vec::with_capacity(records),
            outcome: Outcome::default(),
        }
    }

    pub(super) fn fates(&self) -> &[(u64, Fate)] {
        &self.fates
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
                job.current.opening = classified.opening;
                Fate::Back
            }
            Verdict::DeadLetter(letter) if letter.is_written => {
                tell!(info, job.current, letter.reason, "parked");
                self.outcome.tally.parked += 1;
                Fate::Settled
            }
            // It goes there first.
            Verdict::DeadLetter(_) => Fate::Back,
            Verdict::Queued => self.park(
                &mut job,
                Reason {
                    kind: Reason::QUEUED.into(),
                    text: "an older record of its key is parked".into(),
                },
                None,
            ),
            Verdict::Rejected(rejected) => {
                let policy = self.shared.settings.policies.of(&rejected);
                let reason = Reason {
                    kind: rejected.kind().into(),
                    text: rejected.to_string(),
                };
                let fate = self.by_policy(policy, &mut job, reason, Some(&rejected));
                self.decide(Verdict::Rejected(rejected));
                fate
            }
            Verdict::Failed(reason) => match self.retry(lane, &job, &reason) {
                Some(fate) => fate,
                None => self.exhausted(&mut job, reason),
            },
            Verdict::Exhausted(reason) => self.exhausted(&mut job, reason),
            // Whatever `on_failed` says: the code has asked for it in so many words.
            Verdict::Park(reason) => {
                let fate = self.by_policy(Policy::Park, &mut job, (*reason).clone(), None);
                self.decide(Verdict::Park(reason));
                fate
            }
        };
        self.fates.push((job.seq, fate));
        self.entries.push(Entry {
            job,
            route,
            handled,
        });
    }

    /// Its attempts are used up.
    fn exhausted(&mut self, job: &mut Job, reason: Box<Reason>) -> Fate {
        let policy = self.shared.settings.policies.on_failed;
        let fate = self.by_policy(policy, job, (*reason).clone(), None);
        self.decide(Verdict::Exhausted(reason));
        fate
    }

    /// Remembers how the record at hand ends, where it is to be parked.
    fn decide(&mut self, verdict: Verdict) {
        let entry = self.entries.len();
        if let Some(parking) = self.parks.last_mut().filter(|last| last.entry == entry) {
            parking.decided = Some(verdict);
        }
    }

    fn by_policy(
        &mut self,
        policy: Policy,
        job: &mut Job,
        reason: Reason,
        rejected: Option<&Rejected>,
    ) -> Fate {
        let record = &job.current.record;
        let position = &record.position;
        match policy {
            Policy::Park => {
                let breaker = &self.shared.breaker;
                match breaker.park(self.now, &self.recent, &reason.kind) {
                    Ok(()) => {
                        let recent = self.recent.len();
                        self.recent.push(true);
                        self.park(job, reason, Some(recent))
                    }
                    Err(open) => {
                        self.hold(job, open.why, Some(open.until), None);
                        Fate::Back
                    }
                }
            }
            Policy::Skip => {
                tell!(warn, job.current, reason, "skipped, as its policy says");
                self.outcome.tally.skipped += 1;
                Fate::Settled
            }
            Policy::Hold => {
                self.hold(job, format!("at {position}: {}", reason.text), None, None);
                Fate::Back
            }
            Policy::Stop => {
                let stopped = format!(
                    "stopped at {}, position {position}, as its policy says",
                    record.lane
                );
                let error = match rejected {
                    // Callers choose by it.
                    Some(rejected) => Error::from(rejected.clone()).into_permanent(),
                    None => Error::permanent(reason.text),
                };
                self.outcome.stop = Some(error.context(stopped));
                Fate::Back
            }
        }
    }

    fn hold(&mut self, job: &Job, why: String, until: Option<Instant>, full: Option<Full>) {
        hold(&mut self.outcome, job, why, until, full);
    }

    /// In the store, with this transaction; or on the dead-letter topic, before the one that settles it.
    fn park(&mut self, job: &mut Job, reason: Reason, recent: Option<usize>) -> Fate {
        let current = &job.current;
        let attempts = match &job.decided {
            None if reason.kind != Reason::QUEUED => current.attempt,
            // This time no handler saw it.
            _ => current.attempt - 1,
        };
        if self.shared.dead_letters.is_some() {
            job.decided = Some(Verdict::DeadLetter(Box::new(Letter {
                reason,
                attempts,
                is_written: false,
            })));
            return Fate::Back;
        }
        let park = Park {
            record: current.record.clone(),
            attempts,
            blocks_key: self.shared.rules.order == crate::policy::Order::Key
                && current.record.ordered_by().is_some(),
            reason,
        };
        self.parks.push(Parking {
            entry: self.entries.len(),
            recent,
            decided: None,
            park,
        });
        Fate::Settled
    }

    /// In place, with backoff, while both bounds allow it.
    fn retry(&self, lane: &Lane<Content>, job: &Job, reason: &Reason) -> Option<Fate> {
        let current = &job.current;
        let (_, first) = lane.attempts(job.seq);
        let since = first.map_or_else(Default::default, |first| self.now - first);
        let delay = self.shared.settings.retry.next(current.attempt, since)?;
        tell!(warn, current, reason, "failed, to be tried again");
        Some(Fate::Retry {
            due: self.now + delay,
        })
    }

    /// The keys that what is to be parked will block, one for each record.
    pub(super) fn keys_to_park(&self) -> Vec<Option<Bytes>> {
        self.parks.iter().map(|parking| parking.key()).collect()
    }

    /// Keeps to the caps: of each of [`keys_to_park`](Self::keys_to_park), how much the store has parked.
    pub(super) fn keep_to_caps(&mut self, counts: Vec<ParkedCount>) {
        let mut kept: Vec<Parking> = Vec::new();
        let mut unparked = Vec::new();
        for (parking, mut count) in std::mem::take(&mut self.parks).into_iter().zip(counts) {
            let (recent, key) = (parking.recent, parking.key());
            count.consumer += kept.len() as u64;
            count.key += kept
                .iter()
                .filter(|other| key.is_some() && other.park.record.key == key)
                .count() as u64;
            let Some(why) = self.shared.cap(count, key.is_some()) else {
                kept.push(parking);
                continue;
            };
            let full = Full { key };
            let entry = &mut self.entries[parking.entry];
            // The end that it can't have now is not found out again; only how often a handler saw it is counted.
            self.fates[parking.entry].1 = match parking.park.attempts == entry.job.current.attempt {
                true => Fate::Tried,
                false => Fate::Back,
            };
            entry.job.decided = parking.decided;
            let until = Some(self.now + RECHECK);
            hold(&mut self.outcome, &entry.job, why, until, Some(full));
            unparked.extend(recent);
        }
        for index in unparked.into_iter().rev() {
            self.recent.remove(index);
        }
        self.parks = kept;
    }

    /// What is to be parked in the store.
    pub(super) fn take_parks(&mut self) -> Vec<Park> {
        self.outcome.tally.parked += self.parks.len() as u64;
        let entries = &self.entries;
        let parks = self.parks.drain(..).map(|parking| {
            let current = &entries[parking.entry].job.current;
            tell!(info, current, parking.park.reason, "parked");
            parking.park
        });
        parks.collect()
    }

    /// Whether anything is to become of any record.
    pub(super) fn any_tried(&self) -> bool {
        let mut fates = self.fates.iter();
        fates.any(|(_, fate)| !matches!(fate, Fate::Back | Fate::Alone))
    }

    /// Nothing was committed: everything is as before.
    pub(super) fn undo(self, lane: &mut Lane<Content>) -> Vec<(u64, Fate)> {
        let back = self.entries.into_iter().map(|entry| {
            let seq = entry.job.seq;
            lane.give_back(seq, Content::of(entry.job));
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
            lane.reroute(seq, entry.route);
            if entry.handled && handled == 1 {
                let verdict = Verdict::Failed(Box::new(Reason {
                    kind: Reason::COMMIT_REFUSED.into(),
                    text: error.to_string(),
                }));
                return (seq, self.fail(lane, entry.job, verdict));
            }
            lane.give_back(seq, Content::of(entry.job));
            (seq, Fate::Alone)
        });
        fates.collect()
    }

    /// The culprit of a transaction that is gone: its end is decided now and written by the next one.
    pub(super) fn fail(&self, lane: &mut Lane<Content>, mut job: Job, verdict: Verdict) -> Fate {
        let seq = job.seq;
        let fate = match verdict {
            Verdict::Failed(reason) => match self.retry(lane, &job, &reason) {
                Some(fate) => fate,
                None => {
                    job.decided = Some(Verdict::Exhausted(reason));
                    Fate::Retry { due: self.now }
                }
            },
            verdict @ (Verdict::Exhausted(_) | Verdict::Park(_) | Verdict::Rejected(_)) => {
                job.decided = Some(verdict);
                Fate::Retry { due: self.now }
            }
            _ => Fate::Alone,
        };
        lane.give_back(seq, Content::of(job));
        fate
    }

    /// It is durable. What was settled leaves its boxes for records to come.
    pub(super) fn done(self, lane: &mut Lane<Content>, boxes: &mut Boxes) -> Outcome {
        let mut outcome = self.outcome;
        for (entry, (seq, fate)) in self.entries.into_iter().zip(&self.fates) {
            let Entry {
                mut job,
                route,
                handled,
            } = entry;
            if *fate != Fate::Settled {
                lane.reroute(*seq, route);
                lane.give_back(*seq, Content::of(job));
                continue;
            }
            let current = &mut job.current;
            if handled {
                let tally = &mut outcome.tally;
                tally.handled(&current.message_type, current.version);
            }
            outcome.confirms.extend(current.confirm.take());
            boxes.keep(job.current);
        }
        lane.settled(self.now, &self.fates);
        self.shared.breaker.settled(self.recent);
        outcome
    }
}

/// The lane does not go on from this record; of several, from the first.
fn hold(outcome: &mut Outcome, job: &Job, why: String, until: Option<Instant>, full: Option<Full>) {
    let seq = job.seq;
    if outcome.held.as_ref().is_none_or(|held| seq < held.seq) {
        outcome.held = Some(Held {
            seq,
            why,
            until,
            full,
            at: Some(At::of(&job.current)),
        });
    }
}
