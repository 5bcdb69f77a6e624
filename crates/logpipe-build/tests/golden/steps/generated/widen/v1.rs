// @generated from schemas/widen.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 22aaa93c04daeb5c4dcaa6b7 c42c4b6595f7d9ef595f2f81

//! `widen`, version 1.

/// A `widen` message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Widen {
    /// `id`.
    pub id: String,
    /// `address`.
    pub address: Option<Address>,
    /// `chain`.
    pub chain: Option<Node>,
    /// `prices`.
    pub prices: Option<Vec<Money>>,
    /// `by_name`.
    pub by_name: Option<::logpipe::types::Map<Money>>,
    /// `kind`.
    pub kind: WidenKind,
    /// `free`.
    pub free: WidenFree,
    /// `label`.
    pub label: String,
    /// `code`.
    pub code: Code,
    /// `count`.
    pub count: i64,
    /// `small`.
    pub small: u8,
    /// `maybe`.
    pub maybe: Option<String>,
    /// `option`.
    pub option: Option<String>,
    /// `plain`.
    pub plain: String,
    /// `maybe_small`.
    pub maybe_small: Option<u8>,
    /// `fallback`.
    pub fallback: Option<u8>,
    /// `spots`.
    pub spots: Option<Vec<Option<u8>>>,
    /// `notes`.
    pub notes: Option<Vec<Option<Note>>>,
    /// `notes_by_name`.
    pub notes_by_name: Option<::logpipe::types::Map<Option<Note>>>,
    /// `gaps`.
    pub gaps: Option<::logpipe::types::Map<u8>>,
    /// `codes`.
    pub codes: Option<Vec<String>>,
    /// As version 1 says.
    pub tree: Option<Tree>,
    /// As version 1 says.
    pub words: Option<Option<Words>>,
}

/// The definition `address`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `street`.
    pub street: String,
    /// `zip`.
    pub zip: Option<String>,
}

/// The definition `node`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// `value`.
    pub value: Money,
    /// `next`.
    pub next: Option<Box<Node>>,
}

/// The definition `money`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Money {
    /// `amount`.
    pub amount: u8,
}

/// What `kind` holds in [`Widen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WidenKind {
    /// `a`
    A,
    /// `b`
    B,
}

/// What `free` holds in [`Widen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WidenFree {
    /// `x`
    X,
    /// `y`
    Y,
}

/// The definition `code`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Code(
    /// The value itself.
    pub String,
);

/// The definition `note`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// `text`.
    pub text: Option<String>,
}

/// As version 1 says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tree(
    /// The value itself.
    pub Vec<Tree>,
);

/// As version 1 says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Words(
    /// The value itself.
    pub ::logpipe::types::Map<Option<Words>>,
);

::logpipe::wire! {
    struct Widen open {
        id: "id";
        address: "address" optional;
        chain: "chain" optional;
        prices: "prices" optional;
        by_name: "by_name" optional;
        kind: "kind";
        free: "free";
        label: "label", max_chars(10);
        code: "code";
        count: "count", min(1), max(10);
        small: "small";
        maybe: "maybe";
        option: "option" optional;
        plain: "plain", min_chars(5);
        maybe_small: "maybe_small" optional;
        fallback: "fallback" optional;
        spots: "spots" optional;
        notes: "notes" optional;
        notes_by_name: "notes_by_name" optional;
        gaps: "gaps" optional;
        codes: "codes" optional, each(&[::logpipe::rules::Rule::min_chars(3)]);
        tree: "tree" optional;
        words: "words" optional_nullable;
    }
}

::logpipe::wire! {
    struct Address open {
        street: "street";
        zip: "zip" optional, max_chars(5);
    }
}

::logpipe::wire! {
    struct Node open {
        value: "value";
        next: "next" optional;
    }
}

::logpipe::wire! { boxed Node; }

::logpipe::wire! {
    struct Money open {
        amount: "amount";
    }
}

::logpipe::wire! {
    enum WidenKind closed {
        A = "a";
        B = "b";
    }
}

::logpipe::wire! {
    enum WidenFree closed {
        X = "x";
        Y = "y";
    }
}

::logpipe::wire! {
    newtype Code(String), min_chars(3);
}

::logpipe::wire! {
    struct Note open {
        text: "text" optional;
    }
}

::logpipe::wire! {
    newtype Tree(Vec<Tree>);
}

::logpipe::wire! {
    newtype Words(::logpipe::types::Map<Option<Words>>);
}

::logpipe::message! { Widen = "widen" version 1, of super::Any; }
