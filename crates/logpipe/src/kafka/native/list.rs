//! What do librdkafka's lists of partitions say?

use std::slice;

use rdkafka::bindings as c;

use super::{Failed, OK, bytes, owned};

/// An offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct Offset {
    pub(in crate::kafka) topic: String,
    pub(in crate::kafka) partition: i32,
    pub(in crate::kafka) offset: i64,
    /// The text that was stored beside it.
    pub(in crate::kafka) beside: String,
}

/// # Safety
///
/// `list` is null or a list that lives during the call.
pub(super) unsafe fn partitions(
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
