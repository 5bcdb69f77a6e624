//! Bounds, multiples and constants: integers against integers, floats against the exact decimal of the schema.
//!
//! A float counts as the number that its shortest spelling is: 0.3 is a multiple of 0.1, whatever the bits say.

use std::cmp::Ordering;
use std::fmt::Display;

use crate::codec::{Fault, FloatText};
use crate::types::Decimal;

/// A value that the rules see as a boolean or a number.
pub trait Scalar {
    /// Without its name.
    type Bare: Copy;

    /// The value.
    fn bare(&self) -> Self::Bare;
}

/// A constant of the schema that numbers of type `N` are held against.
pub trait Bound<N>: Copy + Display {
    /// Where the value stands; `None` for NaN, which stands nowhere.
    fn compare(self, value: N) -> Option<Ordering>;
    /// Whether the value is a multiple of this.
    fn divides(self, value: N) -> bool;
}

/// A constant that is the only value allowed.
pub trait Equal<N>: Copy {
    /// Whether the value is it.
    fn equal(self, value: N) -> bool;
}

macro_rules! integers {
    ($($integer:ident)*) => { $(
        impl Scalar for $integer {
            type Bare = Self;

            fn bare(&self) -> Self {
                *self
            }
        }

        impl Bound<$integer> for $integer {
            fn compare(self, value: $integer) -> Option<Ordering> {
                Some(value.cmp(&self))
            }

            fn divides(self, value: $integer) -> bool {
                value.checked_rem(self).is_none_or(|rest| rest == 0)
            }
        }

        impl Equal<$integer> for $integer {
            fn equal(self, value: $integer) -> bool {
                self == value
            }
        }
    )* };
}

// The last is for values that have no type of their own: a schema's integers fit the others.
integers!(u8 u16 u32 u64 i8 i16 i32 i64 i128);

impl Scalar for bool {
    type Bare = Self;

    fn bare(&self) -> Self {
        *self
    }
}

impl Equal<bool> for bool {
    fn equal(self, value: bool) -> bool {
        self == value
    }
}

impl Scalar for f64 {
    type Bare = Self;

    fn bare(&self) -> Self {
        *self
    }
}

impl Equal<f64> for f64 {
    fn equal(self, value: f64) -> bool {
        self == value
    }
}

/// A decimal as JSON spells it.
impl Bound<f64> for &str {
    fn compare(self, value: f64) -> Option<Ordering> {
        let text = FloatText::of(value)?;
        Some(Decimal::parse(text.as_str())?.cmp(&Decimal::parse(self)?))
    }

    fn divides(self, value: f64) -> bool {
        let Some(text) = FloatText::of(value) else {
            return false;
        };
        match (Decimal::parse(text.as_str()), Decimal::parse(self)) {
            (Some(value), Some(step)) => value.is_multiple_of(&step),
            _ => false,
        }
    }
}

fn hold(kept: bool, rule: &str, bound: impl Display) -> Result<(), Fault> {
    if kept {
        return Ok(());
    }
    Err(Fault::invalid(format!("must be {rule} {bound}")))
}

/// `minimum`
pub fn min<V: Scalar, B: Bound<V::Bare>>(value: &V, bound: B) -> Result<(), Fault> {
    let kept = bound.compare(value.bare()).is_some_and(Ordering::is_ge);
    hold(kept, "at least", bound)
}

/// `maximum`
pub fn max<V: Scalar, B: Bound<V::Bare>>(value: &V, bound: B) -> Result<(), Fault> {
    let kept = bound.compare(value.bare()).is_some_and(Ordering::is_le);
    hold(kept, "at most", bound)
}

/// `exclusiveMinimum`
pub fn above<V: Scalar, B: Bound<V::Bare>>(value: &V, bound: B) -> Result<(), Fault> {
    let kept = bound.compare(value.bare()).is_some_and(Ordering::is_gt);
    hold(kept, "above", bound)
}

/// `exclusiveMaximum`
pub fn below<V: Scalar, B: Bound<V::Bare>>(value: &V, bound: B) -> Result<(), Fault> {
    let kept = bound.compare(value.bare()).is_some_and(Ordering::is_lt);
    hold(kept, "below", bound)
}

/// `multipleOf`
pub fn multiple_of<V: Scalar, B: Bound<V::Bare>>(value: &V, step: B) -> Result<(), Fault> {
    hold(step.divides(value.bare()), "a multiple of", step)
}

/// `const`
pub fn equals<V: Scalar, C: Equal<V::Bare>>(value: &V, constant: C) -> Result<(), Fault> {
    if constant.equal(value.bare()) {
        return Ok(());
    }
    Err(Fault::invalid("not the constant that the schema asks for"))
}
