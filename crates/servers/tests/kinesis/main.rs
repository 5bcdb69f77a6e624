//! What holds on Kinesis: on the server in this process, with faults, and on the npm server that `cargo xtask test` starts.

/// The suite that every log has to pass.
mod contract;
