//! A group of a router that stands alone: what its sets call for is decided at once, as the engine does.

use std::ops::Deref;

use super::*;
use crate::agreed::sets::SetsChange;

#[derive(Clone)]
pub(super) struct Alone {
    sets: GroupSets,
    decision: GroupDecision,
}

impl Deref for Alone {
    type Target = GroupSets;

    fn deref(&self) -> &GroupSets {
        &self.sets
    }
}

impl Alone {
    pub(super) fn new(policy: BundlePolicy) -> Self {
        Self { sets: GroupSets::new(policy), decision: GroupDecision::nothing() }
    }

    fn decide(&mut self, change: SetsChange, now: Moment) -> Result<Vec<Told>, Refused> {
        let follows = self.sets.order.len() == 1 && self.sets.policy.none_left == NoneLeft::KeepLast;
        self.decision.apply(change, follows)?;
        let told = self.sets.follow(&self.decision, now);
        Ok(self.settle(told, now))
    }

    fn settle(&mut self, mut told: Vec<Told>, now: Moment) -> Vec<Told> {
        for _ in 0..4 {
            let Some(wish) = self.sets.wish() else { return told };
            told.extend(self.decide(wish, now).expect("what is called for can be decided"));
        }
        panic!("what is decided calls for more and more: {:?}", self.sets.wish());
    }

    pub(super) fn members_are(&mut self, members: &[MemberId], now: Moment) -> Vec<Told> {
        let told = self.sets.members_are(members, now);
        self.settle(told, now)
    }

    pub(super) fn policy_is(&mut self, policy: BundlePolicy, now: Moment) -> Vec<Told> {
        let told = self.sets.policy_is(policy, now);
        self.settle(told, now)
    }

    pub(super) fn wire_seen(&mut self, member: MemberId, wire: Arc<WireManifest>, now: Moment) -> Vec<Told> {
        let told = self.sets.wire_seen(member, wire, now);
        self.settle(told, now)
    }

    pub(super) fn wire_unreadable(&mut self, member: MemberId, why: String, now: Moment) -> Vec<Told> {
        let told = self.sets.wire_unreadable(member, why, now);
        self.settle(told, now)
    }

    pub(super) fn files_seen(
        &mut self,
        member: MemberId,
        files: Arc<FileManifest>,
        now: Moment,
    ) -> Vec<Told> {
        let told = self.sets.files_seen(member, files, now);
        self.settle(told, now)
    }

    pub(super) fn agent_heard(
        &mut self,
        member: MemberId,
        files: &crate::bundles::digest::Digest,
        now: Moment,
    ) -> bool {
        self.sets.agent_heard(member, files, now)
    }

    pub(super) fn server_is(&mut self, member: MemberId, server: Server, now: Moment) -> Vec<Told> {
        let told = self.sets.server_is(member, server, now);
        self.settle(told, now)
    }

    pub(super) fn gone(&mut self, member: MemberId, now: Moment) -> Vec<Told> {
        let told = self.sets.gone(member, now);
        self.settle(told, now)
    }

    pub(super) fn absent(&mut self, member: MemberId, now: Moment) -> Vec<Told> {
        let told = self.sets.absent(member, now);
        self.settle(told, now)
    }

    pub(super) fn tick(&mut self, now: Moment) -> Vec<Told> {
        let told = self.sets.tick(now);
        self.settle(told, now)
    }

    pub(super) fn pin(&mut self, set: SetDigest, now: Moment) -> Vec<Told> {
        self.decide(SetsChange::Pin { set }, now).unwrap()
    }

    pub(super) fn propose(&mut self, proposal: Proposal, now: Moment) -> Result<Vec<Told>, Refused> {
        let set = self.sets.judge_proposal(proposal, now)?;
        self.decide(SetsChange::Propose { set, stand_ins: None }, now)
    }

    pub(super) fn commit(&mut self, now: Moment) -> Result<Vec<Told>, Refused> {
        self.sets.judge_commit()?;
        self.decide(SetsChange::Commit, now)
    }

    pub(super) fn abort(&mut self, now: Moment) -> Result<Vec<Told>, Refused> {
        self.sets.judge_abort()?;
        self.decide(SetsChange::Abort, now)
    }
}
