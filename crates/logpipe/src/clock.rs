//! What time it is: the one clock that everything which waits or stamps reads, and the one that tests move by hand.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A clock: the system's, or one that a [`ManualClock`] moves.
///
/// It has two hands. [`now`](Clock::now) is the wall's, which may jump; [`uptime`](Clock::uptime) only runs forwards and
/// is what durations are measured with.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System { started: Instant },
    Manual(Arc<Hands>),
}

struct Hands {
    time: Mutex<Time>,
    moved: Notify,
}

#[derive(Clone, Copy)]
struct Time {
    wall: Timestamp,
    up: Duration,
}

impl Clock {
    /// The system's clock; within tokio's paused time, tokio's.
    pub fn system() -> Self {
        Self(Kind::System {
            started: Instant::now(),
        })
    }

    /// The wall's time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System { .. } => Timestamp::now(),
            Kind::Manual(hands) => hands.read().wall,
        }
    }

    /// Time since the clock was made; never runs backwards, whatever happens to the wall's.
    pub fn uptime(&self) -> Duration {
        match &self.0 {
            Kind::System { started } => started.elapsed(),
            Kind::Manual(hands) => hands.read().up,
        }
    }

    /// Waits. On a manual clock until it was moved far enough.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Kind::System { .. } => tokio::time::sleep(duration).await,
            Kind::Manual(hands) => {
                let due = hands.read().up + duration;
                hands.reach(|up| up >= due).await;
            }
        }
    }
}

impl Clock {
    /// Whether somebody moves it by hand; the system's runs with tokio's time.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }

    /// Resolves when it was moved by hand beyond this uptime.
    pub(crate) async fn moved(&self, beyond: Duration) {
        match &self.0 {
            Kind::System { .. } => std::future::pending().await,
            Kind::Manual(hands) => hands.reach(|up| up > beyond).await,
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::System { .. } => "Clock::system",
            Kind::Manual(_) => "Clock::manual",
        })
    }
}

impl Hands {
    /// Waits until the clock was moved so far.
    async fn reach(&self, is_far_enough: impl Fn(Duration) -> bool) {
        loop {
            // Registered before the look, so that a move between look and wait is not missed.
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if is_far_enough(self.read().up) {
                return;
            }
            moved.await;
        }
    }

    fn read(&self) -> Time {
        *self
            .time
            .lock()
            .expect("nothing panics while it holds the clock")
    }
}

/// Moves a [`Clock`] by hand: time stands still between the calls of a test.
#[derive(Clone)]
pub struct ManualClock(Arc<Hands>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Hands {
            time: Mutex::new(Time {
                wall: now,
                up: Duration::ZERO,
            }),
            moved: Notify::new(),
        }))
    }

    /// The clock to hand out.
    pub fn clock(&self) -> Clock {
        Clock(Kind::Manual(self.0.clone()))
    }

    /// Moves both hands forwards and wakes whoever waited for it. The wall's hand stops at the end of representable time.
    pub fn advance(&self, by: Duration) {
        {
            let mut time = self
                .0
                .time
                .lock()
                .expect("nothing panics while it holds the clock");
            time.up += by;
            time.wall = time.wall.checked_add(by).unwrap_or(Timestamp::MAX);
        }
        self.0.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_it_was_moved_far_enough() {
        let manual = ManualClock::at(Timestamp::UNIX_EPOCH);
        let clock = manual.clock();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        tokio::task::yield_now().await;
        manual.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        manual.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_second(10).unwrap());
        assert_eq!(clock.uptime(), Duration::from_secs(10));
    }
}
