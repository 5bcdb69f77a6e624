// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 1a0d791c1d6a341261fb507b e99d781a15c8e75942618b9b

//! From the type and version of an envelope to the code that knows it.

/// Every schema of this crate, sorted by type and version.
pub static SCHEMAS: &[::logpipe::Schema] = &[
    ::logpipe::Schema { message_type: "golden.Shapes", version: 1, source: "schemas/shapes.v1.json", sha256: "a52db6bc84c5f738b5c824fba4a53e96a173c31cb9679916991b80eb28754565" },
];

static TABLE: ::logpipe::dispatch::Table = ::logpipe::dispatch::Table {
    seeds: &[0],
    slots: &[0],
};

/// The index in [`SCHEMAS`] of a type and version, in constant time.
#[must_use]
pub fn find(message_type: &str, version: u32) -> Option<usize> {
    TABLE.find(SCHEMAS, message_type, version)
}

/// Any message of this crate, for a loop of your own.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyMessage {
    /// `golden.Shapes`
    Shapes(super::shapes::Any),
}

impl ::logpipe::AnyOf for AnyMessage {
    const TYPES: &'static [(&'static str, &'static [u32])] = &[("golden.Shapes", &[1])];
    fn decode(
        message_type: &str,
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match find(message_type, version) {
            Some(0) => body.decode_any(version, Self::Shapes),
            _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => {
                Err(body.unknown_version())
            }
            _ => Err(body.unknown_type()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match *self {
            Self::Shapes(ref any) => ::logpipe::Versions::untyped(any),
        }
    }
}
