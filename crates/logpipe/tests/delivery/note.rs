//! A message in two versions, a third that nobody knows, and a place where handlers leave what they saw.

use std::sync::{Arc, Mutex};

/// The message, version 1.
#[derive(Clone, PartialEq)]
pub struct Note {
    pub id: String,
    pub number: i64,
}

logpipe::wire! {
    struct Note open {
        id: "id";
        number: "number", min(0);
    }
}
logpipe::message! { Note = "note" version 1, of Any, key id; }

/// The message, version 2.
#[derive(Clone, PartialEq)]
pub struct Note2 {
    pub id: String,
}

logpipe::wire! {
    struct Note2 open {
        id: "id";
    }
}
logpipe::message! { Note2 = "note" version 2, of Any, key id; }

/// The versions that consumers know.
pub enum Any {}

impl logpipe::Versions for Any {
    const TYPE: &'static str = "note";
    const VERSIONS: &'static [u32] = &[1, 2];

    fn decode(_: u32, body: logpipe::Body<'_>) -> Result<Self, logpipe::Failure> {
        Err(body.unknown_version())
    }

    fn untyped(&self) -> &dyn logpipe::Untyped {
        match *self {}
    }
}

/// A version from the future.
pub struct Note3;

logpipe::wire! {
    struct Note3 open {
    }
}
logpipe::message! { Note3 = "note" version 3; }

/// A type that nobody knows.
pub struct Stranger;

logpipe::wire! {
    struct Stranger open {
    }
}
logpipe::message! { Stranger = "stranger" version 1; }

pub fn note(id: &str, number: i64) -> Note {
    Note {
        id: id.into(),
        number,
    }
}

/// What handlers saw, in their order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<(String, i64)>>>);

impl Seen {
    pub fn push(&self, note: &Note) {
        self.0.lock().unwrap().push((note.id.clone(), note.number));
    }

    pub fn all(&self) -> Vec<(String, i64)> {
        self.0.lock().unwrap().clone()
    }

    pub fn of(&self, id: &str) -> Vec<i64> {
        let all = self.all();
        all.iter()
            .filter(|(i, _)| i == id)
            .map(|(_, n)| *n)
            .collect()
    }

    /// How often the handler was called for this number.
    pub fn times(&self, number: i64) -> usize {
        self.all().iter().filter(|(_, n)| *n == number).count()
    }
}
