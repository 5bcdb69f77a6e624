//! A consumer process of the bench: each handled record is a row, in a table that would take it twice.

use std::path::Path;
use std::sync::Arc;

use logpipe::store::sqlite::sqlx;
use logpipe::store::{Administration, Filter, Sqlite};
use logpipe::{Consumer, Cx, Error, Log, Result, Service, shutdown_signal};

use crate::database;
use crate::work::{Fate, Work};

/// The consumer's group.
pub const GROUP: &str = "torture";

/// Consumes until it is told to stop, or killed.
pub async fn run(dir: &Path, cured: bool) -> Result {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let log = Log::local(dir.join("log")).await?;
    let store = Sqlite::open(database(dir)).await?;
    let consumer = Consumer::with_store(log.source("work"), store)
        .group(GROUP)
        // Retries outlast a stopped process's lease, in a window that they don't fill: the lowest record of a lane then
        // still waits when a zombie wakes, and its position is still the zombie's.
        .set(|settings| {
            settings.retry.attempts = 3;
            settings.retry.first_delay_ms = 10_000;
            settings.retry.longest_delay_ms = 10_000;
            settings.window = 32_768;
        })
        .on_with(
            Arc::new(cured),
            async |cured: &Arc<bool>, work: Work, cx: &mut Cx<Sqlite>| {
                handle(**cured, work, cx).await
            },
        );
    let outcome = Service::new()
        .with(consumer)
        .run_until(shutdown_signal())
        .await?;
    match outcome.held.first() {
        None => Ok(()),
        Some(held) => Err(Error::msg(held)),
    }
}

/// Writes first and fails afterwards: what a failed attempt wrote must not survive it.
async fn handle(cured: bool, work: Work, cx: &mut Cx<Sqlite>) -> Result {
    let attempt = cx.attempt();
    sqlx::query("insert into effects (key, number, process) values (?, ?, ?)")
        .bind(&work.key)
        .bind(work.number)
        .bind(std::process::id())
        .execute(cx.tx())
        .await?;
    match Fate::of(&work) {
        Fate::Poison if !cured => Err(Error::msg("fails always")),
        Fate::FailsOnce if attempt == 1 && !cured => Err(Error::msg("fails once")),
        _ => Ok(()),
    }
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
