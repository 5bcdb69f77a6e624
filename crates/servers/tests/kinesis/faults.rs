//! Do a producer and a consumer lose nothing, and double no effect, under everything that Kinesis does to them at once?

use std::collections::BTreeMap;

use logpipe::record::Cursor;
use logpipe::sink::SendError;
use logpipe::source::Backend;
use logpipe::store::Sqlite;
use logpipe::{Consumer, Cx, Log, Producer};
use tokio::sync::watch;

use crate::effects::{self, Effects};
use crate::shared::{Note, Running, until};
use crate::{Bed, GROUP, STREAM, read_all, soon};

const SHARDS: i32 = 5;
const WRITERS: i64 = 8;
const KEYS: i64 = 40;
/// Of each key.
const RECORDS: i64 = 20;
/// As many parts the records are sent in, each when a round of faults more has begun: it meets them then, however fast the
/// machine is.
const ROUNDS: i64 = 4;

/// Sends the records of its keys, each until it is there for certain; returns how often it had to be sent again because
/// nobody knew.
async fn write(producer: Producer, writer: i64, mut rounds: watch::Receiver<i64>) -> usize {
    let mut again = 0;
    for number in 0..RECORDS {
        let part = number * ROUNDS / RECORDS;
        soon(rounds.wait_for(|round| *round >= part)).await.unwrap();
        for key in (0..KEYS).filter(|key| key % WRITERS == writer) {
            let note = Note {
                id: key.to_string(),
                number,
            };
            loop {
                match soon(producer.send(&note)).await {
                    Ok(_) => break,
                    Err(error @ SendError::MaybeWritten(_)) => {
                        assert!(error.is_retriable(), "{error}");
                        again += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    again
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_faults_at_once_lose_nothing_and_double_no_effect() {
    let bed = Bed::new(SHARDS).await;
    let faults = bed.server.faults();
    faults.page_shards(2);
    let log = Log::new(bed.log.clone());
    let effects = Effects::create(bed.folder.path());
    let store = Sqlite::open(effects::file(bed.folder.path()))
        .await
        .unwrap();
    let consumer = Consumer::with_store(log.source(STREAM), store)
        .group(GROUP)
        .on(async |note: Note, cx: &mut Cx<Sqlite>| effects::write(cx, &note, ""));
    let running = Running::start(consumer);
    let handled = || running.monitor.health().consumers[0].handled;

    let (round, rounds) = watch::channel(0);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let producer = log.producer(STREAM).await.unwrap();
        writers.push(tokio::spawn(write(producer, writer, rounds.clone())));
    }
    // A round of faults as soon as the one before is spent, and something was handled since.
    let mut before = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        if faults.are_spent() && handled() > before {
            before = handled();
            faults.expire_iterators();
            faults.throttle_reads(3);
            faults.refuse_some_of_puts(2);
            faults.lose_answers(1);
            round.send_modify(|round| *round += 1);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut again = 0;
    for writer in writers {
        again += writer.await.unwrap();
    }
    assert!(again >= 3, "only {again} answers were lost");

    // Only who reads the log knows how often a record is in it whose answer was lost.
    let mut written: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for extent in bed.log.lanes(STREAM).await.unwrap() {
        let mut reader = bed.open(&extent.lane, &Cursor::Start).await;
        for record in read_all(&mut *reader).await {
            let value = record.value.as_deref().unwrap();
            let json = value.strip_prefix(b"json:").unwrap();
            let note: serde_json::Value = serde_json::from_slice(json).unwrap();
            let number = note["message"]["number"].as_i64().unwrap();
            let key = note["message"]["id"].as_str().unwrap().to_owned();
            written.entry(key).or_default().push(number);
        }
    }
    let count = written.values().map(Vec::len).sum::<usize>();
    assert!(count > (KEYS * RECORDS) as usize, "no answer was lost");
    assert_eq!(written.len(), KEYS as usize);
    for numbers in written.values() {
        let mut once = numbers.clone();
        once.dedup();
        assert!(once.into_iter().eq(0..RECORDS), "{numbers:?}");
    }

    until("all that is in the log is handled", || {
        handled() >= count as u64
    })
    .await;
    let outcome = running.stop().await;
    assert_eq!((outcome.handled, outcome.parked), (count as u64, 0));
    let mut happened: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for effect in effects.all() {
        happened.entry(effect.key).or_default().push(effect.number);
    }
    assert_eq!(happened, written);
}
