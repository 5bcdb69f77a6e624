//! Which members does an object declare, and where in its table does each of them stand?

use crate::rules::Rule;

/// The name of a declared member.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    text: &'static str,
    is_plain: bool,
}

impl Name {
    /// As declared.
    #[inline]
    pub const fn as_str(self) -> &'static str {
        self.text
    }

    /// Whether every encoding spells it as it stands, without an escape.
    #[inline]
    pub const fn is_plain(self) -> bool {
        self.is_plain
    }
}

/// The members that an object declares, in order, each with the rules of its value. It is worked out where a table is
/// used, not where it is checked.
#[derive(Debug)]
pub struct Members {
    /// [`Rule::of`] a member, then its rules, then the next member.
    rows: &'static [Rule],
    count: usize,
    /// The rows of some of the members, every `stride`th: of each of them, unless there are very many.
    starts: [u32; STARTS],
    stride: usize,
    are_plain: bool,
}

const STARTS: usize = 128;

impl Members {
    pub(crate) const fn new(rows: &'static [Rule]) -> Self {
        let (mut count, mut are_plain, mut row) = (0, true, 0);
        while row < rows.len() {
            if let Rule::of(name) = rows[row] {
                are_plain &= is_plain(name.as_bytes());
                count += 1;
            }
            row += 1;
        }
        let stride = if count <= STARTS {
            1
        } else {
            count.div_ceil(STARTS)
        };
        let (mut starts, mut index, mut row) = ([0; STARTS], 0, 0);
        while row < rows.len() {
            if let Rule::of(_) = rows[row] {
                if index % stride == 0 {
                    starts[index / stride] = row as u32;
                }
                index += 1;
            }
            row += 1;
        }
        Self {
            rows,
            count,
            starts,
            stride,
            are_plain,
        }
    }

    #[inline]
    pub(crate) fn name(&self, index: usize) -> Name {
        let Some(Rule::of(text)) = self.rows.get(self.start(index)) else {
            unreachable!("a table has as many rows as its tuple has members");
        };
        Name {
            text,
            is_plain: self.are_plain,
        }
    }

    /// The rules of its value.
    #[inline]
    pub(crate) fn rules(&self, index: usize) -> &'static [Rule] {
        &self.rows[self.start(index) + 1..self.start(index + 1)]
    }

    /// The row of a member; the end, for the one behind the last.
    #[inline]
    fn start(&self, index: usize) -> usize {
        if index >= self.count {
            return self.rows.len();
        }
        let known = self.starts[index / self.stride] as usize;
        match index % self.stride {
            0 => known,
            further => self.behind(known, further),
        }
    }

    /// So many members further.
    #[cold]
    fn behind(&self, row: usize, members: usize) -> usize {
        let mut rows = (row..self.rows.len()).filter(|row| matches!(self.rows[*row], Rule::of(_)));
        rows.nth(members).unwrap_or(self.rows.len())
    }

    /// The index of a member, looked for from the one that would be next.
    pub(crate) fn find(&self, name: &str, next: usize) -> Option<usize> {
        let is_it = |index: &usize| self.name(*index).text == name;
        let before = 0..next.min(self.count);
        (before.end..self.count).chain(before).find(is_it)
    }
}

/// Whether JSON spells a text as it stands. U+2028 and U+2029 are escaped; whatever begins as they do is taken for one.
const fn is_plain(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if matches!(text[at], 0..0x20 | b'"' | b'\\' | 0xe2) {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_a_table_is_found_whatever_their_number() {
        for count in [0, 1, 127, 128, 129, 1000] {
            // The rules of each are as many as its index says, up to three.
            let rows = (0..count).flat_map(|index: usize| {
                let rules = std::iter::repeat_n(Rule::unique_items(), index % 4);
                let name = if index == 777 {
                    "\t".into()
                } else {
                    index.to_string()
                };
                std::iter::once(Rule::of(name.leak())).chain(rules)
            });
            let members = Members::new(rows.collect::<Vec<_>>().leak());
            for index in (0..count).filter(|index| *index != 777) {
                let name = index.to_string();
                assert_eq!(members.name(index).as_str(), name);
                assert_eq!(members.name(index).is_plain(), count <= 777);
                assert_eq!(members.rules(index).len(), index % 4, "of {index}");
                for next in [0, index, index + 1, count, usize::MAX] {
                    assert_eq!(members.find(&name, next), Some(index));
                }
            }
            assert_eq!(members.find("-1", count / 2), None);
        }
    }
}
