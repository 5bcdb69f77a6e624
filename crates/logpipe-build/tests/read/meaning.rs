//! A schema, and the types, rules and names it becomes.

use logpipe_build::catalog::{
    Catalog, Check, Field, Hint, Item, Presence, Rules, Shape, Ty, Type, TypeId, Unknown, Value,
};

use crate::sound;

fn root(catalog: &Catalog) -> &Type {
    &catalog.types[catalog.messages[0].root.0]
}

fn fields(ty: &Type) -> &[Field] {
    match &ty.shape {
        Shape::Struct { fields, .. } => fields,
        other => panic!("not a struct: {other:?}"),
    }
}

/// The only property of a message.
fn property(schema: &str) -> (Catalog, Field) {
    let message = format!(r#"{{"type": "object", "properties": {{"x": {schema}}}}}"#);
    let catalog = sound(&[("a.v1.json", &message)]);
    let field = fields(root(&catalog))[0].clone();
    (catalog, field)
}

/// Type and rules, in few words.
fn shown(rules: &Rules) -> String {
    let ty = match &rules.ty {
        Ty::List(item) => format!("[{}]", shown_item(item)),
        Ty::Map(item) => format!("{{{}}}", shown_item(item)),
        Ty::Named(TypeId(id)) => format!("#{id}"),
        other => format!("{other:?}")
            .replace("Integer(", "")
            .replace("Format(", "")
            .replace(')', ""),
    };
    let checks = rules.checks.iter().map(|check| match check {
        Check::MinChars(n) => format!(" chars>={n}"),
        Check::MaxChars(n) => format!(" chars<={n}"),
        Check::Pattern { schema, .. } => format!(" /{schema}/"),
        Check::Min(n) => format!(" >={n}"),
        Check::Max(n) => format!(" <={n}"),
        Check::Above(n) => format!(" >{n}"),
        Check::Below(n) => format!(" <{n}"),
        Check::MultipleOf(n) => format!(" %{n}"),
        Check::MinItems(n) => format!(" items>={n}"),
        Check::MaxItems(n) => format!(" items<={n}"),
        Check::UniqueItems => " unique".into(),
        Check::MinProperties(n) => format!(" members>={n}"),
        Check::MaxProperties(n) => format!(" members<={n}"),
        Check::Const(value) => format!(" ={value:?}"),
    });
    ty + &checks.collect::<String>()
}

fn shown_item(item: &Item) -> String {
    shown(&item.value) + if item.nullable { "?" } else { "" }
}

#[test]
fn scalars_lists_and_maps() {
    let table = [
        ("true", "Any"),
        ("{}", "Any"),
        (r#"{"description": "anything"}"#, "Any"),
        (r#"{"type": "boolean"}"#, "Bool"),
        (r#"{"type": "string"}"#, "String"),
        (
            r#"{"type": "string", "minLength": 0, "maxLength": 5.0}"#,
            "String chars<=5",
        ),
        (
            r#"{"type": "string", "minLength": 1, "pattern": "^\\d$"}"#,
            r"String chars>=1 /^\d$/",
        ),
        (r#"{"type": "string", "format": "uuid"}"#, "Uuid"),
        (r#"{"type": "string", "format": "date-time"}"#, "DateTime"),
        (
            r#"{"type": "string", "format": "email", "maxLength": 254}"#,
            "Email chars<=254",
        ),
        (r#"{"type": "number"}"#, "Number"),
        (
            r#"{"type": "number", "minimum": 0, "exclusiveMaximum": 0.1e1, "multipleOf": 0.010}"#,
            "Number >=0 <1 %0.01",
        ),
        (
            r#"{"type": "number", "minimum": 1, "exclusiveMinimum": 1}"#,
            "Number >1",
        ),
        (r#"{"type": "number", "maximum": 1e400}"#, "Number"),
        (r#"{"const": true}"#, "Bool =Bool(true)"),
        (r#"{"type": "array"}"#, "[Any]"),
        (
            r#"{"type": "array", "items": {"type": ["string", "null"], "maxLength": 3}, "maxItems": 5, "uniqueItems": true}"#,
            "[String chars<=3?] items<=5 unique",
        ),
        (
            r#"{"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}}"#,
            "[[Bool]]",
        ),
        (r#"{"type": "object"}"#, "{Any}"),
        (
            r#"{"type": "object", "additionalProperties": true}"#,
            "{Any}",
        ),
        (
            r#"{"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 1}"#,
            "{Number} members>=1",
        ),
    ];
    for (schema, expected) in table {
        let (_, field) = property(schema);
        assert_eq!(shown(&field.value), expected, "{schema}");
        assert_eq!(field.presence, Presence::Optional, "{schema}");
    }
}

#[test]
fn integers_become_the_type_that_is_exactly_their_range() {
    let table = [
        ("", "I64"),
        (r#", "minimum": 0, "maximum": 255"#, "U8"),
        (r#", "exclusiveMinimum": -1, "exclusiveMaximum": 256"#, "U8"),
        (r#", "minimum": -0.5, "maximum": 255.9"#, "U8"),
        (r#", "minimum": 0, "maximum": 65535"#, "U16"),
        (r#", "minimum": 0, "maximum": 4294967295"#, "U32"),
        (r#", "minimum": 0, "maximum": 18446744073709551615"#, "U64"),
        (r#", "minimum": -128, "maximum": 127"#, "I8"),
        (r#", "minimum": -32768, "maximum": 32767"#, "I16"),
        (r#", "minimum": -2147483648, "maximum": 2147483647"#, "I32"),
        (
            r#", "minimum": -9223372036854775808, "maximum": 9223372036854775807"#,
            "I64",
        ),
        (r#", "minimum": 0"#, "I64 >=0"),
        (r#", "minimum": 0, "maximum": 254"#, "I64 >=0 <=254"),
        (
            r#", "minimum": 1, "maximum": 1e19"#,
            "U64 >=1 <=10000000000000000000",
        ),
        (r#", "multipleOf": 0.5"#, "I64"),
        (r#", "multipleOf": 1.5"#, "I64 %3"),
        (r#", "multipleOf": 0.04"#, "I64"),
        (r#", "multipleOf": 2.5e1"#, "I64 %25"),
    ];
    for (rules, expected) in table {
        let (_, field) = property(&format!(r#"{{"type": "integer"{rules}}}"#));
        assert_eq!(shown(&field.value), expected, "{rules}");
    }
    for (constant, expected) in [
        ("5", "I64"),
        ("5.0", "I64"),
        ("18446744073709551615", "U64"),
        ("0.5", "Number"),
    ] {
        let (_, field) = property(&format!(r#"{{"const": {constant}}}"#));
        assert_eq!(
            shown(&field.value).split(' ').next(),
            Some(expected),
            "{constant}"
        );
    }
}

#[test]
fn absent_and_null_are_apart() {
    let schema = r##"{
        "type": "object",
        "properties": {
            "a": {"type": "string"}, "b": {"type": "string"},
            "c": {"type": ["null", "string"]}, "d": {"type": ["string", "null"]},
            "e": {"enum": ["x", null]}, "f": {"enum": ["x"], "type": ["string", "null"]},
            "g": {"$ref": "#/$defs/n"}, "h": {"type": ["object", "null"], "properties": {}}
        },
        "required": ["a", "c"],
        "$defs": {"n": {"type": ["string", "null"], "maxLength": 3}}
    }"##;
    let catalog = sound(&[("a.v1.json", schema)]);
    let presence = fields(root(&catalog))
        .iter()
        .map(|field| field.presence)
        .collect::<Vec<_>>();
    use Presence::{Nullable, Optional, OptionalNullable, Required};
    // An `enum` without null allows none, whatever its `type` says.
    let expected = [
        Required,
        Optional,
        Nullable,
        OptionalNullable,
        OptionalNullable,
        Optional,
        OptionalNullable,
        OptionalNullable,
    ];
    assert_eq!(presence, expected);
}

#[test]
fn types_are_named_after_where_they_stand() {
    let schema = r##"{
        "type": "object",
        "properties": {
            "home": {"title": "Never A Name", "type": "object", "properties": {"kind": {"enum": ["flat"]}}},
            "lines": {"type": "array", "items": {"type": "object", "properties": {}}},
            "by_name": {"type": "object", "additionalProperties": {"enum": ["a"]}},
            "grid": {"$ref": "#/$defs/grid"},
            "code": {"$ref": "#/$defs/code"},
            "alias": {"$ref": "#/$defs/alias"},
            "other": {"$ref": "#/properties/home/properties/kind"},
            "part": {"$ref": "types/part.json"}
        },
        "$defs": {
            "grid": {"type": "array", "items": {"type": "array", "items": {"type": "object", "properties": {}}}},
            "code": {"type": "string", "maxLength": 3},
            "alias": {"type": "string"}
        }
    }"##;
    let part = r#"{"type": "object", "properties": {"x": {"enum": ["x"]}}}"#;
    let catalog = sound(&[("a.v1.json", schema), ("types/part.json", part)]);
    let mut named = catalog.types.iter().map(|ty| match &ty.hint {
        Hint::Message => "message".to_owned(),
        Hint::Definition(name) => name.clone(),
        Hint::Within(TypeId(parent), name) => match &catalog.types[*parent].hint {
            Hint::Message => format!("message.{name}"),
            Hint::Definition(parent) => format!("{parent}.{name}"),
            Hint::Within(_, parent) => format!("..{parent}.{name}"),
        },
    });
    let mut names = named.by_ref().collect::<Vec<_>>();
    names.sort();
    let expected = [
        "..home.kind",
        "code",
        "grid item item",
        "message",
        "message.by_name",
        "message.home",
        "message.lines",
        "part",
        "part.x",
    ];
    assert_eq!(names, expected);
    let of = |name: &str| {
        fields(root(&catalog))
            .iter()
            .find(|field| field.wire == name)
            .map(|field| field.value.clone())
    };
    assert_eq!(
        of("alias"),
        Some(Rules {
            ty: Ty::String,
            checks: vec![]
        }),
        "a definition without rules is no type"
    );
    let Some(Rules {
        ty: Ty::Named(code),
        ..
    }) = of("code")
    else {
        panic!("a scalar with rules and a name is a type")
    };
    assert!(
        matches!(&catalog.types[code.0].shape, Shape::Newtype(rules) if shown(rules) == "String chars<=3")
    );
}

#[test]
fn objects_say_what_happens_to_strangers() {
    let table = [
        ("", Unknown::Ignore),
        (r#", "additionalProperties": true"#, Unknown::Ignore),
        (r#", "additionalProperties": {}"#, Unknown::Ignore),
        (r#", "additionalProperties": false"#, Unknown::Reject),
        (
            r#", "x-logpipe": {"unknown-fields": "keep"}"#,
            Unknown::Keep,
        ),
    ];
    for (rest, expected) in table {
        let catalog = sound(&[(
            "a.v1.json",
            &format!(r#"{{"type": "object", "properties": {{"a": true}}{rest}}}"#),
        )]);
        assert!(
            matches!(&root(&catalog).shape, Shape::Struct { unknown, .. } if *unknown == expected),
            "{rest}"
        );
    }
    let counted = r#"{"type": "object", "properties": {"a": true, "b": true}, "required": ["a"], "minProperties": 2, "maxProperties": 2, "additionalProperties": false}"#;
    let catalog = sound(&[("a.v1.json", counted)]);
    // Two is all that a closed object of two can have.
    assert!(
        matches!(&root(&catalog).shape, Shape::Struct { checks, .. } if *checks == [Check::MinProperties(2)])
    );
}

#[test]
fn sets_of_strings() {
    let (catalog, field) = property(
        r#"{"enum": ["b", "a", ""], "x-logpipe": {"unknown-values": "keep"}, "default": "anything"}"#,
    );
    let Ty::Named(id) = field.value.ty else {
        panic!("an enum is a type")
    };
    let Shape::Enum { variants, other } = &catalog.types[id.0].shape else {
        panic!("an enum is an enum")
    };
    assert_eq!(
        variants
            .iter()
            .map(|variant| variant.wire.as_str())
            .collect::<Vec<_>>(),
        ["b", "a", ""]
    );
    assert!(other);
    assert_eq!(field.default, Some(Value::String("anything".into())));
    let (catalog, field) = property(r#"{"type": "string", "const": "EUR"}"#);
    let Ty::Named(id) = field.value.ty else {
        panic!("a constant string is a type")
    };
    assert!(
        matches!(&catalog.types[id.0].shape, Shape::Enum { variants, other: false } if variants.len() == 1)
    );
}

#[test]
fn messages_carry_type_version_key_and_digests() {
    let person = r#"{"type": "object", "properties": {"id": {"type": "string"}, "home": {"$ref": "types/home.json"}}, "required": ["id"], "x-logpipe": {"key": "id", "type": "com.acme/Person"}}"#;
    let home = r#"{"type": "object", "properties": {"in": {"$ref": "country.json#/$defs/code"}}}"#;
    let country = "{\n\"$defs\": {\"code\": {\"type\": \"string\"}}\n}";
    let library = [("types/home.json", home), ("types/country.json", country)];
    let read = |files: &[(&str, &str)]| sound(&[files, &library].concat());
    let catalog = read(&[
        ("com.acme.Person.v2.json", person),
        ("b.v1.json", r#"{"type": "object"}"#),
        ("com.acme.Person.v1.json", person),
    ]);
    let order = catalog.messages.iter().map(|message| {
        (
            message.rust.as_str(),
            message.version,
            message.wire.as_str(),
        )
    });
    let expected = [
        ("b", 1, "b"),
        ("com_acme_person", 1, "com.acme/Person"),
        ("com_acme_person", 2, "com.acme/Person"),
    ];
    assert_eq!(order.collect::<Vec<_>>(), expected);
    let message = &catalog.messages[1];
    assert_eq!(
        (message.key, message.source.as_str()),
        (Some(0), "schemas/com.acme.Person.v1.json")
    );
    let references = message
        .hashes
        .references
        .iter()
        .map(|(path, _)| path.as_str())
        .collect::<Vec<_>>();
    assert_eq!(
        references,
        ["schemas/types/country.json", "schemas/types/home.json"]
    );
    // SHA-256 of an empty object's schema, from another tool.
    assert_eq!(
        catalog.messages[0].hashes.content,
        "ff419ebbeba438f66900abe77818ce940702bdfe70fa173cb94beecee8d3f112"
    );
    let windows = country.replace('\n', "\r\n");
    let again = sound(&[
        ("com.acme.Person.v1.json", person),
        library[0],
        ("types/country.json", &windows),
    ]);
    assert_eq!(
        again.messages[0].hashes, message.hashes,
        "line ends are not content"
    );
}

#[test]
fn docs_and_defaults_come_from_the_field_then_from_what_it_refers_to() {
    let schema = r##"{
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/d", "description": "own", "default": "y"},
            "b": {"$ref": "#/$defs/d"}
        },
        "$defs": {"d": {"type": "string", "title": "T", "description": "theirs", "default": "x", "deprecated": true}}
    }"##;
    let catalog = sound(&[("a.v1.json", schema)]);
    let [a, b] = fields(root(&catalog)) else {
        panic!("two fields")
    };
    assert_eq!(
        (a.docs.title.as_deref(), a.docs.description.as_deref()),
        (Some("T"), Some("own"))
    );
    assert_eq!(
        (b.docs.description.as_deref(), b.docs.deprecated),
        (Some("theirs"), true)
    );
    let text = |text: &str| Some(Value::String(text.into()));
    assert_eq!(
        (a.default.clone(), b.default.clone()),
        (text("y"), text("x"))
    );
    assert_eq!(b.origin.pointer, "/properties/b");
}
