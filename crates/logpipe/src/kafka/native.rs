//! What does librdkafka offer that rust-rdkafka has no safe name for? The only `unsafe` of the Kafka backend.
//!
//! Five things: reading a partition in batches ([`Fetching`]), the questions of the administration that the safe client
//! lacks ([`topics`], [`offsets`], [`alter_offsets`]), commits that are handed over in one place and awaited in another
//! ([`commit`]), writing in batches ([`produce`]), and what a failed write may have left behind ([`may_be_written`]).
//!
//! The proofs lean on few facts, all of them librdkafka's documented contract:
//!
//! * the library is thread-safe;
//! * a queue, topic, event or message that a `_new`, `_poll` or `_consume` function returned is ours until the matching
//!   `_destroy`; a request that is still on its way holds a share of the queue that its answer goes to;
//! * what accessors of an event or message lend lives as long as that does;
//! * a request copies its arguments before the function that sends it returns.
//!
//! And on three of ours: every object is destroyed before its client, for each struct that outlives a call owns a share of
//! the [`Client`] and the others never leave the function that was handed one; what is lent is bound to the owner by a
//! lifetime, or copied before the function returns; and the one callback neither panics nor calls librdkafka.
//!
//! Behind the proofs stands a run of the tests on a real broker under valgrind; docs/ARCHITECTURE.md has the command.
#![allow(unsafe_code)] // The C calls that rust-rdkafka does not wrap; each block says why it is sound.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as c;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::util::IntoOpaque;
use tokio::sync::Notify;

use super::client::Client;
use super::ledger::Numbered;

/// A code of librdkafka, and what it said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) code: RDKafkaErrorCode,
    pub(super) said: String,
}

impl Failed {
    pub(super) fn code(code: RDKafkaErrorCode) -> Self {
        Self {
            said: code.to_string(),
            code,
        }
    }
}

type Answer<T> = Result<T, Failed>;

const OK: c::rd_kafka_resp_err_t = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// # Safety
///
/// `text` is null or a C string that lives during the call.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and a C string by the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// # Safety
///
/// `error` is null or an error object that lives during the call.
unsafe fn check(error: *const c::rd_kafka_error_t) -> Answer<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: an error object by the caller's promise; its string lives as long as it does.
    let (code, said) = unsafe {
        (
            c::rd_kafka_error_code(error),
            owned(c::rd_kafka_error_string(error)),
        )
    };
    match code == OK {
        true => Ok(()),
        false => Err(Failed {
            code: code.into(),
            said,
        }),
    }
}

/// An array that librdkafka lends: `cnt` pointers at `array`, or none where it is null.
///
/// # Safety
///
/// `array` is null or points to `cnt` pointers that live for `'a`.
unsafe fn lent<'a, T>(array: *mut *const T, cnt: usize) -> &'a [*const T] {
    match array.is_null() {
        true => &[],
        // SAFETY: by the caller's promise.
        false => unsafe { slice::from_raw_parts(array, cnt) },
    }
}

/// A queue of our own.
struct Queue {
    ptr: *mut c::rd_kafka_queue_t,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues may be used from any thread, at the same time.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    fn new(client: &Arc<Client>) -> Self {
        // SAFETY: the client is alive. The function never returns null.
        let ptr = unsafe { c::rd_kafka_queue_new(client.ptr()) };
        Self {
            ptr,
            client: client.clone(),
        }
    }

    /// The next event, waited for this long.
    fn poll(&self, timeout: Duration) -> Option<Happened> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is ours.
        let ptr = unsafe { c::rd_kafka_queue_poll(self.ptr, millis) };
        (!ptr.is_null()).then_some(Happened(ptr))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and is not used again; the client, which has to outlive it, is dropped after it.
        unsafe { c::rd_kafka_queue_destroy(self.ptr) };
    }
}

/// An event of a queue.
struct Happened(*mut c::rd_kafka_event_t);

impl Happened {
    fn check(&self) -> Answer<()> {
        // SAFETY: the event is ours.
        let code = unsafe { c::rd_kafka_event_error(self.0) };
        if code == OK {
            return Ok(());
        }
        // SAFETY: the event is ours, and the string lives as long as it does.
        let said = unsafe { owned(c::rd_kafka_event_error_string(self.0)) };
        Err(Failed {
            code: code.into(),
            said,
        })
    }
}

impl Drop for Happened {
    fn drop(&mut self) {
        // SAFETY: the event is ours and is not used again.
        unsafe { c::rd_kafka_event_destroy(self.0) };
    }
}

// Reading.

/// A partition that is being fetched, and the queue that its records wait in.
pub(super) struct Fetching {
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
    pub(super) fn start(
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
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Whether anything waits in the queue.
    pub(super) fn waits(&self) -> bool {
        // SAFETY: the queue is ours.
        unsafe { c::rd_kafka_queue_length(self.queue.ptr) > 0 }
    }

    /// Stops to fetch; what waits in the queue is dropped. The partition may be begun anew.
    pub(super) fn stop(&mut self) {
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
    pub(super) fn take(&mut self, max: usize) -> Batch {
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
    pub(super) fn end(&self) -> Option<u64> {
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
pub(super) struct Batch {
    messages: Vec<*mut c::rd_kafka_message_t>,
    _client: Arc<Client>,
}

// SAFETY: messages may be used from any thread, by one at a time: a shared batch is not `Sync`.
unsafe impl Send for Batch {}

/// One of them.
pub(super) enum Taken<'a> {
    Record(Message<'a>),
    /// Nothing visible was behind this offset when the log was asked.
    End(u64),
    Failed(Failed),
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The record at this place, if it is one.
    pub(super) fn message(&self, place: usize) -> Option<Message<'_>> {
        match self.taken(place) {
            Taken::Record(message) => Some(message),
            Taken::End(_) | Taken::Failed(_) => None,
        }
    }

    /// The records, with their places.
    pub(super) fn messages(&self) -> impl Iterator<Item = (usize, Message<'_>)> {
        (0..self.len()).filter_map(|place| Some((place, self.message(place)?)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Taken<'_>> {
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
pub(super) struct Message<'a> {
    declared: &'a c::rd_kafka_message_t,
    ptr: *const c::rd_kafka_message_t,
}

impl<'a> Message<'a> {
    pub(super) fn offset(self) -> u64 {
        u64::try_from(self.declared.offset).unwrap_or(0)
    }

    pub(super) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: null, or `key_len` bytes that live as long as the message.
        unsafe { bytes(self.declared.key, self.declared.key_len) }
    }

    pub(super) fn value(self) -> Option<&'a [u8]> {
        // SAFETY: null, or `len` bytes that live as long as the message.
        unsafe { bytes(self.declared.payload, self.declared.len) }
    }

    /// Key and value, as far as there are any.
    pub(super) fn parts(self) -> impl Iterator<Item = &'a [u8]> {
        [self.key(), self.value()].into_iter().flatten()
    }

    /// Milliseconds since 1970, where the record has a time.
    pub(super) fn timestamp(self) -> Option<i64> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let millis = unsafe { c::rd_kafka_message_timestamp(self.ptr, &mut kind) };
        (millis >= 0).then_some(millis)
    }

    pub(super) fn headers(self) -> Headers<'a> {
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

/// # Safety
///
/// `start` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}

/// The headers of a record, in its order. A header without value counts as empty.
pub(super) struct Headers<'a> {
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

// Asking.

fn c_string(text: &str) -> Answer<CString> {
    CString::new(text).map_err(|_| Failed {
        code: RDKafkaErrorCode::InvalidArgument,
        said: "a name holds a zero byte".into(),
    })
}

/// Sends one request of the administration and waits for its answer.
fn ask(
    client: &Arc<Client>,
    api: c::rd_kafka_admin_op_t,
    timeout: Duration,
    send: impl FnOnce(*mut c::rd_kafka_t, *const c::rd_kafka_AdminOptions_t, *mut c::rd_kafka_queue_t),
) -> Answer<Happened> {
    let queue = Queue::new(client);
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive; the options are ours until they are destroyed after the request was sent, which copies
    // them; `send` is handed objects that live during its call.
    unsafe {
        let options = c::rd_kafka_AdminOptions_new(client.ptr(), api);
        c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        send(client.ptr(), options, queue.ptr);
        c::rd_kafka_AdminOptions_destroy(options);
    }
    let Some(event) = queue.poll(timeout + Duration::from_millis(500)) else {
        return Err(Failed::code(RDKafkaErrorCode::OperationTimedOut));
    };
    event.check()?;
    Ok(event)
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    /// Another one after the topic was deleted and made again.
    pub(super) id: String,
    /// Its partitions' numbers, ascending.
    pub(super) partitions: Vec<i32>,
}

/// Describes topics, in their order. Never makes one.
pub(super) fn topics(
    client: &Arc<Client>,
    names: &[&str],
    timeout: Duration,
) -> Answer<Vec<Answer<Topic>>> {
    let names: Vec<CString> = names
        .iter()
        .map(|name| c_string(name))
        .collect::<Answer<_>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let api = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let event = ask(client, api, timeout, |client, options, queue| {
        // SAFETY: the names live during the call, which copies them; the collection is ours and destroyed after use.
        unsafe {
            let collection =
                c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            c::rd_kafka_DescribeTopics(client, collection, options, queue);
            c::rd_kafka_TopicCollection_destroy(collection);
        }
    })?;
    // SAFETY: the event is ours until the end of this function, and all that is read from it lives as long. A result of
    // another type would be null, which is asked for.
    let described = unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err(Failed::code(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        lent(topics, count)
            .iter()
            .map(|topic| (name_of(*topic), describe(*topic)))
            .collect::<Vec<_>>()
    };
    // The answer need not be in the order of the question.
    let found = names.iter().map(|name| {
        let name = name.to_string_lossy();
        let found = described.iter().find(|(other, _)| *other == name);
        found.map_or_else(
            || Err(Failed::code(RDKafkaErrorCode::UnknownTopicOrPartition)),
            |(_, topic)| topic.clone(),
        )
    });
    Ok(found.collect())
}

/// # Safety
///
/// `topic` is a description whose event lives during the call.
unsafe fn name_of(topic: *const c::rd_kafka_TopicDescription_t) -> String {
    // SAFETY: by the caller's promise.
    unsafe { owned(c::rd_kafka_TopicDescription_name(topic)) }
}

/// # Safety
///
/// `topic` is a description whose event lives during the call.
unsafe fn describe(topic: *const c::rd_kafka_TopicDescription_t) -> Answer<Topic> {
    // SAFETY: by the caller's promise; all that is lent is read before the call returns.
    unsafe {
        check(c::rd_kafka_TopicDescription_error(topic))?;
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        let mut count = 0;
        let partitions = c::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let mut partitions: Vec<i32> = lent(partitions, count)
            .iter()
            .map(|partition| c::rd_kafka_TopicPartitionInfo_partition(*partition))
            .collect();
        partitions.sort_unstable();
        Ok(Topic {
            id: owned(c::rd_kafka_Uuid_base64str(id)),
            partitions,
        })
    }
}

/// An offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The text that was stored beside it.
    pub(super) beside: String,
}

/// Whether the client was made with a group.
fn has_group(client: &Client) -> bool {
    // SAFETY: the client is alive; what is returned is null or ours, and destroyed once.
    unsafe {
        let group = c::rd_kafka_consumer_group_metadata(client.ptr());
        if !group.is_null() {
            c::rd_kafka_consumer_group_metadata_destroy(group);
        }
        !group.is_null()
    }
}

/// The offsets that a group has committed. The client is one of a group: where the coordinator has moved or is not ready,
/// librdkafka 2.12 tells the client's own group to look for it, and follows a null pointer where there is none.
pub(super) fn offsets(client: &Arc<Client>, group: &str, timeout: Duration) -> Answer<Vec<Offset>> {
    if !has_group(client) {
        return Err(Failed {
            code: RDKafkaErrorCode::InvalidGroupId,
            said: "a client without a group can't ask for what a group keeps".into(),
        });
    }
    let group = c_string(group)?;
    let api = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
    let event = ask(client, api, timeout, |client, options, queue| {
        // SAFETY: the name lives during the call, null stands for all partitions; the request is ours and destroyed after
        // it was sent, which copies it.
        unsafe {
            let mut request = c::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null());
            c::rd_kafka_ListConsumerGroupOffsets(client, &mut request, 1, options, queue);
            c::rd_kafka_ListConsumerGroupOffsets_destroy(request);
        }
    })?;
    // SAFETY: the event is ours until the end of this function, and all that is read from it lives as long.
    unsafe {
        let result = c::rd_kafka_event_ListConsumerGroupOffsets_result(event.0);
        if result.is_null() {
            return Err(Failed::code(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        let groups = c::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        let mut all = Vec::new();
        for group in lent(groups, count) {
            check(c::rd_kafka_group_result_error(*group))?;
            for (found, failed) in partitions(c::rd_kafka_group_result_partitions(*group)) {
                match failed {
                    None => all.push(found),
                    Some(failed) => return Err(failed),
                }
            }
        }
        Ok(all)
    }
}

/// # Safety
///
/// `list` is null or a list that lives during the call.
unsafe fn partitions(
    list: *const c::rd_kafka_topic_partition_list_t,
) -> Vec<(Offset, Option<Failed>)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: by the caller's promise; `cnt` elements lie at `elems`, and each one's texts live as long as the list.
    unsafe {
        let list = &*list;
        let count = usize::try_from(list.cnt).unwrap_or(0);
        if list.elems.is_null() {
            return Vec::new();
        }
        let elements = slice::from_raw_parts(list.elems, count).iter();
        elements
            .map(|element| {
                let beside = bytes(element.metadata, element.metadata_size).unwrap_or_default();
                let found = Offset {
                    topic: owned(element.topic),
                    partition: element.partition,
                    offset: element.offset,
                    beside: String::from_utf8_lossy(beside).into_owned(),
                };
                let failed = (element.err != OK).then(|| Failed::code(element.err.into()));
                (found, failed)
            })
            .collect()
    }
}

/// Writes offsets for a group that has no member.
pub(super) fn alter_offsets(
    client: &Arc<Client>,
    group: &str,
    offsets: &TopicPartitionList,
    timeout: Duration,
) -> Answer<()> {
    let group = c_string(group)?;
    let api = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
    let event = ask(client, api, timeout, |client, options, queue| {
        // SAFETY: name and list live during the call, which copies both; the request is ours and destroyed after it was
        // sent, which copies it.
        unsafe {
            let mut request =
                c::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), offsets.ptr());
            c::rd_kafka_AlterConsumerGroupOffsets(client, &mut request, 1, options, queue);
            c::rd_kafka_AlterConsumerGroupOffsets_destroy(request);
        }
    })?;
    // SAFETY: the event is ours until the end of this function, and all that is read from it lives as long.
    unsafe {
        let result = c::rd_kafka_event_AlterConsumerGroupOffsets_result(event.0);
        if result.is_null() {
            return Err(Failed::code(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        let groups = c::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count);
        for group in lent(groups, count) {
            check(c::rd_kafka_group_result_error(*group))?;
            let written = partitions(c::rd_kafka_group_result_partitions(*group));
            if let Some(failed) = written.into_iter().find_map(|(_, failed)| failed) {
                return Err(failed);
            }
        }
        Ok(())
    }
}

// Committing.

/// A commit that was handed over.
pub(super) struct Committing(Queue);

/// Hands a commit over. It is served before whatever is asked of the membership later, so that a lane which was ours when
/// it was handed over is not another's when it is sent.
pub(super) fn commit(client: &Arc<Client>, offsets: &TopicPartitionList) -> Answer<Committing> {
    let queue = Queue::new(client);
    // SAFETY: client, list and queue live during the call, which copies the list. Without a callback the outcome is an
    // event of the queue.
    let code = unsafe {
        c::rd_kafka_commit_queue(
            client.ptr(),
            offsets.ptr(),
            queue.ptr,
            None,
            ptr::null_mut(),
        )
    };
    match code {
        OK => Ok(Committing(queue)),
        code => Err(Failed::code(code.into())),
    }
}

impl Committing {
    /// Waits for the outcome.
    pub(super) fn wait(self, timeout: Duration) -> Answer<()> {
        let Some(event) = self.0.poll(timeout) else {
            return Err(Failed::code(RDKafkaErrorCode::OperationTimedOut));
        };
        event.check()?;
        // SAFETY: the event is ours until the end of this function, and its list lives as long.
        let written = unsafe { partitions(c::rd_kafka_event_topic_partition_list(event.0)) };
        match written.into_iter().find_map(|(_, failed)| failed) {
            Some(failed) => Err(failed),
            None => Ok(()),
        }
    }
}

// Writing.

/// `RD_KAFKA_PARTITION_UA`, a macro: the partitioner says where a record goes.
const UNASSIGNED: i32 = -1;

/// Hands records of one topic over, in order, each with the number that its report will name; headers and times are not.
/// Says which places were refused: once there is no room, all that follow.
pub(super) fn produce<C: ProducerContext<DeliveryOpaque = usize>>(
    producer: &BaseProducer<C>,
    topic: &str,
    records: &[Numbered],
) -> Vec<(usize, RDKafkaErrorCode)> {
    let Ok(name) = CString::new(topic) else {
        let places = 0..records.len();
        return places
            .map(|place| (place, RDKafkaErrorCode::InvalidTopic))
            .collect();
    };
    let lend = |part: &Option<Bytes>| match part {
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
        None => (ptr::null_mut(), 0),
    };
    let messages = records.iter().map(|Numbered { number, record }| {
        let ((payload, len), (key, key_len)) = (lend(&record.value), lend(&record.key));
        c::rd_kafka_message_t {
            err: OK,
            rkt: ptr::null_mut(),
            partition: UNASSIGNED,
            payload,
            len,
            key,
            key_len,
            offset: 0,
            _private: number.into_ptr(),
        }
    });
    let mut messages: Vec<_> = messages.collect();
    let count = i32::try_from(messages.len()).expect("a batch is far smaller");
    // SAFETY: the client is alive, the name is a C string, and null stands for the client's configuration of topics. The
    // array holds `count` messages whose parts live during the call, which copies them as the flag says, and only reads.
    unsafe {
        let client = producer.client().native_ptr();
        let topic = c::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut());
        if topic.is_null() {
            let failed = c::rd_kafka_last_error();
            messages.iter_mut().for_each(|message| message.err = failed);
        } else {
            let copied = c::RD_KAFKA_MSG_F_COPY;
            c::rd_kafka_produce_batch(topic, UNASSIGNED, copied, messages.as_mut_ptr(), count);
            c::rd_kafka_topic_destroy(topic);
        }
    }
    let refused = messages.iter().enumerate();
    refused
        .filter(|(_, message)| message.err != OK)
        .map(|(place, message)| (place, message.err.into()))
        .collect()
}

/// Whether a message whose delivery failed may be in the log all the same.
pub(super) fn may_be_written(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: a message of a delivery report is alive while it is borrowed.
    let status = unsafe { c::rd_kafka_message_status(message.ptr()) };
    status != c::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}
