//! Does a consumer keep what it promises? On the log and the store in memory, in paused time.
//!
//! * `basics`: routing, policies, bounds, what a service refuses to start
//! * `batches`: one call for a run of records
//! * `ends`: when a consumer ends, and what it says of lanes that did not go on
//! * `group`: what the group says, in any order
//! * `losses`: what loses messages elsewhere, each a test
//! * `receipts`: a loop of one's own
//! * `sqlite`: effects in one transaction with the position
//! * `troubles`: what is no record's fault, and bounds
//! * `upgrades`: files of earlier versions
//! * `words`: what logs, health and errors say, and what they must not

mod basics;
mod batches;
mod ends;
#[cfg(feature = "sqlite")]
mod file;
mod group;
mod losses;
mod note;
mod receipts;
#[cfg(all(feature = "local", feature = "sqlite"))]
mod sqlite;
mod troubles;
#[cfg(all(feature = "local", feature = "sqlite"))]
mod upgrades;
mod words;
