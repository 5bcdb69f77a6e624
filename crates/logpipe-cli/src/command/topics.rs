//! `logpipe topics`: what does the log hold?

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::Outcome;
use crate::output::{Output, Row};
use crate::{Shared, log};

/// The topics of the log: their lanes (partitions, shards), how many records they hold, and how old the oldest is.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe topics
  logpipe topics --set log.dir=/var/lib/shop")]
pub struct Arguments {}

pub async fn run(shared: &Shared, output: &mut Output) -> Outcome {
    let operated = log::open(shared).await?;
    let mut rows = Vec::new();
    for topic in operated.log.topics().await? {
        let lanes = operated.log.lanes(&topic).await?;
        rows.push(Topic {
            topic,
            lanes: lanes.len(),
            // Unknown as a whole where one lane can't tell.
            records: lanes.iter().map(|lane| lane.count).sum(),
            oldest: lanes.iter().filter_map(|lane| lane.oldest).min(),
        });
    }
    output.rows(&rows)
}

#[derive(Serialize)]
struct Topic {
    topic: String,
    lanes: usize,
    records: Option<u64>,
    oldest: Option<Timestamp>,
}

impl Row for Topic {
    const HEAD: &'static [&'static str] = &["topic", "lanes", "records", "oldest"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        vec![
            self.topic.clone(),
            self.lanes.to_string(),
            or_dash(self.records.map(|records| records.to_string())),
            or_dash(self.oldest.map(|oldest| oldest.to_string())),
        ]
    }
}
