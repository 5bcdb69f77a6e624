//! How many items or members are there, and does each of them keep its own rules?

use super::Rule;
use super::unique::unique_items;
use crate::codec::{Fault, Wire};
use crate::types::Map;

/// Whether a list keeps a rule.
#[inline]
pub fn list<T: Wire>(items: &[T], rule: &Rule) -> Result<(), Fault> {
    match *rule {
        Rule::min_items(min) => at_least(items.len(), min, "items"),
        Rule::max_items(max) => at_most(items.len(), max, "items"),
        Rule::unique_items() => unique_items(items),
        Rule::each(rules) => {
            let each = |item: &T| rules.iter().try_for_each(|rule| item.keeps(rule));
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| each(item).map_err(|fault| fault.item(index)))
        }
        _ => Err(rule.misplaced()),
    }
}

/// Whether a map keeps a rule.
#[inline]
pub fn map<T: Wire>(map: &Map<T>, rule: &Rule) -> Result<(), Fault> {
    match *rule {
        Rule::values(rules) => {
            let each = |value: &T| rules.iter().try_for_each(|rule| value.keeps(rule));
            let mut values = map.values();
            values.try_for_each(|value| each(value).map_err(Fault::entry))
        }
        _ => object(map.len(), rule),
    }
}

/// Whether an object of that many members keeps a rule.
#[inline]
pub fn object(members: usize, rule: &Rule) -> Result<(), Fault> {
    match *rule {
        Rule::min_properties(min) => at_least(members, min, "members"),
        Rule::max_properties(max) => at_most(members, max, "members"),
        _ => Err(rule.misplaced()),
    }
}

#[inline]
fn at_least(count: usize, min: usize, what: &str) -> Result<(), Fault> {
    if count >= min {
        return Ok(());
    }
    Err(Fault::invalid(format!("fewer than {min} {what}")))
}

#[inline]
fn at_most(count: usize, max: usize, what: &str) -> Result<(), Fault> {
    if count <= max {
        return Ok(());
    }
    Err(Fault::invalid(format!("more than {max} {what}")))
}
