//! Do consumers end as they were told to, with exactly what they handled behind their positions, when shards are about to
//! move to somebody else?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use logpipe::record::LaneId;
use logpipe::sink::Sent;
use logpipe::source::Event;
use logpipe::store::Sqlite;
use logpipe::{Consumer, Cx, Log};
use tokio::sync::Semaphore;

use crate::effects::{self, Effects, assert_each_once_in_order};
use crate::shared::{self, IDLE, Note, Running, Seen, until};
use crate::{Bed, GROUP, STREAM, assigned, soon};

const SHARDS: i32 = 4;
const RECORDS: i64 = 200;

/// Records that one transaction takes.
const RUN: usize = 5;

/// Records that are handled before somebody else joins.
const BEFORE: usize = 2 * RUN;

/// After how many to stop.
const ENOUGH: u64 = 25;

#[derive(Debug, Clone, Copy)]
enum End {
    Idle,
    Enough,
    Signal,
}

/// A stream with records in every shard, and a database for positions and effects.
struct Place {
    bed: Bed,
    log: Log,
    store: Sqlite,
    effects: Effects,
    /// Where each record is.
    sent: Vec<Sent>,
}

impl Place {
    async fn new() -> Self {
        let bed = Bed::new(SHARDS).await;
        let log = Log::new(bed.log.clone());
        let effects = Effects::create(bed.folder.path());
        let store = effects::file(bed.folder.path());
        let notes: Vec<Note> = (0..RECORDS)
            .map(|number| Note {
                id: (number % 40).to_string(),
                number,
            })
            .collect();
        let producer = log.producer(STREAM).await.unwrap();
        let sent = producer.send_all(&notes).await.unwrap();
        let shards: BTreeSet<&str> = sent.iter().map(|sent| sent.lane.shard()).collect();
        assert_eq!(shards.len(), SHARDS as usize, "a shard has no record");
        Self {
            store: Sqlite::open(store).await.unwrap(),
            sent,
            bed,
            log,
            effects,
        }
    }

    /// Waits until every member of the group has looked at it once more. Each says so every few seconds.
    async fn everybody_looked(&self) {
        let leases = effects::open(&self.bed.folder.path().join("leases.db"));
        let members = || -> BTreeMap<String, i64> {
            let query = "select id, expires from members";
            let members: Vec<(String, i64)> = effects::rows(&leases, query, |row| row.try_into());
            members.into_iter().collect()
        };
        let before = members();
        assert_eq!(before.len(), 2, "{before:?}");
        let all = async {
            loop {
                let now = members();
                if before.iter().all(|(id, expires)| now[id] > *expires) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        soon(all).await;
    }

    /// A consumer whose every record needs a permit, and whose lanes take turns.
    fn consumer(&self, seen: &Seen, gate: &Arc<Semaphore>) -> Consumer<Sqlite> {
        Consumer::with_store(self.log.source(STREAM), self.store.clone())
            .group(GROUP)
            .set(|settings| settings.run = RUN)
            .on_with(
                (seen.clone(), gate.clone()),
                async |(seen, gate): &(Seen, Arc<Semaphore>), note: Note, cx: &mut Cx<Sqlite>| {
                    seen.push(note.number);
                    gate.acquire().await.expect("is never closed").forget();
                    effects::write(cx, &note, "")
                },
            )
    }

    /// The numbers of the records that the stored positions call settled.
    async fn settled(&self) -> BTreeSet<i64> {
        self.effects.settled(&self.store, &self.sent).await
    }

    /// The numbers of the records that have an effect, each once.
    async fn handled(&self) -> BTreeSet<i64> {
        let effects = self.effects.all();
        let numbers: BTreeSet<i64> = effects.iter().map(|effect| effect.number).collect();
        assert_eq!(numbers.len(), effects.len(), "effects that happened twice");
        numbers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_ends_in_a_rebalance_leaves_exactly_what_it_handled_settled() {
    tokio::join!(
        ends_in_a_rebalance(End::Idle),
        ends_in_a_rebalance(End::Enough),
        ends_in_a_rebalance(End::Signal),
    );
}

async fn ends_in_a_rebalance(end: End) {
    let place = Place::new().await;
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(BEFORE)));
    let consumer = place.consumer(&seen, &gate);
    let first = Running::start(match end {
        End::Idle => consumer.idle_timeout(IDLE),
        End::Enough => consumer.stop_after(ENOUGH),
        End::Signal => consumer,
    });
    until("two runs are handled, and a handler waits", || {
        let handled = first.monitor.health().consumers[0].handled;
        handled == BEFORE as u64 && seen.all().len() == BEFORE + 1
    })
    .await;

    // Somebody to whom half of the shards fall, and who reads nothing. While the handler waits, the first one learns that
    // it has to give them up.
    let second = place.bed.join().await;
    assert!(matches!(soon(second.event()).await, Ok(Event::Joined)));
    place.everybody_looked().await;

    let (outcome, ()) = match end {
        End::Idle | End::Enough => tokio::join!(first.ended(), async { gate.add_permits(1_000) }),
        End::Signal => tokio::join!(first.stop(), async { gate.add_permits(100) }),
    };
    assert!(outcome.held.is_empty(), "{end:?}: {:?}", outcome.held);
    let handled = place.handled().await;
    let count = handled.len() as u64;
    assert_eq!(outcome.handled, count, "{end:?}");
    let dispatched = BTreeSet::from_iter(seen.all());
    assert_eq!(dispatched, handled, "{end:?}: handed over and not settled");
    assert_eq!(place.settled().await, handled, "{end:?}: positions");
    match end {
        End::Enough => assert_eq!(count, ENOUGH),
        // The runs that were under way.
        End::Signal => assert!((BEFORE as u64 + 1..RECORDS as u64).contains(&count)),
        // All that is in the shards it kept, and of the others what was under way.
        End::Idle => {
            let is_whole = |lane: &LaneId| {
                let mut numbers = (0..)
                    .zip(&place.sent)
                    .filter(|(_, sent)| sent.lane == *lane);
                numbers.all(|(number, _)| handled.contains(&number))
            };
            let lanes = BTreeSet::from_iter(place.sent.iter().map(|sent| &sent.lane));
            let whole = lanes.into_iter().filter(|lane| is_whole(lane)).count();
            assert_eq!(whole, SHARDS as usize / 2);
        }
    }

    let mut moved = 0;
    while moved < SHARDS as usize {
        moved += assigned(&*second).await.len();
    }
    soon(second.leave()).await.unwrap();
    gate.add_permits(1_000);
    let rest = shared::run(place.consumer(&Seen::default(), &gate)).await;
    assert_eq!(rest.handled + count, RECORDS as u64, "{end:?}: the rest");
    assert_each_once_in_order(&place.effects.all(), RECORDS);
    let settled = place.settled().await.len();
    assert_eq!(settled, RECORDS as usize, "{end:?}: at the end");
}
