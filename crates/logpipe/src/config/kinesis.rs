//! `[kinesis]`: which region, and where do this host's processes share out shards?

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::without_user;

/// The streams, where `log.backend` is `kinesis`. Credentials are found as AWS's own tools find them.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Kinesis {
    /// The region; without it what `AWS_REGION` or the profile says.
    pub region: Option<String>,
    /// Another endpoint than AWS's own, such as `http://127.0.0.1:4567`; without it what `AWS_ENDPOINT_URL` says.
    pub endpoint_url: Option<String>,
    /// The SQLite file in which the processes of this host share out shards. It is made on first use.
    pub leases: PathBuf,
}

impl fmt::Debug for Kinesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinesis")
            .field("region", &self.region)
            .field(
                "endpoint_url",
                &self.endpoint_url.as_deref().map(without_user),
            )
            .field("leases", &self.leases)
            .finish()
    }
}

impl Default for Kinesis {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            leases: "./data/leases.db".into(),
        }
    }
}
