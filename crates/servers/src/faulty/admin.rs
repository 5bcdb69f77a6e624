//! Streams as their operator sees them: made, split, merged, deleted; over any endpoint.

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::types::{Shard, StreamStatus};

use super::REGION;

/// How long a stream may take to change.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes, changes and deletes streams. It panics where that fails: it serves tests.
#[derive(Clone)]
pub struct Admin {
    client: Client,
    endpoint: String,
}

impl Admin {
    /// Of the server at this endpoint, which speaks plain HTTP and takes any credentials.
    pub fn at(endpoint: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self {
            client: Client::from_conf(config),
            endpoint: endpoint.to_owned(),
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a stream and waits until it is there.
    pub async fn create(&self, stream: &str, shards: i32) {
        self.client
            .create_stream()
            .stream_name(stream)
            .shard_count(shards)
            .send()
            .await
            .expect("the stream is made");
        self.settle(stream).await;
    }

    /// Deletes a stream and waits until it is gone, and until one that is made then is known from it: these servers
    /// number by the second in which a shard was made, and Kinesis takes longer than that to delete.
    pub async fn delete(&self, stream: &str) {
        let second = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap_or_default().as_secs()
        };
        let deleted = second();
        self.client
            .delete_stream()
            .stream_name(stream)
            .send()
            .await
            .expect("the stream is deleted");
        while self.status(stream).await.is_some() || second() == deleted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Splits a shard in the middle of its keys and returns its children.
    pub async fn split(&self, stream: &str, shard: &str) -> Vec<String> {
        let shards = self.shards(stream).await;
        let found = shards.iter().find(|listed| listed.shard_id == shard);
        let range = found
            .and_then(|shard| shard.hash_key_range.as_ref())
            .expect("the shard is listed with its keys");
        let number = |text: &str| text.parse::<u128>().expect("a hash key is a number");
        let (first, last) = (
            number(&range.starting_hash_key),
            number(&range.ending_hash_key),
        );
        self.client
            .split_shard()
            .stream_name(stream)
            .shard_to_split(shard)
            .new_starting_hash_key((first + (last - first) / 2 + 1).to_string())
            .send()
            .await
            .expect("the shard is split");
        self.settle(stream).await;
        self.children(stream, shard).await
    }

    /// Merges two shards whose keys are neighbours and returns their child.
    pub async fn merge(&self, stream: &str, shard: &str, neighbour: &str) -> String {
        self.client
            .merge_shards()
            .stream_name(stream)
            .shard_to_merge(shard)
            .adjacent_shard_to_merge(neighbour)
            .send()
            .await
            .expect("the shards are merged");
        self.settle(stream).await;
        let mut children = self.children(stream, shard).await;
        children.pop().expect("two that were merged have a child")
    }

    async fn children(&self, stream: &str, parent: &str) -> Vec<String> {
        let is_child = |shard: &Shard| {
            [&shard.parent_shard_id, &shard.adjacent_parent_shard_id]
                .into_iter()
                .any(|of| of.as_deref() == Some(parent))
        };
        let shards = self.shards(stream).await.into_iter();
        shards
            .filter(is_child)
            .map(|shard| shard.shard_id)
            .collect()
    }

    /// All shards, of all pages.
    pub async fn shards(&self, stream: &str) -> Vec<Shard> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let call = self.client.list_shards();
            let call = match token {
                None => call.stream_name(stream),
                Some(token) => call.next_token(token),
            };
            let page = call.send().await.expect("the shards are listed");
            shards.extend(page.shards.unwrap_or_default());
            token = page.next_token;
            if token.is_none() {
                return shards;
            }
        }
    }

    async fn status(&self, stream: &str) -> Option<StreamStatus> {
        let described = self
            .client
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await;
        match described {
            Ok(described) => Some(described.stream_description_summary?.stream_status),
            Err(error) if error.code() == Some("ResourceNotFoundException") => None,
            Err(error) => panic!("the stream is not described: {error:?}"),
        }
    }

    /// Waits until the stream is as it was told to be.
    async fn settle(&self, stream: &str) {
        let settled = async {
            while self.status(stream).await != Some(StreamStatus::Active) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("the stream settles in time");
    }
}
