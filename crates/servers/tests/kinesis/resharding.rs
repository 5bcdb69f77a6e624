//! Does a consumer go on over splits and merges, with records coming all the while?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logpipe::store::Sqlite;
use logpipe::{Consumer, Cx, Log, Producer};

use crate::effects::{self, Effects, assert_each_once_in_order};
use crate::shared::{Note, Running, until};
use crate::{Bed, GROUP, STREAM, soon};

/// Shorter than the run, longer than the gap between two reads of a shard.
const IDLE: Duration = Duration::from_millis(1_500);

/// Sends notes of many keys, one after the other, until it is told to stop; returns how many.
async fn send_steadily(producer: Producer, stop: Arc<AtomicBool>) -> i64 {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let note = Note {
            id: (number % 40).to_string(),
            number,
        };
        soon(producer.send(&note)).await.unwrap();
        number += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    number
}

/// A shard gives way to its children, and for a moment the consumer has none; it is not idle for that, not even where the
/// stream's list takes longer to come than the idle timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_consumer_is_not_idle_between_a_shard_and_its_children() {
    let bed = Bed::new(1).await;
    let log = Log::new(bed.log.clone());
    let effects = Effects::create(bed.folder.path());
    let store = Sqlite::open(effects::file(bed.folder.path()))
        .await
        .unwrap();
    let consumer = Consumer::with_store(log.source(STREAM), store)
        .group(GROUP)
        .on(async |note: Note, cx: &mut Cx<Sqlite>| effects::write(cx, &note, ""))
        .idle_timeout(IDLE);
    let stop = Arc::new(AtomicBool::new(false));
    let producer = log.producer(STREAM).await.unwrap();
    let sending = tokio::spawn(send_steadily(producer, stop.clone()));
    let running = Running::start(consumer);
    let lanes = |running: &Running| -> Vec<String> {
        let health = running.monitor.health();
        let lanes = health.consumers[0].lanes.iter();
        lanes.map(|lane| lane.lane.shard().to_owned()).collect()
    };
    let handled = |running: &Running| running.monitor.health().consumers[0].handled;

    let admin = bed.server.admin();
    let [first] = &admin.shards(STREAM).await[..] else {
        panic!("one shard was asked for");
    };
    until("records are handled", || handled(&running) > 100).await;
    tokio::time::sleep(IDLE).await;
    bed.server.faults().delay("ListShards", 2 * IDLE);
    let children = admin.split(STREAM, &first.shard_id).await;
    until("the children are read", || {
        running.task.is_finished() || lanes(&running) == children
    })
    .await;
    assert!(!running.task.is_finished(), "it ended at the split");
    bed.server.faults().delay("ListShards", Duration::ZERO);
    let merged = admin.merge(STREAM, &children[0], &children[1]).await;
    until("the child of both is read", || {
        running.task.is_finished() || lanes(&running) == [merged.as_str()]
    })
    .await;
    assert!(!running.task.is_finished(), "it ended at the merge");
    stop.store(true, Ordering::SeqCst);
    let sent = sending.await.unwrap();
    let outcome = running.ended().await;
    assert_eq!(outcome.handled, sent as u64);
    assert_each_once_in_order(&effects.all(), sent);
}
