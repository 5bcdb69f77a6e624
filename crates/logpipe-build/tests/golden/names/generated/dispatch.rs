// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 088294a7abfae60720ec14a1 55cc5de84a2488337690a209

//! From the type and version of an envelope to the code that knows it.

/// Every schema of this crate, sorted by type and version.
pub static SCHEMAS: &[::logpipe::Schema] = &[
    ::logpipe::Schema { message_type: "x\";}{Self}/`y`*/", version: 1, source: "schemas/com.acme.Type-of.v1.json", sha256: "4052df8470f5ab1701c6bcf7bd875ceaee0ff251e792c7af216aaa35a47a9d2f" },
    ::logpipe::Schema { message_type: "x\";}{Self}/`y`*/", version: 2, source: "schemas/com.acme.Type-of.v2.json", sha256: "3b036c4bfa0be51017fd45c3e75cf03f26e1ace146b412a290a8891c812667b1" },
];

static TABLE: ::logpipe::dispatch::Table = ::logpipe::dispatch::Table {
    seeds: &[2],
    slots: &[1, 0],
};

/// The index in [`SCHEMAS`] of a type and version, in constant time.
#[must_use]
pub fn find(message_type: &str, version: u32) -> Option<usize> {
    TABLE.find(SCHEMAS, message_type, version)
}

/// Any message of this crate, for a loop of your own.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyMessage {
    /// `x";}{Self}/'y'*/`
    ComAcmeTypeOf(super::com_acme_type_of::Any),
}

impl ::logpipe::AnyOf for AnyMessage {
    const TYPES: &'static [(&'static str, &'static [u32])] = &[
        ("x\";}{Self}/`y`*/", &[1, 2]),
    ];
    fn decode(
        message_type: &str,
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match find(message_type, version) {
            Some(0..=1) => body.decode_any(version, Self::ComAcmeTypeOf),
            _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => {
                Err(body.unknown_version())
            }
            _ => Err(body.unknown_type()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match *self {
            Self::ComAcmeTypeOf(ref any) => ::logpipe::Versions::untyped(any),
        }
    }
}
