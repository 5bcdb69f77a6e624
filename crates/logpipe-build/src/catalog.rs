//! What the schemas mean: messages, types and fields, as plain data that knows no schema format.
//!
//! `lower` fills it, `name` and `layout` complete it, `check` judges it, `emit` only reads it. Order is the order of
//! the sources (messages by wire name, then version; fields as declared), never that of a hash.
//!
//! To come, each an arm that only `lower` and `emit` have to learn: unions, tuples, fixed, decimal, bytes, trial
//! branches with an embedded sub-schema, Avro's aliases.

use crate::source::Span;

/// Everything that one build generates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// By module name, then version.
    pub messages: Vec<Message>,
    /// The arena that [`TypeId`] points into.
    pub types: Vec<Type>,
}

/// Index into [`Catalog::types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub usize);

/// One schema file that is a message: a type at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The type as it stands in the envelope: `com.acme.Person`.
    pub wire: String,
    /// The module that holds its versions: `com_acme_person`.
    pub rust: String,
    /// 1 or above.
    pub version: u32,
    /// The type of the message itself; always a struct.
    pub root: TypeId,
    /// Index of the root's field that keys the record.
    pub key: Option<usize>,
    /// The file, relative to the folder above `schemas`: `schemas/person.v1.json`.
    pub source: String,
    /// What the text of this message was.
    pub hashes: Hashes,
}

/// Digests over LF-normalised text, in lower-case hex.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hashes {
    /// SHA-256 of the schema file.
    pub content: String,
    /// SHA-256 of every other file that its references reach, as (path, digest), sorted.
    pub references: Vec<(String, String)>,
}

/// A Rust type to define: a struct, a closed set of strings, or a scalar with a name and rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// Upper camel case; unique within its home. Empty until the naming step, which reads `hint`.
    pub name: String,
    /// Where the name comes from.
    pub hint: Hint,
    /// The message version whose module defines it. Later versions with an equal type re-export it.
    pub home: Home,
    /// Where it stands in the schemas.
    pub origin: Origin,
    /// Title and description.
    pub docs: Docs,
    /// What it holds.
    pub shape: Shape,
}

/// Who a type is named after.
#[derive(Debug, Clone, PartialEq)]
pub enum Hint {
    /// The message itself.
    Message,
    /// A definition, by its key in `$defs` or by the file that it is the root of.
    Definition(String),
    /// An anonymous type: its parent, and the field, item or value it stands in.
    Within(TypeId, String),
}

/// The module that defines a type: `generated/<module>/v<version>.rs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    /// As [`Message::rust`].
    pub module: String,
    /// As [`Message::version`].
    pub version: u32,
}

/// A place in the schemas folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The file, as [`Message::source`].
    pub source: String,
    /// JSON pointer within it: `/$defs/address`.
    pub pointer: String,
    /// The bytes of its text.
    pub span: Span,
}

/// Text for people. It reaches generated code as doc attributes only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Docs {
    /// `title`.
    pub title: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `deprecated: true`.
    pub deprecated: bool,
}

/// What a defined type holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// An object with declared members.
    Struct {
        /// As declared.
        fields: Vec<Field>,
        /// What happens to members that are not declared.
        unknown: Unknown,
        /// Rules on the object as a whole: counts of its members.
        checks: Vec<Check>,
    },
    /// A set of strings.
    Enum {
        /// As declared.
        variants: Vec<Variant>,
        /// `"unknown-values": "keep"`: any other string is kept in `Other(String)`.
        other: bool,
    },
    /// A definition that is a scalar, list or map with rules: its author gave it a name.
    Newtype(Rules),
}

/// Members of an object that its schema does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Read over.
    Ignore,
    /// `additionalProperties: false`: the message is invalid.
    Reject,
    /// `"unknown-fields": "keep"`: carried along in a last field.
    Keep,
}

/// One string of an enum.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// As it stands in the message.
    pub wire: String,
    /// Upper camel case; empty until the naming step.
    pub rust: String,
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The member's name.
    pub wire: String,
    /// Snake case, keywords with a trailing `_`; empty until the naming step.
    pub rust: String,
    /// The value's type and the rules it has to keep where it is used.
    pub value: Rules,
    /// Whether it may be absent, null or both.
    pub presence: Presence,
    /// `default`: read by `x_or_default()` and by generated upcasts, never by the codec.
    pub default: Option<Value>,
    /// Set by layout where the type would contain itself.
    pub boxed: bool,
    /// Title and description.
    pub docs: Docs,
    /// Where it stands.
    pub origin: Origin,
}

/// Null apart from absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// `T`: there, and not null.
    Required,
    /// `Option<T>`: may be absent, never null.
    Optional,
    /// `Option<T>`: always there, may be null.
    Nullable,
    /// `Option<Option<T>>`: outer for absent, inner for null.
    OptionalNullable,
}

/// A type together with the rules that its values keep in this place.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The Rust type.
    pub ty: Ty,
    /// In the order in which they are checked.
    pub checks: Vec<Check>,
}

/// A use of a type.
#[derive(Debug, Clone, PartialEq)]
pub enum Ty {
    /// `bool`
    Bool,
    /// The smallest Rust integer that is exactly the range the schema allows, else `i64`.
    Integer(Integer),
    /// `f64`
    Number,
    /// `String`
    String,
    /// A format that asserts, with a library type.
    Format(Format),
    /// `Vec<T>`; the rules are those of each item. A null item is `Option<T>`.
    List(Box<Item>),
    /// `types::Map<T>`, in the order of the message; the rules are those of each value.
    Map(Box<Item>),
    /// A type of the arena.
    Named(TypeId),
    /// Any JSON value: an empty schema, or `true`.
    Any,
}

/// An item of a list or a value of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its type and rules.
    pub value: Rules,
    /// Whether it may be null.
    pub nullable: bool,
}

/// Rust's integer types, as far as a schema's bounds can be exactly theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Integer {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
}

/// Formats that assert; each is one module of the run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Uuid,
    DateTime,
    Date,
    Time,
    Duration,
    Email,
    Uri,
    Ipv4,
    Ipv6,
}

/// One rule that Rust's type does not express by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// `minLength`, in code points.
    MinChars(u64),
    /// `maxLength`, in code points.
    MaxChars(u64),
    /// `pattern`: an unanchored search, in the syntax of the regex crate (translated by lower).
    Pattern {
        /// As the schema spells it, for messages.
        schema: String,
        /// As the regex crate spells it.
        regex: String,
    },
    /// `minimum`, an exact decimal.
    Min(Decimal),
    /// `maximum`.
    Max(Decimal),
    /// `exclusiveMinimum`.
    Above(Decimal),
    /// `exclusiveMaximum`.
    Below(Decimal),
    /// `multipleOf`, above zero.
    MultipleOf(Decimal),
    /// `minItems`.
    MinItems(u64),
    /// `maxItems`.
    MaxItems(u64),
    /// `uniqueItems`.
    UniqueItems,
    /// `minProperties`; on maps and on objects.
    MinProperties(u64),
    /// `maxProperties`.
    MaxProperties(u64),
    /// `const`, of a boolean, integer or number. A const string is an enum of one.
    Const(Value),
}

/// A number as the schema spells it, normalised: `digits * 10^exponent`, no trailing zero in digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Below zero.
    pub negative: bool,
    /// Without leading zeros; `0` for zero.
    pub digits: String,
    /// Power of ten.
    pub exponent: i32,
}

/// A JSON value from a schema (`default`, `const`); objects in order.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Decimal),
    String(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}
