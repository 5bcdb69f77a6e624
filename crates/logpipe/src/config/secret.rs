//! How does a secret stay out of logs, errors and listings?

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is shown in a secret's place. As a value it is refused: somebody pasted what `logpipe config show` printed.
pub(super) const MASK: &str = "***";

/// A setting that is never shown: it prints and serializes as `***`.
///
/// A secret has no default, in code neither; a section holds it as `Option<Secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text for a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own words would quote what was found.
        let text =
            String::deserialize(deserializer).map_err(|_| de::Error::custom("a secret is text"))?;
        if text == MASK {
            return Err(de::Error::custom(
                "`***` stands for a secret and is not one",
            ));
        }
        Ok(Self(text))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// A text as it may be shown: of an address with a user and perhaps a password in front of the host, neither. Whatever is
/// in front of an `@` is taken for them, for a password may hold what ends a host.
pub(crate) fn without_user(text: &str) -> Cow<'_, str> {
    let user = text.split_once("://").and_then(|(scheme, rest)| {
        let at = rest.rfind('@')?;
        Some(format!("{scheme}://{MASK}{}", &rest[at..]))
    });
    user.map_or(text.into(), Cow::from)
}

/// Whether a setting of a client holds a secret, by its name. A path to a key is taken for one too, which does no harm.
pub(super) fn names_a_secret(name: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "passphrase",
        "secret",
        "key",
        "token",
        "pem",
        "credential",
        "jaas",
        "oauthbearer",
    ];
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_user() {
        for (address, shown) in [
            ("http://127.0.0.1:4567", "http://127.0.0.1:4567"),
            (
                "http://jim:pw@127.0.0.1:4567/x",
                "http://***@127.0.0.1:4567/x",
            ),
            ("https://jim:p/w@x@host", "https://***@host"),
            ("jim@host", "jim@host"),
        ] {
            assert_eq!(without_user(address), shown);
        }
    }

    #[test]
    fn a_secret_is_told_to_nobody() {
        let secret = Secret::new("hunter2");
        let told = format!(
            "{secret} {secret:?} {}",
            serde_json::to_string(&secret).unwrap()
        );
        assert_eq!(told, "*** *** \"***\"");
        assert_eq!(secret.reveal(), "hunter2");
        let wrong = serde_json::from_str::<Secret>("12345")
            .unwrap_err()
            .to_string();
        assert!(!wrong.contains("12345"), "{wrong}");
        assert!(serde_json::from_str::<Secret>("\"***\"").is_err());
    }
}
