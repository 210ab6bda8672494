//! The bundle sets of one group: which one is accepted, which one is next, and which of its members may serve (P5, G11, G12).
//!
//! Events go in with the moment at which they happened; facts for operators come out, each fact once. Nothing comes out, and
//! nothing is computed, when a member reports the same set again.
//!
//! Which sets are accepted is decided elsewhere ([`crate::agreed`]): what is seen here may call for a decision
//! ([`GroupSets::wish`]), and what is decided is followed ([`GroupSets::follow`]). While a decision is called for, nobody is
//! judged by what may be about to change; if the decision takes time, see [`GroupSets::judged_meanwhile`].

mod first;
mod member;
mod review;
mod set;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use rcs_proto::manifest::FileManifest;
use rcs_proto::time::Moment;

pub use member::{Against, BundleStanding, Cause, Server};
pub use status::{MemberStatus, Status};

use self::first::FirstReports;
pub use self::first::Offer;
use self::member::Record;
use self::set::Set;
pub use super::policy::{BundlePolicy, NoneLeft, Reports};
pub use super::set::{Origin, SetDigest};
use super::wire::WireManifest;
pub use crate::agreed::sets::Refused;
use crate::agreed::sets::{Accepted, GroupDecision, SetsChange};
use crate::ids::{MemberId, MemberSet};
use crate::limits::AGENT_SILENCE_MAX;

/// Why the operator must act on a group now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// No member that can be reached may serve.
    NoneServes,
    /// Members with a wrong set serve, because no member has the right one.
    KeepsLast,
}

impl Alarm {
    /// The word for logs, metrics and the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoneServes => "none_serves",
            Self::KeepsLast => "keeps_last",
        }
    }
}

/// Facts for operators: each comes out once.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The group has another accepted set, or learnt the files of the one it has.
    Accepted {
        /// The set.
        set: SetDigest,
        /// How it came to be accepted.
        origin: Origin,
        /// Whose it is, if it was taken from a member.
        from: Option<MemberId>,
    },
    /// The members' sets differ at first sight, before an operator or a serving member showed which set is right.
    FirstSight {
        /// The set that was taken.
        set: SetDigest,
        /// Every set that members reported, with the members that have the set.
        offers: Vec<Offer>,
    },
    /// The group has a next set.
    Proposed(SetDigest),
    /// The rolling upgrade was aborted: the group has no next set any more.
    Aborted(SetDigest),
    /// The standing of a member changed. A member that joins and matches is not reported.
    Member {
        /// The member.
        member: MemberId,
        /// The member's standing now.
        standing: BundleStanding,
    },
    /// The operator must act.
    Alarm(Alarm),
    /// The operator need not act any more.
    AlarmOver(Alarm),
    /// The servers of the group are of several products or versions (B09). Products that differ have different files, so such a
    /// group is possible with [`Reports::WireOnly`] alone.
    Servers {
        /// All different ones that are known, in order.
        servers: Vec<Server>,
        /// What is compared in this group.
        reports: Reports,
    },
}

/// What the operator proposes as the next set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// The set with this digest.
    Set(SetDigest),
    /// The set that this member has now.
    Of(MemberId),
}

/// The state machine of one group. Starts without members and without a set.
#[derive(Clone, Debug)]
pub struct GroupSets {
    policy: BundlePolicy,
    /// The members in list order.
    order: Vec<MemberId>,
    members: BTreeMap<MemberId, Record>,
    /// The sets that are decided, with what is known of their content.
    accepted: Option<Set>,
    next: Option<Set>,
    /// Whether the first set with connectors replaces the accepted one.
    provisional: bool,
    /// The wait for the members' first reports.
    first: FirstReports,
    /// Who served last because its set was right. Those that are away stay in here.
    last_right: MemberSet,
    /// The sets of the members in `last_right`, while no member has a right set.
    kept_sets: Vec<SetDigest>,
    serving: MemberSet,
    alarm: Option<Alarm>,
    /// What was told of the servers.
    servers: Vec<Server>,
}

impl GroupSets {
    /// A group of which nothing is known yet.
    pub fn new(policy: BundlePolicy) -> Self {
        Self {
            policy,
            order: Vec::new(),
            members: BTreeMap::new(),
            accepted: None,
            next: None,
            provisional: false,
            first: FirstReports::default(),
            last_right: MemberSet::new(),
            kept_sets: Vec::new(),
            serving: MemberSet::new(),
            alarm: None,
            servers: Vec::new(),
        }
    }

    // --- what happened ---

    /// The group has these members now, in list order. One that is not known to the group starts as [`BundleStanding::Unknown`].
    pub fn members_are(&mut self, members: &[MemberId], now: Moment) -> Vec<Told> {
        if self.order == members {
            return Vec::new();
        }
        self.order = members.to_vec();
        self.members.retain(|member, _| members.contains(member));
        let stay = members.iter().copied().filter(|member| self.last_right.contains(*member));
        self.last_right = stay.collect();
        for member in members {
            self.members.entry(*member).or_default();
        }
        self.review(now)
    }

    /// The operator wants something else.
    pub fn policy_is(&mut self, policy: BundlePolicy, now: Moment) -> Vec<Told> {
        if self.policy == policy {
            return Vec::new();
        }
        self.policy = policy;
        self.review(now)
    }

    /// A member listed its connectors: at join, on reconnect, at each drift check.
    pub fn wire_seen(&mut self, member: MemberId, wire: Arc<WireManifest>, now: Moment) -> Vec<Told> {
        let Some(record) = self.members.get_mut(&member) else { return Vec::new() };
        if record.manifest.wire.as_ref().is_some_and(|known| known.digest() == wire.digest()) {
            return Vec::new();
        }
        record.manifest.wire = Some(wire);
        record.unreadable = None;
        record.is_absent = false;
        self.review(now)
    }

    /// A member's list of connectors cannot be read; `why` is a sentence.
    pub fn wire_unreadable(&mut self, member: MemberId, why: String, now: Moment) -> Vec<Told> {
        let Some(record) = self.members.get_mut(&member) else { return Vec::new() };
        if record.unreadable.as_ref() == Some(&why) {
            return Vec::new();
        }
        record.manifest.wire = None;
        record.unreadable = Some(why);
        record.is_absent = false;
        self.review(now)
    }

    /// The agent beside a member reported its files.
    pub fn files_seen(&mut self, member: MemberId, files: Arc<FileManifest>, now: Moment) -> Vec<Told> {
        let Some(record) = self.members.get_mut(&member) else { return Vec::new() };
        record.heard = now;
        if record.manifest.files.as_ref().is_some_and(|known| known.digest() == files.digest()) {
            return Vec::new();
        }
        record.manifest.files = Some(files);
        self.review(now)
    }

    /// The agent beside a member reports that nothing changed. Returns whether its last report is known; if not, the agent must
    /// send the whole report.
    pub fn agent_heard(&mut self, member: MemberId, files: &super::digest::Digest, now: Moment) -> bool {
        let Some(record) = self.members.get_mut(&member) else { return false };
        let is_known = record.manifest.files.as_ref().is_some_and(|known| known.digest() == *files);
        if is_known {
            record.heard = now;
        }
        is_known
    }

    /// What is known of a member's server.
    pub fn server_is(&mut self, member: MemberId, server: Server, now: Moment) -> Vec<Told> {
        let Some(record) = self.members.get_mut(&member) else { return Vec::new() };
        record.server = Some(server);
        self.review(now)
    }

    /// A member can no longer be reached: its list of connectors does not count until the member lists them again. The reports of
    /// its agent still count.
    pub fn gone(&mut self, member: MemberId, now: Moment) -> Vec<Told> {
        let Some(record) = self.members.get_mut(&member) else { return Vec::new() };
        let (wire, unreadable) = (record.manifest.wire.take(), record.unreadable.take());
        if wire.is_none() && unreadable.is_none() {
            return Vec::new();
        }
        self.review(now)
    }

    /// A member could not be reached, or is not wanted now. The first use of a set no longer waits for this member.
    pub fn absent(&mut self, member: MemberId, now: Moment) -> Vec<Told> {
        let Some(record) = self.members.get_mut(&member) else { return Vec::new() };
        let was_absent = std::mem::replace(&mut record.is_absent, true);
        if was_absent || self.accepted.is_some() { Vec::new() } else { self.review(now) }
    }

    /// Time passed: holds end, agents fall silent. Needed at [`GroupSets::due`] and may come at any time.
    pub fn tick(&mut self, now: Moment) -> Vec<Told> {
        let is_due = self.due().is_some_and(|due| due <= now);
        self.first.tick(now);
        for record in self.members.values_mut() {
            if now.since(record.heard) >= AGENT_SILENCE_MAX {
                record.manifest.files = None;
            }
        }
        if is_due { self.review(now) } else { Vec::new() }
    }

    /// When the next [`GroupSets::tick`] would change something, if nothing else happens.
    pub fn due(&self) -> Option<Moment> {
        let holds = self.members.values().filter_map(|record| match record.standing {
            BundleStanding::Held { until } => Some(until),
            _ => None,
        });
        let silences = self.members.values().filter(|record| record.manifest.files.is_some());
        let waits = self.first.until();
        holds.chain(silences.map(|record| record.heard + AGENT_SILENCE_MAX)).chain(waits).min()
    }

    // --- what is decided ---

    /// Follows what is decided for the group's sets.
    pub fn follow(&mut self, decision: &GroupDecision, now: Moment) -> Vec<Told> {
        let (accepted, next) = (decision.accepted(), decision.next());
        let before = (
            self.accepted.as_ref().map(|set| (set.digest, set.origin)),
            self.next.as_ref().map(|set| set.digest),
        );
        let mut told = Vec::new();
        let known = [self.accepted.take(), self.next.take()];
        // What is known of a set's content stays known, whatever it is called now.
        let named = |digest: SetDigest, origin: Origin| {
            let is_it = |known: &&Set| {
                known.digest == digest || known.digest.wire == digest.wire && known.digest.files.is_none()
            };
            let content = known.iter().flatten().find(is_it).map(|known| known.content.clone());
            Set { digest, origin, content: content.unwrap_or_default() }
        };
        self.provisional = accepted.is_some_and(Accepted::is_provisional);
        self.accepted = accepted.map(|accepted| named(accepted.set, accepted.origin));
        self.look_at_first_reports(now);
        self.next = next.map(|next| named(next, Origin::Committed));
        if let Some(accepted) = accepted.filter(|accepted| before.0 != Some((accepted.set, accepted.origin)))
        {
            let Accepted { set, origin, .. } = *accepted;
            told.push(Told::Accepted { set, origin, from: self.whose(set, before.0, origin) });
            let offers = self.offers();
            if origin == Origin::FirstUse && before.0.is_none() && offers.len() > 1 {
                told.push(Told::FirstSight { set, offers });
            }
        }
        match (before.1, next) {
            (before, Some(next)) if before != Some(next) => told.push(Told::Proposed(next)),
            (Some(before), None) if accepted.is_none_or(|accepted| accepted.set != before) => {
                told.push(Told::Aborted(before));
            }
            _ => {}
        }
        told.extend(self.review_as_decided(now));
        told
    }

    /// What is called for ([`GroupSets::wish`]) takes time to be decided: until then, members are judged by what is decided so far.
    pub fn judged_meanwhile(&mut self, now: Moment) -> Vec<Told> {
        self.review_as_decided(now)
    }

    /// The member that a set was taken from, if it was.
    fn whose(&self, set: SetDigest, before: Option<(SetDigest, Origin)>, origin: Origin) -> Option<MemberId> {
        let learnt_files = before.is_some_and(|(before, of)| of == origin && before.wire == set.wire);
        if !learnt_files && !matches!(origin, Origin::FirstUse | Origin::Followed) {
            return None;
        }
        let has_it = |member: &&MemberId| {
            self.members.get(member).and_then(|record| record.shown(self.policy.reports)) == Some(set)
        };
        self.order.iter().find(has_it).copied()
    }

    /// Judges by what is seen here whether a set can be proposed; returns which one is meant.
    ///
    /// # Errors
    /// If a rolling upgrade is in progress, if the set is unknown or the accepted set, or if too few members could serve while one
    /// of them is down.
    pub fn judge_proposal(&self, proposal: Proposal, now: Moment) -> Result<SetDigest, Refused> {
        let accepted = self.accepted.as_ref().ok_or(Refused::NothingAccepted)?.digest;
        if self.next.is_some() {
            return Err(Refused::AlreadyProposed);
        }
        let set = match proposal {
            Proposal::Set(set) => set,
            Proposal::Of(member) => {
                let record = self.members.get(&member).ok_or(Refused::NoManifest)?;
                record.shown(self.policy.reports).ok_or(Refused::NoManifest)?
            }
        };
        if set.agrees(&accepted) {
            return Err(Refused::SameSet);
        }
        let mut then = self.clone();
        then.next = Some(Set::named(set, Origin::Committed));
        // A set without files takes those of the first member that has it, at once: the others will differ.
        while let Some(SetsChange::LearnFiles { set }) = then.wish() {
            let lacks_them = |known: &&mut Set| known.digest.wire == set.wire && known.digest.files.is_none();
            let known = [&mut then.accepted, &mut then.next].into_iter().flatten();
            known.filter(lacks_them).take(1).for_each(|known| known.digest = set);
        }
        then.review_as_decided(now);
        // One at a time is away.
        let left = then.serving.len().saturating_sub(1);
        if left < self.policy.serving_min {
            return Err(Refused::TooFew { left, wanted: self.policy.serving_min });
        }
        Ok(set)
    }

    /// Judges by what is seen here whether a rolling upgrade can end. Whoever has the old set is quarantined then.
    ///
    /// # Errors
    /// If there is none, or too few members serve the next set.
    pub fn judge_commit(&self) -> Result<(), Refused> {
        self.next.as_ref().ok_or(Refused::NothingProposed)?;
        self.enough(self.serving_as(&BundleStanding::MatchingNext))
    }

    /// Judges by what is seen here whether a rolling upgrade can be taken back. Whoever has the next set is quarantined then.
    ///
    /// # Errors
    /// If there is none, or members have moved and too few serve the accepted set: bring them back first, or commit.
    pub fn judge_abort(&self) -> Result<(), Refused> {
        self.next.as_ref().ok_or(Refused::NothingProposed)?;
        match self.serving_as(&BundleStanding::MatchingNext) {
            0 => Ok(()),
            _ => self.enough(self.serving_as(&BundleStanding::Matching)),
        }
    }

    /// What a member has, to the depth that its group compares; none if that is not known.
    pub fn found(&self, member: MemberId) -> Option<SetDigest> {
        self.members.get(&member)?.shown(self.policy.reports)
    }

    fn serving_as(&self, standing: &BundleStanding) -> usize {
        self.members.values().filter(|record| record.standing == *standing).count()
    }

    fn enough(&self, left: usize) -> Result<(), Refused> {
        let wanted = self.policy.serving_min.max(1);
        if left < wanted { Err(Refused::TooFew { left, wanted }) } else { Ok(()) }
    }

    // --- what follows ---

    /// The members that may serve, as far as their bundle sets go.
    pub fn serving(&self) -> &MemberSet {
        &self.serving
    }

    /// Whether this member may serve, as far as its bundle set goes.
    pub fn may_serve(&self, member: MemberId) -> bool {
        self.serving.contains(member)
    }

    /// The standing of a member of the group.
    pub fn standing(&self, member: MemberId) -> Option<&BundleStanding> {
        self.members.get(&member).map(|record| &record.standing)
    }

    /// What the agent of a member reported last, unless it has been silent since.
    pub fn files(&self, member: MemberId) -> Option<Arc<FileManifest>> {
        self.members.get(&member)?.manifest.files.clone()
    }

    /// Why the operator must act, if that is so.
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Whether no set is accepted yet.
    pub fn has_no_set(&self) -> bool {
        self.accepted.is_none()
    }

    /// The connectors of the accepted set, if a member ever had it.
    pub fn accepted_connectors(&self) -> Option<&Arc<WireManifest>> {
        self.accepted.as_ref()?.content.wire.as_ref()
    }

    /// The sets that callers should be shown: the next one as well, once enough members serve it.
    pub fn shown(&self) -> super::infos::ShownSets {
        let moved = self.serving_as(&BundleStanding::MatchingNext);
        let next = self.next.as_ref().filter(|_| moved >= self.policy.serving_min.max(1));
        super::infos::ShownSets {
            accepted: self.accepted.as_ref().map(|set| set.digest.wire),
            next: next.map(|set| set.digest.wire),
        }
    }
}

#[cfg(test)]
mod tests;
