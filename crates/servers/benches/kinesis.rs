//! What does PutRecords save where order is kept? 20,000 messages of 10,000 keys over round trips of 5 ms, against a
//! PutRecord for each message, which is how order is kept by hand.
//!
//! The server is in this process and waits as long as a network would; its CPU time counts for both.

#[path = "../../../benches/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use aws_sdk_kinesis::primitives::Blob;
use logpipe::kinesis::Settings;
use logpipe::types::Uuid;
use logpipe::{Format, Log, envelope};
use logpipe_servers::faulty::{Kinesis, REGION};
use nouns::place::v1::Place;
use support::{Contest, is_test, scratch};
use tokio::runtime::Runtime;

const ROUNDS: usize = 5;
const STREAM: &str = "places";
const SHARDS: i32 = 4;
const KEYS: usize = 10_000;
/// Messages of one round, by PutRecords.
const TOGETHER: usize = 20_000;
/// The same, by PutRecord.
const ALONE: usize = 200;
const ROUND_TRIP: Duration = Duration::from_millis(5);

fn main() {
    if is_test() {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let folder = scratch("kinesis");
    let server = runtime.block_on(Kinesis::start()).expect("a server");
    let admin = server.admin();
    runtime.block_on(admin.create(STREAM, SHARDS));
    server.faults().round_trip(ROUND_TRIP);
    let settings = Settings::new()
        .region(REGION)
        .endpoint_url(server.endpoint())
        .credentials("test", "test")
        .leases(folder.path().join("leases.db"));
    let producer = runtime.block_on(async {
        let log = Log::kinesis(settings).await.expect("a log");
        log.producer(STREAM).await.expect("the stream")
    });
    let places = places();

    let [figures] = Contest::new()
        .leg("a PutRecord for each message", || {
            let start = Instant::now();
            runtime.block_on(async {
                for place in &places[..ALONE] {
                    let value = envelope::seal(Format::Json, place, "").expect("valid");
                    let put = admin.client().put_record().stream_name(STREAM);
                    let put = put.partition_key(place.uuid.to_string());
                    put.data(Blob::new(value)).send().await.expect("written");
                }
            });
            [start.elapsed().as_secs_f64() * 1e6 / ALONE as f64]
        })
        .leg("logpipe, send_all in the order of keys", || {
            let start = Instant::now();
            let sent = runtime.block_on(producer.send_all(&places));
            assert_eq!(sent.expect("written").len(), TOGETHER);
            [start.elapsed().as_secs_f64() * 1e6 / TOGETHER as f64]
        })
        .run(ROUNDS);
    let title = format!("Writing to Kinesis, {KEYS} keys, round trips of {ROUND_TRIP:?}");
    figures.print("kinesis", &title, "us", 0);
}

fn places() -> Vec<Place> {
    let keys: Vec<Uuid> = (0..KEYS).map(|_| Uuid::new_v4()).collect();
    let place = |&uuid: &Uuid| Place {
        uuid,
        name: "Greenwich".to_owned(),
        latitude: 51.4779,
        longitude: -0.0015,
    };
    keys.iter().cycle().take(TOGETHER).map(place).collect()
}
