//! The terminals that the grammars of dates, times and durations share.

/// What is left of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.as_bytes())
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn done(&self) -> Option<()> {
        self.is_done().then_some(())
    }

    /// The next byte, if it is one of these.
    pub(super) fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Exactly so many digits.
    pub(super) fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value = digits.iter().try_fold(0, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + u32::from(byte - b'0'))
        })?;
        self.0 = rest;
        Some(value)
    }

    /// One digit or more.
    pub(super) fn number(&mut self) -> Option<u64> {
        let count = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at(count);
        let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.0 = rest;
        Some(value)
    }

    /// `.` and digits, in nanoseconds; zero when there is no point. What is finer can't be kept and is no match.
    pub(super) fn fraction(&mut self) -> Option<u32> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let count = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at(count);
        let (kept, finer) = digits.split_at(count.min(9));
        if kept.is_empty() || finer.iter().any(|byte| *byte != b'0') {
            return None;
        }
        self.0 = rest;
        let value = kept
            .iter()
            .fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
        Some(value * 10_u32.pow(9 - kept.len() as u32))
    }

    /// `Z`, or `+hh:mm`, in seconds east of Greenwich.
    pub(super) fn offset(&mut self) -> Option<i32> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        self.one_of(b":")?;
        let minutes = self.digits(2).filter(|minutes| *minutes < 60)?;
        Some(sign * (hours * 3600 + minutes * 60) as i32)
    }
}

/// A fraction of a second as it is printed: nothing, six digits or nine.
pub(super) fn fraction(nanos: u32) -> String {
    match (nanos, nanos % 1000) {
        (0, _) => String::new(),
        (_, 0) => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    }
}
