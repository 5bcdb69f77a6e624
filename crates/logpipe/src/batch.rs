//! How does a handler take several messages at once? A run of one version's records, in one call and one transaction.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::consumer::run::{Run, Start, Unbegun};
use crate::handler::{Current, Cx, Erased, Route, decode};
use crate::record::Position;
use crate::{Message, Result, Store};

/// Consecutive messages of one version, in the order of their lane: a slice, and what can be said about single ones.
///
/// What its handler returns is about all of them: `Ok` settles those that were not [failed](Batch::fail). After an error
/// none is settled, all that was written is undone, and they come again one by one, so that only the culprit loses an
/// attempt.
pub struct Batch<M> {
    messages: Vec<M>,
    /// One for each message.
    currents: Currents,
    failed: BTreeMap<usize, String>,
}

/// In the boxes of the jobs that they come from and go back to.
type Currents = Vec<Box<Current>>;

impl<M> Batch<M> {
    pub(crate) fn new() -> Self {
        Self {
            messages: Vec::new(),
            currents: Vec::new(),
            failed: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, message: M, current: Box<Current>) {
        self.messages.push(message);
        self.currents.push(current);
    }

    pub(crate) fn currents(&self) -> &[Box<Current>] {
        &self.currents
    }

    /// What was said about the messages, and their circumstances.
    pub(crate) fn into_parts(self) -> (Currents, BTreeMap<usize, String>) {
        (self.currents, self.failed)
    }

    /// This message's attempt has failed, for this reason: its record is tried again, and parked when its attempts are
    /// used up, while the others are settled. Leave it out of what you write.
    ///
    /// Where a later message of its key is in the batch, too, nothing of the batch is kept and its records come again
    /// one by one: the later one must not be ahead.
    ///
    /// # Panics
    ///
    /// Where there is no message of this index, as a slice does.
    #[track_caller]
    pub fn fail(&mut self, index: usize, reason: impl fmt::Display) {
        assert!(
            index < self.messages.len(),
            "the batch has {} messages, and none of index {index}",
            self.messages.len()
        );
        self.failed.insert(index, reason.to_string());
    }

    /// Whether this message was failed.
    pub fn is_failed(&self, index: usize) -> bool {
        self.failed.contains_key(&index)
    }

    /// Where the message's record stands in its lane.
    pub fn position(&self, index: usize) -> &Position {
        &self.currents[index].record.position
    }

    /// The key of the message's record.
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        self.currents[index].record.key.as_deref()
    }

    /// The value of the last header of this name, of the message's record.
    pub fn header(&self, index: usize, name: &str) -> Option<&[u8]> {
        self.currents[index].record.header(name)
    }

    /// When the message's record was written, by the log's account.
    pub fn timestamp(&self, index: usize) -> Option<Timestamp> {
        self.currents[index].record.timestamp
    }

    /// Which attempt this is at the message, from 1.
    pub fn attempt(&self, index: usize) -> u32 {
        self.currents[index].attempt
    }
}

impl<M> Deref for Batch<M> {
    type Target = [M];

    fn deref(&self) -> &[M] {
        &self.messages
    }
}

/// An async closure or function that takes a [`Batch`] and the context, which shows the batch's first record.
///
/// Write `async |people, cx| ..` where generated code takes one: `person::v2_batch(..)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't handle batches of `{M}` messages",
    label = "expected `async |batch: &mut Batch<{M}>, cx: &mut Cx<..>| -> logpipe::Result`",
    note = "a consumer with a store hands out `&mut Cx<Sqlite>`, one without `&mut Cx`"
)]
pub trait BatchFn<'a, M: Message, S: Store>: Send + Sync + 'static {
    /// What the call returns.
    type Future: Future<Output = Result> + Send + 'a;

    /// Handles a batch.
    fn call(&'a self, batch: &'a mut Batch<M>, cx: &'a mut Cx<S>) -> Self::Future;
}

impl<'a, M, S, F, Fut> BatchFn<'a, M, S> for F
where
    M: Message,
    S: Store,
    F: Fn(&'a mut Batch<M>, &'a mut Cx<S>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result> + Send + 'a,
{
    type Future = Fut;

    fn call(&'a self, batch: &'a mut Batch<M>, cx: &'a mut Cx<S>) -> Fut {
        self(batch, cx)
    }
}

/// As [`BatchFn`], with state that the closure borrows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't handle batches of `{M}` messages",
    label = "expected `async |state: &{T}, batch: &mut Batch<{M}>, cx: &mut Cx<..>| -> logpipe::Result`",
    note = "a consumer with a store hands out `&mut Cx<Sqlite>`, one without `&mut Cx`"
)]
pub trait BatchFnWith<'a, T, M: Message, S: Store>: Send + Sync + 'static {
    /// What the call returns.
    type Future: Future<Output = Result> + Send + 'a;

    /// Handles a batch.
    fn call(&'a self, state: &'a T, batch: &'a mut Batch<M>, cx: &'a mut Cx<S>) -> Self::Future;
}

impl<'a, T, M, S, F, Fut> BatchFnWith<'a, T, M, S> for F
where
    T: 'a,
    M: Message,
    S: Store,
    F: Fn(&'a T, &'a mut Batch<M>, &'a mut Cx<S>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result> + Send + 'a,
{
    type Future = Fut;

    fn call(&'a self, state: &'a T, batch: &'a mut Batch<M>, cx: &'a mut Cx<S>) -> Fut {
        self(state, batch, cx)
    }
}

impl<S: Store> Route<S> {
    /// A handler of one version's messages, several at once: as many as one transaction takes (`run` of
    /// [`Settings`](crate::consumer::Settings)).
    pub fn batch<M, F>(function: F) -> Self
    where
        M: Message,
        F: for<'a> BatchFn<'a, M, S>,
    {
        Self::one::<M>(OnBatch {
            function,
            message: PhantomData::<fn() -> M>,
        })
    }

    /// As [`Route::batch`], with state that the closure borrows.
    pub fn batch_with<T, M, F>(state: T, function: F) -> Self
    where
        T: Send + Sync + 'static,
        M: Message,
        F: for<'a> BatchFnWith<'a, T, M, S>,
    {
        Self::one::<M>(OnBatchWith {
            state,
            function,
            message: PhantomData::<fn() -> M>,
        })
    }
}

/// Hands a batch to user code.
pub(crate) trait Together<M, S: Store>: Send + Sync {
    fn handle(&self, batch: &mut Batch<M>, cx: &mut Cx<S>) -> impl Future<Output = Result> + Send;
}

/// A run through a handler that takes its messages together.
pub(crate) fn together<'a, M: Message, S: Store>(
    handler: &'a impl Together<M, S>,
    start: Start<S>,
) -> BoxFuture<'a, Result<Run<S>, Unbegun>> {
    async move {
        let decoded = start.decode(decode::<M>);
        let mut run = start.begin().await?;
        run.together(handler, decoded).await;
        Ok(run)
    }
    .boxed()
}

/// One version of a type, by a closure that takes several.
struct OnBatch<M, F> {
    function: F,
    message: PhantomData<fn() -> M>,
}

impl<S, M, F> Together<M, S> for OnBatch<M, F>
where
    S: Store,
    M: Message,
    F: for<'a> BatchFn<'a, M, S>,
{
    async fn handle(&self, batch: &mut Batch<M>, cx: &mut Cx<S>) -> Result {
        self.function.call(batch, cx).await
    }
}

impl<S, M, F> Erased<S> for OnBatch<M, F>
where
    S: Store,
    M: Message,
    F: for<'a> BatchFn<'a, M, S>,
{
    fn run(&self, start: Start<S>) -> BoxFuture<'_, Result<Run<S>, Unbegun>> {
        together(self, start)
    }
}

/// The same, by a closure with state.
struct OnBatchWith<T, M, F> {
    state: T,
    function: F,
    message: PhantomData<fn() -> M>,
}

impl<S, T, M, F> Together<M, S> for OnBatchWith<T, M, F>
where
    S: Store,
    T: Send + Sync,
    M: Message,
    F: for<'a> BatchFnWith<'a, T, M, S>,
{
    async fn handle(&self, batch: &mut Batch<M>, cx: &mut Cx<S>) -> Result {
        self.function.call(&self.state, batch, cx).await
    }
}

impl<S, T, M, F> Erased<S> for OnBatchWith<T, M, F>
where
    S: Store,
    T: Send + Sync,
    M: Message,
    F: for<'a> BatchFnWith<'a, T, M, S>,
{
    fn run(&self, start: Start<S>) -> BoxFuture<'_, Result<Run<S>, Unbegun>> {
        together(self, start)
    }
}
