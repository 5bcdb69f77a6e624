//! `logpipe offsets`: where does a consumer group stand, and how is it moved?

use clap::Subcommand;
use logpipe::record::{Cursor, LaneId, Start};
use logpipe::source::{LaneExtent, Opened};
use logpipe::store::{Administration, LaneKey, Sqlite};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::log::{Operated, outside};
use crate::output::{self, Output, Row};
use crate::positions::{self, Kept};
use crate::{Shared, log};

/// Positions of consumer groups: shown, or moved while nobody reads.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe offsets show
  logpipe offsets set nouns nouns --to earliest              # says what would change
  logpipe offsets set nouns nouns --to earliest --execute    # changes it
  logpipe offsets set nouns nouns --shard 3 --to after:41 --execute")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every lane's position, who keeps it, how often the lane was claimed, and what is settled above the position.
    Show {
        /// The group, which is the consumer's name. Without it: those that the store keeps positions for.
        group: Option<String>,
    },
    /// Moves a group in a topic. Without --execute it only says what would change.
    ///
    /// Records that follow the new position are handled, be it again; those before it never. Parked records stay parked.
    /// Refused while the group has members; a process that still held a lane loses it.
    Set(Set),
}

#[derive(clap::Args)]
struct Set {
    /// The group, which is the consumer's name.
    group: String,
    /// The topic.
    topic: String,
    /// Only this lane of it: the partition's number, the shard's name.
    #[arg(long)]
    shard: Option<String>,
    /// `earliest`, `latest`, a time with its offset, or behind a record: `after:41`.
    #[arg(long, value_name = "WHERE", value_parser = place)]
    to: Start,
    /// The group may be one that has no position yet.
    #[arg(long)]
    new_group: bool,
    /// Changes it.
    #[arg(long)]
    execute: bool,
}

fn place(text: &str) -> Result<Start, String> {
    let place = match text {
        "earliest" => Some(Start::Earliest),
        "latest" => Some(Start::Latest),
        other => match other.strip_prefix("after:") {
            Some(position) => position.parse().ok().map(Start::After),
            None => other.parse().ok().map(Start::At),
        },
    };
    place.ok_or_else(|| "write `earliest`, `latest`, `after:41` or 2024-01-02T03:04:05Z".into())
}

pub async fn run(arguments: Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    let operated = log::open(shared).await?;
    match arguments.what {
        What::Show { group } => {
            let (kept, _) = positions::kept(&operated, group.as_deref()).await?;
            output.rows(&kept.iter().map(Lane::from).collect::<Vec<_>>())
        }
        What::Set(set) => move_group(&set, &operated, output).await,
    }
}

async fn move_group(set: &Set, operated: &Operated, output: &mut Output) -> Outcome {
    let lanes = operated.lanes(&set.topic).await?.into_iter();
    let lanes = lanes.filter(|lane| {
        set.shard
            .as_ref()
            .is_none_or(|shard| lane.lane.shard() == shard)
    });
    let (kept, store) = positions::found(operated, Some(&set.group)).await?;
    if kept.is_empty() && !set.new_group {
        return Err(Failure::wrong(format!(
            "{}; --new-group stores its first ones",
            positions::unknown(&set.group)
        )));
    }
    let mut moves = Vec::new();
    for extent in lanes {
        moves.push(Move::plan(set, operated, &kept, extent).await?);
    }
    if moves.is_empty() {
        return Err(Failure::wrong("the topic has no such shard"));
    }

    // Nothing is written by this, but it fails where the group has members.
    operated.log.reset(&set.group, Vec::new()).await?;
    output.rows(&moves)?;
    output.flush()?;
    if !set.execute {
        output::note("nothing was changed; --execute changes it");
        return Ok(());
    }
    // The log first, which refuses while somebody reads; then the store, whose word counts where it has one.
    let cursors = moves
        .iter()
        .map(|one| (one.extent.lane.clone(), one.to.clone()));
    operated.log.reset(&set.group, cursors.collect()).await?;
    if let Some(store) = store {
        if moves.iter().any(|one| !one.in_store) {
            output::note(
                "the store keeps no position for some of these lanes; a consumer that keeps its positions there begins \
                 them where its settings say",
            );
        }
        write(&store, &set.group, &moves).await?;
    }
    output::note(&format!("{} moved", output::count(moves.len(), "lane")));
    Ok(())
}

/// Raises the epochs with the positions: whoever held a lane can't write behind them.
async fn write(store: &Sqlite, group: &str, moves: &[Move]) -> Outcome {
    for one in moves.iter().filter(|one| one.in_store) {
        let key = LaneKey {
            consumer: group.into(),
            lane: one.extent.lane.clone(),
            cluster: one.extent.cluster.clone(),
            incarnation: one.extent.incarnation.clone(),
        };
        store.set_cursor(&key, &one.to).await?;
    }
    Ok(())
}

/// A lane's position before and after.
struct Move {
    extent: LaneExtent,
    from: Option<Cursor>,
    to: Cursor,
    in_store: bool,
}

impl Move {
    async fn plan(
        set: &Set,
        operated: &Operated,
        kept: &[Kept],
        extent: LaneExtent,
    ) -> Outcome<Self> {
        let lane: &LaneId = &extent.lane;
        let to = operated.log.resolve(lane, &set.to).await?;
        if let Opened::OutOfRange(gap) = operated.log.read(lane, &to).await? {
            return Err(Failure::wrong(format!("{lane}: {}", outside(&gap))));
        }
        let now = kept.iter().find(|one| one.lane == *lane);
        Ok(Self {
            from: now.map(|one| one.cursor.clone()),
            in_store: now.is_some_and(|one| one.row.is_some()),
            to,
            extent,
        })
    }
}

impl Serialize for Move {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Move<'a> {
            topic: &'a str,
            shard: &'a str,
            from: Option<String>,
            to: String,
        }
        Move {
            topic: self.extent.lane.topic(),
            shard: self.extent.lane.shard(),
            from: self.from.as_ref().map(ToString::to_string),
            to: self.to.to_string(),
        }
        .serialize(serializer)
    }
}

impl Row for Move {
    const HEAD: &'static [&'static str] = &["lane", "from", "to"];

    fn cells(&self) -> Vec<String> {
        let from = self.from.as_ref().map_or("-".into(), ToString::to_string);
        vec![self.extent.lane.to_string(), from, self.to.to_string()]
    }
}

#[derive(Serialize)]
struct Lane {
    group: String,
    topic: String,
    shard: String,
    cursor: String,
    kept_by: &'static str,
    epoch: Option<u64>,
    settled_above: Option<u64>,
}

impl From<&Kept> for Lane {
    fn from(kept: &Kept) -> Self {
        Self {
            group: kept.group.clone(),
            topic: kept.lane.topic().into(),
            shard: kept.lane.shard().into(),
            cursor: kept.cursor.to_string(),
            kept_by: if kept.row.is_some() { "store" } else { "log" },
            epoch: kept.row.as_ref().map(|row| row.epoch),
            settled_above: kept.row.as_ref().map(|row| row.settled),
        }
    }
}

impl Row for Lane {
    const HEAD: &'static [&'static str] = &[
        "group",
        "lane",
        "position",
        "kept by",
        "epoch",
        "settled above",
    ];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
        vec![
            self.group.clone(),
            format!("{}/{}", self.topic, self.shard),
            self.cursor.clone(),
            self.kept_by.into(),
            number(self.epoch),
            number(self.settled_above),
        ]
    }
}
