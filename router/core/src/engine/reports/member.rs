//! Members: what each does for its groups' calls, since when, and why.

use std::time::Duration;

use rcs_proto::time::Moment;

use crate::agreed::At;
use crate::bundles::group::{BundleStanding, Cause, SetDigest};
use crate::engine::members::{Drain, Member, Standing};
use crate::engine::tables::Tables;
use crate::health::Unfit;
use crate::ids::{GroupId, MemberId};
use crate::state::MemberState;
use crate::view::{AdminState, Link, Mark};

/// A member in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// The name of the member.
    pub name: String,
    /// What the member does for the calls of the group.
    pub state: MemberState,
    /// Since when the member is in this state.
    pub since: At,
    /// Why the member is not plainly serving, in a few words that go on after the state.
    pub reason: Option<String>,
    /// When the state ends by itself, if time alone ends it.
    pub until: Option<At>,
    /// The last failed attempt to reach the member, or the last connection that the router closed because of what the member sent. Kept
    /// while the member serves.
    pub error: Option<MemberError>,
    /// Who opens the sockets.
    pub mode: MemberMode,
    /// Where the member is dialled, as `HOST:PORT`; in client mode the IP address from which the member connected last.
    pub address: Option<String>,
    /// The number of the router through which the member is used, because the member is connected there and not here.
    pub via: Option<u32>,
    /// What the member's server says of itself. The protocol has no version of the server.
    pub server: Option<String>,
    /// The digest of the bundle set that the member has, as far as it is known.
    pub set: Option<SetDigest>,
    /// The median time of reads at the member in the group, in the last window with enough of them.
    pub latency: Option<Duration>,
    /// Whether the member can run calls, whatever the document and operators want.
    pub up: bool,
    /// Why the member gets no calls although it can be reached.
    pub unfit: Option<&'static str>,
    /// Why its bundle set keeps the member out of this group: a sentence that goes on after the member's name.
    pub quarantine: Option<String>,
    /// What document and operators want of the member, and how far the router has carried that out.
    pub admin: Administration,
    /// Open sockets that are ready.
    pub sockets: usize,
    /// Calls that the member holds, of all its groups.
    pub in_flight: usize,
    /// Connectors that the member reported.
    pub connectors: Vec<String>,
}

/// Who opens the sockets between router and member, in the vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberMode {
    /// The router dials the member.
    Server,
    /// The member dials the router.
    Client,
}

impl MemberMode {
    /// The word for the API and the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// An error of the connection to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberError {
    /// The error in a few words.
    pub label: &'static str,
    /// The error in a sentence, without secrets.
    pub text: String,
    /// When the error happened last.
    pub at: At,
}

/// What document and operators want of a member, and how far the router has carried that out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Administration {
    /// The member gets calls when it can run them.
    Enabled,
    /// An operator drains the member: its last calls are ending, or its sockets are being closed.
    Draining,
    /// The drain is over.
    Drained,
    /// An operator disabled the member, which may have calls and sockets for [`crate::limits::DRAIN_TIME`].
    Disabled,
    /// The document disables the member.
    DisabledInDocument,
}

impl Administration {
    /// The word for logs, the API and the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Disabled | Self::DisabledInDocument => "disabled",
        }
    }

    fn of(state: &Member) -> Self {
        match (state.member.spec.admin, state.member.mark, state.drain) {
            (AdminState::Disabled, ..) => Self::DisabledInDocument,
            (_, Mark::Enabled, _) => Self::Enabled,
            (_, Mark::Draining, Drain::Over) => Self::Drained,
            (_, Mark::Draining, _) => Self::Draining,
            (_, Mark::Disabled, _) => Self::Disabled,
        }
    }
}

impl MemberReport {
    /// Whether the member gets calls: it can run them, has the right bundle set, and document and operators want it to serve.
    pub fn takes_calls(&self) -> bool {
        self.state == MemberState::Serving
    }
}

impl Tables {
    /// A member as a group sees it.
    pub(super) fn member_report(&self, group: GroupId, id: MemberId) -> Option<MemberReport> {
        let member = self.members.get(id)?;
        let sets = self.groups.sets(group);
        let bundles = sets.and_then(|sets| sets.standing(id));
        let session = member.session.and_then(|key| self.members.session(key));
        let (state, since) = self.groups.state(group, id)?;
        Some(MemberReport {
            name: member.name().to_owned(),
            state,
            since: self.epoch.after(since),
            reason: self.reason(group, id, (state, since)),
            until: member.out_until().map(|until| self.epoch.after(until)),
            error: member.last_error.as_ref().map(|error| MemberError {
                label: error.label,
                text: error.text.clone(),
                at: self.epoch.after(error.at),
            }),
            mode: if member.dials_us() { MemberMode::Client } else { MemberMode::Server },
            address: match &member.member.spec.link {
                Link::Dial(endpoint) if endpoint.host.contains(':') => {
                    Some(format!("[{}]:{}", endpoint.host, endpoint.port))
                }
                Link::Dial(endpoint) => Some(format!("{}:{}", endpoint.host, endpoint.port)),
                Link::Accept => member.origin.as_ref().map(|origin| origin.address.clone()),
            },
            via: member.session.and_then(|key| self.members.via(key)),
            server: member.server.as_ref().map(ToString::to_string),
            set: sets.and_then(|sets| sets.found(id)),
            latency: self.groups.latency(group, id),
            up: member.standing == Standing::Serving,
            unfit: match member.standing {
                Standing::Unfit(reason) => Some(reason.label()),
                Standing::Down | Standing::Serving => None,
            },
            quarantine: bundles.filter(|standing| standing.keeps_out()).map(ToString::to_string),
            admin: Administration::of(member),
            sockets: session.map_or(0, |session| session.sockets().count()),
            in_flight: member.in_flight(),
            connectors: member
                .list
                .iter()
                .flat_map(|list| list.connectors())
                .map(ToString::to_string)
                .collect(),
        })
    }

    /// Why a member is not plainly serving.
    fn reason(&self, group: GroupId, id: MemberId, (state, since): (MemberState, Moment)) -> Option<String> {
        let member = self.members.get(id)?;
        let bundles = self.groups.sets(group).and_then(|sets| sets.standing(id));
        let reason = match state {
            MemberState::Serving => match bundles {
                Some(BundleStanding::Kept(_)) => "wrong bundle set, but no member has the right one",
                _ => return None,
            },
            MemberState::Quarantined => match bundles {
                Some(BundleStanding::Quarantined(Cause::Differs { .. })) => {
                    let name = self.view.group(group).map_or("GROUP", |group| &*group.name);
                    return Some(format!("bundle set differs: bundles diff {name}"));
                }
                Some(BundleStanding::Quarantined(Cause::MissingAgentReport)) => "its agent does not report",
                Some(BundleStanding::Quarantined(Cause::Unreadable(_))) => {
                    "its list of connectors cannot be read"
                }
                _ => "changed its bundle set too often",
            },
            MemberState::Warming if member.standing == Standing::Serving => "its bundle set is not known yet",
            MemberState::Draining if member.leaving => "changed in the document; its last calls are ending",
            MemberState::Draining if member.drain == Drain::Closing && !member.dials_us() => {
                "its sockets are being closed"
            }
            MemberState::Draining => "by an operator; its last calls are ending",
            MemberState::Drained => "by an operator",
            MemberState::Disabled if member.member.spec.admin == AdminState::Disabled => "in the document",
            MemberState::Disabled => "by an operator",
            MemberState::Warming | MemberState::HeldDown | MemberState::Ejected | MemberState::Unfit => {
                let Standing::Unfit(unfit) = member.standing else { return None };
                let serves = self.groups.gives_calls_to(group, id);
                let all_the_same =
                    if serves { "; still gets calls, because too few members are fit" } else { "" };
                return Some(format!("{}{all_the_same}", sentence(unfit)));
            }
            MemberState::Down => match (&member.last_error, member.session) {
                (_, Some(_)) => "connected; has not listed its connectors yet",
                (Some(error), None) if error.at >= since => error.label,
                (_, None) if member.dials_us() && member.origin.is_none() => NEVER_CONNECTED,
                (_, None) if member.dials_us() => LEFT,
                (_, None) if member.list.is_some() => "connection lost; dialling again",
                (_, None) => "not reached yet",
            },
        };
        Some(reason.to_owned())
    }
}

/// Why a member in client mode is down that has not connected since the router started.
const NEVER_CONNECTED: &str = "has not connected yet; check url and connectorServerName of its server, and the log for refused connections";
/// Why a member in client mode is down whose last connection ended.
const LEFT: &str =
    "its connections ended; the server has to dial again, and framework 1.8.0 does so only after a restart";

const fn sentence(reason: Unfit) -> &'static str {
    match reason {
        Unfit::HeldDown => "came and went several times",
        Unfit::WarmingUp => "its connectors are tested first",
        Unfit::ChecksUnanswered => "session checks are not answered",
        Unfit::TestFailing => "a connector's test fails: is its resource down?",
        Unfit::Ejected => "its calls failed in a row",
        Unfit::Slow => "its reads are far slower than the others'",
        Unfit::ShuttingDown => "it said that it shuts down",
    }
}
