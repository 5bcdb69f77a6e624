//! The file of a store, as another program sees it.

use std::time::Duration;

use logpipe::store::Sqlite;
use logpipe::store::sqlite::rusqlite::{Connection, Result, Row};

/// Opens the file and makes what the test needs in it.
pub fn open(store: &Sqlite, statements: &str) -> Connection {
    let connection = Connection::open(store.path()).unwrap();
    connection.execute_batch(statements).unwrap();
    connection
}

/// Writes while the store does. On another thread: the store may hold the file until this one goes on.
pub async fn write(store: &Sqlite, statements: &'static str) {
    let path = store.path().to_owned();
    let written = tokio::task::spawn_blocking(move || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.execute_batch(statements)
    });
    written.await.unwrap().unwrap();
}

/// What a query finds.
pub fn rows<T>(
    connection: &Connection,
    query: &str,
    map: impl FnMut(&Row<'_>) -> Result<T>,
) -> Vec<T> {
    let mut query = connection.prepare(query).unwrap();
    let rows = query.query_map([], map).unwrap();
    rows.collect::<Result<_>>().unwrap()
}

/// What a query finds that asks for one number.
pub fn numbers(connection: &Connection, query: &str) -> Vec<i64> {
    rows(connection, query, |row| row.get(0))
}
