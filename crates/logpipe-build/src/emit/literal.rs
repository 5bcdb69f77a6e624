//! How do the values of a schema stand in Rust text? As literals: strings with every oddity escaped, exact decimals.

use crate::catalog::Decimal;

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

/// An `f64` literal.
pub(super) fn float(value: &Decimal) -> String {
    format!("{:?}", value.to_f64())
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

#[cfg(test)]
mod tests {
    use super::*;

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
