//! Which route takes a record: from type and version to code, or to a rejection.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::run::Verdict;
use crate::envelope::{self, Opening};
use crate::handler::{Erased, Route, Takes};
use crate::producer::TYPE_HEADER;
use crate::record::Record;
use crate::rejected::printable;
use crate::{Error, Rejected, Result, Store};

/// Takes records that no handler sees.
pub(crate) const NO_ROUTE: u32 = u32::MAX;

pub(crate) struct Router<S: Store> {
    types: HashMap<String, Type>,
    handlers: Vec<Arc<dyn Erased<S>>>,
}

struct Type {
    name: Cow<'static, str>,
    known: &'static [u32],
    /// The handler of all versions.
    all: Option<u32>,
    /// Handlers of single versions.
    one: Vec<(u32, u32)>,
    ignored: bool,
}

/// Where a record goes.
pub(crate) struct Classified {
    pub(crate) route: u32,
    /// Borrowed where a route names it: what is shared by count would be fought over by all lanes, with each record.
    pub(crate) message_type: Cow<'static, str>,
    pub(crate) version: u32,
    /// How far that is known.
    pub(crate) opening: Opening,
    /// How it ends, where no handler needs to see it.
    pub(crate) decided: Option<Verdict>,
}

/// Where records go that begin with the same head, and are handled by somebody.
pub(crate) struct Routed {
    /// A copy: the record's own bytes are a slice of what the source handed over, and would keep all of it.
    head: Box<[u8]>,
    message_type: &'static str,
    version: u32,
    route: u32,
    start: usize,
}

impl Routed {
    #[inline]
    fn classified(&self) -> Classified {
        Classified {
            route: self.route,
            message_type: Cow::Borrowed(self.message_type),
            version: self.version,
            opening: Opening::Behind(self.start),
            decided: None,
        }
    }
}

impl<S: Store> Router<S> {
    /// Fails where a version that the build knows has no handler, or two.
    pub(crate) fn new(routes: Vec<Route<S>>, ignored: &[String]) -> Result<Self> {
        let mut types: HashMap<String, Type> = HashMap::new();
        let mut handlers = Vec::new();
        for route in routes {
            let number = u32::try_from(handlers.len()).map_err(Error::permanent)?;
            handlers.push(route.handler);
            let entry = types
                .entry(route.message_type.to_owned())
                .or_insert_with(|| Type::new(route.message_type.into(), route.known));
            let twice = match route.takes {
                Takes::All => entry.all.replace(number).is_some() || !entry.one.is_empty(),
                Takes::One(version) => {
                    let taken = entry.all.is_some() || entry.route(version).is_some();
                    entry.one.push((version, number));
                    taken
                }
            };
            if twice {
                return Err(Error::permanent(format!(
                    "`{}` is handled twice: register one handler for a type, or `.on(..)` once for each version",
                    route.message_type
                )));
            }
        }
        for (name, entry) in &types {
            let missing: Vec<String> = entry
                .known
                .iter()
                .filter(|&&version| entry.route(version).is_none())
                .map(|version| format!("v{version}"))
                .collect();
            if !missing.is_empty() {
                return Err(Error::permanent(format!(
                    "`{name}` has versions that nobody handles: {}; add `.on(async |m: {name}::{}::.., cx| ..)` or register a handler of all versions",
                    missing.join(", "),
                    missing[0],
                )));
            }
        }
        for name in ignored {
            if types.contains_key(name) {
                return Err(Error::permanent(format!("`{name}` is handled and ignored")));
            }
            types.insert(
                name.clone(),
                Type {
                    ignored: true,
                    ..Type::new(name.clone().into(), &[])
                },
            );
        }
        Ok(Self { types, handlers })
    }

    pub(crate) fn handler(&self, route: u32) -> Option<&Arc<dyn Erased<S>>> {
        self.handlers.get(usize::try_from(route).ok()?)
    }

    /// As [`classify`](Self::classify) a record as it was read, with what is remembered of the one before it: records of a
    /// type and version come together, and to compare bytes is quicker than to look them up.
    pub(crate) fn classify_next(&self, record: &Record, before: &mut Option<Routed>) -> Classified {
        let value = record.value.as_deref();
        if let (Some(routed), Some(value)) = (&before, value)
            && value.starts_with(&routed.head)
        {
            return routed.classified();
        }
        let classified = self.classify(record, false);
        if let Cow::Borrowed(message_type) = classified.message_type
            && let Opening::Behind(start) = classified.opening
            && let Some(peeked) = value.and_then(envelope::peek)
        {
            *before = Some(Routed {
                head: peeked.bytes.into(),
                message_type,
                version: classified.version,
                route: classified.route,
                start,
            });
        }
        classified
    }

    /// `exact` reads the whole envelope, for a record whose canonical head was overruled by what followed.
    pub(crate) fn classify(&self, record: &Record, exact: bool) -> Classified {
        let Some(value) = record.value.as_deref() else {
            return self.tombstone(record);
        };
        // Most records are what their first bytes say; what the rest of them is, decoding finds out.
        if !exact
            && let Some(peeked) = envelope::peek(value)
            && let Some(classified) = self.routed(
                peeked.message_type,
                peeked.version,
                Opening::Behind(peeked.start),
            )
        {
            return classified;
        }
        let value = Some(value);
        let opened = if exact {
            envelope::open_exact(value)
        } else {
            envelope::open(value)
        };
        let envelope = match opened {
            Ok(envelope) => envelope,
            Err(rejected) => return Classified::rejected(rejected),
        };
        let (message_type, version) = (&*envelope.message_type, envelope.version);
        let opening = if exact { Opening::Exact } else { Opening::Head };
        if let Some(classified) = self.routed(message_type, version, opening) {
            return classified;
        }
        // Nobody decodes it, so nobody would notice that the rest of it is broken or says otherwise.
        if !exact {
            return self.classify(record, true);
        }
        match self.types.get(message_type) {
            Some(entry) if entry.ignored => Classified::ignored(entry.name.clone(), version),
            Some(entry) => Classified {
                message_type: entry.name.clone(),
                ..Classified::rejected(Rejected::UnknownVersion {
                    message_type: printable(message_type),
                    version,
                })
            },
            None => Classified::rejected(Rejected::UnknownType {
                message_type: printable(message_type),
                version,
            }),
        }
    }

    /// Where somebody handles it.
    fn routed(&self, message_type: &str, version: u32, opening: Opening) -> Option<Classified> {
        let entry = self.types.get(message_type)?;
        Some(Classified {
            route: entry.route(version)?,
            message_type: entry.name.clone(),
            version,
            opening,
            decided: None,
        })
    }

    /// A tombstone has no envelope: a header of ours says what it deletes, or there is only one type.
    fn tombstone(&self, record: &Record) -> Classified {
        let entry = match record.header(TYPE_HEADER).map(std::str::from_utf8) {
            Some(Ok(name)) => match self.types.get(name) {
                None => {
                    return Classified::rejected(Rejected::UnknownType {
                        message_type: printable(name),
                        version: 0,
                    });
                }
                entry => entry,
            },
            Some(Err(_)) => None,
            None if self.types.len() == 1 => self.types.values().next(),
            None => None,
        };
        match entry {
            Some(entry) if entry.ignored => Classified::ignored(entry.name.clone(), 0),
            Some(Type {
                name,
                all: Some(route),
                ..
            }) if record.key.is_some() => Classified {
                route: *route,
                message_type: name.clone(),
                version: 0,
                opening: Opening::Head,
                decided: None,
            },
            _ => Classified::rejected(Rejected::Tombstone),
        }
    }
}

impl Type {
    fn new(name: Cow<'static, str>, known: &'static [u32]) -> Self {
        Self {
            name,
            known,
            all: None,
            one: Vec::new(),
            ignored: false,
        }
    }

    fn route(&self, version: u32) -> Option<u32> {
        let all = self.all.filter(|_| self.known.contains(&version));
        all.or_else(|| {
            let one = self.one.iter().find(|(one, _)| *one == version);
            one.map(|&(_, route)| route)
        })
    }
}

impl Classified {
    fn rejected(rejected: Rejected) -> Self {
        Self {
            route: NO_ROUTE,
            message_type: Cow::Borrowed(""),
            version: 0,
            opening: Opening::Head,
            decided: Some(Verdict::Rejected(rejected.into())),
        }
    }

    fn ignored(message_type: Cow<'static, str>, version: u32) -> Self {
        Self {
            route: NO_ROUTE,
            message_type,
            version,
            opening: Opening::Head,
            decided: Some(Verdict::Ignored),
        }
    }
}
