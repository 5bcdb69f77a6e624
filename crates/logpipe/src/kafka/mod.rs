//! Apache Kafka as a log: topics are topics, lanes are partitions, positions are offsets, and a topic's id is its
//! incarnation.
//!
//! ```no_run
//! # fn main() -> logpipe::Result<()> {
//! let log = logpipe::Log::kafka("broker-1:9092,broker-2:9092")?;
//! let consumer = logpipe::Consumer::new(log.source("nouns")).group("reports");
//! # Ok(())
//! # }
//! ```
//!
//! A connection is made of several clients of librdkafka, each with one job: one that looks (metadata, offsets, topic
//! ids), one that writes, and for each consumer one that is a member of the group and one that reads. Members and readers
//! are apart because librdkafka pauses everything that a client reads while a rebalance waits for its answer.

mod client;
mod group;
mod late;
mod ledger;
mod look;
mod native;
mod reader;
mod settings;
mod sink;
mod source;
mod trouble;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

pub use self::settings::Builder;

use self::client::Client;
use self::group::Group;
use self::look::PATIENCE;
use self::native::Failed;
use self::reader::Readers;
use self::settings::Settings;
use self::sink::{KafkaSink, Writer};
use self::source::KafkaSource;
use self::watch::{State, Watch};
use crate::record::{Cursor, LaneId, Start};
use crate::sink::Sink;
use crate::source::{Backend, Capabilities, Join, LaneExtent, Opened, Source};
use crate::{Error, Result};

/// A Kafka cluster. Clones share their clients.
#[derive(Clone)]
pub struct Kafka {
    settings: Settings,
    shared: Arc<Mutex<Option<Arc<Shared>>>>,
    writer: Arc<Mutex<Option<Arc<Writer>>>>,
}

/// What is made with the first question.
struct Shared {
    looker: Arc<Client>,
    watch: Arc<Watch>,
    /// For reading without a group.
    readers: Arc<Readers>,
}

impl Kafka {
    /// Begins to describe a connection; `bootstrap` are the addresses of one or more brokers: `host:9092,other:9092`.
    pub fn builder(bootstrap: &str) -> Builder {
        Builder::new(bootstrap)
    }

    /// A connection with all settings as they are by default. Nobody is connected to yet.
    pub fn new(bootstrap: &str) -> Result<Self> {
        Self::builder(bootstrap).build()
    }

    fn over(settings: Settings) -> Self {
        Self {
            settings,
            shared: Arc::default(),
            writer: Arc::default(),
        }
    }

    #[cfg(test)]
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn shared(&self) -> Result<Arc<Shared>> {
        let mut shared = lock(&self.shared);
        if let Some(shared) = &*shared {
            return Ok(shared.clone());
        }
        let looker = Client::new(&self.settings, &self.settings.looker())?;
        let watch = Watch::begin(looker.clone())?;
        let readers = Readers::new(self.settings.clone(), 1, watch.clone());
        let made = Arc::new(Shared {
            looker,
            watch,
            readers,
        });
        Ok(shared.insert(made).clone())
    }

    /// Asks something, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.shared()?;
        look::waiting(move || ask(&shared)).await
    }

    fn writer(&self) -> Result<Arc<Writer>> {
        let mut writer = lock(&self.writer);
        if let Some(writer) = &*writer {
            return Ok(writer.clone());
        }
        Ok(writer.insert(Writer::new(&self.settings)?).clone())
    }

    async fn become_member(&self, join: Join) -> Result<Box<dyn Source>> {
        let settings = self.settings.clone();
        let source = self
            .ask(move |shared| member(&settings, shared, &join))
            .await?;
        Ok(Box::new(source))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it makes a client")
}

fn member(settings: &Settings, shared: &Shared, join: &Join) -> Result<KafkaSource> {
    let looker = &shared.looker;
    let client = Client::new(settings, &settings.member(join))?;
    let mut sizes = BTreeMap::new();
    let mut began_with = BTreeSet::new();
    for topic in &join.topics {
        match look::topic(looker, topic)? {
            State::There(there) => {
                sizes.insert(topic.clone(), there.partitions.len());
                let known = source::lanes_known(&client, &join.group, topic, &there.id)?;
                let known = if known == 0 { usize::MAX } else { known };
                let lanes = there.partitions.iter().take(known);
                began_with
                    .extend(lanes.map(|partition| LaneId::new(&**topic, partition.to_string())));
            }
            // It may come; the membership says that it waits.
            State::Missing => {
                sizes.insert(topic.clone(), 0);
                tracing::warn!(
                    group = join.group,
                    topic,
                    "the topic does not exist and is waited for: make it with `kafka-topics.sh --create`"
                );
            }
            State::Denied => {
                look::existing(looker, topic)?;
            }
        }
    }
    let cluster = look::cluster(looker)?;
    let lanes = sizes.values().sum();
    let readers = Readers::new(settings.clone(), lanes, shared.watch.clone());
    let (group, events) = Group::join(
        settings,
        client,
        looker.clone(),
        cluster,
        &join.group,
        sizes,
        &shared.watch,
    )?;
    Ok(KafkaSource {
        group,
        looker: looker.clone(),
        readers,
        began_with,
        events: tokio::sync::Mutex::new(events),
        saved: Mutex::default(),
    })
}

fn topics(shared: &Shared) -> Result<Vec<String>> {
    let looker = &shared.looker;
    let metadata = looker
        .consumer()
        .fetch_metadata(None, PATIENCE)
        .map_err(|error| trouble::error(&error.into(), looker.ear()))?;
    let mut topics: Vec<String> = metadata
        .topics()
        .iter()
        .map(|topic| topic.name().to_owned())
        .filter(|name| !name.starts_with("__"))
        .collect();
    topics.sort_unstable();
    Ok(topics)
}

fn extents(shared: &Shared, name: &str) -> Result<Vec<LaneExtent>> {
    let looker = &shared.looker;
    let topic = match look::topic(looker, name)? {
        State::There(topic) => topic,
        State::Missing => return Ok(Vec::new()),
        State::Denied => look::existing(looker, name)?,
    };
    let cluster = look::cluster(looker)?;
    let extent = |partition: &i32| {
        let lane = LaneId::new(name, partition.to_string());
        let offsets = look::offsets(looker, &lane)?;
        let is_empty = offsets.first == offsets.next;
        Ok(LaneExtent {
            lane,
            cluster: cluster.clone(),
            incarnation: topic.id.clone(),
            first: (!is_empty).then(|| offsets.first.into()),
            last: (!is_empty).then(|| (offsets.next - 1).into()),
            oldest: None,
            count: Some(offsets.next - offsets.first),
        })
    };
    topic.partitions.iter().map(extent).collect()
}

/// Writes positions for a group that has no member. Without positions it only asks whether there is one.
fn reset(shared: &Shared, group: &str, cursors: &[(LaneId, Cursor)]) -> Result<()> {
    let looker = &shared.looker;
    let failed = |failed: &Failed| {
        let error = trouble::error(failed, looker.ear());
        error.context(format!("setting positions of group {group}"))
    };
    let groups = looker
        .consumer()
        .fetch_group_list(Some(group), PATIENCE)
        .map_err(|error| failed(&error.into()))?;
    let has_members = |group: &rdkafka::groups::GroupInfo| !group.members().is_empty();
    if groups.groups().iter().any(has_members) {
        return Err(Error::permanent(format!(
            "group {group} has members that read now: stop them first"
        )));
    }
    if cursors.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::new();
    for (lane, cursor) in cursors {
        let topic = look::existing(looker, lane.topic())?;
        let end = look::offsets(looker, lane)?.next;
        source::add(
            &mut list,
            lane,
            (&topic.id, topic.partitions.len()),
            cursor,
            Some(end),
        )?;
    }
    native::alter_offsets(looker, group, &list, PATIENCE).map_err(|code| failed(&code))
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Backend for Kafka {
    fn describe(&self) -> String {
        format!("Kafka at {}", self.settings.bootstrap)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            headers: true,
            null_value: true,
            null_key: true,
            time_seek: true,
            broker_cursors: true,
            empty_key: true,
            writer_time: true,
        }
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        Box::pin(async move {
            let joined = self.become_member(join).await;
            joined.map_err(|error| error.context(self.describe()))
        })
    }

    fn sink(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn Sink>>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let writer = self.writer()?;
            let opened = look::waiting(move || KafkaSink::open(&writer, &topic)).await;
            let sink: Box<dyn Sink> =
                Box::new(opened.map_err(|error| error.context(self.describe()))?);
            Ok(sink)
        })
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async move {
            let found = self.ask(topics).await;
            found.map_err(|error| error.context(self.describe()))
        })
    }

    fn lanes(&self, topic: &str) -> BoxFuture<'_, Result<Vec<LaneExtent>>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let found = self.ask(move |shared| extents(shared, &topic)).await;
            found.map_err(|error| error.context(self.describe()))
        })
    }

    fn read(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        let (lane, cursor) = (lane.clone(), cursor.clone());
        Box::pin(
            self.ask(move |shared| {
                source::open(&shared.looker, &shared.readers, &lane, None, &cursor)
            }),
        )
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let (lane, start) = (lane.clone(), start.clone());
        Box::pin(self.ask(move |shared| look::resolve(&shared.looker, &lane, &start)))
    }

    fn saved(&self, group: &str) -> BoxFuture<'_, Result<Vec<(LaneId, Cursor)>>> {
        let group = group.to_owned();
        let settings = self.settings.clone();
        Box::pin(look::waiting(move || {
            let asker = Client::new(&settings, &settings.asker(&group))?;
            let mut found: Vec<(LaneId, Cursor)> = source::positions(&asker, &group)?
                .into_iter()
                .map(|(lane, committed)| (lane, committed.cursor))
                .collect();
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(found)
        }))
    }

    fn reset(&self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        let group = group.to_owned();
        Box::pin(self.ask(move |shared| reset(shared, &group, &cursors)))
    }
}
