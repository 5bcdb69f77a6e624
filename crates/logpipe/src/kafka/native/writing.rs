//! How are records written in batches, and what may a failed write have left behind?

use std::ffi::CString;
use std::ptr;

use bytes::Bytes;
use rdkafka::bindings as c;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::util::IntoOpaque;

use super::OK;
use crate::kafka::ledger::Numbered;

/// `RD_KAFKA_PARTITION_UA`, a macro: the partitioner says where a record goes.
const UNASSIGNED: i32 = -1;

/// Hands records of one topic over, in order, each with the number that its report will name; headers and times are not.
/// Says which places were refused: once there is no room, all that follow.
pub(in crate::kafka) fn produce<C: ProducerContext<DeliveryOpaque = usize>>(
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
pub(in crate::kafka) fn may_be_written(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: a message of a delivery report is alive while it is borrowed.
    let status = unsafe { c::rd_kafka_message_status(message.ptr()) };
    status != c::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}
