//! How many items or members are there, and does each of them keep its own rules?

use crate::codec::Fault;
use crate::types::Map;

/// A value that stands in a message as an object.
pub trait Members {
    /// How many members it is written with.
    fn members(&self) -> usize;
}

impl<T> Members for Map<T> {
    fn members(&self) -> usize {
        self.len()
    }
}

/// A value that stands in a message as a list.
pub trait List {
    /// What its items are.
    type Item;

    /// In order.
    fn items(&self) -> &[Self::Item];
}

impl<T> List for Vec<T> {
    type Item = T;

    fn items(&self) -> &[T] {
        self
    }
}

fn at_least(count: usize, min: usize, what: &str) -> Result<(), Fault> {
    if count >= min {
        return Ok(());
    }
    Err(Fault::invalid(format!("fewer than {min} {what}")))
}

fn at_most(count: usize, max: usize, what: &str) -> Result<(), Fault> {
    if count <= max {
        return Ok(());
    }
    Err(Fault::invalid(format!("more than {max} {what}")))
}

/// `minItems`
pub fn min_items<L: List>(list: &L, min: usize) -> Result<(), Fault> {
    at_least(list.items().len(), min, "items")
}

/// `maxItems`
pub fn max_items<L: List>(list: &L, max: usize) -> Result<(), Fault> {
    at_most(list.items().len(), max, "items")
}

/// `minProperties`
pub fn min_properties<M: Members>(object: &M, min: usize) -> Result<(), Fault> {
    at_least(object.members(), min, "members")
}

/// `maxProperties`
pub fn max_properties<M: Members>(object: &M, max: usize) -> Result<(), Fault> {
    at_most(object.members(), max, "members")
}

/// The rules of each item of a list.
pub fn each<L: List>(list: &L, rule: impl Fn(&L::Item) -> Result<(), Fault>) -> Result<(), Fault> {
    for (index, item) in list.items().iter().enumerate() {
        rule(item).map_err(|fault| fault.item(index))?;
    }
    Ok(())
}

/// The rules of each value of a map.
pub fn values<T>(map: &Map<T>, rule: impl Fn(&T) -> Result<(), Fault>) -> Result<(), Fault> {
    map.values()
        .try_for_each(|value| rule(value).map_err(Fault::entry))
}

/// The rules of a value that may be null.
pub fn present<T>(
    value: &Option<T>,
    rule: impl FnOnce(&T) -> Result<(), Fault>,
) -> Result<(), Fault> {
    value.as_ref().map_or(Ok(()), rule)
}
