//! What a table of members promises: presence, duplicates, closed and open objects, enums, newtypes.

use logpipe::types::{Map, Value};
use logpipe::{Format, Rejected, envelope};

use crate::messages::{Color, Forms, Person, decode, from_json, invalid, json};

#[test]
fn every_form_of_a_member_survives_both_encodings() {
    let forms = Forms {
        required: "é\u{2028}\"".into(),
        optional: Some(-5),
        nullable: None,
        both: Some(None),
        list: vec![Some(1), None],
        map: Map::from([("b", Color::DarkBlue), ("a", Color::Red)]),
        inner: Some(Box::new(Forms {
            both: Some(Some(0.1)),
            nullable: Some(true),
            ..Forms::default()
        })),
        unknown: Map::from([("more", Value::Null)]),
    };
    for format in Format::ALL {
        let sealed = envelope::seal(*format, &forms, "me").expect("valid");
        assert_eq!(decode::<Forms>(&sealed).expect("valid"), forms, "{format}");
    }
    let sealed = envelope::seal(Format::Json, &forms, "").expect("valid");
    let expected = json::<Forms>(concat!(
        r#"{"required":"é\u2028\"","optional":-5,"nullable":null,"both":null,"list":[1,null],"#,
        r#""map":{"b":"dark blue","a":"red"},"in\"ner/~":{"required":"","nullable":true,"both":0.1,"list":[],"map":{}},"#,
        r#""more":null}"#
    ));
    assert_eq!(String::from_utf8(sealed), String::from_utf8(expected));
}

const MEMBERS: &str = r#""required":"","nullable":null,"list":[],"map":{}"#;

/// The members that have to be there, and these; later ones overrule.
fn with(members: &str) -> String {
    format!("{{{MEMBERS},{members}}}")
}

#[test]
fn absent_and_null_are_two_things() {
    for (message, path, reason) in [
        (
            r#"{"nullable":null,"list":[],"map":{}}"#.to_owned(),
            "/required",
            "required, but absent",
        ),
        (
            r#"{"required":"","list":[],"map":{}}"#.to_owned(),
            "/nullable",
            "required, but absent",
        ),
        (
            with(r#""required":null"#),
            "/required",
            "expected a string, found null",
        ),
        (
            with(r#""optional":null"#),
            "/optional",
            "expected an integer, found null",
        ),
        (
            with(r#""list":null"#),
            "/list",
            "expected a list, found null",
        ),
        (
            with(r#""list":[1,null,-1]"#),
            "/list/2",
            "must be an integer from 0 to 255",
        ),
        (
            with(r#""map":{"secret":null}"#),
            "/map/*",
            "expected a string, found null",
        ),
        (
            with(r#""in\"ner/~":{"list":[]}"#),
            "/in\"ner~1~0/required",
            "required, but absent",
        ),
        (
            with(r#""map":{"k":"green"}"#),
            "/map/*",
            "must be one of \"red\", \"dark blue\"",
        ),
    ] {
        assert_eq!(
            invalid::<Forms>(&message),
            (path.to_owned(), reason.to_owned()),
            "{message}"
        );
    }
    let read = |members: &str| from_json::<Forms>(&with(members)).expect(members).both;
    assert_eq!(read(r#""x":0"#), None);
    assert_eq!(read(r#""both":null"#), Some(None));
    assert_eq!(read(r#""both":2"#), Some(Some(2.0)));
}

#[test]
fn a_list_is_not_an_object_nor_the_other_way_round() {
    for message in [
        r#"["12345678-1234-4678-9234-567812345678","Joe","Schmoe"]"#,
        "[]",
        "null",
        "7",
        "\"x\"",
        "true",
    ] {
        let (path, reason) = invalid::<Person>(message);
        assert_eq!(path, "");
        assert!(reason.starts_with("expected an object, found "), "{reason}");
    }
    assert_eq!(invalid::<Forms>(&with(r#""list":{}"#)).0, "/list");
    assert_eq!(invalid::<Forms>(&with(r#""map":[]"#)).0, "/map");
}

#[test]
fn of_duplicate_members_the_last_wins_whatever_the_others_were() {
    for (members, expected) in [
        (r#""optional":1,"optional":2"#, Some(2)),
        (r#""optional":"no","optional":2"#, Some(2)),
        (r#""optional":[{"x":[1,2]}],"optional":2"#, Some(2)),
        (r#""optional":1.5,"optional":1.5,"optional":3"#, Some(3)),
        (r#""optional":1,"\u006fptional":2"#, Some(2)),
    ] {
        assert_eq!(
            from_json::<Forms>(&with(members)).expect(members).optional,
            expected
        );
    }
    assert_eq!(
        invalid::<Forms>(&with(r#""optional":1,"optional":"no""#)).0,
        "/optional"
    );
    // The first that nothing overruled is the one that is told.
    let message = with(r#""optional":1.5,"both":"x","optional":3"#);
    assert_eq!(invalid::<Forms>(&message).0, "/both");
    let map = from_json::<Forms>(&with(r#""map":{"a":7,"b":"red","a":"red"}"#))
        .expect("last wins")
        .map;
    assert_eq!(map, Map::from([("a", Color::Red), ("b", Color::Red)]));
    // In a nested object, too, and the fault of what was overruled is gone with it.
    let nested = with(&format!(
        r#""in\"ner/~":{{"list":[1,"x"]}},"in\"ner/~":{{{MEMBERS}}}"#
    ));
    assert!(
        from_json::<Forms>(&nested)
            .expect("last wins")
            .inner
            .is_some()
    );
    // Broken syntax is broken, overruled or not.
    let broken = from_json::<Forms>(&with(r#""optional":01,"optional":2"#));
    assert_eq!(broken.expect_err("malformed").kind(), "Malformed");
}

#[test]
fn invalid_entries_cost_linear_time() {
    let entries: Vec<String> = (0..200_000).map(|index| format!("\"{index}\":0")).collect();
    let message = with(&format!("\"map\":{{{}}}", entries.join(",")));
    let (path, reason) = invalid::<Forms>(&message);
    assert_eq!(
        (&*path, &*reason),
        ("/map/*", "expected a string, found a number")
    );
}

struct Shut {
    a: Option<u8>,
}

logpipe::wire! { struct Shut closed { a: "a" optional; } }
logpipe::message! { Shut = "shut" version 1; }

/// Its names are spelled with escapes, in Rust as in JSON.
#[derive(PartialEq)]
pub struct Odd {
    quote: i64,
    tab: i64,
    wide: i64,
    back: i64,
}

logpipe::wire! {
    struct Odd closed {
        quote: "a\":1,\"b";
        tab: "\t";
        wide: "\u{e9}";
        back: r"\";
    }
}
logpipe::message! { Odd = "odd" version 1; }

#[test]
fn a_name_with_an_escape_is_what_it_stands_for() {
    let odd = Odd {
        quote: 1,
        tab: 2,
        wide: 3,
        back: 4,
    };
    for spelled in [
        r#"{"a\":1,\"b":1,"\t":2,"é":3,"\\":4}"#,
        r#"{"a\u0022:1,\u0022b":1,"\u0009":2,"\u00e9":3,"\u005c":4}"#,
    ] {
        assert_eq!(from_json::<Odd>(spelled).as_ref(), Ok(&odd), "{spelled}");
    }
    let sealed = envelope::seal(Format::Json, &odd, "").expect("valid");
    let written = r#"{"a\":1,\"b":1,"\t":2,"é":3,"\\":4}}"#;
    assert!(sealed.ends_with(written.as_bytes()));
    for hostile in [
        r#"{"a":1,"b":1,"\t":2,"é":3,"\\":4}"#,
        r#"{"a\":1,\"b":1,"\t":2,"\u{e9}":3,"\\":4}"#,
        "{\"a\\\":1,\\\"b\":1,\"\t\":2,\"é\":3,\"\\\\\":4}",
        r#"{"a\":1,\"b":1,"\t":2,"é":3,"\":4}"#,
    ] {
        assert!(from_json::<Odd>(hostile).is_err(), "{hostile}");
    }
}

#[test]
fn a_closed_object_names_the_stranger_escaped_and_cut() {
    assert_eq!(from_json::<Shut>("{}").expect("valid").a, None);
    let (path, reason) = invalid::<Shut>(r#"{"a":1,"\u001b[2J\n":[]}"#);
    assert_eq!(
        (&*path, &*reason),
        ("", r#"the member "\u{1b}[2J\n" is not declared"#)
    );
    let (_, reason) = invalid::<Shut>(&format!(r#"{{"{}":1}}"#, "x".repeat(10_000)));
    assert!(reason.len() < 200, "{}", reason.len());
}

#[test]
fn members_come_in_any_order_with_any_spelling() {
    let expected = from_json::<Person>(
        r#"{"uuid":"12345678-1234-4678-9234-567812345678","first_name":"Joe","last_name":"Schmoe"}"#,
    )
    .expect("canonical");
    for message in [
        r#"{"last_name":"Schmoe","first_name":"Joe","uuid":"12345678-1234-4678-9234-567812345678"}"#,
        r#"{ "uuid" : "12345678-1234-4678-9234-567812345678" ,"first_name":	"Joe", "last_name" : "Schmoe" } "#,
        r#"{"\u0075uid":"12345678-1234-4678-9234-567812345678","first_name":"\u004aoe","last_name":"Sc\u0068moe"}"#,
        r#"{"x":{"y":[1,2,{"z":null}]},"uuid":"12345678-1234-4678-9234-567812345678","first_name":"Joe","y":1e5,"last_name":"Schmoe"}"#,
        r#"{"uuid":"12345678-1234-4678-9234-567812345678","last_name":"Schmoe","first_name":"Joe","x":[]}"#,
        r#"{"uuid":"12345678-1234-4678-9234-567812345678","first_name":"Joe","last_name":"Schmoe","":0,"first":1}"#,
    ] {
        assert_eq!(from_json::<Person>(message).expect(message), expected);
    }
}

#[test]
fn a_kept_member_that_is_declared_is_not_written_twice() {
    let forms = Forms {
        unknown: Map::from([("optional", Value::Null)]),
        ..Forms::default()
    };
    let invalid = envelope::seal(Format::Json, &forms, "").expect_err("twice");
    assert_eq!(invalid.reason, "a declared member among those that are not");
}

#[test]
fn a_rejection_never_quotes_the_message() {
    for message in [
        with(r#""optional":"SECRET""#),
        with(r#""map":{"SECRET":1}"#),
        with(r#""map":{"SECRET":"SECRET"}"#),
        with(r#""optional":SECRET"#),
        with(r#""required":"SECRET"#),
        with(r#""required":["SECRET"]"#),
    ] {
        let rejected: Rejected = from_json::<Forms>(&message).expect_err("rejected");
        let said = format!(
            "{rejected} {rejected:?} {} {:?}",
            rejected.reason(),
            rejected.path()
        );
        assert!(!said.contains("SECRET"), "{said}");
    }
}
