//! Does a service of ours share a topic with the real django-logpipe?
//!
//! Both send the same people, of version 1 and 2, to one topic, and both receive all of them. The same message has to be
//! the same bytes in the same lane, whoever sent it.

mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logpipe::store::Sqlite;
use logpipe::types::{Email, Uuid};
use logpipe::{Consumer, Cx, Format, Log, Result, Service};
use logpipe_servers::{kafka, kinesis_local};
use nouns::person;
use serde_json::{Value, json};

use python::Python;

/// Lanes of the topic: enough that a wrong partitioner would show.
const LANES: u32 = 6;
/// Names that every layer between two programs could spoil.
const NAMES: [(&str, &str); 5] = [
    ("Joe", "Schmoe"),
    ("Zoë", "Żółć"),
    ("\"quoted\"", "back\\slash"),
    ("line\u{2028}separator", "tab\tinside"),
    ("日本", "\u{1f600} </script>"),
];

/// The people of both versions, version 2 under other keys.
struct People {
    old: Vec<person::v1::Person>,
    new: Vec<person::v2::Person>,
}

impl People {
    fn new() -> Self {
        let uuid = |version: u32, index: usize| -> Uuid {
            Uuid::from_u128(
                0x1234_5678_1234_4678_9234_0000_0000_0000 | (version as u128) << 16 | index as u128,
            )
        };
        let name = |index: usize| NAMES[index % NAMES.len()];
        Self {
            old: (0..20)
                .map(|index| person::v1::Person {
                    uuid: uuid(1, index),
                    first_name: name(index).0.into(),
                    last_name: name(index).1.into(),
                })
                .collect(),
            new: (0..20)
                .map(|index| person::v2::Person {
                    uuid: uuid(2, index),
                    first_name: name(index).0.into(),
                    last_name: name(index).1.into(),
                    email: format!("person{index}@example.com")
                        .parse::<Email>()
                        .unwrap(),
                })
                .collect(),
        }
    }

    /// As the script takes and prints them.
    fn json(&self) -> Vec<Value> {
        let old = self.old.iter().map(|person| {
            json!({ "version": 1, "message": {
                "uuid": person.uuid.to_string(), "first_name": person.first_name, "last_name": person.last_name,
            }})
        });
        let new = self.new.iter().map(|person| {
            json!({ "version": 2, "message": {
                "uuid": person.uuid.to_string(), "first_name": person.first_name, "last_name": person.last_name,
                "email": person.email.to_string(),
            }})
        });
        old.chain(new).collect()
    }
}

/// Keeps what it handles, with the lane it came from.
#[derive(Default, Clone)]
struct Collect {
    old: Arc<Mutex<Vec<(String, person::v1::Person)>>>,
    new: Arc<Mutex<Vec<(String, person::v2::Person)>>>,
}

impl person::Handler<Sqlite> for Collect {
    async fn v1(&self, person: person::v1::Person, cx: &mut Cx<Sqlite>) -> Result {
        let lane = cx.lane().shard().to_owned();
        self.old.lock().unwrap().push((lane, person));
        Ok(())
    }

    async fn v2(&self, person: person::v2::Person, cx: &mut Cx<Sqlite>) -> Result {
        let lane = cx.lane().shard().to_owned();
        self.new.lock().unwrap().push((lane, person));
        Ok(())
    }
}

/// Both send, both receive.
async fn exchange(log: Log, topic: &str, format: Format, python: &Python) {
    let people = People::new();
    let count = people.old.len() + people.new.len();

    let producer = log
        .producer(topic)
        .await
        .unwrap()
        .format(format)
        .id("interop");
    let mut ours = producer.send_all(&people.old).await.unwrap();
    ours.extend(producer.send_all(&people.new).await.unwrap());
    producer.close().await.unwrap();
    let ours: Vec<String> = ours
        .iter()
        .map(|sent| sent.lane.shard().to_owned())
        .collect();
    let theirs = python.send(topic, &people.json());
    assert_eq!(ours, theirs, "the same keys go to the same lanes");
    let lanes: BTreeSet<&String> = ours.iter().collect();
    assert_eq!(lanes.len(), LANES as usize, "and they use every lane");

    // What django-logpipe receives: everything twice, in equal bytes.
    let mut received: BTreeMap<(u64, String), Vec<Value>> = BTreeMap::new();
    for record in python.receive(topic, 2 * count) {
        let identity = (
            record["version"].as_u64().unwrap(),
            record["key"].to_string(),
        );
        received.entry(identity).or_default().push(record);
    }
    for (person, lane) in people.json().into_iter().zip(&ours) {
        let identity = (
            person["version"].as_u64().unwrap(),
            person["message"]["uuid"].to_string(),
        );
        let both = received.remove(&identity).unwrap();
        assert_eq!(both.len(), 2, "{identity:?}");
        assert_eq!(both[0], both[1], "the same message is the same record");
        assert_eq!(both[0]["message"], person["message"]);
        assert_eq!(both[0]["lane"], **lane);
    }
    assert!(received.is_empty(), "{received:?}");

    // What we receive: everything twice, as it was sent.
    let folder = tempfile::tempdir().unwrap();
    let collect = Collect::default();
    let consumer = Consumer::with_store(
        log.source(topic),
        Sqlite::open(folder.path().join("app.db")).await.unwrap(),
    )
    .group("interop")
    .register(person::handler(collect.clone()))
    .stop_after(2 * count as u64);
    let run = Service::new()
        .with(consumer)
        .run_until(std::future::pending());
    let outcome = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("all of it arrives within a minute")
        .unwrap();
    assert_eq!((outcome.handled, outcome.parked), (2 * count as u64, 0));
    let (old, new) = (collect.old.lock().unwrap(), collect.new.lock().unwrap());
    for (person, lane) in people.old.iter().zip(&ours) {
        let expected = (lane.clone(), person.clone());
        assert_eq!(old.iter().filter(|got| **got == expected).count(), 2);
    }
    for (person, lane) in people.new.iter().zip(&ours[people.old.len()..]) {
        let expected = (lane.clone(), person.clone());
        assert_eq!(new.iter().filter(|got| **got == expected).count(), 2);
    }
}

const FORMATS: [(Format, &str); 2] = [(Format::Json, "json"), (Format::MsgPack, "msgpack")];

#[tokio::test]
async fn people_of_both_versions_go_both_ways_through_kafka() {
    let bootstrap = kafka::shared();
    for (format, code) in FORMATS {
        let topic = format!("interop-{code}-{}", std::process::id());
        kafka::create_topic(&bootstrap, &topic, LANES as i32)
            .await
            .unwrap();
        let python = Python::new("kafka", code, [("LOGPIPE_BOOTSTRAP", bootstrap.clone())]);
        exchange(Log::kafka(&bootstrap).unwrap(), &topic, format, &python).await;
    }
}

#[tokio::test]
async fn people_of_both_versions_go_both_ways_through_kinesis() {
    let server =
        kinesis_local::Server::start(&[("interop-json", LANES), ("interop-msgpack", LANES)])
            .unwrap();
    for (format, code) in FORMATS {
        let topic = format!("interop-{code}");
        let python = Python::new("kinesis", code, server.environment());
        python.wait_for(&topic);
        let folder = tempfile::tempdir().unwrap();
        let settings = logpipe::kinesis::Settings::new()
            .region(kinesis_local::REGION)
            .endpoint_url(server.endpoint())
            .credentials("test", "test")
            .leases(folder.path().join("leases.db"));
        exchange(
            Log::kinesis(settings).await.unwrap(),
            &topic,
            format,
            &python,
        )
        .await;
    }
}
