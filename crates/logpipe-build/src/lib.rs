//! From schema files to Rust, at build time: what goes in is `schemas/`, what comes out is `generated/`.

pub mod catalog;
mod decimal;
pub mod diagnostic;
mod json;
pub mod source;
mod uri;
