//! What number a text spells, exactly and without allocating: compared, divided and turned into an integer.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::codec::Fault;

/// `digits * 10^exponent`, read in place from a number as JSON spells it. Two spellings of one number are equal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    /// Digits before the point and behind it; together neither the first nor the last is a zero. None at all for zero.
    whole: &'a [u8],
    fraction: &'a [u8],
    /// The power of ten of the last digit.
    exponent: i64,
}

/// Beyond this a power of ten is refused, which keeps sums of exponents and lengths from overflowing.
const EXPONENT_MAX: i64 = 1 << 60;

impl<'a> Decimal<'a> {
    pub(crate) const ZERO: Self = Self {
        negative: false,
        whole: &[],
        fraction: &[],
        exponent: 0,
    };

    /// `None` for an exponent of astronomical size; the text must be a JSON number.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut whole = whole.trim_start_matches('0');
        let mut fraction = fraction.trim_end_matches('0');
        let mut behind = 0 - i64::try_from(fraction.len()).ok()?;
        if fraction.is_empty() {
            let significant = whole.trim_end_matches('0');
            behind = i64::try_from(whole.len() - significant.len()).ok()?;
            whole = significant;
        }
        if whole.is_empty() {
            fraction = fraction.trim_start_matches('0');
        }
        if whole.is_empty() && fraction.is_empty() {
            return Some(Self::ZERO);
        }
        let power: i64 = power.parse().ok()?;
        if power.abs() > EXPONENT_MAX {
            return None;
        }
        Some(Self {
            negative,
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
            exponent: power + behind,
        })
    }

    fn is_zero(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole
            .iter()
            .chain(self.fraction)
            .map(|byte| byte - b'0')
    }

    /// The power of ten above the first digit: a larger one makes a larger number.
    fn magnitude(&self) -> i64 {
        self.len() as i64 + self.exponent
    }

    /// A spelling that all spellings of this number share.
    pub(crate) fn canonical(&self, out: &mut Vec<u8>) {
        out.push(if self.negative { b'-' } else { b'+' });
        out.extend_from_slice(&self.exponent.to_le_bytes());
        out.extend(self.digits());
    }

    /// The integer that this is.
    pub(crate) fn to_integer(self) -> Result<i128, Fault> {
        if self.exponent < 0 {
            return Err(Fault::invalid(
                "expected an integer, found a number with a fraction",
            ));
        }
        let value = match self.magnitude() {
            ..=39 => self
                .digits()
                .chain(std::iter::repeat_n(0, self.exponent as usize))
                .try_fold(0_i128, |value, digit| {
                    let digit = i128::from(digit);
                    let value = value.checked_mul(10)?;
                    value.checked_add(if self.negative { -digit } else { digit })
                }),
            _ => None,
        };
        value.ok_or_else(|| Fault::invalid("the integer is out of range"))
    }

    /// Whether this is `step` times an integer. A step has at most 38 digits; with more, only zero is a multiple.
    pub(crate) fn is_multiple_of(&self, step: &Decimal<'_>) -> bool {
        if self.is_zero() {
            return true;
        }
        let Some(divisor) = step.coefficient() else {
            return false;
        };
        // Neither ends in a zero, so nothing makes up for a power of ten that is missing here.
        let Ok(power) = u64::try_from(self.exponent - step.exponent) else {
            return false;
        };
        let rest = self.digits().fold(0, |rest, digit| {
            add_modulo(
                multiply_modulo(rest, 10, divisor),
                u128::from(digit) % divisor,
                divisor,
            )
        });
        multiply_modulo(rest, power_modulo(10, power, divisor), divisor) == 0
    }

    fn coefficient(&self) -> Option<u128> {
        if self.is_zero() || self.len() > 38 {
            return None;
        }
        Some(
            self.digits()
                .fold(0, |value, digit| value * 10 + u128::from(digit)),
        )
    }
}

fn add_modulo(left: u128, right: u128, modulus: u128) -> u128 {
    // Both are below the modulus, which is below 10^38: the sum fits.
    (left + right) % modulus
}

fn multiply_modulo(left: u128, right: u128, modulus: u128) -> u128 {
    if let Some(product) = left.checked_mul(right) {
        return product % modulus;
    }
    let (mut base, mut times, mut sum) = (left % modulus, right, 0);
    while times > 0 {
        if times & 1 == 1 {
            sum = add_modulo(sum, base, modulus);
        }
        base = add_modulo(base, base, modulus);
        times >>= 1;
    }
    sum
}

fn power_modulo(base: u128, mut power: u64, modulus: u128) -> u128 {
    let (mut square, mut product) = (base % modulus, 1 % modulus);
    while power > 0 {
        if power & 1 == 1 {
            product = multiply_modulo(product, square, modulus);
        }
        square = multiply_modulo(square, square, modulus);
        power >>= 1;
    }
    product
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let signs = sign(self).cmp(&sign(other));
        if signs != Ordering::Equal || self.is_zero() {
            return signs;
        }
        // Of two numbers that agree as far as one goes the longer is larger, since no last digit is a zero.
        let sizes = self
            .magnitude()
            .cmp(&other.magnitude())
            .then_with(|| self.digits().cmp(other.digits()));
        if self.negative {
            sizes.reverse()
        } else {
            sizes
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal<'_> {}

impl Hash for Decimal<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.negative.hash(state);
        self.exponent.hash(state);
        self.digits().for_each(|digit| digit.hash(state));
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn decimal(text: &str) -> Decimal<'_> {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn numbers_are_ordered_by_value_whatever_their_spelling() {
        let ascending = [
            "-1e400",
            "-100",
            "-99.9",
            "-1",
            "-0.1",
            "-1e-400",
            "0",
            "1e-400",
            "0.09",
            "0.1",
            "0.11",
            "1",
            "1.000000000000000000001",
            "9",
            "10",
            "1e1000000000000",
        ];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(
                    decimal(left).cmp(&decimal(right)),
                    index.cmp(&other),
                    "{left} and {right}"
                );
            }
        }
        for (left, right) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1e2"),
            ("0", "-0.0"),
            ("0", "0e99999999999999999999"),
            ("0.5", "0.050e1"),
            ("1200", "0.0012e6"),
        ] {
            assert_eq!(decimal(left), decimal(right));
        }
        assert!(Decimal::parse("1e99999999999999999999").is_none());
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_spelled() {
        for (text, integer) in [
            ("1.0", 1),
            ("1e2", 100),
            ("-1.50e1", -15),
            ("0e999999999999999", 0),
            ("-0", 0),
            ("100000000000000000000000000000000000000000e-40", 10),
            ("-170141183460469231731687303715884105728", i128::MIN),
        ] {
            assert_eq!(decimal(text).to_integer().expect(text), integer);
        }
        for text in [
            "1.5",
            "1e-1",
            "1e39",
            "1e1000000000000",
            "170141183460469231731687303715884105728",
        ] {
            assert!(decimal(text).to_integer().is_err(), "{text}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        for (value, step, is_multiple) in [
            ("0.3", "0.1", true),
            ("19.99", "0.01", true),
            ("19.999", "0.01", false),
            ("1e308", "0.01", true),
            ("1e308", "3", false),
            ("9e307", "3", true),
            ("5e-324", "1e-324", true),
            ("1e-324", "5e-324", false),
            ("0", "7", true),
            ("-21", "7", true),
            ("35", "1e1", false),
            ("350", "1e1", true),
            (
                "1e1000000000000",
                "99999999999999999999999999999999999999",
                false,
            ),
            (
                "99999999999999999999999999999999999999e3",
                "99999999999999999999999999999999999999",
                true,
            ),
        ] {
            assert_eq!(
                decimal(value).is_multiple_of(&decimal(step)),
                is_multiple,
                "{value} of {step}"
            );
        }
    }
}
