//! JSON, strictly as RFC 8259 has it, read from text and written with the bytes that Python's `json` writes.

mod reader;
mod scan;
mod writer;

pub use reader::JsonReader;
pub use writer::JsonWriter;

use super::{Encoding, Fault, Wire};
use crate::message::{Decode, Encode};

/// JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Encoding for Json {
    type Reader<'a> = JsonReader<'a>;
    type Writer<'a> = JsonWriter<'a>;
}

impl<T: Wire> Encode<Json> for T {
    fn encode(&self, writer: &mut JsonWriter<'_>) -> Result<(), Fault> {
        self.check()?;
        self.write(writer)
    }
}

impl<T: Wire> Decode<Json> for T {
    fn decode(reader: &mut JsonReader<'_>) -> Result<Self, Fault> {
        let value = Self::read(reader)?;
        value.check()?;
        Ok(value)
    }
}
