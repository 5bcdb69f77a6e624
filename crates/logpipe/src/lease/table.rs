//! A group's table in SQLite: members, leases, positions, read and written in one transaction each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use super::{LogLane, Peer, Row, TERM, View};
use crate::db::{Failed, Shared};
use crate::record::{Cursor, LaneId};
use crate::source::Committed;
use crate::{Error, Result};

/// The tables. Wall time is milliseconds since 1970.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE members (
        grp TEXT NOT NULL,
        id TEXT NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (grp, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE member_topics (
        grp TEXT NOT NULL,
        member TEXT NOT NULL,
        topic TEXT NOT NULL,
        PRIMARY KEY (grp, member, topic)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE leases (
        grp TEXT NOT NULL,
        topic TEXT NOT NULL,
        shard TEXT NOT NULL,
        incarnation TEXT NOT NULL,
        owner TEXT,
        epoch INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        finished INTEGER NOT NULL,
        PRIMARY KEY (grp, topic, shard)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cursors (
        grp TEXT NOT NULL,
        topic TEXT NOT NULL,
        shard TEXT NOT NULL,
        incarnation TEXT NOT NULL,
        cursor TEXT NOT NULL,
        PRIMARY KEY (grp, topic, shard)
    ) STRICT, WITHOUT ROWID;
";

/// What came later: lanes that members are stuck with.
pub(crate) const STUCK: &str = "
    CREATE TABLE member_stuck (
        grp TEXT NOT NULL,
        member TEXT NOT NULL,
        topic TEXT NOT NULL,
        shard TEXT NOT NULL,
        PRIMARY KEY (grp, member, topic, shard)
    ) STRICT, WITHOUT ROWID;
";

/// The folder where living members hold a lock.
pub(crate) struct Locks {
    folder: PathBuf,
}

impl Locks {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    fn lock_path(&self, member: &str) -> PathBuf {
        self.folder.join(format!("{member}.lock"))
    }

    /// Takes the lock that says that a member lives. The system lets go of it when the process ends, however it ends.
    pub(crate) fn lock(&self, member: &str) -> Result<fs::File> {
        let path = self.lock_path(member);
        let doing = |error: std::io::Error| {
            Error::from(error)
                .context(format!("locking {}", path.display()))
                .into_unavailable()
        };
        fs::create_dir_all(&self.folder).map_err(doing)?;
        let file = fs::File::create(&path).map_err(doing)?;
        file.try_lock().map_err(|error| doing(error.into()))?;
        Ok(file)
    }

    pub(crate) fn is_there(&self, member: &str) -> bool {
        self.lock_path(member).exists()
    }

    pub(crate) fn unlock(&self, member: &str) {
        // One that stays is cleared away by whoever finds that its member is dead.
        let _ = fs::remove_file(self.lock_path(member));
    }

    /// Whether nobody holds the member's lock. A lock that can't be asked counts as held: the lease will tell.
    fn is_dead(&self, member: &str) -> bool {
        match fs::File::open(self.lock_path(member)) {
            Ok(file) => match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// The dead among these.
    pub(crate) fn dead<'m>(&self, members: impl IntoIterator<Item = &'m String>) -> Vec<String> {
        members
            .into_iter()
            .filter(|member| self.is_dead(member))
            .cloned()
            .collect()
    }
}

/// Writes that this member lives until a term from now, and what it can't take.
pub(crate) async fn register(
    connection: &mut SqliteConnection,
    group: &str,
    peer: &Peer,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO members (grp, id, expires) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET expires = excluded.expires",
    )
    .bind(group)
    .bind(&peer.id)
    .bind(millis(now) + TERM.as_millis() as i64)
    .execute(&mut *connection)
    .await?;
    for topic in &peer.topics {
        sqlx::query("INSERT INTO member_topics (grp, member, topic) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(group)
            .bind(&peer.id)
            .bind(topic)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("DELETE FROM member_stuck WHERE grp = ? AND member = ?")
        .bind(group)
        .bind(&peer.id)
        .execute(&mut *connection)
        .await?;
    for lane in &peer.stuck {
        sqlx::query("INSERT INTO member_stuck (grp, member, topic, shard) VALUES (?, ?, ?, ?)")
            .bind(group)
            .bind(&peer.id)
            .bind(lane.topic())
            .bind(lane.shard())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn unregister(
    connection: &mut SqliteConnection,
    group: &str,
    member: &str,
) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM members WHERE grp = ? AND id = ?",
        "DELETE FROM member_topics WHERE grp = ? AND member = ?",
        "DELETE FROM member_stuck WHERE grp = ? AND member = ?",
        "UPDATE leases SET owner = NULL WHERE grp = ? AND owner = ?",
    ] {
        sqlx::query(sql)
            .bind(group)
            .bind(member)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Every member that is registered and when its registration ends.
pub(crate) struct Registered {
    pub peer: Peer,
    pub expires: Timestamp,
}

pub(crate) async fn members(
    connection: &mut SqliteConnection,
    group: &str,
) -> sqlx::Result<Vec<Registered>> {
    let rows = sqlx::query(
        "SELECT m.id, m.expires, t.topic FROM members m JOIN member_topics t ON t.grp = m.grp AND t.member = m.id WHERE m.grp = ? ORDER BY m.id",
    )
    .bind(group)
    .fetch_all(&mut *connection)
    .await?;
    let mut members: Vec<Registered> = Vec::new();
    for row in rows {
        let id: &str = row.try_get(0)?;
        let topic: String = row.try_get(2)?;
        match members.last_mut().filter(|last| last.peer.id == id) {
            Some(member) => {
                member.peer.topics.insert(topic);
            }
            None => members.push(Registered {
                peer: Peer {
                    id: id.to_owned(),
                    topics: BTreeSet::from([topic]),
                    stuck: BTreeSet::new(),
                },
                expires: from_millis(row.try_get(1)?),
            }),
        }
    }
    let rows = sqlx::query("SELECT member, topic, shard FROM member_stuck WHERE grp = ?")
        .bind(group)
        .fetch_all(connection)
        .await?;
    for row in rows {
        let (id, topic, shard): (&str, &str, &str) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        for member in members.iter_mut().filter(|member| member.peer.id == id) {
            member.peer.stuck.insert(LaneId::new(topic, shard));
        }
    }
    Ok(members)
}

pub(crate) async fn rows(
    connection: &mut SqliteConnection,
    group: &str,
) -> sqlx::Result<BTreeMap<LaneId, Row>> {
    let rows = sqlx::query(
        "SELECT topic, shard, incarnation, owner, epoch, expires, finished FROM leases WHERE grp = ?",
    )
    .bind(group)
    .fetch_all(connection)
    .await?;
    let row = |row: sqlx::sqlite::SqliteRow| {
        let lane = LaneId::new(row.try_get::<&str, _>(0)?, row.try_get::<&str, _>(1)?);
        let row = Row {
            incarnation: row.try_get(2)?,
            owner: row.try_get(3)?,
            epoch: row.try_get::<i64, _>(4)?.cast_unsigned(),
            expires: from_millis(row.try_get(5)?),
            finished: row.try_get(6)?,
        };
        Ok((lane, row))
    };
    rows.into_iter().map(row).collect()
}

pub(crate) async fn write_rows(
    connection: &mut SqliteConnection,
    group: &str,
    rows: &[(LaneId, Row)],
) -> sqlx::Result<()> {
    for (lane, row) in rows {
        sqlx::query(
            "INSERT INTO leases (grp, topic, shard, incarnation, owner, epoch, expires, finished) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, owner = excluded.owner, epoch = excluded.epoch, expires = excluded.expires, finished = excluded.finished",
        )
        .bind(group)
        .bind(lane.topic())
        .bind(lane.shard())
        .bind(&row.incarnation)
        .bind(&row.owner)
        .bind(row.epoch.cast_signed())
        .bind(millis(row.expires))
        .bind(row.finished)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The group as its member `me` decides by it: those that died or are late are no members.
pub(crate) async fn view(
    connection: &mut SqliteConnection,
    group: &str,
    me: &Peer,
    now: Timestamp,
    cluster: String,
    all_lanes: &BTreeMap<LaneId, LogLane>,
) -> sqlx::Result<View> {
    let rows = rows(connection, group).await?;
    let mut members: Vec<Peer> = members(connection, group)
        .await?
        .into_iter()
        .filter(|member| member.expires > now && member.peer.id != me.id)
        .map(|member| member.peer)
        .collect();
    members.push(me.clone());
    let lanes = all_lanes
        .iter()
        .filter(|(lane, _)| {
            members
                .iter()
                .any(|member| member.topics.contains(lane.topic()))
        })
        .map(|(lane, log)| (lane.clone(), log.clone()))
        .collect();
    Ok(View {
        cluster,
        lanes,
        rows,
        members,
    })
}

pub(crate) async fn save(
    connection: &mut SqliteConnection,
    group: &str,
    lane: &LaneId,
    incarnation: &str,
    cursor: &Cursor,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO cursors (grp, topic, shard, incarnation, cursor) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, cursor = excluded.cursor",
    )
    .bind(group)
    .bind(lane.topic())
    .bind(lane.shard())
    .bind(incarnation)
    .bind(cursor.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// The positions that a group keeps in the log.
pub(crate) async fn saved(
    connection: &mut SqliteConnection,
    group: &str,
) -> Result<Vec<(LaneId, Committed)>, Failed> {
    let rows = sqlx::query("SELECT topic, shard, incarnation, cursor FROM cursors WHERE grp = ?")
        .bind(group)
        .fetch_all(connection)
        .await?;
    let mut saved = Vec::with_capacity(rows.len());
    for row in rows {
        let lane = LaneId::new(row.try_get::<&str, _>(0)?, row.try_get::<&str, _>(1)?);
        let cursor = row.try_get::<&str, _>(3)?.parse().map_err(|error| {
            Failed::Refused(
                Error::permanent(error).context(format!("the position of group {group} in {lane}")),
            )
        })?;
        let committed = Committed {
            cursor,
            incarnation: Some(row.try_get(2)?),
        };
        saved.push((lane, committed));
    }
    Ok(saved)
}

pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

pub(crate) fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN)
}

/// Between two renewals.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(3);

/// Whether the lane's row is still the one of this claim.
pub(crate) async fn is_owner(
    connection: &mut SqliteConnection,
    group: &str,
    lane: &LaneId,
    member: &str,
    epoch: u64,
) -> sqlx::Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM leases WHERE grp = ? AND topic = ? AND shard = ? AND owner = ? AND epoch = ?",
    )
    .bind(group)
    .bind(lane.topic())
    .bind(lane.shard())
    .bind(member)
    .bind(epoch.cast_signed())
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// Writes positions, with the incarnations of their lanes, for a group that has no member; an error where it has one.
pub(crate) async fn reset(
    groups: &Arc<Shared>,
    locks: &Arc<Locks>,
    group: &str,
    writes: Vec<(LaneId, Cursor, String)>,
    now: Timestamp,
) -> Result<()> {
    let (locks, group) = (locks.clone(), group.to_owned());
    groups
        .write(move |table| {
            Box::pin(async move {
                let members = members(table, &group).await?;
                let dead = locks.dead(members.iter().map(|member| &member.peer.id));
                let is_active =
                    |member: &Registered| member.expires > now && !dead.contains(&member.peer.id);
                if members.iter().any(is_active) {
                    return Err(Failed::Refused(Error::permanent(format!(
                        "group {group} has members that read now: stop them first"
                    ))));
                }
                for (lane, cursor, incarnation) in &writes {
                    save(table, &group, lane, incarnation, cursor).await?;
                }
                Ok(())
            })
        })
        .await
}
