//! Heads and tails, versions, duplicates, formats: which envelope is it, and which rejection?

use std::borrow::Cow;

use logpipe::codec::{Fault, Json, JsonReader, JsonWriter, MsgPack, MsgPackReader, MsgPackWriter};
use logpipe::types::Value;
use logpipe::{Body, Decode, Encode, Failure, Format, Message, Rejected, envelope};

use crate::messages::{Person, body, decode};

const MESSAGE: &str =
    r#"{"uuid":"12345678-1234-4678-9234-567812345678","first_name":"Joe","last_name":"Schmoe"}"#;

#[test]
fn any_spelling_of_an_envelope_is_the_same_message() {
    for envelope in [
        r#"{"type":"person","version":1,"message":M}"#,
        r#"{"type":"person","version":1,"message":M} "#,
        r#"{"type":"person","version":1,"message":M,"producer":"x"}"#,
        r#"{"type":"person","version":1,"message":M,"producer":"\u0041\""}"#,
        r#"{"type":"person","version":1,"message":M,"producer":5}"#,
        r#"{"type":"person","version":1,"message":M,"trace":{"a":[1]}}"#,
        r#"{"type":"person","version":1,"message":M , "x":1}"#,
        r#"{"message":M,"version":1,"type":"person"}"#,
        r#"{"producer":"x","type":"person","version":1,"message":M}"#,
        r#" { "type" : "person" , "version" : 1 , "message" : M } "#,
        r#"{"\u0074ype":"\u0070erson","version":1,"message":M}"#,
        r#"{"type":"person","version":1.0,"message":M}"#,
        r#"{"type":"person","version":10e-1,"message":M}"#,
        r#"{"type":"zzz","type":"person","version":1,"message":M}"#,
        r#"{"type":null,"type":"person","version":"1","version":1,"message":[],"message":M}"#,
        r#"{"type":"person","version":1,"message":{"uuid":5},"message":M}"#,
        r#"{"type":"person","version":1,"message":7,"x":1,"message":M}"#,
    ] {
        let value = format!("json:{}", envelope.replace('M', MESSAGE));
        let person = decode::<Person>(value.as_bytes())
            .unwrap_or_else(|rejected| panic!("{envelope}: {rejected}"));
        assert_eq!(person.first_name, "Joe", "{envelope}");
    }
}

#[test]
fn a_later_duplicate_decides_which_message_it_is() {
    for (tail, message_type, version) in [
        (r#","type":"place""#, "place", 1),
        (r#","version":2"#, "person", 2),
        (r#","producer":"x","type":"place","version":3"#, "place", 3),
    ] {
        // The message is read before the tail is: valid, invalid, it makes no difference.
        for message in [MESSAGE, "{}", "7"] {
            let value =
                format!(r#"json:{{"type":"person","version":1,"message":{message}{tail}}}"#);
            let value = value.as_bytes();
            let body = |value| envelope::open(Some(value)).expect("an envelope").body;
            assert!(matches!(
                body(value).decode::<Person>(),
                Err(Failure::Reopen)
            ));
            assert!(matches!(body(value).unknown_version(), Failure::Reopen));
            assert!(matches!(body(value).unknown_type(), Failure::Reopen));
            assert!(matches!(body(value).confirm(), Err(Failure::Reopen)));
            let envelope = envelope::open_exact(Some(value)).expect("an envelope");
            assert_eq!(
                (&*envelope.message_type, envelope.version),
                (message_type, version)
            );
            envelope.body.confirm().expect("read in full");
        }
    }
    // What can't be a type or a version overrules as well.
    for tail in [r#","type":null"#, r#","version":"1""#, r#","version":true"#] {
        let value = format!(r#"json:{{"type":"person","version":1,"message":{MESSAGE}{tail}}}"#);
        assert_eq!(
            decode::<Person>(value.as_bytes())
                .expect_err("malformed")
                .kind(),
            "Malformed"
        );
    }
    let value =
        format!(r#"json:{{"type":"person","version":1,"message":{MESSAGE},"message":null}}"#);
    assert_eq!(
        decode::<Person>(value.as_bytes())
            .expect_err("invalid")
            .kind(),
        "Invalid"
    );
}

#[test]
fn what_no_schema_can_have_is_no_version() {
    for version in [
        "true",
        "false",
        "null",
        "\"1\"",
        "[1]",
        "{}",
        "0",
        "-1",
        "1.5",
        "4294967296",
        "1e400",
        "1e99999999999999999999",
        "18446744073709551617",
        "01",
        "+1",
        "0x1",
    ] {
        for order in [
            format!(r#"json:{{"type":"person","version":{version},"message":{MESSAGE}}}"#),
            format!(r#"json:{{"version":{version},"type":"person","message":{MESSAGE}}}"#),
        ] {
            let rejected = envelope::open(Some(order.as_bytes())).expect_err("no version");
            assert_eq!(rejected.kind(), "Malformed", "{order}");
        }
    }
    for (version, expected) in [
        ("1", 1),
        ("4294967295", u32::MAX),
        ("2e3", 2000),
        ("1.0", 1),
    ] {
        let value = format!(r#"json:{{"type":"person","version":{version},"message":{MESSAGE}}}"#);
        assert_eq!(
            envelope::open(Some(value.as_bytes()))
                .expect("an envelope")
                .version,
            expected
        );
    }
    for (version, expected) in [
        (&b"\x01"[..], 1),
        (b"\xcd\x00\x01", 1),
        (b"\xcb\x3f\xf0\0\0\0\0\0\0", 1),
        (b"\xce\xff\xff\xff\xff", u32::MAX),
    ] {
        let value = [
            b"msgpack:\x83\xa4type\xa6person\xa7version",
            version,
            b"\xa7message\x80",
        ]
        .concat();
        assert_eq!(
            envelope::open(Some(&value)).expect("an envelope").version,
            expected
        );
    }
    for version in [
        &b"\xc3"[..],
        b"\xa11",
        b"\x00",
        b"\xff",
        b"\xcf\0\0\0\x01\0\0\0\0",
    ] {
        let value = [
            b"msgpack:\x83\xa4type\xa6person\xa7version",
            version,
            b"\xa7message\x80",
        ]
        .concat();
        assert_eq!(
            envelope::open(Some(&value)).expect_err("no version").kind(),
            "Malformed"
        );
    }
}

#[test]
fn msgpack_envelopes_come_in_any_order_too() {
    let message: &[u8] = b"\x80";
    for (value, tail) in [
        (
            &b"\x83\xa4type\xa3any\xa7version\x01\xa7message"[..],
            &b""[..],
        ),
        (
            b"\x84\xa4type\xa3any\xa7version\x01\xa7message",
            b"\xa8producer\xa1x",
        ),
        (
            b"\x84\xa4type\xa3any\xa7version\x01\xa7message",
            b"\xa1x\x01",
        ),
        (b"\x83\xa7version\x01\xa4type\xa3any\xa7message", b""),
        (
            b"\xde\x00\x03\xa4type\xa3any\xa7version\x01\xa7message",
            b"",
        ),
        (
            b"\xdf\x00\x00\x00\x03\xd9\x04type\xd9\x03any\xa7version\x01\xa7message",
            b"",
        ),
        (
            b"\x84\xa4type\x01\xa4type\xa3any\xa7version\x01\xa7message",
            b"",
        ),
        (
            b"\x84\xa4type\xa3any\xa7version\x01\xa7message\x07\xa7message",
            b"",
        ),
    ] {
        let value = [b"msgpack:", value, message, tail].concat();
        let value = body(&value)
            .value()
            .unwrap_or_else(|failure| panic!("{value:02x?}: {failure:?}"));
        assert_eq!(value, Value::Object(logpipe::types::Map::new()));
    }
    let value = b"msgpack:\x84\xa4type\xa3any\xa7version\x01\xa7message\x80\xa4type\xa1b";
    assert!(matches!(body(value).value(), Err(Failure::Reopen)));
}

/// An aggregate of the Kinesis Producer Library holds bytes of any kind behind its magic, colons and whole envelopes too.
#[test]
fn an_aggregate_is_known_by_its_first_bytes() {
    let envelope = br#"json:{"type":"note","version":1,"message":{}}"#;
    for body in [
        &b""[..],
        b"\x0a\x01k\x1a\x04\x08\x00",
        b":json:{}",
        envelope,
    ] {
        let value = [b"\xf3\x89\x9a\xc2", body, &[7; 16]].concat();
        for opened in [
            envelope::open(Some(&value)),
            envelope::open_exact(Some(&value)),
        ] {
            match opened {
                Err(rejected @ Rejected::Aggregated) => {
                    assert!(rejected.reason().contains("aggregate of several records"));
                }
                other => panic!("{body:02x?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_format_is_named_only_when_it_is_fit_to_print() {
    let long = "x".repeat(33);
    for (code, printed) in [
        ("pickle", Some("pickle")),
        ("xml-1_0", Some("xml-1_0")),
        ("JSON", None),
        (" json", None),
        ("json ", None),
        ("", None),
        ("\u{1b}[2J", None),
        (&*long, None),
    ] {
        let value = format!("{code}:{{}}");
        match envelope::open(Some(value.as_bytes())) {
            Err(Rejected::UnknownFormat { code }) => assert_eq!(code.as_deref(), printed),
            other => panic!("{code}: {other:?}"),
        }
    }
    let pickle = envelope::open(Some(b"pickle:\x80\x04}.")).expect_err("refused");
    assert!(
        pickle.reason().contains("executes code"),
        "{}",
        pickle.reason()
    );
}

#[test]
fn a_type_is_told_escaped_and_cut() {
    let value = format!(
        r#"json:{{"type":"\u001b[2J{}","version":7,"message":{{}}}}"#,
        "é".repeat(1_000)
    );
    match body(value.as_bytes()).unknown_type() {
        Failure::Rejected(Rejected::UnknownType {
            message_type,
            version: 7,
        }) => {
            assert!(message_type.starts_with(r"\u{1b}[2Jé"), "{message_type}");
            assert_eq!(message_type.chars().count(), 129);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_broken_tail_makes_an_unknown_type_malformed() {
    for tail in ["", "}x", ",\"producer\":\"x\"", ",}", "}}"] {
        let value = format!(r#"json:{{"type":"zzz","version":1,"message":{{}}{tail}"#);
        match body(value.as_bytes()).unknown_type() {
            Failure::Rejected(rejected) => assert_eq!(rejected.kind(), "Malformed", "{tail}"),
            other => panic!("{other:?}"),
        }
        let person = format!(r#"json:{{"type":"person","version":1,"message":{MESSAGE}{tail}"#);
        assert_eq!(
            decode::<Person>(person.as_bytes())
                .expect_err("malformed")
                .kind(),
            "Malformed"
        );
    }
}

#[test]
fn the_raw_message_is_what_stands_there() {
    let value = format!(r#"json:{{"type":"person","version":1,"message": {MESSAGE} ,"x":1}}"#);
    assert_eq!(
        body(value.as_bytes()).raw().expect("a message"),
        MESSAGE.as_bytes()
    );
    let value = b"msgpack:\x83\xa4type\xa3any\xa7version\x01\xa7message\x81\xa1s\x07";
    assert_eq!(body(value).raw().expect("a message"), b"\x81\xa1s\x07");
}

/// A codec of its own, by serde, for one encoding each: no `Wire` in sight.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct ByHand {
    name: String,
}

impl Message for ByHand {
    const TYPE: &'static str = "by hand";
    const VERSION: u32 = 9;

    fn key(&self) -> Option<Cow<'_, [u8]>> {
        Some(self.name.as_bytes().into())
    }
}

impl Encode<Json> for ByHand {
    fn encode(&self, writer: &mut JsonWriter<'_>) -> Result<(), Fault> {
        writer.raw(
            &serde_json::to_string(self).map_err(|_| Fault::invalid("serde_json refused it"))?,
        )
    }
}

impl Decode<Json> for ByHand {
    fn decode(reader: &mut JsonReader<'_>) -> Result<Self, Fault> {
        serde_json::from_str(reader.raw()?).map_err(|_| Fault::invalid("serde_json refused it"))
    }
}

impl Encode<MsgPack> for ByHand {
    fn encode(&self, writer: &mut MsgPackWriter<'_>) -> Result<(), Fault> {
        writer.raw(
            &rmp_serde::to_vec_named(self).map_err(|_| Fault::invalid("rmp-serde refused it"))?,
        )
    }
}

impl Decode<MsgPack> for ByHand {
    fn decode(reader: &mut MsgPackReader<'_>) -> Result<Self, Fault> {
        rmp_serde::from_slice(reader.raw()?).map_err(|_| Fault::invalid("rmp-serde refused it"))
    }
}

#[test]
fn a_message_by_hand_does_what_a_generated_one_does() {
    let message = ByHand { name: "é".into() };
    for format in Format::ALL {
        let sealed = envelope::seal(*format, &message, "me").expect("valid");
        assert_eq!(decode::<ByHand>(&sealed).expect("valid"), message);
        let opened: Body<'_> = body(&sealed);
        assert_eq!(
            (opened.message_type(), opened.version(), opened.format()),
            ("by hand", 9, *format)
        );
    }
    let rejected = decode::<ByHand>(br#"json:{"type":"by hand","version":9,"message":{"name":5}}"#);
    assert_eq!(rejected.expect_err("invalid").path(), Some(""));
}

/// Whoever logs an envelope logs no payload.
#[test]
fn what_is_shown_for_debugging_is_no_payload() {
    let value =
        br#"json:{"type":"person","version":1,"message":{"name":"secret"},"producer":"me"}"#;
    for opened in [
        envelope::open(Some(value)),
        envelope::open_exact(Some(value)),
    ] {
        let shown = format!("{:?}", opened.unwrap());
        assert!(
            shown.contains("person") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
