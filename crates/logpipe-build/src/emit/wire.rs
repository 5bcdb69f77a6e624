//! How does each type stand on the wire? One table per type, one line per field, that the run time's macro expands.
//!
//! Laid out here, not by prettyplease, which wraps the body of a macro without knowing what it holds.

use super::{literal, types};
use crate::catalog::{
    Catalog, Check, Decimal, Field, Integer, Item, Message, Presence, Rules, Shape, Ty, Type,
    Unknown, Value,
};

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
            let rules = checks.iter().filter_map(|check| {
                check_call(catalog, check, &Ty::Any).map(|call| call.arguments())
            });
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
    calls(catalog, rules)
        .iter()
        .map(|call| format!(", {}", call.arguments()))
        .collect()
}

/// The rules of a value as one expression over `item`, for the inside of a list or map. None if there are none.
fn expression(catalog: &Catalog, item: &Item) -> Option<String> {
    let calls = calls(catalog, &item.value);
    let (last, others) = calls.split_last()?;
    let mut out = others
        .iter()
        .map(|call| format!("{}?; ", call.on_item()))
        .collect::<String>();
    out.push_str(&last.on_item());
    if !others.is_empty() {
        out = format!("{{ {out} }}");
    }
    if item.nullable {
        out = format!("::logpipe::rules::present(item, |item| {out})");
    }
    Some(out)
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

fn calls(catalog: &Catalog, rules: &Rules) -> Vec<Call> {
    let own = rules
        .checks
        .iter()
        .filter_map(|check| check_call(catalog, check, &rules.ty));
    let inner = match &rules.ty {
        Ty::List(item) => expression(catalog, item).map(|inner| ("each", inner)),
        Ty::Map(item) => expression(catalog, item).map(|inner| ("values", inner)),
        _ => None,
    };
    let inner = inner.map(|(rule, inner)| Call {
        rule,
        argument: Some(format!("|item| {inner}")),
    });
    own.chain(inner).collect()
}

/// None where the Rust type says it already.
fn check_call(catalog: &Catalog, check: &Check, ty: &Ty) -> Option<Call> {
    let (rule, argument) = match check {
        Check::MinChars(count) => ("min_chars", count_literal(*count)),
        Check::MaxChars(count) => ("max_chars", count_literal(*count)),
        Check::Pattern { regex, .. } => ("pattern", literal::string(regex)),
        Check::Min(bound) => ("min", bound_literal(catalog, bound, Decimal::ceil, ty)?),
        Check::Max(bound) => ("max", bound_literal(catalog, bound, Decimal::floor, ty)?),
        Check::Above(bound) => ("above", bound_literal(catalog, bound, Decimal::floor, ty)?),
        Check::Below(bound) => ("below", bound_literal(catalog, bound, Decimal::ceil, ty)?),
        Check::MultipleOf(step) => match (integer(catalog, ty), literal::integer_step(step)) {
            (None, _) => ("multiple_of", literal::string(&step.to_string())),
            (Some(_), Some(1)) => return None,
            (Some(integer), Some(step)) if step <= literal::range(integer).1 => {
                ("multiple_of", literal::integer(step))
            }
            // No multiple but zero fits the type.
            (Some(_), _) => ("equals", "0".to_owned()),
        },
        Check::MinItems(count) => ("min_items", count_literal(*count)),
        Check::MaxItems(count) => ("max_items", count_literal(*count)),
        Check::UniqueItems => {
            return Some(Call {
                rule: "unique_items",
                argument: None,
            });
        }
        Check::MinProperties(count) => ("min_properties", count_literal(*count)),
        Check::MaxProperties(count) => ("max_properties", count_literal(*count)),
        Check::Const(value) => ("equals", const_literal(catalog, value, ty)?),
    };
    Some(Call {
        rule,
        argument: Some(argument),
    })
}

fn count_literal(count: u64) -> String {
    literal::integer(count.into())
}

/// Integers compare with integers, floats with the exact decimal.
fn bound_literal(
    catalog: &Catalog,
    bound: &Decimal,
    round: fn(&Decimal) -> i128,
    ty: &Ty,
) -> Option<String> {
    match integer(catalog, ty) {
        Some(integer) => {
            let bound = round(bound);
            let (low, high) = literal::range(integer);
            (low..=high)
                .contains(&bound)
                .then(|| literal::integer(bound))
        }
        None => Some(literal::string(&bound.to_string())),
    }
}

fn const_literal(catalog: &Catalog, value: &Value, ty: &Ty) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(match integer(catalog, ty) {
            Some(_) => literal::integer(number.floor()),
            None => literal::float(number),
        }),
        // A const string is an enum of one, and null is the field's presence.
        Value::Null | Value::String(_) | Value::List(_) | Value::Object(_) => None,
    }
}

/// The integer that a type is, behind its name if it has one.
fn integer(catalog: &Catalog, ty: &Ty) -> Option<Integer> {
    match ty {
        Ty::Integer(integer) => Some(*integer),
        Ty::Named(id) => match &catalog.types[id.0].shape {
            Shape::Newtype(rules) => integer(catalog, &rules.ty),
            _ => None,
        },
        _ => None,
    }
}
