//! Is a topic still the one that it was? Asked again and again while somebody reads it.
//!
//! librdkafka notices that a topic was deleted and made again, and then goes on reading the new one where the old one
//! was left. So each backend has a thread that describes the topics which are read, and readers compare.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::watch;

use super::client::Client;
use super::native::{self, Failed, Topic};
use crate::{Error, Result};

/// How often topics are described.
const EVERY: Duration = Duration::from_secs(1);

/// How often clients are asked what they have to say.
const TICK: Duration = Duration::from_millis(100);

/// How long the cluster may take to describe its topics.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a topic has to be missing or denied, again and again, before it is: brokers that start, and those that load
/// their ACLs anew, say so in passing of topics that are as they were.
pub(super) const SURE: Duration = Duration::from_secs(3);

/// What there is under a topic's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    There(Topic),
    Missing,
    Denied,
}

impl State {
    /// Whether the topic can't be read.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Missing | Self::Denied)
    }

    /// `None` where the answer says nothing about the topic.
    pub(super) fn of(answer: &Result<Topic, Failed>) -> Option<Self> {
        match answer {
            Ok(topic) => Some(Self::There(topic.clone())),
            Err(failed) => match failed.code {
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicId => Some(Self::Missing),
                RDKafkaErrorCode::TopicAuthorizationFailed => Some(Self::Denied),
                _ => None,
            },
        }
    }
}

/// What there is under each name that is watched, as far as it is known.
pub(super) type States = BTreeMap<String, State>;

/// Watches topics and serves clients.
pub(super) struct Watch {
    looker: Arc<Client>,
    watched: Mutex<BTreeMap<String, usize>>,
    states: watch::Sender<States>,
    doubts: Mutex<Doubts>,
    clients: Mutex<Vec<Weak<Client>>>,
}

impl Watch {
    /// Begins to watch; ends when the returned value and all that watch through it are dropped.
    pub(super) fn begin(looker: Arc<Client>) -> Result<Arc<Self>> {
        let watch = Arc::new(Self {
            clients: Mutex::new(vec![Arc::downgrade(&looker)]),
            looker,
            watched: Mutex::default(),
            states: watch::Sender::new(States::new()),
            doubts: Mutex::default(),
        });
        let weak = Arc::downgrade(&watch);
        std::thread::Builder::new()
            .name("kafka-watch".into())
            .spawn(move || run(&weak))
            .map_err(|error| {
                Error::from(error).context("starting the thread that watches Kafka's topics")
            })?;
        Ok(watch)
    }

    /// Serves the callbacks of a client from now on.
    pub(super) fn serve(&self, client: &Arc<Client>) {
        self.clients().push(Arc::downgrade(client));
    }

    /// Watches a topic until the returned value is dropped.
    pub(super) fn topic(self: &Arc<Self>, topic: &str) -> Watched {
        *self.watched().entry(topic.to_owned()).or_default() += 1;
        Watched {
            states: self.states.subscribe(),
            topic: topic.to_owned(),
            watch: self.clone(),
        }
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Weak<Client>>> {
        self.clients
            .lock()
            .expect("nothing panics while it holds the clients")
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.watched
            .lock()
            .expect("nothing panics while it holds the topics")
    }

    fn serve_all(&self) {
        let clients: Vec<Arc<Client>> = {
            let mut clients = self.clients();
            clients.retain(|client| client.strong_count() > 0);
            clients.iter().filter_map(Weak::upgrade).collect()
        };
        for client in clients {
            client.poll(Duration::ZERO);
        }
    }

    fn look(&self) {
        let names: Vec<String> = self.watched().keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        // Whoever needs an answer asks, and says why there is none.
        let Ok(answers) = native::topics(&self.looker, &borrowed, PATIENCE) else {
            return;
        };
        self.looker.ear().is_well();
        let answers = names
            .into_iter()
            .zip(&answers)
            .filter_map(|(name, answer)| Some((name, State::of(answer)?)));
        let believed = self.doubts().believe(answers, Instant::now());
        self.states.send_if_modified(|states| {
            let before = states.clone();
            let watched = self.watched();
            states.extend(believed);
            states.retain(|name, _| watched.contains_key(name));
            *states != before
        });
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts
            .lock()
            .expect("nothing panics while it holds the doubts")
    }
}

/// Topics that are said to be gone, and since when.
#[derive(Default)]
struct Doubts(BTreeMap<String, Instant>);

impl Doubts {
    /// Which answers are to be believed: that a topic is gone only after it was said for long enough, without another
    /// word in between.
    fn believe(
        &mut self,
        answers: impl IntoIterator<Item = (String, State)>,
        now: Instant,
    ) -> Vec<(String, State)> {
        let mut before = std::mem::take(&mut self.0);
        let mut believed = Vec::new();
        for (name, state) in answers {
            if state.is_gone() {
                let since = before.remove(&name).unwrap_or(now);
                self.0.insert(name.clone(), since);
                if now.duration_since(since) < SURE {
                    continue;
                }
            }
            believed.push((name, state));
        }
        believed
    }
}

fn run(watch: &Weak<Watch>) {
    let mut looked = Instant::now();
    while let Some(watch) = watch.upgrade() {
        watch.serve_all();
        if looked.elapsed() >= EVERY {
            watch.look();
            looked = Instant::now();
        }
        drop(watch);
        std::thread::sleep(TICK);
    }
}

/// A topic that is watched.
pub(super) struct Watched {
    topic: String,
    states: watch::Receiver<States>,
    watch: Arc<Watch>,
}

impl Watched {
    /// Whether what is under the topic's name is known to be something else than this incarnation of it.
    pub(super) fn is_another(&self, incarnation: &str) -> bool {
        match self.states.borrow().get(&self.topic) {
            Some(State::There(topic)) => topic.id != incarnation,
            Some(State::Missing | State::Denied) => true,
            None => false,
        }
    }

    /// What there is, as far as it is known.
    pub(super) fn state(&self) -> Option<State> {
        self.states.borrow().get(&self.topic).cloned()
    }

    /// Waits until something is known anew, perhaps of another topic.
    pub(super) async fn changed(&mut self) {
        // An error says that nobody watches any more, and we hold whoever does.
        let _ = self.states.changed().await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut watched = self.watch.watched();
        if let Some(count) = watched.get_mut(&self.topic) {
            *count -= 1;
            if *count == 0 {
                watched.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_topic_is_gone_is_believed_when_it_is_said_again() {
        let there = State::There(Topic {
            id: "id".into(),
            partitions: vec![0],
        });
        let began = Instant::now();
        let mut doubts = Doubts::default();
        let mut believed = |seconds, state: &State| {
            let answers = [("t".to_owned(), state.clone())];
            let believed = doubts.believe(answers, began + Duration::from_secs(seconds));
            believed.first().map(|(_, state)| state.clone())
        };
        for gone in [State::Missing, State::Denied] {
            assert_eq!(believed(0, &there), Some(there.clone()));
            assert_eq!(believed(1, &gone), None);
            // In passing.
            assert_eq!(believed(2, &there), Some(there.clone()));
            assert_eq!(believed(5, &gone), None);
            assert_eq!(believed(7, &gone), None);
            assert_eq!(believed(8, &gone), Some(gone.clone()));
            assert_eq!(believed(9, &gone), Some(gone));
        }
    }
}
