// @generated from schemas/lossy.v5.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: c408c286e1095480e87aba53 5d6e32ac76c79e77e8d62080

//! `lossy`, version 5.

/// A `lossy` message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lossy {
    /// `id`.
    pub id: String,
    /// `label`.
    pub label: String,
    /// `kind`.
    pub kind: LossyKind,
    /// `maybe`.
    pub maybe: String,
    /// `size`.
    pub size: String,
    /// `address`.
    pub address: Option<Address>,
    /// `many`.
    pub many: Vec<i64>,
    /// `email {x}`.
    pub email_brace_x_unbrace: String,
}

/// What `kind` holds in [`Lossy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossyKind {
    /// `a`
    A,
}

/// The definition `address`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `street`.
    pub street: String,
    /// `zip`.
    pub zip: Option<String>,
}

::logpipe::wire! {
    struct Lossy open {
        id: "id" required;
        label: "label" required, max_chars(10);
        kind: "kind" required;
        maybe: "maybe" required;
        size: "size" required;
        address: "address" optional;
        many: "many" required;
        email_brace_x_unbrace: "email {x}" required;
    }
}

::logpipe::wire! {
    enum LossyKind closed {
        A = "a";
    }
}

::logpipe::wire! {
    struct Address open {
        street: "street" required, max_chars(40);
        zip: "zip" optional, max_chars(5);
    }
}

::logpipe::message! { Lossy = "lossy" version 5, of super::Any, key id; }
