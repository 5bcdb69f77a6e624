//! Do logs say what an incident is debugged by, and nothing of what was sent?

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use logpipe::policy::Policy;
use logpipe::sink::NewRecord;
use logpipe::store::{Administration, Filter, Memory};
use logpipe::{Consumer, Cx, Error, Log, Service, memory};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

use crate::note::{Note, Note2, Seen, Stranger, note};

/// In the key of every record, and in its value.
const SECRET: &str = "hush";

/// A span or an event: its fields, the message among them.
type Line = BTreeMap<&'static str, String>;

/// Writes down what it hears.
#[derive(Clone, Default)]
struct Listener {
    lines: Arc<Mutex<Vec<Line>>>,
    /// Hears this one alone: the subscriber of the whole process.
    thread: Option<ThreadId>,
    /// At most this; everything where there is none.
    wants: Option<LevelFilter>,
    /// The spans that each thread is in, by their places among the lines.
    within: Arc<Mutex<HashMap<ThreadId, Vec<usize>>>>,
}

/// While there is a single subscriber, tracing asks the default of the thread that meets a span first, and remembers its
/// answer for all threads. With this one there are several, and it asks each of them. It wants nothing, so that as long as
/// it is alone nobody is asked.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| {
    Dispatch::new(Listener {
        wants: Some(LevelFilter::OFF),
        ..Listener::default()
    })
});

impl Listener {
    fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

fn place(span: &Id) -> usize {
    span.into_u64() as usize - 1
}

struct Reading<'a>(&'a mut Line);

impl Visit for Reading<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_heard = |thread| thread == thread::current().id();
        self.thread.is_none_or(is_heard) && metadata.target().starts_with("logpipe")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.wants
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::from([("span", span.metadata().name().into())]);
        span.record(&mut Reading(&mut line));
        let mut lines = self.lines.lock().unwrap();
        lines.push(line);
        Id::from_u64(lines.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut lines = self.lines.lock().unwrap();
        values.record(&mut Reading(&mut lines[place(span)]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::new();
        event.record(&mut Reading(&mut line));
        let within = self.within.lock().unwrap();
        if let Some(span) = within
            .get(&thread::current().id())
            .and_then(|all| all.last())
        {
            line.insert("within", span.to_string());
        }
        self.lines.lock().unwrap().push(line);
    }

    fn enter(&self, span: &Id) {
        let mut within = self.within.lock().unwrap();
        within
            .entry(thread::current().id())
            .or_default()
            .push(place(span));
    }

    fn exit(&self, _: &Id) {
        let mut within = self.within.lock().unwrap();
        within.entry(thread::current().id()).or_default().pop();
    }
}

/// Whatever becomes of a record.
#[tokio::test(start_paused = true)]
async fn every_verdict_names_its_record_and_nothing_shows_what_is_in_it() {
    let listener = Listener {
        thread: Some(thread::current().id()),
        ..Listener::default()
    };
    LazyLock::force(&ANOTHER);
    tracing::subscriber::set_global_default(listener.clone()).unwrap();
    let log = Log::new(memory::Memory::with(memory::Settings {
        lanes: 1,
        ..memory::Settings::default()
    }));
    let (store, seen) = (Memory::new(), Seen::default());
    let producer = log.producer("notes").await.unwrap();
    let key = |name: &str| format!("{SECRET}-{name}");
    for (name, number) in [("handled", 0), ("retried", 1), ("parked", 2), ("again", 3)] {
        producer.send(&note(&key(name), number)).await.unwrap();
    }
    producer.send(&Stranger).await.unwrap();
    let sink = log.backend().sink("notes").await.unwrap();
    // Invalid, malformed, and from the future.
    for value in [
        r#"json:{"type":"note","version":1,"message":{"id":"hush","number":-1}}"#,
        r#"json:{"type":"note","version":1,"message":{"id":"hush"#,
        r#"json:{"type":"note","version":3,"message":{"id":"hush"}}"#,
    ] {
        let record = NewRecord {
            key: Some(key(&value.len().to_string()).into()),
            headers: Vec::new(),
            value: Some(value.into()),
            timestamp: None,
        };
        sink.send(vec![record]).await.pop().unwrap().unwrap();
    }
    let consumer = |is_cured: bool| {
        Consumer::with_store(log.source("notes"), store.clone())
            .group("test")
            .on_with(
                (seen.clone(), is_cured),
                async |(seen, is_cured), note: Note, cx| {
                    seen.push(&note);
                    match note.number {
                        1 if cx.attempt() == 1 => Err(Error::msg("not yet")),
                        2 if !is_cured => Err(Error::park("not now")),
                        3 => Err(Error::park("never")),
                        _ => Ok(()),
                    }
                },
            )
            .on(async |_: Note2, _: &mut Cx<Memory>| Ok(()))
            .on_unknown_type(Policy::Skip)
            .idle_timeout(Duration::from_secs(30))
    };
    let mut said = String::new();
    for is_cured in [false, true] {
        let service = Service::new().with(consumer(is_cured));
        let monitor = service.monitor();
        let outcome = service.run().await.unwrap();
        assert_eq!(outcome.held.len(), 1);
        let health = monitor.health();
        write!(said, "{outcome:?} {} {health:?}", outcome.held[0]).unwrap();
        assert!(store.redrive(&Filter::default()).await.unwrap() > 0);
    }
    let stopping = consumer(true).on_unknown_version(Policy::Stop);
    let error = Service::new().with(stopping).run().await.unwrap_err();
    write!(said, "{error} {error:?}").unwrap();

    let lines = listener.take();
    for (words, least) in [
        ("message", 7),
        ("failed, to be tried again", 1),
        ("parked: ", 4),
        ("skipped", 1),
        ("the lane is held", 2),
        ("redriven", 1),
        ("parked again", 3),
    ] {
        let is_it = |line: &&Line| match line.get("span") {
            Some(name) => name == words,
            None => line["message"].starts_with(words),
        };
        let lines: Vec<&Line> = lines.iter().filter(is_it).collect();
        assert!(lines.len() >= least, "{words}: {lines:?}");
        for line in lines {
            for field in ["topic", "lane", "position", "type", "version", "attempt"] {
                assert!(
                    line.contains_key(field),
                    "{words} without {field}: {line:?}"
                );
            }
        }
    }
    write!(said, "{lines:?}").unwrap();
    assert!(!said.contains(SECRET), "{said}");
}

/// The thread of a handler has no subscriber of its own, and may be another one each time that it goes on.
#[cfg(feature = "sqlite")]
#[tokio::test(start_paused = true)]
async fn handlers_are_heard_by_the_subscriber_of_their_service() {
    use logpipe::store::Sqlite;

    let listener = Listener::default();
    LazyLock::force(&ANOTHER);
    let _guard = tracing::subscriber::set_default(listener.clone());
    let (log, store) = (Log::memory(), Sqlite::temporary().await.unwrap());
    let producer = log.producer("notes").await.unwrap();
    producer.send(&note("a", 1)).await.unwrap();
    let consumer = Consumer::with_store(log.source("notes"), store)
        .group("test")
        .on(async |note: Note, _: &mut Cx<Sqlite>| {
            for message in ["before", "behind"] {
                let thread = thread::current().id();
                tracing::info!(target: "logpipe_test", number = note.number, ?thread, "{message}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        })
        .on(async |_: Note2, _: &mut Cx<Sqlite>| Ok(()))
        .stop_after(1);
    let outcome = Service::new().with(consumer).run().await.unwrap();
    assert_eq!(outcome.handled, 1);
    let lines = listener.take();
    for message in ["before", "behind"] {
        let is_it = |line: &&Line| line.get("message").is_some_and(|said| said == message);
        let line = lines.iter().find(is_it).expect(message);
        assert_ne!(line["thread"], format!("{:?}", thread::current().id()));
        assert_eq!(line["number"], "1");
        let span = &lines[line["within"].parse::<usize>().unwrap()];
        assert_eq!((&*span["span"], &*span["attempt"]), ("message", "1"));
        for field in ["topic", "lane", "position", "type", "version"] {
            assert!(
                span.contains_key(field),
                "{message} without {field}: {span:?}"
            );
        }
    }
}
