//! A group's bundle sets as an operator sees them (`bundles status`, `bundles diff`).

use std::fmt;

use super::member::{Against, Cause, Server, Standing};
use super::set::{Origin, SetDigest};
use super::{Alarm, GroupSets, Policy, Reports, Told};
use crate::bundles::diff::{Difference, Line};
use crate::bundles::printable::Printable;
use crate::ids::MemberId;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What the operator wants.
    pub policy: Policy,
    /// The accepted set and how it came to be that; none before the first member told one.
    pub accepted: Option<(SetDigest, Origin)>,
    /// The next set during a rolling upgrade.
    pub next: Option<SetDigest>,
    /// The members in list order.
    pub members: Vec<MemberStatus>,
    /// How many of them may serve.
    pub serving: usize,
    /// How many of these may be taken away, say for their upgrade, so that enough are left.
    pub spare: usize,
    /// Why the operator is needed.
    pub alarm: Option<Alarm>,
    /// The different servers that are known, in order; more than one is version skew, or a mixed group (B09).
    pub servers: Vec<Server>,
}

/// One member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberStatus {
    /// Its id.
    pub member: MemberId,
    /// How it stands.
    pub standing: Standing,
    /// What it has, as far as it is known.
    pub found: Option<SetDigest>,
    /// What its server is.
    pub server: Option<Server>,
}

impl MemberStatus {
    /// What differs, if it does.
    pub fn difference(&self) -> Option<&Difference> {
        match self.standing.cause()? {
            Cause::Differs { difference, .. } => Some(difference),
            _ => None,
        }
    }
}

impl GroupSets {
    /// The state now.
    pub fn status(&self) -> Status {
        let members = self.order.iter().filter_map(|member| {
            let record = self.members.get(member)?;
            let wire = record.manifest.wire.as_ref().map(|wire| *wire.digest());
            let files = record.manifest.files.as_ref().map(|files| files.digest());
            Some(MemberStatus {
                member: *member,
                standing: record.standing.clone(),
                found: wire.map(|wire| SetDigest { wire, files }),
                server: record.server.clone(),
            })
        });
        Status {
            policy: self.policy,
            accepted: self.accepted.as_ref().map(|set| (set.digest, set.origin)),
            next: self.next.as_ref().map(|set| set.digest),
            members: members.collect(),
            serving: self.serving.len(),
            spare: self.serving.len().saturating_sub(self.policy.serving_min),
            alarm: self.alarm,
            servers: self.servers.clone(),
        }
    }
}

/// A cause in one line of the log.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { found, against, difference } => {
                let set = match against {
                    Against::Accepted => "accepted",
                    Against::Next => "next",
                };
                write!(f, "its bundle set {} is not the group's; beside the {set} one: ", found.short())?;
                if difference.is_empty() {
                    return f.write_str("unknown, as no member ever had that set");
                }
                write!(f, "{}", Line(difference))
            }
            Self::MissingAgentReport => {
                f.write_str("the group requires the report of an agent, and there is none: is rcs-node agent running beside it?")
            }
            Self::Unreadable(why) => write!(f, "what it tells of its connectors cannot be used: {}", Printable(why)),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("has not told its bundle set"),
            Self::Matching => f.write_str("has the group's bundle set and may serve"),
            Self::MatchingNext => f.write_str("has the group's next bundle set and may serve"),
            Self::Held { until } => {
                write!(f, "changed its bundle set to and fro and is held until {until} after the start")
            }
            Self::Kept(cause) => write!(f, "serves although it should not, as nobody else is left: {cause}"),
            Self::Quarantined(cause) => write!(f, "is quarantined: {cause}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.product))?;
        self.version.iter().try_for_each(|version| write!(f, " {}", Printable(version)))
    }
}

/// One line for the log. Members are named by whoever knows their names: this begins behind the name.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { set, origin, .. } => {
                let how = match origin {
                    Origin::FirstUse => "taken from the first member that told one; pin it to be sure",
                    Origin::Followed => "that of the only member, which changed it",
                    Origin::Pinned => "pinned by the operator",
                    Origin::Committed => "committed by the operator",
                };
                write!(f, "the accepted bundle set is now {set} ({how})")
            }
            Self::Proposed(set) => write!(f, "members may move to the bundle set {set}"),
            Self::Aborted(set) => write!(f, "members may no longer move to the bundle set {set}"),
            Self::Member { standing, .. } => write!(f, "{standing}"),
            Self::Alarm(Alarm::NoneServes) => f.write_str("no member of the group may serve: none has its bundle set"),
            Self::Alarm(Alarm::KeepsLast) => f.write_str(
                "no member has the group's bundle set, so those that served last go on: put them right, or accept what they have",
            ),
            Self::AlarmOver(_) => f.write_str("members with the group's bundle set serve again"),
            Self::Servers { servers, reports } => {
                let list: Vec<String> = servers.iter().map(ToString::to_string).collect();
                write!(f, "the group has different servers: {}", list.join(", "))?;
                let mut products = servers.iter().map(|server| &server.product);
                let first = products.next();
                match reports {
                    _ if products.all(|product| Some(product) == first) => Ok(()),
                    Reports::WireOnly => f.write_str("; only their connectors are compared, not their files"),
                    Reports::RequireAgent => f.write_str(
                        "; files of different products differ, so this needs the policy wire-only",
                    ),
                }
            }
        }
    }
}
