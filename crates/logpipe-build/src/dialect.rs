//! What does each keyword of JSON Schema mean to us, and which draft does a file speak?

use crate::diagnostic::{Report, nearest, quote};
use crate::json::{Json, Step, Value};
use crate::source::{Source, Span};

/// The drafts that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Draft07,
    Draft202012,
}

/// Where a keyword holds further schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Data,
    Schema,
    SchemaOrSchemas,
    SchemasByName,
}

/// What a keyword is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The document: names, definitions, the draft.
    Structure,
    /// For people, or for tools that are not us; never changes what is valid.
    Reader,
    /// Values of every kind.
    Any,
    Strings,
    Numbers,
    Arrays,
    Objects,
    /// Known, and not read by this version.
    NotYet,
    /// Our own.
    Ours,
}

use About::{Any, Arrays, NotYet, Numbers, Objects, Ours, Reader, Strings, Structure};
use Holds::{Data, Schema, SchemaOrSchemas, SchemasByName};

/// Every keyword, what it is about, and which schemas stand in it.
#[rustfmt::skip]
const KEYWORDS: &[(&str, About, Holds)] = &[
    ("$schema",               Structure, Data),
    ("$id",                   Structure, Data),
    ("$anchor",               Structure, Data),
    ("$ref",                  Structure, Data),
    ("$defs",                 Structure, SchemasByName),
    ("definitions",           Structure, SchemasByName),
    ("$comment",              Reader,    Data),
    ("title",                 Reader,    Data),
    ("description",           Reader,    Data),
    ("deprecated",            Reader,    Data),
    ("default",               Reader,    Data),
    ("examples",              Reader,    Data),
    ("readOnly",              Reader,    Data),
    ("writeOnly",             Reader,    Data),
    ("type",                  Any,       Data),
    ("enum",                  Any,       Data),
    ("const",                 Any,       Data),
    ("format",                Strings,   Data),
    ("minLength",             Strings,   Data),
    ("maxLength",             Strings,   Data),
    ("pattern",               Strings,   Data),
    ("minimum",               Numbers,   Data),
    ("maximum",               Numbers,   Data),
    ("exclusiveMinimum",      Numbers,   Data),
    ("exclusiveMaximum",      Numbers,   Data),
    ("multipleOf",            Numbers,   Data),
    ("items",                 Arrays,    SchemaOrSchemas),
    ("minItems",              Arrays,    Data),
    ("maxItems",              Arrays,    Data),
    ("uniqueItems",           Arrays,    Data),
    ("properties",            Objects,   SchemasByName),
    ("required",              Objects,   Data),
    ("additionalProperties",  Objects,   Schema),
    ("minProperties",         Objects,   Data),
    ("maxProperties",         Objects,   Data),
    ("x-logpipe",             Ours,      Data),
    ("$dynamicRef",           NotYet,    Data),
    ("$dynamicAnchor",        NotYet,    Data),
    ("$recursiveRef",         NotYet,    Data),
    ("$recursiveAnchor",      NotYet,    Data),
    ("$vocabulary",           NotYet,    Data),
    ("allOf",                 NotYet,    SchemaOrSchemas),
    ("anyOf",                 NotYet,    SchemaOrSchemas),
    ("oneOf",                 NotYet,    SchemaOrSchemas),
    ("not",                   NotYet,    Schema),
    ("if",                    NotYet,    Schema),
    ("then",                  NotYet,    Schema),
    ("else",                  NotYet,    Schema),
    ("prefixItems",           NotYet,    SchemaOrSchemas),
    ("additionalItems",       NotYet,    Schema),
    ("unevaluatedItems",      NotYet,    Schema),
    ("contains",              NotYet,    Schema),
    ("minContains",           NotYet,    Data),
    ("maxContains",           NotYet,    Data),
    ("patternProperties",     NotYet,    SchemasByName),
    ("propertyNames",         NotYet,    Schema),
    ("unevaluatedProperties", NotYet,    Schema),
    ("dependencies",          NotYet,    SchemasByName),
    ("dependentSchemas",      NotYet,    SchemasByName),
    ("dependentRequired",     NotYet,    Data),
    ("contentEncoding",       NotYet,    Data),
    ("contentMediaType",      NotYet,    Data),
    ("contentSchema",         NotYet,    Schema),
];

/// What a keyword is about; `None` for a word that is none.
pub(crate) fn about(keyword: &str) -> Option<About> {
    KEYWORDS
        .iter()
        .find(|(name, ..)| *name == keyword)
        .map(|&(_, about, _)| about)
}

/// Which schemas stand in a keyword's value.
fn holds(keyword: &str) -> Holds {
    KEYWORDS
        .iter()
        .find(|(name, ..)| *name == keyword)
        .map_or(Data, |&(.., holds)| holds)
}

/// The schemas right inside a schema.
pub(crate) fn schemas_in(schema: Json<'_>) -> Vec<Json<'_>> {
    schemas_where(schema, |_| true)
}

/// The same, of some keywords.
fn schemas_where(schema: Json<'_>, of: impl Fn(&str) -> bool) -> Vec<Json<'_>> {
    let mut found = Vec::new();
    for (key, _, value) in schema.members() {
        match holds(key) {
            _ if !of(key) => {}
            Data => {}
            SchemaOrSchemas if value.is_array() => found.extend(value.items()),
            Schema | SchemaOrSchemas => found.push(value),
            SchemasByName => found.extend(value.members().map(|(.., value)| value)),
        }
    }
    found
}

/// A definition, wherever it stands.
pub(crate) struct Definition<'a> {
    pub(crate) name: &'a str,
    /// Of its name.
    pub(crate) span: Span,
    pub(crate) value: Json<'a>,
}

/// All that stands under `$defs` and `definitions`, as far as keywords lead there that we read, in the order of the
/// text.
pub(crate) fn definitions(root: Json<'_>) -> Vec<Definition<'_>> {
    let (mut found, mut todo) = (Vec::new(), vec![root]);
    while let Some(schema) = todo.pop() {
        for (keyword, _, value) in schema.members() {
            if matches!(keyword, "$defs" | "definitions") {
                let here = value.members();
                found.extend(here.map(|(name, span, value)| Definition { name, span, value }));
            }
        }
        let read = |keyword: &str| about(keyword) != Some(NotYet);
        todo.extend(schemas_where(schema, read));
    }
    found.sort_by_key(|definition| definition.span.start);
    found
}

/// How a schema is held by the one around it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role<'a> {
    /// It is the file.
    Root,
    /// Under a key of `$defs` or `definitions`.
    Definition(&'a str),
    /// A property of that object.
    Property(Json<'a>, &'a str),
    /// The items of that list.
    Item(Json<'a>),
    /// The values of that map.
    Value(Json<'a>),
    /// In a place of its author's making, by its last name.
    Other(&'a str),
}

/// How a schema is held, where what holds it is known to be a schema.
pub(crate) fn role_among<'a>(
    schema: Json<'a>,
    is_schema: impl Fn(Json<'a>) -> bool,
) -> Option<Role<'a>> {
    let (holder, step) = schema.parent()?;
    match step {
        Step::Key("items") if is_schema(holder) => Some(Role::Item(holder)),
        Step::Key("additionalProperties") if is_schema(holder) => Some(Role::Value(holder)),
        Step::Key(name) => match holder.parent()? {
            (object, Step::Key("properties")) if is_schema(object) => {
                Some(Role::Property(object, name))
            }
            _ => None,
        },
        Step::Index(_) => None,
    }
}

/// Whether a schema says nothing about its values.
pub(crate) fn is_bare(schema: Json<'_>) -> bool {
    let says_nothing = |key: &str| matches!(about(key), None | Some(Structure | Reader | Ours));
    schema.as_bool() == Some(true)
        || schema.is_object() && schema.members().all(|(key, ..)| says_nothing(key))
}

/// Reads the way from the root to a schema. A property may be called `items`, so keywords are told apart from names by
/// walking downwards.
pub(crate) fn role(schema: Json<'_>) -> Role<'_> {
    let mut way = Vec::new();
    let mut here = schema;
    while let Some((parent, step)) = here.parent() {
        way.push((parent, step));
        here = parent;
    }
    let mut role = Role::Root;
    while let Some((holder, step)) = way.pop() {
        let Step::Key(keyword) = step else {
            return Role::Other("item");
        };
        role = match holds(keyword) {
            Schema | SchemaOrSchemas => {
                way.pop_if(|(_, step)| matches!(step, Step::Index(_)));
                match keyword {
                    "items" => Role::Item(holder),
                    "additionalProperties" => Role::Value(holder),
                    _ => Role::Other(keyword),
                }
            }
            SchemasByName => match (keyword, way.pop()) {
                ("properties", Some((_, Step::Key(name)))) => Role::Property(holder, name),
                ("$defs" | "definitions", Some((_, Step::Key(name)))) => Role::Definition(name),
                (_, Some((_, Step::Key(name)))) => Role::Other(name),
                _ => Role::Other(keyword),
            },
            Data => match way.drain(..).next() {
                Some((_, Step::Key(name))) => Role::Other(name),
                _ => Role::Other(keyword),
            },
        };
    }
    role
}

/// Whether a word is no keyword, and not its author's own: those begin with `x-`, unless they miss ours by a letter
/// or two.
pub(crate) fn is_unknown(word: &str) -> bool {
    const OURS: &str = "x-logpipe";
    about(word).is_none()
        && (!word.starts_with("x-")
            || word.len().abs_diff(OURS.len()) <= 2
                && strsim::osa_distance(&word.to_lowercase(), OURS) <= 2)
}

/// What somebody who wrote an unknown word should do.
pub(crate) fn meant(word: &str) -> String {
    match word {
        "nullable" => "write `\"type\": [\"string\", \"null\"]`, as JSON Schema does".into(),
        "id" => "since draft 6 it is `$id`".into(),
        "example" => "it is `examples`, a list".into(),
        "optional" => "a property is optional unless `required` names it".into(),
        _ => match nearest(word, KEYWORDS.iter().map(|&(name, ..)| name)) {
            Some(known) => format!("did you mean {}?", quote(known)),
            None => "remove it, or begin its name with `x-` to say that it is yours".into(),
        },
    }
}

/// The draft that a file speaks, by its `$schema`.
pub(crate) fn of(source: &Source, root: Json<'_>, report: &mut Report) -> Dialect {
    let help = "write `\"$schema\": \"https://json-schema.org/draft/2020-12/schema\"`";
    let Some(schema) = root.get("$schema") else {
        if let Some((found, sign)) = older(root) {
            let message =
                format!("{sign}, but without `$schema` this file is read as draft 2020-12");
            report.warn(
                source,
                found.span(),
                message,
                "say which draft it is, or write it in the newer way",
            );
        }
        return Dialect::Draft202012;
    };
    let Some(uri) = schema.as_str() else {
        report.error(
            source,
            schema.span(),
            format!("`$schema` is a string, not {}", schema.kind()),
            help,
        );
        return Dialect::Draft202012;
    };
    let name = uri
        .trim_end_matches('#')
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    match name {
        "json-schema.org/draft/2020-12/schema" => Dialect::Draft202012,
        "json-schema.org/draft-07/schema" => Dialect::Draft07,
        _ => {
            let drafts = ["draft-03", "draft-04", "draft-06", "draft/2019-09"];
            let draft = drafts
                .iter()
                .find(|draft| name.starts_with(&format!("json-schema.org/{draft}/")));
            let message = match draft {
                Some(draft) => format!("not supported yet: JSON Schema {draft}"),
                None => format!("the draft {} is not known", quote(uri)),
            };
            report.error(
                source,
                schema.span(),
                message,
                format!("{help}, or draft-07's, and adapt the schema"),
            );
            Dialect::Draft202012
        }
    }
}

/// A sign that a file was written for a draft before 2020-12.
fn older(root: Json<'_>) -> Option<(Json<'_>, &'static str)> {
    let mut todo = vec![root];
    while let Some(schema) = todo.pop() {
        for (key, _, value) in schema.members() {
            let sign = match (key, value.value()) {
                ("definitions", Value::Object(_)) if schema.get("$defs").is_none() => {
                    "`definitions` is `$defs` today"
                }
                ("items", Value::Array(_)) => "an array of `items` is `prefixItems` today",
                ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(_)) => {
                    "an exclusive bound is a number today"
                }
                ("additionalItems", _) => "`additionalItems` is `items` today",
                ("dependencies", Value::Object(_)) => {
                    "`dependencies` is `dependentRequired` or `dependentSchemas` today"
                }
                _ => "",
            };
            if !sign.is_empty() {
                return Some((value, sign));
            }
        }
        todo.extend(schemas_in(schema));
    }
    None
}
