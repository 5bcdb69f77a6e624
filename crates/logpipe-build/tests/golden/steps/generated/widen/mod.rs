// @generated from schemas/widen.v1.json, schemas/widen.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 22aaa93c04daeb5c4dcaa6b7 6338290dafa8d37f3468d3c0

//! `widen`: its versions, and what handles them.

pub mod v1;
pub mod v2;

/// The newest version. It moves when one is added: for reading, not for sending.
pub type Latest = v2::Widen;

/// A `widen` of any version.
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    /// `schemas/widen.v1.json`
    V1(v1::Widen),
    /// `schemas/widen.v2.json`
    V2(v2::Widen),
}

impl ::logpipe::Versions for Any {
    const TYPE: &'static str = "widen";
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

/// Handles every version of `widen`: one method per schema file.
///
/// An error is tried again, then parked. Write the methods as `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `widen` messages",
    label = "`widen::Handler` is missing",
    note = "implement `widen::Handler<{S}>`: one method per schema file: v1, v2"
)]
pub trait Handler<S: ::logpipe::Store = ::logpipe::Broker>: Send + Sync + 'static {
    /// `schemas/widen.v1.json`
    fn v1(
        &self,
        message: v1::Widen,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send;
    /// `schemas/widen.v2.json`
    fn v2(
        &self,
        message: v2::Widen,
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

/// The route of `widen` to a handler.
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

/// A handler made of closures, one for each version of `widen`.
pub struct Handlers<V1, V2> {
    /// `schemas/widen.v1.json`
    pub v1: V1,
    /// `schemas/widen.v2.json`
    pub v2: V2,
}

impl<S, V1, V2> Handler<S> for Handlers<V1, V2>
where
    S: ::logpipe::Store,
    V1: for<'a> ::logpipe::HandlerFn<'a, v1::Widen, S>,
    V2: for<'a> ::logpipe::HandlerFn<'a, v2::Widen, S>,
{
    fn v1(
        &self,
        message: v1::Widen,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v1, message, cx)
    }
    fn v2(
        &self,
        message: v2::Widen,
        cx: &mut ::logpipe::Cx<S>,
    ) -> impl Future<Output = ::logpipe::Result> + Send {
        ::logpipe::HandlerFn::call(&self.v2, message, cx)
    }
}

/// How an older `widen` becomes the newest, step by step.
///
/// Every step keeps all that the older version says: [`Lossless`](::logpipe::Lossless) takes them.
pub trait Upcasts {
    /// Loses nothing.
    fn v1_to_v2(&self, message: v1::Widen) -> v2::Widen {
        v2::Widen {
            id: message.id,
            address: message.address,
            chain: message.chain.map(v1_to_v2_node),
            prices: message
                .prices
                .map(|value| value.into_iter().map(v1_to_v2_money).collect()),
            by_name: message
                .by_name
                .map(|value| {
                    value
                        .into_iter()
                        .map(|(name, item)| (name, v1_to_v2_money(item)))
                        .collect()
                }),
            kind: v1_to_v2_widen_kind(message.kind),
            free: match message.free {
                v1::WidenFree::X => "x".to_owned(),
                v1::WidenFree::Y => "y".to_owned(),
            },
            label: Some(message.label),
            code: message.code.0,
            count: message.count,
            small: message.small.into(),
            maybe: Some(message.maybe),
            option: message.option.unwrap_or_else(|| "none".to_owned()),
            plain: v2::Code(message.plain),
            added: None,
            added_default: 5,
            maybe_small: message.maybe_small.map(Into::into),
            fallback: message.fallback.map_or(7, Into::into),
            spots: message
                .spots
                .map(|value| {
                    value.into_iter().map(|item| item.map(Into::into)).collect()
                }),
            notes: message
                .notes
                .map(|value| {
                    value.into_iter().map(|item| item.map(v1_to_v2_note)).collect()
                }),
            notes_by_name: message
                .notes_by_name
                .map(|value| {
                    value
                        .into_iter()
                        .map(|(name, item)| (name, item.map(v1_to_v2_note)))
                        .collect()
                }),
            gaps: message
                .gaps
                .map(|value| {
                    value
                        .into_iter()
                        .map(|(name, item)| (name, Some(item.into())))
                        .collect()
                }),
            codes: message.codes.map(|value| value.into_iter().map(v2::Code).collect()),
            tree: message.tree.map(v1_to_v2_tree),
            words: message.words.map(|value| value.map(v1_to_v2_words)),
        }
    }
}

impl Upcasts for ::logpipe::Lossless {}

fn v1_to_v2_node(from: v1::Node) -> v2::Node {
    v2::Node {
        value: v1_to_v2_money(from.value),
        next: from.next.map(|value| Box::new(v1_to_v2_node(*value))),
    }
}

fn v1_to_v2_money(from: v1::Money) -> v2::Money {
    v2::Money {
        amount: from.amount.into(),
        currency: v2::MoneyCurrency::Eur,
    }
}

fn v1_to_v2_widen_kind(from: v1::WidenKind) -> v2::WidenKind {
    match from {
        v1::WidenKind::A => v2::WidenKind::A,
        v1::WidenKind::B => v2::WidenKind::B,
    }
}

fn v1_to_v2_note(from: v1::Note) -> v2::Note {
    v2::Note {
        text: from.text,
        by: None,
    }
}

fn v1_to_v2_tree(from: v1::Tree) -> v2::Tree {
    v2::Tree(from.0.into_iter().map(v1_to_v2_tree).collect())
}

fn v1_to_v2_words(from: v1::Words) -> v2::Words {
    v2::Words(
        from.0.into_iter().map(|(name, item)| (name, item.map(v1_to_v2_words))).collect(),
    )
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

/// The route of `widen` to a closure that takes the newest version; older ones are brought up to it.
pub fn latest<S, U, F>(upcasts: U, function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    U: Upcasts + Send + Sync + 'static,
    F: AsyncFn(Latest, &mut ::logpipe::Cx<S>) -> ::logpipe::Result
        + for<'a> ::logpipe::HandlerFn<'a, Latest, S>,
{
    ::logpipe::Route::latest::<Any, U, F>(upcasts, function)
}

/// The route of `schemas/widen.v1.json` to a closure that takes a run of its messages in one transaction.
pub fn v1_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v1::Widen>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v1::Widen, S>,
{
    ::logpipe::Route::batch(function)
}

/// The route of `schemas/widen.v2.json` to a closure that takes a run of its messages in one transaction.
pub fn v2_batch<S, F>(function: F) -> ::logpipe::Route<S>
where
    S: ::logpipe::Store,
    F: AsyncFn(
            &mut ::logpipe::Batch<v2::Widen>,
            &mut ::logpipe::Cx<S>,
        ) -> ::logpipe::Result + for<'a> ::logpipe::BatchFn<'a, v2::Widen, S>,
{
    ::logpipe::Route::batch(function)
}
