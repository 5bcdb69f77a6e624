//! The suite that every log has to pass: what [`Backend`], [`Source`] and [`Sink`] promise, checked from outside.
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

const TOPIC: &str = "nouns";
const GROUP: &str = "readers";

const PLENTY: Budget = Budget {
    records: 10_000,
    bytes: 64 << 20,
};

/// Runs all checks, each on a log of its own.
pub async fn run<H: Harness>(make: impl AsyncFn() -> H) {
    macro_rules! checks {
        ($($check:ident),* $(,)?) => {
            $(
                println!("{}", stringify!($check));
                let checked = tokio::time::timeout(PATIENCE * 3, $check(make().await)).await;
                assert!(checked.is_ok(), "{} did not end", stringify!($check));
            )*
        };
    }
    checks!(
        records_come_back_as_they_were_sent,
        results_are_in_order_and_keys_stay_in_order,
        a_dropped_send_is_still_written,
        nothing_is_fetched_without_demand,
        a_reader_waits_for_records_and_wakes,
        reading_resumes_where_a_cursor_says,
        retention_that_passed_a_cursor_is_an_incident,
        a_cursor_beyond_the_end_is_an_incident,
        a_topic_made_anew_is_another_incarnation,
        a_cancelled_event_is_not_lost,
        members_share_lanes_and_hand_them_over,
        a_dead_member_leaves_its_lanes_to_others,
        a_member_without_lanes_knows_that_it_joined,
        positions_are_kept_for_the_group,
        a_lost_lane_is_fenced,
        positions_of_a_living_group_are_not_reset,
        children_wait_until_their_parent_is_finished,
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

/// What is there, up to the end.
async fn read_all(reader: &mut dyn LaneReader) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        match soon("a fetch", reader.fetch(PLENTY)).await.unwrap() {
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

/// A membership and what it was told.
struct Member {
    source: Box<dyn Source>,
    lanes: BTreeMap<LaneId, Assigned>,
    revoking: BTreeSet<LaneId>,
    said_joined: bool,
}

impl Member {
    async fn join(backend: &dyn Backend) -> Self {
        Self::join_topics(backend, &[TOPIC]).await
    }

    async fn join_topics(backend: &dyn Backend, topics: &[&str]) -> Self {
        let join = Join {
            group: GROUP.into(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            instance_id: None,
        };
        Self {
            source: backend.join(join).await.unwrap(),
            lanes: BTreeMap::new(),
            revoking: BTreeSet::new(),
            said_joined: false,
        }
    }

    async fn event(&mut self) {
        match self.source.event().await.unwrap() {
            Event::Assigned(assigned) => {
                for assigned in assigned {
                    let before = self.lanes.insert(assigned.lane.clone(), assigned);
                    assert!(before.is_none(), "a lane was assigned that is ours already");
                }
            }
            Event::Revoking { lanes, .. } => {
                for lane in lanes {
                    assert!(
                        self.lanes.contains_key(&lane),
                        "{lane} is revoked and not ours"
                    );
                    self.revoking.insert(lane);
                }
            }
            Event::Lost(lanes) => {
                for lane in lanes {
                    assert!(
                        self.lanes.remove(&lane).is_some(),
                        "{lane} is lost and not ours"
                    );
                    self.revoking.remove(&lane);
                }
            }
            Event::Incident(..) => {}
            Event::Joined => self.said_joined = true,
        }
    }

    async fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !is_true(self) {
                self.event().await;
            }
        })
        .await;
    }

    async fn release_revoked(&mut self) {
        for lane in std::mem::take(&mut self.revoking) {
            self.source.release(&lane).await.unwrap();
            self.lanes.remove(&lane);
        }
    }

    async fn leave(self) {
        for lane in self.lanes.keys() {
            self.source.release(lane).await.unwrap();
        }
        self.source.leave().await.unwrap();
    }
}

/// The lanes of the topic, which is made by the first send.
async fn lanes(backend: &dyn Backend) -> Vec<LaneId> {
    let extents = backend.lanes(TOPIC).await.unwrap();
    extents.into_iter().map(|extent| extent.lane).collect()
}

async fn records_come_back_as_they_were_sent(harness: impl Harness) {
    let backend = harness.backend();
    let can = backend.capabilities();
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    let mut written = vec![
        NewRecord {
            timestamp: Some(time),
            ..record(Some("key"), "value")
        },
        record(Some(""), ""),
        record(Some("key"), "x".repeat(100_000)),
    ];
    if can.headers {
        let header = |name: &str, value: &'static [u8]| Header {
            name: name.into(),
            value: Bytes::from_static(value),
        };
        written.push(NewRecord {
            headers: vec![header("a", b"1"), header("b", b""), header("a", b"\xff\0")],
            ..record(Some("key"), "with headers")
        });
    }
    if can.null_key {
        written.push(record(None, "without key"));
    }
    if can.null_value {
        written.push(NewRecord {
            value: None,
            ..record(Some("key"), "")
        });
    }
    let sent = send(&*backend, written.clone()).await;
    for (written, sent) in written.iter().zip(&sent) {
        let records = read_lane(&*backend, &sent.lane).await;
        let read = records
            .iter()
            .find(|record| record.position == sent.position)
            .unwrap();
        assert_eq!(read.lane, sent.lane);
        assert!(read.key == written.key, "a key came back changed");
        assert!(read.value == written.value, "a value came back changed");
        assert!(read.headers == written.headers, "headers came back changed");
        if let Some(time) = written.timestamp {
            assert_eq!(read.timestamp, Some(time));
        } else {
            assert!(
                read.timestamp.is_some(),
                "the log stamps what brings no time"
            );
        }
    }
    assert_eq!(backend.topics().await.unwrap(), [TOPIC]);
    let count: u64 = backend
        .lanes(TOPIC)
        .await
        .unwrap()
        .iter()
        .map(|extent| extent.count.unwrap_or(0))
        .sum();
    assert!(count == 0 || count == written.len() as u64);
}

async fn results_are_in_order_and_keys_stay_in_order(harness: impl Harness) {
    let backend = harness.backend();
    let sink = backend.sink(TOPIC).await.unwrap();
    // Handed over one after the other and awaited together.
    let batches: Vec<_> = (0..40)
        .map(|batch| {
            let records = (0..25)
                .map(|n| record(Some(&format!("key {}", n % 7)), format!("{batch}.{n}")))
                .collect();
            sink.send(records)
        })
        .collect();
    let results = soon("all sends", futures_util::future::join_all(batches)).await;
    soon("a flush", sink.flush()).await.unwrap();
    let mut by_key: BTreeMap<usize, Vec<(Sent, String)>> = BTreeMap::new();
    for (batch, results) in results.into_iter().enumerate() {
        for (n, result) in results.into_iter().enumerate() {
            by_key
                .entry(n % 7)
                .or_default()
                .push((result.unwrap(), format!("{batch}.{n}")));
        }
    }
    for sent in by_key.values() {
        let lane = &sent[0].0.lane;
        assert!(
            sent.iter().all(|(sent, _)| sent.lane == *lane),
            "a key lies in one lane"
        );
        assert!(
            sent.is_sorted_by(|(a, _), (b, _)| a.position < b.position),
            "the records of a key are not in the order in which they were handed over"
        );
        let records = read_lane(&*backend, lane).await;
        assert!(records.is_sorted_by(|a, b| a.position < b.position));
        for (sent, value) in sent {
            let read = records
                .iter()
                .find(|record| record.position == sent.position)
                .unwrap();
            assert_eq!(
                read.value.as_deref(),
                Some(value.as_bytes()),
                "a result names another record"
            );
        }
    }
    let lanes = lanes(&*backend).await;
    assert!(
        lanes.len() >= 2,
        "the suite wants topics of two lanes or more"
    );
    if backend.capabilities().null_key {
        let spread = (0..40).map(|n| record(None, n.to_string())).collect();
        let used: BTreeSet<LaneId> = send(&*backend, spread)
            .await
            .into_iter()
            .map(|sent| sent.lane)
            .collect();
        assert!(used.len() > 1, "records without key do not spread");
    }
}

async fn a_dropped_send_is_still_written(harness: impl Harness) {
    let backend = harness.backend();
    let sink = backend.sink(TOPIC).await.unwrap();
    drop(sink.send(vec![record(Some("one"), "0")]));
    let sent = soon("a send", sink.send(vec![record(Some("one"), "1")])).await;
    let lane = sent.into_iter().next().unwrap().unwrap().lane;
    assert_eq!(values(&read_lane(&*backend, &lane).await), numbers(0..2));
}

async fn nothing_is_fetched_without_demand(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 10).await;
    let mut reader = open(&*backend, &lane, &Cursor::Start).await;
    let mut fetch =
        async |records, bytes| match reader.fetch(Budget { records, bytes }).await.unwrap() {
            Fetched::Records(fetch) => fetch,
            _ => panic!("a lane with records has records"),
        };
    let three = fetch(3, PLENTY.bytes).await;
    assert_eq!(values(&three.records), numbers(0..3));
    assert_eq!(three.through.as_ref(), Some(&positions[2]));
    assert!(!three.at_end);
    // Each record holds four bytes: the key's three and one digit.
    let two = fetch(100, 8).await;
    assert_eq!(values(&two.records), numbers(3..5));
    assert!(!two.at_end);
    let one = fetch(100, 1).await;
    assert_eq!(
        values(&one.records),
        numbers(5..6),
        "a record over the budget comes alone"
    );
    let rest = fetch(100, PLENTY.bytes).await;
    assert_eq!(values(&rest.records), numbers(6..10));
    let none = fetch(100, PLENTY.bytes).await;
    assert!(none.records.is_empty() && none.at_end);
}

async fn a_reader_waits_for_records_and_wakes(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, _) = send_to_one_lane(&*backend, 2).await;
    let mut reader = open(&*backend, &lane, &Cursor::Start).await;
    // Futures that are dropped before they end take nothing with them.
    for _ in 0..5 {
        if reader.fetch(PLENTY).now_or_never().is_some() {
            // It ended at once, and what it returned is gone with it: from the start again.
            reader = open(&*backend, &lane, &Cursor::Start).await;
        }
    }
    assert_eq!(values(&read_all(&mut *reader).await), numbers(0..2));
    for _ in 0..3 {
        assert!(
            reader.ready().now_or_never().is_none(),
            "at the end there is nothing to be ready for"
        );
    }
    let waiting = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            reader.ready().await.unwrap();
            seen.extend(read_all(&mut *reader).await);
        }
        values(&seen)
    });
    for n in 0..20 {
        send(&*backend, vec![record(Some("one"), n.to_string())]).await;
    }
    assert_eq!(
        soon("the reader sees all records", waiting).await.unwrap(),
        numbers(0..20)
    );
}

async fn reading_resumes_where_a_cursor_says(mut harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 5).await;
    let latest = backend.resolve(&lane, &Start::Latest).await.unwrap();
    let earliest = backend.resolve(&lane, &Start::Earliest).await.unwrap();
    drop(backend);
    harness.restart().await;

    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let text = |cursor: &Cursor| cursor.to_string().parse::<Cursor>().unwrap();
    for (cursor, expected) in [
        (Cursor::Start, vec!["0", "1", "2", "3", "4", "0"]),
        (text(&earliest), vec!["0", "1", "2", "3", "4", "0"]),
        (Cursor::After(positions[2].clone()), vec!["3", "4", "0"]),
        (text(&latest), vec!["0"]),
    ] {
        let mut reader = open(&*backend, &lane, &cursor).await;
        assert_eq!(values(&read_all(&mut *reader).await), expected, "{cursor}");
    }
    if backend.capabilities().time_seek {
        let at = |second| Timestamp::from_second(second).unwrap();
        let written = (0..3)
            .map(|n| NewRecord {
                timestamp: Some(at(4_000_000_000 + n * 10)),
                ..record(Some("one"), format!("at {n}"))
            })
            .collect();
        send(&*backend, written).await;
        for (second, expected) in [(4_000_000_005, &["at 1", "at 2"][..]), (4_000_000_021, &[])] {
            let cursor = backend
                .resolve(&lane, &Start::At(at(second)))
                .await
                .unwrap();
            for cursor in [cursor, Cursor::At(at(second))] {
                let mut reader = open(&*backend, &lane, &cursor).await;
                assert_eq!(values(&read_all(&mut *reader).await), expected, "{cursor}");
            }
        }
    }
}

async fn retention_that_passed_a_cursor_is_an_incident(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 10).await;
    let mut running = open(&*backend, &lane, &Cursor::After(positions[1].clone())).await;
    match backend
        .trim(TOPIC, &Before::Position(positions[6].clone()))
        .await
    {
        Ok(removed) => assert_eq!(removed, 6),
        // It keeps its own retention, and its own tests.
        Err(error) => return assert!(!error.is_retriable(), "{error}"),
    }
    for (cursor, missing) in [
        (Cursor::Start, 6),
        (Cursor::After(positions[1].clone()), 4),
        (Cursor::After(positions[4].clone()), 1),
    ] {
        let gap = gap(backend.read(&lane, &cursor).await.unwrap());
        assert_eq!(gap.kind, GapKind::Expired, "{cursor}");
        assert_eq!(gap.first.as_ref(), Some(&positions[6]));
        assert_eq!(gap.last.as_ref(), Some(&positions[9]));
        assert!(
            gap.missing.is_none_or(|counted| counted == missing),
            "{cursor}: {gap:?}"
        );
    }
    let mut rest = open(&*backend, &lane, &Cursor::After(positions[5].clone())).await;
    assert_eq!(values(&read_all(&mut *rest).await), numbers(6..10));
    let earliest = backend.resolve(&lane, &Start::Earliest).await.unwrap();
    let mut rest = open(&*backend, &lane, &earliest).await;
    assert_eq!(values(&read_all(&mut *rest).await), numbers(6..10));
    match running.fetch(PLENTY).await.unwrap() {
        Fetched::OutOfRange(gap) => assert_eq!(gap.kind, GapKind::Expired),
        _ => panic!("a reader went past records that were removed under it"),
    }
    // Everything goes, and the positions go on.
    let far = Before::Time(Timestamp::MAX);
    assert_eq!(backend.trim(TOPIC, &far).await.unwrap(), 4);
    let gap = gap(backend.read(&lane, &Cursor::Start).await.unwrap());
    assert_eq!(
        (gap.kind, gap.first, gap.last),
        (GapKind::Expired, None, None)
    );
    let (_, more) = send_to_one_lane(&*backend, 1).await;
    assert!(more[0] > positions[9]);
}

async fn a_cursor_beyond_the_end_is_an_incident(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 4).await;
    let at_end = Cursor::After(positions[3].clone());
    let mut running = open(&*backend, &lane, &at_end).await;
    if !harness.truncate(&lane, &positions[2]).await {
        return;
    }
    let gap = gap(backend.read(&lane, &at_end).await.unwrap());
    assert_eq!(gap.kind, GapKind::Truncated);
    assert_eq!(gap.last.as_ref(), Some(&positions[1]));
    match running.fetch(PLENTY).await.unwrap() {
        Fetched::OutOfRange(gap) => assert_eq!(gap.kind, GapKind::Truncated),
        _ => panic!("a reader did not notice that the log lost its tail"),
    }
}

async fn a_topic_made_anew_is_another_incarnation(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, _) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("all lanes are assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let before = member.lanes[&lane].incarnation.clone();
    let mut old = reader(member.source.open(&lane, &Cursor::Start).await.unwrap());

    harness.delete(TOPIC).await;
    match old.fetch(PLENTY).await.unwrap() {
        Fetched::OutOfRange(gap) => assert_eq!(gap.kind, GapKind::Deleted),
        _ => panic!("a topic that was deleted is still read"),
    }
    let (same, _) = send_to_one_lane(&*backend, 1).await;
    assert_eq!(same, lane);
    match old.fetch(PLENTY).await.unwrap() {
        Fetched::OutOfRange(gap) => assert_eq!(gap.kind, GapKind::Recreated),
        _ => panic!("a reader of the old topic reads the new one"),
    }
    member
        .until("the lane is assigned as another incarnation", |member| {
            member
                .lanes
                .get(&lane)
                .is_some_and(|lane| lane.incarnation != before)
        })
        .await;
    let mut new = reader(member.source.open(&lane, &Cursor::Start).await.unwrap());
    assert_eq!(values(&read_all(&mut *new).await), numbers(0..1));
}

async fn a_cancelled_event_is_not_lost(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await;
    let mut member = Member::join(&*backend).await;
    // Dropped after a poll or two, again and again, until one ends.
    soon("all lanes are assigned", async {
        while member.lanes.len() < all.len() {
            let event = member.event();
            tokio::select! {
                biased;
                () = event => {}
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
}

async fn members_share_lanes_and_hand_them_over(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await.len();
    let mut first = Member::join(&*backend).await;
    first
        .until("the first member has all lanes", |member| {
            member.lanes.len() == all
        })
        .await;

    let mut second = Member::join(&*backend).await;
    soon("the second member asks for lanes", async {
        tokio::select! {
            () = async { loop { second.event().await } } => {}
            () = first.until("the first member gives notice", |first| first.revoking.len() == all / 2) => {}
        }
    })
    .await;
    assert!(
        second.lanes.is_empty(),
        "a lane was handed over that was not released"
    );
    for lane in &first.revoking {
        assert!(
            matches!(
                second.source.open(lane, &Cursor::Start).await.unwrap(),
                Opened::NotOurs
            ),
            "a lane can be opened that is not ours"
        );
        // Until it is released it is read on, to drain.
        reader(first.source.open(lane, &Cursor::Start).await.unwrap());
    }
    let given: BTreeSet<LaneId> = first.revoking.clone();
    first.release_revoked().await;
    second
        .until("the second member has what the first released", |second| {
            given.iter().all(|lane| second.lanes.contains_key(lane))
        })
        .await;
    for lane in &given {
        assert!(matches!(
            first.source.open(lane, &Cursor::Start).await.unwrap(),
            Opened::NotOurs
        ));
        reader(second.source.open(lane, &Cursor::Start).await.unwrap());
    }
    assert_eq!(first.lanes.len() + second.lanes.len(), all);

    // Whoever leaves in good order leaves its lanes to the others at once.
    second.leave().await;
    first
        .until("the first member has all lanes again", |member| {
            member.lanes.len() == all
        })
        .await;
}

async fn a_dead_member_leaves_its_lanes_to_others(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await.len();
    let mut dying = Member::join(&*backend).await;
    dying
        .until("the first member has all lanes", |member| {
            member.lanes.len() == all
        })
        .await;
    let mut heir = Member::join(&*backend).await;
    drop(dying);
    heir.until("the other member has all lanes", |member| {
        member.lanes.len() == all
    })
    .await;
}

async fn a_member_without_lanes_knows_that_it_joined(harness: impl Harness) {
    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let all = lanes(&*backend).await.len();
    let mut members = Vec::new();
    for _ in 0..=all {
        members.push(Member::join(&*backend).await);
    }
    soon("each lane is somebody's, and who has none knows", async {
        loop {
            let assigned: usize = members.iter().map(|member| member.lanes.len()).sum();
            let idle = members.iter().filter(|member| member.lanes.is_empty());
            let (idle, told): (Vec<_>, Vec<_>) =
                idle.map(|member| ((), member.said_joined)).unzip();
            if assigned == all && idle.len() == 1 && told == [true] {
                return;
            }
            for member in &mut members {
                let _ = tokio::time::timeout(Duration::from_millis(10), member.event()).await;
                member.release_revoked().await;
            }
        }
    })
    .await;
}

async fn positions_are_kept_for_the_group(mut harness: impl Harness) {
    let backend = harness.backend();
    if !backend.capabilities().broker_cursors {
        return;
    }
    let (lane, positions) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    assert_eq!(member.source.committed(&lane).await.unwrap(), None);
    let cursor = Cursor::After(positions[1].clone());
    member
        .source
        .save(vec![(lane.clone(), cursor.clone())])
        .await
        .unwrap();
    let incarnation = member.lanes[&lane].incarnation.clone();
    member.leave().await;
    drop(backend);
    harness.restart().await;

    let backend = harness.backend();
    assert_eq!(
        backend.saved(GROUP).await.unwrap(),
        [(lane.clone(), cursor.clone())]
    );
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let committed = member.source.committed(&lane).await.unwrap().unwrap();
    assert_eq!(committed.cursor, cursor);
    assert!(
        committed
            .incarnation
            .is_none_or(|stored| stored == incarnation)
    );
    let mut rest = reader(member.source.open(&lane, &committed.cursor).await.unwrap());
    assert_eq!(values(&read_all(&mut *rest).await), numbers(2..3));

    // What is released is another's to save.
    member.source.release(&lane).await.unwrap();
    let late = vec![(lane.clone(), Cursor::After(positions[2].clone()))];
    let refused = member.source.save(late).await.unwrap_err();
    assert!(refused.is_fenced(), "{refused}");
    assert_eq!(backend.saved(GROUP).await.unwrap(), [(lane, cursor)]);
}

async fn a_lost_lane_is_fenced(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let before = vec![(lane.clone(), Cursor::After(positions[0].clone()))];
    let after = vec![(lane.clone(), Cursor::After(positions[1].clone()))];
    let saves = backend.capabilities().broker_cursors;
    if saves {
        member.source.save(before.clone()).await.unwrap();
    }

    harness.expire(GROUP, &lane).await;
    if saves {
        let refused = member.source.save(after.clone()).await.unwrap_err();
        assert!(refused.is_fenced(), "{refused}");
        assert_eq!(
            backend.saved(GROUP).await.unwrap(),
            before,
            "a fenced write went through"
        );
    }
    member
        .until("the loss is noticed", |member| {
            !member.lanes.contains_key(&lane)
        })
        .await;
    // Alone in its group it gets the lane anew, as a new claim.
    member
        .until("the lane is assigned anew", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    if saves {
        member.source.save(after.clone()).await.unwrap();
        assert_eq!(backend.saved(GROUP).await.unwrap(), after);
    }
}

async fn positions_of_a_living_group_are_not_reset(harness: impl Harness) {
    let backend = harness.backend();
    if !backend.capabilities().broker_cursors {
        return;
    }
    let (lane, positions) = send_to_one_lane(&*backend, 3).await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the lane is assigned", |member| {
            member.lanes.contains_key(&lane)
        })
        .await;
    let cursors = vec![(lane.clone(), Cursor::After(positions[1].clone()))];
    assert!(
        backend.reset(GROUP, cursors.clone()).await.is_err(),
        "a living group was reset"
    );
    assert!(backend.saved(GROUP).await.unwrap().is_empty());
    member.leave().await;
    backend.reset(GROUP, cursors.clone()).await.unwrap();
    assert_eq!(backend.saved(GROUP).await.unwrap(), cursors);
}

async fn children_wait_until_their_parent_is_finished(harness: impl Harness) {
    let backend = harness.backend();
    let (parent, _) = send_to_one_lane(&*backend, 3).await;
    let children = harness.split(&parent).await;
    if children.is_empty() {
        return;
    }
    let old = lanes(&*backend).await.len() - children.len();
    let (child, _) = send_to_one_lane(&*backend, 2).await;
    assert!(
        children.contains(&child),
        "what is sent after a split is in a child"
    );

    let mut member = Member::join(&*backend).await;
    member
        .until("all lanes but the children are assigned", |member| {
            member.lanes.len() == old
        })
        .await;
    assert!(
        children
            .iter()
            .all(|child| !member.lanes.contains_key(child))
    );
    let mut reader = reader(member.source.open(&parent, &Cursor::Start).await.unwrap());
    assert_eq!(values(&read_all(&mut *reader).await), numbers(0..3));
    assert!(matches!(
        reader.fetch(PLENTY).await.unwrap(),
        Fetched::Ended
    ));

    // Settled by nobody yet: another member gets the parent again, and no child.
    member.leave().await;
    let mut member = Member::join(&*backend).await;
    member
        .until("the parent is assigned again", |member| {
            member.lanes.len() == old
        })
        .await;
    assert!(member.lanes.contains_key(&parent));
    member.source.finish(&parent).await.unwrap();
    member.lanes.remove(&parent);
    member
        .until("the children are assigned", |member| {
            children
                .iter()
                .all(|child| member.lanes.contains_key(child))
        })
        .await;
    assert!(
        !member.lanes.contains_key(&parent),
        "a finished lane was assigned"
    );
    // Its position is that of a lane that has ended: opened so, it has no record.
    let mut closed = open(&*backend, &parent, &Cursor::Closed).await;
    assert!(matches!(
        closed.fetch(PLENTY).await.unwrap(),
        Fetched::Ended
    ));
}
