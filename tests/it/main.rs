//! The root package's tests: what a user sees of the whole.
//!
//! * [`compiler`]: the compiler's words, one row for each mistake
//! * [`walk`]: a version that appears; stale output; nothing rebuilt for nothing
//! * [`breaking`]: a version that breaks, in three steps, and the old one goes
//! * [`service`]: the example service run as a user runs it
//! * [`tidy`]: rules of the repository: crate boundaries, banners, what README shows

mod breaking;
mod compiler;
mod project;
mod service;
mod tidy;
mod walk;
