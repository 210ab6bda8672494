//! Health checks of members, in layers. Pings are in `sockets`. Here are session checks, which prove that the framework lives, and
//! the moments of `test`s, which prove that the resource behind a connector lives (G17). Silent members are cut off, and members
//! that are far slower than the others of their group are taken out of rotation.

use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::keys::MemberSessionKey;
use crate::engine::members::Asking;
use crate::engine::tables::Tables;
use crate::health::{Finding, Probe};
use crate::ids::{GroupId, MemberId};
use crate::view::{Group, GroupOrigin};

impl Tables {
    /// Does what is due for a member by now: session checks, the end of late `test`s, the next `test`, the member's drain, and a
    /// standing that time changes.
    pub(super) fn look_after_member(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        for session in self.members.sessions_of(member) {
            self.check_member(session, now, io);
        }
        let _ = self.members.end_late_probe(member, now, io);
        self.send_probe(member, now, io);
        self.look_after_drain(member, now, io);
        self.members.changed(member);
    }

    /// What time changes in a group: holds of bundle sets end, agents fall silent, a window of the members' latencies is over.
    pub(super) fn look_after_group(&mut self, group: GroupId, now: Moment) {
        self.groups.proposal_is_due(group, now);
        self.groups.sets_change(group, |sets| sets.tick(now));
        let Some(listed) = self.view.group(group) else { return };
        for member in self.groups.slow_ones(listed, now) {
            self.members.too_slow(member, &listed.settings.ejection, now);
        }
    }

    /// Sends the session check that is due. If the check before was not answered by now, it counts as failed.
    pub(super) fn check_member(&mut self, key: MemberSessionKey, now: Moment, io: &mut impl Io) {
        if let Some(member) = self.members.check(key, now, io) {
            self.members.probed(member, Probe::Check, Finding::Bad);
            self.end_silent(key, now, io);
        }
    }

    /// Whether a member is the last of a group that can be reached: no other member that may have the group's calls answers health checks.
    /// A late answer is better than none (P3). If no member answers, the router's own machine may be to blame. So the last member is cut
    /// off later.
    pub(super) fn is_last_one(&self, member: MemberId, now: Moment) -> bool {
        let answers = |id: MemberId| {
            self.members.takes(id, Asking::InPanic).is_ok()
                && !self.sockets.is_silent(id, now)
                && !self.members.misses_checks(id, now)
        };
        let may_serve =
            |group: &Group, id: MemberId| self.groups.sets(group.id).is_some_and(|sets| sets.may_serve(id));
        if self.members.takes(member, Asking::InPanic).is_err() {
            return false;
        }
        // At its own address, a listed server is always the only member. That is no reason to keep the group's calls waiting (P6).
        let meant = self.view.groups_of(member).filter(|group| group.origin != GroupOrigin::Address);
        meant.filter(|group| may_serve(group, member)).any(|group| {
            !group.members.iter().any(|id| *id != member && may_serve(group, *id) && answers(*id))
        })
    }

    /// Cuts off a member that has pings off and does not answer session checks: if nothing moves on its sockets, they are closed, as
    /// the sockets of a member are that does not answer pings. Otherwise the member's calls would wait for their deadlines.
    fn end_silent(&mut self, session: MemberSessionKey, now: Moment, io: &mut impl Io) {
        let sockets: Vec<SocketId> =
            self.members.session(session).map(|session| session.sockets().collect()).unwrap_or_default();
        if !self.members.has_no_pings(session) {
            return;
        }
        let mut is_moving = false;
        for socket in &sockets {
            is_moving |= self.sockets.is_moving(*socket, io);
        }
        let Some(member) = self.members.session(session).map(|session| session.member()) else { return };
        let is_spared = !self.members.misses_too_many(session) && self.is_last_one(member, now);
        if !is_moving && !is_spared && self.members.looks_silent(session, now) {
            for socket in sockets {
                self.disconnect(
                    socket,
                    "it does not answer session checks (health check), and pings are off",
                    now,
                    io,
                );
            }
        }
    }
}
