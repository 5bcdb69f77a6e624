//! How a group reads streams: the shards it shares out, where it begins in them, and what it remembers of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::{Api, Class, Failed};
use super::leases::{self, Seen};
use super::reader::{Ended, ShardReader, newest};
use super::shards::{Listing, Shards, lanes};
use crate::clock::Clock;
use crate::db::Shared;
use crate::lease::LogLane;
use crate::lease::member::Lanes;
use crate::offsets::no_such_lane;
use crate::record::{Cursor, LaneId, Start};
use crate::source::{Gap, GapKind, Opened};
use crate::{Error, Result};

/// The shortest retention that a stream can have.
const SHORTEST_RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// Between two writes of what was seen: well below any retention.
const SEEN_TICK: Duration = Duration::from_secs(60);

/// The least time between two GetRecords of a shard: four a second, of the five that all its readers share.
const SPACING: Duration = Duration::from_millis(250);

/// Everything that readers of this process share.
pub(super) struct Streams {
    pub api: Arc<Api>,
    pub shards: Arc<Shards>,
    pub clock: Clock,
    /// The leases file, where one was named.
    groups: Option<Arc<Shared>>,
    /// When each shard may be read again.
    pace: Mutex<HashMap<LaneId, Instant>>,
    known: Mutex<HashMap<String, Group>>,
}

/// What this process knows of a group.
#[derive(Default)]
struct Group {
    /// As the table was last told of them.
    told: HashMap<String, Listing>,
    /// Unfinished lanes of streams that no longer list them.
    vanished: BTreeMap<LaneId, LogLane>,
    /// What was seen and is not written yet, and when that was last done.
    seen: HashMap<LaneId, Seen>,
    seen_written: Option<Instant>,
    /// Lanes that had a gap: their next start is what a policy says, not where a lane begins.
    gapped: HashSet<LaneId>,
}

impl Streams {
    pub(super) fn new(api: Arc<Api>, clock: Clock, groups: Option<Arc<Shared>>) -> Self {
        Self {
            shards: Arc::new(Shards::new(api.clone())),
            api,
            clock,
            groups,
            pace: Mutex::default(),
            known: Mutex::default(),
        }
    }

    fn pace(&self) -> MutexGuard<'_, HashMap<LaneId, Instant>> {
        self.pace
            .lock()
            .expect("nothing panics while it holds the pace")
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.known
            .lock()
            .expect("nothing panics while it holds the groups")
    }

    /// Identifies the log. Not the endpoint: a stream is the same through another one. Another account's shards begin
    /// elsewhere.
    pub(super) fn cluster_id(&self) -> String {
        format!("kinesis/{}", self.api.region)
    }

    /// When the shard may be read next.
    pub(super) fn due(&self, lane: &LaneId) -> Instant {
        let due = self.pace().get(lane).copied();
        due.unwrap_or_else(Instant::now)
    }

    /// Waits until the shard may be read, and takes the turn. Dropped while it waits it takes none.
    pub(super) async fn turn(&self, lane: &LaneId) {
        loop {
            {
                let mut pace = self.pace();
                let now = Instant::now();
                let due = pace.entry(lane.clone()).or_insert(now);
                if *due <= now {
                    *due = now + SPACING;
                    return;
                }
            }
            tokio::time::sleep_until(self.due(lane)).await;
        }
    }

    /// Keeps everybody off the shard for that long.
    pub(super) fn rest(&self, lane: &LaneId, rest: Duration) {
        let until = Instant::now() + rest;
        let mut pace = self.pace();
        let due = pace.entry(lane.clone()).or_insert(until);
        *due = (*due).max(until);
    }

    /// How long the stream keeps records.
    pub(super) async fn retention(&self, stream: &str) -> Result<Duration, Failed> {
        let described = self
            .api
            .client
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await
            .map_err(|error| self.api.explain("DescribeStreamSummary", stream, &error))?;
        let hours = described
            .stream_description_summary
            .map_or(24, |summary| summary.retention_period_hours);
        Ok(Duration::from_secs(u64::try_from(hours).unwrap_or(24) * 3_600).max(SHORTEST_RETENTION))
    }

    /// The group had read everything up to `cursor`, and nothing lay behind it.
    pub(super) fn saw(&self, group: &str, lane: &LaneId, seen: Seen) {
        let mut known = self.known();
        let known = known.entry(group.to_owned()).or_default();
        known.seen.insert(lane.clone(), seen);
    }

    /// Whether retention may have removed records behind `cursor`: unless the group saw, less than a retention ago, that
    /// there was nothing behind it.
    pub(super) async fn may_be_trimmed(
        &self,
        group: Option<&str>,
        lane: &LaneId,
        incarnation: &str,
        cursor: &Cursor,
    ) -> Result<bool> {
        let (Some(group), Some(groups)) = (group, &self.groups) else {
            return Ok(true);
        };
        let fresh = self
            .known()
            .get(group)
            .and_then(|known| known.seen.get(lane).cloned());
        let seen = match fresh {
            Some(seen) => Some(seen),
            None => {
                let (group, lane) = (group.to_owned(), lane.clone());
                groups
                    .write(move |table| Ok(leases::seen(table, &group, &lane)?))
                    .await?
            }
        };
        let Some(seen) =
            seen.filter(|seen| seen.incarnation == incarnation && seen.cursor == *cursor)
        else {
            return Ok(true);
        };
        let retention = match self.age(seen.at) < SHORTEST_RETENTION {
            true => return Ok(false),
            false => self.retention(lane.topic()).await?,
        };
        Ok(self.age(seen.at) >= retention)
    }

    /// How long ago that was.
    pub(super) fn age(&self, time: Timestamp) -> Duration {
        Duration::try_from(self.clock.now().duration_since(time)).unwrap_or_default()
    }

    /// Opens a shard; `incarnation` is the one that it was assigned with, if it was.
    pub(super) async fn open_for(
        self: Arc<Self>,
        group: Option<String>,
        lane: LaneId,
        cursor: Cursor,
        incarnation: Option<String>,
    ) -> Result<Opened> {
        let listing = match self.shards.fresh(lane.topic()).await {
            Ok(Some(listing)) => listing,
            Ok(None) => return Ok(self.outside(group.as_deref(), &lane, GapKind::Deleted)),
            Err(failed) => return self.refused(group.as_deref(), &lane, failed),
        };
        let Some(shard) = listing.iter().find(|shard| shard.id == lane.shard()) else {
            // A shard goes when its last record does.
            return Ok(match cursor {
                Cursor::Closed => Opened::Reader(Box::new(Ended)),
                _ => self.outside(group.as_deref(), &lane, GapKind::Expired),
            });
        };
        if incarnation.is_some_and(|expected| expected != shard.incarnation) {
            return Ok(self.outside(group.as_deref(), &lane, GapKind::Recreated));
        }
        match &cursor {
            Cursor::Closed if shard.is_closed => return Ok(Opened::Reader(Box::new(Ended))),
            // A shard that goes on was never settled to its end: the position is another one's.
            Cursor::Closed => {
                return Ok(self.outside(group.as_deref(), &lane, GapKind::Recreated));
            }
            Cursor::At(time) if self.age(*time) >= SHORTEST_RETENTION => {
                let retention = self.retention(lane.topic()).await?;
                if self.age(*time) >= retention
                    && self
                        .may_be_trimmed(group.as_deref(), &lane, &shard.incarnation, &cursor)
                        .await?
                {
                    return Ok(self.outside(group.as_deref(), &lane, GapKind::Expired));
                }
            }
            _ => {}
        }
        let mut reader = ShardReader::new(
            self.clone(),
            group.clone(),
            lane.clone(),
            shard.incarnation.clone(),
            cursor,
        );
        // Now, so that a position that is none of this shard is told before anything is read.
        match reader.locate().await {
            Ok(None) => Ok(Opened::Reader(Box::new(reader))),
            Ok(Some(gap)) => Ok(self.outside(group.as_deref(), &lane, gap)),
            Err(failed) => self.refused(group.as_deref(), &lane, failed),
        }
    }

    /// A failure that the contract has a word for.
    fn refused(&self, group: Option<&str>, lane: &LaneId, failed: Failed) -> Result<Opened> {
        match failed.class {
            Class::Denied => {
                tracing::error!(%lane, error = %failed.error, "the shard may not be read");
                Ok(self.outside(group, lane, GapKind::Denied))
            }
            _ => Err(failed.error),
        }
    }

    fn outside(&self, group: Option<&str>, lane: &LaneId, kind: GapKind) -> Opened {
        Opened::OutOfRange(self.gap(group, lane, kind))
    }

    /// A gap, which changes what the lane's next start means.
    pub(super) fn gap(&self, group: Option<&str>, lane: &LaneId, kind: GapKind) -> Gap {
        if let Some(group) = group {
            let mut known = self.known();
            let known = known.entry(group.to_owned()).or_default();
            known.gapped.insert(lane.clone());
        }
        self.shards.refresh(lane.topic());
        Gap {
            kind,
            first: None,
            last: None,
            missing: None,
        }
    }

    /// Turns a start into a cursor.
    pub(super) async fn resolve_for(
        self: Arc<Self>,
        group: Option<String>,
        lane: LaneId,
        start: Start,
    ) -> Result<Cursor> {
        let listing = self.shards.recent(lane.topic()).await?;
        let listing = listing.ok_or_else(|| no_such_lane(&lane))?;
        let Some(shard) = listing.iter().find(|shard| shard.id == lane.shard()) else {
            // Retention took the shard with everything in it: there is nothing to read, and its children wait for it.
            return match group.is_some() {
                true => Ok(Cursor::Closed),
                false => Err(no_such_lane(&lane)),
            };
        };
        match start {
            Start::Earliest => Ok(Cursor::Start),
            Start::After(position) => Ok(Cursor::After(position)),
            Start::At(time) if self.age(time) < SHORTEST_RETENTION => Ok(Cursor::At(time)),
            Start::At(time) => match self.age(time) < self.retention(lane.topic()).await? {
                true => Ok(Cursor::At(time)),
                false => Ok(Cursor::Start),
            },
            Start::Latest => {
                if let Some(group) = &group
                    && !self.was_there(group, &lane, &shard.incarnation).await?
                {
                    return Ok(Cursor::Start);
                }
                newest(&self, &lane, &shard.incarnation).await
            }
        }
    }

    /// Whether the shard was there when the group saw the stream first, or what it had of it is gone.
    async fn was_there(&self, group: &str, lane: &LaneId, incarnation: &str) -> Result<bool> {
        let is_gapped = self
            .known()
            .get_mut(group)
            .is_some_and(|known| known.gapped.remove(lane));
        let Some(groups) = self.groups.as_ref().filter(|_| !is_gapped) else {
            return Ok(true);
        };
        let (group, topic) = (group.to_owned(), lane.topic().to_owned());
        let began = groups
            .write(move |table| Ok(leases::beginnings(table, &group, &topic)?))
            .await?;
        Ok(began
            .get(lane.shard())
            .is_some_and(|began| began == incarnation))
    }

    /// Tells the group's table which shards there are and what was seen, and asks it which it has that are gone.
    async fn tell(&self, group: &str, listings: &BTreeMap<String, Listing>) -> Result<()> {
        let Some(groups) = &self.groups else {
            return Ok(());
        };
        let seen = {
            let mut known = self.known();
            let known = known.entry(group.to_owned()).or_default();
            let is_told = listings.iter().all(|(topic, listing)| {
                known
                    .told
                    .get(topic)
                    .is_some_and(|told| Arc::ptr_eq(told, listing))
            });
            let is_due = known
                .seen_written
                .is_none_or(|at| at.elapsed() >= SEEN_TICK);
            if is_told && (!is_due || known.seen.is_empty()) {
                return Ok(());
            }
            known.seen_written = Some(Instant::now());
            known.seen.clone()
        };
        let (name, now) = (group.to_owned(), listings.clone());
        let vanished = groups
            .write(move |table| {
                let mut vanished = BTreeMap::new();
                for (topic, listing) in now.iter().filter(|(_, shards)| !shards.is_empty()) {
                    vanished.extend(leases::compare(table, &name, topic, listing)?);
                }
                for (lane, seen) in &seen {
                    leases::write_seen(table, &name, lane, seen)?;
                }
                Ok(vanished)
            })
            .await?;
        let mut known = self.known();
        let known = known.entry(group.to_owned()).or_default();
        known.vanished = vanished;
        known.told = listings
            .iter()
            .map(|(topic, listing)| (topic.clone(), listing.clone()))
            .collect();
        Ok(())
    }
}

impl Lanes for Streams {
    fn cluster(&self) -> BoxFuture<'_, Result<String>> {
        let cluster = self.cluster_id();
        Box::pin(async move { Ok(cluster) })
    }

    fn listing(
        &self,
        group: &str,
        topics: BTreeSet<String>,
    ) -> BoxFuture<'_, Result<BTreeMap<LaneId, LogLane>>> {
        let group = group.to_owned();
        Box::pin(async move {
            let mut listings = BTreeMap::new();
            for topic in topics {
                match self.shards.recent(&topic).await {
                    Ok(Some(listing)) => {
                        listings.insert(topic, listing);
                    }
                    Ok(None) => {}
                    // Another member reads it; this one need not be able to.
                    Err(failed) if failed.class == Class::Denied => {
                        tracing::debug!(stream = topic, error = %failed.error, "not listed");
                    }
                    Err(failed) => return Err(failed.error),
                }
            }
            self.tell(&group, &listings).await?;
            let mut all: BTreeMap<LaneId, LogLane> = listings
                .iter()
                .flat_map(|(topic, listing)| lanes(topic, listing))
                .collect();
            if let Some(known) = self.known().get(&group) {
                for (lane, log) in &known.vanished {
                    all.entry(lane.clone()).or_insert_with(|| log.clone());
                }
            }
            Ok(all)
        })
    }

    fn open(
        self: Arc<Self>,
        group: &str,
        lane: &LaneId,
        cursor: &Cursor,
        incarnation: &str,
    ) -> BoxFuture<'static, Result<Opened>> {
        let (group, incarnation) = (group.to_owned(), incarnation.to_owned());
        let (lane, cursor) = (lane.clone(), cursor.clone());
        Box::pin(Streams::open_for(
            self,
            Some(group),
            lane,
            cursor,
            Some(incarnation),
        ))
    }

    fn resolve(
        self: Arc<Self>,
        group: &str,
        lane: &LaneId,
        start: &Start,
    ) -> BoxFuture<'static, Result<Cursor>> {
        let (group, lane, start) = (group.to_owned(), lane.clone(), start.clone());
        Box::pin(Streams::resolve_for(self, Some(group), lane, start))
    }

    fn finishing(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        let lane = lane.clone();
        Box::pin(async move {
            let has_children = |listing: &Listing| {
                let mut parents = listing.iter().flat_map(|shard| &shard.parents);
                parents.any(|parent| parent == lane.shard())
            };
            let known = self.shards.recent(lane.topic()).await;
            if matches!(&known, Ok(Some(listing)) if has_children(listing)) {
                return Ok(());
            }
            match self.shards.fresh(lane.topic()).await {
                // Whoever may no longer list the shards gets none, and the lane is settled all the same.
                Err(failed) if failed.error.is_retriable() => Err(failed.error),
                _ => Ok(()),
            }
        })
    }

    fn outdated(&self, topic: &str) {
        self.shards.outdated(topic);
    }

    fn leaving(&self, group: &str) -> BoxFuture<'_, Result<()>> {
        let group = group.to_owned();
        Box::pin(async move {
            let seen = self.known().remove(&group).unwrap_or_default().seen;
            let Some(groups) = self.groups.as_ref().filter(|_| !seen.is_empty()) else {
                return Ok(());
            };
            groups
                .write(move |table| {
                    for (lane, seen) in &seen {
                        leases::write_seen(table, &group, lane, seen)?;
                    }
                    Ok(())
                })
                .await
        })
    }

    fn news(&self) -> &watch::Sender<()> {
        &self.shards.news
    }
}

/// The leases file, for what needs one.
pub(super) fn need(groups: &Option<Arc<Shared>>) -> Result<&Arc<Shared>> {
    groups.as_ref().ok_or_else(|| {
        Error::permanent(
            "no leases file: name one (`leases`), which all processes of the group on this host share",
        )
    })
}
