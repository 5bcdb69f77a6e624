//! `logpipe config`: which settings are there, and what do they say here?

use clap::Subcommand;
use logpipe::config::{self, Key, Setting};
use serde::Serialize;
use serde_json::Value;

use crate::Shared;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Row};

/// Settings: what holds here and who said so, and what there is to set.
///
/// A setting is taken from the first that has it: --set, the environment (LOGPIPE_SECTION_KEY), logpipe.toml in the
/// working directory, the default. Secrets are never shown.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe config show
  LOGPIPE_LOG_DIR=/tmp/log logpipe config show
  logpipe config schema > logpipe.schema.json    # and `#:schema ./logpipe.schema.json` on top of logpipe.toml")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every setting, its value here, and where it is from.
    Show,
    /// Every setting, its default, and what it is for, as a Markdown table.
    Keys,
    /// The JSON Schema of logpipe.toml, with which editors complete and check it.
    Schema,
}

pub fn run(arguments: Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    match arguments.what {
        What::Show => output.rows(
            &shared
                .settings()?
                .settings
                .iter()
                .map(shown)
                .collect::<Vec<_>>(),
        ),
        What::Keys if output.is_json() => config::keys()
            .iter()
            .try_for_each(|key| output.json(&described(key))),
        What::Keys => output.line(config::markdown().trim_end()),
        What::Schema if output.is_json() => {
            let schema: Value = serde_json::from_str(&config::schema()).map_err(Failure::wrong)?;
            output.json(&schema)
        }
        What::Schema => output.line(config::schema().trim_end()),
    }
}

#[derive(Serialize)]
struct Shown {
    key: String,
    value: Value,
    origin: String,
}

fn shown(setting: &Setting) -> Shown {
    Shown {
        key: setting.key.path(),
        value: setting.value.clone(),
        origin: setting.origin.to_string(),
    }
}

impl Row for Shown {
    const HEAD: &'static [&'static str] = &["setting", "value", "from"];

    fn cells(&self) -> Vec<String> {
        let value = match &self.value {
            Value::Null => "-".into(),
            Value::String(text) if text.is_empty() => "\"\"".into(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        vec![self.key.clone(), value, self.origin.clone()]
    }
}

#[derive(Serialize)]
struct Described {
    key: String,
    variable: String,
    takes: String,
    default: Value,
    docs: String,
}

fn described(key: &Key) -> Described {
    Described {
        key: key.path(),
        variable: key.variable(),
        takes: key.takes(),
        default: key.default.clone(),
        docs: key.docs.clone(),
    }
}
