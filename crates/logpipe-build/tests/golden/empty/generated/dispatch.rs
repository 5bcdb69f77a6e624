// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 53a7dd3801c13bbfaaec1773 f31a2725210c47894fa2a2a2

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
    fn key(&self) -> Option<::std::borrow::Cow<'_, [u8]>> {
        match *self {}
    }
    fn seal(
        &self,
        _format: ::logpipe::Format,
        _producer_id: &str,
    ) -> Result<Vec<u8>, ::logpipe::Invalid> {
        match *self {}
    }
}
