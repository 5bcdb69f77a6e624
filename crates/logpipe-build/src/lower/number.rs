//! Which numbers does a schema allow, and which Rust type holds them?
//!
//! Bounds are exact decimals. A whole number's bounds are brought to whole numbers first, so that `exclusiveMinimum: 0`
//! and `minimum: 0.5` are both `1`; what the chosen type says by itself is not checked again.

use super::Lowering;
use crate::catalog::{Check, Decimal, Integer, Rules, Ty};
use crate::json::{Json, Value};
use crate::refs::Place;

/// A type, its least and its greatest value.
pub(super) const INTEGERS: [(Integer, i128, i128); 8] = [
    (Integer::U8, 0, u8::MAX as i128),
    (Integer::U16, 0, u16::MAX as i128),
    (Integer::U32, 0, u32::MAX as i128),
    (Integer::U64, 0, u64::MAX as i128),
    (Integer::I8, i8::MIN as i128, i8::MAX as i128),
    (Integer::I16, i16::MIN as i128, i16::MAX as i128),
    (Integer::I32, i32::MIN as i128, i32::MAX as i128),
    (Integer::I64, i64::MIN as i128, i64::MAX as i128),
];

/// `f64::MAX` as it is printed: beyond it, a bound bounds nothing.
const LARGEST: &str = "1.7976931348623157e308";

/// One side of what is allowed.
#[derive(Clone)]
struct Bound<'a> {
    value: Decimal,
    exclusive: bool,
    at: Json<'a>,
}

impl<'a> Lowering<'a, '_> {
    pub(super) fn integer(&mut self, place: Place) -> Rules {
        let plain = Rules {
            ty: Ty::Integer(Integer::I64),
            checks: Vec::new(),
        };
        let (low, high) = (self.low(place), self.high(place));
        let least = low.as_ref().map(|bound| match bound.exclusive {
            true => bound.value.floor().saturating_add(1),
            false => bound.value.ceil(),
        });
        let greatest = high.as_ref().map(|bound| match bound.exclusive {
            true => bound.value.ceil().saturating_sub(1),
            false => bound.value.floor(),
        });
        let at = low.as_ref().or(high.as_ref()).map(|bound| bound.at);
        if let (Some(least), Some(greatest), Some(at)) = (least, greatest, at)
            && least > greatest
        {
            self.error(
                place,
                at,
                "no integer keeps both of these bounds",
                "correct one of them",
            );
            return plain;
        }
        let (ty, min, max) = integer(least, greatest);
        if let Some(at) = at
            && (least.is_some_and(|least| least > max)
                || greatest.is_some_and(|greatest| greatest < min))
        {
            let help = "integers lie between -9223372036854775808 and 18446744073709551615; write a larger one as a string";
            self.error(place, at, "no 64-bit integer keeps this bound", help);
            return plain;
        }
        for (bound, beyond) in [
            (&low, least.is_some_and(|least| least < min)),
            (&high, greatest.is_some_and(|greatest| greatest > max)),
        ] {
            if let Some(bound) = bound
                && beyond
            {
                let message = format!(
                    "this bound is beyond 64-bit integers: values outside {min} to {max} are invalid here"
                );
                self.warn(place, bound.at, message, "write larger numbers as strings");
            }
        }
        let mut checks = Vec::new();
        checks.extend(
            least
                .filter(|&least| least > min)
                .map(|least| Check::Min(least.into())),
        );
        checks.extend(
            greatest
                .filter(|&greatest| greatest < max)
                .map(|greatest| Check::Max(greatest.into())),
        );
        if let Some((step, at)) = self.whole_step(place) {
            let (min, max) = (
                least.unwrap_or(min).max(min),
                greatest.unwrap_or(max).min(max),
            );
            if min + (step - min.rem_euclid(step)) % step > max {
                self.error(
                    place,
                    at,
                    "no integer within the bounds is such a multiple",
                    "correct one of them",
                );
                return plain;
            }
            if step > max {
                self.error(
                    place,
                    at,
                    "no integer but 0 is such a multiple",
                    "correct it",
                );
                return plain;
            }
            if step > 1 {
                checks.push(Check::MultipleOf(step.into()));
            }
        }
        Rules {
            ty: Ty::Integer(ty),
            checks,
        }
    }

    pub(super) fn number(&mut self, place: Place) -> Rules {
        let (low, high) = (self.low(place), self.high(place));
        let mut checks = Vec::new();
        if let (Some(low), Some(high)) = (&low, &high)
            && (low.value > high.value
                || low.value == high.value && (low.exclusive || high.exclusive))
        {
            self.error(
                place,
                low.at,
                "no number keeps both of these bounds",
                "correct one of them",
            );
            return Rules {
                ty: Ty::Number,
                checks,
            };
        }
        let largest = Decimal::parse(LARGEST).unwrap_or_else(|| Decimal::from(0));
        let smallest = Decimal {
            negative: true,
            ..largest.clone()
        };
        for (bound, beyond) in [(&low, &largest), (&high, &smallest)] {
            let misses = bound.as_ref().is_some_and(|bound| match beyond.negative {
                true => bound.value < *beyond,
                false => bound.value > *beyond,
            });
            if let Some(bound) = bound
                && misses
            {
                self.error(
                    place,
                    bound.at,
                    "no 64-bit floating-point number keeps this bound",
                    "correct it",
                );
            }
        }
        checks.extend(
            low.filter(|low| low.value >= smallest)
                .map(|low| match low.exclusive {
                    true => Check::Above(low.value),
                    false => Check::Min(low.value),
                }),
        );
        checks.extend(
            high.filter(|high| high.value <= largest)
                .map(|high| match high.exclusive {
                    true => Check::Below(high.value),
                    false => Check::Max(high.value),
                }),
        );
        checks.extend(self.step(place).map(|(step, _)| Check::MultipleOf(step)));
        Rules {
            ty: Ty::Number,
            checks,
        }
    }

    /// A number that a schema gives, if it is one of use.
    pub(super) fn decimal(
        &mut self,
        place: Place,
        keyword: &str,
        value: Json<'_>,
    ) -> Option<Decimal> {
        let Value::Number(text) = value.value() else {
            let help = match (keyword, value.value()) {
                ("exclusiveMinimum", Value::Bool(_)) => {
                    "write the bound itself here, and leave `minimum` out"
                }
                ("exclusiveMaximum", Value::Bool(_)) => {
                    "write the bound itself here, and leave `maximum` out"
                }
                _ => "write it without quotes",
            };
            self.error(
                place,
                value,
                format!("`{keyword}` is a number, not {}", value.kind()),
                help,
            );
            return None;
        };
        let decimal = Decimal::parse(text);
        if decimal.is_none() {
            self.error(
                place,
                value,
                format!("`{keyword}` is too long or too large a number to be of use"),
                "write one that fits into 64 bits, or leave it out",
            );
        }
        decimal
    }

    fn low(&mut self, place: Place) -> Option<Bound<'a>> {
        let (minimum, above) = (
            self.bound(place, "minimum", false),
            self.bound(place, "exclusiveMinimum", true),
        );
        match (minimum, above) {
            (Some(minimum), Some(above)) => Some(if above.value >= minimum.value {
                above
            } else {
                minimum
            }),
            (minimum, above) => minimum.or(above),
        }
    }

    fn high(&mut self, place: Place) -> Option<Bound<'a>> {
        let (maximum, below) = (
            self.bound(place, "maximum", false),
            self.bound(place, "exclusiveMaximum", true),
        );
        match (maximum, below) {
            (Some(maximum), Some(below)) => Some(if below.value <= maximum.value {
                below
            } else {
                maximum
            }),
            (maximum, below) => maximum.or(below),
        }
    }

    fn bound(&mut self, place: Place, keyword: &str, exclusive: bool) -> Option<Bound<'a>> {
        let at = self.at(place).get(keyword)?;
        let value = self.decimal(place, keyword, at)?;
        Some(Bound {
            value,
            exclusive,
            at,
        })
    }

    /// `multipleOf`.
    fn step(&mut self, place: Place) -> Option<(Decimal, Json<'a>)> {
        let at = self.at(place).get("multipleOf")?;
        let step = self.decimal(place, "multipleOf", at)?;
        if step.is_zero() || step.negative {
            self.error(
                place,
                at,
                format!("`multipleOf` is above zero, and this is {step}"),
                "write the step itself, as `0.01`, or leave it out",
            );
            return None;
        }
        if step.digits.len() > 18 {
            let message = "not supported yet: `multipleOf` with more than 18 digits";
            self.error(place, at, message, "a rounder number will do");
            return None;
        }
        Some((step, at))
    }

    /// The whole number that integers are multiples of if they are multiples of the step.
    fn whole_step(&mut self, place: Place) -> Option<(i128, Json<'a>)> {
        let (step, at) = self.step(place)?;
        if let Some(whole) = step.to_i128() {
            return Some((whole, at));
        }
        let digits = step.digits.parse::<i128>().ok()?;
        // n is k times d / 10^e: that is, d divides n times 10^e, and only the factors that 10^e lacks matter.
        let mut rest = digits;
        for factor in [2, 5] {
            for _ in 0..step.exponent.unsigned_abs() {
                if rest % factor != 0 {
                    break;
                }
                rest /= factor;
            }
        }
        // A step of 1e30 is whole and too large: no 64-bit integer but zero is a multiple of it.
        Some((if step.exponent > 0 { i128::MAX } else { rest }, at))
    }
}

/// The type that is exactly the range, or holds it.
fn integer(least: Option<i128>, greatest: Option<i128>) -> (Integer, i128, i128) {
    let exact = INTEGERS
        .into_iter()
        .find(|&(_, min, max)| least == Some(min) && greatest == Some(max));
    let (signed, unsigned) = (INTEGERS[7], INTEGERS[3]);
    exact.unwrap_or_else(|| {
        // Beyond i64 only where the schema says so: a value above it is invalid where no bound allows it.
        let above = |bound: Option<i128>| bound.is_some_and(|bound| bound > signed.2);
        if least.is_some_and(|least| least >= 0) && (above(least) || above(greatest)) {
            unsigned
        } else {
            signed
        }
    })
}
