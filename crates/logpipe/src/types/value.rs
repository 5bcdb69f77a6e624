//! Any value of JSON, for members that a schema leaves open.

use super::{Map, Number};
use crate::codec::{Fault, Kind, Reader, Wire, Writer};
use crate::rules::{self, Rule};

/// Any value. Numbers are exact, objects keep their order; equality is JSON's: `1.0` is `1`, order of members is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number of any size.
    Number(Number),
    /// Text.
    String(String),
    /// `[..]`
    List(Vec<Value>),
    /// `{..}`
    Object(Map<Value>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Self::List(value)
    }
}

impl From<Map<Value>> for Value {
    fn from(value: Map<Value>) -> Self {
        Self::Object(value)
    }
}

impl Wire for Value {
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault> {
        match reader.kind()? {
            Kind::Null => reader.null().map(|_| Self::Null),
            Kind::Boolean => reader.boolean().map(Self::Bool),
            Kind::Number => reader.number().map(Self::Number),
            Kind::String => Wire::read(reader).map(Self::String),
            Kind::List => Wire::read(reader).map(Self::List),
            Kind::Object => Wire::read(reader).map(Self::Object),
            found @ (Kind::Binary | Kind::Extension) => {
                Err(Fault::expected("a value that JSON has", found))
            }
        }
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault> {
        match self {
            Self::Null => writer.null(),
            Self::Bool(value) => writer.boolean(*value),
            Self::Number(value) => writer.number(value),
            Self::String(value) => writer.string(value),
            Self::List(value) => value.write(writer),
            Self::Object(value) => value.write(writer),
        }
    }

    /// As JSON Schema has it: whatever a rule is not about keeps it.
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        use Rule::*;
        match (self, rule) {
            (Self::Bool(value), equals_boolean(_)) => rules::boolean(*value, rule),
            (
                Self::Number(value),
                min(_) | max(_) | above(_) | below(_) | multiple_of(_) | equals(_),
            ) => value
                .to_i128()
                .map_or(Ok(()), |value| rules::integer(value, rule)),
            (
                Self::Number(value),
                min_decimal(_)
                | max_decimal(_)
                | above_decimal(_)
                | below_decimal(_)
                | multiple_of_decimal(_)
                | equals_float(_),
            ) => value
                .to_f64()
                .map_or(Ok(()), |value| rules::float(value, rule)),
            (Self::String(value), min_chars(_) | max_chars(_) | pattern(_)) => {
                rules::text(value, rule)
            }
            (Self::List(items), min_items(_) | max_items(_) | unique_items() | each(_)) => {
                rules::list(items, rule)
            }
            (Self::Object(members), min_properties(_) | max_properties(_) | values(_)) => {
                rules::map(members, rule)
            }
            _ => Ok(()),
        }
    }
}
