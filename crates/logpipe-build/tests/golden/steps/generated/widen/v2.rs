// @generated from schemas/widen.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 22aaa93c04daeb5c4dcaa6b7 37416c0788c9a0ad21d59342

//! `widen`, version 2.

pub use super::v1::Address;
pub use super::v1::Code;

/// A `widen` message.
#[derive(Clone, PartialEq)]
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
    pub free: String,
    /// `label`.
    pub label: Option<String>,
    /// `code`.
    pub code: String,
    /// `count`.
    pub count: i64,
    /// `small`.
    pub small: f64,
    /// `maybe`.
    pub maybe: Option<Option<String>>,
    /// `option`.
    pub option: String,
    /// `plain`.
    pub plain: Code,
    /// `added`.
    pub added: Option<String>,
    /// `added_default`.
    pub added_default: i64,
    /// `maybe_small`.
    pub maybe_small: Option<u16>,
    /// `fallback`.
    pub fallback: u16,
    /// `spots`.
    pub spots: Option<Vec<Option<u16>>>,
    /// `notes`.
    pub notes: Option<Vec<Option<Note>>>,
    /// `notes_by_name`.
    pub notes_by_name: Option<::logpipe::types::Map<Option<Note>>>,
    /// `gaps`.
    pub gaps: Option<::logpipe::types::Map<Option<u16>>>,
    /// `codes`.
    pub codes: Option<Vec<Code>>,
    /// As version 2 says.
    pub tree: Option<Tree>,
    /// As version 2 says.
    pub words: Option<Option<Words>>,
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
    pub amount: i64,
    /// `currency`.
    pub currency: MoneyCurrency,
}

/// What `currency` holds in [`Money`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MoneyCurrency {
    /// `EUR`
    Eur,
    /// `USD`
    Usd,
}

/// What `kind` holds in [`Widen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WidenKind {
    /// `a`
    A,
    /// `b`
    B,
    /// `c`
    C,
}

/// The definition `note`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// `text`.
    pub text: Option<String>,
    /// `by`.
    pub by: Option<String>,
}

/// As version 2 says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tree(
    /// The value itself.
    pub Vec<Tree>,
);

/// As version 2 says.
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
        label: "label", max_chars(20);
        code: "code", min_chars(2);
        count: "count", min(0), max(100);
        small: "small";
        maybe: "maybe" optional_nullable;
        option: "option";
        plain: "plain";
        added: "added" optional;
        added_default: "added_default";
        maybe_small: "maybe_small" optional;
        fallback: "fallback";
        spots: "spots" optional;
        notes: "notes" optional;
        notes_by_name: "notes_by_name" optional;
        gaps: "gaps" optional;
        codes: "codes" optional;
        tree: "tree" optional;
        words: "words" optional_nullable;
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
        currency: "currency";
    }
}

::logpipe::wire! {
    enum MoneyCurrency closed {
        Eur = "EUR";
        Usd = "USD";
    }
}

::logpipe::wire! {
    enum WidenKind closed {
        A = "a";
        B = "b";
        C = "c";
    }
}

::logpipe::wire! {
    struct Note open {
        text: "text" optional;
        by: "by" optional;
    }
}

::logpipe::wire! {
    newtype Tree(Vec<Tree>);
}

::logpipe::wire! {
    newtype Words(::logpipe::types::Map<Option<Words>>);
}

::logpipe::message! { Widen = "widen" version 2, of super::Any; }
