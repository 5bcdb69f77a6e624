//! The fault bench: kills, stops and aborts two consumer processes under load, then counts every effect.
//!
//! `cargo xtask torture` builds it with the fault points and runs it. A pass means that each record's effect is in the
//! database exactly once and in the order of its key, though the table has no unique key that could help. With `--plant`
//! a mistake is planted in the run time, and the bench must fail.

mod chaos;
mod verdict;
mod work;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use logpipe::{Log, Result, store};

use crate::work::Plan;

/// Kills, stops and aborts two consumer processes under load, then counts every effect.
#[derive(Parser)]
#[command(bin_name = "cargo xtask torture --")]
struct Arguments {
    /// Records to send.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Keys that they spread over.
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    /// Seconds over which they are sent.
    #[arg(long, default_value_t = 100)]
    seconds: u64,
    /// Seed of everything that is drawn: which records fail, when which process is killed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plant a mistake in the run time: the bench must then fail.
    #[arg(long, value_enum)]
    plant: Option<Mistake>,
    /// Keep log, database and the workers' output here.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Run as a consumer: what the bench starts, kills and stops.
    #[arg(long, hide = true)]
    worker: bool,
    /// As a consumer: the handler no longer fails.
    #[arg(long, hide = true)]
    cured: bool,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Mistake {
    /// The fence compares the position alone.
    NoEpoch,
    /// The position is written outside the transaction of the effects.
    PositionOutside,
}

impl Mistake {
    fn name(self) -> &'static str {
        match self {
            Self::NoEpoch => "no_epoch",
            Self::PositionOutside => "position_outside",
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.worker {
        let dir = arguments
            .dir
            .as_deref()
            .expect("the bench names the folder");
        worker::run(dir, arguments.cured).await.map(|()| true)
    } else {
        torture(&arguments).await
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::from(3)
        }
    }
}

/// One whole run; false when an effect is missing, doubled or out of order.
async fn torture(arguments: &Arguments) -> Result<bool> {
    let temporary = tempfile::tempdir()?;
    let dir = arguments.dir.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(dir)?;
    let plan = Plan::new(arguments.records, arguments.keys, arguments.seed);
    let log = Log::local(dir.join("log")).await?;
    let store = store::Sqlite::open(dir.join("app.db")).await?;
    verdict::prepare(dir).await?;

    let began = Instant::now();
    let planted = arguments.plant.map(Mistake::name);
    let workers = chaos::Workers::start(dir, planted)?;
    let sending = tokio::spawn(work::send(
        log,
        plan.clone(),
        Duration::from_secs(arguments.seconds),
    ));
    let mut workers = chaos::run(workers, dir, &plan, arguments.seed).await?;
    let sent = sending
        .await
        .map_err(|error| logpipe::Error::msg(format!("sending: {error}")))??;
    let settled = verdict::settled(dir, &plan, &mut workers, plan.first_pass()).await?;
    let mut report = verdict::Report::new(dir, &plan).await?;
    report.line(
        "sent",
        &format!(
            "{sent} records of {} keys in {} s",
            arguments.keys,
            began.elapsed().as_secs()
        ),
    );
    report.faults(&workers);
    report.first_pass(settled).await?;

    // The cure: handlers that no longer fail, and the order to run what is parked.
    let mut workers = workers.cure()?;
    worker::redrive(&store).await?;
    let settled = verdict::settled(dir, &plan, &mut workers, plan.records()).await?;
    workers.stop().await?;
    report.second_pass(settled).await?;
    Ok(report.print(planted))
}

/// The database of the workers' effects.
fn database(dir: &Path) -> PathBuf {
    dir.join("app.db")
}
