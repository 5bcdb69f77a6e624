//! How a shard is read: GetRecords at its pace, behind an iterator that is made anew whenever it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

use super::client::{Class, Failed};
use super::leases::Seen;
use super::sink::UNKEYED;
use super::streams::Streams;
use crate::record::{Cursor, Headers, LaneId, Position, Record};
use crate::source::{Budget, Fetch, Fetched, Gap, GapKind, LaneReader, backoff};
use crate::{Error, Result};

/// What one GetRecords may return at most.
const MOST_RECORDS: usize = 10_000;

/// What it is asked for at most, as far as that can be estimated: what a shard gives in a second.
const PULL_BYTES: usize = 2 << 20;

/// Bytes that a shard gives in a second; who takes more is throttled for the seconds that follow.
const BYTES_PER_SECOND: f64 = (2 << 20) as f64;

/// Between two looks at a shard that has nothing new: the first, and the longest.
const IDLE_FIRST: Duration = Duration::from_millis(250);
const IDLE_MOST: Duration = Duration::from_secs(1);

/// How far back the newest record is looked for.
const NEWEST_WINDOW: Duration = Duration::from_secs(10);

/// The service's clock may be behind this one's.
const SKEW: Duration = Duration::from_secs(300);

pub(super) struct ShardReader {
    streams: Arc<Streams>,
    group: Option<String>,
    lane: LaneId,
    incarnation: String,
    /// Behind the last record that was taken from the service.
    cursor: Cursor,
    /// The record at the cursor that it was opened with has not been found again yet: records behind it may be gone.
    is_unproven: bool,
    iterator: Option<String>,
    /// Something is wrong with the stream: look at it before the next read.
    is_doubtful: bool,
    /// Taken from the service, not asked for yet.
    buffer: VecDeque<Record>,
    is_at_end: bool,
    has_ended: bool,
    /// Reads in a row that returned nothing, and that were throttled.
    idle: u32,
    throttled: u32,
    /// When it was read last.
    read: Option<Instant>,
    /// Bytes of a record, on average.
    average: usize,
}

/// What a read came to.
enum Read {
    Done,
    /// Nothing, for now.
    Nothing,
    Gap(Gap),
}

impl ShardReader {
    pub(super) fn new(
        streams: Arc<Streams>,
        group: Option<String>,
        lane: LaneId,
        incarnation: String,
        cursor: Cursor,
    ) -> Self {
        Self {
            is_unproven: matches!(cursor, Cursor::After(_)),
            streams,
            group,
            lane,
            incarnation,
            cursor,
            iterator: None,
            is_doubtful: false,
            buffer: VecDeque::new(),
            is_at_end: false,
            has_ended: false,
            idle: 0,
            throttled: 0,
            read: None,
            average: 1 << 10,
        }
    }

    /// Makes an iterator for the cursor. A gap where the position is none of this shard.
    pub(super) async fn locate(&mut self) -> Result<Option<GapKind>, Failed> {
        let api = &self.streams.api;
        let call = || {
            api.client
                .get_shard_iterator()
                .stream_name(self.lane.topic())
                .shard_id(self.lane.shard())
        };
        let at = |time: Timestamp| {
            call()
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(time.as_millisecond()))
        };
        let now = self.streams.clock.now();
        let call = match &self.cursor {
            Cursor::Start => call().shard_iterator_type(ShardIteratorType::TrimHorizon),
            // A time that is still to come is refused; what comes before it is left out when it is read.
            Cursor::At(time) => at((*time).min(now)),
            // With the record itself, which proves that nothing behind it was removed.
            Cursor::After(position) if self.is_unproven => call()
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(position.to_string()),
            Cursor::After(position) => call()
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(position.to_string()),
            Cursor::Closed => {
                self.has_ended = true;
                return Ok(None);
            }
        };
        let made = call
            .send()
            .await
            .map_err(|error| api.explain("GetShardIterator", self.lane.topic(), &error));
        let made = match made {
            Err(failed)
                if failed.class == Class::Invalid && matches!(self.cursor, Cursor::At(_)) =>
            {
                let earlier = now.saturating_sub(SKEW).unwrap_or(now);
                at(earlier)
                    .send()
                    .await
                    .map_err(|error| api.explain("GetShardIterator", self.lane.topic(), &error))
            }
            made => made,
        };
        match made {
            Ok(made) => {
                self.iterator = made.shard_iterator;
                Ok(None)
            }
            Err(failed)
                if failed.class == Class::Invalid && matches!(self.cursor, Cursor::After(_)) =>
            {
                Ok(Some(GapKind::Recreated))
            }
            Err(failed) if failed.class == Class::Throttled => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// One GetRecords, into the buffer.
    async fn read(&mut self, budget: Budget) -> Result<Read> {
        if self.is_doubtful
            && let Some(gap) = self.diagnose().await?
        {
            return Ok(Read::Gap(gap));
        }
        self.streams.turn(&self.lane).await;
        if self.iterator.is_none() {
            match self.locate().await {
                Ok(None) => {}
                Ok(Some(kind)) => return Ok(Read::Gap(self.gap(kind))),
                Err(failed) => return self.failed(failed).await,
            }
        }
        let Some(iterator) = self.iterator.clone() else {
            return Ok(self.slower());
        };
        let bytes = budget.bytes.min(PULL_BYTES);
        let limit = (bytes / self.average).clamp(1, MOST_RECORDS);
        let began = Instant::now();
        let got = self
            .streams
            .api
            .client
            .get_records()
            .shard_iterator(iterator)
            .limit(limit as i32)
            .send()
            .await;
        self.read = Some(began);
        match got {
            Ok(got) => self.take(got, limit).await,
            Err(error) => {
                let failed = self
                    .streams
                    .api
                    .explain("GetRecords", self.lane.topic(), &error);
                self.failed(failed).await
            }
        }
    }

    /// Behind a failed call.
    async fn failed(&mut self, failed: Failed) -> Result<Read> {
        match failed.class {
            Class::Throttled => Ok(self.slower()),
            // Made anew behind the last record, by the next read.
            Class::ExpiredIterator => {
                self.iterator = None;
                Ok(Read::Nothing)
            }
            Class::Denied => {
                tracing::error!(lane = %self.lane, error = %failed.error, "the shard may not be read");
                Ok(Read::Gap(self.gap(GapKind::Denied)))
            }
            Class::Missing | Class::Invalid => match self.diagnose().await? {
                Some(gap) => Ok(Read::Gap(gap)),
                None => Err(failed.error.into_unavailable()),
            },
            _ => Err(failed.error),
        }
    }

    /// Keeps off the shard for a while.
    fn slower(&mut self) -> Read {
        self.streams.rest(&self.lane, backoff(self.throttled + 2));
        self.throttled += 1;
        Read::Nothing
    }

    fn gap(&self, kind: GapKind) -> Gap {
        self.streams.gap(self.group.as_deref(), &self.lane, kind)
    }

    /// What happened to a shard that is not what it was; `None` where it is.
    async fn diagnose(&mut self) -> Result<Option<Gap>> {
        self.iterator = None;
        self.is_doubtful = true;
        let listing = self.streams.shards.fresh(self.lane.topic()).await?;
        let shard = listing
            .as_ref()
            .map(|listing| listing.iter().find(|shard| shard.id == self.lane.shard()));
        let kind = match shard {
            None => GapKind::Deleted,
            Some(None) => GapKind::Expired,
            Some(Some(shard)) if shard.incarnation != self.incarnation => GapKind::Recreated,
            Some(Some(_)) => {
                self.is_doubtful = false;
                return Ok(None);
            }
        };
        Ok(Some(self.gap(kind)))
    }

    /// Takes what GetRecords returned.
    async fn take(&mut self, got: GetRecordsOutput, limit: usize) -> Result<Read> {
        self.throttled = 0;
        let count = got.records.len();
        let is_all = got.millis_behind_latest.unwrap_or(0) == 0 && count < limit;
        let has_ended = got.next_shard_iterator.is_none();
        let mut records = Vec::with_capacity(count);
        for record in got.records {
            records.push(self.record(record)?);
        }
        let bytes: usize = records.iter().map(Record::size).sum();
        if let Some(average) = bytes.checked_div(count) {
            self.average = ((self.average + average) / 2).max(1);
            let rest = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
            self.streams.rest(&self.lane, rest);
        }
        if self.is_unproven {
            let first = records.first().map(|record| &record.position);
            match &self.cursor {
                Cursor::After(position) if first == Some(position) => {
                    records.remove(0);
                    self.is_unproven = false;
                }
                // There may be something behind an empty answer.
                _ if first.is_none() && !is_all && !has_ended => {}
                cursor => {
                    let may_be_trimmed = self.streams.may_be_trimmed(
                        self.group.as_deref(),
                        &self.lane,
                        &self.incarnation,
                        cursor,
                    );
                    if may_be_trimmed.await? {
                        return Ok(Read::Gap(Gap {
                            first: first.cloned(),
                            ..self.gap(GapKind::Expired)
                        }));
                    }
                    self.is_unproven = false;
                }
            }
        }
        // From here on nothing waits: a read that is dropped took nothing.
        if let Cursor::At(time) = self.cursor {
            records.retain(|record| record.timestamp.is_none_or(|written| written >= time));
        }
        self.idle = match records.is_empty() {
            true => self.idle.saturating_add(1),
            false => 0,
        };
        if let Some(last) = records.last() {
            self.cursor = Cursor::After(last.position.clone());
        }
        self.iterator = got.next_shard_iterator;
        self.has_ended = has_ended;
        self.is_at_end = is_all && !has_ended && !self.is_unproven;
        self.buffer.extend(records);
        if has_ended {
            // Its children are somebody's as soon as this one is finished.
            self.streams.shards.refresh(self.lane.topic());
        }
        if self.is_at_end
            && let Some(group) = &self.group
        {
            let seen = Seen {
                incarnation: self.incarnation.clone(),
                cursor: self.cursor.clone(),
                at: self.streams.clock.now(),
            };
            self.streams.saw(group, &self.lane, seen);
        }
        Ok(Read::Done)
    }

    fn record(&self, record: aws_sdk_kinesis::types::Record) -> Result<Record> {
        let position: Position = record.sequence_number.parse().map_err(|error| {
            Error::permanent(error).context(format!("a sequence number of {}", self.lane))
        })?;
        let key = record.partition_key.filter(|key| !key.starts_with(UNKEYED));
        Ok(Record {
            lane: self.lane.clone(),
            position,
            timestamp: record
                .approximate_arrival_timestamp
                .and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok()),
            key: key.map(Bytes::from),
            headers: Headers::default(),
            value: Some(Bytes::from(record.data.into_inner())),
        })
    }

    /// From the buffer, up to the budget.
    fn give(&mut self, budget: Budget) -> Fetch {
        let mut records = Vec::new();
        let mut bytes = 0_usize;
        while records.len() < budget.records
            && let Some(next) = self.buffer.front()
        {
            bytes += next.size();
            if bytes > budget.bytes && !records.is_empty() {
                break;
            }
            records.extend(self.buffer.pop_front());
        }
        Fetch {
            through: records
                .last()
                .map(|record: &Record| record.position.clone()),
            at_end: self.is_at_end && self.buffer.is_empty(),
            behind: (self.is_at_end).then_some(self.buffer.len() as u64),
            records,
        }
    }
}

impl LaneReader for ShardReader {
    fn fetch(&mut self, budget: Budget) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async move {
            if self.buffer.is_empty() {
                if self.has_ended {
                    return Ok(Fetched::Ended);
                }
                match self.read(budget).await? {
                    Read::Done => {}
                    Read::Nothing => self.is_at_end = false,
                    Read::Gap(gap) => return Ok(Fetched::OutOfRange(gap)),
                }
            }
            Ok(Fetched::Records(self.give(budget)))
        })
    }

    fn ready(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.is_at_end && self.buffer.is_empty() {
                let pause = IDLE_FIRST * 2_u32.pow(self.idle.min(2));
                let since = self.read.unwrap_or_else(Instant::now);
                let due = since + pause.min(IDLE_MOST);
                tokio::time::sleep_until(due.max(self.streams.due(&self.lane))).await;
            }
            Ok(())
        })
    }
}

/// A shard that is settled to its end.
pub(super) struct Ended;

impl LaneReader for Ended {
    fn fetch(&mut self, _: Budget) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async { Ok(Fetched::Ended) })
    }

    fn ready(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// The cursor behind the newest record of a shard. It means the same tomorrow: the position of a record that was there,
/// or, where none was, a time since when there was none.
pub(super) async fn newest(
    streams: &Arc<Streams>,
    lane: &LaneId,
    incarnation: &str,
) -> Result<Cursor> {
    let now = streams.clock.now();
    let since = now.saturating_sub(NEWEST_WINDOW).unwrap_or(now);
    let mut reader = ShardReader::new(
        streams.clone(),
        None,
        lane.clone(),
        incarnation.to_owned(),
        Cursor::At(since),
    );
    let budget = Budget {
        records: MOST_RECORDS,
        bytes: PULL_BYTES,
    };
    loop {
        match reader.read(budget).await? {
            Read::Done if reader.is_at_end || reader.has_ended => return Ok(reader.cursor),
            Read::Done | Read::Nothing => {
                // Written since the question was asked: a busy shard has no end to wait for.
                let is_newer = |record: &Record| record.timestamp > Some(now);
                if reader.buffer.back().is_some_and(is_newer) {
                    return Ok(reader.cursor);
                }
                reader.buffer.clear();
            }
            Read::Gap(gap) => {
                return Err(Error::unavailable(format!(
                    "the newest record of {lane} can't be found: {}",
                    gap.kind.name()
                )));
            }
        }
    }
}
