//! Who reads headers that nobody has asked for yet?
//!
//! librdkafka allocates twice to say that a record has no headers, which takes longer than to copy the record. So the
//! last few batches of a lane are kept, and asked when somebody wants to know. Before one is given back, the headers of
//! its records that are still around are read: a record that waits for long keeps nothing of the client's memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;

use super::native::{Batch, Message};
use crate::record::{Header, Headers, Unread};

/// Batches that are kept: nearly all records are settled by the time that so many more were read.
const BATCHES: usize = 4;

/// What their records may hold; a share of the client's buffer is kept with them.
const BYTES: usize = 1 << 20;

/// The last batches of a lane.
#[derive(Default)]
pub(super) struct Kept {
    batches: VecDeque<(Arc<Late>, usize)>,
    bytes: usize,
    /// The lane's records have headers: they are read at once, and counted in their size.
    has_headers: bool,
}

impl Kept {
    /// The headers of the messages at these places of a batch. `bytes` is what its records hold.
    pub(super) fn headers(&mut self, batch: Batch, bytes: usize, places: &[usize]) -> Vec<Headers> {
        let first = batch.messages().next();
        self.has_headers |= first.is_some_and(|(_, first)| !read(first).is_empty());
        if self.has_headers {
            let messages = places.iter().map(|place| batch.message(*place));
            return messages
                .map(|message| message.map(read).unwrap_or_default().into())
                .collect();
        }
        let late = Late::new(batch);
        self.batches.push_back((late.clone(), bytes));
        self.bytes += bytes;
        while self.batches.len() > BATCHES || (self.bytes > BYTES && self.batches.len() > 1) {
            self.close_first();
        }
        let places = places.iter();
        places
            .map(|place| Headers::unread(late.clone(), *place))
            .collect()
    }

    fn close_first(&mut self) {
        if let Some((late, bytes)) = self.batches.pop_front() {
            self.bytes -= bytes;
            self.has_headers |= late.close();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        while !self.batches.is_empty() {
            self.close_first();
        }
    }
}

/// A batch that is kept for its headers.
struct Late {
    /// `None` when the headers of all records that are around were read.
    batch: Mutex<Option<Batch>>,
    places: Box<[Place]>,
}

#[derive(Default)]
struct Place {
    /// The record is gone.
    is_done: AtomicBool,
    /// Set by whoever holds the batch.
    headers: OnceLock<Vec<Header>>,
}

impl Late {
    fn new(batch: Batch) -> Arc<Self> {
        Arc::new(Self {
            places: std::iter::repeat_with(Place::default)
                .take(batch.len())
                .collect(),
            batch: Mutex::new(Some(batch)),
        })
    }

    fn batch(&self) -> MutexGuard<'_, Option<Batch>> {
        self.batch
            .lock()
            .expect("nothing panics while it holds a batch")
    }

    /// Gives the batch back; says whether anybody saw headers in it.
    fn close(&self) -> bool {
        let mut batch = self.batch();
        if let Some(batch) = batch.take() {
            for (place, message) in batch.messages() {
                let place = &self.places[place];
                if !place.is_done.load(Ordering::Acquire) {
                    place.headers.get_or_init(|| read(message));
                }
            }
        }
        let mut seen = self.places.iter().filter_map(|place| place.headers.get());
        seen.any(|headers| !headers.is_empty())
    }
}

impl Unread for Late {
    fn read(&self, place: usize) -> &[Header] {
        let headers = &self.places[place].headers;
        if let Some(headers) = headers.get() {
            return headers;
        }
        let batch = self.batch();
        let message = batch.as_ref().and_then(|batch| batch.message(place));
        headers.get_or_init(|| message.map(read).unwrap_or_default())
    }

    fn forget(&self, place: usize) {
        self.places[place].is_done.store(true, Ordering::Release);
    }
}

fn read(message: Message<'_>) -> Vec<Header> {
    let headers = message.headers();
    headers
        .map(|(name, value)| Header {
            name: name.to_string_lossy().into_owned(),
            value: Bytes::copy_from_slice(value),
        })
        .collect()
}
