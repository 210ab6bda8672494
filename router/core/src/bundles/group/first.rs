//! The first use of a set: which of the sets that members report becomes the group's, while nobody has said which one is right.
//!
//! Members report within moments of each other when a router starts. So the group waits a moment for most of its members, and takes the
//! set that most of them have. If members disagree, the member that happens to report first must not decide, because the others would be
//! quarantined for it.

use std::collections::BTreeMap;

use rcs_proto::time::Moment;

use super::{GroupSets, SetDigest};
use crate::agreed::sets::Content;
use crate::ids::MemberId;
use crate::limits::FIRST_USE_WAIT;

/// A set that members reported before the group had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The set.
    pub set: SetDigest,
    /// The members that have the set, in list order.
    pub members: Vec<MemberId>,
}

/// How far the wait for the first reports is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstReports {
    /// When the wait ends. `None` before the first report, and once the group has a set.
    until: Option<Moment>,
    is_over: bool,
}

impl FirstReports {
    /// The members' reports changed. `waits`: whether the group has no set; `any`: whether a member has reported one.
    pub(super) fn look(&mut self, waits: bool, any: bool, now: Moment) {
        if waits && any {
            self.until.get_or_insert(now + FIRST_USE_WAIT);
        } else {
            *self = Self::default();
        }
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Moment) {
        self.is_over |= self.until.is_some_and(|until| until <= now);
    }

    /// When something is due.
    pub(super) fn until(&self) -> Option<Moment> {
        self.until.filter(|_| !self.is_over)
    }
}

impl GroupSets {
    /// The sets that members report now. The set that most members have comes first; among equals, the order is that of the list.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        for member in &self.order {
            let shown = self.members.get(member).and_then(|record| record.shown(self.policy.reports));
            let Some(set) = shown else { continue };
            match offers.iter_mut().find(|offer| offer.set == set) {
                Some(offer) => offer.members.push(*member),
                None => offers.push(Offer { set, members: vec![*member] }),
            }
        }
        // A stable sort.
        offers.sort_by_key(|offer| std::cmp::Reverse(offer.members.len()));
        offers
    }

    /// What members reported, or what is decided, changed: the wait for their first reports may begin or end.
    pub(super) fn look_at_first_reports(&mut self, now: Moment) {
        let is_known = |id: &MemberId| {
            self.members.get(id).is_some_and(|record| record.shown(self.policy.reports).is_some())
        };
        let is_any_known = self.order.iter().any(is_known);
        self.first.look(self.accepted.is_none(), is_any_known, now);
    }

    /// The set that the first use takes now, together with sets that equally many members have; empty while the group waits. A set without
    /// connectors is taken only if no member has any connectors: a half-installed server must not decide for the others.
    pub fn first_uses(&self) -> Vec<(SetDigest, Content, MemberId)> {
        if self.accepted.is_some() && !self.provisional {
            return Vec::new();
        }
        let content: BTreeMap<MemberId, Content> =
            self.members.iter().filter_map(|(id, record)| Some((*id, record.content()?))).collect();
        let offers: Vec<(SetDigest, Content, Vec<MemberId>)> = self
            .offers()
            .into_iter()
            .filter_map(|Offer { set, members }| Some((set, *content.get(members.first()?)?, members)))
            .collect();
        let is_any_full = offers.iter().any(|(_, content, _)| *content == Content::Some);
        let wanted = if is_any_full { Content::Some } else { Content::Empty };
        let fits = offers.into_iter().filter(|(_, content, _)| *content == wanted);
        let fits: Vec<(SetDigest, Content, Vec<MemberId>)> = fits.collect();
        let most = fits.first().map_or(0, |(_, _, members)| members.len());
        let is_decided = self.accepted.is_some() || self.is_first_use_clear(most);
        let is_better = self.accepted.is_none() || wanted == Content::Some;
        if !is_decided || !is_better {
            return Vec::new();
        }
        let equals = fits.into_iter().take_while(|(_, _, members)| members.len() == most);
        equals.filter_map(|(set, content, members)| Some((set, content, *members.first()?))).collect()
    }

    /// Whether members reported sets, but the group still waits for other members before it takes a set.
    pub(super) fn waits_for_reports(&self) -> bool {
        self.accepted.is_none() && self.first.until().is_some() && self.first_uses().is_empty()
    }

    /// Whether the reports that may still come cannot change which set `most` members have.
    fn is_first_use_clear(&self, most: usize) -> bool {
        let is_awaited = |member: &&MemberId| {
            self.members
                .get(member)
                .is_some_and(|record| !record.is_absent && !record.has_reported(self.policy.reports))
        };
        let awaited = self.order.iter().filter(is_awaited).count();
        self.first.is_over || awaited == 0 || 2 * most > self.order.len()
    }
}
