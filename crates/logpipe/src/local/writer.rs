//! How records get into the local log: one task writes for the whole process, a transaction for all that queued meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Statement, ToSql};
use tokio::sync::{mpsc, oneshot, watch};

use super::ends::{End, Ends};
use super::next_seq;
use super::schema::pack;
use crate::clock::Clock;
use crate::db::{NotCommitted, Shared};
use crate::record::{Header, LaneId};
use crate::sink::{NewRecord, SendError, Sent, Sink};
use crate::{Error, Result, partition};

/// What one transaction takes.
const BATCH_RECORDS: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;

/// What may queue; beyond it sends are refused.
const QUEUE_BYTES: usize = 256 << 20;

/// What a record takes while it waits, whatever is in it; its result waits with it.
const RECORD_OVERHEAD: usize = size_of::<NewRecord>() + size_of::<Result<Sent, SendError>>();

/// SQLite's own limit for a row is a billion bytes.
const RECORD_BYTES: usize = 256 << 20;

/// Records that go in with one statement.
const CHUNK: usize = 64;

type Results = Vec<Result<Sent, SendError>>;

struct Request {
    unwritten: Unwritten,
    bytes: usize,
    answer: oneshot::Sender<Results>,
}

/// What one call sends.
struct Unwritten {
    topic: Arc<str>,
    records: Vec<NewRecord>,
}

/// The queue in front of the writing task.
#[derive(Clone)]
pub(super) struct Queue {
    requests: mpsc::UnboundedSender<Request>,
    queued: Arc<Queued>,
}

#[derive(Default)]
struct Queued {
    bytes: AtomicUsize,
    handed_over: AtomicU64,
    /// Requests that were answered.
    answered: watch::Sender<u64>,
}

/// Starts the task. It ends once every queue is dropped and what they held is written.
pub(super) fn start(log: Shared, ends: Arc<Ends>, clock: Clock, partitions: u32) -> Queue {
    let (requests, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(Queued::default());
    let appender = Appender {
        log,
        ends,
        clock,
        partitions,
        turn: 0,
    };
    tokio::spawn(run(appender, receiver, queued.clone()));
    Queue { requests, queued }
}

async fn run(
    mut appender: Appender,
    mut receiver: mpsc::UnboundedReceiver<Request>,
    queued: Arc<Queued>,
) {
    while let Some(first) = receiver.recv().await {
        let (mut records, mut bytes) = (first.unwritten.records.len(), first.bytes);
        let mut batch = vec![first];
        while records < BATCH_RECORDS
            && bytes < BATCH_BYTES
            && let Ok(request) = receiver.try_recv()
        {
            records += request.unwritten.records.len();
            bytes += request.bytes;
            batch.push(request);
        }
        queued.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let answered = batch.len() as u64;
        appender.write(batch).await;
        queued.answered.send_modify(|count| *count += answered);
    }
}

struct Appender {
    log: Shared,
    ends: Arc<Ends>,
    clock: Clock,
    /// Of a topic that is made on first use.
    partitions: u32,
    /// Spreads records without key.
    turn: usize,
}

/// A partition as the transaction leaves it.
struct Partition {
    id: i64,
    lane: LaneId,
    next: u64,
    is_changed: bool,
}

/// A record with its place.
struct Placed<'r> {
    partition: i64,
    offset: u64,
    timestamp: Timestamp,
    record: &'r NewRecord,
}

/// What a transaction wrote.
struct Appended {
    /// The places of each send's records.
    sent: Vec<Vec<Sent>>,
    ends: Vec<(LaneId, End)>,
    turn: usize,
}

impl Appender {
    async fn write(&mut self, batch: Vec<Request>) {
        let (sends, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|request| {
                let count = request.unwritten.records.len();
                (request.unwritten, (request.answer, count))
            })
            .unzip();
        let outcome = self.try_write(sends).await;
        let mut placed = outcome.map(Vec::into_iter);
        for (answer, count) in answers {
            let results = match &mut placed {
                Ok(placed) => placed
                    .next()
                    .unwrap_or_default()
                    .into_iter()
                    .map(Ok)
                    .collect(),
                Err(failure) => (0..count).map(|_| Err(repeat(failure))).collect(),
            };
            // Nobody waits for it: the answer is not missed.
            let _ = answer.send(results);
        }
    }

    async fn try_write(&mut self, sends: Vec<Unwritten>) -> Result<Vec<Vec<Sent>>, NotCommitted> {
        let (partitions, turn, now) = (self.partitions, self.turn, self.clock.now());
        let appended = self
            .log
            .transact(move |log| Ok(append(log, &sends, partitions, turn, now)?))
            .await?;
        self.turn = appended.turn;
        for (lane, end) in &appended.ends {
            self.ends.publish(lane, *end);
        }
        Ok(appended.sent)
    }
}

/// One failure, told to each record of the batch.
fn repeat(failure: &NotCommitted) -> SendError {
    let again = |error: &Error| match error.is_retriable() {
        true => Error::unavailable(error),
        false => Error::permanent(error),
    };
    match failure {
        NotCommitted::Undone(error) => SendError::NotWritten(again(error)),
        NotCommitted::Unknown(error) => SendError::MaybeWritten(again(error)),
    }
}

fn append(
    log: &Connection,
    sends: &[Unwritten],
    partitions: u32,
    mut turn: usize,
    now: Timestamp,
) -> rusqlite::Result<Appended> {
    let seq = next_seq(log)?;
    let mut topics = HashMap::new();
    let mut rows = Vec::new();
    let mut sent = Vec::with_capacity(sends.len());
    for Unwritten { topic, records } in sends {
        if !topics.contains_key(topic) {
            topics.insert(topic.clone(), find_or_make(log, topic, partitions, seq)?);
        }
        let lanes = topics.get_mut(topic).expect("it was found or made above");
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let index = match &record.key {
                Some(key) => partition::hash(key) as usize % lanes.len(),
                None => {
                    turn = turn.wrapping_add(1);
                    turn % lanes.len()
                }
            };
            let partition = &mut lanes[index];
            places.push(Sent {
                lane: partition.lane.clone(),
                position: partition.next.into(),
            });
            rows.push(Placed {
                partition: partition.id,
                offset: partition.next,
                timestamp: record.timestamp.unwrap_or(now),
                record,
            });
            partition.next += 1;
            partition.is_changed = true;
        }
        sent.push(places);
    }
    insert(log, &rows)?;
    let mut ends = Vec::new();
    let mut statement =
        log.prepare_cached("UPDATE partitions SET next = ?, seq = ? WHERE id = ?")?;
    for Partition { id, lane, next, .. } in topics
        .into_values()
        .flatten()
        .filter(|partition| partition.is_changed)
    {
        statement.execute((next.cast_signed(), seq, id))?;
        let partition = id;
        ends.push((lane, End { partition, next }));
    }
    Ok(Appended { sent, ends, turn })
}

/// Inserts rows with two shapes of statement alone, the full chunk's and the single row's, so that both stay prepared.
fn insert(log: &Connection, rows: &[Placed<'_>]) -> rusqlite::Result<()> {
    static SQL: LazyLock<[String; 2]> = LazyLock::new(|| {
        [CHUNK, 1].map(|rows| {
            let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
            format!("INSERT INTO records (partition, offset, timestamp, key, headers, value) VALUES {values}")
        })
    });
    let [many, one] = &*SQL;
    let (chunks, rest) = rows.as_chunks::<CHUNK>();
    if !chunks.is_empty() {
        let mut statement = log.prepare_cached(many)?;
        for chunk in chunks {
            insert_with(&mut statement, chunk)?;
        }
    }
    let mut statement = log.prepare_cached(one)?;
    for row in rest {
        insert_with(&mut statement, std::slice::from_ref(row))?;
    }
    Ok(())
}

fn insert_with(statement: &mut Statement<'_>, rows: &[Placed<'_>]) -> rusqlite::Result<()> {
    let mut index = 0;
    let mut bind = |value: &dyn ToSql| {
        index += 1;
        statement.raw_bind_parameter(index, value)
    };
    for row in rows {
        bind(&row.partition)?;
        bind(&row.offset.cast_signed())?;
        bind(&row.timestamp.as_microsecond())?;
        bind(&row.record.key.as_deref())?;
        bind(&pack(&row.record.headers))?;
        bind(&row.record.value.as_deref())?;
    }
    statement.raw_execute().map(drop)
}

/// The partitions of a topic, which is made where it is missing.
fn find_or_make(
    log: &Connection,
    topic: &str,
    partitions: u32,
    seq: i64,
) -> rusqlite::Result<Vec<Partition>> {
    make(log, topic, partitions, seq)?;
    let mut statement = log.prepare_cached(
        "SELECT p.id, p.number, p.next FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? ORDER BY p.number",
    )?;
    let found = statement.query_map([topic], |row| {
        Ok(Partition {
            id: row.get(0)?,
            lane: LaneId::new(topic, row.get::<_, i64>(1)?.to_string()),
            next: row.get::<_, i64>(2)?.cast_unsigned(),
            is_changed: false,
        })
    })?;
    found.collect()
}

/// Makes a topic where it is missing, within a transaction that raised `seq`.
pub(super) fn make(
    log: &Connection,
    topic: &str,
    partitions: u32,
    seq: i64,
) -> rusqlite::Result<()> {
    let id: Option<i64> = log
        .prepare_cached("INSERT INTO topics (name, incarnation) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id")?
        .query_row((topic, uuid::Uuid::new_v4().to_string()), |row| row.get(0))
        .optional()?;
    let Some(id) = id else {
        return Ok(());
    };
    for number in 0..partitions {
        log.prepare_cached("INSERT INTO partitions (topic, number, seq) VALUES (?, ?, ?)")?
            .execute((id, number, seq))?;
    }
    log.execute("UPDATE state SET shape = shape + 1", [])?;
    Ok(())
}

pub(super) struct LocalSink {
    pub topic: Arc<str>,
    pub queue: Queue,
}

impl LocalSink {
    /// Why a batch can't be taken.
    fn refuse(&self, records: &[NewRecord], bytes: usize) -> Option<Error> {
        if records.iter().any(|record| size(record) > RECORD_BYTES) {
            return Some(Error::permanent(format!(
                "a record of this batch is larger than {} MiB, the limit of the local log",
                RECORD_BYTES >> 20
            )));
        }
        let queued = self.queue.queued.bytes.load(Ordering::Relaxed);
        (queued > 0 && queued + bytes > QUEUE_BYTES).then(|| {
            Error::unavailable(format!(
                "{queued} bytes wait to be written to the local log; await the results of earlier sends first"
            ))
        })
    }
}

impl Sink for LocalSink {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn send(&self, records: Vec<NewRecord>) -> BoxFuture<'static, Results> {
        let count = records.len();
        let waiting = records.iter().map(|record| size(record) + RECORD_OVERHEAD);
        let bytes = size_of::<Request>() + waiting.sum::<usize>();
        let refused = |error: &Error| -> Results {
            let failure = NotCommitted::Undone(match error.is_retriable() {
                true => Error::unavailable(error),
                false => Error::permanent(error),
            });
            (0..count).map(|_| Err(repeat(&failure))).collect()
        };
        if count == 0 {
            return Box::pin(async { Vec::new() });
        }
        if let Some(error) = self.refuse(&records, bytes) {
            let results = refused(&error);
            return Box::pin(async move { results });
        }
        let (answer, results) = oneshot::channel();
        let request = Request {
            unwritten: Unwritten {
                topic: self.topic.clone(),
                records,
            },
            bytes,
            answer,
        };
        self.queue.queued.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.queue
            .queued
            .handed_over
            .fetch_add(1, Ordering::Relaxed);
        // Queued by the call, not by the future: the order of calls is the order in the log, and dropping the future
        // does not stop it.
        let is_queued = self.queue.requests.send(request).is_ok();
        Box::pin(async move {
            match results.await {
                Ok(results) => results,
                // The task is gone with its run time, perhaps in the middle of a commit.
                Err(_) => {
                    let failure = || Error::unavailable("the local log's writing task has ended");
                    let failure = match is_queued {
                        true => NotCommitted::Unknown(failure()),
                        false => NotCommitted::Undone(failure()),
                    };
                    (0..count).map(|_| Err(repeat(&failure))).collect()
                }
            }
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        let target = self.queue.queued.handed_over.load(Ordering::Relaxed);
        let mut answered = self.queue.queued.answered.subscribe();
        Box::pin(async move {
            if self.queue.requests.is_closed() {
                return Err(Error::unavailable("the local log's writing task has ended"));
            }
            tokio::select! {
                _ = answered.wait_for(|answered| *answered >= target) => Ok(()),
                () = self.queue.requests.closed() => {
                    Err(Error::unavailable("the local log's writing task has ended"))
                }
            }
        })
    }
}

fn size(record: &NewRecord) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.len() + size_of::<Header>());
    record.key.as_ref().map_or(0, |key| key.len())
        + record.value.as_ref().map_or(0, |value| value.len())
        + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn unwritten(topic: &str, records: usize, size: usize) -> Unwritten {
        let record = NewRecord {
            key: Some("one".into()),
            headers: Vec::new(),
            value: Some(vec![0; size].into()),
            timestamp: None,
        };
        Unwritten {
            topic: topic.into(),
            records: vec![record; records],
        }
    }

    /// Records without a byte in them take memory, too.
    #[test]
    fn what_waits_is_counted_with_what_it_takes_by_itself() {
        let (requests, _receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(Queued::default());
        let sink = LocalSink {
            topic: "a".into(),
            queue: Queue {
                requests,
                queued: queued.clone(),
            },
        };
        let empty = || NewRecord {
            key: None,
            headers: Vec::new(),
            value: None,
            timestamp: None,
        };
        drop(sink.send((0..1_000).map(|_| empty()).collect()));
        let of_batch = queued.bytes.load(Ordering::Relaxed);
        assert!(of_batch >= 1_000 * size_of::<NewRecord>(), "{of_batch}");
        drop(sink.send(vec![empty()]));
        let of_one = queued.bytes.load(Ordering::Relaxed) - of_batch;
        assert!(of_one > of_batch / 1_000, "{of_one}");
    }

    #[tokio::test]
    async fn a_full_disk_leaves_nothing_behind_and_no_hole() {
        let folder = tempfile::tempdir().unwrap();
        let mut appender = Appender {
            log: Shared::new(Arc::new(schema::log_file(folder.path()))),
            ends: Arc::default(),
            clock: Clock::system(),
            partitions: 1,
            turn: 0,
        };
        let limit = async |appender: &mut Appender, pages: &'static str| {
            let limited = appender.log.transact(|log| Ok(log.execute_batch(pages)?));
            assert!(limited.await.is_ok());
        };
        let write =
            async |appender: &mut Appender, send: Unwritten| -> Result<Vec<u64>, NotCommitted> {
                let sent = appender.try_write(vec![send]).await?;
                Ok(sent
                    .concat()
                    .iter()
                    .filter_map(|sent| sent.position.number())
                    .collect())
            };
        assert!(write(&mut appender, unwritten("a", 2, 10)).await.is_ok());
        limit(&mut appender, "PRAGMA max_page_count = 40").await;
        let Err(NotCommitted::Undone(error)) =
            write(&mut appender, unwritten("a", 100, 10_000)).await
        else {
            panic!("more than a full disk holds was written");
        };
        assert!(
            error.is_unavailable() && error.to_string().contains("the disk is full"),
            "{error}"
        );
        limit(&mut appender, "PRAGMA max_page_count = 100000").await;
        assert_eq!(
            write(&mut appender, unwritten("a", 2, 10)).await.ok(),
            Some(vec![2, 3])
        );
    }
}
