//! Whether Kinesis keeps the contract of logs, on two servers by two authors.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use logpipe::clock::ManualClock;
use logpipe::kinesis::{Kinesis, Settings};
use logpipe::record::LaneId;
use logpipe::source::Backend;
use logpipe::testing::conformance::{self, BoxFuture, Harness};
use logpipe_servers::faulty::{self, Admin, REGION};
use logpipe_servers::kinesis_local;
use tempfile::TempDir;

struct OnKinesis {
    folder: TempDir,
    clock: ManualClock,
    admin: Admin,
    log: Option<Kinesis>,
    /// Ends when this is dropped.
    _server: Server,
}

/// Held as long as somebody asks it.
enum Server {
    InProcess { _server: faulty::Kinesis },
    Npm { _server: kinesis_local::Server },
}

impl OnKinesis {
    async fn in_process() -> Self {
        let server = faulty::Kinesis::start().await.unwrap();
        Self::at(server.admin(), Server::InProcess { _server: server }).await
    }

    async fn npm() -> Self {
        let start = tokio::task::spawn_blocking(|| kinesis_local::Server::start(&[]));
        let server = start.await.unwrap().unwrap();
        Self::at(
            Admin::at(&server.endpoint()),
            Server::Npm { _server: server },
        )
        .await
    }

    async fn at(admin: Admin, server: Server) -> Self {
        let mut harness = Self {
            folder: tempfile::tempdir().unwrap(),
            clock: ManualClock::at(Timestamp::now()),
            admin,
            log: None,
            _server: server,
        };
        harness.restart().await;
        harness
    }
}

impl Harness for OnKinesis {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.log.clone().unwrap())
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.log = None;
            let settings = Settings::new()
                .region(REGION)
                .endpoint_url(self.admin.endpoint())
                .credentials("test", "test")
                .clock(self.clock.clock())
                .leases(self.folder.path().join("leases.db"));
            self.log = Some(Kinesis::open(settings).await.unwrap());
        })
    }

    fn create<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.admin.create(topic, 2))
    }

    fn expire<'a>(&'a self, _group: &'a str, _lane: &'a LaneId) -> BoxFuture<'a, ()> {
        Box::pin(async { self.clock.advance(Duration::from_secs(11)) })
    }

    fn delete<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.admin.delete(topic))
    }

    fn split<'a>(&'a self, lane: &'a LaneId) -> BoxFuture<'a, Vec<LaneId>> {
        Box::pin(async move {
            let children = self.admin.split(lane.topic(), lane.shard()).await;
            let lane = |shard: String| LaneId::new(lane.topic(), shard);
            children.into_iter().map(lane).collect()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesis_keeps_the_contract() {
    conformance::run(OnKinesis::in_process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesis_keeps_the_contract_on_the_npm_server_too() {
    conformance::run(OnKinesis::npm).await;
}
