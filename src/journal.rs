//! A row for each record that was handled, without a unique key: what was handled twice would be seen.

use std::path::Path;

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::{Connection, TransactionBehavior, params};
use logpipe::{Cx, Result};

/// The service's tables.
const TABLES: &str = "
    create table if not exists handled
        (type text, version integer, topic text, shard text, position text, written_at text);
    create table if not exists people (uuid text primary key, first_name text, last_name text, email text);
    create table if not exists places (uuid text primary key, name text, latitude real, longitude real);
    create table if not exists things (uuid text primary key, name text, owner text, tags text);
    create table if not exists orders (id text primary key, customer text, country text, total real);
    create table if not exists order_lines (id text, sku text, quantity integer, price real);
";

/// What the database holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Records that were handled.
    pub handled: i64,
    /// Records that were handled more than once: the promise is that there is none.
    pub again: i64,
    /// Records that are parked.
    pub parked: i64,
    /// Rows of `people`, `places`, `things` and `orders`.
    pub rows: [i64; 4],
}

/// Makes the tables.
pub fn prepare(path: &Path) -> Result {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(TABLES)?;
    // The first journals did not say when a record was written.
    let migration = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let is_old: bool = migration.query_row(
        "select not exists (select 1 from pragma_table_info('handled') where name = 'written_at')",
        [],
        |row| row.get(0),
    )?;
    if is_old {
        migration.execute_batch("alter table handled add column written_at text")?;
    }
    migration.commit()?;
    Ok(())
}

/// Notes that the record at hand is handled, in its transaction. A log that was lost and made anew counts its positions from
/// the beginning again; what tells its records from those of the old one is when they were written.
pub fn write(cx: &mut Cx<Sqlite>) -> Result {
    let (lane, position) = (cx.lane().clone(), cx.position().to_string());
    let written_at = cx.timestamp().map(|time| time.to_string());
    let (message_type, version) = (cx.message_type().to_owned(), cx.version());
    let (topic, shard) = (lane.topic(), lane.shard());
    cx.tx().execute(
        "insert into handled (type, version, topic, shard, position, written_at) values (?, ?, ?, ?, ?, ?)",
        params![message_type, version, topic, shard, position, written_at],
    )?;
    Ok(())
}

/// Counts.
pub fn counts(path: &Path) -> Result<Counts> {
    let connection = Connection::open(path)?;
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let mut counts = Counts {
        handled: count("select count(*) from handled")?,
        again: count(
            "select count(*) - count(distinct topic || '/' || shard || '/' || position || '/' || coalesce(written_at, ''))
             from handled",
        )?,
        parked: count("select count(*) from logpipe_parked")?,
        ..Counts::default()
    };
    let tables = ["people", "places", "things", "orders"];
    for (rows, table) in counts.rows.iter_mut().zip(tables) {
        *rows = count(&format!("select count(*) from {table}"))?;
    }
    Ok(counts)
}
