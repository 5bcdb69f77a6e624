//! What does the head of an envelope say: in canonical form, byte by byte, or in any other, member by member?

use std::borrow::Cow;
#[cfg(feature = "json")]
use std::ops::Range;

use super::{Body, Document, Envelope};
#[cfg(feature = "msgpack")]
use crate::codec::MsgPackReader;
use crate::codec::{Fault, Kind, Reader};

/// The members of an envelope that matter.
pub(super) struct Head<'a> {
    pub(super) message_type: Cow<'a, str>,
    pub(super) version: u32,
    pub(super) producer: Option<Cow<'a, str>>,
    pub(super) start: usize,
}

impl<'a> Head<'a> {
    #[inline]
    pub(super) fn envelope(self, document: Document<'a>, exact: bool) -> Envelope<'a> {
        Envelope {
            message_type: self.message_type.clone(),
            version: self.version,
            producer: self.producer,
            body: Body {
                document,
                message_type: self.message_type,
                version: self.version,
                start: self.start,
                exact,
            },
        }
    }
}

/// `{"type":"..","version":N,"message":`
#[cfg(feature = "json")]
#[inline]
pub(super) fn json(text: &str) -> Option<Head<'_>> {
    let (message_type, version, start) = canonical(text.as_bytes())?;
    Some(Head {
        message_type: Cow::Borrowed(text.get(message_type)?),
        version,
        producer: None,
        start,
    })
}

// The parts of a head in canonical form, around type and version.
#[cfg(feature = "json")]
pub(super) const TYPE: &[u8] = b"{\"type\":";
#[cfg(feature = "json")]
pub(super) const VERSION: &[u8] = b",\"version\":";
#[cfg(feature = "json")]
pub(super) const MESSAGE: &[u8] = b",\"message\":";

/// Where the type stands, the version, and where the message begins.
#[cfg(feature = "json")]
#[inline]
fn canonical(text: &[u8]) -> Option<(Range<usize>, u32, usize)> {
    let rest = text.strip_prefix(TYPE)?.strip_prefix(b"\"")?;
    let length = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    let rest = rest[length..].strip_prefix(b"\"")?.strip_prefix(VERSION)?;
    let digits = rest
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_digit());
    let (version, rest) = rest.split_at(digits.count());
    let rest = rest.strip_prefix(MESSAGE)?;
    if version.starts_with(b"0") {
        return None;
    }
    let version = std::str::from_utf8(version).ok()?.parse().ok()?;
    let start = TYPE.len() + 1;
    let message_type = start..start + length;
    Some((message_type, version, text.len() - rest.len()))
}

/// A head in canonical form, seen before anything else is looked at: where a record may have to go. Whether the rest is an
/// envelope at all, [`open`](super::open) says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peeked<'a> {
    pub(crate) message_type: &'a str,
    pub(crate) version: u32,
    /// All that was looked at, from the format on: a value that begins with the same bytes has the same head.
    pub(crate) bytes: &'a [u8],
    /// For [`Opening::Behind`](super::Opening::Behind).
    pub(crate) start: usize,
}

/// What the first bytes say, if they are in canonical form.
#[inline]
pub(crate) fn peek(value: &[u8]) -> Option<Peeked<'_>> {
    #[cfg(feature = "json")]
    if let Some(text) = value.strip_prefix(b"json:") {
        let (message_type, version, start) = canonical(text)?;
        return Some(Peeked {
            message_type: std::str::from_utf8(&text[message_type]).ok()?,
            version,
            bytes: &value[..value.len() - text.len() + start],
            start,
        });
    }
    let _ = value;
    None
}

/// The heads of maps of three and of four members.
#[cfg(feature = "msgpack")]
const MSGPACK_WITHOUT_PRODUCER: u8 = 0x83;
#[cfg(feature = "msgpack")]
pub(super) const MSGPACK_WITH_PRODUCER: u8 = 0x84;

#[cfg(feature = "msgpack")]
#[inline]
pub(super) fn msgpack(bytes: &[u8]) -> Option<Head<'_>> {
    if !matches!(
        bytes.first(),
        Some(&MSGPACK_WITHOUT_PRODUCER | &MSGPACK_WITH_PRODUCER)
    ) {
        return None;
    }
    let mut reader = MsgPackReader::within(bytes, 1, 1);
    if !reader.take(b"\xa4type") {
        return None;
    }
    let message_type = reader.string().ok()?;
    if !reader.take(b"\xa7version") {
        return None;
    }
    let version = version(&mut reader).ok()?.ok()?;
    reader.take(b"\xa7message").then(|| Head {
        message_type,
        version,
        producer: None,
        start: reader.offset(),
    })
}

/// The members of an envelope in any order; of duplicates the last wins. The inner error is a member that is missing or
/// is no value that an envelope can have.
pub(super) fn members<'a, R: Reader<'a>>(
    reader: &mut R,
) -> Result<Result<Head<'a>, &'static str>, Fault> {
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(Err("the envelope is not an object"));
    }
    let mut message_type = Err("the envelope has no type");
    let mut version = Err("the envelope has no version");
    let mut start = Err("the envelope has no message");
    let mut producer = None;
    let mut object = reader.object()?;
    while let Some(name) = reader.key(&mut object)? {
        match &*name {
            "type" if reader.kind()? == Kind::String => message_type = Ok(reader.string()?),
            "type" => {
                reader.skip()?;
                message_type = Err("the envelope's type is not a string");
            }
            "version" => version = self::version(reader)?,
            "message" => {
                start = Ok(reader.offset());
                reader.skip()?;
            }
            "producer" if reader.kind()? == Kind::String => producer = Some(reader.string()?),
            "producer" => {
                reader.skip()?;
                producer = None;
            }
            _ => reader.skip()?,
        }
    }
    Ok((|| {
        Ok(Head {
            message_type: message_type?,
            version: version?,
            producer,
            start: start?,
        })
    })())
}

/// A version as it equals one in Python, except that a boolean is none: `1`, `1.0`. What no schema can have is refused
/// here, so that it never waits for a deploy.
fn version<'a, R: Reader<'a>>(reader: &mut R) -> Result<Result<u32, &'static str>, Fault> {
    if reader.kind()? != Kind::Number {
        reader.skip()?;
        return Ok(Err("the envelope's version is not a number"));
    }
    let mark = reader.mark();
    let version = match reader.integer() {
        Err(fault) if fault.is_malformed() => return Err(fault),
        Err(_) => {
            reader.rewind(mark);
            reader.skip()?;
            None
        }
        Ok(version) => u32::try_from(version).ok().filter(|version| *version != 0),
    };
    Ok(version.ok_or("the envelope's version is not an integer from 1 to 4294967295"))
}
