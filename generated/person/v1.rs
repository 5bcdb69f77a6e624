// @generated from schemas/person.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: af7d7a035f648cb0f1d450f7 ae3e1e64c118ba47ea8e5ac1

//! `person`, version 1.

/// Somebody that we know by name.
#[derive(Clone, PartialEq, Eq, Hash)]
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
        uuid: "uuid";
        first_name: "first_name", max_chars(200);
        last_name: "last_name", max_chars(200);
    }
}

::logpipe::message! { Person = "person" version 1, of super::Any, key uuid; }
