//! The suite that every log has to pass: what [`Backend`], [`Source`] and [`Sink`](crate::sink::Sink) promise, checked from outside.
//!
//! Give it a [`Harness`], which makes what only the operator of a log can make happen, and run it in a test:
//!
//! ```no_run
//! use std::sync::Arc;
//! use logpipe::memory::Memory;
//! use logpipe::record::{LaneId, Position};
//! use logpipe::source::Backend;
//! use logpipe::testing::conformance::{self, BoxFuture, Harness};
//!
//! struct InMemory(Memory);
//!
//! impl Harness for InMemory {
//!     fn backend(&self) -> Arc<dyn Backend> {
//!         Arc::new(self.0.clone())
//!     }
//!     fn restart(&mut self) -> BoxFuture<'_, ()> {
//!         Box::pin(async {})
//!     }
//!     fn expire<'a>(&'a self, group: &'a str, lane: &'a LaneId) -> BoxFuture<'a, ()> {
//!         Box::pin(async move { self.0.expire(group, lane) })
//!     }
//!     fn delete<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
//!         Box::pin(async move { self.0.delete(topic) })
//!     }
//! }
//!
//! # async fn test() {
//! conformance::run(async || InMemory(Memory::new())).await;
//! # }
//! ```
//!
//! A check that fails panics in words; the line before says which check it was.

mod group;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
pub use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::record::{Cursor, Header, LaneId, Position, Record, Start};
use crate::sink::{NewRecord, Sent};
use crate::source::{
    Assigned, Backend, Before, Budget, Event, Fetched, Gap, GapKind, Join, LaneReader, Opened,
    Source,
};

/// What the suite needs done to a log that the contract has no words for. Topics have two lanes or more.
pub trait Harness: Send + Sync {
    /// The log, empty at first.
    fn backend(&self) -> Arc<dyn Backend>;

    /// Closes the log and opens it again; what it holds stays.
    fn restart(&mut self) -> BoxFuture<'_, ()>;

    /// Lets the lease of this lane run out; others may run out with it.
    fn expire<'a>(&'a self, group: &'a str, lane: &'a LaneId) -> BoxFuture<'a, ()>;

    /// Makes a topic of two lanes or more, where the first use does not.
    fn create<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
        let _ = topic;
        Box::pin(async {})
    }

    /// Deletes a topic.
    fn delete<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()>;

    /// Removes the newest records of a lane, down to and without this one. `false` where the log can't lose its tail.
    fn truncate<'a>(
        &'a self,
        lane: &'a LaneId,
        first_removed: &'a Position,
    ) -> BoxFuture<'a, bool> {
        let _ = (lane, first_removed);
        Box::pin(async { false })
    }

    /// Splits a lane; empty where lanes do not split.
    fn split<'a>(&'a self, lane: &'a LaneId) -> BoxFuture<'a, Vec<LaneId>> {
        let _ = lane;
        Box::pin(async { Vec::new() })
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test waits before it looks again at what nobody tells it of.
const LOOK: Duration = Duration::from_millis(100);

const TOPIC: &str = "nouns";
const GROUP: &str = "readers";

const PLENTY: Budget = Budget {
    records: 10_000,
    bytes: 64 << 20,
};

/// Runs all checks, each on a log of its own.
pub async fn run<H: Harness>(make: impl AsyncFn() -> H) {
    macro_rules! checks {
        ($($check:path),* $(,)?) => {
            $(
                println!("{}", stringify!($check));
                let harness = make().await;
                harness.create(TOPIC).await;
                let checked = tokio::time::timeout(PATIENCE * 3, $check(harness)).await;
                assert!(checked.is_ok(), "{} did not end", stringify!($check));
            )*
        };
    }
    checks!(
        log::records_come_back_as_they_were_sent,
        log::results_are_in_order_and_keys_stay_in_order,
        log::a_dropped_send_is_still_written,
        log::nothing_is_fetched_without_demand,
        log::a_reader_waits_for_records_and_wakes,
        log::reading_resumes_where_a_cursor_says,
        log::retention_that_passed_a_cursor_is_an_incident,
        log::a_cursor_beyond_the_end_is_an_incident,
        group::a_topic_made_anew_is_another_incarnation,
        group::a_cancelled_event_is_not_lost,
        group::members_share_lanes_and_hand_them_over,
        group::a_dead_member_leaves_its_lanes_to_others,
        group::a_member_without_lanes_knows_that_it_joined,
        group::positions_are_kept_for_the_group,
        group::a_lost_lane_is_fenced,
        group::positions_of_a_living_group_are_not_reset,
        group::children_wait_until_their_parent_is_finished,
    );
}

/// Waits for something that has to happen.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("it did not happen within {PATIENCE:?}: {what}"),
    }
}

fn record(key: Option<&str>, value: impl Into<String>) -> NewRecord {
    NewRecord {
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        headers: Vec::new(),
        value: Some(value.into().into()),
        timestamp: None,
    }
}

async fn send(backend: &dyn Backend, records: Vec<NewRecord>) -> Vec<Sent> {
    let sink = backend.sink(TOPIC).await.unwrap();
    let results = soon("the records are written", sink.send(records)).await;
    results.into_iter().map(|result| result.unwrap()).collect()
}

/// Sends `count` records of one key: all in one lane, which is returned.
async fn send_to_one_lane(backend: &dyn Backend, count: usize) -> (LaneId, Vec<Position>) {
    let records = (0..count)
        .map(|n| record(Some("one"), n.to_string()))
        .collect();
    let sent = send(backend, records).await;
    let lane = sent[0].lane.clone();
    assert!(
        sent.iter().all(|sent| sent.lane == lane),
        "one key is in one lane"
    );
    (lane, sent.into_iter().map(|sent| sent.position).collect())
}

fn reader(opened: Opened) -> Box<dyn LaneReader> {
    match opened {
        Opened::Reader(reader) => reader,
        Opened::OutOfRange(gap) => panic!("the cursor is outside the lane: {gap:?}"),
        Opened::NotOurs => panic!("the lane is not assigned"),
    }
}

fn gap(opened: Opened) -> Gap {
    match opened {
        Opened::OutOfRange(gap) => gap,
        Opened::Reader(_) => panic!("a cursor outside the log opened a reader"),
        Opened::NotOurs => panic!("the lane is not assigned"),
    }
}

async fn open(backend: &dyn Backend, lane: &LaneId, cursor: &Cursor) -> Box<dyn LaneReader> {
    reader(backend.read(lane, cursor).await.unwrap())
}

/// Fetches until something came, or nothing more is there. Over a network that takes a moment.
async fn fetch(reader: &mut dyn LaneReader, budget: Budget) -> Fetched {
    soon("a fetch that finds something", async {
        loop {
            match reader.fetch(budget).await.unwrap() {
                Fetched::Records(fetch) if fetch.records.is_empty() && !fetch.at_end => {
                    reader.ready().await.unwrap();
                }
                found => return found,
            }
        }
    })
    .await
}

/// Fetches until the log went away under the reader as it has to; what was on its way may come first.
async fn gap_under(reader: &mut dyn LaneReader, kind: GapKind) -> Gap {
    let what = format!("a reader notices that its log is {}", kind.name());
    soon(&what, async {
        loop {
            match reader.fetch(PLENTY).await.unwrap() {
                Fetched::OutOfRange(gap) if gap.kind == kind => return gap,
                Fetched::OutOfRange(_) | Fetched::Records(_) => {
                    let _ = tokio::time::timeout(LOOK, reader.ready()).await;
                }
                Fetched::Ended => panic!("a lane that is {} has ended", kind.name()),
            }
        }
    })
    .await
}

/// What is there, up to the end.
async fn read_all(reader: &mut dyn LaneReader) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        match fetch(reader, PLENTY).await {
            Fetched::Records(fetch) => {
                records.extend(fetch.records);
                if fetch.at_end {
                    return records;
                }
            }
            Fetched::Ended => return records,
            Fetched::OutOfRange(gap) => panic!("the log went away under the reader: {gap:?}"),
        }
    }
}

async fn read_lane(backend: &dyn Backend, lane: &LaneId) -> Vec<Record> {
    read_all(&mut *open(backend, lane, &Cursor::Start).await).await
}

fn values(records: &[Record]) -> Vec<String> {
    let value = |record: &Record| {
        let value = record.value.as_deref().unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    records.iter().map(value).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// The lanes of the topic, which is made by the first send.
async fn lanes(backend: &dyn Backend) -> Vec<LaneId> {
    let extents = backend.lanes(TOPIC).await.unwrap();
    extents.into_iter().map(|extent| extent.lane).collect()
}
