// @generated from schemas/thing.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 0a6ffeef58ba14f105b7e27f 8a6f96594843eb5b5e1851f5

//! `thing`, version 1.

/// Something that belongs to somebody, or to nobody yet.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Thing {
    /// Identifies the thing.
    pub uuid: ::logpipe::types::Uuid,
    /// What it is.
    pub name: String,
    /// The person it belongs to; null for nobody.
    pub owner: Option<::logpipe::types::Uuid>,
    /// Lower-case words to find it by.
    pub tags: Option<Vec<String>>,
}

::logpipe::wire! {
    struct Thing open {
        uuid: "uuid";
        name: "name", min_chars(1), max_chars(200);
        owner: "owner";
        tags: "tags" optional, max_items(16), unique_items(), each(&[::logpipe::rules::Rule::pattern(r"^[a-z0-9\-]{1,32}$")]);
    }
}

::logpipe::message! { Thing = "thing" version 1, of super::Any, key uuid; }
