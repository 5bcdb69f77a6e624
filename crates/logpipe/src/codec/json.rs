//! JSON, strictly as RFC 8259 has it, read from text and written with the bytes that Python's `json` writes.

use std::borrow::Cow;

use super::{DEPTH_MAX, Encoding, Fault, FloatText, Kind, Name, Reader, Row, Wire, Writer};
use crate::message::{Decode, Encode};
use crate::types::{Decimal, Number};

/// JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Encoding for Json {
    type Reader<'a> = JsonReader<'a>;
    type Writer<'a> = JsonWriter<'a>;
}

impl<T: Wire> Encode<Json> for T {
    fn encode(&self, writer: &mut JsonWriter<'_>) -> Result<(), Fault> {
        self.check()?;
        self.write(writer)
    }
}

impl<T: Wire> Decode<Json> for T {
    fn decode(reader: &mut JsonReader<'_>) -> Result<Self, Fault> {
        let value = Self::read(reader)?;
        value.check()?;
        Ok(value)
    }
}

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
        Decimal::parse(text)
            .ok_or_else(super::out_of_range)?
            .to_integer()
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
            _ => Err(super::out_of_range()),
        }
    }

    fn number(&mut self) -> Result<Number, Fault> {
        Number::from_json(self.number_text()?).ok_or_else(super::out_of_range)
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
    fn row(&mut self, left: &mut JsonLeft, rows: &[Name], next: usize) -> Result<Row<'a>, Fault> {
        if !self.next_member(left)? {
            return Ok(Row::End);
        }
        // As nearly every sender writes it: the declared order, no escape in a name, no space before the colon.
        if let Some(name) = rows.get(next)
            && name.plain
            && let Some(rest) = self.rest().strip_prefix(b"\"")
            && let Some(rest) = rest.strip_prefix(name.text.as_bytes())
            && rest.starts_with(b"\":")
        {
            self.at += name.text.len() + 3;
            return Ok(Row::Known(next));
        }
        Ok(Row::find(self.name()?, rows, next))
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

/// The first byte from `at` on that ends a plain run within a string: a quote, a backslash or a control character.
#[inline]
fn special(bytes: &[u8], at: usize) -> usize {
    find::<false>(bytes, at)
}

/// As [`special`]; with `LINES` also a byte that may begin U+2028 or U+2029.
#[inline]
fn find<const LINES: bool>(bytes: &[u8], mut at: usize) -> usize {
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
const LINE_LEAD: u8 = 0xE2;

/// Writes JSON text behind what a buffer holds already.
///
/// The bytes are those of Python's `json.dumps(.., ensure_ascii=False, separators=(",", ":"))` as Django REST framework
/// sets it up: no spaces, UTF-8 as it is, controls and U+2028 and U+2029 escaped, floats as `repr` spells them.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    depth: u32,
}

/// An object or a list that was begun.
#[derive(Debug)]
pub struct JsonOpen {
    first: bool,
}

impl<'a> JsonWriter<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self::within(out, 0)
    }

    /// Writes a value that will stand `depth` levels deep.
    pub(crate) fn within(out: &'a mut Vec<u8>, depth: u32) -> Self {
        Self { out, depth }
    }

    /// A value that is JSON text already, from a codec of your own; its syntax is checked.
    pub fn raw(&mut self, json: &str) -> Result<(), Fault> {
        let mut reader = JsonReader::within(json, 0, self.depth);
        reader.skip()?;
        reader.end()?;
        self.out.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<JsonOpen, Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::invalid("nested deeper than 128 levels"));
        }
        self.depth += 1;
        self.out.push(bracket);
        Ok(JsonOpen { first: true })
    }

    #[inline]
    fn comma(&mut self, open: &mut JsonOpen) {
        if !std::mem::take(&mut open.first) {
            self.out.push(b',');
        }
    }

    fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        self.out.push(bracket);
    }
}

impl Writer for JsonWriter<'_> {
    type Object = JsonOpen;
    type List = JsonOpen;

    fn null(&mut self) -> Result<(), Fault> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn boolean(&mut self, value: bool) -> Result<(), Fault> {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(word);
        Ok(())
    }

    fn integer(&mut self, value: i128) -> Result<(), Fault> {
        // As many as `i128::MIN` has.
        let mut digits = [0; 39];
        let mut at = digits.len();
        let mut wide = value.unsigned_abs();
        // Division of 128 bits is slow, and hardly ever needed.
        while wide > u64::MAX.into() {
            at -= 1;
            digits[at] = b'0' + (wide % 10) as u8;
            wide /= 10;
        }
        let mut rest = wide as u64;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(&digits[at..]);
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<(), Fault> {
        let text = FloatText::of(value).ok_or_else(super::not_finite)?;
        self.out.extend_from_slice(text.as_str().as_bytes());
        Ok(())
    }

    fn number(&mut self, value: &Number) -> Result<(), Fault> {
        self.out.extend_from_slice(value.as_str().as_bytes());
        Ok(())
    }

    fn string(&mut self, value: &str) -> Result<(), Fault> {
        quote(self.out, value);
        Ok(())
    }

    fn object(&mut self, _members: usize) -> Result<JsonOpen, Fault> {
        self.open(b'{')
    }

    fn member(&mut self, object: &mut JsonOpen, name: &str) -> Result<(), Fault> {
        self.comma(object);
        quote(self.out, name);
        self.out.push(b':');
        Ok(())
    }

    fn end_object(&mut self, _object: JsonOpen) -> Result<(), Fault> {
        self.close(b'}');
        Ok(())
    }

    fn list(&mut self, _items: usize) -> Result<JsonOpen, Fault> {
        self.open(b'[')
    }

    fn item(&mut self, list: &mut JsonOpen) -> Result<(), Fault> {
        self.comma(list);
        Ok(())
    }

    fn end_list(&mut self, _list: JsonOpen) -> Result<(), Fault> {
        self.close(b']');
        Ok(())
    }
}

/// A string in quotes.
pub(crate) fn quote(out: &mut Vec<u8>, text: &str) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let (mut plain, mut at) = (0, find::<true>(bytes, 0));
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let (escape, length): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            0x08 => (b"\\b", 1),
            0x0c => (b"\\f", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            LINE_LEAD if rest.starts_with("\u{2028}".as_bytes()) => (b"\\u2028", 3),
            LINE_LEAD if rest.starts_with("\u{2029}".as_bytes()) => (b"\\u2029", 3),
            LINE_LEAD => {
                at = find::<true>(bytes, at + 1);
                continue;
            }
            control => {
                let (high, low) = (
                    HEX[usize::from(control >> 4)],
                    HEX[usize::from(control & 15)],
                );
                out.extend_from_slice(&bytes[plain..at]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                plain = at + 1;
                at = find::<true>(bytes, plain);
                continue;
            }
        };
        out.extend_from_slice(&bytes[plain..at]);
        out.extend_from_slice(escape);
        plain = at + length;
        at = find::<true>(bytes, plain);
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}
