//! Named points at which the fault bench breaks the process, and the mistakes that it plants.
//!
//! All of it is compiled with `--cfg logpipe_fault` alone: without, a point is an empty function and no mistake can be
//! planted. Two variables of the environment rule it:
//!
//! * `LOGPIPE_FAULT=POINT:ACTION:N` does ACTION when POINT is passed for the Nth time (from 1): `abort` ends the process
//!   as a crash would, `stop` stops it as SIGSTOP would, until somebody continues it. A process that wakes up finds its
//!   lanes lost, and which of its tasks runs first is chance; here it is always the one that stopped, for nobody is
//!   told of the loss for a second more. What then saves the effects is the fence alone.
//! * `LOGPIPE_PLANT=MISTAKE` plants one: `no_epoch` leaves the epoch out of the fence, and
//!   the look at what is settled above the cursor, which alone would do for effects; `position_outside` writes the
//!   position behind the effects, in a transaction of its own, `ack_outside` lets `ack_in` write where no transaction is
//!   open, `settled_twice` hides that a record above the cursor was settled before,
//!   `redrive_anywhere` redrives to any consumer of the group, `old_letter` gives dead letters their records' times.

/// A place in the run time where a crash would hurt most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(logpipe_fault), allow(dead_code))]
pub(crate) enum Point {
    /// A lane is claimed, its first record is not yet read.
    AfterClaim,
    /// A transaction is open and handlers have written.
    InTransaction,
    /// The transaction is complete but for its COMMIT.
    BeforeCommit,
    /// COMMIT returned.
    AfterCommit,
    /// A parked record is written, its transaction is open.
    WhileParking,
    /// Nothing is open; a record waits for its retry, and later ones are about to run and to settle above the cursor:
    /// where a zombie's write would match the position.
    RetryWaiting,
}

/// A mistake that the fault bench has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(logpipe_fault), allow(dead_code))]
pub(crate) enum Mistake {
    /// The fence compares the cursor alone.
    NoEpoch,
    /// The position is written outside the transaction of the effects.
    PositionOutside,
    /// `ack_in` takes a connection without a transaction.
    AckOutside,
    /// What another transaction has settled above the cursor is settled once more.
    SettledTwice,
    /// A parked record is redriven to any consumer of its group.
    RedriveAnywhere,
    /// A dead letter has the time of its record.
    OldLetter,
}

#[cfg(not(logpipe_fault))]
mod armed {
    use super::{Mistake, Point};

    #[inline(always)]
    pub(crate) fn point(_: Point) {}

    pub(crate) struct Transaction;

    impl Transaction {
        #[inline(always)]
        #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
        pub(crate) fn begin() -> Self {
            Self
        }
    }

    #[inline(always)]
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    pub(crate) fn planted(_: Mistake) -> bool {
        false
    }

    pub(crate) async fn late() {}
}

#[cfg(logpipe_fault)]
mod armed {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{Condvar, LazyLock, Mutex, OnceLock};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Mistake, Point};

    /// What LOGPIPE_FAULT asks for.
    struct Fault {
        point: Point,
        action: Action,
        nth: u64,
    }

    enum Action {
        Abort,
        Stop,
    }

    /// For how long nobody hears of lost lanes after a stop.
    const LATE: Duration = Duration::from_secs(1);

    /// Set before the process stops, for its tasks wake up in any order.
    static STOPS: AtomicBool = AtomicBool::new(false);

    /// Transactions that are open in this process, and a bell for when they are fewer.
    static OPEN: Mutex<usize> = Mutex::new(0);
    static ENDED: Condvar = Condvar::new();

    /// An open transaction. Whoever is to stop outside of one waits for those of other lanes: a process that stopped with
    /// one would hold the whole file, and nobody could take its lanes.
    pub(crate) struct Transaction(());

    impl Transaction {
        pub(crate) fn begin() -> Self {
            *OPEN.lock().unwrap() += 1;
            Self(())
        }
    }

    impl Drop for Transaction {
        fn drop(&mut self) {
            *OPEN.lock().unwrap() -= 1;
            ENDED.notify_all();
        }
    }

    /// When it was continued.
    static CONTINUED: OnceLock<Instant> = OnceLock::new();

    static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let text = std::env::var("LOGPIPE_FAULT").ok()?;
        Some(
            parse(&text).unwrap_or_else(|| panic!("LOGPIPE_FAULT={text}: expected POINT:ACTION:N")),
        )
    });

    static PLANTED: LazyLock<Option<Mistake>> = LazyLock::new(|| {
        let text = std::env::var("LOGPIPE_PLANT").ok()?;
        Some(match text.as_str() {
            "no_epoch" => Mistake::NoEpoch,
            "position_outside" => Mistake::PositionOutside,
            "ack_outside" => Mistake::AckOutside,
            "settled_twice" => Mistake::SettledTwice,
            "redrive_anywhere" => Mistake::RedriveAnywhere,
            "old_letter" => Mistake::OldLetter,
            _ => panic!("LOGPIPE_PLANT={text}: no such mistake"),
        })
    });

    fn parse(text: &str) -> Option<Fault> {
        let mut parts = text.split(':');
        let point = match parts.next()? {
            "after_claim" => Point::AfterClaim,
            "in_transaction" => Point::InTransaction,
            "before_commit" => Point::BeforeCommit,
            "after_commit" => Point::AfterCommit,
            "while_parking" => Point::WhileParking,
            "retry_waiting" => Point::RetryWaiting,
            _ => return None,
        };
        let action = match parts.next()? {
            "abort" => Action::Abort,
            "stop" => Action::Stop,
            _ => return None,
        };
        let nth = parts.next()?.parse().ok()?;
        Some(Fault { point, action, nth })
    }

    pub(crate) fn point(point: Point) {
        static PASSED: AtomicU64 = AtomicU64::new(0);
        let Some(fault) = FAULT.as_ref().filter(|fault| fault.point == point) else {
            return;
        };
        if PASSED.fetch_add(1, Ordering::Relaxed) + 1 != fault.nth {
            return;
        }
        eprintln!("fault: {point:?}");
        match fault.action {
            Action::Abort => std::process::abort(),
            Action::Stop => tokio::task::block_in_place(|| stop(point)),
        }
    }

    fn stop(point: Point) {
        let mut open = OPEN.lock().unwrap();
        if point == Point::RetryWaiting {
            open = ENDED.wait_while(open, |open| *open > 0).unwrap();
        }
        STOPS.store(true, Ordering::SeqCst);
        let pid = std::process::id().to_string();
        // The signal stops every thread, this one too, before the call returns.
        let stopped = Command::new("kill").args(["-STOP", &pid]).status();
        assert!(
            stopped.is_ok_and(|status| status.success()),
            "`kill -STOP {pid}` failed"
        );
        drop(open);
        CONTINUED.get_or_init(Instant::now);
    }

    pub(crate) fn planted(mistake: Mistake) -> bool {
        *PLANTED == Some(mistake)
    }

    /// Holds up whoever tells lanes of what happens in the group, for a while after a stop.
    pub(crate) async fn late() {
        while STOPS.load(Ordering::SeqCst) {
            if let Some(&continued) = CONTINUED.get() {
                return tokio::time::sleep_until(continued + LATE).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[cfg_attr(not(feature = "sqlite"), allow(unused_imports))]
pub(crate) use armed::{Transaction, planted};
pub(crate) use armed::{late, point};
