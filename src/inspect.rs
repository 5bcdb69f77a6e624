//! What is in a record's value? One line of JSON says what it is, what is wrong with it, and how we would write it.

use std::fmt::Write as _;

use logpipe::{AnyOf, Failure, Format, Rejected, envelope};
use serde::Serialize;

use crate::dispatch::AnyMessage;

/// What a record's value is. Its members are printed in this order.
#[derive(Debug, Serialize)]
pub struct Inspected {
    framing: Option<&'static str>,
    #[serde(rename = "type")]
    message_type: Option<String>,
    version: Option<u32>,
    key: Option<String>,
    /// Whether it can be handled.
    pub ok: bool,
    rejection: Option<Rejection>,
    encoded: Option<String>,
}

#[derive(Debug, Serialize)]
struct Rejection {
    kind: &'static str,
    path: Option<String>,
    reason: String,
}

/// Describes a record's value, `None` for a tombstone; the message itself is in `encoded`, for the user asked to see it.
pub fn inspect(value: Option<&[u8]>) -> Inspected {
    let (envelope, outcome) = match envelope::open_exact(value) {
        Ok(envelope) => {
            let body = envelope.body.clone();
            let message = AnyMessage::decode(&envelope.message_type, envelope.version, body);
            (Some(envelope), message.map_err(rejected))
        }
        Err(rejected) => (None, Err(rejected)),
    };
    let format = envelope.as_ref().map(|envelope| envelope.body.format());
    let producer = envelope
        .as_ref()
        .and_then(|envelope| envelope.producer.as_deref());
    let encoded = outcome
        .as_ref()
        .ok()
        .zip(format)
        .and_then(|(message, format)| {
            let bytes = message.seal(format, producer.unwrap_or_default()).ok()?;
            Some(text(format, &bytes))
        });
    let key = outcome.as_ref().ok().and_then(AnyOf::key);
    Inspected {
        framing: format.map(Format::code),
        message_type: envelope
            .as_ref()
            .map(|envelope| envelope.message_type.to_string()),
        version: envelope.as_ref().map(|envelope| envelope.version),
        key: key.map(|key| String::from_utf8_lossy(&key).into_owned()),
        ok: outcome.is_ok(),
        rejection: outcome.as_ref().err().map(|rejected| Rejection {
            kind: rejected.kind(),
            path: rejected.path().map(str::to_owned),
            reason: rejected.reason(),
        }),
        encoded,
    }
}

/// Decoding calls no handler, so nothing but a rejection can come of it.
fn rejected(failure: Failure) -> Rejected {
    match failure {
        Failure::Rejected(rejected) => rejected,
        Failure::Handler(_) | Failure::Reopen => {
            unreachable!("an exact envelope is read once and no handler is called")
        }
    }
}

/// Text for JSON, hexadecimal digits for what is not text.
fn text(format: Format, bytes: &[u8]) -> String {
    match format {
        Format::Json => String::from_utf8_lossy(bytes).into_owned(),
        _ => bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}
