//! `logpipe tail`: what was written to a topic last, and what is written now?

use std::collections::VecDeque;

use logpipe::record::{Cursor, Position, Record, Start};
use logpipe::source::{Fetched, LaneExtent, LaneReader};
use tokio::sync::mpsc;

use crate::failure::{Failure, Outcome};
use crate::log::{Operated, outside};
use crate::message::Shown;
use crate::output::Output;
use crate::scan::{BUDGET, Scan};
use crate::{Shared, log};

/// The newest records of a topic, with their contents: lane, position, time, key, type, version and message.
///
/// Messages are decoded without their schemas; --raw shows the bytes instead.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe tail nouns
  logpipe tail nouns --follow
  logpipe tail nouns --from 2024-01-02T03:04:05Z --format json | jq .message
  logpipe tail nouns --raw -n 1")]
pub struct Arguments {
    /// The topic.
    topic: String,
    /// Prints so many of the newest records.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    last: usize,
    /// Prints everything from here on: `earliest`, or a time with its offset.
    #[arg(long, value_name = "WHEN", value_parser = when, conflicts_with = "last")]
    from: Option<Start>,
    /// Goes on with what is written from now on, until it is interrupted.
    #[arg(short, long)]
    follow: bool,
    /// The record's bytes as they are: text, or hex where they are none.
    #[arg(long)]
    raw: bool,
}

fn when(text: &str) -> Result<Start, String> {
    match text {
        "earliest" => Ok(Start::Earliest),
        time => time
            .parse()
            .map(Start::At)
            .map_err(|_| "write `earliest` or a time such as 2024-01-02T03:04:05Z".into()),
    }
}

pub async fn run(arguments: &Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    let operated = log::open(shared).await?;
    let lanes = operated.lanes(&arguments.topic).await?;
    let mut printer = Printer {
        raw: arguments.raw,
        output,
    };
    let mut readers = Vec::new();
    let mut newest = VecDeque::new();
    for lane in lanes {
        let cursor = match &arguments.from {
            Some(from) => operated.log.resolve(&lane.lane, from).await?,
            None => before_last(&operated, &lane, arguments.last).await?,
        };
        let mut scan = Scan::begin(&operated, lane, &cursor).await?;
        let mut of_lane = VecDeque::new();
        while let Some(records) = scan.next().await? {
            if arguments.from.is_some() {
                printer.print(&records)?;
                continue;
            }
            of_lane.extend(records);
            let too_many = of_lane.len().saturating_sub(arguments.last);
            of_lane.drain(..too_many);
        }
        newest.extend(of_lane);
        readers.push(scan.into_reader());
    }
    let newest = newest.make_contiguous();
    newest.sort_by(|a: &Record, b| {
        (a.timestamp, &a.lane, &a.position).cmp(&(b.timestamp, &b.lane, &b.position))
    });
    printer.print(&newest[newest.len().saturating_sub(arguments.last)..])?;
    if arguments.follow {
        follow(readers, &mut printer).await?;
    }
    Ok(())
}

struct Printer<'a> {
    raw: bool,
    output: &'a mut Output,
}

impl Printer<'_> {
    fn print(&mut self, records: &[Record]) -> Outcome {
        for record in records {
            let shown = match self.raw {
                true => Shown::raw(record),
                false => Shown::decoded(record),
            };
            match self.output.is_json() {
                true => self.output.json(&shown)?,
                false => self.output.line(&shown.line())?,
            }
        }
        self.output.flush()
    }
}

/// The cursor behind which the lane's last `count` records lie, or more of them where positions can't be counted.
async fn before_last(operated: &Operated, lane: &LaneExtent, count: usize) -> Outcome<Cursor> {
    let number = |position: &Option<Position>| position.as_ref().and_then(Position::number);
    let start = match (number(&lane.first), number(&lane.last)) {
        (Some(first), Some(last)) => match last.checked_sub(count as u64) {
            Some(before) if before >= first => return Ok(Cursor::After(before.into())),
            _ => Start::Earliest,
        },
        _ if count == 0 => Start::Latest,
        _ => Start::Earliest,
    };
    Ok(operated.log.resolve(&lane.lane, &start).await?)
}

/// Prints records of all lanes as they come.
async fn follow(readers: Vec<Box<dyn LaneReader>>, printer: &mut Printer<'_>) -> Outcome {
    // One batch may wait: who reads slowly makes us fetch slowly.
    let (send, mut receive) = mpsc::channel(1);
    for reader in readers {
        let send = send.clone();
        tokio::spawn(async move {
            if let Err(failure) = forward(reader, &send).await {
                // Nobody waits for it where the command has ended.
                let _ = send.send(Err(failure)).await;
            }
        });
    }
    drop(send);
    while let Some(batch) = receive.recv().await {
        printer.print(&batch?)?;
    }
    Ok(())
}

async fn forward(
    mut reader: Box<dyn LaneReader>,
    send: &mpsc::Sender<Outcome<Vec<Record>>>,
) -> Outcome {
    loop {
        match reader.fetch(BUDGET).await? {
            Fetched::Records(fetch) if fetch.records.is_empty() => reader.ready().await?,
            Fetched::Records(fetch) => {
                if send.send(Ok(fetch.records)).await.is_err() {
                    return Ok(());
                }
            }
            Fetched::Ended => return Ok(()),
            Fetched::OutOfRange(gap) => return Err(Failure::wrong(outside(&gap))),
        }
    }
}
