//! Batches: one call for a run of records, and what becomes of those of which it says no.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use logpipe::store::{Administration, Filter, Memory};
use logpipe::{Batch, Consumer, Cx, Error, Log, Outcome, Service, Store, memory};

use crate::note::{Note, Note2, Note3, Stranger, note};

/// What each call saw: number and attempt of each message.
type Calls = Arc<Mutex<Vec<Vec<(i64, u32)>>>>;

fn saw<S: Store>(calls: &Calls, notes: &Batch<Note>, cx: &Cx<S>) {
    assert_eq!(cx.position(), notes.position(0));
    assert_eq!(cx.key(), notes.key(0));
    let numbers = notes.iter().enumerate();
    let call = numbers.map(|(index, note)| (note.number, notes.attempt(index)));
    calls.lock().unwrap().push(call.collect());
}

/// One lane, so that a batch is what was sent.
fn one_lane() -> Log {
    Log::new(memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    }))
}

async fn send(log: &Log, notes: &[Note]) {
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(notes).await.unwrap();
}

async fn run<S: Store>(consumer: Consumer<S>) -> Outcome {
    let consumer = consumer
        .group("test")
        .on(async |_: Note2, _: &mut Cx<S>| Ok(()))
        .idle_timeout(Duration::from_secs(30))
        .set(|settings| settings.retry.attempts = 2);
    Service::new().with(consumer).run().await.unwrap()
}

async fn parked(store: &impl Administration) -> Vec<(String, String)> {
    let parked = store.parked(&Filter::default(), None, 100).await.unwrap();
    let reasons = parked.into_iter().map(|parked| parked.reason);
    reasons.map(|reason| (reason.kind, reason.text)).collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_tried_again_and_the_rest_is_settled() {
    let (log, store, calls) = (one_lane(), Memory::new(), Calls::default());
    let notes: Vec<Note> = (0..5).map(|n| note(&format!("k{n}"), n)).collect();
    send(&log, &notes).await;
    let consumer = Consumer::with_store(log.source("notes"), store.clone()).on_batch_with(
        calls.clone(),
        async |calls, notes: &mut Batch<Note>, cx| {
            saw(calls, notes, cx);
            if let Some(third) = notes.iter().position(|note| note.number == 3) {
                notes.fail(third, "no email");
                assert!(notes.is_failed(third) && !notes.is_failed(third + 1));
            }
            Ok(())
        },
    );
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled, outcome.parked), (4, 1));
    let all: Vec<(i64, u32)> = (0..5).map(|n| (n, 1)).collect();
    assert_eq!(*calls.lock().unwrap(), [all, vec![(3, 2)]]);
    let reason = ("Failed".to_owned(), "no email".to_owned());
    assert_eq!(parked(&store).await, [reason]);
}

/// The handler can't say which it was: they come one by one, and only the culprit loses an attempt.
#[tokio::test(start_paused = true)]
async fn after_an_error_only_the_culprit_loses_an_attempt() {
    for panics in [false, true] {
        let (log, store, calls) = (one_lane(), Memory::new(), Calls::default());
        send(&log, &[note("a", 0), note("bad", 1), note("a", 2)]).await;
        let consumer = Consumer::with_store(log.source("notes"), store.clone()).on_batch_with(
            (calls.clone(), panics),
            async |(calls, panics), notes: &mut Batch<Note>, cx| {
                saw(calls, notes, cx);
                match notes.iter().any(|note| note.id == "bad") {
                    true if *panics => panic!("as it must"),
                    true => Err(Error::msg("one of them")),
                    false => Ok(()),
                }
            },
        );
        let outcome = run(consumer).await;
        assert_eq!((outcome.handled, outcome.parked), (2, 1), "{panics}");
        let expected = [
            vec![(0, 1), (1, 1), (2, 1)],
            vec![(0, 1)],
            vec![(1, 1)],
            vec![(2, 1)],
            vec![(1, 2)],
        ];
        assert_eq!(*calls.lock().unwrap(), expected);
    }
}

/// A later record of the key was handled in the same call, and must not be ahead of the one that failed.
#[tokio::test(start_paused = true)]
async fn a_key_stays_in_order_within_a_batch() {
    let (log, store, calls) = (one_lane(), Memory::new(), Calls::default());
    send(&log, &[note("a", 0), note("b", 1), note("a", 2)]).await;
    let consumer = Consumer::with_store(log.source("notes"), store.clone()).on_batch_with(
        calls.clone(),
        async |calls, notes: &mut Batch<Note>, cx| {
            saw(calls, notes, cx);
            if notes[0].number == 0 && notes.attempt(0) == 1 {
                notes.fail(0, "not yet");
            }
            Ok(())
        },
    );
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled, outcome.parked), (3, 0));
    let expected = [
        vec![(0, 1), (1, 1), (2, 1)],
        vec![(0, 1)],
        vec![(1, 1)],
        vec![(0, 2)],
        vec![(2, 1)],
    ];
    assert_eq!(*calls.lock().unwrap(), expected);
}

/// Records that no handler can take meet their policy, and one that holds ends the batch before it.
#[tokio::test(start_paused = true)]
async fn rejected_records_are_none_of_the_batch() {
    let (log, store, calls) = (one_lane(), Memory::new(), Calls::default());
    let producer = log.producer("notes").await.unwrap();
    producer.send(&note("a", 0)).await.unwrap();
    producer.send(&Stranger).await.unwrap();
    producer.send(&note("c", 1)).await.unwrap();
    producer.send(&Note3).await.unwrap();
    producer.send(&note("d", 2)).await.unwrap();
    let consumer = Consumer::with_store(log.source("notes"), store.clone()).on_batch_with(
        calls.clone(),
        async |calls, notes: &mut Batch<Note>, cx| {
            saw(calls, notes, cx);
            Ok(())
        },
    );
    let outcome = run(consumer).await;
    assert_eq!((outcome.handled, outcome.parked), (2, 1));
    assert_eq!(outcome.held.len(), 1);
    assert_eq!(calls.lock().unwrap().concat(), [(0, 1), (1, 1)]);
}

#[cfg(all(feature = "local", feature = "sqlite"))]
mod sqlite {
    use logpipe::Result;
    use logpipe::store::Sqlite;

    use super::*;
    use crate::file;

    fn insert<'a>(notes: impl IntoIterator<Item = &'a Note>, cx: &mut Cx<Sqlite>) -> Result {
        for note in notes {
            cx.tx()
                .execute("insert into effects values (?)", [note.number])?;
        }
        Ok(())
    }

    /// What a batch wrote is there once, whatever became of it.
    #[tokio::test]
    async fn effects_of_a_batch_happen_once() {
        let store = Sqlite::temporary().await.unwrap();
        let other = file::open(
            &store,
            "create table effects (number integer);
             create table taken (id text primary key);
             insert into taken values ('x')",
        );
        let log = one_lane();
        let misbehaving = ["errs", "tears", "fails", "waits"];
        let id = |n: i64| match misbehaving.get(n as usize / 50) {
            Some(id) if n % 50 == 25 => (*id).to_owned(),
            _ => format!("k{}", n % 7),
        };
        let notes: Vec<Note> = (0..200).map(|n| note(&id(n), n)).collect();
        send(&log, &notes).await;
        let waited = Arc::new(Mutex::new(false));
        let consumer = Consumer::with_store(log.source("notes"), store.clone())
            .set(|settings| {
                settings.run = 40;
                settings.retry.first_delay_ms = 1;
            })
            .on_batch_with(waited, async |waited, notes: &mut Batch<Note>, cx| {
                let at = |id: &str| notes.iter().position(|note| note.id == id);
                if let Some(index) = at("fails") {
                    notes.fail(index, "not this one");
                    let rest = (0..notes.len()).filter(|&other| other != index);
                    return insert(rest.map(|index| &notes[index]), cx);
                }
                insert(notes.iter(), cx)?;
                if at("errs").is_some() {
                    return Err(Error::msg("one of them"));
                }
                if at("waits").is_some() && !std::mem::replace(&mut *waited.lock().unwrap(), true) {
                    return Err(Error::unavailable("the other service is down"));
                }
                if at("tears").is_some() {
                    let _ = cx
                        .tx()
                        .execute("insert or rollback into taken values ('x')", []);
                    return insert(notes.iter(), cx).or(Ok(()));
                }
                Ok(())
            })
            .group("test")
            .on(async |_: Note2, _: &mut Cx<Sqlite>| Ok(()))
            .stop_after(200);
        let outcome = Service::new().with(consumer).run().await.unwrap();
        assert_eq!((outcome.handled, outcome.parked), (197, 3));
        let effects = file::numbers(&other, "select number from effects");
        let of_key = |key: i64| -> Vec<i64> {
            let numbers = effects.iter().copied();
            numbers.filter(|n| n % 50 != 25 && n % 7 == key).collect()
        };
        for key in 0..7 {
            let expected = (0..200).filter(|n| n % 50 != 25 && n % 7 == key);
            assert_eq!(of_key(key), expected.collect::<Vec<_>>(), "k{key}");
        }
        assert_eq!(effects.len(), 197, "and the one that waited");
        let mut kinds: Vec<String> = parked(&store)
            .await
            .into_iter()
            .map(|(kind, _)| kind)
            .collect();
        kinds.sort();
        assert_eq!(kinds, ["Failed", "Failed", "TransactionEnded"]);
    }
}
