//! What does the real binary print, and how does it end? The commands, by what they are about:
//!
//! - `schemas`: add, check, generate, list
//! - `operations`: topics, tail, versions, lag, offsets, parked, on a real log and a real database
//! - `send`: send, and that it judges as generated code does
//! - `settings`: config
//! - `manners`: usage, closed pipes, colours, help

mod manners;
mod operations;
mod schemas;
mod send;
mod settings;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder in which the command is called.
struct Place {
    folder: TempDir,
}

/// What came of a call.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// The command, in an environment that says nothing to it.
    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logpipe"));
        command.env_clear().current_dir(self.path()).args(arguments);
        command
    }

    /// Calls it with words that are separated by spaces.
    fn run(&self, words: &str) -> Ended {
        Ended::from(self.command(words.split_whitespace()).output().unwrap())
    }

    /// Calls it where nobody reads what it prints, and expects it to end quietly.
    fn unread(&self, words: &str) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(words.split_whitespace());
        let ended = command.stdout(writer).output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(
            (ended.status.code(), told.as_ref()),
            (Some(0), ""),
            "logpipe {words}"
        );
    }

    /// Calls it and expects it to succeed.
    fn done(&self, words: &str) -> String {
        let ended = self.run(words);
        assert_eq!(ended.code, 0, "logpipe {words}\n{}", ended.stderr);
        ended.stdout
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
