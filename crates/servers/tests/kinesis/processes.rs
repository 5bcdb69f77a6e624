//! Do processes of one group keep what they promise when shards split and merge under them, and one is killed or told to
//! end in the middle of that?
//!
//! A process is this test's binary once more: [`a_process`] is what it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logpipe::kinesis::{Kinesis, Settings};
use logpipe::sink::Sent;
use logpipe::store::Sqlite;
use logpipe::{Consumer, Cx, Log, Producer, Service, shutdown_signal};
use logpipe_servers::Process;
use logpipe_servers::faulty::{Opening, REGION};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::effects::{self, Effects, assert_each_once_in_order};
use crate::shared::{self, Note, PATIENCE, drained};
use crate::{Bed, GROUP, STREAM, soon};

const ENDPOINT: &str = "LOGPIPE_TEST_ENDPOINT";
const FOLDER: &str = "LOGPIPE_TEST_FOLDER";
const NAME: &str = "LOGPIPE_TEST_NAME";

/// What a consumer process has to have done by then, whatever happens to who started it.
const LIFE: Duration = Duration::from_secs(120);

/// How long ListShards takes while a process is to be killed that waits for it: far longer than it takes to look at the
/// database and to kill.
const LISTING: Duration = Duration::from_secs(3);

/// Less than the time between two looks at a stream where nothing seems to have changed.
const NOTICE: Duration = Duration::from_secs(20);

const KEYS: i64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is the process that the tests of this file start"]
async fn a_process() {
    let variable = |name| std::env::var(name).ok();
    let (Some(endpoint), Some(folder), Some(name)) =
        (variable(ENDPOINT), variable(FOLDER), variable(NAME))
    else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    // The access key is what the server knows it by.
    let settings = Settings::new()
        .region(REGION)
        .endpoint_url(endpoint)
        .credentials(&name, "test")
        .leases(folder.join("leases.db"));
    let log = Log::new(Kinesis::open(settings).await.unwrap());
    let store = Sqlite::open(effects::file(&folder)).await.unwrap();
    let service = Service::new().with(consumer(&log, store, name));
    let run = service.run_until(shutdown_signal());
    let outcome = tokio::time::timeout(LIFE, run).await.unwrap().unwrap();
    assert!(outcome.held.is_empty(), "{:?}", outcome.held);
}

fn consumer(log: &Log, store: Sqlite, name: String) -> Consumer<Sqlite> {
    Consumer::with_store(log.source(STREAM), store)
        .group(GROUP)
        .on_with(
            name,
            async |name: &String, note: Note, cx: &mut Cx<Sqlite>| effects::write(cx, &note, name),
        )
}

fn start(bed: &Bed, name: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "processes::a_process",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(ENDPOINT, bed.server.endpoint())
        .env(FOLDER, bed.folder.path())
        .env(NAME, name);
    let output = bed.folder.path().join(format!("{name}.log"));
    Process::start("a consumer of the test's own", &command, &output).unwrap()
}

/// SIGKILL: that of a drop.
fn kill(processes: &mut BTreeMap<String, Process>, name: &str) {
    assert!(processes.remove(name).is_some(), "{name} does not run");
}

/// Sends notes of many keys, one after the other, until it is told to stop.
struct Sending {
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Sending {
    fn start(producer: Producer) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let task = tokio::spawn(send(producer, Arc::clone(&stop), Arc::clone(&sent)));
        Self { stop, sent, task }
    }

    async fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

async fn send(producer: Producer, stop: Arc<AtomicBool>, sent: Arc<Mutex<Vec<Sent>>>) {
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let note = Note {
            id: (number % KEYS).to_string(),
            number,
        };
        let place = soon(producer.send(&note)).await.unwrap();
        sent.lock().unwrap().push(place);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for what the database shows.
async fn until_stored(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The stored cursor of a shard.
fn cursor(effects: &Effects, shard: &str) -> Option<String> {
    effects.cursors().remove(shard)
}

/// Who handled records of this shard last.
fn reader_of(effects: &Effects, shard: &str) -> Option<String> {
    let mut all = effects.all().into_iter();
    all.rfind(|effect| effect.shard == shard)
        .map(|effect| effect.by)
}

/// Lets these shards be opened, each of which is settled to the end of its parents by then.
async fn admit(
    gate: &mut UnboundedReceiver<Opening>,
    effects: &Effects,
    parents: &[&str],
    children: &[String],
) {
    let mut left: BTreeSet<&String> = children.iter().collect();
    while !left.is_empty() {
        let opening = soon(gate.recv()).await.unwrap();
        assert_open(effects, parents, children, &opening);
        left.remove(&opening.shard);
        opening.admit();
    }
}

fn assert_open(effects: &Effects, parents: &[&str], children: &[String], opening: &Opening) {
    assert!(children.contains(&opening.shard), "{} opens", opening.shard);
    for parent in parents {
        let stored = cursor(effects, parent);
        assert_eq!(
            stored.as_deref(),
            Some("closed"),
            "{} opens {} while {parent} is not settled",
            opening.by,
            opening.shard
        );
    }
}

/// Split, merge, split again under load. The first time a process dies as soon as the parent is settled, before anybody
/// knows its children; the last time one dies that has claimed a child and is about to open it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_die_between_a_shard_and_its_children_lose_and_double_nothing() {
    let bed = Bed::new(1).await;
    let (admin, faults) = (bed.server.admin(), bed.server.faults());
    let first = admin.shards(STREAM).await.remove(0).shard_id;
    let effects = Effects::create(bed.folder.path());
    // Its tables are there before two processes make them at once, and before the test asks for them.
    let store = Sqlite::open(effects::file(bed.folder.path()))
        .await
        .unwrap();
    let mut gate = faults.gate();
    let log = Log::new(bed.log.clone());
    let sending = Sending::start(log.producer(STREAM).await.unwrap());
    let mut processes = BTreeMap::new();
    for name in ["A", "B"] {
        processes.insert(name.to_owned(), start(&bed, name));
    }
    admit(&mut gate, &effects, &[], std::slice::from_ref(&first)).await;
    until_stored("records are handled", || effects.all().len() > 50).await;

    // Whoever read the parent to its end waits for the list of its children.
    faults.delay("ListShards", LISTING);
    let dies = async {
        until_stored("the parent is settled", || {
            cursor(&effects, &first).as_deref() == Some("closed")
        })
        .await;
        let reader = reader_of(&effects, &first).unwrap();
        kill(&mut processes, &reader);
        let stored = effects.cursors();
        assert!(stored.keys().eq([&first]), "a child is claimed: {stored:?}");
    };
    let (children, ()) = tokio::join!(admin.split(STREAM, &first), dies);
    faults.delay("ListShards", Duration::ZERO);
    processes.insert("C".into(), start(&bed, "C"));
    admit(&mut gate, &effects, &[&first], &children).await;

    let [left, right] = &children[..] else {
        panic!("a split has two children: {children:?}");
    };
    let merged = admin.merge(STREAM, left, right).await;
    admit(
        &mut gate,
        &effects,
        &[left, right],
        std::slice::from_ref(&merged),
    )
    .await;

    let last = admin.split(STREAM, &merged).await;
    let opening = soon(gate.recv()).await.unwrap();
    assert_open(&effects, &[&merged], &last, &opening);
    kill(&mut processes, &opening.by);
    drop(opening);
    // Who is left did not read the parent, and learns from the group that it has children.
    let parents = [&*merged];
    let admitted = admit(&mut gate, &effects, &parents, &last);
    tokio::time::timeout(NOTICE, admitted)
        .await
        .expect("the children are noticed before the next regular look at the stream");

    let sent = sending.stop().await;
    until_stored("all is handled", || effects.all().len() >= sent.len()).await;
    // Whatever would be handled twice has been by the time that everybody has left.
    for process in processes.into_values() {
        process.signal("TERM").unwrap();
        drained(process).await;
    }
    let journal = effects.all();
    assert_each_once_in_order(&journal, sent.len() as i64);
    assert_eq!(effects.settled(&store, &sent).await.len(), sent.len());
    let parents = [
        (left, &first),
        (right, &first),
        (&merged, left),
        (&merged, right),
        (&last[0], &merged),
        (&last[1], &merged),
    ];
    for (child, parent) in parents {
        let of = |shard: &str| {
            let effects = journal.iter().filter(|effect| effect.shard == *shard);
            effects.map(|effect| effect.place).collect::<Vec<_>>()
        };
        let (before, after) = (of(parent), of(child));
        assert!(!before.is_empty() && !after.is_empty());
        assert!(
            before.last() < after.first(),
            "an effect of {child} came before one of {parent}"
        );
    }
}

/// The parent is settled, and a child is claimed and not yet opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_told_to_end_in_a_split_leaves_exactly_what_it_handled_settled() {
    let bed = Bed::new(1).await;
    let (admin, faults) = (bed.server.admin(), bed.server.faults());
    let first = admin.shards(STREAM).await.remove(0).shard_id;
    let effects = Effects::create(bed.folder.path());
    let store = Sqlite::open(effects::file(bed.folder.path()))
        .await
        .unwrap();
    let mut gate = faults.gate();
    let log = Log::new(bed.log.clone());
    let sending = Sending::start(log.producer(STREAM).await.unwrap());
    let process = start(&bed, "A");
    admit(&mut gate, &effects, &[], std::slice::from_ref(&first)).await;
    until_stored("records are handled", || effects.all().len() > 50).await;

    let children = admin.split(STREAM, &first).await;
    let opening = soon(gate.recv()).await.unwrap();
    assert_open(&effects, &[&first], &children, &opening);
    process.signal("TERM").unwrap();
    opening.admit();
    // The other child may be about to be opened, too.
    let admitting = async {
        while let Some(opening) = gate.recv().await {
            opening.admit();
        }
    };
    tokio::select! {
        () = drained(process) => {}
        () = admitting => panic!("the server is gone"),
    }
    let sent = sending.stop().await;
    let handled: BTreeSet<i64> = effects.all().iter().map(|one| one.number).collect();
    assert!(handled.len() < sent.len());
    assert_eq!(effects.settled(&store, &sent).await, handled);
    assert_eq!(cursor(&effects, &first).as_deref(), Some("closed"));

    let admitting = tokio::spawn(async move {
        while let Some(opening) = gate.recv().await {
            opening.admit();
        }
    });
    let rest = shared::run(consumer(&log, store, "the test".into())).await;
    admitting.abort();
    assert_eq!(rest.handled as usize, sent.len() - handled.len());
    assert_each_once_in_order(&effects.all(), sent.len() as i64);
}
