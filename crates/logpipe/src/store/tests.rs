//! Do the stores keep their contract: the same cases on each store that keeps positions itself.

use super::*;

/// A store with one consumer on two lanes, and the words that the cases are written in.
struct Bench<S: Store> {
    store: S,
}

fn key(shard: &str) -> LaneKey {
    LaneKey {
        consumer: "billing".into(),
        lane: LaneId::new("nouns", shard),
        cluster: "here".into(),
        incarnation: "first".into(),
    }
}

fn at(position: u64) -> Cursor {
    Cursor::After(position.into())
}

fn record(position: u64, key: Option<&str>) -> Record {
    Record {
        lane: LaneId::new("nouns", "0"),
        position: position.into(),
        timestamp: Some(Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap()),
        key: key.map(|key| key.to_owned().into()),
        headers: vec![crate::record::Header {
            name: "trace".into(),
            value: vec![0, 255].into(),
        }]
        .into(),
        value: Some(vec![0xff, 0x00, b'j'].into()),
    }
}

fn park(position: u64, key: Option<&str>, kind: &str) -> Park {
    Park {
        record: record(position, key),
        reason: Reason {
            kind: kind.into(),
            text: "because".into(),
        },
        attempts: 5,
        blocks_key: key.is_some(),
    }
}

fn settlement(cursor: u64, above: &[u64]) -> Settlement {
    Settlement {
        cursor: Some(at(cursor)),
        above: above.iter().copied().map(Position::from).collect(),
        ..Settlement::default()
    }
}

impl<S: Administration> Bench<S> {
    async fn claim(&self, key: &LaneKey) -> (Held, Claim) {
        let claim = self.store.claim(key, Some(&Cursor::Start)).await.unwrap();
        let claim = claim.unwrap();
        let held = Held {
            key: key.clone(),
            epoch: claim.epoch,
            cursor: claim.cursor.clone(),
        };
        (held, claim)
    }

    async fn settle(&self, held: &mut Held, settlement: Settlement) -> Commit {
        let cursor = settlement.cursor.clone();
        let mut session = self.store.begin(held).await.unwrap();
        self.store.settle(&mut session, settlement).await.unwrap();
        let commit = self.store.commit(session).await;
        if let (Commit::Done, Some(cursor)) = (&commit, cursor) {
            held.cursor = cursor;
        }
        commit
    }

    async fn settled(&self, held: &mut Held, settlement: Settlement) {
        let commit = self.settle(held, settlement).await;
        assert!(matches!(commit, Commit::Done), "{commit:?}");
    }

    /// Positions and states of what is parked, oldest first.
    async fn parked(&self) -> Vec<(u64, bool)> {
        let parked = self.store.parked(&Filter::default(), None, 100).await;
        let parked = parked.unwrap().into_iter();
        parked
            .map(|parked| (parked.record.position.number().unwrap(), parked.ready))
            .collect()
    }

    /// Redrives one record, which is handled or fails; returns its position.
    async fn redrive_one(&self, handled: bool) -> Option<u64> {
        let (mut session, redrive) = self
            .store
            .begin_redrive("billing", &["nouns".into()])
            .await
            .unwrap()?;
        self.store.mark(&mut session, None).await.unwrap();
        if handled {
            self.store.redriven(&mut session, &redrive).await.unwrap();
        } else {
            let reason = Reason {
                kind: "Failed".into(),
                text: "still".into(),
            };
            let again = self.store.park_again(&mut session, &redrive, &reason, 9);
            again.await.unwrap();
        }
        assert!(matches!(self.store.commit(session).await, Commit::Done));
        redrive.record.position.number()
    }
}

async fn the_start_is_stored_with_the_first_claim<S: Administration>(bench: Bench<S>) {
    let store = &bench.store;
    assert_eq!(store.claim(&key("0"), None).await.unwrap(), None);
    assert_eq!(store.lanes(None).await.unwrap(), []);
    let first = store
        .claim(&key("0"), Some(&at(41)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((first.epoch, &first.cursor), (1, &at(41)));
    // Another start means nothing any more, nor does another incarnation: the run time compares it.
    let elsewhere = LaneKey {
        incarnation: "second".into(),
        ..key("0")
    };
    let second = store.claim(&elsewhere, Some(&Cursor::Start)).await.unwrap();
    let second = second.unwrap();
    assert_eq!((second.epoch, &second.cursor), (2, &at(41)));
    assert_eq!((&*second.cluster, &*second.incarnation), ("here", "first"));
    let third = store.claim(&key("0"), None).await.unwrap().unwrap();
    assert_eq!(third.epoch, 3);
}

async fn a_second_claim_fences_the_first<S: Administration>(bench: Bench<S>) {
    let (mut old, _) = bench.claim(&key("0")).await;
    let (mut new, _) = bench.claim(&key("0")).await;
    let refused = bench.store.begin(&old).await.err().unwrap();
    assert!(refused.is_fenced(), "{refused}");
    bench.settled(&mut new, settlement(1, &[])).await;
    // The position alone is no fence: the old owner's is now right.
    old.cursor = at(1);
    assert!(bench.store.begin(&old).await.err().unwrap().is_fenced());
    // Nor is the epoch alone: whoever does not know the cursor has missed something.
    new.cursor = at(7);
    assert!(bench.store.begin(&new).await.err().unwrap().is_fenced());
    // Other lanes and consumers are not concerned.
    let (mut other, _) = bench.claim(&key("1")).await;
    bench.settled(&mut other, settlement(1, &[])).await;
    let (_, claim) = bench.claim(&key("0")).await;
    assert_eq!(claim.cursor, at(1));
}

async fn settled_records_stay_until_the_cursor_passes_them<S: Administration>(bench: Bench<S>) {
    let (mut held, _) = bench.claim(&key("0")).await;
    bench.settled(&mut held, settlement(1, &[9, 3, 11])).await;
    let above = async |key: &LaneKey| bench.claim(key).await.1.settled;
    assert_eq!(above(&key("0")).await, [3, 9, 11].map(Position::from));
    let (mut held, _) = bench.claim(&key("0")).await;
    bench.settled(&mut held, settlement(9, &[])).await;
    assert_eq!(above(&key("0")).await, [11].map(Position::from));
    // A cursor that stays leaves them alone, and adds.
    let (mut held, _) = bench.claim(&key("0")).await;
    let add = Settlement {
        above: vec![20.into()],
        ..Settlement::default()
    };
    bench.settled(&mut held, add).await;
    let (mut held, claim) = bench.claim(&key("0")).await;
    assert_eq!(
        (&claim.cursor, claim.settled),
        (&at(9), vec![11.into(), 20.into()])
    );
    let closed = Settlement {
        cursor: Some(Cursor::Closed),
        ..Settlement::default()
    };
    bench.settled(&mut held, closed).await;
    assert_eq!(above(&key("0")).await, []);
}

async fn a_gap_forgets_what_was_settled_above<S: Administration>(bench: Bench<S>) {
    let (mut held, _) = bench.claim(&key("0")).await;
    bench.settled(&mut held, settlement(5, &[8])).await;
    let over_the_gap = Settlement {
        forget: true,
        ..settlement(2, &[4])
    };
    bench.settled(&mut held, over_the_gap).await;
    let (_, claim) = bench.claim(&key("0")).await;
    assert_eq!(claim.settled, [4].map(Position::from));
    // The same of itself where the log is another one.
    let recreated = LaneKey {
        incarnation: "second".into(),
        ..key("0")
    };
    let (mut held, _) = bench.claim(&recreated).await;
    bench.settled(&mut held, settlement(0, &[])).await;
    let (_, claim) = bench.claim(&recreated).await;
    assert_eq!((&*claim.incarnation, &claim.cursor), ("second", &at(0)));
    assert_eq!(claim.settled, []);
}

async fn what_is_not_committed_did_not_happen<S: Administration>(bench: Bench<S>) {
    let (mut held, _) = bench.claim(&key("0")).await;
    for keep_session in [true, false] {
        let mut session = bench.store.begin(&held).await.unwrap();
        bench.store.mark(&mut session, None).await.unwrap();
        let mut lost = settlement(3, &[5]);
        lost.parked.push(park(4, Some("k"), "Failed"));
        bench.store.settle(&mut session, lost).await.unwrap();
        if keep_session {
            bench.store.rollback(session).await;
        } else {
            drop(session);
        }
    }
    assert_eq!(bench.parked().await, []);
    bench.settled(&mut held, settlement(1, &[])).await;
    let (_, claim) = bench.claim(&key("0")).await;
    assert_eq!((claim.cursor, claim.settled), (at(1), vec![]));
}

async fn parked_records_keep_every_byte<S: Administration>(bench: Bench<S>) {
    let (mut held, _) = bench.claim(&key("0")).await;
    let mut all = settlement(9, &[]);
    all.parked.push(park(1, Some("k"), "Failed"));
    all.parked.push(park(2, None, "Malformed"));
    let mut tombstone = park(3, Some(""), "Tombstone");
    tombstone.record.value = None;
    tombstone.record.timestamp = None;
    tombstone.record.headers = Vec::new().into();
    tombstone.record.position = "4959:3".parse().unwrap();
    all.parked.push(tombstone);
    let expected: Vec<Park> = std::mem::take(&mut all.parked);
    all.parked.extend(expected.iter().map(|park| Park {
        record: park.record.clone(),
        reason: park.reason.clone(),
        ..*park
    }));
    bench.settled(&mut held, all).await;
    let found = bench
        .store
        .parked(&Filter::default(), None, 9)
        .await
        .unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let (a, b) = (&found.record, &expected.record);
        assert!(a.key == b.key && a.value == b.value && a.headers == b.headers);
        assert_eq!(
            (&a.lane, &a.position, a.timestamp),
            (&b.lane, &b.position, b.timestamp)
        );
        assert_eq!(
            (&found.reason, found.attempts),
            (&expected.reason, expected.attempts)
        );
        assert_eq!(
            (found.blocks_key, found.ready),
            (expected.blocks_key, false)
        );
    }
    // Behind a number, at most so many.
    let everything = Filter::default();
    let page = bench.store.parked(&everything, Some(found[0].id), 1);
    assert_eq!(page.await.unwrap()[0].id, found[1].id);
}

async fn a_parked_key_blocks_until_its_last_record_is_handled<S: Administration>(bench: Bench<S>) {
    let (mut held, _) = bench.claim(&key("0")).await;
    let mut first = settlement(3, &[]);
    first.parked.push(park(1, Some("a"), "Failed"));
    first.parked.push(park(2, Some("b"), "Failed"));
    first.parked.push(park(3, None, "Malformed"));
    bench.settled(&mut held, first).await;

    let mut session = bench.store.begin(&held).await.unwrap();
    for (key, parked) in [("a", true), ("b", true), ("c", false), ("", false)] {
        let found = bench.store.is_parked(&mut session, key.as_bytes()).await;
        assert_eq!(found.unwrap(), parked, "{key}");
    }
    let count = bench
        .store
        .parked_count(&mut session, Some(b"a"))
        .await
        .unwrap();
    assert_eq!((count.consumer, count.key), (3, 1));
    let mut queued = settlement(4, &[]);
    queued.parked.push(park(4, Some("a"), Reason::QUEUED));
    bench.store.settle(&mut session, queued).await.unwrap();
    assert!(matches!(bench.store.commit(session).await, Commit::Done));
    held.cursor = at(4);

    assert_eq!(
        bench.redrive_one(true).await,
        None,
        "nothing was marked ready"
    );
    // One record of a key means the key, in its order; what comes meanwhile runs behind.
    let youngest = Filter {
        kind: Some(Reason::QUEUED.into()),
        ..Filter::default()
    };
    assert_eq!(bench.store.redrive(&youngest).await.unwrap(), 2);
    let topics = ["orders".into()];
    let elsewhere = bench.store.begin_redrive("billing", &topics).await;
    assert!(elsewhere.unwrap().is_none(), "another topic");
    let mut late = settlement(5, &[]);
    late.parked.push(park(5, Some("a"), Reason::QUEUED));
    bench.settled(&mut held, late).await;
    let all = [(1, true), (2, false), (3, false), (4, true), (5, true)];
    assert_eq!(bench.parked().await, all);
    assert_eq!(bench.redrive_one(true).await, Some(1));

    // The second fails: the key waits again, with what queues behind.
    assert_eq!(bench.redrive_one(false).await, Some(4));
    let again = [(2, false), (3, false), (4, false), (5, false)];
    assert_eq!(bench.parked().await, again);
    let of_key = Filter {
        key: Some(b"a".into()),
        ..Filter::default()
    };
    let failed = bench.store.parked(&of_key, None, 1);
    let failed = failed.await.unwrap().remove(0);
    assert_eq!((&*failed.reason.text, failed.attempts), ("still", 9));

    let everything = bench.store.redrive(&Filter::default()).await.unwrap();
    assert_eq!(everything, 4);
    for position in [2, 3, 4, 5] {
        assert_eq!(bench.redrive_one(true).await, Some(position));
    }
    let mut session = bench.store.begin(&held).await.unwrap();
    assert!(!bench.store.is_parked(&mut session, b"a").await.unwrap());
    let count = bench
        .store
        .parked_count(&mut session, Some(b"a"))
        .await
        .unwrap();
    assert_eq!(count, ParkedCount::default());
}

async fn filters_choose_what_they_say<S: Administration>(bench: Bench<S>) {
    let (mut held, _) = bench.claim(&key("0")).await;
    let mut all = settlement(3, &[]);
    all.parked.push(park(1, Some("a"), "Failed"));
    all.parked.push(park(2, Some("b"), "Invalid"));
    all.parked.push(park(3, None, "Invalid"));
    bench.settled(&mut held, all).await;
    let ids: Vec<i64> = bench
        .store
        .parked(&Filter::default(), None, 9)
        .await
        .unwrap()
        .iter()
        .map(|parked| parked.id)
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let default = Filter::default;
    let table = [
        (default(), 3),
        (
            Filter {
                consumer: some("billing"),
                topic: some("nouns"),
                ..default()
            },
            3,
        ),
        (
            Filter {
                consumer: some("sync"),
                ..default()
            },
            0,
        ),
        (
            Filter {
                topic: some("orders"),
                ..default()
            },
            0,
        ),
        (
            Filter {
                kind: some("Invalid"),
                ..default()
            },
            2,
        ),
        (
            Filter {
                kind: some("Invalid"),
                key: Some(b"b".into()),
                ..default()
            },
            1,
        ),
        (
            Filter {
                ids: Some(vec![ids[0], ids[2], 999]),
                ..default()
            },
            2,
        ),
        (
            Filter {
                ids: Some(vec![]),
                ..default()
            },
            0,
        ),
        (
            Filter {
                ready: Some(true),
                ..default()
            },
            0,
        ),
        (
            Filter {
                ready: Some(false),
                ..default()
            },
            3,
        ),
    ];
    for (index, (filter, expected)) in table.iter().enumerate() {
        assert_eq!(
            bench.store.count_parked(filter).await.unwrap(),
            *expected,
            "{index}"
        );
    }
    let invalid = Filter {
        kind: some("Invalid"),
        ..default()
    };
    assert_eq!(bench.store.drop_parked(&invalid).await.unwrap(), 2);
    assert_eq!(bench.parked().await, [(1, false)]);
}

async fn an_operator_moves_a_cursor_and_fences_the_owner<S: Administration>(bench: Bench<S>) {
    let another = LaneKey {
        cluster: "there".into(),
        incarnation: "second".into(),
        ..key("0")
    };
    let none = bench.store.set_cursor(&another, &at(2)).await;
    assert_eq!(none.unwrap(), None, "a consumer that never ran");
    let (mut held, _) = bench.claim(&key("0")).await;
    bench.settled(&mut held, settlement(10, &[12])).await;
    let moved = bench.store.set_cursor(&another, &at(2)).await;
    let moved = moved.unwrap().unwrap();
    assert_eq!((moved.epoch, &moved.cursor, moved.settled), (2, &at(2), 0));
    assert_eq!((&*moved.cluster, &*moved.incarnation), ("there", "second"));
    assert_eq!(bench.store.lanes(Some("billing")).await.unwrap(), [moved]);
    assert_eq!(bench.store.lanes(Some("sync")).await.unwrap(), []);
    assert!(bench.store.begin(&held).await.err().unwrap().is_fenced());
}

#[tokio::test]
async fn faults_of_the_memory_store_are_what_they_say() {
    let table = [
        (Fault::Unavailable, Cursor::Start),
        (Fault::Lost, Cursor::Start),
        (Fault::AnswerLost, at(1)),
    ];
    for (fault, expected) in table {
        let store = Memory::new();
        let bench = Bench {
            store: store.clone(),
        };
        let (mut held, _) = bench.claim(&key("0")).await;
        store.fail_next_commit(fault);
        let commit = bench.settle(&mut held, settlement(1, &[])).await;
        let known = fault == Fault::Unavailable;
        assert_eq!(matches!(commit, Commit::Unavailable(_)), known, "{fault:?}");
        assert_eq!(matches!(commit, Commit::Unknown(_)), !known, "{fault:?}");
        assert_eq!(bench.claim(&key("0")).await.1.cursor, expected, "{fault:?}");
    }
    let store = Memory::new();
    store.set_down(true);
    let error = store.claim(&key("0"), Some(&Cursor::Start)).await;
    assert!(error.unwrap_err().is_unavailable());
}

/// Lanes of the memory store run at the same time, so that the fence is looked at again when they commit.
#[tokio::test]
async fn a_claim_fences_an_open_session_of_the_memory_store() {
    let bench = Bench {
        store: Memory::new(),
    };
    let (held, _) = bench.claim(&key("0")).await;
    let mut session = bench.store.begin(&held).await.unwrap();
    let written = bench.store.settle(&mut session, settlement(1, &[]));
    written.await.unwrap();
    bench.claim(&key("0")).await;
    let commit = bench.store.commit(session).await;
    assert!(matches!(commit, Commit::Fenced), "{commit:?}");
    assert_eq!(bench.claim(&key("0")).await.1.cursor, Cursor::Start);
}

macro_rules! run {
    ($($case:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Bench { store: super::Memory::new() }).await;
            })*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Bench { store: super::Sqlite::temporary().await.unwrap() }).await;
            })*
        }
    };
}

run! {
    the_start_is_stored_with_the_first_claim
    a_second_claim_fences_the_first
    settled_records_stay_until_the_cursor_passes_them
    a_gap_forgets_what_was_settled_above
    what_is_not_committed_did_not_happen
    parked_records_keep_every_byte
    a_parked_key_blocks_until_its_last_record_is_handled
    filters_choose_what_they_say
    an_operator_moves_a_cursor_and_fences_the_owner
}
