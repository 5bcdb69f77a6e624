//! The statements on the store's tables, each within a transaction of its caller.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::connection::{Open, Within};
use super::rows::{self, STATE_PARKED, STATE_READY};
use crate::fault::{Mistake, planted};
use crate::record::{Cursor, Position};
use crate::store::{Claim, Held, LaneKey, Park, Parked, ParkedCount, Reason};
use crate::{Error, Result};

/// What the fence finds in a lane's row.
pub(super) struct Fence {
    /// The row's number.
    pub(super) row: i64,
    /// The row was stored for another cluster or incarnation than the lane has.
    pub(super) moved: bool,
    /// A record is settled above the cursor.
    pub(super) any_settled: bool,
    /// A record of the consumer is parked.
    pub(super) any_parked: bool,
}

/// Finds the lane's row by epoch and cursor, and writes to it, so that the transaction is one that writes.
pub(super) fn fence(within: &impl Within, held: &Held) -> Result<Option<Fence>> {
    let LaneKey {
        consumer,
        lane,
        cluster,
        incarnation,
    } = &held.key;
    let epoch = i64::try_from(held.epoch)?;
    within.own(|connection| {
        let mut find = connection.prepare_cached(
            "UPDATE logpipe_lanes SET cursor = cursor
             WHERE consumer = ?1 AND topic = ?2 AND shard = ?3 AND (epoch = ?4 OR ?6) AND cursor = ?5
             RETURNING id, cluster <> ?7 OR incarnation <> ?8,
                 EXISTS (SELECT 1 FROM logpipe_settled WHERE lane = id),
                 EXISTS (SELECT 1 FROM logpipe_parked WHERE consumer = ?1)",
        )?;
        let found = find.query_row(
            params![
                consumer,
                lane.topic(),
                lane.shard(),
                epoch,
                held.cursor.to_string(),
                planted(Mistake::NoEpoch),
                cluster,
                incarnation,
            ],
            |row| {
                Ok(Fence {
                    row: row.get(0)?,
                    moved: row.get(1)?,
                    any_settled: row.get(2)?,
                    any_parked: row.get(3)?,
                })
            },
        );
        found.optional()
    })
}

pub(super) fn fenced(key: &LaneKey) -> Error {
    Error::fenced(format_args!(
        "{} of `{}` was claimed by another owner",
        key.lane, key.consumer
    ))
}

pub(super) fn claim(open: &Open, key: &LaneKey, first: Option<&Cursor>) -> Result<Option<Claim>> {
    if let Some(claim) = raise(open, key)? {
        return Ok(Some(claim));
    }
    let Some(first) = first else {
        return Ok(None);
    };
    open.own(|connection| {
        connection.execute(
            "INSERT INTO logpipe_lanes (consumer, topic, shard, updated_at, cluster, incarnation, epoch, cursor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
            params![
                key.consumer,
                key.lane.topic(),
                key.lane.shard(),
                Timestamp::now().to_string(),
                key.cluster,
                key.incarnation,
                first.to_string(),
            ],
        )
    })?;
    Ok(Some(Claim {
        epoch: 1,
        cursor: first.clone(),
        cluster: key.cluster.clone(),
        incarnation: key.incarnation.clone(),
        settled: Vec::new(),
    }))
}

/// Claims a lane that has a row.
fn raise(open: &Open, key: &LaneKey) -> Result<Option<Claim>> {
    let damaged = |column| rows::damaged(format_args!("lane {}", key.lane), column);
    let claimed = open.own(|connection| {
        let mut raise = connection.prepare(
            "UPDATE logpipe_lanes SET epoch = epoch + 1, updated_at = ?4
             WHERE consumer = ?1 AND topic = ?2 AND shard = ?3
             RETURNING id, epoch, cursor, cluster, incarnation",
        )?;
        let now = Timestamp::now().to_string();
        let named = params![key.consumer, key.lane.topic(), key.lane.shard(), now];
        let found = raise.query_row(named, |row| {
            let cursor: Option<Cursor> = rows::parse(row, "cursor");
            Ok((
                row.get::<_, i64>("id")?,
                row.get::<_, i64>("epoch")?,
                cursor,
                row.get("cluster")?,
                row.get("incarnation")?,
            ))
        });
        found.optional()
    })?;
    let Some((row, epoch, cursor, cluster, incarnation)) = claimed else {
        return Ok(None);
    };
    let settled: Vec<Option<Position>> = open.own(|connection| {
        let mut above = connection
            .prepare("SELECT position FROM logpipe_settled WHERE lane = ?1 ORDER BY rank")?;
        let found = above.query_map([row], |row| Ok(rows::parse(row, "position")))?;
        found.collect()
    })?;
    let settled: Option<Vec<Position>> = settled.into_iter().collect();
    Ok(Some(Claim {
        epoch: u64::try_from(epoch)?,
        cursor: cursor.ok_or_else(|| damaged("cursor"))?,
        cluster,
        incarnation,
        settled: settled.ok_or_else(|| damaged("position"))?,
    }))
}

pub(super) fn write_lane(within: &impl Within, held: &Held, cursor: Option<&Cursor>) -> Result {
    let epoch = i64::try_from(held.epoch)?;
    let written = within.own(|connection| {
        let mut write = connection.prepare_cached(
            "UPDATE logpipe_lanes
             SET cursor = coalesce(?5, cursor), cluster = ?6, incarnation = ?7, updated_at = ?8
             WHERE consumer = ?1 AND topic = ?2 AND shard = ?3 AND (epoch = ?4 OR ?9)",
        )?;
        write.execute(params![
            held.key.consumer,
            held.key.lane.topic(),
            held.key.lane.shard(),
            epoch,
            cursor.map(ToString::to_string),
            held.key.cluster,
            held.key.incarnation,
            Timestamp::now().to_string(),
            planted(Mistake::NoEpoch),
        ])
    });
    match written? {
        1 => Ok(()),
        _ => Err(fenced(&held.key)),
    }
}

/// Whether the record was settled above the cursor.
pub(super) fn is_settled(open: &Open, row: i64, position: &Position) -> Result<bool> {
    open.own(|connection| {
        let mut find = connection
            .prepare_cached("SELECT 1 FROM logpipe_settled WHERE lane = ?1 AND rank = ?2")?;
        find.exists(params![row, rows::rank(position)])
    })
}

/// Deletes what the cursor passed, or everything.
pub(super) fn forget_settled(
    within: &impl Within,
    row: i64,
    forget: bool,
    cursor: Option<&Cursor>,
) -> Result {
    let passed = match cursor {
        _ if forget => None,
        Some(Cursor::Closed) => None,
        Some(Cursor::After(position)) => Some(rows::rank(position)),
        Some(Cursor::Start | Cursor::At(_)) | None => return Ok(()),
    };
    within.own(|connection| {
        let mut delete = connection.prepare_cached(
            "DELETE FROM logpipe_settled WHERE lane = ?1 AND (?2 IS NULL OR rank <= ?2)",
        )?;
        delete.execute(params![row, passed]).map(drop)
    })
}

/// Remembers what is settled above the cursor. A position that is there already was settled by another transaction, with
/// the effects of its own: whoever comes second is fenced.
pub(super) fn write_settled(
    within: &impl Within,
    key: &LaneKey,
    row: i64,
    above: &[Position],
) -> Result {
    if above.is_empty() {
        return Ok(());
    }
    let ranked: Vec<[String; 2]> = above
        .iter()
        .map(|position| [rows::rank(position), position.to_string()])
        .collect();
    let ranked = serde_json::to_string(&ranked)?;
    let written = within.own(|connection| {
        let mut write = connection.prepare_cached(
            "INSERT INTO logpipe_settled (lane, rank, position)
             SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
             ON CONFLICT DO NOTHING",
        )?;
        write.execute(params![row, ranked])
    })?;
    let is_hidden = planted(Mistake::SettledTwice) || planted(Mistake::NoEpoch);
    match written == above.len() || is_hidden {
        true => Ok(()),
        false => Err(Error::fenced(format_args!(
            "a record of {} above the position of `{}` is settled already",
            key.lane, key.consumer
        ))),
    }
}

pub(super) fn write_parked(open: &Open, consumer: &str, park: Park) -> Result {
    let Park {
        record,
        reason,
        attempts,
        blocks_key,
    } = park;
    // A key waits or runs as a whole. A record that queues behind one which has just been redriven runs next.
    let alone = match blocks_key && reason.kind == Reason::QUEUED {
        true => STATE_READY,
        false => STATE_PARKED,
    };
    let headers = rows::write_headers(&record.headers)?;
    open.own(|connection| {
        let mut write = connection.prepare_cached(
            "INSERT INTO logpipe_parked (consumer, topic, key, blocks_key, shard, position, timestamp, headers, value,
                 reason_kind, reason_text, attempts, parked_at, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
                 coalesce((SELECT state FROM logpipe_parked
                           WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3 AND ?4
                           ORDER BY id LIMIT 1), ?14))",
        )?;
        write.execute(params![
            consumer,
            record.lane.topic(),
            record.key.as_deref(),
            blocks_key,
            record.lane.shard(),
            record.position.to_string(),
            record.timestamp.map(|timestamp| timestamp.to_string()),
            headers,
            record.value.as_deref(),
            reason.kind,
            reason.text,
            attempts,
            Timestamp::now().to_string(),
            alone,
        ])
    })?;
    Ok(())
}

/// Whether a record of the key is parked, so that later ones queue.
pub(super) fn is_parked(open: &Open, consumer: &str, topic: &str, key: &[u8]) -> Result<bool> {
    open.own(|connection| {
        let mut find = connection.prepare_cached(
            "SELECT 1 FROM logpipe_parked
             WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3",
        )?;
        find.exists(params![consumer, topic, key])
    })
}

pub(super) fn count_parked(
    open: &Open,
    consumer: &str,
    topic: &str,
    key: Option<&[u8]>,
) -> Result<ParkedCount> {
    let (consumer, key) = open.own(|connection| {
        let mut count = connection.prepare_cached(
            "SELECT coalesce((SELECT records FROM logpipe_parked_totals WHERE consumer = ?1), 0),
                 (SELECT count(*) FROM logpipe_parked
                  WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3)",
        )?;
        count.query_row(params![consumer, topic, key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
    })?;
    Ok(ParkedCount {
        consumer: u64::try_from(consumer)?,
        key: u64::try_from(key)?,
    })
}

/// The next record to redrive: the rows of a key have one state, so it is its key's oldest.
/// `topics` is a JSON array.
pub(super) fn oldest_ready(open: &Open, consumer: &str, topics: &str) -> Result<Option<Parked>> {
    let found = open.own(|connection| {
        let mut find = connection.prepare_cached(
            "SELECT * FROM logpipe_parked
             WHERE consumer = ?1 AND state = ?2
                 AND (topic IN (SELECT value FROM json_each(?3)) OR ?4)
             ORDER BY id LIMIT 1",
        )?;
        let anywhere = planted(Mistake::RedriveAnywhere);
        find.query_row(params![consumer, STATE_READY, topics, anywhere], |row| {
            Ok(rows::parked(row))
        })
        .optional()
    })?;
    found.transpose()
}

pub(super) fn delete_parked(within: &impl Within, id: i64) -> Result {
    let deleted = within.own(|connection| {
        let mut delete = connection.prepare_cached("DELETE FROM logpipe_parked WHERE id = ?1")?;
        delete.execute([id])
    })?;
    match deleted {
        1 => Ok(()),
        _ => Err(Error::msg(
            "the handler deleted the parked record that it was given",
        )),
    }
}

pub(super) fn park_again(open: &Open, id: i64, reason: &Reason, attempts: u32) -> Result {
    open.own(|connection| {
        connection.execute(
            "UPDATE logpipe_parked SET state = ?2, reason_kind = ?3, reason_text = ?4, attempts = ?5
             WHERE id = ?1",
            params![id, STATE_PARKED, reason.kind, reason.text, attempts],
        )
    })?;
    Ok(())
}

/// Parks the key of a record that blocks it, with all that queues.
pub(super) fn park_key_of(
    open: &Open,
    id: i64,
    consumer: &str,
    topic: &str,
    key: Option<&[u8]>,
) -> Result {
    open.own(|connection| {
        connection.execute(
            "UPDATE logpipe_parked SET state = ?4
             WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3
                 AND (SELECT blocks_key FROM logpipe_parked WHERE id = ?5) = 1",
            params![consumer, topic, key, STATE_PARKED, id],
        )
    })?;
    Ok(())
}
