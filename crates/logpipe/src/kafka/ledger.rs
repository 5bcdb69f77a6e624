//! Whose are the results that librdkafka reports? Records that are handed over are numbered, and what is reported of a
//! number is a result of the batch that it was sent with.

use std::sync::{Arc, Mutex, MutexGuard};

use slab::Slab;
use tokio::sync::{Notify, oneshot};

use crate::record::LaneId;
use crate::sink::{NewRecord, SendError, Sent};

/// One for each record of a batch, in their order.
pub(super) type Results = Vec<Result<Sent, SendError>>;

/// A record and the number that its report will name.
pub(super) struct Numbered {
    pub(super) number: usize,
    pub(super) record: NewRecord,
}

/// Records that have no result yet.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Mutex<Entries>,
    /// There are none any more.
    settled: Notify,
}

#[derive(Default)]
struct Entries {
    /// By number: the batch, and the place in it.
    open: Slab<(usize, usize)>,
    batches: Slab<Batch>,
}

/// The results of a batch, and whoever waits for them.
struct Batch {
    topic: Arc<str>,
    results: Vec<Option<Result<Sent, SendError>>>,
    missing: usize,
    done: oneshot::Sender<Results>,
    /// Lanes by partition: named once per batch and partition.
    lanes: Vec<(i32, LaneId)>,
}

impl Ledger {
    /// Numbers the records of a batch, of which there has to be one.
    pub(super) fn enter(
        &self,
        topic: &Arc<str>,
        records: Vec<NewRecord>,
    ) -> (Vec<Numbered>, oneshot::Receiver<Results>) {
        let (done, results) = oneshot::channel();
        let missing = records.len();
        let mut entries = self.entries();
        let batch = entries.batches.insert(Batch {
            topic: topic.clone(),
            results: std::iter::repeat_with(|| None).take(missing).collect(),
            missing,
            done,
            lanes: Vec::new(),
        });
        let numbered = records.into_iter().enumerate().map(|(place, record)| {
            let number = entries.open.insert((batch, place));
            Numbered { number, record }
        });
        (numbered.collect(), results)
    }

    /// What became of a record: its partition and offset, or why it has none.
    pub(super) fn settle(&self, number: usize, result: Result<(i32, i64), SendError>) {
        let mut entries = self.entries();
        let Some((batch, place)) = entries.open.try_remove(number) else {
            return;
        };
        let of = &mut entries.batches[batch];
        let result = result.map(|(partition, offset)| Sent {
            lane: of.lane(partition),
            position: u64::try_from(offset).unwrap_or(0).into(),
        });
        of.results[place] = Some(result);
        of.missing -= 1;
        if of.missing > 0 {
            return;
        }
        let whole = entries.batches.remove(batch);
        let is_empty = entries.open.is_empty();
        drop(entries);
        // An error says that nobody waits.
        let _ = (whole.done).send(whole.results.into_iter().flatten().collect());
        if is_empty {
            self.settled.notify_waiters();
        }
    }

    /// Resolves when every record has its result.
    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.entries().open.is_empty() {
                return;
            }
            settled.await;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries
            .lock()
            .expect("nothing panics while it holds the ledger")
    }
}

impl Batch {
    fn lane(&mut self, partition: i32) -> LaneId {
        if let Some((_, lane)) = self.lanes.iter().find(|(of, _)| *of == partition) {
            return lane.clone();
        }
        let lane = LaneId::new(&*self.topic, partition.to_string());
        self.lanes.push((partition, lane.clone()));
        lane
    }
}
