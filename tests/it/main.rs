//! The root package's tests: what a user sees of the whole.
//!
//! * [`compiler`]: the compiler's words, one row for each mistake
//! * [`walk`]: a version that appears, one that breaks, one that goes; stale output; nothing rebuilt for nothing
//! * [`service`]: the example service run as a user runs it
//! * [`tidy`]: rules of the repository: crate boundaries, banners, what README shows

mod compiler;
mod project;
mod service;
mod tidy;
mod walk;
