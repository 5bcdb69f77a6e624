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
    use logpipe::store::sqlite::AckIn;
    use logpipe::store::sqlite::rusqlite::{Connection, Transaction, TransactionBehavior};
    use logpipe::{Delivery, Result};

    use super::*;
    use crate::file;

    struct Bench {
        store: Sqlite,
        connection: Connection,
    }

    impl Bench {
        async fn new() -> Self {
            let store = Sqlite::temporary().await.unwrap();
            let tables = "
                create table effects (number integer);
                create table taken (id text primary key);
                insert into taken values ('x')";
            let connection = file::open(&store, tables);
            Self { store, connection }
        }

        /// Begins a transaction and writes an effect.
        fn begin(&self, number: i64) -> Transaction<'_> {
            let behavior = TransactionBehavior::Immediate;
            let tx = Transaction::new_unchecked(&self.connection, behavior).unwrap();
            tx.execute("insert into effects values (?)", [number])
                .unwrap();
            tx
        }

        /// Writes an effect and settles in one transaction, which is returned open.
        fn write(&self, delivery: Delivery<AnyNote, Sqlite>) -> Result<Transaction<'_>> {
            let tx = self.begin(delivery.message.0.number);
            delivery.receipt.ack_in(&tx)?;
            Ok(tx)
        }

        fn effects(&self) -> Vec<i64> {
            file::numbers(
                &self.connection,
                "select number from effects order by rowid",
            )
        }

        /// Where the lane stands, and how many records are settled above that.
        async fn position(&self) -> (Cursor, u64) {
            let lane = self.store.lanes(None).await.unwrap().remove(0);
            (lane.cursor, lane.settled)
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
                2 | 3 => bench.write(delivery).unwrap().rollback().unwrap(),
                _ => bench.write(delivery).unwrap().commit().unwrap(),
            }
        }
        // What was rolled back comes again, as if nothing had been: attempts are counted from a claim on.
        assert!(came.len() > 6, "{came:?}");
        let mut effects = bench.effects();
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
        let tx = bench.write(first).unwrap();
        let next = tokio::time::timeout(Duration::from_millis(300), deliveries.next());
        assert!(next.await.is_err(), "the lane goes on when it is committed");
        tx.commit().unwrap();
        let second = deliveries.next().await.unwrap().unwrap();
        assert_eq!(second.message.0.number, 2);
        bench.write(second).unwrap().commit().unwrap();
        assert!(deliveries.next().await.unwrap().is_none());
        assert_eq!(bench.effects(), [1, 2]);
    }

    /// Another process took the lane: the loop hears of it and rolls back.
    #[tokio::test]
    async fn a_lost_lane_settles_nothing() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1)]).await;
        let mut deliveries = consumer(&log, &bench.store).deliveries::<AnyNote>();
        let delivery = deliveries.next().await.unwrap().unwrap();
        let taken = "update logpipe_lanes set epoch = epoch + 1";
        bench.connection.execute(taken, []).unwrap();
        let error = bench.write(delivery).unwrap_err();
        assert!(error.is_fenced(), "{error}");
        assert_eq!(bench.effects(), [] as [i64; 0]);
        let again = deliveries.next().await.unwrap().unwrap();
        bench.write(again).unwrap().commit().unwrap();
        assert_eq!(bench.effects(), [1]);
    }

    #[tokio::test]
    async fn without_a_transaction_nothing_is_settled() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1)]).await;
        let mut deliveries = consumer(&log, &bench.store).deliveries::<AnyNote>();
        let delivery = deliveries.next().await.unwrap().unwrap();
        let error = delivery.receipt.ack_in(&bench.connection).unwrap_err();
        assert!(error.to_string().contains("begin one"), "{error}");
        assert_eq!(deliveries.next().await.unwrap().unwrap().attempt, 2);
    }

    /// What is written after that is committed on its own, and settling must not be among it.
    #[tokio::test]
    async fn a_transaction_that_a_statement_ended_settles_nothing() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1)]).await;
        let mut deliveries = consumer(&log, &bench.store)
            .stop_after(1)
            .deliveries::<AnyNote>();
        let delivery = deliveries.next().await.unwrap().unwrap();
        let tx = bench.begin(1);
        let ends_it = "insert or rollback into taken values ('x')";
        tx.execute(ends_it, []).unwrap_err();
        tx.execute("insert into taken values ('y')", []).unwrap();
        let error = delivery.receipt.ack_in(&tx).unwrap_err();
        assert!(error.to_string().contains("has ended it"), "{error}");
        drop(tx);
        assert_eq!(bench.position().await, (Cursor::Start, 0));
        assert_eq!(bench.effects(), [] as [i64; 0]);

        let again = deliveries.next().await.unwrap().unwrap();
        assert_eq!((again.message.0.number, again.attempt), (1, 2));
        bench.write(again).unwrap().commit().unwrap();
        assert!(deliveries.next().await.unwrap().is_none());
        assert_eq!(bench.effects(), [1]);
    }

    /// Above the cursor only the loop's own transaction says that the record is done. Nothing that the store writes
    /// afterwards may be needed: here it can't write.
    #[tokio::test(start_paused = true)]
    async fn what_the_loop_committed_above_the_cursor_is_done() {
        let bench = Bench::new().await;
        let log = log_of(&[note("a", 1), note("b", 2), note("c", 3)]).await;
        let consumer = || {
            consumer(&log, &bench.store).set(|settings| {
                settings.retry.first_delay_ms = 60_000;
                settings.retry.longest_delay_ms = 60_000;
            })
        };
        let mut deliveries = consumer().stop_after(3).deliveries::<AnyNote>();
        let mut next = async |number| {
            let delivery = deliveries.next().await.unwrap().unwrap();
            assert_eq!(delivery.message.0.number, number);
            delivery
        };
        next(1).await.receipt.retry();
        let tx = bench.write(next(2).await).unwrap();
        tx.execute_batch(
            "create trigger full before update of updated_at on logpipe_lanes
             begin select raise(abort, 'no room'); end",
        )
        .unwrap();
        tx.commit().unwrap();
        let third = next(3).await;
        assert_eq!(bench.position().await, (Cursor::Start, 1));
        bench.connection.execute_batch("drop trigger full").unwrap();
        bench.write(third).unwrap().commit().unwrap();
        let first = next(1).await;
        assert_eq!(first.attempt, 2);
        bench.write(first).unwrap().commit().unwrap();
        assert!(deliveries.next().await.unwrap().is_none());
        assert_eq!(bench.effects(), [2, 3, 1]);

        let left = consumer().idle_timeout(Duration::from_secs(30));
        assert!(left.deliveries::<AnyNote>().next().await.unwrap().is_none());
    }
}
