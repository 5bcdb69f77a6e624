//! What is a message: a type with a name, a version and a key, that every encoding can carry.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::codec::{Encoding, Fault};
use crate::types::{Email, Timestamp, Uri, Uuid};
use crate::{Body, Failure, Invalid, envelope};

#[cfg(not(any(feature = "json", feature = "msgpack")))]
compile_error!("logpipe needs an encoding: turn on the feature `json` or `msgpack`");

/// One version of a message type.
///
/// Generated types implement it with [`message!`](crate::message). By hand: implement it beside
/// [`Wire`](crate::codec::Wire), which brings all encodings, or beside [`Encode`] and [`Decode`] for each of them.
pub trait Message: Encodings + Send + Sync + 'static {
    /// The type, as it stands in the envelope.
    const TYPE: &'static str;
    /// The version, 1 or above.
    const VERSION: u32;
    /// All versions of the type that this program knows.
    const VERSIONS: &'static [u32] = &[Self::VERSION];

    /// The key of its record; messages with equal keys stay in order. `None` spreads over all partitions.
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// All versions of a type: the generated `Any`.
pub trait Versions: Sized + Send + 'static {
    /// The type, as it stands in the envelope.
    const TYPE: &'static str;
    /// The versions that this program knows, ascending.
    const VERSIONS: &'static [u32];

    /// Decodes that version.
    fn decode(version: u32, body: Body<'_>) -> Result<Self, Failure>;

    /// The message of whichever version it is.
    fn untyped(&self) -> &dyn Untyped;

    /// The key of its record, as [`Message::key`].
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        self.untyped().key()
    }

    /// Writes it in its own version, as [`envelope::seal`].
    fn seal(&self, format: Format, producer_id: &str) -> Result<Vec<u8>, Invalid> {
        self.untyped().seal(format, producer_id)
    }
}

/// All types of a set of schemas: the generated `AnyMessage`.
pub trait AnyOf: Sized + Send + 'static {
    /// Each type with the versions that this program knows.
    const TYPES: &'static [(&'static str, &'static [u32])];

    /// Decodes that version of that type.
    fn decode(message_type: &str, version: u32, body: Body<'_>) -> Result<Self, Failure>;

    /// The message of whichever type and version it is.
    fn untyped(&self) -> &dyn Untyped;

    /// The key of its record, as [`Message::key`].
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        self.untyped().key()
    }

    /// Writes it in its own type and version, as [`envelope::seal`].
    fn seal(&self, format: Format, producer_id: &str) -> Result<Vec<u8>, Invalid> {
        self.untyped().seal(format, producer_id)
    }
}

/// What can be done with a message of any type and version. Every [`Message`] is one.
///
/// It lets an enum of messages have one match for all that is done with whichever it holds: each match more is one more
/// that the compiler has to check for every schema.
pub trait Untyped {
    /// The key of its record, as [`Message::key`].
    fn key(&self) -> Option<Cow<'_, [u8]>>;

    /// Writes it, as [`envelope::seal`].
    fn seal(&self, format: Format, producer_id: &str) -> Result<Vec<u8>, Invalid>;
}

impl<M: Message> Untyped for M {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        Message::key(self)
    }

    fn seal(&self, format: Format, producer_id: &str) -> Result<Vec<u8>, Invalid> {
        envelope::seal(format, self, producer_id)
    }
}

/// Writes a message in one encoding, after checking it.
pub trait Encode<E: Encoding> {
    /// Writes one value.
    fn encode(&self, writer: &mut E::Writer<'_>) -> Result<(), Fault>;
}

/// Reads a message in one encoding, and checks it.
pub trait Decode<E: Encoding>: Sized {
    /// Reads one value.
    fn decode(reader: &mut E::Reader<'_>) -> Result<Self, Fault>;
}

/// Both directions of one encoding.
pub trait Codec<E: Encoding>: Encode<E> + Decode<E> {}

impl<E: Encoding, T: Encode<E> + Decode<E>> Codec<E> for T {}

/// Every encoding that this build has.
#[cfg(all(feature = "json", feature = "msgpack"))]
pub trait Encodings: Codec<crate::codec::Json> + Codec<crate::codec::MsgPack> {}

#[cfg(all(feature = "json", feature = "msgpack"))]
impl<T: Codec<crate::codec::Json> + Codec<crate::codec::MsgPack>> Encodings for T {}

/// Every encoding that this build has.
#[cfg(all(feature = "json", not(feature = "msgpack")))]
pub trait Encodings: Codec<crate::codec::Json> {}

#[cfg(all(feature = "json", not(feature = "msgpack")))]
impl<T: Codec<crate::codec::Json>> Encodings for T {}

/// Every encoding that this build has.
#[cfg(all(feature = "msgpack", not(feature = "json")))]
pub trait Encodings: Codec<crate::codec::MsgPack> {}

#[cfg(all(feature = "msgpack", not(feature = "json")))]
impl<T: Codec<crate::codec::MsgPack>> Encodings for T {}

/// How messages are spelled, named by the code in front of a record's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `json:`
    #[cfg(feature = "json")]
    Json,
    /// `msgpack:`
    #[cfg(feature = "msgpack")]
    MsgPack,
}

impl Format {
    /// All of this build.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "json")]
        Self::Json,
        #[cfg(feature = "msgpack")]
        Self::MsgPack,
    ];

    /// What stands before the colon.
    pub const fn code(self) -> &'static str {
        match self {
            #[cfg(feature = "json")]
            Self::Json => "json",
            #[cfg(feature = "msgpack")]
            Self::MsgPack => "msgpack",
        }
    }
}

/// JSON where this build has it.
impl Default for Format {
    fn default() -> Self {
        Self::ALL[0]
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(code: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.iter().find(|format| format.code() == code);
        known.copied().ok_or_else(|| {
            let codes: Vec<_> = Self::ALL.iter().map(|format| format.code()).collect();
            Invalid {
                path: String::new(),
                reason: format!("must be one of {}", codes.join(", ")),
            }
        })
    }
}

/// A field that can key a record: the bytes are those of Python's `str()` in UTF-8.
pub trait Key {
    /// `None`, for a field that is null or absent: the record has no key.
    fn key(&self) -> Option<Cow<'_, [u8]>>;
}

macro_rules! displayed {
    ($($type:ty)*) => { $(
        impl Key for $type {
            fn key(&self) -> Option<Cow<'_, [u8]>> {
                Some(Cow::Owned(self.to_string().into_bytes()))
            }
        }
    )* };
}

displayed!(u8 u16 u32 u64 i8 i16 i32 i64 std::net::Ipv4Addr std::net::Ipv6Addr crate::types::Time crate::types::Duration);

macro_rules! spelled {
    ($($type:ty)*) => { $(
        impl Key for $type {
            fn key(&self) -> Option<Cow<'_, [u8]>> {
                Some(Cow::Borrowed(self.as_str().as_bytes()))
            }
        }
    )* };
}

spelled!(String Email Uri);

impl Key for bool {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(if *self { b"True" } else { b"False" }))
    }
}

impl Key for f64 {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        let text = crate::codec::FloatText::of(*self)?;
        Some(Cow::Owned(text.as_str().as_bytes().to_vec()))
    }
}

impl Key for Uuid {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        let mut text = Self::encode_buffer();
        Some(Cow::Owned(
            self.as_hyphenated()
                .encode_lower(&mut text)
                .as_bytes()
                .to_vec(),
        ))
    }
}

impl Key for crate::types::Date {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        let text = crate::types::Spelled::spell(self)?;
        Some(Cow::Owned(text.into_owned().into_bytes()))
    }
}

impl Key for Timestamp {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        crate::types::python_date_time(*self).map(|text| Cow::Owned(text.into_bytes()))
    }
}

impl<T: Key> Key for Option<T> {
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        self.as_ref()?.key()
    }
}

/// A definition with a name, around one value, which is the key.
#[doc(hidden)]
pub trait Newtype {
    /// What it is around.
    type Inner;

    /// The value.
    fn inner(&self) -> &Self::Inner;
}

impl<T> Newtype for Box<T> {
    type Inner = T;

    fn inner(&self) -> &T {
        self
    }
}

impl<N: Newtype> Key for N
where
    N::Inner: Key,
{
    fn key(&self) -> Option<Cow<'_, [u8]>> {
        self.inner().key()
    }
}
