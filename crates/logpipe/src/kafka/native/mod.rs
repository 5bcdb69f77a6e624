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

mod asking;
mod committing;
mod list;
mod reading;
mod writing;

use std::ffi::{CStr, CString, c_char, c_void};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::error::RDKafkaErrorCode;

pub(super) use self::asking::{Topic, alter_offsets, offsets, topics};
pub(super) use self::committing::{Committing, commit};
pub(super) use self::list::Offset;
pub(super) use self::reading::{Batch, Fetching, Message, Taken};
pub(super) use self::writing::{may_be_written, produce};
use super::client::Client;

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

fn c_string(text: &str) -> Answer<CString> {
    CString::new(text).map_err(|_| Failed {
        code: RDKafkaErrorCode::InvalidArgument,
        said: "a name holds a zero byte".into(),
    })
}

/// # Safety
///
/// `start` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}
