//! Which tables the store keeps in the application's file, and how they come to be there.
//!
//! All names begin with `logpipe_`; the rest of the file is the application's. `logpipe_schema` says which migrations ran.
//!
//! * `logpipe_lanes`: a row per consumer and lane, with the epoch that fences and the cursor.
//! * `logpipe_settled`: records settled above a lane's cursor. `rank` orders as positions do, in plain text.
//! * `logpipe_parked`: records byte for byte, with the reason. The rows of one blocking key have one `state`, in the order
//!   of `id`; `ready` ones wait for their consumer to handle them again.
//! * `logpipe_parked_totals`: how many rows a consumer has parked, kept by triggers, so that nobody counts.

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

use super::connection::{Open, Within, fault};
use crate::error::Context;
use crate::{Error, Result};

/// What each version adds; a migration that was released never changes.
const MIGRATIONS: &[&str] = &["
CREATE TABLE logpipe_lanes (
    id          INTEGER PRIMARY KEY,
    consumer    TEXT NOT NULL,
    topic       TEXT NOT NULL,
    shard       TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    cursor      TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    UNIQUE (consumer, topic, shard)
) STRICT;

CREATE TABLE logpipe_settled (
    lane     INTEGER NOT NULL,
    rank     TEXT NOT NULL,
    position TEXT NOT NULL,
    PRIMARY KEY (lane, rank)
) STRICT, WITHOUT ROWID;

CREATE TABLE logpipe_parked (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer    TEXT NOT NULL,
    topic       TEXT NOT NULL,
    shard       TEXT NOT NULL,
    position    TEXT NOT NULL,
    timestamp   TEXT,
    key         BLOB,
    headers     BLOB NOT NULL,
    value       BLOB,
    reason_kind TEXT NOT NULL,
    reason_text TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    blocks_key  INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('parked', 'ready')),
    parked_at   TEXT NOT NULL
) STRICT;
CREATE INDEX logpipe_parked_by_key ON logpipe_parked (consumer, topic, key, id) WHERE blocks_key = 1;
CREATE INDEX logpipe_parked_by_state ON logpipe_parked (consumer, state, id);

CREATE TABLE logpipe_parked_totals (
    consumer TEXT PRIMARY KEY,
    records  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER logpipe_parked_more AFTER INSERT ON logpipe_parked BEGIN
    INSERT INTO logpipe_parked_totals VALUES (new.consumer, 1)
        ON CONFLICT (consumer) DO UPDATE SET records = records + 1;
END;
CREATE TRIGGER logpipe_parked_fewer AFTER DELETE ON logpipe_parked BEGIN
    UPDATE logpipe_parked_totals SET records = records - 1 WHERE consumer = old.consumer;
END;
"];

/// How many migrations the file has, without waiting for whoever writes to it.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<usize> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'logpipe_schema'";
    let exists: i64 = sqlx::query_scalar(tables)
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if exists == 0 {
        return Ok(0);
    }
    let row = sqlx::query("SELECT coalesce(max(version), 0) AS version FROM logpipe_schema")
        .fetch_one(connection)
        .await
        .map_err(fault)?;
    Ok(usize::try_from(row.try_get::<i64, _>("version")?)?)
}

/// Whether a file at this version needs migrating; an error where a newer program wrote it.
pub(super) fn is_behind(version: usize, file: &Path) -> Result<bool> {
    if version > MIGRATIONS.len() {
        return Err(Error::permanent(format_args!(
            "{} was written by a newer logpipe (its tables have version {version}, this one knows {}): update this program",
            file.display(),
            MIGRATIONS.len(),
        )));
    }
    Ok(version < MIGRATIONS.len())
}

/// Brings the tables to this version, in the transaction of the caller, who commits.
pub(super) async fn migrate(open: &mut Open, file: &Path) -> Result {
    let connection = open.connection();
    // Again, now that nobody else can migrate.
    let version = version(connection).await?;
    if !is_behind(version, file)? {
        return Ok(());
    }
    let first = "CREATE TABLE IF NOT EXISTS logpipe_schema (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL) STRICT";
    connection.execute(first).await.map_err(fault)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        connection
            .execute(AssertSqlSafe(*migration))
            .await
            .map_err(fault)
            .context(format_args!(
                "creating the store's tables in {}",
                file.display()
            ))?;
        sqlx::query("INSERT INTO logpipe_schema VALUES (?1, ?2)")
            .bind(i64::try_from(index + 1)?)
            .bind(Timestamp::now().to_string())
            .execute(&mut *connection)
            .await
            .map_err(fault)?;
    }
    Ok(())
}
