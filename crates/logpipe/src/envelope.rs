//! What does a record's value hold? `<format>:<body>`, the body an object of type, version, message and producer.
//!
//! Nearly every sender writes the members in that order, without spaces: such a head is recognised byte by byte, the
//! message is decoded where it stands, and the tail is looked at last. Every other spelling is read member by member;
//! of duplicates the last wins. Where the two could differ the second has the word: a later duplicate that makes the
//! record another message ends in [`Failure::Reopen`].

use std::borrow::Cow;
#[cfg(feature = "json")]
use std::ops::Range;

#[cfg(all(feature = "msgpack", not(feature = "json")))]
use crate::codec::Writer as _;
use crate::codec::{Fault, Kind, Reader};
#[cfg(feature = "json")]
use crate::codec::{Json, JsonReader, JsonWriter, Writer as _};
#[cfg(feature = "msgpack")]
use crate::codec::{MsgPack, MsgPackReader, MsgPackWriter};
use crate::message::{Decode, Encode, Encodings, Format, Message};
use crate::rejected::{Failure, Invalid, Rejected, printable};
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

/// A message that is still encoded.
#[derive(Debug, Clone)]
pub struct Body<'a> {
    document: Document<'a>,
    message_type: Cow<'a, str>,
    version: u32,
    /// Where in the document the message begins.
    start: usize,
    /// The whole envelope was read; else only its head was.
    exact: bool,
}

/// What stands behind the colon.
#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    #[cfg(feature = "json")]
    Json(&'a str),
    #[cfg(feature = "msgpack")]
    MsgPack(&'a [u8]),
}

#[derive(Debug, Clone, Copy)]
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
        Text::Json(text) => json_head(text),
        #[cfg(feature = "msgpack")]
        Text::MsgPack(bytes) => msgpack_head(bytes),
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

/// A head in canonical form, seen before anything else is looked at: where a record may have to go. Whether the rest is an
/// envelope at all, [`open`] says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peeked<'a> {
    pub(crate) message_type: &'a str,
    pub(crate) version: u32,
    /// All that was looked at, from the format on: a value that begins with the same bytes has the same head.
    pub(crate) bytes: &'a [u8],
    /// For [`Opening::Behind`].
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

/// Opens a record's value, reading all of it first.
pub fn open_exact(value: Option<&[u8]>) -> Result<Envelope<'_>, Rejected> {
    Document::of(value)?.exact()
}

/// Writes a record's value. An empty producer id is left out.
pub fn seal<M: Message>(
    format: Format,
    message: &M,
    producer_id: &str,
) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::with_capacity(ROOM);
    seal_into(&mut out, format, message, producer_id)?;
    Ok(out)
}

/// As [`seal`], behind what `out` holds already; of a message that is refused, nothing is left in it.
pub(crate) fn seal_into<M: Message>(
    out: &mut Vec<u8>,
    format: Format,
    message: &M,
    producer_id: &str,
) -> Result<(), Invalid> {
    let start = out.len();
    let put = put(out, format, M::TYPE, M::VERSION, message, producer_id);
    put.inspect_err(|_| out.truncate(start))
}

/// Writes a record's value, as [`seal`], for a program without the message's type. It says of the message what it likes:
/// whether that is so is for the caller to know.
pub fn seal_value(
    format: Format,
    message_type: &str,
    version: u32,
    message: &Value,
    producer_id: &str,
) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::with_capacity(ROOM);
    put(
        &mut out,
        format,
        message_type,
        version,
        message,
        producer_id,
    )?;
    Ok(out)
}

/// Room for a small message, so that it grows no more than once or twice.
pub(crate) const ROOM: usize = 256;

#[inline]
fn put<M: Encodings>(
    out: &mut Vec<u8>,
    format: Format,
    message_type: &str,
    version: u32,
    message: &M,
    producer_id: &str,
) -> Result<(), Invalid> {
    out.extend_from_slice(format.code().as_bytes());
    out.push(b':');
    match format {
        #[cfg(feature = "json")]
        Format::Json => {
            out.extend_from_slice(TYPE);
            JsonWriter::new(out).string(message_type)?;
            out.extend_from_slice(VERSION);
            JsonWriter::new(out).integer(version.into())?;
            out.extend_from_slice(MESSAGE);
            Encode::<Json>::encode(message, &mut JsonWriter::within(out, 1))?;
            if !producer_id.is_empty() {
                out.extend_from_slice(b",\"producer\":");
                JsonWriter::new(out).string(producer_id)?;
            }
            out.push(b'}');
        }
        #[cfg(feature = "msgpack")]
        Format::MsgPack => {
            let mut writer = MsgPackWriter::new(out);
            writer.object(3 + usize::from(!producer_id.is_empty()))?;
            writer.string("type")?;
            writer.string(message_type)?;
            writer.string("version")?;
            writer.integer(version.into())?;
            writer.string("message")?;
            Encode::<MsgPack>::encode(message, &mut writer)?;
            if !producer_id.is_empty() {
                writer.string("producer")?;
                writer.string(producer_id)?;
            }
        }
    }
    Ok(())
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
                if bytes.first() == Some(&MSGPACK_WITH_PRODUCER) {
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

/// The members of an envelope that matter.
struct Head<'a> {
    message_type: Cow<'a, str>,
    version: u32,
    producer: Option<Cow<'a, str>>,
    start: usize,
}

impl<'a> Head<'a> {
    fn envelope(self, document: Document<'a>, exact: bool) -> Envelope<'a> {
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
fn json_head(text: &str) -> Option<Head<'_>> {
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
const TYPE: &[u8] = b"{\"type\":";
#[cfg(feature = "json")]
const VERSION: &[u8] = b",\"version\":";
#[cfg(feature = "json")]
const MESSAGE: &[u8] = b",\"message\":";

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

/// The heads of maps of three and of four members.
#[cfg(feature = "msgpack")]
const MSGPACK_WITHOUT_PRODUCER: u8 = 0x83;
#[cfg(feature = "msgpack")]
const MSGPACK_WITH_PRODUCER: u8 = 0x84;

#[cfg(feature = "msgpack")]
#[inline]
fn msgpack_head(bytes: &[u8]) -> Option<Head<'_>> {
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
fn members<'a, R: Reader<'a>>(reader: &mut R) -> Result<Result<Head<'a>, &'static str>, Fault> {
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
