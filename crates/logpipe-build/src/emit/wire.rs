//! How does each type stand on the wire? One table per type, one line per field, that the run time's macro expands.
//!
//! Laid out here, not by prettyplease, which wraps the body of a macro without knowing what it holds.

use super::{literal, types};
use crate::catalog::{Catalog, Field, Message, Presence, Rules, Shape, Type, Unknown};
use crate::rule::{self, Bound, Constant, Rule, Within};

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
            let rules = rules.iter().map(|rule| call(rule).arguments());
            let rules = rules.collect::<Vec<_>>();
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
        Presence::Required => "required",
        Presence::Optional => "optional",
        Presence::Nullable => "nullable",
        Presence::OptionalNullable => "optional_nullable",
    };
    let (name, wire) = (&field.rust, literal::string(&field.wire));
    format!(
        "{name}: {wire} {presence}{};",
        arguments(catalog, &field.value)
    )
}

/// The rules of a value as the table lists them: `, min_chars(1), max_chars(100)`.
fn arguments(catalog: &Catalog, rules: &Rules) -> String {
    let rules = rule::of(catalog, rules);
    let calls = rules.iter().map(call);
    calls
        .map(|call| format!(", {}", call.arguments()))
        .collect()
}

/// The rules of what is inside of a list or map, as one expression over `item`.
fn expression(within: &Within) -> String {
    let mut calls = within.rules.iter().map(call);
    let last = calls.next_back().map(|call| call.on_item());
    let mut out = calls
        .map(|call| format!("{}?; ", call.on_item()))
        .collect::<String>();
    let is_block = !out.is_empty();
    out.push_str(&last.unwrap_or_default());
    if is_block {
        out = format!("{{ {out} }}");
    }
    if within.nullable {
        out = format!("::logpipe::rules::present(item, |item| {out})");
    }
    out
}

/// A function of `::logpipe::rules` and what it takes besides the value.
struct Call {
    rule: &'static str,
    argument: Option<String>,
}

impl Call {
    fn arguments(&self) -> String {
        format!("{}({})", self.rule, self.argument.as_deref().unwrap_or(""))
    }

    fn on_item(&self) -> String {
        match &self.argument {
            Some(argument) => format!("::logpipe::rules::{}(item, {argument})", self.rule),
            None => format!("::logpipe::rules::{}(item)", self.rule),
        }
    }
}

fn call(rule: &Rule) -> Call {
    let (rule, argument) = match rule {
        Rule::MinChars(count) => ("min_chars", count_literal(*count)),
        Rule::MaxChars(count) => ("max_chars", count_literal(*count)),
        Rule::Pattern(regex) => ("pattern", literal::string(regex)),
        Rule::Min(bound) => ("min", bound_literal(bound)),
        Rule::Max(bound) => ("max", bound_literal(bound)),
        Rule::Above(bound) => ("above", bound_literal(bound)),
        Rule::Below(bound) => ("below", bound_literal(bound)),
        Rule::MultipleOf(step) => ("multiple_of", bound_literal(step)),
        Rule::Equals(constant) => ("equals", const_literal(constant)),
        Rule::MinItems(count) => ("min_items", count_literal(*count)),
        Rule::MaxItems(count) => ("max_items", count_literal(*count)),
        Rule::MinProperties(count) => ("min_properties", count_literal(*count)),
        Rule::MaxProperties(count) => ("max_properties", count_literal(*count)),
        Rule::Each(within) => ("each", format!("|item| {}", expression(within))),
        Rule::Values(within) => ("values", format!("|item| {}", expression(within))),
        Rule::UniqueItems => {
            return Call {
                rule: "unique_items",
                argument: None,
            };
        }
    };
    Call {
        rule,
        argument: Some(argument),
    }
}

fn count_literal(count: u64) -> String {
    literal::integer(count.into())
}

/// Integers compare with integers, floats with the exact decimal.
fn bound_literal(bound: &Bound) -> String {
    match bound {
        Bound::Integer(bound) => literal::integer(*bound),
        Bound::Decimal(bound) => literal::string(&bound.to_string()),
    }
}

fn const_literal(constant: &Constant) -> String {
    match constant {
        Constant::Bool(value) => value.to_string(),
        Constant::Integer(value) => literal::integer(*value),
        Constant::Float(value) => literal::float(value),
    }
}
