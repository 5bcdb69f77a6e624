//! Where does a plain run within a string end? Looked for eight bytes at a time.

/// The first byte from `at` on that ends a plain run within a string: a quote, a backslash or a control character.
#[inline]
pub(super) fn special(bytes: &[u8], at: usize) -> usize {
    find::<false>(bytes, at)
}

/// As [`special`]; with `LINES` also a byte that may begin U+2028 or U+2029.
#[inline]
pub(super) fn find<const LINES: bool>(bytes: &[u8], mut at: usize) -> usize {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const TOP: u64 = EACH << 7;
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word;
    // Eight bytes at a time. A borrow can mark a byte wrongly, but only one above a byte marked rightly.
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let mut found = zeros(word ^ (EACH * b'"' as u64))
            | zeros(word ^ (EACH * b'\\' as u64))
            | (word.wrapping_sub(EACH * 0x20) & !word);
        if LINES {
            found |= zeros(word ^ (EACH * LINE_LEAD as u64));
        }
        let found = found & TOP;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at)
        && *byte >= 0x20
        && *byte != b'"'
        && *byte != b'\\'
        && !(LINES && *byte == LINE_LEAD)
    {
        at += 1;
    }
    at
}

/// The first byte of U+2028 and U+2029 in UTF-8.
pub(super) const LINE_LEAD: u8 = 0xE2;
