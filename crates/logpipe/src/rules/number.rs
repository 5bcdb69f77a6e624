//! Bounds, multiples and constants: integers against integers, floats against the exact decimal of the schema.
//!
//! A float counts as the number that its shortest spelling is: 0.3 is a multiple of 0.1, whatever the bits say.

use std::cmp::Ordering;
use std::fmt::Display;

use super::Rule;
use crate::codec::{Fault, FloatText};
use crate::types::Decimal;

/// Whether a boolean keeps a rule.
#[inline]
pub fn boolean(value: bool, rule: &Rule) -> Result<(), Fault> {
    match *rule {
        Rule::equals_boolean(constant) => equal(value == constant),
        _ => Err(rule.misplaced()),
    }
}

/// Whether an integer keeps a rule.
#[inline]
pub fn integer(value: i128, rule: &Rule) -> Result<(), Fault> {
    match *rule {
        Rule::min(bound) => hold(value >= bound, "at least", bound),
        Rule::max(bound) => hold(value <= bound, "at most", bound),
        Rule::above(bound) => hold(value > bound, "above", bound),
        Rule::below(bound) => hold(value < bound, "below", bound),
        Rule::multiple_of(step) => {
            let kept = value.checked_rem(step).is_none_or(|rest| rest == 0);
            hold(kept, "a multiple of", step)
        }
        Rule::equals(constant) => equal(value == constant),
        _ => Err(rule.misplaced()),
    }
}

/// Whether a float keeps a rule. NaN stands nowhere, so it keeps none.
#[inline]
pub fn float(value: f64, rule: &Rule) -> Result<(), Fault> {
    let stands = |bound, is_kept: fn(Ordering) -> bool| compare(value, bound).is_some_and(is_kept);
    match *rule {
        Rule::min_decimal(bound) => hold(stands(bound, Ordering::is_ge), "at least", bound),
        Rule::max_decimal(bound) => hold(stands(bound, Ordering::is_le), "at most", bound),
        Rule::above_decimal(bound) => hold(stands(bound, Ordering::is_gt), "above", bound),
        Rule::below_decimal(bound) => hold(stands(bound, Ordering::is_lt), "below", bound),
        Rule::multiple_of_decimal(step) => hold(is_multiple(value, step), "a multiple of", step),
        Rule::equals_float(constant) => equal(value == constant),
        _ => Err(rule.misplaced()),
    }
}

fn compare(value: f64, bound: &str) -> Option<Ordering> {
    let text = FloatText::of(value)?;
    Some(Decimal::parse(text.as_str())?.cmp(&Decimal::parse(bound)?))
}

fn is_multiple(value: f64, step: &str) -> bool {
    let Some(text) = FloatText::of(value) else {
        return false;
    };
    match (Decimal::parse(text.as_str()), Decimal::parse(step)) {
        (Some(value), Some(step)) => value.is_multiple_of(&step),
        _ => false,
    }
}

#[inline]
fn hold(kept: bool, rule: &str, bound: impl Display) -> Result<(), Fault> {
    if kept {
        return Ok(());
    }
    Err(Fault::invalid(format!("must be {rule} {bound}")))
}

#[inline]
fn equal(kept: bool) -> Result<(), Fault> {
    if kept {
        return Ok(());
    }
    Err(Fault::invalid("not the constant that the schema asks for"))
}
