//! A consumer process of the bench: each handled record is a row, in a table that would take it twice.

use std::path::Path;
use std::sync::Arc;

use logpipe::record::LaneId;
use logpipe::store::sqlite::rusqlite::Connection;
use logpipe::store::{Administration, Filter, Sqlite};
use logpipe::{Consumer, Cx, Error, Result, Service, Store, shutdown_signal};
use tokio::sync::Mutex;

use crate::work::{Fate, Work};
use crate::{Arguments, Positions, database, verdict};

/// Where parked records go that no store keeps.
pub const DEAD: &str = "work.dead";

/// Writes an effect: a [`row`].
const EFFECT: &str = "insert into effects (key, number, process, shard) values (?, ?, ?, ?)";

/// The consumer's group.
pub const GROUP: &str = "torture";

/// Consumes until it is told to stop, or killed.
pub async fn run(dir: &Path, arguments: &Arguments) -> Result {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let log = arguments.setup.log(dir).await?;
    let service = match arguments.setup.positions {
        Positions::Store => {
            let store = Sqlite::open(database(dir)).await?;
            let consumer = Consumer::with_store(log.source("work"), store)
                // Retries outlast a stopped process's lease, in a window that they don't fill: the lowest record of a
                // lane then still waits when a zombie wakes, and its position is still the zombie's.
                .set(|settings| {
                    settings.retry.attempts = 3;
                    settings.retry.first_delay_ms = 10_000;
                    settings.retry.longest_delay_ms = 10_000;
                    settings.window = 32_768;
                })
                .on_with(
                    Arc::new(arguments.cured),
                    async |cured: &Arc<bool>, work: Work, cx: &mut Cx<Sqlite>| {
                        handle(**cured, work, cx).await
                    },
                );
            Service::new().with(named(consumer, arguments))
        }
        Positions::Broker => {
            let effects = Arc::new(Mutex::new(verdict::open(dir)?));
            let consumer =
                Consumer::new(log.source("work"))
                    // Whoever drains waits for its retries: without a store only what is below the lowest of them is kept.
                    .set(|settings| {
                        settings.retry.attempts = 3;
                        settings.retry.first_delay_ms = 100;
                    })
                    .dead_letter(DEAD)
                    .on_with(
                        effects,
                        async |effects: &Arc<Mutex<Connection>>, work: Work, cx: &mut Cx| {
                            match Fate::of(&work) {
                                Fate::Poison => Err(Error::msg("fails always")),
                                Fate::FailsOnce if cx.attempt() == 1 => {
                                    Err(Error::msg("fails once"))
                                }
                                _ => {
                                    let effects = effects.lock().await;
                                    effects.execute(EFFECT, row(&work, cx.lane()))?;
                                    Ok(())
                                }
                            }
                        },
                    );
            Service::new().with(named(consumer, arguments))
        }
    };
    let outcome = service.run_until(shutdown_signal()).await?;
    match outcome.held.first() {
        None => Ok(()),
        Some(held) => Err(Error::msg(held)),
    }
}

fn named<S: Store>(consumer: Consumer<S>, arguments: &Arguments) -> Consumer<S> {
    let consumer = consumer.group(GROUP);
    match &arguments.instance {
        Some(instance) => consumer.instance_id(instance),
        None => consumer,
    }
}

/// Writes first and fails afterwards: what a failed attempt wrote must not survive it.
async fn handle(cured: bool, work: Work, cx: &mut Cx<Sqlite>) -> Result {
    let attempt = cx.attempt();
    let lane = cx.lane().clone();
    cx.tx().execute(EFFECT, row(&work, &lane))?;
    match Fate::of(&work) {
        Fate::Poison if !cured => Err(Error::msg("fails always")),
        Fate::FailsOnce if attempt == 1 && !cured => Err(Error::msg("fails once")),
        _ => Ok(()),
    }
}

/// A row for the effect; it names the process and the lane, so that it shows who has which.
fn row<'a>(work: &'a Work, lane: &'a LaneId) -> (&'a str, i64, u32, &'a str) {
    (&work.key, work.number, std::process::id(), lane.shard())
}

/// Orders everything that is parked to be handled again.
pub async fn redrive(store: &Sqlite) -> Result {
    store
        .redrive(&Filter {
            consumer: Some(GROUP.into()),
            ..Filter::default()
        })
        .await?;
    Ok(())
}
