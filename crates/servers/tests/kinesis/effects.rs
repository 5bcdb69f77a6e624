//! What did handlers do, and is everything that is stored of it true? A table without a unique key, and what must hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use logpipe::Cx;
use logpipe::record::Cursor;
use logpipe::sink::Sent;
use logpipe::store::sqlite::sqlx::{self, SqlitePool};
use logpipe::store::{Administration, Sqlite};
use sqlx::sqlite::SqliteConnectOptions;

use crate::GROUP;
use crate::shared::Note;

/// One record that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Ascending over all effects.
    pub place: i64,
    pub key: String,
    pub number: i64,
    /// Where the record was.
    pub shard: String,
    /// Who handled it.
    pub by: String,
}

/// The table, as the test sees it.
pub struct Effects {
    pub pool: SqlitePool,
}

/// Where effects and positions lie.
pub fn file(folder: &Path) -> PathBuf {
    folder.join("app.db")
}

impl Effects {
    pub async fn create(folder: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(file(folder))
            .create_if_missing(true)
            .busy_timeout(Duration::from_secs(20));
        let pool = SqlitePool::connect_with(options).await.unwrap();
        // No unique key: an effect that happened twice is seen.
        sqlx::query(
            "create table effects (place integer primary key, key text, number integer, shard text, by text)",
        )
        .execute(&pool)
        .await
        .unwrap();
        Self { pool }
    }

    /// In the order in which they happened.
    pub async fn all(&self) -> Vec<Effect> {
        let rows: Vec<(i64, String, i64, String, String)> =
            sqlx::query_as("select place, key, number, shard, by from effects order by place")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        let effect = |(place, key, number, shard, by)| Effect {
            place,
            key,
            number,
            shard,
            by,
        };
        rows.into_iter().map(effect).collect()
    }
}

/// What a handler does.
pub async fn write(cx: &mut Cx<Sqlite>, note: &Note, by: &str) -> logpipe::Result {
    let shard = cx.lane().shard().to_owned();
    sqlx::query("insert into effects (key, number, shard, by) values (?, ?, ?, ?)")
        .bind(&note.id)
        .bind(note.number)
        .bind(shard)
        .bind(by)
        .execute(cx.tx())
        .await?;
    Ok(())
}

/// The cursors that are stored, by shard.
pub async fn cursors(pool: &SqlitePool) -> BTreeMap<String, String> {
    let rows = sqlx::query_as("select shard, cursor from logpipe_lanes").fetch_all(pool);
    rows.await.unwrap().into_iter().collect()
}

/// The numbers of the records that the stored positions call settled; a record's number is its place in `sent`.
pub async fn settled(store: &Sqlite, pool: &SqlitePool, sent: &[Sent]) -> BTreeSet<i64> {
    let lanes = store.lanes(Some(GROUP)).await.unwrap();
    let above: Vec<(String, String)> = sqlx::query_as(
        "select l.shard, s.position from logpipe_settled s join logpipe_lanes l on l.id = s.lane",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let is_settled = |sent: &Sent| {
        let lane = lanes.iter().find(|stored| stored.lane == sent.lane);
        let is_below = lane.is_some_and(|stored| match &stored.cursor {
            Cursor::Start => false,
            Cursor::After(position) => sent.position <= *position,
            Cursor::Closed => true,
            other => panic!("a shard that was read stands at {other}"),
        });
        let is_it = |(shard, position): &(String, String)| {
            shard == sent.lane.shard() && *position == sent.position.to_string()
        };
        is_below || above.iter().any(is_it)
    };
    let numbers = (0..).zip(sent);
    numbers
        .filter(|(_, sent)| is_settled(sent))
        .map(|(number, _)| number)
        .collect()
}

/// Every record up to `count` once, and each key's in their order.
pub fn assert_each_once_in_order(effects: &[Effect], count: i64) {
    let numbers: BTreeSet<i64> = effects.iter().map(|effect| effect.number).collect();
    let missing: Vec<i64> = (0..count).filter(|one| !numbers.contains(one)).collect();
    assert!(missing.is_empty(), "without effect: {missing:?}");
    assert_eq!(effects.len() as i64, count, "effects that happened twice");
    let mut newest = HashMap::new();
    for effect in effects {
        let before = newest.insert(&effect.key, effect.number);
        assert!(
            before < Some(effect.number),
            "{effect:?} came behind number {before:?}"
        );
    }
}
