//! What a record is and where it stands: lanes, positions, cursors.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

/// One ordered sequence of records: a partition or a shard of a topic or stream.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(Arc<(String, String)>);

impl LaneId {
    /// A lane of `topic`; `shard` is the partition's number or the shard's name.
    pub fn new(topic: impl Into<String>, shard: impl Into<String>) -> Self {
        Self(Arc::new((topic.into(), shard.into())))
    }

    /// The topic or stream.
    pub fn topic(&self) -> &str {
        &self.0.0
    }

    /// The partition's number or the shard's name.
    pub fn shard(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic(), self.shard())
    }
}

impl fmt::Debug for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a record stands in its lane: decimal text of any length, with an optional `:sub` for a record inside a record.
///
/// Kafka's offsets and the local log's are small numbers; a Kinesis sequence number exceeds `u128`. All order the same
/// way: by the length of the number, then its digits, then the sub-position.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    /// What fits, without a sub-position; the only representation of such a position, so that equality is derived.
    Number(u64),
    Text(Arc<str>),
}

/// Text that is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a position is a decimal number without leading zeros, such as `42`, or `42:3`")]
pub struct BadPosition;

impl Position {
    /// The number, where it fits and has no sub-position: offsets of Kafka and of the local log.
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            Repr::Number(number) => Some(number),
            Repr::Text(_) => None,
        }
    }
}

impl From<u64> for Position {
    fn from(number: u64) -> Self {
        Self(Repr::Number(number))
    }
}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let decimal = |digits: &str| {
            !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'))
        };
        let (main, sub) = split(text);
        if !decimal(main) || sub.is_some_and(|sub| !decimal(sub)) {
            return Err(BadPosition);
        }
        Ok(Self(match text.parse() {
            Ok(number) => Repr::Number(number),
            Err(_) => Repr::Text(text.into()),
        }))
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((main, sub)) => (main, Some(sub)),
        None => (text, None),
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Repr::Number(a), Repr::Number(b)) = (&self.0, &other.0) {
            return a.cmp(b);
        }
        let (a, b) = (self.to_string(), other.to_string());
        let ((a, a_sub), (b, b_sub)) = (split(&a), split(&b));
        let by_number = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        by_number(a, b).then_with(|| match (a_sub, b_sub) {
            (Some(a), Some(b)) => by_number(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        })
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Number(number) => number.fmt(f),
            Repr::Text(text) => text.fmt(f),
        }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where reading resumes: what stores keep for a lane. It names the last settled record and not the next one, because
/// not every log can name the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Before the first record that the lane ever had.
    Start,
    /// At the first record whose timestamp is this or later.
    At(Timestamp),
    /// Behind this record.
    After(Position),
    /// The lane has ended (a shard that was split or merged) and every record of it is settled.
    Closed,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::At(time) => write!(f, "at:{time}"),
            Self::After(position) => write!(f, "after:{position}"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

/// Text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is `start`, `at:TIMESTAMP`, `after:POSITION` or `closed`")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        match text.split_once(':') {
            None if text == "start" => Ok(Self::Start),
            None if text == "closed" => Ok(Self::Closed),
            Some(("at", time)) => time.parse().map(Self::At).map_err(|_| BadCursor),
            Some(("after", position)) => position.parse().map(Self::After).map_err(|_| BadCursor),
            _ => Err(BadCursor),
        }
    }
}

/// Where a consumer group without a stored position begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest record that the log still has.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At the first record of this time or later.
    At(Timestamp),
    /// Behind a position, the same in every lane.
    After(Position),
}

/// A name and bytes that travel beside the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The bytes.
    pub value: Bytes,
}

/// The headers of a record: a slice of [`Header`], in the order of the log.
///
/// A log may put reading them off until they are first looked at.
pub struct Headers(State);

enum State {
    Read(Vec<Header>),
    #[cfg(feature = "kafka")]
    Unread {
        of: Arc<dyn Unread>,
        place: usize,
    },
}

/// Headers of several records, to be read when somebody asks.
#[cfg(feature = "kafka")]
pub(crate) trait Unread: Send + Sync {
    /// Those of one record.
    fn read(&self, place: usize) -> &[Header];

    /// Nobody will ask for those of this record any more.
    fn forget(&self, place: usize);
}

impl Headers {
    #[cfg(feature = "kafka")]
    pub(crate) fn unread(of: Arc<dyn Unread>, place: usize) -> Self {
        Self(State::Unread { of, place })
    }

    fn size(&self) -> usize {
        match &self.0 {
            State::Read(headers) => {
                let sizes = headers.iter();
                let sizes = sizes.map(|header| header.name.len() + header.value.len());
                sizes.sum()
            }
            #[cfg(feature = "kafka")]
            State::Unread { .. } => 0,
        }
    }
}

impl Deref for Headers {
    type Target = [Header];

    fn deref(&self) -> &[Header] {
        match &self.0 {
            State::Read(headers) => headers,
            #[cfg(feature = "kafka")]
            State::Unread { of, place } => of.read(*place),
        }
    }
}

#[cfg(feature = "kafka")]
impl Drop for Headers {
    fn drop(&mut self) {
        if let State::Unread { of, place } = &self.0 {
            of.forget(*place);
        }
    }
}

/// A copy has been read.
impl Clone for Headers {
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl Default for Headers {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Self {
        Self(State::Read(headers))
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Headers {}

/// One record of a lane. Key and value never reach logs: it has no `Debug`.
#[derive(Clone)]
pub struct Record {
    /// Where it was read.
    pub lane: LaneId,
    /// Where it stands there.
    pub position: Position,
    /// When it was written, by the log's account.
    pub timestamp: Option<Timestamp>,
    /// What orders it: records of one key stay in order. `None` spreads, and so does an empty one, which is how
    /// django-logpipe writes a record without a key.
    pub key: Option<Bytes>,
    /// In the order of the log.
    pub headers: Headers,
    /// The framed message; `None` is a tombstone.
    pub value: Option<Bytes>,
}

impl Record {
    /// The key, where it orders records.
    pub(crate) fn ordered_by(&self) -> Option<&Bytes> {
        self.key.as_ref().filter(|key| !key.is_empty())
    }

    /// The value of the last header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .rev()
            .find(|header| header.name == name)
            .map(|header| &header.value[..])
    }

    /// Bytes that the record holds, for budgets; headers that nobody has read are none.
    pub fn size(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        bytes(&self.key) + bytes(&self.value) + self.headers.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_order_as_numbers_of_any_length() {
        let ascending = [
            "0",
            "9",
            "10",
            "18446744073709551615",
            "18446744073709551616",
            "49590338271490256608559692538361571095921575989136588898",
            "49590338271490256608559692538361571095921575989136588898:0",
            "49590338271490256608559692538361571095921575989136588898:9",
            "49590338271490256608559692538361571095921575989136588898:10",
            "49590338271490256608559692538361571095921575989136588899",
        ];
        let parsed: Vec<Position> = ascending.iter().map(|text| text.parse().unwrap()).collect();
        assert!(parsed.is_sorted_by(|a, b| a < b));
        for (position, text) in parsed.iter().zip(ascending) {
            assert_eq!(position.to_string(), text);
        }
        for bad in ["", "-1", "01", "1:", ":1", "1:01", "1 ", "x", "1:2:3"] {
            assert_eq!(bad.parse::<Position>(), Err(BadPosition), "{bad:?}");
        }
    }

    #[test]
    fn cursors_survive_their_text() {
        for text in [
            "start",
            "closed",
            "after:42",
            "after:4959:3",
            "at:2024-01-02T03:04:05Z",
        ] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for bad in ["", "after", "after:", "at:now", "Start", "closed:1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad:?}");
        }
    }
}
