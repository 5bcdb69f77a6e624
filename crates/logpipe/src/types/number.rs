//! A number of JSON, exactly as it was spelled.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::Decimal;
use crate::codec::{Fault, FloatText, Reader, Wire, Writer};

/// A number of any size and precision. Two spellings of the same number are equal: `1`, `1.0` and `10e-1`.
///
/// JSON writes it as it was spelled. msgpack has integers of 64 bits and floats: a larger integer can't be written, and
/// a number with a point or an exponent becomes the nearest float.
#[derive(Debug, Clone)]
pub struct Number(Box<str>);

impl Number {
    /// The text must be a number as JSON spells it. `None` when its exponent is of astronomical size.
    #[cfg(feature = "json")]
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        Decimal::parse(text)?;
        Some(Self(text.into()))
    }

    /// A float, as Python spells it; `None` for NaN and the infinities.
    pub fn from_f64(value: f64) -> Option<Self> {
        FloatText::of(value).map(|text| Self(text.as_str().into()))
    }

    /// As it is spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest float; `None` when it would be infinite.
    pub fn to_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// The integer that this is, if it is one of that size.
    pub fn to_i128(&self) -> Option<i128> {
        self.decimal().to_integer().ok()
    }

    /// What msgpack writes as an integer: a number without point and exponent.
    #[cfg(feature = "msgpack")]
    pub(crate) fn as_spelled_integer(&self) -> Option<Result<i128, Fault>> {
        if self.0.contains(['.', 'e', 'E']) {
            return None;
        }
        Some(self.decimal().to_integer())
    }

    pub(crate) fn decimal(&self) -> Decimal<'_> {
        // Every constructor has seen to it that this is a number.
        Decimal::parse(&self.0).unwrap_or(Decimal::ZERO)
    }
}

impl From<i128> for Number {
    fn from(value: i128) -> Self {
        Self(value.to_string().into())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        i128::from(value).into()
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        i128::from(value).into()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.decimal() == other.decimal()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.decimal().hash(state);
    }
}

impl Wire for Number {
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        reader.number()
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        writer.number(self)
    }
}
