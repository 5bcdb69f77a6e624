//! Help for tests: the application's own service on a log in memory, and the suite that every log has to pass.

pub mod conformance;
mod pipe;

pub use self::pipe::{Assert, TestPipe};
