//! A request that goes no further: the caller gets an error with the reason at once. The refused call has an id, too.

use std::time::Duration;

use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::operation::Operation;
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use crate::engine::event::{OversizeReason, Phase};
use crate::engine::io::Io;
use crate::engine::keys::CallerKey;
use crate::engine::note::Note;
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;
use crate::ids::GroupId;
use crate::verdict::{Circumstances, ErrorKind};

impl Tables {
    /// Refuses a call with this kind of error. `hint` is one more sentence.
    pub(super) fn refuse(
        &mut self,
        caller: CallerKey,
        socket: SocketId,
        end: Last,
        (kind, hint): (ErrorKind, Option<String>),
        group: Option<GroupId>,
        io: &mut impl Io,
    ) {
        let Last { id, operation, since, .. } = end;
        let call = self.explain_refusal(operation, group, kind, since);
        let name = group.map(|group| self.book.group_name(group));
        let error = kind.to_error(&Circumstances { operation, group: name, member: None, quarantine: None });
        let sentence = match hint {
            Some(hint) => format!("{} {hint}", error.message),
            None => error.message,
        };
        self.explain_error(call, error.class, Some(&sentence));
        let from = self.callers.get(caller).and_then(|caller| caller.id.selector.forwards_to());
        let frame = match from {
            // The router that forwards judges what follows.
            Some(_) => frames::not_forwarded(id),
            None => frames::error(id, error.class, &format!("{sentence} (call {call})")),
        };
        let last = Last { frame: Some(frame), ..end };
        match self.phase {
            Phase::Leaving => self.callers.keep(caller, last),
            Phase::Serving | Phase::Draining => self.callers.reply_last(caller, socket, last, since, io),
        }
        if kind.is_refusal() {
            io.note(Note::CallRefused { call, group, operation, reason: kind });
        }
        let (member, outcome, took) = (None, error.outcome, Duration::ZERO);
        io.note(Note::CallEnded { call, group, member, operation, outcome, took });
    }

    /// Refuses a call whose connector key or facade key is longer than the router accepts. The group stays unknown, as the connector is not
    /// looked for.
    pub(super) fn refuse_long(
        &mut self,
        caller: CallerKey,
        socket: SocketId,
        request: &Envelope,
        operation: Operation,
        now: Moment,
        io: &mut impl Io,
    ) {
        let end = Last { id: request.message_id, operation, frame: None, since: now, refusals: 0 };
        let group = self.callers.get(caller).and_then(|caller| caller.id.selector.group());
        self.refuse(caller, socket, end, (ErrorKind::ConfigurationTooLarge, None), group, io);
        self.calls.describe(self.calls.last_id(), self.about(Some(caller), None));
    }

    /// A request was dropped: it was too large, or found no room. An overload is a refusal like any other.
    pub(super) fn refuse_oversize(
        &mut self,
        key: CallerKey,
        socket: SocketId,
        id: i64,
        (bytes, why): (usize, OversizeReason),
        now: Moment,
        io: &mut impl Io,
    ) {
        // The operation stays unknown: only the head of the frame was read before the frame was dropped.
        let operation = Operation::Unknown;
        let group = match self.callers.get(key).map(|caller| caller.id.selector) {
            Some(Selector::Group(group)) => Some(group),
            _ => None,
        };
        let kind = match why {
            OversizeReason::Limit => ErrorKind::RequestTooLarge,
            OversizeReason::Overload => ErrorKind::RouterFull,
        };
        let call = self.explain_refusal(operation, group, kind, now);
        let name = group.map(|group| self.book.group_name(group));
        let circumstances = Circumstances { operation, group: name, member: None, quarantine: None };
        let error = kind.to_error(&circumstances);
        self.explain_error(call, error.class, Some(&error.message));
        let about = self.about(Some(key), None);
        self.calls.describe(call, about);
        let text = format!("{} (The request has {bytes} bytes.) (call {call})", error.message);
        let frame = frames::error(id, error.class, &text);
        let last = Last { id, operation, frame: Some(frame), since: now, refusals: 0 };
        self.callers.reply_last(key, socket, last, now, io);
        if kind.is_refusal() {
            io.note(Note::CallRefused { call, group, operation, reason: kind });
        }
    }
}
