//! Which shards a stream has: asked of ListShards page by page, and remembered for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::client::{Api, Class, Failed};
use crate::lease::LogLane;
use crate::record::LaneId;
use crate::source::backoff;
use crate::{Error, Result};

/// How old a list may be. A split is noticed earlier, by whoever reads a shard to its end.
const REFRESH: Duration = Duration::from_secs(30);

/// How old one may be that lacks what others know of.
const OUTDATED: Duration = Duration::from_secs(1);

/// How often a call that the service throttled is tried again at once.
const TRIES: u32 = 5;

/// What no stream comes near; bounds what a server that pages for ever can make us hold.
const MAX_PAGES: usize = 10_000;

/// One shard of a stream.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub id: String,
    /// The sequence number that it starts with: another one says that it is a shard of another stream.
    pub incarnation: String,
    pub parents: Vec<String>,
    /// It was split or merged and takes no more records.
    pub is_closed: bool,
}

/// The shards of a stream, in order of their names; those that retention has not removed yet.
pub(super) type Listing = Arc<Vec<Shard>>;

/// The lists that were asked for.
pub(super) struct Shards {
    pub api: Arc<Api>,
    known: Mutex<HashMap<String, Known>>,
    /// Changes with each list that says something new, and when it is worth a look at the group.
    pub news: watch::Sender<()>,
}

struct Known {
    /// `None`: there is no such stream.
    listing: Option<Listing>,
    asked: Instant,
    is_asking: bool,
}

impl Shards {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            known: Mutex::default(),
            news: watch::Sender::new(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known
            .lock()
            .expect("nothing panics while it holds the lists")
    }

    /// The list that is known, and one that is fresh soon where it is old: nobody's lease waits for a slow answer.
    pub(super) async fn recent(self: &Arc<Self>, stream: &str) -> Result<Option<Listing>, Failed> {
        let known = self.known().get(stream).map(|known| {
            (
                known.listing.clone(),
                known.asked.elapsed() >= REFRESH && !known.is_asking,
            )
        });
        match known {
            None => self.fresh(stream).await,
            Some((listing, is_old)) => {
                if is_old {
                    self.refresh(stream);
                }
                Ok(listing)
            }
        }
    }

    /// Asks in the background, unless it was just asked: others know of shards that are not in the list.
    pub(super) fn outdated(self: &Arc<Self>, stream: &str) {
        let asked = self.known().get(stream).map(|known| known.asked);
        if asked.is_some_and(|asked| asked.elapsed() >= OUTDATED) {
            self.refresh(stream);
        }
    }

    /// Asks in the background.
    pub(super) fn refresh(self: &Arc<Self>, stream: &str) {
        if let Some(known) = self.known().get_mut(stream)
            && std::mem::replace(&mut known.is_asking, true)
        {
            return;
        }
        let (shards, stream) = (self.clone(), stream.to_owned());
        tokio::spawn(async move {
            if let Err(failed) = shards.fresh(&stream).await {
                tracing::warn!(stream, error = %failed.error, "the shards can't be listed; going on with those that are known");
                if let Some(known) = shards.known().get_mut(&stream) {
                    known.asked = Instant::now();
                    known.is_asking = false;
                }
            }
        });
    }

    /// Asks now. `None`: there is no such stream.
    pub(super) async fn fresh(&self, stream: &str) -> Result<Option<Listing>, Failed> {
        let mut tries = 0;
        let listing = loop {
            match self.list(stream).await {
                Ok(listing) => break Some(Arc::new(listing)),
                Err(failed) if failed.class == Class::Missing => break None,
                // A list that takes so long that its pages expire begins anew.
                Err(failed)
                    if matches!(failed.class, Class::Throttled | Class::ExpiredToken)
                        && tries < TRIES =>
                {
                    tokio::time::sleep(backoff(tries)).await;
                    tries += 1;
                }
                Err(failed) => return Err(failed),
            }
        };
        let known = Known {
            listing: listing.clone(),
            asked: Instant::now(),
            is_asking: false,
        };
        self.known().insert(stream.to_owned(), known);
        self.news.send_replace(());
        Ok(listing)
    }

    async fn list(&self, stream: &str) -> Result<Vec<Shard>, Failed> {
        let mut shards = Vec::new();
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let call = self.api.client.list_shards();
            // A token stands for the stream that it was given for, and the two together are refused.
            let call = match next.take() {
                None => call.stream_name(stream),
                Some(token) => call.next_token(token),
            };
            let page = call
                .send()
                .await
                .map_err(|error| self.api.explain("ListShards", stream, &error))?;
            shards.extend(page.shards.unwrap_or_default().into_iter().map(Shard::from));
            next = page.next_token;
            if next.is_none() {
                shards.sort_by(|a: &Shard, b| a.id.cmp(&b.id));
                return Ok(shards);
            }
        }
        Err(Failed {
            class: Class::Unknown,
            error: Error::permanent(format!("the list of the shards of {stream} has no end")),
        })
    }
}

impl From<aws_sdk_kinesis::types::Shard> for Shard {
    fn from(shard: aws_sdk_kinesis::types::Shard) -> Self {
        let range = shard.sequence_number_range;
        Self {
            id: shard.shard_id,
            is_closed: range
                .as_ref()
                .is_some_and(|range| range.ending_sequence_number.is_some()),
            incarnation: range
                .map(|range| range.starting_sequence_number)
                .unwrap_or_default(),
            parents: [shard.parent_shard_id, shard.adjacent_parent_shard_id]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

/// As groups share them out.
pub(super) fn lanes(stream: &str, listing: &[Shard]) -> BTreeMap<LaneId, LogLane> {
    let lane = |shard: &Shard| {
        let log = LogLane {
            incarnation: shard.incarnation.clone(),
            parents: shard
                .parents
                .iter()
                .map(|parent| LaneId::new(stream, parent))
                .collect(),
        };
        (LaneId::new(stream, &shard.id), log)
    };
    listing.iter().map(lane).collect()
}
