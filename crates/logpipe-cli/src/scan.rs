//! Which records did a lane hold when the command began? More may be written all the time.

use jiff::Timestamp;
use logpipe::record::{Cursor, Record};
use logpipe::source::{Budget, Fetched, LaneExtent, LaneReader};

use crate::failure::{Failure, Outcome};
use crate::log::{Operated, outside};

/// Reads a lane up to where it ended at the start.
pub struct Scan {
    lane: LaneExtent,
    reader: Box<dyn LaneReader>,
    began: Timestamp,
    is_done: bool,
}

/// How much is asked for at once.
pub const BUDGET: Budget = Budget {
    records: 1_000,
    bytes: 4 << 20,
};

impl Scan {
    /// Begins behind the cursor.
    pub async fn begin(operated: &Operated, lane: LaneExtent, cursor: &Cursor) -> Outcome<Self> {
        Ok(Self {
            reader: operated.reader(&lane.lane, cursor).await?,
            began: Timestamp::now(),
            // Where the log can't count, only reading tells.
            is_done: lane.count == Some(0),
            lane,
        })
    }

    /// The next records; none of them where the lane is read. The last of them may be newer than the command.
    pub async fn next(&mut self) -> Outcome<Option<Vec<Record>>> {
        if self.is_done {
            return Ok(None);
        }
        let fetch = match self.reader.fetch(BUDGET).await? {
            Fetched::Records(fetch) => fetch,
            Fetched::Ended => {
                self.is_done = true;
                return Ok(None);
            }
            Fetched::OutOfRange(gap) => {
                return Err(Failure::wrong(format!(
                    "{}: {}",
                    self.lane.lane,
                    outside(&gap)
                )));
            }
        };
        let is_through = self.lane.last.is_some() && fetch.through >= self.lane.last;
        let last = fetch.records.last();
        self.is_done =
            fetch.at_end || is_through || last.is_some_and(|record| self.is_newer(record));
        if !self.is_done {
            self.reader.ready().await?;
        }
        Ok(Some(fetch.records))
    }

    /// Whether a record was written after the command began.
    pub fn is_newer(&self, record: &Record) -> bool {
        match &self.lane.last {
            Some(last) => record.position > *last,
            None => record.timestamp.is_some_and(|time| time > self.began),
        }
    }

    /// What goes on where the scan ended.
    pub fn into_reader(self) -> Box<dyn LaneReader> {
        self.reader
    }
}
