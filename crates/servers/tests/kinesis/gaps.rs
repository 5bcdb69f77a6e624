//! Whether what is no longer there is told, with a word for what happened.

use logpipe::record::{Cursor, LaneId, Start};
use logpipe::source::{Backend, Fetched, Gap, GapKind, Join, Opened};

use crate::{Bed, STREAM, assigned, numbers, read_all, settings, soon};

async fn gap(bed: &Bed, lane: &LaneId, cursor: &Cursor) -> Gap {
    let mut reader = match bed.log.read(lane, cursor).await.unwrap() {
        Opened::OutOfRange(gap) => return gap,
        Opened::Reader(reader) => reader,
        Opened::NotOurs => panic!("the shard is nobody's"),
    };
    match soon(reader.fetch(crate::PLENTY)).await.unwrap() {
        Fetched::OutOfRange(gap) => gap,
        _ => panic!("records that are gone were passed over"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_passed_a_position_is_told() {
    let bed = Bed::new(1).await;
    let (lane, positions) = bed.send(0..10).await;
    bed.server
        .faults()
        .trim(lane.shard(), &positions[5].to_string());
    for passed in [&positions[0], &positions[5]] {
        let gap = gap(&bed, &lane, &Cursor::After(passed.clone())).await;
        assert_eq!(gap.kind, GapKind::Expired);
        assert_eq!(gap.first.as_ref(), Some(&positions[6]));
    }
    let mut rest = bed.open(&lane, &Cursor::After(positions[6].clone())).await;
    assert_eq!(numbers(&read_all(&mut *rest).await), [7, 8, 9]);
    let earliest = bed.log.resolve(&lane, &Start::Earliest).await.unwrap();
    let mut rest = bed.open(&lane, &earliest).await;
    assert_eq!(numbers(&read_all(&mut *rest).await), [6, 7, 8, 9]);
}

/// A shard where nothing happens for days loses the record at the position, and with it nothing that was not read: the
/// group saw the end of it, in this process or in one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_shard_is_not_one_that_was_trimmed() {
    for restarts in [false, true] {
        let mut bed = Bed::new(1).await;
        let (lane, positions) = bed.send(0..3).await;
        let cursor = Cursor::After(positions[2].clone());
        let source = bed.join().await;
        assigned(&*source).await;
        let Opened::Reader(mut reader) = source.open(&lane, &cursor).await.unwrap() else {
            panic!("the lane is ours");
        };
        assert!(read_all(&mut *reader).await.is_empty());
        let mut source = source;
        if restarts {
            soon(source.leave()).await.unwrap();
            bed.log = logpipe::kinesis::Kinesis::open(settings(&bed.server, &bed.folder))
                .await
                .unwrap();
            source = bed.join().await;
            assigned(&*source).await;
        }
        bed.server
            .faults()
            .trim(lane.shard(), &positions[2].to_string());
        bed.send(3..5).await;
        let Opened::Reader(mut reader) = source.open(&lane, &cursor).await.unwrap() else {
            panic!("nothing is lost, restarts: {restarts}");
        };
        assert_eq!(numbers(&read_all(&mut *reader).await), [3, 4]);
    }
}

/// The service forgot a shard before the group had read it: somebody is told, and its children wait for the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_went_unread_is_told_before_its_children_are_read() {
    let bed = Bed::new(1).await;
    let (parent, positions) = bed.send(0..3).await;
    let source = bed.join().await;
    assert_eq!(assigned(&*source).await[0].lane, parent);
    soon(source.leave()).await.unwrap();

    bed.server.admin().split(STREAM, parent.shard()).await;
    bed.server.faults().forget(parent.shard());
    let source = bed.join().await;
    let lanes = assigned(&*source).await;
    assert_eq!(lanes.len(), 1, "{lanes:?}");
    assert_eq!(lanes[0].lane, parent);
    let cursor = Cursor::After(positions[0].clone());
    match source.open(&parent, &cursor).await.unwrap() {
        Opened::OutOfRange(gap) => assert_eq!(gap.kind, GapKind::Expired),
        _ => panic!("a shard that is gone was opened"),
    }
    // Whoever decides to go on goes on behind it.
    let end = source.resolve(&parent, &Start::Earliest).await.unwrap();
    assert_eq!(end, Cursor::Closed);
    soon(source.finish(&parent)).await.unwrap();
    let mut children = 0;
    while children < 2 {
        children += assigned(&*source).await.len();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_read_is_told() {
    let bed = Bed::new(1).await;
    let (lane, _) = bed.send(0..3).await;
    let mut reader = bed.open(&lane, &Cursor::Start).await;
    bed.server.faults().deny("GetRecords");
    match soon(reader.fetch(crate::PLENTY)).await.unwrap() {
        Fetched::OutOfRange(gap) => assert_eq!(gap.kind, GapKind::Denied),
        _ => panic!("what is denied was read"),
    }
    bed.server.faults().deny("ListShards");
    let opened = bed.log.read(&lane, &Cursor::Start).await.unwrap();
    assert!(matches!(opened, Opened::OutOfRange(gap) if gap.kind == GapKind::Denied));
    let join = Join {
        group: "readers".into(),
        topics: vec![STREAM.into()],
        instance_id: None,
    };
    let refused = bed.log.join(join).await.err().unwrap().to_string();
    assert!(refused.contains("kinesis:ListShards"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_named_with_what_to_do() {
    let bed = Bed::new(1).await;
    let join = |topic: &str| Join {
        group: "readers".into(),
        topics: vec![topic.into()],
        instance_id: None,
    };
    for error in [
        bed.log.sink("nuons").await.err().unwrap(),
        bed.log.join(join("nuons")).await.err().unwrap(),
        bed.log.lanes("nuons").await.err().unwrap(),
    ] {
        assert!(!error.is_retriable(), "{error}");
        let error = error.to_string();
        assert!(
            error.contains("there is no stream nuons in Kinesis in us-east-1"),
            "{error}"
        );
        assert!(error.contains("create it"), "{error}");
    }

    // A port that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let elsewhere = bed.settings().endpoint_url(&nobody);
    let elsewhere = logpipe::kinesis::Kinesis::open(elsewhere).await.unwrap();
    let error = elsewhere.lanes(STREAM).await.err().unwrap();
    assert!(error.is_retriable(), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("can't be reached") && error.contains(&nobody),
        "{error}"
    );
    assert!(error.contains("AWS_ENDPOINT_URL"), "{error}");

    // Who asks there, with what password, is nobody else's business.
    let named = nobody.replace("://", "://jim:hunter2@");
    let named = logpipe::kinesis::Kinesis::open(bed.settings().endpoint_url(named))
        .await
        .unwrap();
    let told = format!(
        "{} {}",
        named.describe(),
        named.lanes(STREAM).await.err().unwrap()
    );
    assert!(told.contains("://***@127.0.0.1"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");

    let without = logpipe::kinesis::Settings::new()
        .region("us-east-1")
        .endpoint_url(bed.server.endpoint())
        .credentials("test", "test");
    let without = logpipe::kinesis::Kinesis::open(without).await.unwrap();
    let error = without.join(join(STREAM)).await.err().unwrap().to_string();
    assert!(error.contains("leases"), "{error}");
}
