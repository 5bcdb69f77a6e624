//! `logpipe send`: how does a message get into a topic by hand, or a file of them?

use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal, Read, stdin};
use std::thread;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use logpipe::config::Config;
use logpipe::sink::{NewRecord, SendError, Sent, Sink};
use logpipe::{Format, Invalid};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Output};
use crate::typed::Schema;
use crate::{Shared, log, progress};

/// Sends messages, one JSON object a line of standard input, each checked against its schema first.
///
/// They are written as the project's own producers write them: in the schema's order and spelling, with the key that the
/// schema names, in the format that `producer.format` says. At the first line that can't be sent it ends: with 1, the line's
/// number, the path within the message and the rule. Lines before it are sent.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  logpipe send nouns --type thing --dry-run < things.jsonl    # checks every line, sends none
  logpipe send nouns --type person --version 2 < people.jsonl
  logpipe send orders --type order --key-field customer < orders.jsonl")]
pub struct Arguments {
    /// The topic.
    topic: String,
    /// The type of the messages, as schemas/ names it.
    #[arg(long = "type", value_name = "TYPE")]
    message_type: String,
    /// Their version. A type with one version needs none.
    #[arg(long)]
    version: Option<u32>,
    /// Takes the key from this member, in place of the one that the schema names.
    #[arg(long, value_name = "MEMBER")]
    key_field: Option<String>,
    /// Sends nothing: says how many lines may be sent, and what is wrong with the others.
    #[arg(long)]
    dry_run: bool,
    /// Makes the topic where it is missing and the log makes topics on first use.
    #[arg(long)]
    create: bool,
}

/// A longer line is no message.
const LINE_BYTES: u64 = 64 << 20;
/// Lines that are read ahead of the log.
const LINES_AHEAD: usize = 1_000;
/// Batches that may wait for their acknowledgement at the same time.
const BATCHES_IN_FLIGHT: usize = 4;
/// Wrong lines that a dry run names one by one.
const WRONG_SHOWN: u64 = 20;

pub async fn run(arguments: Arguments, shared: &Shared, output: &mut Output) -> Outcome {
    let settings = shared.settings()?.config;
    let mut schema = Schema::find(&arguments.message_type, arguments.version)?;
    if let Some(member) = &arguments.key_field {
        schema = schema.keyed_by(member)?;
    }
    let sealer = Sealer {
        schema,
        format: settings.producer.format.codec().map_err(Failure::usage)?,
        producer_id: settings.producer.id.clone(),
    };
    if stdin().is_terminal() {
        output::note("one JSON object a line; Ctrl-D ends");
    }
    if arguments.dry_run {
        return dry_run(sealer, output).await;
    }
    let sink = sink(&arguments, &settings).await?;
    let told = send(sealer, &*sink).await;
    sink.flush().await?;
    let done = told.failed.is_empty() && told.wrong.is_none();
    match (output.is_json(), done) {
        (true, _) => output.json(&told.figures(&arguments.topic))?,
        (false, true) => output.line(&format!(
            "{} sent to {}",
            output::count(told.sent, "message"),
            arguments.topic
        ))?,
        (false, false) => {}
    }
    output.flush()?;
    told.outcome()
}

/// Opens the topic. One that is not there is a slip of the pen, unless somebody says that it is not.
async fn sink(arguments: &Arguments, settings: &Config) -> Outcome<Box<dyn Sink>> {
    let log = log::opened(settings, arguments.create).await?;
    if !arguments.create {
        log::expect_topic(&*log, &arguments.topic).await?;
    }
    Ok(log.sink(&arguments.topic).await?)
}

/// Turns lines into records.
struct Sealer {
    schema: Schema,
    format: Format,
    producer_id: String,
}

/// A line that was read: its number, and the record that it is.
type Line = (u64, Result<NewRecord, Wrong>);

/// Why a line is no record.
enum Wrong {
    Unreadable(String),
    Invalid(Invalid),
}

impl Sealer {
    fn seal(&self, line: &[u8]) -> Result<NewRecord, Wrong> {
        let text = std::str::from_utf8(line)
            .map_err(|_| Wrong::Unreadable("the line is not UTF-8 text".into()))?;
        let sealed = self.schema.seal(text, self.format, &self.producer_id);
        let sealed = sealed.map_err(Wrong::Invalid)?;
        Ok(NewRecord {
            key: sealed.key.map(Into::into),
            headers: Vec::new(),
            value: Some(sealed.value.into()),
            timestamp: None,
        })
    }

    /// Reads standard input to its end on a thread of its own, for reading blocks. Empty lines are none.
    fn read(self) -> mpsc::Receiver<Line> {
        let (send, receive) = mpsc::channel(LINES_AHEAD);
        thread::spawn(move || {
            let mut input = stdin().lock();
            let mut number = 0;
            let mut line = Vec::new();
            loop {
                number += 1;
                line.clear();
                let record = match input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
                    Ok(0) => return,
                    Ok(_) if line.trim_ascii().is_empty() => continue,
                    Ok(_) if line.len() as u64 == LINE_BYTES => {
                        Err(Wrong::Unreadable("the line is longer than 64 MiB".into()))
                    }
                    Ok(_) => self.seal(&line),
                    Err(error) => Err(Wrong::Unreadable(format!("can't be read: {error}"))),
                };
                let is_last = matches!(record, Err(Wrong::Unreadable(_)));
                // Nobody listens where the command has ended.
                if send.blocking_send((number, record)).is_err() || is_last {
                    return;
                }
            }
        });
        receive
    }

    fn name(&self) -> String {
        self.schema.name()
    }
}

/// Checks every line.
async fn dry_run(sealer: Sealer, output: &mut Output) -> Outcome {
    #[derive(Serialize)]
    struct Checked {
        valid: u64,
        wrong: u64,
    }
    let name = sealer.name();
    let mut lines = sealer.read();
    let bar = progress::bar(None, "lines");
    let mut checked = Checked { valid: 0, wrong: 0 };
    while let Some((number, record)) = lines.recv().await {
        bar.inc(1);
        let Err(wrong) = record else {
            checked.valid += 1;
            continue;
        };
        checked.wrong += 1;
        if output.is_json() {
            output.json(&wrong.row(number))?;
        } else if checked.wrong <= WRONG_SHOWN {
            bar.suspend(|| output::note(&wrong.of_line(number)));
        }
    }
    bar.finish_and_clear();
    if output.is_json() {
        output.json(&checked)?;
    } else {
        let valid = usize::try_from(checked.valid).unwrap_or(usize::MAX);
        output.line(&format!(
            "{} of {name} may be sent; nothing was",
            output::count(valid, "message")
        ))?;
    }
    output.flush()?;
    match checked.wrong {
        0 => Ok(()),
        1 => Err(Failure::wrong("1 line is wrong")),
        wrong => Err(Failure::wrong(format!("{wrong} lines are wrong"))),
    }
}

/// What became of the lines.
#[derive(Default)]
struct Told {
    sent: usize,
    failed: VecDeque<(u64, SendError)>,
    wrong: Option<(u64, Wrong)>,
}

type Batch = (Vec<u64>, BoxFuture<'static, Vec<Result<Sent, SendError>>>);

/// Sends until a line is wrong or the log refuses one. What was handed over by then has its result.
async fn send(sealer: Sealer, sink: &dyn Sink) -> Told {
    let mut lines = sealer.read();
    let bar = progress::bar(None, "messages");
    let mut told = Told::default();
    let mut in_flight = FuturesOrdered::new();
    let mut batch = Vec::new();
    while told.failed.is_empty() && told.wrong.is_none() {
        batch.clear();
        let is_full = in_flight.len() >= BATCHES_IN_FLIGHT;
        tokio::select! {
            biased;
            Some(results) = in_flight.next() => told.add(results, &bar),
            read = lines.recv_many(&mut batch, LINES_AHEAD), if !is_full => {
                if read == 0 {
                    break;
                }
                let (numbers, results) = hand_over(&mut batch, sink, &mut told);
                in_flight.push_back(async move { (numbers, results.await) });
            }
        }
    }
    while let Some(results) = in_flight.next().await {
        told.add(results, &bar);
    }
    bar.finish_and_clear();
    told
}

/// The lines in front of the first wrong one.
fn hand_over(lines: &mut Vec<Line>, sink: &dyn Sink, told: &mut Told) -> Batch {
    let mut numbers = Vec::new();
    let mut records = Vec::new();
    for (number, record) in lines.drain(..) {
        match record {
            Ok(record) => {
                numbers.push(number);
                records.push(record);
            }
            Err(wrong) => {
                told.wrong = Some((number, wrong));
                break;
            }
        }
    }
    (numbers, sink.send(records))
}

impl Told {
    fn add(
        &mut self,
        (numbers, results): (Vec<u64>, Vec<Result<Sent, SendError>>),
        bar: &indicatif::ProgressBar,
    ) {
        for (number, result) in numbers.into_iter().zip(results) {
            match result {
                Ok(_) => self.sent += 1,
                Err(error) => self.failed.push_back((number, error)),
            }
        }
        bar.set_position(self.sent as u64);
    }

    fn figures(&self, topic: &str) -> impl Serialize + use<> {
        serde_json::json!({ "topic": topic, "sent": self.sent, "failed": self.failed.len() })
    }

    fn outcome(mut self) -> Outcome {
        let before = output::count(self.sent, "message");
        if let Some((number, error)) = self.failed.pop_front() {
            let why = format!("line {number}: {error}");
            output::note(&why);
            for (number, error) in self.failed.iter().take(WRONG_SHOWN as usize) {
                output::note(&format!("line {number}: {error}"));
            }
            let summary = format!(
                "{before} sent, {} not",
                output::count(self.failed.len() + 1, "message")
            );
            return Err(match error {
                SendError::NotWritten(error) | SendError::MaybeWritten(error)
                    if error.is_unavailable() =>
                {
                    Failure::Unreachable(summary)
                }
                _ => Failure::Wrong(summary),
            });
        }
        match self.wrong {
            Some((number, wrong)) => Err(Failure::wrong(format!(
                "{}\n{before} sent; this line and what follows were not",
                wrong.of_line(number)
            ))),
            None => Ok(()),
        }
    }
}

impl Wrong {
    fn row(&self, line: u64) -> impl Serialize {
        let (path, reason) = match self {
            Self::Unreadable(why) => ("", why.as_str()),
            Self::Invalid(invalid) => (invalid.path.as_str(), invalid.reason.as_str()),
        };
        serde_json::json!({ "line": line, "path": path, "reason": reason })
    }

    fn of_line(&self, number: u64) -> String {
        match self {
            Self::Unreadable(why) => format!("line {number}: {why}"),
            Self::Invalid(invalid) if invalid.path.is_empty() => {
                format!("line {number}: {}", invalid.reason)
            }
            Self::Invalid(invalid) => {
                format!("line {number}: {}: {}", invalid.path, invalid.reason)
            }
        }
    }
}
