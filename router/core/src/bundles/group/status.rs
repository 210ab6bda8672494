//! A group's bundle sets as an operator sees them (`bundles status`, `bundles diff`).

use std::fmt;

use super::member::{Against, BundleStanding, Cause, Server};
use super::{Alarm, BundlePolicy, GroupSets, Offer, Origin, Reports, SetDigest, Told};
use crate::bundles::diff::{Difference, Line};
use crate::bundles::printable::Printable;
use crate::ids::MemberId;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What the operator wants.
    pub policy: BundlePolicy,
    /// The accepted set, and how it came to be accepted; none until the first member has reported its set.
    pub accepted: Option<(SetDigest, Origin)>,
    /// The next set during a rolling upgrade.
    pub next: Option<SetDigest>,
    /// The members in list order.
    pub members: Vec<MemberStatus>,
    /// How many of them may serve.
    pub serving: usize,
    /// How many of these may be taken down, for example for an upgrade, so that enough members are left.
    pub spare: usize,
    /// Why the operator must act.
    pub alarm: Option<Alarm>,
    /// The different servers that are known, in order; more than one is version skew, or a mixed group (B09).
    pub servers: Vec<Server>,
}

/// One member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberStatus {
    /// The member's id.
    pub member: MemberId,
    /// The member's standing.
    pub standing: BundleStanding,
    /// The member's set, as far as it is known.
    pub found: Option<SetDigest>,
    /// The product and version of the member's server.
    pub server: Option<Server>,
}

impl MemberStatus {
    /// How the member's set differs from the group's, if it differs.
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
                write!(f, "its bundle set {} differs from the group's {set} set: ", found.short())?;
                if difference.is_empty() {
                    return f.write_str("how is unknown, as no member ever had the group's set");
                }
                write!(f, "{}", Line(difference))
            }
            Self::MissingAgentReport => {
                f.write_str(
                    "the group requires an agent's report, but none came: check that rcs-node agent runs beside this member",
                )
            }
            Self::Unreadable(why) => write!(f, "its list of connectors cannot be used: {}", Printable(why)),
        }
    }
}

impl fmt::Display for BundleStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("has not reported its bundle set yet"),
            Self::Matching => f.write_str("has the group's bundle set and may serve"),
            Self::MatchingNext => f.write_str("has the group's next bundle set and may serve"),
            Self::Held { until } => {
                write!(
                    f,
                    "changed its bundle set too often and gets no calls until {until} after the router's start"
                )
            }
            Self::Kept(cause) => {
                write!(f, "serves with a wrong bundle set, because no member has the right one: {cause}")
            }
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

/// One line for the log. The name of the member comes before this text.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { set, origin, .. } => {
                let how = match origin {
                    Origin::FirstUse => {
                        return write!(
                            f,
                            "the accepted bundle set is now {set} (first use: the set of most members that reported one). To keep it \
                             over restarts, set bundles.pinned = \"{set}\" for this group in the configuration file"
                        );
                    }
                    Origin::Followed => "the new set of the group's only member",
                    Origin::Pinned => "pinned by the operator",
                    Origin::Committed => "committed by the operator",
                };
                write!(f, "the accepted bundle set is now {set} ({how})")
            }
            Self::FirstSight { set, offers } => {
                write!(f, "the members' bundle sets differ at first sight: ")?;
                for (at, Offer { set, members }) in offers.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    let word = if members.len() == 1 { "member" } else { "members" };
                    write!(f, "{separator}{} of {} {word}", set.short(), members.len())?;
                }
                write!(
                    f,
                    ". {} is accepted, and members with another set are quarantined: they get no calls. If another set is the right \
                     one, accept the set of a member that has it with `rcs-router bundles pin GROUP --member MEMBER`. To decide for \
                     good, set bundles.pinned in the configuration file",
                    set.short()
                )
            }
            Self::Proposed(set) => write!(f, "rolling upgrade: members with the bundle set {set} may serve too"),
            Self::Aborted(set) => {
                write!(f, "the rolling upgrade is aborted: members with the bundle set {set} may no longer serve")
            }
            Self::Member { standing, .. } => write!(f, "{standing}"),
            Self::Alarm(Alarm::NoneServes) => f.write_str(
                "no member has the group's bundle set, so the group serves no calls: correct the members' bundles, or accept \
                 their set with `rcs-router bundles pin`",
            ),
            Self::Alarm(Alarm::KeepsLast) => f.write_str(
                "no member has the group's bundle set, so the members that served last, and those with the same set, keep serving: \
                 correct their bundles, or accept their set with `rcs-router bundles pin`",
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
                        "; the files of different products differ, so set bundles.reports = \"wire_only\" for this group",
                    ),
                }
            }
        }
    }
}
