//! `format: time`: `03:04:05`, `03:04:05.678000`, `03:04:05Z`, `03:04:05+01:00`.

use std::borrow::Cow;

use super::Spelled;
use super::scan::{self, Scan};

/// A time of day, with an offset from UTC or, as Python's naive times are, without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// On the clock on the wall.
    pub time: jiff::civil::Time,
    /// How far that clock is ahead of UTC.
    pub offset: Option<jiff::tz::Offset>,
}

impl From<jiff::civil::Time> for Time {
    fn from(time: jiff::civil::Time) -> Self {
        Self { time, offset: None }
    }
}

impl Spelled for Time {
    const EXPECTED: &'static str = "must be a time, as 03:04:05 or 03:04:05.678000Z";

    fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        let clock = Clock::read(&mut scan)?;
        let offset = if scan.is_done() {
            None
        } else {
            Some(scan.offset()?)
        };
        scan.done()?;
        clock.may_leap(offset.unwrap_or(0))?;
        Some(Self {
            time: clock.time,
            offset: match offset {
                Some(seconds) => Some(jiff::tz::Offset::from_seconds(seconds).ok()?),
                None => None,
            },
        })
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        let offset = match self.offset.map(jiff::tz::Offset::seconds) {
            None => String::new(),
            Some(0) => "Z".to_owned(),
            // RFC 3339 has no seconds in an offset, and no 24 hours.
            Some(seconds) if seconds % 60 != 0 || seconds.abs() >= 24 * 3600 => return None,
            Some(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        };
        Some(Cow::Owned(print(self.time) + &offset))
    }
}

super::spelled::spelled!(Time, parsed);

/// A time of day as it was spelled.
pub(super) struct Clock {
    pub(super) time: jiff::civil::Time,
    /// The second was 60: a leap second, kept as the one before.
    leap: bool,
}

impl Clock {
    pub(super) fn read(scan: &mut Scan<'_>) -> Option<Self> {
        let hour = scan.digits(2)?;
        scan.one_of(b":")?;
        let minute = scan.digits(2)?;
        scan.one_of(b":")?;
        let second = scan.digits(2)?;
        let nanos = scan.fraction()?;
        let leap = second == 60;
        let second = if leap { 59 } else { second };
        let time = jiff::civil::Time::new(hour as i8, minute as i8, second as i8, nanos as i32);
        Some(Self {
            time: time.ok()?,
            leap,
        })
    }

    /// A leap second is the last of a day in UTC, and nowhere else.
    pub(super) fn may_leap(&self, offset: i32) -> Option<()> {
        let minutes = i32::from(self.time.hour()) * 60 + i32::from(self.time.minute());
        let in_utc = (minutes - offset / 60).rem_euclid(24 * 60);
        (!self.leap || in_utc == 23 * 60 + 59).then_some(())
    }
}

pub(super) fn print(time: jiff::civil::Time) -> String {
    let fraction = scan::fraction(time.subsec_nanosecond().unsigned_abs());
    format!(
        "{:02}:{:02}:{:02}{fraction}",
        time.hour(),
        time.minute(),
        time.second()
    )
}
