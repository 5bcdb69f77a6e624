//! Which strings does a schema allow: lengths, patterns, formats, sets of strings, constants?

use std::collections::BTreeMap;

use super::value::Kind;
use super::{Lowering, Use, default, pattern};
use crate::catalog::{Check, Format, Integer, Rules, Shape, Ty, Variant};
use crate::diagnostic::quote;
use crate::json::{Json, Value};
use crate::refs::Place;

const FORMATS: [(&str, Format); 9] = [
    ("uuid", Format::Uuid),
    ("date-time", Format::DateTime),
    ("date", Format::Date),
    ("time", Format::Time),
    ("duration", Format::Duration),
    ("email", Format::Email),
    ("uri", Format::Uri),
    ("ipv4", Format::Ipv4),
    ("ipv6", Format::Ipv6),
];

/// What rules on the text can say that a set of strings does not say better.
const OF_TEXT: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];

impl Lowering<'_, '_> {
    pub(super) fn string(&mut self, place: Place) -> Rules {
        let schema = self.at(place);
        let ty = self.format(place).map_or(Ty::String, Ty::Format);
        let mut checks = Vec::new();
        let (min, max) = self.counts(place, "minLength", "maxLength");
        checks.extend(min.map(Check::MinChars));
        checks.extend(max.map(Check::MaxChars));
        if let Some(at) = schema.get("pattern") {
            match at.as_str().map(pattern::translate) {
                Some(Ok(regex)) => {
                    let schema = at.as_str().unwrap_or_default().to_owned();
                    checks.push(Check::Pattern { schema, regex });
                }
                Some(Err(fault)) => self.error(place, at, fault.message, fault.help),
                None => self.error(
                    place,
                    at,
                    format!("`pattern` is a string, not {}", at.kind()),
                    "write a regular expression of ECMA-262 in quotes",
                ),
            }
        }
        self.beside_format(place, &ty, &mut checks);
        Rules { ty, checks }
    }

    /// A format that keeps its spelling is a string with lengths and patterns; of the others, only a UUID's length is
    /// plain.
    fn beside_format(&mut self, place: Place, ty: &Ty, checks: &mut Vec<Check>) {
        let Ty::Format(format) = ty else { return };
        match format {
            Format::Email | Format::Uri => return,
            Format::Uuid => checks.retain(|check| match check {
                Check::MinChars(min) => *min > 36,
                Check::MaxChars(max) => *max < 36,
                _ => true,
            }),
            _ => {}
        }
        if checks.is_empty() {
            return;
        }
        let rule = OF_TEXT
            .iter()
            .find_map(|keyword| self.at(place).get(keyword).map(|at| (keyword, at)));
        if let Some((keyword, at)) = rule.filter(|(keyword, _)| **keyword != "format") {
            let message = format!(
                "not supported yet: `{keyword}` beside a `format` that is a type of its own"
            );
            self.error(place, at, message, "remove one of the two");
        }
        checks.clear();
    }

    fn format(&mut self, place: Place) -> Option<Format> {
        let at = self.at(place).get("format")?;
        let Some(name) = at.as_str() else {
            self.error(
                place,
                at,
                format!("`format` is a string, not {}", at.kind()),
                "write the name of a format in quotes, as `\"date-time\"`",
            );
            return None;
        };
        let format = FORMATS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, format)| format);
        if format.is_none() {
            let names = FORMATS.map(|(name, _)| name);
            let help = match crate::diagnostic::nearest(name, names) {
                Some(known) => format!("did you mean {}?", quote(known)),
                None => format!(
                    "the formats that are checked: {}; others are for the reader",
                    names.join(", ")
                ),
            };
            self.warn(
                place,
                at,
                format!("the format {} is not checked", quote(name)),
                help,
            );
        }
        format
    }

    /// `enum`: a closed set of strings, and null perhaps.
    pub(super) fn enumeration(
        &mut self,
        place: Place,
        kind: Option<Kind>,
        values: Json<'_>,
    ) -> Use {
        let schema = self.at(place);
        let any = Use::plain(Ty::Any);
        if !values.is_array() {
            self.error(
                place,
                values,
                format!("`enum` is a list of values, not {}", values.kind()),
                "write `\"enum\": [\"one\", \"other\"]`",
            );
            return any;
        }
        let mut variants = Vec::new();
        let mut seen = BTreeMap::new();
        let mut null = false;
        for value in values.items() {
            let text = match value.value() {
                Value::String(text) => text,
                Value::Null => {
                    null = true;
                    continue;
                }
                _ => {
                    let message =
                        format!("not supported yet: an `enum` that holds {}", value.kind());
                    self.error(place, value, message, "let its values be strings");
                    return any;
                }
            };
            if let Some(first) = seen.insert(text.as_str(), value.span()) {
                let line = self.documents.source(place).position(first.start).line;
                let message = format!(
                    "{} stands twice in this `enum`, first in line {line}",
                    quote(text)
                );
                self.error(place, value, message, "remove one of the two");
                continue;
            }
            variants.push(Variant {
                wire: text.clone(),
                rust: String::new(),
            });
        }
        if kind.is_some_and(|kind| kind != Kind::String) {
            let at = schema.get("type").unwrap_or(schema);
            self.error(
                place,
                at,
                "no string of this `enum` has this `type`",
                "write `\"type\": \"string\"`",
            );
            return any;
        }
        if variants.is_empty() {
            let message = if null {
                "not supported yet: an `enum` of null alone"
            } else {
                "this `enum` is empty: no value is valid"
            };
            self.error(place, values, message, "name at least one string");
            return any;
        }
        // Without `type`, the `enum` says everything; with it, both have to allow null.
        let typed = schema
            .get("type")
            .is_none_or(|_| super::value::admits_null(schema));
        if null && !typed {
            self.warn(
                place,
                values,
                "the `type` does not allow the null of this `enum`",
                "add `\"null\"` to the `type`, or remove it here",
            );
        }
        self.set_of_strings(place, variants, null && typed)
    }

    /// `const`: one string is a set of one; other scalars are checked.
    pub(super) fn constant(&mut self, place: Place, kind: Option<Kind>, value: Json<'_>) -> Use {
        let any = Use::plain(Ty::Any);
        let (ty, natural) = match value.value() {
            Value::String(text) => {
                if kind.is_some_and(|kind| kind != Kind::String) {
                    self.error(
                        place,
                        value,
                        "this `const` does not have the `type` beside it",
                        "correct one of them",
                    );
                    return any;
                }
                let variants = vec![Variant {
                    wire: text.clone(),
                    rust: String::new(),
                }];
                return self.set_of_strings(place, variants, false);
            }
            Value::Bool(_) => (Ty::Bool, Kind::Boolean),
            Value::Number(_) => {
                let Some(number) = self.decimal(place, "const", value) else {
                    return any;
                };
                if kind != Some(Kind::Number) && number.is_integer() {
                    let holds = |min: i128, max: i128| {
                        number
                            .to_i128()
                            .is_some_and(|number| (min..=max).contains(&number))
                    };
                    let integer = match () {
                        () if holds(i64::MIN.into(), i64::MAX.into()) => Integer::I64,
                        () if holds(0, u64::MAX.into()) => Integer::U64,
                        () => {
                            self.error(
                                place,
                                value,
                                "this `const` is no 64-bit integer",
                                "write it as a string",
                            );
                            return any;
                        }
                    };
                    (Ty::Integer(integer), Kind::Integer)
                } else {
                    (Ty::Number, Kind::Number)
                }
            }
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let message = format!("not supported yet: a `const` that is {}", value.kind());
                self.error(place, value, message, "describe it with `type`");
                return any;
            }
        };
        if kind.is_some_and(|kind| kind != natural) {
            self.error(
                place,
                value,
                "this `const` does not have the `type` beside it",
                "correct one of them",
            );
            return any;
        }
        let about = |keyword| {
            matches!(
                crate::dialect::about(keyword),
                Some(crate::dialect::About::Numbers | crate::dialect::About::Strings)
            )
        };
        let (schema, source) = (self.at(place), self.documents.source(place));
        for (keyword, span, _) in schema.members().filter(|&(keyword, ..)| about(keyword)) {
            let message = format!("not supported yet: `{keyword}` beside `const`");
            self.report
                .error(source, span, message, "remove it: the `const` says it all");
        }
        self.beside(place, natural);
        self.extension(place, &[]);
        let checks = default::value(value)
            .map(Check::Const)
            .into_iter()
            .collect();
        Use {
            rules: Rules { ty, checks },
            nullable: false,
        }
    }

    fn set_of_strings(&mut self, place: Place, variants: Vec<Variant>, nullable: bool) -> Use {
        let (schema, source) = (self.at(place), self.documents.source(place));
        self.beside(place, Kind::String);
        for keyword in OF_TEXT {
            if let Some(span) = schema.key_span(keyword) {
                let message = format!("not supported yet: `{keyword}` beside a set of strings");
                self.report
                    .error(source, span, message, "remove it: the set says it all");
            }
        }
        if let (Some(value), true) = (schema.get("const"), schema.get("enum").is_some()) {
            self.error(
                place,
                value,
                "not supported yet: `const` beside `enum`",
                "keep one of them",
            );
        }
        let other = self.extension(place, &["unknown-values"]).unknown_values;
        let id = self.reserve(place);
        self.catalog.types[id.0].shape = Shape::Enum { variants, other };
        Use {
            nullable,
            ..Use::plain(Ty::Named(id))
        }
    }
}
