//! Effects, positions and parking in one SQLite file, behind the log in SQLite files: exactly once, whatever handlers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logpipe::store::sqlite::sqlx;
use logpipe::store::{Administration, Filter, Sqlite};
use logpipe::{Consumer, Cx, Error, Log, Outcome, Service};

use crate::note::{Note, Note2, Seen, note};

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

async fn insert(note: &Note, cx: &mut Cx<Sqlite>) -> logpipe::Result {
    let statement = sqlx::query("insert into effects values (?, ?)");
    statement
        .bind(&note.id)
        .bind(note.number)
        .execute(cx.tx())
        .await?;
    Ok(())
}

#[tokio::test]
async fn effects_happen_once_whatever_handlers_do() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::local(folder.path().join("log")).await.unwrap();
    let file = folder.path().join("app.db");
    let store = Sqlite::open(&file).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("create table effects (id text, number integer)")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("create table taken (id text primary key)")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("insert into taken values ('x')")
        .execute(&pool)
        .await
        .unwrap();

    // Twenty keys, among them some whose handlers misbehave in each way, amid records of others in the same runs.
    let misbehaving = ["fails-once", "tears", "commits", "swallows", "panics"];
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
        insert(&note, cx).await?;
        match &*note.id {
            "fails-once" if cx.attempt() == 1 => Err(Error::msg("the first time")),
            "tears" => {
                // Ends the transaction by itself; what follows would commit on its own.
                let torn = sqlx::query("insert or rollback into taken values ('x')");
                let _ = torn.execute(cx.tx()).await;
                let _ = insert(&note, cx).await;
                Ok(())
            }
            "commits" => {
                let _ = sqlx::query("commit").execute(cx.tx()).await;
                let _ = insert(&note, cx).await;
                Ok(())
            }
            "swallows" => {
                let failing = sqlx::query("insert into taken values ('x')");
                assert!(failing.execute(cx.tx()).await.is_err());
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
    let expected: Vec<(String, i64)> = notes
        .iter()
        .filter(|note| !bad.contains(&&*note.id))
        .map(|note| (note.id.clone(), note.number))
        .collect();
    let effects: Vec<(String, i64)> =
        sqlx::query_as("select id, number from effects order by rowid")
            .fetch_all(&pool)
            .await
            .unwrap();
    let sorted = |mut rows: Vec<(String, i64)>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(effects.clone()), sorted(expected));
    for key in 0..20 {
        let of_key = effects.iter().filter(|(id, _)| *id == format!("k{key}"));
        assert!(of_key.map(|(_, number)| number).is_sorted(), "k{key}");
    }
    assert_eq!(outcome.parked, 3);
    let parked = store.parked(&Filter::default(), None, 10).await.unwrap();
    assert_eq!(parked.len(), 3);
    // The second run finds nothing to do.
    assert_eq!(run(consumer().on(handled)).await.handled, 0);
}

/// What only the commit refuses is the record's fault when it is redriven, too: it is parked again, and the others go on.
#[tokio::test]
async fn a_redriven_record_whose_commit_is_refused_is_parked_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("app.db")).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store.path());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for statement in [
        "create table parent (id integer primary key)",
        "create table child (parent references parent deferrable initially deferred)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
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
                    sqlx::query(statement).execute(cx.tx()).await?;
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
    let again: Vec<_> = parked
        .iter()
        .map(|parked| (&*parked.reason.kind, parked.ready, parked.attempts))
        .collect();
    assert_eq!(again, [("CommitRefused", false, 2); 2]);
}
