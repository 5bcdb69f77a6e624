//! What a handler writes through: the store's transaction, without what could end it.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, ErrorCode, Params, Row, ffi};

use super::connection::Guard;
use crate::db;

/// The transaction that a handler's record and the position commit in, from [`Cx::tx`](crate::Cx::tx).
///
/// Its methods are rusqlite's, called without `await`; statements are kept prepared by their text. A parameter list is
/// [`params!`](rusqlite::params).
///
/// ```
/// use logpipe::store::sqlite::rusqlite::{OptionalExtension, params};
/// # use logpipe::{Cx, Result, store::Sqlite};
///
/// async fn rename(uuid: &str, name: &str, cx: &mut Cx<Sqlite>) -> Result {
///     let tx = cx.tx();
///     let sql = "select name from people where uuid = ?1";
///     let known: Option<String> = tx.query_row(sql, [uuid], |row| row.get(0)).optional()?;
///     if known.as_deref() != Some(name) {
///         tx.execute("update people set name = ?2 where uuid = ?1", params![uuid, name])?;
///     }
///     Ok(())
/// }
/// ```
///
/// The transaction is logpipe's: `BEGIN`, `COMMIT`, `ROLLBACK`, `ATTACH`, `DETACH` and writes to `logpipe_*` tables are
/// refused, and only that record fails. A part that can be undone by itself goes through [`savepoint`](Tx::savepoint). A
/// statement that runs beyond the attempt's deadline is stopped.
///
/// Statements and rows can't be held over an `await`, for another thread may go on with the handler then (rustc: "future
/// cannot be sent between threads safely"). Read into a `Vec` first, or end the block that holds them:
///
/// ```
/// # use logpipe::{Cx, Result, store::Sqlite};
/// # async fn ask(_: &str) {}
/// # async fn handle(cx: &mut Cx<Sqlite>) -> Result {
/// let names: Vec<String> = {
///     let mut people = cx.tx().prepare("select name from people")?;
///     people.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
/// };
/// for name in &names {
///     ask(name).await;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Tx {
    connection: Connection,
    guard: Arc<Guard>,
}

impl Tx {
    pub(super) fn new(connection: Connection, guard: Arc<Guard>) -> Self {
        Self { connection, guard }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs one statement; returns how many rows it changed.
    pub fn execute<P: Params>(&self, sql: &str, params: P) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(params).map_err(explained)
    }

    /// Runs a query and maps its first row; [`QueryReturnedNoRows`](rusqlite::Error::QueryReturnedNoRows) where it has
    /// none, which [`optional`](rusqlite::OptionalExtension::optional) makes `None`.
    pub fn query_row<T, P, F>(&self, sql: &str, params: P, map: F) -> rusqlite::Result<T>
    where
        P: Params,
        F: FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    {
        self.prepare(sql)?.query_row(params, map).map_err(explained)
    }

    /// Prepares a statement, or finds it prepared: for queries of several rows, and for one that runs several times.
    pub fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.in_time()?;
        self.connection.prepare_cached(sql).map_err(explained)
    }

    /// Runs several statements without parameters, separated by semicolons.
    pub fn execute_batch(&self, sql: &str) -> rusqlite::Result<()> {
        self.in_time()?;
        self.connection.execute_batch(sql).map_err(explained)
    }

    /// Runs a part that is undone by itself where it fails: what it wrote is kept with `Ok` and undone with `Err`. They
    /// nest.
    pub fn savepoint<T, E>(&self, part: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        // The name may be used again within: the innermost is meant.
        self.execute("SAVEPOINT part", [])?;
        let done = part(self);
        let undo = done
            .is_err()
            .then(|| self.execute("ROLLBACK TO part", []))
            .transpose();
        let ended = undo.and_then(|_| self.execute("RELEASE part", []));
        match (done, ended) {
            (Ok(_), Err(error)) => Err(error.into()),
            (done, _) => done,
        }
    }

    /// How many rows the last statement changed.
    pub fn changes(&self) -> u64 {
        self.connection.changes()
    }

    /// The row id that the last insert gave.
    pub fn last_insert_rowid(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// Statements too short to be stopped would go on for ever.
    fn in_time(&self) -> rusqlite::Result<()> {
        match self.guard.is_overdue() {
            true => Err(failure(
                ffi::SQLITE_INTERRUPT,
                "the attempt's deadline has passed",
            )),
            false => Ok(()),
        }
    }
}

/// Says what a refusal means, and leaves out the statement's text, which handlers may have put values into.
fn explained(error: rusqlite::Error) -> rusqlite::Error {
    if db::code(&error) == Some(ErrorCode::AuthorizationForStatementDenied) {
        return failure(
            ffi::SQLITE_AUTH,
            "a handler may not begin, commit or roll back, attach or detach a database, or write to logpipe_* tables: the \
             transaction is logpipe's. A part that can be undone by itself goes through `cx.tx().savepoint(..)`",
        );
    }
    match error {
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            rusqlite::Error::SqliteFailure(error, Some(msg))
        }
        error => error,
    }
}

fn failure(code: i32, text: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text.into()))
}
