//! What do batches save on the local log? Sends that go out together, against awaited ones; a run of records in one SQLite
//! transaction, against a transaction for each.

mod support;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logpipe::store::Sqlite;
use logpipe::store::sqlite::sqlx::{self, Connection, SqliteConnection};
use logpipe::types::Uuid;
use logpipe::{Consumer, Cx, Log, Producer, Service};
use nouns::place::v1::Place;
use support::{Contest, is_test, scratch};
use tokio::runtime::Runtime;

const ROUNDS: usize = 7;
const AWAITED: usize = 300;
const TOGETHER: usize = 20_000;
/// Records of a round that are consumed in runs, and one by one.
const IN_RUNS: usize = 20_000;
const ALONE: usize = 2_000;

fn main() {
    if is_test() {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let folder = scratch("local");
    let log = runtime.block_on(Log::local(folder.path())).expect("a log");
    let producer = runtime.block_on(log.producer("places")).expect("a topic");
    let places = places(TOGETHER);

    let [figures] = Contest::new()
        .leg("awaited sends", || {
            runtime.block_on(awaited(&producer, &places[..AWAITED]))
        })
        .leg("send_all", || {
            runtime.block_on(together(&producer, &places))
        })
        .run(ROUNDS);
    figures.print("local", "Sending to the local log", "us", 0);

    let effects = Effects {
        file: folder.path().join("effects.db").display().to_string(),
        log,
    };
    runtime.block_on(effects.create());
    let mut group = 0;
    let group = RefCell::new(|| {
        group += 1;
        format!("group-{group}")
    });
    let next = || (group.borrow_mut())();
    let [figures] = Contest::new()
        .leg("logpipe, a transaction per message", || {
            runtime.block_on(effects.consume(next(), 1, ALONE))
        })
        .leg("a bare transaction per message", || {
            runtime.block_on(effects.bare(&places[..ALONE]))
        })
        .leg("logpipe, runs of up to 128 messages", || {
            runtime.block_on(effects.consume(next(), 128, IN_RUNS))
        })
        .run(ROUNDS);
    figures.print("local", "Consuming with SQLite effects", "us", 0);
}

fn places(count: usize) -> Vec<Place> {
    let place = |_| Place {
        uuid: Uuid::new_v4(),
        name: "Greenwich".to_owned(),
        latitude: 51.4779,
        longitude: -0.0015,
    };
    (0..count).map(place).collect()
}

fn each(elapsed: Duration, count: usize) -> [f64; 1] {
    [elapsed.as_secs_f64() * 1e6 / count as f64]
}

async fn awaited(producer: &Producer, places: &[Place]) -> [f64; 1] {
    let start = Instant::now();
    for place in places {
        producer.send(place).await.expect("durable");
    }
    each(start.elapsed(), places.len())
}

async fn together(producer: &Producer, places: &[Place]) -> [f64; 1] {
    let start = Instant::now();
    producer.send_all(places).await.expect("durable");
    each(start.elapsed(), places.len())
}

/// The file that effects and positions are written to.
struct Effects {
    file: String,
    log: Log,
}

/// What a handler keeps: when it saw its first record, and its last.
type Seen = Arc<Mutex<Vec<Instant>>>;

const INSERT: &str = "insert into places (uuid, name, latitude, longitude) values (?, ?, ?, ?)";

impl Effects {
    async fn create(&self) {
        // The store makes the file, as it is when a consumer uses it.
        Sqlite::open(&self.file).await.expect("a store");
        let mut file = self.connect().await;
        for table in [
            "create table places (uuid text, name text, latitude real, longitude real)",
            "create table position (id integer primary key, cursor integer)",
            "insert into position values (1, 0)",
        ] {
            sqlx::query(table)
                .execute(&mut file)
                .await
                .expect("a table");
        }
    }

    async fn connect(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.file);
        SqliteConnection::connect(&url).await.expect("the file")
    }

    /// Effect and position in one transaction, without log, decoding, fence and retry.
    async fn bare(&self, places: &[Place]) -> [f64; 1] {
        let mut file = self.connect().await;
        let start = Instant::now();
        for place in places {
            let mut tx = file.begin().await.expect("a transaction");
            insert(place, &mut tx).await.expect("an insert");
            sqlx::query("update position set cursor = cursor + 1 where id = 1")
                .execute(&mut *tx)
                .await
                .expect("an update");
            tx.commit().await.expect("a commit");
        }
        each(start.elapsed(), places.len())
    }

    /// From the first record to the last, so that joining the group does not count.
    async fn consume(&self, group: String, run: usize, records: usize) -> [f64; 1] {
        let store = Sqlite::open(&self.file).await.expect("a store");
        let seen = Seen::default();
        let consumer = Consumer::with_store(self.log.source("places"), store)
            .group(group)
            .set(|settings| settings.run = run)
            .stop_after(records as u64)
            .on_with(
                seen.clone(),
                async |seen: &Seen, place: Place, cx: &mut Cx<Sqlite>| {
                    seen.lock().expect("not poisoned").push(Instant::now());
                    insert(&place, cx.tx()).await?;
                    Ok(())
                },
            );
        let outcome = Service::new().with(consumer).run().await.expect("no stop");
        assert_eq!(outcome.handled, records as u64);
        let seen = seen.lock().expect("not poisoned");
        each(seen[records - 1] - seen[0], records - 1)
    }
}

async fn insert(place: &Place, file: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT)
        .bind(place.uuid.to_string())
        .bind(&place.name)
        .bind(place.latitude)
        .bind(place.longitude)
        .execute(file)
        .await?;
    Ok(())
}
