//! Which rules are checked for a value at run time, and against which constants?
//!
//! A schema's rule is about numbers of any size, a check is about one Rust type: here the one becomes the other. Emit
//! writes the result down as data of `logpipe::rules`; what judges values by the Catalog itself makes the same data.

use crate::catalog::{Catalog, Check, Decimal, Integer, Rules, Shape, Ty, Value};

/// A rule of `logpipe::rules`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Rule {
    MinChars(u64),
    MaxChars(u64),
    /// In the syntax of the regex crate.
    Pattern(String),
    Min(Bound),
    Max(Bound),
    Above(Bound),
    Below(Bound),
    MultipleOf(Bound),
    Equals(Constant),
    MinItems(u64),
    MaxItems(u64),
    UniqueItems,
    MinProperties(u64),
    MaxProperties(u64),
    /// The rules of each item of a list, at least one. A null keeps them all.
    Each(Vec<Rule>),
    /// The rules of each value of a map, at least one. A null keeps them all.
    Values(Vec<Rule>),
}

/// What a number is held against.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// An integer, of the value's own type.
    Integer(i128),
    /// A float, by its exact decimal.
    Decimal(Decimal),
}

/// The one value that is allowed.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Constant {
    Bool(bool),
    Integer(i128),
    Float(Decimal),
}

/// The rules of a value, in the order in which they are checked; those of what is inside of it come last.
pub fn of(catalog: &Catalog, rules: &Rules) -> Vec<Rule> {
    let own = rules.checks.iter();
    let own = own.filter_map(|check| one(check, integer(catalog, &rules.ty)));
    let inside = match &rules.ty {
        Ty::List(item) => Some((of(catalog, &item.value), Rule::Each as fn(_) -> _)),
        Ty::Map(item) => Some((of(catalog, &item.value), Rule::Values as fn(_) -> _)),
        _ => None,
    };
    let inside = inside.filter(|(rules, _)| !rules.is_empty());
    own.chain(inside.map(|(rules, rule)| rule(rules))).collect()
}

/// The rules of an object as a whole.
pub fn of_object(checks: &[Check]) -> Vec<Rule> {
    checks.iter().filter_map(|check| one(check, None)).collect()
}

/// None where the Rust type says it already.
fn one(check: &Check, integer: Option<Integer>) -> Option<Rule> {
    let bound = |bound: &Decimal, round: fn(&Decimal) -> i128| match integer {
        Some(integer) => {
            let (low, high) = range(integer);
            let bound = round(bound);
            (low..=high)
                .contains(&bound)
                .then_some(Bound::Integer(bound))
        }
        None => Some(Bound::Decimal(bound.clone())),
    };
    Some(match check {
        Check::MinChars(count) => Rule::MinChars(*count),
        Check::MaxChars(count) => Rule::MaxChars(*count),
        Check::Pattern { regex, .. } => Rule::Pattern(regex.clone()),
        Check::Min(least) => Rule::Min(bound(least, Decimal::ceil)?),
        Check::Max(most) => Rule::Max(bound(most, Decimal::floor)?),
        Check::Above(least) => Rule::Above(bound(least, Decimal::floor)?),
        Check::Below(most) => Rule::Below(bound(most, Decimal::ceil)?),
        Check::MultipleOf(step) => match (integer, integer_step(step)) {
            (None, _) => Rule::MultipleOf(Bound::Decimal(step.clone())),
            (Some(_), Some(1)) => return None,
            (Some(integer), Some(step)) if step <= range(integer).1 => {
                Rule::MultipleOf(Bound::Integer(step))
            }
            // No multiple but zero fits the type.
            (Some(_), _) => Rule::Equals(Constant::Integer(0)),
        },
        Check::MinItems(count) => Rule::MinItems(*count),
        Check::MaxItems(count) => Rule::MaxItems(*count),
        Check::UniqueItems => Rule::UniqueItems,
        Check::MinProperties(count) => Rule::MinProperties(*count),
        Check::MaxProperties(count) => Rule::MaxProperties(*count),
        Check::Const(Value::Bool(value)) => Rule::Equals(Constant::Bool(*value)),
        Check::Const(Value::Number(number)) => Rule::Equals(match integer {
            Some(_) => Constant::Integer(number.floor()),
            None => Constant::Float(number.clone()),
        }),
        // A const string is an enum of one, and null is the field's presence.
        Check::Const(Value::Null | Value::String(_) | Value::List(_) | Value::Object(_)) => {
            return None;
        }
    })
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

/// The values that a Rust integer holds.
pub(crate) fn range(integer: Integer) -> (i128, i128) {
    match integer {
        Integer::U8 => (0, u8::MAX.into()),
        Integer::U16 => (0, u16::MAX.into()),
        Integer::U32 => (0, u32::MAX.into()),
        Integer::U64 => (0, u64::MAX.into()),
        Integer::I8 => (i8::MIN.into(), i8::MAX.into()),
        Integer::I16 => (i16::MIN.into(), i16::MAX.into()),
        Integer::I32 => (i32::MIN.into(), i32::MAX.into()),
        Integer::I64 => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// The least positive integer of which all integer multiples of the decimal are multiples: 3 for `1.5`. None beyond
/// what `i128` holds.
pub(crate) fn integer_step(value: &Decimal) -> Option<i128> {
    let digits = value.digits.parse::<i128>().ok()?;
    match u32::try_from(value.exponent) {
        Ok(zeros) => digits.checked_mul(10_i128.checked_pow(zeros)?),
        Err(_) => {
            let (mut twos, mut fives) =
                (value.exponent.unsigned_abs(), value.exponent.unsigned_abs());
            let mut step = digits;
            while twos > 0 && step % 2 == 0 {
                (step, twos) = (step / 2, twos - 1);
            }
            while fives > 0 && step % 5 == 0 {
                (step, fives) = (step / 5, fives - 1);
            }
            Some(step)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_integers_are_whole() {
        for (multiple_of, step) in [
            ("1200", Some(1200)),
            ("0.01", Some(1)),
            ("1.5", Some(3)),
            ("2.50", Some(5)),
            ("1e40", None),
            ("1e-40", Some(1)),
        ] {
            let multiple_of = Decimal::parse(multiple_of).unwrap();
            assert_eq!(integer_step(&multiple_of), step, "{multiple_of}");
        }
    }
}
