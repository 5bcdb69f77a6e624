//! The statements on the store's tables, each within a transaction of its caller.

use jiff::Timestamp;
use sqlx::Row;

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
pub(super) async fn fence(open: &mut impl Within, held: &Held) -> Result<Option<Fence>> {
    let found = sqlx::query(
        "UPDATE logpipe_lanes SET cursor = cursor
         WHERE consumer = ?1 AND topic = ?2 AND shard = ?3 AND (epoch = ?4 OR ?6) AND cursor = ?5
         RETURNING id, cluster, incarnation,
             EXISTS (SELECT 1 FROM logpipe_settled WHERE lane = id) AS any_settled,
             EXISTS (SELECT 1 FROM logpipe_parked WHERE consumer = ?1) AS any_parked",
    )
    .bind(&held.key.consumer)
    .bind(held.key.lane.topic())
    .bind(held.key.lane.shard())
    .bind(i64::try_from(held.epoch)?)
    .bind(held.cursor.to_string())
    .bind(planted(Mistake::NoEpoch))
    .fetch_all(open.connection())
    .await;
    let found = open.own(found)?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    Ok(Some(Fence {
        row: row.try_get("id")?,
        moved: row.try_get::<String, _>("cluster")? != held.key.cluster
            || row.try_get::<String, _>("incarnation")? != held.key.incarnation,
        any_settled: row.try_get("any_settled")?,
        any_parked: row.try_get("any_parked")?,
    }))
}

pub(super) fn fenced(key: &LaneKey) -> Error {
    Error::fenced(format_args!(
        "{} of `{}` was claimed by another owner",
        key.lane, key.consumer
    ))
}

pub(super) async fn claim(
    open: &mut Open,
    key: &LaneKey,
    first: Option<&Cursor>,
) -> Result<Option<Claim>> {
    let now = Timestamp::now().to_string();
    let claimed = sqlx::query(
        "UPDATE logpipe_lanes SET epoch = epoch + 1, updated_at = ?4
         WHERE consumer = ?1 AND topic = ?2 AND shard = ?3
         RETURNING id, epoch, cursor, cluster, incarnation",
    )
    .bind(&key.consumer)
    .bind(key.lane.topic())
    .bind(key.lane.shard())
    .bind(&now)
    .fetch_all(open.connection())
    .await;
    if let [row] = &open.own(claimed)?[..] {
        let damaged = |column| rows::damaged(format_args!("lane {}", key.lane), column);
        let settled =
            sqlx::query("SELECT position FROM logpipe_settled WHERE lane = ?1 ORDER BY rank")
                .bind(row.try_get::<i64, _>("id")?)
                .fetch_all(open.connection())
                .await;
        let settled = open.own(settled)?;
        let settled = settled
            .iter()
            .map(|row| rows::parse(row, "position").ok_or_else(|| damaged("position")));
        return Ok(Some(Claim {
            epoch: u64::try_from(row.try_get::<i64, _>("epoch")?)?,
            cursor: rows::parse(row, "cursor").ok_or_else(|| damaged("cursor"))?,
            cluster: row.try_get("cluster")?,
            incarnation: row.try_get("incarnation")?,
            settled: settled.collect::<Result<_>>()?,
        }));
    }
    let Some(first) = first else {
        return Ok(None);
    };
    let written = sqlx::query(
        "INSERT INTO logpipe_lanes (consumer, topic, shard, updated_at, cluster, incarnation, epoch, cursor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
    )
    .bind(&key.consumer)
    .bind(key.lane.topic())
    .bind(key.lane.shard())
    .bind(&now)
    .bind(&key.cluster)
    .bind(&key.incarnation)
    .bind(first.to_string())
    .execute(open.connection())
    .await;
    open.own(written)?;
    Ok(Some(Claim {
        epoch: 1,
        cursor: first.clone(),
        cluster: key.cluster.clone(),
        incarnation: key.incarnation.clone(),
        settled: Vec::new(),
    }))
}

pub(super) async fn write_lane(
    open: &mut impl Within,
    held: &Held,
    cursor: Option<&Cursor>,
) -> Result {
    let written = sqlx::query(
        "UPDATE logpipe_lanes
         SET cursor = coalesce(?5, cursor), cluster = ?6, incarnation = ?7, updated_at = ?8
         WHERE consumer = ?1 AND topic = ?2 AND shard = ?3 AND (epoch = ?4 OR ?9)",
    )
    .bind(&held.key.consumer)
    .bind(held.key.lane.topic())
    .bind(held.key.lane.shard())
    .bind(i64::try_from(held.epoch)?)
    .bind(cursor.map(ToString::to_string))
    .bind(&held.key.cluster)
    .bind(&held.key.incarnation)
    .bind(Timestamp::now().to_string())
    .bind(planted(Mistake::NoEpoch))
    .execute(open.connection())
    .await;
    match open.own(written)?.rows_affected() {
        1 => Ok(()),
        _ => Err(fenced(&held.key)),
    }
}

/// Whether the record was settled above the cursor.
pub(super) async fn is_settled(open: &mut Open, row: i64, position: &Position) -> Result<bool> {
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM logpipe_settled WHERE lane = ?1 AND rank = ?2)",
    )
    .bind(row)
    .bind(rows::rank(position))
    .fetch_one(open.connection())
    .await;
    open.own(found)
}

/// Deletes what the cursor passed, or everything.
pub(super) async fn forget_settled(
    open: &mut impl Within,
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
    let deleted =
        sqlx::query("DELETE FROM logpipe_settled WHERE lane = ?1 AND (?2 IS NULL OR rank <= ?2)")
            .bind(row)
            .bind(passed)
            .execute(open.connection())
            .await;
    open.own(deleted).map(drop)
}

pub(super) async fn write_parked(open: &mut Open, consumer: &str, park: Park) -> Result {
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
    let written = sqlx::query(
        "INSERT INTO logpipe_parked (consumer, topic, key, blocks_key, shard, position, timestamp, headers, value,
             reason_kind, reason_text, attempts, parked_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
             coalesce((SELECT state FROM logpipe_parked
                       WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3 AND ?4
                       ORDER BY id LIMIT 1), ?14))",
    )
    .bind(consumer)
    .bind(record.lane.topic())
    .bind(record.key.as_deref())
    .bind(blocks_key)
    .bind(record.lane.shard())
    .bind(record.position.to_string())
    .bind(record.timestamp.map(|timestamp| timestamp.to_string()))
    .bind(rows::write_headers(&record.headers)?)
    .bind(record.value.as_deref())
    .bind(reason.kind)
    .bind(reason.text)
    .bind(attempts)
    .bind(Timestamp::now().to_string())
    .bind(alone)
    .execute(open.connection())
    .await;
    open.own(written).map(drop)
}

pub(super) async fn write_settled(open: &mut impl Within, row: i64, above: &[Position]) -> Result {
    if above.is_empty() {
        return Ok(());
    }
    let ranked: Vec<[String; 2]> = above
        .iter()
        .map(|position| [rows::rank(position), position.to_string()])
        .collect();
    let written = sqlx::query(
        "INSERT INTO logpipe_settled (lane, rank, position)
         SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
         ON CONFLICT DO NOTHING",
    )
    .bind(row)
    .bind(serde_json::to_string(&ranked)?)
    .execute(open.connection())
    .await;
    open.own(written).map(drop)
}

/// Whether a record of the key is parked, so that later ones queue.
pub(super) async fn is_parked(
    open: &mut Open,
    consumer: &str,
    topic: &str,
    key: &[u8],
) -> Result<bool> {
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM logpipe_parked
         WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3)",
    )
    .bind(consumer)
    .bind(topic)
    .bind(key)
    .fetch_one(open.connection())
    .await;
    open.own(found)
}

pub(super) async fn count_parked(
    open: &mut Open,
    consumer: &str,
    topic: &str,
    key: Option<&[u8]>,
) -> Result<ParkedCount> {
    let counted = sqlx::query_as::<_, (i64, i64)>(
        "SELECT coalesce((SELECT records FROM logpipe_parked_totals WHERE consumer = ?1), 0),
             (SELECT count(*) FROM logpipe_parked
              WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3)",
    )
    .bind(consumer)
    .bind(topic)
    .bind(key)
    .fetch_one(open.connection())
    .await;
    let (consumer, key) = open.own(counted)?;
    Ok(ParkedCount {
        consumer: u64::try_from(consumer)?,
        key: u64::try_from(key)?,
    })
}

/// The next record to redrive: the rows of a key have one state, so it is its key's oldest.
pub(super) async fn oldest_ready(open: &mut Open, consumer: &str) -> Result<Option<Parked>> {
    let found = sqlx::query(
        "SELECT * FROM logpipe_parked WHERE consumer = ?1 AND state = ?2 ORDER BY id LIMIT 1",
    )
    .bind(consumer)
    .bind(STATE_READY)
    .fetch_optional(open.connection())
    .await;
    open.own(found)?.as_ref().map(rows::parked).transpose()
}

pub(super) async fn delete_parked(open: &mut impl Within, id: i64) -> Result {
    let deleted = sqlx::query("DELETE FROM logpipe_parked WHERE id = ?1")
        .bind(id)
        .execute(open.connection())
        .await;
    match open.own(deleted)?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::msg(
            "the handler deleted the parked record that it was given",
        )),
    }
}

pub(super) async fn park_again(open: &mut Open, id: i64, reason: &Reason, attempts: u32) -> Result {
    let written = sqlx::query(
        "UPDATE logpipe_parked SET state = ?2, reason_kind = ?3, reason_text = ?4, attempts = ?5
         WHERE id = ?1",
    )
    .bind(id)
    .bind(STATE_PARKED)
    .bind(&reason.kind)
    .bind(&reason.text)
    .bind(attempts)
    .execute(open.connection())
    .await;
    open.own(written).map(drop)
}

/// Parks the key of a record that blocks it, with all that queues.
pub(super) async fn park_key_of(
    open: &mut Open,
    id: i64,
    consumer: &str,
    topic: &str,
    key: Option<&[u8]>,
) -> Result {
    let written = sqlx::query(
        "UPDATE logpipe_parked SET state = ?4
         WHERE blocks_key = 1 AND consumer = ?1 AND topic = ?2 AND key = ?3
             AND (SELECT blocks_key FROM logpipe_parked WHERE id = ?5) = 1",
    )
    .bind(consumer)
    .bind(topic)
    .bind(key)
    .bind(STATE_PARKED)
    .bind(id)
    .execute(open.connection())
    .await;
    open.own(written).map(drop)
}
