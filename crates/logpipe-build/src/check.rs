//! Do the names fit, and does every value end? Every Rust name belongs to one thing, or a diagnostic names both.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Message, Origin, Shape, Type, Unknown};
use crate::diagnostic::{Diagnostic, Report, quote};
use crate::source::{Source, Sources, Span};
use crate::{finite, layout, name};

/// Looks at a catalog that is named and laid out.
pub fn check(catalog: &Catalog, sources: &Sources) -> Vec<Diagnostic> {
    let mut judge = Judge {
        sources,
        report: Report::default(),
    };
    judge.modules(catalog);
    for message in &catalog.messages {
        judge.types(catalog, message);
    }
    for ty in &catalog.types {
        judge.members(ty);
    }
    judge.endless(catalog);
    judge.report.finish()
}

struct Judge<'a> {
    sources: &'a Sources,
    report: Report,
}

impl Judge<'_> {
    fn error(&mut self, file: &str, span: Span, message: String, help: &str) {
        let missing;
        let source = match self.sources.get(file) {
            Some(source) => source,
            None => {
                missing = Source::new(file, "");
                &missing
            }
        };
        self.report.error(source, span, message, help);
    }

    /// Modules that meet in one variant of `AnyMessage`; files that meet in one module were told when they were found.
    fn modules(&mut self, catalog: &Catalog) {
        let mut variants = BTreeMap::new();
        for message in &catalog.messages {
            let variant = name::variant(&message.rust);
            let first: &Message = variants.entry(variant.clone()).or_insert(message);
            if first.rust != message.rust {
                let what = format!(
                    "{} and this file meet in the name {}",
                    first.source,
                    quote(&variant)
                );
                self.error(
                    &message.source,
                    Span::default(),
                    what,
                    "give one of them another name",
                );
            }
        }
    }

    /// Types of one module.
    fn types(&mut self, catalog: &Catalog, message: &Message) {
        let mut known: BTreeMap<&str, &Type> = BTreeMap::new();
        for id in layout::reachable(catalog, message.root) {
            let ty = &catalog.types[id.0];
            match known.get(ty.name.as_str()) {
                None => {
                    known.insert(&ty.name, ty);
                }
                Some(first) => {
                    let place = place(&first.origin);
                    let what = format!(
                        "this and {place} are both called {} in Rust",
                        quote(&ty.name)
                    );
                    self.error(
                        &ty.origin.source,
                        ty.origin.span,
                        what,
                        "give one of them another name, or make them one definition",
                    );
                }
            }
        }
    }

    /// Types that require themselves.
    fn endless(&mut self, catalog: &Catalog) {
        for found in finite::endless(catalog) {
            let ty = &catalog.types[found.ty.0];
            let field = match (&ty.shape, found.field) {
                (Shape::Struct { fields, .. }, Some(index)) => Some(&fields[index]),
                _ => None,
            };
            let (origin, what, help) = match field {
                Some(field) => {
                    let name = quote(&field.wire);
                    (
                        &field.origin,
                        format!(
                            "{name} is required, and in the end requires itself: no value ends"
                        ),
                        "take it out of `required`, or let it be null",
                    )
                }
                None => (
                    &ty.origin,
                    "each of these holds another one at least: no value ends".to_owned(),
                    "let it be empty, or let what it holds be null",
                ),
            };
            self.error(&origin.source, origin.span, what, help);
        }
    }

    /// Fields of a struct, variants of an enum.
    fn members(&mut self, ty: &Type) {
        match &ty.shape {
            Shape::Struct {
                fields, unknown, ..
            } => {
                let mut known = BTreeMap::new();
                for field in fields {
                    if field.rust == "unknown" && *unknown == Unknown::Keep {
                        let what = format!(
                            "{} meets the field that keeps unknown members",
                            quote(&field.wire)
                        );
                        self.error(
                            &field.origin.source,
                            field.origin.span,
                            what,
                            "give it another name, or let `unknown-fields` go",
                        );
                    }
                    if let Some(first) = known.insert(field.rust.as_str(), field) {
                        let what = format!(
                            "{} and {} are both the field {} in Rust",
                            quote(&first.wire),
                            quote(&field.wire),
                            quote(&field.rust)
                        );
                        self.error(
                            &field.origin.source,
                            field.origin.span,
                            what,
                            "give one of them another name",
                        );
                    }
                }
            }
            Shape::Enum { variants, other } => {
                let mut known = BTreeMap::new();
                for variant in variants {
                    if variant.rust == "Other" && *other {
                        let what = format!(
                            "{} meets the variant that keeps other strings",
                            quote(&variant.wire)
                        );
                        self.error(
                            &ty.origin.source,
                            ty.origin.span,
                            what,
                            "let `unknown-values` go, or leave the value out",
                        );
                    }
                    if let Some(first) = known.insert(variant.rust.as_str(), variant) {
                        let what = format!(
                            "{} and {} are both the variant {} in Rust",
                            quote(&first.wire),
                            quote(&variant.wire),
                            quote(&variant.rust)
                        );
                        self.error(
                            &ty.origin.source,
                            ty.origin.span,
                            what,
                            "let it be a string with a `pattern`, or leave one out",
                        );
                    }
                }
            }
            Shape::Newtype(_) => {}
        }
    }
}

fn place(origin: &Origin) -> String {
    let pointer = if origin.pointer.is_empty() {
        "/"
    } else {
        &origin.pointer
    };
    format!("{} in {}", quote(pointer), origin.source)
}

#[cfg(test)]
mod tests {
    use crate::read::read_texts;

    /// What is said of schemas, errors and warnings alike.
    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|&(name, text)| (name, text.replace('\'', "\"")));
        let checked = crate::checked(read_texts(files));
        checked
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn object(rest: &str) -> String {
        format!(
            "{{'$schema': 'https://json-schema.org/draft/2020-12/schema', 'type': 'object', {rest}}}"
        )
    }

    #[test]
    fn names_that_meet_are_told_with_both() {
        let fields = |names: [&str; 2]| {
            let [one, other] = names;
            object(&format!(
                "'properties': {{'{one}': {{'type': 'string'}}, '{other}': {{'type': 'string'}}}}"
            ))
        };
        let meeting = [
            (
                fields(["first_name", "firstName"]),
                "`first_name` and `firstName` are both the field `first_name` in Rust",
            ),
            (
                fields(["type", "type_"]),
                "`type` and `type_` are both the field `type_` in Rust",
            ),
            (
                object(
                    "'properties': {'unknown': {'type': 'string'}}, 'x-logpipe': {'unknown-fields': 'keep'}",
                ),
                "`unknown` meets the field that keeps unknown members",
            ),
            (
                object("'properties': {'a': {'enum': ['in transit', 'in-transit']}}"),
                "`in transit` and `in-transit` are both the variant `InTransit` in Rust",
            ),
            (
                object(
                    "'properties': {'a': {'enum': ['other'], 'x-logpipe': {'unknown-values': 'keep'}}}",
                ),
                "`other` meets the variant that keeps other strings",
            ),
            (
                object(
                    "'properties': {'home': {'type': 'object', 'properties': {}}, 'work': {'$ref': '#/$defs/personHome'}}, \
                     '$defs': {'personHome': {'type': 'object', 'properties': {}}}",
                ),
                "are both called `PersonHome` in Rust",
            ),
        ];
        for (text, expected) in meeting {
            let told = told(&[("person.v1.json", &text)]);
            assert!(
                told.len() == 1 && told[0].contains(expected),
                "{expected}: {told:?}"
            );
            assert!(
                told[0].starts_with("schemas/person.v1.json:1:") && told[0].contains("; "),
                "{told:?}"
            );
        }
    }

    #[test]
    fn what_requires_itself_is_told_once() {
        let itself =
            "is required, and in the end requires itself: no value ends; take it out of `required`";
        let o = |rest: &str| {
            object(&format!(
                "'properties': {{'o': {{'$ref': '#/$defs/o'}}}}, '$defs': {{'o': {rest}}}"
            ))
        };
        let list = "{'type': 'array', 'items': {'$ref': '#/$defs/o'}, 'minItems': 1}";
        let member = |property: &str| {
            o(&format!(
                "{{'type': 'object', 'properties': {{'m': {property}}}, 'required': ['m']}}"
            ))
        };
        let endless = [
            (member("{'$ref': '#/$defs/o'}"), format!("`m` {itself}")),
            (member(list), format!("`m` {itself}")),
            (
                member(
                    "{'type': 'object', 'properties': {'n': {'$ref': '#/$defs/o'}}, 'required': ['n']}",
                ),
                format!("`m` {itself}"),
            ),
            (
                object("'properties': {'o': {'$ref': '#'}}, 'required': ['o']"),
                format!("`o` {itself}"),
            ),
            (
                o(list),
                "each of these holds another one at least".to_owned(),
            ),
        ];
        for (text, expected) in &endless {
            let told = told(&[("person.v1.json", text), ("person.v2.json", text)]);
            let places = ["schemas/person.v1.json:1:", "schemas/person.v2.json:1:"];
            let fits = |(told, place): (&String, &str)| {
                told.starts_with(place) && told.contains(expected.as_str())
            };
            assert!(
                told.len() == 2 && told.iter().zip(places).all(fits),
                "{expected}: {told:?}"
            );
        }
        let ending = [
            member("{'type': 'array', 'items': {'$ref': '#/$defs/o'}}"),
            member("{'type': 'object', 'additionalProperties': {'$ref': '#/$defs/o'}}"),
            o("{'type': ['array', 'null'], 'items': {'$ref': '#/$defs/o'}, 'minItems': 1}"),
            o(
                "{'type': ['object', 'null'], 'properties': {'m': {'$ref': '#/$defs/o'}}, 'required': ['m']}",
            ),
        ];
        for text in &ending {
            assert_eq!(told(&[("person.v1.json", text)]), Vec::<String>::new());
        }
    }

    #[test]
    fn modules_that_meet_are_told_with_both() {
        let text = object("'properties': {}");
        let told = |one, other| told(&[(one, &text), (other, &text)]);
        assert_eq!(
            told("a1.v1.json", "a_1.v1.json"),
            [
                "schemas/a_1.v1.json:1:1: schemas/a1.v1.json and this file meet in the name `A1`; give one of them another name"
            ]
        );
        assert_eq!(
            told("person.v1.json", "person.v2.json"),
            Vec::<String>::new()
        );
    }
}
