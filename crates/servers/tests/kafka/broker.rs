//! Does the broker that tests start behave as their faults need it to?

use std::time::{Duration, Instant};

use logpipe_servers::kafka::{ALICE, Broker, STRANGER, Settings, create_topic};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

const PATIENCE: Duration = Duration::from_secs(20);

/// Tells what became of the one record that is sent through it.
struct Tell(std::sync::mpsc::Sender<Result<i64, Code>>);

impl rdkafka::ClientContext for Tell {}

impl ProducerContext for Tell {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use rdkafka::Message;
        let told = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
        };
        // Nobody listens once the test has failed.
        let _ = self.0.send(told);
    }
}

fn send(config: &ClientConfig, topic: &str) -> Result<i64, Code> {
    let (tell, told) = std::sync::mpsc::channel();
    let producer: ThreadedProducer<_> = config.create_with_context(Tell(tell)).unwrap();
    let record = BaseRecord::to(topic).key("k").payload("v").partition(0);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    let told = told
        .recv_timeout(PATIENCE)
        .expect("the record's fate is told");
    producer.flush(PATIENCE).unwrap();
    told
}

/// The end of the partition; a broker that has just started may have to find its leader first.
fn end(config: &ClientConfig, topic: &str) -> i64 {
    let consumer: BaseConsumer = config.create().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, 0, PATIENCE) {
            Ok((_, end)) => return end,
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

#[tokio::test]
async fn a_broker_keeps_its_data_over_stops_and_kills_and_can_be_set_back() {
    let mut broker = Broker::start().unwrap();
    let config = client(&broker.bootstrap());
    create_topic(&broker.bootstrap(), "t", 1).await.unwrap();
    assert_eq!(send(&config, "t"), Ok(0));
    broker.stop().unwrap();
    broker.save("before").unwrap();
    broker.up().unwrap();
    assert_eq!(send(&config, "t"), Ok(1));
    broker.kill();
    broker.up().unwrap();
    assert_eq!(end(&config, "t"), 2);
    broker.stop().unwrap();
    broker.restore("before").unwrap();
    broker.up().unwrap();
    assert_eq!(end(&config, "t"), 1, "the second record is gone");
}

#[tokio::test]
async fn a_broker_that_asks_for_logins_lets_in_who_knows_the_password() {
    let broker = Broker::start_with(&Settings {
        secure: true,
        ..Settings::default()
    })
    .unwrap();
    create_topic(&broker.bootstrap(), "t", 1).await.unwrap();
    let login =
        |bootstrap: String, protocol: &str, mechanism: &str, (name, password): (&str, &str)| {
            let mut config = client(&bootstrap);
            config
                .set("security.protocol", protocol)
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", name)
                .set("sasl.password", password)
                .set(
                    "ssl.ca.location",
                    broker.certificate().display().to_string(),
                )
                .set("message.timeout.ms", "10000");
            config
        };
    let plain = login(broker.sasl(), "sasl_plaintext", "PLAIN", ALICE);
    assert_eq!(send(&plain, "t"), Ok(0));
    let scram = login(broker.tls(), "sasl_ssl", "SCRAM-SHA-256", ALICE);
    assert_eq!(send(&scram, "t"), Ok(1));
    let stranger = login(broker.sasl(), "sasl_plaintext", "SCRAM-SHA-512", STRANGER);
    assert_eq!(send(&stranger, "t"), Err(Code::TopicAuthorizationFailed));
}
