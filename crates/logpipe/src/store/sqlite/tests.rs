//! Do effects happen exactly once whatever a handler does to its transaction, and whoever else holds the file.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{Connection, Executor};

use super::*;
use crate::record::{LaneId, Position};
use crate::store::Administration;

const TABLES: &str = "
    CREATE TABLE effects (what TEXT NOT NULL);
    CREATE TABLE names (name TEXT PRIMARY KEY);
    CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO names VALUES ('taken');";

type Handler = for<'a> fn(&'a mut SqliteConnection) -> BoxFuture<'a, Result>;

async fn effect(connection: &mut SqliteConnection, what: &'static str) -> Result {
    sqlx::query("INSERT INTO effects VALUES (?1)")
        .bind(what)
        .execute(connection)
        .await?;
    Ok(())
}

/// A handler that ignores what SQLite answers.
async fn ignoring(connection: &mut SqliteConnection, statements: &[&'static str]) -> Vec<bool> {
    let mut succeeded = Vec::new();
    for statement in statements {
        succeeded.push(connection.execute(*statement).await.is_ok());
    }
    succeeded
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
}

impl Bench {
    async fn new() -> Self {
        let store = Sqlite::temporary().await.unwrap();
        plain(&store).await.execute(TABLES).await.unwrap();
        let held = claim_lane(&store).await;
        Self { store, held }
    }

    /// What a run time does with a run of records, from the first to the commit; the position is their number.
    async fn run(&mut self, handlers: &[Handler]) -> End {
        let mut session = self.store.begin(&self.held).await.unwrap();
        for handler in handlers {
            self.store.mark(&mut session).await.unwrap();
            let failed = handler(Sqlite::connection(&mut session)).await.is_err();
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

    async fn effects(&self) -> Vec<String> {
        let mut connection = plain(&self.store).await;
        let found = sqlx::query_scalar("SELECT what FROM effects ORDER BY rowid");
        found.fetch_all(&mut connection).await.unwrap()
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
async fn plain(store: &Sqlite) -> SqliteConnection {
    options(store.path()).connect().await.unwrap()
}

/// A store of another process on the same file.
async fn another(store: &Sqlite) -> Sqlite {
    Sqlite::open(store.path()).await.unwrap()
}

fn good(connection: &mut SqliteConnection) -> BoxFuture<'_, Result> {
    effect(connection, "good").boxed()
}

#[tokio::test]
async fn what_a_handler_does_to_the_transaction_is_lost_whole_and_done_again() {
    let table: &[(&str, End, Handler)] = &[
        ("a constraint that rolls back", End::Torn, |c| {
            async move {
                effect(c, "bad").await?;
                let done = ignoring(
                    c,
                    &[
                        "INSERT OR ROLLBACK INTO names VALUES ('taken')",
                        "INSERT INTO effects VALUES ('on its own')",
                    ],
                );
                assert_eq!(done.await, [false, false]);
                Ok(())
            }
            .boxed()
        }),
        ("COMMIT", End::Torn, |c| {
            async move {
                effect(c, "bad").await?;
                let done = ignoring(c, &["COMMIT", "INSERT INTO effects VALUES ('on its own')"]);
                assert_eq!(done.await, [false, false]);
                Ok(())
            }
            .boxed()
        }),
        ("ROLLBACK and a transaction of its own", End::Torn, |c| {
            async move {
                effect(c, "bad").await?;
                let own = [
                    "ROLLBACK",
                    "BEGIN",
                    "INSERT INTO effects VALUES ('own')",
                    "COMMIT",
                ];
                assert_eq!(ignoring(c, &own).await, [true, true, true, false]);
                Ok(())
            }
            .boxed()
        }),
        ("ROLLBACK and a transaction left open", End::Torn, |c| {
            async move {
                let own = [
                    "ROLLBACK",
                    "BEGIN IMMEDIATE",
                    "INSERT INTO effects VALUES ('own')",
                ];
                assert_eq!(ignoring(c, &own).await, [true, true, true]);
                Ok(())
            }
            .boxed()
        }),
        ("several statements in one", End::Torn, |c| {
            async move {
            ignoring(c, &["INSERT INTO effects VALUES ('bad'); COMMIT; BEGIN; INSERT INTO effects VALUES ('own')"]).await;
            Ok(())
        }.boxed()
        }),
        ("a full disk", End::Torn, |c| {
            async move {
                effect(c, "bad").await?;
                let full = [
                    "SAVEPOINT mine",
                    "PRAGMA max_page_count = 1",
                    "INSERT INTO effects VALUES (hex(zeroblob(1000000)))",
                    "INSERT INTO effects VALUES ('on its own')",
                ];
                assert_eq!(ignoring(c, &full).await, [true, true, false, false]);
                Ok(())
            }
            .boxed()
        }),
        (
            "sqlx's own transaction, begun in a way that can't nest",
            End::Torn,
            |c| {
                async move {
                    effect(c, "bad").await?;
                    assert!(c.begin_with("BEGIN EXCLUSIVE").await.is_err());
                    Ok(())
                }
                .boxed()
            },
        ),
        (
            "a connection that may not write any more",
            End::Unsettled,
            |c| {
                async move {
                    effect(c, "bad").await?;
                    assert_eq!(ignoring(c, &["PRAGMA query_only = ON"]).await, [true]);
                    Ok(())
                }
                .boxed()
            },
        ),
        ("a deferred foreign key", End::Refused, |c| {
            async move {
                effect(c, "bad").await?;
                assert_eq!(
                    ignoring(c, &["INSERT INTO children VALUES (404)"]).await,
                    [true]
                );
                Ok(())
            }
            .boxed()
        }),
    ];
    for (name, end, bad) in table {
        let mut bench = Bench::new().await;
        // The record before it in the run goes down with it, and the one behind it is not reached.
        for run in [&[*bad][..], &[good, *bad], &[*bad, good]] {
            assert_eq!(bench.run(run).await, *end, "{name}");
            assert_eq!(bench.effects().await, [""; 0], "{name}");
            assert_eq!(bench.cursor().await, Cursor::Start, "{name}");
        }
        assert_eq!(bench.run(&[good, good]).await, End::Done, "{name}");
        assert_eq!(bench.effects().await, ["good", "good"], "{name}");
        assert_eq!(bench.cursor().await, bench.held.cursor, "{name}");
    }
}

#[tokio::test]
async fn what_a_handler_may_do_is_kept() {
    let table: &[(&str, Handler, &[&str])] = &[
        (
            "a swallowed error",
            |c| {
                async move {
                    effect(c, "before").await?;
                    assert_eq!(
                        ignoring(
                            c,
                            &["INSERT INTO names VALUES ('taken')", "nonsense", "BEGIN"]
                        )
                        .await,
                        [false; 3]
                    );
                    effect(c, "after").await
                }
                .boxed()
            },
            &["before", "after"],
        ),
        (
            "savepoints of sqlx, kept and dropped",
            |c| {
                async move {
                    let mut kept = c.begin().await?;
                    effect(&mut kept, "kept").await?;
                    let mut dropped = kept.begin().await?;
                    effect(&mut dropped, "dropped").await?;
                    drop(dropped);
                    kept.commit().await?;
                    let mut dropped = c.begin().await?;
                    effect(&mut dropped, "dropped").await?;
                    Ok(())
                }
                .boxed()
            },
            &["kept"],
        ),
        (
            "a savepoint left open",
            |c| {
                async move {
                    assert_eq!(ignoring(c, &["SAVEPOINT mine"]).await, [true]);
                    effect(c, "kept").await
                }
                .boxed()
            },
            &["kept"],
        ),
        (
            "settings that hold only outside of transactions",
            |c| {
                async move {
                    ignoring(
                        c,
                        &[
                            "PRAGMA journal_mode = DELETE",
                            "PRAGMA synchronous = OFF",
                            "PRAGMA foreign_keys = OFF",
                            "VACUUM",
                        ],
                    )
                    .await;
                    effect(c, "kept").await
                }
                .boxed()
            },
            &["kept"],
        ),
        (
            "a failure",
            |c| {
                async move {
                    effect(c, "undone").await?;
                    Err(Error::msg("no"))
                }
                .boxed()
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
        assert_eq!(bench.effects().await, expected, "{name}");
        assert_eq!(bench.run(&[good]).await, End::Done, "{name}: the next run");
    }
}

#[tokio::test]
async fn a_handler_can_not_undo_the_record_before_its_own() {
    let leaves: Handler = |c| {
        async move {
            c.execute("SAVEPOINT before").await?;
            effect(c, "first").await
        }
        .boxed()
    };
    let undoes: Handler = |c| {
        async move {
            // Released with the first record's savepoint, so there is nothing to go back to.
            assert_eq!(ignoring(c, &["ROLLBACK TO before"]).await, [false]);
            Ok(())
        }
        .boxed()
    };
    let mut bench = Bench::new().await;
    assert_eq!(bench.run(&[leaves, undoes]).await, End::Done);
    assert_eq!(bench.effects().await, ["first"]);
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    INSERT INTO effects SELECT 'late' FROM n WHERE i < 0";

#[tokio::test]
async fn a_statement_that_outlives_its_handler_is_stopped_and_writes_nothing() {
    let endless: Handler = |c| {
        async move {
            effect(c, "bad").await?;
            let statement = c.execute(ENDLESS);
            // Its deadline passes.
            let _ = tokio::time::timeout(Duration::from_millis(20), statement).await;
            Err(Error::msg("deadline"))
        }
        .boxed()
    };
    let soon = Duration::from_secs(20);
    for drop_session in [true, false] {
        let mut bench = Bench::new().await;
        if drop_session {
            let mut session = bench.store.begin(&bench.held).await.unwrap();
            bench.store.mark(&mut session).await.unwrap();
            endless(Sqlite::connection(&mut session)).await.unwrap_err();
            drop(session);
        } else {
            // SQLite gives up the whole transaction with an interrupted write, which `undo` has to say.
            let run = [good, endless];
            let lost = tokio::time::timeout(soon, bench.run(&run));
            assert_eq!(lost.await.expect("the statement is stopped"), End::Torn);
        }
        let run = [good as Handler];
        let again = tokio::time::timeout(soon, bench.run(&run));
        assert_eq!(again.await.expect("the file is free again"), End::Done);
        assert_eq!(bench.effects().await, ["good"]);
    }
}

#[tokio::test]
async fn a_transaction_that_ended_is_noticed_at_once() {
    let bench = Bench::new().await;
    for statement in [
        "ROLLBACK",
        "COMMIT",
        "INSERT OR ROLLBACK INTO names VALUES ('taken')",
        "ROLLBACK; BEGIN IMMEDIATE",
    ] {
        // Without a mark, which would be missed too.
        let mut session = bench.store.begin(&bench.held).await.unwrap();
        assert!(bench.store.whole(&mut session).await);
        ignoring(Sqlite::connection(&mut session), &[statement]).await;
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
    assert_eq!(bench.effects().await, ["good"]);
}

#[tokio::test]
async fn a_claim_waits_for_the_transaction_that_is_open() {
    let bench = Bench::new().await;
    let other = another(&bench.store).await;
    let mut session = bench.store.begin(&bench.held).await.unwrap();
    let claim = tokio::spawn(async move { claim_lane(&other).await });
    effect(Sqlite::connection(&mut session), "good")
        .await
        .unwrap();
    let settlement = Settlement {
        cursor: Some(Cursor::After(7.into())),
        ..Settlement::default()
    };
    bench.store.settle(&mut session, settlement).await.unwrap();
    assert!(matches!(bench.store.commit(session).await, Commit::Done));
    assert_eq!(claim.await.unwrap().cursor, Cursor::After(7.into()));
    assert_eq!(bench.effects().await, ["good"]);
}

#[tokio::test]
async fn a_held_file_is_the_stores_trouble_and_passes() {
    let mut bench = Bench::new().await;
    Arc::get_mut(&mut bench.store.inner).unwrap().patience = Duration::from_millis(200);
    let mut other = plain(&bench.store).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = bench.store.begin(&bench.held).await.err().unwrap();
    assert!(
        error.is_unavailable() && bench.store.is_store_trouble(&error),
        "{error}"
    );
    assert!(error.to_string().contains("others have held"), "{error}");
    // Looking is possible all the same, and so is opening.
    assert_eq!(bench.cursor().await, Cursor::Start);
    assert!(bench.store.begin_redrive("sync").await.unwrap().is_none());
    another(&bench.store).await;
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(bench.run(&[good]).await, End::Done);
}

#[tokio::test]
async fn constraints_are_the_records_fault_and_locks_are_not() {
    #[derive(Debug, thiserror::Error)]
    #[error("saving the person")]
    struct Wrapped(#[source] sqlx::Error);

    let bench = Bench::new().await;
    let mut busy = plain(&bench.store).await;
    busy.execute("BEGIN IMMEDIATE; PRAGMA busy_timeout = 0")
        .await
        .unwrap();
    let mut other = plain(&bench.store).await;
    other.execute("PRAGMA busy_timeout = 0").await.unwrap();
    let table = [
        ("INSERT INTO names VALUES ('taken')", false),
        ("nonsense", false),
        ("BEGIN IMMEDIATE", true),
    ];
    for (statement, trouble) in table {
        let connection = if trouble { &mut other } else { &mut busy };
        let error = connection.execute(statement).await.unwrap_err();
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
    let mut connection = plain(&newer).await;
    let future = "INSERT INTO logpipe_schema VALUES (99, 'later')";
    connection.execute(future).await.unwrap();
    drop(Sqlite::open(at("locked.db")).await.unwrap());
    let table = [
        (options(&at("absent/app.db")), "its folder does not exist"),
        (options(&at("text.db")), "not an SQLite database"),
        (options(&at("newer.db")), "update this program"),
        (options(folder.path()), "look at the rights"),
        (options(Path::new(":memory:")), "Sqlite::temporary()"),
        (options(&at("locked.db")).read_only(true), "may not write"),
        (
            options(&at("new.db")).create_if_missing(false),
            "can't be opened",
        ),
    ];
    for (options, expected) in table {
        let error = Sqlite::with_options(options)
            .await
            .err()
            .expect(expected)
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The journal is ours to choose, also in a file that was there before; how durable it is, the application's.
#[tokio::test]
async fn commits_are_durable_unless_the_application_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut old = options(&path).connect().await.unwrap();
    old.execute(TABLES).await.unwrap();
    drop(old);
    let asked = options(&path)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Normal);
    for (options, synchronous) in [(options(&path), 2), (asked, 1)] {
        let store = Sqlite::with_options(options).await.unwrap();
        let mut session = store.begin(&claim_lane(&store).await).await.unwrap();
        let connection = Sqlite::connection(&mut session);
        let found: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(found, synchronous);
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(connection)
            .await
            .unwrap();
        assert_eq!(journal, "wal");
    }
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
