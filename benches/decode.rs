//! What does a decoded message cost, beside what serde_json takes for the same bytes?
//!
//! Ours: from a record's value to a checked `person` version 1, found by its type and version. The opponents know beforehand which message it is, check nothing, and do not look at the format. Rounds
//! alternate, so that a busy machine slows all of them; the median counts.

use std::hint::black_box;
use std::time::Instant;

use logpipe::{AnyOf, Format, Versions, envelope};
use nouns::dispatch::AnyMessage;
use nouns::person::{self, v1::Person};
use serde::Deserialize;
use serde_json::value::RawValue;

/// As serde derive would have it, with the same field types.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody, but it has to be built")]
struct Twin {
    uuid: logpipe::types::Uuid,
    first_name: String,
    last_name: String,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody, but it has to be built")]
struct Known<'a> {
    #[serde(rename = "type")]
    message_type: &'a str,
    version: u32,
    message: Twin,
    producer: Option<&'a str>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "type", borrow)]
    message_type: &'a str,
    version: u32,
    #[serde(borrow)]
    message: &'a RawValue,
}

const ROUNDS: usize = 60;
const MESSAGES: usize = 20_000;

fn main() {
    let person = Person {
        uuid: "12345678-1234-4678-9234-567812345678"
            .parse()
            .expect("a UUID"),
        first_name: "Joe".to_owned(),
        last_name: "Schmoe".to_owned(),
    };
    let sealed = envelope::seal(Format::Json, &person, "my-application-name").expect("valid");
    let packed = envelope::seal(Format::MsgPack, &person, "my-application-name").expect("valid");
    let slice = &sealed["json:".len()..];
    let text = std::str::from_utf8(slice).expect("text");

    let mut lanes: Vec<Lane<'_>> = vec![
        Lane::new("logpipe, decode and dispatch and checks", || ours(&sealed)),
        Lane::new("logpipe, the same through AnyMessage", || any(&sealed)),
        Lane::new("serde derive, known type, from_str", || {
            black_box(serde_json::from_str::<Known<'_>>(black_box(text)).expect("valid"));
        }),
        Lane::new("serde derive, known type, from_slice", || {
            black_box(serde_json::from_slice::<Known<'_>>(black_box(slice)).expect("valid"));
        }),
        Lane::new("serde derive, RawValue then the type", || {
            let raw: Raw<'_> = serde_json::from_str(black_box(text)).expect("valid");
            assert!(raw.message_type == "person" && raw.version == 1);
            black_box(serde_json::from_str::<Twin>(raw.message.get()).expect("valid"));
        }),
        Lane::new("serde derive, Value then the type", || {
            let mut value: serde_json::Value =
                serde_json::from_str(black_box(text)).expect("valid");
            assert!(value["type"] == "person" && value["version"] == 1);
            black_box(serde_json::from_value::<Twin>(value["message"].take()).expect("valid"));
        }),
        Lane::new("logpipe, the same from msgpack", || ours(&packed)),
        Lane::new("logpipe, encode", || {
            black_box(
                envelope::seal(Format::Json, black_box(&person), "my-application-name")
                    .expect("valid"),
            );
        }),
    ];
    for _ in 0..ROUNDS {
        lanes.iter_mut().for_each(Lane::round);
    }
    // The faster of the two ways into the known type.
    let opponent = lanes[2].median().min(lanes[3].median());
    println!("{:<42} {:>8} {:>8}", "person v1, JSON", "ns", "ratio");
    for lane in &lanes {
        let nanos = lane.median();
        println!("{:<42} {nanos:>8.1} {:>8.2}", lane.name, opponent / nanos);
    }
    for lane in &lanes {
        let (name, nanos) = (lane.name, lane.median());
        let ratio = opponent / nanos;
        println!(r#"{{"bench":"decode","name":"{name}","ns":{nanos:.1},"ratio":{ratio:.3}}}"#);
    }
}

/// As a consumer does: the route of the last message is tried first, then its versions.
fn ours(value: &[u8]) {
    let envelope = envelope::open(Some(black_box(value))).expect("an envelope");
    assert!(*envelope.message_type == *black_box(<person::Any as Versions>::TYPE));
    let message = <person::Any as Versions>::decode(envelope.version, envelope.body);
    black_box(message.expect("a message"));
}

/// As a loop of one's own does: any type of the service, by the perfect hash.
fn any(value: &[u8]) {
    let envelope = envelope::open(Some(black_box(value))).expect("an envelope");
    let message = AnyMessage::decode(&envelope.message_type, envelope.version, envelope.body);
    black_box(message.expect("a message"));
}

/// One of those measured.
struct Lane<'a> {
    name: &'static str,
    run: Box<dyn FnMut(usize) + 'a>,
    /// Nanoseconds per message, one per round.
    rounds: Vec<f64>,
}

impl<'a> Lane<'a> {
    /// The loop is inside, so that the call through the box is paid once per round.
    fn new(name: &'static str, mut once: impl FnMut() + 'a) -> Self {
        Self {
            name,
            run: Box::new(move |count| (0..count).for_each(|_| once())),
            rounds: Vec::with_capacity(ROUNDS),
        }
    }

    fn round(&mut self) {
        let start = Instant::now();
        (self.run)(MESSAGES);
        self.rounds
            .push(start.elapsed().as_secs_f64() * 1e9 / MESSAGES as f64);
    }

    fn median(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    }
}
