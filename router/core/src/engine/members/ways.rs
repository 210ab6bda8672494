//! Members in client mode and the routers of the cluster: which members are connected to this router, and through which router a member is
//! used that is connected to another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rcs_proto::time::Moment;

use super::{Members, Standing};
use crate::engine::keys::MemberSessionKey;
use crate::ids::MemberId;

/// What routers tell each other of members in client mode, as far as this router needs it.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Members that are connected here, and get calls.
    present: BTreeSet<MemberId>,
    /// Whether `present` changed since it was told last.
    is_stale: bool,
    /// Members that have a session here.
    here: BTreeSet<MemberId>,
    /// Members that lost their last session here since the last look.
    left: Vec<MemberId>,
    /// The number of the router to use for a member that is connected to other routers, by the name of the member.
    elsewhere: Arc<BTreeMap<String, u32>>,
    /// Members for which another router is being dialled.
    dials: BTreeSet<MemberId>,
}

impl Ways {
    pub(super) fn forget(&mut self, id: MemberId) {
        self.is_stale |= self.present.remove(&id);
        if self.here.remove(&id) {
            self.left.push(id);
        }
    }
}

impl Members {
    /// The router through which a session leads to its member; none if the member itself is at the other end.
    pub(in crate::engine) fn via(&self, key: MemberSessionKey) -> Option<u32> {
        self.sessions.get(key)?.via
    }

    fn has_own_session(&self, id: MemberId) -> bool {
        let mut sessions = self.members.get(&id).into_iter().flat_map(|member| &member.sessions);
        sessions.any(|key| self.sessions.get(*key).is_some_and(|session| session.via.is_none()))
    }

    /// Whether a member in client mode is connected to this router and has listed its connectors, so that other routers can use it through
    /// this one.
    pub(in crate::engine) fn is_here(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|member| {
            let current = member.session.and_then(|key| self.sessions.get(key));
            member.dials_us() && member.linked && current.is_some_and(|session| session.via.is_none())
        })
    }

    /// Looks whether a member is connected here.
    pub(in crate::engine) fn look_at_presence(&mut self, id: MemberId) {
        let Some(member) = self.members.get(&id).filter(|member| member.dials_us()) else { return };
        let is_present = self.is_here(id) && member.standing == Standing::Serving;
        let is_here = self.has_own_session(id);
        let ways = &mut self.ways;
        ways.is_stale |= match is_present {
            true => ways.present.insert(id),
            false => ways.present.remove(&id),
        };
        if is_here {
            ways.here.insert(id);
        } else if ways.here.remove(&id) {
            ways.left.push(id);
        }
    }

    /// The members that are connected here and get calls, if others are there than at the last time.
    pub(in crate::engine) fn present_anew(&mut self) -> Option<&BTreeSet<MemberId>> {
        std::mem::take(&mut self.ways.is_stale).then_some(&self.ways.present)
    }

    /// The members that are connected here are told again, as the router takes no calls any more.
    pub(in crate::engine) fn tell_presence_again(&mut self) {
        self.ways.is_stale = true;
    }

    /// The members that lost their last session here since the last time.
    pub(in crate::engine) fn take_left(&mut self) -> Vec<MemberId> {
        std::mem::take(&mut self.ways.left)
    }

    /// The members that are connected elsewhere are these from now on. Returns the names for which something changed.
    pub(in crate::engine) fn are_elsewhere(&mut self, routers: Arc<BTreeMap<String, u32>>) -> Vec<String> {
        let before = std::mem::replace(&mut self.ways.elsewhere, Arc::clone(&routers));
        let changed = |name: &&String| before.get(*name) != routers.get(*name);
        let names: BTreeSet<&String> = before.keys().chain(routers.keys()).filter(changed).collect();
        names.into_iter().cloned().collect()
    }

    /// The router through which a member should be used: the member is enabled, is connected there and not here.
    pub(in crate::engine) fn way_to(&self, id: MemberId) -> Option<u32> {
        let member = self.members.get(&id).filter(|member| member.dials_us() && member.wants_sockets())?;
        let router = self.ways.elsewhere.get(member.name())?;
        (!self.has_own_session(id)).then_some(*router)
    }

    /// Begins to dial a router for a member; returns false if a dial is under way.
    pub(in crate::engine) fn begin_way(&mut self, id: MemberId) -> bool {
        self.ways.dials.insert(id)
    }

    /// Such a dial has ended.
    pub(in crate::engine) fn end_way(&mut self, id: MemberId) {
        self.ways.dials.remove(&id);
    }

    /// How many attempts to use a member through another router failed since the last success, before this one.
    pub(in crate::engine) fn way_attempts(&mut self, id: MemberId) -> u32 {
        let Some(member) = self.members.get_mut(&id) else { return 0 };
        let before = member.way_attempts;
        member.way_attempts = before.saturating_add(1);
        before
    }

    /// Whether a session gets its member's new calls.
    pub(in crate::engine) fn is_current(&self, key: MemberSessionKey) -> bool {
        self.member_of(key).is_some_and(|member| member.session == Some(key))
    }

    /// Gives a session that leads through another router no new calls. Returns since when.
    pub(in crate::engine) fn part(&mut self, key: MemberSessionKey, now: Moment) -> Option<Moment> {
        let session = self.sessions.get_mut(key)?;
        let since = *session.parted_at.get_or_insert(now);
        let id = session.member;
        if let Some(member) = self.members.get_mut(&id)
            && member.session == Some(key)
        {
            member.session = None;
            member.linked = false;
            self.changed(id);
        }
        Some(since)
    }
}
