// @generated from schemas by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: d1342da88538bf60b2c133fc 6eef037a7243399fb7b0d8ec

//! From the type and version of an envelope to the code that knows it.

/// Every schema of this crate, sorted by type and version.
pub static SCHEMAS: &[::logpipe::Schema] = &[
    ::logpipe::Schema { message_type: "lossy", version: 2, source: "schemas/lossy.v2.json", sha256: "1c4fafa3ff34fb5cb3a733c95bd61c3e9345521922301fcd4c78a2eba2961068" },
    ::logpipe::Schema { message_type: "lossy", version: 5, source: "schemas/lossy.v5.json", sha256: "52eaba633fc9e91509d091197a8a7eb7f5fb54161ee6d9ce1172885b32082c9f" },
    ::logpipe::Schema { message_type: "lossy", version: 6, source: "schemas/lossy.v6.json", sha256: "52eaba633fc9e91509d091197a8a7eb7f5fb54161ee6d9ce1172885b32082c9f" },
    ::logpipe::Schema { message_type: "widen", version: 1, source: "schemas/widen.v1.json", sha256: "266563599cd848d74750b2d7aae8a7316e8c9af0eb5fa7fdd7d215e00911e03b" },
    ::logpipe::Schema { message_type: "widen", version: 2, source: "schemas/widen.v2.json", sha256: "d33c25161e940ed15f262e9277c2ee99d900c4caf6328eb3ab6fdfb7a18232bc" },
];

static TABLE: ::logpipe::dispatch::Table = ::logpipe::dispatch::Table {
    seeds: &[3, 9],
    slots: &[1, 3, 0, 4, 2],
};

/// The index in [`SCHEMAS`] of a type and version, in constant time.
#[must_use]
pub fn find(message_type: &str, version: u32) -> Option<usize> {
    TABLE.find(SCHEMAS, message_type, version)
}

/// Any message of this crate, for a loop of your own.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyMessage {
    /// `lossy`
    Lossy(super::lossy::Any),
    /// `widen`
    Widen(super::widen::Any),
}

impl ::logpipe::AnyOf for AnyMessage {
    const TYPES: &'static [(&'static str, &'static [u32])] = &[
        ("lossy", &[2, 5, 6]),
        ("widen", &[1, 2]),
    ];
    fn decode(
        message_type: &str,
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match find(message_type, version) {
            Some(0..=2) => body.decode_any(version, Self::Lossy),
            Some(3..=4) => body.decode_any(version, Self::Widen),
            _ if Self::TYPES.iter().any(|(known, _)| *known == message_type) => {
                Err(body.unknown_version())
            }
            _ => Err(body.unknown_type()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match *self {
            Self::Lossy(ref any) => ::logpipe::Versions::untyped(any),
            Self::Widen(ref any) => ::logpipe::Versions::untyped(any),
        }
    }
}
