// @generated from schemas/lossy.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: d0205be559beb3a3c5ef6701 2e684504f5c29b147909c9b8

//! `lossy`, version 2.

/// A `lossy` message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Lossy {
    /// `id`.
    pub id: String,
    /// `gone`.
    pub gone: Option<String>,
    /// `label`.
    pub label: String,
    /// `kind`.
    pub kind: LossyKind,
    /// `maybe`.
    pub maybe: Option<String>,
    /// `size`.
    pub size: i64,
    /// `address`.
    pub address: Option<Address>,
    /// `many`.
    pub many: Vec<Option<i64>>,
    /// Members that the schema does not declare.
    pub unknown: ::logpipe::types::Map<::logpipe::types::Value>,
}

/// What `kind` holds in [`Lossy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossyKind {
    /// `a`
    A,
    /// `b`
    B,
}

/// The definition `address`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `street`.
    pub street: String,
    /// `zip`.
    pub zip: Option<String>,
}

::logpipe::wire! {
    struct Lossy keep(unknown) {
        id: "id";
        gone: "gone" optional;
        label: "label", max_chars(20);
        kind: "kind";
        maybe: "maybe" optional;
        size: "size";
        address: "address" optional;
        many: "many";
    }
}

::logpipe::wire! {
    enum LossyKind closed {
        A = "a";
        B = "b";
    }
}

::logpipe::wire! {
    struct Address open {
        street: "street";
        zip: "zip" optional, max_chars(5);
    }
}

::logpipe::message! { Lossy = "lossy" version 2, of super::Any, key id; }
