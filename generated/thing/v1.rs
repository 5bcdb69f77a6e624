// @generated from schemas/thing.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 6a640986fd09f83c2c26cf48 21d573df82f0afb8c5fa0d3f

//! `thing`, version 1.

/// Something that belongs to somebody, or to nobody yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
        uuid: "uuid" required;
        name: "name" required, min_chars(1), max_chars(200);
        owner: "owner" nullable;
        tags: "tags" optional, max_items(16), unique_items(), each(|item| ::logpipe::rules::pattern(item, r"^[a-z0-9\-]{1,32}$"));
    }
}

::logpipe::message! { Thing = "thing" version 1, of super::Any, key uuid; }
