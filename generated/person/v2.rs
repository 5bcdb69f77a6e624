// @generated from schemas/person.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: f1e85ca4eb0aa69216684d42 3f8d869c5102ecab971ce711

//! `person`, version 2.

/// Somebody that we know by name and can write to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Person {
    /// Identifies the person, across all versions.
    pub uuid: ::logpipe::types::Uuid,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Where to write to; new in version 2, and required.
    pub email: ::logpipe::types::Email,
}

::logpipe::wire! {
    struct Person open {
        uuid: "uuid" required;
        first_name: "first_name" required, max_chars(200);
        last_name: "last_name" required, max_chars(200);
        email: "email" required;
    }
}

::logpipe::message! { Person = "person" version 2, of super::Any, key uuid; }
