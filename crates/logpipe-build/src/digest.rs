//! Is a generated file what its inputs would make of it again? Answered without making it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::catalog::Message;

/// The generator itself, for another one may write another text from the same schemas.
const GENERATOR: &[(&str, &str)] = &[
    ("catalog.rs", include_str!("catalog.rs")),
    ("check.rs", include_str!("check.rs")),
    ("decimal.rs", include_str!("decimal.rs")),
    ("diagnostic.rs", include_str!("diagnostic.rs")),
    ("dialect.rs", include_str!("dialect.rs")),
    ("digest.rs", include_str!("digest.rs")),
    ("discover.rs", include_str!("discover.rs")),
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
    ("finite.rs", include_str!("finite.rs")),
    ("hash.rs", include_str!("hash.rs")),
    ("json.rs", include_str!("json.rs")),
    ("json/read.rs", include_str!("json/read.rs")),
    ("json/read/scalar.rs", include_str!("json/read/scalar.rs")),
    ("layout.rs", include_str!("layout.rs")),
    ("lower.rs", include_str!("lower.rs")),
    ("lower/default.rs", include_str!("lower/default.rs")),
    ("lower/extension.rs", include_str!("lower/extension.rs")),
    ("lower/number.rs", include_str!("lower/number.rs")),
    ("lower/object.rs", include_str!("lower/object.rs")),
    ("lower/pattern.rs", include_str!("lower/pattern.rs")),
    ("lower/rest.rs", include_str!("lower/rest.rs")),
    ("lower/string.rs", include_str!("lower/string.rs")),
    ("lower/value.rs", include_str!("lower/value.rs")),
    ("name.rs", include_str!("name.rs")),
    ("read.rs", include_str!("read.rs")),
    ("refs.rs", include_str!("refs.rs")),
    ("render.rs", include_str!("render.rs")),
    ("rule.rs", include_str!("rule.rs")),
    ("source.rs", include_str!("source.rs")),
    ("upcast.rs", include_str!("upcast.rs")),
    ("uri.rs", include_str!("uri.rs")),
];

/// FNV-1a over the generator: build scripts are not optimised, and a SHA-256 of all this would be felt.
static GENERATION: LazyLock<u64> = LazyLock::new(|| {
    let texts = GENERATOR
        .iter()
        .map(|(_, text)| *text)
        .chain([env!("CARGO_PKG_VERSION")]);
    texts
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
});

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
        add(&GENERATION.to_string());
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::GENERATOR;

    /// These read, tell and write; what the text is, others decide.
    const NO_PART: &[&str] = &["lib.rs", "script.rs", "sync.rs"];

    #[test]
    fn no_part_of_the_generator_is_forgotten() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        let mut open = vec![source.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&source).unwrap();
                    found.push(name.to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        found.retain(|name| !NO_PART.contains(&name.as_str()));
        found.sort();
        let listed = GENERATOR.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(
            listed, found,
            "list the new file in GENERATOR, or among those that have no part"
        );
    }
}
