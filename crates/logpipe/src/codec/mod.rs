//! How a typed value becomes bytes and bytes become a typed value, for every encoding at once.
//!
//! A type says once, through [`Wire`], which calls it makes on a [`Reader`] and a [`Writer`]; an encoding is a pair of
//! those two. Everything is generic over the pair, so that each (type, encoding) compiles to straight code, and there
//! is no tree of values in between.
//!
//! Why not serde: what stands on the wire is ours to decide down to the byte (Python's spelling of floats, the escape of
//! U+2028), an integer may be spelled `1.0` or `1e2`, an array is not a struct, a duplicate member is overruled by its
//! last spelling, and an error says path and reason without ever quoting the payload.

mod fault;
mod float;
#[cfg(feature = "json")]
pub(crate) mod json;
mod late;
mod members;
#[cfg(feature = "msgpack")]
pub(crate) mod msgpack;
#[doc(hidden)]
pub mod table;
mod values;

use std::borrow::Cow;
use std::fmt;

pub use fault::Fault;
pub(crate) use fault::Printable;
pub(crate) use float::FloatText;
#[cfg(feature = "json")]
pub use json::{Json, JsonReader, JsonWriter};
pub use late::Late;
pub use members::{Members, Name};
#[cfg(feature = "msgpack")]
pub use msgpack::{MsgPack, MsgPackReader, MsgPackWriter};

use crate::rules::Rule;
use crate::types::Number;

/// How deep values may nest, the envelope's own brace included. One level more is malformed.
pub const DEPTH_MAX: u32 = 128;

/// A value that can stand in a message. [`wire!`](crate::wire) writes it for generated types.
pub trait Wire: Sized {
    /// Reads one value. After an invalid value the reader may stand anywhere within it.
    fn read<'a, R: Reader<'a>>(reader: &mut R) -> Result<Self, Fault>;

    /// Writes one value. After a fault what was written so far is of no use.
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Fault>;

    /// The rules that the Rust type does not express by itself. Runs once per message, last when it is decoded and
    /// first when it is encoded; every value checks those inside it.
    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether it keeps a rule of the place that it stands in, which may be about its kind of value alone.
    fn keeps(&self, rule: &Rule) -> Result<(), Fault> {
        Err(rule.misplaced())
    }
}

/// A way to spell values as bytes.
pub trait Encoding {
    /// Reads it.
    type Reader<'a>: Reader<'a>;
    /// Writes it.
    type Writer<'a>: Writer;
}

/// Pulls one document apart, value by value, in the order of the bytes.
///
/// Every method that meets a value of another kind fails as invalid, or as malformed when there is no value at all.
/// Depth is bounded by [`DEPTH_MAX`], and nothing is allocated because a length says so.
pub trait Reader<'a>: Sized {
    /// A place to come back to.
    type Mark: Copy;
    /// What is left of an object or a list.
    type Left;

    /// The kind of the next value, which is not consumed.
    fn kind(&mut self) -> Result<Kind, Fault>;
    /// Consumes a null, if it is the next value.
    fn null(&mut self) -> Result<bool, Fault>;
    /// `true` or `false`.
    fn boolean(&mut self) -> Result<bool, Fault>;
    /// A number without a fraction, however it is spelled: `1.0` and `1e2` are integers.
    fn integer(&mut self) -> Result<i128, Fault>;
    /// A finite number, rounded to the nearest `f64`.
    fn float(&mut self) -> Result<f64, Fault>;
    /// A finite number, exactly.
    fn number(&mut self) -> Result<Number, Fault>;
    /// Text; borrowed where the bytes are the text.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault>;

    /// Enters an object.
    fn object(&mut self) -> Result<Self::Left, Fault>;
    /// The next member's name, or the end of the object. Its value has to be read before the next call.
    fn key(&mut self, left: &mut Self::Left) -> Result<Option<Cow<'a, str>>, Fault>;
    /// Whether the next member is this one in the spelling that nearly every sender uses: its value is next then, else
    /// the reader stands where it stood. `false` is always right, and slow.
    fn expect(&mut self, left: &mut Self::Left, name: Name) -> bool {
        let _ = (left, name);
        false
    }
    /// As `key`, for an object with declared members: `next` is the one that would follow in declared order.
    fn row(
        &mut self,
        left: &mut Self::Left,
        members: &Members,
        next: usize,
    ) -> Result<Row<'a>, Fault>;

    /// Enters a list.
    fn list(&mut self) -> Result<Self::Left, Fault>;
    /// Whether there is another item. It has to be read before the next call.
    fn item(&mut self, left: &mut Self::Left) -> Result<bool, Fault>;

    /// Reads over one value, checking its syntax.
    fn skip(&mut self) -> Result<(), Fault>;
    /// The byte that is next, from the start of the document.
    fn offset(&self) -> usize;
    /// This place.
    fn mark(&self) -> Self::Mark;
    /// Back to a place of the same document.
    fn rewind(&mut self, mark: Self::Mark);
}

/// Puts one document together.
pub trait Writer {
    /// An object that was begun.
    type Object;
    /// A list that was begun.
    type List;

    /// A null.
    fn null(&mut self) -> Result<(), Fault>;
    /// `true` or `false`.
    fn boolean(&mut self, value: bool) -> Result<(), Fault>;
    /// An integer.
    fn integer(&mut self, value: i128) -> Result<(), Fault>;
    /// A finite float; any other is invalid.
    fn float(&mut self, value: f64) -> Result<(), Fault>;
    /// A number of any size.
    fn number(&mut self, value: &Number) -> Result<(), Fault>;
    /// Text.
    fn string(&mut self, value: &str) -> Result<(), Fault>;

    /// Begins an object of that many members.
    fn object(&mut self, members: usize) -> Result<Self::Object, Fault>;
    /// The next member's name; its value follows.
    fn member(&mut self, object: &mut Self::Object, name: &str) -> Result<(), Fault>;
    /// As [`Self::member`], for one that the object declares.
    #[inline]
    fn declared(&mut self, object: &mut Self::Object, name: Name) -> Result<(), Fault> {
        self.member(object, name.as_str())
    }
    /// Ends it.
    fn end_object(&mut self, object: Self::Object) -> Result<(), Fault>;

    /// Begins a list of that many items.
    fn list(&mut self, items: usize) -> Result<Self::List, Fault>;
    /// The next item's value follows.
    fn item(&mut self, list: &mut Self::List) -> Result<(), Fault>;
    /// Ends it.
    fn end_list(&mut self, list: Self::List) -> Result<(), Fault>;
}

/// What stands in the document next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Null,
    Boolean,
    Number,
    String,
    List,
    Object,
    /// msgpack's `bin`.
    Binary,
    /// msgpack's `ext`, timestamps included.
    Extension,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Binary => "binary data",
            Self::Extension => "an extension type",
        })
    }
}

/// A member met in an object with declared members.
#[derive(Debug)]
pub enum Row<'a> {
    /// The index of its name in the table.
    Known(usize),
    /// Not declared.
    Unknown(Cow<'a, str>),
    /// The object ends.
    End,
}

impl<'a> Row<'a> {
    /// Looks a name up, beginning with the member that would be next.
    pub(crate) fn find(name: Cow<'a, str>, members: &Members, next: usize) -> Self {
        match members.find(&name, next) {
            Some(index) => Self::Known(index),
            None => Self::Unknown(name),
        }
    }
}

#[cold]
fn not_finite() -> Fault {
    Fault::invalid("not a finite number")
}

#[cfg(feature = "json")]
#[cold]
fn out_of_range() -> Fault {
    Fault::invalid("the number is out of range")
}
