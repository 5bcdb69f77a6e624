//! What loses messages elsewhere, and what doubles them: each a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use logpipe::envelope::seal;
use logpipe::health::LaneState;
use logpipe::policy::OnGap;
use logpipe::record::LaneId;
use logpipe::sink::NewRecord;
use logpipe::source::Before;
use logpipe::store::{self, Administration, Filter};
use logpipe::testing::TestPipe;
use logpipe::{Broker, Consumer, Cx, Error, Format, Log, Policy, Service, Store, memory};

use crate::note::{Note, Note2, Note3, Seen, note};

const IDLE: Duration = Duration::from_secs(30);

fn consumer<S: Store>(log: &Log, store: S, seen: &Seen) -> Consumer<S> {
    Consumer::with_store(log.source("notes"), store)
        .group("test")
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(&note);
            Ok(())
        })
        .on(async |_: Note2, _: &mut Cx<S>| Ok(()))
}

async fn send(log: &Log, notes: &[Note]) {
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(notes).await.unwrap();
}

/// The store is down for a minute: nothing is parked, no attempt is used, and it goes on soon after.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_nobodys_fault() {
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    send(&log, &[note("a", 1), note("b", 2)]).await;
    store.set_down(true);
    let service = Service::new().with(consumer(&log, store.clone(), &seen).stop_after(2));
    let monitor = service.monitor();
    let running = tokio::spawn(service.run());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let waiting = |state: &LaneState| matches!(state, LaneState::Waiting(_));
    let health = monitor.health();
    assert!(!health.is_well());
    assert!(
        health.consumers[0]
            .lanes
            .iter()
            .all(|lane| waiting(&lane.state))
    );
    store.set_down(false);
    let up = tokio::time::Instant::now();
    let outcome = running.await.unwrap().unwrap();
    assert!(up.elapsed() < Duration::from_secs(5), "{:?}", up.elapsed());
    assert_eq!((outcome.handled, outcome.parked), (2, 0));
}

/// One unanswered commit is looked up at once; where no commit is ever answered, looking faster helps nobody.
#[tokio::test(start_paused = true)]
async fn commits_that_nobody_answers_for_a_minute_are_not_tried_without_pause() {
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    let is_lost = Arc::new(AtomicBool::new(true));
    let losing = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(
            (seen.clone(), store, is_lost.clone()),
            async |(seen, store, is_lost): &(Seen, store::Memory, Arc<AtomicBool>),
                   note: Note,
                   cx| {
                assert_eq!(cx.attempt(), 1);
                seen.push(&note);
                // Without a pause time would stand still.
                if is_lost.load(Ordering::Relaxed) && seen.times(1) < 1_000 {
                    store.fail_next_commit(store::Fault::Lost);
                }
                Ok(())
            },
        )
        .on(async |_: Note2, _: &mut Cx<store::Memory>| Ok(()));
    send(&log, &[note("a", 1)]).await;
    let running = tokio::spawn(Service::new().with(losing.stop_after(1)).run());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = seen.times(1);
    assert!((30..100).contains(&tries), "{tries} tries in a minute");
    is_lost.store(false, Ordering::Relaxed);
    let answered = tokio::time::Instant::now();
    let outcome = running.await.unwrap().unwrap();
    assert!(answered.elapsed() < Duration::from_secs(5));
    assert_eq!((outcome.handled, outcome.parked), (1, 0));
}

/// A commit whose answer is lost was written, or was not: the lane looks before it goes on.
#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_answers_is_looked_up() {
    for (fault, calls) in [
        (store::Fault::AnswerLost, 1),
        (store::Fault::Lost, 2),
        (store::Fault::Unavailable, 2),
    ] {
        let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
        let running = {
            let service =
                Service::new().with(consumer(&log, store.clone(), &seen).idle_timeout(IDLE));
            tokio::spawn(service.run())
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        store.fail_next_commit(fault);
        send(&log, &[note("a", 1)]).await;
        let outcome = running.await.unwrap().unwrap();
        assert_eq!(outcome.parked, 0);
        assert_eq!(seen.times(1), calls, "{fault:?}");
        // And nothing is left to do.
        let again = consumer(&log, store, &seen).idle_timeout(IDLE);
        let outcome = Service::new().with(again).run().await.unwrap();
        assert_eq!(outcome.handled, 0, "{fault:?}");
    }
}

/// A lane that was taken away in the middle of a record is handled by its next owner, and the old one writes nothing.
#[tokio::test(start_paused = true)]
async fn a_lost_lane_writes_nothing() {
    let backend = memory::Memory::new();
    let (log, store, seen) = (
        Log::new(backend.clone()),
        store::Memory::new(),
        Seen::default(),
    );
    send(&log, &[note("a", 1)]).await;
    let slow = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(&note);
            if seen.times(1) == 1 {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
            Ok(())
        })
        .on(async |_: Note2, _| Ok(()))
        .idle_timeout(IDLE);
    let running = tokio::spawn(Service::new().with(slow).run());
    tokio::time::sleep(Duration::from_secs(5)).await;
    for extent in log.backend().lanes("notes").await.unwrap() {
        backend.expire("test", &extent.lane);
    }
    let outcome = running.await.unwrap().unwrap();
    assert_eq!(outcome.handled, 1);
    assert_eq!(seen.times(1), 2, "the first was dropped");
}

/// Shutdown settles what is in flight and leaves nothing behind that was handled.
#[tokio::test(start_paused = true)]
async fn a_signal_drains() {
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    send(&log, &[note("a", 1)]).await;
    let slow = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            tokio::time::sleep(Duration::from_secs(3)).await;
            seen.push(&note);
            Ok(())
        })
        .on(async |_: Note2, _| Ok(()));
    let signal = tokio::time::sleep(Duration::from_secs(1));
    let outcome = Service::new().with(slow).run_until(signal).await.unwrap();
    assert_eq!((outcome.handled, seen.times(1)), (1, 1));
    let again = consumer(&log, store, &seen).idle_timeout(IDLE);
    assert_eq!(Service::new().with(again).run().await.unwrap().handled, 0);
}

/// A log that keeps nothing but a position: a record that waits for its retry is settled before the lane is left, or those
/// behind it would be handled again. What has not begun is left to the next owner.
#[tokio::test(start_paused = true)]
async fn a_signal_waits_for_retries_where_only_a_position_is_kept() {
    let backend = memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    });
    let (log, seen) = (Log::new(backend), Seen::default());
    let consumer = |seen: &Seen| {
        Consumer::new(log.source("notes"))
            .group("test")
            .dead_letter("dead")
            .set(|settings| {
                settings.retry.first_delay_ms = 5_000;
                settings.retry.longest_delay_ms = 5_000;
                settings.run = 1;
            })
            .on_with(seen.clone(), async |seen, note: Note, cx: &mut Cx| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if note.number == 1 && cx.attempt() == 1 {
                    return Err(Error::msg("once"));
                }
                seen.push(&note);
                Ok(())
            })
            .on(async |_: Note2, _: &mut Cx| Ok(()))
    };
    let notes: Vec<Note> = (1..=9)
        .map(|number| note(["a", "b", "c"][number as usize % 3], number))
        .collect();
    send(&log, &notes).await;
    // The first has failed, the second is settled, the third is being handled.
    let signal = tokio::time::sleep(Duration::from_millis(2_500));
    let service = Service::new().with(consumer(&seen));
    let first = service.run_until(signal).await.unwrap();
    assert_eq!(
        first.handled, 3,
        "the retry, and what was handled behind it"
    );
    let service = Service::new().with(consumer(&seen).idle_timeout(IDLE));
    let second = service.run().await.unwrap();
    assert_eq!(second.handled, 6);
    assert!((1..=9).all(|number| seen.times(number) == 1));
}

/// Retention overtook the consumer, the topic was made again: a named incident, never a silent new start.
#[tokio::test(start_paused = true)]
async fn a_gap_is_an_incident() {
    let backend = memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    });
    let (log, seen) = (Log::new(backend.clone()), Seen::default());
    let store = store::Memory::new();
    let run = async |on_gap| {
        let consumer = consumer(&log, store.clone(), &seen)
            .on_gap(on_gap)
            .idle_timeout(IDLE);
        Service::new().with(consumer).run().await
    };
    send(&log, &[note("a", 1)]).await;
    assert_eq!(run(OnGap::Hold).await.unwrap().handled, 1);

    send(&log, &[note("a", 2), note("a", 3), note("a", 4)]).await;
    let before = Before::Position(3.into());
    log.backend().trim("notes", &before).await.unwrap();
    let outcome = run(OnGap::Hold).await.unwrap();
    assert!(
        outcome.held[0].why.contains("Expired"),
        "{:?}",
        outcome.held
    );
    assert!(run(OnGap::Stop).await.is_err());
    assert_eq!(run(OnGap::Earliest).await.unwrap().handled, 1);
    assert_eq!(seen.of("a"), [1, 4]);

    backend.delete("notes");
    send(&log, &[note("a", 5)]).await;
    let outcome = run(OnGap::Hold).await.unwrap();
    assert!(
        outcome.held[0].why.contains("Recreated"),
        "{:?}",
        outcome.held
    );
    assert_eq!(run(OnGap::Earliest).await.unwrap().handled, 1);
    assert_eq!(seen.of("a"), [1, 4, 5]);
}

/// Records above the cursor are settled, and the log loses them while nobody runs: those that take their positions are others.
#[tokio::test(start_paused = true)]
async fn a_lost_tail_is_an_incident_though_the_cursor_is_below_it() {
    let backend = memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    });
    let (log, seen) = (Log::new(backend.clone()), Seen::default());
    let store = store::Memory::new();
    let consumer = |on_gap, is_cured| {
        let handler = async |(seen, is_cured): &(Seen, bool), note: Note, _: &mut Cx<_>| {
            if note.number == 0 && !is_cured {
                return Err(Error::msg("not yet"));
            }
            seen.push(&note);
            Ok(())
        };
        Consumer::with_store(log.source("notes"), store.clone())
            .group("test")
            .on_with((seen.clone(), is_cured), handler)
            .on(async |_: Note2, _: &mut Cx<store::Memory>| Ok(()))
            .on_gap(on_gap)
            .set(|settings| settings.retry.first_delay_ms = 3_600_000)
    };
    let notes: Vec<Note> = (0..4)
        .map(|number| note(&format!("k{number}"), number))
        .collect();
    send(&log, &notes).await;
    let stop = async {
        while seen.all().len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let first = Service::new().with(consumer(OnGap::Hold, false));
    assert_eq!(first.run_until(stop).await.unwrap().handled, 3);
    assert_eq!(store.lanes(None).await.unwrap()[0].settled, 3);

    let lane = LaneId::new("notes", "0");
    backend.truncate(&lane, &1.into()).unwrap();
    let run = async |on_gap| {
        let consumer = consumer(on_gap, true).idle_timeout(IDLE);
        Service::new().with(consumer).run().await.unwrap()
    };
    let held = run(OnGap::Hold).await.held;
    assert!(held[0].why.contains("Truncated"), "{held:?}");
    assert_eq!(run(OnGap::Earliest).await.handled, 1);
    let others: Vec<Note> = (10..15).map(|number| note("new", number)).collect();
    send(&log, &others).await;
    assert_eq!(run(OnGap::Hold).await.handled, 5);
    assert_eq!(seen.of("new"), [10, 11, 12, 13, 14]);
}

/// django-logpipe writes an empty key where it has none: such a record waits for no other, and none queues behind it.
#[tokio::test(start_paused = true)]
async fn an_empty_key_orders_nothing() {
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    let sink = log.backend().sink("notes").await.unwrap();
    let record = |number: i64| NewRecord {
        key: Some(Bytes::new()),
        headers: Vec::new(),
        value: Some(seal(Format::Json, &note("", number), "").unwrap().into()),
        timestamp: None,
    };
    for sent in sink.send((1..=5).map(record).collect()).await {
        sent.unwrap();
    }
    let handler = async |seen: &Seen, note: Note, _: &mut Cx<_>| match note.number {
        1 => Err(Error::park("a bad one")),
        2 => Err(Error::msg("for an hour")),
        _ => {
            seen.push(&note);
            Ok(())
        }
    };
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(seen.clone(), handler)
        .on(async |_: Note2, _: &mut Cx<store::Memory>| Ok(()))
        .set(|settings| settings.retry.attempts = 2)
        .idle_timeout(IDLE);
    let outcome = Service::new().with(consumer).run().await.unwrap();
    assert_eq!((outcome.handled, outcome.parked), (3, 2));
    let parked = store.parked(&Filter::default(), None, 9).await.unwrap();
    assert!(
        parked
            .iter()
            .all(|row| !row.blocks_key && row.reason.kind != "Queued")
    );
    assert_eq!(seen.of(""), [3, 4, 5]);
}

/// What the code parks in so many words is parked, whatever the policy of failures says.
#[tokio::test(start_paused = true)]
async fn park_is_park() {
    for policy in [Policy::Skip, Policy::Hold, Policy::Stop] {
        let (log, store) = (Log::memory(), store::Memory::new());
        send(&log, &[note("a", 1), note("b", 2), note("c", 3)]).await;
        let handler = async |note: Note, _: &mut Cx<store::Memory>| match note.number {
            1 => Err(Error::park("by hand")),
            2 => Err(Error::permanent("no use")),
            _ => Ok(()),
        };
        let consumer = Consumer::with_store(log.source("notes"), store.clone())
            .group("test")
            .on(handler)
            .on(async |_: Note2, _: &mut Cx<store::Memory>| Ok(()))
            .on_failed(policy)
            .idle_timeout(IDLE);
        let outcome = Service::new().with(consumer).run().await.unwrap();
        assert_eq!((outcome.handled, outcome.parked), (1, 2), "{policy:?}");
        let parked = store.parked(&Filter::default(), None, 9).await.unwrap();
        assert!(parked.iter().all(|row| row.reason.kind == "Refused"));
    }
}

/// A topic that goes away under a running consumer holds its lanes; so it does not end as if all were well.
#[tokio::test(start_paused = true)]
async fn a_topic_that_goes_away_holds() {
    let backend = memory::Memory::new();
    let (log, store, seen) = (
        Log::new(backend.clone()),
        store::Memory::new(),
        Seen::default(),
    );
    send(&log, &[note("a", 1)]).await;
    let consumer = consumer(&log, store, &seen).idle_timeout(IDLE);
    let running = tokio::spawn(Service::new().with(consumer).run());
    tokio::time::sleep(Duration::from_secs(5)).await;
    backend.delete("notes");
    let outcome = running.await.unwrap().unwrap();
    assert_eq!(outcome.handled, 1);
    assert!(!outcome.held.is_empty());
    assert!(
        outcome.held.iter().all(|held| held.why.contains("Deleted")),
        "{:?}",
        outcome.held
    );
}

/// A shard that was split: its children come after it, key by key.
#[tokio::test(start_paused = true)]
async fn an_ended_lane_is_finished_before_its_children() {
    let backend = memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    });
    let (log, store, seen) = (
        Log::new(backend.clone()),
        store::Memory::new(),
        Seen::default(),
    );
    let notes = |from| -> Vec<Note> {
        (from..from + 50)
            .map(|n| note(&format!("k{}", n % 5), n))
            .collect()
    };
    send(&log, &notes(0)).await;
    let parent = log.backend().lanes("notes").await.unwrap().remove(0).lane;
    backend.split(&parent, 2).unwrap();
    send(&log, &notes(50)).await;
    let consumer = || consumer(&log, store.clone(), &seen).idle_timeout(IDLE);
    let outcome = Service::new().with(consumer()).run().await.unwrap();
    assert_eq!(outcome.handled, 100);
    for key in 0..5 {
        assert!(seen.of(&format!("k{key}")).is_sorted());
    }
    assert_eq!(
        Service::new().with(consumer()).run().await.unwrap().handled,
        0
    );
}

/// A record is handled no sooner than the lag after it was written, and no later for a clock that is wrong.
#[tokio::test(start_paused = true)]
async fn minimum_lag_waits_as_long_as_it_says() {
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    send(&log, &[note("a", 1)]).await;
    let started = tokio::time::Instant::now();
    let lagging = consumer(&log, store, &seen)
        .min_lag(Duration::from_secs(600))
        .stop_after(1);
    assert_eq!(Service::new().with(lagging).run().await.unwrap().handled, 1);
    let waited = started.elapsed();
    assert!(
        waited > Duration::from_secs(590) && waited <= Duration::from_secs(610),
        "{waited:?}"
    );
}

/// Without a store what is parked goes to a topic, with its origin, before the position moves.
#[tokio::test(start_paused = true)]
async fn dead_letters_say_where_they_come_from() {
    let (log, seen) = (Log::memory(), Seen::default());
    // Older than any retention, which would count from the letter's own time.
    let old: Timestamp = "2001-02-03T04:05:06Z".parse().unwrap();
    let sink = log.backend().sink("notes").await.unwrap();
    let record = NewRecord {
        key: Some("a".into()),
        headers: Vec::new(),
        value: Some(seal(Format::Json, &note("a", 1), "").unwrap().into()),
        timestamp: Some(old),
    };
    sink.send(vec![record]).await.remove(0).unwrap();
    let failing = Consumer::new(log.source("notes"))
        .group("test")
        .dead_letter("dead")
        .on(async |_: Note, _: &mut Cx| Err(Error::msg("never")))
        .on(async |_: Note2, _| Ok(()))
        .idle_timeout(IDLE);
    assert_eq!(Service::new().with(failing).run().await.unwrap().parked, 1);
    let headers = Seen::default();
    let reading = Consumer::with_store(log.source("dead"), Broker)
        .group("dead")
        .dead_letter("deader")
        .on_with(headers.clone(), async |headers, note: Note, cx| {
            assert_eq!(cx.header("logpipe-origin-topic"), Some(&b"notes"[..]));
            assert_eq!(cx.header("logpipe-reason"), Some(&b"Failed"[..]));
            assert_eq!(cx.header("logpipe-attempts"), Some(&b"5"[..]));
            let written = cx.header("logpipe-origin-timestamp");
            assert_eq!(written, Some(&b"2001-02-03T04:05:06Z"[..]));
            let of_letter = cx.timestamp().unwrap().to_string();
            assert!(of_letter.as_str() > "2020", "{of_letter}");
            headers.push(&note);
            Ok(())
        })
        .on(async |_: Note2, _: &mut Cx| Ok(()))
        .idle_timeout(IDLE);
    assert_eq!(Service::new().with(reading).run().await.unwrap().handled, 1);
    assert_eq!(headers.times(1), 1);
    let again = consumer(&log, Broker, &seen)
        .dead_letter("dead")
        .idle_timeout(IDLE);
    assert_eq!(Service::new().with(again).run().await.unwrap().handled, 0);
}

/// One group may be two consumers, on two topics: what one of them parked is none of the other's business.
#[tokio::test(start_paused = true)]
async fn a_parked_record_goes_back_to_the_consumer_that_parked_it() {
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    let parks = |is_cured| {
        let handler = async |(seen, is_cured): &(Seen, bool), note: Note, _: &mut Cx<_>| {
            seen.push(&note);
            match is_cured {
                true => Ok(()),
                false => Err(Error::park("not yet")),
            }
        };
        Consumer::with_store(log.source("notes"), store.clone())
            .on_with((seen.clone(), is_cured), handler)
            .on(async |_: Note2, _: &mut Cx<store::Memory>| Ok(()))
    };
    let ignores =
        |topic: &str| Consumer::with_store(log.source(topic), store.clone()).ignore("note");
    let run = async |consumer: Consumer<store::Memory>| {
        let consumer = consumer.group("test").idle_timeout(IDLE);
        Service::new().with(consumer).run().await.unwrap()
    };
    let parked = async || store.parked(&Filter::default(), None, 9).await.unwrap();
    send(&log, &[note("a", 1)]).await;
    assert_eq!(run(parks(false)).await.parked, 1);

    assert_eq!(store.redrive(&Filter::default()).await.unwrap(), 1);
    let _ = run(ignores("others")).await;
    assert!(parked().await[0].ready, "it waits for its own consumer");
    // It ignores the type by now, which is no reason to drop what was parked before.
    let _ = run(ignores("notes")).await;
    let row = parked().await.remove(0);
    assert_eq!((row.ready, &*row.reason.kind), (false, "Ignored"));

    assert_eq!(store.redrive(&Filter::default()).await.unwrap(), 1);
    assert_eq!(run(parks(true)).await.handled, 1);
    assert_eq!((parked().await.len(), seen.times(1)), (0, 2));
}

/// After the cure the parked record goes first, then what queued behind it, then what is new.
#[tokio::test(start_paused = true)]
async fn redriving_keeps_the_order_of_the_key() {
    let store = store::Memory::new();
    let (seen, cured) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let state = (seen.clone(), cured.clone());
    let mut pipe = TestPipe::new(
        move |log: Log, store: store::Memory| {
            let consumer = Consumer::with_store(log.source("notes"), store)
                .group("test")
                .on_with(state.clone(), async |(seen, cured), note: Note, _cx| {
                    if !cured.load(Ordering::Relaxed) {
                        return Err(Error::permanent("not yet"));
                    }
                    seen.push(&note);
                    Ok(())
                })
                .on(async |_: Note2, _| Ok(()));
            Service::new().with(consumer)
        },
        store.clone(),
    );
    pipe.send(&note("a", 1)).await;
    pipe.send(&note("a", 2)).await;
    pipe.assert().handled::<Note>(0).parked(2);
    cured.store(true, Ordering::Relaxed);
    pipe.send(&note("a", 3)).await;
    pipe.assert().handled::<Note>(0).parked(3);
    store.redrive(&Filter::default()).await.unwrap();
    pipe.restart().await;
    pipe.send(&note("a", 4)).await;
    pipe.assert().handled::<Note>(4).parked(3).held(0);
    assert_eq!(seen.of("a"), [1, 2, 3, 4]);
    pipe.send(&Note3).await;
    pipe.assert().held(1);
}

/// A cause that all records share parks a few of them, not the topic; and nobody has to come when it passes.
#[tokio::test(start_paused = true)]
async fn the_breaker_holds_all_lanes_until_the_cause_has_passed() {
    const MINIMUM: usize = 20;
    let (log, store, seen) = (Log::memory(), store::Memory::new(), Seen::default());
    let notes: Vec<Note> = (0..400).map(|n| note(&format!("k{n}"), n)).collect();
    send(&log, &notes).await;
    let cured = Arc::new(AtomicBool::new(false));
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on_with(
            (seen.clone(), cured.clone()),
            async |(seen, cured), note: Note, _cx| {
                // A record that is bad by itself opens nothing.
                if note.number == 399 || (note.number >= 100 && !cured.load(Ordering::Relaxed)) {
                    return Err(Error::permanent("the schema registry answers nonsense"));
                }
                seen.push(&note);
                Ok(())
            },
        )
        .on(async |_: Note2, _| Ok(()))
        .set(|settings| {
            settings.breaker.window = 2 * MINIMUM;
            settings.breaker.minimum = MINIMUM;
            settings.breaker.pause_ms = 60_000;
        })
        .stop_after(400);
    let service = Service::new().with(consumer);
    let monitor = service.monitor();
    let running = tokio::spawn(service.run());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let health = monitor.health();
    for lane in &health.consumers[0].lanes {
        let LaneState::Held(why) = &lane.state else {
            panic!("{} is {}", lane.lane, lane.state);
        };
        assert!(why.contains("by the breaker, for 60000 ms"), "{why}");
        assert!(why.contains("the newest as Refused"), "{why}");
    }
    let parked = health.consumers[0].parked;
    assert!((1..MINIMUM as u64).contains(&parked), "{parked}");

    // The next look finds it as it was, and parks no more than that again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let again = monitor.health().consumers[0].parked;
    assert!(
        (parked + 1..parked + MINIMUM as u64).contains(&again),
        "{again}"
    );
    cured.store(true, Ordering::Relaxed);
    let outcome = running.await.unwrap().unwrap();
    assert_eq!((outcome.handled, outcome.parked), (399 - again, again + 1));
}
