//! What do idle topics cost the busy one beside them? Messages per CPU second of one topic with 20 that are quiet, against
//! the same topic alone; each leg in a process of its own.

mod support;

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use logpipe::types::Uuid;
use logpipe::{Consumer, Cx, Log, Policy, Service};
use nouns::place::v1::Place;
use support::{Contest, child, is_test, leg, number, own_cpu, scratch};
use tokio::runtime::Runtime;

const ROUNDS: usize = 9;
const BUSY: &str = "busy";

fn main() {
    if is_test() {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    if let Some(words) = leg() {
        let [folder, group, idle, records] = &words[..] else {
            panic!("a leg is a folder, a group, a number of idle topics and one of records");
        };
        let number = |word: &String| word.parse().expect("a number");
        let leg = consume(folder.as_ref(), group, number(idle), number(records));
        println!("{}", runtime.block_on(leg));
        return;
    }
    let idle = number("--idle", 20);
    let records = number("--records", 300_000);
    let folder = scratch("idle");
    runtime.block_on(fill(folder.path(), idle, records));
    let folder = folder.path().display().to_string();
    let mut round = 0;
    let run = RefCell::new(move |idle: usize| {
        round += 1;
        let group = format!("group-{round}");
        child(&[&folder, &group, &idle.to_string(), &records.to_string()])
    });
    let [figures] = Contest::new()
        .leg("alone", || (run.borrow_mut())(0))
        .leg(format!("beside {idle} idle topics"), || {
            (run.borrow_mut())(idle)
        })
        .run(ROUNDS);
    let title = format!("CPU of consuming {records} records from the local log");
    figures.print("idle", &title, "us", 0);
}

fn topics(idle: usize) -> Vec<String> {
    let idle = (0..idle).map(|index| format!("idle-{index}"));
    idle.chain([BUSY.to_owned()]).collect()
}

async fn fill(folder: &Path, idle: usize, records: usize) {
    let log = Log::local(folder).await.expect("a log");
    let place = |_| Place {
        uuid: Uuid::new_v4(),
        name: "Greenwich".to_owned(),
        latitude: 51.4779,
        longitude: -0.0015,
    };
    let places: Vec<Place> = (0..records).map(place).collect();
    for topic in topics(idle) {
        let producer = log.producer(&topic).await.expect("a topic");
        if topic == BUSY {
            producer.send_all(&places).await.expect("durable");
        }
    }
}

/// Microseconds of CPU for each record behind the first quarter, by when all lanes have started, up to the last, before
/// they are given back.
async fn consume(folder: &Path, group: &str, idle: usize, records: usize) -> f64 {
    let log = Log::local(folder).await.expect("a log");
    let seen = Arc::new(Seen {
        first: records / 4,
        last: records,
        ..Seen::default()
    });
    let consumer = Consumer::new(log.source(topics(idle)))
        .group(group)
        .dead_letter("dead")
        .on_failed(Policy::Stop)
        .stop_after(records as u64)
        .on_with(
            seen.clone(),
            async |seen: &Arc<Seen>, _: Place, _: &mut Cx| {
                seen.one();
                Ok(())
            },
        );
    let outcome = Service::new().with(consumer).run().await.expect("no stop");
    assert_eq!(outcome.handled, records as u64);
    let [from, to] = [&seen.from, &seen.to].map(|cpu| cpu.get().expect("it came by"));
    (to - from) * 1e6 / (records - records / 4) as f64
}

/// CPU time at two of the records.
#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    first: usize,
    last: usize,
    from: OnceLock<f64>,
    to: OnceLock<f64>,
}

impl Seen {
    fn one(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count == self.first {
            self.from.get_or_init(own_cpu);
        } else if count == self.last {
            self.to.get_or_init(own_cpu);
        }
    }
}
