//! How a task runs a command: from the workspace's root, said out loud, and an error when it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a task ends with: the sentence to print.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Everything with the clients of both brokers. All commands name the same features, so that the native libraries are built
/// once.
pub const BROKERS: [&str; 2] = ["--features", "kafka,kinesis"];

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}

/// Cargo, in the workspace's root.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs it, with its output where ours goes.
pub fn run(command: &mut Command) -> Result {
    let line = line(command);
    eprintln!("\n$ {line}");
    let status = command
        .status()
        .map_err(|error| format!("`{line}` did not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{line}` failed: {status}"))
    }
}

/// Whether a tool answers.
pub fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={:?} ", name.to_str()?, value?.to_str()?)));
    let words = command
        .get_args()
        .map(|word| format!(" {}", word.to_string_lossy()));
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    format!(
        "{}{program}{}",
        variables.collect::<String>(),
        words.collect::<String>()
    )
}
