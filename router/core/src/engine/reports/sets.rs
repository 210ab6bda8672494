//! The bundle sets of one group (`bundles status`, `bundles diff`).

use rcs_proto::time::Moment;

use crate::bundles::diff::Difference;
use crate::bundles::group::{Alarm, BundlePolicy, BundleStanding, Cause, Origin, Server, SetDigest};
use crate::bundles::in_use::InUse;
use crate::bundles::range::StandIns;
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;

/// The bundle sets of one group as an operator sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct BundlesReport {
    /// The group.
    pub group: String,
    /// What is compared, and what follows.
    pub policy: BundlePolicy,
    /// The accepted set and how it came to be that; none before the first member told one.
    pub accepted: Option<(SetDigest, Origin)>,
    /// The next set during a rolling upgrade.
    pub next: Option<SetDigest>,
    /// The set pinned in the settings. After a commit of another set this pin is stale, and the next restart would enforce it
    /// again: the operator should update the settings.
    pub pinned_by_settings: Option<SetDigest>,
    /// Connectors of which the versions may stand for each other now.
    pub stand_ins: StandIns,
    /// The members in list order.
    pub members: Vec<MemberBundles>,
    /// How many of them may serve, as far as their sets go.
    pub serving: usize,
    /// How many of the serving members may be taken down now, for example for their upgrade. Enough members are left then, and each
    /// version in use keeps a member.
    pub spare: usize,
    /// The connectors that connected callers use, with the members that run their calls.
    pub in_use: Vec<InUse>,
    /// Why the operator is needed.
    pub alarm: Option<Alarm>,
    /// The different servers that are known, in order; more than one is a mixed group (B09).
    pub servers: Vec<Server>,
    /// Callers that use an older list of connectors, which lacks a connector of the present list. They request the list again
    /// with their next session only: a 1.8.0 IDM does so after its restart. Callers whose calls are routed by connector are
    /// included.
    pub callers_behind: usize,
}

/// One member of it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberBundles {
    /// Its name.
    pub name: String,
    /// How it stands: a word by [`BundleStanding::label`], a sentence behind the name by `Display`.
    pub standing: BundleStanding,
    /// What it has, as far as it is known: without files no agent reported.
    pub found: Option<SetDigest>,
    /// What its server is.
    pub server: Option<Server>,
}

impl BundlesReport {
    /// Whether an operator named the accepted set by its digest.
    pub fn is_pinned(&self) -> bool {
        self.accepted.is_some_and(|(_, origin)| origin == Origin::Pinned)
    }
}

impl MemberBundles {
    /// What its set has other than the group's, if that is known; each item is a line of its `Display`.
    pub fn difference(&self) -> Option<&Difference> {
        match self.standing.cause()? {
            Cause::Differs { difference, .. } => Some(difference),
            _ => None,
        }
    }
}

impl Tables {
    /// The bundle sets of the group of this name, or of the server that is its own group.
    pub(in crate::engine) fn bundles_report(&self, group: &str, now: Moment) -> Option<BundlesReport> {
        let listed = self.view.group_named(group)?;
        let status = self.groups.sets(listed.id)?.status();
        let members = status.members.into_iter().filter_map(|member| {
            let name = self.view.member(member.member)?.spec.name.clone();
            let (standing, found, server) = (member.standing, member.found, member.server);
            Some(MemberBundles { name, standing, found, server })
        });
        Some(BundlesReport {
            group: listed.name.clone(),
            policy: status.policy,
            accepted: status.accepted,
            next: status.next,
            pinned_by_settings: listed.settings.pinned,
            stand_ins: self.agreed.stand_ins(listed).clone(),
            members: members.collect(),
            serving: status.serving,
            spare: self.spare(listed, status.spare, now),
            in_use: self.in_use(listed, now),
            alarm: status.alarm,
            servers: status.servers,
            callers_behind: self.callers_behind(Selector::Group(listed.id))
                + self.callers_behind(Selector::ByConnectorKey),
        })
    }
}
