//! Integers and floats, however they are spelled: what is an integer, what is out of range, what comes back bit for bit.

use logpipe::types::{Number, Value};
use logpipe::{Format, envelope};

use crate::messages::{decode, from_json, invalid};

#[derive(PartialEq)]
struct Numbers {
    small: Option<u8>,
    integer: Option<i64>,
    unsigned: Option<u64>,
    float: Option<f64>,
    any: Option<Value>,
}

logpipe::wire! {
    struct Numbers closed {
        small: "small" optional;
        integer: "integer" optional;
        unsigned: "unsigned" optional;
        float: "float" optional;
        any: "any" optional;
    }
}
logpipe::message! { Numbers = "numbers" version 1; }

#[test]
fn an_integer_may_be_spelled_with_a_point_or_an_exponent() {
    for (text, expected) in [
        ("1", 1),
        ("1.0", 1),
        ("-0", 0),
        ("-0.0", 0),
        ("1e2", 100),
        ("1E+2", 100),
        ("100e-2", 1),
        ("1.5e1", 15),
        ("0e99999999999999999999999", 0),
        ("0.000e-99999999999999999999999", 0),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("922337203685477580700000000000000000000000e-23", i64::MAX),
        ("999999999999999999", 999_999_999_999_999_999),
        ("1000000000000000000", 1_000_000_000_000_000_000),
    ] {
        let message = from_json::<Numbers>(&format!("{{\"integer\":{text}}}")).expect(text);
        assert_eq!(message.integer, Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_integer_or_does_not_fit_is_invalid() {
    for (member, text, reason) in [
        (
            "integer",
            "1.5",
            "expected an integer, found a number with a fraction",
        ),
        (
            "integer",
            "1e-1",
            "expected an integer, found a number with a fraction",
        ),
        (
            "integer",
            "1e-999999999999999999999999",
            "the number is out of range",
        ),
        (
            "integer",
            "9223372036854775808",
            "must be an integer from -9223372036854775808 to 9223372036854775807",
        ),
        ("integer", "1e1000000000", "the integer is out of range"),
        (
            "integer",
            "1e999999999999999999999999",
            "the number is out of range",
        ),
        ("integer", "true", "expected an integer, found a boolean"),
        ("integer", "\"1\"", "expected an integer, found a string"),
        ("integer", "null", "expected an integer, found null"),
        ("small", "256", "must be an integer from 0 to 255"),
        ("small", "-1", "must be an integer from 0 to 255"),
        (
            "unsigned",
            "18446744073709551616",
            "must be an integer from 0 to 18446744073709551615",
        ),
        ("float", "1e400", "the number is out of range"),
        ("float", "-1e400", "the number is out of range"),
        ("float", "\"1.0\"", "expected a number, found a string"),
    ] {
        let found = invalid::<Numbers>(&format!("{{\"{member}\":{text}}}"));
        assert_eq!(found, (format!("/{member}"), reason.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_number_of_json_is_malformed() {
    for text in [
        "01",
        "-01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "-",
        "--1",
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "0x10",
        "1_000",
        "1 2",
        "00",
        "1.e2",
        "１",
    ] {
        for member in ["integer", "float", "any", "unknown"] {
            let outcome = from_json::<Numbers>(&format!("{{\"{member}\":{text}}}"));
            let kind = outcome.as_ref().err().map(logpipe::Rejected::kind);
            assert_eq!(kind, Some("Malformed"), "{member}: {text}: {outcome:?}");
        }
    }
}

#[test]
fn a_float_is_spelled_as_python_spells_it() {
    for (value, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1.0 / 3.0, "0.3333333333333333"),
        (0.0001, "0.0001"),
        (0.00012345, "0.00012345"),
        (0.00001, "1e-05"),
        (1e-7, "1e-07"),
        (123_456_789_012_345.6, "123456789012345.6"),
        (1e15, "1000000000000000.0"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.5e16, "1.5e+16"),
        (1e22, "1e+22"),
        (1e100, "1e+100"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "5e-324"),
        (-1.25e-10, "-1.25e-10"),
        (100.0, "100.0"),
        (120.5, "120.5"),
    ] {
        assert_eq!(Number::from_f64(value).expect("finite").as_str(), text);
    }
}

#[test]
fn what_is_not_finite_is_never_written_nor_read() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let message = Numbers {
            float: Some(value),
            ..none()
        };
        for format in Format::ALL {
            let invalid = envelope::seal(*format, &message, "").expect_err("not finite");
            assert_eq!(
                (&*invalid.path, &*invalid.reason),
                ("/float", "not a finite number")
            );
        }
        let mut bytes =
            b"msgpack:\x83\xa4type\xa7numbers\xa7version\x01\xa7message\x81\xa5float\xcb".to_vec();
        bytes.extend_from_slice(&value.to_be_bytes());
        let rejected = decode::<Numbers>(&bytes).expect_err("not finite");
        assert_eq!(rejected.path(), Some("/float"));
        assert!(Number::from_f64(value).is_none());
    }
}

fn none() -> Numbers {
    Numbers {
        small: None,
        integer: None,
        unsigned: None,
        float: None,
        any: None,
    }
}

#[test]
fn a_number_without_a_type_is_exact_and_equal_by_value() {
    for text in [
        "1.50",
        "18446744073709551616",
        "0.1000000000000000055511151231257827",
        "1E400",
        "-0.0",
        "1e2",
    ] {
        let message = from_json::<Numbers>(&format!("{{\"any\":{text}}}")).expect(text);
        let sealed = envelope::seal(Format::Json, &message, "").expect(text);
        let sealed = String::from_utf8(sealed).expect("text");
        assert!(
            sealed.ends_with(&format!("{{\"any\":{text}}}}}")),
            "{sealed}"
        );
    }
    let any = |text: &str| {
        from_json::<Numbers>(&format!("{{\"any\":{text}}}"))
            .expect(text)
            .any
    };
    assert_eq!(
        any("{\"a\":[1,1e2],\"b\":0}"),
        any("{\"b\":-0.0,\"a\":[1.0,100]}")
    );
    assert_ne!(any("9007199254740993"), any("9007199254740992"));
}

#[test]
fn msgpack_takes_every_width_of_an_integer_and_writes_the_shortest() {
    let head = b"msgpack:\x83\xa4type\xa7numbers\xa7version\x01\xa7message\x81\xa7integer";
    for (spelled, value, shortest) in [
        (&b"\x05"[..], 5, &b"\x05"[..]),
        (b"\xcc\x05", 5, b"\x05"),
        (b"\xcd\x00\x05", 5, b"\x05"),
        (b"\xce\x00\x00\x00\x05", 5, b"\x05"),
        (b"\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 5, b"\x05"),
        (b"\xd3\x00\x00\x00\x00\x00\x00\x00\x80", 128, b"\xcc\x80"),
        (b"\xd1\xff\xff", -1, b"\xff"),
        (b"\xe0", -32, b"\xe0"),
        (b"\xd0\xdf", -33, b"\xd0\xdf"),
        (b"\xd2\xff\xff\xff\x80", -128, b"\xd0\x80"),
        (b"\xd1\xff\x7f", -129, b"\xd1\xff\x7f"),
        (b"\xcd\x01\x00", 256, b"\xcd\x01\x00"),
        (b"\xce\x00\x01\x00\x00", 65536, b"\xce\x00\x01\x00\x00"),
        (b"\xd2\xff\xff\x7f\xff", -32769, b"\xd2\xff\xff\x7f\xff"),
        (b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", 1, b"\x01"),
        (b"\xca\x3f\x80\x00\x00", 1, b"\x01"),
    ] {
        let value_of =
            |spelled: &[u8]| decode::<Numbers>(&[head, spelled].concat()).expect("a number");
        let message = value_of(spelled);
        assert_eq!(message.integer, Some(value));
        let sealed = envelope::seal(Format::MsgPack, &message, "").expect("valid");
        assert_eq!(sealed, [head, shortest].concat(), "{value}");
    }
}

/// The seeded generator of Sebastiano Vigna's splitmix64: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A million finite ones by default; `LOGPIPE_TEST_FLOATS` says otherwise.
#[test]
fn random_floats_survive_bit_for_bit() {
    let count: usize = std::env::var("LOGPIPE_TEST_FLOATS")
        .map_or(1_000_000, |count| count.parse().expect("a count"));
    let mut random = Random(7);
    let mut out = Vec::new();
    let drawn = std::iter::repeat_with(|| f64::from_bits(random.next()));
    // One in 2,048 drawn is infinite or no number: those do not count.
    for value in drawn.filter(|value| value.is_finite()).take(count) {
        for format in Format::ALL {
            out.clear();
            let back = match format {
                Format::Json => {
                    let mut writer = logpipe::codec::JsonWriter::new(&mut out);
                    logpipe::codec::Wire::write(&value, &mut writer).expect("finite");
                    let text = std::str::from_utf8(&out).expect("text");
                    <f64 as logpipe::codec::Wire>::read(&mut logpipe::codec::JsonReader::new(text))
                }
                Format::MsgPack => {
                    let mut writer = logpipe::codec::MsgPackWriter::new(&mut out);
                    logpipe::codec::Wire::write(&value, &mut writer).expect("finite");
                    <f64 as logpipe::codec::Wire>::read(&mut logpipe::codec::MsgPackReader::new(
                        &out,
                    ))
                }
            };
            assert_eq!(
                back.expect("a float").to_bits(),
                value.to_bits(),
                "{value:e} in {format}"
            );
        }
    }
}
