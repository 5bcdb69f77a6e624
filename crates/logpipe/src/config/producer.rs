//! `[producer]`: what is every message sent with?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every message is sent with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Producer {
    /// The name of the sending program, written into every message; left out where it is empty.
    pub id: String,
    /// How messages are written. Readers understand both.
    pub format: Format,
}

/// The encodings there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// Text.
    #[default]
    Json,
    /// MessagePack: smaller, for machines alone.
    Msgpack,
}

impl Format {
    /// The encoding itself; an error where this build was made without it.
    pub fn codec(self) -> crate::Result<crate::Format> {
        let code = match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        };
        let missing = |_| {
            crate::Error::permanent(format!(
                "[producer] format = \"{code}\": this build is without it; turn on logpipe's feature `{code}`"
            ))
        };
        code.parse().map_err(missing)
    }
}
