// @generated from schemas/thing.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 0a6ffeef58ba14f105b7e27f 97cda641d014a16fe62ef004

//! `thing`: its versions, and what handles them.

pub mod v1;

/// The newest version. It moves when one is added: for reading, not for sending.
pub type Latest = v1::Thing;

/// A `thing` of any version.
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    /// `schemas/thing.v1.json`
    V1(v1::Thing),
}

impl ::logpipe::Versions for Any {
    const TYPE: &'static str = "thing";
    const VERSIONS: &'static [u32] = &[1];
    fn decode(
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match version {
            1 => body.decode_as(Self::V1),
            _ => Err(body.unknown_version()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match self {
            Self::V1(message) => message,
        }
    }
}

/// Handles every version of `thing`: one method per schema file.
///
/// An error is tried again, then parked. Write the methods as `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `thing` messages",
    label = "`thing::Handler` is missing",
    note = "implement `thing::Handler<{S}>`: one method per schema file: v1"
)]
pub trait Handler<S: ::logpipe::Store = ::logpipe::Broker>: Send + Sync + 'static {
    /// `schemas/thing.v1.json`
    fn v1(
        &self,
        message: v1::Thing,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send;
    /// A tombstone: the key was deleted. Parks unless you say otherwise.
    fn deleted(
        &self,
        _key: &[u8],
        _cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::Unhandled
    }
}

/// The route of `thing` to a handler.
pub fn handler<S: ::logpipe::Store, H: Handler<S>>(handler: H) -> ::logpipe::Route<S> {
    ::logpipe::Route::new::<Any, H>(handler)
}

impl<S: ::logpipe::Store, H: Handler<S>> ::logpipe::Dispatch<H, S> for Any {
    fn dispatch(
        self,
        handler: &H,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        match self {
            Self::V1(message) => handler.v1(message, cx),
        }
    }
    fn deleted(
        handler: &H,
        key: &[u8],
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        handler.deleted(key, cx)
    }
}

/// A handler made of closures, one for each version of `thing`.
pub struct Handlers<V1> {
    /// `schemas/thing.v1.json`
    pub v1: V1,
}

impl<S, V1> Handler<S> for Handlers<V1>
where
    S: ::logpipe::Store,
    V1: for<'a> ::logpipe::HandlerFn<'a, v1::Thing, S>,
{
    fn v1(
        &self,
        message: v1::Thing,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v1, message, cx)
    }
}

/// How an older `thing` becomes the newest, step by step.
///
/// There is one version, so there is nothing to decide.
pub trait Upcasts {}

impl Upcasts for ::logpipe::Lossless {}

/// The route of `thing` to a closure that takes the newest version; older ones are brought up to it.
pub fn latest<S, U, F>(_upcasts: U, function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    U: Upcasts + Send + Sync + 'static,
    F: AsyncFn(Latest, &mut ::logpipe::Cx<S>) -> ::logpipe::Result
        + for<'a> ::logpipe::HandlerFn<'a, Latest, S>,
{
    ::logpipe::Route::on(function)
}

/// The route of `schemas/thing.v1.json` to a closure that takes a run of its messages in one transaction.
pub fn v1_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v1::Thing>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v1::Thing, S>,
{
    ::logpipe::Route::batch(function)
}
