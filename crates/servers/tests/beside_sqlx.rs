//! May a program have sqlx beside the store? Both bring SQLite, and a program links it once.

use std::time::Duration;

use logpipe::store::Sqlite;
use logpipe::types::Uuid;
use logpipe::{Consumer, Cx, Log, Service};
use nouns::person;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// Each reads what the other wrote.
#[tokio::test]
async fn the_store_and_sqlx_share_a_file() {
    let store = Sqlite::temporary().await.unwrap();
    let options = SqliteConnectOptions::new()
        .filename(store.path())
        .busy_timeout(Duration::from_secs(30));
    let mut theirs = SqliteConnection::connect_with(&options).await.unwrap();
    let table = "create table names (name text, by text);
        insert into names values ('Joe', sqlite_source_id())";
    sqlx::raw_sql(table).execute(&mut theirs).await.unwrap();

    let log = Log::memory();
    let person = person::v1::Person {
        uuid: Uuid::from_u128(1),
        first_name: "Joe".into(),
        last_name: "Schmoe".into(),
    };
    let producer = log.producer("people").await.unwrap();
    producer.send(&person).await.unwrap();
    let consumer = Consumer::with_store(log.source("people"), store)
        .group("test")
        .on(async |person: person::v1::Person, cx: &mut Cx<Sqlite>| {
            let copied = cx.tx().execute(
                "insert into names select ?2, sqlite_source_id() from names where name = ?1",
                [person.first_name, person.last_name],
            )?;
            assert_eq!(copied, 1);
            Ok(())
        })
        .on(async |_: person::v2::Person, _: &mut Cx<Sqlite>| Ok(()))
        .stop_after(1);
    let run = Service::new().with(consumer).run();
    let ended = tokio::time::timeout(Duration::from_secs(30), run).await;
    assert_eq!(ended.expect("it ends").unwrap().handled, 1);

    let names: Vec<(String, String)> = sqlx::query_as("select name, by from names order by rowid")
        .fetch_all(&mut theirs)
        .await
        .unwrap();
    let [(first, theirs_is), (second, ours_is)] = &names[..] else {
        panic!("{names:?}");
    };
    assert_eq!((&**first, &**second), ("Joe", "Schmoe"));
    assert_eq!(theirs_is, ours_is, "two copies of SQLite");
    let moved = "select cursor from logpipe_lanes where cursor <> 'start'";
    let moved: Vec<String> = sqlx::query_scalar(moved)
        .fetch_all(&mut theirs)
        .await
        .unwrap();
    assert_eq!(moved, ["after:0"]);
}
