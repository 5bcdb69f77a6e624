//! A group's table in SQLite: members, leases, positions, read and written in one transaction each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{LogLane, Peer, Row, TERM, View};
use crate::db::{self, Failed, Shared};
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
        db::create_private_dir(&self.folder).map_err(doing)?;
        db::create_private(&path).map_err(doing)?;
        let file = fs::File::options().write(true).open(&path).map_err(doing)?;
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
pub(crate) fn register(
    table: &Connection,
    group: &str,
    peer: &Peer,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let expires = millis(now) + TERM.as_millis() as i64;
    table
        .prepare_cached("INSERT INTO members (grp, id, expires) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET expires = excluded.expires")?
        .execute((group, &peer.id, expires))?;
    for topic in &peer.topics {
        table
            .prepare_cached("INSERT INTO member_topics (grp, member, topic) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")?
            .execute((group, &peer.id, topic))?;
    }
    table
        .prepare_cached("DELETE FROM member_stuck WHERE grp = ? AND member = ?")?
        .execute((group, &peer.id))?;
    for lane in &peer.stuck {
        table
            .prepare_cached(
                "INSERT INTO member_stuck (grp, member, topic, shard) VALUES (?, ?, ?, ?)",
            )?
            .execute((group, &peer.id, lane.topic(), lane.shard()))?;
    }
    Ok(())
}

pub(crate) fn unregister(table: &Connection, group: &str, member: &str) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM members WHERE grp = ? AND id = ?",
        "DELETE FROM member_topics WHERE grp = ? AND member = ?",
        "DELETE FROM member_stuck WHERE grp = ? AND member = ?",
        "UPDATE leases SET owner = NULL WHERE grp = ? AND owner = ?",
    ] {
        table.prepare_cached(sql)?.execute((group, member))?;
    }
    Ok(())
}

/// Every member that is registered and when its registration ends.
pub(crate) struct Registered {
    pub peer: Peer,
    pub expires: Timestamp,
}

pub(crate) fn members(table: &Connection, group: &str) -> rusqlite::Result<Vec<Registered>> {
    let mut members: Vec<Registered> = Vec::new();
    let mut statement = table.prepare_cached(
        "SELECT m.id, m.expires, t.topic FROM members m JOIN member_topics t ON t.grp = m.grp AND t.member = m.id WHERE m.grp = ? ORDER BY m.id",
    )?;
    let mut rows = statement.query([group])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str()?;
        let topic = row.get(2)?;
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
                expires: from_millis(row.get(1)?),
            }),
        }
    }
    let mut statement =
        table.prepare_cached("SELECT topic, shard, member FROM member_stuck WHERE grp = ?")?;
    let mut rows = statement.query([group])?;
    while let Some(row) = rows.next()? {
        let (lane, id) = (lane(row)?, row.get_ref(2)?.as_str()?);
        for member in members.iter_mut().filter(|member| member.peer.id == id) {
            member.peer.stuck.insert(lane.clone());
        }
    }
    Ok(members)
}

/// The lane in the first two columns, topic and shard.
fn lane(row: &rusqlite::Row<'_>) -> rusqlite::Result<LaneId> {
    Ok(LaneId::new(
        row.get_ref(0)?.as_str()?,
        row.get_ref(1)?.as_str()?,
    ))
}

pub(crate) fn rows(table: &Connection, group: &str) -> rusqlite::Result<BTreeMap<LaneId, Row>> {
    let mut statement = table.prepare_cached(
        "SELECT topic, shard, incarnation, owner, epoch, expires, finished FROM leases WHERE grp = ?",
    )?;
    let rows = statement.query_map([group], |row| {
        let lease = Row {
            incarnation: row.get(2)?,
            owner: row.get(3)?,
            epoch: row.get::<_, i64>(4)?.cast_unsigned(),
            expires: from_millis(row.get(5)?),
            finished: row.get(6)?,
        };
        Ok((lane(row)?, lease))
    })?;
    rows.collect()
}

pub(crate) fn write_rows(
    table: &Connection,
    group: &str,
    rows: &[(LaneId, Row)],
) -> rusqlite::Result<()> {
    let mut statement = table.prepare_cached(
        "INSERT INTO leases (grp, topic, shard, incarnation, owner, epoch, expires, finished) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, owner = excluded.owner, epoch = excluded.epoch, expires = excluded.expires, finished = excluded.finished",
    )?;
    for (lane, row) in rows {
        statement.execute((
            group,
            lane.topic(),
            lane.shard(),
            &row.incarnation,
            &row.owner,
            row.epoch.cast_signed(),
            millis(row.expires),
            row.finished,
        ))?;
    }
    Ok(())
}

/// The group as its member `me` decides by it: those that died or are late are no members.
pub(crate) fn view(
    table: &Connection,
    group: &str,
    me: &Peer,
    now: Timestamp,
    cluster: String,
    all_lanes: &BTreeMap<LaneId, LogLane>,
) -> rusqlite::Result<View> {
    let rows = rows(table, group)?;
    let mut members: Vec<Peer> = members(table, group)?
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

pub(crate) fn save(
    table: &Connection,
    group: &str,
    lane: &LaneId,
    incarnation: &str,
    cursor: &Cursor,
) -> rusqlite::Result<()> {
    let mut statement = table.prepare_cached(
        "INSERT INTO cursors (grp, topic, shard, incarnation, cursor) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, cursor = excluded.cursor",
    )?;
    let cursor = cursor.to_string();
    statement.execute((group, lane.topic(), lane.shard(), incarnation, cursor))?;
    Ok(())
}

/// The positions that a group keeps in the log.
pub(crate) fn saved(table: &Connection, group: &str) -> Result<Vec<(LaneId, Committed)>, Failed> {
    let mut statement = table
        .prepare_cached("SELECT topic, shard, incarnation, cursor FROM cursors WHERE grp = ?")?;
    let mut rows = statement.query([group])?;
    let mut saved = Vec::new();
    while let Some(row) = rows.next()? {
        let lane = lane(row)?;
        let cursor = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
        let cursor = cursor.parse().map_err(|error| {
            Failed::Refused(
                Error::permanent(error).context(format!("the position of group {group} in {lane}")),
            )
        })?;
        let committed = Committed {
            cursor,
            incarnation: Some(row.get(2)?),
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
pub(crate) fn is_owner(
    table: &Connection,
    group: &str,
    lane: &LaneId,
    member: &str,
    epoch: u64,
) -> rusqlite::Result<bool> {
    let mut statement = table.prepare_cached(
        "SELECT 1 FROM leases WHERE grp = ? AND topic = ? AND shard = ? AND owner = ? AND epoch = ?",
    )?;
    statement.exists((
        group,
        lane.topic(),
        lane.shard(),
        member,
        epoch.cast_signed(),
    ))
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
            let members = members(table, &group)?;
            let dead = locks.dead(members.iter().map(|member| &member.peer.id));
            let is_active =
                |member: &Registered| member.expires > now && !dead.contains(&member.peer.id);
            if members.iter().any(is_active) {
                return Err(Failed::Refused(Error::permanent(format!(
                    "group {group} has members that read now: stop them first"
                ))));
            }
            for (lane, cursor, incarnation) in &writes {
                save(table, &group, lane, incarnation, cursor)?;
            }
            Ok(())
        })
        .await
}
