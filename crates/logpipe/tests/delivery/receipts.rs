//! A loop of one's own: receipts, and the position in a transaction of the loop's.

use std::time::Duration;

use logpipe::record::Cursor;
use logpipe::store::{Administration, Filter};
use logpipe::{AnyOf, Body, Consumer, Failure, Log, Store, Untyped, memory, store};

use crate::note::{Note, note};

/// A note, as the only type.
struct AnyNote(Note);

impl AnyOf for AnyNote {
    const TYPES: &'static [(&'static str, &'static [u32])] = &[("note", &[1])];

    fn decode(_: &str, version: u32, body: Body<'_>) -> Result<Self, Failure> {
        match version {
            1 => body.decode::<Note>().map(Self),
            _ => Err(body.unknown_version()),
        }
    }

    fn untyped(&self) -> &dyn Untyped {
        &self.0
    }
}

async fn log_of(notes: &[Note]) -> Log {
    let log = Log::new(memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    }));
    let producer = log.producer("notes").await.unwrap();
    producer.send_all(notes).await.unwrap();
    log
}

fn consumer<S: Store>(log: &Log, store: &S) -> Consumer<S> {
    Consumer::with_store(log.source("notes"), store.clone())
        .group("test")
        .set(|settings| settings.retry.first_delay_ms = 1)
}

/// Without a store durable means that the log has the position; and a loop that ends early takes no attempt from what it
/// has not seen.
#[tokio::test(start_paused = true)]
async fn where_the_log_keeps_positions_an_acknowledgement_is_in_the_log() {
    let log = log_of(&[note("a", 1), note("b", 2), note("a", 3), note("a", 4)]).await;
    let deliveries = || {
        let consumer = Consumer::new(log.source("notes")).group("test");
        let consumer = consumer.dead_letter("dead").set(|settings| {
            settings.retry.attempts = 2;
            settings.retry.first_delay_ms = 60_000;
        });
        consumer.deliveries::<AnyNote>()
    };
    let saved = async || {
        let saved = log.backend().saved("test").await.unwrap();
        saved.into_iter().map(|(_, cursor)| cursor).next()
    };
    let mut first = deliveries();
    let mut next = async || first.next().await.unwrap().unwrap();
    let again = next().await;
    assert_eq!(again.message.0.number, 1);
    again.receipt.retry();
    // Behind one that waits for its retry there is no position that could say so; and the loop must not wait for it.
    let above = next().await;
    assert_eq!(above.message.0.number, 2);
    let minute = Duration::from_secs(60);
    let acknowledged = tokio::time::timeout(minute / 2, above.receipt.ack()).await;
    acknowledged.expect("it does not wait").unwrap();
    assert_eq!(saved().await, Some(Cursor::Start));
    for (number, cursor) in [(1, 1), (3, 2)] {
        let delivery = next().await;
        assert_eq!(delivery.message.0.number, number);
        delivery.receipt.ack().await.unwrap();
        assert_eq!(saved().await, Some(Cursor::After(cursor.into())));
    }
    tokio::time::sleep(minute).await;
    let outcome = first.close().await.unwrap();
    assert_eq!((outcome.handled, outcome.parked), (3, 0));

    let mut second = deliveries();
    let last = second.next().await.unwrap().unwrap();
    assert_eq!((last.message.0.number, last.attempt), (4, 1));
    last.receipt.ack().await.unwrap();
    assert_eq!(second.close().await.unwrap().handled, 1);
}

/// A receipt that was not used is no acknowledgement.
#[tokio::test(start_paused = true)]
async fn every_way_to_settle_does_what_it_says() {
    let log = log_of(&[note("a", 1), note("a", 2), note("a", 3)]).await;
    let store = store::Memory::new();
    let consumer = || consumer(&log, &store).idle_timeout(Duration::from_secs(30));
    let mut deliveries = consumer().deliveries::<AnyNote>();
    let mut came = Vec::new();
    while let Some(delivery) = deliveries.next().await.unwrap() {
        came.push((delivery.message.0.number, delivery.attempt));
        match came.len() {
            1 => drop(delivery.receipt),
            2 => delivery.receipt.retry(),
            3 => delivery.receipt.ack().await.unwrap(),
            _ => delivery.receipt.park("enough"),
        }
    }
    // The third queues behind the second, which is parked.
    assert_eq!(came, [(1, 1), (1, 2), (1, 3), (2, 1)]);
    let parked = || async {
        store
            .parked(&Filter::default(), None, 10)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(parked().await, 2);
    let mut deliveries = consumer().deliveries::<AnyNote>();
    assert!(deliveries.next().await.unwrap().is_none());

    // What is redriven comes to the loop, too.
    store.redrive(&Filter::default()).await.unwrap();
    let mut deliveries = consumer().deliveries::<AnyNote>();
    while let Some(delivery) = deliveries.next().await.unwrap() {
        came.push((delivery.message.0.number, delivery.attempt));
        delivery.receipt.ack().await.unwrap();
    }
    assert_eq!(came[4..], [(2, 2), (3, 1)]);
    assert_eq!(parked().await, 0);
}

/// Nobody is told that a position is stored which is not.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_not_durable_is_an_error() {
    let log = log_of(&[note("a", 1)]).await;
    let store = store::Memory::new();
    let mut deliveries = consumer(&log, &store).stop_after(1).deliveries::<AnyNote>();
    let first = deliveries.next().await.unwrap().unwrap();
    store.fail_next_commit(store::Fault::Lost);
    assert!(first.receipt.ack().await.unwrap_err().is_fenced());
    let again = deliveries.next().await.unwrap().unwrap();
    assert_eq!(again.message.0.number, 1);
    again.receipt.ack().await.unwrap();
    assert!(deliveries.next().await.unwrap().is_none());
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use logpipe::store::Sqlite;
    use logpipe::store::sqlite::sqlx;
    use logpipe::{Delivery, Result};

    use super::*;

    struct Bench {
        store: Sqlite,
        pool: sqlx::SqlitePool,
    }

    impl Bench {
        async fn new() -> Self {
            let store = Sqlite::temporary().await.unwrap();
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store.path());
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            let table = sqlx::query("create table effects (number integer)");
            table.execute(&pool).await.unwrap();
            Self { store, pool }
        }

        /// Writes an effect and settles in one transaction, which is returned open.
        async fn write(
            &self,
            delivery: Delivery<AnyNote, Sqlite>,
        ) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
            let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("insert into effects values (?)")
                .bind(delivery.message.0.number)
                .execute(&mut *tx)
                .await?;
            delivery.receipt.ack_in(&mut tx).await?;
            Ok(tx)
        }

        async fn effects(&self) -> Vec<i64> {
            let numbers = sqlx::query_scalar("select number from effects order by rowid");
            numbers.fetch_all(&self.pool).await.unwrap()
        }
    }

    #[tokio::test]
    async fn the_position_moves_with_the_loops_transaction_or_not_at_all() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1), note("b", 2), note("c", 3), note("d", 4)]).await;
        let consumer = || consumer(&log, &bench.store);
        let mut deliveries = consumer().stop_after(4).deliveries::<AnyNote>();
        let mut came = Vec::new();
        while let Some(delivery) = deliveries.next().await.unwrap() {
            came.push((delivery.message.0.number, delivery.attempt));
            match came.len() {
                // Waits for its next attempt, while later ones are settled above the cursor.
                1 => delivery.receipt.retry(),
                2 | 3 => bench
                    .write(delivery)
                    .await
                    .unwrap()
                    .rollback()
                    .await
                    .unwrap(),
                _ => bench.write(delivery).await.unwrap().commit().await.unwrap(),
            }
        }
        // What was rolled back comes again, as if nothing had been: attempts are counted from a claim on.
        assert!(came.len() > 6, "{came:?}");
        let mut effects = bench.effects().await;
        effects.sort_unstable();
        assert_eq!(effects, [1, 2, 3, 4], "{came:?}");
        let left = consumer().idle_timeout(Duration::from_millis(200));
        assert!(left.deliveries::<AnyNote>().next().await.unwrap().is_none());
    }

    /// A transaction that is still open is waited for, and nothing is delivered twice because of it.
    #[tokio::test]
    async fn an_open_transaction_is_waited_for() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1), note("b", 2)]).await;
        let mut deliveries = consumer(&log, &bench.store)
            .stop_after(2)
            .deliveries::<AnyNote>();
        let first = deliveries.next().await.unwrap().unwrap();
        let tx = bench.write(first).await.unwrap();
        let next = tokio::time::timeout(Duration::from_millis(300), deliveries.next());
        assert!(next.await.is_err(), "the lane goes on when it is committed");
        tx.commit().await.unwrap();
        let second = deliveries.next().await.unwrap().unwrap();
        assert_eq!(second.message.0.number, 2);
        bench.write(second).await.unwrap().commit().await.unwrap();
        assert!(deliveries.next().await.unwrap().is_none());
        assert_eq!(bench.effects().await, [1, 2]);
    }

    /// Another process took the lane: the loop hears of it and rolls back.
    #[tokio::test]
    async fn a_lost_lane_settles_nothing() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1)]).await;
        let mut deliveries = consumer(&log, &bench.store).deliveries::<AnyNote>();
        let delivery = deliveries.next().await.unwrap().unwrap();
        let taken = "update logpipe_lanes set epoch = epoch + 1";
        sqlx::query(taken).execute(&bench.pool).await.unwrap();
        let error = bench.write(delivery).await.unwrap_err();
        assert!(error.is_fenced(), "{error}");
        assert_eq!(bench.effects().await, [] as [i64; 0]);
        let again = deliveries.next().await.unwrap().unwrap();
        bench.write(again).await.unwrap().commit().await.unwrap();
        assert_eq!(bench.effects().await, [1]);
    }

    #[tokio::test]
    async fn without_a_transaction_nothing_is_settled() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1)]).await;
        let mut deliveries = consumer(&log, &bench.store).deliveries::<AnyNote>();
        let delivery = deliveries.next().await.unwrap().unwrap();
        let mut connection = bench.pool.acquire().await.unwrap();
        let error = delivery.receipt.ack_in(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("begin one"), "{error}");
        assert_eq!(deliveries.next().await.unwrap().unwrap().attempt, 2);
    }
}
