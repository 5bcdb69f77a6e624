//! The count: every record's effect exactly once, in the order of its key.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logpipe::record::{Cursor, Position};
use logpipe::source::{Budget, Fetched, LaneExtent, Opened};
use logpipe::store::sqlite::rusqlite::{Connection, OptionalExtension, params};
use logpipe::{Error, Log, Result};

use crate::chaos::{KILLS, Workers};
use crate::database;
use crate::work::Plan;
use crate::worker::{DEAD, GROUP};

/// Without progress for this long, what is missing will not come: longer than all retries of a record.
const STILL: Duration = Duration::from_secs(45);

/// Makes the table of effects: no unique key, so that a doubled effect is seen and not refused.
pub fn prepare(dir: &Path) -> Result {
    open(dir)?.execute_batch(
        "create table if not exists effects (key text not null, number integer not null, process integer, shard text)",
    )?;
    Ok(())
}

/// A connection to the database of effects.
pub fn open(dir: &Path) -> Result<Connection> {
    let connection = Connection::open(database(dir))?;
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

/// Rows of effects.
pub fn handled(dir: &Path) -> Result<u64> {
    count(dir, "select count(*) from effects")
}

fn count(dir: &Path, query: &str) -> Result<u64> {
    let count: i64 = open(dir)?.query_row(query, [], |row| row.get(0))?;
    Ok(count as u64)
}

/// A lane as a process had it when it was stopped.
pub struct Held {
    shard: String,
    epoch: i64,
    cursor: String,
    /// The newest effect, by its row.
    newest: i64,
}

/// The lanes in which this process wrote the last effect.
pub fn lanes_of(dir: &Path, process: u32) -> Result<Vec<Held>> {
    let connection = open(dir)?;
    let mut lanes = connection.prepare(
        "select lane.shard, lane.epoch, lane.cursor, (select max(rowid) from effects) as newest
         from logpipe_lanes lane
         where lane.topic = 'work' and ? =
             (select process from effects where shard = lane.shard order by rowid desc limit 1)",
    )?;
    let lanes = lanes.query_map([process], |row| {
        Ok(Held {
            shard: row.get("shard")?,
            epoch: row.get("epoch")?,
            cursor: row.get("cursor")?,
            newest: row.get("newest")?,
        })
    })?;
    Ok(lanes.collect::<std::result::Result<_, _>>()?)
}

/// In how many of these lanes another process has a later epoch and effects, and how many of those are where they were.
pub fn taken_since(dir: &Path, lanes: &[Held]) -> Result<(usize, usize)> {
    let connection = open(dir)?;
    let mut query = connection.prepare(
        "select cursor from logpipe_lanes lane where topic = 'work' and shard = ? and epoch > ?
             and exists (select 1 from effects where shard = lane.shard and effects.rowid > ?)",
    )?;
    let (mut taken, mut still) = (0, 0);
    for held in lanes {
        let found = query.query_row(params![held.shard, held.epoch, held.newest], |row| {
            row.get(0)
        });
        let cursor: Option<String> = found.optional()?;
        taken += usize::from(cursor.is_some());
        still += usize::from(cursor.is_some_and(|cursor| cursor == held.cursor));
    }
    Ok((taken, still))
}

/// Waits for this many effects.
pub async fn wait_for(dir: &Path, effects: u64, patience: Duration) -> Result {
    let deadline = Instant::now() + patience;
    while handled(dir)? < effects {
        if Instant::now() > deadline {
            return Err(Error::msg(format!(
                "fewer than {effects} effects after {} s",
                patience.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Waits for an effect of this process.
pub async fn wait_for_process(dir: &Path, process: u32, patience: Duration) -> Result {
    let deadline = Instant::now() + patience;
    let connection = open(dir)?;
    loop {
        let query = "select exists (select 1 from effects where process = ?)";
        let found: bool = connection.query_row(query, [process], |row| row.get(0))?;
        if found {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::msg(format!(
                "a worker that joined has handled nothing after {} s",
                patience.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until as many records have an effect as should, and as many are parked in the store; false when they never are.
pub async fn settled(dir: &Path, workers: &mut Workers, expected: u64, due: u64) -> Result<bool> {
    let (mut last, mut changed) = ((0, 0), Instant::now());
    loop {
        workers.check()?;
        // Where effects may be doubled, rows would say too early that all are there.
        let now = different(dir)?;
        let parked = parked(dir)?;
        if now >= expected && parked == due {
            return Ok(true);
        }
        if (now, parked) != last {
            (last, changed) = ((now, parked), Instant::now());
        }
        if changed.elapsed() > STILL {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Records that have an effect.
fn different(dir: &Path) -> Result<u64> {
    count(dir, "select count(distinct number) from effects")
}

/// The numbers of all records of a topic.
async fn numbers(log: &Log, topic: &str) -> Result<HashSet<i64>> {
    let budget = Budget {
        records: 1_000,
        bytes: 1 << 20,
    };
    let mut numbers = HashSet::new();
    for extent in log.backend().lanes(topic).await? {
        let Some(last) = extent.last.as_ref().and_then(Position::number) else {
            continue;
        };
        let opened = log.backend().read(&extent.lane, &Cursor::Start).await?;
        let Opened::Reader(mut reader) = opened else {
            return Err(Error::msg(format!("{} can't be read", extent.lane)));
        };
        let mut read = None;
        while read < Some(last) {
            let Fetched::Records(fetched) = reader.fetch(budget).await? else {
                return Err(Error::msg(format!(
                    "{} can't be read to its end",
                    extent.lane
                )));
            };
            for record in &fetched.records {
                // Behind the envelope's format lies its body.
                let value = record.value.as_deref().unwrap_or_default();
                let body = value.splitn(2, |byte| *byte == b':').last();
                let body: serde_json::Value = serde_json::from_slice(body.unwrap_or_default())?;
                numbers.extend(body["message"]["number"].as_i64());
            }
            if let Some(through) = fetched.through.as_ref().and_then(Position::number) {
                read = Some(through);
            }
            if read < Some(last) {
                reader.ready().await?;
            }
        }
    }
    Ok(numbers)
}

fn parked(dir: &Path) -> Result<u64> {
    count(dir, "select count(*) from logpipe_parked")
}

/// What is printed, and whether it is a pass.
pub struct Report<'a> {
    dir: PathBuf,
    plan: &'a Plan,
    lines: Vec<(String, String)>,
    passed: bool,
}

/// Departures from exactly once and in order.
#[derive(Debug, Default, PartialEq)]
struct Faults {
    missing: u64,
    doubled: u64,
    /// Handled although it should be parked.
    early: u64,
    out_of_order: u64,
}

impl<'a> Report<'a> {
    /// An empty one.
    pub async fn new(dir: &Path, plan: &'a Plan) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            plan,
            lines: Vec::new(),
            passed: true,
        })
    }

    /// Adds a line.
    pub fn line(&mut self, name: &str, text: &str) {
        self.lines.push((name.into(), text.into()));
    }

    /// What was done to the workers; too few kills inside the run is no pass.
    pub fn faults(&mut self, workers: &Workers, clean: bool) {
        for fault in &workers.happened {
            self.line("fault", fault);
        }
        if clean {
            let times = workers.happened.len() / 2;
            self.line(
                "rebalances",
                &format!("{times} joined, {times} ended by SIGTERM"),
            );
            return;
        }
        self.line(
            "kills",
            &format!(
                "{}, {} of them strictly inside the run",
                workers.kills, workers.inside
            ),
        );
        self.passed &= workers.kills == KILLS.len() && workers.inside >= workers.inside_at_least();
        if workers.vacuous > 0 {
            self.line(
                "stops",
                &format!(
                    "{} showed nothing: the process woke to lanes that nobody had worked on, or to other positions",
                    workers.vacuous
                ),
            );
        }
        self.passed &= workers.vacuous == 0;
    }

    /// Counts where the log keeps the positions; only who drained has promised not to handle a record twice.
    pub async fn only_pass(&mut self, log: &Log, settled: bool, clean: bool) -> Result {
        let mut faults = self.count(|number| !self.plan.is_parked(number))?;
        let parked = numbers(log, DEAD).await?;
        let due = self.plan.records() - self.plan.first_pass();
        let there = parked.iter().filter(|number| self.plan.is_parked(**number));
        let there = there.count() as u64;
        let others = parked.len() as u64 - there;
        self.line(
            "parked",
            &format!("{there} of {due} on the dead-letter topic, and {others} others"),
        );
        self.passed &= there == due && others == 0;
        self.positions(log).await?;
        if !clean {
            self.line(
                "again",
                &format!(
                    "{} handled more than once, as at least once allows",
                    faults.doubled
                ),
            );
            (faults.doubled, faults.out_of_order) = (0, 0);
        }
        self.verdict("at the end", settled, &faults);
        Ok(())
    }

    /// Everybody has drained: each position is the end of its lane.
    async fn positions(&mut self, log: &Log) -> Result {
        let saved = log.backend().saved(GROUP).await?;
        let (mut ends, mut others) = (0, 0);
        for LaneExtent { lane, last, .. } in log.backend().lanes("work").await? {
            let Some(last) = last else { continue };
            let end = (lane, Cursor::After(last));
            match saved.contains(&end) {
                true => ends += 1,
                false => others += 1,
            }
        }
        self.line(
            "positions",
            &format!("{ends} at the end of their lanes, {others} elsewhere"),
        );
        self.passed &= others == 0;
        Ok(())
    }

    /// Counts after the first pass.
    pub fn first_pass(&mut self, settled: bool) -> Result {
        let expected = |number| !self.plan.is_parked(number);
        let faults = self.count(expected)?;
        let parked = parked(&self.dir)?;
        let due = self.plan.records() - self.plan.first_pass();
        self.line(
            "parked",
            &format!("{parked} of {due}: poison, and what queues behind it"),
        );
        self.passed &= parked == due;
        self.verdict("first pass", settled, &faults);
        Ok(())
    }

    /// Counts after the cure.
    pub fn second_pass(&mut self, settled: bool) -> Result {
        let faults = self.count(|_| true)?;
        self.verdict("after cure", settled, &faults);
        Ok(())
    }

    fn verdict(&mut self, name: &str, settled: bool, faults: &Faults) {
        let Faults {
            missing,
            doubled,
            early,
            out_of_order,
        } = faults;
        let mut text = format!(
            "{missing} missing, {doubled} doubled, {early} not parked, {out_of_order} out of order"
        );
        if !settled {
            text.push_str("; it never came to rest");
        }
        self.line(name, &text);
        self.passed &= settled && *faults == Faults::default();
    }

    fn count(&self, expected: impl Fn(i64) -> bool) -> Result<Faults> {
        let connection = open(&self.dir)?;
        let mut effects = connection.prepare("select key, number from effects order by rowid")?;
        let mut effects = effects.query([])?;
        let mut faults = Faults::default();
        let mut times = HashMap::new();
        let mut newest = HashMap::new();
        while let Some(row) = effects.next()? {
            let (key, number): (String, i64) = row.try_into()?;
            *times.entry(number).or_insert(0_u64) += 1;
            let newest = newest.entry(key).or_insert(number);
            faults.out_of_order += u64::from(number < *newest);
            *newest = number.max(*newest);
        }
        for work in self.plan.works() {
            let count = times.get(&work.number).copied().unwrap_or(0);
            match expected(work.number) {
                true => {
                    faults.missing += u64::from(count == 0);
                    faults.doubled += u64::from(count > 1);
                }
                false => faults.early += u64::from(count > 0),
            }
        }
        Ok(faults)
    }

    /// Prints a table and a JSON line; returns whether all effects are as they should be.
    pub fn print(&self, planted: Option<&str>) -> bool {
        for (name, text) in &self.lines {
            println!("{name:<12}{text}");
        }
        let verdict = if self.passed { "passed" } else { "FAILED" };
        println!("{:<12}{verdict}", "verdict");
        let figures: serde_json::Map<_, _> = self
            .lines
            .iter()
            .filter(|(name, _)| name != "fault")
            .map(|(name, text)| (name.replace(' ', "_"), text.as_str().into()))
            .collect();
        println!(
            "{}",
            serde_json::json!({ "torture": figures, "planted": planted, "passed": self.passed })
        );
        self.passed
    }
}
