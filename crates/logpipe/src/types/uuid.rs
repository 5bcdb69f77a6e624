//! `format: uuid`: hexadecimal with hyphens, read in either case, printed in lower case.

use std::borrow::Cow;

use super::{Spelled, Uuid};

impl Spelled for Uuid {
    const EXPECTED: &'static str = "must be a UUID, as 12345678-1234-4678-9234-567812345678";

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        /// Where each byte's two digits begin.
        const DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
        if [text[8], text[13], text[18], text[23]] != *b"----" {
            return None;
        }
        let mut bytes = [0; 16];
        // The upper half of an entry is set for what is no digit; looked at once, at the end.
        let mut wrong = 0;
        for (byte, at) in bytes.iter_mut().zip(DIGITS) {
            let (high, low) = (HEX[usize::from(text[at])], HEX[usize::from(text[at + 1])]);
            wrong |= high | low;
            *byte = high << 4 | low & 15;
        }
        (wrong < 16).then(|| Self::from_bytes(bytes))
    }

    fn spell(&self) -> Option<Cow<'_, str>> {
        self.with_spelling(|text| Cow::Owned(text.to_owned()))
    }

    #[inline]
    fn with_spelling<T>(&self, take: impl FnOnce(&str) -> T) -> Option<T> {
        let mut buffer = Self::encode_buffer();
        Some(take(self.as_hyphenated().encode_lower(&mut buffer)))
    }
}

super::spelled::spelled!(Uuid);

/// The value of a hexadecimal digit; 255 for any other byte.
const HEX: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        let spelled = b"0123456789abcdef"[digit];
        table[spelled as usize] = digit as u8;
        table[spelled.to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    table
};
