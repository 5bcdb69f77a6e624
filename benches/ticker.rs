//! How long do statements and commits of SQLite hold up everything else on the run time?
//!
//! A task that wants to run each millisecond beside a consumer: how late it is. On one thread a blocked consumer blocks it
//! at once; on two threads it takes two files, for the other thread hides one. There the opponent is two threads that only
//! use the processor: two busy cores make anybody late.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::{Connection, params};
use logpipe::types::Uuid;
use logpipe::{Consumer, Cx, Log, Service};
use nouns::place::v1::Place;
use support::{is_test, scratch};
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 5;
const TICK: Duration = Duration::from_millis(1);
/// How long each leg is watched.
const WATCH: Duration = Duration::from_secs(4);
/// Transactions a second.
const PACE: u32 = 2_000;
/// Of a slow statement.
const SLOW: Duration = Duration::from_secs(2);

/// What runs beside the ticker.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    /// Threads that use the processor.
    Busy(usize),
    /// A consumer that commits a transaction a record.
    Commits,
    /// As many consumers, each with a file of its own and a statement that takes long.
    Slow(usize),
}

fn main() {
    if is_test() {
        return;
    }
    let one = || Builder::new_current_thread().enable_all().build();
    let two = || {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(2).enable_all().build()
    };
    type Make<'a> = &'a dyn Fn() -> std::io::Result<Runtime>;
    let legs: [(&str, Make<'_>, Beside); 6] = [
        ("one thread, alone", &one, Beside::Nothing),
        (
            "one thread, 2,000 transactions a second",
            &one,
            Beside::Commits,
        ),
        ("one thread, statements of 2 s", &one, Beside::Slow(1)),
        ("two threads, alone", &two, Beside::Nothing),
        ("two threads, two busy threads", &two, Beside::Busy(2)),
        (
            "two threads, two files, statements of 2 s",
            &two,
            Beside::Slow(2),
        ),
    ];
    let mut rounds = vec![Vec::new(); legs.len()];
    for _ in 0..ROUNDS {
        for ((_, make, beside), rounds) in legs.iter().zip(&mut rounds) {
            rounds.push(late(&make().expect("a runtime"), *beside));
        }
    }
    println!("A tick of 1 ms, how late it comes: medians of {ROUNDS} runs, milliseconds");
    println!("{:<44} {:>8} {:>8} {:>8}", "", "p50", "p99", "longest");
    let mut lines = String::new();
    for ((name, ..), rounds) in legs.iter().zip(rounds) {
        let [p50, p99, longest] = std::array::from_fn(|which| {
            let mut figures: Vec<f64> = rounds.iter().map(|round| round[which]).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        });
        println!("{name:<44} {p50:>8.2} {p99:>8.2} {longest:>8.2}");
        lines += &format!(
            "{{\"bench\":\"ticker\",\"name\":\"{name}\",\"unit\":\"ms\",\"p50\":{p50:.3},\"p99\":{p99:.3},\"longest\":{longest:.3}}}\n"
        );
    }
    print!("{lines}");
}

/// How late the ticks are, in milliseconds: the middle, the 99th of a hundred, the longest.
fn late(runtime: &Runtime, beside: Beside) -> [f64; 3] {
    let is_over = Arc::new(AtomicBool::new(false));
    let busy = match beside {
        Beside::Busy(threads) => threads,
        _ => 0,
    };
    let busy: Vec<_> = (0..busy)
        .map(|_| {
            let is_over = is_over.clone();
            std::thread::spawn(move || while !is_over.load(Ordering::Relaxed) {})
        })
        .collect();
    let folder = scratch("ticker");
    let mut late = runtime.block_on(async {
        let consumers = match beside {
            Beside::Commits => 1,
            Beside::Slow(files) => files,
            _ => 0,
        };
        let mut services = tokio::task::JoinSet::new();
        for number in 0..consumers {
            let file = folder.path().join(format!("{number}.db"));
            services.spawn(consume(file, beside, is_over.clone()));
        }
        // On a worker, as other tasks of the program.
        let ticks = tokio::spawn(tick()).await.expect("no panic");
        is_over.store(true, Ordering::Relaxed);
        let mut handled = 0;
        while let Some(service) = services.join_next().await {
            handled += service.expect("no panic");
        }
        if let Beside::Commits = beside {
            let pace = handled as f64 / WATCH.as_secs_f64();
            eprintln!("{pace:.0} transactions a second");
        }
        ticks
    });
    busy.into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    late.sort();
    [late.len() / 2, late.len() * 99 / 100, late.len() - 1]
        .map(|index| late[index].as_secs_f64() * 1e3)
}

async fn tick() -> Vec<Duration> {
    let mut late = Vec::new();
    let end = Instant::now() + WATCH;
    let mut due = Instant::now() + TICK;
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        let now = Instant::now();
        late.push(now - due);
        // What is missed is not caught up on, which would count one delay many times.
        due = now + TICK;
    }
    late
}

/// Handles records, each in a transaction of its own, until the end of the watch; returns how many.
async fn consume(file: std::path::PathBuf, beside: Beside, is_over: Arc<AtomicBool>) -> u64 {
    let store = Sqlite::open(&file).await.expect("a store");
    let table = "create table places (uuid text primary key, name text)";
    let made = Connection::open(&file).and_then(|file| file.execute_batch(table));
    made.expect("a table");
    let log = Log::memory();
    let producer = log.producer("places").await.expect("a topic");
    let consumer = Consumer::with_store(log.source("places"), store)
        .group("ticker")
        .set(|settings| {
            settings.run = 1;
            settings.attempt_deadline_ms = SLOW.as_millis() as u64;
            settings.retry.attempts = 1;
        })
        .on_with(beside, async |beside: &Beside, place: Place, cx: &mut Cx<Sqlite>| {
            if let Beside::Slow(_) = beside {
                // Ends with the attempt's deadline.
                let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
                cx.tx().query_row(endless, [], |_| Ok(()))?;
            }
            let upsert = "insert into places values (?1, ?2) on conflict do update set name = excluded.name";
            cx.tx().execute(upsert, params![place.uuid.to_string(), place.name])?;
            Ok(())
        });
    let over = is_over.clone();
    let sending = tokio::spawn(async move {
        let mut number = 0_u64;
        let start = Instant::now();
        while !over.load(Ordering::Relaxed) {
            // In steps of ten milliseconds, so that sending itself is not in the way.
            let due = start.elapsed().as_millis() as u64 * u64::from(PACE) / 1_000;
            let places: Vec<Place> = (number..due).map(place).collect();
            number = due;
            producer.send_all(&places).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let stop = async move {
        while !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = Service::new().with(consumer).run_until(stop).await;
    sending.await.expect("no panic");
    outcome.expect("no stop").handled
}

fn place(number: u64) -> Place {
    Place {
        uuid: Uuid::from_u128(u128::from(number % 100)),
        name: number.to_string(),
        latitude: 0.0,
        longitude: 0.0,
    }
}
