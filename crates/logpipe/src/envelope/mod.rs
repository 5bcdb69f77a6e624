//! What does a record's value hold? `<format>:<body>`, the body an object of type, version, message and producer.
//!
//! Nearly every sender writes the members in that order, without spaces: such a head is recognised byte by byte, the
//! message is decoded where it stands, and the tail is looked at last. Every other spelling is read member by member;
//! of duplicates the last wins. Where the two could differ the second has the word: a later duplicate that makes the
//! record another message ends in [`Failure::Reopen`].

mod head;
mod seal;

use std::borrow::Cow;
use std::fmt;

pub(crate) use self::head::peek;
use self::head::{Head, members};
pub(crate) use self::seal::{ROOM, seal_into};
pub use self::seal::{seal, seal_value};
use crate::codec::{Fault, Reader};
#[cfg(feature = "json")]
use crate::codec::{Json, JsonReader};
#[cfg(feature = "msgpack")]
use crate::codec::{MsgPack, MsgPackReader};
use crate::message::{Decode, Encodings, Format, Message, Versions};
use crate::rejected::{Failure, Rejected, printable};
use crate::types::Value;

/// An opened record: what it says it is, and the message still encoded.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The message type.
    pub message_type: Cow<'a, str>,
    /// Its version.
    pub version: u32,
    /// Who sent it, where it says so in a string; only [`open_exact`] reads that far.
    pub producer: Option<Cow<'a, str>>,
    /// The rest.
    pub body: Body<'a>,
}

/// A message that is still encoded. Shown for debugging it is type and version alone: the rest is payload.
#[derive(Clone)]
pub struct Body<'a> {
    document: Document<'a>,
    message_type: Cow<'a, str>,
    version: u32,
    /// Where in the document the message begins.
    start: usize,
    /// The whole envelope was read; else only its head was.
    exact: bool,
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("message_type", &self.message_type)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What stands behind the colon.
#[derive(Clone, Copy)]
enum Text<'a> {
    #[cfg(feature = "json")]
    Json(&'a str),
    #[cfg(feature = "msgpack")]
    MsgPack(&'a [u8]),
}

#[derive(Clone, Copy)]
struct Document<'a> {
    text: Text<'a>,
    /// Where in the record's value it begins.
    base: usize,
}

/// How several records begin that a Kinesis Producer Library put into one. No envelope begins so.
const AGGREGATE: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// Opens a record's value, `None` for a tombstone.
///
/// A head in canonical form is believed for now: [`Body::decode`] reads the rest.
#[inline]
pub fn open(value: Option<&[u8]>) -> Result<Envelope<'_>, Rejected> {
    let document = Document::of(value)?;
    let head = match document.text {
        #[cfg(feature = "json")]
        Text::Json(text) => head::json(text),
        #[cfg(feature = "msgpack")]
        Text::MsgPack(bytes) => head::msgpack(bytes),
    };
    match head {
        Some(head) => Ok(head.envelope(document, false)),
        None => document.exact(),
    }
}

/// How to open the envelope of a record whose type and version were looked at before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The head is in canonical form, and the message begins so far behind the format and its colon.
    Behind(usize),
    /// As [`open`] does.
    Head,
    /// The head can't be believed: as [`open_exact`] does.
    Exact,
}

/// Opens a record's value whose head was looked at before.
#[inline]
pub(crate) fn open_again<'a>(
    value: Option<&'a [u8]>,
    opening: Opening,
    message_type: &'a str,
    version: u32,
) -> Result<Envelope<'a>, Rejected> {
    let start = match opening {
        Opening::Behind(start) => start,
        Opening::Head => return open(value),
        Opening::Exact => return open_exact(value),
    };
    let head = Head {
        message_type: Cow::Borrowed(message_type),
        version,
        producer: None,
        start,
    };
    Ok(head.envelope(Document::of(value)?, false))
}

/// Opens a record's value, reading all of it first.
pub fn open_exact(value: Option<&[u8]>) -> Result<Envelope<'_>, Rejected> {
    Document::of(value)?.exact()
}

impl<'a> Body<'a> {
    /// The message type.
    pub fn message_type(&self) -> &str {
        &self.message_type
    }

    /// Its version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The encoding.
    pub fn format(&self) -> Format {
        match self.document.text {
            #[cfg(feature = "json")]
            Text::Json(_) => Format::Json,
            #[cfg(feature = "msgpack")]
            Text::MsgPack(_) => Format::MsgPack,
        }
    }

    /// Decodes and checks the message. Whether its type and version are those of `M` is for the caller to know.
    pub fn decode<M: Message>(self) -> Result<M, Failure> {
        self.read()
    }

    /// As [`decode`](Self::decode), as one of several versions.
    #[inline]
    pub fn decode_as<M: Message, A>(self, one: fn(M) -> A) -> Result<A, Failure> {
        self.read().map(one)
    }

    /// As [`decode`](Self::decode), of the type's version with that number, as one of several types.
    #[inline]
    pub fn decode_any<V: Versions, A>(self, version: u32, one: fn(V) -> A) -> Result<A, Failure> {
        V::decode(version, self).map(one)
    }

    /// Decodes the message as it is, without a schema.
    pub fn value(self) -> Result<Value, Failure> {
        self.read()
    }

    /// The bytes of the message, in its encoding.
    pub fn raw(self) -> Result<&'a [u8], Failure> {
        let body = self.reread()?;
        let raw = match body.document.text {
            #[cfg(feature = "json")]
            Text::Json(text) => JsonReader::within(text, body.start, 1)
                .raw()
                .map(str::as_bytes),
            #[cfg(feature = "msgpack")]
            Text::MsgPack(bytes) => MsgPackReader::within(bytes, body.start, 1).raw(),
        };
        raw.map_err(|fault| body.rejected(fault).into())
    }

    /// The rejection for a type that nobody knows; unless the envelope as a whole says something else.
    pub fn unknown_type(self) -> Failure {
        self.unknown(|message_type, version| Rejected::UnknownType {
            message_type,
            version,
        })
    }

    /// The rejection for a version that nobody knows; unless the envelope as a whole says something else.
    pub fn unknown_version(self) -> Failure {
        self.unknown(|message_type, version| Rejected::UnknownVersion {
            message_type,
            version,
        })
    }

    /// Whether the envelope as a whole is what its head says: to be asked before a record is let go undecoded.
    pub fn confirm(&self) -> Result<(), Failure> {
        self.clone().reread().map(|_| ())
    }

    fn unknown(self, rejected: impl FnOnce(String, u32) -> Rejected) -> Failure {
        match self.reread() {
            Ok(body) => rejected(printable(&body.message_type), body.version).into(),
            Err(failure) => failure,
        }
    }

    fn read<T: Encodings>(self) -> Result<T, Failure> {
        if !self.exact
            && let Some(message) = self.quick()
        {
            return Ok(message);
        }
        // Invalid, malformed, or spelled in an unusual way: the whole envelope decides.
        let body = self.reread()?;
        body.at_start().map_err(|fault| body.rejected(fault).into())
    }

    /// The message behind a canonical head, if all of it and the tail are as they nearly always are.
    #[inline]
    fn quick<T: Encodings>(&self) -> Option<T> {
        match self.document.text {
            #[cfg(feature = "json")]
            Text::Json(text) => {
                let mut reader = JsonReader::within(text, self.start, 1);
                let message = <T as Decode<Json>>::decode(&mut reader).ok()?;
                if reader.take(b",\"producer\":") {
                    reader.string().ok()?;
                }
                (reader.take(b"}") && reader.end().is_ok()).then_some(message)
            }
            #[cfg(feature = "msgpack")]
            Text::MsgPack(bytes) => {
                let mut reader = MsgPackReader::within(bytes, self.start, 1);
                let message = <T as Decode<MsgPack>>::decode(&mut reader).ok()?;
                if bytes.first() == Some(&head::MSGPACK_WITH_PRODUCER) {
                    if !reader.take(b"\xa8producer") {
                        return None;
                    }
                    reader.string().ok()?;
                }
                reader.end().is_ok().then_some(message)
            }
        }
    }

    fn at_start<T: Encodings>(&self) -> Result<T, Fault> {
        match self.document.text {
            #[cfg(feature = "json")]
            Text::Json(text) => {
                <T as Decode<Json>>::decode(&mut JsonReader::within(text, self.start, 1))
            }
            #[cfg(feature = "msgpack")]
            Text::MsgPack(bytes) => {
                <T as Decode<MsgPack>>::decode(&mut MsgPackReader::within(bytes, self.start, 1))
            }
        }
    }

    /// This body, with the whole envelope read.
    #[cold]
    fn reread(self) -> Result<Self, Failure> {
        if self.exact {
            return Ok(self);
        }
        let envelope = self.document.exact()?;
        if envelope.message_type != self.message_type || envelope.version != self.version {
            return Err(Failure::Reopen);
        }
        Ok(envelope.body)
    }

    fn rejected(&self, fault: Fault) -> Rejected {
        if fault.is_malformed() {
            return self.document.malformed(&fault);
        }
        Rejected::Invalid {
            message_type: printable(&self.message_type),
            version: self.version,
            invalid: fault.into(),
        }
    }
}

impl<'a> Document<'a> {
    #[inline]
    fn of(value: Option<&'a [u8]>) -> Result<Self, Rejected> {
        let value = value.ok_or(Rejected::Tombstone)?;
        if value.starts_with(&AGGREGATE) {
            return Err(Rejected::Aggregated);
        }
        let colon = memchr::memchr(b':', value)
            .ok_or_else(|| Rejected::malformed("no colon between the format and the body"))?;
        let (code, body) = (&value[..colon], &value[colon + 1..]);
        let base = colon + 1;
        match code {
            #[cfg(feature = "json")]
            b"json" => match std::str::from_utf8(body) {
                Ok(text) => Ok(Self {
                    text: Text::Json(text),
                    base,
                }),
                Err(error) => Err(Rejected::Malformed {
                    offset: Some(base + error.valid_up_to()),
                    reason: "text that is not UTF-8".into(),
                }),
            },
            #[cfg(feature = "msgpack")]
            b"msgpack" => Ok(Self {
                text: Text::MsgPack(body),
                base,
            }),
            other => Err(Rejected::UnknownFormat {
                code: printable_code(other),
            }),
        }
    }

    /// Reads all of the envelope.
    #[cold]
    fn exact(self) -> Result<Envelope<'a>, Rejected> {
        let head = match self.text {
            #[cfg(feature = "json")]
            Text::Json(text) => {
                if text.starts_with('\u{feff}') {
                    let fault = Fault::malformed(0, "a byte order mark");
                    return Err(self.malformed(&fault));
                }
                let mut reader = JsonReader::new(text);
                members(&mut reader).and_then(|head| reader.end().map(|()| head))
            }
            #[cfg(feature = "msgpack")]
            Text::MsgPack(bytes) => {
                let mut reader = MsgPackReader::new(bytes);
                members(&mut reader).and_then(|head| reader.end().map(|()| head))
            }
        };
        match head.map_err(|fault| self.malformed(&fault))? {
            Ok(head) => Ok(head.envelope(self, true)),
            Err(reason) => Err(Rejected::malformed(reason)),
        }
    }

    fn malformed(&self, fault: &Fault) -> Rejected {
        Rejected::Malformed {
            offset: fault.offset().map(|offset| self.base + offset),
            reason: Cow::Owned(fault.reason().to_owned()),
        }
    }
}

/// A format's code, where it is fit to print.
fn printable_code(code: &[u8]) -> Option<String> {
    let is_fit = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if !(1..=32).contains(&code.len()) || !code.iter().all(is_fit) {
        return None;
    }
    std::str::from_utf8(code).ok().map(str::to_owned)
}
