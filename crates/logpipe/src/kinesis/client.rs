//! How Kinesis is called, and what its failures mean in our words.
//!
//! The SDK's own retries are off: it would send a PutRecords again whose answer was lost, and so write records twice and
//! out of order. Whoever calls knows better what may be tried again.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{Credentials, Region};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;

use super::Settings;
use crate::config::without_user;
use crate::{Error, Result};

/// A call that takes longer has failed.
const CALL: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);

/// The service, as one account sees it in one region.
pub(super) struct Api {
    pub client: Client,
    pub region: String,
    /// Where it is not the region's own, as it may be shown.
    pub endpoint: Option<String>,
}

impl Api {
    /// Reads what AWS users expect to be read: the environment, profiles, roles. Calls nothing but what that takes.
    pub(super) async fn open(settings: &Settings) -> Result<Self> {
        let https = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_timeout(CALL)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(https)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &settings.endpoint_url {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(given) = &settings.credentials {
            loader = loader.credentials_provider(Credentials::new(
                &given.access_key_id,
                given.secret_access_key.reveal(),
                None,
                None,
                "logpipe settings",
            ));
        }
        let config = loader.load().await;
        let region = config.region().map(Region::to_string).ok_or_else(|| {
            Error::permanent(
                "no AWS region: set `region`, the environment variable AWS_REGION, or `region` in the profile",
            )
        })?;
        let client = Client::new(&config);
        let of_service = std::env::var("AWS_ENDPOINT_URL_KINESIS").ok();
        Ok(Self {
            client,
            region,
            endpoint: config
                .endpoint_url()
                .or(of_service.as_deref())
                .map(|endpoint| without_user(endpoint).into_owned()),
        })
    }

    /// `Kinesis in eu-west-1`, and the endpoint where it is another than the region's.
    pub(super) fn describe(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("Kinesis in {} at {endpoint}", self.region),
            None => format!("Kinesis in {}", self.region),
        }
    }

    /// Says what a failed call means. `stream` is what it was about, `action` the name of the call in IAM.
    pub(super) fn explain<E, R>(&self, action: &str, stream: &str, error: &SdkError<E, R>) -> Failed
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        let class = Class::of(error);
        let code = error.code().unwrap_or("no code");
        let place = self.describe();
        let error = match class {
            Class::Missing => Error::permanent(format!(
                "there is no stream {stream} in {place}: check the name, region and account, or create it first"
            )),
            Class::Denied => Error::permanent(format!(
                "access to stream {stream} in {place} is denied ({code}): allow kinesis:{action} on it to the role or user of these credentials"
            )),
            Class::Credentials => Error::unavailable(format!(
                "{place} does not accept the credentials ({code}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile; they may have expired"
            )),
            Class::NoCredentials => Error::unavailable(
                "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or give the host or container a role",
            ),
            Class::Key => Error::unavailable(format!(
                "stream {stream} is encrypted with a KMS key that can't be used ({code}): allow kms:GenerateDataKey and kms:Decrypt on it, and check that the key is enabled"
            )),
            Class::Throttled => Error::unavailable(format!(
                "{place} asks for a slower pace on stream {stream} ({code})"
            )),
            Class::Busy => Error::unavailable(format!(
                "stream {stream} is being changed ({code}): it is tried again"
            )),
            Class::ExpiredIterator | Class::ExpiredToken => {
                Error::unavailable(format!("{action} on stream {stream} took a rest: {code}"))
            }
            // The service quotes what it does not like, a key perhaps.
            Class::Invalid => Error::permanent(format!(
                "{place} refuses {action} on stream {stream} ({code})"
            )),
            Class::NotSent => Error::unavailable(format!(
                "{place} can't be reached{}: check the endpoint (AWS_ENDPOINT_URL), the region and the network",
                cause(error)
            )),
            Class::Unknown => Error::unavailable(format!(
                "{action} on stream {stream} got no answer from {place}: {}",
                match error {
                    SdkError::ServiceError(_) => format!("the service failed ({code})"),
                    SdkError::TimeoutError(_) =>
                        format!("nothing came within {} s", CALL.as_secs()),
                    SdkError::ResponseError(_) =>
                        "what came is no answer of Kinesis: check the endpoint (AWS_ENDPOINT_URL)"
                            .to_owned(),
                    _ => format!("the connection was lost{}", cause(error)),
                }
            )),
        };
        Failed { class, error }
    }
}

/// The operating system's word, where there is one.
fn cause(error: &(dyn StdError + 'static)) -> String {
    match io_error(error) {
        Some(error) => format!(" ({})", error.kind()),
        None => String::new(),
    }
}

fn chain<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    // Bounded, for the chain is not ours.
    let next = |error: &&'e (dyn StdError + 'static)| -> Option<&'e (dyn StdError + 'static)> {
        let error: &'e (dyn StdError + 'static) = *error;
        error.source()
    };
    std::iter::successors(Some(error), next).take(32)
}

fn io_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e io::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// A failed call: what kind of failure, and the words for it.
#[derive(Debug)]
pub(super) struct Failed {
    pub class: Class,
    pub error: Error,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// What a failure asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Slower.
    Throttled,
    /// There is no such stream or shard.
    Missing,
    /// No permission.
    Denied,
    /// Credentials that the service does not accept.
    Credentials,
    /// None were found; nothing was sent.
    NoCredentials,
    /// The stream's KMS key.
    Key,
    /// The stream is being made, changed or deleted.
    Busy,
    ExpiredIterator,
    ExpiredToken,
    /// An argument that the service does not accept.
    Invalid,
    /// The request did not leave.
    NotSent,
    /// Nobody knows what became of the request.
    Unknown,
}

impl Class {
    fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        match error {
            SdkError::ServiceError(context) => Self::of_code(context.err().code()),
            SdkError::ConstructionFailure(_) => Self::of_dispatch(error, Self::NotSent),
            SdkError::DispatchFailure(_) => Self::of_dispatch(error, Self::Unknown),
            _ => Self::Unknown,
        }
    }

    fn of_code(code: Option<&str>) -> Self {
        match code.unwrap_or_default() {
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "KMSThrottlingException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "TooManyRequestsException" => Self::Throttled,
            "ResourceNotFoundException" => Self::Missing,
            "AccessDeniedException" | "AccessDenied" => Self::Denied,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "ExpiredToken"
            | "ExpiredTokenException" => Self::Credentials,
            "ExpiredIteratorException" => Self::ExpiredIterator,
            "ExpiredNextTokenException" => Self::ExpiredToken,
            "InvalidArgumentException" | "ValidationException" | "SerializationException" => {
                Self::Invalid
            }
            "ResourceInUseException" => Self::Busy,
            code if code.starts_with("KMS") || code.starts_with("Kms") => Self::Key,
            _ => Self::Unknown,
        }
    }

    /// A request without answer.
    fn of_dispatch(error: &(dyn StdError + 'static), otherwise: Self) -> Self {
        let says = |words: &str| chain(error).any(|error| error.to_string().contains(words));
        if says("credential") || says("identity") {
            return Self::NoCredentials;
        }
        let is_before = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            )
        };
        if io_error(error).is_some_and(is_before) || says("dns error") || says("failed to lookup") {
            return Self::NotSent;
        }
        otherwise
    }
}
