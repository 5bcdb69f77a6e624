//! Whether a log keeps records as they were sent, in order, and says when it can't.

use super::*;

pub(super) async fn records_come_back_as_they_were_sent(harness: impl Harness) {
    let backend = harness.backend();
    let can = backend.capabilities();
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    let mut written = vec![
        NewRecord {
            timestamp: Some(time),
            ..record(Some("key"), "value")
        },
        record(Some("key"), ""),
        record(Some("key"), "x".repeat(100_000)),
    ];
    if can.headers {
        let header = |name: &str, value: &'static [u8]| Header {
            name: name.into(),
            value: Bytes::from_static(value),
        };
        written.push(NewRecord {
            headers: vec![header("a", b"1"), header("b", b""), header("a", b"\xff\0")],
            ..record(Some("key"), "with headers")
        });
    }
    if can.empty_key {
        written.push(record(Some(""), "with an empty key"));
    }
    if can.null_key {
        written.push(record(None, "without key"));
    }
    if can.null_value {
        written.push(NewRecord {
            value: None,
            ..record(Some("key"), "")
        });
    }
    let sent = send(&*backend, written.clone()).await;
    for (written, sent) in written.iter().zip(&sent) {
        let records = read_lane(&*backend, &sent.lane).await;
        let read = records
            .iter()
            .find(|record| record.position == sent.position)
            .unwrap();
        assert_eq!(read.lane, sent.lane);
        assert!(read.key == written.key, "a key came back changed");
        assert!(read.value == written.value, "a value came back changed");
        assert!(
            *read.headers == written.headers,
            "headers came back changed"
        );
        if let Some(time) = written.timestamp.filter(|_| can.writer_time) {
            assert_eq!(read.timestamp, Some(time));
        } else {
            assert!(
                read.timestamp.is_some(),
                "the log stamps what brings no time"
            );
        }
    }
    assert_eq!(backend.topics().await.unwrap(), [TOPIC]);
    let count: u64 = backend
        .lanes(TOPIC)
        .await
        .unwrap()
        .iter()
        .map(|extent| extent.count.unwrap_or(0))
        .sum();
    assert!(count == 0 || count == written.len() as u64);
}

pub(super) async fn results_are_in_order_and_keys_stay_in_order(harness: impl Harness) {
    let backend = harness.backend();
    let sink = backend.sink(TOPIC).await.unwrap();
    // Handed over one after the other and awaited together.
    let batches: Vec<_> = (0..40)
        .map(|batch| {
            let records = (0..25)
                .map(|n| record(Some(&format!("key {}", n % 7)), format!("{batch}.{n}")))
                .collect();
            sink.send(records)
        })
        .collect();
    let results = soon("all sends", futures_util::future::join_all(batches)).await;
    soon("a flush", sink.flush()).await.unwrap();
    let mut by_key: BTreeMap<usize, Vec<(Sent, String)>> = BTreeMap::new();
    for (batch, results) in results.into_iter().enumerate() {
        for (n, result) in results.into_iter().enumerate() {
            by_key
                .entry(n % 7)
                .or_default()
                .push((result.unwrap(), format!("{batch}.{n}")));
        }
    }
    for sent in by_key.values() {
        let lane = &sent[0].0.lane;
        assert!(
            sent.iter().all(|(sent, _)| sent.lane == *lane),
            "a key lies in one lane"
        );
        assert!(
            sent.is_sorted_by(|(a, _), (b, _)| a.position < b.position),
            "the records of a key are not in the order in which they were handed over"
        );
        let records = read_lane(&*backend, lane).await;
        assert!(records.is_sorted_by(|a, b| a.position < b.position));
        for (sent, value) in sent {
            let read = records
                .iter()
                .find(|record| record.position == sent.position)
                .unwrap();
            assert_eq!(
                read.value.as_deref(),
                Some(value.as_bytes()),
                "a result names another record"
            );
        }
    }
    let lanes = lanes(&*backend).await;
    assert!(
        lanes.len() >= 2,
        "the suite wants topics of two lanes or more"
    );
    if backend.capabilities().null_key {
        let spread = (0..40).map(|n| record(None, n.to_string())).collect();
        let used: BTreeSet<LaneId> = send(&*backend, spread)
            .await
            .into_iter()
            .map(|sent| sent.lane)
            .collect();
        assert!(used.len() > 1, "records without key do not spread");
    }
}

pub(super) async fn a_dropped_send_is_still_written(harness: impl Harness) {
    let backend = harness.backend();
    let sink = backend.sink(TOPIC).await.unwrap();
    drop(sink.send(vec![record(Some("one"), "0")]));
    let sent = soon("a send", sink.send(vec![record(Some("one"), "1")])).await;
    let lane = sent.into_iter().next().unwrap().unwrap().lane;
    assert_eq!(values(&read_lane(&*backend, &lane).await), numbers(0..2));
}

pub(super) async fn nothing_is_fetched_without_demand(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 10).await;
    let mut reader = open(&*backend, &lane, &Cursor::Start).await;
    let mut fetch = async |records, bytes| {
        let budget = Budget { records, bytes };
        match fetch(&mut *reader, budget).await {
            Fetched::Records(fetch) => fetch,
            _ => panic!("a lane with records has records"),
        }
    };
    let three = fetch(3, PLENTY.bytes).await;
    assert_eq!(values(&three.records), numbers(0..3));
    assert_eq!(three.through.as_ref(), Some(&positions[2]));
    assert!(!three.at_end);
    // Each record holds four bytes: the key's three and one digit.
    let two = fetch(100, 8).await;
    assert_eq!(values(&two.records), numbers(3..5));
    assert!(!two.at_end);
    let one = fetch(100, 1).await;
    assert_eq!(
        values(&one.records),
        numbers(5..6),
        "a record over the budget comes alone"
    );
    let rest = fetch(100, PLENTY.bytes).await;
    assert_eq!(values(&rest.records), numbers(6..10));
    let none = fetch(100, PLENTY.bytes).await;
    assert!(none.records.is_empty() && none.at_end);
}

pub(super) async fn a_reader_waits_for_records_and_wakes(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, _) = send_to_one_lane(&*backend, 2).await;
    let mut reader = open(&*backend, &lane, &Cursor::Start).await;
    // Futures that are dropped before they end take nothing with them.
    for _ in 0..5 {
        if reader.fetch(PLENTY).now_or_never().is_some() {
            // It ended at once, and what it returned is gone with it: from the start again.
            reader = open(&*backend, &lane, &Cursor::Start).await;
        }
    }
    assert_eq!(values(&read_all(&mut *reader).await), numbers(0..2));
    for _ in 0..3 {
        assert!(
            reader.ready().now_or_never().is_none(),
            "at the end there is nothing to be ready for"
        );
    }
    let waiting = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            reader.ready().await.unwrap();
            seen.extend(read_all(&mut *reader).await);
        }
        values(&seen)
    });
    for n in 0..20 {
        send(&*backend, vec![record(Some("one"), n.to_string())]).await;
    }
    assert_eq!(
        soon("the reader sees all records", waiting).await.unwrap(),
        numbers(0..20)
    );
}

pub(super) async fn reading_resumes_where_a_cursor_says(mut harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 5).await;
    let latest = backend.resolve(&lane, &Start::Latest).await.unwrap();
    let earliest = backend.resolve(&lane, &Start::Earliest).await.unwrap();
    drop(backend);
    harness.restart().await;

    let backend = harness.backend();
    send_to_one_lane(&*backend, 1).await;
    let text = |cursor: &Cursor| cursor.to_string().parse::<Cursor>().unwrap();
    for (cursor, expected) in [
        (Cursor::Start, vec!["0", "1", "2", "3", "4", "0"]),
        (text(&earliest), vec!["0", "1", "2", "3", "4", "0"]),
        (Cursor::After(positions[2].clone()), vec!["3", "4", "0"]),
        (text(&latest), vec!["0"]),
    ] {
        let mut reader = open(&*backend, &lane, &cursor).await;
        assert_eq!(values(&read_all(&mut *reader).await), expected, "{cursor}");
    }
    let can = backend.capabilities();
    if can.time_seek && can.writer_time {
        let at = |second| Timestamp::from_second(second).unwrap();
        let written = (0..3)
            .map(|n| NewRecord {
                timestamp: Some(at(4_000_000_000 + n * 10)),
                ..record(Some("one"), format!("at {n}"))
            })
            .collect();
        send(&*backend, written).await;
        for (second, expected) in [(4_000_000_005, &["at 1", "at 2"][..]), (4_000_000_021, &[])] {
            let cursor = backend
                .resolve(&lane, &Start::At(at(second)))
                .await
                .unwrap();
            for cursor in [cursor, Cursor::At(at(second))] {
                let mut reader = open(&*backend, &lane, &cursor).await;
                assert_eq!(values(&read_all(&mut *reader).await), expected, "{cursor}");
            }
        }
    } else if can.time_seek {
        a_time_is_found(&*backend, &lane).await;
    }
}

/// Where the log stamps records itself: writes until its clock has gone on, and seeks that time and one to come.
async fn a_time_is_found(backend: &dyn Backend, lane: &LaneId) {
    let newest = |records: &[Record]| records.last().unwrap().timestamp.unwrap();
    let before = newest(&read_lane(backend, lane).await);
    let written = soon("the log's clock goes on", async {
        loop {
            send_to_one_lane(backend, 1).await;
            let records = read_lane(backend, lane).await;
            if newest(&records) > before {
                return records;
            }
        }
    })
    .await;
    let seek = newest(&written);
    let later: Vec<Record> = written
        .into_iter()
        .filter(|record| record.timestamp >= Some(seek))
        .collect();
    let future = seek + Duration::from_secs(3_600);
    for (time, expected) in [(seek, values(&later)), (future, Vec::new())] {
        let cursor = backend.resolve(lane, &Start::At(time)).await.unwrap();
        for cursor in [cursor, Cursor::At(time)] {
            let mut reader = open(backend, lane, &cursor).await;
            assert_eq!(values(&read_all(&mut *reader).await), expected, "{cursor}");
        }
    }
}

pub(super) async fn retention_that_passed_a_cursor_is_an_incident(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 10).await;
    let mut running = open(&*backend, &lane, &Cursor::After(positions[1].clone())).await;
    match backend
        .trim(TOPIC, &Before::Position(positions[6].clone()))
        .await
    {
        Ok(removed) => assert_eq!(removed, 6),
        // It keeps its own retention, and its own tests.
        Err(error) => return assert!(!error.is_retriable(), "{error}"),
    }
    for (cursor, missing) in [
        (Cursor::Start, 6),
        (Cursor::After(positions[1].clone()), 4),
        (Cursor::After(positions[4].clone()), 1),
    ] {
        let gap = gap(backend.read(&lane, &cursor).await.unwrap());
        assert_eq!(gap.kind, GapKind::Expired, "{cursor}");
        assert_eq!(gap.first.as_ref(), Some(&positions[6]));
        assert_eq!(gap.last.as_ref(), Some(&positions[9]));
        assert!(
            gap.missing.is_none_or(|counted| counted == missing),
            "{cursor}: {gap:?}"
        );
    }
    let mut rest = open(&*backend, &lane, &Cursor::After(positions[5].clone())).await;
    assert_eq!(values(&read_all(&mut *rest).await), numbers(6..10));
    let earliest = backend.resolve(&lane, &Start::Earliest).await.unwrap();
    let mut rest = open(&*backend, &lane, &earliest).await;
    assert_eq!(values(&read_all(&mut *rest).await), numbers(6..10));
    gap_under(&mut *running, GapKind::Expired).await;
    // Everything goes, and the positions go on.
    let far = Before::Time(Timestamp::MAX);
    assert_eq!(backend.trim(TOPIC, &far).await.unwrap(), 4);
    let gap = gap(backend.read(&lane, &Cursor::Start).await.unwrap());
    assert_eq!(
        (gap.kind, gap.first, gap.last),
        (GapKind::Expired, None, None)
    );
    let (_, more) = send_to_one_lane(&*backend, 1).await;
    assert!(more[0] > positions[9]);
}

pub(super) async fn a_cursor_beyond_the_end_is_an_incident(harness: impl Harness) {
    let backend = harness.backend();
    let (lane, positions) = send_to_one_lane(&*backend, 4).await;
    let at_end = Cursor::After(positions[3].clone());
    let mut running = open(&*backend, &lane, &at_end).await;
    if !harness.truncate(&lane, &positions[2]).await {
        return;
    }
    let gap = gap(backend.read(&lane, &at_end).await.unwrap());
    assert_eq!(gap.kind, GapKind::Truncated);
    assert_eq!(gap.last.as_ref(), Some(&positions[1]));
    gap_under(&mut *running, GapKind::Truncated).await;
}
