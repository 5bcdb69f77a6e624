//! The store in process: for tests, and for consumers that may forget everything.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{
    Administration, Claim, Commit, Filter, Guarantee, Held, LaneKey, Park, Parked, ParkedCount,
    Reason, Redrive, Settlement, Store, StoredLane,
};
use crate::fault::{Mistake, planted};
use crate::record::{Cursor, LaneId, Position};
use crate::{Error, Result};

/// Positions and parked records in memory, by the same rules as a database: clones share them, a restarted service finds
/// them, the end of the process forgets them. Handlers have no transaction here, so that lanes run at the same time, and
/// what they did is not undone.
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Mutex<State>>,
}

/// What a test lets go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The commit fails and wrote nothing.
    Unavailable,
    /// The commit wrote everything, but nobody learns of it.
    AnswerLost,
    /// The commit wrote nothing, and nobody learns of it.
    Lost,
}

#[derive(Default)]
struct State {
    /// By consumer and lane.
    lanes: BTreeMap<(String, LaneId), Lane>,
    parked: BTreeMap<i64, Parked>,
    last_id: i64,
    /// The numbers of parked records that a session is redriving.
    redriving: HashSet<i64>,
    down: bool,
    fault: Option<Fault>,
}

struct Lane {
    epoch: u64,
    cursor: Cursor,
    cluster: String,
    incarnation: String,
    settled: BTreeSet<Position>,
    updated_at: Timestamp,
}

/// What a session of [`Memory`] gathers until its commit.
pub struct Session {
    store: Memory,
    work: Work,
}

enum Work {
    Lane(Held, Settlement),
    Redrive {
        id: i64,
        consumer: String,
        topic: String,
        outcome: Option<Outcome>,
    },
}

enum Outcome {
    Handled,
    Again(Reason, u32),
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// For tests: lets the next commit go wrong.
    pub fn fail_next_commit(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// For tests: takes the store away, or brings it back.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic: a session is applied by code that does not call out.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.down {
            return Err(Error::unavailable("the memory store was taken down"));
        }
        Ok(state)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Work::Redrive { id, .. } = self.work {
            self.store.state().redriving.remove(&id);
        }
    }
}

impl Session {
    /// The consumer and topic that it works for.
    fn scope(&self) -> (&str, &str) {
        match &self.work {
            Work::Lane(held, _) => (&held.key.consumer, held.key.lane.topic()),
            Work::Redrive {
                consumer, topic, ..
            } => (consumer, topic),
        }
    }
}

impl Parked {
    /// Whether this record makes later ones of `key` queue.
    fn blocks(&self, consumer: &str, topic: &str, key: &[u8]) -> bool {
        self.blocks_key
            && self.consumer == consumer
            && self.record.lane.topic() == topic
            && self.record.key.as_deref() == Some(key)
    }

    fn matches(&self, filter: &Filter) -> bool {
        fn meets<T: ?Sized + PartialEq>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        meets(filter.consumer.as_deref(), &self.consumer)
            && meets(filter.topic.as_deref(), self.record.lane.topic())
            && meets(filter.kind.as_deref(), &self.reason.kind)
            && meets(filter.ready.as_ref(), &self.ready)
            && filter
                .key
                .as_deref()
                .is_none_or(|key| self.record.key.as_deref() == Some(key))
            && filter.ids.as_ref().is_none_or(|ids| ids.contains(&self.id))
    }
}

impl State {
    fn key_lane(key: &LaneKey) -> (String, LaneId) {
        (key.consumer.clone(), key.lane.clone())
    }

    fn check(&self, held: &Held) -> Result {
        let found = self.lanes.get(&Self::key_lane(&held.key));
        if found.is_some_and(|lane| lane.epoch == held.epoch && lane.cursor == held.cursor) {
            return Ok(());
        }
        Err(Error::fenced(format_args!(
            "{} of `{}` was claimed by another owner",
            held.key.lane, held.key.consumer
        )))
    }

    fn settle(&mut self, held: &Held, settlement: Settlement) {
        let Some(lane) = self.lanes.get_mut(&Self::key_lane(&held.key)) else {
            return;
        };
        let moved =
            (&lane.cluster, &lane.incarnation) != (&held.key.cluster, &held.key.incarnation);
        lane.cluster.clone_from(&held.key.cluster);
        lane.incarnation.clone_from(&held.key.incarnation);
        if moved || settlement.forget {
            lane.settled.clear();
        }
        if let Some(cursor) = settlement.cursor {
            match &cursor {
                Cursor::After(passed) => lane.settled.retain(|position| position > passed),
                Cursor::Closed => lane.settled.clear(),
                Cursor::Start | Cursor::At(_) => {}
            }
            lane.cursor = cursor;
        }
        lane.settled.extend(settlement.above);
        lane.updated_at = Timestamp::now();
        for park in settlement.parked {
            self.park(&held.key.consumer, park);
        }
    }

    fn park(&mut self, consumer: &str, park: Park) {
        let Park {
            record,
            reason,
            attempts,
            blocks_key,
        } = park;
        let head = record
            .key
            .as_deref()
            .filter(|_| blocks_key)
            .and_then(|key| {
                self.parked
                    .values()
                    .find(|parked| parked.blocks(consumer, record.lane.topic(), key))
            });
        // A key waits or runs as a whole. A record that queues behind one which has just been redriven runs next.
        let ready = match head {
            Some(head) => head.ready,
            None => blocks_key && reason.kind == Reason::QUEUED,
        };
        self.last_id += 1;
        self.parked.insert(
            self.last_id,
            Parked {
                id: self.last_id,
                consumer: consumer.into(),
                record,
                reason,
                attempts,
                blocks_key,
                ready,
                parked_at: Timestamp::now(),
            },
        );
    }

    /// Marks one record, and where it blocks its key the whole key, ready or parked; returns how many changed.
    fn mark(&mut self, id: i64, ready: bool) -> u64 {
        let Some(chosen) = self.parked.get(&id).cloned() else {
            return 0;
        };
        let mut changed = 0;
        for parked in self.parked.values_mut() {
            let of_key = chosen.blocks_key
                && chosen.record.key.as_deref().is_some_and(|key| {
                    parked.blocks(&chosen.consumer, chosen.record.lane.topic(), key)
                });
            if (of_key || parked.id == id) && parked.ready != ready {
                parked.ready = ready;
                changed += 1;
            }
        }
        changed
    }

    fn matching(&self, filter: &Filter) -> Vec<i64> {
        let matching = self.parked.values().filter(|parked| parked.matches(filter));
        matching.map(|parked| parked.id).collect()
    }

    fn apply(&mut self, work: &mut Work) -> Result {
        match work {
            Work::Lane(held, settlement) => {
                self.check(held)?;
                self.settle(held, std::mem::take(settlement));
            }
            Work::Redrive { id, outcome, .. } => match outcome.take() {
                None => {}
                Some(Outcome::Handled) => {
                    self.parked.remove(id);
                }
                Some(Outcome::Again(reason, attempts)) => {
                    self.mark(*id, false);
                    if let Some(parked) = self.parked.get_mut(id) {
                        parked.reason = reason;
                        parked.attempts = attempts;
                    }
                }
            },
        }
        Ok(())
    }
}

impl Store for Memory {
    type Session = Session;

    fn describe(&self) -> String {
        "memory".into()
    }

    fn identity(&self) -> Option<String> {
        Some(format!("memory at {:p}", Arc::as_ptr(&self.shared)))
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn claim(&self, key: &LaneKey, first: Option<&Cursor>) -> Result<Option<Claim>> {
        let mut state = self.reach()?;
        let place = State::key_lane(key);
        if let (false, Some(first)) = (state.lanes.contains_key(&place), first) {
            state.lanes.insert(
                place.clone(),
                Lane {
                    epoch: 0,
                    cursor: first.clone(),
                    cluster: key.cluster.clone(),
                    incarnation: key.incarnation.clone(),
                    settled: BTreeSet::new(),
                    updated_at: Timestamp::now(),
                },
            );
        }
        Ok(state.lanes.get_mut(&place).map(|lane| {
            lane.epoch += 1;
            lane.updated_at = Timestamp::now();
            Claim {
                epoch: lane.epoch,
                cursor: lane.cursor.clone(),
                cluster: lane.cluster.clone(),
                incarnation: lane.incarnation.clone(),
                settled: lane.settled.iter().cloned().collect(),
            }
        }))
    }

    async fn begin(&self, held: &Held) -> Result<Session> {
        self.reach()?.check(held)?;
        Ok(Session {
            store: self.clone(),
            work: Work::Lane(held.clone(), Settlement::default()),
        })
    }

    async fn mark(&self, _: &mut Session, _: Option<std::time::Duration>) -> Result {
        Ok(())
    }

    async fn undo(&self, _: &mut Session) -> Result {
        Ok(())
    }

    async fn whole(&self, _: &mut Session) -> bool {
        true
    }

    async fn is_parked(&self, session: &mut Session, key: &[u8]) -> Result<bool> {
        let (consumer, topic) = session.scope();
        let state = self.reach()?;
        Ok(state
            .parked
            .values()
            .any(|parked| parked.blocks(consumer, topic, key)))
    }

    async fn is_settled(&self, session: &mut Session, position: &Position) -> Result<bool> {
        let Work::Lane(held, _) = &session.work else {
            return Ok(false);
        };
        let state = self.reach()?;
        let lane = state.lanes.get(&State::key_lane(&held.key));
        Ok(lane.is_some_and(|lane| lane.settled.contains(position)))
    }

    async fn parked_count(&self, session: &mut Session, key: Option<&[u8]>) -> Result<ParkedCount> {
        let (consumer, topic) = session.scope();
        let state = self.reach()?;
        let mut count = ParkedCount::default();
        for parked in state.parked.values() {
            count.consumer += u64::from(parked.consumer == consumer);
            count.key += u64::from(key.is_some_and(|key| parked.blocks(consumer, topic, key)));
        }
        Ok(count)
    }

    async fn settle(&self, session: &mut Session, settlement: Settlement) -> Result {
        match &mut session.work {
            Work::Lane(_, gathered) => *gathered = settlement,
            Work::Redrive { .. } => {
                return Err(Error::permanent("a session that redrives settles no lane"));
            }
        }
        Ok(())
    }

    async fn commit(&self, mut session: Session) -> Commit {
        let mut state = match self.reach() {
            Ok(state) => state,
            Err(error) => return Commit::Unavailable(error),
        };
        let fault = state.fault.take();
        if let Some(fault @ (Fault::Unavailable | Fault::Lost)) = fault {
            let error = Error::unavailable("the memory store was told to fail");
            return match fault {
                Fault::Unavailable => Commit::Unavailable(error),
                _ => Commit::Unknown(error),
            };
        }
        let applied = state.apply(&mut session.work);
        // The session's own drop takes the lock.
        drop(state);
        match applied {
            Err(_) => Commit::Fenced,
            Ok(()) if fault == Some(Fault::AnswerLost) => Commit::Unknown(Error::unavailable(
                "the memory store was told to lose its answer",
            )),
            Ok(()) => Commit::Done,
        }
    }

    async fn rollback(&self, _: Session) {}

    fn is_store_trouble(&self, _: &Error) -> bool {
        false
    }

    async fn begin_redrive(
        &self,
        consumer: &str,
        topics: &[String],
    ) -> Result<Option<(Session, Redrive)>> {
        let mut state = self.reach()?;
        let busy = |parked: &Parked| {
            let of_same_key = |other: &i64| {
                let other = state.parked.get(other);
                let key = parked.record.key.as_deref().filter(|_| parked.blocks_key);
                other.zip(key).is_some_and(|(other, key)| {
                    other.blocks(&parked.consumer, parked.record.lane.topic(), key)
                })
            };
            state.redriving.contains(&parked.id) || state.redriving.iter().any(of_same_key)
        };
        let is_ours = |parked: &Parked| {
            let topic = parked.record.lane.topic();
            let is_read = topics.iter().any(|ours| ours == topic);
            parked.consumer == consumer && (is_read || planted(Mistake::RedriveAnywhere))
        };
        let next = state
            .parked
            .values()
            .find(|parked| is_ours(parked) && parked.ready && !busy(parked))
            .cloned();
        let Some(parked) = next else {
            return Ok(None);
        };
        state.redriving.insert(parked.id);
        let session = Session {
            store: self.clone(),
            work: Work::Redrive {
                id: parked.id,
                consumer: parked.consumer,
                topic: parked.record.lane.topic().into(),
                outcome: None,
            },
        };
        let redrive = Redrive {
            id: parked.id,
            record: parked.record,
            attempts: parked.attempts,
            parked_at: parked.parked_at,
        };
        Ok(Some((session, redrive)))
    }

    async fn redriven(&self, session: &mut Session, _: &Redrive) -> Result {
        session.conclude(Outcome::Handled)
    }

    async fn park_again(
        &self,
        session: &mut Session,
        _: &Redrive,
        reason: &Reason,
        attempts: u32,
    ) -> Result {
        session.conclude(Outcome::Again(reason.clone(), attempts))
    }
}

impl Session {
    fn conclude(&mut self, concluded: Outcome) -> Result {
        match &mut self.work {
            Work::Redrive { outcome, .. } => {
                *outcome = Some(concluded);
                Ok(())
            }
            Work::Lane(..) => Err(Error::permanent("this session redrives nothing")),
        }
    }
}

impl Administration for Memory {
    async fn lanes(&self, consumer: Option<&str>) -> Result<Vec<StoredLane>> {
        let state = self.reach()?;
        let of_consumer = |((name, _), _): &(&(String, LaneId), &Lane)| {
            consumer.is_none_or(|consumer| consumer == name)
        };
        let lanes = state.lanes.iter().filter(of_consumer);
        Ok(lanes
            .map(|((consumer, lane), row)| row.stored(consumer, lane))
            .collect())
    }

    async fn set_cursor(&self, key: &LaneKey, cursor: &Cursor) -> Result<Option<StoredLane>> {
        let mut state = self.reach()?;
        let row = state.lanes.get_mut(&State::key_lane(key));
        Ok(row.map(|row| {
            row.epoch += 1;
            row.cursor = cursor.clone();
            row.settled.clear();
            row.updated_at = Timestamp::now();
            row.cluster.clone_from(&key.cluster);
            row.incarnation.clone_from(&key.incarnation);
            row.stored(&key.consumer, &key.lane)
        }))
    }

    async fn parked(&self, filter: &Filter, after: Option<i64>, limit: u32) -> Result<Vec<Parked>> {
        let state = self.reach()?;
        let behind = state
            .parked
            .values()
            .filter(|parked| after.is_none_or(|after| parked.id > after));
        let matching = behind.filter(|parked| parked.matches(filter));
        Ok(matching.take(limit as usize).cloned().collect())
    }

    async fn count_parked(&self, filter: &Filter) -> Result<u64> {
        Ok(self.reach()?.matching(filter).len() as u64)
    }

    async fn redrive(&self, filter: &Filter) -> Result<u64> {
        let mut state = self.reach()?;
        let matching = state.matching(filter);
        Ok(matching.into_iter().map(|id| state.mark(id, true)).sum())
    }

    async fn drop_parked(&self, filter: &Filter) -> Result<u64> {
        let mut state = self.reach()?;
        let matching = state.matching(filter);
        for id in &matching {
            state.parked.remove(id);
        }
        Ok(matching.len() as u64)
    }
}

impl Lane {
    fn stored(&self, consumer: &str, lane: &LaneId) -> StoredLane {
        StoredLane {
            consumer: consumer.into(),
            lane: lane.clone(),
            cluster: self.cluster.clone(),
            incarnation: self.incarnation.clone(),
            epoch: self.epoch,
            cursor: self.cursor.clone(),
            settled: self.settled.len() as u64,
            updated_at: self.updated_at,
        }
    }
}
