// @generated from schemas/lossy.v2.json, schemas/lossy.v5.json, schemas/lossy.v6.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: d0205be559beb3a3c5ef6701 a049e7e86313d0e007bdae5c

//! `lossy`: its versions, and what handles them.

pub mod v2;
pub mod v5;
pub mod v6;

/// The newest version. It moves when one is added: for reading, not for sending.
pub type Latest = v6::Lossy;

/// A `lossy` of any version.
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    /// `schemas/lossy.v2.json`
    V2(v2::Lossy),
    /// `schemas/lossy.v5.json`
    V5(v5::Lossy),
    /// `schemas/lossy.v6.json`
    V6(v6::Lossy),
}

impl ::logpipe::Versions for Any {
    const TYPE: &'static str = "lossy";
    const VERSIONS: &'static [u32] = &[2, 5, 6];
    fn decode(
        version: u32,
        body: ::logpipe::Body<'_>,
    ) -> Result<Self, ::logpipe::Failure> {
        match version {
            2 => body.decode_as(Self::V2),
            5 => body.decode_as(Self::V5),
            6 => body.decode_as(Self::V6),
            _ => Err(body.unknown_version()),
        }
    }
    fn untyped(&self) -> &dyn ::logpipe::Untyped {
        match self {
            Self::V2(message) => message,
            Self::V5(message) => message,
            Self::V6(message) => message,
        }
    }
}

/// Handles every version of `lossy`: one method per schema file.
///
/// An error is tried again, then parked. Write the methods as `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `lossy` messages",
    label = "`lossy::Handler` is missing",
    note = "implement `lossy::Handler<{S}>`: one method per schema file: v2, v5, v6"
)]
pub trait Handler<S: ::logpipe::Store = ::logpipe::Broker>: Send + Sync + 'static {
    /// `schemas/lossy.v2.json`
    fn v2(
        &self,
        message: v2::Lossy,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send;
    /// `schemas/lossy.v5.json`
    fn v5(
        &self,
        message: v5::Lossy,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send;
    /// `schemas/lossy.v6.json`
    fn v6(
        &self,
        message: v6::Lossy,
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

/// The route of `lossy` to a handler.
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
            Self::V2(message) => ::logpipe::Either::Left(handler.v2(message, cx)),
            Self::V5(message) => {
                ::logpipe::Either::Right(
                    ::logpipe::Either::Left(handler.v5(message, cx)),
                )
            }
            Self::V6(message) => {
                ::logpipe::Either::Right(
                    ::logpipe::Either::Right(handler.v6(message, cx)),
                )
            }
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

/// A handler made of closures, one for each version of `lossy`.
pub struct Handlers<V2, V5, V6> {
    /// `schemas/lossy.v2.json`
    pub v2: V2,
    /// `schemas/lossy.v5.json`
    pub v5: V5,
    /// `schemas/lossy.v6.json`
    pub v6: V6,
}

impl<S, V2, V5, V6> Handler<S> for Handlers<V2, V5, V6>
where
    S: ::logpipe::Store,
    V2: for<'a> ::logpipe::HandlerFn<'a, v2::Lossy, S>,
    V5: for<'a> ::logpipe::HandlerFn<'a, v5::Lossy, S>,
    V6: for<'a> ::logpipe::HandlerFn<'a, v6::Lossy, S>,
{
    fn v2(
        &self,
        message: v2::Lossy,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v2, message, cx)
    }
    fn v5(
        &self,
        message: v5::Lossy,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v5, message, cx)
    }
    fn v6(
        &self,
        message: v6::Lossy,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v6, message, cx)
    }
}

/// How an older `lossy` becomes the newest, step by step.
///
/// A step with a body keeps all that the older version says; the others need a decision.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how an older `lossy` becomes the newest",
    label = "a step of `lossy::Upcasts` is missing",
    note = "v2 -> v5 needs a decision: `gone` (/properties/gone) is gone; `label` (/properties/label) has a new or narrower rule: maxLength; `kind` (/properties/kind) no longer allows every value that it had; `maybe` (/properties/maybe) is now required; `size` (/properties/size) changes its type; `many` (/properties/many) may no longer hold null; `email {{x}}` (/properties/email {{x}}) is new and required; it no longer keeps unknown members; `address.street` (/$defs/address/properties/street) has a new or narrower rule: maxLength",
    note = "implement `lossy::Upcasts` for a type of your own and hand it in"
)]
pub trait Upcasts {
    /// Needs a decision:
    ///
    /// * `gone` (`/properties/gone`) is gone
    /// * `label` (`/properties/label`) has a new or narrower rule: maxLength
    /// * `kind` (`/properties/kind`) no longer allows every value that it had
    /// * `maybe` (`/properties/maybe`) is now required
    /// * `size` (`/properties/size`) changes its type
    /// * `many` (`/properties/many`) may no longer hold null
    /// * `email {x}` (`/properties/email {x}`) is new and required
    /// * it no longer keeps unknown members
    /// * `address.street` (`/$defs/address/properties/street`) has a new or narrower rule: maxLength
    fn v2_to_v5(&self, message: v2::Lossy) -> v5::Lossy;
    /// Loses nothing.
    fn v5_to_v6(&self, message: v5::Lossy) -> v6::Lossy {
        v6::Lossy {
            id: message.id,
            label: message.label,
            kind: v5_to_v6_lossy_kind(message.kind),
            maybe: message.maybe,
            size: message.size,
            address: message.address,
            many: message.many,
            email_brace_x_unbrace: message.email_brace_x_unbrace,
        }
    }
}

fn v5_to_v6_lossy_kind(from: v5::LossyKind) -> v6::LossyKind {
    match from {
        v5::LossyKind::A => v6::LossyKind::A,
    }
}

impl<U: Upcasts> ::logpipe::Newest<U> for Any {
    type Latest = Latest;
    fn newest(self, upcasts: &U) -> Latest {
        match self {
            Self::V2(message) => upcasts.v5_to_v6(upcasts.v2_to_v5(message)),
            Self::V5(message) => upcasts.v5_to_v6(message),
            Self::V6(message) => message,
        }
    }
}

/// The route of `lossy` to a closure that takes the newest version; older ones are brought up to it.
pub fn latest<S, U, F>(upcasts: U, function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    U: Upcasts + Send + Sync + 'static,
    F: AsyncFn(Latest, &mut ::logpipe::Cx<S>) -> ::logpipe::Result
        + for<'a> ::logpipe::HandlerFn<'a, Latest, S>,
{
    ::logpipe::Route::latest::<Any, U, F>(upcasts, function)
}

/// The route of `schemas/lossy.v2.json` to a closure that takes a run of its messages in one transaction.
pub fn v2_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v2::Lossy>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v2::Lossy, S>,
{
    ::logpipe::Route::batch(function)
}

/// The route of `schemas/lossy.v5.json` to a closure that takes a run of its messages in one transaction.
pub fn v5_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v5::Lossy>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v5::Lossy, S>,
{
    ::logpipe::Route::batch(function)
}

/// The route of `schemas/lossy.v6.json` to a closure that takes a run of its messages in one transaction.
pub fn v6_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v6::Lossy>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v6::Lossy, S>,
{
    ::logpipe::Route::batch(function)
}
