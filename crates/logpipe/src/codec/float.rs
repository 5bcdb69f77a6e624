//! How Python spells a float: the shortest digits that read back as the same value, laid out as `repr` does.

use std::fmt::Write;

/// The spelling of one finite `f64`.
#[derive(Debug)]
pub(crate) struct FloatText {
    bytes: [u8; LEN_MAX],
    len: usize,
}

/// `-2.2250738585072014e-308` has 24; the widest plain layout has a sign, `0.000` and 17 digits.
const LEN_MAX: usize = 32;

impl FloatText {
    /// `None` for NaN and the infinities.
    pub(crate) fn of(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let mut scientific = Self {
            bytes: [0; LEN_MAX],
            len: 0,
        };
        // The standard library finds the shortest digits, as `d.ddde-7`.
        write!(scientific, "{value:e}").ok()?;
        let (mantissa, exponent) = scientific.as_str().split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;

        let mut text = Self {
            bytes: [0; LEN_MAX],
            len: 0,
        };
        let digits = match mantissa.strip_prefix('-') {
            Some(digits) => {
                text.push("-");
                digits
            }
            None => mantissa,
        };
        let (first, rest) = digits.split_once('.').unwrap_or((digits, ""));
        if !(-4..16).contains(&exponent) {
            text.push(first);
            if !rest.is_empty() {
                text.push(".");
                text.push(rest);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(text, "e{sign}{:02}", exponent.unsigned_abs()).ok()?;
        } else if exponent < 0 {
            text.push("0.");
            for _ in 1..-exponent {
                text.push("0");
            }
            text.push(first);
            text.push(rest);
        } else {
            let whole = exponent.unsigned_abs() as usize;
            text.push(first);
            text.push(&rest[..whole.min(rest.len())]);
            for _ in rest.len()..whole {
                text.push("0");
            }
            text.push(".");
            let fraction = rest.get(whole..).unwrap_or_default();
            text.push(if fraction.is_empty() { "0" } else { fraction });
        }
        Some(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole strings are pushed, so this is text.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn push(&mut self, text: &str) {
        // Bounded by LEN_MAX; a spelling that did not fit would be cut, and the tests' round trips would say so.
        let _ = self.write_str(text);
    }
}

impl Write for FloatText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self
            .bytes
            .get_mut(self.len..self.len + text.len())
            .ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
