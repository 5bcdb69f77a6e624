//! How records get into a stream: one task for each, PutRecords over many keys at once, one record of a key at a time.
//!
//! PutRecords keeps no order, refuses single records of a request, and says which by their places. So a request holds no
//! key twice, and a key's next record waits until the one before it has its result. What queues meanwhile fills the next
//! requests, a few of which are under way together.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::client::{Api, Class, Failed};
use crate::record::LaneId;
use crate::sink::{NewRecord, SendError, Sent, Sink};
use crate::source::backoff;
use crate::{Error, Result};

/// Before the random part of the partition key of a record without key: how a reader knows it again.
pub(super) const UNKEYED: &str = "logpipe-unkeyed-";

/// What one PutRecords takes.
const BATCH_RECORDS: usize = 500;
/// Half of what AWS takes since 2025, and all that other servers take.
const BATCH_BYTES: usize = 5 << 20;

/// Requests under way at the same time.
const IN_FLIGHT: usize = 8;

/// Characters of a partition key.
const KEY_CHARS: usize = 256;

/// What a stream takes as one record, key included, unless it says otherwise.
pub(super) const RECORD_BYTES: usize = 1 << 20;

/// What may queue; beyond it sends are refused.
const QUEUE_BYTES: usize = 64 << 20;

/// How long a record is tried again that the service refuses, from its first try on.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome = Result<Sent, SendError>;

/// The queue in front of a stream's writing task. Clones are the same queue.
#[derive(Clone)]
pub(super) struct Queue {
    requests: mpsc::UnboundedSender<Request>,
    queued: Arc<Queued>,
    stream: Arc<str>,
    /// Bytes of a record.
    limit: usize,
}

#[derive(Default)]
struct Queued {
    bytes: AtomicUsize,
    handed_over: AtomicU64,
    /// Requests that were answered.
    answered: watch::Sender<u64>,
}

struct Request {
    records: Vec<NewRecord>,
    answer: oneshot::Sender<Vec<Outcome>>,
}

impl Queue {
    /// Starts the task. It ends once every queue is dropped and what they held has its result.
    pub(super) fn start(api: Arc<Api>, stream: &str, limit: usize) -> Self {
        let (requests, incoming) = mpsc::unbounded_channel();
        let queued = Arc::new(Queued::default());
        let writer = Writer {
            api,
            stream: stream.into(),
            queued: queued.clone(),
            batches: HashMap::new(),
            next_batch: 0,
            keys: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeMap::new(),
            next_rest: 0,
        };
        tokio::spawn(writer.run(incoming));
        Self {
            requests,
            queued,
            stream: stream.into(),
            limit,
        }
    }

    /// What is wrong with a record, if anything.
    fn check(&self, record: &NewRecord) -> Result<(), SendError> {
        let refuse = |what: String| Err(SendError::NotWritten(Error::permanent(what)));
        let stream = &self.stream;
        let Some(value) = &record.value else {
            return refuse(format!(
                "Kinesis has no tombstones: a record without value can't be sent to stream {stream}; send a message that says what was deleted"
            ));
        };
        if !record.headers.is_empty() {
            return refuse(format!(
                "Kinesis has no headers: send to stream {stream} without them, or put into the message what they say"
            ));
        }
        let mut size = value.len();
        if let Some(key) = &record.key {
            size += key.len();
            let Ok(key) = std::str::from_utf8(key) else {
                return refuse(format!(
                    "a key of Kinesis is text, and this one is not UTF-8 (stream {stream})"
                ));
            };
            if key.is_empty() {
                return refuse(format!(
                    "a key of Kinesis can't be empty: send to stream {stream} with a key, or without any"
                ));
            }
            if key.chars().count() > KEY_CHARS {
                return refuse(format!(
                    "a key of Kinesis has {KEY_CHARS} characters at most, and this one has more (stream {stream})"
                ));
            }
            if key.starts_with(UNKEYED) {
                return refuse(format!(
                    "a key that begins with {UNKEYED:?} stands for no key on Kinesis (stream {stream})"
                ));
            }
        } else {
            size += UNKEYED.len() + 32;
        }
        if size > self.limit {
            return refuse(format!(
                "the record has {size} bytes with its key, and stream {stream} takes {}: raise its maximum record size, or send less",
                self.limit
            ));
        }
        Ok(())
    }

    fn send(&self, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Outcome>> {
        let count = records.len();
        let checked: Vec<Result<(), SendError>> =
            records.iter().map(|record| self.check(record)).collect();
        let records: Vec<NewRecord> = records
            .into_iter()
            .zip(&checked)
            .filter_map(|(record, checked)| checked.is_ok().then_some(record))
            .collect();
        let bytes = records.iter().map(size).sum();
        let queued = self.queued.bytes.fetch_add(bytes, Ordering::SeqCst);
        let (answer, result) = oneshot::channel();
        let refusal = if records.is_empty() {
            None
        } else if queued > 0 && queued + bytes > QUEUE_BYTES {
            Some("too much waits to be written already: send more slowly")
        } else {
            self.queued.handed_over.fetch_add(1, Ordering::SeqCst);
            match self.requests.send(Request { records, answer }) {
                Ok(()) => None,
                Err(_) => Some("the run time is shutting down"),
            }
        };
        if refusal.is_some() {
            self.queued.bytes.fetch_sub(bytes, Ordering::SeqCst);
        }
        let stream = self.stream.clone();
        Box::pin(async move {
            let mut results = match refusal {
                // Nothing was handed over where every record was refused.
                None => result.await.unwrap_or_default().into_iter(),
                Some(_) => Vec::new().into_iter(),
            };
            let mut outcomes = Vec::with_capacity(count);
            for checked in checked {
                outcomes.push(match (checked, refusal) {
                    (Err(refused), _) => Err(refused),
                    (Ok(()), Some(why)) => Err(SendError::NotWritten(Error::unavailable(format!(
                        "stream {stream}: {why}"
                    )))),
                    (Ok(()), None) => results.next().unwrap_or_else(|| {
                        Err(SendError::MaybeWritten(Error::unavailable(format!(
                            "stream {stream}: the run time shut down before the answer came"
                        ))))
                    }),
                });
            }
            outcomes
        })
    }
}

fn size(record: &NewRecord) -> usize {
    let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    bytes(&record.key) + bytes(&record.value)
}

/// Writes to one stream.
pub(super) struct StreamSink(pub Queue);

impl Sink for StreamSink {
    fn topic(&self) -> &str {
        &self.0.stream
    }

    fn send(&self, batch: Vec<NewRecord>) -> BoxFuture<'static, Vec<Outcome>> {
        self.0.send(batch)
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let queued = &self.0.queued;
            let handed_over = queued.handed_over.load(Ordering::SeqCst);
            let mut answered = queued.answered.subscribe();
            // The queue holds the sender's other half for as long as it lives.
            let _ = answered.wait_for(|answered| *answered >= handed_over).await;
            Ok(())
        })
    }
}

/// The task that writes.
struct Writer {
    api: Arc<Api>,
    stream: Arc<str>,
    queued: Arc<Queued>,
    /// Batches whose results are not complete.
    batches: HashMap<u64, Batch>,
    next_batch: u64,
    /// What waits behind a key's record that is on its way or rests.
    keys: HashMap<Bytes, VecDeque<Item>>,
    /// May be sent now: no two of one key.
    ready: VecDeque<Item>,
    /// Refused, to be sent again at that time.
    resting: BTreeMap<(Instant, u64), Item>,
    next_rest: u64,
}

/// What was handed over together.
struct Batch {
    results: Vec<Option<Outcome>>,
    missing: usize,
    answer: oneshot::Sender<Vec<Outcome>>,
}

struct Item {
    batch: u64,
    place: usize,
    /// `None` where it has none of its own.
    key: Option<Bytes>,
    partition_key: String,
    value: Bytes,
    tries: u32,
    /// When it was first tried: what it waited in the queue before is not the service's doing.
    since: Option<Instant>,
}

impl Item {
    fn size(&self) -> usize {
        self.partition_key.len() + self.value.len()
    }
}

type Answer = (Vec<Item>, Result<PutRecordsOutput, Failed>);

impl Writer {
    async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Request>) {
        let mut in_flight: FuturesUnordered<BoxFuture<'static, Answer>> = FuturesUnordered::new();
        let mut is_open = true;
        loop {
            self.wake();
            while in_flight.len() < IN_FLIGHT && !self.ready.is_empty() {
                let items = self.fill();
                in_flight.push(Box::pin(put(self.api.clone(), self.stream.clone(), items)));
            }
            let is_idle = in_flight.is_empty() && self.ready.is_empty() && self.resting.is_empty();
            if !is_open && is_idle {
                return;
            }
            let due = self.resting.keys().next().map(|(due, _)| *due);
            tokio::select! {
                request = incoming.recv(), if is_open => match request {
                    Some(request) => {
                        self.accept(request);
                        // All that waits, so that requests are full.
                        while let Ok(request) = incoming.try_recv() {
                            self.accept(request);
                        }
                    }
                    None => is_open = false,
                },
                Some((items, answer)) = in_flight.next() => self.answered(items, answer),
                () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
            }
        }
    }

    fn accept(&mut self, request: Request) {
        let batch = self.next_batch;
        self.next_batch += 1;
        let count = request.records.len();
        self.batches.insert(
            batch,
            Batch {
                results: (0..count).map(|_| None).collect(),
                missing: count,
                answer: request.answer,
            },
        );
        for (place, record) in request.records.into_iter().enumerate() {
            let partition_key = match &record.key {
                Some(key) => String::from_utf8_lossy(key).into_owned(),
                None => format!("{UNKEYED}{:032x}", rand::random::<u128>()),
            };
            let item = Item {
                batch,
                place,
                key: record.key,
                partition_key,
                value: record.value.unwrap_or_default(),
                tries: 0,
                since: None,
            };
            match item.key.as_ref().map(|key| self.keys.get_mut(key)) {
                Some(Some(behind)) => behind.push_back(item),
                Some(None) => {
                    self.keys
                        .extend(item.key.clone().map(|key| (key, VecDeque::new())));
                    self.ready.push_back(item);
                }
                None => self.ready.push_back(item),
            }
        }
    }

    /// Takes the next request's records from those that are ready.
    fn fill(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < BATCH_RECORDS
            && let Some(next) = self.ready.front()
        {
            bytes += next.size();
            if bytes > BATCH_BYTES && !items.is_empty() {
                break;
            }
            items.extend(self.ready.pop_front().map(|mut item| {
                item.since.get_or_insert_with(Instant::now);
                item
            }));
        }
        items
    }

    /// Those that rested long enough go first.
    fn wake(&mut self) {
        let now = Instant::now();
        let mut awake = Vec::new();
        while let Some(entry) = self.resting.first_entry()
            && entry.key().0 <= now
        {
            awake.push(entry.remove());
        }
        for item in awake.into_iter().rev() {
            self.ready.push_front(item);
        }
    }

    fn answered(&mut self, items: Vec<Item>, answer: Result<PutRecordsOutput, Failed>) {
        match answer {
            Ok(output) if output.records.len() == items.len() => {
                for (item, entry) in items.into_iter().zip(output.records) {
                    match (entry.shard_id, entry.sequence_number) {
                        (Some(shard), Some(position)) => {
                            let sent = match position.parse() {
                                Ok(position) => Ok(Sent {
                                    lane: LaneId::new(&*self.stream, shard),
                                    position,
                                }),
                                // It is there, and nobody knows where.
                                Err(error) => Err(SendError::MaybeWritten(Error::permanent(error))),
                            };
                            self.settle(item, sent);
                        }
                        // The message is not repeated: what it quotes is not ours to show.
                        _ => {
                            let code = entry.error_code.unwrap_or_else(|| "no code".into());
                            self.again(item, format!("Kinesis refuses it ({code})"));
                        }
                    }
                }
            }
            Ok(_) => self.fail_all(items, |stream| {
                SendError::MaybeWritten(Error::unavailable(format!(
                    "the answer to PutRecords on stream {stream} is about other records"
                )))
            }),
            Err(failed) => match failed.class {
                Class::Throttled | Class::NotSent | Class::Busy => {
                    let why = failed.error.to_string();
                    for item in items {
                        self.again(item, why.clone());
                    }
                }
                Class::Unknown => {
                    let why = failed.error.to_string();
                    self.fail_all(items, |_| SendError::MaybeWritten(Error::unavailable(&why)));
                }
                _ => {
                    let is_retriable = failed.error.is_retriable();
                    let why = failed.error.to_string();
                    self.fail_all(items, |_| {
                        SendError::NotWritten(match is_retriable {
                            true => Error::unavailable(&why),
                            false => Error::permanent(&why),
                        })
                    });
                }
            },
        }
    }

    fn fail_all(&mut self, items: Vec<Item>, error: impl Fn(&str) -> SendError) {
        let stream = self.stream.clone();
        for item in items {
            self.settle(item, Err(error(&stream)));
        }
    }

    /// Refused: it rests and goes again, and the later records of its key wait for it.
    fn again(&mut self, mut item: Item, why: String) {
        if item.since.is_some_and(|since| since.elapsed() >= PATIENCE) {
            let error = Error::unavailable(format!(
                "{why}; it was tried for {} s on stream {}",
                PATIENCE.as_secs(),
                self.stream
            ));
            return self.settle(item, Err(SendError::NotWritten(error)));
        }
        let due = Instant::now() + backoff(item.tries);
        item.tries += 1;
        self.resting.insert((due, self.next_rest), item);
        self.next_rest += 1;
    }

    /// A record has its result: the next one of its key may go.
    fn settle(&mut self, item: Item, outcome: Outcome) {
        self.queued.bytes.fetch_sub(
            item.value.len() + item.key.as_ref().map_or(0, Bytes::len),
            Ordering::SeqCst,
        );
        if let Some(key) = &item.key
            && let Some(behind) = self.keys.get_mut(key)
        {
            match behind.pop_front() {
                Some(next) => self.ready.push_back(next),
                None => {
                    self.keys.remove(key);
                }
            }
        }
        let Some(batch) = self.batches.get_mut(&item.batch) else {
            return;
        };
        batch.results[item.place] = Some(outcome);
        batch.missing -= 1;
        if batch.missing == 0
            && let Some(batch) = self.batches.remove(&item.batch)
        {
            // Nobody has to wait for it.
            let _ = batch
                .answer
                .send(batch.results.into_iter().flatten().collect());
            self.queued.answered.send_modify(|answered| *answered += 1);
        }
    }
}

async fn put(api: Arc<Api>, stream: Arc<str>, items: Vec<Item>) -> Answer {
    let entries = items.iter().map(|item| {
        PutRecordsRequestEntry::builder()
            .partition_key(&item.partition_key)
            .data(Blob::new(&*item.value))
            .build()
    });
    let entries: Result<Vec<PutRecordsRequestEntry>, _> = entries.collect();
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let failed = Failed {
                class: Class::Invalid,
                error: Error::permanent(error),
            };
            return (items, Err(failed));
        }
    };
    let put = api
        .client
        .put_records()
        .stream_name(&*stream)
        .set_records(Some(entries))
        .send()
        .await;
    let answer = put.map_err(|error| api.explain("PutRecords", &stream, &error));
    (items, answer)
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::{BehaviorVersion, Config};

    use super::*;

    fn writer() -> Writer {
        let config = Config::builder().behavior_version(BehaviorVersion::latest());
        let api = Api {
            client: aws_sdk_kinesis::Client::from_conf(config.build()),
            region: "nowhere".into(),
            endpoint: None,
        };
        Writer {
            api: Arc::new(api),
            stream: "nouns".into(),
            queued: Arc::default(),
            batches: HashMap::new(),
            next_batch: 0,
            keys: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeMap::new(),
            next_rest: 0,
        }
    }

    fn throttled() -> Failed {
        Failed {
            class: Class::Throttled,
            error: Error::unavailable("slower"),
        }
    }

    /// A record that stood in line behind others is not given up at the first refusal for that.
    #[tokio::test(start_paused = true)]
    async fn patience_begins_with_the_first_try() {
        let mut writer = writer();
        let (answer, mut results) = oneshot::channel();
        writer.accept(Request {
            records: vec![NewRecord {
                key: None,
                headers: Vec::new(),
                value: Some(Bytes::from_static(b"x")),
                timestamp: None,
            }],
            answer,
        });
        tokio::time::advance(2 * PATIENCE).await;
        let items = writer.fill();
        writer.answered(items, Err(throttled()));
        assert!(results.try_recv().is_err(), "given up at the first refusal");

        tokio::time::advance(PATIENCE).await;
        writer.wake();
        let items = writer.fill();
        writer.answered(items, Err(throttled()));
        let mut results = results.try_recv().unwrap();
        let Some(Err(SendError::NotWritten(error))) = results.pop() else {
            panic!("it was never written");
        };
        assert!(error.to_string().contains("for 60 s"), "{error}");
    }
}
