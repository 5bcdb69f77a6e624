//! Does a value keep its rules? They are asked in the order in which generated code asks them.

use logpipe::codec::{Fault, Wire as _};
use logpipe::rules::Rule;
use logpipe::types::{Map, Value};
use logpipe_build::catalog::{Field, Item, Shape, Ty, TypeId};
use logpipe_build::rule::{self, Bound, Constant};

use super::Schemas;

impl Schemas {
    /// The rules that are inside of a type: those of its members, its items, its definition.
    pub(super) fn check(&'static self, ty: &'static Ty, value: &Value) -> Result<(), Fault> {
        match (ty, value) {
            (Ty::List(item), Value::List(items)) => {
                for (index, value) in items.iter().enumerate() {
                    let checked = self.check_item(item, value);
                    checked.map_err(|fault| fault.item(index))?;
                }
                Ok(())
            }
            (Ty::Map(item), Value::Object(entries)) => entries
                .values()
                .try_for_each(|value| self.check_item(item, value).map_err(Fault::entry)),
            (Ty::Named(id), _) => self.check_named(*id, value),
            _ => Ok(()),
        }
    }

    /// As [`check`](Self::check), of a type of the catalog.
    pub(super) fn check_named(&'static self, id: TypeId, value: &Value) -> Result<(), Fault> {
        let rules = &self.rules[id.0];
        match (&self.catalog.types[id.0].shape, value) {
            (Shape::Newtype(inner), _) => {
                keep(&rules.own, value)?;
                self.check(&inner.ty, value)
            }
            (Shape::Struct { fields, .. }, Value::Object(members)) => {
                self.check_members(fields, &rules.fields, members)?;
                keep(&rules.own, value)
            }
            (Shape::Struct { .. } | Shape::Enum { .. }, _) => Ok(()),
        }
    }

    fn check_item(&'static self, item: &'static Item, value: &Value) -> Result<(), Fault> {
        match (item.nullable, value) {
            (true, Value::Null) => Ok(()),
            _ => self.check(&item.value.ty, value),
        }
    }

    fn check_members(
        &'static self,
        fields: &'static [Field],
        rules: &'static [Vec<Rule>],
        members: &Map<Value>,
    ) -> Result<(), Fault> {
        for (field, rules) in fields.iter().zip(rules) {
            let value = match members.get(field.wire.as_str()) {
                None | Some(Value::Null) if !matches!(field.value.ty, Ty::Any) => continue,
                None => continue,
                Some(value) => value,
            };
            let checked = keep(rules, value).and_then(|()| self.check(&field.value.ty, value));
            checked.map_err(|fault| fault.member(&field.wire))?;
        }
        Ok(())
    }
}

/// All of the rules.
fn keep(rules: &'static [Rule], value: &Value) -> Result<(), Fault> {
    rules.iter().try_for_each(|rule| value.keeps(rule))
}

/// Rules as generated code holds them.
pub(super) fn rules(rules: Vec<rule::Rule>) -> Vec<Rule> {
    rules.into_iter().map(one).collect()
}

fn one(rule: rule::Rule) -> Rule {
    match rule {
        rule::Rule::MinChars(least) => Rule::min_chars(count(least)),
        rule::Rule::MaxChars(most) => Rule::max_chars(count(most)),
        rule::Rule::Pattern(regex) => Rule::pattern(regex.leak()),
        rule::Rule::Min(bound) => number(bound, Rule::min, Rule::min_decimal),
        rule::Rule::Max(bound) => number(bound, Rule::max, Rule::max_decimal),
        rule::Rule::Above(bound) => number(bound, Rule::above, Rule::above_decimal),
        rule::Rule::Below(bound) => number(bound, Rule::below, Rule::below_decimal),
        rule::Rule::MultipleOf(step) => number(step, Rule::multiple_of, Rule::multiple_of_decimal),
        rule::Rule::Equals(Constant::Bool(constant)) => Rule::equals_boolean(constant),
        rule::Rule::Equals(Constant::Integer(constant)) => Rule::equals(constant),
        rule::Rule::Equals(Constant::Float(constant)) => Rule::equals_float(constant.to_f64()),
        rule::Rule::MinItems(least) => Rule::min_items(count(least)),
        rule::Rule::MaxItems(most) => Rule::max_items(count(most)),
        rule::Rule::UniqueItems => Rule::unique_items(),
        rule::Rule::MinProperties(least) => Rule::min_properties(count(least)),
        rule::Rule::MaxProperties(most) => Rule::max_properties(count(most)),
        rule::Rule::Each(of) => Rule::each(rules(of).leak()),
        rule::Rule::Values(of) => Rule::values(rules(of).leak()),
    }
}

fn number(bound: Bound, integer: fn(i128) -> Rule, decimal: fn(&'static str) -> Rule) -> Rule {
    match bound {
        Bound::Integer(bound) => integer(bound),
        Bound::Decimal(bound) => decimal(bound.to_string().leak()),
    }
}

/// As generated code has it on a machine of 64 bits.
fn count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
