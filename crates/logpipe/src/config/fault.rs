//! What is wrong with the settings, where, and what to do about it?

use std::fmt;

/// One mistake. Prints as `logpipe.toml:7:1: what is wrong; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A place in a file, a variable, a flag.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do; empty where that is plain.
    pub help: String,
}

/// Everything that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Fault {
    pub(super) fn new(
        place: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            help: help.into(),
        }
    }
}

/// A mistake that has yet to be told where it is.
#[derive(Debug)]
pub(super) struct Wrong {
    message: String,
    pub(super) help: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }

    pub(super) fn at(self, place: impl Into<String>) -> Fault {
        Fault::new(place, self.message, self.help)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if self.help.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.help)
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for Faults {}

/// A name that somebody else wrote, fit to stand in a message: in backticks, on one line, not longer than 60 characters.
pub(super) fn quote(name: &str) -> String {
    let mut out = String::from("`");
    for (count, character) in name.chars().enumerate() {
        if count == 60 {
            out.push('\u{2026}');
            break;
        }
        if character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out.push('`');
    out
}

/// `did you mean ..?` where a known name is near, else all there are.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", list(known)),
    }
}

/// The known name that somebody who wrote `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // The measure costs the product of the lengths; no name is this long.
    if word.len() > 100 {
        return None;
    }
    let distance = |known: &str| strsim::osa_distance(&word.to_lowercase(), &known.to_lowercase());
    let rated = known.iter().map(|&known| (distance(known), known));
    let (distance, known) = rated.min()?;
    (distance <= word.chars().count().div_ceil(3)).then_some(known)
}

/// `` `a`, `b` and `c` ``
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".into(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
