//! Whether what is written is written once and in order, and what is not is told.

use std::collections::BTreeMap;

use bytes::Bytes;
use logpipe::record::{Cursor, Header};
use logpipe::sink::{NewRecord, SendError};
use logpipe::source::Backend;

use crate::{Bed, STREAM, numbers, read_all, record, soon};

/// Everything in the stream, by key.
async fn by_key(bed: &Bed) -> BTreeMap<Bytes, Vec<usize>> {
    let mut found: BTreeMap<Bytes, Vec<usize>> = BTreeMap::new();
    for extent in bed.log.lanes(STREAM).await.unwrap() {
        let mut reader = bed.open(&extent.lane, &Cursor::Start).await;
        let records = read_all(&mut *reader).await;
        for record in &records {
            let numbers = numbers(std::slice::from_ref(record));
            found
                .entry(record.key.clone().unwrap())
                .or_default()
                .extend(numbers);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_goes_again_before_its_key_goes_on() {
    let bed = Bed::new(3).await;
    let sink = bed.log.sink(STREAM).await.unwrap();
    bed.server.faults().refuse_some_of_puts(30);
    let batches: Vec<_> = (0..20)
        .map(|n| sink.send((0..50).map(|key| record(&format!("k{key}"), n)).collect()))
        .collect();
    for results in soon(futures_util::future::join_all(batches)).await {
        for result in results {
            result.unwrap();
        }
    }
    assert!(bed.server.faults().are_spent());
    let found = by_key(&bed).await;
    assert_eq!(found.len(), 50);
    for numbers in found.values() {
        assert!(numbers.iter().copied().eq(0..20), "{numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_told_and_never_written_again() {
    let bed = Bed::new(2).await;
    let sink = bed.log.sink(STREAM).await.unwrap();
    bed.server.faults().lose_answers(1);
    let first = sink.send((0..20).map(|key| record(&format!("k{key}"), 0)).collect());
    let second = sink.send((0..20).map(|key| record(&format!("k{key}"), 1)).collect());
    for result in soon(first).await {
        match result {
            Err(error @ SendError::MaybeWritten(_)) => assert!(error.is_retriable(), "{error}"),
            other => panic!("an answer that was lost says nothing: {other:?}"),
        }
    }
    assert!(soon(second).await.iter().all(Result::is_ok));
    soon(sink.flush()).await.unwrap();
    for numbers in by_key(&bed).await.values() {
        assert_eq!(*numbers, [0, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kinesis_can_not_carry_is_told_before_it_is_sent() {
    let bed = Bed::new(1).await;
    let sink = bed.log.sink(STREAM).await.unwrap();
    let good = || record("key", 1);
    let header = Header {
        name: "trace".into(),
        value: Bytes::from_static(b"1"),
    };
    let key = |key: &[u8]| Some(Bytes::copy_from_slice(key));
    let cases: [(NewRecord, &str); 7] = [
        (
            NewRecord {
                value: None,
                ..good()
            },
            "tombstones",
        ),
        (
            NewRecord {
                headers: vec![header],
                ..good()
            },
            "headers",
        ),
        (
            NewRecord {
                key: key(b""),
                ..good()
            },
            "empty",
        ),
        (
            NewRecord {
                key: key(b"\xff"),
                ..good()
            },
            "UTF-8",
        ),
        (
            NewRecord {
                key: key("é".repeat(257).as_bytes()),
                ..good()
            },
            "256 characters",
        ),
        (
            NewRecord {
                key: key(b"logpipe-unkeyed-1"),
                ..good()
            },
            "no key",
        ),
        (
            NewRecord {
                value: Some(vec![b'x'; (1 << 20) - 2].into()),
                ..good()
            },
            "1048577 bytes",
        ),
    ];
    let count = cases.len();
    let (records, words): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let longest = NewRecord {
        key: key("k".repeat(256).as_bytes()),
        ..good()
    };
    let largest = NewRecord {
        value: Some(vec![b'x'; (1 << 20) - 3].into()),
        ..good()
    };
    // Whatever is wrong with some does not keep the others back, and each result is in its place.
    let mut batch = records;
    batch.insert(3, good());
    batch.extend([longest, largest]);
    let mut results = soon(sink.send(batch)).await;
    for result in results.split_off(count + 1) {
        result.unwrap();
    }
    assert!(results.remove(3).is_ok());
    for (result, word) in results.into_iter().zip(words) {
        match result {
            Err(error @ SendError::NotWritten(_)) => {
                assert!(error.to_string().contains(word), "{error}");
                assert!(!error.is_retriable(), "{error}");
            }
            other => panic!("{word}: {other:?}"),
        }
    }
    assert_eq!(bed.server.faults().records_put(), 3);
}

/// Ten thousand records of one batch fill a request after the other, and none is larger than the service takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_are_parted() {
    let bed = Bed::new(4).await;
    let sink = bed.log.sink(STREAM).await.unwrap();
    let many = (0..5_000).map(|n| record(&format!("k{n}"), n)).collect();
    assert!(soon(sink.send(many)).await.iter().all(Result::is_ok));
    let requests = bed.server.faults().calls("PutRecords");
    assert_eq!(requests, 10);
    let large = (0..16).map(|n| NewRecord {
        value: Some(vec![b'x'; 900_000].into()),
        ..record(&format!("large {n}"), n)
    });
    for result in soon(sink.send(large.collect())).await {
        result.unwrap();
    }
    // Five of them are below 5 MiB, six are not.
    assert_eq!(bed.server.faults().calls("PutRecords") - requests, 4);
}
