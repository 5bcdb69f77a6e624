//! A consumer's view of Kafka: its membership in a group, and the lanes that it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rdkafka::TopicPartitionList;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use super::client::Client;
use super::group::Group;
use super::look::{self, PATIENCE, Placed};
use super::native;
use super::reader::Readers;
use super::trouble;
use crate::offsets::{Offsets, fenced, number};
use crate::record::{Cursor, LaneId, Start};
use crate::source::{Committed, Event, Opened, Source};
use crate::{Error, Result};

/// How long a commit is tried again that fails in passing.
const TRIES: Duration = Duration::from_secs(5);

pub(super) struct KafkaSource {
    pub(super) group: Arc<Group>,
    pub(super) looker: Arc<Client>,
    pub(super) readers: Arc<Readers>,
    /// The lanes that there were when the group was seen to read their topic first, or when this member joined.
    pub(super) began_with: BTreeSet<LaneId>,
    pub(super) events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Result<Event>>>,
    /// What was committed last. The broker forgets the positions of a topic that is deleted, we do not.
    pub(super) saved: Mutex<BTreeMap<LaneId, (String, Cursor)>>,
}

impl KafkaSource {
    async fn write(&self, cursors: Vec<(LaneId, Cursor)>) -> Result<()> {
        let began = Instant::now();
        loop {
            let failed = match self.hand_over(&cursors).await? {
                (Ok(committing), refused) => {
                    let done = tokio::task::spawn_blocking(move || committing.wait(PATIENCE)).await;
                    match done {
                        Ok(Ok(())) if refused.is_empty() => return Ok(()),
                        Ok(Ok(())) => return Err(fenced(&refused)),
                        Ok(Err(failed)) => failed,
                        Err(error) => return Err(Error::unavailable(error)),
                    }
                }
                (Err(failed), _) => failed,
            };
            // In a rebalance that leaves us the lane the broker may be a generation ahead of our client; where the lane is
            // lost, handing over finds that out.
            let may_pass = trouble::is_passing(failed.code)
                || failed.code == RDKafkaErrorCode::IllegalGeneration;
            if !may_pass || began.elapsed() > TRIES {
                let error = trouble::error(&failed, self.group.client.ear());
                return Err(error.context("committing to the group"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Hands a commit over for the lanes that are ours; the others are returned.
    async fn hand_over(
        &self,
        cursors: &[(LaneId, Cursor)],
    ) -> Result<(Result<native::Committing, native::Failed>, Vec<LaneId>)> {
        let mut times = BTreeMap::new();
        for (lane, cursor) in cursors {
            // A time is not an offset yet: the end stands for it, and the time is written beside.
            if matches!(cursor, Cursor::At(_)) {
                let (looker, of) = (self.looker.clone(), lane.clone());
                let offsets = look::waiting(move || look::offsets(&looker, &of)).await?;
                times.insert(lane.clone(), offsets.next);
            }
        }
        // Held while the commit is handed over: whoever takes the lane from us does so behind it.
        let lanes = self.group.lanes();
        let mut list = TopicPartitionList::new();
        let mut refused = Vec::new();
        for (lane, cursor) in cursors {
            match lanes.incarnation(lane) {
                Some(incarnation) => {
                    add(
                        &mut list,
                        lane,
                        (incarnation, lanes.beside(lane)),
                        cursor,
                        times.get(lane).copied(),
                    )?;
                    let mut saved = self.saved();
                    saved.insert(lane.clone(), (incarnation.to_owned(), cursor.clone()));
                }
                None => refused.push(lane.clone()),
            }
        }
        if list.count() == 0 {
            return Err(fenced(&refused));
        }
        Ok((native::commit(&self.group.client, &list), refused))
    }

    fn saved(&self) -> std::sync::MutexGuard<'_, BTreeMap<LaneId, (String, Cursor)>> {
        self.saved
            .lock()
            .expect("nothing panics while it holds the positions")
    }

    async fn open(&self, lane: LaneId, cursor: Cursor) -> Result<Opened> {
        let incarnation = {
            let lanes = self.group.lanes();
            // Topics come late and grow: what each lane may take is less then.
            self.readers.divide(lanes.known());
            match lanes.incarnation(&lane) {
                Some(incarnation) => incarnation.to_owned(),
                None => return Ok(Opened::NotOurs),
            }
        };
        let (looker, readers) = (self.looker.clone(), self.readers.clone());
        look::waiting(move || open(&looker, &readers, &lane, Some(&incarnation), &cursor)).await
    }
}

/// Places a cursor and opens a reader there.
pub(super) fn open(
    looker: &Arc<Client>,
    readers: &Arc<Readers>,
    lane: &LaneId,
    incarnation: Option<&str>,
    cursor: &Cursor,
) -> Result<Opened> {
    let (incarnation, placed) = look::place(looker, lane, incarnation, cursor)?;
    Ok(match placed {
        Placed::Outside(gap) => Opened::OutOfRange(gap),
        Placed::At(begin) => {
            Opened::Reader(Box::new(readers.open(looker, lane, incarnation, begin)?))
        }
    })
}

/// Adds a cursor to what is committed. Beside the offset stands which topic it is of, for a name may be used again, and how
/// many lanes that had.
pub(super) fn add(
    list: &mut TopicPartitionList,
    lane: &LaneId,
    (incarnation, lanes): (&str, usize),
    cursor: &Cursor,
    end: Option<u64>,
) -> Result<()> {
    let (offset, at) = match cursor {
        Cursor::Start => (0, None),
        Cursor::After(position) => (number(position)?.saturating_add(1), None),
        Cursor::At(time) => (end.unwrap_or(0), Some(time)),
        Cursor::Closed => {
            return Err(Error::permanent(format!(
                "{lane} never ends: partitions of Kafka do not close"
            )));
        }
    };
    let mut beside = format!("logpipe topic={incarnation} lanes={lanes}");
    if let Some(time) = at {
        beside.push_str(&format!(" at={time}"));
    }
    let offset = i64::try_from(offset)
        .map_err(|_| Error::permanent(format!("{offset} is no offset of Kafka")))?;
    let mut element = list.add_partition(lane.topic(), look::partition(lane)?);
    element
        .set_offset(Offset::Offset(offset))
        .map_err(|error| Error::permanent(format!("{offset} is no offset of Kafka: {error}")))?;
    element.set_metadata(beside);
    Ok(())
}

/// What was committed, as [`add`] or another program wrote it.
pub(super) fn committed(found: &native::Offset) -> Option<(LaneId, Committed)> {
    let offset = u64::try_from(found.offset).ok()?;
    let lane = LaneId::new(&*found.topic, found.partition.to_string());
    let mut committed = Committed {
        cursor: Offsets::behind(offset),
        incarnation: None,
    };
    if let Some(beside) = found.beside.strip_prefix("logpipe ") {
        for (name, value) in beside.split(' ').filter_map(|part| part.split_once('=')) {
            match name {
                "topic" => committed.incarnation = Some(value.to_owned()),
                "at" => {
                    if let Ok(time) = value.parse() {
                        committed.cursor = Cursor::At(time);
                    }
                }
                _ => {}
            }
        }
    }
    Some((lane, committed))
}

/// How many lanes a topic had for certain when the group read it last: Kafka numbers them from 0 and takes none away.
///
/// Without an answer nobody knows which lanes came since, and `latest` would pass over what they hold: that is an error.
pub(super) fn lanes_known(asker: &Arc<Client>, group: &str, name: &str, id: &str) -> Result<usize> {
    let found = kept(asker, group).map_err(|failed| unanswered(&failed, asker, group))?;
    let known = found.iter().filter(|found| found.topic == name);
    Ok(known
        .filter_map(|found| {
            let beside = found.beside.strip_prefix("logpipe ")?;
            let part = |name: &str| {
                let mut parts = beside.split(' ').filter_map(|part| part.split_once('='));
                parts.find_map(|(found, value)| (found == name).then_some(value))
            };
            let lanes = part("lanes")?.parse().ok()?;
            (part("topic")? == id).then_some(lanes)
        })
        .max()
        .unwrap_or(0))
}

fn unanswered(failed: &native::Failed, asker: &Arc<Client>, group: &str) -> Error {
    let error = trouble::error(failed, asker.ear());
    error.context(format!("asking for the positions of group {group}"))
}

/// What a group keeps in the broker. The client is one of that group.
fn kept(asker: &Arc<Client>, group: &str) -> Result<Vec<native::Offset>, native::Failed> {
    let began = Instant::now();
    loop {
        match native::offsets(asker, group, PATIENCE) {
            Err(failed) if failed.code == RDKafkaErrorCode::GroupIdNotFound => {
                return Ok(Vec::new());
            }
            // The group's coordinator moves, or has just begun.
            Err(failed) if trouble::is_passing(failed.code) && began.elapsed() < TRIES => {
                std::thread::sleep(Duration::from_millis(100));
            }
            answer => return answer,
        }
    }
}

/// The positions of a group. One that nobody knows has none.
pub(super) fn positions(asker: &Arc<Client>, group: &str) -> Result<Vec<(LaneId, Committed)>> {
    match kept(asker, group) {
        Ok(found) => Ok(found.iter().filter_map(committed).collect()),
        Err(failed) => Err(unanswered(&failed, asker, group)),
    }
}

impl Source for KafkaSource {
    fn event(&self) -> BoxFuture<'_, Result<Event>> {
        Box::pin(async move {
            match self.events.lock().await.recv().await {
                Some(event) => event,
                // The membership has ended, and with it what can happen to it.
                None => std::future::pending().await,
            }
        })
    }

    fn open(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        Box::pin(self.open(lane.clone(), cursor.clone()))
    }

    fn committed(&self, lane: &LaneId) -> BoxFuture<'_, Result<Option<Committed>>> {
        let lane = lane.clone();
        Box::pin(async move {
            let (member, name) = (self.group.client.clone(), self.group.name.clone());
            let found = look::waiting(move || positions(&member, &name)).await?;
            let found = found.into_iter().find(|(of, _)| *of == lane);
            Ok(found.map(|(_, committed)| committed).or_else(|| {
                let saved = self.saved().get(&lane).cloned();
                saved.map(|(incarnation, cursor)| Committed {
                    cursor,
                    incarnation: Some(incarnation),
                })
            }))
        })
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let (looker, lane, start) = (self.looker.clone(), lane.clone(), start.clone());
        Box::pin(look::waiting(move || look::resolve(&looker, &lane, &start)))
    }

    fn begin(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        match start {
            Start::Latest if !self.began_with.contains(lane) => {
                self.resolve(lane, &Start::Earliest)
            }
            start => self.resolve(lane, start),
        }
    }

    fn save(&self, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.write(cursors))
    }

    fn release(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        self.group.release(lane);
        Box::pin(async { Ok(()) })
    }

    fn finish(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        // Partitions do not end, so nobody asks; a lane that is given up is what it would come to.
        self.release(lane)
    }

    fn alive(&self, _: &LaneId) {}

    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        let gone = self.group.client.close();
        drop(self);
        Box::pin(async move {
            // An error says that it was gone before.
            let _ = gone.await;
            Ok(())
        })
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.group.stop();
    }
}
