//! `format: date`, the full-date of RFC 3339: `2024-02-29`.

use std::borrow::Cow;

use super::scan::Scan;
use super::{Date, Spelled};

impl Spelled for Date {
    const EXPECTED: &'static str = "must be a date, as 2024-02-29";

    fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        let date = read(&mut scan)?;
        scan.done()?;
        Some(date)
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        print(*self).map(Cow::Owned)
    }
}

super::spelled::spelled!(Date);

pub(super) fn read(scan: &mut Scan<'_>) -> Option<Date> {
    let year = scan.digits(4)?;
    scan.one_of(b"-")?;
    let month = scan.digits(2)?;
    scan.one_of(b"-")?;
    let day = scan.digits(2)?;
    Date::new(year as i16, month as i8, day as i8).ok()
}

/// `None` for a year that four digits can't spell.
pub(super) fn print(date: Date) -> Option<String> {
    let year = u16::try_from(date.year()).ok()?;
    Some(format!("{year:04}-{:02}-{:02}", date.month(), date.day()))
}
