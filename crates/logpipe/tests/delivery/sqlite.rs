//! Effects, positions and parking in one SQLite file, behind the log in SQLite files: exactly once, whatever handlers do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logpipe::sink::NewRecord;
use logpipe::store::sqlite::rusqlite::{Connection, params};
use logpipe::store::{Administration, Filter, Sqlite};
use logpipe::{Consumer, Cx, Error, Log, Outcome, Service, memory};
use tokio::time::Instant;

use crate::file;
use crate::note::{Note, Note2, Seen, note};

const TABLES: &str = "
    create table effects (id text, number integer);
    create table taken (id text primary key);
    insert into taken values ('x')";

async fn run(consumer: Consumer<Sqlite>) -> Outcome {
    let consumer = consumer
        .on(async |_: Note2, _: &mut Cx<Sqlite>| Ok(()))
        .idle_timeout(Duration::from_millis(200))
        .set(|settings| {
            settings.retry.attempts = 3;
            settings.retry.first_delay_ms = 1;
        });
    Service::new().with(consumer).run().await.unwrap()
}

fn log_of(lanes: u32) -> Log {
    Log::new(memory::Memory::with(memory::Settings {
        lanes,
        ..memory::Settings::default()
    }))
}

fn insert(note: &Note, cx: &mut Cx<Sqlite>) -> logpipe::Result {
    cx.tx().execute(
        "insert into effects values (?, ?)",
        params![note.id, note.number],
    )?;
    Ok(())
}

/// What handlers did, by key and in order.
fn effects(other: &Connection) -> Vec<(String, i64)> {
    let query = "select id, number from effects order by id, rowid";
    file::rows(other, query, |row| row.try_into())
}

/// Why records are parked, by key.
async fn parked(store: &Sqlite) -> Vec<(String, String, u32)> {
    let parked = store.parked(&Filter::default(), None, 100).await.unwrap();
    let mut parked: Vec<_> = parked
        .into_iter()
        .map(|parked| {
            let key = parked.record.key.unwrap_or_default();
            let key = String::from_utf8_lossy(&key).into_owned();
            (key, parked.reason.kind, parked.attempts)
        })
        .collect();
    parked.sort();
    parked
}

#[tokio::test]
async fn effects_happen_once_whatever_handlers_do() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::local(folder.path().join("log")).await.unwrap();
    let store = Sqlite::open(folder.path().join("app.db")).await.unwrap();
    let other = file::open(&store, TABLES);

    // Twenty keys, among them some whose handlers misbehave in each way, amid records of others in the same runs.
    let misbehaving = [
        "fails-once",
        "tears",
        "commits",
        "ignores",
        "swallows",
        "panics",
    ];
    let mut notes = Vec::new();
    for round in 0..20 {
        for key in 0..20 {
            let id = match misbehaving.get(key) {
                Some(id) if round == 10 => (*id).to_owned(),
                _ => format!("k{key}"),
            };
            notes.push(note(&id, round));
        }
    }
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(&notes).await.unwrap();

    let handled = async |note: Note, cx: &mut Cx<Sqlite>| -> logpipe::Result {
        insert(&note, cx)?;
        match &*note.id {
            "fails-once" if cx.attempt() == 1 => Err(Error::msg("the first time")),
            "tears" => {
                // Ends the transaction by itself; what follows would commit on its own.
                let torn = "insert or rollback into taken values ('x')";
                let _ = cx.tx().execute(torn, []);
                let _ = insert(&note, cx);
                Ok(())
            }
            "commits" => {
                cx.tx().execute("commit", [])?;
                Ok(())
            }
            "ignores" => {
                let refused = ["commit", "rollback", "delete from logpipe_lanes"];
                for statement in refused {
                    let error = cx.tx().execute(statement, []).unwrap_err().to_string();
                    assert!(error.contains("cx.tx().savepoint("), "{error}");
                }
                insert(
                    &Note {
                        number: 100,
                        ..note
                    },
                    cx,
                )
            }
            "swallows" => {
                let failing = "insert into taken values ('x')";
                assert!(cx.tx().execute(failing, []).is_err());
                Ok(())
            }
            "panics" => panic!("as it must"),
            _ => Ok(()),
        }
    };
    let consumer = || Consumer::with_store(log.source("notes"), store.clone()).group("test");
    let outcome = run(consumer().on(handled)).await;
    assert_eq!(outcome.held, []);

    let bad = ["tears", "commits", "panics"];
    let good = notes.iter().filter(|note| !bad.contains(&&*note.id));
    let mut expected: Vec<(String, i64)> = good
        .map(|note| (note.id.clone(), note.number))
        .chain([("ignores".into(), 100)])
        .collect();
    // The numbers of a key ascend.
    expected.sort();
    assert_eq!(effects(&other), expected);
    let expected = [
        ("commits", "Failed"),
        ("panics", "Panicked"),
        ("tears", "TransactionEnded"),
    ];
    let expected = expected.map(|(key, kind)| (key.to_owned(), kind.to_owned(), 3));
    assert_eq!(parked(&store).await, expected);
    assert_eq!(outcome.parked, 3);
    // The second run finds nothing to do.
    assert_eq!(run(consumer().on(handled)).await.handled, 0);
}

/// Its head says version 1, and what follows version 2: the route that was found is kept, also where the commit of its run is
/// refused and all of them go again.
#[tokio::test]
async fn a_record_that_is_routed_again_stays_so_where_a_commit_is_refused() {
    let store = Sqlite::temporary().await.unwrap();
    file::open(
        &store,
        "create table parent (id integer primary key);
         create table child (parent references parent deferrable initially deferred)",
    );
    let log = Log::new(memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    }));
    let record = |value: &'static str| NewRecord {
        key: None,
        headers: Vec::new(),
        value: Some(value.into()),
        timestamp: None,
    };
    let two = r#"json:{"type":"note","version":1,"message":{"id":"two"},"version":2}"#;
    let one = r#"json:{"type":"note","version":1,"message":{"id":"one","number":1}}"#;
    let sink = log.backend().sink("notes").await.unwrap();
    for sent in sink.send(vec![record(two), record(one)]).await {
        sent.unwrap();
    }
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on(async |_: Note, cx: &mut Cx<Sqlite>| {
            if cx.attempt() == 1 {
                cx.tx().execute("insert into child values (404)", [])?;
            }
            Ok(())
        });
    let outcome = run(consumer).await;
    let parked = store.parked(&Filter::default(), None, 9).await.unwrap();
    let kinds: Vec<_> = parked.iter().map(|row| &row.reason).collect();
    assert_eq!((outcome.handled, kinds.len()), (2, 0), "{kinds:?}");
}

/// What only the commit refuses is the record's fault when it is redriven, too: it is parked again, and the others go on.
#[tokio::test]
async fn a_redriven_record_whose_commit_is_refused_is_parked_again() {
    let store = Sqlite::temporary().await.unwrap();
    file::open(
        &store,
        "create table parent (id integer primary key);
         create table child (parent references parent deferrable initially deferred)",
    );
    let log = Log::memory();
    let notes = [note("orphan", 1), note("deletes", 2), note("good", 3)];
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(&notes).await.unwrap();
    let (seen, is_redriven) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let consumer = || {
        Consumer::with_store(log.source("notes"), store.clone())
            .group("test")
            .on_with(
                (seen.clone(), is_redriven.clone()),
                async |(seen, is_redriven), note: Note, cx: &mut Cx<Sqlite>| {
                    if !is_redriven.load(Ordering::Relaxed) {
                        return Err(Error::park("not yet"));
                    }
                    seen.push(&note);
                    let statement = match &*note.id {
                        "orphan" => "insert into child values (77)",
                        "deletes" => "delete from logpipe_parked",
                        _ => "insert into parent values (1)",
                    };
                    cx.tx().execute(statement, [])?;
                    Ok(())
                },
            )
    };
    assert_eq!(run(consumer()).await.parked, 3);
    is_redriven.store(true, Ordering::Relaxed);
    assert_eq!(store.redrive(&Filter::default()).await.unwrap(), 3);
    let ended = tokio::time::timeout(Duration::from_secs(30), run(consumer())).await;
    assert_eq!(ended.expect("it ends").handled, 1);
    let mut calls: Vec<i64> = seen.all().into_iter().map(|(_, number)| number).collect();
    calls.sort_unstable();
    assert_eq!(calls, [1, 2, 3]);
    let parked = store.parked(&Filter::default(), None, 10).await.unwrap();
    let mut again: Vec<_> = parked
        .iter()
        .map(|parked| (&*parked.reason.kind, parked.ready, parked.attempts))
        .collect();
    again.sort();
    // What only the store may do is refused at once.
    let expected = [("CommitRefused", false, 2), ("Failed", false, 2)];
    assert_eq!(again, expected);
}

/// Nobody can drop a thread: what runs on it has to end by itself, whatever the handler makes of that.
#[tokio::test]
async fn statements_end_with_the_deadline_of_their_attempt() {
    for slow in ["looks", "loops", "writes"] {
        let store = Sqlite::temporary().await.unwrap();
        let other = file::open(&store, TABLES);
        let log = log_of(1);
        // One run: the slow one is amid the others.
        let key = |n: i64| match n {
            5 => slow.to_owned(),
            _ => format!("k{}", n % 4),
        };
        let notes: Vec<Note> = (0..10).map(|n| note(&key(n), n)).collect();
        let producer = log.producer("notes").await.unwrap();
        producer.send_all(&notes).await.unwrap();
        let seen = Seen::default();
        let consumer = Consumer::with_store(log.source("notes"), store.clone())
            .group("test")
            .on_with(
                seen.clone(),
                async |seen, note: Note, cx: &mut Cx<Sqlite>| {
                    seen.push(&note);
                    insert(&note, cx)?;
                    ignoring_errors(&note, cx);
                    Ok(())
                },
            )
            .set(|settings| settings.attempt_deadline_ms = 100);
        let ended = tokio::time::timeout(Duration::from_secs(30), run(consumer)).await;
        let outcome = ended.expect("it ends");
        assert_eq!((outcome.handled, outcome.parked), (9, 1), "{slow}");
        let good = notes.iter().filter(|note| note.id != slow);
        let mut expected: Vec<_> = good.map(|note| (note.id.clone(), note.number)).collect();
        expected.sort();
        assert_eq!(effects(&other), expected, "{slow}");
        let expected = (slow.to_owned(), "Deadline".to_owned(), 3);
        assert_eq!(parked(&store).await, [expected]);
        assert_eq!(seen.times(5), 3, "{slow}");
    }
}

/// What never ends by itself.
fn ignoring_errors(note: &Note, cx: &mut Cx<Sqlite>) {
    const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n)";
    match &*note.id {
        "looks" => {
            let look = format!("{ENDLESS} select count(*) from n");
            let _ = cx.tx().query_row(&look, [], |_| Ok(()));
        }
        // Each of them is too short to be stopped.
        "loops" => {
            let begun = Instant::now();
            while cx.tx().execute_batch("select 1").is_ok() {
                assert!(begun.elapsed() < Duration::from_secs(10), "it goes on");
            }
        }
        // Where one that writes is stopped, SQLite ends the transaction.
        "writes" => {
            let write =
                format!("{ENDLESS} insert into effects select 'late', i from n where i < 0");
            let _ = cx.tx().execute(&write, []);
        }
        _ => {}
    }
}

/// A clock that a test has paused stands still while a statement runs, and moves on when the handler waits.
#[tokio::test(start_paused = true)]
async fn handlers_sleep_by_the_clock_of_the_test() {
    for (sleep, deadline, is_handled) in [(60, 5, false), (10, 0, true)] {
        let store = Sqlite::temporary().await.unwrap();
        let other = file::open(&store, TABLES);
        let log = Log::memory();
        let producer = log.producer("notes").await.unwrap();
        producer.send(&note("a", sleep)).await.unwrap();
        let consumer = Consumer::with_store(log.source("notes"), store.clone())
            .group("test")
            .on(async |note: Note, cx: &mut Cx<Sqlite>| {
                let count =
                    "with recursive n(i) as (select 1 union all select i + 1 from n limit 200000)
                     select count(*) from n";
                let _: i64 = cx.tx().query_row(count, [], |row| row.get(0))?;
                tokio::time::sleep(Duration::from_secs(note.number as u64)).await;
                insert(&note, cx)
            })
            .on(async |_: Note2, _: &mut Cx<Sqlite>| Ok(()))
            .set(|settings| {
                settings.retry.attempts = 1;
                settings.attempt_deadline_ms = deadline * 1_000;
            })
            .stop_after(1);
        let started = Instant::now();
        let outcome = Service::new().with(consumer).run().await.unwrap();
        let took = started.elapsed();
        assert_eq!(
            (outcome.handled, outcome.parked),
            (u64::from(is_handled), u64::from(!is_handled))
        );
        let expected = match deadline {
            0 => sleep as u64,
            deadline => deadline,
        };
        let expected = Duration::from_secs(expected);
        assert!(
            took >= expected && took < expected + Duration::from_secs(1),
            "{took:?}"
        );
        let kinds: Vec<String> = parked(&store)
            .await
            .into_iter()
            .map(|(_, kind, _)| kind)
            .collect();
        match is_handled {
            true => assert_eq!(effects(&other), [("a".into(), sleep)]),
            false => assert_eq!((kinds, effects(&other)), (vec!["Deadline".into()], vec![])),
        }
    }
}

/// One file is one writer at a time: lanes take turns, and none of them gets ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_of_one_store_make_progress_evenly() {
    const LANES: u32 = 8;
    const RUN: usize = 4;
    const RUNS: usize = 40;
    let store = Sqlite::temporary().await.unwrap();
    let other = file::open(&store, TABLES);
    let log = log_of(LANES);
    // A key of each lane.
    let probe = log.producer("probe").await.unwrap();
    let mut keys = BTreeMap::new();
    for n in 0..100 {
        let key = format!("k{n}");
        let sent = probe.send(&note(&key, 0)).await.unwrap();
        keys.insert(sent.lane.shard().to_owned(), key);
    }
    assert_eq!(keys.len(), LANES as usize);
    let producer = log.producer("notes").await.unwrap();
    for key in keys.values() {
        let notes: Vec<Note> = (0..(RUN * RUNS) as i64).map(|n| note(key, n)).collect();
        producer.send_all(&notes).await.unwrap();
    }
    let all = keys.len() * RUN * RUNS;
    let consumer = Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .on(async |note: Note, cx: &mut Cx<Sqlite>| insert(&note, cx))
        .on(async |_: Note2, _: &mut Cx<Sqlite>| Ok(()))
        .set(|settings| settings.run = RUN)
        .stop_after(all as u64);
    let ended = tokio::time::timeout(Duration::from_secs(60), Service::new().with(consumer).run());
    let outcome = ended.await.expect("it ends").unwrap();
    assert_eq!(outcome.handled as usize, all);

    // The rows are in the order of the transactions.
    let mut done: BTreeMap<String, usize> = keys.into_values().map(|key| (key, 0)).collect();
    for key in file::rows(&other, "select id from effects order by rowid", |row| {
        row.get::<_, String>(0)
    }) {
        let count = done.get_mut(&key).unwrap();
        *count += 1;
        if *count == RUN * RUNS {
            break;
        }
    }
    let slowest = *done.values().min().unwrap();
    assert!(slowest >= RUN * RUNS / 2, "{done:?}");
}
