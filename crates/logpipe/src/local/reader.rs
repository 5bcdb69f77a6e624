//! How the local log is read: what its topics hold, and the records of a lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{Semaphore, watch};

use super::ends::{End, Ends};
use super::schema::Batch;
use crate::db::{File, Identity, blocking};
use crate::lease::LogLane;
use crate::lease::member::Lanes;
use crate::offsets::{Offsets, Place, no_such_lane};
use crate::record::{Cursor, LaneId, Start};
use crate::source::{Budget, Fetch, Fetched, Gap, GapKind, LaneExtent, LaneReader, Opened};
use crate::{Error, Result};

/// Connections that read. More of them do not read faster from one disk.
const READERS: usize = 4;

/// Reading waits only while a log is being recovered after a crash.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to the file that the path names now.
pub(super) struct Readers {
    file: Arc<File>,
    pub ends: Arc<Ends>,
    open: Mutex<Option<Arc<Pool>>>,
}

/// Connections to one file, whatever the path names meanwhile.
struct Pool {
    file: Arc<File>,
    identity: Identity,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

/// A partition's row.
struct Partition {
    id: i64,
    incarnation: String,
    offsets: Offsets,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle
            .lock()
            .expect("nothing panics while it holds the connections")
    }

    fn connect(&self) -> Result<Connection> {
        let open = || {
            let connection = self.file.open(PATIENCE)?;
            connection.execute_batch("PRAGMA query_only = on")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = open().map_err(|error| self.file.explain(error, "reading"))?;
        match self.file.identity() == Some(self.identity) {
            true => Ok(connection),
            false => Err(Error::unavailable(format!(
                "{} was deleted while it was opened",
                self.file.path.display()
            ))),
        }
    }

    /// Runs `work` on a connection, in its turn.
    async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.expect("nobody closes the semaphore");
        let pool = self.clone();
        blocking(move || {
            let idle = pool.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => pool.connect()?,
            };
            // One that failed is dropped: the next is opened anew.
            let value = work(&connection).map_err(|error| pool.file.explain(error, "reading"))?;
            // All connections of the process share one limit of cached pages. What was read here is not read again, and
            // would push out what a store's transactions need each time.
            let _ = connection.release_memory();
            pool.idle().push(connection);
            drop(turn);
            Ok(value)
        })
        .await?
    }

    /// The partition under this name now.
    async fn partition(self: &Arc<Self>, lane: &LaneId) -> Result<Option<Partition>> {
        let Ok(number) = lane.shard().parse::<i64>() else {
            return Ok(None);
        };
        let lane = lane.clone();
        self.read(move |log| {
            let mut statement = log.prepare_cached(
                "SELECT p.id, t.incarnation, p.first, p.next, p.trimmed FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? AND p.number = ?",
            )?;
            let partition = statement.query_row((lane.topic(), number), |row| {
                let trimmed: Option<i64> = row.get(4)?;
                Ok(Partition {
                    id: row.get(0)?,
                    incarnation: row.get(1)?,
                    offsets: Offsets {
                        first: row.get::<_, i64>(2)?.cast_unsigned(),
                        next: row.get::<_, i64>(3)?.cast_unsigned(),
                        trimmed: trimmed.and_then(|time| Timestamp::from_microsecond(time).ok()),
                    },
                })
            });
            partition.optional()
        })
        .await
    }

    /// The offset of the partition's first record that is not older.
    async fn first_at(self: &Arc<Self>, partition: i64, time: Timestamp) -> Result<Option<u64>> {
        self.read(move |log| {
            let offset: Option<i64> = log
                .prepare_cached(
                    "SELECT min(offset) FROM records WHERE partition = ? AND timestamp >= ?",
                )?
                .query_row((partition, time.as_microsecond()), |row| row.get(0))?;
            Ok(offset.map(i64::cast_unsigned))
        })
        .await
    }

    /// Reads rows from an offset on, up to the budget. Whether there were no more.
    async fn records(
        self: &Arc<Self>,
        partition: i64,
        next: u64,
        budget: Budget,
    ) -> Result<(Batch, bool)> {
        self.read(move |log| {
            let limit = i64::try_from(budget.records).unwrap_or(i64::MAX);
            let mut statement = log.prepare_cached(
                "SELECT offset, timestamp, key, headers, value FROM records WHERE partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            )?;
            let mut rows = statement.query((partition, next.cast_signed(), limit))?;
            let mut batch = Batch::default();
            while let Some(row) = rows.next()? {
                batch.push(row)?;
                if batch.bytes() > budget.bytes && batch.len() > 1 {
                    batch.pop();
                    return Ok((batch, false));
                }
            }
            let is_all = batch.len() < budget.records;
            Ok((batch, is_all))
        })
        .await
    }
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
    fn pool(&self) -> Option<Arc<Pool>> {
        let current = self.file.identity()?;
        let mut open = self
            .open
            .lock()
            .expect("nothing panics while it holds the pool");
        let kept = open.take().filter(|pool| pool.identity == current);
        let pool = kept.unwrap_or_else(|| {
            Arc::new(Pool {
                file: self.file.clone(),
                identity: current,
                turns: Arc::new(Semaphore::new(READERS)),
                idle: Mutex::default(),
            })
        });
        Some(open.insert(pool).clone())
    }

    pub(super) async fn cluster(&self) -> Result<String> {
        let Some(pool) = self.pool() else {
            return Ok(String::new());
        };
        pool.read(|log| {
            log.prepare_cached("SELECT cluster FROM state")?
                .query_row([], |row| row.get(0))
        })
        .await
    }

    pub(super) async fn topics(&self) -> Result<Vec<String>> {
        let Some(pool) = self.pool() else {
            return Ok(Vec::new());
        };
        pool.read(|log| {
            log.prepare_cached("SELECT name FROM topics ORDER BY name")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// The lanes of all topics, as groups share them out.
    pub(super) async fn log_lanes(&self) -> Result<BTreeMap<LaneId, LogLane>> {
        let Some(pool) = self.pool() else {
            return Ok(BTreeMap::new());
        };
        pool.read(|log| {
            let mut statement = log.prepare_cached(
                "SELECT t.name, p.number, t.incarnation FROM partitions p JOIN topics t ON t.id = p.topic",
            )?;
            let lanes = statement.query_map([], |row| {
                let number: i64 = row.get(1)?;
                let lane = LaneId::new(row.get_ref(0)?.as_str()?, number.to_string());
                let log = LogLane {
                    incarnation: row.get(2)?,
                    parents: Vec::new(),
                };
                Ok((lane, log))
            })?;
            lanes.collect()
        })
        .await
    }

    pub(super) async fn extents(&self, topic: &str) -> Result<Vec<LaneExtent>> {
        let Some(pool) = self.pool() else {
            return Ok(Vec::new());
        };
        let topic = topic.to_owned();
        pool.read(move |log| {
            let mut statement = log.prepare_cached(
                "SELECT p.number, t.incarnation, p.first, p.next, (SELECT r.timestamp FROM records r WHERE r.partition = p.id AND r.offset = p.first),
                     (SELECT cluster FROM state)
                 FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? ORDER BY p.number",
            )?;
            let extents = statement.query_map([&topic], |row| {
                let offsets = Offsets {
                    first: row.get::<_, i64>(2)?.cast_unsigned(),
                    next: row.get::<_, i64>(3)?.cast_unsigned(),
                    trimmed: None,
                };
                let gap = offsets.gap(GapKind::Expired, None);
                let oldest: Option<i64> = row.get(4)?;
                Ok(LaneExtent {
                    lane: LaneId::new(&topic, row.get::<_, i64>(0)?.to_string()),
                    cluster: row.get(5)?,
                    incarnation: row.get(1)?,
                    first: gap.first,
                    last: gap.last,
                    oldest: oldest.and_then(|oldest| Timestamp::from_microsecond(oldest).ok()),
                    count: Some(offsets.next - offsets.first),
                })
            })?;
            extents.collect()
        })
        .await
    }

    pub(super) async fn resolve(&self, lane: &LaneId, start: &Start) -> Result<Cursor> {
        let pool = self.pool().ok_or_else(|| no_such_lane(lane))?;
        let partition = pool
            .partition(lane)
            .await?
            .ok_or_else(|| no_such_lane(lane))?;
        Ok(match start {
            Start::Earliest => Offsets::behind(partition.offsets.first),
            Start::Latest => Offsets::behind(partition.offsets.next),
            Start::At(time) => match pool.first_at(partition.id, *time).await? {
                Some(offset) => Offsets::behind(offset),
                None => Cursor::At(*time),
            },
            Start::After(position) => Cursor::After(position.clone()),
        })
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
        let Some(pool) = self.pool() else {
            return Ok(Opened::OutOfRange(deleted()));
        };
        let Some(partition) = pool.partition(lane).await? else {
            return Ok(Opened::OutOfRange(deleted()));
        };
        let offsets = partition.offsets;
        if incarnation.is_some_and(|expected| expected != partition.incarnation) {
            return Ok(Opened::OutOfRange(offsets.gap(GapKind::Recreated, None)));
        }
        let next = match offsets.place(cursor)? {
            Place::Offset(offset) => offset,
            Place::Time(time) => pool
                .first_at(partition.id, time)
                .await?
                .unwrap_or(offsets.next),
            Place::Outside(gap) => return Ok(Opened::OutOfRange(gap)),
        };
        Ok(Opened::Reader(Box::new(LocalReader {
            readers: self.clone(),
            pool,
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
    pool: Arc<Pool>,
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
        let Some(pool) = self.readers.pool() else {
            return Ok(Some(deleted()));
        };
        let Some(found) = pool.partition(&self.lane).await? else {
            return Ok(Some(deleted()));
        };
        if pool.identity != self.pool.identity || found.id != self.partition {
            return Ok(Some(found.offsets.gap(GapKind::Recreated, None)));
        }
        Ok(match found.offsets.place(&Offsets::behind(self.next))? {
            Place::Outside(gap) => Some(gap),
            Place::Offset(_) | Place::Time(_) => None,
        })
    }
}

impl LaneReader for LocalReader {
    fn fetch(&mut self, budget: Budget) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async move {
            if self.readers.file.identity() != Some(self.pool.identity)
                && let Some(gap) = self.gap().await?
            {
                return Ok(Fetched::OutOfRange(gap));
            }
            let (batch, is_all) = self.pool.records(self.partition, self.next, budget).await?;
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
