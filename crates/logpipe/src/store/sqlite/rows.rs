//! How positions, headers and parked records look in columns.

use std::fmt::{Display, Write};
use std::str::FromStr;

use bytes::{Buf, Bytes};
use rusqlite::Row;

use crate::record::{Header, LaneId, Position, Record};
use crate::store::{Parked, Reason};
use crate::{Error, Result};

/// The state of a record that waits for an operator.
pub(super) const STATE_PARKED: &str = "parked";
/// The state of a record that waits for its consumer.
pub(super) const STATE_READY: &str = "ready";

pub(super) fn parked(row: &Row<'_>) -> Result<Parked> {
    let id: i64 = row.get("id")?;
    let damaged = |column: &str| damaged(format_args!("parked record {id}"), column);
    let timestamp: Option<String> = row.get("timestamp")?;
    let bytes = |column: &str| -> Result<Option<Bytes>> {
        Ok(row.get::<_, Option<Vec<u8>>>(column)?.map(Bytes::from))
    };
    let headers = bytes("headers")?.and_then(read_headers);
    Ok(Parked {
        id,
        consumer: row.get("consumer")?,
        record: Record {
            lane: LaneId::new(
                row.get::<_, String>("topic")?,
                row.get::<_, String>("shard")?,
            ),
            position: parse(row, "position").ok_or_else(|| damaged("position"))?,
            timestamp: match timestamp {
                Some(text) => Some(text.parse().map_err(|_| damaged("timestamp"))?),
                None => None,
            },
            key: bytes("key")?,
            headers: headers.ok_or_else(|| damaged("headers"))?.into(),
            value: bytes("value")?,
        },
        reason: Reason {
            kind: row.get("reason_kind")?,
            text: row.get("reason_text")?,
        },
        attempts: row.get("attempts")?,
        blocks_key: row.get("blocks_key")?,
        ready: row.get::<_, String>("state")? == STATE_READY,
        parked_at: parse(row, "parked_at").ok_or_else(|| damaged("parked_at"))?,
    })
}

/// A column whose text is read by its own type's rules.
pub(super) fn parse<T: FromStr>(row: &Row<'_>, column: &str) -> Option<T> {
    row.get_ref(column).ok()?.as_str().ok()?.parse().ok()
}

/// A row that nobody can have written with this program.
pub(super) fn damaged(what: impl Display, column: &str) -> Error {
    Error::permanent(format_args!(
        "{what} is damaged: its column `{column}` is not what logpipe writes there"
    ))
}

/// Text that orders as positions do: each number behind its length, the sub-position behind a colon.
pub(super) fn rank(position: &Position) -> String {
    let mut rank = String::new();
    for (index, digits) in position.to_string().split(':').enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        // Writing to a string can't fail.
        let _ = write!(rank, "{colon}{:05}{digits}", digits.len());
    }
    rank
}

/// Headers in their order: for each its name and value, both behind their length in four bytes, big-endian.
pub(super) fn write_headers(headers: &[Header]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for header in headers {
        for part in [header.name.as_bytes(), &header.value] {
            out.extend(u32::try_from(part.len())?.to_be_bytes());
            out.extend(part);
        }
    }
    Ok(out)
}

fn read_headers(mut bytes: Bytes) -> Option<Vec<Header>> {
    let part = |bytes: &mut Bytes| {
        let length = bytes.try_get_u32().ok()?;
        let length = usize::try_from(length).ok()?;
        (length <= bytes.len()).then(|| bytes.split_to(length))
    };
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = part(&mut bytes)?;
        headers.push(Header {
            name: String::from_utf8(name.to_vec()).ok()?,
            value: part(&mut bytes)?,
        });
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_order_as_positions_do() {
        let positions = [
            "0",
            "9",
            "10",
            "10:0",
            "10:9",
            "10:10",
            "11",
            "100",
            "18446744073709551616",
            "49590338271490256608559692538361571095921575989136588898",
            "49590338271490256608559692538361571095921575989136588898:3",
        ];
        let ranks = positions.map(|text| rank(&text.parse().unwrap()));
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    }

    #[test]
    fn headers_survive_and_damage_is_noticed() {
        let headers =
            [("", ""), ("trace", "\0\u{ff}"), ("trace", "twice")].map(|(name, value)| Header {
                name: name.into(),
                value: Bytes::from(value),
            });
        let written = write_headers(&headers).unwrap();
        assert!(read_headers(written.clone().into()).unwrap() == headers);
        assert!(read_headers(Bytes::new()).unwrap().is_empty());
        for cut in [1, 5, written.len() - 1] {
            assert!(
                read_headers(Bytes::copy_from_slice(&written[..cut])).is_none(),
                "{cut}"
            );
        }
        assert!(read_headers(Bytes::from_static(&[255, 255, 255, 255, 0])).is_none());
    }
}
