//! What a caller's frames mean.

use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::limits as wire_limits;
use rcs_proto::session::{Event as SessionEvent, SocketId};
use rcs_proto::time::Moment;

use crate::engine::calls::Call;
use crate::engine::event::Deciding;
use crate::engine::frame::Frame;
use crate::engine::io::Io;
use crate::engine::keys::{CallKey, CallerKey};
use crate::engine::tables::Tables;
use crate::verdict::{Cut, Outcome, Stage};

impl Tables {
    /// A frame of a caller.
    pub(super) fn on_caller_frame(
        &mut self,
        key: CallerKey,
        socket: SocketId,
        frame: Frame,
        now: Moment,
        io: &mut impl Io,
    ) {
        if matches!(frame.envelope.kind, Kind::Cancel)
            && self.callers.is_with_earlier(key, frame.envelope.message_id)
        {
            return self.callers.hand_back(key, socket, frame.envelope.frame(), io);
        }
        let Some(event) = self.callers.receive(key, &frame.envelope, now) else { return };
        match event {
            SessionEvent::Call => self.on_call(key, socket, frame, now, io),
            SessionEvent::Cancel(call) => self.on_cancel(call, now, io),
            SessionEvent::Control(checked) => {
                for call in checked.abandoned {
                    self.abandon(call, now, io);
                }
                // Routers of a cluster show a caller one session id, and know only their own calls (WIRE 8): a call that this router does not
                // hold may run at another one.
                if let Some(ids) = checked.not_held.filter(|_| self.deciding == Deciding::Alone) {
                    self.callers.waits_for(key, ids, now);
                }
                self.answer_control(key, socket, checked.id, checked.wants_connector_infos, now, io);
            }
            SessionEvent::AnswerRefused(Some(last)) => {
                io.hold(socket, wire_limits::HOLD_OFF);
                self.callers.reply_last(key, socket, last, now, io);
            }
            SessionEvent::AnswerRefused(None) => {
                self.on_part_refused(key, frame.envelope.message_id, now, io)
            }
            SessionEvent::HandshakeAgain => {
                let Some(caller) = self.callers.get(key) else { return };
                let group = caller.id.selector.group_name(&self.book);
                let (side, principal) = (caller.id.side, &caller.id.principal);
                let identity = match caller.id.selector.forwards_to() {
                    Some(member) => self.identities.towards_router(self.book.member_name(member)),
                    None => self.identities.towards_caller(side, group, principal, &caller.allowed),
                };
                io.reply(socket, frames::handshake_response(&identity));
            }
            SessionEvent::Reply(frame) => io.reply(socket, frame),
            // Callers run nothing for the router: their other frames answer no request of the router.
            SessionEvent::ConfigurationChange
            | SessionEvent::Answer(_)
            | SessionEvent::NotRun(_)
            | SessionEvent::ConnectorInfos(_)
            | SessionEvent::Ignored(_) => {}
        }
    }

    /// Answers a session check at once, and the question for connectors as soon as a list is known.
    pub(super) fn answer_control(
        &mut self,
        key: CallerKey,
        socket: SocketId,
        id: i64,
        wants_infos: bool,
        now: Moment,
        io: &mut impl Io,
    ) {
        if !wants_infos {
            return io.reply(socket, frames::control_response(id, None));
        }
        match self.connector_infos(key) {
            Some(infos) => {
                io.reply(socket, frames::control_response(id, Some(infos)));
                self.callers.was_shown(key, self.edition_for(key));
            }
            None => self.callers.wants_infos(key, socket, id, now),
        }
    }

    /// The caller gives a call up. There is no answer to a cancel; calls that cannot be stopped are answered (WIRE 5.4).
    fn on_cancel(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        self.cancel_at_member(key, now, io);
        if self.calls.get(key).is_some_and(Call::is_cancellable) {
            self.end(key, Outcome::Cancelled, now, io);
        }
    }

    /// The caller refused a part of an answer that is not the last one, so the part is lost for good. If the caller may have ended its
    /// batch, this counts as the batch's end.
    fn on_part_refused(&mut self, key: CallerKey, id: i64, now: Moment, io: &mut impl Io) {
        let call = self.callers.get(key).and_then(|caller| caller.open_key(id));
        let Some(call) = call else { return };
        if self.calls.get(call).is_some_and(Call::may_be_ended_by_caller) {
            self.end(call, Outcome::Ok, now, io);
        } else if self.calls.get(call).is_some_and(|call| call.stage() == Stage::PartlyAnswered) {
            self.cut(call, Cut::LostOnTheWay, io);
        }
    }
}
