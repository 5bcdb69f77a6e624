//! Which log and which database do the settings name, and are they there? Commands look: they make neither.

use std::sync::Arc;

use logpipe::Log;
use logpipe::config::{Backend as Kind, Config};
use logpipe::record::LaneId;
use logpipe::source::{Backend, Gap, GapKind, LaneExtent, LaneReader, Opened};
use logpipe::store::Sqlite;

use crate::Shared;
use crate::failure::{Failure, Outcome};

/// What operations work on.
pub struct Operated {
    pub settings: Config,
    pub log: Arc<dyn Backend>,
}

/// Opens the log that the settings name.
pub async fn open(shared: &Shared) -> Outcome<Operated> {
    let settings = shared.settings()?.config;
    let log = opened(&settings, false).await?;
    Ok(Operated { settings, log })
}

/// The log that the settings name. Only where it may be made is a local one made.
pub async fn opened(settings: &Config, make: bool) -> Outcome<Arc<dyn Backend>> {
    let folder = &settings.log.dir;
    match settings.log.backend {
        Kind::Memory => {
            return Err(Failure::usage(
                "log.backend is `memory`: such a log is within one process, where no command can look",
            ));
        }
        Kind::Local if !make && !folder.join("log.db").is_file() => {
            return Err(Failure::Unreachable(format!(
                "there is no log in {}; set log.dir to where it is, or send something first",
                folder.display()
            )));
        }
        _ => {}
    }
    let log = Log::open(settings).await.map_err(|error| {
        // What can't be reached may be tomorrow; else the settings are wrong, or this build for them.
        match error.is_unavailable() || settings.log.backend == Kind::Local {
            true => Failure::unreachable(error),
            false => Failure::usage(error),
        }
    })?;
    Ok(log.backend().clone())
}

/// Opens the database that the settings name, where there is one.
pub async fn store(settings: &Config) -> Outcome<Option<Sqlite>> {
    if !settings.store.path.is_file() {
        return Ok(None);
    }
    let store = Sqlite::open(&settings.store.path).await;
    store.map(Some).map_err(Failure::unreachable)
}

/// Opens the database that the settings name.
pub async fn needed_store(settings: &Config) -> Outcome<Sqlite> {
    store(settings).await?.ok_or_else(|| {
        let path = settings.store.path.display();
        Failure::Unreachable(format!(
            "there is no database at {path}; set store.path to the file that the handlers write to"
        ))
    })
}

/// An error that names the topics there are, where this is none of them.
pub async fn expect_topic(log: &dyn Backend, topic: &str) -> Outcome {
    let topics = log.topics().await?;
    if topics.iter().any(|there| there == topic) {
        return Ok(());
    }
    let topic = crate::output::clean(topic);
    Err(Failure::wrong(match topics.as_slice() {
        [] => format!(
            "there is no topic `{topic}`: {} shows none; it is empty, or does not let us see what it has",
            log.describe()
        ),
        topics => format!(
            "there is no topic `{topic}`; there are {}",
            topics.join(", ")
        ),
    }))
}

impl Operated {
    /// The lanes of a topic that exists.
    pub async fn lanes(&self, topic: &str) -> Outcome<Vec<LaneExtent>> {
        expect_topic(&*self.log, topic).await?;
        Ok(self.log.lanes(topic).await?)
    }

    /// A reader behind a cursor that the log stands behind.
    pub async fn reader(
        &self,
        lane: &LaneId,
        cursor: &logpipe::record::Cursor,
    ) -> Outcome<Box<dyn LaneReader>> {
        match self.log.read(lane, cursor).await? {
            Opened::Reader(reader) => Ok(reader),
            Opened::OutOfRange(gap) => Err(Failure::wrong(format!("{lane}: {}", outside(&gap)))),
            Opened::NotOurs => Err(Failure::wrong(format!("{lane} can't be read"))),
        }
    }
}

/// A gap in words.
pub fn outside(gap: &Gap) -> String {
    let what = match gap.kind {
        GapKind::Recreated => "the topic was deleted and made again",
        GapKind::Truncated => "the position lies beyond the end of the log",
        GapKind::Expired => "retention removed what follows the position",
        GapKind::Deleted => "the topic is gone",
        GapKind::Denied => "we may not read it",
        _ => gap.kind.name(),
    };
    match (&gap.first, &gap.last) {
        (Some(first), Some(last)) => format!("{what}; the log holds {first} to {last}"),
        _ => what.into(),
    }
}
