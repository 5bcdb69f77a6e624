//! What handlers and operations fail with.

use std::error::Error as StdError;
use std::fmt;

/// `Result<()>` is what a handler returns.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// A failed operation: what was being done, to what, and whether trying again can help.
///
/// In a handler, `?` turns any error into one of these; the record is then tried again, and parked when its attempts are
/// used up. [`Error::unavailable`] says instead that something outside is down: the lane waits, no attempt is used.
/// Like `anyhow::Error` this type does not itself implement [`std::error::Error`], which is what makes `?` work.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    /// Outermost first.
    context: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the error asks of the run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Try again, then park.
    Failed,
    /// Not now: a dependency, a store, a log is not there. No attempt is used.
    Unavailable,
    /// Trying again can't help.
    Permanent,
    /// Somebody else has the lane.
    Fenced,
    /// Park at once.
    Park,
    /// A tombstone that nobody handles.
    Tombstone,
}

impl Error {
    pub(crate) fn new(kind: Kind, what: impl fmt::Display) -> Self {
        Self(Box::new(Inner {
            kind,
            context: vec![what.to_string()],
            source: None,
        }))
    }

    /// A failure of this record: tried again, then parked.
    pub fn msg(what: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, what)
    }

    /// Something outside is down, so every record would fail: the lane waits and tries again; no attempt is used.
    pub fn unavailable(what: impl fmt::Display) -> Self {
        Self::new(Kind::Unavailable, what)
    }

    /// Trying again can't help. A handler's record is parked at once.
    pub fn permanent(what: impl fmt::Display) -> Self {
        Self::new(Kind::Permanent, what)
    }

    /// Parks the record, with this reason.
    pub fn park(reason: impl fmt::Display) -> Self {
        Self::new(Kind::Park, reason)
    }

    /// A tombstone that nobody handles.
    pub(crate) fn tombstone() -> Self {
        Self::new(Kind::Tombstone, "no handler for deleted keys")
    }

    pub(crate) fn fenced(what: impl fmt::Display) -> Self {
        Self::new(Kind::Fenced, what)
    }

    /// Says what was being done; read from the outside in: `claiming nouns/0: database is locked`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.context.insert(0, doing.to_string());
        self
    }

    /// Marks an error as one of something outside that is down.
    #[must_use]
    pub fn into_unavailable(mut self) -> Self {
        self.0.kind = Kind::Unavailable;
        self
    }

    /// Marks an error as one that trying again can't cure.
    pub(crate) fn into_permanent(mut self) -> Self {
        self.0.kind = Kind::Permanent;
        self
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        matches!(self.0.kind, Kind::Failed | Kind::Unavailable)
    }

    /// Whether something outside is down.
    pub fn is_unavailable(&self) -> bool {
        self.0.kind == Kind::Unavailable
    }

    /// Whether another owner has taken the lane.
    pub fn is_fenced(&self) -> bool {
        self.0.kind == Kind::Fenced
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The error underneath, where it is of this type.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        let mut next = self
            .0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static));
        while let Some(source) = next {
            if let Some(found) = source.downcast_ref() {
                return Some(found);
            }
            next = source.source();
        }
        None
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(source: E) -> Self {
        Self(Box::new(Inner {
            kind: Kind::Failed,
            context: Vec::new(),
            source: Some(Box::new(source)),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>, text: &dyn fmt::Display| {
            let separator = if std::mem::take(&mut first) { "" } else { ": " };
            write!(f, "{separator}{text}")
        };
        for context in &self.0.context {
            part(f, context)?;
        }
        let mut next = self
            .0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static));
        while let Some(source) = next {
            part(f, &source)?;
            next = source.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Adds what was being done to a failed result.
pub(crate) trait Context<T> {
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }
}
