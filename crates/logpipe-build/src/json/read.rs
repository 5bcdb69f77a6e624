//! How is a text read as JSON, and where is it not JSON?
//!
//! The grammar is that of RFC 8259 and nothing more. After a fault reading goes on at the next member or item, so that
//! one look at a file finds several; a file with such a fault is not looked at further. A name that stands twice in
//! one object is a fault of its own, for readers disagree on which of the two counts, and does not stop the rest.

mod scalar;

use super::{DEPTH, Member, Node, NodeId, Object, Tree, Value};
use crate::diagnostic::{Report, quote};
use crate::source::{Source, Span};

/// The tree of a text, unless it is no JSON; then `report` says where.
pub(crate) fn read(source: &Source, report: &mut Report) -> Option<Tree> {
    let bytes = source.text.as_bytes();
    let mut reader = Reader {
        source,
        bytes,
        at: 0,
        depth: 0,
        nodes: Vec::new(),
        report,
        broken: false,
    };
    reader.space();
    if reader.at == bytes.len() {
        reader.fault(
            reader.at,
            "the file is empty",
            "write a schema: `{\"type\": \"object\"}` is the smallest message",
        );
        return None;
    }
    reader.value(None);
    reader.space();
    if reader.at < bytes.len() && !reader.broken {
        reader.fault(
            reader.at,
            "there is more text after the end of the schema",
            "remove it; a file holds one schema",
        );
    }
    (!reader.broken).then_some(Tree {
        nodes: reader.nodes,
    })
}

struct Reader<'a> {
    source: &'a Source,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    nodes: Vec<Node>,
    report: &'a mut Report,
    broken: bool,
}

impl Reader<'_> {
    /// Reads one value; `None` where none begins here. Recursion ends at [`DEPTH`].
    fn value(&mut self, parent: Option<(NodeId, u32)>) -> Option<NodeId> {
        let start = self.at;
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node {
            span: self.span(start, start),
            parent,
            value: Value::Null,
        });
        let value = match self.peek() {
            Some(b'{' | b'[') if self.depth == DEPTH => {
                let message = format!("this is nested deeper than {DEPTH} levels");
                self.fault(
                    start,
                    message,
                    "move the inner part to `$defs` and refer to it",
                );
                self.skip_nested();
                Value::Null
            }
            Some(b'{') => self.nested(|reader| Value::Object(reader.object(id, start))),
            Some(b'[') => self.nested(|reader| Value::Array(reader.array(id, start))),
            Some(b'"') => Value::String(self.string()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word()?,
            None => return None,
        };
        let span = self.span(start, self.at);
        let node = &mut self.nodes[id.0 as usize];
        (node.span, node.value) = (span, value);
        Some(id)
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self, id: NodeId, open: usize) -> Object {
        let mut members: Vec<Member> = Vec::new();
        loop {
            self.space();
            let start = self.at;
            match self.peek() {
                Some(b'"') => {
                    let key = self.string();
                    let key_span = self.span(start, self.at);
                    self.space();
                    if self.peek() == Some(b':') {
                        self.at += 1;
                        self.space();
                    } else {
                        self.fault(
                            self.at,
                            format!("a colon is missing after the name {}", quote(&key)),
                            "write a colon between the name and its value",
                        );
                    }
                    if let Some(value) = self.part(id, members.len()) {
                        members.push(Member {
                            key,
                            key_span,
                            value,
                        });
                    }
                }
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(b']') => {
                    self.fault(start, "`]` closes an object", "close it with `}`");
                    self.at += 1;
                    break;
                }
                Some(b',') => {
                    self.fault(
                        start,
                        "there is no member before this comma",
                        "remove the comma",
                    );
                    self.at += 1;
                    continue;
                }
                Some(_) => {
                    self.fault(
                        start,
                        "a member begins with its name in double quotes",
                        "write `\"name\": value`",
                    );
                    self.skip_part();
                }
                None => {
                    self.unclosed(open, "{");
                    break;
                }
            }
            self.between(b'}', "member");
        }
        self.index(members)
    }

    fn array(&mut self, id: NodeId, open: usize) -> Vec<NodeId> {
        let mut items = Vec::new();
        loop {
            self.space();
            let start = self.at;
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b'}') => {
                    self.fault(start, "`}` closes an array", "close it with `]`");
                    self.at += 1;
                    break;
                }
                Some(b',') => {
                    self.fault(
                        start,
                        "there is no item before this comma",
                        "remove the comma",
                    );
                    self.at += 1;
                    continue;
                }
                Some(_) => items.extend(self.part(id, items.len())),
                None => {
                    self.unclosed(open, "[");
                    break;
                }
            }
            self.between(b']', "item");
        }
        items
    }

    /// A value inside a container, past which reading goes on whatever stood here.
    fn part(&mut self, parent: NodeId, place: usize) -> Option<NodeId> {
        let start = self.at;
        let value = match self.peek() {
            Some(b',' | b'}' | b']') => {
                self.fault(
                    start,
                    "a value is missing here",
                    "write one, or remove what asks for it",
                );
                None
            }
            _ => self.value(Some((parent, place as u32))),
        };
        if value.is_none() {
            self.skip_part();
        }
        value
    }

    /// The comma between two parts, or the end; faults where neither is there, and goes on.
    fn between(&mut self, close: u8, part: &str) {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                if self.peek() == Some(close) {
                    self.fault(
                        start,
                        format!("there is no {part} after this comma"),
                        "remove the comma",
                    );
                }
            }
            Some(b'}' | b']') | None => {}
            Some(_) => {
                self.fault(
                    start,
                    format!("a comma is missing before this {part}"),
                    "put one in front of it",
                );
            }
        }
    }

    /// Sorts the names and tells of those that stand twice.
    fn index(&mut self, members: Vec<Member>) -> Object {
        let mut sorted = (0..members.len() as u32).collect::<Vec<_>>();
        sorted.sort_by(|&a, &b| members[a as usize].key.cmp(&members[b as usize].key));
        sorted.dedup_by(|later, kept| {
            let (first, second) = (&members[*kept as usize], &members[*later as usize]);
            let twice = first.key == second.key;
            if twice {
                let line = self.source.position(first.key_span.start).line;
                let message = format!(
                    "{} stands twice in this object, first in line {line}",
                    quote(&second.key)
                );
                self.report.error(
                    self.source,
                    second.key_span,
                    message,
                    "remove one of the two",
                );
                *kept = *later;
            }
            twice
        });
        Object { members, sorted }
    }

    /// White space, and comments, which JSON does not have.
    fn space(&mut self) {
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
                self.at += 1;
            }
            let rest = &self.bytes[self.at..];
            let length = if rest.starts_with(b"//") || rest.starts_with(b"#") {
                rest.iter()
                    .position(|&byte| byte == b'\n')
                    .unwrap_or(rest.len())
            } else if rest.starts_with(b"/*") {
                rest.windows(2)
                    .skip(2)
                    .position(|two| two == b"*/")
                    .map_or(rest.len(), |end| end + 4)
            } else {
                return;
            };
            self.fault(
                self.at,
                "JSON has no comments",
                "move it to a `$comment` or a `description`",
            );
            self.at += length;
        }
    }

    /// To the comma or bracket behind a part that could not be read.
    fn skip_part(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b'}' | b']' => return,
                b'"' => self.skip_string(),
                b'{' | b'[' => self.skip_nested(),
                _ => self.at += 1,
            }
        }
    }

    /// A whole container, however deep, without looking inside.
    fn skip_nested(&mut self) {
        let mut open = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' | b'\n' => return,
                b'\\' => self.at = (self.at + 1).min(self.bytes.len()),
                _ => {}
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The innermost of the containers that the end of the file leaves open is told of.
    fn unclosed(&mut self, open: usize, bracket: &str) {
        if !self.broken {
            self.fault(
                open,
                format!("this `{bracket}` is never closed"),
                "close it, after the last of what it holds",
            );
        }
    }

    fn fault(&mut self, start: usize, message: impl Into<String>, help: impl Into<String>) {
        self.broken = true;
        let end = self.source.text.ceil_char_boundary(self.at.max(start + 1));
        self.report
            .error(self.source, self.span(start, end), message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Json, Step};

    fn faults(text: &str) -> Vec<String> {
        let mut report = Report::default();
        let tree = read(&Source::new("a", text), &mut report);
        let found = report.finish();
        assert!(
            tree.is_some() || !found.is_empty(),
            "refused without a word: {text}"
        );
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn json_is_read_with_places_order_and_escapes() {
        let text = r#" {"b~/": [1, {"x": "\u00e9\ud83d\ude00\n"}], "a": -1.5e+3, "t": true} "#;
        let mut report = Report::default();
        let tree = read(&Source::new("a", text), &mut report).expect("it is JSON");
        assert!(report.finish().is_empty());
        let root = tree.at(NodeId::default());
        assert_eq!(
            root.members().map(|(key, ..)| key).collect::<Vec<_>>(),
            ["b~/", "a", "t"]
        );
        let inner = root
            .get("b~/")
            .and_then(|list| list.items().nth(1))
            .and_then(|item| item.get("x"));
        let inner: Json<'_> = inner.expect("the pointer leads somewhere");
        assert_eq!(inner.as_str(), Some("\u{e9}\u{1f600}\n"));
        assert_eq!(inner.pointer(), "/b~0~1/1/x");
        assert_eq!(inner.parent().map(|(_, step)| step), Some(Step::Key("x")));
        let span = inner.span();
        assert_eq!(
            &text[span.start as usize..span.end as usize],
            r#""\u00e9\ud83d\ude00\n""#
        );
    }

    #[test]
    fn each_fault_has_its_place() {
        let table: &[(&str, &[&str])] = &[
            ("", &["1:1: the file is empty"]),
            ("{} {}", &["1:4: there is more text after the end"]),
            (
                "{\n\"a\": 1,\n}",
                &["2:7: there is no member after this comma"],
            ),
            ("[1 2]", &["1:4: a comma is missing before this item"]),
            ("[1,,2]", &["1:4: there is no item before this comma"]),
            (
                r#"{"a" 1}"#,
                &["1:6: a colon is missing after the name `a`"],
            ),
            (r#"{"a":}"#, &["1:6: a value is missing here"]),
            (
                "{a: 1, \"b\": 'x'}",
                &[
                    "1:2: a member begins with its name",
                    "1:13: this is not a JSON value",
                ],
            ),
            (
                "[01, 1., .5, +1, 1e, -, 0x1, NaN]",
                &[
                    "1:2:", "1:6:", "1:10:", "1:14:", "1:18:", "1:22:", "1:25:", "1:30:",
                ],
            ),
            ("[1 // one\n]", &["1:4: JSON has no comments"]),
            (
                "/* a */ [tru]",
                &[
                    "1:1: JSON has no comments",
                    "1:10: this is not a JSON value",
                ],
            ),
            (
                r#"["a\qb", "\ud800", "\u12"]"#,
                &[
                    "1:4: this escape",
                    "1:11: this is half a surrogate",
                    "1:21: `\\u` is followed",
                ],
            ),
            (
                "[\"a\tb\"]",
                &["1:4: a control character stands in a string: 0x09"],
            ),
            ("[\"a\n, 1]", &["1:2: this string has no end in its line"]),
            ("{\"a\": [1}", &["1:9: `}` closes an array"]),
            ("[[1, 2]", &["1:1: this `[` is never closed"]),
            (
                "{\"a\": 1, \"b\": 2, \"a\": 3}",
                &["1:18: `a` stands twice in this object, first in line 1"],
            ),
            (
                "[@, \u{e9}]",
                &[
                    "1:2: this is not a JSON value",
                    "1:5: this is not a JSON value",
                ],
            ),
        ];
        for (text, expected) in table {
            let found = faults(text);
            let told = found.iter().map(|line| line.trim_start_matches("a:"));
            let fits = found.len() == expected.len()
                && told
                    .zip(*expected)
                    .all(|(line, start)| line.starts_with(start));
            assert!(fits, "{text}\n expected {expected:#?}\n found {found:#?}");
            // Each says what to do besides.
            assert!(found.iter().all(|line| line.contains("; ")), "{found:#?}");
        }
    }

    #[test]
    fn of_two_members_the_last_counts() {
        let mut report = Report::default();
        let tree =
            read(&Source::new("a", r#"{"a": 1, "a": true}"#), &mut report).expect("it is JSON");
        assert_eq!(
            tree.at(NodeId::default()).get("a").and_then(Json::as_bool),
            Some(true)
        );
    }

    #[test]
    fn hostile_texts_end() {
        for bomb in [
            "[".repeat(1_000_000),
            "{\"a\":".repeat(200_000),
            "\"".repeat(100_001),
            "[1,".repeat(1000),
        ] {
            assert!(!faults(&bomb).is_empty());
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(faults(&deep(DEPTH)).is_empty());
        assert_eq!(faults(&deep(DEPTH + 1)).len(), 1);
        let many = format!("[{}1]", "1 ".repeat(10_000));
        assert!(faults(&many).len() <= 101);
    }

    #[test]
    fn no_prefix_and_no_change_of_a_byte_upsets_the_reader() {
        let text = r#"{"a": [1.5e3, "\u00e9é", null, {"b": true}], "c": {}} "#;
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            faults(&text[..cut]);
            for other in [
                "\"", "\\", "{", "}", "[", "]", ",", ":", "-", "e", "é", "\n", "\0",
            ] {
                faults(&format!("{}{other}{}", &text[..cut], &text[cut..]));
            }
        }
    }
}
