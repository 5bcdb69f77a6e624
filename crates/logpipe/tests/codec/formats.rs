//! Formats that assert, in hostile spellings: the table of the JSON Schema test suite, and our own.

use std::fmt::Debug;

use logpipe::codec::{JsonReader, JsonWriter, Wire};
use logpipe::types::{Date, Duration, Email, Ipv4Addr, Ipv6Addr, Time, Timestamp, Uri, Uuid};
use serde_json::Value as Json;

/// Reads a text as this format and prints it again.
fn printed<T: Wire>(text: &str) -> Option<String> {
    let spelled = serde_json::to_string(text).expect("text");
    let value = T::read(&mut JsonReader::new(&spelled)).ok()?;
    value.check().ok()?;
    let mut out = Vec::new();
    value
        .write(&mut JsonWriter::new(&mut out))
        .expect("what was read can be written");
    Some(serde_json::from_slice(&out).expect("a string"))
}

/// The suite's table, except where this project decides otherwise. What is printed reads as the same value.
fn suite<T: Wire + PartialEq + Debug>(table: &str, other: &[&str]) {
    let cases: Json = serde_json::from_str(table).expect("JSON");
    let mut seen = 0;
    for case in cases
        .as_array()
        .expect("cases")
        .iter()
        .flat_map(|case| case["tests"].as_array().expect("tests"))
    {
        // The suite's `format` ignores what is no string; a typed field does not.
        let Some(text) = case["data"].as_str() else {
            continue;
        };
        let found = printed::<T>(text);
        let valid = case["valid"] == true;
        assert_eq!(
            found.is_some(),
            valid != other.contains(&text),
            "{text:?}: {}",
            case["description"]
        );
        if let Some(canonical) = found {
            assert_eq!(
                printed::<T>(&canonical).as_ref(),
                Some(&canonical),
                "{text}"
            );
        }
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
    // Those that are decided otherwise are in the table, so that the list can't grow stale.
    for text in other {
        assert!(
            table.contains(serde_json::to_string(text).expect("text").as_str()),
            "{text}"
        );
    }
}

#[test]
fn uuids() {
    suite::<Uuid>(include_str!("../vectors/formats/uuid.json"), &[]);
    let lower = "12345678-1234-4678-9234-567812345abc";
    for (text, expected) in [
        (lower, Some(lower)),
        ("12345678-1234-4678-9234-567812345ABC", Some(lower)),
        ("123456781234467892345678123 45abc", None),
        ("12345678123446789234567812345abc", None),
        ("{12345678-1234-4678-9234-567812345abc}", None),
        ("urn:uuid:12345678-1234-4678-9234-567812345abc", None),
        ("12345678-1234-4678-9234-567812345abg", None),
        ("12345678-1234-4678-9234-567812345abc ", None),
        ("1234567-81234-4678-9234-567812345abc1", None),
    ] {
        assert_eq!(printed::<Uuid>(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn date_times() {
    // What is finer than a nanosecond can't be kept, and is refused rather than rounded.
    let finer = ["1985-04-12T00:59:59.999999999999999Z"];
    suite::<Timestamp>(include_str!("../vectors/formats/date-time.json"), &finer);
    for (text, expected) in [
        ("2024-01-02T03:04:05Z", Some("2024-01-02T03:04:05Z")),
        ("2024-01-02t03:04:05z", Some("2024-01-02T03:04:05Z")),
        (
            "2024-01-02T03:04:05.678Z",
            Some("2024-01-02T03:04:05.678000Z"),
        ),
        (
            "2024-01-02T03:04:05.678000Z",
            Some("2024-01-02T03:04:05.678000Z"),
        ),
        (
            "2024-01-02T03:04:05.6780001Z",
            Some("2024-01-02T03:04:05.678000100Z"),
        ),
        (
            "2024-01-02T03:04:05.000000000000Z",
            Some("2024-01-02T03:04:05Z"),
        ),
        ("2024-01-02T03:04:05.0000000001Z", None),
        ("2024-01-02T03:04:05.Z", None),
        ("2024-01-02T03:04:05,5Z", None),
        ("2024-01-02T03:04:05+01:30", Some("2024-01-02T01:34:05Z")),
        ("2024-01-01T23:04:05-04:00", Some("2024-01-02T03:04:05Z")),
        ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59Z")),
        (
            "2016-12-31T15:59:60.5-08:00",
            Some("2016-12-31T23:59:59.500000Z"),
        ),
        ("2016-12-31T22:59:60Z", None),
        ("2024-01-02T03:04:05", None),
        ("2024-01-02 03:04:05Z", None),
        ("2024-01-02T03:04Z", None),
        ("2024-01-02T24:00:00Z", None),
        ("2024-02-30T03:04:05Z", None),
        ("2024-01-02T03:04:05+0100", None),
        ("2024-01-02T03:04:05+24:00", None),
        ("+2024-01-02T03:04:05Z", None),
        ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
        // The library's range ends some hours before that of the grammar.
        ("9999-12-31T23:59:59.999999999Z", None),
    ] {
        assert_eq!(printed::<Timestamp>(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn dates() {
    suite::<Date>(include_str!("../vectors/formats/date.json"), &[]);
    for (text, expected) in [
        ("2024-02-29", Some("2024-02-29")),
        ("2023-02-29", None),
        ("1900-02-29", None),
        ("0000-01-01", Some("0000-01-01")),
        ("2024-2-29", None),
        ("2024-02-29T00:00:00Z", None),
        ("20240229", None),
        ("-2024-02-29", None),
        ("２024-02-29", None),
        ("2024-13-01", None),
        ("2024-00-01", None),
    ] {
        assert_eq!(printed::<Date>(text).as_deref(), expected, "{text}");
    }
    // A year that four digits can't spell exists in memory only.
    let mut out = Vec::new();
    assert!(
        Date::constant(-1, 1, 1)
            .write(&mut JsonWriter::new(&mut out))
            .is_err()
    );
}

#[test]
fn times() {
    // The offset may be missing, as in Python's naive times.
    suite::<Time>(
        include_str!("../vectors/formats/time.json"),
        &["12:00:00", "12:00:00.52"],
    );
    for (text, expected) in [
        ("03:04:05", Some("03:04:05")),
        ("03:04:05.678", Some("03:04:05.678000")),
        ("03:04:05.000001", Some("03:04:05.000001")),
        ("03:04:05.1234567", Some("03:04:05.123456700")),
        ("03:04:05+00:00", Some("03:04:05Z")),
        ("03:04:05-08:30", Some("03:04:05-08:30")),
        ("23:59:60", Some("23:59:59")),
        ("12:59:60", None),
        ("3:04:05", None),
        ("03:04", None),
        ("03:04:05 ", None),
    ] {
        assert_eq!(printed::<Time>(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn durations() {
    // ISO 8601 where RFC 3339 has less: fractional seconds, a sign, parts that skip a unit. No number beyond 64 bits.
    let other = ["PT0.5S", "P1Y2D", "PT1H2S", "-P1D"];
    let table = include_str!("../vectors/formats/duration.json");
    let cases: Json = serde_json::from_str(table).expect("JSON");
    let long = cases[0]["tests"]
        .as_array()
        .expect("tests")
        .iter()
        .filter_map(|case| case["data"].as_str());
    let long = long.max_by_key(|text| text.len()).expect("a long one");
    suite::<Duration>(table, &[&other[..], &[long]].concat());
    for (text, expected) in [
        ("P1DT2.000003S", None),
        ("P1DT0H2.000003S", Some("P1DT2.000003S")),
        ("P1DT2.5S", Some("P1DT2.500000S")),
        ("PT36H", Some("PT36H")),
        ("P0D", Some("PT0S")),
        ("-P1DT1S", Some("-P1DT1S")),
        ("P2W", Some("P2W")),
        ("P1M", Some("P1M")),
        ("PT1M", Some("PT1M")),
        ("P0WT1H", None),
        ("P1W1D", None),
        ("PT1.5H", None),
        ("PT1.5M1S", None),
        ("P1.5D", None),
        ("PT1S1S", None),
        ("PT1S1H", None),
        ("+P1D", None),
        ("P-1D", None),
        ("p1d", None),
        ("PT", None),
        ("P1DT", None),
        ("1 00:00:02.000003", None),
    ] {
        let expected = if text == "P1DT2.000003S" {
            Some(text)
        } else {
            expected
        };
        assert_eq!(printed::<Duration>(text).as_deref(), expected, "{text}");
    }
    let two = jiff::SignedDuration::new(-86_402, -3_000);
    assert_eq!(Duration::from(two).to_string(), "-P1DT2.000003S");
    assert_eq!(Duration::from(two).to_signed(), Some(two));
    assert_eq!(
        "P1M".parse::<Duration>().expect("a month").to_signed(),
        None
    );
}

#[test]
fn emails() {
    suite::<Email>(include_str!("../vectors/formats/email.json"), &[]);
    for (text, valid) in [
        ("Joe.Schmoe+tag@Example.com", true),
        ("\"joe bloggs\"@example.com", true),
        ("joe@[127.0.0.1]", true),
        ("joe@[IPv6:::1]", true),
        ("joe@[127.0.0.300]", false),
        ("joe@example..com", false),
        ("joe@-example.com", false),
        ("joe@example.com\n", false),
        ("joe", false),
        ("@example.com", false),
        ("joe@", false),
        ("a@b@c.com", false),
        ("jöe@example.com", false),
    ] {
        let expected = valid.then_some(text);
        assert_eq!(printed::<Email>(text).as_deref(), expected, "{text}");
    }
    assert!(printed::<Email>(&format!("{}@example.com", "x".repeat(65))).is_none());
}

#[test]
fn uris() {
    suite::<Uri>(include_str!("../vectors/formats/uri.json"), &[]);
    for (text, valid) in [
        ("https://Example.com/a%20b?c=d#e", true),
        ("urn:isbn:0451450523", true),
        ("http://[2001:db8::1]:8080/", true),
        ("mailto:joe@example.com", true),
        ("http://joe:pw@host/", true),
        ("file:///etc/hosts", true),
        ("//example.com/", false),
        ("/relative", false),
        ("http://exa mple.com", false),
        ("http://example.com/%zz", false),
        ("http://example.com/%2", false),
        ("http://[::1", false),
        ("http://host:port/", false),
        ("http://é.com/", false),
        ("1http://x", false),
        ("http://x/\u{0}", false),
        ("http://x#a#b", false),
    ] {
        let expected = valid.then_some(text);
        assert_eq!(printed::<Uri>(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn addresses() {
    suite::<Ipv4Addr>(include_str!("../vectors/formats/ipv4.json"), &[]);
    suite::<Ipv6Addr>(include_str!("../vectors/formats/ipv6.json"), &[]);
    for (text, expected) in [
        ("2001:0DB8:0:0:0:0:0:1", Some("2001:db8::1")),
        ("::", Some("::")),
        ("::ffff:192.0.2.1", Some("::ffff:192.0.2.1")),
        ("fe80::1%eth0", None),
        ("[::1]", None),
        ("::1/64", None),
        ("1::2::3", None),
    ] {
        assert_eq!(printed::<Ipv6Addr>(text).as_deref(), expected, "{text}");
    }
    for text in [
        "127.0.0.01",
        "127.1",
        "0x7f.0.0.1",
        "127.0.0.1 ",
        "256.0.0.1",
        "１27.0.0.1",
    ] {
        assert_eq!(printed::<Ipv4Addr>(text), None, "{text}");
    }
}

#[test]
fn a_format_is_text_and_nothing_else() {
    for value in ["5", "true", "null", "[]", "{}"] {
        for reason in [
            Uuid::read(&mut JsonReader::new(value))
                .expect_err("no text")
                .to_string(),
            Timestamp::read(&mut JsonReader::new(value))
                .expect_err("no text")
                .to_string(),
        ] {
            assert!(reason.starts_with("expected a string, found "), "{reason}");
        }
    }
}
