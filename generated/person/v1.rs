// @generated from schemas/person.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: f1e85ca4eb0aa69216684d42 648d88042d4dd72763608f59

//! `person`, version 1.

/// Somebody that we know by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Person {
    /// Identifies the person, across all versions.
    pub uuid: ::logpipe::types::Uuid,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
}

::logpipe::wire! {
    struct Person open {
        uuid: "uuid" required;
        first_name: "first_name" required, max_chars(200);
        last_name: "last_name" required, max_chars(200);
    }
}

::logpipe::message! { Person = "person" version 1, of super::Any, key uuid; }
