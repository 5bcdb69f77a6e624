//! `logpipe list`: which messages do the schemas describe?

use logpipe_build::Listed;
use serde::Serialize;

use crate::failure::Outcome;
use crate::output::{Output, Row};
use crate::schemas;

/// The messages that schemas/ describes: type, version, file, the Rust type it becomes, and what keys it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe list
  logpipe list --format json | jq -r 'select(.type == \"person\").version'")]
pub struct Arguments {}

pub fn run(output: &mut Output) -> Outcome {
    let project = schemas::project();
    schemas::sound(&project)?;
    let listed = logpipe_build::list(&project).map_err(schemas::failure)?;
    output.rows(&listed.into_iter().map(Message::from).collect::<Vec<_>>())
}

#[derive(Serialize)]
struct Message {
    #[serde(rename = "type")]
    message_type: String,
    version: u32,
    file: String,
    rust: String,
    key: Option<String>,
}

impl From<Listed> for Message {
    fn from(listed: Listed) -> Self {
        Self {
            message_type: listed.message_type,
            version: listed.version,
            file: listed.source,
            rust: listed.rust,
            key: listed.key,
        }
    }
}

impl Row for Message {
    const HEAD: &'static [&'static str] = &["type", "version", "file", "Rust", "key"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.message_type.clone(),
            self.version.to_string(),
            self.file.clone(),
            self.rust.clone(),
            self.key.clone().unwrap_or_else(|| "-".into()),
        ]
    }
}
