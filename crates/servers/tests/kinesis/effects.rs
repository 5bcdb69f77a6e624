//! What did handlers do, and is everything that is stored of it true? A table without a unique key, and what must hold.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use logpipe::Cx;
use logpipe::store::Sqlite;
use logpipe::store::sqlite::sqlx::{self, SqlitePool};
use sqlx::sqlite::SqliteConnectOptions;

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
