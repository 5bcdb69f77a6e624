//! When does a consumer end? After N records, or idle; and what does it say of lanes that did not go on?

use std::sync::mpsc;
use std::time::Duration;

use logpipe::health::LaneState;
use logpipe::store::{Administration, Filter, Memory};
use logpipe::{Consumer, Cx, Error, Log, Service, Store, memory};

use crate::note::{Note, Note2, Note3, Seen, note};

const IDLE: Duration = Duration::from_secs(30);

fn log(lanes: u32) -> Log {
    Log::new(memory::Memory::with(memory::Settings {
        lanes,
        ..memory::Settings::default()
    }))
}

fn consumer<S: Store>(log: &Log, store: &S) -> Consumer<S> {
    Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on(async |_: Note2, _: &mut Cx<S>| Ok(()))
}

async fn send(log: &Log, notes: &[Note]) {
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(notes).await.unwrap();
}

/// Notes of as many keys.
fn notes(count: i64) -> Vec<Note> {
    (0..count).map(|n| note(&format!("k{n}"), n)).collect()
}

/// Lanes that reach for the last places at the same moment: one gets less than it looked for, and goes on.
#[test]
fn lanes_that_race_for_the_last_places_end_all_the_same() {
    let (done, came) = mpsc::channel();
    // A thread of its own: a lane that never waits could not be ended otherwise.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        for _ in 0..400 {
            let handled = runtime.block_on(async {
                let (log, store) = (log(8), Memory::new());
                send(&log, &notes(800)).await;
                let racing = consumer(&log, &store)
                    .on(async |_: Note, _: &mut Cx<Memory>| {
                        tokio::task::yield_now().await;
                        Ok(())
                    })
                    .stop_after(100);
                let service = Service::new().with(racing);
                tokio::spawn(service.run()).await.unwrap().unwrap().handled
            });
            done.send(handled).unwrap();
        }
    });
    for round in 0..400 {
        let handled = came.recv_timeout(Duration::from_secs(30));
        assert_eq!(handled, Ok(100), "round {round}");
    }
}

/// A record that is held is not settled: its place is for the other lanes.
#[tokio::test(start_paused = true)]
async fn a_held_lane_leaves_its_places_to_the_others() {
    let (log, store, seen) = (log(4), Memory::new(), Seen::default());
    let producer = log.producer("notes").await.unwrap();
    producer.send(&Note3).await.unwrap();
    send(&log, &notes(100)).await;
    let stopping = consumer(&log, &store)
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(&note);
            Ok(())
        })
        .stop_after(10)
        .idle_timeout(IDLE);
    let ended = tokio::time::timeout(4 * IDLE, Service::new().with(stopping).run()).await;
    let outcome = ended.expect("it ends").unwrap();
    assert_eq!((outcome.handled, seen.all().len()), (10, 10));
    assert_eq!(outcome.held.len(), 1);
}

/// Idle means that nothing is in flight, and a parked record on its way back to its handler is.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_redrives_is_not_idle_and_says_what_is_in_the_way() {
    let (log, store, seen) = (log(1), Memory::new(), Seen::default());
    send(&log, &[note("a", 1)]).await;
    let refusing = consumer(&log, &store)
        .on(async |_: Note, _: &mut Cx<Memory>| Err(Error::park("not yet")))
        .idle_timeout(IDLE);
    assert_eq!(Service::new().with(refusing).run().await.unwrap().parked, 1);

    let slow = consumer(&log, &store)
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            tokio::time::sleep(3 * IDLE).await;
            seen.push(&note);
            Ok(())
        })
        .idle_timeout(IDLE)
        .set(|settings| settings.attempt_deadline_ms = 0);
    let service = Service::new().with(slow);
    let monitor = service.monitor();
    let redriving = || monitor.health().consumers.remove(0).redriving;
    let running = tokio::spawn(service.run());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(redriving(), None);
    store.set_down(true);
    store.redrive(&Filter::default()).await.unwrap_err();
    tokio::time::sleep(2 * IDLE).await;
    let state = redriving();
    assert!(matches!(state, Some(LaneState::Waiting(_))), "{state:?}");
    assert!(!monitor.health().is_well());
    store.set_down(false);
    store.redrive(&Filter::default()).await.unwrap();
    tokio::time::sleep(2 * IDLE).await;
    assert_eq!(redriving(), Some(LaneState::Running));
    let outcome = running.await.unwrap().unwrap();
    assert_eq!((outcome.handled, seen.times(1)), (1, 1));
}

/// A consumer whose handler leaves each call in `seen` and fails.
fn failing(log: &Log, store: &Memory, seen: &Seen) -> Consumer<Memory> {
    consumer(log, store).on_with(seen.clone(), async |seen, note: Note, _cx| {
        seen.push(&note);
        Err(Error::msg("no"))
    })
}

/// At a cap there is nothing to do but to look, now and then, whether there is room.
#[tokio::test(start_paused = true)]
async fn a_lane_at_a_cap_is_idle_calls_no_handler_again_and_is_in_the_outcome() {
    let (log, store, seen) = (log(1), Memory::new(), Seen::default());
    send(&log, &notes(3)).await;
    let capped = || {
        failing(&log, &store, &seen).set(|settings| {
            settings.parked_max = 1;
            // What could not be parked is none of them.
            settings.breaker.minimum = 4;
        })
    };
    let running = tokio::spawn(Service::new().with(capped()).run());
    let parked = async || {
        tokio::time::sleep(Duration::from_secs(300)).await;
        let parked = store.parked(&Filter::default(), None, 10).await.unwrap();
        assert_eq!(parked.len(), 1);
        (parked[0].reason.kind.clone(), parked[0].attempts)
    };
    for _ in 0..2 {
        assert_eq!(parked().await, ("Failed".into(), 5));
        assert_eq!([0, 1, 2].map(|number| seen.times(number)), [5; 3]);
        store.drop_parked(&Filter::default()).await.unwrap();
    }
    assert_eq!(parked().await, ("Failed".into(), 5));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());

    // Longer than it takes until the lane looks again.
    send(&log, &notes(1)).await;
    let service = Service::new().with(capped().idle_timeout(IDLE));
    let ended = tokio::time::timeout(4 * IDLE, service.run()).await;
    let outcome = ended.expect("it is idle").unwrap();
    assert_eq!((outcome.handled, outcome.parked), (0, 0));
    let why: Vec<&str> = outcome.held.iter().map(|held| &*held.why).collect();
    assert!(
        matches!(why[..], [why] if why.contains("parked_max")),
        "{why:?}"
    );
}

/// Held is held, though an older record still waits for its retry.
#[tokio::test(start_paused = true)]
async fn a_held_lane_is_named_while_an_older_record_is_in_retry() {
    let (log, store, seen) = (log(1), Memory::new(), Seen::default());
    send(&log, &notes(1)).await;
    let producer = log.producer("notes").await.unwrap();
    producer.send(&Note3).await.unwrap();
    let retrying = failing(&log, &store, &seen)
        .set(|settings| {
            settings.retry.first_delay_ms = 100_000;
            settings.retry.longest_delay_ms = 100_000;
        })
        .idle_timeout(IDLE);
    let service = Service::new().with(retrying);
    let monitor = service.monitor();
    let outcome = service
        .run_until(async {
            tokio::time::sleep(IDLE + IDLE / 2).await;
            let state = monitor.health().consumers.remove(0).lanes.remove(0).state;
            assert!(matches!(state, LaneState::Held(_)), "{state}");
        })
        .await
        .unwrap();
    assert_eq!((outcome.held.len(), seen.times(0)), (1, 1));
}

/// What a handler waits for is not asked for without pause.
#[tokio::test(start_paused = true)]
async fn what_is_down_is_tried_with_growing_pauses() {
    let (log, store, seen) = (log(1), Memory::new(), Seen::default());
    send(&log, &notes(1)).await;
    let waiting = consumer(&log, &store).on_with(seen.clone(), async |seen, note: Note, _cx| {
        seen.push(&note);
        Err(Error::unavailable("the other service is down"))
    });
    let service = Service::new().with(waiting);
    let signal = tokio::time::sleep(Duration::from_secs(60));
    assert_eq!(service.run_until(signal).await.unwrap().handled, 0);
    let calls = seen.times(0);
    assert!((30..100).contains(&calls), "{calls} calls in a minute");
}
