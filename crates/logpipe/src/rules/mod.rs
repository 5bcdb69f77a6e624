//! The rules of a schema that a Rust type does not express by itself: data in the tables of generated code, judged here.
//!
//! Data, for a call for each rule of each member would cost the compiler more than all the rest of a table. A value knows
//! by [`Wire::keeps`](crate::codec::Wire::keeps) which of the functions here judges it. Reasons are made of a rule's
//! constants, never of the value.

mod count;
mod number;
mod pattern;
mod text;
mod unique;

pub use count::{list, map, object};
pub use number::{boolean, float, integer};
pub use text::text;

use crate::codec::Fault;

/// A rule with its constants, as a [`wire!`](crate::wire) table spells it.
///
/// A value that may be null keeps every rule by being null.
#[allow(non_camel_case_types)] // words of the table
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// The rules that follow are those of this member. In one list with them, for a list for each member would cost the
    /// compiler more than the rules do.
    of(&'static str),
    /// `minLength`, in code points.
    min_chars(usize),
    /// `maxLength`, in code points.
    max_chars(usize),
    /// `pattern`, in the syntax of the regex crate: a text matches anywhere.
    pattern(&'static str),
    /// `minimum` of an integer.
    min(i128),
    /// `maximum` of an integer.
    max(i128),
    /// `exclusiveMinimum` of an integer.
    above(i128),
    /// `exclusiveMaximum` of an integer.
    below(i128),
    /// `multipleOf` of an integer.
    multiple_of(i128),
    /// `minimum` of a float, as JSON spells it.
    min_decimal(&'static str),
    /// `maximum` of a float, as JSON spells it.
    max_decimal(&'static str),
    /// `exclusiveMinimum` of a float, as JSON spells it.
    above_decimal(&'static str),
    /// `exclusiveMaximum` of a float, as JSON spells it.
    below_decimal(&'static str),
    /// `multipleOf` of a float, as JSON spells it.
    multiple_of_decimal(&'static str),
    /// `const` of a boolean.
    equals_boolean(bool),
    /// `const` of an integer.
    equals(i128),
    /// `const` of a float.
    equals_float(f64),
    /// `minItems`
    min_items(usize),
    /// `maxItems`
    max_items(usize),
    /// `uniqueItems`
    unique_items(),
    /// `minProperties`
    min_properties(usize),
    /// `maxProperties`
    max_properties(usize),
    /// The rules of each item of a list.
    each(&'static [Rule]),
    /// The rules of each value of a map.
    values(&'static [Rule]),
}

impl Rule {
    /// A table asks it of a value that it can't be about: a fault in the table, so nothing passes.
    #[cold]
    pub(crate) fn misplaced(&self) -> Fault {
        Fault::invalid("its table asks a rule of it that is about another kind of value")
    }
}
