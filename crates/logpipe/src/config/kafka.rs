//! `[kafka]`: which cluster, and what is its client told beside what logpipe tells it?

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::secret::{MASK, names_a_secret};

/// The cluster, where `log.backend` is `kafka`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Kafka {
    /// Brokers to begin with, `host:port`, with commas between them. They name the others.
    pub bootstrap_servers: String,
    /// How long a member of a group may be silent before its lanes go to others, in milliseconds.
    pub session_timeout_ms: NonZeroU32,
    /// How many bytes of records a consumer fetches ahead, over all its lanes together.
    pub buffer_bytes: NonZeroU32,
    /// Settings of librdkafka, as its documentation spells them: a table `[kafka.client]`, or one variable for each,
    /// such as `LOGPIPE_KAFKA_CLIENT_SASL_PASSWORD`. Values of passwords, keys, tokens and the like are never shown.
    pub client: Client,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".into(),
            session_timeout_ms: NonZeroU32::new(10_000).unwrap_or(NonZeroU32::MIN),
            buffer_bytes: NonZeroU32::new(64 << 20).unwrap_or(NonZeroU32::MIN),
            client: Client::default(),
        }
    }
}

/// Settings of librdkafka, by name. What is secret by its name is not shown: it prints and serializes as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Client(BTreeMap<String, String>);

impl Client {
    /// Sets one, such as `security.protocol`.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// All of them, secrets too, for the one call that needs them.
    pub fn reveal(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.reveal()
            .map(|(name, value)| match names_a_secret(name) {
                true => (name, MASK),
                false => (name, value),
            })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Client {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut client = Self::default();
        for (name, value) in BTreeMap::<String, Value>::deserialize(deserializer)? {
            let value = match value {
                Value::String(text) if text == MASK => {
                    return Err(de::Error::custom(
                        "`***` stands for a secret and is not one",
                    ));
                }
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(word) => word.to_string(),
                // The value may be a secret: it is not repeated.
                _ => {
                    return Err(de::Error::custom(
                        "a setting of librdkafka is text, a number, `true` or `false`",
                    ));
                }
            };
            client.set(name, value);
        }
        Ok(client)
    }
}

impl JsonSchema for Client {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Client".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean"] }
        })
    }
}
