//! Help for tests: the suite that every log has to pass.

pub mod conformance;
