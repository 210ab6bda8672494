//! What is due: timers, each at its moment; and on every tick, what the tables' agendas name.

use rcs_proto::time::Moment;

use crate::engine::calls::Overdue;
use crate::engine::clock::Timer;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::selector::Selector;
use crate::engine::sockets::Belongs;
use crate::engine::tables::Tables;
use crate::limits::TICK;
use crate::verdict::{Fault, Outcome};

impl Tables {
    /// The moment that [`Engine::next_wake`](crate::engine::Engine::next_wake) named has come.
    pub(in crate::engine) fn on_wake(&mut self, now: Moment, io: &mut impl Io) {
        if let Some(time) = self.clock.put_off(now) {
            // What a peer had to do within its time may wait unread, and the peer may have stood still with the router.
            self.members.stood_still(time);
            self.calls.stood_still(time);
            io.note(Note::StoodStill { time });
        }
        while let Some(timer) = self.clock.pop(now) {
            match timer {
                Timer::Handshake(socket) => self.on_handshake_overdue(socket, now, io),
                Timer::Redial(member, slot) => self.members.dial(member, slot, io),
                Timer::CheckMember(session) => self.check_member(session, now, io),
                Timer::Repeat(call, member) => self.repeat(call, member, now, io),
                Timer::LetGo(member) => self.let_go(member, now, io),
                Timer::Orphan { call, sends } => self.on_orphan_overdue(call, sends, now),
                Timer::Proof { call, sends } => self.on_proof_overdue(call, sends, now, io),
                Timer::Linger(caller) => self.on_linger_over(caller, now, io),
                Timer::Redials(caller) => self.callers.learn_redials(caller, now),
                Timer::Quiet(member) => self.on_quiet(member, now, io),
                Timer::Part(socket) => self.on_part(socket, now, io),
                Timer::RestOver(member) => self.on_rest_over(member, now),
                Timer::Via(member) => self.look_for_way(member, now, io),
                Timer::Tick => self.on_tick(now, io),
            }
        }
    }

    /// Notes callers that have waited for a list of connectors for too long.
    fn tell_of_waiting_callers(&mut self, now: Moment, io: &mut impl Io) {
        for (selector, callers) in self.callers.waiting_to_be_told(now) {
            let group = match selector {
                Selector::Group(group) => Some(group),
                Selector::ByConnectorKey | Selector::Via(_) => None,
            };
            io.note(Note::CallersWaitForList { group, callers });
        }
    }

    fn on_tick(&mut self, now: Moment, io: &mut impl Io) {
        for socket in self.sockets.ping(now, io) {
            let member = self.sockets.belongs(socket).and_then(Belongs::member);
            if member.is_some_and(|member| self.is_last_one(member, now))
                && self.sockets.ping_once_more(socket, now, io)
            {
                continue;
            }
            self.disconnect(socket, "it does not answer pings", now, io);
        }
        for member in self.members.due(now) {
            self.look_after_member(member, now, io);
        }
        for caller in self.callers.due(now) {
            let calls = self.callers.answer_missing(caller, now, io);
            if calls > 0 {
                io.note(Note::CallsNotHeld { calls });
            }
        }
        self.callers.forget_old_answers(now);
        for group in self.groups.due(now) {
            self.look_after_group(group, now);
        }
        self.tell_of_waiting_callers(now, io);
        for unserved in self.groups.unserved_due(now) {
            io.note(Note::CallsUnserved(&unserved));
        }
        self.rotate_sockets(now, io);
        self.look_after_configurations(now, io);
        self.calls.ask_about_held();
        for (call, overdue) in self.calls.overdue(now) {
            match overdue {
                Overdue::Deadline => self.calls.fault(call, Fault::DeadlinePassed),
                Overdue::Wait => self.calls.fault(call, Fault::QueueTimeout),
                Overdue::Answer => self.on_answer_overdue(call, now),
                // The caller expects nothing more, so nothing is sent. The member may go on with the tasks, as it would without a router
                // (WIRE 5.6).
                Overdue::Quiet => {
                    self.clear(call, io);
                    self.end(call, Outcome::Ok, now, io);
                }
            }
        }
        self.clock.set(now + TICK, Timer::Tick);
    }
}
