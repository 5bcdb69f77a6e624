// @generated from schemas/person.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: af7d7a035f648cb0f1d450f7 5f6e12018545aadab9430725

//! `person`, version 2.

/// Somebody that we know by name and can write to.
#[derive(Clone, PartialEq, Eq, Hash)]
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
        uuid: "uuid";
        first_name: "first_name", max_chars(200);
        last_name: "last_name", max_chars(200);
        email: "email";
    }
}

::logpipe::message! { Person = "person" version 2, of super::Any, key uuid; }
