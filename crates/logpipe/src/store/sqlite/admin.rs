//! What commands do with an SQLite store.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::connection::{Within, fault};
use super::rows::{self, STATE_PARKED, STATE_READY};
use super::{Sqlite, durable};
use crate::Result;
use crate::db::blocking;
use crate::record::{Cursor, LaneId};
use crate::store::{Administration, Filter, LaneKey, Parked, StoredLane};

impl Sqlite {
    /// Looks, on a connection that waits for nobody and that nobody waits for. It is kept for the next look where this one
    /// came to its end: one that was in trouble is connected anew.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut slot = self.inner.reader.clone().lock_owned().await;
        let store = self.clone();
        blocking(move || {
            let connection = match slot.take() {
                Some(connection) => connection,
                None => store.reader().map_err(fault)?,
            };
            let looked = work(&connection)?;
            *slot = Some(connection);
            Ok(looked)
        })
        .await?
    }

    /// Whether a record waits for its consumer to handle it again; `topics` is a JSON array.
    pub(super) async fn any_ready(&self, consumer: &str, topics: String) -> Result<bool> {
        let consumer = consumer.to_owned();
        self.look(move |connection| {
            let mut find = connection.prepare_cached(
                "SELECT 1 FROM logpipe_parked
                 WHERE consumer = ?1 AND state = ?2 AND topic IN (SELECT value FROM json_each(?3))",
            )?;
            find.exists(params![consumer, STATE_READY, topics])
                .map_err(fault)
        })
        .await
    }

    /// Runs one statement that changes parked records; returns how many.
    async fn change(&self, statement: Statement) -> Result<u64> {
        let store = self.clone();
        self.away(async move {
            let open = store.transaction().await?;
            let changed = open.own(|connection| statement.execute(connection))?;
            durable(open.commit())?;
            Ok(changed as u64)
        })
        .await
    }
}

/// A statement that is put together, with its values.
struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    fn new(sql: &str) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
        }
    }

    fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A condition on a column, and the value that it is held against.
    fn push_value(&mut self, sql: &str, value: impl Into<Value>) -> &mut Self {
        self.push(sql).push("?");
        self.values.push(value.into());
        self
    }

    /// Adds the filter's conditions, the first of them behind `WHERE`.
    fn push_filter(&mut self, filter: &Filter) -> &mut Self {
        let Filter {
            consumer,
            topic,
            kind,
            key,
            ids,
            ready,
        } = filter;
        self.push(" WHERE true");
        for (condition, text) in [
            (" AND consumer = ", consumer),
            (" AND topic = ", topic),
            (" AND reason_kind = ", kind),
        ] {
            if let Some(text) = text {
                self.push_value(condition, text.clone());
            }
        }
        if let Some(key) = key {
            self.push_value(" AND key = ", key.clone());
        }
        if let Some(ids) = ids {
            self.push_value(
                " AND id IN (SELECT value FROM json_each(",
                format!("{ids:?}"),
            )
            .push("))");
        }
        if let Some(ready) = *ready {
            let state = if ready { STATE_READY } else { STATE_PARKED };
            self.push_value(" AND state = ", state.to_owned());
        }
        self
    }

    fn execute(self, connection: &Connection) -> rusqlite::Result<usize> {
        connection.execute(&self.sql, params_from_iter(self.values))
    }

    /// All rows, each as `map` reads it.
    fn query<T>(
        self,
        connection: &Connection,
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut query = connection.prepare(&self.sql).map_err(fault)?;
        query
            .query_and_then(params_from_iter(self.values), map)
            .map_err(fault)?
            .collect()
    }
}

const LANES: &str =
    "SELECT consumer, topic, shard, cluster, incarnation, epoch, cursor, updated_at,
         (SELECT count(*) FROM logpipe_settled WHERE lane = id) AS settled
     FROM logpipe_lanes";

fn stored(row: &Row<'_>) -> Result<StoredLane> {
    let lane = LaneId::new(
        row.get::<_, String>("topic")?,
        row.get::<_, String>("shard")?,
    );
    let damaged = |column| rows::damaged(format_args!("lane {lane}"), column);
    Ok(StoredLane {
        consumer: row.get("consumer")?,
        cluster: row.get("cluster")?,
        incarnation: row.get("incarnation")?,
        epoch: u64::try_from(row.get::<_, i64>("epoch")?)?,
        cursor: rows::parse(row, "cursor").ok_or_else(|| damaged("cursor"))?,
        settled: u64::try_from(row.get::<_, i64>("settled")?)?,
        updated_at: rows::parse(row, "updated_at").ok_or_else(|| damaged("updated_at"))?,
        lane,
    })
}

impl Administration for Sqlite {
    async fn lanes(&self, consumer: Option<&str>) -> Result<Vec<StoredLane>> {
        let mut lanes = Statement::new(LANES);
        if let Some(consumer) = consumer {
            lanes.push_value(" WHERE consumer = ", consumer.to_owned());
        }
        lanes.push(" ORDER BY consumer, topic, length(shard), shard");
        self.look(move |connection| lanes.query(connection, stored))
            .await
    }

    async fn set_cursor(&self, key: &LaneKey, cursor: &Cursor) -> Result<Option<StoredLane>> {
        let (store, key, cursor) = (self.clone(), key.clone(), cursor.to_string());
        self.away(async move {
            let open = store.transaction().await?;
            let moved = open.own(|connection| {
                let lane = [&key.consumer, key.lane.topic(), key.lane.shard()];
                connection.execute(
                    "DELETE FROM logpipe_settled WHERE lane =
                         (SELECT id FROM logpipe_lanes WHERE consumer = ?1 AND topic = ?2 AND shard = ?3)",
                    lane,
                )?;
                let [consumer, topic, shard] = lane;
                let now = Timestamp::now().to_string();
                connection.execute(
                    "UPDATE logpipe_lanes
                     SET epoch = epoch + 1, cursor = ?4, cluster = ?5, incarnation = ?6, updated_at = ?7
                     WHERE consumer = ?1 AND topic = ?2 AND shard = ?3",
                    params![consumer, topic, shard, cursor, key.cluster, key.incarnation, now],
                )?;
                let found = format!("{LANES} WHERE consumer = ?1 AND topic = ?2 AND shard = ?3");
                connection.query_row(&found, lane, |row| Ok(stored(row))).optional()
            })?;
            durable(open.commit())?;
            moved.transpose()
        })
        .await
    }

    async fn parked(&self, filter: &Filter, after: Option<i64>, limit: u32) -> Result<Vec<Parked>> {
        let mut parked = Statement::new("SELECT * FROM logpipe_parked");
        parked.push_filter(filter);
        if let Some(after) = after {
            parked.push_value(" AND id > ", after);
        }
        parked.push_value(" ORDER BY id LIMIT ", limit);
        self.look(move |connection| parked.query(connection, rows::parked))
            .await
    }

    async fn count_parked(&self, filter: &Filter) -> Result<u64> {
        let mut count = Statement::new("SELECT count(*) FROM logpipe_parked");
        count.push_filter(filter);
        self.look(move |connection| {
            let counted = count.query(connection, |row| Ok(row.get::<_, i64>(0)?))?;
            Ok(u64::try_from(counted.first().copied().unwrap_or(0))?)
        })
        .await
    }

    async fn redrive(&self, filter: &Filter) -> Result<u64> {
        let mut redrive = Statement::new("WITH chosen AS (SELECT * FROM logpipe_parked");
        redrive
            .push_filter(filter)
            .push_value(
                ") UPDATE logpipe_parked SET state = ",
                STATE_READY.to_owned(),
            )
            .push_value(" WHERE state = ", STATE_PARKED.to_owned())
            .push(
                " AND (id IN (SELECT id FROM chosen) OR blocks_key = 1 AND (consumer, topic, key) IN
                     (SELECT consumer, topic, key FROM chosen WHERE blocks_key = 1))",
            );
        self.change(redrive).await
    }

    async fn drop_parked(&self, filter: &Filter) -> Result<u64> {
        let mut dropped = Statement::new("DELETE FROM logpipe_parked");
        dropped.push_filter(filter);
        self.change(dropped).await
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
        let other = Connection::open(store.path()).unwrap();
        other
            .execute_batch("ALTER TABLE logpipe_parked RENAME TO elsewhere")
            .unwrap();
        store.count_parked(&Filter::default()).await.unwrap_err();
        assert!(!is_kept().await);
    }
}
