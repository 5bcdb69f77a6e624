//! What holds on a real Apache Kafka. `cargo xtask test` starts one and runs this.

/// The broker that the others rely on: stopped, started again, set back, asked for a login.
mod broker;
/// The suite that every log passes.
mod conformance;
/// Ends: idle, after so many records, on a signal, with a rebalance in the middle.
mod ends;
/// Logs that do not go on where a consumer stands.
mod gaps;
/// A database that others hold.
mod locked;
/// What can't be handled, where the broker alone keeps the position.
mod parks;
/// What is read of transactions, of partitions that come later, by slow handlers.
mod reads;
/// What tests of consumers share, on any log.
#[path = "../support/mod.rs"]
mod shared;
/// What they share here.
mod support;
/// Brokers that are away, refuse or do not exist.
mod troubles;
/// Records that are not acknowledged.
mod writes;
