//! Bounds, lengths, patterns, counts: each rule at its edge, with the path and the reason it gives.

use logpipe::codec::Fault;
use logpipe::rules::{
    above, below, each, equals, max, max_chars, min, min_chars, multiple_of, pattern, present,
    unique_items, values,
};
use logpipe::types::{Email, Map, Value};
use logpipe::{Format, envelope};

use crate::messages::{from_json, invalid};

#[derive(Debug, Clone, PartialEq)]
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
        price: "price" optional, min("0.01"), max("1e2"), multiple_of("0.01");
        tags: "tags" optional, min_items(1), max_items(3), unique_items(),
            each(|item| ::logpipe::rules::present(item, |item| { ::logpipe::rules::max_chars(item, 3)?; ::logpipe::rules::pattern(item, "^[a-z]*$") }));
        grades: "grades" optional, min_properties(1), max_properties(2), values(|item| ::logpipe::rules::min(item, -5));
        email: "email" optional, max_chars(13);
        inner: "inner" optional, min_properties(1);
        constant: "constant" optional_nullable, equals(true);
    }
    rules max_properties(2), min_properties(1)
}
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

#[test]
fn floats_count_as_the_decimal_they_are_spelled_as() {
    let kept = |result: Result<(), Fault>| result.is_ok();
    assert!(
        kept(multiple_of(&0.3, "0.1"))
            && kept(multiple_of(&1e308, "0.01"))
            && kept(multiple_of(&-4.35, "0.05"))
    );
    assert!(
        !kept(multiple_of(&0.35, "0.1"))
            && !kept(multiple_of(&5e-324, "0.1"))
            && !kept(multiple_of(&f64::NAN, "1"))
    );
    assert!(
        kept(min(&0.1, "0.1"))
            && !kept(above(&0.1, "0.1"))
            && kept(max(&0.1, "0.1"))
            && !kept(below(&0.1, "0.1"))
    );
    assert!(
        !kept(min(&0.1, "0.1000000000000000000000001"))
            && kept(max(&0.1, "0.1000000000000000000000001"))
    );
    assert!(
        kept(min(&-0.0, "0"))
            && kept(max(&-0.0, "0"))
            && kept(below(&1e308, "1e309"))
            && kept(above(&5e-324, "1e-400"))
    );
    assert!(
        !kept(min(&f64::NAN, "0")) && !kept(max(&f64::NAN, "0")) && !kept(max(&f64::INFINITY, "0"))
    );
    assert!(
        kept(equals(&1.0, 1.0)) && !kept(equals(&f64::NAN, f64::NAN)) && kept(equals(&7_u8, 7))
    );
    assert!(
        kept(multiple_of(&-6_i64, 3))
            && kept(multiple_of(&i64::MIN, -1))
            && !kept(multiple_of(&7_u8, 2))
    );
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
        let text = text.to_owned();
        assert!(
            min_chars(&text, count).is_ok() && max_chars(&text, count).is_ok(),
            "{text}"
        );
        assert!(min_chars(&text, count + 1).is_err(), "{text}");
        assert!(count == 0 || max_chars(&text, count - 1).is_err(), "{text}");
    }
    assert!(min_chars(&String::from("x"), usize::MAX).is_err());
    assert!(
        pattern(&String::from("xay"), "a").is_ok(),
        "a search, not a match of the whole"
    );
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
        assert!(unique_items(&list(unique)).is_ok(), "{unique}");
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
        assert!(unique_items(&list(twice)).is_err(), "{twice}");
    }
    assert!(unique_items(&vec![1.0, 2.0, 1.0]).is_err());
    let many: Vec<i64> = (0..200_000).collect();
    assert!(
        unique_items(&many).is_ok(),
        "in linear time, or this test never ends"
    );
}

#[test]
fn the_rules_of_what_is_inside_name_its_place() {
    let items = vec![Some(1_u8), None, Some(9)];
    let fault = each(&items, |item| present(item, |item| max(item, 5))).expect_err("9");
    assert_eq!(fault.path(), "/2");
    let map = Map::from([("a", 9_u8)]);
    assert_eq!(
        values(&map, |item| max(item, 5)).expect_err("9").path(),
        "/*"
    );
}
