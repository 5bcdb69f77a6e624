//! `format: duration`, ISO 8601 with fractional seconds: `P1DT2.000003S`.

use std::borrow::Cow;
use std::fmt::Write;

use super::Spelled;
use super::scan::{self, Scan};

/// A duration by its parts, for a month is no fixed number of days: two are equal when all their parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)]
pub struct Duration {
    /// All of it counts backwards: `-P1D`.
    pub negative: bool,
    pub years: u64,
    pub months: u64,
    /// Weeks stand alone: ISO 8601 mixes them with nothing else.
    pub weeks: u64,
    pub days: u64,
    pub hours: u64,
    pub minutes: u64,
    pub seconds: u64,
    /// Below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Duration {
    /// The exact length; `None` when it has years or months, or is too long. A week has 7 days, a day 24 hours.
    pub fn to_signed(&self) -> Option<jiff::SignedDuration> {
        if self.years != 0 || self.months != 0 {
            return None;
        }
        let seconds = [
            (self.weeks, 7 * 24 * 3600),
            (self.days, 24 * 3600),
            (self.hours, 3600),
            (self.minutes, 60),
            (self.seconds, 1),
        ]
        .into_iter()
        .try_fold(0_i64, |sum, (count, unit)| {
            sum.checked_add(i64::try_from(count).ok()?.checked_mul(unit)?)
        })?;
        let nanos = i32::try_from(self.nanoseconds).ok()?;
        let (seconds, nanos) = if self.negative {
            (-seconds, -nanos)
        } else {
            (seconds, nanos)
        };
        Some(jiff::SignedDuration::new(seconds, nanos))
    }
}

/// In days, hours, minutes and seconds, as Pydantic spells a `timedelta`.
impl From<jiff::SignedDuration> for Duration {
    fn from(length: jiff::SignedDuration) -> Self {
        let seconds = length.as_secs().unsigned_abs();
        Self {
            negative: length.is_negative(),
            days: seconds / (24 * 3600),
            hours: seconds / 3600 % 24,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            nanoseconds: length.subsec_nanos().unsigned_abs(),
            ..Self::default()
        }
    }
}

impl Spelled for Duration {
    const EXPECTED: &'static str = "must be a duration, as P1DT2.000003S";

    fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        let mut duration = Self {
            negative: scan.one_of(b"-").is_some(),
            ..Self::default()
        };
        scan.one_of(b"P")?;
        // Each letter at most once and in this order; at least one, and one behind `T`.
        let mut rest: &[u8] = b"YMWD";
        let (mut in_time, mut in_weeks, mut parts) = (false, false, 0);
        while !scan.is_done() {
            if !in_time && scan.one_of(b"T").is_some() {
                (in_time, rest, parts) = (true, b"HMS", 0);
                if in_weeks {
                    return None;
                }
            }
            let number = scan.number()?;
            let nanos = if in_time { scan.fraction()? } else { 0 };
            let unit = scan.one_of(rest)?;
            let place = rest.iter().position(|letter| *letter == unit)?;
            let alone = unit == b'W';
            if nanos != 0 && unit != b'S' || alone && parts > 0 {
                return None;
            }
            rest = if alone { b"" } else { &rest[place + 1..] };
            in_weeks |= alone;
            parts += 1;
            match (in_time, unit) {
                (false, b'Y') => duration.years = number,
                (false, b'M') => duration.months = number,
                (false, b'W') => duration.weeks = number,
                (false, _) => duration.days = number,
                (true, b'H') => duration.hours = number,
                (true, b'M') => duration.minutes = number,
                (true, _) => (duration.seconds, duration.nanoseconds) = (number, nanos),
            }
        }
        (parts > 0).then_some(duration)
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        let Self {
            years,
            months,
            weeks,
            days,
            hours,
            minutes,
            seconds,
            ..
        } = *self;
        let others = [
            years,
            months,
            days,
            hours,
            minutes,
            seconds,
            self.nanoseconds.into(),
        ];
        let mixed = weeks != 0 && others.iter().any(|part| *part != 0);
        if self.nanoseconds >= 1_000_000_000 || mixed {
            return None;
        }
        let mut text = String::from(if self.negative { "-P" } else { "P" });
        for (count, unit) in [(years, 'Y'), (months, 'M'), (weeks, 'W'), (days, 'D')] {
            if count != 0 {
                let _ = write!(text, "{count}{unit}");
            }
        }
        let bare = text.ends_with('P');
        let has_seconds = seconds != 0 || self.nanoseconds != 0;
        if hours != 0 || minutes != 0 || has_seconds || bare {
            text.push('T');
            for (count, unit) in [(hours, 'H'), (minutes, 'M')] {
                if count != 0 {
                    let _ = write!(text, "{count}{unit}");
                }
            }
            if has_seconds || bare && hours == 0 && minutes == 0 {
                let _ = write!(text, "{seconds}{}S", scan::fraction(self.nanoseconds));
            }
        }
        Some(Cow::Owned(text))
    }
}

super::spelled::spelled!(Duration, parsed);
