//! A running consumer: follows the group's events and keeps one task for each lane that is ours.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::worker::{Command, Exit, Worker};
use super::{Shared, redrive};
use crate::fault;
use crate::health::redrive_place;
use crate::record::LaneId;
use crate::service::{HeldLane, Outcome, Stop};
use crate::source::{Assigned, Event, backoff};
use crate::{Error, Result, Store};

/// Leaving the group in good order is worth this long after the lanes are done.
const LEAVE: Duration = Duration::from_secs(5);

struct Driver<S: Store> {
    shared: Arc<Shared<S>>,
    tasks: JoinSet<Exit>,
    lanes: HashMap<LaneId, Running>,
    names: HashMap<Id, LaneId>,
    /// The group has said what is ours.
    is_joined: bool,
    /// Set once: by when all lanes have to be drained.
    draining: Option<Instant>,
    failure: Option<Error>,
    /// Assigned while draining.
    unwanted: Vec<LaneId>,
    /// As it was when draining began.
    held: Vec<(LaneId, String)>,
    troubles: u32,
    /// After trouble: when to ask the group again.
    again: Option<Instant>,
}

struct Running {
    command: watch::Sender<Command>,
    /// It is no longer ours; its task ends.
    is_lost: bool,
    /// It was assigned again before its task had ended.
    next: Option<Assigned>,
}

pub(super) async fn drive<S: Store>(
    shared: Arc<Shared<S>>,
    idle_timeout: Option<Duration>,
    mut stop: Stop,
) -> Result<Outcome> {
    let (redriving, redrive_stop) = watch::channel(false);
    if !S::KEPT_BY_LOG {
        // Looked for before the consumer can be idle.
        shared.board.begin(&redrive_place());
    }
    let redrive = tokio::spawn(redrive::run(shared.clone(), redrive_stop));
    let mut driver = Driver {
        shared: shared.clone(),
        tasks: JoinSet::new(),
        lanes: HashMap::new(),
        names: HashMap::new(),
        is_joined: false,
        draining: None,
        failure: None,
        unwanted: Vec::new(),
        held: Vec::new(),
        troubles: 0,
        again: None,
    };
    while driver.draining.is_none() {
        tokio::select! {
            biased;
            () = stop.asked() => driver.drain(),
            Some(exit) = driver.tasks.join_next_with_id() => driver.ended(exit),
            event = event(&shared, driver.again) => driver.follow(event).await,
            () = shared.quota.reached() => driver.drain(),
            () = idle(&shared, driver.is_joined, idle_timeout) => {
                info!(consumer = shared.group, "idle: nothing happened for the time that was asked for");
                driver.drain();
            }
        }
    }
    let by = driver.draining.unwrap_or_else(Instant::now);
    while !driver.lanes.is_empty() {
        tokio::select! {
            biased;
            Some(exit) = driver.tasks.join_next_with_id() => driver.ended(exit),
            event = event(&shared, driver.again) => driver.follow(event).await,
            () = tokio::time::sleep_until(by + Duration::from_secs(1)) => {
                warn!(consumer = shared.group, lanes = driver.lanes.len(), "lanes did not drain in time; their records come again");
                break;
            }
        }
    }
    redriving.send_replace(true);
    let mut redrive = redrive;
    if tokio::time::timeout_at(by, &mut redrive).await.is_err() {
        redrive.abort();
    }
    let Driver {
        mut tasks,
        failure,
        unwanted,
        held,
        shared: other,
        ..
    } = driver;
    tasks.abort_all();
    // A task whose handler blocks the thread can't be ended, and is not waited for.
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVE, ended).await.is_err() {
        warn!(
            consumer = shared.group,
            lanes = tasks.len(),
            "handlers still block their threads; they are left behind"
        );
        tasks.detach_all();
    }
    drop(other);
    let snapshot = shared.board.snapshot();
    let group = shared.group.clone();
    for lane in unwanted {
        if let Err(error) = shared.source.release(&lane).await {
            debug!(%lane, %error, "a lane that came while draining was not released");
        }
    }
    if let Some(shared) = Arc::into_inner(shared) {
        match tokio::time::timeout(LEAVE, shared.source.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(consumer = group, %error, "the group was not left in good order")
            }
            Err(_) => warn!(consumer = group, "the group was not left in time"),
        }
    }
    match failure {
        Some(error) => Err(error.context(format!("consumer {group}"))),
        None => Ok(Outcome {
            handled: snapshot.handled,
            parked: snapshot.parked,
            skipped: snapshot.skipped,
            held: held
                .into_iter()
                .map(|(lane, why)| HeldLane {
                    consumer: group.clone(),
                    lane,
                    why,
                })
                .collect(),
        }),
    }
}

/// What the group says, not asked before `again`. Cancel-safe, as the source's own.
async fn event<S: Store>(shared: &Shared<S>, again: Option<Instant>) -> Result<Event> {
    if let Some(again) = again {
        tokio::time::sleep_until(again).await;
    }
    shared.source.event().await
}

/// Resolves when nothing happened for that long.
async fn idle<S: Store>(shared: &Shared<S>, is_joined: bool, timeout: Option<Duration>) {
    let (true, Some(timeout)) = (is_joined, timeout) else {
        return std::future::pending().await;
    };
    loop {
        let changed = shared.board.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        match shared.board.idle_since() {
            None => changed.await,
            Some(since) => {
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(since + timeout) => return,
                }
            }
        }
    }
}

impl<S: Store> Driver<S> {
    async fn follow(&mut self, event: Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                warn!(consumer = self.shared.group, %error, "waiting, then asking the group again");
                self.again = Some(Instant::now() + backoff(self.troubles));
                self.troubles += 1;
                return;
            }
        };
        self.troubles = 0;
        self.again = None;
        fault::late().await;
        match event {
            Event::Assigned(lanes) => {
                for assigned in lanes {
                    self.assigned(assigned);
                }
                self.joined();
            }
            Event::Joined => self.joined(),
            Event::Revoking { lanes, deadline } => {
                debug!(consumer = self.shared.group, ?lanes, "revoking");
                let by = Instant::from_std(deadline);
                self.command(&lanes, &Command::Drain(by));
                self.revoked(&lanes);
            }
            Event::Lost(lanes) => {
                warn!(consumer = self.shared.group, ?lanes, "lost");
                self.command(&lanes, &Command::Drop);
                self.lost(&lanes);
            }
            Event::Incident(lane, gap) => self.command(&[lane], &Command::Incident(gap)),
            Event::Ended(error) => {
                self.failure.get_or_insert(error);
                self.drain();
            }
        }
    }

    fn joined(&mut self) {
        self.is_joined = true;
        self.shared.board.joined();
    }

    fn lost(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            if let Some(running) = self.lanes.get_mut(lane) {
                running.is_lost = true;
                running.next = None;
            }
        }
        let is_ours = |running: &Running| !running.is_lost || running.next.is_some();
        if !self.lanes.values().any(is_ours) {
            self.is_joined = false;
            self.shared.board.parted();
        }
    }

    fn command(&self, lanes: &[LaneId], command: &Command) {
        for lane in lanes {
            let Some(running) = self.lanes.get(lane) else {
                continue;
            };
            running.command.send_if_modified(|now| {
                let may = match (&*now, command) {
                    // What is lost stays lost: its task writes nothing, whatever happens to the lane afterwards.
                    (Command::Drop, _) => false,
                    // What is given back stays so: whoever has it next finds out what happened to its log.
                    (Command::Drain(_), Command::Incident(_)) => false,
                    _ => true,
                };
                if may {
                    *now = command.clone();
                }
                may
            });
        }
    }

    /// Lanes that were assigned again before their task had ended are not begun again.
    fn revoked(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            let running = self.lanes.get_mut(lane);
            if running.and_then(|running| running.next.take()).is_none() {
                continue;
            }
            let (shared, lane) = (self.shared.clone(), lane.clone());
            // It has no name among the lanes' tasks, and its end means nothing.
            self.tasks.spawn(async move {
                if let Err(error) = shared.source.release(&lane).await {
                    debug!(%lane, %error, "a lane that was not begun again was not released");
                }
                Exit::Left
            });
        }
    }

    fn assigned(&mut self, assigned: Assigned) {
        let lane = &assigned.lane;
        if self.draining.is_some() {
            // Given back before it is opened; at the end, for until then the log may hand it to us again at once.
            self.unwanted.push(lane.clone());
            return;
        }
        if let Some(running) = self.lanes.get_mut(lane) {
            running.next = Some(assigned);
            return;
        }
        self.spawn(assigned);
    }

    fn spawn(&mut self, assigned: Assigned) {
        debug!(consumer = self.shared.group, lane = %assigned.lane, "assigned");
        let lane = assigned.lane.clone();
        let (command, commands) = watch::channel(Command::Go);
        // Before the task runs, so that the consumer does not look idle for having done nothing yet.
        self.shared.board.begin(&lane);
        let worker = Worker::new(self.shared.clone(), assigned, commands);
        let task = self.tasks.spawn(worker.work());
        self.names.insert(task.id(), lane.clone());
        let running = Running {
            command,
            is_lost: false,
            next: None,
        };
        self.lanes.insert(lane, running);
    }

    fn ended(&mut self, exit: std::result::Result<(Id, Exit), tokio::task::JoinError>) {
        let (id, failure) = match exit {
            Ok((id, Exit::Left)) => (id, None),
            Ok((id, Exit::Stopped(error))) => (id, Some(error)),
            // Handlers' panics are caught: this is one of ours.
            Err(error) => {
                let failure = Error::permanent(format!("the task of a lane ended: {error}"));
                (error.id(), Some(failure))
            }
        };
        let Some(lane) = self.names.remove(&id) else {
            return;
        };
        self.shared.board.remove(&lane);
        let next = self.lanes.remove(&lane).and_then(|running| running.next);
        if let Some(error) = failure {
            self.failure.get_or_insert(error);
            self.drain();
        }
        if let Some(assigned) = next
            && self.draining.is_none()
        {
            self.spawn(assigned);
        }
    }

    fn drain(&mut self) {
        if self.draining.is_some() {
            return;
        }
        self.held = self.shared.board.held();
        let by = Instant::now() + Duration::from_millis(self.shared.settings.drain_ms);
        self.draining = Some(by);
        let lanes: Vec<LaneId> = self.lanes.keys().cloned().collect();
        self.command(&lanes, &Command::Drain(by));
    }
}
