//! What follows from everything a group knows: worked out anew after each event, told where it changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use rcs_proto::time::Moment;

use super::member::{Against, BundleStanding, Cause, Compared, Judgement, Record, Server};
use super::set::Set;
use super::{Alarm, GroupSets, NoneLeft, Origin, Reports, SetDigest, Told};
use crate::agreed::sets::SetsChange;
use crate::bundles::diff::Difference;
use crate::ids::{MemberId, MemberSet};

impl GroupSets {
    /// Works out what follows; not while a decision is called for, which another review follows.
    pub(super) fn review(&mut self, now: Moment) -> Vec<Told> {
        self.look_at_first_reports(now);
        if self.wish().is_some() { Vec::new() } else { self.review_as_decided(now) }
    }

    /// Works out what follows from what is decided now.
    pub(super) fn review_as_decided(&mut self, now: Moment) -> Vec<Told> {
        let mut told = Vec::new();
        // First what the sets hold, then who differs from them in what.
        for record in self.members.values_mut() {
            for set in [&mut self.accepted, &mut self.next].into_iter().flatten() {
                set.share(&mut record.manifest);
            }
        }
        let wished = self.wished_set();
        // While a first set is called for, no member differs from it yet, and no member serves.
        let waits = self.waits_for_reports() || self.accepted.is_none() && wished.is_some();
        let judgements: Vec<(MemberId, Judgement)> =
            self.order.clone().into_iter().map(|member| (member, self.judge(member, waits, now))).collect();
        let standings = self.standings(&judgements, now);
        self.serving = standings.iter().filter(|(_, standing)| standing.serves()).map(|(m, _)| *m).collect();
        for (member, standing) in standings {
            let Some(record) = self.members.get_mut(&member) else { continue };
            record.standing = standing.clone();
            if standing == BundleStanding::Unknown || record.told.as_ref() == Some(&standing) {
                continue;
            }
            // That a member does not match yet, while its set is about to be accepted, is no news.
            if wished.is_some() && record.shown(self.policy.reports) == wished {
                continue;
            }
            let before = record.told.replace(standing.clone());
            // That a member joined and matches is told by its coming up.
            if before.is_some() || standing != BundleStanding::Matching {
                told.push(Told::Member { member, standing });
            }
        }
        if wished.is_none() {
            self.raise_alarm(&judgements, &mut told);
        }
        self.tell_servers(&mut told);
        told
    }

    /// What is seen here calls for this decision.
    pub fn wish(&self) -> Option<SetsChange> {
        self.first_use().or_else(|| self.the_only_one()).or_else(|| self.files_to_learn())
    }

    /// The set that is to be accepted, if a decision for a member's set is called for.
    fn wished_set(&self) -> Option<SetDigest> {
        match self.wish()? {
            SetsChange::AcceptFirst { set, .. } | SetsChange::Follow { set, .. } => Some(set),
            _ => None,
        }
    }

    /// The set that most members have becomes the group's set. Among equals, the first one in list order counts.
    fn first_use(&self) -> Option<SetsChange> {
        let (set, content, _) = self.first_uses().into_iter().next()?;
        Some(SetsChange::AcceptFirst { set, content })
    }

    /// A group of one has nobody to differ from: it follows its member, unless the operator pinned a set or moves to one, or wants
    /// it closed.
    fn the_only_one(&self) -> Option<SetsChange> {
        let ([only], Some(accepted), None) = (self.order.as_slice(), &self.accepted, &self.next) else {
            return None;
        };
        let is_loose = matches!(accepted.origin, Origin::FirstUse | Origin::Followed);
        let record = self.members.get(only)?;
        let (set, content) = (record.shown(self.policy.reports)?, record.content()?);
        let follows =
            is_loose && self.policy.none_left == NoneLeft::KeepLast && !set.agrees(&accepted.digest);
        follows.then_some(SetsChange::Follow { set, content })
    }

    /// A set that is known by its connectors alone takes the files of the first member that has these.
    fn files_to_learn(&self) -> Option<SetsChange> {
        if self.policy.reports == Reports::WireOnly {
            return None;
        }
        [(&self.accepted, &self.next), (&self.next, &self.accepted)].into_iter().find_map(|(set, other)| {
            let set = set.as_ref().filter(|set| set.digest.files.is_none())?;
            self.order.iter().find_map(|member| {
                let shown = self.members.get(member)?.shown(Reports::RequireAgent)?;
                let is_other = other.as_ref().is_some_and(|other| other.digest == shown);
                (shown.wire == set.digest.wire && !is_other).then_some(SetsChange::LearnFiles { set: shown })
            })
        })
    }

    /// `waits`: whether members are not yet judged by the sets that they report.
    fn judge(&mut self, member: MemberId, waits: bool, now: Moment) -> Judgement {
        let Some(record) = self.members.get_mut(&member) else { return Judgement::Unknown };
        if let Some(why) = &record.unreadable {
            return Judgement::Out(Cause::Unreadable(why.clone()));
        }
        let Some(wire) = record.manifest.wire.as_ref().map(|wire| *wire.digest()) else {
            return Judgement::Unknown;
        };
        if waits && record.shown(self.policy.reports).is_some() {
            return Judgement::Unknown;
        }
        let is_wire_of = |set: &Option<Set>| set.as_ref().is_some_and(|set| set.digest.wire == wire);
        let Some(shown) = record.shown(self.policy.reports) else {
            // Without its files: what its connectors alone tell to differ, differs.
            let may_match = self.accepted.is_none() || is_wire_of(&self.accepted) || is_wire_of(&self.next);
            return Judgement::Out(if may_match {
                Cause::MissingAgentReport
            } else {
                differs(record, SetDigest { wire, files: None }, &self.accepted, &self.next)
            });
        };
        let is = |set: &Option<Set>| set.as_ref().is_some_and(|set| set.digest.agrees(&shown));
        let judgement = if is(&self.accepted) {
            Judgement::Accepted
        } else if is(&self.next) {
            Judgement::Next
        } else {
            Judgement::Out(differs(record, shown, &self.accepted, &self.next))
        };
        record.settle(shown, &judgement, now);
        judgement
    }

    /// How members stand after all: who is held, and who is kept because nobody else is left.
    fn standings(
        &mut self,
        judgements: &[(MemberId, Judgement)],
        now: Moment,
    ) -> Vec<(MemberId, BundleStanding)> {
        let until = |member: &MemberId| {
            self.members.get(member).map(|record| record.held_until).filter(|until| *until > now)
        };
        let is_right = |judgement: &Judgement| matches!(judgement, Judgement::Accepted | Judgement::Next);
        let free = judgements.iter().filter(|(m, judgement)| is_right(judgement) && until(m).is_none());
        let mut right: MemberSet = free.map(|(member, _)| *member).collect();
        let keeps = self.policy.none_left == NoneLeft::KeepLast;
        // Rather one that changed its mind too often than one with a wrong set.
        if right.is_empty() && keeps {
            right = judgements
                .iter()
                .filter(|(_, judgement)| is_right(judgement))
                .map(|(member, _)| *member)
                .collect();
        }
        if !right.is_empty() {
            let known = |member: MemberId| {
                judgements
                    .iter()
                    .any(|(known, judgement)| *known == member && *judgement != Judgement::Unknown)
            };
            let away = self.order.iter().filter(|m| self.last_right.contains(**m) && !known(**m));
            self.last_right =
                away.chain(self.order.iter().filter(|m| right.contains(**m))).copied().collect();
        }
        // One that tells what nobody can read is no worse than the others while there is no set that it could differ from.
        let is_last = |member: MemberId, cause: &Cause| {
            let is_only_unread = matches!(cause, Cause::Unreadable(_)) && self.accepted.is_none();
            self.last_right.contains(member) || is_only_unread && self.policy.reports == Reports::WireOnly
        };
        // A member with the same set as a kept member serves too. So a change that all members have at once takes none of them out.
        let reports = self.policy.reports;
        let is_whole = |set: &SetDigest| reports == Reports::WireOnly || set.files.is_some();
        let of_last = judgements.iter().filter_map(|(member, judgement)| match judgement {
            Judgement::Out(cause @ Cause::Differs { found, .. }) => {
                (is_last(*member, cause) && is_whole(found)).then_some(*found)
            }
            _ => None,
        });
        let of_last: Vec<SetDigest> = of_last.collect();
        let is_last_away = of_last.is_empty();
        // Members with the same set also serve on while the members that served last are away.
        let kept_sets = match (right.is_empty(), of_last.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => self.kept_sets.clone(),
            (true, false) => of_last,
        };
        let is_like_one_kept = |cause: &Cause| matches!(cause, Cause::Differs { found, .. } if is_whole(found) && kept_sets.contains(found));
        let stand = |(member, judgement): &(MemberId, Judgement)| {
            let standing = match judgement {
                Judgement::Unknown => BundleStanding::Unknown,
                Judgement::Accepted if right.contains(*member) => BundleStanding::Matching,
                Judgement::Next if right.contains(*member) => BundleStanding::MatchingNext,
                Judgement::Accepted | Judgement::Next => {
                    BundleStanding::Held { until: until(member).unwrap_or(now) }
                }
                Judgement::Out(cause)
                    if keeps && right.is_empty() && (is_last(*member, cause) || is_like_one_kept(cause)) =>
                {
                    BundleStanding::Kept(cause.clone())
                }
                Judgement::Out(cause) => BundleStanding::Quarantined(cause.clone()),
            };
            (*member, standing)
        };
        let standings: Vec<(MemberId, BundleStanding)> = judgements.iter().map(stand).collect();
        // While the members that served last are away, the members that serve in their place become the last to serve.
        if right.is_empty() && is_last_away {
            let kept = standings.iter().filter(|(_, standing)| standing.serves()).map(|(member, _)| *member);
            kept.for_each(|member| self.last_right.insert(member));
        }
        self.kept_sets = kept_sets;
        standings
    }

    fn raise_alarm(&mut self, judgements: &[(MemberId, Judgement)], told: &mut Vec<Told>) {
        let is_any_known = judgements.iter().any(|(_, judgement)| *judgement != Judgement::Unknown);
        let is_kept = self.members.values().any(|record| matches!(record.standing, BundleStanding::Kept(_)));
        let alarm = match (self.serving.is_empty(), is_kept) {
            (_, true) => Some(Alarm::KeepsLast),
            (true, false) if is_any_known => Some(Alarm::NoneServes),
            // Nobody can be reached: it is as it was.
            (true, false) => self.alarm,
            (false, false) => None,
        };
        match (self.alarm, alarm) {
            (before, now) if before == now => {}
            (_, Some(now)) => told.push(Told::Alarm(now)),
            (Some(before), None) => told.push(Told::AlarmOver(before)),
            (None, None) => {}
        }
        self.alarm = alarm;
    }

    fn tell_servers(&mut self, told: &mut Vec<Told>) {
        let known: BTreeSet<&Server> =
            self.members.values().filter_map(|record| record.server.as_ref()).collect();
        if !self.servers.iter().eq(known.iter().copied()) {
            self.servers = known.into_iter().cloned().collect();
            if self.servers.len() > 1 {
                told.push(Told::Servers { servers: self.servers.clone(), reports: self.policy.reports });
            }
        }
    }
}

/// The difference to the closer of the group's sets; worked out once for the same sets.
fn differs(record: &mut Record, found: SetDigest, accepted: &Option<Set>, next: &Option<Set>) -> Cause {
    let sets = [accepted, next].map(|set| set.as_ref().map(Set::basis));
    if let Some(done) = record.compared.as_ref().filter(|done| done.sets == sets && done.found == found) {
        let (against, difference) = (done.against, Arc::clone(&done.difference));
        return Cause::Differs { found, against, difference };
    }
    let to = |set: &Option<Set>| {
        let set = set.as_ref()?;
        let difference = Difference::between(&set.content, &record.manifest);
        // Of a set that nobody ever had only the digest is known.
        (!difference.is_empty()).then_some(difference)
    };
    let (against, difference) = match (to(accepted), to(next)) {
        (Some(accepted), Some(next)) if next.len() < accepted.len() => (Against::Next, next),
        (Some(accepted), _) => (Against::Accepted, accepted),
        (None, Some(next)) => (Against::Next, next),
        (None, None) => (Against::Accepted, Difference::default()),
    };
    let difference = Arc::new(difference);
    record.compared = Some(Compared { sets, found, against, difference: Arc::clone(&difference) });
    Cause::Differs { found, against, difference }
}
