//! What commands do with an SQLite store.

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite as Driver, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, QueryBuilder, Row};
use tokio::sync::MutexGuard;

use super::connection::{Within, fault};
use super::rows::{self, STATE_PARKED, STATE_READY};
use super::{Sqlite, durable};
use crate::Result;
use crate::record::{Cursor, LaneId};
use crate::store::{Administration, Filter, LaneKey, Parked, StoredLane};

impl Sqlite {
    /// A connection that only looks: it waits for nobody and nobody waits for it.
    async fn reader(&self) -> Result<Reader<'_>> {
        let mut slot = self.inner.reader.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let options = self.inner.options.clone().create_if_missing(false);
                let options = options.pragma("query_only", "ON");
                options.connect().await.map_err(fault)?
            }
        };
        Ok(Reader { slot, connection })
    }

    /// Whether a record waits for its consumer to handle it again.
    pub(super) async fn any_ready(&self, consumer: &str) -> Result<bool> {
        let mut reader = self.reader().await?;
        let any = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM logpipe_parked WHERE consumer = ?1 AND state = ?2)",
        )
        .bind(consumer)
        .bind(STATE_READY)
        .fetch_one(&mut reader.connection)
        .await;
        reader.looked(any)
    }

    /// Runs one statement that changes parked records; returns how many.
    async fn change(&self, mut statement: QueryBuilder<Driver>) -> Result<u64> {
        let mut open = self.transaction().await?;
        let changed = statement.build().execute(open.connection()).await;
        let changed = open.own(changed)?.rows_affected();
        durable(open.commit().await)?;
        Ok(changed)
    }
}

/// The reader, while somebody looks. It is kept for the next look where this one came to its end: one that was in trouble,
/// or was given up in the middle, is connected anew.
struct Reader<'a> {
    slot: MutexGuard<'a, Option<SqliteConnection>>,
    connection: SqliteConnection,
}

impl Reader<'_> {
    fn looked<T>(mut self, outcome: sqlx::Result<T>) -> Result<T> {
        if outcome.is_ok() {
            *self.slot = Some(self.connection);
        }
        outcome.map_err(fault)
    }
}

const LANES: &str =
    "SELECT consumer, topic, shard, cluster, incarnation, epoch, cursor, updated_at,
         (SELECT count(*) FROM logpipe_settled WHERE lane = id) AS settled
     FROM logpipe_lanes";

fn stored(row: &SqliteRow) -> Result<StoredLane> {
    let topic: String = row.try_get("topic")?;
    let shard: String = row.try_get("shard")?;
    let lane = LaneId::new(topic, shard);
    let damaged = |column| rows::damaged(format_args!("lane {lane}"), column);
    Ok(StoredLane {
        consumer: row.try_get("consumer")?,
        cluster: row.try_get("cluster")?,
        incarnation: row.try_get("incarnation")?,
        epoch: u64::try_from(row.try_get::<i64, _>("epoch")?)?,
        cursor: rows::parse(row, "cursor").ok_or_else(|| damaged("cursor"))?,
        settled: u64::try_from(row.try_get::<i64, _>("settled")?)?,
        updated_at: rows::parse(row, "updated_at").ok_or_else(|| damaged("updated_at"))?,
        lane,
    })
}

/// Adds the filter's conditions, the first of them behind `WHERE`.
fn push_filter(sql: &mut QueryBuilder<Driver>, filter: &Filter) {
    sql.push(" WHERE true");
    if let Some(consumer) = &filter.consumer {
        sql.push(" AND consumer = ").push_bind(consumer.clone());
    }
    if let Some(topic) = &filter.topic {
        sql.push(" AND topic = ").push_bind(topic.clone());
    }
    if let Some(kind) = &filter.kind {
        sql.push(" AND reason_kind = ").push_bind(kind.clone());
    }
    if let Some(key) = &filter.key {
        sql.push(" AND key = ").push_bind(key.clone());
    }
    if let Some(ids) = &filter.ids {
        let ids = format!("{ids:?}");
        sql.push(" AND id IN (SELECT value FROM json_each(")
            .push_bind(ids)
            .push("))");
    }
    if let Some(ready) = filter.ready {
        sql.push(" AND state = ")
            .push_bind(if ready { STATE_READY } else { STATE_PARKED });
    }
}

impl Administration for Sqlite {
    async fn lanes(&self, consumer: Option<&str>) -> Result<Vec<StoredLane>> {
        let mut sql = QueryBuilder::new(LANES);
        if let Some(consumer) = consumer {
            sql.push(" WHERE consumer = ").push_bind(consumer);
        }
        sql.push(" ORDER BY consumer, topic, length(shard), shard");
        let mut reader = self.reader().await?;
        let found = sql.build().fetch_all(&mut reader.connection).await;
        let found = reader.looked(found)?;
        found.iter().map(stored).collect()
    }

    async fn set_cursor(&self, key: &LaneKey, cursor: &Cursor) -> Result<Option<StoredLane>> {
        let (consumer, lane) = (&key.consumer, &key.lane);
        let mut open = self.transaction().await?;
        let moved = sqlx::query(
            "UPDATE logpipe_lanes
             SET epoch = epoch + 1, cursor = ?4, cluster = ?5, incarnation = ?6, updated_at = ?7
             WHERE consumer = ?1 AND topic = ?2 AND shard = ?3",
        )
        .bind(consumer)
        .bind(lane.topic())
        .bind(lane.shard())
        .bind(cursor.to_string())
        .bind(&key.cluster)
        .bind(&key.incarnation)
        .bind(Timestamp::now().to_string())
        .execute(open.connection())
        .await;
        open.own(moved)?;
        let forgotten = sqlx::query(
            "DELETE FROM logpipe_settled WHERE lane =
                 (SELECT id FROM logpipe_lanes WHERE consumer = ?1 AND topic = ?2 AND shard = ?3)",
        )
        .bind(consumer)
        .bind(lane.topic())
        .bind(lane.shard())
        .execute(open.connection())
        .await;
        open.own(forgotten)?;
        let mut sql = QueryBuilder::new(LANES);
        sql.push(" WHERE consumer = ").push_bind(consumer);
        sql.push(" AND topic = ").push_bind(lane.topic());
        sql.push(" AND shard = ").push_bind(lane.shard());
        let found = sql.build().fetch_optional(open.connection()).await;
        let found = open.own(found)?;
        durable(open.commit().await)?;
        found.as_ref().map(stored).transpose()
    }

    async fn parked(&self, filter: &Filter, after: Option<i64>, limit: u32) -> Result<Vec<Parked>> {
        let mut sql = QueryBuilder::new("SELECT * FROM logpipe_parked");
        push_filter(&mut sql, filter);
        if let Some(after) = after {
            sql.push(" AND id > ").push_bind(after);
        }
        sql.push(" ORDER BY id LIMIT ").push_bind(limit);
        let mut reader = self.reader().await?;
        let found = sql.build().fetch_all(&mut reader.connection).await;
        let found = reader.looked(found)?;
        found.iter().map(rows::parked).collect()
    }

    async fn count_parked(&self, filter: &Filter) -> Result<u64> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM logpipe_parked");
        push_filter(&mut sql, filter);
        let mut reader = self.reader().await?;
        let counted = sql.build_query_scalar::<i64>();
        let counted = counted.fetch_one(&mut reader.connection).await;
        Ok(u64::try_from(reader.looked(counted)?)?)
    }

    async fn redrive(&self, filter: &Filter) -> Result<u64> {
        let mut sql = QueryBuilder::new("WITH chosen AS (SELECT * FROM logpipe_parked");
        push_filter(&mut sql, filter);
        sql.push(") UPDATE logpipe_parked SET state = ")
            .push_bind(STATE_READY);
        sql.push(" WHERE state = ").push_bind(STATE_PARKED);
        sql.push(
            " AND (id IN (SELECT id FROM chosen) OR blocks_key = 1 AND (consumer, topic, key) IN
                 (SELECT consumer, topic, key FROM chosen WHERE blocks_key = 1))",
        );
        self.change(sql).await
    }

    async fn drop_parked(&self, filter: &Filter) -> Result<u64> {
        let mut sql = QueryBuilder::new("DELETE FROM logpipe_parked");
        push_filter(&mut sql, filter);
        self.change(sql).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_was_in_trouble_is_connected_anew() {
        let store = Sqlite::temporary().await.unwrap();
        let is_kept = async || store.inner.reader.lock().await.is_some();
        assert_eq!(store.count_parked(&Filter::default()).await.unwrap(), 0);
        assert!(is_kept().await);
        let mut other = store.inner.options.connect().await.unwrap();
        let rename = "ALTER TABLE logpipe_parked RENAME TO elsewhere";
        sqlx::query(rename).execute(&mut other).await.unwrap();
        store.count_parked(&Filter::default()).await.unwrap_err();
        assert!(!is_kept().await);
    }
}
