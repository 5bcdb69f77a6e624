//! How is a `pattern`, which is an ECMA-262 regular expression, written for the regex crate?
//!
//! The two agree on most of their syntax and differ where it hurts: `\d` and `\w` are ASCII in ECMA, `\s` and `.` have
//! their own sets, `[` and `&&` are ordinary inside a class, `/` may be escaped. The translation is one pass without
//! recursion; what it writes is parsed and measured, so that a pattern that builds also compiles at run time.

use std::fmt::Write as _;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::diagnostic::quote;

/// Why a pattern can't be used.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: String,
}

/// The engine gives up at ten megabytes; a state takes some thirty bytes, twice.
const STATES: u64 = 80_000;

/// Of a pattern's text.
const LONGEST: usize = 4096;

/// Groups in groups.
const NESTED: u32 = 64;

/// `\s` by ECMA-262: WhiteSpace and LineTerminator.
const SPACE: &str =
    r"\t-\r\x20\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";
const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";

/// Writes a pattern in the syntax of the regex crate.
pub(super) fn translate(pattern: &str) -> Result<String, Fault> {
    if pattern.len() > LONGEST {
        let message = format!("this pattern has more than {LONGEST} bytes");
        return Err(fault(message, "say it shorter, or check it in the handler"));
    }
    let mut translation = Translation {
        rest: pattern,
        out: String::with_capacity(pattern.len()),
    };
    translation.run()?;
    let out = translation.out;
    let parsed = ParserBuilder::new().nest_limit(NESTED).build().parse(&out);
    let hir = parsed.map_err(|error| {
        let why = match &error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            _ => "it can't be read".into(),
        };
        fault(
            format!("this pattern is no regular expression: {why}"),
            "correct it",
        )
    })?;
    if states(&hir) > STATES {
        return Err(fault(
            "this pattern repeats too much to be checked in bounded space",
            "use `maxLength` for lengths",
        ));
    }
    Ok(out)
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        // Whether something stands before that a quantifier can repeat.
        let mut repeatable = false;
        while let Some(character) = self.next() {
            let was_repeatable = std::mem::replace(&mut repeatable, true);
            match character {
                '\\' => repeatable = self.escape()?,
                '[' => self.class()?,
                '.' => self.out.push_str(r"[^\n\r\u{2028}\u{2029}]"),
                '(' => {
                    self.group()?;
                    repeatable = false;
                }
                '^' | '$' | '|' => {
                    self.out.push(character);
                    repeatable = false;
                }
                ')' => self.out.push(')'),
                '*' | '+' | '?' => {
                    self.out.push(character);
                    self.lazy(was_repeatable)?;
                    repeatable = false;
                }
                '{' => match self.counts() {
                    Some(counts) => {
                        self.out.push_str(&counts);
                        self.lazy(was_repeatable)?;
                        repeatable = false;
                    }
                    // By Annex B a brace that counts nothing is a brace.
                    None => self.out.push_str(r"\{"),
                },
                _ => literal(&mut self.out, character),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn lazy(&mut self, repeatable: bool) -> Result<(), Fault> {
        if self.eat("?") {
            self.out.push('?');
        }
        if repeatable {
            Ok(())
        } else {
            Err(fault(
                "this pattern repeats nothing",
                "a `*` or `+` itself is `\\*`, `\\+`",
            ))
        }
    }

    /// `{2}`, `{2,}` and `{2,5}`, whose opening brace was read.
    fn counts(&mut self) -> Option<String> {
        let end = self.rest.find('}')?;
        let inner = &self.rest[..end];
        let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) {
            return None;
        }
        self.rest = &self.rest[end + 1..];
        Some(format!("{{{inner}}}"))
    }

    fn group(&mut self) -> Result<(), Fault> {
        if !self.rest.starts_with('?') || self.eat("?:") {
            // Nothing is captured: only whether the pattern is found matters.
            self.out.push_str("(?:");
            return Ok(());
        }
        for look in ["?=", "?!", "?<=", "?<!"] {
            if self.rest.starts_with(look) {
                let message = format!(
                    "not supported yet: {} in a pattern, which looks around",
                    quote(&format!("({look}"))
                );
                return Err(fault(
                    message,
                    "say it with two patterns, or check it in the handler",
                ));
            }
        }
        if self.eat("?<")
            && let Some(end) = self.rest.find('>')
        {
            self.rest = &self.rest[end + 1..];
            self.out.push_str("(?:");
            return Ok(());
        }
        Err(fault(
            "this pattern has a group that ECMA-262 does not know",
            "groups are `(..)`, `(?:..)` and `(?<name>..)`",
        ))
    }

    /// An escape outside a class; whether it can be repeated.
    fn escape(&mut self) -> Result<bool, Fault> {
        let Some(&first) = self.rest.as_bytes().first() else {
            return Err(fault(
                "this pattern ends in a backslash",
                "a backslash itself is `\\\\`, in JSON `\\\\\\\\`",
            ));
        };
        match first {
            b'b' | b'B' => {
                self.next();
                self.out.push_str(if first == b'b' {
                    r"(?-u:\b)"
                } else {
                    r"(?-u:\B)"
                });
                return Ok(false);
            }
            b'1'..=b'9' | b'k' => {
                return Err(fault(
                    "not supported yet: a pattern that refers back to a group",
                    "check it in the handler",
                ));
            }
            _ => {}
        }
        match self.set()? {
            Some(set) => write!(self.out, "[{set}]").unwrap_or_default(),
            None => {
                let character = self.character()?;
                literal(&mut self.out, character);
            }
        }
        Ok(true)
    }

    /// `\d` and its like, as what stands between brackets, if it is one of them.
    fn set(&mut self) -> Result<Option<String>, Fault> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let set = match first {
            'd' => DIGIT.to_owned(),
            'w' => WORD.to_owned(),
            's' => SPACE.to_owned(),
            'D' => format!("[^{DIGIT}]"),
            'W' => format!("[^{WORD}]"),
            'S' => format!("[^{SPACE}]"),
            'p' | 'P' => {
                let rest = &self.rest[1..];
                let name = rest
                    .strip_prefix('{')
                    .and_then(|rest| rest.split_once('}'))
                    .map(|(name, _)| name);
                let Some(name) = name else {
                    return Err(fault(
                        "this pattern has a `\\p` without a property",
                        "write `\\p{L}`, in JSON `\\\\p{L}`",
                    ));
                };
                let length = 1 + name.len() + 2;
                let set = format!("\\{}", &self.rest[..length]);
                self.rest = &self.rest[length..];
                return Ok(Some(set));
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(set))
    }

    /// One character that is written as an escape, whose backslash was read.
    fn character(&mut self) -> Result<char, Fault> {
        let Some(first) = self.next() else {
            return Err(fault(
                "this pattern ends in a backslash",
                "a backslash itself is `\\\\`, in JSON `\\\\\\\\`",
            ));
        };
        Ok(match first {
            't' => '\t',
            'n' => '\n',
            'v' => '\u{b}',
            'f' => '\u{c}',
            'r' => '\r',
            '0' if !self.rest.starts_with(|next: char| next.is_ascii_digit()) => '\0',
            'c' => match self.next() {
                Some(letter) if letter.is_ascii_alphabetic() => char::from(letter as u8 % 32),
                _ => {
                    return Err(fault(
                        "this pattern has a `\\c` without a letter",
                        "control-A is `\\cA`",
                    ));
                }
            },
            'x' => self
                .hex(2)
                .and_then(char::from_u32)
                .ok_or_else(code_point)?,
            'u' => self.code_point()?,
            // Only letters and digits may come to mean something.
            _ if !first.is_ascii_alphanumeric() => first,
            _ => {
                let message = format!(
                    "{} means nothing in a pattern",
                    quote(&format!("\\{first}"))
                );
                return Err(fault(
                    message,
                    "patterns are those of ECMA-262: `^` and `$` are the ends, flags do not exist",
                ));
            }
        })
    }

    fn code_point(&mut self) -> Result<char, Fault> {
        if self.eat("{") {
            let (digits, rest) = self.rest.split_once('}').ok_or_else(code_point)?;
            self.rest = rest;
            let value = u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32);
            return value.ok_or_else(code_point);
        }
        let first = self.hex(4).ok_or_else(code_point)?;
        if let 0xd800..0xdc00 = first
            && self.eat("\\u")
        {
            let second = self
                .hex(4)
                .filter(|second| (0xdc00..0xe000).contains(second))
                .ok_or_else(code_point)?;
            return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                .ok_or_else(code_point);
        }
        char::from_u32(first).ok_or_else(code_point)
    }

    fn hex(&mut self, length: usize) -> Option<u32> {
        let digits = self
            .rest
            .get(..length)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        self.rest = &self.rest[length..];
        u32::from_str_radix(digits, 16).ok()
    }

    /// A class, whose opening bracket was read.
    fn class(&mut self) -> Result<(), Fault> {
        let negated = self.eat("^");
        if self.eat("]") {
            // `[]` is nothing and `[^]` everything, which the regex crate spells otherwise.
            self.out.push_str(if negated {
                r"[\x00-\u{10ffff}]"
            } else {
                r"[^\x00-\u{10ffff}]"
            });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        while !self.eat("]") {
            let Some(low) = self.member()? else { continue };
            let ranged = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if !ranged {
                literal(&mut self.out, low);
                continue;
            }
            self.next();
            let before = self.out.len();
            match self.member()? {
                Some(high) if low <= high => {
                    literal(&mut self.out, low);
                    self.out.push('-');
                    literal(&mut self.out, high);
                }
                Some(_) => {
                    return Err(fault(
                        "this pattern has a range that runs backwards",
                        "turn it round",
                    ));
                }
                // By Annex B a range to a set is its parts: `[a-\d]`.
                None => {
                    let mut parts = String::new();
                    literal(&mut parts, low);
                    literal(&mut parts, '-');
                    self.out.insert_str(before, &parts);
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// One character of a class; `None` where it was a set, which is written.
    fn member(&mut self) -> Result<Option<char>, Fault> {
        let Some(first) = self.next() else {
            return Err(fault(
                "this pattern has a `[` that is never closed",
                "a bracket itself is `\\[`, in JSON `\\\\[`",
            ));
        };
        if first != '\\' {
            return Ok(Some(first));
        }
        if self.eat("b") {
            return Ok(Some('\u{8}'));
        }
        if let Some(set) = self.set()? {
            self.out.push_str(&set);
            // By Annex B a hyphen behind a set is a hyphen: `[\w-.]`.
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                literal(&mut self.out, '-');
            }
            return Ok(None);
        }
        self.character().map(Some)
    }
}

/// A character that means itself, wherever it stands.
fn literal(out: &mut String, character: char) {
    if character.is_ascii_alphanumeric()
        || !character.is_ascii() && !character.is_whitespace() && !character.is_control()
    {
        out.push(character);
    } else if character.is_ascii_graphic() {
        // Signs may be escaped and some have to be, but `\<` and `\>` mean something else.
        if !matches!(
            character,
            '<' | '>' | '_' | '/' | ':' | ',' | ';' | '@' | '"' | '\'' | '=' | '%' | '!' | '`'
        ) {
            out.push('\\');
        }
        out.push(character);
    } else {
        write!(out, "\\u{{{:x}}}", u32::from(character)).unwrap_or_default();
    }
}

fn code_point() -> Fault {
    fault(
        "this pattern has an escape that is no character",
        "write the character itself, `\\xhh` or `\\uhhhh`",
    )
}

fn fault(message: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault {
        message: message.into(),
        help: help.into(),
    }
}

/// About how many states the engine makes of it. Recursion ends at [`NESTED`], some expressions a level.
fn states(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64 * 4,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition
                .max
                .unwrap_or(repetition.min)
                .max(repetition.min)
                .max(1);
            states(&repetition.sub)
                .saturating_add(1)
                .saturating_mul(times.into())
        }
        HirKind::Capture(capture) => states(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts
            .iter()
            .fold(1, |sum: u64, part| sum.saturating_add(states(part))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_ecma_finds() {
        // A pattern, what it is found in, what it is not found in.
        let table: &[(&str, &[&str], &[&str])] = &[
            ("b", &["abc"], &["ac"]),
            ("^a$", &["a"], &["a\n", "ba"]),
            (r"^\d+$", &["09"], &["\u{663}", "a"]),
            (r"^\D$", &["\u{663}", "a"], &["1"]),
            (r"^\w+$", &["aZ_9"], &["\u{e9}", "-"]),
            (r"^\W$", &["\u{e9}"], &["a"]),
            (
                r"^\s$",
                &[" ", "\t", "\u{b}", "\u{a0}", "\u{2029}", "\u{feff}"],
                &["\u{85}", "\u{180e}", "x"],
            ),
            (r"^[\s\S]$", &["\n", "x"], &[""]),
            (r"^\S$", &["\u{85}"], &["\u{a0}"]),
            (
                "^.$",
                &["x", "\u{1f600}", "\u{85}"],
                &["\n", "\r", "\u{2028}"],
            ),
            (r"\bcat\b", &["a cat", "\u{e9}cat"], &["cats"]),
            (r"^[^\D]$", &["1"], &["a"]),
            ("^[a-c&&b]$", &["a", "&"], &["d"]),
            ("^[[]$", &["["], &["]"]),
            ("^[]$", &[], &["", "a"]),
            ("^[^]$", &["\n"], &[""]),
            (r"^[\w.-]+$", &["a.b-c"], &["a b"]),
            (r"^[\w-.]+$", &["a.b-c"], &["a b"]),
            (r"^[+--]$", &["+", ",", "-"], &["."]),
            (r"^[a-\d]$", &["a", "-", "5"], &["b"]),
            (r"^[\b]$", &["\u{8}"], &["b"]),
            (r"^\/\-\_\@\<\>$", &["/-_@<>"], &["x"]),
            (
                r"^\cA\x41\u0042\u{1F600}\ud83d\ude00\0$",
                &["\u{1}AB\u{1f600}\u{1f600}\0"],
                &["x"],
            ),
            (r"^(?<year>\d{4})-(\d\d)$", &["2024-02"], &["24-02"]),
            ("^a{2,3}?$", &["aa", "aaa"], &["a", "aaaa"]),
            ("^a{,3}}{$", &["a{,3}}{"], &["aa"]),
            ("^a|b$", &["ax", "xb"], &["xa"]),
            (r"^\p{Lu}\P{L}$", &["\u{c9}1"], &["\u{e9}1"]),
            (r"^\p{Script=Greek}$", &["\u{3b1}"], &["a"]),
            ("^#[0-9a-f]{6}$", &["#00ff00"], &["#00FF00"]),
            ("^a b#c$", &["a b#c"], &["abc"]),
            ("^(?:)$", &[""], &["a"]),
        ];
        for (pattern, found, missed) in table {
            let written =
                translate(pattern).unwrap_or_else(|fault| panic!("{pattern}: {}", fault.message));
            let regex = regex::Regex::new(&written)
                .unwrap_or_else(|error| panic!("{pattern} is {written}: {error}"));
            for text in *found {
                assert!(
                    regex.is_match(text),
                    "{pattern}, written {written}, is found in {text:?}"
                );
            }
            for text in *missed {
                assert!(
                    !regex.is_match(text),
                    "{pattern}, written {written}, is not found in {text:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_pattern_or_not_yet_one_is_told() {
        let table = [
            ("(?=a)", "not supported yet: `(?=`"),
            ("(?<!a)", "not supported yet: `(?<!`"),
            (r"(a)\1", "refers back"),
            (r"(?<a>a)\k<a>", "refers back"),
            ("(?i)a", "a group that ECMA-262 does not know"),
            ("(?P<a>a)", "a group that ECMA-262 does not know"),
            (r"\Aa\Z", "`\\A` means nothing"),
            ("(a", "no regular expression"),
            ("a)", "no regular expression"),
            ("[a", "never closed"),
            ("[b-a]", "backwards"),
            ("*a", "repeats nothing"),
            ("a**", "repeats nothing"),
            ("^+", "repeats nothing"),
            ("a{3,2}", "no regular expression"),
            (r"\p{Nonsense}", "no regular expression"),
            (r"\", "ends in a backslash"),
            (r"[\", "ends in a backslash"),
            (r"\u12", "no character"),
            (r"\ud800", "no character"),
            ("((a{1000}){1000}){1000}", "repeats too much"),
            (&"(".repeat(3000), "no regular expression"),
            (&"a".repeat(5000), "more than 4096 bytes"),
        ];
        for (pattern, message) in table {
            match translate(pattern) {
                Ok(written) => panic!("{pattern} was written as {written}"),
                Err(fault) => assert!(
                    fault.message.contains(message),
                    "{pattern}: {}",
                    fault.message
                ),
            }
        }
    }

    #[test]
    fn what_builds_compiles_at_run_time() {
        // The largest of their kinds that pass, so that the measure is held against the engine's own limit.
        let kinds: [fn(usize) -> String; 5] = [
            |times| format!("^.{{1,{times}}}$"),
            |times| format!(r"^\p{{L}}{{1,{times}}}$"),
            |times| format!(r"^(?:[^\s]+\w?){{{times}}}"),
            |times| format!("^(?:ab|cd|[x-z]{{2}}){{0,{times}}}$"),
            |times| format!(r"(?:\p{{Lu}}|\p{{Nd}}|\s){{{times}}}"),
        ];
        for kind in kinds {
            let passing = (1..=1_000_000).scan(1_usize, |times, _| {
                *times = *times * 5 / 4 + 1;
                Some(*times)
            });
            let last = passing
                .take(60)
                .take_while(|&times| translate(&kind(times)).is_ok())
                .last();
            let pattern = kind(last.unwrap_or_else(|| panic!("none of {} passes", kind(1))));
            let written =
                translate(&pattern).unwrap_or_else(|fault| panic!("{pattern}: {}", fault.message));
            assert!(
                regex::Regex::new(&written).is_ok(),
                "{pattern} builds and does not compile"
            );
        }
    }
}
