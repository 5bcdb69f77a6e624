//! The bytes of the real django-logpipe: what it wrote is what we write, what it met is a message or a named rejection.

use logpipe::types::{Date, Duration, Email, Ipv6Addr, Map, Number, Time, Timestamp, Uuid, Value};
use logpipe::{Format, Message, Rejected, envelope};
use serde_json::Value as Json;

use crate::messages::{Person, body, decode};

fn vectors() -> Json {
    serde_json::from_str(include_str!("../vectors/logpipe.json")).expect("JSON")
}

pub fn unhex(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn text<'a>(vector: &'a Json, member: &str) -> &'a str {
    vector[member].as_str().unwrap_or_default()
}

/// A message of one member, of the type that the test is about.
macro_rules! one {
    ($($name:ident { $field:ident: $type:ty } = $message:literal)*) => { $(
        #[derive(PartialEq)]
        struct $name {
            $field: $type,
        }
        logpipe::wire! { struct $name open { $field: $message; } }
        logpipe::message! { $name = "t" version 1; }
    )* };
}

one! {
    Text { s: String } = "s"
    Integer { v: i64 } = "v"
    Float { v: f64 } = "v"
    Flag { v: bool } = "v"
    Nothing { v: Option<i64> } = "v"
    Anything { v: Value } = "v"
}

/// Decodes and writes again.
fn again<M: Message + std::fmt::Debug>(value: &[u8], format: Format, producer: &str) -> Vec<u8> {
    let message = decode::<M>(value).expect("a message");
    envelope::seal(format, &message, producer).expect("valid")
}

#[test]
fn every_encode_vector_is_written_again_byte_for_byte() {
    let mut seen = 0;
    for vector in vectors()["encode"].as_array().expect("a list") {
        let (name, value) = (text(vector, "name"), unhex(text(vector, "bytes_hex")));
        let format: Format = text(vector, "format").parse().expect("a format");
        let producer = vector["envelope"]["producer"].as_str().unwrap_or_default();
        let message = &vector["envelope"]["message"];
        let written = match &message["v"] {
            _ if message.get("uuid").is_some() => again::<Person>(&value, format, producer),
            _ if message.get("s").is_some() => again::<Text>(&value, format, producer),
            Json::Null => again::<Nothing>(&value, format, producer),
            Json::Bool(_) => again::<Flag>(&value, format, producer),
            Json::Number(number) if number.is_i64() => again::<Integer>(&value, format, producer),
            // Integers beyond 64 bits have no Rust type of their own: `Value` keeps them.
            Json::Number(_) if name.ends_with("616") || name.len() > 30 => {
                again::<Anything>(&value, format, producer)
            }
            Json::Number(_) => again::<Float>(&value, format, producer),
            _ => again::<Anything>(&value, format, producer),
        };
        assert_eq!(
            written,
            value,
            "{name}: {}",
            String::from_utf8_lossy(&written)
        );
        assert_eq!(
            again_as_any(&value, format, producer),
            value,
            "{name} as any value"
        );
        seen += 1;
    }
    assert_eq!(seen, 32);
}

/// Any object; a message of its own has the members that a schema declares.
#[derive(Debug)]
struct Object(Map<Value>);

logpipe::wire! { newtype Object(Map<Value>); }

struct Retyped<const PERSON: bool>(Object);

impl<const PERSON: bool> logpipe::codec::Wire for Retyped<PERSON> {
    fn read<'a, R: logpipe::codec::Reader<'a>>(
        reader: &mut R,
    ) -> Result<Self, logpipe::codec::Fault> {
        Object::read(reader).map(Self)
    }

    fn write<W: logpipe::codec::Writer>(
        &self,
        writer: &mut W,
    ) -> Result<(), logpipe::codec::Fault> {
        self.0.write(writer)
    }
}

/// An implementation by hand, which works as a generated one does.
impl<const PERSON: bool> Message for Retyped<PERSON> {
    const TYPE: &'static str = if PERSON { "person" } else { "t" };
    const VERSION: u32 = 1;
}

fn again_as_any(value: &[u8], format: Format, producer: &str) -> Vec<u8> {
    let written = if body(value).message_type() == "person" {
        envelope::seal(
            format,
            &decode::<Retyped<true>>(value).expect("any"),
            producer,
        )
    } else {
        envelope::seal(
            format,
            &decode::<Retyped<false>>(value).expect("any"),
            producer,
        )
    };
    written.expect("valid")
}

/// What `values.json` holds under `value`, by the name of its vector.
macro_rules! samples {
    ($($name:ident: $type:ty;)*) => { $(
        struct $name {
            value: $type,
            id: String,
        }
        logpipe::wire! {
            struct $name closed {
                value: "value";
                id: "id";
            }
        }
        logpipe::message! { $name = "sample" version 1, key id; }
    )* };
}

samples! {
    SampleDateTime: Timestamp;
    SampleDate: Date;
    SampleTime: Time;
    SampleText: String;
    SampleFloat: f64;
    SampleAny: Value;
    SampleBool: bool;
    SampleNull: Option<bool>;
    SampleList: Vec<u8>;
    SampleIp: Ipv6Addr;
    SampleEmail: Email;
}

struct Pydantic {
    id: Uuid,
    at: Timestamp,
    day: Date,
    t: Time,
    d: Duration,
    dec: String,
    f: f64,
    n: Option<String>,
    tags: Vec<String>,
    b: String,
}

logpipe::wire! {
    struct Pydantic closed {
        id: "id";
        at: "at";
        day: "day";
        t: "t";
        d: "d";
        dec: "dec";
        f: "f";
        n: "n";
        tags: "tags";
        b: "b";
    }
}
logpipe::message! { Pydantic = "sample" version 1, key id; }

#[test]
fn every_value_is_written_again_byte_for_byte_with_its_key() {
    let vectors: Json = serde_json::from_str(include_str!("../vectors/values.json")).expect("JSON");
    let vectors = vectors.as_array().expect("a list");
    assert_eq!(vectors.len(), 42);
    for vector in vectors {
        let (name, value) = (text(vector, "name"), unhex(text(vector, "bytes_hex")));
        let format: Format = text(vector, "format").parse().expect("a format");
        let kind = name.trim_end_matches(" json").trim_end_matches(" msgpack");
        macro_rules! holds {
            ($type:ty) => {{
                let message = decode::<$type>(&value).expect(name);
                let key = vector.get("key").and_then(Json::as_str);
                if let Some(key) = key {
                    assert_eq!(message.key().as_deref(), Some(key.as_bytes()), "{name}");
                }
                envelope::seal(format, &message, "").expect(name)
            }};
        }
        let written = match kind {
            "drf datetime micro"
            | "drf datetime whole"
            | "drf datetime six digits"
            | "drf datetime year 1" => {
                holds!(SampleDateTime)
            }
            "drf date" => holds!(SampleDate),
            "drf time" | "drf time micro" => holds!(SampleTime),
            // DRF's spelling of a timedelta is no ISO 8601, and a decimal is a string with a pattern.
            "drf duration" | "drf duration negative" | "drf decimal" => holds!(SampleText),
            "drf float" | "drf float small" | "drf float third" => holds!(SampleFloat),
            "drf int 20 digits" | "drf dict" => holds!(SampleAny),
            "drf bool" => holds!(SampleBool),
            "drf null" => holds!(SampleNull),
            "drf list" => holds!(SampleList),
            "drf ip" => holds!(SampleIp),
            "drf email" => holds!(SampleEmail),
            "pydantic all" => holds!(Pydantic),
            other => panic!("a new vector: {other}"),
        };
        assert_eq!(
            written,
            value,
            "{name}: {}",
            String::from_utf8_lossy(&written)
        );
    }
}

#[test]
fn python_prints_a_date_time_as_a_key_with_a_space_and_an_offset() {
    let instant: Timestamp = "2024-01-02T03:04:05Z".parse().expect("an instant");
    assert_eq!(
        logpipe::Key::key(&instant).as_deref(),
        Some(&b"2024-01-02 03:04:05+00:00"[..])
    );
}

/// How each decode vector ends: the kind of its rejection, or nothing for a message.
const ENDS: [(&str, Option<&str>); 47] = [
    ("good", None),
    ("extra envelope keys", None),
    ("duplicate key last wins", None),
    ("whitespace around body", None),
    ("version 1.0", None),
    // Python's True equals 1; we take it for the mistake that it is.
    ("version true", Some("Malformed")),
    ("pydantic extra field", None),
    ("msgpack good", None),
    ("escaped unicode", None),
    ("empty", Some("Malformed")),
    // The brace and all up to the first colon is the code.
    ("no prefix", Some("UnknownFormat")),
    ("no colon", Some("Malformed")),
    ("unknown format", Some("UnknownFormat")),
    ("upper-case format", Some("UnknownFormat")),
    ("leading space", Some("UnknownFormat")),
    ("non-utf8 code", Some("UnknownFormat")),
    ("pickle not allowed", Some("UnknownFormat")),
    ("json empty body", Some("Malformed")),
    ("json truncated", Some("Malformed")),
    ("json trailing garbage", Some("Malformed")),
    ("json BOM", Some("Malformed")),
    ("json invalid utf8", Some("Malformed")),
    ("json NaN", Some("Malformed")),
    ("body list", Some("Malformed")),
    ("body number", Some("Malformed")),
    ("body null", Some("Malformed")),
    ("body string", Some("Malformed")),
    ("missing type", Some("Malformed")),
    ("missing version", Some("Malformed")),
    ("missing message", Some("Malformed")),
    ("ignored type", Some("UnknownType")),
    ("ignored type no version", Some("Malformed")),
    ("unknown type", Some("UnknownType")),
    ("type null", Some("Malformed")),
    ("type list", Some("Malformed")),
    ("unknown version", Some("UnknownVersion")),
    ("version string", Some("Malformed")),
    ("version dict", Some("Malformed")),
    ("invalid message missing field", Some("Invalid")),
    ("invalid message wrong type", Some("Invalid")),
    ("message null", Some("Invalid")),
    ("message list", Some("Invalid")),
    ("msgpack truncated", Some("Malformed")),
    ("msgpack trailing byte", Some("Malformed")),
    ("msgpack bin keys", Some("Malformed")),
    ("msgpack empty", Some("Malformed")),
    ("null value (tombstone)", Some("Tombstone")),
];

/// Decodes as a consumer of `person` version 1 would.
fn consume(value: Option<&[u8]>) -> Result<Person, Rejected> {
    let rejected = |failure| match failure {
        logpipe::Failure::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    };
    let envelope = envelope::open(value)?;
    match (&*envelope.message_type, envelope.version) {
        ("person", 1) => envelope.body.decode().map_err(rejected),
        ("person", _) => Err(rejected(envelope.body.unknown_version())),
        _ => Err(rejected(envelope.body.unknown_type())),
    }
}

#[test]
fn every_decode_vector_ends_as_a_message_or_a_named_rejection() {
    let vectors = vectors();
    let vectors = vectors["decode"].as_array().expect("a list");
    assert_eq!(vectors.len(), ENDS.len());
    for (vector, (name, end)) in vectors.iter().zip(ENDS) {
        assert_eq!(text(vector, "name"), name);
        let value = vector["bytes_hex"].as_str().map(unhex);
        let outcome = consume(value.as_deref());
        let kind = outcome.as_ref().err().map(Rejected::kind);
        assert_eq!(kind, end, "{name}: {outcome:?}");
        if let Err(rejected) = outcome {
            let said = rejected.to_string();
            assert!(
                !said.contains("Joe") && !said.contains("1234"),
                "{name} quotes the payload: {said}"
            );
        }
    }
}

#[test]
fn no_prefix_of_a_vector_does_harm() {
    let vectors = vectors();
    let all = ["encode", "decode"]
        .iter()
        .flat_map(|kind| vectors[kind].as_array().expect("a list"));
    for vector in all {
        let value = vector["bytes_hex"].as_str().map(unhex).unwrap_or_default();
        for end in 0..value.len() {
            let prefix = &value[..end];
            if let Ok(person) = consume(Some(prefix)) {
                // All that may be missing is white space, or the byte too many of the vectors that have one.
                let trailing = text(vector, "name").contains("trailing") && end == value.len() - 1;
                assert!(
                    trailing || value[end..].iter().all(u8::is_ascii_whitespace),
                    "{person:?}"
                );
            }
        }
    }
}

#[test]
fn an_integer_beyond_64_bits_is_kept_in_json_and_refused_by_msgpack() {
    let number: Value = decode::<Anything>(
        b"json:{\"type\":\"t\",\"version\":1,\"message\":{\"v\":18446744073709551616}}",
    )
    .expect("any value")
    .v;
    assert_eq!(
        number,
        Value::Number(Number::from(18_446_744_073_709_551_616_i128))
    );
    let invalid =
        envelope::seal(Format::MsgPack, &Anything { v: number }, "").expect_err("too large");
    assert_eq!(invalid.path, "/v");
}
