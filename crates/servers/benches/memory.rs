//! How much memory does a consumer on Kafka take while its records wait? Eight partitions whose first message is not done,
//! and a ninth where one key fails again and again while the others go on.
//!
//! The budget is what is configured: what the client fetches ahead, and what lanes hold. The process has 64 MiB beside it.

#[path = "../../../benches/support/mod.rs"]
mod support;

use std::fs;
use std::future::pending;
use std::time::{Duration, Instant};

use logpipe::kafka::Kafka;
use logpipe::types::Uuid;
use logpipe::{Consumer, Cx, Error, Log, Service};
use logpipe_servers::kafka::{self, Broker};
use nouns::person::{self, v1::Person};
use support::{child, is_test, leg, number};

const TOPIC: &str = "people";
const PARTITIONS: i32 = 9;
const MIB: usize = 1 << 20;
/// What a process may take beside its budget.
const BESIDE: f64 = 64.0;
/// No growth for so long is the end of it.
const QUIET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    if is_test() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Some(words) = leg() {
        let [bootstrap, fetched, held] = &words[..] else {
            panic!("a leg is an address and two numbers of MiB");
        };
        let bytes = |word: &String| word.parse::<usize>().expect("a number") * MIB;
        let [before, peak, handled] =
            runtime.block_on(wait(bootstrap, bytes(fetched), bytes(held)));
        println!("{before} {peak} {handled}");
        // The handlers never end.
        std::process::exit(0);
    }
    let records = number("--records", 600_000);
    let broker = Broker::start().expect("a broker");
    let bootstrap = broker.bootstrap();
    runtime.block_on(fill(&bootstrap, records));
    println!("Peak memory with {records} records of half a KiB in {PARTITIONS} partitions, in MiB");
    println!(
        "{:<28}{:>8} {:>8} {:>8} {:>8} {:>8}",
        "buffers: fetched + held", "budget", "before", "peak", "allowed", "handled"
    );
    let mut lines = Vec::new();
    for (fetched, held) in [(64, 64), (16, 16), (8, 64)] {
        let [before, peak, handled] = child(&[&bootstrap, &fetched.to_string(), &held.to_string()]);
        let budget = (fetched + held) as f64;
        let allowed = budget + BESIDE;
        let name = format!("{fetched} + {held}");
        println!("{name:<28}{budget:>8} {before:>8.1} {peak:>8.1} {allowed:>8} {handled:>8}");
        lines.push(format!(
            r#"{{"bench":"memory","budget_mib":{budget},"before_mib":{before:.1},"peak_mib":{peak:.1},"allowed_mib":{allowed},"within":{}}}"#,
            peak <= allowed
        ));
    }
    println!("{}", lines.join("\n"));
}

async fn fill(bootstrap: &str, records: usize) {
    let made = kafka::create_topic(bootstrap, TOPIC, PARTITIONS).await;
    made.expect("a topic");
    let kafka = Kafka::builder(bootstrap).client("compression.type", "none");
    let log = Log::new(kafka.build().expect("settings that fit"));
    let producer = log.producer(TOPIC).await.expect("a producer");
    let person = |_| Person {
        uuid: Uuid::new_v4(),
        first_name: "Joe".repeat(60),
        last_name: "Schmoe".repeat(33),
    };
    let mut left = records;
    while left > 0 {
        let count = left.min(10_000);
        let people: Vec<Person> = (0..count).map(person).collect();
        producer.send_all(&people).await.expect("no failure");
        left -= count;
    }
}

/// Memory before and at its peak, in MiB, and the messages that were handled.
async fn wait(bootstrap: &str, fetched: usize, held: usize) -> [f64; 3] {
    let kafka = Kafka::builder(bootstrap).buffer(fetched);
    let log = Log::new(kafka.build().expect("settings that fit"));
    let before = memory("VmRSS:");
    let consumer = Consumer::new(log.source(TOPIC))
        .group(format!("group-{fetched}-{held}"))
        .dead_letter("dead")
        .set(|settings| {
            settings.attempt_deadline_ms = 3_600_000;
            settings.retry.attempts = u32::MAX;
            settings.retry.time_ms = 3_600_000;
        })
        .register(person::handler(person::Handlers {
            v1: async |person: Person, cx: &mut Cx| {
                if cx.lane().shard() != "0" {
                    pending::<()>().await;
                }
                match cx.position().number() {
                    Some(0) => Err(Error::msg("this key fails")),
                    _ => {
                        drop(person);
                        Ok(())
                    }
                }
            },
            v2: async |_: person::v2::Person, _: &mut Cx| Ok(()),
        }));
    let service = Service::new().buffer_bytes(held).with(consumer);
    let monitor = service.monitor();
    tokio::spawn(service.run());
    let began = Instant::now();
    let mut peak = memory("VmHWM:");
    let mut grew = Instant::now();
    while grew.elapsed() < QUIET && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = memory("VmHWM:");
        let handled: u64 = handled(&monitor);
        // It is not quiet before anything came.
        if now > peak + 0.5 || handled == 0 {
            grew = Instant::now();
        }
        peak = now;
    }
    [before, peak, handled(&monitor) as f64]
}

fn handled(monitor: &logpipe::Monitor) -> u64 {
    let health = monitor.health();
    health
        .consumers
        .iter()
        .map(|consumer| consumer.handled)
        .sum()
}

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> f64 {
    let status =
        fs::read_to_string("/proc/self/status").expect("needs Linux: memory is read from /proc");
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|text| text.trim().strip_suffix(" kB"));
    let kib: f64 = kib
        .and_then(|kib| kib.parse().ok())
        .expect("a number of KiB");
    kib / 1024.0
}
