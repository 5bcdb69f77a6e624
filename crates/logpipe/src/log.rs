//! How a program names its log and the topics that it reads.

use std::sync::Arc;

use crate::config::{self, Config};
use crate::memory::Memory;
use crate::source::{Backend, Before};

/// A log that records are sent to and read from: a folder, memory, a cluster. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    backend: Arc<dyn Backend>,
}

impl Log {
    /// A log over any backend.
    pub fn new(backend: impl Backend) -> Self {
        Self {
            backend: Arc::new(backend),
        }
    }

    /// The log that the settings name. An error says which Cargo feature a build lacks for it.
    pub async fn open(config: &Config) -> crate::Result<Self> {
        match config.log.backend {
            #[cfg(feature = "local")]
            config::Backend::Local => Self::local(&config.log.dir).await,
            config::Backend::Memory => Ok(Self::memory()),
            #[cfg(feature = "kafka")]
            config::Backend::Kafka => {
                let config::Kafka {
                    bootstrap_servers,
                    session_timeout_ms,
                    buffer_bytes,
                    client,
                } = &config.kafka;
                let millis = std::time::Duration::from_millis;
                let mut kafka = crate::kafka::Kafka::builder(bootstrap_servers)
                    .session_timeout(millis(session_timeout_ms.get().into()))
                    .drain(millis(config.consumer.drain_ms))
                    .buffer(buffer_bytes.get() as usize);
                for (key, value) in client.reveal() {
                    kafka = kafka.client(key, value);
                }
                Ok(Self::new(kafka.build()?))
            }
            #[cfg(feature = "kinesis")]
            config::Backend::Kinesis => {
                let config::Kinesis {
                    region,
                    endpoint_url,
                    leases,
                } = &config.kinesis;
                let mut settings = crate::kinesis::Settings::new().leases(leases);
                if let Some(region) = region {
                    settings = settings.region(region);
                }
                if let Some(endpoint_url) = endpoint_url {
                    settings = settings.endpoint_url(endpoint_url);
                }
                Ok(Self::new(crate::kinesis::Kinesis::open(settings).await?))
            }
            #[allow(unreachable_patterns)]
            absent => Err(crate::Error::permanent(format!(
                "log.backend is `{absent}`, which this program was built without: build it with logpipe's feature \
                 `{absent}`, as in `cargo run --features {absent}`",
                absent = absent.name()
            ))),
        }
    }

    /// The log in a folder, which is made where it is missing. [`Local`](crate::local::Local) has its settings.
    #[cfg(feature = "local")]
    pub async fn local(folder: impl AsRef<std::path::Path>) -> crate::Result<Self> {
        Ok(Self::new(crate::local::Local::open(folder).await?))
    }

    /// The Kinesis streams of an account in a region.
    ///
    /// ```no_run
    /// # async fn open() -> logpipe::Result<logpipe::Log> {
    /// use logpipe::kinesis::Settings;
    ///
    /// logpipe::Log::kinesis(Settings::new().region("eu-west-1").leases("leases.db")).await
    /// # }
    /// ```
    #[cfg(feature = "kinesis")]
    pub async fn kinesis(settings: crate::kinesis::Settings) -> crate::Result<Self> {
        Ok(Self::new(crate::kinesis::Kinesis::open(settings).await?))
    }

    /// A Kafka cluster, by the addresses of one or more of its brokers. [`Kafka`](crate::kafka::Kafka) has its settings.
    #[cfg(feature = "kafka")]
    pub fn kafka(bootstrap: &str) -> crate::Result<Self> {
        Ok(Self::new(crate::kafka::Kafka::new(bootstrap)?))
    }

    /// A log in memory, for tests. [`Memory`] is the same log with the controls that tests want: `Log::new(memory.clone())`.
    pub fn memory() -> Self {
        Self::new(Memory::new())
    }

    /// What a consumer reads: topics of this log.
    ///
    /// ```
    /// # let log = logpipe::Log::memory();
    /// log.source("nouns");
    /// log.source(["nouns", "orders"]);
    /// ```
    pub fn source(&self, topics: impl Into<Topics>) -> Subscription {
        Subscription {
            backend: self.backend.clone(),
            topics: topics.into(),
        }
    }

    /// Removes the oldest records of a topic and returns how many: retention. An error where the log keeps its own.
    pub async fn trim(&self, topic: &str, before: Before) -> crate::Result<u64> {
        self.backend.trim(topic, &before).await
    }

    /// What lies underneath, for operations.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }
}

/// Topics of a log, for a consumer.
#[derive(Clone)]
pub struct Subscription {
    backend: Arc<dyn Backend>,
    topics: Topics,
}

impl Subscription {
    /// The log.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The topics.
    pub fn topics(&self) -> &[String] {
        &self.topics.0
    }
}

/// One topic or several, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics(Vec<String>);

impl<T: Into<String>> FromIterator<T> for Topics {
    fn from_iter<I: IntoIterator<Item = T>>(topics: I) -> Self {
        let mut topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        topics.sort_unstable();
        topics.dedup();
        Self(topics)
    }
}

impl From<&str> for Topics {
    fn from(topic: &str) -> Self {
        [topic].into_iter().collect()
    }
}

impl From<String> for Topics {
    fn from(topic: String) -> Self {
        [topic].into_iter().collect()
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Topics {
    fn from(topics: [T; N]) -> Self {
        topics.into_iter().collect()
    }
}

impl<T: Into<String>> From<Vec<T>> for Topics {
    fn from(topics: Vec<T>) -> Self {
        topics.into_iter().collect()
    }
}
