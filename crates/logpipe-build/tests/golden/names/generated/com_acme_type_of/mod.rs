// @generated from schemas/com.acme.Type-of.v1.json, schemas/com.acme.Type-of.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 088294a7abfae60720ec14a1 f810c360a591f898e683ce03

//! `x";}{Self}/'y'*/`: its versions, and what handles them.

pub mod v1;
pub mod v2;

/// The newest version. It moves when one is added: for reading, not for sending.
pub type Latest = v2::TypeOf;

/// A `x";}{Self}/'y'*/` of any version.
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    /// `schemas/com.acme.Type-of.v1.json`
    V1(v1::TypeOf),
    /// `schemas/com.acme.Type-of.v2.json`
    V2(v2::TypeOf),
}

impl ::logpipe::Versions for Any {
    const TYPE: &'static str = "x\";}{Self}/`y`*/";
    const VERSIONS: &'static [u32] = &[1, 2];
    fn decode(
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match version {
            1 => body.decode_as(Self::V1),
            2 => body.decode_as(Self::V2),
            _ => Err(body.unknown_version()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match self {
            Self::V1(message) => message,
            Self::V2(message) => message,
        }
    }
}

/// Handles every version of `x";}{Self}/'y'*/`: one method per schema file.
///
/// An error is tried again, then parked. Write the methods as `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `x\";}}{{Self}}/`y`*/` messages",
    label = "`com_acme_type_of::Handler` is missing",
    note = "implement `com_acme_type_of::Handler<{S}>`: one method per schema file: v1, v2"
)]
pub trait Handler<S: ::logpipe::Store = ::logpipe::Broker>: Send + Sync + 'static {
    /// `schemas/com.acme.Type-of.v1.json`
    fn v1(
        &self,
        message: v1::TypeOf,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send;
    /// `schemas/com.acme.Type-of.v2.json`
    fn v2(
        &self,
        message: v2::TypeOf,
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

/// The route of `x";}{Self}/'y'*/` to a handler.
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
            Self::V1(message) => ::logpipe::Either::Left(handler.v1(message, cx)),
            Self::V2(message) => ::logpipe::Either::Right(handler.v2(message, cx)),
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

/// A handler made of closures, one for each version of `x";}{Self}/'y'*/`.
pub struct Handlers<V1, V2> {
    /// `schemas/com.acme.Type-of.v1.json`
    pub v1: V1,
    /// `schemas/com.acme.Type-of.v2.json`
    pub v2: V2,
}

impl<S, V1, V2> Handler<S> for Handlers<V1, V2>
where
    S: ::logpipe::Store,
    V1: for<'a> ::logpipe::HandlerFn<'a, v1::TypeOf, S>,
    V2: for<'a> ::logpipe::HandlerFn<'a, v2::TypeOf, S>,
{
    fn v1(
        &self,
        message: v1::TypeOf,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v1, message, cx)
    }
    fn v2(
        &self,
        message: v2::TypeOf,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v2, message, cx)
    }
}

/// How an older `x";}{Self}/'y'*/` becomes the newest, step by step.
///
/// A step with a body keeps all that the older version says; the others need a decision.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how an older `x\";}}{{Self}}/`y`*/` becomes the newest",
    label = "a step of `com_acme_type_of::Upcasts` is missing",
    note = "v1 -> v2 needs a decision: `\"; needed` (/properties/\"; needed) is new and required",
    note = "implement `com_acme_type_of::Upcasts` for a type of your own and hand it in"
)]
pub trait Upcasts {
    /// Needs a decision:
    ///
    /// * `"; needed` (`/properties/"; needed`) is new and required
    fn v1_to_v2(&self, message: v1::TypeOf) -> v2::TypeOf;
}

impl<U: Upcasts> ::logpipe::Newest<U> for Any {
    type Latest = Latest;
    fn newest(self, upcasts: &U) -> Latest {
        match self {
            Self::V1(message) => upcasts.v1_to_v2(message),
            Self::V2(message) => message,
        }
    }
}

/// The route of `x";}{Self}/'y'*/` to a closure that takes the newest version; older ones are brought up to it.
pub fn latest<S, U, F>(upcasts: U, function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    U: Upcasts + Send + Sync + 'static,
    F: AsyncFn(Latest, &mut ::logpipe::Cx<S>) -> ::logpipe::Result
        + for<'a> ::logpipe::HandlerFn<'a, Latest, S>,
{
    ::logpipe::Route::latest::<Any, U, F>(upcasts, function)
}

/// The route of `schemas/com.acme.Type-of.v1.json` to a closure that takes a run of its messages in one transaction.
pub fn v1_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v1::TypeOf>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v1::TypeOf, S>,
{
    ::logpipe::Route::batch(function)
}

/// The route of `schemas/com.acme.Type-of.v2.json` to a closure that takes a run of its messages in one transaction.
pub fn v2_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v2::TypeOf>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v2::TypeOf, S>,
{
    ::logpipe::Route::batch(function)
}
