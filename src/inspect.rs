//! What is in a record's value? One line of JSON says what it is, what is wrong with it, and how we would write it.

use std::fmt::Write as _;

use logpipe::{AnyOf, Failure, Format, Rejected, envelope};
use serde_json::{Value, json};

use crate::dispatch::AnyMessage;

/// Describes a record's value, `None` for a tombstone; the message itself is in `encoded`, for the user asked to see it.
pub fn inspect(value: Option<&[u8]>) -> Value {
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
    json!({
        "framing": format.map(Format::code),
        "type": envelope.as_ref().map(|envelope| &envelope.message_type),
        "version": envelope.as_ref().map(|envelope| envelope.version),
        "key": key.map(|key| String::from_utf8_lossy(&key).into_owned()),
        "ok": outcome.is_ok(),
        "rejection": outcome.as_ref().err().map(|rejected| json!({
            "kind": rejected.kind(),
            "path": rejected.path(),
            "reason": rejected.reason(),
        })),
        "encoded": encoded,
    })
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
