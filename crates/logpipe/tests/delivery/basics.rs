//! Routing, policies, bounds, and what a service refuses to start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logpipe::config::Config;
use logpipe::policy::Policy;
use logpipe::sink::NewRecord;
use logpipe::store::{Administration, Filter, Guarantee, Memory};
use logpipe::{Broker, Consumer, Cx, Error, Log, Outcome, Rejected, Service, Store, memory};
use tokio::sync::Semaphore;

use crate::note::{Note, Note2, Note3, Seen, Stranger, note};

const IDLE: Duration = Duration::from_secs(30);

/// A consumer of both versions that leaves in `seen` what version 1 brings.
fn consumer<S: Store>(log: &Log, store: S, seen: &Seen) -> Consumer<S> {
    Consumer::with_store(log.source("notes"), store)
        .group("test")
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(&note);
            Ok(())
        })
        .on(async |_: Note2, _: &mut Cx<S>| Ok(()))
        .idle_timeout(IDLE)
}

async fn run<S: Store>(consumer: Consumer<S>) -> Outcome {
    Service::new().with(consumer).run().await.unwrap()
}

async fn send(log: &Log, notes: &[Note]) {
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(notes).await.unwrap();
}

async fn parked(store: &Memory) -> Vec<String> {
    let parked = store.parked(&Filter::default(), None, 100).await.unwrap();
    parked
        .into_iter()
        .map(|parked| parked.reason.kind)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_message_is_handled_once_and_keys_stay_in_order() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    let notes: Vec<Note> = (0..2_000)
        .map(|n| note(&format!("k{}", n % 7), n))
        .collect();
    send(&log, &notes).await;
    let outcome = run(consumer(&log, store.clone(), &seen)).await;
    assert_eq!(outcome.handled, 2_000);
    for key in 0..7 {
        assert!(seen.of(&format!("k{key}")).is_sorted());
    }
    // The second run finds nothing to do, and what is new.
    send(&log, &[note("k1", 2_000)]).await;
    assert_eq!(run(consumer(&log, store, &seen)).await.handled, 1);
    assert_eq!(seen.all().len(), 2_001);
}

#[tokio::test(start_paused = true)]
async fn positions_in_the_log_work_alike() {
    let (log, seen) = (Log::memory(), Seen::default());
    send(&log, &[note("a", 1), note("b", 2)]).await;
    let once = || consumer(&log, Broker, &seen).dead_letter("dead");
    assert_eq!(run(once()).await.handled, 2);
    send(&log, &[note("a", 3)]).await;
    assert_eq!(run(once()).await.handled, 1);
    assert_eq!(seen.of("a"), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn each_class_meets_its_policy() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    let producer = log.producer("notes").await.unwrap();
    producer.send(&Stranger).await.unwrap();
    producer.send(&note("a", 1)).await.unwrap();
    let outcome = run(consumer(&log, store.clone(), &seen)).await;
    assert_eq!(
        (outcome.handled, outcome.parked, outcome.held.len()),
        (1, 1, 0)
    );
    assert_eq!(parked(&store).await, ["UnknownType"]);

    // A version from the future holds its lane: the log still has the record after the deploy.
    producer.send(&Note3).await.unwrap();
    let outcome = run(consumer(&log, store.clone(), &seen)).await;
    assert_eq!(outcome.held.len(), 1);
    assert!(
        outcome.held[0].why.contains("unknown version 3 of note"),
        "{:?}",
        outcome.held
    );
    assert_eq!(outcome.parked, 0);

    // What is to be skipped is skipped; what is to stop, stops.
    let stopping = consumer(&log, store.clone(), &seen).on_unknown_version(Policy::Stop);
    let error = Service::new().with(stopping).run().await.unwrap_err();
    assert!(
        error.to_string().contains("unknown version 3 of note"),
        "{error}"
    );
    let rejected = error.downcast_ref::<Rejected>();
    assert!(
        matches!(rejected, Some(Rejected::UnknownVersion { version: 3, .. })),
        "{rejected:?}"
    );
    let skipping = consumer(&log, store.clone(), &seen).on_unknown_version(Policy::Skip);
    assert_eq!(run(skipping).await.skipped, 1);
    assert_eq!(run(consumer(&log, store, &seen)).await, Outcome::default());
}

/// A record is routed by its first bytes: what is broken behind them has to be found all the same.
#[tokio::test(start_paused = true)]
async fn a_good_head_does_not_hide_what_is_broken_behind_it() {
    let head = br#"json:{"type":"note","version":1,"message":"#;
    let rests: [(&[u8], &str); 5] = [
        (b"", "Malformed"),
        (br#"{"id":"a","number":1}"#, "Malformed"),
        (b"{\"id\":\"\xff\",\"number\":1}}", "Malformed"),
        (
            b"{\"id\":\"a\",\"number\":1},\"producer\":\"\xff\"}",
            "Malformed",
        ),
        (
            br#"{"id":"a","number":1},"type":"stranger"}"#,
            "UnknownType",
        ),
    ];
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    let sink = log.backend().sink("notes").await.unwrap();
    let records = rests.iter().map(|(rest, _)| NewRecord {
        key: None,
        headers: Vec::new(),
        value: Some([head, *rest].concat().into()),
        timestamp: None,
    });
    for record in records {
        sink.send(vec![record]).await.pop().unwrap().unwrap();
    }
    let outcome = run(consumer(&log, store.clone(), &seen)).await;
    assert_eq!((outcome.handled, outcome.parked), (0, 5));
    let mut kinds = parked(&store).await;
    kinds.sort_unstable();
    let mut expected = rests.map(|(_, kind)| kind);
    expected.sort_unstable();
    assert_eq!(kinds, expected);
    assert!(seen.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failing_record_is_retried_then_parked_and_blocks_its_key_alone() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    send(
        &log,
        &[
            note("bad", 0),
            note("good", 1),
            note("bad", 2),
            note("good", 3),
        ],
    )
    .await;
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(&note);
            match &*note.id {
                "bad" => Err(Error::msg("no")),
                _ => Ok(()),
            }
        })
        .on(async |_: Note2, _| Ok(()))
        .idle_timeout(IDLE);
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled, outcome.parked), (2, 2));
    assert_eq!(seen.times(0), 5, "the default number of attempts");
    assert_eq!(seen.times(2), 0, "it queues behind the record of its key");
    assert_eq!(parked(&store).await, ["Failed", "Queued"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_deadline_count_as_attempts() {
    let (log, store) = (Log::memory(), Memory::new());
    send(
        &log,
        &[note("panics", 0), note("hangs", 1), note("works", 2)],
    )
    .await;
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on(async |note: Note, _: &mut Cx<Memory>| match &*note.id {
            "panics" => panic!("as it must"),
            "hangs" => std::future::pending().await,
            _ => Ok(()),
        })
        .on(async |_: Note2, _| Ok(()))
        .idle_timeout(IDLE);
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled, outcome.parked), (1, 2));
    let mut kinds = parked(&store).await;
    kinds.sort();
    assert_eq!(kinds, ["Deadline", "Panicked"]);
}

#[tokio::test(start_paused = true)]
async fn it_stops_after_n_and_begins_no_other() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    let notes: Vec<Note> = (0..100).map(|n| note(&format!("k{n}"), n)).collect();
    send(&log, &notes).await;
    let outcome = run(consumer(&log, store.clone(), &seen).stop_after(42)).await;
    assert_eq!(outcome.handled, 42);
    assert_eq!(seen.all().len(), 42);
    let _ = run(consumer(&log, store, &seen)).await;
    assert_eq!(seen.all().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_is_down_uses_no_attempt() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    send(&log, &[note("a", 0), note("a", 1)]).await;
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(seen.clone(), async |seen, note: Note, cx| {
            seen.push(&note);
            assert_eq!(cx.attempt(), 1);
            match seen.times(0) {
                0..50 => Err(Error::unavailable("the other service is down")),
                _ => Ok(()),
            }
        })
        .on(async |_: Note2, _| Ok(()))
        .idle_timeout(IDLE);
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled, outcome.parked), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_work_does_not_start() {
    let log = Log::memory();
    let seen = Seen::default();
    let complete = || consumer(&log, Memory::new(), &seen);
    let bare = || Consumer::with_store(log.source("notes"), Memory::new()).group("test");
    let (other, store) = (Log::memory(), Memory::new());
    let complete_in = |store: &Memory| consumer(&log, store.clone(), &seen);
    let elsewhere = |store: &Memory| consumer(&other, store.clone(), &seen);
    let parking = |topic: &str, dead_letter: &str| {
        let reading = Consumer::with_store(log.source(topic), Memory::new());
        reading.group(topic).dead_letter(dead_letter)
    };
    let note_only = bare().on(async |_: Note, _| Ok(()));
    let table = [
        (
            Service::new().with(note_only),
            "versions that nobody handles: v2",
        ),
        (
            Service::new().with(complete().on(async |_: Note, _| Ok(()))),
            "handled twice",
        ),
        (
            Service::new().with(complete().ignore("note")),
            "handled and ignored",
        ),
        (
            Service::new().with(complete()).with(complete()),
            "two consumers",
        ),
        (
            Service::new().with(complete().require(Guarantee::EffectsOnce)),
            "requires",
        ),
        (
            Service::new().with(complete().dead_letter("notes")),
            "would read what it parks, for ever: `notes`",
        ),
        (
            Service::new()
                .with(parking("notes", "dead"))
                .with(parking("dead", "deader"))
                .with(parking("deader", "notes")),
            "on `dead` and `deader` and `notes` for ever",
        ),
        (
            Service::new()
                .with(elsewhere(&store))
                .with(complete_in(&store)),
            "in the same place of one store",
        ),
        (
            Service::new().with(consumer(&log, Broker, &seen)),
            "nowhere to: add `.dead_letter(\"topic\")`",
        ),
        (
            Service::new().with(Consumer::with_store(log.source("notes"), Memory::new())),
            "has no group",
        ),
    ];
    for (service, words) in table {
        let error = service.run().await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// In whatever order a program configures and sets.
#[tokio::test(start_paused = true)]
async fn who_operates_a_consumer_has_the_last_word_and_code_the_one_before() {
    for (said, counts) in [
        ("LOGPIPE_CONSUMER_RUN", (0, 2)),
        ("LOGPIPE_CONSUMER_ON_UNKNOWN_TYPE", (2, 0)),
    ] {
        let value = if counts.0 > 0 { "park" } else { "3" };
        let loaded = Config::loader()
            .environment([(said, value)])
            .load()
            .unwrap();
        let config = &loaded.config.consumer;
        let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
        let producer = log.producer("notes").await.unwrap();
        let mut came = (0, 0);
        for is_first in [true, false] {
            producer.send(&Stranger).await.unwrap();
            let bare = consumer(&log, store.clone(), &seen);
            let configured = match is_first {
                true => bare.configure(config).on_unknown_type(Policy::Skip),
                false => bare.on_unknown_type(Policy::Skip).configure(config),
            };
            let outcome = run(configured).await;
            came = (came.0 + outcome.parked, came.1 + outcome.skipped);
        }
        assert_eq!(came, counts, "{said}");
    }
}

/// Two topics of one name on two logs are two topics: for a group, and for what is parked.
#[tokio::test(start_paused = true)]
async fn what_is_on_another_log_is_another_topic() {
    let (log, other, seen) = (Log::memory(), Log::memory(), Seen::default());
    for (log, number) in [(&log, 1), (&other, 2)] {
        send(log, &[note("a", number)]).await;
        let producer = log.producer("notes").await.unwrap();
        producer.send(&Stranger).await.unwrap();
    }
    // What the second parks comes to the first, which parks it on a topic that nobody reads.
    let service = Service::new()
        .with(consumer(&log, Broker, &seen).dead_letter("dead"))
        .with(consumer(&other, Broker, &seen).dead_letter_on(&log, "notes"));
    let outcome = service.run().await.unwrap();
    assert_eq!((outcome.handled, outcome.parked), (2, 3));
    let records = async |log: &Log, topic: &str| {
        let lanes = log.backend().lanes(topic).await.unwrap();
        lanes.iter().filter_map(|lane| lane.count).sum::<u64>()
    };
    assert_eq!(records(&log, "notes").await, 3);
    assert_eq!(records(&log, "dead").await, 2);
    assert_eq!(other.backend().topics().await.unwrap(), ["notes"]);
}

/// Eight lanes wait with more than fits, one key is stuck: what they hold together stays within the budget, and all of it
/// is handled in the end.
#[tokio::test(start_paused = true)]
async fn lanes_hold_no_more_than_the_budget_together() {
    const BUDGET: usize = 1 << 20;
    let log = Log::new(memory::Memory::with(memory::Settings {
        lanes: 8,
        ..memory::Settings::default()
    }));
    let (store, seen) = (Memory::new(), Seen::default());
    let padding = "x".repeat(10_000);
    let notes: Vec<Note> = (0..800)
        .map(|n| note(&format!("k{}{padding}", n % 50), n))
        .collect();
    send(&log, &notes).await;
    let open = Arc::new((AtomicBool::new(false), Semaphore::new(0)));
    let consumer = Consumer::with_store(log.source("notes"), store)
        .group("test")
        .on_with(
            (seen.clone(), open.clone()),
            async |(seen, open), note: Note, _cx| {
                if note.id.starts_with("k7x") && !open.0.load(Ordering::Relaxed) {
                    return Err(Error::msg("not yet"));
                }
                let _ = open.1.acquire().await?;
                seen.push(&note);
                Ok(())
            },
        )
        .on(async |_: Note2, _| Ok(()))
        .set(|settings| {
            settings.attempt_deadline_ms = 0;
            settings.retry.attempts = u32::MAX;
            settings.retry.time_ms = u64::MAX;
            settings.window = 400;
        })
        .stop_after(800);
    let service = Service::new().with(consumer).buffer_bytes(BUDGET);
    let monitor = service.monitor();
    let running = tokio::spawn(service.run());
    let held = || {
        let lanes = monitor.health().consumers.remove(0).lanes;
        lanes.iter().map(|lane| lane.buffered_bytes).sum::<usize>()
    };
    // Nothing is handled, then some are, then all but the stuck key.
    for permits in [0, 5, 100, 100, Semaphore::MAX_PERMITS / 2] {
        open.1.add_permits(permits);
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(held() <= BUDGET, "{} bytes", held());
        }
        assert!(held() > 0, "the stuck key's records wait");
    }
    open.0.store(true, Ordering::Relaxed);
    let outcome = running.await.unwrap().unwrap();
    assert_eq!((outcome.handled, held()), (800, 0));
    for key in 0..50 {
        assert!(seen.of(&format!("k{key}{padding}")).is_sorted());
    }
}
