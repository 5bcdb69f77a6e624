//! What lies in the leases file of Kinesis: the groups' tables, and two things that only Kinesis has to remember.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::shards::Shard;
use crate::db::File;
use crate::lease::table::{self, from_millis, millis};
use crate::lease::{LogLane, Row};
use crate::record::{Cursor, LaneId};

/// Members, leases, positions that groups keep beside them; and
///
/// * `beginnings`: the shards that a stream had when a group saw it first. A shard that came later holds what its parents
///   would have held, so a group that began with the latest record reads it from its start.
/// * `seen`: when a group had read a shard to its end, and the position there. Retention can have removed nothing behind
///   that position that was older: how a quiet shard is told from one that was trimmed.
pub(super) fn file(path: &Path) -> File {
    File {
        path: path.to_owned(),
        application: 0x6c6f_676b,
        synchronous: "NORMAL",
        migrations: &[
            table::SCHEMA,
            "
            CREATE TABLE beginnings (
                grp TEXT NOT NULL,
                topic TEXT NOT NULL,
                shard TEXT NOT NULL,
                incarnation TEXT NOT NULL,
                PRIMARY KEY (grp, topic, shard)
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE seen (
                grp TEXT NOT NULL,
                topic TEXT NOT NULL,
                shard TEXT NOT NULL,
                incarnation TEXT NOT NULL,
                cursor TEXT NOT NULL,
                at INTEGER NOT NULL,
                PRIMARY KEY (grp, topic, shard)
            ) STRICT, WITHOUT ROWID;
            ",
            table::STUCK,
        ],
    }
}

/// The shards that the stream had when the group saw it first, with their incarnations.
pub(super) fn beginnings(
    table: &Connection,
    group: &str,
    topic: &str,
) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = table
        .prepare_cached("SELECT shard, incarnation FROM beginnings WHERE grp = ? AND topic = ?")?;
    let rows = statement.query_map([group, topic], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Holds what the group knows of a stream against the shards that the stream lists, and returns the lanes that the group
/// did not finish and the stream no longer lists.
///
/// A stream that is new to the group begins here; so does one that was deleted and made again, which has shards of the
/// same names that begin elsewhere.
pub(super) fn compare(
    table: &Connection,
    group: &str,
    topic: &str,
    listing: &[Shard],
) -> rusqlite::Result<BTreeMap<LaneId, LogLane>> {
    let mut rows = table::rows(table, group)?;
    rows.retain(|lane, _| lane.topic() == topic);
    let began = beginnings(table, group, topic)?;
    let is_new = began.is_empty() && rows.is_empty();
    let is_another = listing.iter().any(|shard| {
        let row = rows.get(&LaneId::new(topic, &shard.id));
        let known = row.map(|row| &row.incarnation);
        known
            .or_else(|| began.get(&shard.id))
            .is_some_and(|known| *known != shard.incarnation)
    });
    if is_new || is_another {
        begin(table, group, topic, listing)?;
        return Ok(BTreeMap::new());
    }
    rows.retain(|lane, row| !row.finished && listing.iter().all(|shard| shard.id != lane.shard()));
    let lane = |(lane, row): (LaneId, Row)| {
        let log = LogLane {
            incarnation: row.incarnation,
            parents: Vec::new(),
        };
        (lane, log)
    };
    Ok(rows.into_iter().map(lane).collect())
}

/// Remembers these shards as those that the stream began with for this group.
fn begin(table: &Connection, group: &str, topic: &str, shards: &[Shard]) -> rusqlite::Result<()> {
    table
        .prepare_cached("DELETE FROM beginnings WHERE grp = ? AND topic = ?")?
        .execute([group, topic])?;
    let mut statement = table.prepare_cached(
        "INSERT INTO beginnings (grp, topic, shard, incarnation) VALUES (?, ?, ?, ?)",
    )?;
    for shard in shards {
        statement.execute([group, topic, &shard.id, &shard.incarnation])?;
    }
    Ok(())
}

/// At `at` nothing lay behind `cursor`.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub incarnation: String,
    pub cursor: Cursor,
    pub at: Timestamp,
}

pub(super) fn write_seen(
    table: &Connection,
    group: &str,
    lane: &LaneId,
    seen: &Seen,
) -> rusqlite::Result<()> {
    let mut statement = table.prepare_cached(
        "INSERT INTO seen (grp, topic, shard, incarnation, cursor, at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, cursor = excluded.cursor, at = excluded.at",
    )?;
    statement.execute((
        group,
        lane.topic(),
        lane.shard(),
        &seen.incarnation,
        seen.cursor.to_string(),
        millis(seen.at),
    ))?;
    Ok(())
}

pub(super) fn seen(
    table: &Connection,
    group: &str,
    lane: &LaneId,
) -> rusqlite::Result<Option<Seen>> {
    let mut statement = table.prepare_cached(
        "SELECT incarnation, cursor, at FROM seen WHERE grp = ? AND topic = ? AND shard = ?",
    )?;
    let seen = statement
        .query_row([group, lane.topic(), lane.shard()], |row| {
            // One that can't be read says nothing, which is what no row says.
            let Ok(cursor) = row.get_ref(1)?.as_str()?.parse() else {
                return Ok(None);
            };
            Ok(Some(Seen {
                incarnation: row.get(0)?,
                cursor,
                at: from_millis(row.get(2)?),
            }))
        })
        .optional()?;
    Ok(seen.flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::db::Shared;

    /// The file was written by the last logpipe that used sqlx.
    #[tokio::test]
    async fn a_file_of_before_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.db");
        let before = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/leases.db");
        std::fs::copy(before, &path).unwrap();
        let shared = Arc::new(Shared::open(Arc::new(file(&path))).await.unwrap());
        let lane = |number| LaneId::new("orders", format!("shardId-00000000000{number}"));
        let found = shared.write(move |table| {
            let rows = table::rows(table, "sync")?;
            let saved = table::saved(table, "sync")?;
            let seen = seen(table, "sync", &lane(1))?;
            Ok((rows, saved, seen, beginnings(table, "sync", "orders")?))
        });
        let (rows, saved, seen, began) = found.await.unwrap();
        let finished = |number| rows[&lane(number)].finished;
        assert_eq!((finished(0), finished(1)), (true, false));
        assert_eq!(saved[0].0, lane(1));
        let at = "after:49590338271490256608559692540925702759324208523137515618:3";
        assert_eq!(saved[0].1.cursor.to_string(), at);
        assert_eq!(millis(seen.unwrap().at), 1_700_000_000_000);
        assert_eq!(began.len(), 1);
    }
}
