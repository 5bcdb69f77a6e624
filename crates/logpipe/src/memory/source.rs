//! A membership in a group of a log in memory, and the readers of its lanes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Shared;
use super::state::State;
use crate::Result;
use crate::lease::{Membership, Moment, Peer};
use crate::offsets::{Offsets, Place, fenced};
use crate::record::{Cursor, LaneId, Start};
use crate::source::{
    Budget, Committed, Event, Fetch, Fetched, Gap, GapKind, Join, LaneReader, Opened, Source,
};

/// Leases in memory never run out by themselves: their time stands still.
const NOW: Moment = Moment {
    wall: Timestamp::UNIX_EPOCH,
    up: Duration::ZERO,
};

pub(super) struct MemorySource {
    shared: Arc<Shared>,
    group: String,
    me: String,
    /// Locked after the log's state, where both are.
    member: Mutex<Member>,
}

struct Member {
    membership: Membership,
    events: VecDeque<Event>,
}

impl MemorySource {
    pub(super) fn join(shared: Arc<Shared>, join: Join) -> Self {
        let mut state = shared.state();
        for topic in &join.topics {
            state.make(topic, shared.lanes_per_topic());
        }
        let me = state.new_member();
        let peer = Peer {
            id: me.clone(),
            topics: join.topics.into_iter().collect(),
            stuck: BTreeSet::new(),
        };
        state.group(&join.group).members.insert(me.clone(), peer);
        state.changed.send_replace(());
        drop(state);
        Self {
            shared,
            group: join.group,
            member: Mutex::new(Member {
                membership: Membership::new(me.clone()),
                events: VecDeque::new(),
            }),
            me,
        }
    }

    fn member(&self) -> MutexGuard<'_, Member> {
        self.member
            .lock()
            .expect("nothing panics while it holds a membership")
    }

    /// Looks at the group and returns the next event, if there is one.
    fn look(&self) -> Option<Event> {
        let mut state = self.shared.state();
        let mut member = self.member();
        let view = state.view(&self.group);
        let step = member.membership.step(NOW, &view, true, |_| true);
        if !step.writes.is_empty() {
            state.group(&self.group).rows.extend(step.writes);
            state.changed.send_replace(());
        }
        member.events.extend(step.events);
        member.events.pop_front()
    }

    fn give_up(&self, lane: &LaneId, is_finished: bool) -> Result<()> {
        let mut state = self.shared.state();
        let membership = &mut self.member().membership;
        let group = state.group(&self.group);
        let row = group.rows.get(lane);
        let row = match is_finished {
            true => membership.finish(lane, row).ok_or_else(|| fenced([lane]))?,
            false => match membership.release(lane, row) {
                Some(row) => row,
                None => return Ok(()),
            },
        };
        group.rows.insert(lane.clone(), row);
        state.changed.send_replace(());
        Ok(())
    }

    fn write(&self, cursors: Vec<(LaneId, Cursor)>) -> Result<()> {
        let mut state = self.shared.state();
        let member = self.member();
        let group = state.group(&self.group);
        let mut refused = Vec::new();
        for (lane, cursor) in cursors {
            let fence = member.membership.fence(&lane, NOW);
            let row = group.rows.get(&lane);
            match (fence, row) {
                (Some((epoch, incarnation)), Some(row))
                    if row.epoch == epoch && row.owner.as_deref() == Some(&*self.me) =>
                {
                    group.cursors.insert(lane, (incarnation.to_owned(), cursor));
                }
                _ => refused.push(lane),
            }
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(fenced(&refused)),
        }
    }
}

impl Source for MemorySource {
    fn event(&self) -> BoxFuture<'_, Result<Event>> {
        Box::pin(async move {
            loop {
                // Subscribed before the look, so that no change falls between look and wait.
                let mut changes = self.shared.state().changed.subscribe();
                if let Some(event) = self.look() {
                    return Ok(event);
                }
                // An error says that the log is gone, and it lives as long as we do.
                let _ = changes.changed().await;
            }
        })
    }

    fn open(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        // The membership is let go of first: the log's state is locked before it, never after.
        let is_ours = self.member().membership.holds(lane, NOW);
        let opened = match is_ours {
            true => open(&self.shared, lane, cursor),
            false => Ok(Opened::NotOurs),
        };
        Box::pin(async move { opened })
    }

    fn committed(&self, lane: &LaneId) -> BoxFuture<'_, Result<Option<Committed>>> {
        let mut state = self.shared.state();
        let found = state.group(&self.group).cursors.get(lane).cloned();
        Box::pin(async move {
            Ok(found.map(|(incarnation, cursor)| Committed {
                cursor,
                incarnation: Some(incarnation),
            }))
        })
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let cursor = self.shared.resolve(lane, start);
        Box::pin(async move { cursor })
    }

    fn save(&self, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        let done = self.write(cursors);
        Box::pin(async move { done })
    }

    fn release(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        let done = self.give_up(lane, false);
        Box::pin(async move { done })
    }

    fn finish(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        let done = self.give_up(lane, true);
        Box::pin(async move { done })
    }

    fn alive(&self, _lane: &LaneId) {}

    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        drop(self);
        Box::pin(async { Ok(()) })
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let group = state.group(&self.group);
        group.members.remove(&self.me);
        let freed = self.member().membership.leave(&group.rows);
        group.rows.extend(freed);
        state.changed.send_replace(());
    }
}

pub(super) fn open(shared: &Arc<Shared>, lane: &LaneId, cursor: &Cursor) -> Result<Opened> {
    let state = shared.state();
    let (Some(incarnation), Some(found)) = (state.incarnation(lane.topic()), state.lane(lane))
    else {
        return Ok(Opened::OutOfRange(deleted()));
    };
    let offsets = found.offsets();
    let place = match cursor {
        Cursor::Closed if found.has_ended() => Place::Offset(offsets.next),
        cursor => offsets.place(cursor)?,
    };
    let next = match place {
        Place::Offset(offset) => offset,
        Place::Time(time) => found.first_at(time).unwrap_or(offsets.next),
        Place::Outside(gap) => return Ok(Opened::OutOfRange(gap)),
    };
    Ok(Opened::Reader(Box::new(MemoryReader {
        appended: found.appended.subscribe(),
        incarnation: incarnation.to_owned(),
        lane: lane.clone(),
        next,
        shared: shared.clone(),
        is_at_end: false,
    })))
}

fn deleted() -> Gap {
    Gap {
        kind: GapKind::Deleted,
        first: None,
        last: None,
        missing: None,
    }
}

struct MemoryReader {
    shared: Arc<Shared>,
    lane: LaneId,
    incarnation: String,
    /// The offset to read next.
    next: u64,
    appended: watch::Receiver<()>,
    is_at_end: bool,
}

impl MemoryReader {
    fn take(&mut self, state: &State, budget: Budget) -> Fetched {
        let (Some(incarnation), Some(lane)) =
            (state.incarnation(self.lane.topic()), state.lane(&self.lane))
        else {
            return Fetched::OutOfRange(deleted());
        };
        let offsets = lane.offsets();
        if incarnation != self.incarnation {
            return Fetched::OutOfRange(offsets.gap(GapKind::Recreated, None));
        }
        match offsets.place(&Offsets::behind(self.next)) {
            Ok(Place::Outside(gap)) => return Fetched::OutOfRange(gap),
            _ if self.next == offsets.next && lane.has_ended() => return Fetched::Ended,
            _ => {}
        }
        let mut bytes = 0_usize;
        let mut records = Vec::new();
        for record in lane.records(self.next).take(budget.records) {
            bytes += record.size();
            if bytes > budget.bytes && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        self.next += records.len() as u64;
        // Behind the last record of a lane that has ended there is still its end to be told of.
        self.is_at_end = self.next == offsets.next && !lane.has_ended();
        Fetched::Records(Fetch {
            through: self.next.checked_sub(1).map(Into::into),
            records,
            at_end: self.is_at_end,
            behind: Some(offsets.next - self.next),
        })
    }
}

impl LaneReader for MemoryReader {
    fn fetch(&mut self, budget: Budget) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async move {
            self.appended.borrow_and_update();
            let shared = self.shared.clone();
            let state = shared.state();
            Ok(self.take(&state, budget))
        })
    }

    fn ready(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.is_at_end {
                // An error says that the lane is gone, which the next fetch reports.
                let _ = self.appended.changed().await;
            }
            Ok(())
        })
    }
}
