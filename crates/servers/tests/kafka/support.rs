//! What do the tests of consumers of Kafka share, beside what all of them do? A log whose groups notice quickly, and more
//! to ask of a consumer that runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use logpipe::health::LaneState;
use logpipe::kafka::{Builder, Kafka};
use logpipe::record::Cursor;
use logpipe::{Consumer, Error, Log, Store};

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

/// A string as old versions of the protocol write it.
pub fn string(text: &str) -> Vec<u8> {
    let mut bytes = i16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// Sends a request that no client offers, and returns what follows the answer's correlation.
pub fn ask(bootstrap: &str, (api, version): (i16, i16), body: &[u8]) -> Vec<u8> {
    const CORRELATION: [u8; 4] = [0, 0, 0, 7];
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION);
    request.extend(string("test"));
    request.extend(body);
    let mut broker = TcpStream::connect(bootstrap).unwrap();
    broker.set_read_timeout(Some(PATIENCE)).unwrap();
    let size = i32::try_from(request.len()).unwrap();
    broker.write_all(&size.to_be_bytes()).unwrap();
    broker.write_all(&request).unwrap();
    let mut size = [0; 4];
    broker.read_exact(&mut size).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(size).try_into().unwrap()];
    broker.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], CORRELATION);
    answer.split_off(4)
}

impl Running {
    pub fn states(&self) -> Vec<LaneState> {
        let health = self.monitor.health();
        let lanes = health.consumers.into_iter().flat_map(|one| one.lanes);
        lanes.map(|lane| lane.state).collect()
    }

    /// Where the only lane stands, if it has one.
    pub fn cursor(&self) -> Option<Cursor> {
        let health = self.monitor.health();
        let mut lanes = health.consumers.into_iter().flat_map(|one| one.lanes);
        lanes.next()?.cursor
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

    /// Waits for it to end by itself, with an error.
    pub async fn failed(self) -> Error {
        let _stop = self.stop;
        match tokio::time::timeout(PATIENCE, self.task).await {
            Ok(ended) => ended.unwrap().unwrap_err(),
            Err(_) => panic!("the consumer did not end"),
        }
    }

    /// Ends it without a word to anybody.
    pub async fn kill(self) {
        self.task.abort();
        // Cancelled, as it was asked to be.
        let _ = self.task.await;
    }
}
