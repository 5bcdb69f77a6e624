//! How long is a text, in code points, and does it match?

use super::Rule;
use super::pattern::pattern;
use crate::codec::Fault;

/// Whether a text keeps a rule.
#[inline]
pub fn text(text: &str, rule: &Rule) -> Result<(), Fault> {
    match *rule {
        Rule::min_chars(min) => min_chars(text, min),
        Rule::max_chars(max) => max_chars(text, max),
        Rule::pattern(source) => pattern(text, source),
        _ => Err(rule.misplaced()),
    }
}

#[inline]
fn min_chars(text: &str, min: usize) -> Result<(), Fault> {
    // A code point takes one to four bytes: mostly the bytes alone decide.
    if text.len() >= min.saturating_mul(4) || text.chars().count() >= min {
        return Ok(());
    }
    Err(Fault::invalid(format!("shorter than {min} characters")))
}

#[inline]
fn max_chars(text: &str, max: usize) -> Result<(), Fault> {
    if text.len() <= max || text.chars().count() <= max {
        return Ok(());
    }
    Err(Fault::invalid(format!("longer than {max} characters")))
}
