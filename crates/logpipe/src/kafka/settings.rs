//! What is a connection to Kafka configured with, and what becomes of it in each client?

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::Kafka;
use crate::source::Join;
use crate::{Error, Result};

/// How Kafka is reached and used. [`Kafka::builder`] begins one.
///
/// ```
/// use std::time::Duration;
/// use logpipe::kafka::Kafka;
///
/// # fn main() -> logpipe::Result<()> {
/// let kafka = Kafka::builder("broker-1:9092,broker-2:9092")
///     .session_timeout(Duration::from_secs(10))
///     .buffer(64 << 20)
///     .client("security.protocol", "sasl_ssl")
///     .client("sasl.mechanisms", "SCRAM-SHA-512")
///     .client("sasl.username", "orders")
///     .client("sasl.password", "secret")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Builder(Settings);

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) bootstrap: String,
    pub(super) session_timeout: Duration,
    pub(super) drain: Duration,
    pub(super) buffer: usize,
    client: BTreeMap<String, String>,
}

/// Keys that are not the user's to set, and why.
const OURS: &[(&str, &str)] = &[
    (
        "bootstrap.servers",
        "it is the address that the connection is made with",
    ),
    ("group.id", "it is the consumer's group"),
    ("group.instance.id", "it is the consumer's instance id"),
    (
        "group.protocol",
        "lanes are handed over by the classic protocol",
    ),
    (
        "partition.assignment.strategy",
        "lanes are handed over one by one (cooperative-sticky)",
    ),
    (
        "session.timeout.ms",
        "the session timeout is a setting of its own",
    ),
    (
        "enable.auto.commit",
        "a position moves when its record is settled",
    ),
    (
        "auto.commit.enable",
        "a position moves when its record is settled",
    ),
    (
        "enable.auto.offset.store",
        "a position moves when its record is settled",
    ),
    (
        "auto.offset.reset",
        "a position outside the log is an incident, never a reset",
    ),
    ("enable.partition.eof", "the ends of lanes are found by it"),
    (
        "queued.max.messages.kbytes",
        "the buffer is a setting of its own",
    ),
    ("queued.min.messages", "the buffer is a setting of its own"),
    (
        "partitioner",
        "keys go to the partitions that other clients find them in",
    ),
    ("log.queue", "the client's log goes to tracing"),
    (
        "log_level",
        "the client's log goes to tracing, which has levels of its own",
    ),
];

/// Other names of librdkafka for keys, each with the one that is used here. Settings are applied in no order that anybody
/// knows, so of two names for one thing either could win.
const ALIASES: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("auto.commit.enable", "enable.auto.commit"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanism", "sasl.mechanisms"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
];

/// The one name of a key that may have several.
fn canonical(key: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
    alias.map_or(key, |(_, name)| name)
}

/// Whether the value of a key has to be kept secret, however short it is.
fn is_secret(key: &str) -> bool {
    ["password", "secret", "token", "pem"]
        .iter()
        .any(|word| key.contains(word))
}

impl Builder {
    pub(super) fn new(bootstrap: &str) -> Self {
        Self(Settings {
            bootstrap: bootstrap.trim().to_owned(),
            session_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            buffer: 64 << 20,
            client: BTreeMap::new(),
        })
    }

    /// How long a member may be silent before its lanes go to others; 10 s by default.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.0.session_timeout = timeout;
        self
    }

    /// How long a lane that is taken away may settle what is in flight; 30 s by default, and never longer than the group
    /// waits for its members (`max.poll.interval.ms`).
    #[must_use]
    pub fn drain(mut self, limit: Duration) -> Self {
        self.0.drain = limit;
        self
    }

    /// How many bytes of records are fetched ahead, over all lanes of a consumer together; 64 MiB by default.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.0.buffer = bytes;
        self
    }

    /// Passes a setting to librdkafka as it is, for everything that has no name here: TLS, SASL, timeouts. Values are
    /// never shown.
    #[must_use]
    pub fn client(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.client.insert(key.into(), value.into());
        self
    }

    /// Checks the settings. Nobody is connected to yet.
    pub fn build(self) -> Result<Kafka> {
        let settings = self.0;
        if settings.bootstrap.is_empty() {
            return Err(Error::permanent(
                "no address of a Kafka broker: name one or more, `host:9092,other:9092`",
            ));
        }
        let mut names = BTreeMap::new();
        for (key, value) in &settings.client {
            let name = canonical(key);
            let ours = OURS.iter().find(|(ours, _)| canonical(ours) == name);
            let why = match ours {
                Some((_, why)) => why,
                None if name == "request.required.acks" && value.trim() == "0" => {
                    &"without acknowledgements nobody knows what was written"
                }
                None if name == "enable.idempotence" && value.trim() != "true" => {
                    &"what is sent again could be written twice, or out of order"
                }
                None => match names.insert(name, key) {
                    Some(other) => {
                        return Err(Error::permanent(format!(
                            "the client keys `{other}` and `{key}` are one setting: leave one of them out"
                        )));
                    }
                    None => continue,
                },
            };
            return Err(Error::permanent(format!(
                "the client key `{key}` can't be set: {why}"
            )));
        }
        settings
            .base()
            .create_native_config()
            .map_err(|error| settings.refused(error))?;
        Ok(Kafka::over(settings))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.client.keys().collect();
        f.debug_struct("Kafka")
            .field("bootstrap", &self.bootstrap)
            .field("session_timeout", &self.session_timeout)
            .field("drain", &self.drain)
            .field("buffer", &self.buffer)
            .field("client", &keys)
            .finish()
    }
}

impl Settings {
    /// What librdkafka says of a setting, without its value, which may be a secret.
    pub(super) fn refused(&self, error: KafkaError) -> Error {
        match error {
            KafkaError::ClientConfig(_, said, key, value) => {
                let said = match value.is_empty() {
                    true => said,
                    false => said.replace(&*value, "***"),
                };
                Error::permanent(format!(
                    "the client key `{key}` is refused: {}",
                    said.trim()
                ))
            }
            KafkaError::ClientCreation(said) => {
                let values = self
                    .client
                    .iter()
                    .filter(|(key, value)| value.len() > 3 || !value.is_empty() && is_secret(key));
                let said = values.fold(said, |said, (_, value)| said.replace(&**value, "***"));
                Error::permanent(format!("the settings of the client do not fit: {said}"))
            }
            error => Error::permanent(format!("the settings of the client are refused: {error}")),
        }
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // What is logged is decided by tracing; librdkafka only has to say it.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "logpipe")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.connection.setup.timeout.ms", "10000");
        for (key, value) in &self.client {
            config.set(canonical(key), value);
        }
        config
    }

    /// A client that looks: metadata, watermarks, groups.
    pub(super) fn looker(&self) -> ClientConfig {
        let mut config = self.reader(1);
        config.set("queued.max.messages.kbytes", "1024");
        config
    }

    /// A client that reads lanes, of which there will be this many.
    pub(super) fn reader(&self, lanes: usize) -> ClientConfig {
        let share = Share::of(self.buffer, lanes);
        let mut config = ClientConfig::new();
        // In front of the user's own, who may know better.
        config
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.max.bytes", share.response.to_string())
            .set("fetch.message.max.bytes", share.partition.to_string());
        let mut config = merged(config, self.base());
        config
            .set("enable.auto.commit", "false")
            .set("auto.commit.enable", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            // Of members, but every client checks that what they may take to poll is not shorter.
            .set(
                "session.timeout.ms",
                self.session_timeout.as_millis().to_string(),
            )
            .set("queued.max.messages.kbytes", share.queue_kib.to_string())
            .set("queued.min.messages", share.messages.to_string());
        config
    }

    /// A client that asks what a group keeps, without being its member.
    pub(super) fn asker(&self, group: &str) -> ClientConfig {
        let mut config = self.looker();
        config.set("group.id", group);
        config
    }

    /// A client that is a member of a group and reads nothing itself.
    pub(super) fn member(&self, join: &Join) -> ClientConfig {
        let mut config = self.asker(&join.group);
        let session = self.session_timeout.as_millis();
        config.set("partition.assignment.strategy", "cooperative-sticky");
        if !self.client.contains_key("heartbeat.interval.ms") {
            let beat = (session / 4).clamp(1, 3_000);
            config.set("heartbeat.interval.ms", beat.to_string());
        }
        if let Some(instance) = &join.instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// A client that writes.
    pub(super) fn writer(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("enable.idempotence", "true")
            // The one codec that every client reads as it is installed: django-logpipe's stops at any other.
            .set("compression.type", "gzip")
            .set("compression.level", "1")
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("message.timeout.ms", "120000")
            .set("sticky.partitioning.linger.ms", "0");
        let mut config = merged(config, self.base());
        config.set("partitioner", "murmur2_random");
        config
    }

    /// By when a lane that is taken away has to be given back: before the group stops waiting for its members.
    pub(super) fn revoke_within(&self) -> Duration {
        let group_waits = self
            .client
            .get("max.poll.interval.ms")
            .and_then(|value| value.parse().ok())
            .map_or(Duration::from_secs(300), Duration::from_millis);
        self.drain.min(group_waits.mul_f64(0.8))
    }
}

fn merged(mut config: ClientConfig, over: ClientConfig) -> ClientConfig {
    config.log_level = over.log_level;
    for (key, _) in over.config_map() {
        // The map shows no secrets, so the value is asked for.
        if let Some(value) = over.get(key) {
            config.set(key, value);
        }
    }
    config
}

/// How one budget is divided: librdkafka bounds each lane's queue by itself, and what is on its way comes on top.
#[derive(Debug, PartialEq, Eq)]
struct Share {
    /// What may wait in a lane's queue.
    queue_kib: usize,
    /// Messages in it, each of which costs some hundred bytes beside its own.
    messages: usize,
    /// What one answer may carry for a lane.
    partition: usize,
    /// What one answer may carry.
    response: usize,
}

impl Share {
    fn of(buffer: usize, lanes: usize) -> Self {
        let lane = buffer / lanes.max(1);
        Self {
            queue_kib: (lane / 2 / 1024).clamp(1, 2_097_151),
            messages: (lane / 2048).clamp(16, 100_000),
            partition: (lane / 4).clamp(16 << 10, 16 << 20),
            response: (buffer / 4).clamp(1 << 20, 50 << 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let builder = Kafka::builder("b:9092").client("sasl.password", "hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        let kafka = builder.clone().build().unwrap();
        assert!(!format!("{kafka:?}").contains("hunter2"));
        assert_eq!(
            kafka.settings().writer().get("sasl.password"),
            Some("hunter2")
        );
        let refused = builder.client("security.protocol", "hunter3").build();
        let said = refused.unwrap_err().to_string();
        assert!(
            said.contains("security.protocol") && !said.contains("hunter"),
            "{said}"
        );
    }

    #[test]
    fn keys_that_the_promise_hangs_on_are_refused() {
        for (key, _) in OURS {
            let refused = Kafka::builder("b:9092").client(*key, "1").build();
            let said = refused.unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("the client key `{key}` can't be set")),
                "{said}"
            );
        }
        let unknown = Kafka::builder("b:9092").client("no.such.key", "1").build();
        assert!(unknown.unwrap_err().to_string().contains("no.such.key"));
        assert!(Kafka::builder(" ").build().is_err());
    }

    #[test]
    fn other_names_of_a_key_are_that_key() {
        let kafka = |keys: &[(&str, &str)]| {
            let builder = Kafka::builder("b:9092");
            let set = |builder: Builder, (key, value): &(&str, &str)| builder.client(*key, *value);
            keys.iter().fold(builder, set).build()
        };
        let settings = |key| {
            let kafka = kafka(&[(key, "12345")]).unwrap();
            (kafka.settings().writer(), kafka.settings().reader(1))
        };
        for (alias, name) in [
            ("delivery.timeout.ms", "message.timeout.ms"),
            ("queue.buffering.max.ms", "linger.ms"),
        ] {
            let (writer, _) = settings(alias);
            assert_eq!(writer.get(name), Some("12345"), "{alias}");
            assert_eq!(writer.get(alias), None);
        }
        let (_, reader) = settings("max.partition.fetch.bytes");
        assert_eq!(reader.get("fetch.message.max.bytes"), Some("12345"));
        for (keys, says) in [
            (
                &[("metadata.broker.list", "other:9092")][..],
                "`metadata.broker.list` can't be set",
            ),
            (&[("acks", "0")], "nobody knows what was written"),
            (&[("enable.idempotence", "false")], "written twice"),
            (
                &[("request.required.acks", " 0 ")],
                "nobody knows what was written",
            ),
            (
                &[("acks", "1"), ("request.required.acks", "-1")],
                "are one setting",
            ),
        ] {
            let said = kafka(keys).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
        let unmasked = kafka(&[("sasl.password", "ab"), ("client.id", "me")]).unwrap();
        let said = "sasl.password=ab of me".to_owned();
        let said = unmasked
            .settings()
            .refused(KafkaError::ClientCreation(said));
        assert!(
            said.to_string().ends_with("sasl.password=*** of me"),
            "{said}"
        );
    }

    #[test]
    fn one_budget_is_divided_over_the_lanes() {
        for lanes in [1, 8, 64] {
            let share = Share::of(64 << 20, lanes);
            let all = lanes * (share.queue_kib * 1024 + share.partition);
            assert!(all <= 64 << 20, "{lanes} lanes: {share:?}");
        }
        assert_eq!(Share::of(0, 0).messages, 16);
    }

    #[test]
    fn a_lane_is_given_back_before_the_group_stops_waiting() {
        let within = |interval: &str| {
            let builder = Kafka::builder("b:9092").client("max.poll.interval.ms", interval);
            builder.build().unwrap().settings().revoke_within()
        };
        assert_eq!(within("300000"), Duration::from_secs(30));
        assert_eq!(within("20000"), Duration::from_secs(16));
    }
}
