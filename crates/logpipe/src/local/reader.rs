//! How the local log is read: what its topics hold, and the records of a lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, SqliteConnection};
use tokio::sync::watch;

use super::ends::{End, Ends};
use super::schema::Batch;
use crate::db::{File, Identity};
use crate::lease::LogLane;
use crate::lease::member::Lanes;
use crate::offsets::{Offsets, Place, no_such_lane};
use crate::record::{Cursor, LaneId, Start};
use crate::source::{Budget, Fetch, Fetched, Gap, GapKind, LaneExtent, LaneReader, Opened};
use crate::{Error, Result};

/// Connections that read. More of them do not read faster from one disk.
const READERS: u32 = 4;

/// Reading waits only while a log is being recovered after a crash.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to the file that the path names now.
pub(super) struct Readers {
    file: Arc<File>,
    pub ends: Arc<Ends>,
    open: Mutex<Option<(SqlitePool, Identity)>>,
}

/// A partition's row.
struct Partition {
    id: i64,
    incarnation: String,
    offsets: Offsets,
}

impl Readers {
    pub(super) fn new(file: Arc<File>, ends: Arc<Ends>) -> Self {
        Self {
            file,
            ends,
            open: Mutex::new(None),
        }
    }

    /// `None` where there is no file.
    fn pool(&self) -> Option<(SqlitePool, Identity)> {
        let current = self.file.identity()?;
        let mut open = self
            .open
            .lock()
            .expect("nothing panics while it holds the pool");
        if let Some((pool, opened)) = &*open
            && *opened == current
        {
            return Some((pool.clone(), current));
        }
        let options = self
            .file
            .options()
            .busy_timeout(PATIENCE)
            .pragma("query_only", "on");
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        *open = Some((pool.clone(), current));
        Some((pool, current))
    }

    fn explain(&self, error: sqlx::Error) -> Error {
        self.file.explain(error, "reading")
    }

    pub(super) async fn cluster(&self) -> Result<String> {
        let Some((pool, _)) = self.pool() else {
            return Ok(String::new());
        };
        let found = sqlx::query_scalar("SELECT cluster FROM state")
            .fetch_one(&pool)
            .await;
        found.map_err(|error| self.explain(error))
    }

    pub(super) async fn topics(&self) -> Result<Vec<String>> {
        let Some((pool, _)) = self.pool() else {
            return Ok(Vec::new());
        };
        let found = sqlx::query_scalar("SELECT name FROM topics ORDER BY name")
            .fetch_all(&pool)
            .await;
        found.map_err(|error| self.explain(error))
    }

    /// The lanes of all topics, as groups share them out.
    pub(super) async fn log_lanes(&self) -> Result<BTreeMap<LaneId, LogLane>> {
        let Some((pool, _)) = self.pool() else {
            return Ok(BTreeMap::new());
        };
        let rows = sqlx::query(
            "SELECT t.name, p.number, t.incarnation FROM partitions p JOIN topics t ON t.id = p.topic",
        )
        .fetch_all(&pool)
        .await;
        let lane = |row: SqliteRow| {
            let lane = LaneId::new(
                row.try_get::<&str, _>(0)?,
                row.try_get::<i64, _>(1)?.to_string(),
            );
            let log = LogLane {
                incarnation: row.try_get(2)?,
                parents: Vec::new(),
            };
            Ok((lane, log))
        };
        rows.and_then(|rows| rows.into_iter().map(lane).collect())
            .map_err(|error| self.explain(error))
    }

    pub(super) async fn extents(&self, topic: &str) -> Result<Vec<LaneExtent>> {
        let Some((pool, _)) = self.pool() else {
            return Ok(Vec::new());
        };
        let rows = sqlx::query(
            "SELECT p.number, t.incarnation, p.first, p.next, (SELECT r.timestamp FROM records r WHERE r.partition = p.id AND r.offset = p.first),
                 (SELECT cluster FROM state)
             FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? ORDER BY p.number",
        )
        .bind(topic)
        .fetch_all(&pool)
        .await;
        let extent = |row: SqliteRow| {
            let offsets = Offsets {
                first: row.try_get::<i64, _>(2)?.cast_unsigned(),
                next: row.try_get::<i64, _>(3)?.cast_unsigned(),
                trimmed: None,
            };
            let gap = offsets.gap(GapKind::Expired, None);
            let oldest: Option<i64> = row.try_get(4)?;
            Ok(LaneExtent {
                lane: LaneId::new(topic, row.try_get::<i64, _>(0)?.to_string()),
                cluster: row.try_get(5)?,
                incarnation: row.try_get(1)?,
                first: gap.first,
                last: gap.last,
                oldest: oldest.and_then(|oldest| Timestamp::from_microsecond(oldest).ok()),
                count: Some(offsets.next - offsets.first),
            })
        };
        rows.and_then(|rows| rows.into_iter().map(extent).collect())
            .map_err(|error| self.explain(error))
    }

    /// The partition under this name now.
    async fn partition(&self, pool: &SqlitePool, lane: &LaneId) -> Result<Option<Partition>> {
        let Ok(number) = lane.shard().parse::<i64>() else {
            return Ok(None);
        };
        let row = sqlx::query(
            "SELECT p.id, t.incarnation, p.first, p.next, p.trimmed FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? AND p.number = ?",
        )
        .bind(lane.topic())
        .bind(number)
        .fetch_optional(pool)
        .await
        .map_err(|error| self.explain(error))?;
        let partition = |row: SqliteRow| {
            let trimmed: Option<i64> = row.try_get(4)?;
            Ok(Partition {
                id: row.try_get(0)?,
                incarnation: row.try_get(1)?,
                offsets: Offsets {
                    first: row.try_get::<i64, _>(2)?.cast_unsigned(),
                    next: row.try_get::<i64, _>(3)?.cast_unsigned(),
                    trimmed: trimmed.and_then(|time| Timestamp::from_microsecond(time).ok()),
                },
            })
        };
        row.map(partition)
            .transpose()
            .map_err(|error| self.explain(error))
    }

    pub(super) async fn resolve(&self, lane: &LaneId, start: &Start) -> Result<Cursor> {
        let (pool, _) = self.pool().ok_or_else(|| no_such_lane(lane))?;
        let partition = self
            .partition(&pool, lane)
            .await?
            .ok_or_else(|| no_such_lane(lane))?;
        Ok(match start {
            Start::Earliest => Offsets::behind(partition.offsets.first),
            Start::Latest => Offsets::behind(partition.offsets.next),
            Start::At(time) => match self.first_at(&pool, partition.id, *time).await? {
                Some(offset) => Offsets::behind(offset),
                None => Cursor::At(*time),
            },
            Start::After(position) => Cursor::After(position.clone()),
        })
    }

    async fn first_at(&self, pool: &SqlitePool, id: i64, time: Timestamp) -> Result<Option<u64>> {
        let found: sqlx::Result<Option<i64>> = sqlx::query_scalar(
            "SELECT min(offset) FROM records WHERE partition = ? AND timestamp >= ?",
        )
        .bind(id)
        .bind(time.as_microsecond())
        .fetch_one(pool)
        .await;
        found
            .map(|offset| offset.map(i64::cast_unsigned))
            .map_err(|error| self.explain(error))
    }

    /// Opens a lane; `incarnation` is the one that it was assigned with, if it was.
    pub(super) async fn open(
        self: &Arc<Self>,
        lane: &LaneId,
        cursor: &Cursor,
        incarnation: Option<&str>,
    ) -> Result<Opened> {
        // Subscribed before the look, so that what is written meanwhile is not missed.
        let end = self.ends.subscribe(lane);
        let Some((pool, identity)) = self.pool() else {
            return Ok(Opened::OutOfRange(deleted()));
        };
        let Some(partition) = self.partition(&pool, lane).await? else {
            return Ok(Opened::OutOfRange(deleted()));
        };
        let offsets = partition.offsets;
        if incarnation.is_some_and(|expected| expected != partition.incarnation) {
            return Ok(Opened::OutOfRange(offsets.gap(GapKind::Recreated, None)));
        }
        let next = match offsets.place(cursor)? {
            Place::Offset(offset) => offset,
            Place::Time(time) => self
                .first_at(&pool, partition.id, time)
                .await?
                .unwrap_or(offsets.next),
            Place::Outside(gap) => return Ok(Opened::OutOfRange(gap)),
        };
        Ok(Opened::Reader(Box::new(LocalReader {
            readers: self.clone(),
            pool,
            identity,
            lane: lane.clone(),
            partition: partition.id,
            next,
            end,
            is_at_end: false,
        })))
    }
}

impl Lanes for Readers {
    fn cluster(&self) -> BoxFuture<'_, Result<String>> {
        Box::pin(self.cluster())
    }

    fn listing(
        &self,
        _group: &str,
        _topics: BTreeSet<String>,
    ) -> BoxFuture<'_, Result<BTreeMap<LaneId, LogLane>>> {
        Box::pin(self.log_lanes())
    }

    fn open(
        self: Arc<Self>,
        _group: &str,
        lane: &LaneId,
        cursor: &Cursor,
        incarnation: &str,
    ) -> BoxFuture<'static, Result<Opened>> {
        let (lane, cursor, incarnation) = (lane.clone(), cursor.clone(), incarnation.to_owned());
        Box::pin(async move { Readers::open(&self, &lane, &cursor, Some(&incarnation)).await })
    }

    fn resolve(
        self: Arc<Self>,
        _group: &str,
        lane: &LaneId,
        start: &Start,
    ) -> BoxFuture<'static, Result<Cursor>> {
        let (lane, start) = (lane.clone(), start.clone());
        Box::pin(async move { Readers::resolve(&self, &lane, &start).await })
    }

    fn news(&self) -> &watch::Sender<()> {
        &self.ends.groups
    }
}

fn deleted() -> Gap {
    Gap {
        kind: GapKind::Deleted,
        first: None,
        last: None,
        missing: None,
    }
}

struct LocalReader {
    readers: Arc<Readers>,
    pool: SqlitePool,
    identity: Identity,
    lane: LaneId,
    partition: i64,
    /// The offset to read next.
    next: u64,
    end: watch::Receiver<End>,
    is_at_end: bool,
}

impl LocalReader {
    /// What happened to a lane whose records are not where they should be; `None` where nothing did.
    async fn gap(&self) -> Result<Option<Gap>> {
        let Some((pool, identity)) = self.readers.pool() else {
            return Ok(Some(deleted()));
        };
        let Some(found) = self.readers.partition(&pool, &self.lane).await? else {
            return Ok(Some(deleted()));
        };
        if identity != self.identity || found.id != self.partition {
            return Ok(Some(found.offsets.gap(GapKind::Recreated, None)));
        }
        Ok(match found.offsets.place(&Offsets::behind(self.next))? {
            Place::Outside(gap) => Some(gap),
            Place::Offset(_) | Place::Time(_) => None,
        })
    }

    /// Reads rows up to the budget. Whether there were no more.
    async fn read(&self, budget: Budget) -> sqlx::Result<(Batch, bool)> {
        let mut connection = self.pool.acquire().await?;
        let connection: &mut SqliteConnection = &mut connection;
        let limit = i64::try_from(budget.records).unwrap_or(i64::MAX);
        let mut rows = sqlx::query(
            "SELECT offset, timestamp, key, headers, value FROM records WHERE partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
        )
        .bind(self.partition)
        .bind(self.next.cast_signed())
        .bind(limit)
        .fetch(connection);
        let mut batch = Batch::default();
        while let Some(row) = rows.try_next().await? {
            batch.push(&row)?;
            if batch.bytes() > budget.bytes && batch.len() > 1 {
                batch.pop();
                return Ok((batch, false));
            }
        }
        let is_all = batch.len() < budget.records;
        Ok((batch, is_all))
    }
}

impl LaneReader for LocalReader {
    fn fetch(&mut self, budget: Budget) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async move {
            if self.readers.file.identity() != Some(self.identity)
                && let Some(gap) = self.gap().await?
            {
                return Ok(Fetched::OutOfRange(gap));
            }
            let (batch, is_all) = self
                .read(budget)
                .await
                .map_err(|error| self.readers.explain(error))?;
            // Offsets have no holes: what does not begin where it should was trimmed, truncated or deleted.
            if batch.first() != Some(self.next)
                && let Some(gap) = self.gap().await?
            {
                return Ok(Fetched::OutOfRange(gap));
            }
            let records = batch.into_records(&self.lane)?;
            self.next += records.len() as u64;
            self.is_at_end = is_all;
            let end = self.end.borrow().next;
            Ok(Fetched::Records(Fetch {
                through: self.next.checked_sub(1).map(Into::into),
                records,
                at_end: is_all,
                behind: match is_all {
                    true => Some(0),
                    false => end.checked_sub(self.next).filter(|behind| *behind > 0),
                },
            }))
        })
    }

    fn ready(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.is_at_end {
                let (partition, next) = (self.partition, self.next);
                // An error says that the log was closed, which the next fetch reports.
                let _ = self
                    .end
                    .wait_for(|end| {
                        end.next > next || (end.partition != partition && *end != End::default())
                    })
                    .await;
            }
            Ok(())
        })
    }
}
