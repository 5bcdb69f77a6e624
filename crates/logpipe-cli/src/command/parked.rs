//! `logpipe parked`: which records could not be handled, why, and what becomes of them?

use clap::Subcommand;
use jiff::Timestamp;
use logpipe::store::{Administration, Filter, Parked, Sqlite};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::message::Shown;
use crate::output::{self, Output, Row};
use crate::{Shared, log};

/// Records that could not be handled, kept byte for byte in the store.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe parked list --kind Invalid
  logpipe parked show 17                  # with its contents
  logpipe parked redrive 17 18            # its consumer handles them again, in their order
  logpipe parked redrive --consumer nouns
  logpipe parked drop --kind Malformed    # says how many; with --execute they are gone")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Parked records, oldest first: number, origin, reason, attempts. Contents are not shown.
    List(Which),
    /// One parked record with its key and its contents.
    Show {
        /// Its number, as `list` prints it.
        id: i64,
        /// The record's bytes as they are: text, or hex where they are none.
        #[arg(long)]
        raw: bool,
    },
    /// Lets the consumer handle records again, with all that queue behind them. It need not be running now.
    Redrive(Which),
    /// Deletes records for ever. Without --execute it only says how many.
    Drop {
        #[command(flatten)]
        which: Which,
        /// Deletes them.
        #[arg(long)]
        execute: bool,
    },
}

/// Which records: those that meet all that is given.
#[derive(clap::Args)]
struct Which {
    /// With these numbers.
    ids: Vec<i64>,
    /// Of this consumer.
    #[arg(long)]
    consumer: Option<String>,
    /// Read from this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Parked for this kind of reason: Malformed, Invalid, Failed ..
    #[arg(long)]
    kind: Option<String>,
    /// Of this key.
    #[arg(long)]
    key: Option<String>,
    /// Every one there is.
    #[arg(long)]
    all: bool,
}

/// How many rows are read at once.
const PAGE: u32 = 500;

pub async fn run(arguments: Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    let store = log::needed_store(&shared.settings()?.config).await?;
    match arguments.what {
        What::List(which) => list(&store, &which.filter(), output).await,
        What::Show { id, raw } => show(&store, id, raw, output).await,
        What::Redrive(which) => {
            let filter = which.meant()?;
            expect(&store, &filter).await?;
            let redriven = store.redrive(&filter).await?;
            tell("ready", redriven, output)
        }
        What::Drop { which, execute } => {
            let filter = which.meant()?;
            expect(&store, &filter).await?;
            if execute {
                return tell("dropped", store.drop_parked(&filter).await?, output);
            }
            tell(
                "would_be_dropped",
                store.count_parked(&filter).await?,
                output,
            )?;
            output::note("nothing was changed; --execute deletes them for ever");
            Ok(())
        }
    }
}

impl Which {
    fn filter(self) -> Filter {
        Filter {
            consumer: self.consumer,
            topic: self.topic,
            kind: self.kind,
            key: self.key.map(String::into_bytes),
            ids: (!self.ids.is_empty()).then_some(self.ids),
            ready: None,
        }
    }

    /// The filter of a command that changes something: nobody means everything by saying nothing.
    fn meant(self) -> Outcome<Filter> {
        let says_nothing = self.ids.is_empty()
            && self.consumer.is_none()
            && self.topic.is_none()
            && self.kind.is_none()
            && self.key.is_none();
        if says_nothing && !self.all {
            return Err(Failure::usage(
                "say which: numbers, --consumer, --topic, --kind, --key, or --all",
            ));
        }
        Ok(self.filter())
    }
}

/// An error that names the first number that stands for no such record: nothing is changed then.
async fn expect(store: &Sqlite, filter: &Filter) -> Outcome {
    let Some(ids) = &filter.ids else {
        return Ok(());
    };
    for &id in ids {
        let one = Filter {
            ids: Some(vec![id]),
            ..filter.clone()
        };
        if store.count_parked(&one).await? == 0 {
            return Err(Failure::wrong(format!(
                "there is no parked record {id} that meets all that was asked for; nothing was changed"
            )));
        }
    }
    Ok(())
}

async fn list(store: &Sqlite, filter: &Filter, output: &mut Output) -> Outcome {
    let mut after = None;
    loop {
        let page = store.parked(filter, after, PAGE).await?;
        output.rows(&page.iter().map(Line::from).collect::<Vec<_>>())?;
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.id),
            _ => return Ok(()),
        }
    }
}

async fn show(store: &Sqlite, id: i64, raw: bool, output: &mut Output) -> Outcome {
    let filter = Filter {
        ids: Some(vec![id]),
        ..Filter::default()
    };
    let found = store.parked(&filter, None, 1).await?;
    let Some(parked) = found.first() else {
        return Err(Failure::wrong(format!("there is no parked record {id}")));
    };
    let shown = match raw {
        true => Shown::raw(&parked.record),
        false => Shown::decoded(&parked.record),
    };
    if output.is_json() {
        #[derive(Serialize)]
        struct Whole<'a> {
            parked: Line,
            record: &'a Shown,
        }
        let parked = Line::from(parked);
        return output.json(&Whole {
            parked,
            record: &shown,
        });
    }
    output.rows(&[Line::from(parked)])?;
    output.line(&shown.line())
}

fn tell(what: &str, records: u64, output: &mut Output) -> Outcome {
    match output.is_json() {
        true => output.json(&serde_json::json!({ what: records })),
        false => output.line(&format!("{records} {}", what.replace('_', " "))),
    }
}

#[derive(Serialize)]
struct Line {
    id: i64,
    consumer: String,
    topic: String,
    shard: String,
    position: String,
    kind: String,
    reason: String,
    attempts: u32,
    state: &'static str,
    parked_at: Timestamp,
}

impl From<&Parked> for Line {
    fn from(parked: &Parked) -> Self {
        Self {
            id: parked.id,
            consumer: parked.consumer.clone(),
            topic: parked.record.lane.topic().into(),
            shard: parked.record.lane.shard().into(),
            position: parked.record.position.to_string(),
            kind: parked.reason.kind.clone(),
            reason: parked.reason.text.clone(),
            attempts: parked.attempts,
            state: if parked.ready { "ready" } else { "parked" },
            parked_at: parked.parked_at,
        }
    }
}

impl Row for Line {
    const HEAD: &'static [&'static str] = &[
        "id",
        "consumer",
        "record",
        "state",
        "attempts",
        "parked at",
        "kind",
        "reason",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.consumer.clone(),
            format!("{}/{} {}", self.topic, self.shard, self.position),
            self.state.into(),
            self.attempts.to_string(),
            self.parked_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            self.kind.clone(),
            self.reason.clone(),
        ]
    }
}
