//! msgpack, as Python's `msgpack` writes it: string keys, the shortest form of every value, `bin` kept apart from text.

use std::borrow::Cow;

use super::{
    DEPTH_MAX, Encoding, Fault, FloatText, Kind, Members, Name, Reader, Row, Wire, Writer,
};
use crate::message::{Decode, Encode};
use crate::types::{Decimal, Number};

/// msgpack.
#[derive(Debug, Clone, Copy)]
pub struct MsgPack;

impl Encoding for MsgPack {
    type Reader<'a> = MsgPackReader<'a>;
    type Writer<'a> = MsgPackWriter<'a>;
}

impl<T: Wire> Encode<MsgPack> for T {
    fn encode(&self, writer: &mut MsgPackWriter<'_>) -> Result<(), Fault> {
        self.check()?;
        self.write(writer)
    }
}

impl<T: Wire> Decode<MsgPack> for T {
    fn decode(reader: &mut MsgPackReader<'_>) -> Result<Self, Fault> {
        let value = Self::read(reader)?;
        value.check()?;
        Ok(value)
    }
}

/// Reads msgpack.
///
/// What is decided here: the keys of maps are text, anything else is malformed; text is UTF-8; binary data, extension
/// types, NaN and infinities are no values of a message; a float with a whole value is an integer.
#[derive(Debug)]
pub struct MsgPackReader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

/// A place in msgpack.
#[derive(Debug, Clone, Copy)]
pub struct MsgPackMark {
    at: usize,
    depth: u32,
}

/// How many values of a map or an array are left.
#[derive(Debug)]
pub struct MsgPackLeft(u32);

/// The head of a value: what it is, and its length where it has one.
enum Head {
    Nil,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(u32),
    Binary(u32),
    Extension(u32),
    Array(u32),
    Map(u32),
}

impl Head {
    fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Null,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) | Self::Float(_) => Kind::Number,
            Self::Text(_) => Kind::String,
            Self::Binary(_) => Kind::Binary,
            Self::Extension(_) => Kind::Extension,
            Self::Array(_) => Kind::List,
            Self::Map(_) => Kind::Object,
        }
    }
}

impl<'a> MsgPackReader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::within(bytes, 0, 0)
    }

    /// Reads from `at`, which is `depth` levels deep.
    pub(crate) fn within(bytes: &'a [u8], at: usize, depth: u32) -> Self {
        Self { bytes, at, depth }
    }

    /// The next value as it stands, for a codec of your own; its syntax is checked.
    pub fn raw(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.malformed("something follows the document"))
        }
    }

    /// Consumes these bytes, if they are next.
    #[inline]
    pub(crate) fn take(&mut self, token: &[u8]) -> bool {
        let found = self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(token));
        if found {
            self.at += token.len();
        }
        found
    }

    #[cold]
    fn malformed(&self, reason: &'static str) -> Fault {
        Fault::malformed(self.at, reason)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or_else(|| self.malformed("the bytes end too early"))?;
        self.at += N;
        Ok(*bytes)
    }

    #[inline]
    fn length(&mut self, width: u8) -> Result<u32, Fault> {
        Ok(match width {
            0 => self.fixed::<1>()?[0].into(),
            1 => u16::from_be_bytes(self.fixed()?).into(),
            _ => u32::from_be_bytes(self.fixed()?),
        })
    }

    #[inline]
    fn head(&mut self) -> Result<Head, Fault> {
        let [first] = self.fixed()?;
        Ok(match first {
            0x00..=0x7f => Head::Integer(first.into()),
            0x80..=0x8f => Head::Map((first & 15).into()),
            0x90..=0x9f => Head::Array((first & 15).into()),
            0xa0..=0xbf => Head::Text((first & 31).into()),
            0xc0 => Head::Nil,
            0xc1 => {
                self.at -= 1;
                return Err(self.malformed("a byte that msgpack never uses"));
            }
            0xc2 => Head::Boolean(false),
            0xc3 => Head::Boolean(true),
            0xc4..=0xc6 => Head::Binary(self.length(first - 0xc4)?),
            0xc7..=0xc9 => Head::Extension(self.length(first - 0xc7)?),
            0xca => Head::Float(f32::from_be_bytes(self.fixed()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.fixed()?)),
            0xcc => Head::Integer(u8::from_be_bytes(self.fixed()?).into()),
            0xcd => Head::Integer(u16::from_be_bytes(self.fixed()?).into()),
            0xce => Head::Integer(u32::from_be_bytes(self.fixed()?).into()),
            0xcf => Head::Integer(u64::from_be_bytes(self.fixed()?).into()),
            0xd0 => Head::Integer(i8::from_be_bytes(self.fixed()?).into()),
            0xd1 => Head::Integer(i16::from_be_bytes(self.fixed()?).into()),
            0xd2 => Head::Integer(i32::from_be_bytes(self.fixed()?).into()),
            0xd3 => Head::Integer(i64::from_be_bytes(self.fixed()?).into()),
            0xd4..=0xd8 => Head::Extension(1 << (first - 0xd4)),
            0xd9..=0xdb => Head::Text(self.length(first - 0xd9)?),
            0xdc | 0xdd => Head::Array(self.length(first - 0xdb)?),
            0xde | 0xdf => Head::Map(self.length(first - 0xdd)?),
            0xe0..=0xff => Head::Integer((first as i8).into()),
        })
    }

    #[inline]
    fn taken(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let bytes = self
            .at
            .checked_add(length)
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| self.malformed("a length beyond the end"))?;
        self.at += length;
        Ok(bytes)
    }

    #[inline]
    fn text(&mut self, length: u32) -> Result<&'a str, Fault> {
        let start = self.at;
        let bytes = self.taken(length as usize)?;
        std::str::from_utf8(bytes).map_err(|error| {
            Fault::malformed(start + error.valid_up_to(), "text that is not UTF-8")
        })
    }

    /// Why `found`, whose head began at `start`, is no `what`: unless its own bytes are broken.
    #[cold]
    fn other_than(&mut self, what: &'static str, found: &Head, start: usize) -> Fault {
        self.at = start;
        match self.skip() {
            Ok(()) => Fault::expected(what, found.kind()),
            Err(fault) => fault,
        }
    }

    #[inline]
    fn enter(&mut self, start: usize) -> Result<(), Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::malformed(start, "nested deeper than 128 levels"));
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn another(&mut self, left: &mut MsgPackLeft) -> bool {
        if left.0 == 0 {
            self.depth -= 1;
            return false;
        }
        left.0 -= 1;
        true
    }

    #[inline]
    fn name(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        match self.head()? {
            Head::Text(length) => self.text(length),
            _ => Err(Fault::malformed(start, "a member's name that is not text")),
        }
    }
}

impl<'a> Reader<'a> for MsgPackReader<'a> {
    type Mark = MsgPackMark;
    type Left = MsgPackLeft;

    fn kind(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        let head = self.head()?;
        self.at = start;
        Ok(head.kind())
    }

    #[inline]
    fn null(&mut self) -> Result<bool, Fault> {
        Ok(self.take(&[0xc0]))
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        let start = self.at;
        match self.head()? {
            Head::Boolean(value) => Ok(value),
            other => Err(self.other_than("a boolean", &other, start)),
        }
    }

    #[inline]
    fn integer(&mut self) -> Result<i128, Fault> {
        let start = self.at;
        match self.head()? {
            Head::Integer(value) => Ok(value),
            Head::Float(value) => {
                let text = FloatText::of(value).ok_or_else(super::not_finite)?;
                Decimal::parse(text.as_str())
                    .ok_or_else(super::not_finite)?
                    .to_integer()
            }
            other => Err(self.other_than("an integer", &other, start)),
        }
    }

    fn float(&mut self) -> Result<f64, Fault> {
        let start = self.at;
        match self.head()? {
            // Every integer of msgpack has a nearest float.
            Head::Integer(value) => Ok(value as f64),
            Head::Float(value) if value.is_finite() => Ok(value),
            Head::Float(_) => Err(super::not_finite()),
            other => Err(self.other_than("a number", &other, start)),
        }
    }

    fn number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        match self.head()? {
            Head::Integer(value) => Ok(Number::from(value)),
            Head::Float(value) => Number::from_f64(value).ok_or_else(super::not_finite),
            other => Err(self.other_than("a number", &other, start)),
        }
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        // Most text is short enough that its head is one byte.
        if let Some(head @ 0xa0..=0xbf) = self.bytes.get(start) {
            self.at += 1;
            return self.text((head & 31).into()).map(Cow::Borrowed);
        }
        match self.head()? {
            Head::Text(length) => self.text(length).map(Cow::Borrowed),
            other => Err(self.other_than("a string", &other, start)),
        }
    }

    #[inline]
    fn object(&mut self) -> Result<MsgPackLeft, Fault> {
        let start = self.at;
        match self.head()? {
            Head::Map(members) => {
                self.enter(start)?;
                Ok(MsgPackLeft(members))
            }
            other => Err(self.other_than("an object", &other, start)),
        }
    }

    fn key(&mut self, left: &mut MsgPackLeft) -> Result<Option<Cow<'a, str>>, Fault> {
        if !self.another(left) {
            return Ok(None);
        }
        self.name().map(|name| Some(Cow::Borrowed(name)))
    }

    #[inline]
    fn expect(&mut self, left: &mut MsgPackLeft, name: Name) -> bool {
        // The declared order, the shortest head.
        let text = name.as_str().as_bytes();
        let found = left.0 > 0
            && text.len() < 32
            && self.bytes.get(self.at..).is_some_and(|rest| {
                rest.first() == Some(&(0xa0 | text.len() as u8)) && rest[1..].starts_with(text)
            });
        if found {
            left.0 -= 1;
            self.at += 1 + text.len();
        }
        found
    }

    fn row(
        &mut self,
        left: &mut MsgPackLeft,
        members: &Members,
        next: usize,
    ) -> Result<Row<'a>, Fault> {
        if !self.another(left) {
            return Ok(Row::End);
        }
        Ok(Row::find(Cow::Borrowed(self.name()?), members, next))
    }

    #[inline]
    fn list(&mut self) -> Result<MsgPackLeft, Fault> {
        let start = self.at;
        match self.head()? {
            Head::Array(items) => {
                self.enter(start)?;
                Ok(MsgPackLeft(items))
            }
            other => Err(self.other_than("a list", &other, start)),
        }
    }

    #[inline]
    fn item(&mut self, left: &mut MsgPackLeft) -> Result<bool, Fault> {
        Ok(self.another(left))
    }

    fn skip(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match self.head()? {
            Head::Nil | Head::Boolean(_) | Head::Integer(_) | Head::Float(_) => {}
            Head::Text(length) => {
                self.text(length)?;
            }
            Head::Binary(length) => {
                self.taken(length as usize)?;
            }
            // One byte more, for the type.
            Head::Extension(length) => {
                self.taken(1)?;
                self.taken(length as usize)?;
            }
            Head::Array(items) => {
                self.enter(start)?;
                let mut left = MsgPackLeft(items);
                while self.another(&mut left) {
                    self.skip()?;
                }
            }
            Head::Map(members) => {
                self.enter(start)?;
                let mut left = MsgPackLeft(members);
                while self.another(&mut left) {
                    self.name()?;
                    self.skip()?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn mark(&self) -> MsgPackMark {
        MsgPackMark {
            at: self.at,
            depth: self.depth,
        }
    }

    fn rewind(&mut self, mark: MsgPackMark) {
        (self.at, self.depth) = (mark.at, mark.depth);
    }
}

/// Writes msgpack behind what a buffer holds already.
#[derive(Debug)]
pub struct MsgPackWriter<'a> {
    out: &'a mut Vec<u8>,
    depth: u32,
}

impl<'a> MsgPackWriter<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self::within(out, 0)
    }

    /// Writes a value that will stand `depth` levels deep.
    pub(crate) fn within(out: &'a mut Vec<u8>, depth: u32) -> Self {
        Self { out, depth }
    }

    /// A value that is msgpack already, from a codec of your own; its syntax is checked.
    pub fn raw(&mut self, msgpack: &[u8]) -> Result<(), Fault> {
        let mut reader = MsgPackReader::within(msgpack, 0, self.depth);
        reader.skip()?;
        reader.end()?;
        self.out.extend_from_slice(msgpack);
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::invalid("nested deeper than 128 levels"));
        }
        self.depth += 1;
        Ok(())
    }

    fn put(&mut self, head: u8, bytes: &[u8]) {
        self.out.push(head);
        self.out.extend_from_slice(bytes);
    }

    /// The head of a map or an array, whose short form holds up to 15 and whose wide forms are `wide` and the next.
    fn container(&mut self, short: u8, wide: u8, length: usize) -> Result<(), Fault> {
        self.enter()?;
        match length {
            0..16 => self.out.push(short | length as u8),
            _ => match u16::try_from(length) {
                Ok(length) => self.put(wide, &length.to_be_bytes()),
                Err(_) => self.put(wide + 1, &fits(length)?.to_be_bytes()),
            },
        }
        Ok(())
    }
}

fn fits(length: usize) -> Result<u32, Fault> {
    u32::try_from(length).map_err(|_| Fault::invalid("longer than msgpack can say"))
}

impl Writer for MsgPackWriter<'_> {
    type Object = ();
    type List = ();

    fn null(&mut self) -> Result<(), Fault> {
        self.out.push(0xc0);
        Ok(())
    }

    fn boolean(&mut self, value: bool) -> Result<(), Fault> {
        self.out.push(0xc2 | u8::from(value));
        Ok(())
    }

    fn integer(&mut self, value: i128) -> Result<(), Fault> {
        if let Ok(value) = u64::try_from(value) {
            match value {
                0..0x80 => self.out.push(value as u8),
                0x80..0x100 => self.put(0xcc, &[value as u8]),
                0x100..0x1_0000 => self.put(0xcd, &(value as u16).to_be_bytes()),
                0x1_0000..0x1_0000_0000 => self.put(0xce, &(value as u32).to_be_bytes()),
                _ => self.put(0xcf, &value.to_be_bytes()),
            }
        } else if let Ok(value) = i64::try_from(value) {
            match value {
                -0x20.. => self.out.push(value as u8),
                -0x80.. => self.put(0xd0, &(value as i8).to_be_bytes()),
                -0x8000.. => self.put(0xd1, &(value as i16).to_be_bytes()),
                -0x8000_0000.. => self.put(0xd2, &(value as i32).to_be_bytes()),
                _ => self.put(0xd3, &value.to_be_bytes()),
            }
        } else {
            return Err(Fault::invalid("msgpack has no integer of that size"));
        }
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<(), Fault> {
        if !value.is_finite() {
            return Err(super::not_finite());
        }
        self.put(0xcb, &value.to_be_bytes());
        Ok(())
    }

    fn number(&mut self, value: &Number) -> Result<(), Fault> {
        match value.as_spelled_integer() {
            Some(Ok(integer)) => self.integer(integer),
            Some(Err(fault)) => Err(fault),
            None => self.float(value.to_f64().ok_or_else(super::not_finite)?),
        }
    }

    fn string(&mut self, value: &str) -> Result<(), Fault> {
        match value.len() {
            length @ 0..32 => self.out.push(0xa0 | length as u8),
            length @ 32..0x100 => self.put(0xd9, &[length as u8]),
            length @ 0x100..0x1_0000 => self.put(0xda, &(length as u16).to_be_bytes()),
            length => self.put(0xdb, &fits(length)?.to_be_bytes()),
        }
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn object(&mut self, members: usize) -> Result<(), Fault> {
        self.container(0x80, 0xde, members)
    }

    fn member(&mut self, (): &mut (), name: &str) -> Result<(), Fault> {
        self.string(name)
    }

    fn end_object(&mut self, (): ()) -> Result<(), Fault> {
        self.depth -= 1;
        Ok(())
    }

    fn list(&mut self, items: usize) -> Result<(), Fault> {
        self.container(0x90, 0xdc, items)
    }

    fn item(&mut self, (): &mut ()) -> Result<(), Fault> {
        Ok(())
    }

    fn end_list(&mut self, (): ()) -> Result<(), Fault> {
        self.depth -= 1;
        Ok(())
    }
}
