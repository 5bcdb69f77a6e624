//! What does logpipe cost on a real Kafka, beside the bare client? CPU of the process and time on the clock, per message.
//!
//! The same client with the same settings, uncompressed, each leg in a process of its own; the broker's CPU is not counted.
//!
//! * consuming: a group with its positions in the broker and a handler that does nothing, against a loop over
//!   `BaseConsumer` with serde_json into the type, known beforehand and checked by nobody;
//! * sending: typed messages, encoded and checked, against bytes that are ready.

#[path = "../../../benches/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use logpipe::kafka::Kafka;
use logpipe::types::Uuid;
use logpipe::{Consumer, Cx, Format, Log, Policy, Service, envelope};
use logpipe_servers::kafka::{self, Broker};
use nouns::person;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde::Deserialize;
use support::{Contest, child, is_test, leg, number, own_cpu};

const TOPIC: &str = "people";
const PARTITIONS: i32 = 4;
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    if is_test() {
        return;
    }
    if let Some(words) = leg() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let [name, bootstrap, target, records] = words[..] else {
            panic!("a leg is a name, an address, a group or a topic, and a number of records");
        };
        let records = records.parse().expect("a number of records");
        let clock = match name {
            "consume" => consume(bootstrap, target, records),
            "consume-slice" => consume_bare(bootstrap, target, records, from_slice),
            "consume-text" => consume_bare(bootstrap, target, records, from_text),
            "send" => send(bootstrap, target, records),
            "send-bare" => send_bare(bootstrap, target, records),
            other => panic!("no leg is called {other}"),
        };
        let [cpu, wall] = clock.read();
        println!("{} {}", cpu / records as f64, wall / records as f64);
        return;
    }

    let records = number("--records", 1_000_000);
    let broker = Broker::start().expect("a broker");
    let bootstrap = broker.bootstrap();
    block_on(async {
        for topic in [TOPIC, "sent", "sent-bare"] {
            let made = kafka::create_topic(&bootstrap, topic, PARTITIONS).await;
            made.expect("a topic");
        }
    });
    send(&bootstrap, TOPIC, records);

    let mut round = 0;
    let consumed = RefCell::new(|name: &str| {
        round += 1;
        let group = format!("group-{round}");
        child(&[name, &bootstrap, &group, &records.to_string()])
    });
    let [cpu, wall] = Contest::new()
        .leg("BaseConsumer, serde_json::from_slice", || {
            (consumed.borrow_mut())("consume-slice")
        })
        .leg("BaseConsumer, str and serde_json::from_str", || {
            (consumed.borrow_mut())("consume-text")
        })
        .leg("logpipe, typed handler", || {
            (consumed.borrow_mut())("consume")
        })
        .run(ROUNDS);
    let title = |what: &str| format!("{what} {records} records of person v1");
    // The faster of the two ways into the known type.
    let opponent = usize::from(cpu.median(1) < cpu.median(0));
    cpu.print("kafka", &title("CPU of consuming"), "us", opponent);
    wall.print("kafka", &title("Time of consuming"), "us", opponent);

    let sent = records.min(500_000).to_string();
    let [cpu, wall] = Contest::new()
        .leg("BaseProducer, bytes that are ready", || {
            child(&["send-bare", &bootstrap, "sent-bare", &sent])
        })
        .leg("logpipe, send_all of typed messages", || {
            child(&["send", &bootstrap, "sent", &sent])
        })
        .run(ROUNDS);
    let title = |what: &str| format!("{what} {sent} records of person v1");
    cpu.print("kafka", &title("CPU of sending"), "us", 0);
    wall.print("kafka", &title("Time of sending"), "us", 0);
}

/// Both sides' client settings for reading: what logpipe sets for four partitions and its default buffer.
const READING: [(&str, &str); 8] = [
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.max.bytes", "16777216"),
    ("fetch.message.max.bytes", "4194304"),
    // Over all partitions: here they share one queue.
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "32768"),
];

/// Both sides' client settings for writing, but for the compression.
const WRITING: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("message.timeout.ms", "120000"),
    ("sticky.partitioning.linger.ms", "0"),
    ("partitioner", "murmur2_random"),
];

/// The whole life of the process in CPU; on the clock from the first record to the last, for a group's members wait for
/// each other as long as the broker says.
struct Clock {
    cpu: f64,
    first: Option<Instant>,
    last: Instant,
}

impl Clock {
    fn start() -> Self {
        Self {
            cpu: own_cpu(),
            first: None,
            last: Instant::now(),
        }
    }

    fn tick(&mut self) {
        self.first.get_or_insert_with(Instant::now);
    }

    /// Microseconds of both.
    fn read(&self) -> [f64; 2] {
        let wall = self.first.map_or(Duration::ZERO, |first| self.last - first);
        [(own_cpu() - self.cpu) * 1e6, wall.as_secs_f64() * 1e6]
    }
}

fn log(bootstrap: &str) -> Log {
    let kafka = Kafka::builder(bootstrap).client("compression.type", "none");
    Log::new(kafka.build().expect("settings that fit"))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

fn consume(bootstrap: &str, group: &str, records: usize) -> Clock {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let mut clock = Clock::start();
    block_on(async {
        let consumer = Consumer::new(log(bootstrap).source(TOPIC))
            .group(group)
            .dead_letter("dead")
            .on_unknown_type(Policy::Stop)
            .register(person::handler(person::Handlers {
                v1: async |person: person::v1::Person, _: &mut Cx| {
                    FIRST.get_or_init(Instant::now);
                    black_box(person);
                    Ok(())
                },
                v2: async |person: person::v2::Person, _: &mut Cx| {
                    black_box(person);
                    Ok(())
                },
            }));
        let service = Service::new().with(consumer);
        let monitor = service.monitor();
        let done = async {
            let begun = Instant::now();
            while monitor.health().consumers[0].handled < records as u64 {
                assert!(begun.elapsed() < PATIENCE, "some records did not come");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            clock.last = Instant::now();
        };
        let outcome = service.run_until(done).await.expect("no stop");
        assert!(outcome.handled >= records as u64);
    });
    clock.first = FIRST.get().copied();
    clock
}

/// What the loop decodes into.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody, but it has to be built")]
struct Known<'a> {
    #[serde(rename = "type")]
    message_type: &'a str,
    version: u32,
    message: Person,
    producer: Option<&'a str>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody, but it has to be built")]
struct Person {
    uuid: Uuid,
    first_name: String,
    last_name: String,
}

fn from_slice(value: &[u8]) -> Known<'_> {
    serde_json::from_slice(value).expect("valid")
}

/// The faster way, and the less usual one.
fn from_text(value: &[u8]) -> Known<'_> {
    let text = std::str::from_utf8(value).expect("text");
    serde_json::from_str(text).expect("valid")
}

fn consume_bare(
    bootstrap: &str,
    group: &str,
    records: usize,
    decode: fn(&[u8]) -> Known<'_>,
) -> Clock {
    let mut clock = Clock::start();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest");
    for (key, value) in READING {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create().expect("settings that fit");
    consumer.subscribe(&[TOPIC]).expect("a subscription");
    let mut left = records;
    let begun = Instant::now();
    while left > 0 {
        // A rebalance is nothing to look at, too.
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            assert!(begun.elapsed() < PATIENCE, "{left} records did not come");
            continue;
        };
        let message = message.expect("a record");
        clock.tick();
        let value = message.payload().expect("a value");
        black_box(decode(&value["json:".len()..]));
        left -= 1;
    }
    clock.last = Instant::now();
    clock
}

fn people(count: usize) -> Vec<person::v1::Person> {
    let person = |_| person::v1::Person {
        uuid: Uuid::new_v4(),
        first_name: "Joe".to_owned(),
        last_name: "Schmoe".to_owned(),
    };
    (0..count).map(person).collect()
}

const PRODUCER: &str = "my-application-name";

fn send(bootstrap: &str, topic: &str, records: usize) -> Clock {
    let people = people(records);
    block_on(async {
        let producer = log(bootstrap).producer(topic).await.expect("a producer");
        let producer = producer.id(PRODUCER);
        producer.send(&people[0]).await.expect("a connection");
        let mut clock = Clock::start();
        clock.tick();
        let sent = producer.send_all(&people).await.expect("no failure");
        assert_eq!(sent.len(), records);
        clock.last = Instant::now();
        clock
    })
}

fn send_bare(bootstrap: &str, topic: &str, records: usize) -> Clock {
    let ready: Vec<(String, Vec<u8>)> = people(records)
        .iter()
        .map(|person| {
            let value = envelope::seal(Format::Json, person, PRODUCER).expect("valid");
            (person.uuid.to_string(), value)
        })
        .collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (key, value) in WRITING {
        config.set(key, value);
    }
    let producer: BaseProducer = config.create().expect("settings that fit");
    let one = |(key, value): &(String, Vec<u8>)| {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        while let Err((error, again)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full, "the producer takes it once there is room");
            producer.poll(Duration::from_millis(10));
            record = again;
        }
    };
    one(&ready[0]);
    producer
        .flush(Duration::from_secs(60))
        .expect("a connection");
    let mut clock = Clock::start();
    clock.tick();
    for record in &ready {
        one(record);
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).expect("no failure");
    clock.last = Instant::now();
    clock
}
