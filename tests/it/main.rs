//! The root package's tests: what a user sees of the whole.
//!
//! * [`batch`]: a batch handler, as generated code gives it
//! * [`compiler`]: the compiler's words, one row for each mistake
//! * [`walk`]: a version that appears; stale output; nothing rebuilt for nothing
//! * [`breaking`]: a version that breaks, in three steps, and the old one goes
//! * [`service`]: the example service run as a user runs it
//! * [`readme`]: what README shows is what is there
//! * [`tidy`]: rules of the repository: crate boundaries, banners

mod batch;
mod breaking;
mod compiler;
mod project;
mod readme;
mod service;
mod tidy;
mod walk;
