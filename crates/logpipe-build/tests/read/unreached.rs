//! What is told of definitions that nothing refers to, and of what else no message reaches.

use logpipe_build::read::read_texts;

use crate::assert_told;
use crate::faults::check_properties;

#[test]
fn faults_are_told_where_nothing_is_generated() {
    let unused = r#"{"type": "string", "$defs": {"d": {"oneOf": []}}}"#;
    check_properties(&[
        (
            unused,
            &[
                "warning: 1:69: nothing refers to `d`",
                "1:75: not supported yet: `oneOf`",
            ],
        ),
        (
            r##"{"$ref": "#/properties/y", "$defs": {"d": {"oneOf": []}}}, "y": {"type": "string"}"##,
            &[
                "warning: 1:77: nothing refers to `d`",
                "1:83: not supported yet: `oneOf`",
            ],
        ),
    ]);
    let message = |reference: &str| {
        format!(r#"{{"type": "object", "properties": {{"x": {{"$ref": "{reference}"}}}}}}"#)
    };
    let library = "types/lib.json";
    let table: &[(&str, &str, &[&str])] = &[
        // Nothing refers to the file.
        (
            "#/$defs/d",
            r#"{"type": "strnig", "$defs": {"e": {"allOf": []}}}"#,
            &[
                "1:10: `strnig` is no type of JSON; did you mean `string`?",
                "1:36: not supported yet: `allOf`",
            ],
        ),
        // Something refers to one of its definitions.
        (
            "types/lib.json#/$defs/d",
            r#"{"minLength": 5, "$defs": {"d": {"type": "string"}, "e": {"type": "string", "default": 5}}}"#,
            &[
                "1:2: `minLength` without `type`",
                "1:88: the default does not have the type",
            ],
        ),
        (
            "types/lib.json#/$defs/d",
            r#"{"$defs": {"d": true, "e": true}}"#,
            &[],
        ),
        // Only a message has a key and a type.
        (
            "types/lib.json",
            r#"{"type": "object", "properties": {}, "x-logpipe": {"key": "id"}}"#,
            &["1:52: `key` says nothing here; it belongs to the root of a message"],
        ),
        (
            "types/lib.json",
            r##"{"$ref": "#/$defs/d", "$defs": {"d": true}, "x-logpipe": {"type": "a"}}"##,
            &["1:45: not supported yet: `x-logpipe` beside `$ref`"],
        ),
    ];
    for (reference, text, expected) in table {
        let mut files = vec![
            ("a.v1.json", message(reference)),
            (library, text.to_string()),
        ];
        if reference.starts_with('#') {
            files[0].1 = r#"{"type": "object"}"#.to_owned();
        }
        let diagnostics = read_texts(files).2;
        let expected = expected
            .iter()
            .map(|told| format!("schemas/{library}:{told}"))
            .collect::<Vec<_>>();
        let expected = expected.iter().map(String::as_str).collect::<Vec<_>>();
        assert_told(text, &diagnostics, &expected);
    }
    // A message that others refer to is one all the same.
    let person = r#"{"type": "object", "properties": {}, "x-logpipe": {"type": "p"}}"#;
    let files = [
        ("a.v1.json", message("person.v1.json")),
        ("person.v1.json", person.to_owned()),
    ];
    assert_told("a message", &read_texts(files).2, &[]);
}
