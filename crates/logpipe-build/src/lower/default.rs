//! Is a default a value of its own schema?
//!
//! A default becomes Rust code (`x_or_default()`, generated upcasts), so one that is no value of the field is an error.
//! Two are left out with a warning: `null` where the field can't be null, for an absent member reads as `None` anyway;
//! and the default of a format, whose text this version does not turn into its type.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::Lowering;
use crate::catalog::{
    Catalog, Check, Decimal, Integer, Item, Presence, Rules, Shape, Ty, Unknown, Value,
};
use crate::json::{self, Json};
use crate::refs::Place;

/// Of its text: a default stands in every field that refers to it.
const LONGEST: u32 = 4096;

/// Why a value does not fit.
enum Misfit {
    /// In words that follow "the default".
    Wrong(String),
    /// It may fit; we can't say it in Rust yet.
    NotYet(&'static str),
}

/// Patterns that were compiled. One that can't be is none here; what is generated meets it again.
type Patterns = BTreeMap<String, Option<Regex>>;

/// Who knows whether a value fits.
struct Judge<'a> {
    catalog: &'a Catalog,
    patterns: &'a mut Patterns,
}

impl Lowering<'_, '_> {
    /// Checks every default and puts those that fit into their fields.
    pub(super) fn settle_defaults(&mut self) {
        let (mut patterns, mut settled) = (Patterns::new(), BTreeSet::new());
        for (id, index, place) in std::mem::take(&mut self.defaults) {
            settled.insert(place);
            let Shape::Struct { fields, .. } = &self.catalog.types[id.0].shape else {
                continue;
            };
            let field = &fields[index];
            let nullable = matches!(
                field.presence,
                Presence::Nullable | Presence::OptionalNullable
            );
            let rules = field.value.clone();
            let help = "leave it out: an absent member reads as `None`";
            let found = self.settle(place, &rules, nullable, ("the member", help), &mut patterns);
            if let (Some(value), Shape::Struct { fields, .. }) =
                (found, &mut self.catalog.types[id.0].shape)
            {
                fields[index].default = Some(value);
            }
        }
        // Nobody reads these, but who wrote one meant a value.
        for place in std::mem::take(&mut self.with_default) {
            let Some(default) = self.at(place).get("default") else {
                continue;
            };
            let default = Place {
                node: default.id(),
                ..place
            };
            if settled.insert(default) {
                let used = self.schema(place);
                let help = "leave it out, or add `\"null\"` to the `type`";
                let whose = ("what it stands for", help);
                self.settle(default, &used.rules, used.nullable, whose, &mut patterns);
            }
        }
    }

    /// A default that fits, for who can use it; of any other, tells why it does not. `whose` says what can't be null,
    /// and what to do then.
    fn settle(
        &mut self,
        place: Place,
        rules: &Rules,
        nullable: bool,
        whose: (&str, &str),
        patterns: &mut Patterns,
    ) -> Option<Value> {
        let at = self.at(place);
        if at.span().end - at.span().start > LONGEST {
            let message = format!(
                "not supported yet: a default of more than {LONGEST} bytes; it is left out"
            );
            self.warn(place, at, message, "say it in the `description`");
            return None;
        }
        let Some(value) = value(at) else {
            self.error(
                place,
                at,
                "this default holds a number too long or too large to be of use",
                "write a shorter one, or leave the default out",
            );
            return None;
        };
        let mut judge = Judge {
            catalog: self.catalog,
            patterns,
        };
        let judged = match value {
            // Of an optional member that may be null, null is what it already reads as.
            Value::Null if nullable || rules.ty == Ty::Any => Ok(()),
            Value::Null => {
                let message = format!("this default is null, and {} can't be null", whose.0);
                self.warn(place, at, message, whose.1);
                return None;
            }
            _ => judge.fits(rules, &value),
        };
        match judged {
            Ok(()) => return Some(value),
            Err(Misfit::Wrong(why)) => {
                let help = "correct it, or what it has to fit";
                self.error(place, at, format!("the default {why}"), help);
            }
            Err(Misfit::NotYet(what)) => {
                let message = format!("not supported yet: a default for {what}; it is left out");
                self.warn(place, at, message, "say it in the `description`");
            }
        }
        None
    }
}

/// A JSON value as the catalog keeps it; `None` where it holds a number that is of no use. Recursion ends at the depth
/// that the reader allows.
pub(super) fn value(at: Json<'_>) -> Option<Value> {
    Some(match at.value() {
        json::Value::Null => Value::Null,
        json::Value::Bool(value) => Value::Bool(*value),
        json::Value::Number(text) => Value::Number(Decimal::parse(text)?),
        json::Value::String(text) => Value::String(text.clone()),
        json::Value::Array(_) => Value::List(at.items().map(value).collect::<Option<_>>()?),
        json::Value::Object(_) => {
            let members = at
                .members()
                .map(|(key, _, part)| Some((key.to_owned(), value(part)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

impl Judge<'_> {
    /// Whether a value that is not null fits. Recursion ends with the value.
    fn fits(&mut self, rules: &Rules, value: &Value) -> Result<(), Misfit> {
        let catalog = self.catalog;
        match (&rules.ty, value) {
            (Ty::Any, _) => return Ok(()),
            (Ty::Format(_), Value::String(_)) => return Err(Misfit::NotYet("a `format`")),
            (Ty::Bool, Value::Bool(_))
            | (Ty::Number, Value::Number(_))
            | (Ty::String, Value::String(_)) => {}
            (Ty::Integer(ty), Value::Number(number)) => {
                let (min, max) = range(*ty);
                if !number
                    .to_i128()
                    .is_some_and(|number| (min..=max).contains(&number))
                {
                    return wrong(format!("is no integer from {min} to {max}"));
                }
            }
            (Ty::List(item), Value::List(values)) => {
                for value in values {
                    self.item_fits(item, value)?;
                }
            }
            (Ty::Map(item), Value::Object(members)) => {
                for (_, value) in members {
                    self.item_fits(item, value)?;
                }
            }
            (Ty::Named(id), _) => match &catalog.types[id.0].shape {
                Shape::Newtype(inner) => self.fits(inner, value)?,
                Shape::Enum { variants, other } => match value {
                    Value::String(text)
                        if *other || variants.iter().any(|variant| variant.wire == *text) => {}
                    Value::String(_) => return wrong("is none of the strings that are allowed"),
                    _ => return wrong("does not have the type that it has to fit"),
                },
                Shape::Struct { .. } => self.struct_fits(&catalog.types[id.0].shape, value)?,
            },
            _ => return wrong("does not have the type that it has to fit"),
        }
        rules
            .checks
            .iter()
            .try_for_each(|check| self.keeps(check, value))
    }

    fn item_fits(&mut self, item: &Item, value: &Value) -> Result<(), Misfit> {
        match value {
            Value::Null if item.nullable || item.value.ty == Ty::Any => Ok(()),
            Value::Null => wrong("holds a null that can't stand there"),
            _ => self.fits(&item.value, value),
        }
    }

    fn struct_fits(&mut self, shape: &Shape, value: &Value) -> Result<(), Misfit> {
        let Shape::Struct {
            fields,
            unknown,
            checks,
        } = shape
        else {
            return Ok(());
        };
        let Value::Object(members) = value else {
            return wrong("does not have the type that it has to fit");
        };
        for field in fields {
            let member = members
                .iter()
                .rev()
                .find(|(key, _)| *key == field.wire)
                .map(|(_, value)| value);
            let nullable = matches!(
                field.presence,
                Presence::Nullable | Presence::OptionalNullable
            );
            match member {
                None if matches!(field.presence, Presence::Required | Presence::Nullable) => {
                    return wrong("lacks a member that is required");
                }
                Some(Value::Null) if !nullable && field.value.ty != Ty::Any => {
                    return wrong("holds a null that can't stand there");
                }
                None | Some(Value::Null) => {}
                Some(value) => self.fits(&field.value, value)?,
            }
        }
        let declared = |key: &str| fields.iter().any(|field| field.wire == key);
        if *unknown == Unknown::Reject && !members.iter().all(|(key, _)| declared(key)) {
            return wrong("has a member that its object does not declare");
        }
        checks.iter().try_for_each(|check| self.keeps(check, value))
    }

    fn keeps(&mut self, check: &Check, value: &Value) -> Result<(), Misfit> {
        let kept = match (check, value) {
            (Check::MinChars(min), Value::String(text)) => text.chars().count() as u64 >= *min,
            (Check::MaxChars(max), Value::String(text)) => text.chars().count() as u64 <= *max,
            (Check::Min(min), Value::Number(number)) => number >= min,
            (Check::Max(max), Value::Number(number)) => number <= max,
            (Check::Above(bound), Value::Number(number)) => number > bound,
            (Check::Below(bound), Value::Number(number)) => number < bound,
            (Check::MultipleOf(step), Value::Number(number)) => number.is_multiple_of(step),
            (Check::MinItems(min), Value::List(items)) => items.len() as u64 >= *min,
            (Check::MaxItems(max), Value::List(items)) => items.len() as u64 <= *max,
            (Check::MinProperties(min), Value::Object(members)) => members.len() as u64 >= *min,
            (Check::MaxProperties(max), Value::Object(members)) => members.len() as u64 <= *max,
            (Check::Const(constant), value) => constant == value,
            (Check::UniqueItems, Value::List(items)) => {
                // Debug text is one for one value, and sorts.
                let mut spelled = items
                    .iter()
                    .map(|item| format!("{item:?}"))
                    .collect::<Vec<_>>();
                spelled.sort();
                spelled.windows(2).all(|pair| pair[0] != pair[1])
            }
            (Check::Pattern { regex, .. }, Value::String(text)) => {
                let compile = || Regex::new(regex).ok();
                let known = self.patterns.entry(regex.clone()).or_insert_with(compile);
                known.as_ref().is_none_or(|regex| regex.is_match(text))
            }
            _ => true,
        };
        if kept {
            Ok(())
        } else {
            wrong("breaks a rule of its own schema")
        }
    }
}

fn wrong(why: impl Into<String>) -> Result<(), Misfit> {
    Err(Misfit::Wrong(why.into()))
}

/// What a Rust integer type holds.
fn range(ty: Integer) -> (i128, i128) {
    super::number::INTEGERS
        .iter()
        .find(|(known, ..)| *known == ty)
        .map_or((0, 0), |&(_, min, max)| (min, max))
}
