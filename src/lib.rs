//! Which messages does the service know, and what does it do with them?

pub mod handlers;
pub mod inspect;
pub mod journal;
pub mod orders;
pub mod samples;
pub mod upcasts;

use logpipe::store::Sqlite;
use logpipe::{Consumer, Log};

#[path = "../generated/mod.rs"]
#[rustfmt::skip]
mod generated;

pub use generated::*;

/// The names that `--only` takes: the consumers' groups.
pub const GROUPS: [&str; 2] = [handlers::GROUP, orders::GROUP];

/// The consumers, by their names.
pub fn consumers(log: &Log, store: &Sqlite) -> [(&'static str, Consumer<Sqlite>); 2] {
    [
        (handlers::GROUP, handlers::consumer(log, store.clone())),
        (orders::GROUP, orders::consumer(log, store.clone())),
    ]
}
