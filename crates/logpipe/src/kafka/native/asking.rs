//! How is a cluster asked what the safe client can't ask: what topics are, and what a group has committed?

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as c;
use rdkafka::error::RDKafkaErrorCode;

use super::list::{Offset, partitions};
use super::{Answer, Failed, Happened, Queue, c_string, check, lent, owned};
use crate::kafka::client::Client;

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
pub(in crate::kafka) struct Topic {
    /// Another one after the topic was deleted and made again.
    pub(in crate::kafka) id: String,
    /// Its partitions' numbers, ascending.
    pub(in crate::kafka) partitions: Vec<i32>,
}

/// Describes topics, in their order. Never makes one.
pub(in crate::kafka) fn topics(
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
pub(in crate::kafka) fn offsets(
    client: &Arc<Client>,
    group: &str,
    timeout: Duration,
) -> Answer<Vec<Offset>> {
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

/// Writes offsets for a group that has no member.
pub(in crate::kafka) fn alter_offsets(
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
