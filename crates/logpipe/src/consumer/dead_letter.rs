//! Parking on a topic: byte for byte, with origin and reason beside it, acknowledged before the position moves.
//!
//! Where the log has headers they carry origin and reason, and the record is otherwise what it was. Where it has none the
//! value is a *dead letter*, whose form [`Consumer::dead_letter`](crate::Consumer::dead_letter) documents: a line of JSON
//! that says what the headers would, and behind it the record's own value. Its first bytes are no framing of messages, so
//! that a consumer of that topic calls it an unknown format and never takes it for the message that is in it.

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::fault::{Mistake, planted};
use crate::log::Subscription;
use crate::record::{Header, Record};
use crate::sink::{NewRecord, SendError, Sink};
use crate::store::Reason;
use crate::{Error, Result};

/// What a dead letter begins with where the log has no headers.
const FRAMING: &[u8] = b"logpipe-dead-letter:";

pub(crate) struct DeadLetters {
    log: Subscription,
    topic: String,
    sink: OnceCell<Box<dyn Sink>>,
}

/// Why a record goes to the dead-letter topic, and whether it is there.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) reason: Reason,
    /// How often a handler tried the record.
    pub(crate) attempts: u32,
    /// Acknowledged by the topic.
    pub(crate) is_written: bool,
}

impl DeadLetters {
    pub(crate) fn new(log: Subscription, topic: String) -> Self {
        Self {
            log,
            topic,
            sink: OnceCell::new(),
        }
    }

    /// One result for each, in their order. An error that can be tried again says that it may not be there, any other
    /// that the topic does not take it: either way the record must not be settled.
    pub(crate) async fn send(&self, consumer: &str, letters: Vec<(Record, Letter)>) -> Vec<Result> {
        let open = || self.log.backend().sink(&self.topic);
        let sink = match self.sink.get_or_try_init(open).await {
            Ok(sink) => sink,
            Err(error) => {
                let retriable = error.is_retriable();
                let failed = || self.failed(retriable, &error);
                return std::iter::repeat_with(|| Err(failed()))
                    .take(letters.len())
                    .collect();
            }
        };
        let headers = self.log.backend().capabilities().headers;
        let batch = letters
            .into_iter()
            .map(|(record, letter)| new_record(headers, consumer, record, letter))
            .collect();
        let results = sink.send(batch).await.into_iter();
        results
            .map(|result| match result {
                Ok(_) => Ok(()),
                // One that may be there is written again, whatever kept the answer: doubled, not lost.
                Err(error @ SendError::MaybeWritten(_)) => Err(self.failed(true, &error)),
                Err(error) => Err(self.failed(error.is_retriable(), &error)),
            })
            .collect()
    }

    fn failed(&self, is_retriable: bool, error: &dyn std::fmt::Display) -> Error {
        let what = format!("dead-letter topic {}: {error}", self.topic);
        match is_retriable {
            true => Error::unavailable(what),
            false => Error::permanent(what),
        }
    }
}

/// The letter is of now: with the record's own time a topic's retention would take it at once where the record is old, and a
/// broker would refuse it, and all that goes with it, where the record is of the future.
fn new_record(headers: bool, consumer: &str, record: Record, letter: Letter) -> NewRecord {
    let written = record
        .timestamp
        .map(|time| ("logpipe-origin-timestamp", time.to_string()));
    let origin = [
        ("logpipe-consumer", consumer.to_owned()),
        ("logpipe-origin-topic", record.lane.topic().to_owned()),
        ("logpipe-origin-lane", record.lane.shard().to_owned()),
        ("logpipe-origin-position", record.position.to_string()),
        ("logpipe-reason", letter.reason.kind),
        ("logpipe-reason-text", letter.reason.text),
        ("logpipe-attempts", letter.attempts.to_string()),
    ];
    let origin = origin.into_iter().chain(written);
    let timestamp = record.timestamp.filter(|_| planted(Mistake::OldLetter));
    let mut own = record.headers.to_vec();
    if !headers {
        return NewRecord {
            key: record.key,
            headers: own,
            value: Some(framed(origin, record.value)),
            timestamp,
        };
    }
    own.extend(origin.map(|(name, value)| Header {
        name: name.into(),
        value: Bytes::from(value),
    }));
    NewRecord {
        key: record.key,
        headers: own,
        value: record.value,
        timestamp,
    }
}

/// The line, and the value behind it. JSON has no line break but as an escape, so the first one ends the line; where there
/// is none, the record has no value.
fn framed(origin: impl Iterator<Item = (&'static str, String)>, value: Option<Bytes>) -> Bytes {
    let line: Map<String, Value> = origin
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    let mut framed = FRAMING.to_vec();
    framed.extend_from_slice(Value::Object(line).to_string().as_bytes());
    if let Some(value) = value {
        framed.push(b'\n');
        framed.extend_from_slice(&value);
    }
    framed.into()
}
