//! What `$ref` leads to, over files and drafts.

use logpipe_build::catalog::{Hint, Shape, Ty};
use logpipe_build::read::read_texts;

use crate::{assert_told, read_one, sound};

/// A message with a property that refers, and a library of one definition in its file `types/lib.json`.
fn told(reference: &str, definitions: &str) -> Vec<logpipe_build::diagnostic::Diagnostic> {
    let message = format!(
        r#"{{"type": "object", "properties": {{"x": {{"$ref": "{reference}"}}}}{definitions}}}"#
    );
    let library = r#"{"$id": "https://acme.com/lib.json", "$defs": {"d": {"$anchor": "dee", "type": "string"}}}"#;
    read_texts([("a.v1.json", message.as_str()), ("types/lib.json", library)]).2
}

#[test]
fn references_find_their_way() {
    let table = [
        ("#/$defs/d", r#", "$defs": {"d": {"type": "string"}}"#),
        (
            "#/$defs/a~1b~0c%25%20",
            r#", "$defs": {"a/b~c% ": {"type": "string"}}"#,
        ),
        (
            "#here",
            r#", "$defs": {"d": {"$anchor": "here", "type": "string"}}"#,
        ),
        (
            "a.v1.json#/$defs/d",
            r#", "$defs": {"d": {"type": "string"}}"#,
        ),
        (
            "inner.json",
            r#", "$defs": {"d": {"$id": "inner.json", "type": "string"}}"#,
        ),
        (
            "inner.json#/$defs/e",
            r##", "$defs": {"d": {"$id": "inner.json", "$ref": "#/$defs/e", "$defs": {"e": {"type": "string"}}}}"##,
        ),
        (
            "#/$defs/d",
            r##", "$defs": {"d": {"$id": "https://x.org/y", "$ref": "#/$defs/e", "$defs": {"e": {"type": "string"}}}}"##,
        ),
        ("types/lib.json#/$defs/d", ""),
        ("types/lib.json#dee", ""),
        ("https://acme.com/lib.json#dee", ""),
        ("./types/../types/lib.json#/%24defs/d", ""),
        (
            "#/x-shapes/10",
            r#", "x-shapes": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, {"type": "string"}]"#,
        ),
        ("#/x-shapes/0", r#", "x-shapes": [{"type": "string"}]"#),
        (
            "#/x-shapes/a~01",
            r#", "x-shapes": {"a~1": {"type": "string"}}"#,
        ),
        ("#/x-shapes/d", r#", "x-shapes": {"d": {"type": "string"}}"#),
    ];
    for (reference, definitions) in table {
        assert_told(reference, &told(reference, definitions), &[]);
    }
}

#[test]
fn references_that_lead_nowhere_are_told() {
    let table: &[(&str, &str, &[&str])] = &[
        (
            "#/$defs/dd",
            r#", "$defs": {"d": true}"#,
            &[
                "1:49: the reference `#/$defs/dd` leads nowhere: there is no `dd`; did you mean `d`?",
                "warning:",
            ],
        ),
        (
            "#here",
            "",
            &["1:49: no schema there has the anchor `here`"],
        ),
        (
            "types/lip.json",
            "",
            &[
                "1:49: there is no file `types/lip.json` in the folder of schemas; did you mean `types/lib.json`?",
            ],
        ),
        (
            "https://acme.com/x.json",
            "",
            &[
                "1:49: the reference `https://acme.com/x.json` means `https://acme.com/x.json`, which no schema here has as its `$id`",
            ],
        ),
        (
            "../a.json",
            "",
            &["1:49: the reference `../a.json` leads outside the folder of schemas"],
        ),
        (
            "types/../../a.json",
            "",
            &["1:49: the reference `types/../../a.json` leads outside"],
        ),
        (
            "%2e%2e/a.json",
            "",
            &["1:49: the reference `%2e%2e/a.json` leads outside"],
        ),
        (
            "file:///etc/passwd",
            "",
            &["1:49: the reference `file:///etc/passwd` leads outside"],
        ),
        ("#/%zz", "", &["1:49: the reference `#/%zz` is no URI"]),
        (
            "#/properties/x",
            "",
            &["1:49: this reference leads back to itself"],
        ),
        (
            "#/x-a/01",
            r#", "x-a": [true, true]"#,
            &["1:49: the reference `#/x-a/01` leads nowhere: there is no `01`"],
        ),
        (
            "#/x-a/+1",
            r#", "x-a": [true, true]"#,
            &["1:49: the reference `#/x-a/+1` leads nowhere: there is no `+1`"],
        ),
        (
            "#/x-a/",
            r#", "x-a": [true, true]"#,
            &["1:49: the reference `#/x-a/` leads nowhere: there is no ``"],
        ),
        (
            "#/x-a/a~2b",
            r#", "x-a": {"a~2b": true}"#,
            &[
                "1:49: the reference `#/x-a/a~2b` is no JSON pointer: a `~` is followed by 0 or 1; a tilde itself is `~0`",
            ],
        ),
        (
            "#/x-a/a~",
            r#", "x-a": {"a~": true}"#,
            &["1:49: the reference `#/x-a/a~` is no JSON pointer"],
        ),
        (
            "#/type",
            "",
            &["1:10: a schema is an object, true or false, not a string"],
        ),
    ];
    for (reference, definitions, expected) in table {
        assert_told(reference, &told(reference, definitions), expected);
    }
    let circle = r##"{"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}"##;
    assert_told(
        circle,
        &read_one(circle).1,
        &["1:88: this reference leads back to itself, and never to a schema"],
    );
}

#[test]
fn a_fault_in_a_library_is_told_once_and_there() {
    let message = r#"{"type": "object", "properties": {"x": {"$ref": "types/lib.json"}}}"#;
    let files = [
        ("a.v1.json", message),
        ("b.v1.json", message),
        ("types/lib.json", r#"{"type": "strnig"}"#),
    ];
    let told = read_texts(files).2;
    assert_told(
        "strnig",
        &told,
        &["schemas/types/lib.json:1:10: `strnig` is no type of JSON"],
    );
    let files = [
        ("a.v1.json", message),
        ("b.v1.json", message),
        ("types/lib.json", "{"),
    ];
    assert_told(
        "unclosed",
        &read_texts(files).2,
        &["schemas/types/lib.json:1:1: this `{` is never closed"],
    );
}

#[test]
fn types_may_hold_themselves() {
    let schema = r##"{
        "type": "object",
        "properties": {"self": {"$ref": "#"}, "tree": {"$ref": "#/$defs/tree"}, "word": {"$ref": "#/$defs/word"}},
        "$defs": {
            "tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            "word": {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/word"}}
        }
    }"##;
    let catalog = sound(&[("a.v1.json", schema)]);
    let shape = |name: &str| {
        catalog
            .types
            .iter()
            .find(|ty| ty.hint == Hint::Definition(name.into()))
            .map(|ty| &ty.shape)
    };
    let Some(Shape::Newtype(tree)) = shape("tree") else {
        panic!("a list of itself has a name")
    };
    assert!(
        matches!(&tree.ty, Ty::List(item) if matches!(item.value.ty, Ty::Named(_)) && !item.nullable)
    );
    let Some(Shape::Newtype(word)) = shape("word") else {
        panic!("a map of itself has a name")
    };
    assert!(
        matches!(&word.ty, Ty::Map(item) if matches!(item.value.ty, Ty::Named(_)) && item.nullable)
    );
    assert_eq!(catalog.types.len(), 3);
}

#[test]
fn the_root_may_refer_to_a_definition() {
    let schema = r##"{
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/Order",
        "definitions": {"Order": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}},
        "x-logpipe": {"key": "id"}
    }"##;
    let catalog = sound(&[("a.v1.json", schema)]);
    assert_eq!(
        catalog.types[catalog.messages[0].root.0].hint,
        Hint::Message
    );
    assert_eq!(catalog.messages[0].key, Some(0));
}

#[test]
fn drafts_differ_in_what_stands_beside_a_reference() {
    let schema = |draft: &str| {
        format!(
            r##"{{"$schema": "{draft}", "type": "object", "definitions": {{"d": {{"type": "string"}}}}, "properties": {{
"x": {{"$ref": "#/definitions/d", "maxLength": 3}},
"y": {{"$ref": "#/definitions/d", "description": "y"}}}}}}"##
        )
    };
    let newer = read_one(&schema("https://json-schema.org/draft/2020-12/schema")).1;
    assert_told(
        "2020-12",
        &newer,
        &["2:34: not supported yet: `maxLength` beside `$ref`"],
    );
    let older = read_one(&schema("http://json-schema.org/draft-07/schema#")).1;
    let expected = [
        "warning: 2:34: beside `$ref`, draft 7 reads nothing: `maxLength` has no effect",
        "warning: 3:34: beside `$ref`, draft 7 reads nothing: `description` has no effect",
    ];
    assert_told("draft-07", &older, &expected);
    let anchor = r##"{"$schema": "http://json-schema.org/draft-07/schema", "type": "object", "properties": {"x": {"$ref": "#d"}}, "definitions": {"d": {"$id": "#d", "type": "string"}}}"##;
    assert_told(anchor, &read_one(anchor).1, &[]);
}

#[test]
fn names_that_schemas_give_themselves_are_their_own() {
    let schema = r#"{"type": "object", "properties": {"a": {"$id": "x.json", "type": "string"}, "b": {"$id": "x.json", "type": "string"}, "c": {"$id": "y#z"}, "d": {"$anchor": "q"}, "e": {"$anchor": "q"}}}"#;
    let expected = [
        "1:90: another schema has the `$id` `x.json` too",
        "1:132: the `$id` `y#z` has a fragment",
        "1:180: the anchor `q` stands twice",
    ];
    assert_told(schema, &read_one(schema).1, &expected);
    let schema = r#"{"type": "object", "properties": {"a": {"$anchor": "1 /"}, "b": {"$anchor": ""}, "c": {"$anchor": "_a.b-1"}, "d": {"$anchor": "a:b"}}}"#;
    let expected = [
        "1:52: `1 /` is no anchor; begin it with a letter",
        "1:77: `` is no anchor",
        "1:127: `a:b` is no anchor",
    ];
    assert_told(schema, &read_one(schema).1, &expected);
    // Data is no schema.
    let data = r##"{"type": "object", "properties": {"a": {"type": "object", "default": {"$id": "#x", "$ref": "nowhere"}}, "$id": {"type": "string"}}}"##;
    assert_told(data, &read_one(data).1, &[]);
}
