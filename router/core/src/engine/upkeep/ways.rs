//! Members in client mode that are connected to another router of the cluster are used through it. Such a way is one socket: the router is
//! dialled, and the socket is a socket of the member. The way is let go when the member connects here, or when the other router does not name
//! the member any more: without new calls, and closed once its last call has ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use rcs_proto::time::Moment;

use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::tables::Tables;
use crate::ids::MemberId;
use crate::limits;

impl Tables {
    /// Other routers said which members are connected to them.
    pub(in crate::engine) fn on_elsewhere(&mut self, routers: Arc<BTreeMap<String, u32>>, now: Moment) {
        for name in self.members.are_elsewhere(routers) {
            if let Some(member) = self.view.member_named(&name) {
                self.clock.set(now, Timer::Via(member.id));
            }
        }
    }

    /// Dials the router through which a member should be used, and lets go of ways that are not needed any more.
    pub(super) fn look_for_way(&mut self, member: MemberId, now: Moment, io: &mut impl Io) {
        let wanted = self.members.way_to(member);
        let (mut has_way, mut parted) = (false, 0);
        for session in self.members.sessions_of(member) {
            let Some(via) = self.members.via(session) else { continue };
            if Some(via) == wanted && self.members.is_current(session) {
                has_way = true;
                continue;
            }
            let since = self.members.part(session, now).unwrap_or(now);
            let sockets = self.members.sockets_of(session);
            if self.members.calls_of(session).is_empty() || now.since(since) >= limits::DRAIN_TIME {
                for socket in sockets {
                    self.close_socket(socket, now, io);
                }
            } else {
                parted += sockets.len();
                self.clock.set(now + limits::WAY_LOOK_EVERY, Timer::Via(member));
            }
        }
        if let Some(router) = wanted.filter(|_| !has_way)
            && self.sockets.of(member).len() == parted
            && self.members.begin_way(member)
        {
            io.dial_via(member, router);
        }
    }

    /// The router through which a member was to be used could not be reached.
    pub(in crate::engine) fn on_way_failed(
        &mut self,
        member: MemberId,
        reason: &str,
        now: Moment,
        io: &mut impl Io,
    ) {
        self.members.end_way(member);
        self.members.failed(member, "its router is not reached", reason, now);
        if self.members.is_new_failure(member, reason) {
            io.note(Note::DialFailed { member, reason });
        }
        self.way_failed(member, now, io);
    }
}
