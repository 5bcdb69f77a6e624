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
