//! What the log says: each change of a state once, each call once (at level debug). How lines are written: [`rcs_cli::log`].

use rcs_core::bundles::group::{BundleStanding, Offer, Told};
use rcs_core::engine::{Note, ReleasedBy, UnservedCalls};
use rcs_core::ids::MemberId;
use rcs_core::state::MemberState;
use rcs_core::verdict::Cut;
use tracing::{debug, info, warn};

use crate::names::Names;

/// Logs what the engine noted.
pub(crate) fn log(note: &Note<'_>, names: &Names) {
    match *note {
        // Names are looked up only if this level is logged.
        Note::CallEnded { call, group, member, operation, outcome, took } => debug!(
            group = group.map(|id| names.group(id)).as_deref(),
            member = member.map(|id| names.member(id)).as_deref(),
            op = operation.label(),
            outcome = outcome.label(),
            ?took,
            %call,
            "call"
        ),
        Note::OutcomeUnknown { call, group, member, operation, caller, connector, object_class, .. } => {
            warn!(
                %call,
                group = &*names.group(group),
                member = member.map(|id| names.member(id)).as_deref(),
                op = operation.label(),
                caller,
                connector,
                object_class,
                "outcome unknown: the call was sent, its answer did not come, and nobody can say whether it ran. Look at the object, then \
                 acknowledge the call: rcs-router call acknowledge {call}"
            )
        }
        Note::CallRetried { call, operation, from, fault } => {
            debug!(
                %call,
                op = operation.label(),
                from = &*names.member(from),
                ?fault,
                "call is retried"
            );
        }
        Note::CallHedged { call, group, operation, from, to } => debug!(
            %call,
            group = &*names.group(group),
            op = operation.label(),
            from = &*names.member(from),
            to = &*names.member(to),
            "the answer is overdue; another member is asked as well (hedge)"
        ),
        Note::HedgeWon { call, group } => {
            debug!(%call, group = &*names.group(group), "the second member answered first (hedge)");
        }
        Note::StoodStill { time } => warn!(
            ?time,
            "the router stood still: its machine is overloaded, or was paused. Members are judged when what they sent meanwhile is read. \
             If this line comes again and again, give the router more processor time"
        ),
        // Refusals are counted, and each caller gets an error: a line for each refusal would flood the log.
        Note::CallRefused { call, group, operation, reason } => debug!(
            group = group.map(|id| names.group(id)).as_deref(),
            op = operation.label(),
            reason = reason.label(),
            %call,
            "overload: call is refused"
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
                    "a search or sync ended without its usual result or token; it is treated as incomplete: retried if possible, \
                     otherwise an error to the caller. If this connector may leave the result or token out, set \
                     stream_end = \"as_it_came\" for the group"
                ),
                Cut::CopyLost => warn!(
                    group = &*group,
                    member,
                    op,
                    reason = label,
                    "a connection to the member was lost while a search or sync was about to end, so the end is not trusted; the caller \
                     gets an error. Look at the network to the member, and at the member's log"
                ),
                Cut::LastRepeated => warn!(
                    group = &*group,
                    member,
                    op,
                    reason = label,
                    "the member could not write for 100 ms and ended a search or sync early; the caller gets an error. Look at the \
                     member's processor and memory: it is starved, or was stopped for a while"
                ),
                _ => debug!(
                    group = &*group,
                    member,
                    op,
                    reason = label,
                    "the answer of a search or sync is incomplete"
                ),
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
        Note::GroupOut { group, members, queued } => warn!(
            group = &*names.group(group),
            members = states(members, names),
            queued,
            "outage: no member of the group gets calls; calls wait, or fail with an error that says that they were not run. `rcs-router member list` says why"
        ),
        Note::GroupBack { group, after } => info!(
            group = &*names.group(group),
            ?after,
            "the outage of the group is over: a member gets calls again"
        ),
        Note::CallersWaitForList { group, callers } => warn!(
            group = group.map(|id| names.group(id)).as_deref(),
            callers,
            "callers asked for connectors and wait for an answer: no member has reported its connectors since the router started. \
             See rcs-router member list"
        ),
        Note::CallsNotHeld { calls } => warn!(
            calls,
            "a caller still waits for calls of which the router knows nothing; they end with \"Outcome unknown\". Their requests or answers \
             were lost on the way, as when the router before this one died"
        ),
        Note::MemberMarked { member, mark, calls } => {
            info!(
                member = &*names.member(member),
                ?mark,
                calls,
                "an operator enabled, drained or disabled the member"
            );
        }
        Note::MemberDrained { member } => {
            info!(member = &*names.member(member), "member is drained: no calls and no connections are left");
        }
        Note::SocketRotated { member } => {
            debug!(
                member = member.map(|id| names.member(id)).as_deref(),
                "an old connection is replaced by a new one"
            );
        }
        Note::DialFailed { member, reason } => {
            warn!(member = &*names.member(member), reason, "member cannot be reached; retrying");
        }
        Note::MemberDisconnected { member, reason } => {
            warn!(member = &*names.member(member), reason, "the router closes a connection to a member");
        }
        Note::MemberChangedIdentity { member } => {
            warn!(
                member = &*names.member(member),
                "another server process is this member now (a restart, or two servers at one address or of one name); the newest \
                 one gets the calls"
            );
        }
        Note::ConnectorInfosUnreadable { member } => {
            warn!(
                member = &*names.member(member),
                "the member's list of connectors cannot be read; check the member's version and its log"
            );
        }
        Note::ConfigurationQuarantined { configuration, connector, members, time } => {
            let members: Vec<_> = members.iter().map(|id| names.member(*id)).collect();
            warn!(
                %configuration,
                connector,
                members = members.join(","),
                seconds = time.as_secs(),
                "a connector configuration is quarantined: members were lost while they worked with it. Its calls are refused, and \
                 members are not tested with it; find out in the members' logs what ended them, correct the configuration, and release \
                 it with rcs-router quarantine release"
            );
        }
        Note::ConfigurationReleased { configuration, connector, by } => {
            let reason = match by {
                ReleasedBy::Time => "its time is over",
                ReleasedBy::Operator => "an operator released it",
                ReleasedBy::Answer => "a member answered a call with it",
                ReleasedBy::Life => "the lost members live, so the network was to blame",
                ReleasedBy::Room => {
                    "it made room for another one: the router keeps a limited number of quarantined configurations"
                }
            };
            warn!(%configuration, connector, reason, "a connector configuration is quarantined no longer");
        }
        Note::Bundles { group, told } => log_bundles(&names.group(group), told, names),
        Note::GroupLeft { group, callers, by_connector, principals, calls } => warn!(
            group = &*names.group(group),
            callers,
            by_connector,
            principals = ?principals,
            calls,
            "the group or server left the provider file while callers use it: their open calls end as they would, their new calls are \
             refused. Put it back, or point these callers at another group"
        ),
        Note::CallsUnserved(unserved) => log_unserved(unserved, names),
        Note::CallersBehind { group, callers } => warn!(
            group = group.map(|id| names.group(id)).as_deref(),
            callers,
            "the list of connectors changed, and some callers still use the old list: they get the new list with their next \
             session, for example after a restart of IDM"
        ),
        Note::CallerJoined { callers } => info!(callers, "a caller connected"),
        Note::CallerLeft { calls } => info!(calls, "a caller's last connection closed"),
        Note::CallerDisconnected { reason } => warn!(reason, "a socket of a caller is closed"),
        Note::ViewNotFollowed { reason } => {
            tracing::error!(reason, "a change cannot be carried out; what was in force stays in force");
        }
        Note::FrameIgnored { socket } => debug!(%socket, "a frame that is no message was ignored"),
    }
}

/// The states of members, as `n1 down, n2 draining`.
fn states(members: &[(MemberId, MemberState)], names: &Names) -> String {
    let states = members.iter().map(|(member, state)| format!("{} {state}", names.member(*member)));
    states.collect::<Vec<_>>().join(", ")
}

/// Connector keys and principals come from callers, and are escaped.
fn log_unserved(unserved: &UnservedCalls, names: &Names) {
    let UnservedCalls { calls, callers, is_over, .. } = *unserved;
    let group = unserved.group.map(|id| names.group(id));
    let (group, principals) = (group.as_deref(), format!("{:?}", unserved.principals));
    let connector = unserved.connector.as_ref().map(|connector| format!("{:?}", connector.to_string()));
    let connector = connector.as_deref().unwrap_or("several");
    match is_over {
        true => info!(
            group,
            connector,
            calls,
            "calls for a connector version that no member had are over: none failed in the last minute"
        ),
        false => warn!(
            group,
            connector,
            calls,
            callers,
            principals,
            "calls fail: no member that serves has the connector in the version that these callers ask for. Move the callers to a \
             version that is there, bring back a member with their version, or let another version run their calls \
             (rcs-router bundles stand-ins GROUP RULE)"
        ),
    }
}

/// Each line names what differs; names that members reported are escaped.
fn log_bundles(group: &str, told: &Told, names: &Names) {
    match told {
        Told::Member { member, standing } => {
            let member = &*names.member(*member);
            match standing {
                BundleStanding::Matching | BundleStanding::MatchingNext => {
                    info!(group, member, "member {standing}")
                }
                _ => warn!(group, member, "member {standing}"),
            }
        }
        Told::FirstSight { offers, .. } => {
            let named = |offer: &Offer| {
                let members: Vec<String> =
                    offer.members.iter().map(|id| names.member(*id).to_string()).collect();
                format!("{}={}", offer.set, members.join("+"))
            };
            let sets = offers.iter().map(named).collect::<Vec<_>>().join(" ");
            warn!(group, sets, "{told}");
        }
        Told::Accepted { from, .. } => {
            info!(group, member = from.map(|id| names.member(id)).as_deref(), "{told}");
        }
        Told::Proposed(_) | Told::Aborted(_) | Told::AlarmOver(_) => info!(group, "{told}"),
        Told::Alarm(_) | Told::Servers { .. } => warn!(group, "{told}"),
    }
}
