//! `format: date-time`, RFC 3339: read with any offset, kept as the instant, printed in UTC.

use std::borrow::Cow;

use jiff::tz::Offset;

use super::scan::Scan;
use super::{Spelled, Timestamp, date, time};

impl Spelled for Timestamp {
    const EXPECTED: &'static str =
        "must be a date and time with an offset, as 2024-01-02T03:04:05.678000Z";

    fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        let date = date::read(&mut scan)?;
        scan.one_of(b"Tt")?;
        let clock = time::Clock::read(&mut scan)?;
        let offset = scan.offset()?;
        scan.done()?;
        clock.may_leap(offset)?;
        let civil = date.to_datetime(clock.time);
        Offset::from_seconds(offset).ok()?.to_timestamp(civil).ok()
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        print(*self, 'T', "Z").map(Cow::Owned)
    }
}

super::spelled::spelled!(Timestamp);

/// As Python's `str()` has it, for record keys: `2024-01-02 03:04:05+00:00`.
pub(crate) fn python(instant: Timestamp) -> Option<String> {
    print(instant, ' ', "+00:00")
}

fn print(instant: Timestamp, between: char, utc: &str) -> Option<String> {
    let civil = Offset::UTC.to_datetime(instant);
    let date = date::print(civil.date())?;
    Some(format!("{date}{between}{}{utc}", time::print(civil.time())))
}
