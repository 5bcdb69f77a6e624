//! Bounds, lengths, patterns, counts: each rule at its edge, with the path and the reason it gives.

use logpipe::codec::Wire;
use logpipe::rules::Rule::{self, *};
use logpipe::types::{Email, Map, Value};
use logpipe::{Format, envelope};

use crate::messages::{from_json, invalid};

#[derive(Clone, PartialEq)]
struct Ruled {
    name: Option<String>,
    age: Option<u8>,
    percent: Option<Percent>,
    price: Option<f64>,
    tags: Option<Vec<Option<String>>>,
    grades: Option<Map<i64>>,
    email: Option<Email>,
    inner: Option<Box<Ruled>>,
    constant: Option<Option<bool>>,
}

logpipe::wire! {
    struct Ruled open {
        name: "name" optional, min_chars(2), max_chars(4), pattern(r"^\p{L}+$");
        age: "age" optional, min(18), below(100), multiple_of(2);
        percent: "percent" optional, above(0);
        price: "price" optional, min_decimal("0.01"), max_decimal("1e2"), multiple_of_decimal("0.01");
        tags: "tags" optional, min_items(1), max_items(3), unique_items(),
            each(&[max_chars(3), pattern("^[a-z]*$")]);
        grades: "grades" optional, min_properties(1), max_properties(2), values(&[min(-5)]);
        email: "email" optional, max_chars(13);
        inner: "inner" optional, min_properties(1);
        constant: "constant" optional_nullable, equals_boolean(true);
    }
    rules max_properties(2), min_properties(1)
}
logpipe::wire! { boxed Ruled; }
logpipe::message! { Ruled = "ruled" version 1; }

#[derive(Debug, Clone, Copy, PartialEq)]
struct Percent(u8);

logpipe::wire! { newtype Percent(u8), max(100); }

#[test]
fn each_rule_says_where_and_what() {
    for message in [
        r#"{"name":"éé"}"#,
        r#"{"name":"日本語日"}"#,
        r#"{"age":18}"#,
        r#"{"age":98}"#,
        r#"{"percent":100}"#,
        r#"{"price":0.01}"#,
        r#"{"price":100}"#,
        r#"{"price":19.99}"#,
        r#"{"tags":["a",null,""]}"#,
        r#"{"grades":{"a":-5}}"#,
        r#"{"email":"joe@exampl.de"}"#,
        r#"{"constant":null}"#,
        r#"{"constant":true,"x":1,"y":2,"z":3}"#,
        r#"{"inner":{"inner":{"age":20}}}"#,
    ] {
        from_json::<Ruled>(message).unwrap_or_else(|rejected| panic!("{message}: {rejected}"));
    }
    for (message, path, reason) in [
        (r#"{"name":"é"}"#, "/name", "shorter than 2 characters"),
        (
            r#"{"name":"日本語日本"}"#,
            "/name",
            "longer than 4 characters",
        ),
        (r#"{"name":"a1"}"#, "/name", r"does not match ^\p{L}+$"),
        (r#"{"age":17}"#, "/age", "must be at least 18"),
        (r#"{"age":100}"#, "/age", "must be below 100"),
        (r#"{"age":19}"#, "/age", "must be a multiple of 2"),
        (r#"{"percent":101}"#, "/percent", "must be at most 100"),
        (r#"{"percent":0}"#, "/percent", "must be above 0"),
        (r#"{"price":0}"#, "/price", "must be at least 0.01"),
        (r#"{"price":100.01}"#, "/price", "must be at most 1e2"),
        (r#"{"price":0.015}"#, "/price", "must be a multiple of 0.01"),
        (r#"{"tags":[]}"#, "/tags", "fewer than 1 items"),
        (
            r#"{"tags":["a","b","c","d"]}"#,
            "/tags",
            "more than 3 items",
        ),
        (
            r#"{"tags":["a","b","a"]}"#,
            "/tags/2",
            "equal to an item before it",
        ),
        (
            r#"{"tags":[null,"b",null]}"#,
            "/tags/2",
            "equal to an item before it",
        ),
        (
            r#"{"tags":[null,"abcd"]}"#,
            "/tags/1",
            "longer than 3 characters",
        ),
        (
            r#"{"tags":["a","B"]}"#,
            "/tags/1",
            "does not match ^[a-z]*$",
        ),
        (r#"{"grades":{}}"#, "/grades", "fewer than 1 members"),
        (
            r#"{"grades":{"a":1,"b":1,"c":1}}"#,
            "/grades",
            "more than 2 members",
        ),
        (
            r#"{"grades":{"secret":-6}}"#,
            "/grades/*",
            "must be at least -5",
        ),
        (
            r#"{"email":"joe@example.de"}"#,
            "/email",
            "longer than 13 characters",
        ),
        (
            r#"{"constant":false}"#,
            "/constant",
            "not the constant that the schema asks for",
        ),
        (r#"{"inner":{}}"#, "/inner", "fewer than 1 members"),
        (
            r#"{"inner":{"inner":{"age":1}}}"#,
            "/inner/inner/age",
            "must be at least 18",
        ),
        (
            r#"{"name":"ab","age":20,"percent":1}"#,
            "",
            "more than 2 members",
        ),
        (r#"{}"#, "", "fewer than 1 members"),
    ] {
        assert_eq!(
            invalid::<Ruled>(message),
            (path.to_owned(), reason.to_owned()),
            "{message}"
        );
    }
}

#[test]
fn what_breaks_a_rule_is_never_written() {
    let ruled = from_json::<Ruled>(r#"{"inner":{"percent":7}}"#).expect("valid");
    let mut broken = ruled.clone();
    if let Some(inner) = &mut broken.inner {
        inner.percent = Some(Percent(200));
    }
    for format in Format::ALL {
        envelope::seal(*format, &ruled, "").expect("valid");
        let invalid = envelope::seal(*format, &broken, "").expect_err("200 percent");
        assert_eq!(
            (&*invalid.path, &*invalid.reason),
            ("/inner/percent", "must be at most 100")
        );
    }
}

/// Whether the value keeps the rule.
fn kept(value: impl Wire, rule: Rule) -> bool {
    value.keeps(&rule).is_ok()
}

#[test]
fn floats_count_as_the_decimal_they_are_spelled_as() {
    for (value, rule) in [
        (0.3, multiple_of_decimal("0.1")),
        (1e308, multiple_of_decimal("0.01")),
        (-4.35, multiple_of_decimal("0.05")),
        (0.1, min_decimal("0.1")),
        (0.1, max_decimal("0.1")),
        (0.1, max_decimal("0.1000000000000000000000001")),
        (-0.0, min_decimal("0")),
        (-0.0, max_decimal("0")),
        (1e308, below_decimal("1e309")),
        (5e-324, above_decimal("1e-400")),
        (1.0, equals_float(1.0)),
    ] {
        assert!(kept(value, rule), "{value} {rule:?}");
    }
    for (value, rule) in [
        (0.35, multiple_of_decimal("0.1")),
        (5e-324, multiple_of_decimal("0.1")),
        (f64::NAN, multiple_of_decimal("1")),
        (0.1, above_decimal("0.1")),
        (0.1, below_decimal("0.1")),
        (0.1, min_decimal("0.1000000000000000000000001")),
        (f64::NAN, min_decimal("0")),
        (f64::NAN, max_decimal("0")),
        (f64::INFINITY, max_decimal("0")),
        (f64::NAN, equals_float(f64::NAN)),
    ] {
        assert!(!kept(value, rule), "{value} {rule:?}");
    }
}

#[test]
fn integers_are_held_against_integers() {
    assert!(kept(7_u8, equals(7)) && !kept(7_u8, equals(8)) && !kept(7_u8, multiple_of(2)));
    assert!(kept(-6_i64, multiple_of(3)) && kept(i64::MIN, multiple_of(-1)));
    assert!(kept(u64::MAX, min(u64::MAX.into())) && !kept(u64::MAX, below(u64::MAX.into())));
    assert!(kept(i64::MIN, max(i64::MIN.into())) && !kept(i64::MIN, above(i64::MIN.into())));
}

#[test]
fn text_is_counted_in_code_points() {
    for (text, count) in [
        ("", 0),
        ("abc", 3),
        ("日本", 2),
        ("😀", 1),
        ("e\u{301}", 2),
        ("🇩🇪", 2),
    ] {
        let kept = |rule| kept(text.to_owned(), rule);
        assert!(kept(min_chars(count)) && kept(max_chars(count)), "{text}");
        assert!(!kept(min_chars(count + 1)), "{text}");
        assert!(count == 0 || !kept(max_chars(count - 1)), "{text}");
    }
    assert!(!kept(String::from("x"), min_chars(usize::MAX)));
    assert!(
        kept(String::from("xay"), pattern("a")),
        "a search, not a match of the whole"
    );
}

#[test]
fn a_rule_about_another_kind_of_value_lets_nothing_pass() {
    assert!(!kept(7_u8, max_chars(100)) && !kept(7_u8, max_decimal("100")));
    assert!(!kept(0.5, max(100)) && !kept(true, equals(1)));
    assert!(!kept(String::new(), max_items(100)) && !kept(vec![1_u8], max_chars(100)));
    assert!(!kept(Map::<u8>::new(), max_items(100)));
    // Of what may be anything, JSON Schema says that it keeps what is not about it.
    assert!(kept(Value::from(7), max_chars(0)) && kept(Value::Null, min(1)));
    assert!(!kept(Value::from("ab"), max_chars(1)) && !kept(Value::from(7), max(6)));
}

#[test]
fn items_are_equal_as_json_has_it() {
    let list = |text: &str| -> Vec<Value> {
        let mut reader = logpipe::codec::JsonReader::new(text);
        logpipe::codec::Wire::read(&mut reader).expect(text)
    };
    for unique in [
        "[]",
        "[1]",
        "[1,true,\"1\",null,[1],{\"a\":1}]",
        "[0,false,\"\",null,[],{}]",
        "[\"ab\",\"a\",\"b\"]",
        "[[\"a\",\"b\"],[\"ab\"]]",
        "[{\"a\":1,\"b\":2},{\"a\":2,\"b\":1}]",
        "[[1],[[1]]]",
        "[1,-1,0.1,10]",
        "[9007199254740992,9007199254740993]",
        "[{\"a\":{}},{\"a\":[]}]",
        "[[],[[]]]",
    ] {
        assert!(kept(list(unique), unique_items()), "{unique}");
    }
    for twice in [
        "[1,1]",
        "[1,1.0]",
        "[100,1e2]",
        "[0,-0.0]",
        "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1.0}]",
        "[[1,{\"x\":[]}],[1.0,{\"x\":[]}]]",
        "[\"a\",\"\\u0061\"]",
        "[null,1,null]",
    ] {
        assert!(!kept(list(twice), unique_items()), "{twice}");
    }
    assert!(!kept(vec![1.0, 2.0, 1.0], unique_items()));
    let many: Vec<i64> = (0..200_000).collect();
    assert!(
        kept(many, unique_items()),
        "in linear time, or this test never ends"
    );
}

#[test]
fn the_rules_of_what_is_inside_name_its_place() {
    let items = vec![Some(1_u8), None, Some(9)];
    let fault = items.keeps(&each(&[min(0), max(5)])).expect_err("9");
    assert_eq!(fault.path(), "/2");
    let map = Map::from([("a", 9_u8)]);
    let fault = map.keeps(&values(&[max(5)])).expect_err("9");
    assert_eq!(fault.path(), "/*");
}
