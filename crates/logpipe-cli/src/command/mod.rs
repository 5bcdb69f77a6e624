//! The commands, a file each.

pub mod add;
pub mod check;
pub mod completions;
pub mod config;
pub mod generate;
pub mod lag;
pub mod list;
pub mod new;
pub mod offsets;
pub mod parked;
pub mod send;
pub mod tail;
pub mod topics;
pub mod versions;
