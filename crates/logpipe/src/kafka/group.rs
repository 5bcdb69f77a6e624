//! A membership in a consumer group: which lanes are ours, told by a thread that does nothing but poll its client.
//!
//! The client of a membership reads nothing: lanes are read by clients of their own. So librdkafka, which pauses all
//! partitions of a client while a rebalance waits for its answer, pauses nobody, and a handler may take as long as it
//! likes without the group missing its member.
//!
//! A rebalance is answered when the lanes that it takes are released, or at the deadline. librdkafka waits for the answer
//! and sends heartbeats meanwhile; commits of the lanes go through until then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::client::{Client, Rebalance};
use super::native;
use super::settings::Settings;
use super::trouble;
use super::watch::{State, Watch, Watched};
use crate::record::LaneId;
use crate::source::{Assigned, Event, Gap, GapKind};
use crate::{Error, Result};

/// How long the thread waits for the client at a time.
const TICK: Duration = Duration::from_millis(50);

/// How long the cluster may take to describe what was assigned; meanwhile nothing else is served.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often waiting for the group is told.
const NEWS: Duration = Duration::from_secs(10);

/// How often trouble is told.
const QUIET: Duration = Duration::from_secs(5);

pub(super) struct Group {
    pub(super) client: Arc<Client>,
    pub(super) name: String,
    settings: Settings,
    cluster: String,
    looker: Arc<Client>,
    state: Mutex<Lanes>,
    stopped: AtomicBool,
}

/// The lanes of a membership.
#[derive(Default)]
pub(super) struct Lanes {
    held: BTreeMap<LaneId, Held>,
    /// Taken away and not given back yet; the group waits for our answer.
    revoking: Option<Revoking>,
    /// Given to us, and not described yet.
    coming: BTreeSet<LaneId>,
    /// How many lanes each topic had when it was described last.
    sizes: BTreeMap<String, usize>,
}

struct Held {
    incarnation: String,
    /// How many lanes its topic has.
    lanes: usize,
    /// An incident was told.
    is_gone: bool,
}

struct Revoking {
    lanes: BTreeSet<LaneId>,
    deadline: Instant,
}

impl Lanes {
    /// The incarnation of a lane that is ours.
    pub(super) fn incarnation(&self, lane: &LaneId) -> Option<&str> {
        Some(&self.held.get(lane)?.incarnation)
    }

    /// How many lanes there are beside a lane that is ours, itself included.
    pub(super) fn beside(&self, lane: &LaneId) -> usize {
        self.held.get(lane).map_or(0, |held| held.lanes)
    }

    /// How many lanes the group's topics have, whoever reads them.
    pub(super) fn known(&self) -> usize {
        self.sizes.values().sum()
    }
}

impl Group {
    /// Becomes a member, which reads these topics: each with the lanes that it has now, or none where it is missing. What
    /// happens to the membership comes out of the receiver.
    pub(super) fn join(
        settings: &Settings,
        client: Arc<Client>,
        looker: Arc<Client>,
        cluster: String,
        name: &str,
        sizes: BTreeMap<String, usize>,
        watch: &Arc<Watch>,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Result<Event>>)> {
        let topics: Vec<String> = sizes.keys().cloned().collect();
        let borrowed: Vec<&str> = topics.iter().map(String::as_str).collect();
        client
            .consumer()
            .subscribe(&borrowed)
            .map_err(|error| trouble::error(&error.into(), client.ear()))?;
        let (events, receiver) = mpsc::unbounded_channel();
        let group = Arc::new(Self {
            client,
            name: name.to_owned(),
            settings: settings.clone(),
            cluster,
            looker,
            state: Mutex::new(Lanes {
                sizes,
                ..Lanes::default()
            }),
            stopped: AtomicBool::new(false),
        });
        let thread = Thread {
            watched: topics
                .into_iter()
                .map(|topic| (topic.clone(), watch.topic(&topic)))
                .collect(),
            events,
            group: group.clone(),
            told: Instant::now(),
            complained: None,
            is_member: false,
        };
        std::thread::Builder::new()
            .name("kafka-group".into())
            .spawn(move || thread.run())
            .map_err(|error| Error::from(error).context("starting the thread of a group"))?;
        Ok((group, receiver))
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.state
            .lock()
            .expect("nothing panics while it holds a membership")
    }

    /// Gives a lane up. The group hears of it once all that it takes are given up, or when we leave.
    pub(super) fn release(&self, lane: &LaneId) {
        let mut lanes = self.lanes();
        lanes.held.remove(lane);
        if let Some(revoking) = &mut lanes.revoking {
            revoking.lanes.remove(lane);
        }
    }

    /// The thread ends soon, and nothing is ours any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.lanes().held.clear();
    }
}

struct Thread {
    group: Arc<Group>,
    events: mpsc::UnboundedSender<Result<Event>>,
    watched: BTreeMap<String, Watched>,
    /// When something was last heard of the group.
    told: Instant,
    complained: Option<Instant>,
    /// The group has given us lanes, or none.
    is_member: bool,
}

impl Thread {
    fn run(mut self) {
        while !self.group.stopped.load(Ordering::Acquire) {
            self.group.client.poll(TICK);
            for rebalance in self.group.client.rebalances() {
                self.told = Instant::now();
                match rebalance {
                    Rebalance::Assign(lanes) => self.assign(lanes),
                    Rebalance::Revoke(lanes) => self.revoke(lanes),
                }
            }
            if let Some(failed) = self.group.client.fatal() {
                self.end(&failed);
                return;
            }
            self.answer();
            self.welcome();
            self.compare();
            self.complain();
        }
    }

    /// The client can never be a member again.
    fn end(&mut self, failed: &native::Failed) {
        let mut state = self.group.lanes();
        let lanes: Vec<LaneId> = std::mem::take(&mut state.held).into_keys().collect();
        drop(state);
        if !lanes.is_empty() {
            self.say(Event::Lost(lanes));
        }
        let error = trouble::error(failed, self.group.client.ear());
        self.say(Event::Ended(error.context("the membership has ended")));
    }

    fn say(&self, event: Event) {
        // An error says that nobody listens, and then nobody has lanes either.
        let _ = self.events.send(Ok(event));
    }

    fn assign(&mut self, lanes: Vec<(String, i32)>) {
        self.is_member = true;
        self.group.client.ear().is_well();
        let mut state = self.group.lanes();
        let lanes = lanes
            .into_iter()
            .map(|(topic, partition)| LaneId::new(topic, partition.to_string()));
        state.coming.extend(lanes);
        let has_none = state.coming.is_empty() && state.held.is_empty();
        drop(state);
        if let Err(error) = self.group.client.assigned() {
            warn!(group = self.group.name, %error, "an assignment could not be taken");
        }
        if has_none {
            self.say(Event::Joined);
        }
    }

    fn revoke(&mut self, lanes: Vec<(String, i32)>) {
        self.is_member = false;
        let is_lost = self.group.client.consumer().assignment_lost();
        let mut state = self.group.lanes();
        let mut ours = Vec::new();
        for (topic, partition) in lanes {
            let lane = LaneId::new(topic, partition.to_string());
            state.coming.remove(&lane);
            if state.held.contains_key(&lane) {
                ours.push(lane);
            }
        }
        if is_lost {
            for lane in &ours {
                state.held.remove(lane);
            }
            state.revoking = None;
            drop(state);
            // Before the answer, behind which we may be a member again.
            if !ours.is_empty() {
                self.say(Event::Lost(ours));
            }
            self.let_go();
            return;
        }
        let deadline = Instant::now() + self.group.settings.revoke_within();
        state.revoking = Some(Revoking {
            lanes: ours.iter().cloned().collect(),
            deadline,
        });
        drop(state);
        if !ours.is_empty() {
            self.say(Event::Revoking {
                lanes: ours,
                deadline,
            });
        }
    }

    fn let_go(&self) {
        if let Err(error) = self.group.client.revoked() {
            warn!(group = self.group.name, %error, "lanes could not be given back");
        }
    }

    /// Answers a rebalance whose lanes are given back, late or lost.
    fn answer(&mut self) {
        let mut state = self.group.lanes();
        let Some(revoking) = &state.revoking else {
            return;
        };
        let is_lost = self.group.client.consumer().assignment_lost();
        let is_late = Instant::now() >= revoking.deadline;
        if !revoking.lanes.is_empty() && !is_late && !is_lost {
            return;
        }
        let left: Vec<LaneId> = revoking.lanes.iter().cloned().collect();
        for lane in &left {
            state.held.remove(lane);
        }
        state.revoking = None;
        drop(state);
        if !left.is_empty() {
            self.say(Event::Lost(left));
        }
        self.let_go();
        self.told = Instant::now();
    }

    /// Describes what was given to us, and says that it is ours.
    fn welcome(&mut self) {
        let coming: Vec<LaneId> = self.group.lanes().coming.iter().cloned().collect();
        if coming.is_empty() {
            return;
        }
        let topics: BTreeSet<&str> = coming.iter().map(LaneId::topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let described = match native::topics(&self.group.looker, &topics, PATIENCE) {
            Ok(described) => described,
            Err(failed) => {
                let error = trouble::error(&failed, self.group.looker.ear());
                self.trouble(error.context("asking which topic the lanes belong to"));
                return;
            }
        };
        let topics: BTreeMap<&str, native::Topic> = topics
            .into_iter()
            .zip(described)
            .filter_map(|(topic, described)| Some((topic, described.ok()?)))
            .collect();
        let mut state = self.group.lanes();
        let mut assigned = Vec::new();
        for lane in &coming {
            // One whose topic is gone again is taken back by the group.
            if let Some(native::Topic { id, partitions }) = topics.get(lane.topic())
                && state.coming.remove(lane)
            {
                let size = partitions.len();
                state.sizes.insert(lane.topic().to_owned(), size);
                state.held.insert(
                    lane.clone(),
                    Held {
                        incarnation: id.clone(),
                        lanes: partitions.len(),
                        is_gone: false,
                    },
                );
                assigned.push(Assigned {
                    lane: lane.clone(),
                    cluster: self.group.cluster.clone(),
                    incarnation: id.clone(),
                });
            }
        }
        drop(state);
        if !assigned.is_empty() {
            debug!(group = self.group.name, lanes = assigned.len(), "assigned");
            self.say(Event::Assigned(assigned));
        }
    }

    /// Compares the topics that there are with those that the lanes were given for.
    fn compare(&mut self) {
        let mut state = self.group.lanes();
        let Lanes {
            held,
            revoking,
            sizes,
            ..
        } = &mut *state;
        let mut anew = Vec::new();
        let mut gone = Vec::new();
        let mut taken = BTreeSet::new();
        if let Some(revoking) = revoking {
            taken.clone_from(&revoking.lanes);
        }
        for (lane, held) in held {
            let Some(watched) = self.watched.get(lane.topic()) else {
                continue;
            };
            if taken.contains(lane) {
                continue;
            }
            if !watched.is_another(&held.incarnation) {
                // It may have been gone and be back: whoever holds the lane looks after that.
                held.is_gone = false;
                continue;
            }
            match watched.state() {
                Some(State::There(topic)) => {
                    held.incarnation = topic.id;
                    held.lanes = topic.partitions.len();
                    sizes.insert(lane.topic().to_owned(), held.lanes);
                    held.is_gone = false;
                    anew.push(Assigned {
                        lane: lane.clone(),
                        cluster: self.group.cluster.clone(),
                        incarnation: held.incarnation.clone(),
                    });
                }
                Some(State::Missing) if !std::mem::replace(&mut held.is_gone, true) => {
                    gone.push((lane.clone(), GapKind::Deleted));
                }
                Some(State::Denied) if !std::mem::replace(&mut held.is_gone, true) => {
                    gone.push((lane.clone(), GapKind::Denied));
                }
                _ => {}
            }
        }
        drop(state);
        if !anew.is_empty() {
            let lanes = anew.iter().map(|assigned| assigned.lane.clone()).collect();
            self.say(Event::Lost(lanes));
            self.say(Event::Assigned(anew));
        }
        for (lane, kind) in gone {
            let gap = Gap {
                kind,
                first: None,
                last: None,
                missing: None,
            };
            self.say(Event::Incident(lane, gap));
        }
    }

    /// Tells of trouble, and of waiting.
    fn complain(&mut self) {
        if let Some(complaint) = self.group.client.ear().alarm() {
            let failed = native::Failed {
                code: complaint.code,
                said: complaint.said,
            };
            let error = trouble::error(&failed, self.group.client.ear());
            self.trouble(error);
        }
        if !self.is_member && self.told.elapsed() >= NEWS {
            self.told = Instant::now();
            for (topic, watched) in &self.watched {
                match watched.state() {
                    Some(State::Missing) => warn!(
                        group = self.group.name,
                        topic,
                        "waiting for the topic, which does not exist: make it with `kafka-topics.sh --create`"
                    ),
                    Some(State::Denied) => warn!(
                        group = self.group.name,
                        topic,
                        "waiting for permission: the broker's ACLs do not let this user read the topic"
                    ),
                    _ => info!(
                        group = self.group.name,
                        topic,
                        "waiting for the group: its members are gathering, and one that died is waited for until its session ends"
                    ),
                }
            }
        }
    }

    fn trouble(&mut self, error: Error) {
        if self.complained.is_some_and(|at| at.elapsed() < QUIET) {
            return;
        }
        self.complained = Some(Instant::now());
        let _ = self.events.send(Err(error));
    }
}
