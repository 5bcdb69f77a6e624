//! Who reads which lane: leases, and how the members of a group share the lanes out among themselves.
//!
//! A group is a table with a row per lane and a list of its living members. Nobody leads: each member reads the whole
//! table, works out the same fair share as everybody else ([`balance`]), and does its own part of it, in one
//! transaction: it renews what it holds, gives notice of what it has too much, takes what is free and falls to it. This
//! file decides and does no I/O; a backend brings the table and the clock, writes what [`Membership::step`] returns, and
//! keeps the new state only if that was committed.
//!
//! A lane changes hands in good order: its owner says `Revoking`, drains, releases, and only then does another member
//! claim it. It changes hands without its owner when the owner died, or when its lease ran out. Each claim raises the
//! lane's epoch, so that a former owner that wakes up recognises that the row is no longer its own. A member trusts
//! neither hand of the clock alone: monotonic time may stand still while the machine sleeps, wall time may be set back.
//!
//! A member whose handler blocks its thread loses the lane as its lease runs out, lives on, and now has less than its
//! share: the lane would fall to it again, and nobody would read it. So it is *stuck* with that lane, says so in the
//! table, and others share the lane out without it until it shows a sign of life.

#[cfg(any(feature = "local", feature = "kinesis"))]
pub(crate) mod member;
#[cfg(any(feature = "local", feature = "kinesis"))]
pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::record::LaneId;
use crate::source::{Assigned, Event, Gap, GapKind};

/// How long a lease lasts that nobody renews.
pub(crate) const TERM: Duration = Duration::from_secs(10);

/// How long a member may drain a lane that it gives back.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// A moment by both hands of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub wall: Timestamp,
    pub up: Duration,
}

impl Moment {
    fn plus(self, time: Duration) -> Self {
        Self {
            wall: self.wall.checked_add(time).unwrap_or(Timestamp::MAX),
            up: self.up + time,
        }
    }

    /// Whether either hand has reached `deadline`.
    fn is_past(self, deadline: Self) -> bool {
        self.wall >= deadline.wall || self.up >= deadline.up
    }
}

/// A lane as the log lists it.
#[derive(Debug, Clone)]
pub(crate) struct LogLane {
    pub incarnation: String,
    /// Shards that have to be finished first.
    pub parents: Vec<LaneId>,
}

/// A lane's row in the group's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub incarnation: String,
    pub owner: Option<String>,
    /// Raised by each claim.
    pub epoch: u64,
    pub expires: Timestamp,
    /// Settled to its end: nobody needs it any more and its children may be read.
    pub finished: bool,
}

/// A living member.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub id: String,
    pub topics: BTreeSet<String>,
    /// Lanes that it lost while its work on them stood still: it can't take them before that work has ended.
    pub stuck: BTreeSet<LaneId>,
}

impl Peer {
    fn can_read(&self, lane: &LaneId) -> bool {
        self.topics.contains(lane.topic()) && !self.stuck.contains(lane)
    }
}

/// Everything that a decision depends on, read in one transaction.
pub(crate) struct View {
    pub cluster: String,
    /// All lanes of the topics that the members read: one that is missing is gone.
    pub lanes: BTreeMap<LaneId, LogLane>,
    pub rows: BTreeMap<LaneId, Row>,
    /// With the member that decides among them.
    pub members: Vec<Peer>,
}

/// What a member has to write and to say.
#[derive(Default)]
pub(crate) struct Step {
    pub writes: Vec<(LaneId, Row)>,
    pub events: Vec<Event>,
    /// Lanes fall to this member that it did not take, because it was not asked to.
    pub unclaimed: bool,
}

/// What a member knows of itself.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    me: String,
    held: BTreeMap<LaneId, Held>,
    /// As [`Peer::stuck`].
    stuck: BTreeSet<LaneId>,
    /// `Joined` was said and nothing was assigned since.
    said_joined: bool,
}

#[derive(Debug, Clone)]
struct Held {
    incarnation: String,
    epoch: u64,
    /// When the lease ends.
    lapses: Moment,
    /// By when it has to be released, once notice was given.
    revoked: Option<Duration>,
    /// The log no longer has the lane, and that was said.
    gone: bool,
}

impl Membership {
    pub(crate) fn new(me: String) -> Self {
        Self {
            me,
            held: BTreeMap::new(),
            stuck: BTreeSet::new(),
            said_joined: false,
        }
    }

    /// As [`Peer::stuck`], for the others to know.
    #[cfg(any(test, feature = "local", feature = "kinesis"))]
    pub(crate) fn stuck(&self) -> &BTreeSet<LaneId> {
        &self.stuck
    }

    /// Whether the lane is ours and its lease has not run out.
    pub(crate) fn holds(&self, lane: &LaneId, now: Moment) -> bool {
        self.held
            .get(lane)
            .is_some_and(|held| !now.is_past(held.lapses))
    }

    /// The epoch that a write for this lane has to find in its row, and the incarnation that the lane was assigned with.
    pub(crate) fn fence(&self, lane: &LaneId, now: Moment) -> Option<(u64, &str)> {
        let held = self.held.get(lane)?;
        (!now.is_past(held.lapses)).then_some((held.epoch, &*held.incarnation))
    }

    /// Gives a lane up. Returns the row to write, if the lane is still ours.
    pub(crate) fn release(&mut self, lane: &LaneId, row: Option<&Row>) -> Option<Row> {
        let held = self.held.remove(lane)?;
        let row = row.filter(|row| self.owns(row, &held))?;
        Some(free(row))
    }

    /// Marks a lane as settled to its end. Returns the row to write, if the lane is still ours.
    pub(crate) fn finish(&mut self, lane: &LaneId, row: Option<&Row>) -> Option<Row> {
        let row = self.release(lane, row)?;
        Some(Row {
            finished: true,
            ..row
        })
    }

    /// The lanes whose lease ran out, while the table can't be reached: they are no longer ours, whatever it says.
    #[cfg(any(feature = "local", feature = "kinesis"))]
    pub(crate) fn lapse(&mut self, now: Moment, is_alive: impl Fn(&LaneId) -> bool) -> Vec<LaneId> {
        let lapsed = self.held.extract_if(.., |_, held| now.is_past(held.lapses));
        let lapsed: Vec<LaneId> = lapsed.map(|(lane, _)| lane).collect();
        self.get_stuck(&lapsed, is_alive);
        lapsed
    }

    fn get_stuck(&mut self, lost: &[LaneId], is_alive: impl Fn(&LaneId) -> bool) {
        let still = lost.iter().filter(|lane| !is_alive(lane));
        self.stuck.extend(still.cloned());
    }

    /// Everything that is still held, as freed rows: the member leaves.
    pub(crate) fn leave(&mut self, rows: &BTreeMap<LaneId, Row>) -> Vec<(LaneId, Row)> {
        let lanes: Vec<LaneId> = self.held.keys().cloned().collect();
        lanes
            .into_iter()
            .filter_map(|lane| {
                let row = self.release(&lane, rows.get(&lane))?;
                Some((lane, row))
            })
            .collect()
    }

    fn owns(&self, row: &Row, held: &Held) -> bool {
        row.owner.as_deref() == Some(&*self.me) && row.epoch == held.epoch
    }

    /// Looks at the group and does this member's part. `is_alive` says for which lanes work went on within the lease,
    /// lost ones included.
    /// With `may_claim` false nothing new is taken: nobody waits for events, perhaps because the process shuts down.
    pub(crate) fn step(
        &mut self,
        now: Moment,
        view: &View,
        may_claim: bool,
        is_alive: impl Fn(&LaneId) -> bool,
    ) -> Step {
        let mut step = Step::default();
        // The table as this step leaves it.
        let mut rows = view.rows.clone();
        self.stuck.retain(|lane| !is_alive(lane));
        self.keep(now, view, &mut rows, &mut step, is_alive);

        let mut members = view.members.clone();
        for me in members.iter_mut().filter(|member| member.id == self.me) {
            me.stuck.clone_from(&self.stuck);
        }
        let shares = balance(&members, &self.claimable(now, view, &rows));
        self.give_notice(now, &shares, &mut step);

        let mut assigned = Vec::new();
        for share in shares
            .iter()
            .filter(|share| share.member == self.me && share.is_free)
        {
            if !may_claim {
                step.unclaimed = true;
                break;
            }
            let lapses = now.plus(TERM);
            let row = Row {
                incarnation: share.log.incarnation.clone(),
                owner: Some(self.me.clone()),
                epoch: rows.get(share.lane).map_or(0, |row| row.epoch) + 1,
                expires: lapses.wall,
                finished: false,
            };
            self.held.insert(
                share.lane.clone(),
                Held {
                    incarnation: row.incarnation.clone(),
                    epoch: row.epoch,
                    lapses,
                    revoked: None,
                    gone: false,
                },
            );
            assigned.push(Assigned {
                lane: share.lane.clone(),
                cluster: view.cluster.clone(),
                incarnation: row.incarnation.clone(),
            });
            step.writes.push((share.lane.clone(), row));
        }
        if !assigned.is_empty() {
            self.said_joined = false;
            step.events.push(Event::Assigned(assigned));
        } else if self.held.is_empty() && !self.said_joined && !step.unclaimed {
            self.said_joined = true;
            step.events.push(Event::Joined);
        }
        step
    }

    /// Renews what is held; lets go of what was lost, ran out, was not released in time or is another log now.
    fn keep(
        &mut self,
        now: Moment,
        view: &View,
        rows: &mut BTreeMap<LaneId, Row>,
        step: &mut Step,
        is_alive: impl Fn(&LaneId) -> bool,
    ) {
        let mut lost = Vec::new();
        let mut gone = Vec::new();
        let me = &self.me;
        self.held.retain(|lane, held| {
            let ours = rows
                .get(lane)
                .is_some_and(|row| row.owner.as_deref() == Some(me) && row.epoch == held.epoch);
            let listed = view.lanes.get(lane);
            let is_another = listed.is_some_and(|listed| listed.incarnation != held.incarnation);
            let is_late = held.revoked.is_some_and(|deadline| now.up >= deadline);
            if !ours || now.is_past(held.lapses) || is_another || is_late {
                if ours && let Some(row) = rows.get_mut(lane) {
                    *row = free(row);
                    step.writes.push((lane.clone(), row.clone()));
                }
                lost.push(lane.clone());
                return false;
            }
            if !std::mem::replace(&mut held.gone, listed.is_none()) && held.gone {
                gone.push(lane.clone());
            }
            let renewed = now.plus(TERM);
            let is_due = held.lapses.up.saturating_sub(now.up) <= TERM * 2 / 3;
            if is_due
                && is_alive(lane)
                && let Some(row) = rows.get_mut(lane)
            {
                row.expires = renewed.wall;
                held.lapses = renewed;
                step.writes.push((lane.clone(), row.clone()));
            }
            true
        });
        if !lost.is_empty() {
            self.get_stuck(&lost, is_alive);
            step.events.push(Event::Lost(lost));
        }
        step.events.extend(gone.into_iter().map(|lane| {
            let gap = Gap {
                kind: GapKind::Deleted,
                first: None,
                last: None,
                missing: None,
            };
            Event::Incident(lane, gap)
        }));
    }

    fn give_notice(&mut self, now: Moment, shares: &[Share<'_>], step: &mut Step) {
        let mut lanes = Vec::new();
        for share in shares.iter().filter(|share| share.member != self.me) {
            if let Some(held) = self.held.get_mut(share.lane)
                && held.revoked.is_none()
            {
                held.revoked = Some(now.up + DRAIN);
                lanes.push(share.lane.clone());
            }
        }
        if !lanes.is_empty() {
            step.events.push(Event::Revoking {
                lanes,
                deadline: Instant::now() + DRAIN,
            });
        }
    }

    /// The lanes that are not finished and whose parents are. An owner that is dead or late is none.
    fn claimable<'a>(
        &self,
        now: Moment,
        view: &'a View,
        rows: &'a BTreeMap<LaneId, Row>,
    ) -> Vec<Claimable<'a>> {
        // A row of ours that we know nothing of was written by a commit that seemed to fail.
        let is_living = |lane: &LaneId, owner: &str| match owner == self.me {
            true => self.held.contains_key(lane),
            false => view.members.iter().any(|member| member.id == owner),
        };
        let mut lanes = Vec::new();
        for (lane, log) in &view.lanes {
            let row = rows
                .get(lane)
                .filter(|row| row.incarnation == log.incarnation);
            let waits = log.parents.iter().any(|parent| {
                // One of the same name in a stream that was deleted meanwhile is another one.
                let is_finished =
                    |log: &LogLane, row: &Row| row.finished && row.incarnation == log.incarnation;
                view.lanes
                    .get(parent)
                    .is_some_and(|log| !rows.get(parent).is_some_and(|row| is_finished(log, row)))
            });
            if waits || row.is_some_and(|row| row.finished) {
                continue;
            }
            let owner = row
                .filter(|row| row.expires > now.wall)
                .and_then(|row| row.owner.as_deref())
                .filter(|owner| is_living(lane, owner));
            lanes.push(Claimable { lane, log, owner });
        }
        lanes
    }
}

fn free(row: &Row) -> Row {
    Row {
        owner: None,
        ..row.clone()
    }
}

/// A lane that somebody should read, and its owner now.
struct Claimable<'a> {
    lane: &'a LaneId,
    log: &'a LogLane,
    owner: Option<&'a str>,
}

/// Who should have a lane.
struct Share<'a> {
    lane: &'a LaneId,
    log: &'a LogLane,
    member: &'a str,
    is_free: bool,
}

/// Shares lanes out evenly, moving as few as possible. Everybody who looks at the same group gets the same answer.
fn balance<'a>(members: &'a [Peer], lanes: &[Claimable<'a>]) -> Vec<Share<'a>> {
    let mut members: Vec<&Peer> = members.iter().collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let mut counts = vec![0_usize; members.len()];
    let index_of = |id: &str| members.iter().position(|member| member.id == id);
    let reads = |member: usize, lane: &LaneId| members[member].can_read(lane);
    let least = |counts: &[usize], lane: &LaneId| {
        (0..members.len())
            .filter(|member| reads(*member, lane))
            .min_by_key(|member| counts[*member])
    };

    let mut owners: Vec<Option<usize>> = lanes
        .iter()
        .map(|claimable| {
            let owner = index_of(claimable.owner?)?;
            reads(owner, claimable.lane).then_some(owner)
        })
        .collect();
    for owner in owners.iter().flatten() {
        counts[*owner] += 1;
    }
    for (owner, claimable) in owners.iter_mut().zip(lanes) {
        if owner.is_none() {
            *owner = least(&counts, claimable.lane);
            if let Some(owner) = *owner {
                counts[owner] += 1;
            }
        }
    }
    // From whoever has most to whoever has least, until nobody has two more than another. Each move evens the counts
    // out, so this ends.
    loop {
        let candidate = lanes
            .iter()
            .zip(&owners)
            .enumerate()
            .filter_map(|(index, (claimable, owner))| {
                let from = (*owner)?;
                let to = least(&counts, claimable.lane)?;
                (counts[from] >= counts[to] + 2).then_some((counts[from], index, from, to))
            })
            .max();
        let Some((_, index, from, to)) = candidate else {
            break;
        };
        owners[index] = Some(to);
        counts[from] -= 1;
        counts[to] += 1;
    }

    lanes
        .iter()
        .zip(&owners)
        .filter_map(|(claimable, owner)| {
            Some(Share {
                lane: claimable.lane,
                log: claimable.log,
                member: &members[(*owner)?].id,
                is_free: claimable.owner.is_none(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
