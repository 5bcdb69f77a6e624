//! Which messages does the service know, and what does it do with them?

#[path = "../generated/mod.rs"]
#[rustfmt::skip]
mod generated;

pub use generated::*;
