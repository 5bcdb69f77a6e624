//! The fault bench: kills, stops and aborts two consumer processes under load, then counts every effect.
//!
//! `cargo xtask torture` builds it with the fault points and runs it. A pass means that each record's effect is in the
//! database exactly once and in the order of its key, though the table has no unique key that could help. With `--plant`
//! a mistake is planted in the run time, and the bench must fail.
//!
//! With `--positions broker` the log keeps the positions, and poison goes to a dead-letter topic: a kill may then double
//! effects and must lose none, every poison has to be on that topic, and with `--clean`, where every process drains before
//! it goes, no effect may be doubled either.

mod chaos;
mod verdict;
mod work;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use logpipe::{Error, Log, Result, store};

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
    /// Seconds over which they are sent: 100, or 240 on Kafka, where a group waits for members that were killed.
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of everything that is drawn: which records fail, when which process is killed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plant a mistake in the run time: the bench must then fail.
    #[arg(long, value_enum)]
    plant: Option<Mistake>,
    /// Break nothing: ten processes join, one after the other, and each time another one is told to end.
    #[arg(long)]
    clean: bool,
    /// Keep log, database and the workers' output here.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    setup: Setup,
    /// Run as a consumer: what the bench starts, kills and stops.
    #[arg(long, hide = true)]
    worker: bool,
    /// As a consumer: the handler no longer fails.
    #[arg(long, hide = true)]
    cured: bool,
    /// As a consumer: the name under which it comes back after a kill, where the log knows such names.
    #[arg(long, hide = true)]
    instance: Option<String>,
}

/// What is tortured: the same for the bench and its workers.
#[derive(Clone, clap::Args)]
struct Setup {
    /// The log.
    #[arg(long, value_enum, default_value = "local")]
    backend: Backend,
    /// Who keeps the positions: the store of the effects, with exactly once, or the log, with at least once.
    #[arg(long, value_enum, default_value = "store")]
    positions: Positions,
    /// Where Kafka is; `cargo xtask torture` starts one.
    #[arg(long, env = "LOGPIPE_TEST_KAFKA", value_name = "HOST:PORT")]
    bootstrap: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    Local,
    Kafka,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Positions {
    Store,
    Broker,
}

impl Setup {
    async fn log(&self, dir: &Path) -> Result<Log> {
        match (self.backend, &self.bootstrap) {
            (Backend::Local, _) => Log::local(dir.join("log")).await,
            #[cfg(feature = "kafka")]
            (Backend::Kafka, Some(bootstrap)) => Log::kafka(bootstrap),
            (Backend::Kafka, _) => Err(Error::msg(
                "Kafka is started and named by `cargo xtask torture --backend kafka`",
            )),
        }
    }

    /// As a worker's arguments.
    fn arguments(&self) -> Vec<String> {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let mut arguments = vec![
            "--backend".into(),
            name(self.backend.to_possible_value()),
            "--positions".into(),
            name(self.positions.to_possible_value()),
        ];
        if let Some(bootstrap) = &self.bootstrap {
            arguments.extend(["--bootstrap".into(), bootstrap.clone()]);
        }
        arguments
    }
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
        worker::run(dir, &arguments).await.map(|()| true)
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
    let setup = &arguments.setup;
    // Without a store nobody knows the keys of what is parked, which is in another topic then.
    let in_store = setup.positions == Positions::Store;
    let plan = Plan::new(arguments.records, arguments.keys, arguments.seed, in_store);
    let log = setup.log(dir).await?;
    let store = store::Sqlite::open(dir.join("app.db")).await?;
    verdict::prepare(dir)?;
    let seconds = arguments.seconds.unwrap_or(match setup.backend {
        Backend::Local => 100,
        Backend::Kafka => 240,
    });

    let began = Instant::now();
    let planted = arguments.plant.map(Mistake::name);
    // Opened before anybody consumes: it makes the topic.
    let producer = log.producer("work").await?;
    let workers = chaos::Workers::start(dir, setup.clone(), arguments.clean, planted)?;
    let sending = tokio::spawn(work::send(
        producer,
        plan.clone(),
        Duration::from_secs(seconds),
    ));
    let mut workers = match (arguments.clean, setup.positions) {
        (true, _) => chaos::come_and_go(workers, dir).await?,
        (false, Positions::Store) => {
            chaos::run(workers, dir, &plan, arguments.seed, &chaos::FAULTS).await?
        }
        (false, Positions::Broker) => {
            chaos::run(workers, dir, &plan, arguments.seed, &chaos::KILLS).await?
        }
    };
    let sent = sending
        .await
        .map_err(|error| Error::msg(format!("sending: {error}")))??;
    let first_pass = plan.first_pass();
    let parked = match in_store {
        true => plan.records() - first_pass,
        false => 0,
    };
    let settled = verdict::settled(dir, &mut workers, first_pass, parked).await?;
    let mut report = verdict::Report::new(dir, &plan).await?;
    report.line(
        "sent",
        &format!(
            "{sent} records of {} keys in {} s",
            arguments.keys,
            began.elapsed().as_secs()
        ),
    );
    report.faults(&workers, arguments.clean);
    if !in_store {
        // What is handled again is handled, and the last poison parked, before everybody has drained.
        workers.stop().await?;
        report.only_pass(&log, settled, arguments.clean).await?;
        return Ok(report.print(planted));
    }
    report.first_pass(settled)?;

    // The cure: handlers that no longer fail, and the order to run what is parked.
    let mut workers = workers.cure()?;
    worker::redrive(&store).await?;
    let settled = verdict::settled(dir, &mut workers, plan.records(), 0).await?;
    workers.stop().await?;
    report.second_pass(settled)?;
    Ok(report.print(planted))
}

/// The database of the workers' effects.
fn database(dir: &Path) -> PathBuf {
    dir.join("app.db")
}
