//! Where does a consumer group stand in each lane, and who keeps that?

use logpipe::record::{Cursor, LaneId};
use logpipe::source::{LaneExtent, Opened};
use logpipe::store::{Administration, Sqlite, StoredLane};

use crate::failure::{Failure, Outcome};
use crate::log::{self, Operated};
use crate::output;

/// A group's position in a lane.
pub struct Kept {
    pub group: String,
    pub lane: LaneId,
    pub cursor: Cursor,
    /// The store's row; none where the log alone keeps the position.
    pub row: Option<StoredLane>,
}

/// The positions of a group that has some, or of all groups that the store knows.
pub async fn kept(
    operated: &Operated,
    group: Option<&str>,
) -> Outcome<(Vec<Kept>, Option<Sqlite>)> {
    let (kept, store) = found(operated, group).await?;
    match group {
        Some(group) if kept.is_empty() => Err(Failure::wrong(unknown(group))),
        _ => Ok((kept, store)),
    }
}

/// What is said of a group that nobody knows.
pub fn unknown(group: &str) -> String {
    let group = output::clean(group);
    format!("nothing keeps a position for a group `{group}`")
}

/// As [`kept`], of a group that may be new. Where store and log both keep a position, the store's leads: the log's is a
/// mirror for tools.
pub async fn found(
    operated: &Operated,
    group: Option<&str>,
) -> Outcome<(Vec<Kept>, Option<Sqlite>)> {
    let store = log::store(&operated.settings).await?;
    let mut kept = Vec::new();
    if let Some(store) = &store {
        let rows = store.lanes(group).await?;
        kept.extend(rows.into_iter().map(|row| Kept {
            group: row.consumer.clone(),
            lane: row.lane.clone(),
            cursor: row.cursor.clone(),
            row: Some(row),
        }));
    }
    if let Some(group) = group {
        for (lane, cursor) in operated.log.saved(group).await? {
            if kept.iter().all(|one| one.lane != lane) {
                let (group, row) = (group.to_owned(), None);
                kept.push(Kept {
                    group,
                    lane,
                    cursor,
                    row,
                });
            }
        }
    }
    Ok((kept, store))
}

/// How many records follow the position, where that can be told, or what is wrong with it.
pub async fn behind(
    operated: &Operated,
    kept: &Kept,
    extent: &LaneExtent,
) -> Outcome<Result<Option<u64>, String>> {
    if let Some(row) = &kept.row
        && (&row.cluster, &row.incarnation) != (&extent.cluster, &extent.incarnation)
    {
        return Ok(Err("Recreated".into()));
    }
    match operated.log.read(&kept.lane, &kept.cursor).await? {
        Opened::OutOfRange(gap) => return Ok(Err(gap.kind.name().into())),
        Opened::Reader(_) | Opened::NotOurs => {}
    }
    let last = extent.last.as_ref();
    Ok(Ok(match &kept.cursor {
        Cursor::Closed => Some(0),
        Cursor::Start => extent.count,
        Cursor::After(position) if Some(position) == last => Some(0),
        Cursor::After(position) => match (position.number(), last.map(|last| last.number())) {
            (Some(position), Some(Some(last))) => Some(last.saturating_sub(position)),
            // An empty lane holds nothing that could follow.
            (_, None) => Some(0),
            _ => None,
        },
        Cursor::At(_) => None,
    }))
}
