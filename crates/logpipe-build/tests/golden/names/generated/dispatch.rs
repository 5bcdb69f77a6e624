// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 28cc5fb80266e45c7f9a2820 74d4becf5591b44898df4468

//! From the type and version of an envelope to the code that knows it.

/// Every schema of this crate, sorted by type and version.
pub static SCHEMAS: &[::logpipe::Schema] = &[
    ::logpipe::Schema { message_type: "x\";}{Self}/`y`*/", version: 1, source: "schemas/com.acme.Type-of.v1.json", sha256: "7b1a02de90580d2b057dc14348f7484b09e1cb761c95304e7c017019214820b7" },
    ::logpipe::Schema { message_type: "x\";}{Self}/`y`*/", version: 2, source: "schemas/com.acme.Type-of.v2.json", sha256: "9f73e98a0065759d73d55f18efb59fb3d4e9e7b43f1d07840fa8ae7b25180cdf" },
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
        (
            <super::com_acme_type_of::Any as ::logpipe::Versions>::TYPE,
            <super::com_acme_type_of::Any as ::logpipe::Versions>::VERSIONS,
        ),
    ];
    fn decode(
        message_type: &str,
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match find(message_type, version) {
            Some(0..=1) => {
                <super::com_acme_type_of::Any as ::logpipe::Versions>::decode(
                        version,
                        body,
                    )
                    .map(Self::ComAcmeTypeOf)
            }
            _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => {
                Err(body.unknown_version())
            }
            _ => Err(body.unknown_type()),
        }
    }
    fn key(&self) -> Option<::std::borrow::Cow<'_, [u8]>> {
        match *self {
            Self::ComAcmeTypeOf(ref any) => ::logpipe::Versions::key(any),
        }
    }
    fn seal(
        &self,
        format: ::logpipe::Format,
        producer_id: &str,
    ) -> Result<Vec<u8>, ::logpipe::Invalid> {
        match *self {
            Self::ComAcmeTypeOf(ref any) => {
                ::logpipe::Versions::seal(any, format, producer_id)
            }
        }
    }
}
