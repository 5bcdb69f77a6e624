//! Whether a reader that meets what readers of Kinesis meet loses nothing and reads nothing twice.

use std::time::{Duration, Instant};

use logpipe::record::{Cursor, LaneId, Start};
use logpipe::source::{Backend, Fetched};

use crate::{Bed, STREAM, assigned, numbers, read_all, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iterator_that_expired_is_made_anew_behind_the_last_record() {
    let bed = Bed::new(1).await;
    let (lane, _) = bed.send(0..10).await;
    let mut reader = bed.open(&lane, &Cursor::Start).await;
    let mut read = numbers(&read_all(&mut *reader).await);
    for round in 1..=3 {
        bed.server.faults().expire_iterators();
        bed.send(round * 10..round * 10 + 10).await;
        while read.len() < round * 10 + 10 {
            read.extend(numbers(&read_all(&mut *reader).await));
        }
    }
    assert!(read.iter().copied().eq(0..40), "{read:?}");
    assert_eq!(bed.server.faults().calls("GetShardIterator"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled_reads_slow_down_and_lose_nothing() {
    let bed = Bed::new(1).await;
    let (lane, _) = bed.send(0..10).await;
    bed.server.faults().throttle_reads(4);
    let began = Instant::now();
    let mut reader = bed.open(&lane, &Cursor::Start).await;
    let read = numbers(&read_all(&mut *reader).await);
    assert!(read.iter().copied().eq(0..10), "{read:?}");
    assert!(bed.server.faults().are_spent());
    // Longer and longer, with jitter: half of 200, 400, 800 and 1,600 ms at least.
    assert!(began.elapsed() > Duration::from_millis(1_500));
}

/// Readers of one process share the pace: two that read as fast as they may, and one that comes and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_read_five_times_a_second_at_most() {
    let bed = Bed::new(1).await;
    let (lane, _) = bed.send(0..10).await;
    let until = Instant::now() + Duration::from_secs(3);
    let reading = async || {
        let mut reader = bed.open(&lane, &Cursor::Start).await;
        while Instant::now() < until {
            reader.ready().await.unwrap();
            reader.fetch(crate::PLENTY).await.unwrap();
        }
    };
    let coming_and_going = async || {
        while Instant::now() < until {
            let mut reader = bed.open(&lane, &Cursor::Start).await;
            let read =
                tokio::time::timeout(Duration::from_millis(100), reader.fetch(crate::PLENTY));
            let _ = read.await;
        }
    };
    tokio::join!(reading(), reading(), coming_and_going());
    let most = bed.server.faults().most_reads_in_a_second();
    assert!((3..=5).contains(&most), "{most} reads in a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_of_shards_comes_in_pages() {
    let bed = Bed::new(7).await;
    bed.server.faults().page_shards(2);
    let before = bed.server.faults().calls("ListShards");
    let lanes = bed.log.lanes(STREAM).await.unwrap();
    assert_eq!(lanes.len(), 7);
    assert_eq!(bed.server.faults().calls("ListShards") - before, 4);
    let source = bed.join().await;
    let mut all = 0;
    while all < 7 {
        all += assigned(&*source).await.len();
    }
}

/// A group that begins with the latest record sees nothing older, and everything newer: what a shard's children hold
/// that were made after it began, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_record_is_a_place_that_stays() {
    let bed = Bed::new(1).await;
    let (lane, positions) = bed.send(0..5).await;
    let source = bed.join().await;
    assert_eq!(assigned(&*source).await[0].lane, lane);
    let cursor = soon(source.resolve(&lane, &Start::Latest)).await.unwrap();
    assert_eq!(cursor, Cursor::After(positions[4].clone()));
    bed.send(5..8).await;
    let mut reader = bed.open(&lane, &cursor).await;
    assert_eq!(numbers(&read_all(&mut *reader).await), [5, 6, 7]);

    let children = bed.server.admin().split(STREAM, lane.shard()).await;
    bed.send(8..10).await;
    while !matches!(
        soon(reader.fetch(crate::PLENTY)).await.unwrap(),
        Fetched::Ended
    ) {}
    soon(source.finish(&lane)).await.unwrap();
    let mut begun = 0;
    while begun < children.len() {
        for assigned in assigned(&*source).await {
            assert!(children.iter().any(|child| child == assigned.lane.shard()));
            let cursor = source
                .resolve(&assigned.lane, &Start::Latest)
                .await
                .unwrap();
            assert_eq!(
                cursor,
                Cursor::Start,
                "a child begins where its parent ended"
            );
            begun += 1;
        }
    }

    // Another group begins when all that is past: to it the children are as any other shard.
    let child = LaneId::new(STREAM, &*children[0]);
    let cursor = bed.log.resolve(&child, &Start::Latest).await.unwrap();
    assert_ne!(cursor, Cursor::Start);
}
