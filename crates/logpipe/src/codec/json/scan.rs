//! Where does a plain run within a string end? Looked for eight bytes at a time.

/// The first byte from `at` on that ends a plain run within a string: a quote, a backslash or a control character.
#[inline]
pub(super) fn special(bytes: &[u8], at: usize) -> usize {
    find::<false>(bytes, at)
}

/// As [`special`]; with `LINES` also a byte that may begin U+2028 or U+2029.
#[inline]
pub(super) fn find<const LINES: bool>(bytes: &[u8], mut at: usize) -> usize {
    // Eight bytes at a time, and what is left one by one.
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let found = marks::<LINES>(u64::from_le_bytes(*eight));
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

/// Whether `find::<true>` would find nothing: quicker for short texts, for the last word may overlap the one before.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk() {
        let (words, _) = bytes.as_chunks();
        let words = words.iter().chain([last]);
        return words.fold(0, |found, word| {
            found | marks::<true>(u64::from_le_bytes(*word))
        }) == 0;
    }
    let mut word = [b' '; 8];
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            word[..4].copy_from_slice(first);
            word[4..].copy_from_slice(last);
        }
        _ => word
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte),
    }
    marks::<true>(u64::from_le_bytes(word)) == 0
}

/// Marks what ends a run in the top bit of its byte. A borrow can mark a byte wrongly, but only one above a byte marked
/// rightly.
#[inline]
fn marks<const LINES: bool>(word: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const TOP: u64 = EACH << 7;
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word;
    let mut found = zeros(word ^ (EACH * b'"' as u64))
        | zeros(word ^ (EACH * b'\\' as u64))
        | (word.wrapping_sub(EACH * 0x20) & !word);
    if LINES {
        found |= zeros(word ^ (EACH * LINE_LEAD as u64));
    }
    found & TOP
}

/// The first byte of U+2028 and U+2029 in UTF-8.
pub(super) const LINE_LEAD: u8 = 0xE2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_where_a_look_at_each_byte_says() {
        let ends = |byte: &u8| *byte < 0x20 || matches!(*byte, b'"' | b'\\' | LINE_LEAD);
        // Ends, and what is near to one: by one, or by the top bit alone.
        let near = [
            b'"', b'#', b'!', b'\\', b']', 0x1f, 0x20, 0x7f, 0xa2, 0xdc, LINE_LEAD, 0xe3,
        ];
        for length in 0..=17 {
            for seed in 0..2_000_u64 {
                let pick = |place: u64| {
                    let mixed = (seed * 31 + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                    // Mostly plain, so that runs are long.
                    let special = near[mixed as usize % near.len()];
                    if mixed.is_multiple_of(5) {
                        special
                    } else {
                        b'a'
                    }
                };
                let bytes: Vec<u8> = (0..length).map(pick).collect();
                for at in 0..=bytes.len() {
                    let end = bytes[at..].iter().position(ends);
                    let expected = end.map_or(bytes.len(), |end| at + end);
                    assert_eq!(find::<true>(&bytes, at), expected, "{bytes:02x?} from {at}");
                    assert_eq!(
                        is_plain(&bytes[at..]),
                        end.is_none(),
                        "{:02x?}",
                        &bytes[at..]
                    );
                }
            }
        }
    }
}
