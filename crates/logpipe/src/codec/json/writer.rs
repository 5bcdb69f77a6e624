//! How is a value spelled, down to the byte?

use super::super::{DEPTH_MAX, Fault, FloatText, Name, Reader, Writer, not_finite};
use super::JsonReader;
use super::scan::{LINE_LEAD, find, is_plain};
use crate::types::Number;

/// Writes JSON text behind what a buffer holds already.
///
/// The bytes are those of Python's `json.dumps(.., ensure_ascii=False, separators=(",", ":"))` as Django REST framework
/// sets it up: no spaces, UTF-8 as it is, controls and U+2028 and U+2029 escaped, floats as `repr` spells them.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    depth: u32,
}

/// An object or a list that was begun.
#[derive(Debug)]
pub struct JsonOpen {
    first: bool,
}

impl<'a> JsonWriter<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self::within(out, 0)
    }

    /// Writes a value that will stand `depth` levels deep.
    pub(crate) fn within(out: &'a mut Vec<u8>, depth: u32) -> Self {
        Self { out, depth }
    }

    /// A value that is JSON text already, from a codec of your own; its syntax is checked.
    pub fn raw(&mut self, json: &str) -> Result<(), Fault> {
        let mut reader = JsonReader::within(json, 0, self.depth);
        reader.skip()?;
        reader.end()?;
        self.out.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<JsonOpen, Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::invalid("nested deeper than 128 levels"));
        }
        self.depth += 1;
        self.out.push(bracket);
        Ok(JsonOpen { first: true })
    }

    #[inline]
    fn comma(&mut self, open: &mut JsonOpen) {
        if !std::mem::take(&mut open.first) {
            self.out.push(b',');
        }
    }

    fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        self.out.push(bracket);
    }
}

impl Writer for JsonWriter<'_> {
    type Object = JsonOpen;
    type List = JsonOpen;

    fn null(&mut self) -> Result<(), Fault> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn boolean(&mut self, value: bool) -> Result<(), Fault> {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(word);
        Ok(())
    }

    fn integer(&mut self, value: i128) -> Result<(), Fault> {
        // As many as `i128::MIN` has.
        let mut digits = [0; 39];
        let mut at = digits.len();
        let mut wide = value.unsigned_abs();
        // Division of 128 bits is slow, and hardly ever needed.
        while wide > u64::MAX.into() {
            at -= 1;
            digits[at] = b'0' + (wide % 10) as u8;
            wide /= 10;
        }
        let mut rest = wide as u64;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(&digits[at..]);
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<(), Fault> {
        let text = FloatText::of(value).ok_or_else(not_finite)?;
        self.out.extend_from_slice(text.as_str().as_bytes());
        Ok(())
    }

    fn number(&mut self, value: &Number) -> Result<(), Fault> {
        self.out.extend_from_slice(value.as_str().as_bytes());
        Ok(())
    }

    fn string(&mut self, value: &str) -> Result<(), Fault> {
        quote(self.out, value);
        Ok(())
    }

    fn object(&mut self, _members: usize) -> Result<JsonOpen, Fault> {
        self.open(b'{')
    }

    fn member(&mut self, object: &mut JsonOpen, name: &str) -> Result<(), Fault> {
        self.comma(object);
        quote(self.out, name);
        self.out.push(b':');
        Ok(())
    }

    #[inline]
    fn declared(&mut self, object: &mut JsonOpen, name: Name) -> Result<(), Fault> {
        if !name.is_plain() {
            return self.member(object, name.as_str());
        }
        self.comma(object);
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(br#"":"#);
        Ok(())
    }

    fn end_object(&mut self, _object: JsonOpen) -> Result<(), Fault> {
        self.close(b'}');
        Ok(())
    }

    fn list(&mut self, _items: usize) -> Result<JsonOpen, Fault> {
        self.open(b'[')
    }

    fn item(&mut self, list: &mut JsonOpen) -> Result<(), Fault> {
        self.comma(list);
        Ok(())
    }

    fn end_list(&mut self, _list: JsonOpen) -> Result<(), Fault> {
        self.close(b']');
        Ok(())
    }
}

/// A string in quotes.
#[inline]
fn quote(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    match is_plain(bytes) {
        true => out.extend_from_slice(bytes),
        false => escape(out, bytes),
    }
    out.push(b'"');
}

#[cold]
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let (mut plain, mut at) = (0, find::<true>(bytes, 0));
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let (escape, length): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            0x08 => (b"\\b", 1),
            0x0c => (b"\\f", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            LINE_LEAD if rest.starts_with("\u{2028}".as_bytes()) => (b"\\u2028", 3),
            LINE_LEAD if rest.starts_with("\u{2029}".as_bytes()) => (b"\\u2029", 3),
            LINE_LEAD => {
                at = find::<true>(bytes, at + 1);
                continue;
            }
            control => {
                let (high, low) = (
                    HEX[usize::from(control >> 4)],
                    HEX[usize::from(control & 15)],
                );
                out.extend_from_slice(&bytes[plain..at]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                plain = at + 1;
                at = find::<true>(bytes, plain);
                continue;
            }
        };
        out.extend_from_slice(&bytes[plain..at]);
        out.extend_from_slice(escape);
        plain = at + length;
        at = find::<true>(bytes, plain);
    }
    out.extend_from_slice(&bytes[plain..]);
}
