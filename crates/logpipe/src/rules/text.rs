//! `minLength`, `maxLength`: how long is a text, in code points?

use std::borrow::Cow;

use crate::codec::Fault;

/// A value that stands in a message as text.
pub trait Text {
    /// As it is written.
    fn text(&self) -> Cow<'_, str>;
}

impl Text for String {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

/// `minLength`
pub fn min_chars<T: Text + ?Sized>(value: &T, min: usize) -> Result<(), Fault> {
    let text = value.text();
    // A code point takes one to four bytes: mostly the bytes alone decide.
    if text.len() >= min.saturating_mul(4) || text.chars().count() >= min {
        return Ok(());
    }
    Err(Fault::invalid(format!("shorter than {min} characters")))
}

/// `maxLength`
pub fn max_chars<T: Text + ?Sized>(value: &T, max: usize) -> Result<(), Fault> {
    let text = value.text();
    if text.len() <= max || text.chars().count() <= max {
        return Ok(());
    }
    Err(Fault::invalid(format!("longer than {max} characters")))
}
