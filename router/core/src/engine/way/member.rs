//! What a member's frames mean.

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::icf::{ConnectorInfo, exceptions};
use rcs_proto::legacy::Wire;
use rcs_proto::session::{Event as SessionEvent, Ignored, SocketId};
use rcs_proto::time::Moment;

use crate::engine::frame::{Frame, Read};
use crate::engine::io::Io;
use crate::engine::keys::{MemberSessionKey, Work};
use crate::engine::list::MemberList;
use crate::engine::note::Note;
use crate::engine::peer::TurnedAway;
use crate::engine::tables::Tables;
use crate::health::{Finding, Probe};
use crate::ids::MemberId;
use crate::verdict::Fault;

/// The list that a server gets when it asks for our own connectors: we have none.
fn no_connectors() -> Bytes {
    Vec::<ConnectorInfo>::new().encode()
}

impl Tables {
    /// A frame of a member.
    pub(super) fn on_member_frame(
        &mut self,
        key: MemberSessionKey,
        socket: SocketId,
        frame: Frame,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Frame { envelope, read } = frame;
        let Some((member, event)) = self.members.receive(key, &envelope, now) else { return };
        match event {
            SessionEvent::Answer(Work::Call(call)) => self.on_answer(call, key, envelope, &read, now, io),
            SessionEvent::NotRun(Work::Call(call)) => {
                self.lost_in(call, key, Fault::RefusedBeforeHandshake, now, io);
            }
            SessionEvent::Answer(Work::Probe(_)) | SessionEvent::NotRun(Work::Probe(_)) => {
                self.on_probe_answer(key, &envelope, now, io);
            }
            SessionEvent::Ignored(Ignored::CheckAnswered) => {
                self.members.probed(member, Probe::Check, Finding::Good);
            }
            SessionEvent::ConnectorInfos(_) => {
                if let Read::Connectors(list) = read {
                    self.on_connector_infos(key, *list, now, io);
                }
            }
            SessionEvent::ConfigurationChange => {
                self.on_configuration_change(member, &envelope, &read, now, io)
            }
            SessionEvent::Control(checked) => {
                let infos = checked.wants_connector_infos.then(no_connectors);
                io.reply(socket, frames::control_response(checked.id, infos));
                for work in checked.vanished {
                    match work {
                        Work::Call(call) => self.lost_in(call, key, Fault::MemberLost, now, io),
                        Work::Probe(number) => self.members.probe_vanished(key, number),
                    }
                }
            }
            SessionEvent::HandshakeAgain => {
                let identity = self.identities.towards_member(self.book.member_name(member));
                io.reply(socket, frames::handshake_response(&identity));
            }
            SessionEvent::Reply(frame) => io.reply(socket, frame),
            // The router has no connectors. A Java server answers a call of a connector that it does not have in the same way.
            SessionEvent::Call => {
                let text = "Connector not found: this connection's credential is that of a connector server, and the call was not run. An IDM \
                            needs a caller's credential at the router";
                io.reply(socket, frames::error(envelope.message_id, exceptions::CONNECTOR, text));
                if self.sockets.is_accepted(socket) {
                    self.turn_away(socket, TurnedAway::CallerAmongMembers, now, io);
                }
            }
            // The router answers no request of a member, so a member has nothing to refuse.
            SessionEvent::Cancel(_) | SessionEvent::AnswerRefused(_) | SessionEvent::Ignored(_) => {}
        }
    }

    /// A connector changed its configuration: passed on to every caller that used this exact facade key (WIRE section 6).
    fn on_configuration_change(
        &mut self,
        member: MemberId,
        envelope: &Envelope,
        read: &Read,
        now: Moment,
        io: &mut impl Io,
    ) {
        // No caller has used a facade key that is too long to be digested.
        let (Kind::Operation(head), Read::Changed(digest)) = (&envelope.kind, read) else { return };
        if self.members.get(member).is_none() {
            return;
        }
        for caller in self.callers.users_of(&head.facade_key, *digest) {
            self.callers.tell(caller, envelope.frame().clone(), now, io);
        }
    }

    /// A member reported its connectors: at join, on reconnect, or because the router asked again.
    fn on_connector_infos(&mut self, key: MemberSessionKey, list: MemberList, now: Moment, io: &mut impl Io) {
        let Some((member, list)) = self.members.told(key, list) else { return };
        self.take_list(member, list, now, io);
        if self.members.link(member, now) {
            self.warm_up(member, now, io);
        }
        self.members.probed(member, Probe::Check, Finding::Good);
    }

    /// The current session of a member reported this list, now or before the session became the current one. The groups judge the
    /// list first, and only then can the member take calls.
    pub(super) fn take_list(&mut self, member: MemberId, list: MemberList, now: Moment, io: &mut impl Io) {
        let is_unreadable = list.wire.is_err();
        let (is_new, is_to_be_judged) = self.members.take_list(member, list);
        if is_new && is_unreadable {
            io.note(Note::ConnectorInfosUnreadable { member });
        }
        if is_to_be_judged {
            self.judge_member(member, now);
        }
    }

    /// The answer to a `test` of ours.
    fn on_probe_answer(&mut self, key: MemberSessionKey, envelope: &Envelope, now: Moment, io: &mut impl Io) {
        let finding = match &envelope.kind {
            // A member without this connector, or a connector without `test`, says nothing of the resource behind it.
            Kind::Error(error) if !says_nothing(&error.class, &error.message) => Finding::Bad,
            _ => Finding::Good,
        };
        if let Some(member) = self.members.probe_answered(key, envelope.message_id, finding) {
            self.send_probe(member, now, io);
        }
    }

    /// A frame of an answer was too large and was dropped.
    pub(super) fn on_answer_oversize(
        &mut self,
        key: MemberSessionKey,
        id: i64,
        now: Moment,
        io: &mut impl Io,
    ) {
        if let Some(call) = self.members.call_under(key, id) {
            // Any other member's answer would be as large.
            self.has_answered(call, key, now, io);
            self.calls.fault(call, Fault::TooLarge);
        }
    }
}

fn says_nothing(class: &str, message: &str) -> bool {
    class.ends_with("UnsupportedOperationException") || message.starts_with("Connector not found")
}
