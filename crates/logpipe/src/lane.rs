//! What may run next in a lane, and what may be committed: the state machine of one lane, without I/O and without a
//! clock of its own.
//!
//! Records enter a *window* in the order of the log. From its front the lane yields *runs*: consecutive ready records of
//! one route. What came of a run goes through two steps: [`Lane::plan`] says what its transaction has to write, and
//! only once that is durable [`Lane::settled`] makes it so; after a rollback [`Lane::undone`] leaves the cursor where it was.
//!
//! ```text
//! Ready > Running > Settled                    leaves the window once everything before it is settled
//!           |  ^
//!           v  |
//!         Waiting{due}                         a retry: later records of its key stay ready but are passed over
//! ```
//!
//! The cursor names the last record below which everything is settled. Records settled above it are named one by one in
//! the plan; a new owner gets them with its claim, and the lane then takes them for settled when they are fetched again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::policy::Order;
use crate::record::{Cursor, Position};

/// How far a lane may reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Records between the lowest unsettled and the highest fetched.
    pub(crate) window: usize,
    /// Records in one run.
    pub(crate) run: usize,
}

/// The rest of a record, which the lane only keeps, and asks for its key.
pub(crate) trait Keyed {
    fn key(&self) -> Option<&Bytes>;
}

/// A record as the lane sees it.
pub(crate) struct Arrival<T> {
    pub(crate) position: Position,
    /// Runs never mix routes.
    pub(crate) route: u32,
    /// Bytes, for budgets.
    pub(crate) size: usize,
    /// Not before: the minimum lag.
    pub(crate) due: Option<Instant>,
    pub(crate) content: T,
}

/// What can be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Run these; `fresh` of them have no place yet among the records that may be begun.
    Run { seqs: Vec<u64>, fresh: usize },
    /// Nothing before this.
    At(Instant),
    /// Nothing before something arrives.
    Nothing,
}

/// What came of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done with, one way or the other.
    Settled,
    /// Again later: an attempt was used.
    Retry { due: Instant },
    /// As before: nothing was tried.
    Back,
    /// As before, but for the attempt that was used: what has to become of it can't be done now.
    Tried,
    /// As before, and to be tried alone: it shared a transaction that ended by itself.
    Alone,
}

/// What a transaction has to write for a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The new cursor, where it moves.
    pub(crate) cursor: Option<Cursor>,
    /// Settled by this run, above that cursor.
    pub(crate) above: Vec<Position>,
}

pub(crate) struct Lane<T> {
    limits: Limits,
    order: Order,
    /// As committed.
    cursor: Cursor,
    /// Settled above the cursor by an earlier owner, not fetched again yet.
    known: BTreeSet<Position>,
    /// The log was seen up to here without a record that is in the window.
    through: Option<Position>,
    /// From the lowest unsettled record on.
    window: VecDeque<Slot<T>>,
    /// The number of the window's first slot.
    first: u64,
    /// No slot before this one is ready to run.
    scan: u64,
    /// When waiting records are due.
    waiting: BTreeSet<(Instant, u64)>,
    /// Keys of waiting records, which later records of the key wait behind.
    blocked: HashMap<Bytes, u64>,
    /// The same by record: one that is settled has given away what its key could be asked of.
    blocking: BTreeMap<u64, Bytes>,
    /// Slots that are running.
    running: usize,
    /// Bytes of records that are not settled.
    size: usize,
    /// Nothing from this slot on may run.
    held: Option<u64>,
    /// The log has no record behind the window and never will.
    ended: bool,
}

struct Slot<T> {
    position: Position,
    /// Up to here the log was seen when this was its last record: past compacted and control records.
    through: Option<Position>,
    route: u32,
    size: usize,
    due: Option<Instant>,
    state: State,
    alone: bool,
    /// Has its place among the records that may be begun.
    has_place: bool,
    attempts: u32,
    first_attempt: Option<Instant>,
    /// There unless the record runs or is settled.
    content: Option<T>,
}

impl<T: Keyed> Slot<T> {
    fn key(&self) -> Option<&Bytes> {
        self.content.as_ref()?.key()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    Waiting(Instant),
    Settled,
}

impl<T: Keyed> Lane<T> {
    /// A lane as a claim found it.
    pub(crate) fn new(
        limits: Limits,
        order: Order,
        cursor: Cursor,
        settled: impl IntoIterator<Item = Position>,
    ) -> Self {
        Self {
            limits,
            order,
            cursor,
            known: settled.into_iter().collect(),
            through: None,
            window: VecDeque::new(),
            first: 0,
            scan: 0,
            waiting: BTreeSet::new(),
            blocked: HashMap::new(),
            blocking: BTreeMap::new(),
            running: 0,
            size: 0,
            held: None,
            ended: false,
        }
    }

    /// As committed.
    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// How many records may be fetched now.
    pub(crate) fn room(&self) -> usize {
        if self.held.is_some() || self.ended {
            0
        } else {
            self.limits.window.saturating_sub(self.window.len())
        }
    }

    /// Bytes of records that are not settled.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// What is not to run yet is to wait so much longer, or so much less: the clock that it is due by runs otherwise.
    pub(crate) fn postpone(&mut self, later: Duration, sooner: Duration) {
        for slot in &mut self.window {
            // Before all time is now.
            slot.due = slot.due.and_then(|due| (due + later).checked_sub(sooner));
        }
    }

    /// Nothing is running and nothing waits to run.
    pub(crate) fn is_quiet(&self) -> bool {
        let open = match self.held {
            // From the held record on nothing happens, so that does not count.
            Some(held) => self.slots_before(held),
            None => self.window.len(),
        };
        self.running == 0
            && self.waiting.is_empty()
            && self
                .window
                .iter()
                .take(open)
                .all(|slot| slot.state == State::Settled)
    }

    /// A record waits for its next attempt.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn slots_before(&self, seq: u64) -> usize {
        usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX)
    }

    fn slot(&self, seq: u64) -> &Slot<T> {
        &self.window[self.slots_before(seq)]
    }

    fn slot_mut(&mut self, seq: u64) -> &mut Slot<T> {
        let index = self.slots_before(seq);
        &mut self.window[index]
    }

    // Intake.

    /// Takes the next record of the log. Records must arrive in order and at most [`Lane::room`] of them at once.
    pub(crate) fn push(&mut self, arrival: Arrival<T>) {
        let Arrival {
            position,
            route,
            size,
            due,
            content,
        } = arrival;
        let settled = self.known.remove(&position);
        self.size += if settled { 0 } else { size };
        self.window.push_back(Slot {
            position,
            through: None,
            route,
            size,
            due,
            state: if settled {
                State::Settled
            } else {
                State::Ready
            },
            alone: false,
            has_place: false,
            attempts: 0,
            first_attempt: None,
            content: (!settled).then_some(content),
        });
    }

    /// The log was seen up to here, beyond the last record that arrived.
    pub(crate) fn through(&mut self, through: Position) {
        // What an earlier owner settled and the log no longer has will not be fetched again.
        self.known = self.known.split_off(&through);
        self.known.remove(&through);
        match self.window.back_mut() {
            Some(last) if through > last.position => last.through = Some(through),
            Some(_) => {}
            None => self.through = Some(through),
        }
    }

    /// The lane has ended: nothing follows.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    // Running.

    /// What to run now: a retry that is due, else the next ready records of one route, at most `fresh` of them without a
    /// place ([`Lane::place`]).
    pub(crate) fn next(&mut self, now: Instant, fresh: usize) -> Next {
        debug_assert_eq!(self.running, 0, "one run at a time");
        if let Some(&(due, seq)) = self.waiting.first()
            && due <= now
        {
            self.waiting.remove(&(due, seq));
            self.begin(seq);
            return Next::Run {
                seqs: vec![seq],
                fresh: 0,
            };
        }
        let mut seqs = Vec::new();
        let mut new = 0;
        let mut at = self.waiting.first().map(|&(due, _)| due);
        let end = self.first + self.window.len() as u64;
        let end = self.held.map_or(end, |held| held.min(end));
        let mut seq = self.scan.max(self.first);
        // Stays where the first ready record is that this run does not take.
        let mut left = None;
        while seq < end && seqs.len() < self.limits.run {
            let slot = self.slot(seq);
            if slot.state != State::Ready || self.is_blocked(slot) {
                // A blocked record is passed over; `settled` comes back for it when its key is free.
                seq += 1;
                continue;
            }
            if let Some(due) = slot.due.filter(|&due| due > now) {
                at = Some(at.map_or(due, |at| at.min(due)));
                left = Some(seq);
                break;
            }
            let same_route = seqs
                .first()
                .is_none_or(|&first| self.slot(first).route == slot.route);
            let may_join = seqs.is_empty() || !slot.alone;
            if !same_route || !may_join || (!slot.has_place && new == fresh) {
                left = Some(seq);
                break;
            }
            new += usize::from(!slot.has_place);
            let alone = slot.alone;
            seqs.push(seq);
            seq += 1;
            if alone {
                break;
            }
        }
        self.scan = left.unwrap_or(seq);
        if seqs.is_empty() {
            return at.map_or(Next::Nothing, Next::At);
        }
        for &seq in &seqs {
            self.begin(seq);
        }
        Next::Run { seqs, fresh: new }
    }

    fn is_blocked(&self, slot: &Slot<T>) -> bool {
        !self.blocked.is_empty() && slot.key().is_some_and(|key| self.blocked.contains_key(key))
    }

    fn begin(&mut self, seq: u64) {
        self.running += 1;
        let slot = self.slot_mut(seq);
        slot.state = State::Running;
    }

    /// Whether the record has its place among those that may be begun. Other lanes want places too: that a run was
    /// given out says nothing, and what goes back without a place must not be given out as if it had one.
    pub(crate) fn has_place(&self, seq: u64) -> bool {
        self.slot(seq).has_place
    }

    /// The record got its place, and keeps it until it is settled, or held.
    pub(crate) fn place(&mut self, seq: u64) {
        self.slot_mut(seq).has_place = true;
    }

    pub(crate) fn route(&self, seq: u64) -> u32 {
        self.slot(seq).route
    }

    pub(crate) fn reroute(&mut self, seq: u64, route: u32) {
        self.slot_mut(seq).route = route;
    }

    /// Attempts that were used, and when the first of them failed.
    pub(crate) fn attempts(&self, seq: u64) -> (u32, Option<Instant>) {
        let slot = self.slot(seq);
        (slot.attempts, slot.first_attempt)
    }

    /// The rest of a running record, for as long as it runs.
    pub(crate) fn take(&mut self, seq: u64) -> Option<T> {
        self.slot_mut(seq).content.take()
    }

    /// Gives it back, where the record is not settled.
    pub(crate) fn give_back(&mut self, seq: u64, content: T) {
        self.slot_mut(seq).content = Some(content);
    }

    // Settling.

    /// What the transaction has to write so that these fates are durable.
    pub(crate) fn plan(&self, fates: &[(u64, Fate)]) -> Plan {
        let mut settling: Vec<u64> = fates
            .iter()
            .filter(|(_, fate)| *fate == Fate::Settled)
            .map(|&(seq, _)| seq)
            .collect();
        settling.sort_unstable();
        let mut ahead = settling.iter().copied().peekable();
        let (passed, cursor) = self
            .advance(|seq, slot| slot.state == State::Settled || ahead.next_if_eq(&seq).is_some());
        Plan {
            cursor,
            above: settling
                .into_iter()
                .filter(|&seq| self.slots_before(seq) >= passed)
                .map(|seq| self.slot(seq).position.clone())
                .collect(),
        }
    }

    /// How many slots from the front are settled, and the cursor behind them, where that moves.
    fn advance(&self, mut settled: impl FnMut(u64, &Slot<T>) -> bool) -> (usize, Option<Cursor>) {
        let passed = self
            .window
            .iter()
            .zip(self.first..)
            .take_while(|(slot, seq)| settled(*seq, slot))
            .count();
        let reached = match passed.checked_sub(1) {
            Some(last) => {
                let last = &self.window[last];
                Some(last.through.as_ref().unwrap_or(&last.position))
            }
            None if self.window.is_empty() => self.through.as_ref(),
            None => None,
        };
        if self.ended && passed == self.window.len() {
            return (
                passed,
                (self.cursor != Cursor::Closed).then_some(Cursor::Closed),
            );
        }
        let moved = reached.filter(|reached| match &self.cursor {
            Cursor::Start | Cursor::At(_) => true,
            Cursor::After(position) => *reached > position,
            Cursor::Closed => false,
        });
        (passed, moved.cloned().map(Cursor::After))
    }

    /// The plan for these fates is durable.
    pub(crate) fn settled(&mut self, now: Instant, fates: &[(u64, Fate)]) {
        self.apply(now, fates);
        let (passed, cursor) = self.advance(|_, slot| slot.state == State::Settled);
        self.window.drain(..passed);
        self.first += passed as u64;
        if self.window.is_empty() {
            self.through = None;
        }
        if let Some(cursor) = cursor {
            self.cursor = cursor;
        }
    }

    /// Nothing of the run was kept: the cursor stays where the store has it, and no fate is [`Fate::Settled`].
    pub(crate) fn undone(&mut self, now: Instant, fates: &[(u64, Fate)]) {
        debug_assert!(fates.iter().all(|(_, fate)| *fate != Fate::Settled));
        self.apply(now, fates);
    }

    fn apply(&mut self, now: Instant, fates: &[(u64, Fate)]) {
        let mut ahead = Vec::new();
        for &(seq, fate) in fates {
            self.running -= 1;
            let order = self.order;
            let slot = self.slot_mut(seq);
            let key = match fate {
                Fate::Settled => None,
                _ => slot.key().cloned().filter(|_| order == Order::Key),
            };
            match fate {
                Fate::Settled => {
                    slot.state = State::Settled;
                    slot.content = None;
                    let size = slot.size;
                    self.size -= size;
                    self.unblock(seq);
                }
                // It may not overtake an older record of its key that goes back: it lines up behind it instead of waiting.
                Fate::Retry { .. } if key.as_ref().is_some_and(|key| ahead.contains(key)) => {
                    slot.state = State::Ready;
                    slot.alone = true;
                    slot.attempts += 1;
                    slot.first_attempt.get_or_insert(now);
                }
                Fate::Retry { due } => {
                    slot.state = State::Waiting(due);
                    slot.attempts += 1;
                    slot.first_attempt.get_or_insert(now);
                    self.waiting.insert((due, seq));
                    if let Some(key) = key {
                        self.blocking.insert(seq, key.clone());
                        self.blocked.insert(key, seq);
                    }
                }
                Fate::Back | Fate::Alone | Fate::Tried => {
                    slot.state = State::Ready;
                    slot.alone |= fate == Fate::Alone;
                    if fate == Fate::Tried {
                        slot.attempts += 1;
                        slot.first_attempt.get_or_insert(now);
                    }
                    ahead.extend(key);
                    self.unblock(seq);
                    self.scan = self.scan.min(seq);
                }
            }
        }
    }

    fn unblock(&mut self, seq: u64) {
        if let Some(key) = self.blocking.remove(&seq)
            && self.blocked.get(&key) == Some(&seq)
        {
            self.blocked.remove(&key);
            self.scan = self.scan.min(seq);
        }
    }

    /// No record from this one on begins; retries that already wait go on.
    pub(crate) fn hold_from(&mut self, seq: u64) {
        self.held = Some(self.held.map_or(seq, |held| held.min(seq)));
    }

    /// Takes their places from the records that are held, for others that can make use of them; returns how many.
    pub(crate) fn displace(&mut self) -> u64 {
        let before = self.held.map_or(usize::MAX, |held| self.slots_before(held));
        let held = self.window.iter_mut().skip(before);
        let mut places = 0;
        for slot in held.filter(|slot| slot.state == State::Ready && slot.has_place) {
            slot.has_place = false;
            places += 1;
        }
        places
    }

    /// No record begins; retries that already wait go on.
    pub(crate) fn hold_all(&mut self) {
        self.hold_from(self.first);
    }

    /// No record behind the last settled one begins. Whether there is a settled record at all, so above an unsettled one:
    /// whoever takes the lane over from its cursor alone would handle it again.
    pub(crate) fn is_uneven(&mut self) -> bool {
        let last = self
            .window
            .iter()
            .rposition(|slot| slot.state == State::Settled);
        self.hold_from(self.first + last.map_or(0, |last| last as u64 + 1));
        last.is_some()
    }

    /// Goes on.
    pub(crate) fn resume(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
