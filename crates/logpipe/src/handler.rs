//! What user code is handed and how it is reached: the context, handlers, closures, routes.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::consumer::run::{Run, Start, Unbegun};
use crate::deliveries::{Answer, Offer};
use crate::envelope::Opening;
use crate::record::{Headers, LaneId, Position, Record};
use crate::store::Broker;
use crate::{Failure, Message, Rejected, Result, Store, Transactional, Versions, envelope};

/// A record's circumstances, and the transaction that its handler writes through.
///
/// It owns what it shows (no lifetime parameter), so a handler's signature stays `cx: &mut Cx<Sqlite>`, or `cx: &mut Cx`
/// for a consumer that keeps its positions in the log.
pub struct Cx<S: Store = Broker> {
    session: S::Session,
    /// In a box, for it passes through many hands on its way.
    pub(crate) current: Box<Current>,
}

/// The record at hand.
pub(crate) struct Current {
    pub(crate) record: Record,
    /// Empty for a tombstone that does not say of what type it is.
    pub(crate) message_type: Cow<'static, str>,
    pub(crate) version: u32,
    /// 1 for the first.
    pub(crate) attempt: u32,
    /// How far its head is known.
    pub(crate) opening: Opening,
    /// Told when the record is settled and that is durable; dropped when that fails.
    pub(crate) confirm: Option<oneshot::Sender<()>>,
}

impl Current {
    pub(crate) fn open(&self) -> Result<envelope::Envelope<'_>, Failure> {
        let (value, message_type) = (self.record.value.as_deref(), &*self.message_type);
        let opened = envelope::open_again(value, self.opening, message_type, self.version);
        Ok(opened?)
    }
}

impl Current {
    /// A record of several, for a context that shows it in passing.
    pub(crate) fn shown(&self) -> Box<Self> {
        Box::new(Self {
            record: self.record.clone(),
            message_type: self.message_type.clone(),
            version: self.version,
            attempt: self.attempt,
            opening: self.opening,
            confirm: None,
        })
    }

    /// Lets go of the record's bytes.
    pub(crate) fn clear(&mut self) {
        let Record {
            lane: _,
            position: _,
            timestamp: _,
            key,
            headers,
            value,
        } = &mut self.record;
        (*key, *value) = (None, None);
        *headers = Headers::default();
    }

    /// No record: what a context shows between two.
    pub(crate) fn nothing(lane: LaneId) -> Box<Self> {
        Box::new(Self {
            record: Record {
                lane,
                position: Position::from(0),
                timestamp: None,
                key: None,
                headers: Headers::default(),
                value: None,
            },
            message_type: Cow::Borrowed(""),
            version: 0,
            attempt: 0,
            opening: Opening::Head,
            confirm: None,
        })
    }
}

impl<S: Store> Cx<S> {
    pub(crate) fn new(session: S::Session, current: Box<Current>) -> Self {
        Self { session, current }
    }

    pub(crate) fn session(&mut self) -> &mut S::Session {
        &mut self.session
    }

    pub(crate) fn into_session(self) -> S::Session {
        self.session
    }

    /// Where the record was read: topic and partition or shard.
    pub fn lane(&self) -> &LaneId {
        &self.current.record.lane
    }

    /// Where the record stands in its lane. With the lane it names the record, until the log is deleted and made again.
    pub fn position(&self) -> &Position {
        &self.current.record.position
    }

    /// When the record was written, by the log's account.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.current.record.timestamp
    }

    /// What orders the record: later records of the same key wait for this one.
    pub fn key(&self) -> Option<&[u8]> {
        self.current.record.key.as_deref()
    }

    /// The value of the last header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.current.record.header(name)
    }

    /// The wire name of the message's type.
    pub fn message_type(&self) -> &str {
        &self.current.message_type
    }

    /// The version that the record was written in; 0 for a tombstone.
    pub fn version(&self) -> u32 {
        self.current.version
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.current.attempt
    }

    /// The transaction that also moves the position: what is written through it happens exactly once.
    ///
    /// Take key or position before holding it. A commit of your own is refused. A closure says which store it is for, as in
    /// `async |place: place::v1::Place, cx: &mut Cx<Sqlite>| ..`: without, rustc can't infer `C`.
    // `C` is a parameter on purpose: with `S::Connection` rustc says "method not found" where a consumer has no store,
    // instead of the sentence that stands at `Transactional`.
    pub fn tx<C: ?Sized>(&mut self) -> &mut C
    where
        S: Transactional<Connection = C>,
    {
        S::connection(&mut self.session)
    }
}

/// An async closure or function that takes a message and the context.
///
/// Write `async |p: place::v1::Place, cx: &mut Cx| ..`. It may not capture: hand state in with
/// [`Consumer::on_with`](crate::Consumer::on_with).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't handle `{M}` messages",
    label = "expected `async |message: {M}, cx: &mut Cx<..>| -> logpipe::Result`",
    note = "a closure that captures: hand its state in with `.on_with(state, async |state, message, cx| ..)`",
    note = "a consumer with a store hands out `&mut Cx<Sqlite>`, one without `&mut Cx`"
)]
pub trait HandlerFn<'a, M, S: Store>: Send + Sync + 'static {
    /// What the call returns.
    type Future: Future<Output = Result> + Send + 'a;

    /// Handles one message.
    fn call(&self, message: M, cx: &'a mut Cx<S>) -> Self::Future;
}

impl<'a, M, S, F> HandlerFn<'a, M, S> for F
where
    S: Store,
    F: Handles<'a, M, S> + Send + Sync + 'static,
    F::Future: Send + 'a,
{
    type Future = F::Future;

    fn call(&self, message: M, cx: &'a mut Cx<S>) -> F::Future {
        self.handle(message, cx)
    }
}

/// What a [`HandlerFn`] is apart from threads. Apart, because rustc is not to look behind this impl, where it would speak
/// of `Fn`: our sentence says more. What keeps a future from being sent it explains better than we could.
#[doc(hidden)]
pub trait Handles<'a, M, S: Store> {
    type Future: Future<Output = Result>;

    fn handle(&self, message: M, cx: &'a mut Cx<S>) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, M, S, F, Fut> Handles<'a, M, S> for F
where
    S: Store,
    F: Fn(M, &'a mut Cx<S>) -> Fut,
    Fut: Future<Output = Result>,
{
    type Future = Fut;

    fn handle(&self, message: M, cx: &'a mut Cx<S>) -> Fut {
        self(message, cx)
    }
}

/// As [`HandlerFn`], with state that the closure borrows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't handle `{M}` messages",
    label = "expected `async |state: &{T}, message: {M}, cx: &mut Cx<..>| -> logpipe::Result`",
    note = "a consumer with a store hands out `&mut Cx<Sqlite>`, one without `&mut Cx`"
)]
pub trait HandlerFnWith<'a, T, M, S: Store>: Send + Sync + 'static {
    /// What the call returns.
    type Future: Future<Output = Result> + Send + 'a;

    /// Handles one message.
    fn call(&'a self, state: &'a T, message: M, cx: &'a mut Cx<S>) -> Self::Future;
}

impl<'a, T, M, S, F, Fut> HandlerFnWith<'a, T, M, S> for F
where
    S: Store,
    T: 'a,
    F: Fn(&'a T, M, &'a mut Cx<S>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result> + Send + 'a,
{
    type Future = Fut;

    fn call(&'a self, state: &'a T, message: M, cx: &'a mut Cx<S>) -> Fut {
        self(state, message, cx)
    }
}

/// The provided `deleted` of a generated handler: nobody handles that tombstone. A future with a name, for the compiler
/// takes longer to see that one without may be sent to another thread.
#[doc(hidden)]
#[derive(Debug)]
pub struct Unhandled;

impl Future for Unhandled {
    type Output = Result;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result> {
        Poll::Ready(Err(crate::Error::tombstone()))
    }
}

/// Joins the versions of a message to a handler of them. Generated code implements it for its `Any`, for every handler:
/// `Any` is local there, which is what lets that blanket pass the orphan rule.
pub trait Dispatch<H, S: Store>: Versions {
    /// Calls the handler's method for the version that this is.
    fn dispatch(self, handler: &H, cx: &mut Cx<S>) -> impl Future<Output = Result> + Send;

    /// Tells the handler that a key was deleted.
    fn deleted(handler: &H, key: &[u8], cx: &mut Cx<S>) -> impl Future<Output = Result> + Send;
}

/// Brings any version up to the newest. Generated code implements it for its `Any`, for whatever decides the steps.
pub trait Newest<U>: Versions {
    /// The newest version.
    type Latest: Send + 'static;

    /// Step by step, each as `upcasts` decides.
    fn newest(self, upcasts: &U) -> Self::Latest;
}

/// The upcasts of a message whose every step is lossless: they are generated, nothing is left to decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lossless;

/// A message type, or one version of it, and what handles it. Made by generated code and by
/// [`Consumer::on`](crate::Consumer::on).
pub struct Route<S: Store = Broker> {
    pub(crate) message_type: &'static str,
    /// The versions that this route takes.
    pub(crate) takes: Takes,
    /// The versions that this build knows of.
    pub(crate) known: &'static [u32],
    pub(crate) handler: Arc<dyn Erased<S>>,
}

/// What a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Every version that the build knows, and tombstones.
    All,
    /// One version.
    One(u32),
}

impl<S: Store> Route<S> {
    /// A handler of all versions of a type.
    pub fn new<A, H>(handler: H) -> Self
    where
        A: Dispatch<H, S> + 'static,
        H: Send + Sync + 'static,
    {
        Self::shared::<A, H>(Arc::new(handler))
    }

    /// A handler that other routes share.
    pub fn shared<A, H>(handler: Arc<H>) -> Self
    where
        A: Dispatch<H, S> + 'static,
        H: Send + Sync + 'static,
    {
        Self {
            message_type: A::TYPE,
            takes: Takes::All,
            known: A::VERSIONS,
            handler: Arc::new(Each(Typed {
                handler,
                any: PhantomData::<fn() -> A>,
            })),
        }
    }

    /// All versions of a type, by a closure that takes the newest.
    pub fn latest<A, U, F>(upcasts: U, function: F) -> Self
    where
        A: Newest<U>,
        U: Send + Sync + 'static,
        F: for<'a> HandlerFn<'a, A::Latest, S>,
    {
        let handler = Latest {
            upcasts,
            function,
            any: PhantomData::<fn() -> A>,
        };
        Self::any(A::TYPE, A::VERSIONS, Each(handler))
    }

    /// All versions of a type, by a handler that decodes for itself.
    pub(crate) fn any(
        message_type: &'static str,
        known: &'static [u32],
        handler: impl Erased<S> + 'static,
    ) -> Self {
        Self {
            message_type,
            takes: Takes::All,
            known,
            handler: Arc::new(handler),
        }
    }

    /// One version of a type, by a closure.
    pub fn on<M, F>(handler: F) -> Self
    where
        M: Message,
        F: for<'a> HandlerFn<'a, M, S>,
    {
        Self::one::<M>(Each(On {
            handler,
            message: PhantomData::<fn() -> M>,
        }))
    }

    pub(crate) fn on_with<T, M, F>(state: T, handler: F) -> Self
    where
        T: Send + Sync + 'static,
        M: Message,
        F: for<'a> HandlerFnWith<'a, T, M, S>,
    {
        Self::one::<M>(Each(OnWith {
            state,
            handler,
            message: PhantomData::<fn() -> M>,
        }))
    }

    pub(crate) fn one<M: Message>(handler: impl Erased<S> + 'static) -> Self {
        Self {
            message_type: M::TYPE,
            takes: Takes::One(M::VERSION),
            known: M::VERSIONS,
            handler: Arc::new(handler),
        }
    }
}

impl<S: Store> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self {
            message_type: self.message_type,
            takes: self.takes,
            known: self.known,
            handler: Arc::clone(&self.handler),
        }
    }
}

/// The one `dyn` between the run time and handlers: called once per run of consecutive records of one route, so that
/// within a run nothing is boxed and nothing is looked up.
pub(crate) trait Erased<S: Store>: Send + Sync {
    /// Decodes the messages, begins their transaction, and handles them until none is left or the run breaks off.
    fn run(&self, start: Start<S>) -> BoxFuture<'_, Result<Run<S>, Unbegun>>;

    /// A loop of the user's own, which is offered records.
    fn is_loop(&self) -> bool {
        false
    }

    /// Hands a record to a loop of the user's own, which says outside of any transaction what becomes of it; `None` for a
    /// handler, which is run.
    fn offer<'a>(&'a self, _: Offer<'a>) -> Option<BoxFuture<'a, Result<Answer, Failure>>> {
        None
    }
}

/// Hands messages to user code.
pub(crate) trait Handle<S: Store>: Send + Sync {
    type Message: Send;

    fn decode(&self, current: &Current) -> Result<Self::Message, Failure>;

    fn handle(&self, message: Self::Message, cx: &mut Cx<S>)
    -> impl Future<Output = Result> + Send;
}

/// Takes a run's records one after the other.
struct Each<H>(H);

impl<S: Store, H: Handle<S>> Erased<S> for Each<H> {
    fn run(&self, start: Start<S>) -> BoxFuture<'_, Result<Run<S>, Unbegun>> {
        async move {
            let decoded = start.decode(|current| self.0.decode(current));
            let mut run = start.begin().await?;
            run.all(&self.0, decoded).await;
            Ok(run)
        }
        .boxed()
    }
}

/// All versions of a type.
struct Typed<A, H> {
    handler: Arc<H>,
    any: PhantomData<fn() -> A>,
}

impl<S, A, H> Handle<S> for Typed<A, H>
where
    S: Store,
    A: Dispatch<H, S>,
    H: Send + Sync,
{
    /// None for a tombstone.
    type Message = Option<A>;

    fn decode(&self, current: &Current) -> Result<Option<A>, Failure> {
        if current.record.value.is_none() {
            return Ok(None);
        }
        any(current).map(Some)
    }

    async fn handle(&self, message: Option<A>, cx: &mut Cx<S>) -> Result {
        if let Some(any) = message {
            return any.dispatch(&self.handler, cx).await;
        }
        let key = cx.current.record.key.clone().unwrap_or_default();
        A::deleted(&self.handler, &key, cx).await
    }
}

/// All versions of a type, by a closure for the newest.
struct Latest<A, U, F> {
    upcasts: U,
    function: F,
    any: PhantomData<fn() -> A>,
}

impl<S, A, U, F> Handle<S> for Latest<A, U, F>
where
    S: Store,
    A: Newest<U>,
    U: Send + Sync,
    F: for<'a> HandlerFn<'a, A::Latest, S>,
{
    type Message = A;

    fn decode(&self, current: &Current) -> Result<A, Failure> {
        if current.record.value.is_none() {
            return Err(Rejected::Tombstone.into());
        }
        any(current)
    }

    async fn handle(&self, message: A, cx: &mut Cx<S>) -> Result {
        // Upcasts are the user's own, and may panic.
        let newest = message.newest(&self.upcasts);
        self.function.call(newest, cx).await
    }
}

/// One version of a type, by a closure.
struct On<M, F> {
    handler: F,
    message: PhantomData<fn() -> M>,
}

impl<S, M, F> Handle<S> for On<M, F>
where
    S: Store,
    M: Message,
    F: for<'a> HandlerFn<'a, M, S>,
{
    type Message = M;

    fn decode(&self, current: &Current) -> Result<M, Failure> {
        decode::<M>(current)
    }

    async fn handle(&self, message: M, cx: &mut Cx<S>) -> Result {
        self.handler.call(message, cx).await
    }
}

/// One version of a type, by a closure with state.
struct OnWith<T, M, F> {
    state: T,
    handler: F,
    message: PhantomData<fn() -> M>,
}

impl<S, T, M, F> Handle<S> for OnWith<T, M, F>
where
    S: Store,
    T: Send + Sync,
    M: Message,
    F: for<'a> HandlerFnWith<'a, T, M, S>,
{
    type Message = M;

    fn decode(&self, current: &Current) -> Result<M, Failure> {
        decode::<M>(current)
    }

    async fn handle(&self, message: M, cx: &mut Cx<S>) -> Result {
        self.handler.call(&self.state, message, cx).await
    }
}

pub(crate) fn decode<M: Message>(current: &Current) -> Result<M, Failure> {
    current.open()?.body.decode::<M>()
}

/// Whichever version it is.
fn any<A: Versions>(current: &Current) -> Result<A, Failure> {
    let envelope = current.open()?;
    A::decode(envelope.version, envelope.body)
}
