//! What does exactly once into SQLite cost on the embedded default, over the bare driver? And what do sends cost together,
//! against awaited ones?
//!
//! All legs that write use one file, one set of keys and one table, and every upsert changes its row: SQLite does not write
//! a page whose bytes are the same, and a table that grows costs more than one that does not.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::{self, CachedStatement, Connection, params};
use logpipe::types::{Email, Uuid};
use logpipe::{Consumer, Cx, Error, Format, Log, Message, Producer, Service, Store, envelope};
use nouns::person::{self, v2::Person};
use support::{Contest, is_test, number, own_cpu, scratch};
use tokio::runtime::Runtime;

const ROUNDS: usize = 7;
const AWAITED: usize = 300;
const TOGETHER: usize = 20_000;
/// Records of the topic that is consumed, and their keys.
const RECORDS: usize = 100_000;
const KEYS: usize = 1_000;
/// Records of a transaction, as `consumer.run` has it.
const RUN: usize = 128;

fn main() {
    if is_test() {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let folder = scratch("local");
    println!("on {}\n", support::file_system(folder.path()));
    let log = runtime.block_on(Log::local(folder.path())).expect("a log");
    let rounds = number("--rounds", ROUNDS);

    let sends = people(TOGETHER, TOGETHER);
    let producer = runtime.block_on(log.producer("sends")).expect("a topic");
    let [cpu, wall] = Contest::new()
        .leg("awaited sends", || {
            runtime.block_on(awaited(&producer, &sends[..AWAITED]))
        })
        .leg("send_all", || runtime.block_on(together(&producer, &sends)))
        .run(rounds);
    wall.print("local", "Sending to the local log", "us", 0);
    cpu.print("local", "The same in CPU", "us CPU", 0);

    let people = people(RECORDS, KEYS);
    let producer = runtime.block_on(log.producer("people")).expect("a topic");
    runtime.block_on(together(&producer, &people));
    let effects = Effects::create(&runtime, log, folder.path().join("effects.db"));
    let sealed: Vec<_> = people
        .iter()
        .map(|person| envelope::seal(Format::Json, person, "bench").expect("valid"))
        .collect();
    let [cpu, wall] = Contest::new()
        .leg("bare rusqlite", || effects.bare(&people, Person::clone))
        .leg("bare rusqlite, decode", || {
            effects.bare(&sealed, |value| {
                let envelope = envelope::open(Some(value)).expect("an envelope");
                envelope.body.decode().expect("a person")
            })
        })
        .leg("logpipe, single messages", || effects.single())
        .leg("logpipe, batch", || effects.batch())
        .leg("logpipe, 1% failing", || effects.failing())
        .leg("consume, no store", || effects.without_store())
        .run(rounds);
    wall.print("local", "Consuming with SQLite effects, a record", "us", 0);
    cpu.print("local", "The same in CPU", "us CPU", 0);
}

/// People of so many keys, each time with another name.
fn people(count: usize, keys: usize) -> Vec<Person> {
    let keys: Vec<Uuid> = (0..keys).map(|_| Uuid::new_v4()).collect();
    let email: Email = "joe.schmoe@example.com".parse().expect("an email");
    let person = |number: usize| Person {
        uuid: keys[number % keys.len()],
        first_name: "Joe".to_owned(),
        last_name: format!("Schmoe {number}"),
        email: email.clone(),
    };
    (0..count).map(person).collect()
}

/// CPU and wall time, for each of so many, in microseconds.
fn each(since: (f64, Instant), count: usize) -> [f64; 2] {
    let (cpu, start) = since;
    let wall = start.elapsed().as_secs_f64();
    [own_cpu() - cpu, wall].map(|seconds| seconds * 1e6 / count as f64)
}

fn now() -> (f64, Instant) {
    (own_cpu(), Instant::now())
}

async fn awaited(producer: &Producer, people: &[Person]) -> [f64; 2] {
    let start = now();
    for person in people {
        producer.send(person).await.expect("durable");
    }
    each(start, people.len())
}

async fn together(producer: &Producer, people: &[Person]) -> [f64; 2] {
    let start = now();
    producer.send_all(people).await.expect("durable");
    each(start, people.len())
}

const UPSERT: &str = "insert into people (uuid, first_name, last_name, email) values (?, ?, ?, ?)
    on conflict (uuid) do update
    set first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email";

fn upsert(statement: &mut CachedStatement<'_>, person: &Person) -> rusqlite::Result<usize> {
    let (uuid, email) = (person.uuid.to_string(), person.email.to_string());
    statement.execute(params![uuid, person.first_name, person.last_name, email])
}

/// The file that effects and positions are written to, and the log that is consumed.
struct Effects<'r> {
    runtime: &'r Runtime,
    log: Log,
    store: Sqlite,
    groups: AtomicUsize,
}

/// What the handlers of a leg saw: when its first record came, and its last.
#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    first: std::sync::OnceLock<(f64, Instant)>,
    cost: std::sync::OnceLock<[f64; 2]>,
}

impl Seen {
    /// From the first record to the last, so that joining the group does not count.
    fn see(&self, records: usize) {
        let seen = self.count.fetch_add(records, Ordering::Relaxed) + records;
        let first = self.first.get_or_init(now);
        if seen == RECORDS {
            self.cost.get_or_init(|| each(*first, RECORDS));
        }
    }
}

impl<'r> Effects<'r> {
    fn create(runtime: &'r Runtime, log: Log, file: std::path::PathBuf) -> Self {
        let store = runtime.block_on(Sqlite::open(file)).expect("a store");
        let table = "create table people (uuid text primary key, first_name text, last_name text, email text)";
        let bare = Connection::open(store.path()).expect("the file");
        bare.execute_batch(table).expect("a table");
        Self {
            runtime,
            log,
            store,
            groups: AtomicUsize::new(0),
        }
    }

    /// Without log, position, fence, savepoint and retry.
    fn bare<T>(&self, records: &[T], decode: impl Fn(&T) -> Person) -> [f64; 2] {
        let file = Connection::open(self.store.path()).expect("the file");
        file.pragma_update(None, "synchronous", "FULL")
            .expect("a pragma");
        let start = now();
        for run in records.chunks(RUN) {
            let tx = file.unchecked_transaction().expect("a transaction");
            for record in run {
                let mut statement = tx.prepare_cached(UPSERT).expect("a statement");
                upsert(&mut statement, &decode(record)).expect("an upsert");
            }
            tx.commit().expect("a commit");
        }
        each(start, records.len())
    }

    /// One call, and one savepoint, for each message.
    fn single(&self) -> [f64; 2] {
        let consumer = self.with_store();
        self.consume(|seen| {
            consumer.on_with(
                seen,
                async |seen: &Arc<Seen>, person: Person, cx: &mut Cx<Sqlite>| {
                    seen.see(1);
                    upsert(&mut cx.tx().prepare(UPSERT)?, &person)?;
                    Ok(())
                },
            )
        })
    }

    /// The same statement for each message of a batch.
    fn batch(&self) -> [f64; 2] {
        let consumer = self.with_store();
        self.consume(|seen| {
            consumer.on_batch_with(
                seen,
                async |seen: &Arc<Seen>, people, cx: &mut Cx<Sqlite>| {
                    seen.see(people.len());
                    let mut statement = cx.tx().prepare(UPSERT)?;
                    for person in people.iter() {
                        upsert(&mut statement, person)?;
                    }
                    Ok(())
                },
            )
        })
    }

    /// As single messages; one of a hundred fails at its first attempt, behind its write.
    fn failing(&self) -> [f64; 2] {
        let consumer = self
            .with_store()
            .set(|settings| settings.retry.first_delay_ms = 0);
        self.consume(|seen| {
            consumer.on_with(
                seen,
                async |seen: &Arc<Seen>, person: Person, cx: &mut Cx<Sqlite>| {
                    upsert(&mut cx.tx().prepare(UPSERT)?, &person)?;
                    if cx.attempt() == 1 && person.last_name.ends_with("00") {
                        return Err(Error::msg("the first time"));
                    }
                    seen.see(1);
                    Ok(())
                },
            )
        })
    }

    /// Positions in the log, no effects.
    fn without_store(&self) -> [f64; 2] {
        let consumer = Consumer::new(self.log.source("people")).dead_letter("dead");
        self.consume(|seen| {
            consumer.on_with(
                seen,
                async |seen: &Arc<Seen>, person: Person, _: &mut Cx| {
                    seen.see(1);
                    std::hint::black_box(person);
                    Ok(())
                },
            )
        })
    }

    fn with_store(&self) -> Consumer<Sqlite> {
        Consumer::with_store(self.log.source("people"), self.store.clone())
            .set(|settings| settings.run = RUN)
    }

    fn consume<S: Store>(&self, register: impl FnOnce(Arc<Seen>) -> Consumer<S>) -> [f64; 2] {
        let seen = Arc::new(Seen::default());
        let group = self.groups.fetch_add(1, Ordering::Relaxed);
        // Nobody sends the older version.
        let consumer = register(seen.clone())
            .on(async |_: person::v1::Person, _: &mut Cx<S>| Ok(()))
            .group(format!("group-{group}"))
            .idle_timeout(Duration::from_millis(200));
        let service = Service::new().with(consumer);
        let outcome = self.runtime.block_on(service.run()).expect("no stop");
        assert_eq!(outcome.handled, RECORDS as u64, "{}", Person::TYPE);
        *seen.cost.get().expect("all were seen")
    }
}
