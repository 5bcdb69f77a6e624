//! What lies in the leases file of Kinesis: the groups' tables, and two things that only Kinesis has to remember.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::SqliteSynchronous;
use sqlx::{Row as _, SqliteConnection};

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
        synchronous: SqliteSynchronous::Normal,
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
pub(super) async fn beginnings(
    table: &mut SqliteConnection,
    group: &str,
    topic: &str,
) -> sqlx::Result<BTreeMap<String, String>> {
    let rows = sqlx::query("SELECT shard, incarnation FROM beginnings WHERE grp = ? AND topic = ?")
        .bind(group)
        .bind(topic)
        .fetch_all(table)
        .await?;
    rows.into_iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Holds what the group knows of a stream against the shards that the stream lists, and returns the lanes that the group
/// did not finish and the stream no longer lists.
///
/// A stream that is new to the group begins here; so does one that was deleted and made again, which has shards of the
/// same names that begin elsewhere.
pub(super) async fn compare(
    table: &mut SqliteConnection,
    group: &str,
    topic: &str,
    listing: &[Shard],
) -> sqlx::Result<BTreeMap<LaneId, LogLane>> {
    let mut rows = table::rows(table, group).await?;
    rows.retain(|lane, _| lane.topic() == topic);
    let began = beginnings(table, group, topic).await?;
    let is_new = began.is_empty() && rows.is_empty();
    let is_another = listing.iter().any(|shard| {
        let row = rows.get(&LaneId::new(topic, &shard.id));
        let known = row.map(|row| &row.incarnation);
        known
            .or_else(|| began.get(&shard.id))
            .is_some_and(|known| *known != shard.incarnation)
    });
    if is_new || is_another {
        begin(table, group, topic, listing).await?;
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
async fn begin(
    table: &mut SqliteConnection,
    group: &str,
    topic: &str,
    shards: &[Shard],
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM beginnings WHERE grp = ? AND topic = ?")
        .bind(group)
        .bind(topic)
        .execute(&mut *table)
        .await?;
    for shard in shards {
        sqlx::query("INSERT INTO beginnings (grp, topic, shard, incarnation) VALUES (?, ?, ?, ?)")
            .bind(group)
            .bind(topic)
            .bind(&shard.id)
            .bind(&shard.incarnation)
            .execute(&mut *table)
            .await?;
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

pub(super) async fn write_seen(
    table: &mut SqliteConnection,
    group: &str,
    lane: &LaneId,
    seen: &Seen,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO seen (grp, topic, shard, incarnation, cursor, at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, cursor = excluded.cursor, at = excluded.at",
    )
    .bind(group)
    .bind(lane.topic())
    .bind(lane.shard())
    .bind(&seen.incarnation)
    .bind(seen.cursor.to_string())
    .bind(millis(seen.at))
    .execute(table)
    .await?;
    Ok(())
}

pub(super) async fn seen(
    table: &mut SqliteConnection,
    group: &str,
    lane: &LaneId,
) -> sqlx::Result<Option<Seen>> {
    let row = sqlx::query(
        "SELECT incarnation, cursor, at FROM seen WHERE grp = ? AND topic = ? AND shard = ?",
    )
    .bind(group)
    .bind(lane.topic())
    .bind(lane.shard())
    .fetch_optional(table)
    .await?;
    let Some(row) = row else { return Ok(None) };
    // One that can't be read says nothing, which is what no row says.
    let Ok(cursor) = row.try_get::<&str, _>(1)?.parse() else {
        return Ok(None);
    };
    Ok(Some(Seen {
        incarnation: row.try_get(0)?,
        cursor,
        at: from_millis(row.try_get(2)?),
    }))
}
