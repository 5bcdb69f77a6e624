//! Typed, versioned messages over logs: the run time of logpipe.

mod batch;
pub mod clock;
pub mod codec;
pub mod config;
pub mod consumer;
#[cfg(any(feature = "local", feature = "kinesis", feature = "sqlite"))]
mod db;
mod deliveries;
pub mod dispatch;
pub mod envelope;
mod error;
mod fault;
mod handler;
pub mod health;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kinesis")]
pub mod kinesis;
mod lane;
mod lease;
#[cfg(feature = "local")]
pub mod local;
mod log;
mod macros;
pub mod memory;
mod message;
mod offsets;
mod partition;
pub mod policy;
mod producer;
pub mod record;
mod rejected;
pub mod retry;
pub mod rules;
mod service;
pub mod sink;
pub mod source;
pub mod store;
pub mod testing;
pub mod types;

pub use batch::{Batch, BatchFn, BatchFnWith};
pub use consumer::Consumer;
pub use deliveries::{Deliveries, Delivery, Receipt};
pub use dispatch::{Schema, generated_for};
pub use envelope::Body;
pub use error::{Error, Result};
#[doc(hidden)]
pub use futures_util::future::Either;
#[doc(hidden)]
pub use handler::Unhandled;
pub use handler::{Cx, Dispatch, HandlerFn, HandlerFnWith, Lossless, Newest, Route};
pub use log::{Log, Subscription, Topics};
#[doc(hidden)]
pub use message::Newtype;
pub use message::{
    AnyOf, Codec, Decode, Encode, Encodings, Format, Key, Message, Untyped, Versions,
};
pub use policy::Policy;
pub use producer::{Outgoing, Producer, SendAllError};
pub use rejected::{Failure, Invalid, Rejected};
pub use service::{HeldLane, Monitor, Outcome, Service, shutdown_signal};
pub use store::{Broker, Store, Transactional};
