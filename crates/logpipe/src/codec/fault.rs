//! What is wrong with the bytes or the value of a message, and where in it.

use std::borrow::Cow;
use std::fmt;

use super::Kind;

/// Why a value can't be read, or may not be written.
///
/// Nothing is paid for it until it happens: the reader that fails makes a fault, and every level on the way out adds the
/// member or index it was at. It never holds payload: a reason is made of declared names and constants of the schema.
#[derive(Debug)]
pub struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// The byte at which the syntax breaks; `None` when the syntax holds and the value is at fault.
    offset: Option<usize>,
    reason: Cow<'static, str>,
    /// Innermost first.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Member(&'static str),
    Index(usize),
    Entry,
}

impl Fault {
    /// The bytes are no document of their encoding: `offset` counts from the start of the reader's input.
    #[cold]
    pub fn malformed(offset: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Some(offset), reason.into())
    }

    /// The bytes can be read, the value breaks a rule. The reason must not quote the value.
    #[cold]
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(None, reason.into())
    }

    /// A value of another kind stands where `expected` should: "a string".
    #[cold]
    pub fn expected(expected: &str, found: Kind) -> Self {
        Self::invalid(format!("expected {expected}, found {found}"))
    }

    /// A required member is absent.
    #[cold]
    pub fn missing(member: &'static str) -> Self {
        Self::invalid("required, but absent").member(member)
    }

    /// A closed object holds a member that its schema does not declare. The name is the sender's: escaped and cut.
    #[cold]
    pub fn undeclared(name: &str) -> Self {
        Self::invalid(format!(
            "the member \"{}\" is not declared",
            Printable(name)
        ))
    }

    /// A string that is none of those declared.
    #[cold]
    pub fn not_one_of(declared: &[&str]) -> Self {
        const SHOWN: usize = 8;
        let mut reason = String::from("must be one of ");
        for (index, value) in declared.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            reason.push_str(&format!("{comma}\"{}\"", Printable(value)));
        }
        if declared.len() > SHOWN {
            reason.push_str(&format!(", and {} more", declared.len() - SHOWN));
        }
        Self::invalid(reason)
    }

    fn new(offset: Option<usize>, reason: Cow<'static, str>) -> Self {
        Self(Box::new(Inner {
            offset,
            reason,
            path: Vec::new(),
        }))
    }

    /// The same, one level further out: it happened in this member.
    #[cold]
    #[must_use]
    pub fn member(mut self, name: &'static str) -> Self {
        self.0.path.push(Step::Member(name));
        self
    }

    /// The same, one level further out: it happened in this item of a list.
    #[cold]
    #[must_use]
    pub fn item(mut self, index: usize) -> Self {
        self.0.path.push(Step::Index(index));
        self
    }

    /// The same, one level further out: it happened in an entry of a map, whose key is payload and is not told.
    #[cold]
    #[must_use]
    pub fn entry(mut self) -> Self {
        self.0.path.push(Step::Entry);
        self
    }

    /// The byte at which the syntax breaks; `None` for a value that is invalid.
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// Whether the bytes are no document of their encoding.
    pub fn is_malformed(&self) -> bool {
        self.0.offset.is_some()
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Where, as a JSON pointer from the message's root; `*` stands for an entry of a map. Empty for the root itself.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.0.path.iter().rev() {
            path.push('/');
            match step {
                Step::Member(name) => path.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => path.push_str(&index.to_string()),
                Step::Entry => path.push('*'),
            }
        }
        path
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset() {
            Some(offset) => write!(out, "{} at byte {offset}", self.reason()),
            None if self.0.path.is_empty() => out.write_str(self.reason()),
            None => write!(out, "{}: {}", self.path(), self.reason()),
        }
    }
}

impl std::error::Error for Fault {}

/// Text from outside, fit for a log line: escaped, and cut after 128 characters.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 128;
        let mut room = CHARS_MAX;
        for character in self.0.chars() {
            let escaped = character.escape_debug();
            if escaped.len() > room {
                return out.write_str("…");
            }
            room -= escaped.len();
            write!(out, "{escaped}")?;
        }
        Ok(())
    }
}
