//! What kind of value does a schema allow?

use super::{Lowering, Use};
use crate::catalog::{Check, Docs, Item, Rules, Ty};
use crate::diagnostic::{Severity, quote};
use crate::dialect::{self, About, Dialect};
use crate::json::{Json, Value};
use crate::refs::Place;
use crate::source::Span;

/// A JSON type, less null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// `type`, read.
pub(super) enum Kinds {
    /// There is none.
    Absent,
    /// One, and perhaps null.
    One(Kind),
    /// It was wrong, or more than we read; that was told.
    Told,
}

impl Lowering<'_, '_> {
    /// Lowers a schema that is no reference.
    pub(super) fn value(&mut self, place: Place) -> Use {
        let schema = self.at(place);
        match schema.value() {
            Value::Object(_) => {}
            Value::Bool(true) => return Use::plain(Ty::Any),
            Value::Bool(false) => {
                let help = "leave the property out, and set `\"additionalProperties\": false` on its object";
                self.error(
                    place,
                    schema,
                    "not supported yet: a schema that allows no value",
                    help,
                );
                return Use::plain(Ty::Any);
            }
            _ => {
                let message = format!(
                    "a schema is an object, true or false, not {}",
                    schema.kind()
                );
                self.error(
                    place,
                    schema,
                    message,
                    "write `{\"type\": \"string\"}`, or `true` for a value of any kind",
                );
                return Use::plain(Ty::Any);
            }
        }
        let told = self.keywords(place);
        let null = admits_null(schema);
        let kind = match self.kinds(place) {
            Kinds::One(kind) => Some(kind),
            Kinds::Told => return Use::plain(Ty::Any),
            Kinds::Absent => None,
        };
        if let Some(values) = schema.get("enum") {
            return self.enumeration(place, kind, values);
        }
        if let Some(value) = schema.get("const") {
            return self.constant(place, kind, value);
        }
        let Some(kind) = kind else {
            if !told {
                self.kind_missing(place);
            }
            self.extension(place, &[]);
            return Use::plain(Ty::Any);
        };
        self.beside(place, kind);
        let rules = match kind {
            Kind::Object => self.object(place),
            Kind::Array => self.array(place),
            Kind::String => self.string(place),
            Kind::Integer => self.integer(place),
            Kind::Number => self.number(place),
            Kind::Boolean => Rules {
                ty: Ty::Bool,
                checks: Vec::new(),
            },
        };
        if kind != Kind::Object {
            self.extension(place, &[]);
        }
        Use {
            rules,
            nullable: null,
        }
    }

    /// Tells of keywords that we do not know, or know and do not read; whether there was one of the latter.
    fn keywords(&mut self, place: Place) -> bool {
        let (schema, source) = (self.at(place), self.documents.source(place));
        let mut told = false;
        for (keyword, span, value) in schema.members() {
            match dialect::about(keyword) {
                Some(About::NotYet) => {
                    told = true;
                    let message = format!("not supported yet: {}", quote(keyword));
                    self.report.error(source, span, message, instead(keyword));
                }
                None if dialect::is_unknown(keyword) && self.has_room(place, Severity::Warning) => {
                    let message = format!(
                        "{} is no keyword of JSON Schema, so it says nothing",
                        quote(keyword)
                    );
                    self.report
                        .warn(source, span, message, dialect::meant(keyword));
                }
                _ => self.annotation(place, keyword, span, value),
            }
        }
        told
    }

    /// Tells of a keyword that never changes what is valid, and does not hold what it should.
    fn annotation(&mut self, place: Place, keyword: &str, span: Span, value: Json<'_>) {
        let wrong = match keyword {
            // The root's own was read with the file.
            "$schema"
                if value
                    .parent()
                    .is_some_and(|(schema, _)| schema.parent().is_some()) =>
            {
                let message = "not supported yet: `$schema` inside a file";
                let help = "move this schema to a file of its own below `types/`";
                let source = self.documents.source(place);
                return self.report.error(source, span, message, help);
            }
            "title" | "description" | "$comment" | "$id" | "$anchor" => value
                .as_str()
                .is_none()
                .then_some(("a string", "write it in quotes")),
            "deprecated" | "readOnly" | "writeOnly" => value
                .as_bool()
                .is_none()
                .then_some(("true or false", "write it without quotes")),
            "examples" => (!value.is_array()).then_some(("a list", "put it in brackets")),
            "$defs" | "definitions" => {
                let help = "give each schema in it a name";
                (!value.is_object()).then_some(("an object", help))
            }
            _ => None,
        };
        if let Some((right, help)) = wrong {
            let message = format!("`{keyword}` is {right}, not {}", value.kind());
            self.error(place, value, message, help);
        }
    }

    /// Tells of keywords that say nothing about values of this kind.
    pub(super) fn beside(&mut self, place: Place, kind: Kind) {
        let (schema, source) = (self.at(place), self.documents.source(place));
        for (keyword, span, _) in schema.members() {
            let fits = match dialect::about(keyword) {
                Some(About::Strings) => kind == Kind::String,
                Some(About::Numbers) => matches!(kind, Kind::Integer | Kind::Number),
                Some(About::Arrays) => kind == Kind::Array,
                Some(About::Objects) => kind == Kind::Object,
                _ => true,
            };
            if !fits {
                let message = format!("`{keyword}` says nothing about {}", plural(kind));
                self.report
                    .warn(source, span, message, "remove it, or correct the `type`");
            }
        }
    }

    /// Reads `type`.
    fn kinds(&mut self, place: Place) -> Kinds {
        let schema = self.at(place);
        let Some(ty) = schema.get("type") else {
            return Kinds::Absent;
        };
        let names = match ty.value() {
            Value::String(_) => vec![ty],
            Value::Array(_) => ty.items().collect(),
            _ => {
                let message = format!("`type` is a name or a list of names, not {}", ty.kind());
                self.error(
                    place,
                    ty,
                    message,
                    "write `\"type\": \"string\"`, or another",
                );
                return Kinds::Told;
            }
        };
        let mut kinds = Vec::new();
        let mut seen = Vec::new();
        for name in names {
            let Some(text) = name.as_str() else {
                self.error(
                    place,
                    name,
                    format!("a type is named by a string, not {}", name.kind()),
                    "the types are object, array, string, integer, number, boolean, null",
                );
                return Kinds::Told;
            };
            let kind = match text {
                "object" => Some(Kind::Object),
                "array" => Some(Kind::Array),
                "string" => Some(Kind::String),
                "integer" => Some(Kind::Integer),
                "number" => Some(Kind::Number),
                "boolean" => Some(Kind::Boolean),
                "null" => None,
                _ => {
                    let known = [
                        "object", "array", "string", "integer", "number", "boolean", "null",
                    ];
                    let help = match crate::diagnostic::nearest(text, known) {
                        Some(known) => format!("did you mean {}?", quote(known)),
                        None => format!("the types are {}", known.join(", ")),
                    };
                    self.error(
                        place,
                        name,
                        format!("{} is no type of JSON", quote(text)),
                        help,
                    );
                    return Kinds::Told;
                }
            };
            if seen.contains(&text) {
                self.error(
                    place,
                    name,
                    format!("{} stands twice", quote(text)),
                    "remove one of the two",
                );
                return Kinds::Told;
            }
            seen.push(text);
            kinds.extend(kind);
        }
        match kinds[..] {
            [kind] => return Kinds::One(kind),
            [] if seen.is_empty() => self.error(
                place,
                ty,
                "this list of types is empty",
                "name at least one",
            ),
            [] => {
                let help =
                    "a value that is always null says nothing; add the type that it can have";
                self.error(
                    place,
                    ty,
                    "not supported yet: `null` as the only type",
                    help,
                );
            }
            [..] => {
                let help = "write one type, `null` beside it if need be, or an object with an optional property for each";
                self.error(
                    place,
                    ty,
                    "not supported yet: several types in one place",
                    help,
                );
            }
        }
        Kinds::Told
    }

    /// A schema without `type` allows every kind of value, and its rules hold for some of them only.
    fn kind_missing(&mut self, place: Place) {
        let schema = self.at(place);
        let ruled =
            schema
                .members()
                .find_map(|(keyword, span, _)| match dialect::about(keyword)? {
                    About::Strings => Some((keyword, span, "string")),
                    About::Numbers => Some((keyword, span, "number")),
                    About::Arrays => Some((keyword, span, "array")),
                    About::Objects => Some((keyword, span, "object")),
                    _ => None,
                });
        if let Some((keyword, span, name)) = ruled {
            let message =
                format!("`{keyword}` without `type` lets values of every other kind pass");
            self.report.error(
                self.documents.source(place),
                span,
                message,
                format!("add `\"type\": \"{name}\"`"),
            );
        }
    }

    fn array(&mut self, place: Place) -> Rules {
        let schema = self.at(place);
        let item = match schema.get("items") {
            None => Item::from(Use::plain(Ty::Any)),
            Some(items) if items.is_array() => {
                let (message, help) = match self.documents.dialect(place) {
                    Dialect::Draft07 => (
                        "not supported yet: `items` with a schema for each place",
                        "make it an object",
                    ),
                    Dialect::Draft202012 => (
                        "`items` is one schema; a list of them is called `prefixItems`",
                        "make it an object: `prefixItems` is not supported yet",
                    ),
                };
                self.error(place, items, message, help);
                Item::from(Use::plain(Ty::Any))
            }
            Some(items) => Item::from(self.schema(Place {
                node: items.id(),
                ..place
            })),
        };
        let mut checks = Vec::new();
        let (min, max) = self.counts(place, "minItems", "maxItems");
        checks.extend(min.map(Check::MinItems));
        checks.extend(max.map(Check::MaxItems));
        match schema
            .get("uniqueItems")
            .map(|unique| (unique, unique.as_bool()))
        {
            Some((_, Some(true))) => checks.push(Check::UniqueItems),
            Some((unique, None)) => {
                self.error(
                    place,
                    unique,
                    format!("`uniqueItems` is true or false, not {}", unique.kind()),
                    "write it without quotes, or leave it out",
                );
            }
            Some((_, Some(false))) | None => {}
        }
        Rules {
            ty: Ty::List(Box::new(item)),
            checks,
        }
    }

    /// A pair of counts; a minimum of zero says nothing.
    pub(super) fn counts(
        &mut self,
        place: Place,
        low: &str,
        high: &str,
    ) -> (Option<u64>, Option<u64>) {
        let (min, max) = (self.count(place, low), self.count(place, high));
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let at = self.at(place).get(low).unwrap_or(self.at(place));
            let message = format!("`{low}` is {min} and `{high}` is {max}: no value has both");
            self.error(place, at, message, "correct one of them");
            return (None, None);
        }
        (min.filter(|&min| min > 0), max)
    }

    fn count(&mut self, place: Place, keyword: &str) -> Option<u64> {
        let value = self.at(place).get(keyword)?;
        let count = self.decimal(place, keyword, value)?;
        let whole = count.to_i128().and_then(|count| u64::try_from(count).ok());
        if whole.is_none() {
            let message = format!("`{keyword}` is a whole number from 0, not {count}");
            self.error(place, value, message, "write one without sign and fraction");
        }
        whole
    }

    /// Tells of what stands beside a `$ref` and has no effect, or more than we read.
    pub(super) fn beside_reference(&mut self, place: Place, schema: Json<'_>) {
        let old = self.documents.dialect(place) == Dialect::Draft07;
        let source = self.documents.source(place);
        for (keyword, span, value) in schema.members() {
            let about = dialect::about(keyword);
            if !old || about == Some(About::Structure) {
                self.annotation(place, keyword, span, value);
            }
            // The root's own extension names the message, whatever the root refers to.
            let root = self.is_message(place) && about == Some(About::Ours);
            if root || matches!(keyword, "$comment" | "examples") || about == Some(About::Structure)
            {
                continue;
            }
            if old {
                let message = format!(
                    "beside `$ref`, draft 7 reads nothing: {} has no effect",
                    quote(keyword)
                );
                self.report.warn(
                    source,
                    span,
                    message,
                    "move it to the schema that is referred to",
                );
            } else if dialect::is_unknown(keyword) {
                let message = format!(
                    "{} is no keyword of JSON Schema, so it says nothing",
                    quote(keyword)
                );
                self.report
                    .warn(source, span, message, dialect::meant(keyword));
            } else if !matches!(about, Some(About::Reader) | None) {
                let message = format!("not supported yet: {} beside `$ref`", quote(keyword));
                self.report.error(
                    source,
                    span,
                    message,
                    "move it to the schema that is referred to",
                );
            }
        }
    }

    /// What a schema says to people. What does not fit was told by [`Self::keywords`].
    pub(super) fn docs(&self, place: Place) -> Docs {
        self.docs_up_to(place, usize::MAX)
    }

    /// The same, less each text of more bytes.
    pub(super) fn docs_up_to(&self, place: Place, length: usize) -> Docs {
        let schema = self.at(place);
        if schema.get("$ref").is_some() && self.documents.dialect(place) == Dialect::Draft07 {
            return Docs::default();
        }
        let text = |key: &str| {
            let text = schema.get(key).and_then(Json::as_str)?;
            (text.len() <= length).then(|| text.to_owned())
        };
        let deprecated = schema.get("deprecated").and_then(Json::as_bool) == Some(true);
        Docs {
            title: text("title"),
            description: text("description"),
            deprecated,
        }
    }
}

/// Whether a schema that is no reference names null among its types.
pub(super) fn admits_null(schema: Json<'_>) -> bool {
    schema
        .get("type")
        .is_some_and(|ty| ty.items().any(|name| name.as_str() == Some("null")))
}

/// Whether a schema with `properties` becomes a struct, as far as that can be seen from outside.
pub(super) fn is_struct(schema: Json<'_>) -> bool {
    let object = |ty: Json<'_>| {
        ty.as_str() == Some("object") || ty.items().any(|name| name.as_str() == Some("object"))
    };
    let otherwise = ["$ref", "enum", "const"]
        .iter()
        .any(|keyword| schema.get(keyword).is_some());
    schema.get("type").is_some_and(object) && !otherwise
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "objects",
        Kind::Array => "arrays",
        Kind::String => "strings",
        Kind::Integer => "integers",
        Kind::Number => "numbers",
        Kind::Boolean => "booleans",
    }
}

/// A way out for somebody who needs what we do not read yet.
fn instead(keyword: &str) -> &'static str {
    match keyword {
        "oneOf" | "anyOf" => "write an object with an optional property for each case",
        "allOf" => "write the members out in one object",
        "prefixItems" | "additionalItems" => "write an object with a named property for each place",
        "patternProperties" => "write a map: `additionalProperties` with the schema of its values",
        "contentEncoding" | "contentMediaType" | "contentSchema" => "say it in the `description`",
        "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor" => "use `$ref`",
        _ => "take it out, and check it in the handler",
    }
}
