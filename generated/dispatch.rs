// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 02517374facb8fd22204010a dd6959a339e1ddfd55221485

//! From the type and version of an envelope to the code that knows it.

/// Every schema of this crate, sorted by type and version.
pub static SCHEMAS: &[::logpipe::Schema] = &[
    ::logpipe::Schema { message_type: "order", version: 1, source: "schemas/order.v1.json", sha256: "09165b9742f0d6e4150de1fcdc7dc3b847fbb3af4605ce194de0915264075d37" },
    ::logpipe::Schema { message_type: "person", version: 1, source: "schemas/person.v1.json", sha256: "14d1ab356b382473967e7e9223f23970823cc335ef82b1b3dae332c4a5c1f248" },
    ::logpipe::Schema { message_type: "person", version: 2, source: "schemas/person.v2.json", sha256: "5a011e8b6033e70a55341e54b7ed08105f9d8376c3c06d7deece523fa059fed1" },
    ::logpipe::Schema { message_type: "place", version: 1, source: "schemas/place.v1.json", sha256: "f529d825ed354ed33d392360e500b8a00b10e89ab6c72eeff18b9a4176a5b517" },
    ::logpipe::Schema { message_type: "thing", version: 1, source: "schemas/thing.v1.json", sha256: "233703d60ff7feab9900b9be28fd9b61fc9ab0701db56a030c0fb0902ea8f164" },
];

static TABLE: ::logpipe::dispatch::Table = ::logpipe::dispatch::Table {
    seeds: &[2, 3],
    slots: &[2, 1, 4, 0, 3],
};

/// The index in [`SCHEMAS`] of a type and version, in constant time.
#[must_use]
pub fn find(message_type: &str, version: u32) -> Option<usize> {
    TABLE.find(SCHEMAS, message_type, version)
}

/// Any message of this crate, for a loop of your own.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyMessage {
    /// `order`
    Order(super::order::Any),
    /// `person`
    Person(super::person::Any),
    /// `place`
    Place(super::place::Any),
    /// `thing`
    Thing(super::thing::Any),
}

impl ::logpipe::AnyOf for AnyMessage {
    const TYPES: &'static [(&'static str, &'static [u32])] = &[
        ("order", &[1]),
        ("person", &[1, 2]),
        ("place", &[1]),
        ("thing", &[1]),
    ];
    fn decode(
        message_type: &str,
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match find(message_type, version) {
            Some(0) => body.decode_any(version, Self::Order),
            Some(1..=2) => body.decode_any(version, Self::Person),
            Some(3) => body.decode_any(version, Self::Place),
            Some(4) => body.decode_any(version, Self::Thing),
            _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => {
                Err(body.unknown_version())
            }
            _ => Err(body.unknown_type()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match *self {
            Self::Order(ref any) => ::logpipe::Versions::untyped(any),
            Self::Person(ref any) => ::logpipe::Versions::untyped(any),
            Self::Place(ref any) => ::logpipe::Versions::untyped(any),
            Self::Thing(ref any) => ::logpipe::Versions::untyped(any),
        }
    }
}
