//! A membership in a group whose leases lie in SQLite: the source of the local log and of Kinesis.
//!
//! A task of its own renews the leases, so that they do not depend on who waits for events. It takes new lanes only
//! while somebody does: a consumer that shuts down and no longer listens is given nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::table::{self, HEARTBEAT, Locks};
use super::{LogLane, Membership, Moment, Peer, Row, TERM, View};
use crate::clock::Clock;
use crate::db::Shared;
use crate::offsets::fenced;
use crate::record::{Cursor, LaneId, Start};
use crate::source::{Committed, Event, Join, Opened, Source};
use crate::{Error, Result};

/// Between two looks at the group when nothing is heard of it: bounds how long a dead member's lanes lie idle.
const TICK: Duration = Duration::from_millis(500);

/// Between two looks when much is heard of it: each position that is saved is news.
const BREATH: Duration = Duration::from_millis(25);

/// What a membership asks of its log.
pub(crate) trait Lanes: Send + Sync + 'static {
    /// Identifies the log itself.
    fn cluster(&self) -> BoxFuture<'_, Result<String>>;

    /// The lanes of these topics, perhaps of more. One that is missing is gone.
    fn listing(
        &self,
        group: &str,
        topics: BTreeSet<String>,
    ) -> BoxFuture<'_, Result<BTreeMap<LaneId, LogLane>>>;

    /// Opens a lane that this member holds, as the incarnation that it was assigned with.
    fn open(
        self: Arc<Self>,
        group: &str,
        lane: &LaneId,
        cursor: &Cursor,
        incarnation: &str,
    ) -> BoxFuture<'static, Result<Opened>>;

    /// As [`Source::resolve`].
    fn resolve(
        self: Arc<Self>,
        group: &str,
        lane: &LaneId,
        start: &Start,
    ) -> BoxFuture<'static, Result<Cursor>>;

    /// A lane is about to be finished: returns once [`Lanes::listing`] has the lanes that follow it, if there are any.
    fn finishing(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        let _ = lane;
        Box::pin(async { Ok(()) })
    }

    /// The group finished a lane of this topic, and [`Lanes::listing`] has none that follows it: somebody else knows more.
    fn outdated(&self, topic: &str) {
        let _ = topic;
    }

    /// This member leaves the group in good order: writes what is remembered of it.
    fn leaving(&self, group: &str) -> BoxFuture<'_, Result<()>> {
        let _ = group;
        Box::pin(async { Ok(()) })
    }

    /// Changes when it is worth a look at the group before the next one is due.
    fn news(&self) -> &watch::Sender<()>;
}

pub(crate) struct Member<L: Lanes> {
    inner: Arc<Inner<L>>,
    heart: JoinHandle<()>,
}

/// What a membership needs of its log.
pub(crate) struct Parts<L> {
    pub groups: Arc<Shared>,
    pub locks: Arc<Locks>,
    pub lanes: Arc<L>,
    pub clock: Clock,
}

impl<L> Clone for Parts<L> {
    fn clone(&self) -> Self {
        Self {
            groups: self.groups.clone(),
            locks: self.locks.clone(),
            lanes: self.lanes.clone(),
            clock: self.clock.clone(),
        }
    }
}

struct Inner<L> {
    parts: Parts<L>,
    group: String,
    peer: Peer,
    /// What the members of the group read, as this one saw them last: all of them share all lanes out.
    topics: Mutex<BTreeSet<String>>,
    membership: tokio::sync::Mutex<Membership>,
    /// When work on a lane that is ours, or was, was last reported.
    alive: Mutex<BTreeMap<LaneId, Duration>>,
    events: Mutex<VecDeque<Result<Event>>>,
    happened: Notify,
    /// Calls of `event` that wait now.
    listeners: AtomicUsize,
    /// Lanes were left because nobody listened.
    unclaimed: AtomicBool,
    /// Look at the group now.
    poke: Notify,
    /// The number of the look that was last begun.
    looks: AtomicU64,
    /// The number of the one that last went well.
    looked: watch::Sender<u64>,
    /// Held for as long as the member lives.
    lock: Mutex<Option<fs::File>>,
}

impl<L: Lanes> Member<L> {
    pub(crate) fn join(parts: Parts<L>, join: Join) -> Result<Self> {
        let id = uuid::Uuid::new_v4().to_string();
        let lock = parts.locks.lock(&id)?;
        let topics: BTreeSet<String> = join.topics.into_iter().collect();
        let inner = Arc::new(Inner {
            parts,
            group: join.group,
            membership: tokio::sync::Mutex::new(Membership::new(id.clone())),
            topics: Mutex::new(topics.clone()),
            peer: Peer {
                id,
                topics,
                stuck: BTreeSet::new(),
            },
            alive: Mutex::default(),
            events: Mutex::default(),
            happened: Notify::new(),
            listeners: AtomicUsize::new(0),
            unclaimed: AtomicBool::new(false),
            poke: Notify::new(),
            looks: AtomicU64::new(0),
            looked: watch::Sender::new(0),
            lock: Mutex::new(Some(lock)),
        });
        let heart = tokio::spawn(inner.clone().beat());
        Ok(Self { inner, heart })
    }
}

impl<L: Lanes> Inner<L> {
    fn now(&self) -> Moment {
        Moment {
            wall: self.parts.clock.now(),
            up: self.parts.clock.uptime(),
        }
    }

    fn topics(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.topics
            .lock()
            .expect("nothing panics while it holds the topics")
    }

    fn lock(&self) -> MutexGuard<'_, Option<fs::File>> {
        self.lock
            .lock()
            .expect("nothing panics while it holds the lock")
    }

    /// Takes the lock again where its file was deleted, for without it others count this member as dead.
    fn relock(&self) -> Result<()> {
        let mut lock = self.lock();
        if lock.is_some() && !self.parts.locks.is_there(&self.peer.id) {
            *lock = Some(self.parts.locks.lock(&self.peer.id)?);
        }
        Ok(())
    }

    fn alive(&self) -> MutexGuard<'_, BTreeMap<LaneId, Duration>> {
        self.alive
            .lock()
            .expect("nothing panics while it holds the signs of life")
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Result<Event>>> {
        self.events
            .lock()
            .expect("nothing panics while it holds the events")
    }

    /// The lanes that work went on in within a term.
    fn living(&self, now: Moment) -> BTreeSet<LaneId> {
        self.alive()
            .iter()
            .filter(|(_, at)| now.up.saturating_sub(**at) < TERM)
            .map(|(lane, _)| lane.clone())
            .collect()
    }

    /// Looks at the group again and again, until the membership ends.
    async fn beat(self: Arc<Self>) {
        let mut news = self.parts.lanes.news().subscribe();
        let mut registered = None;
        let mut is_reachable = true;
        loop {
            news.borrow_and_update();
            let number = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
            match self.look(&mut registered).await {
                Ok(()) => {
                    is_reachable = true;
                    self.looked.send_replace(number);
                }
                Err(error) => {
                    self.could_not_look(error, std::mem::replace(&mut is_reachable, false))
                        .await;
                }
            }
            tokio::select! {
                () = self.poke.notified() => {}
                _ = news.changed() => tokio::time::sleep(BREATH).await,
                () = self.parts.clock.sleep(TICK) => {}
            }
        }
    }

    /// Does this member's part of the group's work, in one transaction.
    async fn look(&self, registered: &mut Option<Duration>) -> Result<()> {
        let topics = self.topics().clone();
        let lanes = self.parts.lanes.listing(&self.group, topics).await?;
        let cluster = self.parts.lanes.cluster().await?;
        self.relock()?;
        let mut membership = self.membership.lock().await;
        let now = self.now();
        let may_claim = self.listeners.load(Ordering::SeqCst) > 0;
        let alive = self.living(now);
        let is_due = registered.is_none_or(|at| now.up.saturating_sub(at) >= HEARTBEAT);

        let (group, peer, locks) = (
            self.group.clone(),
            self.peer.clone(),
            self.parts.locks.clone(),
        );
        let mut next = membership.clone();
        let (next, step, topics, was_registered, outdated) = self
            .parts
            .groups
            .write(move |table| {
                let members = table::members(table, &group)?;
                let others = members.iter().map(|member| &member.peer.id);
                for dead in locks.dead(others.filter(|id| **id != peer.id)) {
                    table::unregister(table, &group, &dead)?;
                    locks.unlock(&dead);
                }
                let view = table::view(table, &group, &peer, now.wall, cluster, &lanes)?;
                let step = next.step(now, &view, may_claim, |lane| alive.contains(lane));
                table::write_rows(table, &group, &step.writes)?;
                let me = members.iter().find(|member| member.peer.id == peer.id);
                let is_news = me.is_none_or(|me| me.peer.stuck != *next.stuck());
                if is_due || is_news {
                    let me = Peer {
                        stuck: next.stuck().clone(),
                        ..peer
                    };
                    table::register(table, &group, &me, now.wall)?;
                }
                let outdated = outdated(&view);
                let topics = view.members.into_iter().flat_map(|member| member.topics);
                let topics: BTreeSet<String> = topics.collect();
                Ok((next, step, topics, is_due || is_news, outdated))
            })
            .await?;
        *membership = next;
        drop(membership);

        for topic in outdated {
            self.parts.lanes.outdated(&topic);
        }
        *self.topics() = topics;
        if was_registered {
            *registered = Some(now.up);
        }
        self.unclaimed.store(step.unclaimed, Ordering::SeqCst);
        // Somebody began to listen while lanes were left.
        if step.unclaimed && self.listeners.load(Ordering::SeqCst) > 0 {
            self.poke.notify_one();
        }
        self.say(step.events);
        Ok(())
    }

    fn say(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let now = self.now().up;
        for event in &events {
            // Of a lane that is lost a sign of life is waited for too: until then it is not taken again.
            if let Event::Assigned(lanes) = event {
                let lanes = lanes.iter().map(|assigned| (assigned.lane.clone(), now));
                self.alive().extend(lanes);
            }
        }
        self.events().extend(events.into_iter().map(Ok));
        self.happened.notify_one();
    }

    async fn could_not_look(&self, error: Error, is_news: bool) {
        let now = self.now();
        let alive = self.living(now);
        let mut membership = self.membership.lock().await;
        let lapsed = membership.lapse(now, |lane| alive.contains(lane));
        drop(membership);
        if !lapsed.is_empty() {
            self.say(vec![Event::Lost(lapsed)]);
        }
        if !is_news {
            return;
        }
        if error.is_retriable() {
            tracing::warn!(group = self.group, %error, "the group can't be looked at; trying again");
        } else {
            self.events()
                .push_back(Err(error.context(format!("group {}", self.group))));
            self.happened.notify_one();
        }
    }

    async fn give_up(&self, lane: &LaneId, is_finished: bool) -> Result<()> {
        let mut membership = self.membership.lock().await;
        let (group, lane_id) = (self.group.clone(), lane.clone());
        let mut next = membership.clone();
        let (next, was_ours) = self
            .parts
            .groups
            .write(move |table| {
                let rows = table::rows(table, &group)?;
                let row = match is_finished {
                    true => next.finish(&lane_id, rows.get(&lane_id)),
                    false => next.release(&lane_id, rows.get(&lane_id)),
                };
                let was_ours = row.is_some();
                if let Some(row) = row {
                    table::write_rows(table, &group, &[(lane_id, row)])?;
                }
                Ok((next, was_ours))
            })
            .await?;
        *membership = next;
        drop(membership);
        self.alive().remove(lane);
        // Whoever waits for the lane hears of it from the file; this process at once.
        self.parts.lanes.news().send_replace(());
        match is_finished && !was_ours {
            true => Err(fenced([lane])),
            false => Ok(()),
        }
    }

    async fn save(&self, cursors: Vec<(LaneId, Cursor)>) -> Result<()> {
        let membership = self.membership.lock().await;
        let now = self.now();
        let mut refused = Vec::new();
        let mut writes = Vec::new();
        for (lane, cursor) in cursors {
            match membership.fence(&lane, now) {
                Some((epoch, incarnation)) => {
                    writes.push((lane, cursor, epoch, incarnation.to_owned()));
                }
                None => refused.push(lane),
            }
        }
        drop(membership);
        let (group, me) = (self.group.clone(), self.peer.id.clone());
        let lost = self
            .parts
            .groups
            .write(move |table| {
                let mut lost = Vec::new();
                for (lane, cursor, epoch, incarnation) in writes {
                    if table::is_owner(table, &group, &lane, &me, epoch)? {
                        table::save(table, &group, &lane, &incarnation, &cursor)?;
                    } else {
                        lost.push(lane);
                    }
                }
                Ok(lost)
            })
            .await?;
        refused.extend(lost);
        match refused.is_empty() {
            true => Ok(()),
            false => Err(fenced(&refused)),
        }
    }
}

/// Topics with a lane that the group finished and that none follows: whoever finished it knew of those that do, and may
/// have died with that.
fn outdated(view: &View) -> BTreeSet<String> {
    let parents: BTreeSet<&LaneId> = view.lanes.values().flat_map(|log| &log.parents).collect();
    let is_listed = |(lane, row): &(&LaneId, &Row)| {
        let listed = view.lanes.get(*lane);
        listed.is_some_and(|log| log.incarnation == row.incarnation)
    };
    let finished = view.rows.iter().filter(|(_, row)| row.finished);
    finished
        .filter(is_listed)
        .filter(|(lane, _)| !parents.contains(lane))
        .map(|(lane, _)| lane.topic().to_owned())
        .collect()
}

/// Counts a call of `event` that waits, for as long as it does.
struct Listening<'s>(&'s AtomicUsize);

impl<'s> Listening<'s> {
    fn begin(listeners: &'s AtomicUsize) -> Self {
        listeners.fetch_add(1, Ordering::SeqCst);
        Self(listeners)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<L: Lanes> Source for Member<L> {
    fn event(&self) -> BoxFuture<'_, Result<Event>> {
        let inner = &self.inner;
        Box::pin(async move {
            let _listening = Listening::begin(&inner.listeners);
            if inner.unclaimed.swap(false, Ordering::SeqCst) {
                inner.poke.notify_one();
            }
            loop {
                // A permit is kept where nobody waits, so that no event falls between look and wait.
                if let Some(event) = inner.events().pop_front() {
                    return event;
                }
                inner.happened.notified().await;
            }
        })
    }

    fn open(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        let (lane, cursor) = (lane.clone(), cursor.clone());
        Box::pin(async move {
            let now = self.inner.now();
            let incarnation = {
                let membership = self.inner.membership.lock().await;
                let fence = membership.fence(&lane, now);
                fence.map(|(_, incarnation)| incarnation.to_owned())
            };
            match incarnation {
                None => Ok(Opened::NotOurs),
                Some(incarnation) => {
                    let lanes = self.inner.parts.lanes.clone();
                    lanes
                        .open(&self.inner.group, &lane, &cursor, &incarnation)
                        .await
                }
            }
        })
    }

    fn committed(&self, lane: &LaneId) -> BoxFuture<'_, Result<Option<Committed>>> {
        let lane = lane.clone();
        let group = self.inner.group.clone();
        Box::pin(async move {
            let saved = self
                .inner
                .parts
                .groups
                .write(move |table| table::saved(table, &group))
                .await?;
            Ok(saved
                .into_iter()
                .find(|(saved, _)| *saved == lane)
                .map(|(_, committed)| committed))
        })
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let lanes = self.inner.parts.lanes.clone();
        lanes.resolve(&self.inner.group, lane, start)
    }

    fn save(&self, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.inner.save(cursors))
    }

    fn release(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        let lane = lane.clone();
        Box::pin(async move { self.inner.give_up(&lane, false).await })
    }

    fn finish(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        let lane = lane.clone();
        Box::pin(async move {
            let inner = &self.inner;
            inner.parts.lanes.finishing(&lane).await?;
            let mut looked = inner.looked.subscribe();
            inner.give_up(&lane, true).await?;
            // Where lanes that follow this one fall to us, that is said before this returns, so that a consumer that has
            // no other lane does not look idle in between.
            let last = inner.looks.load(Ordering::SeqCst);
            // The sender lives as long as the member.
            let _ = looked.wait_for(|look| *look > last).await;
            Ok(())
        })
    }

    fn alive(&self, lane: &LaneId) {
        let now = self.inner.now().up;
        let last = self.inner.alive().insert(lane.clone(), now);
        // After such a silence the lane may have been lost, and may be had again.
        if last.is_some_and(|last| now.saturating_sub(last) >= TERM) {
            self.inner.poke.notify_one();
        }
    }

    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            self.heart.abort();
            let inner = self.inner.clone();
            let remembered = inner.parts.lanes.leaving(&inner.group).await;
            let (group, me) = (inner.group.clone(), inner.peer.id.clone());
            let left = inner
                .parts
                .groups
                .write(move |table| Ok(table::unregister(table, &group, &me)?))
                .await;
            inner.parts.locks.unlock(&inner.peer.id);
            inner.parts.lanes.news().send_replace(());
            left.and(remembered)
        })
    }
}

impl<L: Lanes> Drop for Member<L> {
    /// Without its lock others see at once that this member is dead.
    fn drop(&mut self) {
        self.heart.abort();
        self.inner.lock().take();
        self.inner.parts.lanes.news().send_replace(());
    }
}
