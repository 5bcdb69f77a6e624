//! Is every trouble told in seconds, in words that say what to do, and does work go on by itself where it can?

use std::time::{Duration, Instant};

use logpipe::kafka::Builder;
use logpipe::source::Join;
use logpipe::store::Memory;
use logpipe::{Log, Result};
use logpipe_servers::kafka::{ALICE, Broker, STRANGER, Settings, create_topic, shared};

use crate::support::{
    PATIENCE, Running, Seen, ask, consumer, log, notes, run, send, settings, string, until,
};

/// Within this a person has to know what is wrong.
const SECONDS: Duration = Duration::from_secs(15);

/// For this long a broker that comes back was away.
const AWAY: Duration = Duration::from_secs(30);

/// What permissions are about, by their numbers in the protocol.
const TOPIC: u8 = 2;
const GROUP: u8 = 3;

/// Lets [`STRANGER`] read a topic or group.
fn permit(bootstrap: &str, kind: u8, name: &str) {
    let answer = ask(bootstrap, (30, 1), &permission(kind, name));
    // Throttle time, one result: its code.
    assert_eq!(answer[4..10], [0, 0, 0, 1, 0, 0], "CreateAcls");
}

/// And no longer.
fn withdraw(bootstrap: &str, kind: u8, name: &str) {
    let answer = ask(bootstrap, (31, 1), &permission(kind, name));
    assert_eq!(answer[4..10], [0, 0, 0, 1, 0, 0], "DeleteAcls");
}

/// One permission, as version 1 of CreateAcls writes it and that of DeleteAcls finds it.
fn permission(kind: u8, name: &str) -> Vec<u8> {
    let one = 1_i32.to_be_bytes().to_vec();
    let user = string(&format!("User:{}", STRANGER.0));
    // A name taken literally; from everywhere; Read, Allow.
    let parts = [
        one,
        vec![kind],
        string(name),
        vec![3],
        user,
        string("*"),
        vec![3, 3],
    ];
    parts.concat()
}

fn login(bootstrap: String, protocol: &str, (name, password): (&str, &str)) -> Builder {
    settings(&bootstrap)
        .client("security.protocol", protocol)
        .client("sasl.mechanism", "SCRAM-SHA-512")
        .client("sasl.username", name)
        .client("sasl.password", password)
}

fn join(topic: &str) -> Join {
    Join {
        group: topic.into(),
        topics: vec![topic.into()],
        instance_id: None,
    }
}

/// Both ends of a topic fail, soon, and each says all of these.
async fn refused(log: &Log, topic: &str, says: &[&str]) {
    let backend = log.backend();
    let reading = async { backend.join(join(topic)).await.map(drop) };
    let writing = async { backend.sink(topic).await.map(drop) };
    let check = |what: &str, failed: Result| {
        let said = failed.expect_err(what).to_string();
        for says in says {
            assert!(said.contains(says), "{what}: {said}");
        }
        assert!(!said.contains("secret"), "{what}: {said}");
    };
    let began = Instant::now();
    check("reading", reading.await);
    check("writing", writing.await);
    assert!(began.elapsed() < SECONDS, "it took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_listens() {
    // Bound and let go of: nobody listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let says = [&*address, "Connection refused", "check the address"];
    refused(&log(&address), "t", &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_is_named_and_waited_for() {
    let broker = Broker::start().unwrap();
    let (log, seen) = (log(&broker.bootstrap()), Seen::default());
    let missing = log.backend().sink("late").await.map(drop).unwrap_err();
    let said = missing.to_string();
    assert!(said.contains("topic late"), "{said}");
    assert!(said.contains("kafka-topics.sh --create"), "{said}");
    let running = Running::start(consumer(&log, "late", Memory::new(), &seen));
    create_topic(&broker.bootstrap(), "late", 2).await.unwrap();
    send(&log, "late", 0..3).await;
    until("what came late is handled", || seen.all().len() == 3).await;
    assert!(running.stop().await.held.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_are_refused_and_one_over_tls() {
    let broker = Broker::start_with(&Settings {
        secure: true,
        ..Settings::default()
    })
    .unwrap();
    create_topic(&broker.bootstrap(), "t", 1).await.unwrap();
    let open = |builder: Builder| Log::new(builder.build().unwrap());

    let wrong = open(login(
        broker.sasl(),
        "sasl_plaintext",
        (ALICE.0, "wrong-secret"),
    ));
    refused(&wrong, "t", &["uthentication", "`sasl.password`"]).await;

    let stranger = open(login(broker.sasl(), "sasl_plaintext", STRANGER));
    refused(&stranger, "t", &["topic t", "ACLs"]).await;

    let untrusted = open(login(broker.tls(), "sasl_ssl", ALICE));
    refused(&untrusted, "t", &["certificate", "`ssl.ca.location`"]).await;

    let certificate = broker.certificate().display().to_string();
    let trusted = login(broker.tls(), "sasl_ssl", ALICE).client("ssl.ca.location", certificate);
    let (log, seen) = (open(trusted), Seen::default());
    send(&log, "t", 0..5).await;
    assert_eq!(
        run(consumer(&log, "t", Memory::new(), &seen)).await.handled,
        5
    );
}

/// What is no longer permitted is held and named; given back, work goes on where it stood.
#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_withdrawn_and_given_back() {
    let broker = Broker::start_with(&Settings {
        secure: true,
        ..Settings::default()
    })
    .unwrap();
    let bootstrap = &broker.bootstrap();
    create_topic(bootstrap, "t", 1).await.unwrap();
    let writing = log(bootstrap);
    let stranger = login(broker.sasl(), "sasl_plaintext", STRANGER);
    let (reading, seen) = (Log::new(stranger.build().unwrap()), Seen::default());
    let lanes = async || reading.backend().lanes("t").await.is_ok();
    let deadline = Instant::now() + PATIENCE;

    permit(bootstrap, TOPIC, "t");
    while !lanes().await {
        assert!(Instant::now() < deadline, "the permission is not seen");
    }
    let refused = reading.backend().join(join("t")).await.map(drop);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("group t"), "{said}");
    assert!(said.contains("a consumer group needs Read"), "{said}");

    permit(bootstrap, GROUP, "t");
    while reading.backend().join(join("t")).await.is_err() {
        assert!(Instant::now() < deadline, "the permission is not seen");
    }
    send(&writing, "t", 0..3).await;
    let running = Running::start(consumer(&reading, "t", Memory::new(), &seen));
    until("the first are handled", || seen.all().len() == 3).await;

    withdraw(bootstrap, TOPIC, "t");
    let withdrawn = Instant::now();
    until("the lane is held", || running.why().contains("Denied")).await;
    assert!(withdrawn.elapsed() < SECONDS, "{:?}", withdrawn.elapsed());
    send(&writing, "t", 3..5).await;

    permit(bootstrap, TOPIC, "t");
    until("work goes on", || seen.all().len() == 5).await;
    running.idle().await;
    assert_eq!(seen.all(), (0..5).collect::<Vec<_>>());
    assert!(running.stop().await.held.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_for_longer_than_a_session() {
    let mut broker = Broker::start().unwrap();
    let (log, seen) = (log(&broker.bootstrap()), Seen::default());
    create_topic(&broker.bootstrap(), "t", 1).await.unwrap();
    send(&log, "t", 0..5).await;
    let idle = consumer(&log, "t", Memory::new(), &seen).idle_timeout(AWAY / 2);
    let running = Running::start(idle);
    until("the first are handled", || seen.all().len() == 5).await;

    let producer = log.producer("t").await.unwrap();
    broker.stop().unwrap();
    // Sent while nobody listens: written once somebody does.
    let sending = tokio::spawn(async move { producer.send_all(&notes(5..10)).await.is_ok() });
    let stopped = Instant::now();
    // The lane waits, or is lost already: the session is one of six seconds. First it says that a connection ended, then
    // that there is none to be had.
    until("health tells", || {
        let (is_well, why) = (running.monitor.health().is_well(), running.why());
        !is_well && (why.is_empty() || why.contains("Connection refused"))
    })
    .await;
    assert!(stopped.elapsed() < SECONDS, "{:?}", stopped.elapsed());
    refused(&log, "t", &["Connection refused", "check the address"]).await;
    tokio::time::sleep(AWAY.saturating_sub(stopped.elapsed())).await;
    let health = running.monitor.health();
    assert!(!health.is_well(), "{health:?}");
    assert!(
        running.is_on(),
        "it took the lost lanes for having nothing to do"
    );
    broker.up().unwrap();
    let sent = tokio::time::timeout(PATIENCE, sending).await;
    assert!(sent.expect("sending ends").unwrap(), "it was not written");
    until("work goes on", || seen.all().len() == 10).await;
    running.idle().await;
    assert_eq!(seen.all(), (0..10).collect::<Vec<_>>());
    assert!(running.stop().await.held.is_empty());
}

/// A member with a name comes back to its lanes without anybody else having had them.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_member_that_dies_comes_back_at_once() {
    let broker = Broker::start().unwrap();
    let long = settings(&broker.bootstrap()).session_timeout(Duration::from_secs(60));
    let (log, seen) = (Log::new(long.build().unwrap()), Seen::default());
    create_topic(&broker.bootstrap(), "t", 2).await.unwrap();
    send(&log, "t", 0..3).await;
    let store = Memory::new();
    let named = || consumer(&log, "t", store.clone(), &seen).instance_id("one");
    let dying = Running::start(named());
    until("the first are handled", || seen.all().len() == 3).await;
    dying.idle().await;
    dying.kill().await;
    send(&log, "t", 3..5).await;
    let began = Instant::now();
    assert_eq!(run(named()).await.handled, 2);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it waited for the session to end: {:?}",
        began.elapsed()
    );
}

/// Two processes were given one name by mistake: the group knows the one that came last, and the other one ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_two_members_have() {
    let (bootstrap, topic) = (shared(), format!("twins-{}", std::process::id()));
    create_topic(&bootstrap, &topic, 2).await.unwrap();
    let (log, seen, store) = (log(&bootstrap), Seen::default(), Memory::new());
    send(&log, &topic, 0..3).await;
    let twin = || consumer(&log, &topic, store.clone(), &seen).instance_id("one");
    let first = Running::start(twin());
    until("the first are handled", || seen.all().len() == 3).await;
    first.idle().await;
    let second = Running::start(twin());
    let failed = first.failed().await;
    assert!(failed.is_fenced(), "{failed}");
    let said = failed.to_string();
    assert!(
        said.contains("another process has this `instance_id`"),
        "{said}"
    );
    send(&log, &topic, 3..5).await;
    until("the second one goes on", || seen.all().len() == 5).await;
    assert!(second.stop().await.held.is_empty());
    assert_eq!(seen.all(), (0..5).collect::<Vec<_>>());
}
