// @generated from schemas/lossy.v6.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: c408c286e1095480e87aba53 c762c29278aa39e3ae2c91d4

//! `lossy`, version 6.

pub use super::v5::Address;

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

::logpipe::message! { Lossy = "lossy" version 6, of super::Any, key id; }
