//! How is a partition read in batches, from a queue of its own?

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::Arc;

use rdkafka::bindings as c;
use tokio::sync::Notify;

use super::{Answer, Failed, OK, Queue, bytes, c_string, owned};
use crate::kafka::client::Client;

/// A partition that is being fetched, and the queue that its records wait in.
pub(in crate::kafka) struct Fetching {
    topic: *mut c::rd_kafka_topic_t,
    partition: i32,
    /// Notified when the queue is no longer empty. The queue knows its address: it is freed after the callback is off.
    filled: Arc<Notify>,
    queue: Queue,
}

// SAFETY: topic objects and queues may be used from any thread.
unsafe impl Send for Fetching {}
// SAFETY: as above, and what takes records or stops needs it alone.
unsafe impl Sync for Fetching {}

/// Runs on a thread of librdkafka that holds the lock of the queue: it only wakes whoever waits.
unsafe extern "C" fn filled(_: *mut c::rd_kafka_t, notify: *mut c_void) {
    // SAFETY: the address of `Fetching::filled`, which lives until the callback was switched off.
    let notify = unsafe { &*notify.cast::<Notify>() };
    notify.notify_one();
}

impl Fetching {
    /// Begins to fetch at `offset`. A partition is fetched once by each client at a time.
    pub(in crate::kafka) fn start(
        client: &Arc<Client>,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Answer<Self> {
        let name = c_string(topic)?;
        // SAFETY: the client is alive, the name is a C string, and null stands for the default configuration.
        let topic = unsafe { c::rd_kafka_topic_new(client.ptr(), name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            // SAFETY: reads a thread-local.
            return Err(Failed::code(unsafe { c::rd_kafka_last_error() }.into()));
        }
        let mut fetching = Self {
            topic,
            partition: -1,
            filled: Arc::new(Notify::new()),
            queue: Queue::new(client),
        };
        let notify = Arc::as_ptr(&fetching.filled).cast_mut().cast();
        // SAFETY: the queue is ours; `notify` lives until `drop` has switched the callback off, which waits for one that
        // runs, for both hold the queue's lock.
        unsafe { c::rd_kafka_queue_cb_event_enable(fetching.queue.ptr, Some(filled), notify) };
        // SAFETY: topic and queue are ours and of one client.
        let started = unsafe {
            c::rd_kafka_consume_start_queue(topic, partition, offset, fetching.queue.ptr)
        };
        if started != 0 {
            // SAFETY: reads a thread-local.
            return Err(Failed::code(unsafe { c::rd_kafka_last_error() }.into()));
        }
        fetching.partition = partition;
        Ok(fetching)
    }

    /// Resolves when the queue was filled; perhaps what filled it was taken since.
    pub(in crate::kafka) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Whether anything waits in the queue.
    pub(in crate::kafka) fn waits(&self) -> bool {
        // SAFETY: the queue is ours.
        unsafe { c::rd_kafka_queue_length(self.queue.ptr) > 0 }
    }

    /// Stops to fetch; what waits in the queue is dropped. The partition may be begun anew.
    pub(in crate::kafka) fn stop(&mut self) {
        if self.partition < 0 {
            return;
        }
        // SAFETY: the topic is ours and its partition was started.
        unsafe { c::rd_kafka_consume_stop(self.topic, self.partition) };
        self.partition = -1;
        // What is left in the queue is outdated, and would be kept until the partition is read again.
        while self.waits() && !self.take(1_000).messages.is_empty() {}
    }

    /// What waits in the queue, up to `max`.
    pub(in crate::kafka) fn take(&mut self, max: usize) -> Batch {
        let mut messages: Vec<*mut c::rd_kafka_message_t> = Vec::with_capacity(max);
        // SAFETY: the queue is ours, and the array has room for `max` pointers.
        let count = unsafe {
            c::rd_kafka_consume_batch_queue(self.queue.ptr, 0, messages.as_mut_ptr(), max)
        };
        let count = usize::try_from(count).unwrap_or(0).min(max);
        // SAFETY: the call has written `count` pointers.
        unsafe { messages.set_len(count) };
        Batch {
            messages,
            _client: self.queue.client.clone(),
        }
    }

    /// Where the visible log ended when the broker last answered, by the client's memory.
    pub(in crate::kafka) fn end(&self) -> Option<u64> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: client and topic are alive, the name lives as long as the topic, and both numbers are ours.
        let code = unsafe {
            c::rd_kafka_get_watermark_offsets(
                self.queue.client.ptr(),
                c::rd_kafka_topic_name(self.topic),
                self.partition,
                &mut low,
                &mut high,
            )
        };
        (code == OK).then(|| u64::try_from(high).ok())?
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.stop();
        // SAFETY: queue and topic are ours, and not used again. After the callback is off nobody uses `filled`.
        unsafe {
            c::rd_kafka_queue_cb_event_enable(self.queue.ptr, None, ptr::null_mut());
            c::rd_kafka_topic_destroy(self.topic);
        }
    }
}

/// Messages taken from a queue; freed with it, before the client.
pub(in crate::kafka) struct Batch {
    messages: Vec<*mut c::rd_kafka_message_t>,
    _client: Arc<Client>,
}

// SAFETY: messages may be used from any thread, by one at a time: a shared batch is not `Sync`.
unsafe impl Send for Batch {}

/// One of them.
pub(in crate::kafka) enum Taken<'a> {
    Record(Message<'a>),
    /// Nothing visible was behind this offset when the log was asked.
    End(u64),
    Failed(Failed),
}

impl Batch {
    pub(in crate::kafka) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The record at this place, if it is one.
    pub(in crate::kafka) fn message(&self, place: usize) -> Option<Message<'_>> {
        match self.taken(place) {
            Taken::Record(message) => Some(message),
            Taken::End(_) | Taken::Failed(_) => None,
        }
    }

    /// The records, with their places.
    pub(in crate::kafka) fn messages(&self) -> impl Iterator<Item = (usize, Message<'_>)> {
        (0..self.len()).filter_map(|place| Some((place, self.message(place)?)))
    }

    pub(in crate::kafka) fn iter(&self) -> impl Iterator<Item = Taken<'_>> {
        (0..self.len()).map(|place| self.taken(place))
    }

    fn taken(&self, place: usize) -> Taken<'_> {
        let ptr = self.messages[place];
        // SAFETY: the message is ours until the batch is dropped, which the lifetime holds.
        let message = unsafe { &*ptr };
        match message.err {
            OK => Taken::Record(Message {
                declared: message,
                ptr,
            }),
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                Taken::End(u64::try_from(message.offset).unwrap_or(0))
            }
            // SAFETY: the message is alive, and so is its text.
            code => Taken::Failed(Failed {
                code: code.into(),
                said: unsafe { owned(c::rd_kafka_message_errstr(ptr)) },
            }),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in &self.messages {
            // SAFETY: ours, and not used again; the client, which has to outlive it, is dropped after it.
            unsafe { c::rd_kafka_message_destroy(*message) };
        }
    }
}

/// A record that librdkafka still owns.
///
/// C functions are given its own pointer: what they keep of a message lies behind the part of it that is declared.
#[derive(Clone, Copy)]
pub(in crate::kafka) struct Message<'a> {
    declared: &'a c::rd_kafka_message_t,
    ptr: *const c::rd_kafka_message_t,
}

impl<'a> Message<'a> {
    pub(in crate::kafka) fn offset(self) -> u64 {
        u64::try_from(self.declared.offset).unwrap_or(0)
    }

    pub(in crate::kafka) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: null, or `key_len` bytes that live as long as the message.
        unsafe { bytes(self.declared.key, self.declared.key_len) }
    }

    pub(in crate::kafka) fn value(self) -> Option<&'a [u8]> {
        // SAFETY: null, or `len` bytes that live as long as the message.
        unsafe { bytes(self.declared.payload, self.declared.len) }
    }

    /// Key and value, as far as there are any.
    pub(in crate::kafka) fn parts(self) -> impl Iterator<Item = &'a [u8]> {
        [self.key(), self.value()].into_iter().flatten()
    }

    /// Milliseconds since 1970, where the record has a time.
    pub(in crate::kafka) fn timestamp(self) -> Option<i64> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let millis = unsafe { c::rd_kafka_message_timestamp(self.ptr, &mut kind) };
        (millis >= 0).then_some(millis)
    }

    pub(in crate::kafka) fn headers(self) -> Headers<'a> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; the headers that it lends live as long as it does.
        let code = unsafe { c::rd_kafka_message_headers(self.ptr, &mut headers) };
        Headers {
            headers: if code == OK { headers } else { ptr::null_mut() },
            next: 0,
            _of: self,
        }
    }
}

/// The headers of a record, in its order. A header without value counts as empty.
pub(in crate::kafka) struct Headers<'a> {
    headers: *mut c::rd_kafka_headers_t,
    next: usize,
    _of: Message<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a CStr, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.headers.is_null() {
            return None;
        }
        let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers live as long as the message, and the three places are ours.
        let code = unsafe {
            c::rd_kafka_header_get_all(self.headers, self.next, &mut name, &mut value, &mut len)
        };
        self.next += 1;
        (code == OK).then(|| {
            // SAFETY: what was lent lives as long as the message: a C string, and null or `len` bytes.
            unsafe {
                (
                    CStr::from_ptr(name),
                    bytes(value.cast_mut(), len).unwrap_or_default(),
                )
            }
        })
    }
}
