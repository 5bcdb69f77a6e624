//! Does the Kafka backend keep the contract of logs?

use std::sync::Arc;
use std::time::Duration;

use logpipe::kafka::Kafka;
use logpipe::record::LaneId;
use logpipe::source::Backend;
use logpipe::testing::conformance::{self, BoxFuture, Harness};
use logpipe_servers::kafka::{Broker, Settings};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::{ask, string};

const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that makes topics when they are named. Each check finds it empty.
struct OnKafka {
    bootstrap: String,
    kafka: Kafka,
}

impl OnKafka {
    async fn begin(bootstrap: &str) -> Self {
        let this = Self {
            bootstrap: bootstrap.to_owned(),
            kafka: connect(bootstrap),
        };
        for topic in this.kafka.topics().await.unwrap() {
            this.delete_topic(&topic).await;
        }
        // A group that was left a moment ago goes once its last member is forgotten.
        let admin = this.admin();
        let deadline = std::time::Instant::now() + PATIENCE;
        while this.has_groups() {
            let deleted = admin
                .delete_groups(&["readers"], &AdminOptions::new())
                .await;
            assert!(
                std::time::Instant::now() < deadline,
                "the group stays: {deleted:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        this
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .unwrap()
    }

    fn looker(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .unwrap()
    }

    fn has_groups(&self) -> bool {
        let groups = self.looker().fetch_group_list(None, PATIENCE).unwrap();
        groups
            .groups()
            .iter()
            .any(|group| group.name() == "readers")
    }

    async fn delete_topic(&self, topic: &str) {
        let admin = self.admin();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let deleted = admin.delete_topics(&[topic], &options).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        let deadline = std::time::Instant::now() + PATIENCE;
        while self
            .kafka
            .topics()
            .await
            .unwrap()
            .iter()
            .any(|found| found == topic)
        {
            assert!(std::time::Instant::now() < deadline, "the topic stays");
        }
    }

    /// Takes the members out of their group, as the broker does when a session ends.
    fn put_out(&self, group: &str) {
        let groups = self
            .looker()
            .fetch_group_list(Some(group), PATIENCE)
            .unwrap();
        for member in groups.groups().iter().flat_map(|group| group.members()) {
            leave_group(&self.bootstrap, group, member.id());
        }
    }
}

fn connect(bootstrap: &str) -> Kafka {
    Kafka::builder(bootstrap)
        .session_timeout(Duration::from_secs(6))
        .client("heartbeat.interval.ms", "500")
        .build()
        .unwrap()
}

/// Sends LeaveGroup (version 1) in the name of a member: no client offers that.
fn leave_group(bootstrap: &str, group: &str, member: &str) {
    let answer = ask(
        bootstrap,
        (13, 1),
        &[string(group), string(member)].concat(),
    );
    // Throttle time, error code.
    assert_eq!(
        answer[4..],
        [0, 0],
        "the broker refuses to let the member go"
    );
}

impl Harness for OnKafka {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.kafka.clone())
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.kafka = connect(&self.bootstrap);
        })
    }

    fn expire<'a>(&'a self, group: &'a str, _: &'a LaneId) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.put_out(group) })
    }

    fn delete<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.delete_topic(topic))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_the_contract_of_logs() {
    let broker = Broker::start_with(&Settings {
        auto_create: true,
        // The suite writes records of years to come.
        properties: vec![(
            "log.message.timestamp.after.max.ms".into(),
            i64::MAX.to_string(),
        )],
        ..Settings::default()
    })
    .unwrap();
    let bootstrap = broker.bootstrap();
    conformance::run(async || OnKafka::begin(&bootstrap).await).await;
}
