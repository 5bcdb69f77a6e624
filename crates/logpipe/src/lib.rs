//! Typed, versioned messages over logs: the run time of logpipe.

pub mod clock;
#[allow(dead_code, reason = "the lane task that calls it is being written")]
mod consumer;
mod error;
mod fault;
#[allow(dead_code, reason = "the lane task that calls it is being written")]
mod handler;
pub mod policy;
mod lease;
mod log;
pub mod memory;
mod offsets;
mod partition;
pub mod record;
pub mod sink;
pub mod source;
pub mod store;

pub use consumer::Consumer;
pub use error::{Error, Result};
pub use handler::{Cx, Dispatch, HandlerFn, HandlerFnWith, Lossless, Route};
pub use policy::Policy;
pub use log::{Log, Subscription, Topics};
pub use store::{Broker, Store, Transactional};

pub use stand_in::*;
/// Stands in until the codec brings the real one.
#[allow(missing_docs)]
mod stand_in {
    #[derive(Debug, thiserror::Error)]
    #[error("{reason} at {path}")]
    pub struct Invalid {
        pub path: String,
        pub reason: String,
    }

    #[derive(Debug, Clone, thiserror::Error)]
    #[non_exhaustive]
    pub enum Rejected {
        #[error("malformed")]
        Malformed,
        #[error("tombstone")]
        Tombstone,
    }

    pub enum Failure {
        Rejected(Rejected),
        Handler(crate::Error),
        Reopen,
    }

    impl From<Rejected> for Failure {
        fn from(rejected: Rejected) -> Self {
            Self::Rejected(rejected)
        }
    }

    impl From<crate::Error> for Failure {
        fn from(error: crate::Error) -> Self {
            Self::Handler(error)
        }
    }

    pub trait Versions: Sized + Send + 'static {
        const TYPE: &'static str;
        const VERSIONS: &'static [u32];
    }

    pub trait Message: Sized + Send + Sync + 'static {
        const TYPE: &'static str;
        const VERSION: u32;
        const VERSIONS: &'static [u32] = &[Self::VERSION];
    }

    pub struct Body<'a>(&'a [u8]);

    impl Body<'_> {
        pub fn decode<M: Message>(self) -> Result<M, Failure> {
            Err(Rejected::Malformed.into())
        }
        pub fn unknown_version(self) -> Failure {
            Rejected::Malformed.into()
        }
    }

    pub(crate) mod envelope {
        pub struct Envelope<'a> {
            pub message_type: std::borrow::Cow<'a, str>,
            pub version: u32,
            pub body: super::Body<'a>,
        }
        pub fn open(value: Option<&[u8]>) -> Result<Envelope<'_>, super::Rejected> {
            let value = value.ok_or(super::Rejected::Tombstone)?;
            Ok(Envelope {
                message_type: "".into(),
                version: 1,
                body: super::Body(value),
            })
        }
        pub fn open_exact(value: Option<&[u8]>) -> Result<Envelope<'_>, super::Rejected> {
            open(value)
        }
    }
}
pub(crate) use stand_in::envelope;
