//! Whether memory and the local log keep the contract of logs, and what only the local log promises.

use std::sync::Arc;

use jiff::Timestamp;
use logpipe::memory::Memory;
use logpipe::record::{LaneId, Position};
use logpipe::source::Backend;
use logpipe::testing::conformance::{self, BoxFuture, Harness};

struct InMemory(Memory);

impl Harness for InMemory {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn expire<'a>(&'a self, group: &'a str, lane: &'a LaneId) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.expire(group, lane) })
    }

    fn delete<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.delete(topic) })
    }

    fn truncate<'a>(&'a self, lane: &'a LaneId, from: &'a Position) -> BoxFuture<'a, bool> {
        Box::pin(async move { self.0.truncate(lane, from).is_ok() })
    }

    fn split<'a>(&'a self, lane: &'a LaneId) -> BoxFuture<'a, Vec<LaneId>> {
        Box::pin(async move { self.0.split(lane, 2).unwrap() })
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    conformance::run(async || InMemory(Memory::new())).await;
}

#[cfg(feature = "local")]
mod local {
    use std::time::Duration;

    use logpipe::clock::ManualClock;
    use logpipe::local::{Local, Settings};

    use super::*;

    struct InFiles {
        folder: tempfile::TempDir,
        clock: ManualClock,
        log: Option<Local>,
    }

    impl InFiles {
        async fn new() -> Self {
            let mut files = Self {
                folder: tempfile::tempdir().unwrap(),
                clock: ManualClock::at(Timestamp::now()),
                log: None,
            };
            files.restart().await;
            files
        }

        fn log(&self) -> &Local {
            self.log.as_ref().unwrap()
        }
    }

    impl Harness for InFiles {
        fn backend(&self) -> Arc<dyn Backend> {
            Arc::new(self.log().clone())
        }

        fn restart(&mut self) -> BoxFuture<'_, ()> {
            Box::pin(async {
                self.log = None;
                let settings = Settings {
                    clock: self.clock.clock(),
                    ..Settings::default()
                };
                self.log = Some(
                    Local::open_with(self.folder.path(), settings)
                        .await
                        .unwrap(),
                );
            })
        }

        fn expire<'a>(&'a self, _group: &'a str, _lane: &'a LaneId) -> BoxFuture<'a, ()> {
            Box::pin(async { self.clock.advance(Duration::from_secs(11)) })
        }

        fn delete<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
            Box::pin(async move { self.log().delete(topic).await.unwrap() })
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_local_log_keeps_the_contract() {
        conformance::run(InFiles::new).await;
    }
}
