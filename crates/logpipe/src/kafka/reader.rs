//! How is a lane read? Batches from a partition's queue, each copied once into one arena.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::client::{Client, Ear};
use super::late::Kept;
use super::look::{self, Begin, Placed};
use super::native::{Batch, Failed, Fetching, Taken};
use super::settings::Settings;
use super::trouble;
use super::watch::{Watch, Watched};
use crate::offsets::Offsets;
use crate::record::{Headers, LaneId, Record};
use crate::source::{Budget, Fetch, Fetched, GapKind, LaneReader};
use crate::{Error, Result};

/// Messages taken from librdkafka at once: so few that they are still in the cache when they are copied and given back.
const BATCH: usize = 128;

/// How soon a reader that waits notices that no broker can be reached.
const LISTEN: Duration = Duration::from_secs(1);

/// How long a client that lost its brokers may take to read again once others are answered.
const RETURN: Duration = Duration::from_secs(3);

/// Clients that read lanes. One is enough as long as nobody reads a lane twice at the same time, and as long as there are
/// no more lanes than its share of the buffer was made for: that is fixed when a client is made.
pub(super) struct Readers {
    settings: Settings,
    /// How many lanes the buffer is divided over.
    divisor: AtomicUsize,
    watch: Arc<Watch>,
    clients: Mutex<Vec<Reading>>,
}

struct Reading {
    client: Arc<Client>,
    /// How many lanes the buffer was divided over when the client was made.
    divisor: usize,
    is_retired: bool,
    lanes: BTreeSet<LaneId>,
}

impl Reading {
    fn fits(&self, divisor: usize) -> bool {
        self.divisor == divisor && !self.is_retired
    }
}

impl Readers {
    pub(super) fn new(settings: Settings, lanes: usize, watch: Arc<Watch>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            divisor: AtomicUsize::new(lanes),
            watch,
            clients: Mutex::default(),
        })
    }

    /// Divides the buffer over so many lanes from now on. Readers whose client was made for another number begin anew,
    /// where they are, on one that was made for this.
    pub(super) fn divide(&self, lanes: usize) {
        self.divisor.store(lanes, Ordering::Release);
    }

    /// Nothing new is begun on this client.
    fn retire(&self, client: &Arc<Client>) {
        let mut clients = self.clients();
        let of = clients
            .iter_mut()
            .find(|reading| Arc::ptr_eq(&reading.client, client));
        if let Some(reading) = of {
            reading.is_retired = true;
        }
    }

    fn divisor(&self) -> usize {
        self.divisor.load(Ordering::Acquire)
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.clients
            .lock()
            .expect("nothing panics while it holds the readers")
    }

    /// Begins to fetch a lane. Its topic is known to exist.
    fn start(self: &Arc<Self>, lane: &LaneId, offset: u64) -> Result<Started> {
        let divisor = self.divisor();
        let mut clients = self.clients();
        clients.retain(|reading| reading.fits(divisor) || !reading.lanes.is_empty());
        let free = clients
            .iter_mut()
            .find(|reading| reading.fits(divisor) && !reading.lanes.contains(lane));
        let reading = match free {
            Some(reading) => reading,
            None => {
                let client = Client::new(&self.settings, &self.settings.reader(divisor))?;
                self.watch.serve(&client);
                clients.push_mut(Reading {
                    client,
                    divisor,
                    is_retired: false,
                    lanes: BTreeSet::new(),
                })
            }
        };
        let client = reading.client.clone();
        let offset = i64::try_from(offset)
            .map_err(|_| Error::permanent(format!("{offset} is no offset of Kafka")))?;
        let fetching = Fetching::start(&client, lane.topic(), look::partition(lane)?, offset)
            .map_err(|failed| {
                let error = trouble::error(&failed, client.ear());
                error.context(format!("beginning to read {lane}"))
            })?;
        reading.lanes.insert(lane.clone());
        Ok(Started {
            fetching,
            client,
            divisor,
            lane: lane.clone(),
            readers: self.clone(),
        })
    }

    /// A reader of a lane from there on.
    pub(super) fn open(
        self: &Arc<Self>,
        looker: &Arc<Client>,
        lane: &LaneId,
        incarnation: String,
        begin: Begin,
    ) -> Result<KafkaReader> {
        Ok(KafkaReader {
            started: Some(self.start(lane, begin.offset)?),
            readers: self.clone(),
            looker: looker.clone(),
            watched: self.watch.topic(lane.topic()),
            lane: lane.clone(),
            incarnation,
            next: begin.offset,
            from: begin.from,
            pending: VecDeque::new(),
            kept: Kept::default(),
            is_at_end: false,
            is_suspect: false,
            truncated: None,
            left_behind: None,
        })
    }
}

/// A lane that is being fetched, dropped before its place among the lanes of its client.
struct Started {
    fetching: Fetching,
    client: Arc<Client>,
    divisor: usize,
    lane: LaneId,
    readers: Arc<Readers>,
}

impl Started {
    /// Whether its share of the buffer is no longer the one there is for a lane.
    fn is_misfit(&self) -> bool {
        self.divisor != self.readers.divisor()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // First, for the lane may be begun anew as soon as its place is free.
        self.fetching.stop();
        let mut clients = self.readers.clients();
        if let Some(reading) = clients
            .iter_mut()
            .find(|reading| Arc::ptr_eq(&reading.client, &self.client))
        {
            reading.lanes.remove(&self.lane);
        }
        // One is kept for the next lane.
        if clients.len() > 1 {
            clients.retain(|reading| !reading.lanes.is_empty());
        }
    }
}

pub(super) struct KafkaReader {
    /// There unless it has to be begun anew.
    started: Option<Started>,
    readers: Arc<Readers>,
    looker: Arc<Client>,
    watched: Watched,
    lane: LaneId,
    incarnation: String,
    /// The offset behind what was taken from the queue.
    next: u64,
    /// Records in front of this time are passed over.
    from: Option<Timestamp>,
    /// Taken and not returned yet.
    pending: VecDeque<Record>,
    /// What was taken last, for its headers.
    kept: Kept,
    is_at_end: bool,
    /// Something happened to the log: it is looked at before anything else is read.
    is_suspect: bool,
    /// The log lost its tail, by the word of the broker.
    truncated: Option<Truncated>,
    /// Since when others are answered and our client, which lost its brokers, has read nothing.
    left_behind: Option<Instant>,
}

/// What a new leader did not have: what was read behind this, if it could say so, is not the log's any more.
struct Truncated {
    end: Option<u64>,
}

impl Truncated {
    /// What librdkafka says when a leader does not know what was read, which may fit by its offset: others may have written
    /// in its place since.
    fn told(failed: &Failed) -> Option<Self> {
        // It reaches us as a reset, with the reason in the text alone.
        let is_told = failed.code == Code::LogTruncation
            || (failed.code == Code::AutoOffsetReset
                && (failed.said.contains("log truncation")
                    || failed.said.contains("No epoch found")));
        is_told.then(|| {
            let (_, end) = failed.said.split_once("broker end offset is ").unzip();
            let end = end.and_then(|end| end.split(' ').next()?.parse().ok());
            Self { end }
        })
    }
}

impl KafkaReader {
    /// Takes a batch from the queue.
    fn take(&mut self, max: usize) -> Result<()> {
        let Some(started) = &mut self.started else {
            return Ok(());
        };
        let batch = started.fetching.take(max.min(BATCH));
        let client = started.client.clone();
        let mut failed = None;
        let mut end = None;
        let mut last = None;
        for taken in batch.iter() {
            match taken {
                Taken::Record(message) => last = Some(message.offset() + 1),
                Taken::End(offset) => end = Some(offset),
                Taken::Failed(code) => failed = Some(code),
            }
        }
        self.copy(batch);
        if let Some(last) = last {
            client.ear().is_well();
            self.is_at_end = false;
            self.next = self.next.max(last);
            if !self.pending.is_empty() {
                self.from = None;
            }
        }
        if let Some(end) = end
            && end >= self.next
        {
            client.ear().is_well();
            // Behind the last record there may be marks of transactions, which are nobody's records.
            self.next = end;
            self.is_at_end = true;
        }
        let started = self.started.as_ref();
        if last.is_some() && started.and_then(|started| started.fetching.end()) == Some(self.next) {
            self.is_at_end = true;
        }
        match failed {
            Some(failed) => self.failed(&failed),
            None => Ok(()),
        }
    }

    /// Copies the records of a batch: one allocation holds the bytes of all of them, but for their headers.
    fn copy(&mut self, batch: Batch) {
        let parts = || batch.messages().flat_map(|(_, message)| message.parts());
        let size = parts().map(<[u8]>::len).sum();
        let mut arena = Vec::with_capacity(size);
        parts().for_each(|part| arena.extend_from_slice(part));
        let arena = Bytes::from(arena);
        let mut copied = 0;
        let mut copy = |part: &[u8]| {
            let start = copied;
            copied += part.len();
            arena.slice(start..copied)
        };
        let mut places = Vec::with_capacity(batch.len());
        let first = self.pending.len();
        self.pending.reserve(batch.len());
        for (place, message) in batch.messages() {
            let timestamp = message
                .timestamp()
                .and_then(|millis| Timestamp::from_millisecond(millis).ok());
            let (key, value) = (message.key().map(&mut copy), message.value().map(&mut copy));
            if self.pending.is_empty() && self.from.is_some_and(|from| timestamp < Some(from)) {
                continue;
            }
            places.push(place);
            self.pending.push_back(Record {
                lane: self.lane.clone(),
                position: message.offset().into(),
                timestamp,
                key,
                value,
                headers: Headers::default(),
            });
        }
        if places.is_empty() {
            return;
        }
        let headers = self.kept.headers(batch, size, &places);
        let records = self.pending.range_mut(first..);
        for (record, headers) in records.zip(headers) {
            record.headers = headers;
        }
    }

    fn failed(&mut self, failed: &Failed) -> Result<()> {
        let about_the_log = matches!(
            failed.code,
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::LogTruncation
                | Code::NoOffset
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownTopicId
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
        );
        self.is_suspect = true;
        if let Some(truncated) = Truncated::told(failed) {
            self.truncated = Some(truncated);
            return Ok(());
        }
        if about_the_log {
            return Ok(());
        }
        let error = trouble::error(failed, self.looker.ear());
        Err(error.context(format!("reading {}", self.lane)))
    }

    /// Who can tell why nothing comes, where no broker can be reached.
    fn down(&self) -> Option<&Ear> {
        let ours = self.started.as_ref().map(|started| started.client.ear());
        // At the end nothing may come for long, and then nobody hears that the brokers are back but whoever asks them.
        let ours = ours.filter(|_| !self.is_at_end);
        let mut all = [ours, Some(self.looker.ear())].into_iter().flatten();
        all.find(|ear| ear.is_down())
    }

    /// Whether our client goes on asking brokers that are back for what they do not have: where they were set back to an
    /// earlier copy of their data, it waits for ever for the leader that it knew.
    fn is_left_behind(&mut self) -> bool {
        let lost = |started: &Started| started.client.ear().is_down();
        if !self.started.as_ref().is_some_and(lost) || self.looker.ear().is_down() {
            self.left_behind = None;
            return false;
        }
        let since = *self.left_behind.get_or_insert_with(Instant::now);
        since.elapsed() >= RETURN
    }

    fn is_misfit(&self) -> bool {
        self.started.as_ref().is_some_and(Started::is_misfit)
    }

    /// Compares where we stand with the log there is. Begins anew where all is well.
    async fn examine(&mut self) -> Result<Option<Fetched>> {
        if self.truncated.is_some()
            && let Some(next) = self.pending.pop_front()
        {
            // Taken and not returned: read again, from what the log holds now.
            self.next = next.position.number().unwrap_or(self.next);
            self.pending.clear();
        }
        let (looker, lane) = (self.looker.clone(), self.lane.clone());
        let incarnation = self.incarnation.clone();
        let cursor = Offsets::behind(self.next);
        let truncated = self.truncated.as_ref().map(|truncated| truncated.end);
        let next = self.next;
        let (_, placed) = look::waiting(move || {
            let placed = look::place(&looker, &lane, Some(&incarnation), &cursor)?;
            match (placed, truncated) {
                // What was returned is another record now, or none.
                ((id, Placed::At(_)), Some(end)) if end.is_none_or(|end| end < next) => {
                    let missing = end.map(|end| next - end);
                    let gap = look::offsets(&looker, &lane)?.gap(GapKind::Truncated, missing);
                    Ok((id, Placed::Outside(gap)))
                }
                (placed, _) => Ok(placed),
            }
        })
        .await?;
        match placed {
            Placed::Outside(gap) => Ok(Some(Fetched::OutOfRange(gap))),
            Placed::At(begin) => {
                let (old, readers) = (self.started.take(), self.readers.clone());
                let lane = self.lane.clone();
                // Stopping waits for the client. First, for a client fetches a partition once.
                let begin_anew = move || {
                    drop(old);
                    readers.start(&lane, begin.offset)
                };
                self.started = Some(look::waiting(begin_anew).await?);
                self.is_at_end = false;
                self.is_suspect = false;
                self.truncated = None;
                Ok(None)
            }
        }
    }

    /// From what was taken, up to the budget.
    fn hand_over(&mut self, budget: Budget) -> Fetched {
        let mut bytes = 0_usize;
        let mut count = 0;
        for record in self.pending.iter().take(budget.records) {
            bytes += record.size();
            if bytes > budget.bytes && count > 0 {
                break;
            }
            count += 1;
        }
        let records: Vec<Record> = match count == self.pending.len() {
            true => std::mem::take(&mut self.pending).into(),
            false => self.pending.drain(..count).collect(),
        };
        let seen = match self.pending.front() {
            Some(next) => next.position.number().unwrap_or(self.next),
            None => self.next,
        };
        let end = self
            .started
            .as_ref()
            .and_then(|started| started.fetching.end());
        Fetched::Records(Fetch {
            records,
            through: seen.checked_sub(1).map(Into::into),
            at_end: self.is_at_end && self.pending.is_empty(),
            behind: end.map(|end| end.saturating_sub(seen)),
        })
    }
}

impl LaneReader for KafkaReader {
    fn fetch(&mut self, budget: Budget) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async move {
            if self.watched.is_another(&self.incarnation) || self.is_misfit() {
                self.is_suspect = true;
            }
            if self.is_left_behind()
                && let Some(started) = &self.started
            {
                self.readers.retire(&started.client);
                self.is_suspect = true;
            }
            if self.is_suspect
                && let Some(gap) = self.examine().await?
            {
                return Ok(gap);
            }
            if self.pending.is_empty() {
                self.take(budget.records)?;
                if self.pending.is_empty()
                    && let Some(ear) = self.down()
                {
                    let failed = Failed::code(Code::AllBrokersDown);
                    return Err(trouble::error(&failed, ear));
                }
            }
            Ok(self.hand_over(budget))
        })
    }

    fn ready(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            loop {
                let is_another = self.watched.is_another(&self.incarnation);
                let is_misfit = self.is_misfit() || self.is_left_behind();
                let is_news = self.is_suspect || is_another || is_misfit || self.down().is_some();
                if !self.pending.is_empty() || is_news {
                    return Ok(());
                }
                let Some(started) = &self.started else {
                    // Beginning anew failed; soon is early enough for the next try.
                    self.is_suspect = true;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    return Ok(());
                };
                if started.fetching.waits() {
                    return Ok(());
                }
                tokio::select! {
                    () = started.fetching.filled() => {}
                    () = self.watched.changed() => {}
                    () = tokio::time::sleep(LISTEN) => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Kafka;

    /// In the words of librdkafka's rdkafka_offset.c.
    #[test]
    fn a_truncation_is_told_from_other_resets() {
        let truncated = |code, said: &str| {
            let said = said.to_owned();
            let truncated = Truncated::told(&Failed { code, said });
            truncated.map(|truncated| truncated.end)
        };
        for (code, said, end) in [
            (
                Code::AutoOffsetReset,
                "Partition log truncation detected at offset 5 (leader epoch 2): broker end offset is 2 (offset leader \
                 epoch 0). Reset to INVALID.: Local: Partition log truncation detected (broker 1)",
                Some(Some(2)),
            ),
            (
                Code::AutoOffsetReset,
                "No epoch found less or equal to offset 5 (leader epoch 2): broker end offset is -1 (offset leader epoch \
                 -1). Reset using configured policy.: Local: Partition log truncation detected (broker 1)",
                Some(None),
            ),
            (Code::LogTruncation, "", Some(None)),
            (
                Code::AutoOffsetReset,
                "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)",
                None,
            ),
            (Code::UnknownTopicOrPartition, "", None),
        ] {
            assert_eq!(truncated(code, said), end, "{code:?}: {said}");
        }
    }

    #[test]
    fn a_client_reads_with_the_share_that_there_is_for_a_lane() {
        // Nobody listens there, and nobody has to: clients are made before they are answered.
        let kafka = Kafka::new("127.0.0.1:1").unwrap();
        let looker = Client::new(kafka.settings(), &kafka.settings().looker()).unwrap();
        let watch = Watch::begin(looker).unwrap();
        // The topic is missing.
        let readers = Readers::new(kafka.settings().clone(), 0, watch);
        let lane = |shard: usize| LaneId::new("t", shard.to_string());
        let first = readers.start(&lane(0), 0).unwrap();
        let second = readers.start(&lane(1), 0).unwrap();
        assert!(Arc::ptr_eq(&first.client, &second.client));
        assert!(!first.is_misfit());

        // It comes, with more lanes than were thought of.
        readers.divide(64);
        assert!(first.is_misfit() && second.is_misfit());
        let third = readers.start(&lane(2), 0).unwrap();
        assert!(!third.is_misfit());
        assert!(!Arc::ptr_eq(&first.client, &third.client));
        drop(first);
        let first = readers.start(&lane(0), 0).unwrap();
        assert!(Arc::ptr_eq(&first.client, &third.client));
        drop(second);
        assert_eq!(readers.clients().len(), 1, "nobody reads with the old one");
    }
}
