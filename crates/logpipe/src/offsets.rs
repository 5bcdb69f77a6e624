//! Where a cursor stands in a lane that counts its records: the local log's and memory's lanes.

use jiff::Timestamp;

use crate::record::{Cursor, LaneId, Position};
use crate::source::{Gap, GapKind};
use crate::{Error, Result};

/// The offsets that a lane holds: `first..next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    /// Of the oldest record that is left, or of the next one where none is.
    pub first: u64,
    /// Of the record that will be written next.
    pub next: u64,
    /// The latest timestamp among the records that retention removed.
    pub trimmed: Option<Timestamp>,
}

/// What a cursor says about an open lane.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Read from this offset on.
    Offset(u64),
    /// Read from the first record of this time or later.
    Time(Timestamp),
    /// It lies outside.
    Outside(Gap),
}

impl Offsets {
    /// A gap of this kind over what the lane holds now.
    pub(crate) fn gap(&self, kind: GapKind, missing: Option<u64>) -> Gap {
        let is_empty = self.first == self.next;
        Gap {
            kind,
            first: (!is_empty).then(|| self.first.into()),
            last: (!is_empty).then(|| (self.next - 1).into()),
            missing,
        }
    }

    /// Finds the place of a cursor.
    pub(crate) fn place(&self, cursor: &Cursor) -> Result<Place> {
        let offset = match cursor {
            Cursor::Start => 0,
            Cursor::After(position) => number(position)?.saturating_add(1),
            Cursor::At(time) if self.trimmed.is_some_and(|trimmed| trimmed >= *time) => {
                return Ok(Place::Outside(self.gap(GapKind::Expired, None)));
            }
            Cursor::At(time) => return Ok(Place::Time(*time)),
            // A lane that goes on was never settled to its end: the position is another lane's.
            Cursor::Closed => return Ok(Place::Outside(self.gap(GapKind::Recreated, None))),
        };
        Ok(if offset < self.first {
            Place::Outside(self.gap(GapKind::Expired, Some(self.first - offset)))
        } else if offset > self.next {
            Place::Outside(self.gap(GapKind::Truncated, Some(offset - self.next)))
        } else {
            Place::Offset(offset)
        })
    }

    /// The cursor behind which `offset` is read next.
    pub(crate) fn behind(offset: u64) -> Cursor {
        match offset.checked_sub(1) {
            None => Cursor::Start,
            Some(last) => Cursor::After(last.into()),
        }
    }
}

/// The position as an offset.
pub(crate) fn number(position: &Position) -> Result<u64> {
    position.number().ok_or_else(|| {
        Error::permanent(format!(
            "position {position} is none of this log, whose positions are offsets: 0, 1, 2 .."
        ))
    })
}

/// What asking for a lane that is not there fails with.
pub(crate) fn no_such_lane(lane: &LaneId) -> Error {
    Error::permanent(format!(
        "there is no lane {lane}: `logpipe topics` lists what there is"
    ))
}

/// What writing positions for a lane that another member has fails with.
pub(crate) fn fenced<'a>(lanes: impl IntoIterator<Item = &'a LaneId>) -> Error {
    let lanes: Vec<String> = lanes.into_iter().map(LaneId::to_string).collect();
    Error::fenced(format!(
        "{} no longer assigned to this member",
        match &*lanes {
            [lane] => format!("{lane} is"),
            lanes => format!("{} are", lanes.join(", ")),
        }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_outside_the_log_is_told_apart() {
        let lane = Offsets {
            first: 5,
            next: 8,
            trimmed: Some(Timestamp::from_second(50).unwrap()),
        };
        let gap = |kind, missing| Place::Outside(lane.gap(kind, missing));
        for (cursor, place) in [
            ("start", gap(GapKind::Expired, Some(5))),
            ("after:3", gap(GapKind::Expired, Some(1))),
            ("after:4", Place::Offset(5)),
            ("after:7", Place::Offset(8)),
            ("after:8", gap(GapKind::Truncated, Some(1))),
            (
                "after:18446744073709551615",
                gap(GapKind::Truncated, Some(u64::MAX - 8)),
            ),
            ("closed", gap(GapKind::Recreated, None)),
            ("at:1970-01-01T00:00:50Z", gap(GapKind::Expired, None)),
            (
                "at:1970-01-01T00:00:51Z",
                Place::Time(Timestamp::from_second(51).unwrap()),
            ),
        ] {
            assert_eq!(
                lane.place(&cursor.parse().unwrap()).unwrap(),
                place,
                "{cursor}"
            );
        }
        assert!(lane.place(&"after:3:1".parse().unwrap()).is_err());
        assert_eq!(Offsets::behind(0), Cursor::Start);
        assert_eq!(Offsets::behind(5), Cursor::After(4.into()));
    }
}
