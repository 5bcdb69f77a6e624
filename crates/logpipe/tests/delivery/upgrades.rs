//! Do files of earlier versions open and go on? The ones in `tests/files` were written by the last logpipe that used sqlx:
//! positions, a record settled above the cursor, parked records and headers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use logpipe::store::sqlite::rusqlite::Connection;
use logpipe::store::{Administration, Filter, Sqlite};
use logpipe::{Consumer, Cx, Log, Outcome, Service, Store};

use crate::note::{Note, Note2, Seen, note};

/// A copy of the files, as a service finds them.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("log")).unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    for (from, to) in [
        ("app.db", "app.db"),
        ("log.db", "log/log.db"),
        ("groups.db", "log/groups.db"),
    ] {
        fs::copy(files.join(from), folder.path().join(to)).unwrap();
    }
    folder
}

async fn run<S: Store>(consumer: Consumer<S>) -> Outcome {
    let consumer = consumer
        .on(async |_: Note2, _: &mut Cx<S>| Ok(()))
        .idle_timeout(Duration::from_millis(200));
    Service::new().with(consumer).run().await.unwrap()
}

#[tokio::test]
async fn files_of_before_go_on() {
    let folder = files();
    let log = Log::local(folder.path().join("log")).await.unwrap();
    let file = folder.path().join("app.db");
    let store = Sqlite::open(&file).await.unwrap();

    let parked = store.parked(&Filter::default(), None, 10).await.unwrap();
    let kinds: Vec<&str> = parked.iter().map(|row| &*row.reason.kind).collect();
    assert_eq!(
        kinds,
        ["Refused", "Queued", "Queued", "Queued", "Tombstone"]
    );
    let header = parked[4].record.header("logpipe-type");
    assert_eq!(header, Some(&b"note"[..]));

    let producer = log.producer("notes").await.unwrap();
    producer.send(&note("new", 0)).await.unwrap();
    let poison = Filter {
        key: Some(b"poison".to_vec()),
        ..Filter::default()
    };
    assert_eq!(store.redrive(&poison).await.unwrap(), 4);
    let sync = || {
        let effects = async |note: Note, cx: &mut Cx<Sqlite>| {
            let insert = "insert into effects values (?1, ?2)";
            cx.tx().execute(insert, (note.id, note.number))?;
            Ok(())
        };
        let source = log.source("notes");
        Consumer::with_store(source, store.clone())
            .group("sync")
            .on(effects)
    };
    // Three that waited behind one which had failed, four that were parked, and the new one.
    assert_eq!(run(sync()).await.handled, 8);
    assert_eq!(run(sync()).await.handled, 0);
    let plain = Connection::open(&file).unwrap();
    let doubled = "select count(*), count(distinct id || number) from effects";
    let counts = plain.query_row(doubled, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(counts, Ok((25, 25)));
    assert_eq!(store.count_parked(&Filter::default()).await.unwrap(), 1);

    // Positions that the log keeps.
    let seen = Seen::default();
    let plain = Consumer::new(log.source("notes"))
        .group("plain")
        .dead_letter("dead");
    let plain = plain.on_with(seen.clone(), async |seen: &Seen, note: Note, _: &mut Cx| {
        seen.push(&note);
        Ok(())
    });
    assert_eq!(run(plain).await.handled, 1);
    assert_eq!(seen.all(), [("new".to_owned(), 0)]);
}
