//! From schema files to Rust, at build time: what goes in is `schemas/`, what comes out is `generated/`.

pub mod catalog;
mod decimal;
pub mod diagnostic;
mod dialect;
mod discover;
mod json;
mod lower;
pub mod name;
pub mod read;
mod refs;
pub mod source;
mod uri;
