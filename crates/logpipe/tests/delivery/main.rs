//! Does a consumer keep what it promises? On the log and the store in memory, in paused time.
//!
//! * `basics`: routing, policies, bounds, what a service refuses to start
//! * `losses`: what loses messages elsewhere, each a test

mod basics;
mod losses;
mod note;
