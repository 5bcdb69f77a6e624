//! A server's process: it ends with whoever started it, also when that one is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Becomes the server, after it has left a guard behind. The guard reads a pipe whose other end we hold: when we are gone,
/// it reads the end of it and kills the server; a word that we write before the server is reaped sends it home instead, so
/// that it can never hit a process that got the server's id later.
const LEASH: &str = r#"
exec 3<&0
( read -r word <&3; [ "$word" = home ] || kill -9 $$ ) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"#;

/// A running server.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    leash: Option<ChildStdin>,
    output: PathBuf,
    /// Where this process's part of the output begins.
    began: u64,
}

impl Process {
    /// Starts a program; what it prints is appended to `output`. Only program, arguments, variables and folder of the command
    /// are used.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &'static str, command: &Command, output: &Path) -> Result<Self> {
        let failed = |error| Error::io(format_args!("starting {name}"))(error);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(output)
            .map_err(failed)?;
        let began = log.metadata().map_err(failed)?.len();
        let mut leashed = Command::new("sh");
        leashed
            .args(["-c", LEASH, "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            // Ctrl-C in a terminal is for whoever started us, and what it means for the server follows from that.
            .process_group(0);
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => leashed.env(key, value),
                None => leashed.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            leashed.current_dir(folder);
        }
        let mut child = leashed.spawn().map_err(failed)?;
        Ok(Self {
            name,
            leash: child.stdin.take(),
            child,
            output: output.to_owned(),
            began,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has printed this.
    ///
    /// # Errors
    /// When it ends before, or takes longer: with the end of its output.
    pub fn wait_for(&mut self, words: &str, patience: Duration) -> Result {
        self.wait_until(patience, |server| Ok(server.printed()?.contains(words)))
    }

    /// Waits until it listens on this port of 127.0.0.1.
    ///
    /// # Errors
    /// When it ends before, or takes longer: with the end of its output.
    pub fn wait_for_port(&mut self, port: u16, patience: Duration) -> Result {
        self.wait_until(patience, |_| {
            Ok(TcpStream::connect(("127.0.0.1", port)).is_ok())
        })
    }

    fn wait_until(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut(&Self) -> Result<bool>,
    ) -> Result {
        let deadline = Instant::now() + patience;
        loop {
            if ready(self)? {
                return Ok(());
            }
            if let Some(status) = self.ended()? {
                return Err(self.complaint(&format!("ended at once ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.complaint(&format!("was not ready in {} s", patience.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it printed so far.
    fn printed(&self) -> Result<String> {
        let failed = |error| Error::io(format_args!("reading {}", self.output.display()))(error);
        let mut file = File::open(&self.output).map_err(failed)?;
        file.seek(SeekFrom::Start(self.began)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn complaint(&self, what: &str) -> Error {
        let printed = self.printed().unwrap_or_default();
        let lines: Vec<&str> = printed.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n");
        Error::new(format!(
            "{} {what}; the last that it said:\n{last}",
            self.name
        ))
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self
            .child
            .try_wait()
            .map_err(Error::io(format_args!("waiting for {}", self.name)))?;
        if status.is_some() {
            self.send_guard_home();
        }
        Ok(status)
    }

    fn send_guard_home(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            // A guard that is gone needs no word.
            let _ = leash.write_all(b"home\n");
        }
    }

    /// Sends a signal by its name, such as `TERM`, `STOP` or `CONT`.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn signal(&self, name: &str) -> Result {
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.id()))
            .stderr(Stdio::null())
            .status()
            .map_err(Error::io("running `kill`"))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::new(format!("{} runs no longer", self.name)))
        }
    }

    /// SIGTERM and the wait for its end; SIGKILL when it takes longer than `patience`.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn stop(mut self, patience: Duration) -> Result {
        self.signal("TERM")?;
        let deadline = Instant::now() + patience;
        while self.ended()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// User and system time that it has used.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(&self.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed, guard sent home, reaped: in this order the guard never sees another's process under this id.
        let _ = self.child.kill();
        self.send_guard_home();
        let _ = self.child.wait();
    }
}

/// User and system time of a process of `/proc`: an id, or `self`.
///
/// # Errors
/// When it can't be read.
pub fn cpu(process: &str) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).map_err(Error::io(format_args!("reading {path}")))?;
    // The name in parentheses may hold anything; fields 14 and 15 are the 12th and 13th behind it, in ticks of 1/100 s.
    stat.rsplit_once(") ")
        .and_then(|(_, rest)| {
            let mut fields = rest.split(' ').skip(11);
            let user: u64 = fields.next()?.parse().ok()?;
            let system: u64 = fields.next()?.parse().ok()?;
            Some(Duration::from_millis((user + system) * 10))
        })
        .ok_or_else(|| Error::new(format!("{path} is not as proc(5) says")))
}

/// Runs a tool to its end; an error carries the end of what it printed.
pub fn output(doing: &str, command: &mut Command) -> Result {
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::new(format!("{doing}: {error}: is it installed?")))?;
    if done.status.success() {
        return Ok(());
    }
    let printed = [done.stdout, done.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let lines: Vec<&str> = printed.lines().collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n");
    Err(Error::new(format!("{doing}: {}\n{last}", done.status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    /// Whether a process runs; a dead one that nobody waited for does not.
    fn runs(id: &str) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
    }

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what} after ten seconds");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_server_ends_when_the_process_that_started_it_is_killed() {
        let scratch = Scratch::new("leash").unwrap();
        let note = scratch.path().join("id");
        // A shell in our place: it holds the pipe and starts the server as we do.
        let mut parent = Command::new("sh")
            .arg("-c")
            .arg(r#"mkfifo "$2/leash"; sh -c "$1" sh sh -c 'echo $$ >"$0/id.new"; mv "$0/id.new" "$0/id"; exec sleep 600' "$2" <"$2/leash" & exec 9>"$2/leash"; exec sleep 600"#)
            .arg("sh")
            .arg(LEASH)
            .arg(scratch.path())
            .spawn()
            .unwrap();
        eventually("no server", || note.exists());
        let id = fs::read_to_string(&note).unwrap().trim().to_owned();
        assert!(runs(&id));
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually("the server still runs", || !runs(&id));
    }

    #[test]
    fn a_server_that_is_dropped_ends_and_one_that_fails_says_what_it_said() {
        let scratch = Scratch::new("process").unwrap();
        let output = scratch.path().join("output");
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; exec sleep 600"]);
        let mut server = Process::start("the test's server", &command, &output).unwrap();
        server.wait_for("ready", Duration::from_secs(10)).unwrap();
        let id = server.id().to_string();
        assert!(runs(&id));
        drop(server);
        assert!(!runs(&id));

        let mut command = Command::new("sh");
        command.args(["-c", "echo no disk; exit 3"]);
        let mut server = Process::start("the test's server", &command, &output).unwrap();
        let error = server
            .wait_for("ready", Duration::from_secs(10))
            .unwrap_err()
            .to_string();
        assert!(error.contains("the test's server ended at once"), "{error}");
        assert!(error.contains("no disk"), "{error}");
    }
}
