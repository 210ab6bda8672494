//! The log: to stderr, each state flip once, each call once (at debug). Standard output is for results.

use clap::ValueEnum;
use rcs_core::bundles::group::{Standing, Told};
use rcs_core::engine::Note;
use rcs_core::verdict::Cut;
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;

use crate::names::Names;

/// The variable that holds the filter, e.g. `debug` or `rcs_router=debug,rcs_proto=info`.
pub(crate) const FILTER_VARIABLE: &str = "RCS_LOG";

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log of the process; a second start changes nothing.
pub(crate) fn start(format: Format) {
    let filter = EnvFilter::builder()
        .with_env_var(FILTER_VARIABLE)
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Tests start several parts in one process.
    let _ = match format {
        Format::Text => log.with_ansi(false).try_init(),
        Format::Json => log.json().try_init(),
    };
}

/// Logs what the engine noted.
pub(crate) fn log(note: &Note<'_>, names: &Names) {
    match *note {
        // Names are looked up only if somebody reads them.
        Note::CallEnded { call, group, member, operation, outcome, took } => debug!(
            group = group.map(|id| names.group(id)).as_deref(),
            member = member.map(|id| names.member(id)).as_deref(),
            op = operation.label(),
            outcome = outcome.label(),
            ?took,
            %call,
            "call"
        ),
        Note::CallRetried { call, operation, from, fault } => {
            debug!(
                %call,
                op = operation.label(),
                from = &*names.member(from),
                ?fault,
                "call is sent again"
            );
        }
        // Counted, and answered: a line for each would be a flood of its own.
        Note::CallRefused { call, group, operation, reason } => debug!(
            group = group.map(|id| names.group(id)).as_deref(),
            op = operation.label(),
            reason = reason.label(),
            %call,
            "call is refused"
        ),
        Note::StreamCut { group, member, operation, reason } => {
            let (group, member) = (names.group(group), member.map(|id| names.member(id)));
            let (member, op, label) = (member.as_deref(), operation.label(), reason.label());
            match reason {
                Cut::NoResult | Cut::NoToken => warn!(
                    group = &*group,
                    member,
                    op,
                    reason = label,
                    "an answer looks cut, and is not passed on as whole; if its connector may end so, set the group's stream_end"
                ),
                _ => debug!(group = &*group, member, op, reason = label, "an answer is not whole"),
            }
        }
        Note::MemberUp { member, connectors } => {
            info!(member = &*names.member(member), connectors, "member is up");
        }
        Note::MemberDown { member, calls } => {
            warn!(member = &*names.member(member), calls, "member is down");
        }
        Note::MemberUnfit { member, reason } => {
            warn!(member = &*names.member(member), reason = reason.label(), "member gets no calls");
        }
        Note::MemberMarked { member, mark, calls } => {
            info!(member = &*names.member(member), ?mark, calls, "an operator marked the member");
        }
        Note::MemberDrained { member } => {
            info!(member = &*names.member(member), "member is drained: it has no call and no socket");
        }
        Note::SocketRotated { member } => {
            debug!(member = member.map(|id| names.member(id)).as_deref(), "an old socket is replaced");
        }
        Note::DialFailed { member, reason } => {
            warn!(member = &*names.member(member), reason, "member cannot be reached; trying on");
        }
        Note::MemberDisconnected { member, reason } => {
            warn!(member = &*names.member(member), reason, "a socket of a member is closed");
        }
        Note::MemberChangedIdentity { member } => {
            warn!(
                member = &*names.member(member),
                "another server answers at the member's address; the newest one gets the calls"
            );
        }
        Note::ConnectorInfosUnreadable { member } => {
            warn!(member = &*names.member(member), "the member's list of connectors cannot be read");
        }
        Note::Bundles { group, told } => log_bundles(&names.group(group), told, names),
        Note::CallersBehind { group, callers } => warn!(
            group = group.map(|id| names.group(id)).as_deref(),
            callers,
            "the list of connectors changed, and callers know an older one: they learn the new one with a new session"
        ),
        Note::CallerJoined { callers } => info!(callers, "a caller joined"),
        Note::CallerLeft { calls } => info!(calls, "a caller's last socket closed"),
        Note::CallerDisconnected { reason } => warn!(reason, "a socket of a caller is closed"),
        Note::ViewNotFollowed { reason } => {
            tracing::error!(reason, "a change cannot be followed; what was in force stays in force");
        }
        Note::FrameIgnored { socket } => debug!(%socket, "a frame that is no message was ignored"),
    }
}

/// Each line names what differs; names that members told are escaped in it.
fn log_bundles(group: &str, told: &Told, names: &Names) {
    match told {
        Told::Member { member, standing } => {
            let member = &*names.member(*member);
            match standing {
                Standing::Matching | Standing::MatchingNext => info!(group, member, "member {standing}"),
                _ => warn!(group, member, "member {standing}"),
            }
        }
        Told::Accepted { from, .. } => {
            info!(group, member = from.map(|id| names.member(id)).as_deref(), "{told}");
        }
        Told::Proposed(_) | Told::Aborted(_) | Told::AlarmOver(_) => info!(group, "{told}"),
        Told::Alarm(_) | Told::Servers { .. } => warn!(group, "{told}"),
    }
}
