//! Strings and their escapes, the grammar of JSON and of msgpack, depth.

use logpipe::types::Value;
use logpipe::{Format, Rejected, envelope};

use crate::messages::{decode, from_json, json};

#[derive(PartialEq)]
struct Any {
    s: Value,
}

logpipe::wire! { struct Any open { s: "s"; } }
logpipe::message! { Any = "any" version 1; }

#[derive(PartialEq)]
struct Text {
    s: String,
}

logpipe::wire! { struct Text open { s: "s"; } }
logpipe::message! { Text = "text" version 1; }

#[test]
fn every_escape_is_read_and_only_those_of_the_rfc() {
    for (spelled, text) in [
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""\u0041\u00e9\u00E9""#, "Aéé"),
        (r#""\ud83d\ude00""#, "😀"),
        (r#""\uD83D\uDE00x""#, "😀x"),
        (r#""\u0000""#, "\0"),
        (r#""\uffff\ufeff""#, "\u{ffff}\u{feff}"),
        ("\"\u{7f}\u{80}\u{2028}\"", "\u{7f}\u{80}\u{2028}"),
        (r#""1234567\"""#, "1234567\""),
        (
            r#""12345678\n12345678901234567""#,
            "12345678\n12345678901234567",
        ),
        ("\"日本語日本語日本語\"", "日本語日本語日本語"),
    ] {
        let message = from_json::<Text>(&format!("{{\"s\":{spelled}}}")).expect(spelled);
        assert_eq!(message.s, text, "{spelled}");
    }
    for spelled in [
        r#""\x41""#,
        r#""\U0041""#,
        r#""\u004""#,
        r#""\u00g0""#,
        r#""\u+041""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\ud83dx""#,
        r#""\ud83d\ud83d""#,
        r#""\"#,
        r#"""#,
        r#""\u"#,
        "\"\n\"",
        "\"\t\"",
        "\"\0\"",
        "\"1234567\u{1f}\"",
        "'x'",
    ] {
        for message in [
            format!("{{\"s\":{spelled}}}"),
            format!("{{\"s\":\"\",\"x\":{spelled}}}"),
        ] {
            let kind = from_json::<Text>(&message)
                .err()
                .as_ref()
                .map(Rejected::kind);
            assert_eq!(kind, Some("Malformed"), "{message}");
        }
    }
}

/// Every scalar value, at every distance from the boundaries that the scanner of eight bytes has.
#[test]
fn every_character_survives_at_every_place() {
    let special = ('\0'..='\u{100}').chain([
        '\u{7ff}',
        '\u{800}',
        '\u{2027}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{feff}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
    ]);
    for character in special {
        for before in 0..18 {
            let text = Text {
                s: format!(
                    "{}{character}{}",
                    "a".repeat(before),
                    "é".repeat(17 - before)
                ),
            };
            for format in Format::ALL {
                let sealed = envelope::seal(*format, &text, "").expect("valid");
                assert_eq!(decode::<Text>(&sealed).expect("valid"), text, "{format}");
                if *format == Format::Json {
                    let body: serde_json::Value =
                        serde_json::from_slice(&sealed[5..]).expect("JSON");
                    assert_eq!(body["message"]["s"], text.s);
                }
            }
        }
    }
}

#[test]
fn what_is_no_json_is_malformed_wherever_it_stands() {
    for broken in [
        "{\"s\":1,}",
        "{,\"s\":1}",
        "{\"s\" 1}",
        "{\"s\":}",
        "{\"s\":1 \"x\":2}",
        "{s:1}",
        "{\"s\":1",
        "{",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "[",
        "{\"s\":[1}",
        "{\"s\":{]}",
        "tru",
        "truth",
        "nul",
        "nulll",
        "falsee",
        "True",
        "None",
        "undefined",
        "//x\n1",
        "1 /* */",
        "",
        "\u{a0}1",
        "\u{b}1",
        "{\"s\":1}}",
        "]",
        ":",
        ",",
        "{\"s\":1,,\"x\":2}",
        "{1:2}",
        "{null:2}",
    ] {
        for message in [
            broken.to_owned(),
            format!("{{\"s\":{broken}}}"),
            format!("{{\"s\":1,\"x\":{broken}}}"),
            format!("{{\"s\":[{broken}]}}"),
        ] {
            // An empty list is one, and so is an object that is closed early and then closed again by the template.
            let oracle =
                serde_json::from_slice::<serde_json::Value>(&json::<Any>(&message)[5..]).is_ok();
            let outcome = from_json::<Any>(&message);
            let malformed = matches!(outcome, Err(Rejected::Malformed { .. }));
            assert_eq!(malformed, !oracle, "{message}: {outcome:?}");
        }
    }
}

#[test]
fn a_malformed_record_says_at_which_byte() {
    for (value, offset) in [
        (
            &b"json:{\"type\":\"any\",\"version\":1,\"message\":{\"s\":tru}}"[..],
            Some(46),
        ),
        (
            b"json:{\"type\":\"any\",\"version\":1,\"message\":{\"s\":1}}x",
            Some(49),
        ),
        (b"json:\xef\xbb\xbf{}", Some(5)),
        (b"json:{\"type\":\"\xff\"}", Some(14)),
        (b"json:", Some(5)),
        (b"msgpack:", Some(8)),
        (b"msgpack:\x81\xa1", Some(10)),
        (b"msgpack:\xc1", Some(8)),
        (b"hello", None),
    ] {
        match decode::<Any>(value) {
            Err(Rejected::Malformed { offset: found, .. }) => {
                assert_eq!(found, offset, "{}", String::from_utf8_lossy(value));
            }
            other => panic!("{}: {other:?}", String::from_utf8_lossy(value)),
        }
    }
}

/// The envelope's brace is the first level, the message's the second.
#[test]
fn depth_is_counted_from_the_envelopes_brace_and_ends_at_128() {
    let nested = |levels: usize| format!("{{\"s\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let skipped = |levels: usize| {
        format!(
            "{{\"s\":0,\"x\":{}{}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    for spell in [nested, skipped] {
        let message = from_json::<Any>(&spell(126)).expect("128 levels");
        let sealed = envelope::seal(Format::Json, &message, "").expect("128 levels");
        assert_eq!(decode::<Any>(&sealed).expect("128 levels"), message);
        for levels in [127, 1_000, 1_000_000] {
            let rejected = from_json::<Any>(&spell(levels)).expect_err("too deep");
            assert!(
                rejected
                    .reason()
                    .starts_with("nested deeper than 128 levels"),
                "{rejected}"
            );
        }
    }
    let head = b"msgpack:\x83\xa4type\xa3any\xa7version\x01\xa7message\x81\xa1s";
    let nested = |levels: usize| [&head[..], &vec![0x91; levels], &[0xc0]].concat();
    let message = decode::<Any>(&nested(126)).expect("128 levels");
    assert_eq!(
        envelope::seal(Format::MsgPack, &message, "").expect("128 levels"),
        nested(126)
    );
    let rejected = decode::<Any>(&nested(1_000_000)).expect_err("too deep");
    assert!(
        rejected
            .reason()
            .starts_with("nested deeper than 128 levels"),
        "{rejected}"
    );

    let mut deep = Value::Null;
    for _ in 0..127 {
        deep = Value::List(vec![deep]);
    }
    for format in Format::ALL {
        let invalid =
            envelope::seal(*format, &Any { s: deep.clone() }, "").expect_err("too deep to be read");
        assert_eq!(invalid.reason, "nested deeper than 128 levels");
    }
}

#[test]
fn msgpack_claims_are_not_believed() {
    let head = &b"msgpack:\x83\xa4type\xa3any\xa7version\x01\xa7message\x81\xa1s"[..];
    for (spelled, kind) in [
        // Lengths with nothing behind them.
        (&b"\xdd\xff\xff\xff\xff"[..], "Malformed"),
        (b"\xdf\xff\xff\xff\xff", "Malformed"),
        (b"\xdb\xff\xff\xff\xff", "Malformed"),
        (b"\xc6\xff\xff\xff\xff", "Malformed"),
        (b"\xc9\xff\xff\xff\xff\x01", "Malformed"),
        (b"\xa2\xff\xfe", "Malformed"),
        (b"\xc1", "Malformed"),
        (b"\x81\xc4\x01a\x01", "Malformed"),
        (b"\x81\x01\x01", "Malformed"),
        (b"\x81\xc0\x01", "Malformed"),
        // Whole, but no value of a message.
        (b"\xc4\x01a", "Invalid"),
        (b"\xd6\xff\x00\x00\x00\x00", "Invalid"),
        (b"\xc7\x00\x01", "Invalid"),
    ] {
        let rejected = decode::<Any>(&[head, spelled].concat()).expect_err("no value");
        assert_eq!(rejected.kind(), kind, "{spelled:02x?}: {rejected}");
    }
    // Where nobody looks at them they are read over.
    let skipped = b"msgpack:\x83\xa4type\xa3any\xa7version\x01\xa7message\x83\xa1x\xc4\x01a\xa1y\xd6\xff\x00\x00\x00\x00\xa1s\x07";
    assert_eq!(decode::<Any>(skipped).expect("a message").s, Value::from(7));
}
