//! What does a decoded message cost, beside what serde_json takes for the same bytes?
//!
//! Ours: from a record's value to a checked `person` version 1, found by its type and version. The opponents know beforehand
//! which message it is, check nothing, and do not look at the format; two of them read the envelope first, as one has to
//! who does not know.

mod support;

use std::hint::black_box;

use logpipe::{AnyOf, Format, Versions, envelope};
use nouns::dispatch::AnyMessage;
use nouns::person::{self, v1::Person};
use serde::Deserialize;
use serde_json::value::RawValue;
use support::{Contest, is_test};

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

    let [figures] = Contest::new()
        .timed("serde derive, known type, from_str", MESSAGES, || {
            black_box(serde_json::from_str::<Known<'_>>(black_box(text)).expect("valid"));
        })
        .timed("serde derive, known type, from_slice", MESSAGES, || {
            black_box(serde_json::from_slice::<Known<'_>>(black_box(slice)).expect("valid"));
        })
        .timed("serde derive, RawValue then the type", MESSAGES, || {
            let raw: Raw<'_> = serde_json::from_str(black_box(text)).expect("valid");
            assert!(raw.message_type == "person" && raw.version == 1);
            black_box(serde_json::from_str::<Twin>(raw.message.get()).expect("valid"));
        })
        .timed("serde derive, Value then the type", MESSAGES, || {
            let mut value: serde_json::Value =
                serde_json::from_str(black_box(text)).expect("valid");
            assert!(value["type"] == "person" && value["version"] == 1);
            black_box(serde_json::from_value::<Twin>(value["message"].take()).expect("valid"));
        })
        .timed("logpipe, decode, dispatch and checks", MESSAGES, || {
            ours(&sealed)
        })
        .timed("logpipe, the same through AnyMessage", MESSAGES, || {
            any(&sealed)
        })
        .timed("logpipe, the same from msgpack", MESSAGES, || ours(&packed))
        .timed("logpipe, encode", MESSAGES, || {
            let sealed = envelope::seal(Format::Json, black_box(&person), "my-application-name");
            black_box(sealed.expect("valid"));
        })
        .run(if is_test() { 1 } else { ROUNDS });
    // The faster of the two ways into the known type.
    let opponent = usize::from(figures.median(1) < figures.median(0));
    figures.print("decode", "Decoding person v1 from JSON", "ns", opponent);
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
