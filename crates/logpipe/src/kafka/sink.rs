//! How are records written? Through one idempotent producer per cluster, whose acknowledgements a thread of its own
//! serves.
//!
//! `send` hands its batch over before it returns, in the order of its calls. What the producer's queue has no room for
//! waits in a queue of ours, in front of everything that comes later, and the thread hands it over as room comes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header as KafkaHeader, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use tokio::sync::oneshot;
use tracing::warn;

use super::client::{self, Ear};
use super::ledger::{Ledger, Numbered, Results};
use super::native::{self, Failed};
use super::settings::Settings;
use super::trouble;
use crate::sink::{NewRecord, SendError, Sent, Sink};
use crate::{Error, Result};

/// How long the thread waits for acknowledgements at a time.
const TICK: Duration = Duration::from_millis(20);

/// How long a topic may take to appear that the broker makes when it is first named.
const MAKING: Duration = Duration::from_secs(5);

/// How long the cluster may take to describe a topic.
const PATIENCE: Duration = Duration::from_secs(5);

/// What may wait for room; beyond it sends are refused.
const QUEUE_BYTES: usize = 64 << 20;

/// Records that are handed over at a time.
const AT_ONCE: usize = 1_000;

/// Writes to a cluster.
pub(super) struct Writer {
    settings: Settings,
    state: Mutex<State>,
    ledger: Arc<Ledger>,
}

struct State {
    producer: Arc<Writing>,
    /// Waits for room, in order.
    overflow: VecDeque<Waiting>,
    /// What that holds.
    bytes: usize,
}

impl State {
    fn wait(&mut self, waiting: Waiting) {
        self.bytes += waiting.size();
        self.overflow.push_back(waiting);
    }

    /// Hands over what waits, as far as there is room.
    fn refill(&mut self) {
        while let Some(waiting) = self.overflow.pop_front() {
            self.bytes -= waiting.size();
            if let Some(left) = self.producer.hand_over(waiting) {
                self.bytes += left.size();
                self.overflow.push_front(left);
                return;
            }
        }
    }
}

fn size(record: &NewRecord) -> usize {
    let part = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
    let headers = record.headers.iter();
    let headers = headers.map(|header| header.name.len() + header.value.len());
    part(&record.key) + part(&record.value) + headers.sum::<usize>()
}

/// Records of one topic that are to be handed over, in order.
struct Waiting {
    topic: Arc<str>,
    records: Vec<Numbered>,
}

impl Waiting {
    fn size(&self) -> usize {
        let records = self.records.iter();
        records.map(|numbered| size(&numbered.record)).sum()
    }

    /// Pieces of [`AT_ONCE`].
    fn in_pieces(self) -> impl Iterator<Item = Self> {
        let Self { topic, records } = self;
        let mut records = records.into_iter();
        std::iter::from_fn(move || {
            let records: Vec<_> = records.by_ref().take(AT_ONCE).collect();
            (!records.is_empty()).then(|| Self {
                topic: topic.clone(),
                records,
            })
        })
    }
}

/// A producer; another takes its place when it is lost to a fatal error.
struct Writing {
    producer: BaseProducer<Context>,
    is_retired: AtomicBool,
}

#[derive(Default)]
struct Context {
    ear: Ear,
    is_lost: AtomicBool,
    ledger: Arc<Ledger>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            if code == Code::Fatal {
                self.is_lost.store(true, Ordering::Release);
            }
            self.ear.hear(code, reason);
        }
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, number: usize) {
        let result = match delivered {
            Ok(message) => {
                self.ear.is_well();
                Ok((message.partition(), message.offset()))
            }
            Err((error, message)) => {
                let failed = Failed::from(error.clone());
                if failed.code == Code::Fatal {
                    self.is_lost.store(true, Ordering::Release);
                }
                let error = trouble::error(&failed, &self.ear)
                    .context(format!("writing to topic {}", message.topic()));
                Err(match native::may_be_written(message) {
                    true => SendError::MaybeWritten(error),
                    false => SendError::NotWritten(error),
                })
            }
        };
        self.ledger.settle(number, result);
    }
}

impl Writer {
    pub(super) fn new(settings: &Settings) -> Result<Arc<Self>> {
        let ledger = Arc::<Ledger>::default();
        let producer = Writing::begin(settings, &ledger)?;
        let writer = Arc::new(Self {
            settings: settings.clone(),
            state: Mutex::new(State {
                producer: producer.clone(),
                overflow: VecDeque::new(),
                bytes: 0,
            }),
            ledger,
        });
        serve(&writer, producer)?;
        Ok(writer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the producer")
    }

    fn send(&self, topic: &Arc<str>, records: Vec<NewRecord>) -> oneshot::Receiver<Results> {
        let now = |results| {
            let (done, receiver) = oneshot::channel();
            let _ = done.send(results);
            receiver
        };
        if records.is_empty() {
            return now(Vec::new());
        }
        let mut state = self.state();
        // All or nothing, so that no record passes one of its key that was sent before it.
        if !state.overflow.is_empty()
            && state.bytes + records.iter().map(size).sum::<usize>() > QUEUE_BYTES
        {
            drop(state);
            let refused = || {
                let error = Error::unavailable(format!(
                    "writing to topic {topic}: too much waits to be written already: send more slowly"
                ));
                Err(SendError::NotWritten(error))
            };
            return now(std::iter::repeat_with(refused)
                .take(records.len())
                .collect());
        }
        let (records, results) = self.ledger.enter(topic, records);
        let waiting = Waiting {
            topic: topic.clone(),
            records,
        };
        for piece in waiting.in_pieces() {
            let left = match state.overflow.is_empty() {
                true => state.producer.hand_over(piece),
                false => Some(piece),
            };
            if let Some(left) = left {
                state.wait(left);
            }
        }
        results
    }

    /// Puts a new producer in the place of one that is lost.
    fn renew(self: &Arc<Self>) {
        let mut state = self.state();
        if state.producer.is_retired.swap(true, Ordering::AcqRel) {
            return;
        }
        warn!("the producer was lost to a fatal error and is replaced");
        let renewed = Writing::begin(&self.settings, &self.ledger)
            .and_then(|producer| serve(self, producer.clone()).map(|()| producer));
        match renewed {
            Ok(producer) => state.producer = producer,
            Err(error) => {
                state.producer.is_retired.store(false, Ordering::Release);
                warn!(%error, "the producer could not be replaced");
            }
        }
    }
}

impl Writing {
    fn begin(settings: &Settings, ledger: &Arc<Ledger>) -> Result<Arc<Self>> {
        let context = Context {
            ledger: ledger.clone(),
            ..Context::default()
        };
        let producer = BaseProducer::from_config_and_context(&settings.writer(), context)
            .map_err(|error| settings.refused(error))?;
        Ok(Arc::new(Self {
            producer,
            is_retired: AtomicBool::new(false),
        }))
    }

    /// Hands records to the producer, in order; those come back for which there is no room now.
    fn hand_over(&self, mut waiting: Waiting) -> Option<Waiting> {
        let is_plain = |numbered: &Numbered| {
            numbered.record.headers.is_empty() && numbered.record.timestamp.is_none()
        };
        let full = match waiting.records.iter().all(is_plain) {
            true => self.hand_over_together(&waiting),
            false => {
                let mut records = waiting.records.iter();
                records.position(|numbered| self.hand_over_one(&waiting.topic, numbered))
            }
        };
        full.map(|from| Waiting {
            records: waiting.records.split_off(from),
            topic: waiting.topic,
        })
    }

    /// Hands over records without headers and times: nearly all are. Says from which one on there is no room.
    fn hand_over_together(&self, waiting: &Waiting) -> Option<usize> {
        let Waiting { topic, records } = waiting;
        for (place, code) in native::produce(&self.producer, topic, records) {
            if code == Code::QueueFull {
                return Some(place);
            }
            self.refuse(topic, records[place].number, &Failed::code(code));
        }
        None
    }

    /// Says whether there is no room.
    fn hand_over_one(&self, topic: &str, numbered: &Numbered) -> bool {
        let Numbered { number, record } = numbered;
        let mut base = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, *number);
        base.key = record.key.as_deref();
        base.payload = record.value.as_deref();
        base.timestamp = record.timestamp.map(|time| time.as_millisecond());
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            base.headers = Some(record.headers.iter().fold(headers, |headers, header| {
                headers.insert(KafkaHeader {
                    key: &header.name,
                    value: Some(&*header.value),
                })
            }));
        }
        let Err((error, _)) = self.producer.send(base) else {
            return false;
        };
        let failed = Failed::from(error);
        if failed.code == Code::QueueFull {
            return true;
        }
        self.refuse(topic, *number, &failed);
        false
    }

    fn refuse(&self, topic: &str, number: usize, failed: &Failed) {
        let context = self.context();
        if failed.code == Code::Fatal {
            context.is_lost.store(true, Ordering::Release);
        }
        let error =
            trouble::error(failed, &context.ear).context(format!("writing to topic {topic}"));
        (context.ledger).settle(number, Err(SendError::NotWritten(error)));
    }

    fn context(&self) -> &Context {
        self.producer.client().context()
    }
}

/// Serves the acknowledgements of a producer until it is retired, or until nobody can send any more and all is sent.
fn serve(writer: &Arc<Writer>, producer: Arc<Writing>) -> Result<()> {
    let writer = Arc::downgrade(writer);
    let thread = std::thread::Builder::new().name("kafka-writer".into());
    let served = thread.spawn(move || {
        loop {
            producer.producer.poll(TICK);
            let is_idle = producer.producer.in_flight_count() == 0;
            if producer.is_retired.load(Ordering::Acquire) {
                if is_idle {
                    return;
                }
                continue;
            }
            let Some(writer) = writer.upgrade() else {
                if is_idle {
                    return;
                }
                continue;
            };
            if producer.context().is_lost.load(Ordering::Acquire) {
                writer.renew();
            }
            writer.state().refill();
        }
    });
    served
        .map(|_| ())
        .map_err(|error| Error::from(error).context("starting the thread of a producer"))
}

pub(super) struct KafkaSink {
    topic: Arc<str>,
    writer: Arc<Writer>,
}

impl KafkaSink {
    /// Opens a topic for writing. Where the broker makes topics on first use, this is it.
    pub(super) fn open(writer: &Arc<Writer>, topic: &str) -> Result<Self> {
        let producer = writer.state().producer.clone();
        let ear = &producer.context().ear;
        let began = Instant::now();
        loop {
            let asked = producer
                .producer
                .client()
                .fetch_metadata(Some(topic), PATIENCE)
                .map_err(|error| trouble::error(&error.into(), ear))?;
            let found = asked.topics().iter().find(|found| found.name() == topic);
            let code = match found {
                Some(found) if found.error().is_none() && !found.partitions().is_empty() => break,
                Some(found) => found.error().map(Code::from),
                None => None,
            };
            let code = code.unwrap_or(Code::UnknownTopicOrPartition);
            let may_come = matches!(
                code,
                Code::UnknownTopicOrPartition | Code::LeaderNotAvailable | Code::UnknownTopic
            );
            if !may_come || began.elapsed() > MAKING {
                let error = trouble::error(&Failed::code(code), ear);
                return Err(error.context(format!("topic {topic}")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Self {
            topic: topic.into(),
            writer: writer.clone(),
        })
    }
}

impl Sink for KafkaSink {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn send(&self, batch: Vec<NewRecord>) -> BoxFuture<'static, Vec<Result<Sent, SendError>>> {
        let count = batch.len();
        let results = self.writer.send(&self.topic, batch);
        Box::pin(async move {
            match results.await {
                Ok(results) => results,
                // The producer's thread is gone, and with it whoever would know.
                Err(_) => std::iter::repeat_with(|| {
                    let error = Error::unavailable("the producer has ended");
                    Err(SendError::MaybeWritten(error))
                })
                .take(count)
                .collect(),
            }
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.writer.ledger.settled().await;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Kafka;

    #[test]
    fn what_waits_for_room_is_bounded() {
        let kafka = Kafka::builder("127.0.0.1:1")
            .client("queue.buffering.max.messages", "1")
            .client("message.timeout.ms", "1000")
            .build()
            .unwrap();
        let writer = Writer::new(kafka.settings()).unwrap();
        let value = bytes::Bytes::from(vec![0; 900_000]);
        let send = |records| {
            let record = NewRecord {
                key: None,
                headers: Vec::new(),
                value: Some(value.clone()),
                timestamp: None,
            };
            writer.send(&"t".into(), vec![record; records])
        };
        // Nobody listens: the first waits for a broker, the others for room.
        let mut first = send(50);
        assert!(first.try_recv().is_err());
        let refused = send(50).try_recv().unwrap();
        assert_eq!(refused.len(), 50);
        for refused in refused {
            let Err(SendError::NotWritten(error)) = refused else {
                panic!("{refused:?}");
            };
            assert!(error.is_retriable(), "{error}");
        }
        assert!(first.try_recv().is_err(), "what waited still waits");
    }
}
