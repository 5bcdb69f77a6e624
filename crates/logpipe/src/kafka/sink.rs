//! How are records written? Through one idempotent producer per cluster, whose acknowledgements a thread of its own
//! serves.
//!
//! `send` hands its batch over before it returns, in the order of its calls. What the producer's queue has no room for
//! waits in a queue of ours, in front of everything that comes later, and the thread hands it over as room comes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header as KafkaHeader, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use tokio::sync::{Notify, oneshot};
use tracing::warn;

use super::client::{self, Ear};
use super::native::{self, Failed};
use super::settings::Settings;
use super::trouble;
use crate::record::LaneId;
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

/// Records that are taken out of that queue at a time.
const AT_ONCE: usize = 1_000;

/// Writes to a cluster.
pub(super) struct Writer {
    settings: Settings,
    state: Mutex<State>,
    /// Records that were handed over and have no result.
    open: Arc<Open>,
}

#[derive(Default)]
struct Open {
    count: AtomicUsize,
    done: Notify,
}

struct State {
    producer: Arc<Writing>,
    /// Waits for room, in order.
    overflow: VecDeque<Waiting>,
    /// What that holds.
    bytes: usize,
}

fn size(record: &NewRecord) -> usize {
    let part = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
    let headers = record.headers.iter();
    let headers = headers.map(|header| header.name.len() + header.value.len());
    part(&record.key) + part(&record.value) + headers.sum::<usize>()
}

/// A producer; another takes its place when it is lost to a fatal error.
struct Writing {
    producer: BaseProducer<Context>,
    is_retired: AtomicBool,
}

struct Waiting {
    record: NewRecord,
    delivery: Box<Delivery>,
}

/// Where the result of a record goes.
struct Delivery {
    batch: Arc<Batch>,
    index: usize,
}

/// The results of a batch, and whoever waits for them.
struct Batch {
    topic: Arc<str>,
    open: Arc<Open>,
    results: Mutex<Results>,
}

struct Results {
    results: Vec<Option<Result<Sent, SendError>>>,
    missing: usize,
    done: Option<oneshot::Sender<Vec<Result<Sent, SendError>>>>,
    /// Lanes by partition: named once per batch and partition.
    lanes: Vec<(i32, LaneId)>,
}

impl Batch {
    fn results(&self) -> MutexGuard<'_, Results> {
        self.results
            .lock()
            .expect("nothing panics while it holds results")
    }

    fn settle(&self, index: usize, result: Result<(i32, i64), SendError>) {
        let mut results = self.results();
        let result = result.map(|(partition, offset)| Sent {
            lane: results.lane(&self.topic, partition),
            position: u64::try_from(offset).unwrap_or(0).into(),
        });
        results.results[index] = Some(result);
        results.missing -= 1;
        if results.missing > 0 {
            return;
        }
        let all = std::mem::take(&mut results.results);
        let done = results.done.take();
        drop(results);
        let count = all.len();
        if let Some(done) = done {
            // An error says that nobody waits.
            let _ = done.send(all.into_iter().flatten().collect());
        }
        if self.open.count.fetch_sub(count, Ordering::AcqRel) == count {
            self.open.done.notify_waiters();
        }
    }
}

impl Results {
    fn lane(&mut self, topic: &str, partition: i32) -> LaneId {
        if let Some((_, lane)) = self.lanes.iter().find(|(of, _)| *of == partition) {
            return lane.clone();
        }
        let lane = LaneId::new(topic, partition.to_string());
        self.lanes.push((partition, lane.clone()));
        lane
    }
}

#[derive(Default)]
struct Context {
    ear: Ear,
    is_lost: AtomicBool,
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
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let result = match delivered {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, message)) => {
                let failed = Failed::from(error.clone());
                if failed.code == Code::Fatal {
                    self.is_lost.store(true, Ordering::Release);
                }
                let error = trouble::error(&failed, &self.ear)
                    .context(format!("writing to topic {}", delivery.batch.topic));
                Err(match native::may_be_written(message) {
                    true => SendError::MaybeWritten(error),
                    false => SendError::NotWritten(error),
                })
            }
        };
        if result.is_ok() {
            self.ear.is_well();
        }
        delivery.batch.settle(delivery.index, result);
    }
}

impl Writer {
    pub(super) fn new(settings: &Settings) -> Result<Arc<Self>> {
        let producer = Writing::begin(settings)?;
        let writer = Arc::new(Self {
            settings: settings.clone(),
            state: Mutex::new(State {
                producer: producer.clone(),
                overflow: VecDeque::new(),
                bytes: 0,
            }),
            open: Arc::default(),
        });
        serve(&writer, producer)?;
        Ok(writer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the producer")
    }

    fn send(
        &self,
        topic: &Arc<str>,
        records: Vec<NewRecord>,
    ) -> oneshot::Receiver<Vec<Result<Sent, SendError>>> {
        let (done, results) = oneshot::channel();
        if records.is_empty() {
            let _ = done.send(Vec::new());
            return results;
        }
        let count = records.len();
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
            let _ = done.send(std::iter::repeat_with(refused).take(count).collect());
            return results;
        }
        self.open.count.fetch_add(count, Ordering::AcqRel);
        let batch = Arc::new(Batch {
            topic: topic.clone(),
            open: self.open.clone(),
            results: Mutex::new(Results {
                results: std::iter::repeat_with(|| None).take(count).collect(),
                missing: count,
                done: Some(done),
                lanes: Vec::new(),
            }),
        });
        let mut waiting = records
            .into_iter()
            .enumerate()
            .map(|(index, record)| Waiting {
                record,
                delivery: Box::new(Delivery {
                    batch: batch.clone(),
                    index,
                }),
            })
            .collect();
        if state.overflow.is_empty() {
            waiting = state.producer.hand_over(waiting);
        }
        for waiting in waiting {
            state.bytes += size(&waiting.record);
            state.overflow.push_back(waiting);
        }
        results
    }

    /// Hands over what waited, as far as there is room.
    fn refill(&self) {
        let mut state = self.state();
        while !state.overflow.is_empty() {
            let some = state.overflow.len().min(AT_ONCE);
            let some: Vec<_> = state.overflow.drain(..some).collect();
            state.bytes -= some
                .iter()
                .map(|waiting| size(&waiting.record))
                .sum::<usize>();
            let left = state.producer.hand_over(some);
            let is_full = !left.is_empty();
            for waiting in left.into_iter().rev() {
                state.bytes += size(&waiting.record);
                state.overflow.push_front(waiting);
            }
            if is_full {
                return;
            }
        }
    }

    /// Puts a new producer in the place of one that is lost.
    fn renew(self: &Arc<Self>) {
        let mut state = self.state();
        if state.producer.is_retired.swap(true, Ordering::AcqRel) {
            return;
        }
        warn!("the producer was lost to a fatal error and is replaced");
        let renewed = Writing::begin(&self.settings)
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
    fn begin(settings: &Settings) -> Result<Arc<Self>> {
        let producer =
            BaseProducer::from_config_and_context(&settings.writer(), Context::default())
                .map_err(|error| settings.refused(error))?;
        Ok(Arc::new(Self {
            producer,
            is_retired: AtomicBool::new(false),
        }))
    }

    /// Hands records to the producer, in order; those come back for which there is no room now.
    fn hand_over(&self, records: Vec<Waiting>) -> Vec<Waiting> {
        let Some(first) = records.first() else {
            return records;
        };
        let topic = first.delivery.batch.topic.clone();
        let is_plain = |waiting: &Waiting| {
            waiting.record.headers.is_empty()
                && waiting.record.timestamp.is_none()
                && waiting.delivery.batch.topic == topic
        };
        if records.iter().all(is_plain) {
            return self.hand_over_together(&topic, records);
        }
        let mut records = records.into_iter();
        let full = records
            .by_ref()
            .find_map(|waiting| self.hand_over_one(waiting));
        full.into_iter().chain(records).collect()
    }

    /// Hands over records of one topic without headers and times: nearly all are.
    fn hand_over_together(&self, topic: &str, records: Vec<Waiting>) -> Vec<Waiting> {
        let (records, deliveries): (Vec<_>, Vec<_>) = records
            .into_iter()
            .map(|waiting| (waiting.record, waiting.delivery))
            .unzip();
        let refused = native::produce(&self.producer, topic, &records, deliveries.into_iter());
        let mut left = Vec::new();
        for (place, delivery, code) in refused {
            match code {
                Code::QueueFull => left.push(Waiting {
                    record: records[place].clone(),
                    delivery,
                }),
                code => self.refuse(&delivery, &Failed::code(code)),
            }
        }
        left
    }

    fn hand_over_one(&self, waiting: Waiting) -> Option<Waiting> {
        let Waiting { record, delivery } = waiting;
        let topic = delivery.batch.topic.clone();
        let mut base = BaseRecord::<[u8], [u8], Box<Delivery>>::with_opaque_to(&topic, delivery);
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
        let (error, delivery) = match self.producer.send(base) {
            Ok(()) => return None,
            Err((error, base)) => (error, base.delivery_opaque),
        };
        match Failed::from(error) {
            failed if failed.code == Code::QueueFull => Some(Waiting { record, delivery }),
            failed => {
                self.refuse(&delivery, &failed);
                None
            }
        }
    }

    fn refuse(&self, delivery: &Delivery, failed: &Failed) {
        if failed.code == Code::Fatal {
            self.context().is_lost.store(true, Ordering::Release);
        }
        let topic = &delivery.batch.topic;
        let error = trouble::error(failed, &self.context().ear)
            .context(format!("writing to topic {topic}"));
        let refused = Err(SendError::NotWritten(error));
        delivery.batch.settle(delivery.index, refused);
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
            writer.refill();
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
            loop {
                let done = self.writer.open.done.notified();
                tokio::pin!(done);
                done.as_mut().enable();
                if self.writer.open.count.load(Ordering::Acquire) == 0 {
                    return Ok(());
                }
                done.await;
            }
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
