//! Where in which file does a byte of a schema stand?

/// A piece of a file's text, as byte offsets; files are far smaller than 4 GiB (see `discover`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

/// A place as editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// The files that were read, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the folder above `schemas`, with forward slashes: `schemas/person.v1.json`.
    pub name: String,
    /// As read. Where it was not UTF-8, replacement characters stand for the rest.
    pub text: String,
    /// The first byte of each line.
    lines: Vec<u32>,
}

impl Sources {
    /// Takes the files and puts them in the order of their names.
    pub(crate) fn new(mut files: Vec<Source>) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { files }
    }

    /// Every file.
    pub fn iter(&self) -> std::slice::Iter<'_, Source> {
        self.files.iter()
    }

    /// The file of that name, to show the text around a diagnostic.
    pub fn get(&self, name: &str) -> Option<&Source> {
        let at = self
            .files
            .binary_search_by(|file| file.name.as_str().cmp(name));
        at.ok().map(|index| &self.files[index])
    }
}

impl Source {
    /// A file with its lines counted.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(
            (1..)
                .zip(text.bytes())
                .filter(|&(_, byte)| byte == b'\n')
                .map(|(next, _)| next),
        );
        Self {
            name: name.into(),
            text,
            lines,
        }
    }

    /// The line and column of a byte. Offsets behind the end are the end.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines[line - 1] as usize;
        let before = self.text.as_bytes().get(start..offset as usize);
        let before = before.unwrap_or(&self.text.as_bytes()[start..]);
        // Every byte that does not continue a character begins one.
        let characters = before
            .iter()
            .filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000)
            .count();
        Position {
            line: line as u32,
            column: characters as u32 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_at_line_feeds() {
        let source = Source::new("schemas/a.v1.json", "ab\r\n\u{e9}\u{1f600}x\n");
        let table = [
            (0, 1, 1),
            (1, 1, 2),
            (4, 2, 1),
            (6, 2, 2),
            (10, 2, 3),
            (12, 3, 1),
            (900, 3, 1),
        ];
        for (offset, line, column) in table {
            assert_eq!(
                source.position(offset),
                Position { line, column },
                "byte {offset}"
            );
        }
    }

    #[test]
    fn files_are_found_by_name_whatever_their_order() {
        let files = ["schemas/b.v1.json", "schemas/a.v1.json"].map(|name| Source::new(name, "{}"));
        let sources = Sources::new(files.to_vec());
        assert_eq!(
            sources.iter().next().map(|file| file.name.as_str()),
            Some("schemas/a.v1.json")
        );
        assert!(sources.get("schemas/b.v1.json").is_some());
        assert!(sources.get("schemas/c.v1.json").is_none());
    }
}
