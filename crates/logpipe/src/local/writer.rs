//! How records get into the local log: one task writes for the whole process, a transaction for all that queued meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};

use super::ends::{End, Ends};
use super::schema::pack;
use crate::clock::Clock;
use crate::db::{File, NotCommitted, Writer};
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
    topic: Arc<str>,
    records: Vec<NewRecord>,
    bytes: usize,
    answer: oneshot::Sender<Results>,
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
pub(super) fn start(file: Arc<File>, ends: Arc<Ends>, clock: Clock, partitions: u32) -> Queue {
    let (requests, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(Queued::default());
    let appender = Appender {
        writer: Writer::new(file),
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
        let (mut records, mut bytes) = (first.records.len(), first.bytes);
        let mut batch = vec![first];
        while records < BATCH_RECORDS
            && bytes < BATCH_BYTES
            && let Ok(request) = receiver.try_recv()
        {
            records += request.records.len();
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
    writer: Writer,
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

impl Appender {
    async fn write(&mut self, batch: Vec<Request>) {
        let outcome = self.try_write(&batch).await;
        let mut placed = match outcome {
            Ok(placed) => placed.into_iter(),
            Err(error) => {
                for request in batch {
                    let results = request
                        .records
                        .iter()
                        .map(|_| Err(repeat(&error)))
                        .collect();
                    // Nobody waits for it: the answer is not missed.
                    let _ = request.answer.send(results);
                }
                return;
            }
        };
        for request in batch {
            let results = placed
                .next()
                .unwrap_or_default()
                .into_iter()
                .map(Ok)
                .collect();
            let _ = request.answer.send(results);
        }
    }

    async fn try_write(&mut self, batch: &[Request]) -> Result<Vec<Vec<Sent>>, NotCommitted> {
        let now = self.clock.now();
        let connection = self.writer.begin().await.map_err(NotCommitted::Undone)?;
        let mut topics = HashMap::new();
        let appended = append(
            connection,
            batch,
            &mut topics,
            self.partitions,
            &mut self.turn,
            now,
        );
        let sent = match appended.await {
            Ok(sent) => sent,
            Err(error) => {
                let error = self.writer.file.explain(error, "writing to");
                self.writer.rollback().await;
                return Err(NotCommitted::Undone(error));
            }
        };
        self.writer.commit().await?;
        for partition in topics
            .into_values()
            .flatten()
            .filter(|partition| partition.is_changed)
        {
            let end = End {
                partition: partition.id,
                next: partition.next,
            };
            self.ends.publish(&partition.lane, end);
        }
        Ok(sent)
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

async fn append(
    connection: &mut SqliteConnection,
    batch: &[Request],
    topics: &mut HashMap<Arc<str>, Vec<Partition>>,
    partitions: u32,
    turn: &mut usize,
    now: Timestamp,
) -> sqlx::Result<Vec<Vec<Sent>>> {
    let seq: i64 = sqlx::query_scalar("UPDATE state SET seq = seq + 1 RETURNING seq")
        .fetch_one(&mut *connection)
        .await?;
    let mut rows = Vec::new();
    let mut sent = Vec::with_capacity(batch.len());
    for request in batch {
        if !topics.contains_key(&request.topic) {
            let found = find_or_make(connection, &request.topic, partitions, seq).await?;
            topics.insert(request.topic.clone(), found);
        }
        let lanes = topics
            .get_mut(&request.topic)
            .expect("it was found or made above");
        let mut places = Vec::with_capacity(request.records.len());
        for record in &request.records {
            let index = match &record.key {
                Some(key) => partition::hash(key) as usize % lanes.len(),
                None => {
                    *turn = turn.wrapping_add(1);
                    *turn % lanes.len()
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
    insert(connection, &rows).await?;
    for partition in topics
        .values()
        .flatten()
        .filter(|partition| partition.is_changed)
    {
        sqlx::query("UPDATE partitions SET next = ?, seq = ? WHERE id = ?")
            .bind(partition.next.cast_signed())
            .bind(seq)
            .bind(partition.id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(sent)
}

async fn insert(connection: &mut SqliteConnection, rows: &[Placed<'_>]) -> sqlx::Result<()> {
    for chunk in rows.chunks(CHUNK) {
        // Two shapes of statement alone, the full chunk's and the single row's, so that both stay prepared.
        let groups = match chunk.len() {
            CHUNK => chunk.chunks(CHUNK),
            _ => chunk.chunks(1),
        };
        for group in groups {
            let values = vec!["(?, ?, ?, ?, ?, ?)"; group.len()].join(", ");
            let sql = format!(
                "INSERT INTO records (partition, offset, timestamp, key, headers, value) VALUES {values}"
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in group {
                query = query
                    .bind(row.partition)
                    .bind(row.offset.cast_signed())
                    .bind(row.timestamp.as_microsecond())
                    .bind(row.record.key.as_deref())
                    .bind(pack(&row.record.headers))
                    .bind(row.record.value.as_deref());
            }
            query.execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// The partitions of a topic, which is made where it is missing.
async fn find_or_make(
    connection: &mut SqliteConnection,
    topic: &str,
    partitions: u32,
    seq: i64,
) -> sqlx::Result<Vec<Partition>> {
    make(connection, topic, partitions, seq).await?;
    let rows = sqlx::query(
        "SELECT p.id, p.number, p.next FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? ORDER BY p.number",
    )
    .bind(topic)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Partition {
                id: row.try_get(0)?,
                lane: LaneId::new(topic, row.try_get::<i64, _>(1)?.to_string()),
                next: row.try_get::<i64, _>(2)?.cast_unsigned(),
                is_changed: false,
            })
        })
        .collect()
}

/// Makes a topic where it is missing, within a transaction that raised `seq`.
pub(super) async fn make(
    connection: &mut SqliteConnection,
    topic: &str,
    partitions: u32,
    seq: i64,
) -> sqlx::Result<()> {
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO topics (name, incarnation) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(topic)
    .bind(uuid::Uuid::new_v4().to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(id) = id else {
        return Ok(());
    };
    for number in 0..partitions {
        sqlx::query("INSERT INTO partitions (topic, number, seq) VALUES (?, ?, ?)")
            .bind(id)
            .bind(number)
            .bind(seq)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE state SET shape = shape + 1")
        .execute(connection)
        .await?;
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
            topic: self.topic.clone(),
            records,
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

    fn request(topic: &str, records: usize, size: usize) -> Request {
        let record = NewRecord {
            key: Some("one".into()),
            headers: Vec::new(),
            value: Some(vec![0; size].into()),
            timestamp: None,
        };
        Request {
            topic: topic.into(),
            records: vec![record; records],
            bytes: records * size,
            answer: oneshot::channel().0,
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
            writer: Writer::new(Arc::new(schema::log_file(folder.path()))),
            ends: Arc::default(),
            clock: Clock::system(),
            partitions: 1,
            turn: 0,
        };
        let limit = async |appender: &mut Appender, pages: &'static str| {
            let connection = appender.writer.begin().await.unwrap();
            sqlx::raw_sql("ROLLBACK")
                .execute(&mut *connection)
                .await
                .unwrap();
            sqlx::raw_sql(pages).execute(connection).await.unwrap();
        };
        let write =
            async |appender: &mut Appender, request: Request| -> Result<Vec<u64>, NotCommitted> {
                let sent = appender.try_write(&[request]).await?;
                Ok(sent
                    .concat()
                    .iter()
                    .filter_map(|sent| sent.position.number())
                    .collect())
            };
        assert!(write(&mut appender, request("a", 2, 10)).await.is_ok());
        limit(&mut appender, "PRAGMA max_page_count = 40").await;
        let Err(NotCommitted::Undone(error)) =
            write(&mut appender, request("a", 100, 10_000)).await
        else {
            panic!("more than a full disk holds was written");
        };
        assert!(
            error.is_unavailable() && error.to_string().contains("the disk is full"),
            "{error}"
        );
        limit(&mut appender, "PRAGMA max_page_count = 100000").await;
        assert_eq!(
            write(&mut appender, request("a", 2, 10)).await.ok(),
            Some(vec![2, 3])
        );
    }
}
