//! AWS Kinesis: streams as topics, shards as lanes, groups as leases in a SQLite file.
//!
//! Kinesis has no groups of its own. The processes of a group share one leases file, on one host, and with it the shards:
//! parents before their children, each read to its end before what it was split into begins. Positions are kept where the
//! store keeps them, in the same transaction as the handlers' effects; a consumer without a store keeps them in the
//! leases file.
//!
//! A position is a sequence number. It is held against the stream it came from: a stream that was deleted and made again,
//! and records that retention removed before they were read, are told as incidents and never passed over.

mod client;
mod leases;
mod reader;
mod shards;
mod sink;
mod streams;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use crate::clock::Clock;
use crate::config::{Secret, without_user};
use crate::db::Shared;
use crate::lease::member::{Member, Parts};
use crate::lease::table::{self, Locks};
use crate::offsets::no_such_lane;
use crate::record::{Cursor, LaneId, Start};
use crate::sink::Sink;
use crate::source::{Backend, Capabilities, Join, LaneExtent, Opened, Source};
use crate::{Error, Result};
use client::{Api, Class};
use sink::{Queue, StreamSink};
use streams::{Streams, need};

/// How Kinesis is reached. What is left out is what the AWS SDK finds: `AWS_*` variables, profiles, the role of a host or
/// container.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The region, as `eu-west-1`.
    pub region: Option<String>,
    /// Another endpoint than the region's own: a VPC endpoint, a server for tests.
    pub endpoint_url: Option<String>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Where they do not come from the environment, a profile or a role: for servers that tests start.
    pub credentials: Option<Credentials>,
    /// The file in which the processes of a group share the shards out; made where it is missing. Consumers need it, and
    /// all processes of a group on this host name the same.
    pub leases: Option<PathBuf>,
    /// Measures leases.
    pub clock: Clock,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint_url = self.endpoint_url.as_deref().map(without_user);
        f.debug_struct("Settings")
            .field("region", &self.region)
            .field("endpoint_url", &endpoint_url)
            .field("profile", &self.profile)
            .field("credentials", &self.credentials)
            .field("leases", &self.leases)
            .field("clock", &self.clock)
            .finish()
    }
}

/// An access key.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its id.
    pub access_key_id: String,
    /// Its secret, which nothing shows.
    pub secret_access_key: Secret,
}

impl Settings {
    /// What the AWS SDK finds, without a leases file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The region, as `eu-west-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Another endpoint than the region's own.
    #[must_use]
    pub fn endpoint_url(mut self, endpoint_url: impl Into<String>) -> Self {
        self.endpoint_url = Some(endpoint_url.into());
        self
    }

    /// The profile of the AWS configuration files.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Where they do not come from the environment, a profile or a role: for servers that tests start.
    #[must_use]
    pub fn credentials(
        mut self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Self {
        self.credentials = Some(Credentials {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
        });
        self
    }

    /// The file in which the processes of a group share the shards out.
    #[must_use]
    pub fn leases(mut self, leases: impl Into<PathBuf>) -> Self {
        self.leases = Some(leases.into());
        self
    }

    /// Measures leases.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

/// The streams of an account in a region. Clones share connections and tasks; open it once per process.
#[derive(Clone)]
pub struct Kinesis {
    streams: Arc<Streams>,
    /// Where a leases file was named.
    groups: Option<Arc<Shared>>,
    locks: Arc<Locks>,
    clock: Clock,
    queues: Arc<Mutex<HashMap<String, Queue>>>,
}

impl Kinesis {
    /// Finds out region and credentials, and opens the leases file. Kinesis itself is first called when it is used.
    pub async fn open(settings: Settings) -> Result<Self> {
        let (groups, locks) = match &settings.leases {
            None => (None, Locks::new("")),
            Some(leases) => {
                // Absolute, so that a process that changes its folder goes on with the same file.
                let leases = std::path::absolute(leases)
                    .map_err(|error| Error::from(error).context("the leases file of Kinesis"))?;
                let groups = Shared::open(Arc::new(leases::file(&leases))).await?;
                let mut members = leases.into_os_string();
                members.push(".members");
                (Some(Arc::new(groups)), Locks::new(PathBuf::from(members)))
            }
        };
        let api = Arc::new(Api::open(&settings).await?);
        Ok(Self {
            streams: Arc::new(Streams::new(api, settings.clock.clone(), groups.clone())),
            groups,
            locks: Arc::new(locks),
            clock: settings.clock,
            queues: Arc::default(),
        })
    }

    fn queue(&self, stream: &str) -> Option<Queue> {
        let queues = self
            .queues
            .lock()
            .expect("nothing panics while it holds the queues");
        queues.get(stream).cloned()
    }

    /// What the stream takes as one record; an error where there is no such stream.
    async fn record_limit(&self, stream: &str) -> Result<usize> {
        let api = &self.streams.api;
        let described = api
            .client
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await
            .map_err(|error| api.explain("DescribeStreamSummary", stream, &error));
        let kib = match described {
            Ok(described) => described
                .stream_description_summary
                .and_then(|summary| summary.max_record_size_in_kib),
            // Who writes need not be allowed to look.
            Err(failed) if matches!(failed.class, Class::Denied | Class::Throttled) => None,
            Err(failed) => return Err(failed.error),
        };
        let limit = kib.and_then(|kib| usize::try_from(kib).ok());
        Ok(limit.map_or(sink::RECORD_BYTES, |kib| kib << 10))
    }
}

impl Backend for Kinesis {
    fn describe(&self) -> String {
        self.streams.api.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            headers: false,
            null_value: false,
            null_key: true,
            empty_key: false,
            writer_time: false,
            time_seek: true,
            broker_cursors: true,
        }
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        Box::pin(async move {
            let groups = need(&self.groups)?.clone();
            for topic in &join.topics {
                if self.streams.shards.fresh(topic).await?.is_none() {
                    return Err(self.no_such_stream(topic));
                }
            }
            let parts = Parts {
                groups,
                locks: self.locks.clone(),
                lanes: self.streams.clone(),
                clock: self.clock.clone(),
            };
            let source: Box<dyn Source> = Box::new(Member::join(parts, join)?);
            Ok(source)
        })
    }

    fn sink(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn Sink>>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let queue = match self.queue(&topic) {
                Some(queue) => queue,
                None => {
                    let limit = self.record_limit(&topic).await?;
                    let mut queues = self
                        .queues
                        .lock()
                        .expect("nothing panics while it holds the queues");
                    // All sinks of a stream share one queue: that is what keeps a key in order across them.
                    let queue = queues
                        .entry(topic.clone())
                        .or_insert_with(|| Queue::start(self.streams.api.clone(), &topic, limit));
                    queue.clone()
                }
            };
            let sink: Box<dyn Sink> = Box::new(StreamSink(queue));
            Ok(sink)
        })
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async move {
            let api = &self.streams.api;
            let mut names = Vec::new();
            loop {
                let page = api
                    .client
                    .list_streams()
                    .set_exclusive_start_stream_name(names.last().cloned())
                    .send()
                    .await
                    .map_err(|error| Error::from(api.explain("ListStreams", "*", &error)))?;
                let is_last = !page.has_more_streams || page.stream_names.is_empty();
                names.extend(page.stream_names);
                if is_last {
                    names.sort_unstable();
                    return Ok(names);
                }
            }
        })
    }

    fn lanes(&self, topic: &str) -> BoxFuture<'_, Result<Vec<LaneExtent>>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let listing = self.streams.shards.fresh(&topic).await?;
            let listing = listing.ok_or_else(|| self.no_such_stream(&topic))?;
            let cluster = self.streams.cluster_id();
            // What a shard holds is known to who reads it.
            let extent = |shard: &shards::Shard| LaneExtent {
                lane: LaneId::new(&*topic, &*shard.id),
                cluster: cluster.clone(),
                incarnation: shard.incarnation.clone(),
                first: None,
                last: None,
                oldest: None,
                count: None,
            };
            Ok(listing.iter().map(extent).collect())
        })
    }

    fn read(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        let streams = self.streams.clone();
        Box::pin(streams.open_for(None, lane.clone(), cursor.clone(), None))
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        let streams = self.streams.clone();
        Box::pin(streams.resolve_for(None, lane.clone(), start.clone()))
    }

    fn saved(&self, group: &str) -> BoxFuture<'_, Result<Vec<(LaneId, Cursor)>>> {
        let group = group.to_owned();
        Box::pin(async move {
            let saved = need(&self.groups)?
                .write(move |table| table::saved(table, &group))
                .await?;
            Ok(saved
                .into_iter()
                .map(|(lane, committed)| (lane, committed.cursor))
                .collect())
        })
    }

    fn reset(&self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        let group = group.to_owned();
        Box::pin(async move {
            let mut writes = Vec::with_capacity(cursors.len());
            for (lane, cursor) in cursors {
                let listing = self.streams.shards.recent(lane.topic()).await?;
                let shard = listing.as_ref().and_then(|listing| {
                    listing
                        .iter()
                        .find(|shard| shard.id == lane.shard())
                        .map(|shard| shard.incarnation.clone())
                });
                let incarnation = shard.ok_or_else(|| no_such_lane(&lane))?;
                writes.push((lane, cursor, incarnation));
            }
            let now = self.clock.now();
            table::reset(need(&self.groups)?, &self.locks, &group, writes, now).await
        })
    }
}

impl Kinesis {
    fn no_such_stream(&self, stream: &str) -> Error {
        Error::permanent(format!(
            "there is no stream {stream} in {}: check the name, region and account, or create it first",
            self.describe()
        ))
    }
}
