//! The Kinesis server of npm's `kinesis-local`: a second opinion beside the server that tests run in their own process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, output};
use crate::stage::{self, Scratch};
use crate::{Error, Result, ports};

/// The version that tests run against.
pub const VERSION: &str = "0.6.2";
/// Where its streams are.
pub const REGION: &str = "us-east-1";

const PATIENCE: Duration = Duration::from_secs(60);

/// A Kinesis server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
    // Holds what the process prints.
    scratch: Scratch,
}

impl Server {
    /// Starts a server that has these streams, with as many shards each.
    ///
    /// # Errors
    /// When it can't be fetched, or is not ready in time.
    pub fn start(streams: &[(&str, u32)]) -> Result<Self> {
        let home = prepare()?;
        let scratch = Scratch::new("kinesis-local")?;
        let [port, tls] = ports::free()?;
        let streams: Vec<String> = streams
            .iter()
            .map(|(name, shards)| format!("{name}:{shards}:{REGION}"))
            .collect();
        let mut command = Command::new("node");
        command
            .arg("--require")
            .arg(home.join("loopback.js"))
            .arg("main.js")
            // It looks for its certificate and its settings beside it.
            .current_dir(home.join("node_modules/kinesis-local"))
            .env("KINESIS_MOCK_PLAIN_PORT", port.to_string())
            .env("KINESIS_MOCK_TLS_PORT", tls.to_string())
            .env("AWS_REGION", REGION)
            .env("SHARD_LIMIT", "500");
        if !streams.is_empty() {
            command.env("INITIALIZE_STREAMS", streams.join(","));
        }
        let mut process = Process::start("kinesis-local", &command, &scratch.path().join("log"))?;
        process.wait_for_port(port, PATIENCE)?;
        Ok(Self {
            process,
            port,
            scratch,
        })
    }

    /// What goes into `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What clients of any AWS service read from their environment; the keys are no secrets, the server takes any.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
        ]
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What the server prints.
    pub fn output(&self) -> PathBuf {
        self.scratch.path().join("log")
    }
}

/// Fetches the server, once; returns the folder that npm installed into.
///
/// # Errors
/// When npm is missing, or the download fails.
pub fn prepare() -> Result<PathBuf> {
    stage::prepared(&format!("kinesis-local-{VERSION}"), |partial| {
        eprintln!("fetching kinesis-local {VERSION} with npm, once");
        output(
            "fetching kinesis-local with `npm`",
            Command::new("npm")
                .args([
                    "install",
                    "--no-fund",
                    "--no-audit",
                    "--ignore-scripts",
                    "--prefix",
                ])
                .arg(partial)
                .arg(format!("kinesis-local@{VERSION}"))
                .current_dir(partial),
        )?;
        // Left to itself it listens on every address.
        fs::write(partial.join("loopback.js"), include_str!("loopback.js"))
            .map_err(Error::io("writing loopback.js"))
    })
}
