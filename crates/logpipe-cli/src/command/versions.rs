//! `logpipe versions`: which versions of which messages are still in a topic?

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use jiff::Timestamp;
use logpipe::envelope;
use logpipe::record::{Record, Start};
use logpipe::source::LaneExtent;
use serde::Serialize;

use crate::failure::Outcome;
use crate::log::Operated;
use crate::output::{Output, Row};
use crate::progress::bar;
use crate::scan::Scan;
use crate::{Shared, log};

/// How many messages of each type and version a topic still holds, and when the oldest and youngest of them were
/// written.
///
/// Reads the whole topic, up to where it ends now. When an old version has none left, and no producer writes it any more,
/// its schema file can go.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe versions nouns
  logpipe versions nouns --format json | jq 'select(.type == \"person\" and .version == 1).records'")]
pub struct Arguments {
    /// The topic.
    topic: String,
}

pub async fn run(arguments: &Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    let operated = log::open(shared).await?;
    let lanes = operated.lanes(&arguments.topic).await?;
    let progress = bar(lanes.iter().map(|lane| lane.count).sum(), "records");
    let mut found = BTreeMap::new();
    for lane in lanes {
        count(&operated, lane, &progress, &mut found).await?;
    }
    progress.finish_and_clear();
    let rows = found.into_iter().map(|(kind, seen)| Line { kind, seen });
    output.rows(&rows.collect::<Vec<_>>())
}

/// Counts a lane's records.
async fn count(
    operated: &Operated,
    lane: LaneExtent,
    progress: &ProgressBar,
    found: &mut BTreeMap<Kind, Seen>,
) -> Outcome {
    let oldest = operated.log.resolve(&lane.lane, &Start::Earliest).await?;
    let mut scan = Scan::begin(operated, lane, &oldest).await?;
    while let Some(records) = scan.next().await? {
        for record in records.iter().filter(|record| !scan.is_newer(record)) {
            let seen = found.entry(Kind::of(record)).or_default();
            seen.count(record.timestamp);
        }
        progress.inc(records.len() as u64);
    }
    Ok(())
}

/// What a record is counted as.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Message(String, u32),
    Rejected(&'static str),
}

impl Kind {
    fn of(record: &Record) -> Self {
        match envelope::open_exact(record.value.as_deref()) {
            Ok(opened) => Self::Message(opened.message_type.into_owned(), opened.version),
            Err(rejected) => Self::Rejected(rejected.kind()),
        }
    }
}

#[derive(Default)]
struct Seen {
    records: u64,
    oldest: Option<Timestamp>,
    youngest: Option<Timestamp>,
}

impl Seen {
    fn count(&mut self, time: Option<Timestamp>) {
        self.records += 1;
        self.oldest = [self.oldest, time].into_iter().flatten().min();
        self.youngest = [self.youngest, time].into_iter().flatten().max();
    }
}

struct Line {
    kind: Kind,
    seen: Seen,
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(rename = "type")]
            message_type: Option<&'a str>,
            version: Option<u32>,
            rejection: Option<&'a str>,
            records: u64,
            oldest: Option<Timestamp>,
            youngest: Option<Timestamp>,
        }
        let (message_type, version, rejection) = match &self.kind {
            Kind::Message(name, version) => (Some(name.as_str()), Some(*version), None),
            Kind::Rejected(kind) => (None, None, Some(*kind)),
        };
        Line {
            message_type,
            version,
            rejection,
            records: self.seen.records,
            oldest: self.seen.oldest,
            youngest: self.seen.youngest,
        }
        .serialize(serializer)
    }
}

impl Row for Line {
    const HEAD: &'static [&'static str] = &["type", "version", "records", "oldest", "youngest"];

    fn cells(&self) -> Vec<String> {
        let (name, version) = match &self.kind {
            Kind::Message(name, version) => (name.clone(), version.to_string()),
            Kind::Rejected(kind) => (format!("({kind})"), "-".into()),
        };
        let time = |time: Option<Timestamp>| time.map_or("-".into(), |time| time.to_string());
        let Seen {
            records,
            oldest,
            youngest,
        } = self.seen;
        vec![
            name,
            version,
            records.to_string(),
            time(oldest),
            time(youngest),
        ]
    }
}
