//! A log in memory: the whole contract in one process, deterministic, with shards that split, for unit tests.
//!
//! Nothing happens by itself: no thread runs, no lease runs out. A test makes what production brings: it moves the
//! clock, splits a lane, trims or truncates it, deletes a topic, takes a lane from its owner.

mod source;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::offsets::{Offsets, no_such_lane, number};
use crate::record::{Cursor, LaneId, Position, Start};
use crate::sink::{NewRecord, SendError, Sent, Sink};
use crate::source::{Backend, Before, Capabilities, Join, LaneExtent, Opened, Source};
use crate::{Error, Result};
use source::MemorySource;
use state::State;

/// A log in memory. Clones are the same log.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    settings: Settings,
    state: Mutex<State>,
}

/// What a log in memory is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stamps the records that bring no time.
    pub clock: Clock,
    /// What the log can carry.
    pub capabilities: Capabilities,
    /// Lanes of a topic, which is made on first use.
    pub lanes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            capabilities: Capabilities {
                headers: true,
                null_value: true,
                null_key: true,
                empty_key: true,
                writer_time: true,
                time_seek: true,
                broker_cursors: true,
            },
            lanes: 4,
        }
    }
}

impl Memory {
    /// An empty log with topics of four lanes.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// An empty log of these settings. A topic has one lane at least.
    pub fn with(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock: settings.clock.clone(),
                settings,
                state: Mutex::new(State::default()),
            }),
        }
    }

    /// Ends a lane and makes `children` new ones, over which its keys spread from now on, as when a shard is split.
    /// Returns them; empty where the lane has ended already.
    pub fn split(&self, lane: &LaneId, children: u32) -> Result<Vec<LaneId>> {
        self.shared.state().split(lane, children)
    }

    /// Removes a topic and its records. It is made anew on first use, as another incarnation of itself.
    pub fn delete(&self, topic: &str) {
        self.shared.state().delete(topic);
    }

    /// Removes the newest records of a lane, down to and without `first_removed`: a log that lost its tail.
    pub fn truncate(&self, lane: &LaneId, first_removed: &Position) -> Result<()> {
        self.shared.state().truncate(lane, number(first_removed)?)
    }

    /// Takes a lane from its owner without notice, as when its lease ran out. Somebody, perhaps the same member, gets it
    /// anew.
    pub fn expire(&self, group: &str, lane: &LaneId) {
        self.shared.state().expire(group, lane);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the log")
    }

    fn lanes_per_topic(&self) -> u32 {
        self.settings.lanes.max(1)
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> Result<Cursor> {
        let state = self.state();
        let found = state.lane(lane).ok_or_else(|| no_such_lane(lane))?;
        Ok(match start {
            Start::Earliest => Offsets::behind(found.offsets().first),
            Start::Latest => Offsets::behind(found.offsets().next),
            Start::At(time) => match found.first_at(*time) {
                Some(offset) => Offsets::behind(offset),
                None => Cursor::At(*time),
            },
            Start::After(position) => Cursor::After(position.clone()),
        })
    }

    fn carries(&self, record: &NewRecord) -> Result<()> {
        let can = &self.settings.capabilities;
        let lacks = [
            (!can.headers && !record.headers.is_empty(), "headers"),
            (!can.null_value && record.value.is_none(), "null values"),
            (!can.null_key && record.key.is_none(), "null keys"),
        ];
        match lacks.iter().find(|(lacks, _)| *lacks) {
            Some((_, what)) => Err(Error::permanent(format!("this log carries no {what}"))),
            None => Ok(()),
        }
    }

    fn append(&self, topic: &str, batch: Vec<NewRecord>) -> Vec<Result<Sent, SendError>> {
        let now = self.clock.now();
        let mut state = self.state();
        state.make(topic, self.lanes_per_topic());
        batch
            .into_iter()
            .map(|record| {
                self.carries(&record).map_err(SendError::NotWritten)?;
                Ok(state.append(topic, record, now))
            })
            .collect()
    }
}

impl Backend for Memory {
    fn describe(&self) -> String {
        "log in memory".into()
    }

    fn identity(&self) -> String {
        format!("log in memory at {:p}", Arc::as_ptr(&self.shared))
    }

    fn capabilities(&self) -> Capabilities {
        self.shared.settings.capabilities
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        Box::pin(async move {
            let source: Box<dyn Source> = Box::new(MemorySource::join(self.shared.clone(), join));
            Ok(source)
        })
    }

    fn sink(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn Sink>>> {
        let sink: Box<dyn Sink> = Box::new(MemorySink {
            shared: self.shared.clone(),
            topic: topic.into(),
        });
        Box::pin(async move { Ok(sink) })
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async move { Ok(self.shared.state().topics()) })
    }

    fn lanes(&self, topic: &str) -> BoxFuture<'_, Result<Vec<LaneExtent>>> {
        let extents = self.shared.state().extents(topic);
        Box::pin(async move { Ok(extents) })
    }

    fn read(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        let opened = source::open(&self.shared, lane, cursor);
        Box::pin(async move { opened })
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let cursor = self.shared.resolve(lane, start);
        Box::pin(async move { cursor })
    }

    fn saved(&self, group: &str) -> BoxFuture<'_, Result<Vec<(LaneId, Cursor)>>> {
        let saved = self.shared.state().saved(group);
        Box::pin(async move { Ok(saved) })
    }

    fn reset(&self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        let done = self.shared.state().reset(group, cursors);
        Box::pin(async move { done })
    }

    fn trim(&self, topic: &str, before: &Before) -> BoxFuture<'_, Result<u64>> {
        let removed = self.shared.state().trim(topic, before);
        Box::pin(async move { removed })
    }
}

struct MemorySink {
    shared: Arc<Shared>,
    topic: String,
}

impl Sink for MemorySink {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn send(&self, batch: Vec<NewRecord>) -> BoxFuture<'static, Vec<Result<Sent, SendError>>> {
        // Written by the call, not by the future: dropping that does not stop what was handed over.
        let results = self.shared.append(&self.topic, batch);
        Box::pin(async move { results })
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// The time that a record is kept under.
fn stamp(record: &NewRecord, now: Timestamp) -> Timestamp {
    record.timestamp.unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::ManualClock;
    use crate::record::Header;

    fn record(key: &str) -> NewRecord {
        NewRecord {
            key: Some(key.to_owned().into()),
            headers: Vec::new(),
            value: Some("value".into()),
            timestamp: None,
        }
    }

    async fn send(log: &Memory, records: Vec<NewRecord>) -> Vec<Result<Sent, SendError>> {
        log.sink("nouns").await.unwrap().send(records).await
    }

    #[tokio::test]
    async fn what_a_log_does_not_carry_is_not_written_and_says_so() {
        let mut settings = Settings::default();
        settings.capabilities.headers = false;
        settings.capabilities.null_key = false;
        settings.capabilities.null_value = false;
        let log = Memory::with(settings);
        let with_header = NewRecord {
            headers: vec![Header {
                name: "a".into(),
                value: "b".into(),
            }],
            ..record("k")
        };
        let without = |part: &str| NewRecord {
            key: record("k").key.filter(|_| part != "key"),
            value: record("k").value.filter(|_| part != "value"),
            ..record("k")
        };
        let batch = vec![with_header, without("key"), without("value"), record("k")];
        let results = send(&log, batch).await;
        for (result, what) in results.iter().zip(["headers", "null keys", "null values"]) {
            let Err(SendError::NotWritten(error)) = result else {
                panic!("{what} were written");
            };
            assert!(
                error.to_string().ends_with(what) && !error.is_retriable(),
                "{error}"
            );
        }
        assert_eq!(results[3].as_ref().unwrap().position, 0.into());
    }

    #[tokio::test]
    async fn keys_of_a_split_lane_spread_over_its_descendants_and_stay_there() {
        let log = Memory::with(Settings {
            lanes: 1,
            ..Settings::default()
        });
        let keys: Vec<NewRecord> = (0..200).map(|n| record(&n.to_string())).collect();
        let lanes = async |log: &Memory| -> Vec<LaneId> {
            let sent = send(log, keys.clone()).await;
            sent.into_iter().map(|sent| sent.unwrap().lane).collect()
        };
        let root = lanes(&log).await[0].clone();
        let children = log.split(&root, 2).unwrap();
        assert_eq!(log.split(&root, 2).unwrap(), [], "it has ended");
        let grandchildren = log.split(&children[0], 3).unwrap();
        let first = lanes(&log).await;
        assert_eq!(lanes(&log).await, first, "a key moved");
        let open: BTreeSet<LaneId> = grandchildren
            .into_iter()
            .chain([children[1].clone()])
            .collect();
        assert_eq!(first.into_iter().collect::<BTreeSet<_>>(), open);
    }

    #[tokio::test]
    async fn records_carry_the_time_of_the_clock() {
        let clock = ManualClock::at(Timestamp::from_second(100).unwrap());
        let log = Memory::with(Settings {
            clock: clock.clock(),
            ..Settings::default()
        });
        let lane = send(&log, vec![record("k")]).await.remove(0).unwrap().lane;
        clock.advance(std::time::Duration::from_secs(5));
        send(&log, vec![record("k")]).await;
        let resolve = |second| {
            let start = Start::At(Timestamp::from_second(second).unwrap());
            log.shared.resolve(&lane, &start).unwrap()
        };
        assert_eq!(resolve(100), Cursor::Start);
        assert_eq!(resolve(101), Cursor::After(0.into()));
        assert_eq!(resolve(106).to_string(), "at:1970-01-01T00:01:46Z");
    }
}
