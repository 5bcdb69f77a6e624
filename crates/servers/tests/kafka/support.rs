//! What do the tests of consumers of Kafka share, beside what all of them do? A log whose groups notice quickly, and more
//! to ask of a consumer that runs.

use std::time::Duration;

use logpipe::health::LaneState;
use logpipe::kafka::{Builder, Kafka};
use logpipe::{Consumer, Log, Store};

pub use crate::shared::{Note, PATIENCE, Running, Seen, run, until};

/// A log whose groups notice quickly.
pub fn settings(bootstrap: &str) -> Builder {
    Kafka::builder(bootstrap)
        .session_timeout(Duration::from_secs(6))
        .client("heartbeat.interval.ms", "500")
}

pub fn log(bootstrap: &str) -> Log {
    Log::new(settings(bootstrap).build().unwrap())
}

/// Notes of one key.
pub fn notes(numbers: impl IntoIterator<Item = i64>) -> Vec<Note> {
    let note = |number| Note {
        id: "a".into(),
        number,
    };
    numbers.into_iter().map(note).collect()
}

/// Sends notes of one key.
pub async fn send(log: &Log, topic: &str, numbers: impl IntoIterator<Item = i64>) {
    let producer = log.producer(topic).await.unwrap();
    producer.send_all(&notes(numbers)).await.unwrap();
}

/// A consumer in the group named after its topic.
pub fn consumer<S: Store>(log: &Log, topic: &str, store: S, seen: &Seen) -> Consumer<S> {
    Consumer::with_store(log.source(topic), store)
        .group(topic)
        .dead_letter(format!("{topic}.dead"))
        .on_with(seen.clone(), async |seen, note: Note, _cx| {
            seen.push(note.number);
            Ok(())
        })
}

impl Running {
    pub fn states(&self) -> Vec<LaneState> {
        let health = self.monitor.health();
        let lanes = health.consumers.into_iter().flat_map(|one| one.lanes);
        lanes.map(|lane| lane.state).collect()
    }

    /// Why lanes are held or wait.
    pub fn why(&self) -> String {
        let states: Vec<String> = self.states().iter().map(LaneState::to_string).collect();
        states.join("\n")
    }

    pub async fn idle(&self) {
        until("every lane is at its end", || {
            let states = self.states();
            !states.is_empty() && states.iter().all(|state| *state == LaneState::Idle)
        })
        .await;
    }

    /// Whether it has not ended.
    pub fn is_on(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends it without a word to anybody.
    pub async fn kill(self) {
        self.task.abort();
        // Cancelled, as it was asked to be.
        let _ = self.task.await;
    }
}
