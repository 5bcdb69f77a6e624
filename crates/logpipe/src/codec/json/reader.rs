//! What does JSON text say, value by value?

use std::borrow::Cow;

use super::super::{DEPTH_MAX, Fault, Kind, Members, Name, Reader, Row, out_of_range};
use super::scan::special;
use crate::types::{Decimal, Number};

/// Reads JSON text.
///
/// What is decided here: no byte order mark; no `NaN` or `Infinity`; an escaped surrogate without its other half is
/// malformed; white space as the RFC lists it.
#[derive(Debug)]
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

/// A place in JSON text.
#[derive(Debug, Clone, Copy)]
pub struct JsonMark {
    at: usize,
    depth: u32,
}

/// What is left of a JSON object or list: all one has to know is whether a comma has to come.
#[derive(Debug)]
pub struct JsonLeft {
    first: bool,
}

impl<'a> JsonReader<'a> {
    /// Reads from the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self::within(text, 0, 0)
    }

    /// Reads from `at`, which is `depth` levels deep.
    pub(crate) fn within(text: &'a str, at: usize, depth: u32) -> Self {
        Self { text, at, depth }
    }

    /// The next value as it stands in the text, for a codec of your own; its syntax is checked.
    pub fn raw(&mut self) -> Result<&'a str, Fault> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed("something follows the document")),
        }
    }

    /// Consumes these bytes, if they are next.
    #[inline]
    pub(crate) fn take(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        // `at` never passes the end.
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes to the next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    #[cold]
    fn malformed(&self, reason: &'static str) -> Fault {
        Fault::malformed(self.at, reason)
    }

    /// Why there is no `what` here: another kind of value, or none.
    #[cold]
    fn other_than(&mut self, what: &'static str) -> Fault {
        let found = match self.kind() {
            Ok(kind) => kind,
            Err(fault) => return fault,
        };
        let mark = self.mark();
        let skipped = self.skip();
        self.rewind(mark);
        match skipped {
            Ok(()) => Fault::expected(what, found),
            Err(fault) => fault,
        }
    }

    #[inline]
    fn enter(&mut self, open: u8, what: &'static str) -> Result<JsonLeft, Fault> {
        if self.peek() != Some(open) {
            return Err(self.other_than(what));
        }
        if self.depth >= DEPTH_MAX {
            return Err(self.malformed("nested deeper than 128 levels"));
        }
        self.at += 1;
        self.depth += 1;
        Ok(JsonLeft { first: true })
    }

    /// Goes to the next member or item; `false` at the closing bracket, which is consumed.
    #[inline]
    fn another(
        &mut self,
        left: &mut JsonLeft,
        close: u8,
        neither: &'static str,
    ) -> Result<bool, Fault> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if left.first => {
                left.first = false;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                if self.peek() == Some(close) {
                    return Err(self.malformed("a comma with nothing behind it"));
                }
                Ok(true)
            }
            Some(_) => Err(self.malformed(neither)),
            None => Err(self.malformed("the text ends too early")),
        }
    }

    #[inline]
    fn next_member(&mut self, left: &mut JsonLeft) -> Result<bool, Fault> {
        self.another(left, b'}', "expected `,` or `}`")
    }

    #[inline]
    fn name(&mut self) -> Result<Cow<'a, str>, Fault> {
        if self.byte() != Some(b'"') {
            return Err(self.malformed("expected a member's name in quotes"));
        }
        let name = self.quoted()?;
        if self.peek() != Some(b':') {
            return Err(self.malformed("expected `:`"));
        }
        self.at += 1;
        Ok(name)
    }

    /// A string whose opening quote is next.
    #[inline]
    fn quoted(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at + 1;
        self.at = special(self.text.as_bytes(), start);
        if self.byte() == Some(b'"') {
            let text = &self.text[start..self.at];
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut built = String::new();
        self.escaped(start, Some(&mut built))?;
        Ok(Cow::Owned(built))
    }

    fn skip_quoted(&mut self) -> Result<(), Fault> {
        let start = self.at + 1;
        self.at = special(self.text.as_bytes(), start);
        self.escaped(start, None)
    }

    /// The rest of a string that holds escapes: `start` is its first byte, the next byte is the first that is special.
    fn escaped(&mut self, start: usize, mut out: Option<&mut String>) -> Result<(), Fault> {
        let mut plain = start;
        loop {
            if let Some(out) = &mut out {
                out.push_str(&self.text[plain..self.at]);
            }
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    if let Some(out) = &mut out {
                        out.push(character);
                    }
                }
                Some(_) => return Err(self.malformed("a control character in a string")),
                None => return Err(self.malformed("the text ends within a string")),
            }
            plain = self.at;
            self.at = special(self.text.as_bytes(), plain);
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let character = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            Some(_) => return Err(self.malformed("an escape that JSON does not have")),
            None => return Err(self.malformed("the text ends within a string")),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        const LONE: &str = "an escaped surrogate without its other half";
        let first = self.hex_escape()?;
        let code = match first {
            0xD800..=0xDBFF => {
                let low = if self.rest().starts_with(b"\\u") {
                    self.hex_escape()?
                } else {
                    0
                };
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return Err(self.malformed(LONE));
                }
                0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.malformed(LONE))
    }

    /// `\uXXXX`, of which the first two bytes are known.
    fn hex_escape(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for index in 2..6 {
            let digit = self
                .text
                .as_bytes()
                .get(self.at + index)
                .and_then(|byte| char::from(*byte).to_digit(16))
                .ok_or_else(|| self.malformed("expected four hexadecimal digits"))?;
            code = code << 4 | digit;
        }
        self.at += 6;
        Ok(code)
    }

    /// The spelling of the number that is next.
    fn number_text(&mut self) -> Result<&'a str, Fault> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.other_than("a number"));
        }
        let start = self.at;
        self.take(b"-");
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.malformed("expected a digit")),
        }
        if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.malformed("a number with a leading zero"));
        }
        if self.take(b".") {
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.malformed("expected a digit"));
        }
        Ok(())
    }

    #[cold]
    fn unusual_integer(&mut self) -> Result<i128, Fault> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.other_than("an integer"));
        }
        let text = self.number_text()?;
        Decimal::parse(text).ok_or_else(out_of_range)?.to_integer()
    }

    fn word(&mut self, word: &'static [u8], unknown: &'static str) -> Result<(), Fault> {
        if self.take(word) {
            Ok(())
        } else {
            Err(self.malformed(unknown))
        }
    }
}

const NOT_JSON: &str = "expected a JSON value";

impl<'a> Reader<'a> for JsonReader<'a> {
    type Mark = JsonMark;
    type Left = JsonLeft;

    fn kind(&mut self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.malformed(NOT_JSON)),
            None => Err(self.malformed("the text ends too early")),
        }
    }

    #[inline]
    fn null(&mut self) -> Result<bool, Fault> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null", NOT_JSON)?;
        Ok(true)
    }

    #[inline]
    fn boolean(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b't') => self.word(b"true", NOT_JSON).map(|()| true),
            Some(b'f') => self.word(b"false", NOT_JSON).map(|()| false),
            _ => Err(self.other_than("a boolean")),
        }
    }

    #[inline]
    fn integer(&mut self) -> Result<i128, Fault> {
        /// As many digits as an `i64` always holds.
        const DIGITS: usize = 18;
        self.peek();
        let bytes = self.rest();
        let negative = bytes.first() == Some(&b'-');
        let digits = &bytes[usize::from(negative)..];
        let (mut value, mut count) = (0_i64, 0);
        while count < DIGITS
            && let Some(byte @ b'0'..=b'9') = digits.get(count)
        {
            value = value * 10 + i64::from(byte - b'0');
            count += 1;
        }
        let canonical = count > 0
            && (count == 1 || digits[0] != b'0')
            && !matches!(digits.get(count), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
        if !canonical {
            return self.unusual_integer();
        }
        self.at += usize::from(negative) + count;
        Ok(i128::from(if negative { -value } else { value }))
    }

    fn float(&mut self) -> Result<f64, Fault> {
        match self.number_text()?.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(out_of_range()),
        }
    }

    fn number(&mut self) -> Result<Number, Fault> {
        Number::from_json(self.number_text()?).ok_or_else(out_of_range)
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.other_than("a string"));
        }
        self.quoted()
    }

    #[inline]
    fn object(&mut self) -> Result<JsonLeft, Fault> {
        self.enter(b'{', "an object")
    }

    fn key(&mut self, left: &mut JsonLeft) -> Result<Option<Cow<'a, str>>, Fault> {
        if !self.next_member(left)? {
            return Ok(None);
        }
        self.name().map(Some)
    }

    #[inline]
    fn expect(&mut self, left: &mut JsonLeft, name: Name) -> bool {
        // The declared order, no escape in the name, no white space: `,"name":`, without the comma where nothing comes
        // before.
        let text = name.as_str().as_bytes();
        let open = &br#",""#[usize::from(left.first)..];
        let rest = self.rest();
        let is_it = name.is_plain()
            && rest.starts_with(open)
            && rest[open.len()..].starts_with(text)
            && rest[open.len() + text.len()..].starts_with(br#"":"#);
        if is_it {
            self.at += open.len() + text.len() + 2;
            left.first = false;
        }
        is_it
    }

    fn row(
        &mut self,
        left: &mut JsonLeft,
        members: &Members,
        next: usize,
    ) -> Result<Row<'a>, Fault> {
        if !self.next_member(left)? {
            return Ok(Row::End);
        }
        Ok(Row::find(self.name()?, members, next))
    }

    #[inline]
    fn list(&mut self) -> Result<JsonLeft, Fault> {
        self.enter(b'[', "a list")
    }

    #[inline]
    fn item(&mut self, left: &mut JsonLeft) -> Result<bool, Fault> {
        self.another(left, b']', "expected `,` or `]`")
    }

    fn skip(&mut self) -> Result<(), Fault> {
        match self.kind()? {
            Kind::Null => self.word(b"null", NOT_JSON),
            Kind::Boolean => self.boolean().map(|_| ()),
            Kind::Number => self.number_text().map(|_| ()),
            Kind::List => {
                let mut left = self.list()?;
                while self.item(&mut left)? {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Object => {
                let mut left = self.object()?;
                while self.next_member(&mut left)? {
                    if self.byte() != Some(b'"') {
                        return Err(self.malformed("expected a member's name in quotes"));
                    }
                    self.skip_quoted()?;
                    if self.peek() != Some(b':') {
                        return Err(self.malformed("expected `:`"));
                    }
                    self.at += 1;
                    self.skip()?;
                }
                Ok(())
            }
            Kind::String | Kind::Binary | Kind::Extension => self.skip_quoted(),
        }
    }

    #[inline]
    fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn mark(&self) -> JsonMark {
        JsonMark {
            at: self.at,
            depth: self.depth,
        }
    }

    fn rewind(&mut self, mark: JsonMark) {
        (self.at, self.depth) = (mark.at, mark.depth);
    }
}
