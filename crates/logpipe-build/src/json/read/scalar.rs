//! How are strings, numbers and words read?

use super::Reader;
use crate::json::Value;

impl Reader<'_> {
    pub(super) fn string(&mut self) -> String {
        let open = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            // Both ends are ASCII or the end of the text, so they are the ends of characters.
            text.push_str(&self.source.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return text;
                }
                Some(b'\\') => text.extend(self.escape()),
                None | Some(b'\n' | b'\r') => {
                    self.fault(
                        open,
                        "this string has no end in its line",
                        "close it with `\"`; a line break inside is `\\n`",
                    );
                    return text;
                }
                Some(control) => {
                    let message =
                        format!("a control character stands in a string: 0x{control:02x}");
                    self.fault(self.at, message, format!("write `\\u{control:04x}`"));
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let start = self.at;
        self.at += 1;
        let simple = match self.peek()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_unit(start),
            _ => {
                let help =
                    "a backslash is `\\\\`; the others are `\\\" \\/ \\b \\f \\n \\r \\t \\uXXXX`";
                self.fault(start, "this escape is not JSON", help);
                return None;
            }
        };
        self.at += 1;
        Some(simple)
    }

    /// `\uXXXX`, or two of them that make one character.
    fn code_unit(&mut self, start: usize) -> Option<char> {
        self.at += 1;
        let Some(first) = self.hex() else {
            self.fault(
                start,
                "`\\u` is followed by four hexadecimal digits",
                "a backslash itself is `\\\\`",
            );
            return None;
        };
        if let Some(character) = char::from_u32(first) {
            return Some(character);
        }
        if first < 0xdc00 && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            if let Some(second @ 0xdc00..0xe000) = self.hex() {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = back;
        }
        self.fault(
            start,
            "this is half a surrogate pair, which is no character",
            "write the character itself",
        );
        None
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let value = digits.iter().try_fold(0, |value, &digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        })?;
        self.at += 4;
        Some(value)
    }

    pub(super) fn number(&mut self) -> Value {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let whole = self.digits();
        let mut sound = whole == 1 || whole > 1 && self.bytes[self.at - whole] != b'0';
        if self.peek() == Some(b'.') {
            self.at += 1;
            sound &= self.digits() > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            sound &= self.digits() > 0;
        }
        if !sound
            || self
                .peek()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        {
            self.skip_word();
            self.fault(
                start,
                "this is not a JSON number",
                "write it as `10`, `-0.5` or `1e6`, without leading zeros",
            );
        }
        Value::Number(self.source.text[start..self.at].to_owned())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    pub(super) fn word(&mut self) -> Option<Value> {
        let start = self.at;
        self.skip_word();
        let help = match &self.bytes[start..self.at] {
            b"null" => return Some(Value::Null),
            b"true" => return Some(Value::Bool(true)),
            b"false" => return Some(Value::Bool(false)),
            b"NaN" | b"Infinity" => "JSON has no such number",
            [] if self.peek() == Some(b'\'') => "strings stand in double quotes",
            [] => "a value is an object, an array, a string, a number, true, false or null",
            _ => "strings stand in double quotes; the only words are true, false and null",
        };
        self.fault(start, "this is not a JSON value", help);
        None
    }

    fn skip_word(&mut self) {
        while self.peek().is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-')
        }) {
            self.at += 1;
        }
    }
}
