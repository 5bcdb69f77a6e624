//! Do effects happen exactly once whatever a handler does to its transaction, and whoever else holds the file.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::*;
use crate::record::{LaneId, Position};
use crate::store::{Administration, Due};

const TABLES: &str = "
    CREATE TABLE effects (what TEXT NOT NULL);
    CREATE TABLE names (name TEXT PRIMARY KEY);
    CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE fatal (what TEXT);
    CREATE TRIGGER fatal BEFORE INSERT ON fatal BEGIN SELECT RAISE(ROLLBACK, 'no'); END;
    INSERT INTO names VALUES ('taken');";

type Handler = fn(&Tx) -> Result;

fn effect(tx: &Tx, what: &str) -> Result {
    tx.execute("INSERT INTO effects VALUES (?1)", [what])?;
    Ok(())
}

/// A handler that ignores what SQLite answers.
fn ignoring<const N: usize>(tx: &Tx, statements: [&str; N]) -> [bool; N] {
    statements.map(|statement| tx.execute_batch(statement).is_ok())
}

/// Which step of a run said that the transaction is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Torn,
    Unsettled,
    Refused,
}

struct Bench {
    store: Sqlite,
    held: Held,
    deadline: Option<Duration>,
}

impl Bench {
    async fn new() -> Self {
        let store = Sqlite::temporary().await.unwrap();
        plain(&store).execute_batch(TABLES).unwrap();
        let held = claim_lane(&store).await;
        Self {
            store,
            held,
            deadline: None,
        }
    }

    /// What a run time does with a run of records, from the first to the commit; the position is their number.
    async fn run(&mut self, handlers: &[Handler]) -> End {
        let mut session = self.store.begin(&self.held).await.unwrap();
        for handler in handlers {
            self.store.mark(&mut session, self.deadline).await.unwrap();
            let handled = handler(Sqlite::connection(&mut session));
            let failed = handled.is_err() || self.store.is_overdue(&session);
            if failed && self.store.undo(&mut session).await.is_err() {
                return End::Torn;
            }
            if !failed && !self.store.whole(&mut session).await {
                return End::Torn;
            }
        }
        let cursor = Cursor::After(Position::from(handlers.len() as u64));
        let settlement = Settlement {
            cursor: Some(cursor.clone()),
            ..Settlement::default()
        };
        if self.store.settle(&mut session, settlement).await.is_err() {
            self.store.rollback(session).await;
            return End::Unsettled;
        }
        match self.store.commit(session).await {
            Commit::Done => {
                self.held.cursor = cursor;
                End::Done
            }
            Commit::Refused(error) if !error.is_unavailable() => End::Refused,
            other => panic!("{other:?}"),
        }
    }

    fn effects(&self) -> Vec<String> {
        let connection = plain(&self.store);
        let mut query = connection
            .prepare("SELECT what FROM effects ORDER BY rowid")
            .unwrap();
        let found = query.query_map([], |row| row.get(0)).unwrap();
        found.collect::<Result<_, _>>().unwrap()
    }

    async fn cursor(&self) -> Cursor {
        self.store.lanes(None).await.unwrap().remove(0).cursor
    }
}

async fn claim_lane(store: &Sqlite) -> Held {
    let key = LaneKey {
        consumer: "sync".into(),
        lane: LaneId::new("nouns", "0"),
        cluster: String::new(),
        incarnation: String::new(),
    };
    let claim = store
        .claim(&key, Some(&Cursor::Start))
        .await
        .unwrap()
        .unwrap();
    Held {
        key,
        epoch: claim.epoch,
        cursor: claim.cursor,
    }
}

/// A connection of another program.
fn plain(store: &Sqlite) -> Connection {
    Connection::open(store.path()).unwrap()
}

/// A store of another process on the same file.
async fn another(store: &Sqlite) -> Sqlite {
    Sqlite::open(store.path()).await.unwrap()
}

fn good(tx: &Tx) -> Result {
    effect(tx, "good")
}

#[tokio::test]
async fn what_a_handler_does_to_the_transaction_is_lost_whole_and_done_again() {
    let table: &[(&str, End, Handler)] = &[
        ("a constraint that rolls back", End::Torn, |tx| {
            effect(tx, "bad")?;
            let own = [
                "INSERT OR ROLLBACK INTO names VALUES ('taken')",
                "INSERT INTO effects VALUES ('on its own')",
            ];
            assert_eq!(ignoring(tx, own), [false, false]);
            Ok(())
        }),
        ("a trigger that rolls back", End::Torn, |tx| {
            effect(tx, "bad")?;
            let own = [
                "INSERT INTO fatal VALUES ('it')",
                "INSERT INTO effects VALUES ('on its own')",
            ];
            assert_eq!(ignoring(tx, own), [false, false]);
            Ok(())
        }),
        ("a full disk", End::Torn, |tx| {
            effect(tx, "bad")?;
            let full = [
                "SAVEPOINT mine",
                "PRAGMA max_page_count = 1",
                "INSERT INTO effects VALUES (hex(zeroblob(1000000)))",
                "INSERT INTO effects VALUES ('on its own')",
            ];
            assert_eq!(ignoring(tx, full), [true, true, false, false]);
            Ok(())
        }),
        (
            "a connection that may not write any more",
            End::Unsettled,
            |tx| {
                effect(tx, "bad")?;
                assert_eq!(ignoring(tx, ["PRAGMA query_only = ON"]), [true]);
                Ok(())
            },
        ),
        ("a deferred foreign key", End::Refused, |tx| {
            effect(tx, "bad")?;
            assert_eq!(ignoring(tx, ["INSERT INTO children VALUES (404)"]), [true]);
            Ok(())
        }),
    ];
    for (name, end, bad) in table {
        let mut bench = Bench::new().await;
        // The record before it in the run goes down with it, and the one behind it is not reached.
        for run in [&[*bad][..], &[good, *bad], &[*bad, good]] {
            assert_eq!(bench.run(run).await, *end, "{name}");
            assert_eq!(bench.effects(), [""; 0], "{name}");
            assert_eq!(bench.cursor().await, Cursor::Start, "{name}");
        }
        assert_eq!(bench.run(&[good, good]).await, End::Done, "{name}");
        assert_eq!(bench.effects(), ["good", "good"], "{name}");
        assert_eq!(bench.cursor().await, bench.held.cursor, "{name}");
    }
}

/// Refused when they are prepared, in words of ours, and nothing but their record notices.
#[tokio::test]
async fn what_is_the_stores_alone_is_refused_and_the_transaction_stays_whole() {
    let table: &[(&str, Handler)] = &[
        ("BEGIN", |tx| refused(tx, "BEGIN")),
        ("COMMIT", |tx| refused(tx, "COMMIT")),
        // The store has said this very text before: a statement that is prepared already is not asked about.
        ("COMMIT, again", |tx| refused(tx, "COMMIT")),
        ("END", |tx| refused(tx, "END TRANSACTION")),
        ("ROLLBACK", |tx| refused(tx, "ROLLBACK")),
        ("BEGIN IMMEDIATE", |tx| refused(tx, "BEGIN IMMEDIATE")),
        ("several in one", |tx| {
            refused(tx, "SELECT 1; COMMIT; BEGIN")
        }),
        ("ATTACH", |tx| refused(tx, "ATTACH ':memory:' AS other")),
        ("a lane", |tx| refused(tx, "DELETE FROM logpipe_lanes")),
        ("a table", |tx| refused(tx, "DROP TABLE Logpipe_Parked")),
        ("a trigger", |tx| {
            refused(
                tx,
                "CREATE TRIGGER t AFTER DELETE ON logpipe_settled BEGIN SELECT 1; END",
            )
        }),
    ];
    fn refused(tx: &Tx, statement: &str) -> Result {
        effect(tx, "undone")?;
        let error = match statement.contains(';') {
            true => tx.execute_batch(statement).unwrap_err(),
            false => tx.execute(statement, []).unwrap_err(),
        };
        assert!(error.to_string().contains("cx.tx().savepoint("), "{error}");
        Err(error.into())
    }
    let mut bench = Bench::new().await;
    for (round, (name, bad)) in table.iter().enumerate() {
        assert_eq!(bench.run(&[good, *bad, good]).await, End::Done, "{name}");
        assert_eq!(bench.effects().len(), 2 * (round + 1), "{name}");
    }
    assert!(!bench.effects().contains(&"undone".into()));
}

#[tokio::test]
async fn what_a_handler_may_do_is_kept() {
    let table: &[(&str, Handler, &[&str])] = &[
        (
            "a swallowed error",
            |tx| {
                effect(tx, "before")?;
                let wrong = ["INSERT INTO names VALUES ('taken')", "nonsense", "COMMIT"];
                assert_eq!(ignoring(tx, wrong), [false; 3]);
                effect(tx, "after")
            },
            &["before", "after"],
        ),
        (
            "savepoints, kept and undone, one in another",
            |tx| {
                tx.savepoint(|tx| {
                    effect(tx, "kept")?;
                    let undone = tx.savepoint(|tx| {
                        effect(tx, "undone")?;
                        Err::<(), _>(Error::msg("no"))
                    });
                    assert_eq!(undone.unwrap_err().to_string(), "no");
                    effect(tx, "kept, too")
                })
            },
            &["kept", "kept, too"],
        ),
        (
            "a savepoint left open",
            |tx| {
                assert_eq!(ignoring(tx, ["SAVEPOINT mine"]), [true]);
                effect(tx, "kept")
            },
            &["kept"],
        ),
        (
            "a table of its own",
            |tx| {
                tx.execute_batch(
                    "CREATE TABLE IF NOT EXISTS own (id); INSERT INTO own VALUES (1)",
                )?;
                effect(tx, "kept")
            },
            &["kept"],
        ),
        (
            "two statements at once",
            |tx| {
                let mut names = tx.prepare("SELECT name FROM names")?;
                let mut names = names.query([])?;
                while let Some(row) = names.next()? {
                    effect(tx, &row.get::<_, String>(0)?)?;
                }
                let sql = "SELECT name FROM names WHERE name = ?1";
                let found: Option<String> =
                    tx.query_row(sql, ["new"], |row| row.get(0)).optional()?;
                assert_eq!((found, tx.changes()), (None, 1));
                Ok(())
            },
            &["taken"],
        ),
        (
            "settings that hold only outside of transactions",
            |tx| {
                let settings = [
                    "PRAGMA journal_mode = DELETE",
                    "PRAGMA synchronous = OFF",
                    "PRAGMA foreign_keys = OFF",
                    "VACUUM",
                ];
                ignoring(tx, settings);
                effect(tx, "kept")
            },
            &["kept"],
        ),
        (
            "a failure",
            |tx| {
                effect(tx, "undone")?;
                Err(Error::msg("no"))
            },
            &[],
        ),
    ];
    for (name, handler, kept) in table {
        let mut bench = Bench::new().await;
        assert_eq!(
            bench.run(&[good, *handler, good]).await,
            End::Done,
            "{name}"
        );
        let mut expected = vec!["good"];
        expected.extend(*kept);
        expected.push("good");
        assert_eq!(bench.effects(), expected, "{name}");
        assert_eq!(bench.run(&[good]).await, End::Done, "{name}: the next run");
    }
}

#[tokio::test]
async fn a_handler_can_not_undo_the_record_before_its_own() {
    let leaves: Handler = |tx| {
        tx.execute_batch("SAVEPOINT before")?;
        effect(tx, "first")
    };
    let undoes: Handler = |tx| {
        // Released with the first record's savepoint, so there is nothing to go back to.
        assert_eq!(ignoring(tx, ["ROLLBACK TO before"]), [false]);
        Ok(())
    };
    let mut bench = Bench::new().await;
    assert_eq!(bench.run(&[leaves, undoes]).await, End::Done);
    assert_eq!(bench.effects(), ["first"]);
}

/// A statement's text may hold values, which are not to be in errors.
#[tokio::test]
async fn errors_leave_out_the_statement() {
    let mut bench = Bench::new().await;
    let wrong: Handler = |tx| {
        let error = tx.execute("SELECT nothing FROM names WHERE name = 'secret'", []);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("nothing") && !error.contains("secret"),
            "{error}"
        );
        Ok(())
    };
    assert_eq!(bench.run(&[wrong]).await, End::Done);
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

/// What SQLite makes of the transaction of a statement that was stopped, it is asked; that it was stopped is remembered,
/// whatever the handler says.
#[tokio::test]
async fn statements_end_with_the_deadline() {
    let table: &[(&str, End, Handler)] = &[
        ("an endless look", End::Done, |tx| {
            effect(tx, "undone")?;
            let look = format!("{ENDLESS} SELECT count(*) FROM n");
            tx.query_row(&look, [], |_| Ok(())).unwrap_err();
            Ok(())
        }),
        ("an endless write", End::Torn, |tx| {
            let write = format!("{ENDLESS} INSERT INTO effects SELECT 'late' FROM n WHERE i < 0");
            tx.execute(&write, []).unwrap_err();
            Ok(())
        }),
        ("endlessly many short ones", End::Done, |tx| {
            while effect(tx, "undone").is_ok() {}
            Ok(())
        }),
        ("a batch of them", End::Done, |tx| {
            while tx.execute_batch("SELECT 1").is_ok() {}
            Ok(())
        }),
    ];
    for (name, end, slow) in table {
        let mut bench = Bench::new().await;
        bench.deadline = Some(Duration::from_millis(20));
        assert_eq!(bench.run(&[good, *slow, good]).await, *end, "{name}");
        bench.deadline = None;
        assert_eq!(bench.run(&[good]).await, End::Done, "{name}");
        let kept = if *end == End::Done { 3 } else { 1 };
        assert_eq!(bench.effects(), vec!["good"; kept], "{name}");
    }
}

/// Nobody can drop a thread: its statement is told to stop.
#[tokio::test]
async fn work_that_is_dropped_lets_go_of_the_file() {
    let mut bench = Bench::new().await;
    let (store, held) = (bench.store.clone(), bench.held.clone());
    let pace = Arc::new(Pace::default());
    let (begun, began) = tokio::sync::oneshot::channel();
    let work = async move {
        let mut session = store.begin(&held).await.unwrap();
        store.mark(&mut session, None).await.unwrap();
        begun.send(()).unwrap();
        let write = format!("{ENDLESS} INSERT INTO effects SELECT 'late' FROM n WHERE i < 0");
        Sqlite::connection(&mut session).execute(&write, [])
    };
    {
        let work = bench.store.place(&pace, work);
        tokio::pin!(work);
        tokio::select! {
            _ = &mut work => panic!("it is endless"),
            began = began => began.unwrap(),
        }
    }
    pace.returned().await;
    assert_eq!(bench.run(&[good]).await, End::Done);
    assert_eq!(bench.effects(), ["good"]);
}

#[tokio::test]
async fn a_transaction_that_ended_is_noticed_at_once() {
    let bench = Bench::new().await;
    for statement in [
        "INSERT OR ROLLBACK INTO names VALUES ('taken')",
        "INSERT INTO fatal VALUES ('it')",
        // No handler is at work, so nobody is asked whether it may.
        "ROLLBACK",
        "COMMIT",
        "ROLLBACK; BEGIN IMMEDIATE",
    ] {
        // Without a mark, which would be missed too.
        let mut session = bench.store.begin(&bench.held).await.unwrap();
        assert!(bench.store.whole(&mut session).await);
        ignoring(Sqlite::connection(&mut session), [statement]);
        assert!(!bench.store.whole(&mut session).await, "{statement}");
        let committed = bench.store.commit(session).await;
        assert!(matches!(committed, Commit::Refused(_)), "{statement}");
    }
}

#[tokio::test]
async fn a_process_that_lost_its_lane_writes_nothing_when_it_wakes() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.run(&[good]).await, End::Done);
    let other = another(&bench.store).await;
    let taken = claim_lane(&other).await;
    assert_eq!((taken.epoch, &taken.cursor), (2, &bench.held.cursor));
    // The zombie's cursor is right and its epoch is not.
    let zombie = bench.store.begin(&bench.held).await.err().unwrap();
    assert!(zombie.is_fenced(), "{zombie}");
    let session = other.begin(&taken).await.unwrap();
    other.rollback(session).await;
    assert_eq!(bench.effects(), ["good"]);
}

/// R2 and R6: the user's transaction may have ended by itself, and a record above the cursor may be settled already, where
/// neither epoch nor cursor tells.
#[tokio::test]
async fn a_transaction_of_the_users_own_settles_whole_and_once() {
    let bench = Bench::new().await;
    let mut user = plain(&bench.store);
    let due = Due::Record {
        held: bench.held.clone(),
        cursor: None,
        above: vec![Position::from(7)],
    };
    let settled = async || bench.store.lanes(None).await.unwrap()[0].settled;

    let error = ack::settle(&user, &due).unwrap_err();
    assert!(error.to_string().contains("in no transaction"), "{error}");
    for ends_it in [
        "INSERT OR ROLLBACK INTO names VALUES ('taken')",
        "INSERT INTO fatal VALUES ('it')",
        "ROLLBACK",
    ] {
        let tx = user.unchecked_transaction().unwrap();
        let _ = tx.execute(ends_it, []);
        let error = ack::settle(&tx, &due).unwrap_err();
        assert!(error.to_string().contains("in no transaction"), "{error}");
        drop(tx);
        assert_eq!(settled().await, 0, "{ends_it}");
    }

    let tx = user.transaction().unwrap();
    tx.execute("INSERT INTO effects VALUES ('once')", [])
        .unwrap();
    ack::settle(&tx, &due).unwrap();
    tx.commit().unwrap();
    assert_eq!(settled().await, 1);

    let tx = user.transaction().unwrap();
    tx.execute("INSERT INTO effects VALUES ('twice')", [])
        .unwrap();
    let error = ack::settle(&tx, &due).unwrap_err();
    assert!(error.is_fenced(), "{error}");
    drop(tx);
    let mut session = bench.store.begin(&bench.held).await.unwrap();
    let again = Settlement {
        above: vec![Position::from(7)],
        ..Settlement::default()
    };
    let error = bench.store.settle(&mut session, again).await.unwrap_err();
    assert!(error.is_fenced(), "{error}");
    bench.store.rollback(session).await;
    assert_eq!((bench.effects(), settled().await), (vec!["once".into()], 1));
}

#[tokio::test]
async fn a_claim_waits_for_the_transaction_that_is_open() {
    let bench = Bench::new().await;
    let other = another(&bench.store).await;
    let mut session = bench.store.begin(&bench.held).await.unwrap();
    let claim = tokio::spawn(async move { claim_lane(&other).await });
    effect(Sqlite::connection(&mut session), "good").unwrap();
    let settlement = Settlement {
        cursor: Some(Cursor::After(7.into())),
        ..Settlement::default()
    };
    bench.store.settle(&mut session, settlement).await.unwrap();
    assert!(matches!(bench.store.commit(session).await, Commit::Done));
    assert_eq!(claim.await.unwrap().cursor, Cursor::After(7.into()));
    assert_eq!(bench.effects(), ["good"]);
}

#[tokio::test]
async fn a_held_file_is_the_stores_trouble_and_passes() {
    let mut bench = Bench::new().await;
    Arc::get_mut(&mut bench.store.inner).unwrap().patience = Duration::from_millis(200);
    let other = plain(&bench.store);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = bench.store.begin(&bench.held).await.err().unwrap();
    assert!(
        error.is_unavailable() && bench.store.is_store_trouble(&error),
        "{error}"
    );
    assert!(error.to_string().contains("others have held"), "{error}");
    // Looking is possible all the same, and so is opening.
    assert_eq!(bench.cursor().await, Cursor::Start);
    assert!(
        bench
            .store
            .begin_redrive("sync", &["nouns".into()])
            .await
            .unwrap()
            .is_none()
    );
    another(&bench.store).await;
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(bench.run(&[good]).await, End::Done);
}

#[tokio::test]
async fn constraints_are_the_records_fault_and_locks_are_not() {
    #[derive(Debug, thiserror::Error)]
    #[error("saving the person")]
    struct Wrapped(#[source] rusqlite::Error);

    let bench = Bench::new().await;
    let busy = plain(&bench.store);
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    let other = plain(&bench.store);
    other.busy_timeout(Duration::ZERO).unwrap();
    let table = [
        ("INSERT INTO names VALUES ('taken')", false),
        ("nonsense", false),
        ("BEGIN IMMEDIATE", true),
    ];
    for (statement, trouble) in table {
        let connection = if trouble { &other } else { &busy };
        let error = connection.execute_batch(statement).unwrap_err();
        assert_eq!(
            bench.store.is_store_trouble(&Wrapped(error).into()),
            trouble,
            "{statement}"
        );
    }
    assert!(!bench.store.is_store_trouble(&Error::msg("no")));
}

#[tokio::test]
async fn a_file_that_can_not_be_a_store_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at("text.db"),
        "this is not a database, whatever its name says",
    )
    .unwrap();
    let newer = Sqlite::open(at("newer.db")).await.unwrap();
    let future = "INSERT INTO logpipe_schema VALUES (99, 'later')";
    plain(&newer).execute(future, []).unwrap();
    drop(Sqlite::open(at("locked.db")).await.unwrap());
    let nothing: fn(&Connection) -> rusqlite::Result<()> = |_| Ok(());
    let locked = |connection: &Connection| connection.pragma_update(None, "query_only", true);
    let table = [
        (at("absent/app.db"), nothing, "its folder does not exist"),
        (at("text.db"), nothing, "not an SQLite database"),
        (at("newer.db"), nothing, "update this program"),
        (folder.path().into(), nothing, "look at the rights"),
        (":memory:".into(), nothing, "Sqlite::temporary()"),
        (at("locked.db"), locked, "may not write"),
    ];
    for (path, setup, expected) in table {
        let opened = Sqlite::open_with(&path, setup).await;
        let error = opened.err().expect(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The journal is ours to choose, also in a file that was there before; how durable it is, the application's.
#[tokio::test]
async fn each_connection_is_set_up_by_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(TABLES)
        .unwrap();
    let plain = Sqlite::open(&path).await.unwrap();
    let setup = Sqlite::open_with(&path, |connection: &Connection| {
        connection.pragma_update(None, "synchronous", "NORMAL")
    });
    let setup = setup.await.unwrap();
    for (store, synchronous) in [(plain, 2), (setup, 1)] {
        let mut session = store.begin(&claim_lane(&store).await).await.unwrap();
        let tx = Sqlite::connection(&mut session);
        let asked =
            |pragma| tx.query_row(pragma, [], |row| row.get::<_, rusqlite::types::Value>(0));
        assert_eq!(
            asked("PRAGMA synchronous"),
            Ok(i64::from(synchronous).into())
        );
        assert_eq!(asked("PRAGMA journal_mode"), Ok(String::from("wal").into()));
    }
}

/// What is made holds what messages held; what was there is the application's.
#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| {
        let found = std::fs::metadata(folder.path().join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    let store = Sqlite::open(folder.path().join("new.db")).await.unwrap();
    claim_lane(&store).await;
    assert_eq!(["new.db", "new.db-wal", "new.db-shm"].map(mode), [0o600; 3]);
    let old = folder.path().join("old.db");
    std::fs::write(&old, "").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o640)).unwrap();
    let _store = Sqlite::open(&old).await.unwrap();
    assert_eq!(mode("old.db"), 0o640);
    let temporary = Sqlite::temporary().await.unwrap();
    let folder = temporary.path().parent().unwrap();
    let found = std::fs::metadata(folder).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn several_processes_may_make_the_same_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let opened = (0..6).map(|_| tokio::spawn(Sqlite::open(path.clone())));
    for opened in futures_util::future::join_all(opened).await {
        let store = opened.unwrap().unwrap();
        assert_eq!(store.lanes(None).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_temporary_store_leaves_nothing_behind() {
    let store = Sqlite::temporary().await.unwrap();
    let folder = store.path().parent().unwrap().to_owned();
    let clone = store.clone();
    drop(store);
    assert!(folder.is_dir());
    drop(clone);
    assert!(!folder.exists());
}
