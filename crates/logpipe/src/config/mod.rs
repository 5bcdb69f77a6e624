//! What is this program told, by whom, and what does it do about a mistake in it?
//!
//! A setting is taken from the first of these that has it: a flag, the environment (`LOGPIPE_<SECTION>_<KEY>`), the file
//! `logpipe.toml`, what the program sets on a consumer ([`Consumer::configure`](crate::Consumer::configure)), the
//! program's own defaults, logpipe's defaults. What a program sets in code is a default: whoever operates it has the last
//! word.
//!
//! ```
//! use logpipe::config::Config;
//!
//! let mut defaults = Config::default();
//! defaults.producer.id = "billing".into();
//! let loaded = Config::loader()
//!     .defaults(defaults)
//!     .environment([("LOGPIPE_LOG_DIR", "/var/lib/billing")])
//!     .flag("consumer.attempts", "3")
//!     .load()?;
//! assert_eq!(loaded.config.producer.id, "billing");
//! assert_eq!(loaded.config.log.dir.to_str(), Some("/var/lib/billing"));
//! assert_eq!(loaded.config.consumer.attempts.get(), 3);
//! # Ok::<(), logpipe::config::Faults>(())
//! ```
//!
//! The structs of this module are the one table of settings: their documentation and types make `docs/logpipe.schema.json`
//! (for editors), the README's table and what `logpipe config` prints. A new section is a file here and a field of
//! [`Config`].

mod consumer;
mod environment;
mod fault;
mod file;
mod kafka;
mod kinesis;
mod log;
mod producer;
mod secret;
mod store;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use consumer::Consumer;
pub use fault::{Fault, Faults};
pub use kafka::{Client, Kafka};
pub use kinesis::Kinesis;
pub use log::{Backend, Log};
pub use producer::{Format, Producer};
pub use secret::Secret;
#[cfg(feature = "kinesis")]
pub(crate) use secret::without_user;
pub use store::Store;
pub use table::{Key, keys, markdown, schema};

/// The file that is read where no other is named: in the working directory, and only if it is there.
pub const FILE: &str = "logpipe.toml";

/// Settings of logpipe: `logpipe.toml`, where `LOGPIPE_<SECTION>_<KEY>` in the environment goes before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The log that is read and written.
    pub log: Log,
    /// What every message is sent with.
    pub producer: Producer,
    /// How messages are handled, and what becomes of those that can't be.
    pub consumer: Consumer,
    /// Where positions, parked records and the handlers' effects are kept.
    pub store: Store,
    /// The cluster, where `log.backend` is `kafka`.
    pub kafka: Kafka,
    /// The streams, where `log.backend` is `kinesis`.
    pub kinesis: Kinesis,
}

impl Config {
    /// Reads the environment and, where it is there, `logpipe.toml` in the working directory.
    pub fn load() -> Result<Loaded, Faults> {
        Self::loader().load()
    }

    /// Says where to read settings, and what a program's own defaults are.
    pub fn loader() -> Loader {
        Loader::default()
    }
}

/// Collects where settings come from.
#[derive(Debug, Default)]
pub struct Loader {
    defaults: Config,
    file: Option<PathBuf>,
    environment: Option<Vec<(String, String)>>,
    flags: Vec<(String, String)>,
}

impl Loader {
    /// What holds where nobody says otherwise. Secrets have no default: give them to what needs them.
    #[must_use]
    pub fn defaults(mut self, defaults: Config) -> Self {
        self.defaults = defaults;
        self
    }

    /// Reads this file, which has to be there, in place of `logpipe.toml`.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Takes these variables for the environment of the process.
    #[must_use]
    pub fn environment<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        self.environment = Some(variables.map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// Sets one key, `section.key`, above everything else. The value is spelled as in the environment.
    #[must_use]
    pub fn flag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.flags.push((key.into(), value.into()));
        self
    }

    /// Reads everything. All faults are told at once.
    pub fn load(self) -> Result<Loaded, Faults> {
        let table = keys();
        let mut faults = Vec::new();
        let mut set = BTreeMap::new();
        let mut layer = |found: Result<Vec<Set>, Vec<Fault>>| match found {
            Ok(found) => set.extend(
                found
                    .into_iter()
                    .map(|one| (one.key, (one.value, one.origin))),
            ),
            Err(found) => faults.extend(found),
        };
        layer(match &self.file {
            Some(path) => file::read(&table, path, true),
            None => file::read(&table, Path::new(FILE), false),
        });
        layer(match self.environment {
            Some(variables) => environment::read(&table, variables),
            None => environment::of_process(&table),
        });
        layer(environment::flags(&table, self.flags));
        if faults.is_empty() {
            overlay(&self.defaults, set)
        } else {
            Err(Faults(faults))
        }
    }
}

/// A key that somebody set. Its value alone is known to fit; together they are read once more.
#[derive(Debug)]
struct Set {
    /// `section.key`, or `section.key.member` of a key that is a table.
    key: String,
    value: Value,
    origin: Origin,
}

/// Lays what was set over the defaults.
fn overlay(
    defaults: &Config,
    mut set: BTreeMap<String, (Value, Origin)>,
) -> Result<Loaded, Faults> {
    let in_code = |error: serde_json::Error| {
        let place = "the program's own defaults";
        Faults(vec![Fault::new(place, error.to_string(), "")])
    };
    let mut tree = serde_json::to_value(defaults).map_err(in_code)?;
    let mut settings = Vec::new();
    for key in keys() {
        let value = &mut tree[&key.section][&key.name];
        if key.is_table() {
            // The one such key. Its own defaults are taken as they are: written out, the secret ones would be masked.
            let own = defaults.kafka.client.reveal();
            let own = own.map(|(name, text)| (name.to_owned(), (text.into(), Origin::Code)));
            let mut members: BTreeMap<String, (Value, Origin)> = own.collect();
            let prefix = format!("{}.", key.path());
            let is_member = |path: &String| path.starts_with(&prefix);
            let found = set.extract_if(.., |path, _| is_member(path));
            members.extend(found.map(|(path, found)| (path[prefix.len()..].to_owned(), found)));
            *value = Value::Object(serde_json::Map::new());
            for (name, (text, origin)) in members {
                value[&name] = text.clone();
                settings.push(Setting::new(key.member(&name), text, origin));
            }
            continue;
        }
        let origin = match set.remove(&key.path()) {
            Some((found, origin)) => {
                *value = found;
                origin
            }
            None if *value == key.default => Origin::Default,
            None => Origin::Code,
        };
        let value = value.clone();
        settings.push(Setting::new(key, value, origin));
    }
    let mut config = Config::deserialize(tree).map_err(in_code)?;
    let said = settings.iter().filter(|setting| {
        let in_code = matches!(setting.origin, Origin::Default | Origin::Code);
        setting.key.section == "consumer" && !in_code
    });
    config.consumer.said = said.map(|setting| setting.key.name.clone()).collect();
    Ok(Loaded { config, settings })
}

/// Settings with their origins.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Every key, in the order of [`keys`], with its value (a secret's is masked) and where it is from; of a key that is
    /// a table, every member that is set.
    pub settings: Vec<Setting>,
}

/// One key's value and where it is from.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key.
    pub key: Key,
    /// The value, fit to be shown.
    pub value: Value,
    /// Who said so.
    pub origin: Origin,
}

impl Setting {
    fn new(key: Key, value: Value, origin: Origin) -> Self {
        let value = match value {
            Value::Null => Value::Null,
            _ if key.secret => secret::MASK.into(),
            Value::String(text) => secret::without_user(&text).into(),
            other => other,
        };
        Self { key, value, origin }
    }
}

/// Who set a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody.
    Default,
    /// The program, as its own default.
    Code,
    /// A line of a file.
    File {
        /// As it was named.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Code => f.write_str("this program's default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("flag"),
        }
    }
}

#[cfg(test)]
mod tests;
