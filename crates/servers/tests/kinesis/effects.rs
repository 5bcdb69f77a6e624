//! What did handlers do, and is everything that is stored of it true? A table without a unique key, and what must hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use logpipe::Cx;
use logpipe::record::Cursor;
use logpipe::sink::Sent;
use logpipe::store::sqlite::rusqlite::{Connection, Result, Row, params};
use logpipe::store::{Administration, Sqlite};

use crate::GROUP;
use crate::shared::{Note, PATIENCE};

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
    file: PathBuf,
}

/// Where effects and positions lie.
pub fn file(folder: &Path) -> PathBuf {
    folder.join("app.db")
}

impl Effects {
    pub fn create(folder: &Path) -> Self {
        let effects = Self { file: file(folder) };
        // No unique key: an effect that happened twice is seen.
        let table = "create table effects (place integer primary key, key text, number integer, shard text, by text)";
        effects.open().execute_batch(table).unwrap();
        effects
    }

    fn open(&self) -> Connection {
        open(&self.file)
    }

    /// In the order in which they happened.
    pub fn all(&self) -> Vec<Effect> {
        rows(
            &self.open(),
            "select * from effects order by place",
            |row| {
                Ok(Effect {
                    place: row.get("place")?,
                    key: row.get("key")?,
                    number: row.get("number")?,
                    shard: row.get("shard")?,
                    by: row.get("by")?,
                })
            },
        )
    }

    /// The cursors that are stored, by shard.
    pub fn cursors(&self) -> BTreeMap<String, String> {
        let query = "select shard, cursor from logpipe_lanes";
        let cursors: Vec<(String, String)> = rows(&self.open(), query, |row| row.try_into());
        cursors.into_iter().collect()
    }

    /// The numbers of the records that the stored positions call settled; a record's number is its place in `sent`.
    pub async fn settled(&self, store: &Sqlite, sent: &[Sent]) -> BTreeSet<i64> {
        let lanes = store.lanes(Some(GROUP)).await.unwrap();
        let above: Vec<(String, String)> = rows(
            &self.open(),
            "select l.shard, s.position from logpipe_settled s join logpipe_lanes l on l.id = s.lane",
            |row| row.try_into(),
        );
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
}

/// A database that others write to.
pub fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

/// What a query finds.
pub fn rows<T>(
    connection: &Connection,
    query: &str,
    map: impl FnMut(&Row<'_>) -> Result<T>,
) -> Vec<T> {
    let mut query = connection.prepare(query).unwrap();
    let rows = query.query_map([], map).unwrap();
    rows.collect::<Result<_>>().unwrap()
}

/// What a handler does.
pub fn write(cx: &mut Cx<Sqlite>, note: &Note, by: &str) -> logpipe::Result {
    let shard = cx.lane().shard().to_owned();
    cx.tx().execute(
        "insert into effects (key, number, shard, by) values (?, ?, ?, ?)",
        params![note.id, note.number, shard, by],
    )?;
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
