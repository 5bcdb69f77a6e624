//! What does a topic hold now, and where in it does a cursor stand?
//!
//! librdkafka's questions wait for their answer, so each is asked on a thread that may wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::Offset;

use super::client::Client;
use super::native::{self, Failed, Topic};
use super::trouble;
use super::watch::{SURE, State};
use crate::offsets::{Offsets, Place, no_such_lane};
use crate::record::{Cursor, LaneId, Start};
use crate::source::{Gap, GapKind};
use crate::{Error, Result};

/// How long the cluster may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Runs what waits where it may wait.
pub(super) async fn waiting<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(answer) => answer,
        Err(error) => Err(Error::unavailable(format!(
            "a question to Kafka was given up: {error}"
        ))),
    }
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) offset: u64,
    /// Records in front of this time are passed over.
    pub(super) from: Option<Timestamp>,
}

/// What came of placing a cursor.
pub(super) enum Placed {
    At(Begin),
    Outside(Gap),
}

/// The cluster's id.
pub(super) fn cluster(client: &Arc<Client>) -> Result<String> {
    let id = client.consumer().client().fetch_cluster_id(PATIENCE);
    id.ok_or_else(|| {
        let failed = Failed::code(Code::OperationTimedOut);
        trouble::error(&failed, client.ear()).context("asking for the cluster's id")
    })
}

/// Describes one topic.
pub(super) fn topic(client: &Arc<Client>, name: &str) -> Result<State> {
    let answer = native::topics(client, &[name], PATIENCE)
        .map(|mut answers| answers.pop())
        .map_err(|failed| trouble::error(&failed, client.ear()))?;
    client.ear().is_well();
    let answer = answer.unwrap_or_else(|| Err(Failed::code(Code::UnknownTopicOrPartition)));
    match (State::of(&answer), answer) {
        (Some(state), _) => Ok(state),
        (None, Err(failed)) => Err(trouble::error(&failed, client.ear())),
        (None, Ok(topic)) => Ok(State::There(topic)),
    }
}

/// Describes one topic, and believes that it is gone only where that is said for a while.
fn surely(client: &Arc<Client>, name: &str) -> Result<State> {
    let began = Instant::now();
    loop {
        let state = topic(client, name)?;
        if !state.is_gone() || began.elapsed() >= SURE {
            return Ok(state);
        }
        std::thread::sleep(SURE / 3);
    }
}

/// The topic, or what is wrong with it in words.
pub(super) fn existing(client: &Arc<Client>, name: &str) -> Result<Topic> {
    let code = match topic(client, name)? {
        State::There(topic) => return Ok(topic),
        State::Missing => Code::UnknownTopicOrPartition,
        State::Denied => Code::TopicAuthorizationFailed,
    };
    let error = trouble::error(&Failed::code(code), client.ear());
    Err(error.context(format!("topic {name}")))
}

/// The partition's number.
pub(super) fn partition(lane: &LaneId) -> Result<i32> {
    lane.shard().parse().map_err(|_| no_such_lane(lane))
}

/// The offsets that a lane holds: what is visible, past open transactions it is not.
pub(super) fn offsets(client: &Arc<Client>, lane: &LaneId) -> Result<Offsets> {
    let partition = partition(lane)?;
    let began = Instant::now();
    loop {
        let asked = client
            .consumer()
            .fetch_watermarks(lane.topic(), partition, PATIENCE);
        let failed = match asked {
            Ok((low, high)) => {
                let first = u64::try_from(low).unwrap_or(0);
                return Ok(Offsets {
                    first,
                    next: u64::try_from(high).unwrap_or(0).max(first),
                    trimmed: None,
                });
            }
            Err(error) => Failed::from(error),
        };
        // A topic that was just made has no leader yet.
        let may_come = matches!(
            failed.code,
            Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::UnknownTopic
        );
        if !may_come || began.elapsed() > PATIENCE {
            let error = trouble::error(&failed, client.ear());
            return Err(error.context(format!("asking for the offsets of {lane}")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The offset of the first record of this time or later.
fn offset_at(client: &Arc<Client>, lane: &LaneId, time: Timestamp) -> Result<Option<u64>> {
    let mut list = TopicPartitionList::new();
    let millis = Offset::Offset(ceil_millis(time).max(0));
    list.add_partition_offset(lane.topic(), partition(lane)?, millis)
        .and_then(|()| client.consumer().offsets_for_times(list, PATIENCE))
        .map_err(Failed::from)
        .and_then(|found| {
            let elements = found.elements();
            let Some(found) = elements.first() else {
                return Ok(None);
            };
            found.error().map_err(Failed::from)?;
            Ok(match found.offset() {
                Offset::Offset(offset) => u64::try_from(offset).ok(),
                _ => None,
            })
        })
        .map_err(|failed| {
            let error = trouble::error(&failed, client.ear());
            error.context(format!("looking for {time} in {lane}"))
        })
}

/// Kafka's times are whole milliseconds: what is later than a time is at the next one or later.
fn ceil_millis(time: Timestamp) -> i64 {
    let millis = time.as_millisecond();
    match time.as_nanosecond() > i128::from(millis) * 1_000_000 {
        true => millis + 1,
        false => millis,
    }
}

/// Turns a start into a cursor.
pub(super) fn resolve(client: &Arc<Client>, lane: &LaneId, start: &Start) -> Result<Cursor> {
    Ok(match start {
        Start::Earliest => Offsets::behind(offsets(client, lane)?.first),
        Start::Latest => Offsets::behind(offsets(client, lane)?.next),
        Start::At(time) => match offset_at(client, lane, *time)? {
            Some(offset) => Offsets::behind(offset),
            None => Cursor::At(*time),
        },
        Start::After(position) => Cursor::After(position.clone()),
    })
}

/// Compares a cursor, the log that it was stored for and the log there is.
pub(super) fn place(
    client: &Arc<Client>,
    lane: &LaneId,
    incarnation: Option<&str>,
    cursor: &Cursor,
) -> Result<(String, Placed)> {
    let gone = |kind| {
        let gap = Gap {
            kind,
            first: None,
            last: None,
            missing: None,
        };
        Ok((String::new(), Placed::Outside(gap)))
    };
    let topic = match surely(client, lane.topic())? {
        State::There(topic) => topic,
        State::Missing => return gone(GapKind::Deleted),
        State::Denied => return gone(GapKind::Denied),
    };
    if !topic.partitions.contains(&partition(lane)?) {
        return gone(GapKind::Deleted);
    }
    let offsets = offsets(client, lane)?;
    if incarnation.is_some_and(|incarnation| incarnation != topic.id) {
        let held = offsets.next - offsets.first;
        let gap = offsets.gap(GapKind::Recreated, Some(held));
        return Ok((topic.id, Placed::Outside(gap)));
    }
    let placed = match offsets.place(cursor)? {
        Place::Offset(offset) => Placed::At(Begin { offset, from: None }),
        Place::Time(time) => Placed::At(match offset_at(client, lane, time)? {
            Some(offset) => Begin { offset, from: None },
            None => Begin {
                offset: offsets.next,
                from: Some(time),
            },
        }),
        Place::Outside(gap) => Placed::Outside(gap),
    };
    Ok((topic.id, placed))
}
