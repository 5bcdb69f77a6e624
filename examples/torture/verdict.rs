//! The count: every record's effect exactly once, in the order of its key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logpipe::store::sqlite::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use logpipe::store::sqlite::sqlx::{self, Connection};
use logpipe::{Error, Result};

use crate::chaos::Workers;
use crate::database;
use crate::work::Plan;

/// Without progress for this long, what is missing will not come: longer than all retries of a record.
const STILL: Duration = Duration::from_secs(45);

/// Makes the table of effects: no unique key, so that a doubled effect is seen and not refused.
pub async fn prepare(dir: &Path) -> Result {
    let mut connection = open(dir).await?;
    sqlx::query("create table if not exists effects (key text not null, number integer not null, process integer)")
        .execute(&mut connection)
        .await?;
    Ok(())
}

/// A connection to the database of effects.
pub async fn open(dir: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(database(dir))
        .busy_timeout(Duration::from_secs(30));
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Rows of effects.
pub async fn handled(dir: &Path) -> Result<u64> {
    let mut connection = open(dir).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from effects")
        .fetch_one(&mut connection)
        .await?;
    Ok(count as u64)
}

/// Waits for this many effects.
pub async fn wait_for(dir: &Path, effects: u64, patience: Duration) -> Result {
    let deadline = Instant::now() + patience;
    while handled(dir).await? < effects {
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
    let mut connection = open(dir).await?;
    loop {
        let found: bool =
            sqlx::query_scalar("select exists (select 1 from effects where process = ?)")
                .bind(process)
                .fetch_one(&mut connection)
                .await?;
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

/// Waits until as many records have an effect as should, and nothing more comes; false when they never do.
pub async fn settled(
    dir: &Path,
    plan: &Plan,
    workers: &mut Workers,
    expected: u64,
) -> Result<bool> {
    let (mut last, mut changed) = ((0, 0), Instant::now());
    loop {
        workers.check()?;
        let now = handled(dir).await?;
        let parked = parked(dir).await?;
        if now >= expected && parked == plan.records() - expected {
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

async fn parked(dir: &Path) -> Result<u64> {
    let mut connection = open(dir).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from logpipe_parked")
        .fetch_one(&mut connection)
        .await?;
    Ok(count as u64)
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
            &format!("{} strictly inside the run", workers.inside),
        );
        self.passed &= workers.inside >= 8;
    }

    /// Counts where the log keeps the positions; only who drained has promised not to handle a record twice.
    pub async fn only_pass(&mut self, settled: bool, clean: bool) -> Result {
        let mut faults = self.count(|_| true).await?;
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

    /// Counts after the first pass.
    pub async fn first_pass(&mut self, settled: bool) -> Result {
        let expected = |number| !self.plan.is_parked(number);
        let faults = self.count(expected).await?;
        let parked = parked(&self.dir).await?;
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
    pub async fn second_pass(&mut self, settled: bool) -> Result {
        let faults = self.count(|_| true).await?;
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

    async fn count(&self, expected: impl Fn(i64) -> bool) -> Result<Faults> {
        let mut connection = open(&self.dir).await?;
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select key, number from effects order by rowid")
                .fetch_all(&mut connection)
                .await?;
        let mut faults = Faults::default();
        let mut times = HashMap::new();
        let mut newest = HashMap::new();
        for (key, number) in rows {
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
