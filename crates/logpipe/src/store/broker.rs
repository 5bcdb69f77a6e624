//! The store of a consumer without a database: the log itself keeps the positions.

use std::time::Duration;

use super::{
    Claim, Commit, Guarantee, Held, LaneKey, ParkedCount, Reason, Redrive, Settlement, Store,
};
use crate::record::{Cursor, Position};
use crate::{Error, Result};

/// The log keeps the positions, and the position moves after handling: at least once. What is parked goes to a
/// dead-letter topic, for there is nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Broker;

/// The run time looks at [`Store::KEPT_BY_LOG`] and asks the source instead.
fn kept_by_log() -> Error {
    Error::permanent("positions lie in the log: ask the source, not the store")
}

impl Store for Broker {
    type Session = ();

    const KEPT_BY_LOG: bool = true;

    fn describe(&self) -> String {
        "the log's own positions".into()
    }

    fn identity(&self) -> Option<String> {
        None
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn claim(&self, _: &LaneKey, _: Option<&Cursor>) -> Result<Option<Claim>> {
        Err(kept_by_log())
    }

    async fn begin(&self, _: &Held) -> Result<()> {
        Ok(())
    }

    async fn mark(&self, (): &mut (), _: Option<Duration>) -> Result {
        Ok(())
    }

    async fn undo(&self, (): &mut ()) -> Result {
        Ok(())
    }

    async fn whole(&self, (): &mut ()) -> bool {
        true
    }

    async fn is_parked(&self, (): &mut (), _: &[u8]) -> Result<bool> {
        Ok(false)
    }

    async fn is_settled(&self, (): &mut (), _: &Position) -> Result<bool> {
        Ok(false)
    }

    async fn parked_count(&self, (): &mut (), _: Option<&[u8]>) -> Result<ParkedCount> {
        Ok(ParkedCount::default())
    }

    async fn settle(&self, (): &mut (), _: Settlement) -> Result {
        Ok(())
    }

    async fn commit(&self, (): ()) -> Commit {
        Commit::Done
    }

    async fn rollback(&self, (): ()) {}

    fn is_store_trouble(&self, _: &Error) -> bool {
        false
    }

    async fn begin_redrive(&self, _: &str, _: &[String]) -> Result<Option<((), Redrive)>> {
        Ok(None)
    }

    async fn redriven(&self, (): &mut (), _: &Redrive) -> Result {
        Err(kept_by_log())
    }

    async fn park_again(&self, (): &mut (), _: &Redrive, _: &Reason, _: u32) -> Result {
        Err(kept_by_log())
    }
}
