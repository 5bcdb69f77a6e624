//! What does a consumer do when the group takes lanes away, gives them back, or does not answer? Said by a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use logpipe::memory;
use logpipe::record::{Cursor, LaneId, Start};
use logpipe::sink::Sink;
use logpipe::source::{
    Assigned, Backend, Capabilities, Committed, Event, Gap, GapKind, Join, LaneExtent, Opened,
    Source,
};
use logpipe::store::Memory;
use logpipe::{Consumer, Cx, Error, Log, Result, Service};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::note::{Note, Note2, Seen, note};

type Script = mpsc::UnboundedReceiver<Event>;

/// A log in memory whose group says what the test says. Without a word of it the group can't be reached.
#[derive(Clone)]
struct Scripted {
    log: memory::Memory,
    script: Arc<tokio::sync::Mutex<Option<Script>>>,
    released: Arc<Mutex<Vec<LaneId>>>,
}

fn scripted() -> (Scripted, mpsc::UnboundedSender<Event>) {
    let (say, script) = mpsc::unbounded_channel();
    let log = memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    });
    let script = Arc::new(tokio::sync::Mutex::new(Some(script)));
    let released = Arc::default();
    (
        Scripted {
            log,
            script,
            released,
        },
        say,
    )
}

impl Backend for Scripted {
    fn describe(&self) -> String {
        "a script".into()
    }

    fn capabilities(&self) -> Capabilities {
        self.log.capabilities()
    }

    fn join(&self, _: Join) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        let source: Box<dyn Source> = Box::new(self.clone());
        Box::pin(async { Ok(source) })
    }

    fn sink(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn Sink>>> {
        self.log.sink(topic)
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        self.log.topics()
    }

    fn lanes(&self, topic: &str) -> BoxFuture<'_, Result<Vec<LaneExtent>>> {
        self.log.lanes(topic)
    }

    fn read(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        self.log.read(lane, cursor)
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        Backend::resolve(&self.log, lane, start)
    }

    fn saved(&self, group: &str) -> BoxFuture<'_, Result<Vec<(LaneId, Cursor)>>> {
        self.log.saved(group)
    }

    fn reset(&self, group: &str, cursors: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        self.log.reset(group, cursors)
    }
}

impl Source for Scripted {
    fn event(&self) -> BoxFuture<'_, Result<Event>> {
        Box::pin(async {
            let said = match &mut *self.script.lock().await {
                Some(script) => script.recv().await,
                None => None,
            };
            said.ok_or_else(|| Error::unavailable("the group does not answer"))
        })
    }

    fn open(&self, lane: &LaneId, cursor: &Cursor) -> BoxFuture<'_, Result<Opened>> {
        self.log.read(lane, cursor)
    }

    fn committed(&self, _: &LaneId) -> BoxFuture<'_, Result<Option<Committed>>> {
        Box::pin(async { Ok(None) })
    }

    fn resolve(&self, lane: &LaneId, start: &Start) -> BoxFuture<'_, Result<Cursor>> {
        Backend::resolve(&self.log, lane, start)
    }

    fn save(&self, _: Vec<(LaneId, Cursor)>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn release(&self, lane: &LaneId) -> BoxFuture<'_, Result<()>> {
        self.released.lock().unwrap().push(lane.clone());
        Box::pin(async { Ok(()) })
    }

    fn finish(&self, _: &LaneId) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn alive(&self, _: &LaneId) {}

    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Whatever the group says about it afterwards, of a lane that was lost nothing is written.
#[tokio::test(start_paused = true)]
async fn what_is_lost_stays_lost_and_what_is_revoked_before_it_began_is_given_back() {
    let (backend, say) = scripted();
    let (log, store, seen) = (Log::new(backend.clone()), Memory::new(), Seen::default());
    let producer = log.producer("notes").await.unwrap();
    producer.send(&note("a", 1)).await.unwrap();
    let extent = log.backend().lanes("notes").await.unwrap().remove(0);
    let lane = || vec![extent.lane.clone()];
    let assigned = || {
        Event::Assigned(vec![Assigned {
            lane: extent.lane.clone(),
            cluster: "script".into(),
            incarnation: extent.incarnation.clone(),
        }])
    };
    let revoking = || Event::Revoking {
        lanes: lane(),
        deadline: std::time::Instant::now() + Duration::from_secs(3_600),
    };
    let permits = Arc::new(Semaphore::new(0));
    let waiting = Consumer::with_store(log.source("notes"), store)
        .group("test")
        .on_with(
            (seen.clone(), permits.clone()),
            async |(seen, permits), note: Note, _cx| {
                seen.push(&note);
                let _ = permits.acquire().await?;
                Ok(())
            },
        )
        .on(async |_: Note2, _: &mut Cx<Memory>| Ok(()));
    let service = Service::new().with(waiting);
    let monitor = service.monitor();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(service.run_until(async {
        // Dropped without a word it stops too.
        let _ = stopped.await;
    }));
    let soon = || tokio::time::sleep(Duration::from_secs(1));
    say.send(assigned()).unwrap();
    soon().await;
    assert_eq!(seen.times(1), 1, "its handler runs");
    for event in [Event::Lost(lane()), assigned(), revoking()] {
        say.send(event).unwrap();
    }
    soon().await;
    permits.add_permits(10);
    soon().await;
    assert_eq!(monitor.health().consumers[0].handled, 0);
    assert_eq!(seen.times(1), 1, "it did not begin again");
    assert_eq!(*backend.released.lock().unwrap(), lane());
    say.send(assigned()).unwrap();
    soon().await;
    assert_eq!(monitor.health().consumers[0].handled, 1);

    // Nor is what happens to the log of a lane that is given back any business of its owner.
    let gap = Gap {
        kind: GapKind::Truncated,
        first: None,
        last: None,
        missing: None,
    };
    say.send(revoking()).unwrap();
    say.send(Event::Incident(extent.lane.clone(), gap)).unwrap();
    soon().await;
    assert_eq!(*backend.released.lock().unwrap(), [lane(), lane()].concat());
    stop.send(()).unwrap();
    let outcome = running.await.unwrap().unwrap();
    assert_eq!((outcome.handled, outcome.held), (1, Vec::new()));
}

/// A group that does not answer is asked again after a pause, and meanwhile a signal is heard.
#[tokio::test(start_paused = true)]
async fn a_signal_does_not_wait_for_a_group_that_does_not_answer() {
    let (backend, say) = scripted();
    drop(say);
    let log = Log::new(backend);
    let consumer = || {
        Consumer::with_store(log.source("notes"), Memory::new())
            .group("test")
            .on(async |_: Note, _: &mut Cx<Memory>| Ok(()))
            .on(async |_: Note2, _: &mut Cx<Memory>| Ok(()))
    };
    for waited in 60..64 {
        let signal = Duration::from_secs(waited);
        let service = Service::new().with(consumer());
        let began = Instant::now();
        let _ = service.run_until(tokio::time::sleep(signal)).await.unwrap();
        let late = began.elapsed() - signal;
        assert!(late < Duration::from_millis(50), "{late:?}");
    }
}
