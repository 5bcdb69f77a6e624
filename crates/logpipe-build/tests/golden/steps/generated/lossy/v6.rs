// @generated from schemas/lossy.v6.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: d0205be559beb3a3c5ef6701 e3b5e9595181c72dd96556bc

//! `lossy`, version 6.

pub use super::v5::Address;

/// A `lossy` message.
#[derive(Clone, PartialEq, Eq, Hash)]
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
        id: "id";
        label: "label", max_chars(10);
        kind: "kind";
        maybe: "maybe";
        size: "size";
        address: "address" optional;
        many: "many";
        email_brace_x_unbrace: "email {x}";
    }
}

::logpipe::wire! {
    enum LossyKind closed {
        A = "a";
    }
}

::logpipe::message! { Lossy = "lossy" version 6, of super::Any, key id; }
