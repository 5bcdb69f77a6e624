//! A row for each record that was handled, without a unique key: what was handled twice would be seen.

use std::path::Path;

use logpipe::store::Sqlite;
use logpipe::store::sqlite::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use logpipe::store::sqlite::sqlx::{self, Connection};
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
pub async fn prepare(path: &Path) -> Result {
    let mut connection = open(path).await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    // The first journals did not say when a record was written.
    let mut migration = connection.begin_with("begin immediate").await?;
    let is_old: bool = sqlx::query_scalar(
        "select not exists (select 1 from pragma_table_info('handled') where name = 'written_at')",
    )
    .fetch_one(&mut *migration)
    .await?;
    if is_old {
        sqlx::raw_sql("alter table handled add column written_at text")
            .execute(&mut *migration)
            .await?;
    }
    migration.commit().await?;
    connection.close().await?;
    Ok(())
}

async fn open(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Notes that the record at hand is handled, in its transaction. A log that was lost and made anew counts its positions from
/// the beginning again; what tells its records from those of the old one is when they were written.
pub async fn write(cx: &mut Cx<Sqlite>) -> Result {
    let (lane, position) = (cx.lane().clone(), cx.position().to_string());
    let written_at = cx.timestamp().map(|time| time.to_string());
    let (message_type, version) = (cx.message_type().to_owned(), cx.version());
    sqlx::query(
        "insert into handled (type, version, topic, shard, position, written_at) values (?, ?, ?, ?, ?, ?)",
    )
    .bind(message_type)
    .bind(version)
    .bind(lane.topic())
    .bind(lane.shard())
    .bind(position)
    .bind(written_at)
    .execute(cx.tx())
    .await?;
    Ok(())
}

/// Counts.
pub async fn counts(path: &Path) -> Result<Counts> {
    let mut connection = open(path).await?;
    let mut counts = Counts::default();
    (counts.handled, counts.again) = sqlx::query_as(
        "select count(*),
             count(*) - count(distinct topic || '/' || shard || '/' || position || '/' || coalesce(written_at, ''))
         from handled",
    )
    .fetch_one(&mut connection)
    .await?;
    (counts.parked,) = sqlx::query_as("select count(*) from logpipe_parked")
        .fetch_one(&mut connection)
        .await?;
    for (rows, table) in counts
        .rows
        .iter_mut()
        .zip(["people", "places", "things", "orders"])
    {
        (*rows,) = sqlx::query_as(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(counts)
}
