//! The errors that the router itself returns to callers, and how each looks to the caller, to the log and to
//! the metrics.
//!
//! The exception class is what IDM acts on (WIRE 5.1). OpenIDM turns ConnectionFailed, ConnectionBroken,
//! ConnectorIO, OperationTimeout and Retryable into HTTP 503: callers, and OpenIDM's own (opt-in) retries, read that
//! as "try again". A plain ConnectorException becomes 500, which is not retried automatically. So the first
//! family is for calls that may be repeated, and ConnectorException for all others.

use std::time::Duration;

use rcs_proto::icf::exceptions;
use rcs_proto::operation::Operation;

use crate::ids::ConfigurationId;

use crate::limits::{CALL_BACKLOG_MAX, CONNECTOR_KEY_BYTES_MAX, FACADE_KEY_BYTES_MAX, FRAME_BYTES_MAX};

/// Why the router itself answers a call with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No member could run the call, and nothing was changed (G15). A read may have reached a member that was lost.
    NoMember,
    /// The member of a read was lost and no more retries are allowed.
    AnswerLost,
    /// The member of an authenticate was lost: the attempt may have been counted as a failed login.
    LoginUnknown,
    /// A stream broke off after objects were delivered, or its end looks cut and no other member returned it whole.
    StreamCut,
    /// The member that holds the state of a paged search is gone.
    PageLost,
    /// The member of a subscription is gone.
    SubscriptionLost,
    /// A call that may change something may have been run, or not (P2).
    OutcomeUnknown,
    /// The call was lost with several members in a row.
    Poison,
    /// The configuration that the call names is quarantined; the call was not run.
    ConfigurationQuarantined,
    /// The caller read its answer too slowly.
    CallerTooSlow,
    /// The request is over the frame limit; it was not run.
    RequestTooLarge,
    /// The connector key or the facade key of the request is longer than the router accepts; the call was not run.
    ConfigurationTooLarge,
    /// The answer is over the frame limit.
    AnswerTooLarge,
    /// The router is shutting down.
    Draining,
    /// A read, or a call that was not run, passed its deadline.
    Deadline,
    /// A call that may change something, or count as a failed login, passed its deadline while a member had it.
    DeadlineUnknown,
    /// The caller has reached its limit of open calls; the call was not run.
    TooManyCalls,
    /// The router has reached its limit of open calls, or of bytes of requests; the call was not run.
    RouterFull,
    /// No member of the group has a free place, and the group's queue is full; the call was not run.
    QueueFull,
    /// The call waited in the queue until its timeout; it was not run.
    QueueTimeout,
    /// The call certainly was not run, and the retry limit of its group is used up.
    RetriesSpent,
    /// The group of the caller's way in has left the provider document; the call was not run.
    GroupLeft,
    /// No group has the connector; the call was not run.
    UnknownConnector,
    /// Several groups have the connector and nothing says which is meant; the call was not run.
    AmbiguousConnector,
}

/// The label of a finished call in metrics and logs: operators' queries rely on these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered by a member.
    Ok,
    /// Answered by a member with an error of its own.
    ConnectorError,
    /// Refused or given up by the router; nothing was changed.
    Unavailable,
    /// Something may have been changed, or not.
    Unknown,
    /// Ended by its caller, or because its caller read the answer too slowly.
    Cancelled,
    /// Ran out of time.
    Deadline,
}

/// What is known about a call when it fails; none of it secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// The operation.
    pub operation: Operation,
    /// The group's name, if the call got as far as having one.
    pub group: Option<&'a str>,
    /// The name of the member that has or had the call.
    pub member: Option<&'a str>,
    /// The configuration that the call names, if it is quarantined.
    pub quarantine: Option<QuarantinedConfiguration<'a>>,
}

/// A configuration that is quarantined, as an error names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantinedConfiguration<'a> {
    /// The name of the configuration, which does not reveal it.
    pub id: ConfigurationId,
    /// The connector of the configuration, as `BUNDLE/VERSION/CONNECTOR`.
    pub connector: &'a str,
    /// The names of the members that were lost with the configuration.
    pub members: &'a str,
    /// The time until the configuration is released.
    pub left: Duration,
}

/// An error as it goes to the caller in `response.error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// Java class name for `exceptionClass`.
    pub class: &'static str,
    /// Text for `message`: what happened and what to do.
    pub message: String,
    /// Label of the call.
    pub outcome: Outcome,
}

impl CallError {
    /// The answer to a call that its caller waits for, and of which the router knows nothing.
    pub(crate) fn of_no_call() -> Self {
        let message = "Outcome unknown: the router holds no call with this id. The request or its answer was lost on the way. Read the \
                       object before you repeat the call."
            .to_owned();
        Self { class: exceptions::CONNECTOR, message, outcome: Outcome::Unknown }
    }

    /// The answer to a call that an earlier router process had when it ended.
    pub(crate) fn of_ended_process() -> Self {
        let message = "Outcome unknown: the router process that had this call has ended before its answer came. Read the object before you \
                       repeat the call."
            .to_owned();
        Self { class: exceptions::CONNECTOR, message, outcome: Outcome::Unknown }
    }
}

impl Outcome {
    /// Every label.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::ConnectorError, Self::Unavailable, Self::Unknown, Self::Cancelled, Self::Deadline];

    /// The label itself.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ConnectorError => "connector_error",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
        }
    }
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::NoMember,
        Self::AnswerLost,
        Self::LoginUnknown,
        Self::StreamCut,
        Self::PageLost,
        Self::SubscriptionLost,
        Self::OutcomeUnknown,
        Self::Poison,
        Self::ConfigurationQuarantined,
        Self::CallerTooSlow,
        Self::RequestTooLarge,
        Self::ConfigurationTooLarge,
        Self::AnswerTooLarge,
        Self::Draining,
        Self::Deadline,
        Self::DeadlineUnknown,
        Self::TooManyCalls,
        Self::RouterFull,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::RetriesSpent,
        Self::GroupLeft,
        Self::UnknownConnector,
        Self::AmbiguousConnector,
    ];

    /// The word for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoMember => "no_member",
            Self::AnswerLost => "answer_lost",
            Self::LoginUnknown => "login_unknown",
            Self::StreamCut => "stream_cut",
            Self::PageLost => "page_lost",
            Self::SubscriptionLost => "subscription_lost",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Poison => "poison",
            Self::ConfigurationQuarantined => "configuration_quarantined",
            Self::CallerTooSlow => "caller_too_slow",
            Self::RequestTooLarge => "request_too_large",
            Self::ConfigurationTooLarge => "configuration_too_large",
            Self::AnswerTooLarge => "answer_too_large",
            Self::Draining => "draining",
            Self::Deadline => "deadline",
            Self::DeadlineUnknown => "deadline_unknown",
            Self::TooManyCalls => "too_many_calls",
            Self::RouterFull => "router_full",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::RetriesSpent => "retries_spent",
            Self::GroupLeft => "group_left",
            Self::UnknownConnector => "unknown_connector",
            Self::AmbiguousConnector => "ambiguous_connector",
        }
    }

    /// The metric label of a call that ends with this error.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::OutcomeUnknown | Self::LoginUnknown => Outcome::Unknown,
            Self::CallerTooSlow => Outcome::Cancelled,
            Self::Deadline | Self::DeadlineUnknown => Outcome::Deadline,
            Self::NoMember
            | Self::AnswerLost
            | Self::StreamCut
            | Self::PageLost
            | Self::SubscriptionLost
            | Self::Poison
            | Self::ConfigurationQuarantined
            | Self::RequestTooLarge
            | Self::ConfigurationTooLarge
            | Self::AnswerTooLarge
            | Self::Draining
            | Self::TooManyCalls
            | Self::RouterFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::RetriesSpent
            | Self::GroupLeft
            | Self::UnknownConnector
            | Self::AmbiguousConnector => Outcome::Unavailable,
        }
    }

    /// Whether the call was refused because of overload (load shedding); such refusals are counted apart.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::TooManyCalls | Self::RouterFull | Self::QueueFull | Self::QueueTimeout | Self::RetriesSpent
        )
    }

    /// Whether the caller may repeat the call without checking first what happened.
    pub const fn repeatable(self) -> Repeatable {
        match self {
            Self::NoMember
            | Self::AnswerLost
            | Self::StreamCut
            | Self::PageLost
            | Self::SubscriptionLost
            | Self::Draining
            | Self::Deadline
            | Self::TooManyCalls
            | Self::RouterFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::RetriesSpent
            | Self::GroupLeft => Repeatable::Yes,
            // A login that counts twice may lock an account; a poison, slow or oversized call would do the
            // same again.
            Self::LoginUnknown
            | Self::OutcomeUnknown
            | Self::DeadlineUnknown
            | Self::Poison
            | Self::ConfigurationQuarantined
            | Self::CallerTooSlow
            | Self::RequestTooLarge
            | Self::ConfigurationTooLarge
            | Self::AnswerTooLarge
            | Self::UnknownConnector
            | Self::AmbiguousConnector => Repeatable::No,
        }
    }

    /// The Java class that makes IDM do the right thing.
    pub const fn exception_class(self) -> &'static str {
        match self {
            // What a Java caller sees without a router when no server is there (WIRE 4.5).
            Self::NoMember | Self::GroupLeft => exceptions::CONNECTION_FAILED,
            Self::AnswerLost | Self::SubscriptionLost => exceptions::CONNECTION_BROKEN,
            Self::StreamCut
            | Self::PageLost
            | Self::Draining
            | Self::TooManyCalls
            | Self::RouterFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::RetriesSpent => exceptions::RETRYABLE,
            Self::Deadline => exceptions::OPERATION_TIMEOUT,
            Self::LoginUnknown
            | Self::OutcomeUnknown
            | Self::DeadlineUnknown
            | Self::Poison
            | Self::ConfigurationQuarantined
            | Self::CallerTooSlow
            | Self::RequestTooLarge
            | Self::ConfigurationTooLarge
            | Self::AnswerTooLarge
            | Self::UnknownConnector
            | Self::AmbiguousConnector => exceptions::CONNECTOR,
        }
    }

    /// The error as it goes to the caller.
    pub fn to_error(self, call: &Circumstances<'_>) -> CallError {
        CallError { class: self.exception_class(), message: self.message(call), outcome: self.outcome() }
    }

    /// The same where the answer came from its member, and was lost on its way to the caller.
    pub fn to_error_on_the_way(self, operation: Operation) -> CallError {
        let op = operation.label();
        let message = match self.outcome() {
            Outcome::Unknown => format!(
                "Outcome unknown: the {op} was run, and its answer was lost with the connection to you. \
                Read the object before you repeat the {op}."
            ),
            _ => format!(
                "The answer to this {op} was lost with the connection to you. What was delivered is \
                incomplete: discard it and start again."
            ),
        };
        CallError { class: self.exception_class(), message, outcome: self.outcome() }
    }

    fn message(self, call: &Circumstances<'_>) -> String {
        let op = call.operation.label();
        let group = call.group.map_or("the group".to_owned(), |g| format!("group {g}"));
        let member = call.member.map_or("the member".to_owned(), |m| format!("member {m}"));
        match self {
            Self::NoMember => {
                format!(
                    "No member of {group} is available for this {op}. Nothing was changed: repeat it. If \
                    this lasts, check the members with `rcs-router member list`."
                )
            }
            Self::AnswerLost => {
                format!(
                    "The answer of {member} of {group} to this {op} was lost, and no retry is left. Nothing \
                    was changed: repeat it."
                )
            }
            Self::LoginUnknown => format!(
                "Outcome unknown: {member} of {group} may or may not have run this {op}, and the answer was \
                lost. The {op} was not retried, as it may count as a failed login."
            ),
            Self::StreamCut => format!(
                "The answer of {member} of {group} to this {op} was cut short, as far as the router can tell. What was \
                 delivered counts as incomplete: discard it and start the {op} again."
            ),
            Self::PageLost if call.operation == Operation::Batch => format!(
                "The results of this batch are lost: {member} of {group}, which ran the batch, could not return them. \
                Read the objects to see what was changed."
            ),
            Self::PageLost => format!(
                "The next page of this {op} is lost: {member} of {group}, which holds the state of the \
                search, could not return it. Start again from the first page."
            ),
            Self::SubscriptionLost => {
                format!(
                    "This subscription to events of {member} of {group} has ended, because the member or \
                    the router is not available any more. Subscribe again; events in between are missing."
                )
            }
            Self::OutcomeUnknown => format!(
                "Outcome unknown: {member} of {group} may or may not have run this {op}, and the answer \
                 was lost. The {op} was not retried. Read the object before you repeat the {op}."
            ),
            Self::Poison => format!(
                "Two members of {group} were lost while they ran this {op}, the last one {member}. The {op} \
                may have ended both, so it was not sent to another: check the logs of both members."
            ),
            Self::ConfigurationQuarantined => match call.quarantine {
                Some(of) => format!(
                    "Members were lost while they worked with this configuration of the connector {}: {}. The router \
                     has quarantined the configuration, and did not run this {op}. Find out in the members' logs what \
                     ended the members, and correct the configuration. The quarantine ends in {} s, or at once with \
                     `rcs-router quarantine release {}`.",
                    of.connector,
                    of.members,
                    of.left.as_secs().max(1),
                    of.id
                ),
                None => format!(
                    "Members were lost while they worked with this configuration. The router has quarantined the \
                     configuration, and did not run this {op}. When it ends and how to end it at once: `rcs-router quarantine list`."
                ),
            },
            Self::CallerTooSlow => format!(
                "The caller read the answer of this {op} too slowly: more than {} MiB in memory or {} MiB on \
                 disk were waiting (less when other callers are slow too). The {op} was cancelled at {member} of \
                 {group}. Use smaller pages, or read faster.",
                CALL_BACKLOG_MAX.memory >> 20,
                CALL_BACKLOG_MAX.disk >> 20
            ),
            Self::RequestTooLarge => {
                format!(
                    "The request is larger than {} MiB: {op} was not run. Send less at once.",
                    FRAME_BYTES_MAX >> 20
                )
            }
            Self::ConfigurationTooLarge => {
                format!(
                    "The connector's configuration in this request is larger than {} MiB, or the connector's name than {} KiB: \
                     {op} was not run. Keep certificates, scripts and other large values in files beside the connector, and \
                     name the files in the configuration.",
                    FACADE_KEY_BYTES_MAX >> 20,
                    CONNECTOR_KEY_BYTES_MAX >> 10
                )
            }
            Self::AnswerTooLarge => format!(
                "An answer of {member} of {group} to this {op} is larger than {} MiB, or than what \
                the router had room for. Ask for fewer attributes or objects.",
                FRAME_BYTES_MAX >> 20
            ),
            Self::Draining => {
                format!(
                    "The router is shutting down and returns no result of this {op}. Nothing was changed: repeat it."
                )
            }
            Self::Deadline => {
                format!(
                    "Timeout: {group} did not finish this {op} in time. It changed nothing: repeat it. If this \
                     lasts, check the resource or raise the timeout."
                )
            }
            Self::DeadlineUnknown if call.operation == Operation::Authenticate => format!(
                "Outcome unknown: timeout, {member} of {group} did not answer this {op} in time. The {op} was not \
                 retried, as it may count as a failed login."
            ),
            Self::DeadlineUnknown => format!(
                "Outcome unknown: timeout, {member} of {group} did not finish this {op} in time and may still run it. \
                 Read the object before you repeat the {op}."
            ),
            Self::TooManyCalls => {
                format!(
                    "Overload: this caller has as many calls open as the router allows it. {op} was not run. \
                     Wait for others to finish, then repeat it."
                )
            }
            Self::RouterFull => {
                format!(
                    "Overload: the router holds as many calls, or as much of their data, as it can. {op} was not run. \
                     Repeat it later."
                )
            }
            Self::QueueFull => format!(
                "Overload: no member of {group} has a free place, and the queue for one is full. {op} was \
                 not run. Repeat it later."
            ),
            Self::QueueTimeout => format!(
                "Overload: no member of {group} had a free place for this {op} in time. It was not run. \
                 Repeat it later."
            ),
            Self::RetriesSpent => format!(
                "Overload: {member} of {group} did not run this {op}, and the group's retry limit is used up, \
                 so it was not retried. Nothing was changed. Repeat it later."
            ),
            Self::GroupLeft => {
                format!(
                    "The router's provider file has no {group} any more: it was removed or renamed. This {op} was not \
                    run. Connect the caller to a group or server that the file has (/openicf/NAME), or put {group} back into the file."
                )
            }
            Self::UnknownConnector => {
                format!(
                    "No group of this router has the connector: {op} was not run. Check bundleName, \
                    bundleVersion and connectorName, and that a member is connected."
                )
            }
            Self::AmbiguousConnector => {
                format!(
                    "Several groups have this connector: {op} was not run. Name the group: connect to /openicf/GROUP, \
                    or with GROUP as the principal. An IDM that can send neither (OpenIDM 6.3.0) needs an address of the group: \
                    start the router with --listen ADDR=GROUP."
                )
            }
        }
    }
}

/// Whether the same call may be sent again blindly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repeatable {
    /// It was not run, or running it again does no harm.
    Yes,
    /// It may have changed something, or would fail the same way.
    No,
}
