//! Schemas that were written to hurt: each must end, soon, in a catalog or in diagnostics.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use logpipe_build::catalog::Catalog;
use logpipe_build::diagnostic::Diagnostic;
use logpipe_build::read::read_texts;

/// Generous: what this is to catch takes minutes, or never ends.
const SOON: Duration = Duration::from_secs(20);

fn read_soon(what: &str, schema: &str) -> (Catalog, Vec<Diagnostic>) {
    let start = Instant::now();
    let (catalog, _, diagnostics) = read_texts([("a.v1.json", schema)]);
    assert!(start.elapsed() < SOON, "{what} took {:?}", start.elapsed());
    assert!(
        diagnostics.len() <= 202,
        "{what}: a flood of {}",
        diagnostics.len()
    );
    for one in &diagnostics {
        let line = one.to_string();
        assert!(
            line.len() < 1000 && !line.contains(['\n', '\r', '\u{202e}']),
            "{what}: {line}"
        );
    }
    (catalog, diagnostics)
}

#[test]
fn long_and_evil_names_are_cut_in_messages_and_kept_in_the_catalog() {
    for name in [
        "x".repeat(10_000),
        "*/ }; \\u0000 \\n \\\" \u{202e}".into(),
        "é".repeat(10_000),
    ] {
        let schema = format!(
            r#"{{"type": "object", "properties": {{"{name}": {{"type": "{name}"}}}}, "{name}": 1}}"#
        );
        assert!(!read_soon("name", &schema).1.is_empty());
        let schema = format!(
            r#"{{"type": "object", "properties": {{"{name}": {{"enum": ["{name}"]}}}}, "description": "{name}"}}"#
        );
        let (catalog, diagnostics) = read_soon("name", &schema);
        assert_eq!((diagnostics.len(), catalog.types.len()), (0, 2));
    }
}

#[test]
fn depth_ends_at_its_limit() {
    let nested = |open: &str, close: &str, times: usize| {
        format!(
            r#"{{"type": "object", "properties": {{"x": {}true{}}}}}"#,
            open.repeat(times),
            close.repeat(times)
        )
    };
    for (open, close) in [
        (r#"{"type": "array", "items": "#, "}"),
        (r#"{"type": "object", "properties": {"p": "#, "}}"),
    ] {
        assert_eq!(read_soon("deep", &nested(open, close, 50)).1.len(), 0);
        assert!(
            !read_soon("deeper", &nested(open, close, 10_000))
                .1
                .is_empty()
        );
    }
    // References nest without the text nesting: through lists one may hold the next, through objects as many as like.
    let chain = |link: &str| {
        let mut schema = String::from(
            r##"{"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": {"##,
        );
        for index in 0..5000 {
            let link = link.replace("NEXT", &format!("#/$defs/d{}", index + 1));
            write!(schema, r#""d{index}": {link}, "#).expect("a string");
        }
        schema + r#""d5000": {"type": "string"}}}"#
    };
    let lists = read_soon(
        "lists",
        &chain(r#"{"type": "array", "items": {"$ref": "NEXT"}}"#),
    )
    .1;
    assert!(
        lists
            .iter()
            .any(|one| one.message.contains("through more than 128 references"))
    );
    let objects = read_soon(
        "objects",
        &chain(r#"{"type": "object", "properties": {"n": {"$ref": "NEXT"}}}"#),
    );
    assert_eq!((objects.1.len(), objects.0.types.len()), (0, 5001));
    assert_eq!(
        read_soon("references", &chain(r#"{"$ref": "NEXT"}"#))
            .1
            .len(),
        0
    );
}

#[test]
fn references_that_name_types_in_circles_end() {
    let schemas = [
        // The object that would give the name is the property itself.
        r##"{"type": "object", "properties": {"a": {"$ref": "#/$defs/P"}}, "$defs": {"P": {"$ref": "#/$defs/P/properties/x", "properties": {"x": {"type": "object", "properties": {}}}}}}"##,
        r##"{"type": "object", "properties": {"a": {"$ref": "#/$defs/P/properties/x"}}, "$defs": {"P": {"type": "array", "items": {"$ref": "#/$defs/P/properties/x"}, "properties": {"x": {"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}}}}}}"##,
        r##"{"$ref": "#/properties/x", "type": "object", "properties": {"x": {"type": "object", "properties": {"y": {"$ref": "#"}}}}}"##,
        r##"{"type": "object", "properties": {"a": {"$ref": "#/properties"}, "properties": {"type": "object", "properties": {"items": {"type": "array", "items": {"$ref": "#/properties/properties/properties/items"}}}}}}"##,
        r##"{"$ref": "#"}"##,
        r##"{"$id": "a", "$ref": "a"}"##,
    ];
    for schema in schemas {
        read_soon(schema, schema);
    }
}

#[test]
fn many_of_one_thing_cost_no_square() {
    let list = |item: &dyn Fn(usize) -> String, count: usize| {
        (0..count).map(item).collect::<Vec<_>>().join(",")
    };
    let message = |properties: &str, rest: &str| {
        format!(r#"{{"type": "object", "properties": {{{properties}}}{rest}}}"#)
    };
    let plain = |index: usize| format!(r#""p{index}": {{"type": "string"}}"#);
    let names = list(&|index| format!(r#""p{index}""#), 20_000);
    assert_eq!(
        read_soon(
            "required",
            &message(
                &list(&plain, 20_000),
                &format!(r#", "required": [{names}]"#)
            )
        )
        .1
        .len(),
        0
    );
    read_soon(
        "misses",
        &message(
            &list(&plain, 15_000),
            &format!(r#", "required": [{}]"#, names.replace('p', "q")),
        ),
    );
    read_soon(
        "unknown words",
        &message(
            "",
            &format!(
                ", {}",
                list(&|index| format!(r#""minLengt{index}": 1"#), 30_000)
            ),
        ),
    );
    read_soon(
        "unknown types",
        &message(
            &list(
                &|index| format!(r#""p{index}": {{"type": "strin{index}"}}"#),
                20_000,
            ),
            "",
        ),
    );
    let refs = |index: usize| format!(r##""p{index}": {{"$ref": "#/$defs/d{index}x"}}"##);
    let definitions = format!(
        r#", "$defs": {{{}}}"#,
        list(&|index| format!(r#""d{index}": true"#), 15_000)
    );
    read_soon(
        "lost references",
        &message(&list(&refs, 15_000), &definitions),
    );
    let chain = |index: usize| format!(r##""d{index}": {{"$ref": "#/$defs/d{}"}}"##, index + 1);
    let chain = format!(r#", "$defs": {{{}, "d9000": true}}"#, list(&chain, 9000));
    let refs = |index: usize| format!(r##""p{index}": {{"$ref": "#/$defs/d{}"}}"##, index % 7);
    let (_, diagnostics) = read_soon("long ways", &message(&list(&refs, 9000), &chain));
    assert_eq!(diagnostics.len(), 0);
    let text = "x".repeat(200_000);
    let shared = format!(
        r#", "$defs": {{"d": {{"type": "string", "description": "{text}", "default": "{text}"}}}}"#
    );
    let refs = |index: usize| format!(r##""p{index}": {{"$ref": "#/$defs/d"}}"##);
    read_soon("shared text", &message(&list(&refs, 10_000), &shared));
    let long = "k".repeat(100_000);
    let inner = list(&plain, 10_000);
    let nested = (0..5).fold(message(&inner, ""), |inner, _| {
        message(&format!(r#""{long}": {inner}"#), "")
    });
    read_soon("long pointers", &nested);
    read_soon("one line of faults", &format!("[{}]", "@,".repeat(200_000)));
    read_soon(
        "values",
        &message(
            &format!(
                r#""e": {{"enum": [{}]}}"#,
                list(&|index| format!(r#""v{index}""#), 60_000)
            ),
            "",
        ),
    );
}

#[test]
fn huge_numbers_are_not_written_out() {
    let keywords = [
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "const",
        "default",
    ];
    let numbers = [
        "1e999999999",
        "-1e999999999",
        "1e-999999999",
        "1e99999999999999999999999999",
        "1e1100",
        "1e-1100",
        "5e-324",
    ];
    for keyword in keywords {
        for number in numbers
            .into_iter()
            .map(str::to_owned)
            .chain([format!("0.{}1", "0".repeat(100_000)), "9".repeat(100_000)])
        {
            for ty in ["integer", "number"] {
                let schema = format!(
                    r#"{{"type": "object", "properties": {{"x": {{"type": "{ty}", "{keyword}": {number}}}}}}}"#
                );
                read_soon(&schema[..60], &schema);
            }
        }
    }
}

#[test]
fn a_sound_schema_with_one_part_changed_upsets_nothing() {
    let schema = include_str!("../../../../schemas/order.v1.json");
    let parts = [
        "true",
        "null",
        "5",
        "-1e400",
        "\"\"",
        "[]",
        "{}",
        "[{}]",
        "\"#\"",
        "{\"$ref\": \"#\"}",
        "\"(\"",
        "{\"type\": \"object\"}",
    ];
    // Every value that stands behind a colon, replaced by each of these.
    let colons = schema.match_indices(": ").map(|(at, _)| at + 2);
    for at in colons {
        let value = &schema[at..];
        let end = match value.as_bytes()[0] {
            b'{' | b'[' => continue,
            b'"' => value[1..].find('"').map_or(value.len(), |end| end + 2),
            _ => value.find([',', ' ', '}', '\n']).unwrap_or(value.len()),
        };
        for part in parts {
            read_soon(
                "changed",
                &format!("{}{part}{}", &schema[..at], &value[end..]),
            );
        }
    }
}
