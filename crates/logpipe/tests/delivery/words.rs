//! Do logs say what an incident is debugged by, and nothing of what was sent?

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use logpipe::policy::Policy;
use logpipe::sink::NewRecord;
use logpipe::store::{Administration, Filter, Memory};
use logpipe::{Consumer, Cx, Error, Log, Service, memory};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::note::{Note, Note2, Seen, Stranger, note};

/// In the key of every record, and in its value.
const SECRET: &str = "hush";

/// A span or an event: its fields, the message among them.
type Line = BTreeMap<&'static str, String>;

/// Hears one thread. It is the process's only subscriber: while there is a single one, tracing asks the default of the
/// thread that meets a span first, and a subscriber of another thread alone would never hear of that span.
#[derive(Clone)]
struct Listener {
    lines: Arc<Mutex<Vec<Line>>>,
    thread: ThreadId,
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
        thread::current().id() == self.thread && metadata.target().starts_with("logpipe")
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
        values.record(&mut Reading(&mut lines[span.into_u64() as usize - 1]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::new();
        event.record(&mut Reading(&mut line));
        self.lines.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Whatever becomes of a record.
#[tokio::test(start_paused = true)]
async fn every_verdict_names_its_record_and_nothing_shows_what_is_in_it() {
    let listener = Listener {
        lines: Arc::default(),
        thread: thread::current().id(),
    };
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

    let lines = std::mem::take(&mut *listener.lines.lock().unwrap());
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
