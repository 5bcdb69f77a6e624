//! What lies in the files of the local log, and how a record lies in a row.

use std::ops::Range;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use rusqlite::Row;

use crate::db::File;
use crate::lease::table;
use crate::record::{Header, LaneId, Record};
use crate::{Error, Result};

/// `log.db`: topics, partitions, records.
///
/// Ids are never used again, so that a reader of a deleted topic can't find another one's records. `seq` counts the
/// writing transactions and stands in the partitions that each of them changed: whoever saw 7 asks for what is above 7.
/// `shape` counts topics made and deleted. Timestamps are microseconds since 1970.
pub(super) fn log_file(folder: &Path) -> File {
    File {
        path: folder.join("log.db"),
        application: 0x6c6f_6770,
        synchronous: "FULL",
        migrations: &["
            CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 0), cluster TEXT NOT NULL, seq INTEGER NOT NULL, shape INTEGER NOT NULL) STRICT;
            INSERT INTO state VALUES (0, lower(hex(randomblob(16))), 0, 0);
            CREATE TABLE topics (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                name TEXT NOT NULL UNIQUE,
                incarnation TEXT NOT NULL
            ) STRICT;
            CREATE TABLE partitions (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                topic INTEGER NOT NULL REFERENCES topics,
                number INTEGER NOT NULL,
                first INTEGER NOT NULL DEFAULT 0,
                next INTEGER NOT NULL DEFAULT 0,
                trimmed INTEGER,
                seq INTEGER NOT NULL DEFAULT 0,
                UNIQUE (topic, number)
            ) STRICT;
            CREATE INDEX partitions_by_seq ON partitions (seq);
            CREATE TABLE records (
                partition INTEGER NOT NULL,
                offset INTEGER NOT NULL,
                timestamp INTEGER NOT NULL,
                key BLOB,
                headers BLOB,
                value BLOB,
                PRIMARY KEY (partition, offset)
            ) STRICT, WITHOUT ROWID;
        "],
    }
}

/// `groups.db`: members, leases, positions that groups keep in the log.
///
/// Not synchronous on every commit: after a power cut leases are void anyway, and an older position means that some
/// messages are handled again, which the store that relies on it promises.
pub(super) fn groups_file(folder: &Path) -> File {
    File {
        path: folder.join("groups.db"),
        application: 0x6c6f_6767,
        synchronous: "NORMAL",
        migrations: &[table::SCHEMA, table::STUCK],
    }
}

/// Headers as one value: for each, length and bytes of name and value, lengths as four bytes, little end first.
pub(super) fn pack(headers: &[Header]) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut packed = Vec::new();
    for part in headers
        .iter()
        .flat_map(|header| [header.name.as_bytes(), &header.value[..]])
    {
        // SQLite refuses a row long before this could wrap, and the sink does before that.
        packed.extend_from_slice(&(part.len() as u32).to_le_bytes());
        packed.extend_from_slice(part);
    }
    Some(packed)
}

fn unpack(mut packed: Bytes) -> Option<Vec<Header>> {
    let mut part = || {
        let (length, _) = packed.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let end = length.checked_add(4).filter(|end| *end <= packed.len())?;
        Some(packed.split_to(end).slice(4..))
    };
    let mut headers = Vec::new();
    while let Some(name) = part() {
        headers.push(Header {
            name: String::from_utf8(name.to_vec()).ok()?,
            value: part()?,
        });
    }
    packed.is_empty().then_some(headers)
}

/// Copies rows into one piece of memory that their records share: two allocations for a batch instead of three for each
/// record of it.
#[derive(Default)]
pub(super) struct Batch {
    arena: BytesMut,
    rows: Vec<Parts>,
}

struct Parts {
    offset: u64,
    timestamp: i64,
    key: Option<Range<usize>>,
    headers: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The offset of the first record.
    pub(super) fn first(&self) -> Option<u64> {
        Some(self.rows.first()?.offset)
    }

    /// Takes the last record out again.
    pub(super) fn pop(&mut self) {
        self.rows.pop();
    }

    /// Columns: offset, timestamp, key, headers, value.
    pub(super) fn push(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let mut part = |column: usize| -> rusqlite::Result<Option<Range<usize>>> {
            let Some(bytes) = row.get_ref(column)?.as_blob_or_null()? else {
                return Ok(None);
            };
            let start = self.arena.len();
            self.arena.extend_from_slice(bytes);
            Ok(Some(start..self.arena.len()))
        };
        let (key, headers, value) = (part(2)?, part(3)?, part(4)?);
        self.rows.push(Parts {
            offset: row.get::<_, i64>(0)?.cast_unsigned(),
            timestamp: row.get(1)?,
            key,
            headers,
            value,
        });
        Ok(())
    }

    pub(super) fn into_records(self, lane: &LaneId) -> Result<Vec<Record>> {
        let arena = self.arena.freeze();
        let record = |parts: Parts| {
            let slice = |range: Option<Range<usize>>| range.map(|range| arena.slice(range));
            let headers = match slice(parts.headers) {
                None => Vec::new(),
                Some(packed) => unpack(packed).ok_or_else(|| {
                    Error::permanent(format!(
                        "the headers of {lane} at {} are damaged: restore log.db",
                        parts.offset
                    ))
                })?,
            };
            Ok(Record {
                lane: lane.clone(),
                position: parts.offset.into(),
                timestamp: Timestamp::from_microsecond(parts.timestamp).ok(),
                key: slice(parts.key),
                headers: headers.into(),
                value: slice(parts.value),
            })
        };
        self.rows.into_iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_and_damaged_ones_are_noticed() {
        let header = |name: &str, value: &[u8]| Header {
            name: name.into(),
            value: Bytes::copy_from_slice(value),
        };
        let headers = vec![header("a", b""), header("", b"\0x"), header("a", b"again")];
        let packed = pack(&headers).unwrap();
        assert!(unpack(packed.clone().into()).unwrap() == headers);
        for cut in 1..packed.len() {
            let cut_headers = unpack(packed[..cut].to_vec().into());
            assert!(
                cut_headers.is_none_or(|found| found.len() < headers.len()),
                "{cut}"
            );
        }
        assert!(unpack(vec![255, 255, 255, 255, 1].into()).is_none());
    }
}
