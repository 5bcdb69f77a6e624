//! `logpipe lag`: how far behind is a consumer group?

use logpipe::source::GapKind;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{Output, Row};
use crate::positions::{self, Kept};
use crate::{Shared, log};

/// How many records each group has yet to settle, lane by lane.
///
/// Knows the groups that the store keeps positions for; one whose positions only the log keeps has to be named. A
/// position that the log no longer stands behind is named in place of a number, and the status is 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe lag
  logpipe lag nouns
  logpipe lag nouns --format json | jq -s 'map(.behind) | add'")]
pub struct Arguments {
    /// The group, which is the consumer's name.
    group: Option<String>,
}

pub async fn run(arguments: &Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    let operated = log::open(shared).await?;
    let (kept, _) = positions::kept(&operated, arguments.group.as_deref()).await?;
    let mut rows = Vec::new();
    let (mut is_moved, mut is_gone) = (false, false);
    for one in &kept {
        let lanes = operated.log.lanes(one.lane.topic()).await?;
        let behind = match lanes.iter().find(|extent| extent.lane == one.lane) {
            Some(extent) => {
                let behind = positions::behind(&operated, one, extent).await?;
                is_moved |= behind.is_err();
                behind
            }
            None => {
                is_gone = true;
                Err(GapKind::Deleted.name().into())
            }
        };
        rows.push(Lane::new(one, behind));
    }
    output.rows(&rows)?;
    output.flush()?;
    let mut cures = Vec::new();
    if is_moved {
        cures
            .push("the log does not stand behind every position; `logpipe offsets set` moves them");
    }
    if is_gone {
        cures.push(
            "what some positions are in was deleted; a topic that is still wanted has to be made again first (the local log \
             does so with the first message), then `logpipe offsets set` moves them; others may stay, for nobody reads by them",
        );
    }
    match cures.is_empty() {
        true => Ok(()),
        false => Err(Failure::wrong(cures.join("\n"))),
    }
}

#[derive(Serialize)]
struct Lane {
    group: String,
    topic: String,
    shard: String,
    cursor: String,
    /// Unknown where positions can't be counted.
    behind: Option<u64>,
    incident: Option<String>,
}

impl Lane {
    fn new(kept: &Kept, behind: Result<Option<u64>, String>) -> Self {
        let (behind, incident) = match behind {
            Ok(behind) => (behind, None),
            Err(incident) => (None, Some(incident)),
        };
        Self {
            group: kept.group.clone(),
            topic: kept.lane.topic().into(),
            shard: kept.lane.shard().into(),
            cursor: kept.cursor.to_string(),
            behind,
            incident,
        }
    }
}

impl Row for Lane {
    const HEAD: &'static [&'static str] = &["group", "lane", "position", "behind"];

    fn cells(&self) -> Vec<String> {
        let behind = match (&self.incident, self.behind) {
            (Some(incident), _) => incident.clone(),
            (None, Some(behind)) => behind.to_string(),
            (None, None) => "unknown".into(),
        };
        let lane = format!("{}/{}", self.topic, self.shard);
        vec![self.group.clone(), lane, self.cursor.clone(), behind]
    }
}
