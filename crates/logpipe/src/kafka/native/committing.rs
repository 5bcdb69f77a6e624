//! How is a commit handed over in one place and awaited in another?

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as c;
use rdkafka::error::RDKafkaErrorCode;

use super::list::partitions;
use super::{Answer, Failed, OK, Queue};
use crate::kafka::client::Client;

/// A commit that was handed over.
pub(in crate::kafka) struct Committing(Queue);

/// Hands a commit over. It is served before whatever is asked of the membership later, so that a lane which was ours when
/// it was handed over is not another's when it is sent.
pub(in crate::kafka) fn commit(
    client: &Arc<Client>,
    offsets: &TopicPartitionList,
) -> Answer<Committing> {
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
    pub(in crate::kafka) fn wait(self, timeout: Duration) -> Answer<()> {
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
