//! What does a failure of Kafka mean for us, and what can whoever reads it do?

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::client::Ear;
use super::native::Failed;
use crate::Error;

impl From<KafkaError> for Failed {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(code) => Self::code(code),
            None => Self {
                code: Code::Fail,
                said: error.to_string(),
            },
        }
    }
}

/// What an operation asks of us that failed with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Later it may go.
    Later,
    /// As things are set up it will never go.
    Never,
    /// The lane is another member's.
    Fenced,
}

fn class(code: Code) -> Class {
    match code {
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::FencedInstanceId
        | Code::Fenced
        | Code::AssignmentLost
        | Code::StaleMemberEpoch
        | Code::FencedMemberEpoch => Class::Fenced,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::SSL
        | Code::InvalidTopic
        | Code::InvalidGroupId
        | Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::MessageBatchTooLarge
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::PolicyViolation
        | Code::NotImplemented => Class::Never,
        _ => Class::Later,
    }
}

/// Whether what is complained of with this code may pass by itself.
pub(super) fn may_pass(code: Code) -> bool {
    class(code) == Class::Later
}

/// Codes that say only that nobody answered; a complaint of the client says why.
fn says_nothing(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::Resolve
            | Code::LeaderNotAvailable
            | Code::UnknownBroker
            | Code::NetworkException
            | Code::Fail
    )
}

/// What to do about it.
fn advice(code: Code, said: &str) -> Option<&'static str> {
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "check `sasl.mechanisms`, `sasl.username` and `sasl.password` of the client"
        }
        Code::SSL => {
            "check `ssl.ca.location` and the name on the broker's certificate, and that this port speaks TLS"
        }
        Code::Resolve => "check the host names of the bootstrap servers",
        // librdkafka's own guess, made where the connection ended before anything was said.
        _ if said.contains("security.protocol") => {
            "a broker that wants TLS or SASL on this port closes a connection without: check `security.protocol` of the client"
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown => {
            "check the address of the bootstrap servers, and that the broker runs"
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "make the topic first, with as many partitions as it will need: `kafka-topics.sh --create --topic ..`"
        }
        Code::TopicAuthorizationFailed => {
            "the broker's ACLs refuse this user: reading a topic needs Read and Describe on it, writing Write and Describe"
        }
        Code::GroupAuthorizationFailed => {
            "the broker's ACLs refuse this user: a consumer group needs Read on it"
        }
        Code::ClusterAuthorizationFailed => {
            "the broker's ACLs refuse this user: the idempotent producer needs IdempotentWrite on clusters before Kafka 3.0"
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            "raise `max.message.bytes` of the topic and `message.max.bytes` of the client, or send less"
        }
        Code::InconsistentGroupProtocol => {
            "members of this group that are no logpipe hand lanes over in another way: stop them first, or take another group"
        }
        Code::FencedInstanceId => {
            "another process has this `instance_id` and is the group's member now: give each process one of its own"
        }
        Code::InvalidSessionTimeout => {
            "the broker bounds it by `group.min.session.timeout.ms` and `group.max.session.timeout.ms`"
        }
        Code::NonEmptyGroup => "the group has members that read now: stop them first",
        _ => return None,
    })
}

/// An error in our words, with what the client complained of lately where the code itself says nothing.
pub(super) fn error(failed: &Failed, ear: &Ear) -> Error {
    let complaint = says_nothing(failed.code).then(|| ear.complaint()).flatten();
    let (code, said) = match &complaint {
        Some(complaint) => (complaint.code, &*complaint.said),
        None => (failed.code, &*failed.said),
    };
    let said = match complaint.is_some() || says_nothing(code) {
        true => format!("no broker answers: {said}"),
        false => said.to_owned(),
    };
    let text = match advice(code, &said) {
        Some(advice) => format!("{said}; {advice}"),
        None => said,
    };
    match class(code) {
        Class::Later => Error::unavailable(text),
        Class::Never => Error::permanent(text),
        Class::Fenced => Error::fenced(text),
    }
}

/// Whether a commit that failed so may go through at once when it is tried again.
pub(super) fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::RebalanceInProgress
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::RequestTimedOut
            | Code::OperationTimedOut
            | Code::BrokerTransportFailure
            | Code::NetworkException
            | Code::Retry
            | Code::InProgress
            | Code::Outdated
            | Code::UnknownTopicOrPartition
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        for (code, complaint, says, retriable) in [
            (
                Code::OperationTimedOut,
                Some((
                    Code::BrokerTransportFailure,
                    "127.0.0.1:1: Connect failed: Connection refused",
                )),
                "check the address of the bootstrap servers",
                true,
            ),
            (
                Code::AllBrokersDown,
                Some((
                    Code::BrokerTransportFailure,
                    "127.0.0.1:1: Disconnected (after 90000ms in state UP)",
                )),
                "that the broker runs",
                true,
            ),
            (
                Code::AllBrokersDown,
                Some((
                    Code::BrokerTransportFailure,
                    "Disconnected: verify that security.protocol is correctly configured",
                )),
                "`security.protocol` of the client",
                true,
            ),
            (
                Code::AllBrokersDown,
                Some((
                    Code::Authentication,
                    "SASL authentication error: Authentication failed",
                )),
                "`sasl.password`",
                false,
            ),
            (
                Code::BrokerTransportFailure,
                Some((Code::SSL, "certificate verify failed")),
                "`ssl.ca.location`",
                false,
            ),
            (
                Code::UnknownTopicOrPartition,
                None,
                "kafka-topics.sh --create",
                true,
            ),
            (Code::TopicAuthorizationFailed, None, "ACLs", false),
            (Code::GroupAuthorizationFailed, None, "ACLs", false),
            (
                Code::MessageSizeTooLarge,
                None,
                "`max.message.bytes`",
                false,
            ),
            (Code::NotEnoughReplicas, None, "", true),
        ] {
            let ear = Ear::default();
            if let Some((code, said)) = complaint {
                ear.hear(code, said);
            }
            let error = error(&Failed::code(code), &ear);
            assert!(error.to_string().contains(says), "{code:?}: {error}");
            assert_eq!(error.is_retriable(), retriable, "{code:?}: {error}");
        }
        for code in [
            Code::IllegalGeneration,
            Code::UnknownMemberId,
            Code::FencedInstanceId,
        ] {
            let error = error(&Failed::code(code), &Ear::default());
            assert!(error.is_fenced(), "{code:?}");
        }
    }

    #[test]
    fn that_all_brokers_are_down_says_less_than_why() {
        let ear = Ear::default();
        ear.hear(Code::SSL, "certificate verify failed");
        ear.hear(Code::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(ear.complaint().unwrap().code, Code::SSL);
        ear.is_well();
        assert!(ear.complaint().is_none() && !ear.is_down());
        ear.hear(Code::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(ear.complaint().unwrap().code, Code::AllBrokersDown);
    }
}
