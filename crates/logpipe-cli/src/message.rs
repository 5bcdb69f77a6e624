//! What does a record say, where a command was asked to show it?

use std::borrow::Cow;

use jiff::Timestamp;
use logpipe::codec::{JsonWriter, Wire};
use logpipe::record::Record;
use logpipe::{Body, Failure, Rejected, envelope};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::clean;

/// A record with its contents. What does not apply is left out.
#[derive(Serialize)]
pub struct Shown {
    topic: String,
    shard: String,
    position: String,
    time: Option<Timestamp>,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    message_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

impl Shown {
    /// The record with its message decoded, without a schema.
    pub fn decoded(record: &Record) -> Self {
        let mut shown = Self::new(record);
        if let Err(rejected) = shown.decode(record) {
            shown.rejection = Some(rejected.kind());
            shown.reason = Some(rejected.reason());
        }
        shown
    }

    /// The record with the bytes of its value.
    pub fn raw(record: &Record) -> Self {
        let (value, value_hex) = text_or_hex(record.value.as_deref());
        Self {
            value,
            value_hex,
            ..Self::new(record)
        }
    }

    fn new(record: &Record) -> Self {
        let (key, key_hex) = text_or_hex(record.key.as_deref());
        Self {
            topic: record.lane.topic().into(),
            shard: record.lane.shard().into(),
            position: record.position.to_string(),
            time: record.timestamp,
            key,
            key_hex,
            message_type: None,
            version: None,
            producer: None,
            message: None,
            rejection: None,
            reason: None,
            value: None,
            value_hex: None,
        }
    }

    fn decode(&mut self, record: &Record) -> Result<(), Rejected> {
        let opened = envelope::open_exact(record.value.as_deref())?;
        self.message_type = Some(opened.message_type.into_owned());
        self.version = Some(opened.version);
        self.producer = opened.producer.map(Cow::into_owned);
        self.message = Some(json(opened.body)?);
        Ok(())
    }

    /// One line for people, without what would move their cursor.
    pub fn line(&self) -> String {
        let time = self.time.map_or("-".into(), |time| time.to_string());
        let key = self.key.as_deref().or(self.key_hex.as_deref());
        let mut line = format!("{}/{} {} {time}", self.topic, self.shard, self.position);
        line += &format!(" {}", key.unwrap_or("-"));
        if let (Some(name), Some(version)) = (&self.message_type, self.version) {
            line += &format!(" {name} v{version}");
        }
        let message = self.message.as_ref().map(|message| message.get());
        let value = self.value.as_deref().or(self.value_hex.as_deref());
        match (self.rejection, message.or(value)) {
            (Some(kind), _) => {
                line += &format!(" {kind}: {}", self.reason.as_deref().unwrap_or_default())
            }
            (None, Some(contents)) => line += &format!(" {contents}"),
            (None, None) => line += " (null)",
        }
        clean(&line)
    }
}

/// A message as one line of JSON, whatever encodes it.
fn json(body: Body<'_>) -> Result<Box<RawValue>, Rejected> {
    let unreadable = || Rejected::Malformed {
        offset: None,
        reason: "the message can't be read".into(),
    };
    let value = body.value().map_err(|failure| match failure {
        Failure::Rejected(rejected) => rejected,
        _ => unreadable(),
    })?;
    let mut json = Vec::new();
    let written = value.write(&mut JsonWriter::new(&mut json));
    let json = String::from_utf8(json).ok().filter(|_| written.is_ok());
    json.and_then(|json| RawValue::from_string(json).ok())
        .ok_or_else(unreadable)
}

/// Text as it is, other bytes in hex.
fn text_or_hex(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(std::str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text.into()), None),
        Some(Err(_)) => {
            let bytes = bytes.unwrap_or_default();
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            (None, Some(hex))
        }
    }
}
