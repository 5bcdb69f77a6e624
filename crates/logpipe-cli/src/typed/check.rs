//! Does a value keep its rules? They are asked in the order in which generated code asks them.

use logpipe::codec::Fault;
use logpipe::rules;
use logpipe::types::{Map, Value};
use logpipe_build::catalog::{Field, Item, Shape, Ty, TypeId};
use logpipe_build::rule::{Bound, Constant, Rule, Within};

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
    rules.iter().try_for_each(|rule| one(rule, value))
}

/// A rule about another kind of value than this is kept: reading has seen to the kind.
fn one(rule: &'static Rule, value: &Value) -> Result<(), Fault> {
    match (rule, value) {
        (Rule::MinChars(least), Value::String(text)) => rules::min_chars(text, count(*least)),
        (Rule::MaxChars(most), Value::String(text)) => rules::max_chars(text, count(*most)),
        (Rule::Pattern(regex), Value::String(text)) => rules::pattern(text, regex),
        (Rule::Min(bound), _) => hold(value, bound, rules::min, |v, b| rules::min(v, b)),
        (Rule::Max(bound), _) => hold(value, bound, rules::max, |v, b| rules::max(v, b)),
        (Rule::Above(bound), _) => hold(value, bound, rules::above, |v, b| rules::above(v, b)),
        (Rule::Below(bound), _) => hold(value, bound, rules::below, |v, b| rules::below(v, b)),
        (Rule::MultipleOf(step), _) => hold(value, step, rules::multiple_of, |v, b| {
            rules::multiple_of(v, b)
        }),
        (Rule::Equals(constant), _) => equals(value, constant),
        (Rule::MinItems(least), Value::List(items)) => rules::min_items(items, count(*least)),
        (Rule::MaxItems(most), Value::List(items)) => rules::max_items(items, count(*most)),
        (Rule::UniqueItems, Value::List(items)) => rules::unique_items(items),
        (Rule::MinProperties(least), Value::Object(members)) => {
            rules::min_properties(members, count(*least))
        }
        (Rule::MaxProperties(most), Value::Object(members)) => {
            rules::max_properties(members, count(*most))
        }
        (Rule::Each(within), Value::List(items)) => rules::each(items, |item| inside(within, item)),
        (Rule::Values(within), Value::Object(entries)) => {
            rules::values(entries, |entry| inside(within, entry))
        }
        _ => Ok(()),
    }
}

fn inside(within: &'static Within, value: &Value) -> Result<(), Fault> {
    match (within.nullable, value) {
        (true, Value::Null) => Ok(()),
        _ => keep(&within.rules, value),
    }
}

/// A number against a bound of its kind.
fn hold(
    value: &Value,
    bound: &Bound,
    integer: fn(&i128, i128) -> Result<(), Fault>,
    float: fn(&f64, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Value::Number(number) = value else {
        return Ok(());
    };
    match bound {
        Bound::Integer(bound) => number
            .to_i128()
            .map_or(Ok(()), |value| integer(&value, *bound)),
        Bound::Decimal(bound) => number
            .to_f64()
            .map_or(Ok(()), |value| float(&value, &bound.to_string())),
    }
}

fn equals(value: &Value, constant: &Constant) -> Result<(), Fault> {
    match (constant, value) {
        (Constant::Bool(constant), Value::Bool(value)) => rules::equals(value, *constant),
        (Constant::Integer(constant), Value::Number(number)) => number
            .to_i128()
            .map_or(Ok(()), |value| rules::equals(&value, *constant)),
        (Constant::Float(constant), Value::Number(number)) => {
            let constant = constant.to_string().parse::<f64>();
            match (number.to_f64(), constant) {
                (Some(value), Ok(constant)) => {
                    rules::equals(&value, constant.clamp(f64::MIN, f64::MAX))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// As generated code has it on a machine of 64 bits.
fn count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
