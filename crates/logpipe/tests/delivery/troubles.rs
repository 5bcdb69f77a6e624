//! Troubles that are no record's fault, and bounds: what waits, what holds, what is not used up meanwhile.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use jiff::{Span, Timestamp};
use logpipe::clock::ManualClock;
use logpipe::health::LaneState;
use logpipe::store::{Administration, Filter, LaneKey, Memory};
use logpipe::testing::TestPipe;
use logpipe::{Consumer, Cx, Error, Log, Monitor, Service, Store, memory};
use tokio::time::Instant;

use crate::note::{Note, Note2, Seen, note};

fn consumer<S: Store>(log: &Log, store: &S) -> Consumer<S> {
    Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on(async |_: Note2, _: &mut Cx<S>| Ok(()))
}

async fn send(log: &Log, notes: &[Note]) {
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(notes).await.unwrap();
}

/// Waits for what will come, and fails where it does not.
async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn any_lane(monitor: &Monitor, is: impl Fn(&LaneState) -> bool) -> bool {
    let health = monitor.health();
    health.consumers[0].lanes.iter().any(|lane| is(&lane.state))
}

fn handled(monitor: &Monitor) -> u64 {
    monitor.health().consumers[0].handled
}

/// A thread that is blocked can't be dropped: health says so, and where another owner takes the lane meanwhile, what the
/// blocked handler did comes too late to count.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_is_stuck_and_its_commit_comes_too_late() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    send(&log, &[note("a", 1)]).await;
    let (unblock, blocked) = mpsc::channel::<()>();
    let blocking = consumer(&log, &store).on_with(
        (seen.clone(), Mutex::new(blocked)),
        async |(seen, blocked): &(Seen, Mutex<mpsc::Receiver<()>>), note: Note, _cx| {
            seen.push(&note);
            // The second time the sender is gone.
            let _ = blocked.lock().unwrap().recv();
            Ok(())
        },
    );
    let service = Service::new().with(blocking.stop_after(1));
    let monitor = service.monitor();
    let running = tokio::spawn(service.run());
    let is_stuck = |state: &LaneState| *state == LaneState::Stuck;
    until("health says stuck", || any_lane(&monitor, is_stuck)).await;
    assert!(!monitor.health().is_well());

    for stored in store.lanes(None).await.unwrap() {
        let key = LaneKey {
            consumer: stored.consumer,
            lane: stored.lane,
            cluster: stored.cluster,
            incarnation: stored.incarnation,
        };
        store.claim(&key, None).await.unwrap().unwrap();
    }
    drop(unblock);
    let outcome = running.await.unwrap().unwrap();
    assert_eq!((outcome.handled, seen.times(1)), (1, 2));
}

/// What blocks a thread is not waited for longer than draining may take, and what it did does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_ends_though_a_handler_blocks_its_thread() {
    let (log, store, seen) = (Log::memory(), Memory::new(), Seen::default());
    send(&log, &[note("a", 1)]).await;
    let (unblock, blocked) = mpsc::channel::<()>();
    let blocking = |blocked| {
        consumer(&log, &store).on_with(
            (seen.clone(), Mutex::new(blocked)),
            async |(seen, blocked): &(Seen, Mutex<mpsc::Receiver<()>>), note: Note, _cx| {
                seen.push(&note);
                // The second time the sender is gone.
                let _ = blocked.lock().unwrap().recv();
                Ok(())
            },
        )
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    // The consumer waits to be idle, so what the lane does wakes it just before the handler blocks the thread.
    let first = blocking(blocked)
        .set(|settings| settings.drain_ms = 100)
        .idle_timeout(Duration::from_secs(3_600));
    let service = Service::new().with(first);
    let running = tokio::spawn(service.run_until(async {
        // Dropped without a word it stops too.
        let _ = stopped.await;
    }));
    until("the handler runs", || seen.times(1) == 1).await;
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
    let outcome = ended.expect("it ends").unwrap().unwrap();
    assert_eq!(outcome.handled, 0);
    drop(unblock);
    let again = Service::new().with(blocking(mpsc::channel().1).stop_after(1));
    let outcome = tokio::time::timeout(Duration::from_secs(30), again.run()).await;
    assert_eq!(outcome.expect("it ends").unwrap().handled, 1);
    assert_eq!(seen.times(1), 2);
}

/// At a cap the lane holds before the record that would be one too many, and goes on when there is room.
#[tokio::test(start_paused = true)]
async fn at_a_cap_of_parked_records_lanes_hold() {
    for per_key in [false, true] {
        let log = Log::new(memory::Memory::with(memory::Settings {
            lanes: 1,
            ..memory::Settings::default()
        }));
        let (store, seen) = (Memory::new(), Seen::default());
        let key = |n: i64| {
            if per_key {
                "one".into()
            } else {
                format!("k{n}")
            }
        };
        let notes: Vec<Note> = (0..5).map(|n| note(&key(n), n)).collect();
        send(&log, &notes).await;
        let failing = consumer(&log, &store)
            .on_with(seen.clone(), async |seen, note: Note, _cx| {
                seen.push(&note);
                Err(Error::permanent("never"))
            })
            .set(|settings| match per_key {
                true => settings.parked_per_key_max = 2,
                false => settings.parked_max = 2,
            });
        let service = Service::new().with(failing.stop_after(5));
        let monitor = service.monitor();
        let running = tokio::spawn(service.run());
        let parked = || async { store.parked(&Filter::default(), None, 10).await.unwrap() };
        for round in [2, 4] {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let is_held = |state: &LaneState| {
                let cap = if per_key {
                    "parked_per_key_max"
                } else {
                    "parked_max"
                };
                matches!(state, LaneState::Held(why) if why.contains(cap))
            };
            assert!(any_lane(&monitor, is_held), "{:?}", monitor.health());
            let parked = parked().await;
            assert_eq!(parked.len(), 2);
            let numbers = parked.iter().map(|parked| parked.record.position.clone());
            assert_eq!(numbers.count(), 2);
            assert_eq!(monitor.health().consumers[0].parked, round);
            store.drop_parked(&Filter::default()).await.unwrap();
        }
        let outcome = running.await.unwrap().unwrap();
        assert_eq!((outcome.handled, outcome.parked), (0, 5));
        assert!(seen.of(&key(0)).is_sorted());
    }
}

/// A minute of the consumer's clock is a minute, however long it takes.
#[tokio::test(start_paused = true)]
async fn minimum_lag_follows_the_clock_of_the_consumer() {
    let seen = Seen::default();
    let of_pipe = seen.clone();
    let mut pipe = TestPipe::new(
        move |log: Log, store: Memory| {
            let lagging = consumer(&log, &store)
                .on_with(of_pipe.clone(), async |seen, note: Note, _cx| {
                    seen.push(&note);
                    Ok(())
                })
                .min_lag(Duration::from_secs(600));
            Service::new().with(lagging)
        },
        Memory::new(),
    );
    let started = Instant::now();
    pipe.send(&note("a", 1)).await;
    pipe.advance(Duration::from_secs(400)).await;
    pipe.send(&note("a", 2)).await;
    assert_eq!(seen.all(), []);
    for (seconds, expected) in [(199, &[][..]), (1, &[1]), (399, &[1]), (1, &[1, 2])] {
        pipe.advance(Duration::from_secs(seconds)).await;
        assert_eq!(seen.of("a"), expected);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");

    // Also while it waits.
    let clock = ManualClock::at(Timestamp::now());
    let log = Log::new(memory::Memory::with(memory::Settings {
        clock: clock.clock(),
        ..memory::Settings::default()
    }));
    send(&log, &[note("b", 3)]).await;
    let lagging = consumer(&log, &Memory::new())
        .on(async |_: Note, _: &mut Cx<Memory>| Ok(()))
        .clock(clock.clock())
        .min_lag(Duration::from_secs(600))
        .stop_after(1);
    let service = Service::new().with(lagging);
    let monitor = service.monitor();
    let running = tokio::spawn(service.run());
    clock.advance(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(5_000)).await;
    clock.advance(Duration::from_secs(598));
    tokio::time::sleep(Duration::from_secs(5_000)).await;
    assert_eq!(handled(&monitor), 0);
    let moved = Instant::now();
    clock.advance(Duration::from_secs(1));
    assert_eq!(running.await.unwrap().unwrap().handled, 1);
    assert!(moved.elapsed() < Duration::from_millis(10));
}

/// Whose clock is wrong, the writer's or ours, nobody knows: no record waits longer than the lag, and an old one not at all.
#[tokio::test(start_paused = true)]
async fn minimum_lag_is_clamped_where_a_clock_is_wrong() {
    const LAG: Duration = Duration::from_secs(600);
    let written: Timestamp = "2024-01-02T03:04:05Z".parse().unwrap();
    let table = [
        (Span::new().hours(-3), LAG),
        (Span::new().seconds(0), LAG),
        (Span::new().seconds(400), LAG - Duration::from_secs(400)),
        (Span::new().hours(48), Duration::ZERO),
    ];
    for (ahead, expected) in table {
        let log = Log::new(memory::Memory::with(memory::Settings {
            clock: ManualClock::at(written).clock(),
            ..memory::Settings::default()
        }));
        send(&log, &[note("a", 1)]).await;
        let clock = ManualClock::at(written + ahead);
        let lagging = consumer(&log, &Memory::new())
            .on(async |_: Note, _: &mut Cx<Memory>| Ok(()))
            .clock(clock.clock())
            .min_lag(LAG)
            .stop_after(1);
        let running = tokio::spawn(Service::new().with(lagging).run());
        let started = Instant::now();
        while !running.is_finished() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(running.await.unwrap().unwrap().handled, 1);
        let waited = started.elapsed();
        let slack = Duration::from_secs(3);
        assert!(
            waited >= expected && waited < expected + slack,
            "{ahead}: {waited:?}"
        );
    }
}

#[cfg(feature = "local")]
mod local {
    use std::path::Path;

    use logpipe::local::{Local, Settings};
    use logpipe::record::Cursor;

    use super::*;

    /// What a process has of the log.
    async fn process(folder: &Path, clock: &ManualClock) -> Log {
        let settings = Settings {
            clock: clock.clock(),
            partitions: 1,
        };
        Log::new(Local::open_with(folder, settings).await.unwrap())
    }

    async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
        match tokio::time::timeout(Duration::from_secs(30), future).await {
            Ok(value) => value,
            Err(_) => panic!("it did not happen: {what}"),
        }
    }

    /// The lease of a lane whose handler blocks its thread runs out, though its member lives and would have the fewest
    /// lanes: others have the lane, one after the other, for as long as the thread is blocked.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_stuck_lane_is_taken_over_and_not_given_back_while_its_handler_runs() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(Timestamp::now());
        let (store, seen) = (Memory::new(), Seen::default());
        let first = process(folder.path(), &clock).await;
        send(&first, &[note("a", 0)]).await;

        let (unblock, blocked) = mpsc::channel::<()>();
        let stuck = consumer(&first, &store).on_with(
            (seen.clone(), Mutex::new(blocked)),
            async |(seen, blocked): &(Seen, Mutex<mpsc::Receiver<()>>), note: Note, _cx| {
                seen.push(&note);
                // From the second time on the sender is gone.
                let _ = blocked.lock().unwrap().recv();
                Ok(())
            },
        );
        let service = Service::new().with(stuck);
        let monitor = service.monitor();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(service.run_until(async {
            // Dropped without a word it stops too.
            let _ = stopped.await;
        }));
        until("the handler runs", || seen.times(0) == 1).await;

        // Each ends after its record, so that the lane is free again while the handler still runs.
        for number in 0..3 {
            let other = process(folder.path(), &clock).await;
            if number > 0 {
                send(&other, &[note("a", number)]).await;
            }
            let service = Service::new().with(
                consumer(&other, &store)
                    .on_with(seen.clone(), async |seen, note: Note, _cx| {
                        seen.push(&note);
                        Ok(())
                    })
                    .stop_after(1),
            );
            let running = tokio::spawn(service.run());
            if number == 0 {
                // Once: no lease that anybody takes from now on runs out.
                clock.advance(Duration::from_secs(11));
            }
            let outcome = soon("another member has the lane", running).await;
            assert_eq!(outcome.unwrap().unwrap().handled, 1);
        }
        assert_eq!((handled(&monitor), seen.times(0)), (0, 2));
        let position = async || {
            let lanes = store.lanes(None).await.unwrap();
            lanes.into_iter().map(|lane| lane.cursor).next().unwrap()
        };
        assert_eq!(position().await, Cursor::After(2.into()));

        // Its commit comes too late, and it goes on behind what the others did.
        drop(unblock);
        send(&first, &[note("a", 3)]).await;
        until("the lane is had again", || handled(&monitor) == 1).await;
        assert_eq!(position().await, Cursor::After(3.into()));
        let all: Vec<i64> = seen.of("a");
        assert_eq!(all, [0, 0, 1, 2, 3]);
        stop.send(()).unwrap();
        let outcome = soon("it stops", running).await.unwrap().unwrap();
        assert_eq!((outcome.handled, outcome.parked), (1, 0));
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use logpipe::store::Sqlite;
    use logpipe::store::sqlite::rusqlite::{Connection, params};

    use super::*;
    use crate::file;

    const TABLES: &str = "
        create table effects (number integer, attempt integer, ballast blob);
        create table ballast (bytes blob);
        insert into ballast values (zeroblob(1000000))";

    /// Writes a row with its attempt, and so many bytes.
    fn writing(consumer: Consumer<Sqlite>, bytes: i64) -> Consumer<Sqlite> {
        consumer.on_with(
            bytes,
            async |bytes: &i64, note: Note, cx: &mut Cx<Sqlite>| {
                let attempt = cx.attempt();
                cx.tx().execute(
                    "insert into effects values (?, ?, zeroblob(?))",
                    params![note.number, attempt, bytes],
                )?;
                Ok(())
            },
        )
    }

    /// Effects happened once each, at the first attempt.
    fn assert_effects(other: &Connection, count: i64) {
        let query = "select count(*), count(distinct number), max(attempt) from effects";
        let counts: Vec<(i64, i64, i64)> = file::rows(other, query, |row| row.try_into());
        assert_eq!(counts, [(count, count, 1)]);
    }

    #[tokio::test]
    async fn a_full_disk_parks_nothing_and_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        // 1.6 MB: with the ballast there is room for some fifty of the hundred.
        let store = Sqlite::open_with(path, |connection| {
            connection.pragma_update(None, "max_page_count", 400)
        });
        let store = store.await.unwrap();
        let other = file::open(&store, TABLES);
        let log = Log::memory();
        let notes: Vec<Note> = (0..100).map(|n| note(&format!("k{}", n % 9), n)).collect();
        send(&log, &notes).await;
        let service = Service::new().with(
            writing(consumer(&log, &store), 10_000)
                .set(|settings| settings.run = 4)
                .stop_after(100),
        );
        let monitor = service.monitor();
        let running = tokio::spawn(service.run());
        let is_full =
            |state: &LaneState| matches!(state, LaneState::Waiting(why) if why.contains("full"));
        until("the disk is full", || any_lane(&monitor, is_full)).await;
        assert!(!monitor.health().is_well());
        file::write(&store, "delete from ballast").await;
        let freed = Instant::now();
        let outcome = running.await.unwrap().unwrap();
        assert!(freed.elapsed() < Duration::from_secs(5));
        assert_eq!((outcome.handled, outcome.parked), (100, 0));
        assert_effects(&other, 100);
    }

    /// The run time has one thread: the handler has another one, and what waits for it is told so.
    #[tokio::test]
    async fn a_handler_that_blocks_its_thread_leaves_the_run_time_free() {
        let store = Sqlite::temporary().await.unwrap();
        let other = file::open(&store, TABLES);
        let log = Log::memory();
        send(&log, &[note("a", 1)]).await;
        let (unblock, blocked) = mpsc::channel::<()>();
        let blocking = consumer(&log, &store).on_with(
            Mutex::new(blocked),
            async |blocked: &Mutex<mpsc::Receiver<()>>, note: Note, cx: &mut Cx<Sqlite>| {
                let patience = Duration::from_secs(30);
                blocked.lock().unwrap().recv_timeout(patience)?;
                let row = params![note.number, cx.attempt()];
                cx.tx()
                    .execute("insert into effects values (?, ?, null)", row)?;
                Ok(())
            },
        );
        let service = Service::new().with(blocking.stop_after(1));
        let monitor = service.monitor();
        let running = tokio::spawn(service.run());
        let is_stuck = |state: &LaneState| *state == LaneState::Stuck;
        until("health says stuck", || any_lane(&monitor, is_stuck)).await;
        unblock.send(()).unwrap();
        assert_eq!(running.await.unwrap().unwrap().handled, 1);
        assert_effects(&other, 1);
    }

    /// Longer than a transaction's patience (5 s), while records keep coming.
    #[tokio::test]
    async fn a_locked_store_parks_nothing_and_goes_on_at_once() {
        let store = Sqlite::temporary().await.unwrap();
        let other = file::open(&store, TABLES);
        let log = Log::memory();
        let notes: Vec<Note> = (0..300).map(|n| note(&format!("k{}", n % 9), n)).collect();
        let service = Service::new().with(writing(consumer(&log, &store), 10).stop_after(300));
        let monitor = service.monitor();
        let running = tokio::spawn(service.run());
        send(&log, &notes[..100]).await;
        until("the first are handled", || handled(&monitor) == 100).await;
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        send(&log, &notes[100..200]).await;
        let is_waiting = |state: &LaneState| matches!(state, LaneState::Waiting(why) if why.contains("others have held"));
        until("a lane waits", || any_lane(&monitor, is_waiting)).await;
        send(&log, &notes[200..]).await;
        assert_eq!(handled(&monitor), 100);
        other.execute_batch("ROLLBACK").unwrap();
        let freed = Instant::now();
        let outcome = running.await.unwrap().unwrap();
        assert!(freed.elapsed() < Duration::from_secs(5));
        assert_eq!((outcome.handled, outcome.parked), (300, 0));
        assert_effects(&other, 300);
    }
}
