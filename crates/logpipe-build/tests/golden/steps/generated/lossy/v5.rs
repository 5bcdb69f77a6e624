// @generated from schemas/lossy.v5.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: d0205be559beb3a3c5ef6701 f2467dd1f9deabb051b8a203

//! `lossy`, version 5.

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

/// The definition `address`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `street`.
    pub street: String,
    /// `zip`.
    pub zip: Option<String>,
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

::logpipe::wire! {
    struct Address open {
        street: "street", max_chars(40);
        zip: "zip" optional, max_chars(5);
    }
}

::logpipe::message! { Lossy = "lossy" version 5, of super::Any, key id; }
