//! `[log]`: which log is read and written?

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log that is read and written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Log {
    /// Which log: `local` is SQLite files in a folder, shared by the processes of one host; `memory` ends with the process;
    /// `kafka` and `kinesis` are servers, which a build has to be made for (Cargo features of the same names).
    pub backend: Backend,
    /// The folder of the local log, from the working directory. It is made on first use.
    pub dir: PathBuf,
}

/// The logs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backend {
    /// SQLite files in a folder.
    Local,
    /// In the process alone.
    Memory,
    /// Apache Kafka.
    Kafka,
    /// AWS Kinesis.
    Kinesis,
}

impl Backend {
    /// As `log.backend` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Memory => "memory",
            Self::Kafka => "kafka",
            Self::Kinesis => "kinesis",
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            backend: Backend::Local,
            dir: "./data".into(),
        }
    }
}
