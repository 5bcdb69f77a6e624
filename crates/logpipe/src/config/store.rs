//! `[store]`: where is kept what has to survive?

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where positions, parked records and the handlers' effects are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Store {
    /// The SQLite file that handlers write to, from the working directory. It is made on first use.
    pub path: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: "./data/app.db".into(),
        }
    }
}
