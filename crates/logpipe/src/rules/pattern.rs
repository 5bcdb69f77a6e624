//! `pattern`: does a text match anywhere?

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use regex::Regex;

use super::Text;
use crate::codec::Fault;

/// A pattern at one place of a table, compiled when it is first needed.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// In the syntax of the regex crate.
    pub const fn new(source: &'static str) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }

    /// Whether the value matches.
    pub fn check<T: Text + ?Sized>(&self, value: &T) -> Result<(), Fault> {
        let compiled = self.compiled.get_or_init(|| Regex::new(self.source).ok());
        // The generator compiled the same source, so there is a regex; without one nothing may pass.
        if compiled
            .as_ref()
            .is_some_and(|regex| regex.is_match(&value.text()))
        {
            return Ok(());
        }
        Err(Fault::invalid(format!("does not match {}", self.source)))
    }
}

/// `pattern`, inside of a closure: compiled once per process and source.
pub fn pattern<T: Text + ?Sized>(value: &T, source: &'static str) -> Result<(), Fault> {
    static PATTERNS: OnceLock<RwLock<HashMap<&'static str, &'static Pattern>>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(RwLock::default);
    let known = patterns
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(source)
        .copied();
    let pattern = known.unwrap_or_else(|| {
        let mut patterns = patterns.write().unwrap_or_else(PoisonError::into_inner);
        // Kept for ever: there are as many as the program has literals.
        patterns
            .entry(source)
            .or_insert_with(|| Box::leak(Box::new(Pattern::new(source))))
    });
    pattern.check(value)
}
