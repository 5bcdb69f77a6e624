//! How the tests run the script that is the django-logpipe side.

use std::io::Write;
use std::process::{Command, Stdio};

use logpipe_servers::python;
use serde_json::Value;
use tempfile::TempDir;

/// The script with one backend and one format.
pub struct Python {
    program: std::path::PathBuf,
    backend: &'static str,
    format: &'static str,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Python {
    /// Prepares it; `environment` says where the server is.
    pub fn new(
        backend: &'static str,
        format: &'static str,
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        Self {
            program: python::prepare().unwrap(),
            backend,
            format,
            environment: environment.into_iter().collect(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Sends people and returns the lane of each.
    pub fn send(&self, topic: &str, people: &[Value]) -> Vec<String> {
        let lines: String = people.iter().map(|person| format!("{person}\n")).collect();
        self.run(&["send", topic], &lines)
            .iter()
            .map(|sent| sent["lane"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Receives so many records.
    pub fn receive(&self, topic: &str, count: usize) -> Vec<Value> {
        self.run(&["receive", topic, &count.to_string()], "")
    }

    /// Waits until there is such a stream.
    pub fn wait_for(&self, topic: &str) {
        self.run(&["send", topic], "");
    }

    fn run(&self, arguments: &[&str], input: &str) -> Vec<Value> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/exchange.py");
        let mut child = Command::new(&self.program)
            .args([script, self.backend, self.format])
            .arg(self.folder.path().join("django.db"))
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Less than a pipe holds, so writing all of it first can't block.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "exchange.py {arguments:?}: {}",
            output.status
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
