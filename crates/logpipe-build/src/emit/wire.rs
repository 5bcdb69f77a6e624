//! How does each type stand on the wire? One table per type, one line per field, that the run time's macro expands.
//!
//! Laid out here, not by prettyplease, which wraps the body of a macro without knowing what it holds.

use super::{literal, types};
use crate::catalog::{Catalog, Field, Message, Presence, Rules, Shape, Type, Unknown};
use crate::rule::{self, Bound, Constant, Rule};

/// The table of one type.
pub(super) fn table(catalog: &Catalog, ty: &Type) -> String {
    let name = &ty.name;
    let body = match &ty.shape {
        Shape::Struct {
            fields,
            unknown,
            checks,
        } => {
            let kind = match unknown {
                Unknown::Ignore => "open",
                Unknown::Reject => "closed",
                Unknown::Keep => "keep(unknown)",
            };
            let rows = fields.iter().map(|field| row(catalog, field));
            let rules = rule::of_object(checks);
            let rules = rules.iter().map(word).collect::<Vec<_>>();
            let rules = if rules.is_empty() {
                String::new()
            } else {
                format!(" rules {}", rules.join(", "))
            };
            format!("    struct {name} {kind} {}{rules}", block(rows))
        }
        Shape::Enum { variants, other } => {
            let kind = if *other { "other" } else { "closed" };
            let rows = variants
                .iter()
                .map(|variant| format!("{} = {};", variant.rust, literal::string(&variant.wire)));
            format!("    enum {name} {kind} {}", block(rows))
        }
        Shape::Newtype(rules) => {
            let inner = types::tokens(catalog, &rules.ty)
                .to_string()
                .replace(' ', "");
            format!("    newtype {name}({inner}){};", arguments(catalog, rules))
        }
    };
    format!("::logpipe::wire! {{\n{body}\n}}\n")
}

/// The line that lets a type contain itself.
pub(super) fn boxed(ty: &Type) -> String {
    format!("::logpipe::wire! {{ boxed {}; }}\n", ty.name)
}

/// The line that makes a struct a message.
pub(super) fn message(catalog: &Catalog, message: &Message) -> String {
    let root = &catalog.types[message.root.0];
    let key = match (&root.shape, message.key) {
        (Shape::Struct { fields, .. }, Some(key)) => format!(", key {}", fields[key].rust),
        _ => String::new(),
    };
    let (name, wire, version) = (&root.name, literal::string(&message.wire), message.version);
    format!("::logpipe::message! {{ {name} = {wire} version {version}, of super::Any{key}; }}\n")
}

fn block(rows: impl Iterator<Item = String>) -> String {
    let rows = rows
        .map(|row| format!("        {row}\n"))
        .collect::<String>();
    if rows.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{\n{rows}    }}")
    }
}

fn row(catalog: &Catalog, field: &Field) -> String {
    let presence = match field.presence {
        // Null is a value of its own, which the field's `Option` reads.
        Presence::Required | Presence::Nullable => "",
        Presence::Optional => " optional",
        Presence::OptionalNullable => " optional_nullable",
    };
    let (name, wire) = (&field.rust, literal::string(&field.wire));
    format!(
        "{name}: {wire}{presence}{};",
        arguments(catalog, &field.value)
    )
}

/// The rules of a value as the table lists them: `, min_chars(1), max_chars(100)`.
fn arguments(catalog: &Catalog, rules: &Rules) -> String {
    let rules = rule::of(catalog, rules);
    rules
        .iter()
        .map(|rule| format!(", {}", word(rule)))
        .collect()
}

/// A rule as `::logpipe::rules::Rule` has it.
fn word(rule: &Rule) -> String {
    let number = |word: &str, bound: &Bound| match bound {
        // Integers are held against integers, floats against the exact decimal.
        Bound::Integer(bound) => format!("{word}({})", literal::integer(*bound)),
        Bound::Decimal(bound) => {
            format!("{word}_decimal({})", literal::string(&bound.to_string()))
        }
    };
    let count = |word: &str, count: u64| format!("{word}({})", literal::integer(count.into()));
    match rule {
        Rule::MinChars(chars) => count("min_chars", *chars),
        Rule::MaxChars(chars) => count("max_chars", *chars),
        Rule::Pattern(regex) => format!("pattern({})", literal::string(regex)),
        Rule::Min(bound) => number("min", bound),
        Rule::Max(bound) => number("max", bound),
        Rule::Above(bound) => number("above", bound),
        Rule::Below(bound) => number("below", bound),
        Rule::MultipleOf(step) => number("multiple_of", step),
        Rule::Equals(Constant::Bool(constant)) => format!("equals_boolean({constant})"),
        Rule::Equals(Constant::Integer(constant)) => {
            format!("equals({})", literal::integer(*constant))
        }
        Rule::Equals(Constant::Float(constant)) => {
            format!("equals_float({})", literal::float(constant))
        }
        Rule::MinItems(items) => count("min_items", *items),
        Rule::MaxItems(items) => count("max_items", *items),
        Rule::UniqueItems => "unique_items()".to_owned(),
        Rule::MinProperties(members) => count("min_properties", *members),
        Rule::MaxProperties(members) => count("max_properties", *members),
        Rule::Each(rules) => format!("each({})", inside(rules)),
        Rule::Values(rules) => format!("values({})", inside(rules)),
    }
}

/// The rules of what is inside of a list or a map.
fn inside(rules: &[Rule]) -> String {
    let rules = rules
        .iter()
        .map(|rule| format!("::logpipe::rules::Rule::{}", word(rule)));
    format!("&[{}]", rules.collect::<Vec<_>>().join(", "))
}
