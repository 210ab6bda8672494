//! What a member's own error says: of the call, and of the member.

use rcs_proto::envelope::ErrorHead;
use rcs_proto::frames;

use crate::health::Finding;
use crate::verdict::Fault;

/// What an error says of the member. An account that does not exist says nothing bad of the member; a resource that cannot be reached
/// does.
pub(in crate::engine) fn finding(class: &str) -> Finding {
    let is_bad = is_out_of_reach(class)
        || matches!(simple_name(class), "OperationTimeoutException" | "OutOfMemoryError");
    if is_bad { Finding::Bad } else { Finding::Good }
}

/// Whether the error says that the member cannot reach its resource. A timeout or lack of memory is not included: the call would
/// cause the same at the next member.
pub(in crate::engine) fn is_out_of_reach(class: &str) -> bool {
    matches!(
        simple_name(class),
        "ConnectionFailedException" | "ConnectionBrokenException" | "ConnectorIOException"
    )
}

fn simple_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or_default()
}

/// Errors that say that the member did not run the call (WIRE 4.3, 5.1, 5.7). Class and text are compared: a script may fail
/// with any text after it has changed something.
pub(in crate::engine) fn not_run(error: &ErrorHead, id: i64) -> Option<Fault> {
    let (class, message) = (error.class.as_str(), error.message.as_str());
    if class.ends_with(".ConnectorException") && message.starts_with("Connector not found: ") {
        Some(Fault::ConnectorNotFound)
    } else if frames::is_shutting_down(class, message, id) {
        Some(Fault::MemberShutsDown)
    } else {
        let named = message.strip_prefix("Request has been registered with id")?;
        let is_ours = named.trim_start_matches([':', ' ']) == id.to_string();
        (is_ours && class.ends_with(".IllegalStateException")).then_some(Fault::IdInUse)
    }
}

/// What the router says through which a member is used, of a call that it does not answer for the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum TellsOfCall {
    /// The call did not reach the member.
    NotRun,
    /// The call may have reached the member, and its answer will not come.
    Lost,
}

/// Whether an error is such a word of a router.
pub(in crate::engine) fn told_by_router(error: &ErrorHead, id: i64) -> Option<TellsOfCall> {
    let (class, message) = (error.class.as_str(), error.message.as_str());
    if frames::is_not_forwarded(class, message, id) {
        Some(TellsOfCall::NotRun)
    } else {
        frames::is_lost_beyond(class, message, id).then_some(TellsOfCall::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_that_the_call_did_not_run_only_if_class_and_text_both_do() {
        for (class, message, fault) in [
            ("x.ConnectorException", "Connector not found: b/1.0/C", Some(Fault::ConnectorNotFound)),
            ("x.RuntimeException", "Connector not found: b/1.0/C", None),
            (
                "java.lang.IllegalStateException",
                "Request has been registered with id: 7",
                Some(Fault::IdInUse),
            ),
            ("java.lang.IllegalStateException", "Request has been registered with id: 71", None),
            ("x.ConnectorException", "Request has been registered with id: 7", None),
            ("x.UnknownUidException", "gone", None),
        ] {
            let error = ErrorHead { class: class.into(), message: message.into() };
            assert_eq!(not_run(&error, 7), fault, "{class}: {message}");
        }
    }

    #[test]
    fn only_errors_of_resource_and_process_are_held_against_the_member() {
        for (class, found, out_of_reach) in [
            ("x.ConnectionFailedException", Finding::Bad, true),
            ("x.ConnectorIOException", Finding::Bad, true),
            ("java.lang.OutOfMemoryError", Finding::Bad, false),
            ("x.UnknownUidException", Finding::Good, false),
            ("", Finding::Good, false),
        ] {
            assert_eq!((finding(class), is_out_of_reach(class)), (found, out_of_reach), "{class}");
        }
    }
}
