//! Sending: a typed message becomes a record of a topic.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, Either};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};

use crate::record::Header;
use crate::sink::{NewRecord, SendError, Sent, Sink};
use crate::{Format, Log, Message, Result, Versions, envelope};

/// The header that says of what type a tombstone is: it has no value that could.
pub(crate) const TYPE_HEADER: &str = "logpipe-type";

/// Records that [`Producer::send_all`] hands to the log in one batch.
const BATCH_RECORDS: usize = 1_000;
/// Bytes of such a batch, as soon as they are passed.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait for their acknowledgement at the same time: enough for hundreds of thousands of records a second
/// over a round trip of 50 ms, and so few that a client still has them in the processor's cache when it writes them.
const BATCHES_IN_FLIGHT: usize = 16;

/// Writes messages to one topic. Clones share it.
///
/// Type, version and key come from the message's type. Every send returns where the record stands, or an error that says
/// whether it may be in the log all the same ([`SendError::may_have_been_written`]).
#[derive(Clone)]
pub struct Producer {
    sink: Arc<dyn Sink>,
    format: Format,
    /// Empty for none.
    id: Arc<str>,
}

impl Log {
    /// Opens a topic for writing. Where topics are made on first use, it is made now.
    pub async fn producer(&self, topic: &str) -> Result<Producer> {
        let sink = self.backend().sink(topic).await?;
        Ok(Producer {
            sink: sink.into(),
            format: Format::default(),
            id: "".into(),
        })
    }
}

impl Producer {
    /// The encoding of what is sent from now on; JSON unless said otherwise.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The name that each envelope carries as its `producer`. An empty one is left out.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = id.into();
        self
    }

    /// Sends one message; `Ok` means durable. The message is encoded at once and the future borrows nothing: messages
    /// are written in the order of these calls, whatever the order in which the futures are awaited.
    pub fn send<M: Message>(
        &self,
        message: &M,
    ) -> impl Future<Output = Result<Sent, SendError>> + Send + use<M> {
        self.message(message).send()
    }

    /// Sends many, pipelined: thousands may wait for their acknowledgement together.
    pub async fn send_all<'a, M: Message>(
        &self,
        messages: impl IntoIterator<Item = &'a M>,
    ) -> Result<Vec<Sent>, SendAllError> {
        let mut results = Vec::new();
        let mut batch = Batch::default();
        let mut in_flight = FuturesOrdered::new();
        for message in messages {
            let refused = self.write(message, &mut batch.content);
            batch.push(refused);
            if batch.is_full() {
                in_flight.push_back(std::mem::take(&mut batch).send(&*self.sink));
            }
            if in_flight.len() == BATCHES_IN_FLIGHT {
                results.extend(in_flight.next().await.unwrap_or_default());
            }
        }
        in_flight.push_back(batch.send(&*self.sink));
        while let Some(done) = in_flight.next().await {
            results.extend(done);
        }
        if results.iter().all(Result::is_ok) {
            return Ok(results.into_iter().flatten().collect());
        }
        Err(SendAllError { results })
    }

    /// A message with headers: `producer.message(&joe).header("trace", id).send().await?`.
    pub fn message<M: Message>(&self, message: &M) -> Outgoing<'_> {
        Outgoing {
            sink: &*self.sink,
            record: self.record(message),
        }
    }

    /// Sends a tombstone: says that the key is gone. Consumers get it in the `deleted` of their handler for `A`, a
    /// message's generated `Any` or one of its versions.
    pub fn delete<A: Versions>(
        &self,
        key: impl AsRef<[u8]>,
    ) -> BoxFuture<'static, Result<Sent, SendError>> {
        let record = NewRecord {
            key: Some(Bytes::copy_from_slice(key.as_ref())),
            headers: vec![Header {
                name: TYPE_HEADER.into(),
                value: Bytes::from_static(A::TYPE.as_bytes()),
            }],
            value: None,
            timestamp: None,
        };
        one(&*self.sink, record).boxed()
    }

    /// Waits until everything that was handed over has its result.
    pub async fn flush(&self) -> Result {
        self.sink.flush().await
    }

    /// Flushes, and says whether that worked: the last thing to do with a producer.
    pub async fn close(self) -> Result {
        self.flush().await
    }

    fn record<M: Message>(&self, message: &M) -> Result<NewRecord, SendError> {
        let mut out = Vec::with_capacity(envelope::ROOM);
        let written = self.write(message, &mut out)?;
        Ok(written.record(&out.into()))
    }

    /// Writes a message and its key behind what `out` holds already.
    fn write<M: Message>(&self, message: &M, out: &mut Vec<u8>) -> Result<Written, SendError> {
        let start = out.len();
        envelope::seal_into(out, self.format, message, &self.id)?;
        let end = out.len();
        let key = message.key();
        out.extend_from_slice(key.as_deref().unwrap_or_default());
        Ok(Written {
            value: start..end,
            key: key.map(|_| end..out.len()),
        })
    }
}

/// Where a record's parts stand in a buffer.
struct Written {
    value: Range<usize>,
    key: Option<Range<usize>>,
}

impl Written {
    fn record(self, of: &Bytes) -> NewRecord {
        NewRecord {
            key: self.key.map(|key| of.slice(key)),
            headers: Vec::new(),
            value: Some(of.slice(self.value)),
            timestamp: None,
        }
    }
}

/// A message on its way, to add headers to.
#[must_use = "nothing is sent until `.send()`"]
pub struct Outgoing<'a> {
    sink: &'a dyn Sink,
    record: Result<NewRecord, SendError>,
}

impl Outgoing<'_> {
    /// Adds a header. Where the log has none the send is an error.
    pub fn header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        if let Ok(record) = &mut self.record {
            record.headers.push(Header {
                name: name.into(),
                value: value.into(),
            });
        }
        self
    }

    /// Sends it; as [`Producer::send`].
    pub fn send(self) -> impl Future<Output = Result<Sent, SendError>> + Send + use<> {
        match self.record {
            Ok(record) => Either::Left(one(self.sink, record)),
            Err(error) => Either::Right(future::ready(Err(error))),
        }
    }
}

/// Hands one record over at once; the future waits for its result.
fn one(
    sink: &dyn Sink,
    record: NewRecord,
) -> impl Future<Output = Result<Sent, SendError>> + Send + use<> {
    let result = sink.send(vec![record]);
    async move {
        let lost = || SendError::MaybeWritten(crate::Error::msg("the log gave no result"));
        result.await.pop().unwrap_or_else(|| Err(lost()))
    }
}

/// Messages that go out together, among them those that could not be encoded: their results keep their places.
#[derive(Default)]
struct Batch {
    /// All records' parts: one allocation for the batch.
    content: Vec<u8>,
    written: Vec<Written>,
    /// Places in the batch, ascending, and why nothing was written there.
    refused: Vec<(usize, SendError)>,
}

impl Batch {
    fn len(&self) -> usize {
        self.written.len() + self.refused.len()
    }

    fn push(&mut self, written: Result<Written, SendError>) {
        match written {
            Ok(written) => self.written.push(written),
            Err(error) => self.refused.push((self.len(), error)),
        }
    }

    fn is_full(&self) -> bool {
        self.len() >= BATCH_RECORDS || self.content.len() >= BATCH_BYTES
    }

    fn send(
        self,
        sink: &dyn Sink,
    ) -> impl Future<Output = Vec<Result<Sent, SendError>>> + Send + use<> {
        let content = Bytes::from(self.content);
        let records = self.written.into_iter();
        let records: Vec<_> = records.map(|written| written.record(&content)).collect();
        let count = records.len();
        let sent = sink.send(records);
        async move {
            let mut results = sent.await;
            let lost = || {
                Err(SendError::MaybeWritten(crate::Error::msg(
                    "the log gave no result",
                )))
            };
            results.resize_with(count, lost);
            for (place, error) in self.refused {
                results.insert(place, Err(error));
            }
            results
        }
    }
}

/// Some of the messages of a [`Producer::send_all`] have no acknowledgement.
pub struct SendAllError {
    /// One result for each message, in their order.
    pub results: Vec<Result<Sent, SendError>>,
}

impl fmt::Display for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self
            .results
            .iter()
            .filter_map(|result| result.as_ref().err());
        let first = errors.next();
        let failed = errors.count() + usize::from(first.is_some());
        write!(
            f,
            "{failed} of {} messages have no acknowledgement",
            self.results.len()
        )?;
        first.map_or(Ok(()), |first| write!(f, "; the first: {first}"))
    }
}

impl fmt::Debug for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SendAllError {}
