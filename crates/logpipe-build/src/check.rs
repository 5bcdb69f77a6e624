//! Do the names fit? Every Rust name belongs to one thing, or a diagnostic names both.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Message, Origin, Shape, Type, Unknown};
use crate::diagnostic::{Diagnostic, Report, quote};
use crate::source::{Source, Sources, Span};
use crate::{layout, name};

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

    /// Files that meet in one module, and modules that meet in one variant of `AnyMessage`.
    fn modules(&mut self, catalog: &Catalog) {
        let (mut modules, mut variants) = (BTreeMap::new(), BTreeMap::new());
        for message in &catalog.messages {
            let stem = name::stem(&message.source);
            let start = Span::default();
            let first: &Message = modules.entry(message.rust.as_str()).or_insert(message);
            if name::stem(&first.source) != stem {
                let what = format!(
                    "{} and this file meet in the module {}",
                    first.source,
                    quote(&message.rust)
                );
                self.error(
                    &message.source,
                    start,
                    what,
                    "spell all versions of a message the same way, and others differently",
                );
            }
            let first: &Message = variants
                .entry(name::camel(&message.rust))
                .or_insert(message);
            if first.rust != message.rust {
                let variant = name::camel(&message.rust);
                let what = format!(
                    "{} and this file meet in the name {}",
                    first.source,
                    quote(&variant)
                );
                self.error(
                    &message.source,
                    start,
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
