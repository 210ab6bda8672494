//! A member's groups learn which connectors the member reported, and judge the member's bundle set by them.

use std::sync::Arc;

use rcs_proto::time::Moment;

use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};

impl Tables {
    /// Has all groups of a member judge it by the connectors that the member reported.
    pub(in crate::engine) fn judge_member(&mut self, member: MemberId, now: Moment) {
        let groups: Vec<GroupId> = self.view.groups_of(member).map(|group| group.id).collect();
        self.tell_set(member, &groups, now);
        for group in groups {
            // The member's connectors may have other versions now, which take other calls, even if the same members serve.
            self.groups.is_stale(group);
            self.groups.list_is_stale(group);
        }
    }

    /// The member's list of connectors no longer counts: the member has no session, or a new session that has not listed its
    /// connectors yet.
    pub(in crate::engine) fn forget_judgement(&mut self, member: MemberId, now: Moment) {
        if self.members.forget_judgement(member) {
            let groups: Vec<GroupId> = self.view.groups_of(member).map(|group| group.id).collect();
            for group in groups {
                self.groups.sets_change(group, |sets| sets.gone(member, now));
                self.groups.is_stale(group);
            }
        }
    }

    /// Reports a member's connectors to its groups, if its session has listed them.
    pub(in crate::engine) fn tell_set(&mut self, member: MemberId, groups: &[GroupId], now: Moment) {
        let server = self.members.get(member).and_then(|member| member.server.clone());
        let wire = self.members.judged_list(member).map(|list| list.wire.clone());
        for group in groups {
            self.groups.sets_change(*group, |sets| {
                let mut told = Vec::new();
                if let Some(server) = &server {
                    told.extend(sets.server_is(member, server.clone(), now));
                }
                told.extend(match &wire {
                    Some(Ok(wire)) => sets.wire_seen(member, Arc::clone(wire), now),
                    Some(Err(why)) => sets.wire_unreadable(member, why.to_string(), now),
                    None => Vec::new(),
                });
                told
            });
        }
    }
}
