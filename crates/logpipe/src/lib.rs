//! Typed, versioned messages over logs: the run time of logpipe.

pub mod clock;
mod error;
mod fault;
pub mod record;
pub mod sink;
pub mod source;
pub mod store;

pub use error::{Error, Result};
pub use store::{Broker, Store, Transactional};

/// Stands in until the codec brings the real one.
#[derive(Debug, thiserror::Error)]
#[error("{reason} at {path}")]
pub struct Invalid {
    /// Where.
    pub path: String,
    /// Why.
    pub reason: String,
}
