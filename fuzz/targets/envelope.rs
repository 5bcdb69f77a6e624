//! Any bytes as a record's value: a message that can be written and read again, or a named rejection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logpipe::types::{Date, Duration, Email, Ipv4Addr, Ipv6Addr, Map, Time, Timestamp, Uri, Uuid, Value};
use logpipe::{Failure, Format, Message, Rejected, envelope};

/// A member of every type and presence.
#[derive(PartialEq)]
struct Everything {
    text: Option<String>,
    integer: Option<Option<i64>>,
    small: Option<u8>,
    float: Option<f64>,
    list: Option<Vec<Option<Color>>>,
    map: Option<Map<Vec<f64>>>,
    inner: Option<Box<Everything>>,
    uuid: Option<Uuid>,
    instant: Option<Timestamp>,
    date: Option<Date>,
    time: Option<Time>,
    duration: Option<Duration>,
    email: Option<Email>,
    uri: Option<Uri>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    price: Option<Price>,
    unknown: Map<Value>,
}

logpipe::wire! {
    struct Everything keep(unknown) {
        text: "text" optional, min_chars(1), max_chars(5), pattern("^a?");
        integer: "integer" optional_nullable, multiple_of(3);
        small: "small" optional;
        float: "float" optional, multiple_of_decimal("0.5");
        list: "list" optional, unique_items(), max_items(5);
        map: "map" optional, max_properties(4), values(&[::logpipe::rules::Rule::unique_items()]);
        inner: "inner" optional;
        uuid: "uuid" optional;
        instant: "instant" optional;
        date: "date" optional;
        time: "time" optional;
        duration: "duration" optional;
        email: "email" optional;
        uri: "uri" optional;
        ipv4: "ipv4" optional;
        ipv6: "ipv6" optional;
        price: "price" optional;
    }
}
logpipe::wire! { boxed Everything; }
logpipe::message! { Everything = "any" version 1; }

#[derive(Debug, PartialEq)]
enum Color {
    Red,
    Other(String),
}

logpipe::wire! {
    enum Color other {
        Red = "red";
    }
}

#[derive(Debug, PartialEq)]
struct Price(f64);

logpipe::wire! { newtype Price(f64), above_decimal("0"), max_decimal("1e6"), multiple_of_decimal("0.01"); }

fn outcome<M: Message>(envelope: envelope::Envelope<'_>) -> Result<M, Failure> {
    match (&*envelope.message_type, envelope.version) {
        ("any", 1) => envelope.body.decode(),
        ("any", _) => Err(envelope.body.unknown_version()),
        _ => Err(envelope.body.unknown_type()),
    }
}

/// As a consumer does, by the head; again by the whole when that says something else.
fn consume(value: &[u8]) -> Result<Everything, Rejected> {
    match outcome(envelope::open(Some(value))?) {
        Err(Failure::Reopen) => consume_exactly(value),
        result => result.map_err(rejected),
    }
}

fn consume_exactly(value: &[u8]) -> Result<Everything, Rejected> {
    outcome(envelope::open_exact(Some(value))?).map_err(rejected)
}

fn rejected(failure: Failure) -> Rejected {
    match failure {
        Failure::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    }
}

fuzz_target!(|value: &[u8]| {
    let quick = consume(value);
    let exact = consume_exactly(value);
    assert_eq!(quick, exact, "the head and the whole disagree");
    match quick {
        Ok(message) => {
            for format in Format::ALL {
                // An integer beyond 64 bits, kept in an unknown member, is JSON's alone.
                let Ok(sealed) = envelope::seal(*format, &message, "me") else {
                    assert_ne!(*format, Format::Json, "{message:?}");
                    continue;
                };
                let again = consume(&sealed).expect("what was written can be read");
                // What JSON keeps as text, such as a float of more digits, msgpack rounds.
                if *format == Format::Json {
                    assert_eq!(again, message);
                }
            }
        }
        Err(rejected) => {
            let said = format!("{rejected} {} {:?} {}", rejected.kind(), rejected.path(), rejected.reason());
            assert!(!said.chars().any(char::is_control), "{said:?}");
        }
    }
});
