//! Why a record is not a message that this program can handle.

use std::borrow::Cow;

use crate::codec::{Fault, Printable};

/// A value that breaks a rule of its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {}", if path.is_empty() { "the root" } else { path.as_str() })]
pub struct Invalid {
    /// Where, as a JSON pointer from the message's root: `/items/0/price`; `*` stands for an entry of a map.
    pub path: String,
    /// Which rule, in words of the schema: payload is never quoted.
    pub reason: String,
}

impl From<Fault> for Invalid {
    fn from(fault: Fault) -> Self {
        Self {
            path: fault.path(),
            reason: fault.reason().to_owned(),
        }
    }
}

/// Why a record was not handed to a handler. A policy decides what becomes of it.
///
/// Type names come from outside: they are escaped, and cut after 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// The bytes are no envelope: broken syntax, or a member of the envelope is missing or of the wrong kind.
    #[error("malformed: {reason}{}", at(.offset))]
    Malformed {
        /// Where in the record's value the syntax breaks.
        offset: Option<usize>,
        /// What is wrong.
        reason: Cow<'static, str>,
    },
    /// The encoding is none that this program reads.
    #[error("unknown format{}", code.as_ref().map(|code| format!(" {code}")).unwrap_or_default())]
    UnknownFormat {
        /// Its code, where that is fit to print: `[a-z0-9_-]{1,32}`.
        code: Option<String>,
    },
    /// Several records in one, as the Kinesis Producer Library aggregates them; nothing reads them yet.
    #[error(
        "an aggregate of several records, which this version does not read: switch aggregation off in the Kinesis Producer Library that sends it"
    )]
    Aggregated,
    /// The type is none that this program knows.
    #[error("unknown type {message_type}")]
    UnknownType {
        /// As the envelope has it.
        message_type: String,
        /// As the envelope has it.
        version: u32,
    },
    /// The type is known, this version of it is not.
    #[error("unknown version {version} of {message_type}")]
    UnknownVersion {
        /// As the envelope has it.
        message_type: String,
        /// As the envelope has it.
        version: u32,
    },
    /// The version was known once, and is no more.
    #[error("retired version {version} of {message_type}")]
    Retired {
        /// As the envelope has it.
        message_type: String,
        /// As the envelope has it.
        version: u32,
    },
    /// The message breaks a rule of its schema.
    #[error("invalid {message_type} version {version}: {invalid}")]
    Invalid {
        /// As the envelope has it.
        message_type: String,
        /// As the envelope has it.
        version: u32,
        /// Where and why.
        #[source]
        invalid: Invalid,
    },
    /// The record has no value: its key was deleted, and nobody handles that.
    #[error("a tombstone that nobody handles")]
    Tombstone,
}

fn at(offset: &Option<usize>) -> String {
    offset
        .map(|offset| format!(" at byte {offset}"))
        .unwrap_or_default()
}

impl Rejected {
    /// The name of the class, as it is stored beside a parked record and printed in logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "Malformed",
            Self::UnknownFormat { .. } => "UnknownFormat",
            Self::Aggregated => "Aggregated",
            Self::UnknownType { .. } => "UnknownType",
            Self::UnknownVersion { .. } => "UnknownVersion",
            Self::Retired { .. } => "Retired",
            Self::Invalid { .. } => "Invalid",
            Self::Tombstone => "Tombstone",
        }
    }

    /// Where in the message, for an invalid one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Invalid { invalid, .. } => Some(&invalid.path),
            _ => None,
        }
    }

    /// What is wrong, without kind and path.
    pub fn reason(&self) -> String {
        match self {
            Self::Malformed { offset, reason } => format!("{reason}{}", at(offset)),
            Self::Invalid { invalid, .. } => invalid.reason.clone(),
            Self::UnknownFormat { code: Some(code) } if code == "pickle" => {
                "pickle executes code as it is read: it is refused".to_owned()
            }
            other => other.to_string(),
        }
    }

    pub(crate) fn malformed(reason: &'static str) -> Self {
        Self::Malformed {
            offset: None,
            reason: reason.into(),
        }
    }
}

/// The type and version of an envelope, fit to print.
pub(crate) fn printable(message_type: &str) -> String {
    Printable(message_type).to_string()
}

/// Why dispatching a record did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// It can't be decoded, or nobody handles it.
    Rejected(Rejected),
    /// The handler failed.
    Handler(crate::Error),
    /// A later duplicate in the envelope overrules the type or version that the record was dispatched by: open it
    /// again with [`envelope::open_exact`](crate::envelope::open_exact), and dispatch it again.
    #[doc(hidden)]
    Reopen,
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self::Handler(error)
    }
}
