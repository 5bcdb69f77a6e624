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
use rusqlite::{Connection, params};

use super::connection::{Open, Within};
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
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'logpipe_schema'";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM logpipe_schema";
    connection.query_row(newest, [], |row| row.get(0))
}

/// Whether a file at this version needs migrating; an error where a newer program wrote it.
pub(super) fn is_behind(version: i64, file: &Path) -> Result<bool> {
    let newest = MIGRATIONS.len() as i64;
    if version > newest {
        return Err(Error::permanent(format_args!(
            "{} was written by a newer logpipe (its tables have version {version}, this one knows {newest}): update this program",
            file.display(),
        )));
    }
    Ok(version < newest)
}

/// Brings the tables to this version, in the transaction of the caller, who commits.
pub(super) fn migrate(open: &Open, file: &Path) -> Result {
    // Again, now that nobody else can migrate.
    let version = open.own(version)?;
    if !is_behind(version, file)? {
        return Ok(());
    }
    let migrate = |connection: &Connection| {
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS logpipe_schema (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL) STRICT",
        )?;
        for (number, migration) in (1_i64..).zip(MIGRATIONS) {
            if number > version {
                connection.execute_batch(migration)?;
                connection.execute(
                    "INSERT INTO logpipe_schema VALUES (?1, ?2)",
                    params![number, Timestamp::now().to_string()],
                )?;
            }
        }
        Ok(())
    };
    open.own(migrate).context(format_args!(
        "creating the store's tables in {}",
        file.display()
    ))
}
