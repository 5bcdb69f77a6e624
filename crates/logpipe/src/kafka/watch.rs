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

/// What there is under a topic's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    There(Topic),
    Missing,
    Denied,
}

impl State {
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
        self.states.send_if_modified(|states| {
            let before = states.clone();
            let watched = self.watched();
            states.retain(|name, _| watched.contains_key(name));
            for (name, answer) in names.into_iter().zip(&answers) {
                if let Some(state) = State::of(answer) {
                    states.insert(name, state);
                }
            }
            *states != before
        });
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
