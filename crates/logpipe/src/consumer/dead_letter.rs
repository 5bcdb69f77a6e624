//! Parking on a topic: byte for byte, with origin and reason in headers, acknowledged before the position moves.

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::log::Subscription;
use crate::record::Header;
use crate::sink::{NewRecord, Sink};
use crate::store::Park;
use crate::{Error, Result};

pub(crate) struct DeadLetter {
    log: Subscription,
    topic: String,
    sink: OnceCell<Box<dyn Sink>>,
}

impl DeadLetter {
    pub(crate) fn new(log: Subscription, topic: String) -> Self {
        Self {
            log,
            topic,
            sink: OnceCell::new(),
        }
    }

    /// An error means that some may not be there: nothing may be settled.
    pub(crate) async fn send(&self, consumer: &str, parks: Vec<Park>) -> Result {
        let open = || self.log.backend().sink(&self.topic);
        let sink = self.sink.get_or_try_init(open).await?;
        let batch = parks
            .into_iter()
            .map(|park| record(consumer, park))
            .collect();
        for result in sink.send(batch).await {
            result.map_err(|error| {
                Error::unavailable(format!("dead-letter topic {}: {error}", self.topic))
            })?;
        }
        Ok(())
    }
}

fn record(consumer: &str, park: Park) -> NewRecord {
    let Park {
        record,
        reason,
        attempts,
        blocks_key: _,
    } = park;
    let mut headers = record.headers;
    let origin = [
        ("logpipe-consumer", consumer.to_owned()),
        ("logpipe-origin-topic", record.lane.topic().to_owned()),
        ("logpipe-origin-lane", record.lane.shard().to_owned()),
        ("logpipe-origin-position", record.position.to_string()),
        ("logpipe-reason", reason.kind),
        ("logpipe-reason-text", reason.text),
        ("logpipe-attempts", attempts.to_string()),
    ];
    headers.extend(origin.map(|(name, value)| Header {
        name: name.into(),
        value: Bytes::from(value),
    }));
    NewRecord {
        key: record.key,
        headers,
        value: record.value,
        timestamp: record.timestamp,
    }
}
