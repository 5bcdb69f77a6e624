//! Is a generated file what its inputs would make of it again? Answered without making it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::catalog::Message;

/// The generator itself, for another generator may write another text from the same schemas. Every source file that
/// has a part in it is listed; a test holds that none is forgotten.
const GENERATOR: &[(&str, &str)] = &[
    ("version", env!("CARGO_PKG_VERSION")),
    ("catalog.rs", include_str!("catalog.rs")),
    ("check.rs", include_str!("check.rs")),
    ("decimal.rs", include_str!("decimal.rs")),
    ("diagnostic.rs", include_str!("diagnostic.rs")),
    ("digest.rs", include_str!("digest.rs")),
    ("emit/defaults.rs", include_str!("emit/defaults.rs")),
    ("emit/dispatch.rs", include_str!("emit/dispatch.rs")),
    ("emit/docs.rs", include_str!("emit/docs.rs")),
    ("emit/literal.rs", include_str!("emit/literal.rs")),
    ("emit/message.rs", include_str!("emit/message.rs")),
    ("emit/mod.rs", include_str!("emit/mod.rs")),
    ("emit/root.rs", include_str!("emit/root.rs")),
    ("emit/types.rs", include_str!("emit/types.rs")),
    ("emit/upcasts.rs", include_str!("emit/upcasts.rs")),
    ("emit/version.rs", include_str!("emit/version.rs")),
    ("emit/wire.rs", include_str!("emit/wire.rs")),
    ("hash.rs", include_str!("hash.rs")),
    ("layout.rs", include_str!("layout.rs")),
    ("name.rs", include_str!("name.rs")),
    ("render.rs", include_str!("render.rs")),
    ("upcast.rs", include_str!("upcast.rs")),
];

/// A short SHA-256, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(pub String);

impl Digest {
    /// Of text.
    pub fn of_text(text: &str) -> Self {
        Self(hex(&Sha256::digest(text), SHORT))
    }

    /// Of everything that decides what is generated for these messages, the generator included.
    pub fn of_messages(messages: &[Message]) -> Self {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        for (_, text) in GENERATOR {
            add(text);
        }
        for message in messages {
            add(&message.source);
            add(&message.hashes.content);
            for (path, digest) in &message.hashes.references {
                add(path);
                add(digest);
            }
        }
        Self(hex(&hash.finalize(), SHORT))
    }
}

/// Bytes of a digest that stand in a banner: against accidents, not against people.
const SHORT: usize = 12;

fn hex(bytes: &[u8], count: usize) -> String {
    bytes
        .iter()
        .take(count)
        .fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}
