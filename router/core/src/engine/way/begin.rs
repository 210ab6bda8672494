//! A request comes in: limits, group, deadline; then the call goes to a member.
//!
//! A call of a caller over its limit is refused at once, for the flood is the caller's own.

use rcs_proto::envelope::{Envelope, Kind, OperationHead};
use rcs_proto::frames;
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use crate::bundles::infos::Visible;
use crate::engine::allowed::Allowed;
use crate::engine::callers::{Caller, CallerEnd};
use crate::engine::calls::{Deadline, NewCall};
use crate::engine::event::Phase;
use crate::engine::facade::Asked;
use crate::engine::frame::{Frame, Read};
use crate::engine::io::Io;
use crate::engine::keys::CallerKey;
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;
use crate::ids::GroupId;
use crate::limits;
use crate::verdict::{CallError, ErrorKind};
use crate::view::{Group, GroupOrigin};

impl Tables {
    /// A new call of a caller.
    pub(super) fn on_call(
        &mut self,
        caller: CallerKey,
        socket: SocketId,
        frame: Frame,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Frame { envelope: request, read } = frame;
        // It came so late that its caller was told that nobody knows its outcome, and may have sent it again.
        if self.callers.was_told(caller, request.message_id) {
            let error = CallError::of_no_call();
            return io.reply(socket, frames::error(request.message_id, error.class, &error.message));
        }
        let Kind::Operation(head) = &request.kind else {
            unreachable!("a session event Call is an operation")
        };
        let operation = head.operation;
        let Read::Call(asked) = read else {
            return self.refuse_long(caller, socket, &request, operation, now, io);
        };
        // Refused calls count as well: a connector that a caller asks for is in use, even if no member can run it.
        self.callers.uses(caller, &head.connector_key, now);
        let group = match self.admit(caller, head, request.frame_bytes()) {
            Ok(group) => group,
            Err((kind, group)) => {
                let end = Last { id: request.message_id, operation, frame: None, since: now, refusals: 0 };
                let hint = self.hint(caller, kind, head, now);
                let about = self.about(Some(caller), Some(head));
                self.refuse(caller, socket, end, (kind, hint), group, io);
                return self.calls.describe(self.calls.last_id(), about);
            }
        };
        let settings = self.view.group(group).map(|group| &group.settings);
        let deadlines = settings.map(|settings| settings.deadlines).unwrap_or_default();
        let forwarded_to = self.callers.get(caller).and_then(|caller| caller.id.selector.forwards_to());
        // The router that forwards hedges.
        let hedge_after =
            settings.and_then(|settings| settings.hedge_after).filter(|_| forwarded_to.is_none());
        let Asked { facade, stream, .. } = &asked;
        self.callers.remember(caller, facade);
        let Some(pages) = self.callers.get(caller).map(|caller| caller.pages_of(&asked)) else { return };
        self.groups.called(group, facade, now);
        let mut deadline = Deadline::of(operation, facade, &deadlines, now);
        // The router that forwards keeps the deadline, by whichever group it chose. This one only keeps nothing for ever.
        for group in forwarded_to.iter().flat_map(|member| self.view.groups_of(*member)) {
            deadline = deadline.later(Deadline::of(operation, facade, &group.settings.deadlines, now));
        }
        let end = CallerEnd::new(caller, request.message_id);
        let (configuration, stream) = (facade.configuration, *stream);
        let new = NewCall {
            caller: end,
            group,
            configuration,
            operation,
            request,
            pages,
            stream,
            deadline,
            hedge_after,
            forwarded_to,
        };
        let call = self.calls.insert(new, now);
        self.callers.accept(&end, call, operation.is_subscription(), now);
        self.dispatch(call, now, io);
    }

    /// The sentence that the error of a call gets if no group has its connector. Such calls are counted.
    fn hint(
        &mut self,
        caller: CallerKey,
        kind: ErrorKind,
        head: &OperationHead,
        now: Moment,
    ) -> Option<String> {
        let from = self.callers.get(caller)?;
        if kind != ErrorKind::UnknownConnector || from.id.selector != Selector::ByConnectorKey {
            return None;
        }
        let asked = head.connector()?;
        let sentence = self.missing_everywhere(&asked, &from.allowed);
        self.count_unserved(None, &asked, caller, now);
        Some(sentence)
    }

    /// Whether a call may enter, and in which group.
    fn admit(
        &self,
        caller: CallerKey,
        head: &OperationHead,
        bytes: usize,
    ) -> Result<GroupId, (ErrorKind, Option<GroupId>)> {
        let Some(from) = self.callers.get(caller) else { return Err((ErrorKind::NoMember, None)) };
        let group = self.group_of(from, head).map_err(|kind| (kind, from.id.selector.group()))?;
        let is_over = from.id.selector.forwards_to().is_none()
            && from.is_at_its_limit(head.operation, self.view.router().caller_in_flight_max);
        match self.phase {
            Phase::Draining | Phase::Leaving => Err((ErrorKind::Draining, Some(group))),
            Phase::Serving if is_over || self.takes_too_much(caller, bytes) => {
                Err((ErrorKind::TooManyCalls, Some(group)))
            }
            Phase::Serving if !self.calls.have_room_for(bytes) => Err((ErrorKind::RouterFull, Some(group))),
            Phase::Serving => Ok(group),
        }
    }

    /// Whether the requests that are kept for this caller are more than its share. Only counted while room is short: before, no
    /// caller takes too much.
    fn takes_too_much(&self, caller: CallerKey, bytes: usize) -> bool {
        if self.calls.request_bytes() + bytes <= limits::REQUEST_BYTES_MAX / 2 {
            return false;
        }
        let open = self.callers.get(caller).map(|caller| caller.open_keys()).unwrap_or_default();
        let kept = open.into_iter().filter_map(|call| self.calls.get(call)?.request.as_ref());
        kept.map(Envelope::frame_bytes).sum::<usize>() + bytes > limits::REQUEST_BYTES_PER_SESSION_MAX
    }

    fn group_of(&self, caller: &Caller, head: &OperationHead) -> Result<GroupId, ErrorKind> {
        match caller.id.selector {
            Selector::Group(group) => self.group_of_visible(group, head),
            Selector::ByConnectorKey => self.group_by_connector(head, &caller.allowed),
            // The member's own group, if it has one: the router that forwards counts the call in the group that it chose.
            Selector::Via(member) => {
                let mut groups = self.view.groups_of(member);
                let own = groups.clone().find(|group| group.origin != GroupOrigin::Listed);
                own.or_else(|| groups.next()).map(|group| group.id).ok_or(ErrorKind::NoMember)
            }
        }
    }

    /// The group, unless its callers may not see, and so may not use, the connector.
    fn group_of_visible(&self, group: GroupId, head: &OperationHead) -> Result<GroupId, ErrorKind> {
        let Some(listed) = self.view.group(group) else { return Err(ErrorKind::GroupLeft) };
        let visible @ Visible::Only(_) = &listed.settings.visible else { return Ok(group) };
        let connector = head.connector().ok_or(ErrorKind::UnknownConnector)?;
        if visible.allows(&connector) { Ok(group) } else { Err(ErrorKind::UnknownConnector) }
    }

    /// The one group that has the connector, among those that the caller may use.
    fn group_by_connector(&self, head: &OperationHead, allowed: &Allowed) -> Result<GroupId, ErrorKind> {
        let connector = head.connector().ok_or(ErrorKind::UnknownConnector)?;
        // The shown list, not the members' own lists: a quarantined member must not attract calls to its group.
        let has = |group: &&Group| {
            let shown = self.groups.shown(group.id);
            shown.is_some_and(|shown| shown.has(&connector, self.agreed.stand_ins(group)))
        };
        let its_own = |group: &&Group| allowed.has(&group.name);
        let mut having = self.view.meant_groups().filter(its_own).filter(has);
        match (having.next(), having.next()) {
            (Some(group), None) => Ok(group.id),
            (None, _) => Err(ErrorKind::UnknownConnector),
            (Some(_), Some(_)) => Err(ErrorKind::AmbiguousConnector),
        }
    }
}
