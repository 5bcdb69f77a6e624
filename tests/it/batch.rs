//! A batch handler as a user writes it: generated route, closure, one transaction.

use std::time::Duration;

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::Connection;
use logpipe::{Consumer, Cx, Log, Result, Service};
use nouns::samples::Samples;
use nouns::thing;

#[tokio::test]
async fn a_batch_is_written_in_one_transaction() -> Result {
    let store = Sqlite::temporary().await?;
    let file = Connection::open(store.path())?;
    file.execute_batch("create table things (name text)")?;
    let log = Log::memory();
    let producer = log.producer("nouns").await?;
    producer.send_all(&Samples::new(20).things).await?;
    let consumer = Consumer::with_store(log.source("nouns"), store)
        .group("things")
        .register(thing::v1_batch(async |things, cx: &mut Cx<Sqlite>| {
            things.fail(0, "the first of them is always wrong");
            for thing in &things[1..] {
                let sql = "insert into things values (?)";
                cx.tx().execute(sql, [&thing.name])?;
            }
            Ok(())
        }))
        .set(|settings| settings.retry.attempts = 1)
        .idle_timeout(Duration::from_millis(200));
    let outcome = Service::new().with(consumer).run().await?;
    assert_eq!(outcome.handled + outcome.parked, 20);
    let written: i64 = file.query_row("select count(*) from things", [], |row| row.get(0))?;
    assert_eq!(written as u64, outcome.handled);
    assert!(outcome.parked > 0);
    Ok(())
}
