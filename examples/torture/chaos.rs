//! Two consumer processes and what is done to them: kills, stops, aborts at named points.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use logpipe::{Error, Result};

use crate::work::{Plan, Random};
use crate::{Backend, Setup, verdict};

/// Longer than a lease of the local log (10 s), with the second in which a peer looks: a stopped process wakes up to find
/// its lanes taken.
const STOPPED: Duration = Duration::from_secs(13);
/// Longer than a session of Kafka (10 s), and than the rebalance behind it.
const STOPPED_ON_KAFKA: Duration = Duration::from_secs(20);
/// How long a planned fault may take to happen before the bench says that it can't.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is done to a worker, one after the other.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// SIGKILL in full flight.
    Kill,
    /// A new worker that aborts itself at a named point, the Nth time that it gets there.
    Abort(&'static str, u32),
    /// A new worker that stops itself there; it is continued after its lease.
    Stop(&'static str, u32),
}

/// Ten kills, with everything else between them.
pub const FAULTS: [Fault; 16] = [
    Fault::Kill,
    Fault::Abort("before_commit", 40),
    Fault::Kill,
    Fault::Kill,
    Fault::Stop("retry_waiting", 8),
    Fault::Kill,
    Fault::Abort("after_commit", 40),
    Fault::Kill,
    Fault::Kill,
    Fault::Abort("while_parking", 1),
    Fault::Kill,
    Fault::Stop("in_transaction", 60),
    Fault::Kill,
    Fault::Abort("after_claim", 1),
    Fault::Kill,
    Fault::Kill,
];

/// Where the log keeps the positions there is no transaction to abort in.
pub const KILLS: [Fault; 10] = [Fault::Kill; 10];

/// How often a process joins and another one is told to end, where nothing is broken.
const TURNS: usize = 10;

/// The consumer processes.
pub struct Workers {
    dir: PathBuf,
    setup: Setup,
    /// Whether the first comes back under its name after a kill.
    named: bool,
    planted: Option<&'static str>,
    cured: bool,
    running: Vec<Child>,
    started: usize,
    /// Faults that happened, in words.
    pub happened: Vec<String>,
    /// Kills.
    pub kills: usize,
    /// Stopped processes that found nothing on waking which the epoch alone could have kept from them.
    pub vacuous: usize,
    /// Kills that hit while records were still to come and some were handled: strictly inside the run.
    pub inside: usize,
}

impl Workers {
    /// Starts two.
    pub fn start(
        dir: &Path,
        setup: Setup,
        clean: bool,
        planted: Option<&'static str>,
    ) -> Result<Self> {
        let mut workers = Self {
            dir: dir.to_owned(),
            // A member with a name does not leave its group when it ends: it is expected back.
            named: setup.backend == Backend::Kafka && !clean,
            setup,
            planted,
            cured: false,
            running: Vec::new(),
            started: 0,
            happened: Vec::new(),
            kills: 0,
            vacuous: 0,
            inside: 0,
        };
        for index in 0..2 {
            let child = workers.spawn(index, None)?;
            workers.running.push(child);
        }
        Ok(workers)
    }

    fn spawn(&mut self, index: usize, fault: Option<String>) -> Result<Child> {
        let output = File::create(self.dir.join(format!("worker-{}.log", self.started)))?;
        self.started += 1;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--worker").arg("--dir").arg(&self.dir);
        command.args(self.setup.arguments());
        // One comes back under its name and gets its lanes at once; for the other its group has to wait until its session
        // ends. Both ways of coming back are under test.
        if self.named && index == 0 {
            command.args(["--instance", "first"]);
        }
        if self.cured {
            command.arg("--cured");
        }
        if let Some(mistake) = self.planted {
            command.env("LOGPIPE_PLANT", mistake);
        }
        if let Some(fault) = fault {
            command.env("LOGPIPE_FAULT", fault);
        }
        Ok(command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()?)
    }

    /// SIGKILL to a worker, and another in its place.
    fn replace(&mut self, index: usize, fault: Option<String>) -> Result {
        self.running[index].kill()?;
        self.running[index].wait()?;
        self.running[index] = self.spawn(index, fault)?;
        Ok(())
    }

    /// Waits until another process has claimed all these lanes and handled records in them. Returns in how many it did, and
    /// in how many of those the position has not moved, for its record still waits: there a zombie's position matches.
    async fn taken(&self, dir: &Path, lanes: &[verdict::Held]) -> Result<(usize, usize)> {
        let deadline = Instant::now() + 2 * self.stop_time();
        loop {
            let (taken, still) = verdict::taken_since(dir, lanes)?;
            if taken == lanes.len() || Instant::now() > deadline {
                return Ok((taken, still));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// For how long a process is stopped with a transaction open.
    fn stop_time(&self) -> Duration {
        match self.setup.backend {
            Backend::Local => STOPPED,
            Backend::Kafka => STOPPED_ON_KAFKA,
        }
    }

    /// How many kills have to hit strictly inside the run: what the local log holds may be handled before the last ones.
    pub fn inside_at_least(&self) -> usize {
        match self.setup.backend {
            Backend::Local => 8,
            Backend::Kafka => 10,
        }
    }

    /// Workers that nobody disturbs have to stay alive: one that ended by itself is an error.
    pub fn check(&mut self) -> Result {
        for child in &mut self.running {
            if let Some(status) = child.try_wait()? {
                return Err(Error::msg(format!(
                    "a worker ended by itself ({status}): see {}",
                    self.dir.display()
                )));
            }
        }
        Ok(())
    }

    /// Replaces all by workers whose handlers no longer fail.
    pub fn cure(mut self) -> Result<Self> {
        self.cured = true;
        for index in 0..self.running.len() {
            self.replace(index, None)?;
        }
        Ok(self)
    }

    /// SIGTERM, and the wait for a drained end with status 0.
    pub async fn stop(&mut self) -> Result {
        for child in &mut self.running {
            signal(child, "TERM")?;
        }
        let deadline = Instant::now() + PATIENCE;
        for child in &mut self.running {
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                if Instant::now() > deadline {
                    return Err(Error::msg(
                        "a worker did not end within a minute of SIGTERM",
                    ));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            if !status.success() {
                return Err(Error::msg(format!(
                    "a worker ended with {status} after SIGTERM: see {}",
                    self.dir.display()
                )));
            }
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.running {
            // Whoever ended already is the only one that can't be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Does all that is planned while records are coming in.
pub async fn run(
    mut workers: Workers,
    dir: &Path,
    plan: &Plan,
    seed: u64,
    faults: &[Fault],
) -> Result<Workers> {
    let mut random = Random(seed ^ 0xc4a0);
    verdict::wait_for(dir, 1, PATIENCE).await?;
    for (turn, &fault) in faults.iter().enumerate() {
        let victim = turn % 2;
        tokio::time::sleep(Duration::from_millis(1_000 + random.below(1_500))).await;
        match fault {
            Fault::Kill => {
                let before = verdict::handled(dir)?;
                workers.replace(victim, None)?;
                let after = verdict::handled(dir)?;
                workers.kills += 1;
                if before > 0 && after < plan.first_pass() {
                    workers.inside += 1;
                }
                workers.happened.push(format!("SIGKILL at {after} records"));
            }
            Fault::Abort(point, nth) => {
                workers.replace(victim, Some(format!("{point}:abort:{nth}")))?;
                until(point, || Ok(workers.running[victim].try_wait()?.is_some())).await?;
                workers.running[victim] = workers.spawn(victim, None)?;
                workers.happened.push(format!("abort {point}"));
            }
            Fault::Stop(point, nth) => {
                workers.replace(victim, Some(format!("{point}:stop:{nth}")))?;
                until(point, || stopped(&workers.running[victim])).await?;
                let stopped = Instant::now();
                let lanes = verdict::lanes_of(dir, workers.running[victim].id())?;
                // In a transaction it holds the whole file, and nobody can claim anything before it wakes.
                let fate = if point == "in_transaction" {
                    tokio::time::sleep(workers.stop_time()).await;
                    "which held the database".into()
                } else {
                    let (taken, still) = workers.taken(dir, &lanes).await?;
                    workers.vacuous += usize::from(taken < lanes.len() || still == 0);
                    format!(
                        "{taken} of its {} lanes claimed and worked on by another before it woke, {still} at the same position",
                        lanes.len()
                    )
                };
                signal(&workers.running[victim], "CONT")?;
                let time = stopped.elapsed().as_secs();
                workers
                    .happened
                    .push(format!("SIGSTOP {time} s {point}, {fate}"));
            }
        }
    }
    Ok(workers)
}

/// Ten times: a process joins, and once it has lanes another one gets SIGTERM, has to drain and to end with status 0.
pub async fn come_and_go(mut workers: Workers, dir: &Path) -> Result<Workers> {
    verdict::wait_for(dir, 1, PATIENCE).await?;
    for turn in 0..TURNS {
        let newcomer = workers.spawn(turn % 2, None)?;
        let leaver = std::mem::replace(&mut workers.running[turn % 2], newcomer);
        let mut leaver = Reaped(leaver);
        verdict::wait_for_process(dir, workers.running[turn % 2].id(), PATIENCE).await?;
        workers
            .happened
            .push(format!("joined at {}", verdict::handled(dir)?));
        signal(&leaver.0, "TERM")?;
        until("its end", || Ok(leaver.0.try_wait()?.is_some())).await?;
        let status = leaver.0.wait()?;
        if !status.success() {
            return Err(Error::msg(format!(
                "a worker ended with {status} after SIGTERM"
            )));
        }
        workers
            .happened
            .push(format!("SIGTERM at {}", verdict::handled(dir)?));
    }
    Ok(workers)
}

/// Ends its process should the bench fail before it does.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Whoever ended already is the only one that can't be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a fault to happen; one that never does is a fault of the bench.
async fn until(point: &str, mut happened: impl FnMut() -> Result<bool>) -> Result {
    let deadline = Instant::now() + PATIENCE;
    while !happened()? {
        if Instant::now() > deadline {
            return Err(Error::msg(format!(
                "no worker came to `{point}` within a minute"
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Whether the kernel shows the process as stopped.
fn stopped(child: &Child) -> Result<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    Ok(state == Some('T'))
}

/// The standard library only kills; everything else is the command of the same name.
fn signal(child: &Child, name: &str) -> Result {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::msg(format!("`kill -{name}` failed")))
    }
}
