//! How many items or members are there, and does each of them keep its own rules?

use crate::codec::{Fault, Wire, Writer};
use crate::types::{Map, Number};

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
pub fn min_properties<T: Wire>(object: &T, min: usize) -> Result<(), Fault> {
    at_least(members(object), min, "members")
}

/// `maxProperties`
pub fn max_properties<T: Wire>(object: &T, max: usize) -> Result<(), Fault> {
    at_most(members(object), max, "members")
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

/// With how many members an object is written: it says so before the first of them.
fn members<T: Wire>(object: &T) -> usize {
    let mut counter = Counter(0);
    // It ends with the fault by which the counter breaks off.
    let _ = object.write(&mut counter);
    counter.0
}

/// A writer that hears of the outermost object and wants no more.
struct Counter(usize);

#[cold]
fn enough() -> Fault {
    Fault::invalid("counted")
}

impl Writer for Counter {
    type Object = ();
    type List = ();

    fn object(&mut self, members: usize) -> Result<(), Fault> {
        self.0 = members;
        Err(enough())
    }

    fn null(&mut self) -> Result<(), Fault> {
        Err(enough())
    }

    fn boolean(&mut self, _: bool) -> Result<(), Fault> {
        Err(enough())
    }

    fn integer(&mut self, _: i128) -> Result<(), Fault> {
        Err(enough())
    }

    fn float(&mut self, _: f64) -> Result<(), Fault> {
        Err(enough())
    }

    fn number(&mut self, _: &Number) -> Result<(), Fault> {
        Err(enough())
    }

    fn string(&mut self, _: &str) -> Result<(), Fault> {
        Err(enough())
    }

    fn member(&mut self, (): &mut (), _: &str) -> Result<(), Fault> {
        Err(enough())
    }

    fn end_object(&mut self, (): ()) -> Result<(), Fault> {
        Err(enough())
    }

    fn list(&mut self, _: usize) -> Result<(), Fault> {
        Err(enough())
    }

    fn item(&mut self, (): &mut ()) -> Result<(), Fault> {
        Err(enough())
    }

    fn end_list(&mut self, (): ()) -> Result<(), Fault> {
        Err(enough())
    }
}
