//! Does a database that others hold for a minute cost anything but that minute, while Kafka goes on delivering?

use std::time::{Duration, Instant};

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::{Connection, params};
use logpipe::{Consumer, Cx};
use logpipe_servers::kafka::{create_topic, shared};

use crate::support::{self, Note, PATIENCE, Running, until};

/// For this long nobody else can write; ten sessions, and twelve times what a transaction waits.
const LOCKED: Duration = Duration::from_secs(60);

/// Between two batches, before, while and after the file is locked.
const PACE: Duration = Duration::from_millis(100);

/// Records of a batch, of 20 keys in turn.
const BATCH: i64 = 10;

/// Work goes on within this.
const SOON: Duration = Duration::from_secs(5);

fn batch(number: i64) -> Vec<Note> {
    let note = |number: i64| Note {
        id: (number % 20).to_string(),
        number,
    };
    (number * BATCH..(number + 1) * BATCH).map(note).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_locked_for_a_minute_parks_nothing_and_work_goes_on_at_once() {
    let (bootstrap, topic) = (shared(), format!("locked-{}", std::process::id()));
    create_topic(&bootstrap, &topic, 4).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = support::log(&bootstrap);
    let store = Sqlite::open(folder.path().join("app.db")).await.unwrap();
    let other = Connection::open(store.path()).unwrap();
    // No unique key: an effect that happened twice is seen.
    other
        .execute_batch("create table effects (id text, number integer, attempt integer)")
        .unwrap();

    let consumer = Consumer::with_store(log.source(&*topic), store)
        .group(&topic)
        .on(async |note: Note, cx: &mut Cx<Sqlite>| {
            let attempt = cx.attempt();
            cx.tx().execute(
                "insert into effects values (?, ?, ?)",
                params![note.id, note.number, attempt],
            )?;
            Ok(())
        });
    let running = Running::start(consumer);
    let handled = || running.monitor.health().consumers[0].handled as i64;

    let producer = log.producer(&topic).await.unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while stopped.try_recv().is_err() {
            producer.send_all(&batch(sent)).await.unwrap();
            sent += 1;
            tokio::time::sleep(PACE).await;
        }
        sent * BATCH
    });
    until("records are handled", || handled() > 100).await;

    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (locked, before) = (Instant::now(), handled());
    until("lanes wait, and say for what", || {
        running.why().contains("others have held")
    })
    .await;
    tokio::time::sleep(LOCKED.saturating_sub(locked.elapsed())).await;
    // The commits that the lock was behind.
    assert_eq!(handled(), before, "the file was not locked");
    assert!(running.why().contains("others have held"));
    other.execute_batch("ROLLBACK").unwrap();
    let freed = Instant::now();
    until("work goes on", || handled() > before).await;
    let resumed = freed.elapsed();
    println!(
        "locked for {:?}, {before} records handled before, went on {resumed:?} after it",
        freed - locked
    );
    assert!(resumed < SOON, "it took {resumed:?}");

    stop.send(()).unwrap();
    let sent = sending.await.unwrap();
    assert!(sent > before + 100);
    until("all is handled", || handled() == sent).await;
    running.idle().await;
    let outcome = tokio::time::timeout(PATIENCE, running.stop())
        .await
        .unwrap();
    assert_eq!((outcome.handled as i64, outcome.parked), (sent, 0));

    let counts: (i64, i64, i64) = other
        .query_row(
            "select count(*), count(distinct number), max(attempt) from effects",
            [],
            |row| row.try_into(),
        )
        .unwrap();
    assert_eq!(counts, (sent, sent, 1));
    let out_of_order: i64 = other
        .query_row(
            "select count(*) from effects a join effects b on b.id = a.id and b.rowid > a.rowid and b.number < a.number",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(out_of_order, 0, "a key's records were handled out of order");
}
