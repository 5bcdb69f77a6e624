//! How do numbers of a schema compare, exactly, whatever their size?

use std::cmp::Ordering;
use std::fmt;

use crate::catalog::Decimal;

/// No number of use to a schema has more digits: an `f64` has at most 767 that matter.
const DIGITS: usize = 800;

/// Nor a larger power of ten: an `f64` ends at 308 above and 324 below (with 767 digits: 1,091 below).
const POWER: i64 = 1_100;

impl Decimal {
    /// Reads a number in JSON's grammar. `None` where it is too long or too large to be of use; nothing is allocated
    /// that the text's own length does not pay for.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text
            .strip_prefix('-')
            .map_or((false, text), |rest| (true, rest));
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty()
            || !whole
                .bytes()
                .chain(fraction.bytes())
                .all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits: "0".into(),
                exponent: 0,
            });
        }
        let exponent = power
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(significant.len() - digits.len()).ok()?)?;
        if digits.len() > DIGITS || exponent.abs() > POWER {
            return None;
        }
        Some(Self {
            negative,
            digits: digits.into(),
            exponent: i32::try_from(exponent).ok()?,
        })
    }

    /// The finite float that it is nearest to.
    pub fn to_f64(&self) -> f64 {
        let float = self.to_string().parse().unwrap_or(f64::MAX);
        float.clamp(f64::MIN, f64::MAX)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// Whether it is a whole number, however it is spelled.
    pub fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    /// The whole number, if it is one and fits.
    pub fn to_i128(&self) -> Option<i128> {
        if !self.is_integer() {
            return None;
        }
        let power = 10i128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let size = self.digits.parse::<i128>().ok()?.checked_mul(power)?;
        Some(if self.negative { -size } else { size })
    }

    /// The largest whole number that is not above it; saturates.
    pub fn floor(&self) -> i128 {
        let (size, exact) = self.size();
        match self.negative {
            false => size,
            true if exact => size.saturating_neg(),
            true => size.saturating_neg().saturating_sub(1),
        }
    }

    /// The smallest whole number that is not below it; saturates.
    pub fn ceil(&self) -> i128 {
        let (size, exact) = self.size();
        match self.negative {
            true => size.saturating_neg(),
            false if exact => size,
            false => size.saturating_add(1),
        }
    }

    /// The whole part without its sign, and whether nothing was cut off; saturates.
    fn size(&self) -> (i128, bool) {
        if self.exponent >= 0 {
            return (self.to_i128().map_or(i128::MAX, i128::abs), true);
        }
        let whole = self
            .digits
            .len()
            .saturating_sub(self.exponent.unsigned_abs() as usize);
        let digits = if whole == 0 {
            "0"
        } else {
            &self.digits[..whole]
        };
        (digits.parse().unwrap_or(i128::MAX), false)
    }

    /// Whether `self` is `divisor` times a whole number; `divisor` is not zero.
    pub fn is_multiple_of(&self, divisor: &Self) -> bool {
        if self.is_zero() {
            return true;
        }
        // Neither has trailing zeros, so a power of ten can't be divided out of `self`.
        let Ok(power) = u32::try_from(self.exponent - divisor.exponent) else {
            return false;
        };
        let Ok(modulus) = divisor.digits.parse::<u64>() else {
            // A divisor of more digits than any that lower lets through: only itself is sure.
            return self.digits == divisor.digits;
        };
        let modulus = u128::from(modulus);
        let rest = self.digits.bytes().fold(0, |rest, digit| {
            (rest * 10 + u128::from(digit - b'0')) % modulus
        });
        (0..power).fold(rest, |rest, _| rest * 10 % modulus) == 0
    }

    /// The power of ten of the leading digit; zero has none.
    fn magnitude(&self) -> i64 {
        i64::from(self.exponent) + self.digits.len() as i64
    }

    fn cmp_size(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without trailing zeros, text order of equally large numbers is the order of the numbers.
            (false, false) => self
                .magnitude()
                .cmp(&other.magnitude())
                .then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl From<i128> for Decimal {
    fn from(value: i128) -> Self {
        let text = value.unsigned_abs().to_string();
        let digits = text.trim_end_matches('0');
        if digits.is_empty() {
            return Self {
                negative: false,
                digits: "0".into(),
                exponent: 0,
            };
        }
        // At most 39 digits.
        Self {
            negative: value < 0,
            digits: digits.into(),
            exponent: (text.len() - digits.len()) as i32,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.cmp_size(other),
            (true, true) => other.cmp_size(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As people write it where that is short (`0.01`, `1200`), else with a power (`1e300`); always valid JSON.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let (digits, exponent) = (&self.digits, self.exponent);
        let cut = exponent.unsigned_abs() as usize;
        if self.magnitude() > 30 || self.magnitude() < -10 {
            return match exponent {
                0 => write!(f, "{sign}{digits}"),
                _ => write!(f, "{sign}{digits}e{exponent}"),
            };
        }
        if exponent >= 0 {
            write!(f, "{sign}{digits}{}", "0".repeat(cut))
        } else if cut < digits.len() {
            let (whole, fraction) = digits.split_at(digits.len() - cut);
            write!(f, "{sign}{whole}.{fraction}")
        } else {
            write!(f, "{sign}0.{}{digits}", "0".repeat(cut - digits.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn spellings_of_one_number_are_one_number() {
        let table = [
            ("0", &["-0", "0.0", "0e999999999", "-0.000e-5"][..]),
            ("100", &["1e2", "100.00", "0.1E+3", "1000e-1"]),
            ("-0.01", &["-1e-2", "-0.010"]),
            ("1e300", &["10e299"]),
            ("1e-30", &["0.1e-29"]),
        ];
        for (printed, spellings) in table {
            assert_eq!(decimal(printed).to_string(), printed);
            for spelling in spellings {
                assert_eq!(decimal(spelling), decimal(printed), "{spelling}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused_without_being_written_out() {
        for text in [
            "1e999999999",
            "1e-999999999",
            "1e99999999999999999999999",
            &"9".repeat(5000),
            "",
            "-",
            "1e",
            "x",
        ] {
            assert_eq!(Decimal::parse(text), None);
        }
    }

    #[test]
    fn order_is_exact() {
        let ascending = [
            "-1e300", "-10", "-9.99", "-0.5", "0", "1e-30", "0.1", "0.11", "9", "10", "10.01",
            "1e300",
        ];
        for (index, text) in ascending.iter().enumerate() {
            for (other, against) in ascending.iter().enumerate() {
                assert_eq!(
                    decimal(text).cmp(&decimal(against)),
                    index.cmp(&other),
                    "{text} against {against}"
                );
            }
        }
    }

    #[test]
    fn multiples_are_exact() {
        let table = [
            ("0.3", "0.1", true), // which f64 denies
            ("19.99", "0.01", true),
            ("19.999", "0.01", false),
            ("1e300", "3", false),
            ("3e300", "3", true),
            ("4.5", "1.5", true),
            ("5", "10", false),
            ("-10", "5", true),
            ("0", "7", true),
        ];
        for (value, divisor, expected) in table {
            assert_eq!(
                decimal(value).is_multiple_of(&decimal(divisor)),
                expected,
                "{value} of {divisor}"
            );
        }
    }

    #[test]
    fn whole_parts_round_towards_their_side() {
        let table = [
            ("2.5", 2, 3),
            ("-2.5", -3, -2),
            ("7", 7, 7),
            ("-0.1", -1, 0),
            ("0.1", 0, 1),
        ];
        for (text, floor, ceil) in table {
            assert_eq!(
                (decimal(text).floor(), decimal(text).ceil()),
                (floor, ceil),
                "{text}"
            );
        }
        assert_eq!(decimal("1e300").floor(), i128::MAX);
        assert_eq!(decimal("-1e300").floor(), -i128::MAX);
        assert_eq!(Decimal::from(-1200), decimal("-1.2e3"));
        assert_eq!(Decimal::from(i128::MIN).to_string(), i128::MIN.to_string());
    }
}
