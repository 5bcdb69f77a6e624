//! What holds on Kinesis: on the server in this process, with faults, and on the npm server that `cargo xtask test` fetches.
//!
//! * `contract`: the suite that every log has to pass
//! * `reads`: expired iterators, throttling, pace, pages, the latest record
//! * `writes`: refusals in the middle of a request, answers that are lost, what can't be sent
//! * `gaps`: retention, shards that are gone, permission that is withdrawn
//! * `dead_letters`: what can't be handled, on a log without headers
//! * `faults`: all of them at once, over a producer and a consumer
//! * `processes`: killed, and told to end, between a shard and its children
//! * `resharding`: splits and merges under load
//! * `ends`: idle, after so many records, on a signal, with a rebalance in the middle

mod contract;
mod dead_letters;
mod effects;
mod ends;
mod faults;
mod gaps;
mod processes;
mod reads;
mod resharding;
#[path = "../support/mod.rs"]
mod shared;
mod writes;

use std::time::Duration;

use bytes::Bytes;
use logpipe::kinesis::{Kinesis, Settings};
use logpipe::record::{Cursor, LaneId, Record};
use logpipe::sink::NewRecord;
use logpipe::source::{Backend, Budget, Event, Fetched, Join, LaneReader, Opened, Source};
use logpipe_servers::faulty::{self, REGION};
use tempfile::TempDir;

const STREAM: &str = "nouns";

const GROUP: &str = "readers";

const PLENTY: Budget = Budget {
    records: 10_000,
    bytes: 64 << 20,
};

/// A server with one stream, and a log on it.
struct Bed {
    server: faulty::Kinesis,
    log: Kinesis,
    folder: TempDir,
}

impl Bed {
    async fn new(shards: i32) -> Self {
        let server = faulty::Kinesis::start().await.unwrap();
        server.admin().create(STREAM, shards).await;
        let folder = tempfile::tempdir().unwrap();
        let log = Kinesis::open(settings(&server, &folder)).await.unwrap();
        Self {
            server,
            log,
            folder,
        }
    }

    fn settings(&self) -> Settings {
        settings(&self.server, &self.folder)
    }

    async fn open(&self, lane: &LaneId, cursor: &Cursor) -> Box<dyn LaneReader> {
        match self.log.read(lane, cursor).await.unwrap() {
            Opened::Reader(reader) => reader,
            Opened::OutOfRange(gap) => panic!("the cursor is outside the shard: {gap:?}"),
            Opened::NotOurs => panic!("the shard is nobody's"),
        }
    }

    /// Sends records of one key and returns their lane.
    async fn send(
        &self,
        numbers: std::ops::Range<usize>,
    ) -> (LaneId, Vec<logpipe::record::Position>) {
        let sink = self.log.sink(STREAM).await.unwrap();
        let records = numbers.map(|n| record("one", n)).collect();
        let sent: Vec<_> = soon(sink.send(records)).await;
        let sent: Vec<_> = sent.into_iter().map(|sent| sent.unwrap()).collect();
        let lane = sent[0].lane.clone();
        (lane, sent.into_iter().map(|sent| sent.position).collect())
    }

    async fn join(&self) -> Box<dyn Source> {
        let join = Join {
            group: GROUP.into(),
            topics: vec![STREAM.into()],
            instance_id: None,
        };
        self.log.join(join).await.unwrap()
    }
}

fn settings(server: &faulty::Kinesis, folder: &TempDir) -> Settings {
    Settings::new()
        .region(REGION)
        .endpoint_url(server.endpoint())
        .credentials("test", "test")
        .leases(folder.path().join("leases.db"))
}

fn record(key: &str, number: usize) -> NewRecord {
    NewRecord {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        headers: Vec::new(),
        value: Some(number.to_string().into()),
        timestamp: None,
    }
}

fn numbers(records: &[Record]) -> Vec<usize> {
    let number = |record: &Record| {
        let value = record.value.as_deref().unwrap();
        std::str::from_utf8(value).unwrap().parse().unwrap()
    };
    records.iter().map(number).collect()
}

/// What is there, up to the end.
async fn read_all(reader: &mut dyn LaneReader) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        match soon(reader.fetch(PLENTY)).await.unwrap() {
            Fetched::Records(fetch) => {
                records.extend(fetch.records);
                if fetch.at_end {
                    return records;
                }
            }
            Fetched::Ended => return records,
            Fetched::OutOfRange(gap) => panic!("the shard went away under the reader: {gap:?}"),
        }
    }
}

/// The lanes that a member is given next.
async fn assigned(source: &dyn Source) -> Vec<logpipe::source::Assigned> {
    loop {
        if let Event::Assigned(lanes) = soon(source.event()).await.unwrap() {
            return lanes;
        }
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("it happens in time")
}
