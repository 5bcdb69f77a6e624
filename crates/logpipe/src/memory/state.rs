//! What a log in memory consists of, and what can happen to it.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use tokio::sync::watch;

use super::stamp;
use crate::lease::{LogLane, Peer, Row, View};
use crate::offsets::{Offsets, no_such_lane, number};
use crate::record::{Cursor, LaneId, Record};
use crate::sink::{NewRecord, Sent};
use crate::source::{Before, LaneExtent};
use crate::{Error, Result, partition};

/// There is one such log in a process, as far as stored positions go.
const CLUSTER: &str = "memory";

#[derive(Default)]
pub(super) struct State {
    topics: BTreeMap<String, Topic>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Made so far; numbers them.
    incarnations: u64,
    members: u64,
    /// Whoever waits for an event looks again when this changes.
    pub(super) changed: watch::Sender<()>,
}

struct Topic {
    incarnation: String,
    /// In the order they were made; those the topic began with come first.
    lanes: Vec<Lane>,
    /// How many it began with.
    roots: usize,
    /// Spreads records without key.
    turn: usize,
}

pub(super) struct Lane {
    pub(super) id: LaneId,
    parents: Vec<LaneId>,
    /// Indexes of the lanes that it was split into; it has ended where there are some.
    children: Vec<usize>,
    records: VecDeque<Record>,
    first: u64,
    trimmed: Option<Timestamp>,
    pub(super) appended: watch::Sender<()>,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) rows: BTreeMap<LaneId, Row>,
    pub(super) members: BTreeMap<String, Peer>,
    /// With the incarnation that they were written for.
    pub(super) cursors: BTreeMap<LaneId, (String, Cursor)>,
}

impl Lane {
    pub(super) fn offsets(&self) -> Offsets {
        Offsets {
            first: self.first,
            next: self.first + self.records.len() as u64,
            trimmed: self.trimmed,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.children.is_empty()
    }

    /// From this offset on.
    pub(super) fn records(&self, from: u64) -> impl Iterator<Item = &Record> {
        self.records
            .range(from.saturating_sub(self.first) as usize..)
    }

    /// The offset of the first record of this time or later.
    pub(super) fn first_at(&self, time: Timestamp) -> Option<u64> {
        let index = self
            .records
            .iter()
            .position(|record| record.timestamp >= Some(time))?;
        Some(self.first + index as u64)
    }

    fn trim(&mut self, is_old: impl Fn(u64, &Record) -> bool) -> u64 {
        let mut removed = 0;
        while let Some(record) = self
            .records
            .pop_front_if(|record| is_old(self.first, record))
        {
            self.trimmed = self.trimmed.max(record.timestamp);
            self.first += 1;
            removed += 1;
        }
        removed
    }
}

impl Topic {
    fn add(&mut self, name: &str, parents: Vec<LaneId>) -> LaneId {
        let id = LaneId::new(name, self.lanes.len().to_string());
        self.lanes.push(Lane {
            id: id.clone(),
            parents,
            children: Vec::new(),
            records: VecDeque::new(),
            first: 0,
            trimmed: None,
            appended: watch::Sender::new(()),
        });
        id
    }

    /// The open lane of a key: its partition, and where that was split, the same descendant each time.
    fn route(&mut self, key: Option<&[u8]>) -> &mut Lane {
        let mut hash = match key {
            Some(key) => partition::hash(key) as usize,
            None => {
                self.turn = self.turn.wrapping_add(1);
                self.turn - 1
            }
        };
        let mut index = hash % self.roots;
        hash /= self.roots;
        while let children @ [_, ..] = &*self.lanes[index].children {
            let count = children.len();
            index = children[hash % count];
            hash /= count;
        }
        &mut self.lanes[index]
    }
}

impl State {
    pub(super) fn make(&mut self, name: &str, lanes: u32) {
        if self.topics.contains_key(name) {
            return;
        }
        self.incarnations += 1;
        let mut topic = Topic {
            incarnation: format!("{name}-{}", self.incarnations),
            lanes: Vec::new(),
            roots: lanes as usize,
            turn: 0,
        };
        for _ in 0..lanes {
            topic.add(name, Vec::new());
        }
        self.topics.insert(name.into(), topic);
        self.changed.send_replace(());
    }

    pub(super) fn lane(&self, lane: &LaneId) -> Option<&Lane> {
        let topic = self.topics.get(lane.topic())?;
        topic.lanes.iter().find(|candidate| candidate.id == *lane)
    }

    fn lane_mut(&mut self, lane: &LaneId) -> Result<&mut Lane> {
        self.topics
            .get_mut(lane.topic())
            .and_then(|topic| topic.lanes.iter_mut().find(|found| found.id == *lane))
            .ok_or_else(|| no_such_lane(lane))
    }

    pub(super) fn incarnation(&self, topic: &str) -> Option<&str> {
        Some(&self.topics.get(topic)?.incarnation)
    }

    /// Appends to a topic that was made.
    pub(super) fn append(&mut self, topic: &str, record: NewRecord, now: Timestamp) -> Sent {
        let topic = self.topics.get_mut(topic).expect("the topic was made");
        let lane = topic.route(record.key.as_deref());
        let position = lane.offsets().next.into();
        let sent = Sent {
            lane: lane.id.clone(),
            position,
        };
        lane.records.push_back(Record {
            lane: sent.lane.clone(),
            position: sent.position.clone(),
            timestamp: Some(stamp(&record, now)),
            key: record.key,
            headers: record.headers.into(),
            value: record.value,
        });
        lane.appended.send_replace(());
        sent
    }

    pub(super) fn split(&mut self, lane: &LaneId, children: u32) -> Result<Vec<LaneId>> {
        if self.lane_mut(lane)?.has_ended() {
            return Ok(Vec::new());
        }
        let topic = self
            .topics
            .get_mut(lane.topic())
            .expect("its lane was found");
        let first_child = topic.lanes.len();
        let made: Vec<LaneId> = (0..children.max(1))
            .map(|_| topic.add(lane.topic(), vec![lane.clone()]))
            .collect();
        let parent = self.lane_mut(lane)?;
        parent.children = (first_child..first_child + made.len()).collect();
        parent.appended.send_replace(());
        self.changed.send_replace(());
        Ok(made)
    }

    pub(super) fn delete(&mut self, topic: &str) {
        self.topics.remove(topic);
        self.changed.send_replace(());
    }

    pub(super) fn truncate(&mut self, lane: &LaneId, first_removed: u64) -> Result<()> {
        let lane = self.lane_mut(lane)?;
        let kept = first_removed.saturating_sub(lane.first);
        lane.records
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        lane.appended.send_replace(());
        Ok(())
    }

    pub(super) fn trim(&mut self, topic: &str, before: &Before) -> Result<u64> {
        let Some(topic) = self.topics.get_mut(topic) else {
            return Ok(0);
        };
        let lanes = topic.lanes.iter_mut();
        Ok(match before {
            Before::Time(time) => lanes
                .map(|lane| lane.trim(|_, record| record.timestamp < Some(*time)))
                .sum(),
            Before::Position(position) => {
                let first_kept = number(position)?;
                lanes
                    .map(|lane| lane.trim(|offset, _| offset < first_kept))
                    .sum()
            }
        })
    }

    pub(super) fn topics(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    pub(super) fn extents(&self, topic: &str) -> Vec<LaneExtent> {
        let Some(topic) = self.topics.get(topic) else {
            return Vec::new();
        };
        let extent = |lane: &Lane| LaneExtent {
            lane: lane.id.clone(),
            cluster: CLUSTER.into(),
            incarnation: topic.incarnation.clone(),
            first: lane.records.front().map(|record| record.position.clone()),
            last: lane.records.back().map(|record| record.position.clone()),
            oldest: lane.records.front().and_then(|record| record.timestamp),
            count: Some(lane.records.len() as u64),
        };
        topic.lanes.iter().map(extent).collect()
    }

    pub(super) fn new_member(&mut self) -> String {
        self.members += 1;
        format!("member-{:08}", self.members)
    }

    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.into()).or_default()
    }

    /// What a member of this group decides by.
    pub(super) fn view(&mut self, group: &str) -> View {
        let group = self.groups.entry(group.into()).or_default();
        let members: Vec<Peer> = group.members.values().cloned().collect();
        let mut lanes = BTreeMap::new();
        for (name, topic) in &self.topics {
            if members.iter().any(|member| member.topics.contains(name)) {
                lanes.extend(topic.lanes.iter().map(|lane| {
                    let log = LogLane {
                        incarnation: topic.incarnation.clone(),
                        parents: lane.parents.clone(),
                    };
                    (lane.id.clone(), log)
                }));
            }
        }
        View {
            cluster: CLUSTER.into(),
            lanes,
            rows: group.rows.clone(),
            members,
        }
    }

    pub(super) fn expire(&mut self, group: &str, lane: &LaneId) {
        if let Some(row) = self.group(group).rows.get_mut(lane) {
            row.owner = None;
            row.epoch += 1;
            self.changed.send_replace(());
        }
    }

    pub(super) fn saved(&self, group: &str) -> Vec<(LaneId, Cursor)> {
        let Some(group) = self.groups.get(group) else {
            return Vec::new();
        };
        let cursors = group.cursors.iter();
        cursors
            .map(|(lane, (_, cursor))| (lane.clone(), cursor.clone()))
            .collect()
    }

    pub(super) fn reset(&mut self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> Result<()> {
        if self
            .groups
            .get(group)
            .is_some_and(|group| !group.members.is_empty())
        {
            return Err(Error::permanent(format!(
                "group {group} has members that read now: stop them first"
            )));
        }
        let cursors: Vec<_> = cursors
            .into_iter()
            .map(|(lane, cursor)| match self.incarnation(lane.topic()) {
                Some(incarnation) => Ok((lane.clone(), (incarnation.to_owned(), cursor))),
                None => Err(no_such_lane(&lane)),
            })
            .collect::<Result<_>>()?;
        self.group(group).cursors.extend(cursors);
        Ok(())
    }
}
