//! How do the values of a schema stand in Rust text? As literals: strings with every oddity escaped, exact decimals.

use crate::catalog::{Decimal, Integer};

/// A string literal; raw where that reads better, as patterns do.
pub(super) fn string(text: &str) -> String {
    let escaped = format!("{text:?}");
    let only_backslashes =
        text.contains('\\') && escaped[1..escaped.len() - 1] == text.replace('\\', "\\\\");
    if only_backslashes {
        format!("r\"{text}\"")
    } else {
        escaped
    }
}

/// An `f64` literal: what the decimal is nearest to.
pub(super) fn float(value: &Decimal) -> String {
    let float = value
        .to_string()
        .parse::<f64>()
        .unwrap_or(f64::MAX)
        .clamp(f64::MIN, f64::MAX);
    format!("{float:?}")
}

/// An integer literal with its digits in groups, as clippy wants long ones.
pub(super) fn integer(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::from(if value < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 5 {
            out.push('_');
        }
        out.push(digit);
    }
    out
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

    #[test]
    fn floats_look_like_floats() {
        for (text, literal) in [
            ("3", "3.0"),
            ("1e-7", "1e-7"),
            ("1e400", "1.7976931348623157e308"),
            ("-0.10", "-0.1"),
        ] {
            assert_eq!(float(&Decimal::parse(text).unwrap()), literal);
        }
    }

    #[test]
    fn strings_are_literals_whatever_they_hold() {
        for text in [
            "^[a-z]+$", r"^\d+$", "\"", r#"\""#, "\\\n", "\u{202e}", "'", "\"#; }", "", "\u{0}",
        ] {
            let literal = string(text);
            let parsed = syn::parse_str::<syn::LitStr>(&literal).unwrap();
            assert_eq!(parsed.value(), text);
            assert!(!literal.contains(['\n', '\u{202e}']), "{literal}");
        }
        assert_eq!(string(r"^\d+$"), r#"r"^\d+$""#);
    }

    #[test]
    fn long_integers_are_grouped() {
        assert_eq!(integer(-1_234_567), "-1_234_567");
        assert_eq!(integer(12_345), "12345");
    }
}
