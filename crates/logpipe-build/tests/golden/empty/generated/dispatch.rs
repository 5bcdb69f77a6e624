// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 3ea2120a1826630bf9e143f3 d8ce9c8f9bcb6ab3a0d4efa0

//! From the type and version of an envelope to the code that knows it.

/// Every schema of this crate, sorted by type and version.
pub static SCHEMAS: &[::logpipe::Schema] = &[];

static TABLE: ::logpipe::dispatch::Table = ::logpipe::dispatch::Table {
    seeds: &[],
    slots: &[],
};

/// The index in [`SCHEMAS`] of a type and version, in constant time.
#[must_use]
pub fn find(message_type: &str, version: u32) -> Option<usize> {
    TABLE.find(SCHEMAS, message_type, version)
}

/// Any message of this crate, for a loop of your own.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyMessage {}

impl ::logpipe::AnyOf for AnyMessage {
    const TYPES: &'static [(&'static str, &'static [u32])] = &[];
    fn decode(
        message_type: &str,
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match find(message_type, version) {
            _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => {
                Err(body.unknown_version())
            }
            _ => Err(body.unknown_type()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match *self {}
    }
}
