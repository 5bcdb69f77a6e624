//! The commands, a file each.

pub mod add;
pub mod check;
pub mod config;
pub mod generate;
pub mod list;
