//! Real servers for tests: what is there to start, where their files are kept, and what can go wrong.
//!
//! Every server listens on free ports of 127.0.0.1, keeps its data in a folder of its own under `target/services/run`,
//! and ends with whoever started it, however that one ended. The programs come from their registries by package name,
//! once, into `target/services`.

#[cfg(feature = "kinesis")]
pub mod faulty;
pub mod kafka;
pub mod kinesis_local;
mod ports;
mod process;
pub mod python;
mod stage;

pub use process::{Process, cpu};
pub use stage::{Scratch, folder};

/// Why a server is not there: what was being done, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An error of the operating system, with what was being done.
    pub(crate) fn io(doing: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self(format!("{doing}: {error}"))
    }
}

/// What starting, stopping and asking a server gives.
pub type Result<T = ()> = std::result::Result<T, Error>;
