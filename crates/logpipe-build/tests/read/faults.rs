//! A schema, and what is told of it: place, what is wrong, what to do.

use logpipe_build::diagnostic::Severity;

use crate::{assert_told, read_one};

/// A property `x` of a message in one line; the property's schema begins in column 40.
fn property(schema: &str) -> String {
    format!(r#"{{"type": "object", "properties": {{"x": {schema}}}}}"#)
}

pub(crate) fn check_properties(table: &[(&str, &[&str])]) {
    for (schema, expected) in table {
        let (_, diagnostics) = read_one(&property(schema));
        assert_told(schema, &diagnostics, expected);
    }
}

#[test]
fn of_the_message_as_a_whole() {
    let table: &[(&str, &[&str])] = &[
        ("", &["1:1: the file is empty"]),
        (
            "5",
            &["1:1: a schema is an object, true or false, not a number"],
        ),
        ("true", &["1:1: a message is an object, and this is none"]),
        ("{}", &["1:1: a message is an object, and this is none"]),
        (
            r#"{"x-logpipe": {"type": "a"}}"#,
            &["1:1: a message is an object, and this is none"],
        ),
        (
            r#"{"type": "array"}"#,
            &["1:1: a message is an object, and this is none"],
        ),
        (
            r#"{"type": ["object", "null"]}"#,
            &["1:1: a message can't be null"],
        ),
        (
            r#"{"type": "object", "additionalProperties": {"type": "string"}}"#,
            &["1:44: not supported yet: a message that is a map; put the map in a property"],
        ),
        (
            r#"{"properties": {}}"#,
            &["1:2: `properties` without `type` lets values of every other kind pass"],
        ),
        (
            r#"{"type": "object", "properties": 5}"#,
            &["1:34: `properties` is an object, not a number"],
        ),
        (
            r#"{"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}"#,
            &["1:13: not supported yet: JSON Schema draft-04; write"],
        ),
        (
            r#"{"$schema": "https://acme.com/x", "type": "object"}"#,
            &["1:13: the draft `https://acme.com/x` is not known"],
        ),
        (
            r#"{"$schema": 7, "type": "object"}"#,
            &["1:13: `$schema` is a string, not a number"],
        ),
        (
            r##"{"type": "object", "properties": {"x": {"$ref": "#/definitions/d"}}, "definitions": {"d": true}}"##,
            &["warning: 1:85: `definitions` is `$defs` today, but without `$schema`"],
        ),
        (
            r#"{"type": "object", "$defs": {"d": {"type": "string"}}}"#,
            &["warning: 1:30: nothing refers to `d`, so nothing is generated for it"],
        ),
        (
            r#"{"type": "object", "title": 5, "deprecated": "yes"}"#,
            &[
                "1:29: `title` is a string",
                "1:46: `deprecated` is true or false",
            ],
        ),
        (
            r#"{"type": "object", "type": "object"}"#,
            &["1:20: `type` stands twice in this object, first in line 1"],
        ),
    ];
    for (schema, expected) in table {
        let (_, diagnostics) = read_one(schema);
        assert_told(schema, &diagnostics, expected);
    }
}

#[test]
fn of_several_faults_at_once() {
    let schema = r#"{
  "type": "object",
  "required": ["nmae"],
  "properties": {
    "name": { "type": "strnig" },
    "age": { "type": "integer", "minimum": 5, "maximum": 1 },
    "pet": { "oneOf": [] }
  }
}"#;
    let (_, diagnostics) = read_one(schema);
    let expected = [
        "3:16: `required` names `nmae`, which `properties` does not declare; did you mean `name`?",
        "5:23: `strnig` is no type of JSON; did you mean `string`?",
        "6:44: no integer keeps both of these bounds; correct one of them",
        "7:14: not supported yet: `oneOf`; write an object with an optional property for each case",
    ];
    assert_told(schema, &diagnostics, &expected);
}

#[test]
fn of_types() {
    check_properties(&[
        (
            "7",
            &["1:40: a schema is an object, true or false, not a number"],
        ),
        (
            "false",
            &["1:40: not supported yet: a schema that allows no value"],
        ),
        (
            r#"{"type": 5}"#,
            &["1:49: `type` is a name or a list of names, not a number"],
        ),
        (r#"{"type": []}"#, &["1:49: this list of types is empty"]),
        (r#"{"type": [5]}"#, &["1:50: a type is named by a string"]),
        (
            r#"{"type": "Integer"}"#,
            &["1:49: `Integer` is no type of JSON; did you mean `integer`?"],
        ),
        (
            r#"{"type": ["string", "string"]}"#,
            &["1:60: `string` stands twice"],
        ),
        (
            r#"{"type": ["string", "integer"]}"#,
            &["1:49: not supported yet: several types in one place"],
        ),
        (
            r#"{"type": "null"}"#,
            &["1:49: not supported yet: `null` as the only type"],
        ),
        (
            r#"{"minLength": 1}"#,
            &[
                "1:41: `minLength` without `type` lets values of every other kind pass; add `\"type\": \"string\"`",
            ],
        ),
        (
            r#"{"type": "string", "minimum": 1}"#,
            &["warning: 1:59: `minimum` says nothing about strings"],
        ),
        (
            r#"{"type": "string", "nullable": true}"#,
            &[
                "warning: 1:59: `nullable` is no keyword of JSON Schema, so it says nothing; write `\"type\": [\"string\", \"null\"]`",
            ],
        ),
        (
            r#"{"type": "string", "maxLenght": 1}"#,
            &[
                "warning: 1:59: `maxLenght` is no keyword of JSON Schema, so it says nothing; did you mean `maxLength`?",
            ],
        ),
        (
            r#"{"type": "string", "x-mine": 1, "$comment": "c", "examples": [1], "readOnly": true}"#,
            &[],
        ),
    ]);
}

#[test]
fn of_what_never_changes_what_is_valid() {
    check_properties(&[
        (
            r#"{"type": "string", "examples": 5, "readOnly": "yes", "writeOnly": 1}"#,
            &[
                "1:71: `examples` is a list, not a number",
                "1:86: `readOnly` is true or false, not a string",
                "1:106: `writeOnly` is true or false, not a number",
            ],
        ),
        (
            r#"{"type": "string", "$defs": 5, "$anchor": 5}"#,
            &[
                "1:68: `$defs` is an object, not a number",
                "1:82: `$anchor` is a string, not a number",
            ],
        ),
        (
            r##"{"$ref": "#/properties/y", "title": 5, "deprecated": "yes", "$anchor": 5}, "y": {"type": "string"}"##,
            &[
                "1:76: `title` is a string, not a number",
                "1:93: `deprecated` is true or false, not a string",
                "1:111: `$anchor` is a string, not a number",
            ],
        ),
        (
            r#"{"type": "string", "x-logpype": {}}"#,
            &[
                "warning: 1:59: `x-logpype` is no keyword of JSON Schema, so it says nothing; did you mean `x-logpipe`?",
            ],
        ),
        (
            r##"{"$ref": "#/properties/y", "X-logpipe": {}, "x-login": 1}, "y": {"type": "string"}"##,
            &["warning: 1:67: `X-logpipe` is no keyword"],
        ),
    ]);
}

#[test]
fn of_what_is_not_read_yet() {
    let keywords = [
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "prefixItems",
        "additionalItems",
        "unevaluatedItems",
        "contains",
        "minContains",
        "maxContains",
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
        "dependencies",
        "dependentSchemas",
        "dependentRequired",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "$dynamicRef",
        "$dynamicAnchor",
        "$recursiveRef",
        "$vocabulary",
    ];
    for keyword in keywords {
        let (_, diagnostics) = read_one(&property(&format!(
            r#"{{"type": "object", "{keyword}": 1}}"#
        )));
        // Some are signs of an older draft besides.
        let errors = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error);
        let told = errors
            .map(|one| (one.column, one.message.as_str()))
            .collect::<Vec<_>>();
        assert_eq!(
            told,
            [(59, format!("not supported yet: `{keyword}`").as_str())]
        );
    }
}

#[test]
fn of_strings() {
    check_properties(&[
        (
            r#"{"type": "string", "minLength": -1}"#,
            &["1:72: `minLength` is a whole number from 0, not -1"],
        ),
        (
            r#"{"type": "string", "minLength": 1.5}"#,
            &["1:72: `minLength` is a whole number from 0, not 1.5"],
        ),
        (
            r#"{"type": "string", "maxLength": "9"}"#,
            &["1:72: `maxLength` is a number, not a string"],
        ),
        (
            r#"{"type": "string", "maxLength": 1e999999999}"#,
            &["1:72: `maxLength` is too long or too large a number"],
        ),
        (
            r#"{"type": "string", "minLength": 9, "maxLength": 3}"#,
            &["1:72: `minLength` is 9 and `maxLength` is 3: no value has both"],
        ),
        (
            r#"{"type": "string", "pattern": "(?=a)"}"#,
            &["1:70: not supported yet: `(?=` in a pattern, which looks around"],
        ),
        (
            r#"{"type": "string", "pattern": "("}"#,
            &["1:70: this pattern is no regular expression"],
        ),
        (
            r#"{"type": "string", "pattern": 5}"#,
            &["1:70: `pattern` is a string, not a number"],
        ),
        (
            r#"{"type": "string", "format": 5}"#,
            &["1:69: `format` is a string, not a number"],
        ),
        (
            r#"{"type": "string", "format": "hostname"}"#,
            &["warning: 1:69: the format `hostname` is not checked"],
        ),
        (
            r#"{"type": "string", "format": "datetime"}"#,
            &["warning: 1:69: the format `datetime` is not checked; did you mean `date-time`?"],
        ),
        (
            r#"{"type": "string", "format": "date", "maxLength": 10}"#,
            &["1:90: not supported yet: `maxLength` beside a `format`"],
        ),
        (
            r#"{"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36}"#,
            &[],
        ),
    ]);
}

#[test]
fn of_sets_and_constants() {
    check_properties(&[
        (
            r#"{"enum": "a"}"#,
            &["1:49: `enum` is a list of values, not a string"],
        ),
        (
            r#"{"enum": []}"#,
            &["1:49: this `enum` is empty: no value is valid"],
        ),
        (
            r#"{"enum": ["a", "b", "a"]}"#,
            &["1:60: `a` stands twice in this `enum`, first in line 1"],
        ),
        (
            r#"{"enum": ["a", 1]}"#,
            &["1:55: not supported yet: an `enum` that holds a number"],
        ),
        (
            r#"{"enum": [null]}"#,
            &["1:49: not supported yet: an `enum` of null alone"],
        ),
        (
            r#"{"type": "integer", "enum": ["a"]}"#,
            &["1:49: no string of this `enum` has this `type`"],
        ),
        (
            r#"{"type": "string", "enum": ["a", null]}"#,
            &["warning: 1:67: the `type` does not allow the null of this `enum`"],
        ),
        (
            r#"{"enum": ["a"], "maxLength": 3}"#,
            &["1:56: not supported yet: `maxLength` beside a set of strings"],
        ),
        (
            r#"{"enum": ["a"], "const": "a"}"#,
            &["1:65: not supported yet: `const` beside `enum`"],
        ),
        (
            r#"{"const": null}"#,
            &["1:50: not supported yet: a `const` that is null"],
        ),
        (
            r#"{"const": [1]}"#,
            &["1:50: not supported yet: a `const` that is an array"],
        ),
        (
            r#"{"type": "string", "const": 1}"#,
            &["1:68: this `const` does not have the `type` beside it"],
        ),
        (
            r#"{"type": "integer", "const": 1.5}"#,
            &["1:69: this `const` does not have the `type` beside it"],
        ),
        (
            r#"{"const": 99999999999999999999}"#,
            &["1:50: this `const` is no 64-bit integer"],
        ),
        (
            r#"{"const": 5, "minimum": 3}"#,
            &["1:53: not supported yet: `minimum` beside `const`"],
        ),
    ]);
}

#[test]
fn of_numbers() {
    check_properties(&[
        (
            r#"{"type": "integer", "minimum": "1"}"#,
            &["1:71: `minimum` is a number, not a string"],
        ),
        (
            r#"{"type": "integer", "exclusiveMinimum": 1.2, "maximum": 1.9}"#,
            &["1:80: no integer keeps both of these bounds"],
        ),
        (
            r#"{"type": "integer", "minimum": 1e30}"#,
            &["1:71: no 64-bit integer keeps this bound"],
        ),
        (
            r#"{"type": "integer", "maximum": 1e30}"#,
            &["warning: 1:71: this bound is beyond 64-bit integers"],
        ),
        (
            r#"{"type": "integer", "minimum": 11, "maximum": 19, "multipleOf": 10}"#,
            &["1:104: no integer within the bounds is such a multiple"],
        ),
        (
            r#"{"type": "integer", "multipleOf": 1e30}"#,
            &["1:74: no integer but 0 is such a multiple"],
        ),
        (
            r#"{"type": "number", "exclusiveMinimum": 1, "maximum": 1}"#,
            &["1:79: no number keeps both of these bounds"],
        ),
        (
            r#"{"type": "number", "minimum": 1e309}"#,
            &["1:70: no 64-bit floating-point number keeps this bound"],
        ),
        (
            r#"{"type": "number", "multipleOf": 0}"#,
            &["1:73: `multipleOf` is above zero, and this is 0"],
        ),
        (
            r#"{"type": "number", "multipleOf": -0.5}"#,
            &["1:73: `multipleOf` is above zero, and this is -0.5"],
        ),
        (
            r#"{"type": "number", "multipleOf": 1.2345678901234567891}"#,
            &["1:73: not supported yet: `multipleOf` with more than 18 digits"],
        ),
        (
            r#"{"type": "number", "minimum": 1, "exclusiveMaximum": true}"#,
            &[
                "1:93: `exclusiveMaximum` is a number, not a boolean",
                "warning: 1:93: an exclusive bound is a number today",
            ],
        ),
    ]);
}

#[test]
fn of_arrays_and_objects() {
    check_properties(&[
        (
            r#"{"type": "array", "items": [true]}"#,
            &[
                "1:67: `items` is one schema",
                "warning: 1:67: an array of `items` is `prefixItems` today",
            ],
        ),
        (
            r#"{"type": "array", "minItems": 3, "maxItems": 1}"#,
            &["1:70: `minItems` is 3 and `maxItems` is 1"],
        ),
        (
            r#"{"type": "array", "uniqueItems": 1}"#,
            &["1:73: `uniqueItems` is true or false, not a number"],
        ),
        (
            r#"{"type": "object", "required": ["a"]}"#,
            &["1:72: `required` names `a`, which `properties` does not declare"],
        ),
        (
            r#"{"type": "object", "required": true}"#,
            &["1:71: `required` is a list of names, not a boolean"],
        ),
        (
            r#"{"type": "object", "properties": {"a": true}, "required": ["a", "a"]}"#,
            &["1:104: `a` stands twice in `required`"],
        ),
        (
            r#"{"type": "object", "properties": {"a": true}, "required": [1]}"#,
            &["1:99: `required` lists names, and this is a number"],
        ),
        (
            r#"{"type": "object", "properties": {"a": true}, "additionalProperties": {"type": "string"}}"#,
            &["1:110: not supported yet: `properties` and a schema for all others"],
        ),
        (
            r#"{"type": "object", "properties": {}, "additionalProperties": false, "minProperties": 1}"#,
            &["1:125: this object has 0 members at most, and `minProperties` is 1"],
        ),
        (
            r#"{"type": "object", "properties": {"a": true}, "required": ["a"], "maxProperties": 0}"#,
            &["1:122: 1 members are required, and `maxProperties` is 0"],
        ),
    ]);
}

#[test]
fn of_our_own_keyword() {
    let table: &[(&str, &[&str])] = &[
        (
            r#""x-logpipe": 5"#,
            &["1:78: `x-logpipe` is an object, not a number"],
        ),
        (
            r#""x-logpipe": {"kye": "id"}"#,
            &["1:79: `x-logpipe` has no key `kye`; did you mean `key`?"],
        ),
        (
            r#""x-logpipe": {"key": 5}"#,
            &["1:86: `key` is a string, not a number"],
        ),
        (
            r#""x-logpipe": {"key": "idd"}"#,
            &["1:86: the key `idd` is no property of the message; did you mean `id`?"],
        ),
        (
            r#""x-logpipe": {"key": "id"}"#,
            &["1:86: the key `id` may be absent or null"],
        ),
        (r#""required": ["id"], "x-logpipe": {"key": "id"}"#, &[]),
        (
            r#""required": ["f"], "x-logpipe": {"key": "f"}"#,
            &["1:105: the key `f` is neither a string nor an integer"],
        ),
        (
            r#""x-logpipe": {"type": ""}"#,
            &["1:87: `` can't be the type of a message"],
        ),
        (
            r#""x-logpipe": {"type": "a b"}"#,
            &["1:87: `a b` can't be the type of a message"],
        ),
        (
            r#""x-logpipe": {"unknown-fields": "drop"}"#,
            &["1:97: `unknown-fields` can only be `keep`"],
        ),
        (
            r#""x-logpipe": {"unknown-values": "keep"}"#,
            &["1:79: `unknown-values` says nothing here; it belongs to an `enum` of strings"],
        ),
        (
            r#""additionalProperties": false, "x-logpipe": {"unknown-fields": "keep"}"#,
            &["1:89: a closed object has no unknown fields to keep"],
        ),
    ];
    for (rest, expected) in table {
        let schema = format!(
            r#"{{"type":"object","properties":{{"id":{{"type":"string"}},"f":true}},{rest}}}"#
        );
        let (_, diagnostics) = read_one(&schema);
        assert_told(&schema, &diagnostics, expected);
    }
    check_properties(&[(
        r#"{"type": "string", "x-logpipe": {"key": "x"}}"#,
        &["1:73: `key` says nothing here; it belongs to the root of a message"],
    )]);
}

#[test]
fn of_defaults() {
    check_properties(&[
        (
            r#"{"type": "string", "default": 5}"#,
            &["1:70: the default does not have the type that it has to fit"],
        ),
        (
            r#"{"type": "string", "default": null}"#,
            &["warning: 1:70: this default is null, and the member can't be null"],
        ),
        (r#"{"type": ["string", "null"], "default": null}"#, &[]),
        (
            r#"{"type": "string", "maxLength": 2, "default": "abc"}"#,
            &["1:86: the default breaks a rule of its own schema"],
        ),
        (
            r#"{"type": "integer", "minimum": 0, "maximum": 255, "default": 256}"#,
            &["1:101: the default is no integer from 0 to 255"],
        ),
        (r#"{"type": "integer", "default": 1.0}"#, &[]),
        (
            r#"{"type": "string", "pattern": "^[a-z]+$", "default": "A1"}"#,
            &["1:93: the default breaks a rule of its own schema"],
        ),
        (
            r#"{"type": "string", "pattern": "^\\d+$", "default": "12"}"#,
            &[],
        ),
        (
            r#"{"type": "array", "items": {"type": "integer", "default": "zzz"}}"#,
            &["1:98: the default does not have the type that it has to fit"],
        ),
        (
            r#"{"type": "object", "additionalProperties": {"type": "string", "default": null}}"#,
            &["warning: 1:113: this default is null, and what it stands for can't be null"],
        ),
        (
            r##"{"type": "array", "items": {"$ref": "#/properties/y", "default": 5}}, "y": {"type": "string", "default": 6}"##,
            &[
                "1:105: the default does not have the type that it has to fit",
                "1:145: the default does not have the type that it has to fit",
            ],
        ),
        (
            r#"{"enum": ["a"], "default": "b"}"#,
            &["1:67: the default is none of the strings that are allowed"],
        ),
        (
            r#"{"type": "array", "items": {"type": "string"}, "default": ["a", 1]}"#,
            &["1:98: the default does not have the type that it has to fit"],
        ),
        (
            r#"{"type": "array", "uniqueItems": true, "default": [1, 1.0]}"#,
            &["1:90: the default breaks a rule of its own schema"],
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "default": {}}"#,
            &["1:130: the default lacks a member that is required"],
        ),
        (
            r#"{"type": "string", "format": "date", "default": "2024-01-01"}"#,
            &["warning: 1:88: not supported yet: a default for a `format`"],
        ),
    ]);
}
