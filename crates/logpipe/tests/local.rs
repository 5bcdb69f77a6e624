//! What only the local log promises: several processes on one folder, files that vanish, files that are something else.
//!
//! Two `Local`s on one folder share nothing but the files, as two processes do.

#![cfg(feature = "local")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use logpipe::clock::ManualClock;
use logpipe::local::{Local, Settings};
use logpipe::record::{Cursor, LaneId, Position};
use logpipe::sink::NewRecord;
use logpipe::source::{
    Assigned, Backend, Budget, Event, Fetched, GapKind, Join, LaneReader, Opened, Source,
};
use rusqlite::{Connection, OpenFlags};

const TOPIC: &str = "nouns";

const PLENTY: Budget = Budget {
    records: 1000,
    bytes: 1 << 20,
};

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("it did not happen: {what}"),
    }
}

/// Sends a record of one key.
async fn send(log: &Local, value: &str) -> (LaneId, Position) {
    let record = NewRecord {
        key: Some("one".into()),
        headers: Vec::new(),
        value: Some(value.to_owned().into()),
        timestamp: None,
    };
    let sink = log.sink(TOPIC).await.unwrap();
    let sent = soon("a send", sink.send(vec![record]))
        .await
        .remove(0)
        .unwrap();
    (sent.lane, sent.position)
}

async fn open(log: &Local, lane: &LaneId) -> Box<dyn LaneReader> {
    match log.read(lane, &Cursor::Start).await.unwrap() {
        Opened::Reader(reader) => reader,
        _ => panic!("the lane can't be opened"),
    }
}

async fn read(reader: &mut dyn LaneReader) -> Vec<String> {
    match soon("a fetch", reader.fetch(PLENTY)).await.unwrap() {
        Fetched::Records(fetch) => fetch
            .records
            .iter()
            .map(|record| String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap())
            .collect(),
        _ => panic!("the lane went away"),
    }
}

struct Member {
    source: Box<dyn Source>,
    lanes: BTreeMap<LaneId, Assigned>,
    deleted: usize,
}

impl Member {
    async fn join(log: &Local) -> Self {
        let join = Join {
            group: "readers".into(),
            topics: vec![TOPIC.into()],
            instance_id: None,
        };
        Self {
            source: log.join(join).await.unwrap(),
            lanes: BTreeMap::new(),
            deleted: 0,
        }
    }

    async fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !is_true(self) {
                match self.source.event().await.unwrap() {
                    Event::Assigned(lanes) => {
                        self.lanes
                            .extend(lanes.into_iter().map(|lane| (lane.lane.clone(), lane)));
                    }
                    Event::Lost(lanes) => self.lanes.retain(|lane, _| !lanes.contains(lane)),
                    Event::Revoking { lanes, .. } => {
                        for lane in lanes {
                            self.source.release(&lane).await.unwrap();
                            self.lanes.remove(&lane);
                        }
                    }
                    Event::Incident(_, gap) => {
                        assert_eq!(gap.kind, GapKind::Deleted);
                        self.deleted += 1;
                    }
                    Event::Ended(error) => panic!("the membership ended: {error}"),
                    Event::Joined => {}
                }
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_write_and_read_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let a = Local::open(folder.path()).await.unwrap();
    let b = Local::open(folder.path()).await.unwrap();
    let (lane, _) = send(&a, "0").await;
    let mut reader = open(&b, &lane).await;
    assert_eq!(read(&mut *reader).await, ["0"]);

    // Both write at the same time; each position is given once, and the reader of one sees the other's records.
    let writers = [a.clone(), b.clone()].map(|log| {
        tokio::spawn(async move {
            let mut positions = Vec::new();
            for n in 0..50 {
                positions.push(send(&log, &n.to_string()).await.1.number().unwrap());
            }
            positions
        })
    });
    let mut seen = 0;
    while seen < 100 {
        soon("the reader wakes", reader.ready()).await.unwrap();
        seen += read(&mut *reader).await.len();
    }
    let mut positions = Vec::new();
    for writer in writers {
        positions.extend(writer.await.unwrap());
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=100).collect::<Vec<u64>>());

    // Now the one writes alone, and the other has nothing but the file to hear of it.
    for n in 0..10 {
        assert_eq!(read(&mut *reader).await, [""; 0]);
        send(&a, &n.to_string()).await;
        soon("the reader wakes", reader.ready()).await.unwrap();
        assert_eq!(read(&mut *reader).await, [n.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_several_processes_share_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let a = Local::open(folder.path()).await.unwrap();
    let b = Local::open(folder.path()).await.unwrap();
    let mut first = Member::join(&a).await;
    first
        .until("all lanes are the first's", |member| {
            member.lanes.len() == 4
        })
        .await;
    let mut second = Member::join(&b).await;
    tokio::join!(
        first.until("the first gives two", |member| member.lanes.len() == 2),
        second.until("the second gets two", |member| member.lanes.len() == 2),
    );
    // A process that dies lets go of its lock; nobody waits for a lease to run out.
    drop(first);
    drop(a);
    second
        .until("all lanes are the second's", |member| {
            member.lanes.len() == 4
        })
        .await;
    let locks = std::fs::read_dir(folder.path().join("members")).unwrap();
    assert_eq!(
        locks.count(),
        1,
        "the lock of a dead member is cleared away"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_has_lost_its_lanes_when_it_wakes() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let (stopped, running) = (ManualClock::at(now), ManualClock::at(now));
    let open_with = async |clock: &ManualClock| {
        let settings = Settings {
            clock: clock.clock(),
            ..Settings::default()
        };
        Local::open_with(folder.path(), settings).await.unwrap()
    };
    let (a, b) = (open_with(&stopped).await, open_with(&running).await);
    let (lane, position) = send(&a, "0").await;
    let mut first = Member::join(&a).await;
    first
        .until("all lanes are the first's", |member| {
            member.lanes.len() == 4
        })
        .await;

    // The first's clock stands still, as its process does; it still holds its lock. Nobody listens to its events.
    running.advance(Duration::from_secs(11));
    let mut second = Member::join(&b).await;
    second
        .until("all lanes are the second's", |member| {
            member.lanes.len() == 4
        })
        .await;

    // It wakes up and writes before it looked at the clock.
    let cursors = vec![(lane.clone(), Cursor::After(position))];
    let refused = first.source.save(cursors.clone()).await.unwrap_err();
    assert!(refused.is_fenced(), "{refused}");
    assert!(a.saved("readers").await.unwrap().is_empty());
    stopped.advance(Duration::from_secs(11));
    first
        .until("it notices", |member| member.lanes.is_empty())
        .await;
    assert!(matches!(
        first.source.open(&lane, &Cursor::Start).await.unwrap(),
        Opened::NotOurs
    ));
    second.source.save(cursors).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_whose_work_stands_still_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::now());
    let settings = Settings {
        clock: clock.clock(),
        partitions: 2,
    };
    let log = Local::open_with(folder.path(), settings).await.unwrap();
    let mut member = Member::join(&log).await;
    member
        .until("both lanes are assigned", |member| member.lanes.len() == 2)
        .await;
    let (busy, blocked) = (LaneId::new(TOPIC, "0"), LaneId::new(TOPIC, "1"));
    let groups = folder.path().join("groups.db");
    let groups = Connection::open_with_flags(groups, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let expires = || -> i64 {
        let lease = "select expires from leases where shard = '0'";
        groups.query_row(lease, [], |row| row.get(0)).unwrap()
    };
    // A lease is renewed by each look that finds a third of its ten seconds gone: that the busy lane's was, says that the
    // look of this moment is done.
    for _ in 0..5 {
        let before = expires();
        member.source.alive(&busy);
        clock.advance(Duration::from_secs(4));
        soon("the busy lane's lease is renewed", async {
            while expires() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    member
        .until("one is lost", |member| member.lanes.len() == 1)
        .await;
    assert!(!member.lanes.contains_key(&blocked));
    assert!(matches!(
        member.source.open(&busy, &Cursor::Start).await.unwrap(),
        Opened::Reader(_) | Opened::OutOfRange(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_deleted_under_a_running_log_are_another_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = Local::open(&data).await.unwrap();
    let (lane, _) = send(&log, "old").await;
    let mut member = Member::join(&log).await;
    member
        .until("all lanes are assigned", |member| member.lanes.len() == 4)
        .await;
    let before = member.lanes[&lane].clone();
    let mut old = open(&log, &lane).await;

    std::fs::remove_dir_all(&data).unwrap();
    let fetched = old.fetch(PLENTY).await.unwrap();
    assert!(matches!(fetched, Fetched::OutOfRange(gap) if gap.kind == GapKind::Deleted));

    let (again, position) = send(&log, "new").await;
    assert_eq!((&again, position.number()), (&lane, Some(0)));
    let fetched = old.fetch(PLENTY).await.unwrap();
    assert!(matches!(fetched, Fetched::OutOfRange(gap) if gap.kind == GapKind::Recreated));
    member
        .until("the lane is assigned as another incarnation", |member| {
            let lane = member.lanes.get(&lane);
            lane.is_some_and(|lane| lane.incarnation != before.incarnation)
        })
        .await;
    assert_ne!(member.lanes[&lane].cluster, before.cluster);
    assert_eq!(read(&mut *open(&log, &lane).await).await, ["new"]);

    // The member lives on for others, though the lock that says so was deleted too.
    let other = Local::open(&data).await.unwrap();
    let mut second = Member::join(&other).await;
    tokio::join!(
        member.until("it gives two lanes", |member| member.lanes.len() == 2),
        second.until("the other gets two", |member| member.lanes.len() == 2),
    );
    drop((member, second));

    // What was acknowledged is in the file that the path names.
    drop(log);
    assert_eq!(read(&mut *open(&other, &lane).await).await, ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_waits_while_another_process_holds_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = Local::open(folder.path()).await.unwrap();
    send(&log, "0").await;
    let other = Connection::open(folder.path().join("log.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sending = tokio::spawn(async move { send(&log, "1").await.1.number() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        !sending.is_finished(),
        "it was written in spite of the lock"
    );
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(soon("the send goes on", sending).await.unwrap(), Some(1));
}

/// Runs SQL in a file, which is made where it is missing.
fn execute(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn files_that_are_something_else_are_refused_in_words() {
    for (what, words) in [
        (
            "newer",
            "was written by a newer logpipe (its schema has version 99",
        ),
        ("foreign", "is a SQLite database of something else"),
        ("text", "the file is no SQLite database"),
        ("damaged", "the file is damaged"),
        ("folder", "log.db"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        match what {
            "newer" => {
                drop(Local::open(folder.path()).await.unwrap());
                execute(&path, "PRAGMA user_version = 99");
            }
            "foreign" => execute(&path, "CREATE TABLE people (name TEXT)"),
            "text" => std::fs::write(&path, "not a database\n".repeat(500)).unwrap(),
            "damaged" => {
                execute(&path, "CREATE TABLE people (name TEXT)");
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[100..2000].fill(0xff);
                std::fs::write(&path, bytes).unwrap();
            }
            _ => std::fs::create_dir(&path).unwrap(),
        }
        let error = match Local::open(folder.path()).await {
            Ok(_) => panic!("{what}: it was opened"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(words), "{what}: {error}");
        assert!(error.contains("log.db"), "{what}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_makes_its_owner_alone_may_use() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("above").join("data");
    let log = Local::open(&data).await.unwrap();
    send(&log, "0").await;
    let mut member = Member::join(&log).await;
    member
        .until("all lanes are assigned", |member| member.lanes.len() == 4)
        .await;
    for made in ["..", ".", "members"] {
        assert_eq!(mode(&data.join(made)), 0o700, "{made}");
    }
    for file in [&data, &data.join("members")]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
    {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert!(data.join("log.db-wal").exists() && data.join("log.db-shm").exists());

    // What was there before stays as it is.
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::File::create(shared.join("log.db")).unwrap();
    for (path, wanted) in [(&shared, 0o750), (&shared.join("log.db"), 0o640)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(wanted)).unwrap();
    }
    let log = Local::open(&shared).await.unwrap();
    send(&log, "0").await;
    assert_eq!(mode(&shared), 0o750);
    for file in ["log.db", "log.db-wal"] {
        assert_eq!(mode(&shared.join(file)), 0o640, "{file}");
    }
    assert_eq!(mode(&shared.join("groups.db")), 0o600);
}
