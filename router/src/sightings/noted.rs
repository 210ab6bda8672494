//! Which notes of the engine are sightings: changes of the state of a member, a group or a connector configuration.

use rcs_core::bundles::group::Told;
use rcs_core::engine::{Note, ReleasedBy};
use rcs_core::view::Mark;

use super::Seen;
use crate::limits::SIGHTING_GROUPS_MAX;
use crate::names::Names;

/// The name of the event and what was seen; none if the note is about something else, such as a call.
pub(crate) fn seen(note: &Note<'_>, names: &Names) -> Option<(&'static str, Seen)> {
    let member = |id, state: &'static str, line: String| {
        let (member, of) = (names.member(id), names.groups_of(id, SIGHTING_GROUPS_MAX));
        let line = format!("member {member} {line}");
        ("member", Seen { member: Some(member.to_string()), state: Some(state), of, line, ..Seen::default() })
    };
    Some(match *note {
        Note::MemberUp { member: id, connectors } => {
            member(id, "up", format!("is up, with {connectors} connectors"))
        }
        Note::MemberDown { member: id, calls } => {
            member(id, "down", format!("is down; it had {calls} calls"))
        }
        Note::MemberUnfit { member: id, reason } => {
            let label = reason.label();
            let (kind, seen) = member(id, "unfit", format!("gets no calls ({label})"));
            (kind, Seen { reason: Some(label), ..seen })
        }
        Note::MemberMarked { member: id, mark, calls } => {
            let state = match mark {
                Mark::Enabled => "enabled",
                Mark::Draining => "draining",
                Mark::Disabled => "disabled",
            };
            member(id, state, format!("is {state} here; it has {calls} calls"))
        }
        Note::MemberDrained { member: id } => {
            member(id, "drained", "is drained: no calls and no connections are left".to_owned())
        }
        Note::DialFailed { member: id, reason } => {
            member(id, "unreachable", format!("cannot be reached; retrying: {reason}"))
        }
        Note::GroupOut { group, queued, .. } => {
            let line = format!("no member of group {} gets calls; {queued} calls wait", names.group(group));
            (
                "group",
                Seen {
                    group: Some(names.group(group).to_string()),
                    state: Some("out"),
                    line,
                    ..Seen::default()
                },
            )
        }
        Note::GroupBack { group, after } => {
            let line = format!("the outage of group {} is over after {after:.1?}", names.group(group));
            (
                "group",
                Seen {
                    group: Some(names.group(group).to_string()),
                    state: Some("back"),
                    line,
                    ..Seen::default()
                },
            )
        }
        Note::Bundles { group, told } => bundles(&names.group(group), told, names),
        Note::ConfigurationQuarantined { configuration, connector, time, .. } => {
            let line = format!("configuration {configuration} of {connector} is quarantined for {time:.0?}");
            let configuration = Some(configuration.to_string());
            ("quarantine", Seen { configuration, state: Some("quarantined"), line, ..Seen::default() })
        }
        Note::ConfigurationReleased { configuration, connector, by } => {
            let reason = Some(match by {
                ReleasedBy::Time => "time",
                ReleasedBy::Operator => "operator",
                ReleasedBy::Answer => "answer",
                ReleasedBy::Life => "life",
                ReleasedBy::Room => "room",
            });
            let line = format!("configuration {configuration} of {connector} is released");
            let configuration = Some(configuration.to_string());
            ("quarantine", Seen { configuration, state: Some("released"), reason, line, ..Seen::default() })
        }
        _ => return None,
    })
}

fn bundles(group: &str, told: &Told, names: &Names) -> (&'static str, Seen) {
    let (member, line) = match told {
        Told::Member { member, standing } => {
            let member = names.member(*member);
            let line = format!("group {group}: member {member} {standing}");
            (Some(member.to_string()), line)
        }
        other => (None, format!("group {group}: {other}")),
    };
    ("bundles", Seen { group: Some(group.to_owned()), member, line, ..Seen::default() })
}
