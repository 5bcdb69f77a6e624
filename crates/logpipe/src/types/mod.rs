//! Which Rust types stand for the values of a message: one module for each format that asserts, and for JSON's own.
//!
//! A format has a strict grammar of its own, then the type, then one printer: what was read in any permitted spelling
//! is written in one. [`Email`] and [`Uri`] keep their spelling.

mod date;
mod date_time;
mod decimal;
mod duration;
mod email;
mod ipv4;
mod ipv6;
mod map;
mod number;
mod scan;
mod spelled;
mod time;
mod uri;
mod uuid;
mod value;

pub use ::uuid::Uuid;
pub use jiff::Timestamp;
pub use jiff::civil::Date;
pub use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) use date_time::python as python_date_time;
pub(crate) use decimal::Decimal;
pub use duration::Duration;
pub use email::Email;
pub use map::Map;
pub use number::Number;
pub(crate) use spelled::Spelled;
pub use time::Time;
pub use uri::Uri;
pub use value::Value;

/// A constant of a schema. The generator has read the same text by the same schema.
///
/// # Panics
/// When the text is no value of the type, so that the schema and the generated code do not belong together.
#[doc(hidden)]
#[cfg(feature = "json")]
pub fn from_schema<T: crate::codec::Wire>(text: &str) -> T {
    let mut reader = crate::codec::JsonReader::new(text);
    T::read(&mut reader).expect("a constant of the schema is a value of its type")
}
