//! The log that needs no server: topics, partitions and groups in SQLite files of a folder, for all processes of a host.
//!
//! `log.db` holds the records, `groups.db` the leases of consumer groups and the positions that they keep in the log,
//! `members/` a locked file for each living member. Neither is ever attached to the other or to a store: a process that
//! stops inside a transaction holds one file, not all.
//!
//! A send is durable when it returns `Ok`: WAL, `synchronous=FULL`, one transaction for all sends that queued while the
//! last one was written. Nobody polls for records: one watcher per process asks SQLite every few milliseconds whether
//! others wrote, and wakes the lanes that grew.
//!
//! A file that is deleted while it is open is noticed by its number and made anew, as another incarnation of every topic.

mod ends;
mod reader;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rusqlite::Connection;

use crate::clock::Clock;
use crate::db::{Failed, Shared};
use crate::lease::member::{Member, Parts};
use crate::lease::table::{self, Locks};
use crate::offsets::{no_such_lane, number};
use crate::record::{Cursor, LaneId, Start};
use crate::sink::Sink;
use crate::source::{Backend, Before, Capabilities, Join, LaneExtent, Opened, Source};
use crate::{Error, Result};
use ends::Ends;
use reader::Readers;
use writer::{LocalSink, Queue};

/// The local log in a folder. Clones share its connections and tasks; open a folder once per process.
#[derive(Clone)]
pub struct Local {
    folder: PathBuf,
    settings: Settings,
    log: Arc<Shared>,
    queue: Queue,
    parts: Parts<Readers>,
}

/// How the local log is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stamps the records that bring no time, and measures leases.
    pub clock: Clock,
    /// Partitions of a topic, which is made on first use.
    pub partitions: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            partitions: 4,
        }
    }
}

impl Local {
    /// Opens the log in this folder; makes both where they are missing.
    pub async fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(folder, Settings::default()).await
    }

    /// Opens the log in this folder. A topic has one partition at least.
    pub async fn open_with(folder: impl AsRef<Path>, settings: Settings) -> Result<Self> {
        // Absolute, so that a process that changes its folder goes on with the same log.
        let folder = std::path::absolute(folder.as_ref())
            .map_err(|error| Error::from(error).context("the folder of the local log"))?;
        let settings = Settings {
            partitions: settings.partitions.max(1),
            ..settings
        };
        let log_file = Arc::new(schema::log_file(&folder));
        let groups_file = Arc::new(schema::groups_file(&folder));
        let sends = Shared::open(log_file.clone()).await?;
        let groups = Shared::open(groups_file.clone()).await?;
        let ends = Arc::new(Ends::default());
        let watched = Arc::downgrade(&ends);
        tokio::spawn(ends::watch(watched, log_file.clone(), groups_file));
        let queue = writer::start(
            sends,
            ends.clone(),
            settings.clock.clone(),
            settings.partitions,
        );
        Ok(Self {
            log: Arc::new(Shared::new(log_file.clone())),
            queue,
            parts: Parts {
                groups: Arc::new(groups),
                locks: Arc::new(Locks::new(folder.join("members"))),
                lanes: Arc::new(Readers::new(log_file, ends)),
                clock: settings.clock.clone(),
            },
            settings,
            folder,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes a topic and its records. It is made anew on first use, as another incarnation of itself.
    pub async fn delete(&self, topic: &str) -> Result<()> {
        let topic = topic.to_owned();
        self.log.write(move |log| Ok(delete(log, &topic)?)).await
    }

    async fn make(&self, topics: Vec<String>) -> Result<()> {
        let existing = self.parts.lanes.topics().await?;
        let missing: Vec<String> = topics
            .into_iter()
            .filter(|topic| !existing.contains(topic))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let partitions = self.settings.partitions;
        self.log
            .write(move |log| {
                let seq = next_seq(log)?;
                for topic in &missing {
                    writer::make(log, topic, partitions, seq)?;
                }
                Ok(())
            })
            .await
    }
}

/// Counts a writing transaction.
fn next_seq(log: &Connection) -> rusqlite::Result<i64> {
    log.prepare_cached("UPDATE state SET seq = seq + 1 RETURNING seq")?
        .query_row([], |row| row.get(0))
}

fn delete(log: &Connection, topic: &str) -> rusqlite::Result<()> {
    next_seq(log)?;
    for sql in [
        "DELETE FROM records WHERE partition IN (SELECT p.id FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ?)",
        "DELETE FROM partitions WHERE topic IN (SELECT id FROM topics WHERE name = ?)",
        "DELETE FROM topics WHERE name = ?",
    ] {
        log.execute(sql, [topic])?;
    }
    log.execute("UPDATE state SET shape = shape + 1", [])?;
    Ok(())
}

/// Removes the oldest records of a partition up to the first that stays.
fn trim(log: &Connection, topic: &str, before: &Before) -> Result<u64, Failed> {
    let (time, offset) = match before {
        Before::Time(time) => (Some(time.as_microsecond()), None),
        Before::Position(position) => {
            let offset = number(position).map_err(Failed::Refused)?;
            (None, Some(i64::try_from(offset).unwrap_or(i64::MAX)))
        }
    };
    let mut statement = log.prepare_cached(
        "SELECT p.id, p.first, p.next FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ?",
    )?;
    let partitions = statement.query_map([topic], |row| row.try_into())?;
    let partitions: Vec<(i64, i64, i64)> = partitions.collect::<rusqlite::Result<_>>()?;
    let mut removed = 0;
    for (id, first, next) in partitions {
        let young: Option<i64> = log
            .prepare_cached("SELECT min(offset) FROM records WHERE partition = ? AND (timestamp >= ? OR offset >= ?)")?
            .query_row((id, time, offset), |row| row.get(0))?;
        let first_kept = young.unwrap_or(next);
        if first_kept <= first {
            continue;
        }
        log.prepare_cached(
            "UPDATE partitions SET first = ?, trimmed = max(ifnull(trimmed, -9223372036854775808), (SELECT max(timestamp) FROM records WHERE partition = ? AND offset < ?)) WHERE id = ?",
        )?
        .execute((first_kept, id, first_kept, id))?;
        removed += log
            .prepare_cached("DELETE FROM records WHERE partition = ? AND offset < ?")?
            .execute((id, first_kept))? as u64;
    }
    Ok(removed)
}

impl Backend for Local {
    fn describe(&self) -> String {
        format!("local log in {}", self.folder.display())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            headers: true,
            null_value: true,
            null_key: true,
            empty_key: true,
            writer_time: true,
            time_seek: true,
            broker_cursors: true,
        }
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        Box::pin(async move {
            self.make(join.topics.clone()).await?;
            let source: Box<dyn Source> = Box::new(Member::join(self.parts.clone(), join)?);
            Ok(source)
        })
    }

    fn sink(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn Sink>>> {
        let sink: Box<dyn Sink> = Box::new(LocalSink {
            topic: topic.into(),
            queue: self.queue.clone(),
        });
        Box::pin(async move { Ok(sink) })
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(self.parts.lanes.topics())
    }

    fn lanes(&self, topic: &str) -> BoxFuture<'_, Result<Vec<LaneExtent>>> {
        let topic = topic.to_owned();
        Box::pin(async move { self.parts.lanes.extents(&topic).await })
    }

    fn read(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        let (lane, cursor) = (lane.clone(), cursor.clone());
        Box::pin(async move { self.parts.lanes.open(&lane, &cursor, None).await })
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let (lane, start) = (lane.clone(), start.clone());
        Box::pin(async move { self.parts.lanes.resolve(&lane, &start).await })
    }

    fn saved(&self, group: &str) -> BoxFuture<'_, Result<Vec<(LaneId, Cursor)>>> {
        let group = group.to_owned();
        Box::pin(async move {
            let saved = self
                .parts
                .groups
                .write(move |table| table::saved(table, &group))
                .await?;
            Ok(saved
                .into_iter()
                .map(|(lane, committed)| (lane, committed.cursor))
                .collect())
        })
    }

    fn reset(&self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        let group = group.to_owned();
        Box::pin(async move {
            let lanes = self.parts.lanes.log_lanes().await?;
            let mut writes = Vec::with_capacity(cursors.len());
            for (lane, cursor) in cursors {
                let log = lanes.get(&lane).ok_or_else(|| no_such_lane(&lane))?;
                writes.push((lane, cursor, log.incarnation.clone()));
            }
            let now = self.settings.clock.now();
            table::reset(&self.parts.groups, &self.parts.locks, &group, writes, now).await
        })
    }

    fn trim(&self, topic: &str, before: &Before) -> BoxFuture<'_, Result<u64>> {
        let (topic, before) = (topic.to_owned(), before.clone());
        Box::pin(async move { self.log.write(move |log| trim(log, &topic, &before)).await })
    }
}
