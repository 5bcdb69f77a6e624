//! How is work with an SQLite transaction kept from blocking the run time?
//!
//! Each poll of the work goes to tokio's blocking pool; between polls the work lies in the task that waits for it. So a
//! statement or an fsync blocks no worker thread, timers and wakers of handlers work as ever, and a clock that a test has
//! paused stands still while a poll is away and only then. A handler that never waits is one poll, and a run of records
//! one hop. (Tried besides: the whole work on a blocking thread hangs a handler that sleeps under a paused clock; a thread
//! of its own makes that clock run away; in the task itself two lanes block two workers.)

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use tokio::runtime::Handle;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::Result;
use crate::db::shutting_down;
use crate::store::Pace;

/// Set when nobody waits for the work any more: its statements are to end.
pub(super) type Leash = Arc<AtomicBool>;

tokio::task_local! {
    static LEASH: Leash;
}

/// The leash of the work that is polled here, or one that nobody pulls.
pub(super) fn leash() -> Leash {
    LEASH.try_with(Arc::clone).unwrap_or_default()
}

/// Work whose polls go to the blocking pool. Dropped, it ends there.
pub(super) struct Away<T: Send + 'static>(Arc<Work<T>>);

/// The work, wherever it is, and its waker: what wakes it sends it away, without the task that waits for it.
struct Work<T: Send + 'static> {
    state: Mutex<State<T>>,
    /// Of the task that waits.
    waker: AtomicWaker,
    pace: Arc<Pace>,
    leash: Leash,
}

enum State<T> {
    /// Not polled yet.
    New(BoxFuture<'static, T>),
    /// Between two polls.
    Here(BoxFuture<'static, T>, Handle),
    /// Being polled. A wake that comes meanwhile is remembered.
    Away {
        is_woken: bool,
    },
    Done(T),
    Panicked(Box<dyn Any + Send>),
    /// The run time has dropped the poll, or nobody waits for what comes of it.
    Over,
}

/// A poll on another thread: the run time may drop it instead of running it.
struct Trip<T: Send + 'static>(Option<Arc<Work<T>>>);

impl<T: Send + 'static> Away<T> {
    pub(super) fn new(pace: &Arc<Pace>, work: impl Future<Output = T> + Send + 'static) -> Self {
        // The other thread has no span and no subscriber of its own.
        let work = work.in_current_span().with_current_subscriber();
        Self(Arc::new(Work {
            state: Mutex::new(State::New(work.boxed())),
            waker: AtomicWaker::new(),
            pace: pace.clone(),
            leash: Leash::default(),
        }))
    }
}

impl<T: Send + 'static> Work<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the work elsewhere; its state says so already.
    fn send(self: &Arc<Self>, mut polled: BoxFuture<'static, T>, handle: Handle) {
        self.pace.leave();
        let (trip, next) = (Trip(Some(self.clone())), handle.clone());
        let poll = move || {
            let Some(work) = trip.begin() else {
                return;
            };
            let waker = Waker::from(work.clone());
            let mut cx = Context::from_waker(&waker);
            let leash = work.leash.clone();
            let poll = || LEASH.sync_scope(leash, || polled.poll_unpin(&mut cx));
            // What a panic leaves half done is dropped with the work.
            work.came(match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(Poll::Ready(done)) => State::Done(done),
                Ok(Poll::Pending) => State::Here(polled, next),
                Err(panic) => State::Panicked(panic),
            });
        };
        if let Some(poll) = chain(Box::new(poll)) {
            handle.spawn_blocking(move || follow(poll));
        }
    }

    /// A poll is over.
    fn came(self: Arc<Self>, came: State<T>) {
        let mut state = self.state();
        match (&*state, came) {
            (State::Away { is_woken: true }, State::Here(polled, handle)) => {
                *state = State::Away { is_woken: false };
                drop(state);
                // Through the pool, for others may wait for this thread.
                self.send(polled, handle);
            }
            (State::Away { .. }, came) => {
                // First, for the next poll may leave as soon as the state is known.
                self.pace.come_back();
                let is_over = !matches!(came, State::Here(..));
                *state = came;
                drop(state);
                if is_over {
                    self.waker.wake();
                }
            }
            // Nobody waits for it: it is dropped here, which rolls back.
            (_, came) => {
                drop(state);
                drop(came);
                self.pace.come_back();
            }
        }
    }
}

impl<T: Send + 'static> Trip<T> {
    fn begin(mut self) -> Option<Arc<Work<T>>> {
        self.0.take()
    }
}

impl<T: Send + 'static> Drop for Trip<T> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work.came(State::Over);
        }
    }
}

impl<T: Send + 'static> Wake for Work<T> {
    fn wake(self: Arc<Self>) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Away { is_woken: false }) {
            State::Here(work, handle) => {
                drop(state);
                self.send(work, handle);
            }
            State::Away { .. } => *state = State::Away { is_woken: true },
            other => *state = other,
        }
    }
}

impl<T: Send + 'static> Future for Away<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.waker.register(cx.waker());
        loop {
            let mut state = self.0.state();
            match std::mem::replace(&mut *state, State::Over) {
                State::New(work) => {
                    *state = State::Away { is_woken: false };
                    drop(state);
                    self.0.send(work, Handle::current());
                }
                State::Done(done) => return Poll::Ready(Ok(done)),
                State::Panicked(panic) => resume_unwind(panic),
                State::Over => return Poll::Ready(Err(shutting_down())),
                waits => {
                    *state = waits;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<T: Send + 'static> Drop for Away<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let left = std::mem::replace(&mut *state, State::Over);
        drop(state);
        match left {
            State::New(_) | State::Panicked(_) | State::Over => {}
            State::Away { .. } => self.0.leash.store(true, SeqCst),
            // To roll back and to close a connection may write to the disk.
            State::Here(..) | State::Done(_) => {
                self.0.leash.store(true, SeqCst);
                if let Ok(handle) = Handle::try_current() {
                    self.0.pace.leave();
                    let work = self.0.clone();
                    handle.spawn_blocking(move || work.came(left));
                }
            }
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// What follows a poll on its thread. Lanes wait for one connection: the next one's poll goes on where the last one's ended,
/// for to wake another thread takes as long as several records.
#[derive(Default)]
struct Chain {
    /// What others wait for, until the poll is over.
    given_back: Vec<Box<dyn Any>>,
    /// It is being given back: what that wakes comes next.
    is_open: bool,
    next: VecDeque<Job>,
}

thread_local! {
    static CHAIN: RefCell<Option<Chain>> = const { RefCell::new(None) };
}

/// Drops it once the poll that this thread is at has ended, and goes on with what that wakes.
pub(super) fn give_back<T: 'static>(given_back: T) {
    let left = CHAIN.with_borrow_mut(|chain| match chain {
        Some(chain) => {
            chain.given_back.push(Box::new(given_back));
            None
        }
        None => Some(given_back),
    });
    // What it wakes looks for the chain, too.
    drop(left);
}

/// Takes the poll as the next of this thread's chain; returns it where there is none to take it.
fn chain(poll: Job) -> Option<Job> {
    CHAIN.with_borrow_mut(|chain| match chain {
        Some(chain) if chain.is_open => {
            chain.next.push_back(poll);
            None
        }
        _ => Some(poll),
    })
}

/// Runs a poll, and what follows it.
fn follow(poll: Job) {
    CHAIN.set(Some(Chain::default()));
    let mut poll = Some(poll);
    while let Some(now) = poll {
        now();
        let given_back = CHAIN.with_borrow_mut(|chain| {
            let chain = chain.get_or_insert_default();
            chain.is_open = true;
            std::mem::take(&mut chain.given_back)
        });
        drop(given_back);
        poll = CHAIN.with_borrow_mut(|chain| {
            let chain = chain.get_or_insert_default();
            chain.is_open = false;
            chain.next.pop_front()
        });
    }
    CHAIN.set(None);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::task::{spawn_blocking, yield_now};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    fn away<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Away<T> {
        Away::new(&Arc::default(), work)
    }

    #[test]
    fn a_wake_is_not_lost_and_a_pool_of_one_thread_is_enough() {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let runtime = threads.max_blocking_threads(1).enable_all().build();
        runtime.unwrap().block_on(async {
            let counted = away(async {
                let mut count = 0;
                for _ in 0..100 {
                    // Wakes before the poll is over.
                    yield_now().await;
                    count += spawn_blocking(|| 1).await.unwrap();
                }
                count
            });
            let counted = timeout(Duration::from_secs(20), counted).await;
            assert_eq!(counted.unwrap().unwrap(), 100);
        });
    }

    /// The lane's task wakes for much else, which is no reason to send the work away.
    #[tokio::test(start_paused = true)]
    async fn only_what_wakes_the_work_polls_it_and_a_paused_clock_stays_right() {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = polls.clone();
        let start = Instant::now();
        let work = away(async move {
            let asleep = sleep(Duration::from_secs(60));
            tokio::pin!(asleep);
            std::future::poll_fn(|cx| {
                counted.fetch_add(1, SeqCst);
                // Time that the clock of the test must not see.
                std::thread::sleep(Duration::from_millis(10));
                asleep.as_mut().poll(cx)
            })
            .await;
            start.elapsed()
        });
        tokio::pin!(work);
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let slept = loop {
            tokio::select! {
                slept = &mut work => break slept.unwrap(),
                _ = beat.tick() => {}
            }
        };
        assert_eq!((slept.as_secs(), polls.load(SeqCst)), (60, 2));
    }

    #[tokio::test]
    async fn what_is_dropped_between_two_polls_ends_elsewhere() {
        struct Bomb(Arc<AtomicBool>);
        impl Drop for Bomb {
            fn drop(&mut self) {
                self.0.store(false, SeqCst);
            }
        }
        let (pace, dropped) = (Arc::new(Pace::default()), Arc::new(AtomicBool::new(true)));
        let bomb = Bomb(dropped.clone());
        let work = Away::new(&pace, async move {
            let _bomb = bomb;
            sleep(Duration::from_secs(3_600)).await;
        });
        assert!(timeout(Duration::from_millis(50), work).await.is_err());
        pace.returned().await;
        assert!(!dropped.load(SeqCst), "it is dropped once it is back");
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_goes_where_the_work_is_waited_for() {
        let _ = away(async { panic!("of the work") }).await;
    }

    #[test]
    fn a_run_time_that_has_ended_is_an_error() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let _entered = handle.enter();
        let error = away(async {}).now_or_never().expect("at once").unwrap_err();
        assert!(error.is_unavailable(), "{error}");
    }
}
