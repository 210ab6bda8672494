//! From a request to a member: limits, group, picker, id (DESIGN section 4).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind, OperationHead};
use rcs_proto::frames;
use rcs_proto::legacy;
use rcs_proto::operation::Operation;
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use super::affinity::{ProbedFacades, page};
use super::probes::Standing;
use super::{
    Call, CallKey, Caller, Deadline, DownstreamKey, Engine, Io, Pages, Phase, Progress, Route, Selector, Work,
};
use crate::balance::{Cursor, Pick, Picker};
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::limits;
use crate::verdict::{Circumstances, ErrorKind, Fault, Paging};
use crate::view::View;

/// What a group needs to spread calls.
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) picker: Picker,
    pub(super) cursor: Cursor,
    /// The connectors that callers of this group are shown; none while no member ever answered.
    pub(super) infos: Option<Bytes>,
    /// The configurations that its calls use.
    pub(super) facades: ProbedFacades,
}

impl Engine {
    pub(super) fn on_call(
        &mut self,
        caller: DownstreamKey,
        socket: SocketId,
        request: Envelope,
        now: Moment,
        io: &mut impl Io,
    ) {
        let Kind::Operation(head) = &request.kind else {
            unreachable!("a session event Call is an operation")
        };
        let operation = head.operation;
        let group = match self.admit(caller, head) {
            Ok(group) => group,
            Err((kind, group)) => {
                let end = Last { id: request.message_id, operation, frame: None, since: now };
                return self.refuse(caller, socket, end, kind, group, io);
            }
        };
        let Some(downstream) = self.downstreams.get_mut(caller) else { return };
        let facade = downstream.facades.remember(head);
        let pages = downstream.pages_of(head, facade.digest);
        if let Some(state) = self.groups.get_mut(&group) {
            state.facades.note(&facade, now);
        }
        if is_subscription(operation) {
            downstream.subscriptions += 1;
        }
        let id = request.message_id;
        let call = self.calls.insert(Call {
            caller: Some(Caller { session: caller, id, socket: None }),
            group,
            operation,
            request: Some(request),
            pages,
            route: None,
            tried: MemberSet::new(),
            attempts: Default::default(),
            deadline: Deadline::of(operation, &facade, now),
            answer: Progress::Nothing,
            since: now,
        });
        downstream.session.accept(id, call, now);
        self.dispatch(call, now, io);
    }

    /// Whether a call may enter, and in which group.
    fn admit(
        &self,
        caller: DownstreamKey,
        head: &OperationHead,
    ) -> Result<GroupId, (ErrorKind, Option<GroupId>)> {
        let Some(downstream) = self.downstreams.get(caller) else { return Err((ErrorKind::NoMember, None)) };
        let group = match downstream.id.0 {
            Selector::Group(group) => group,
            Selector::ByConnectorKey => self.group_by_connector(head).map_err(|kind| (kind, None))?,
        };
        let full = downstream.session.executing_count() >= limits::CALLS_PER_SESSION_MAX
            || self.calls.len() >= limits::CALLS_MAX
            || is_subscription(head.operation)
                && downstream.subscriptions >= limits::SUBSCRIPTIONS_PER_SESSION_MAX;
        match self.phase {
            Phase::Draining => Err((ErrorKind::Draining, Some(group))),
            Phase::Serving if full => Err((ErrorKind::TooManyCalls, Some(group))),
            Phase::Serving => Ok(group),
        }
    }

    /// The one group that has the connector.
    fn group_by_connector(&self, head: &OperationHead) -> Result<GroupId, ErrorKind> {
        let connector = head.connector().ok_or(ErrorKind::UnknownConnector)?;
        let has = |member: &MemberId| {
            self.members.get(member).is_some_and(|state| state.connectors.contains(&connector))
        };
        let mut having = self.view.groups().iter().filter(|group| group.members.iter().any(has));
        match (having.next(), having.next()) {
            (Some(group), None) => Ok(group.id),
            (None, _) => Err(ErrorKind::UnknownConnector),
            (Some(_), Some(_)) => Err(ErrorKind::AmbiguousConnector),
        }
    }

    fn refuse(
        &mut self,
        caller: DownstreamKey,
        socket: SocketId,
        end: Last,
        kind: ErrorKind,
        group: Option<GroupId>,
        io: &mut impl Io,
    ) {
        let name = group.and_then(|group| self.view.group(group)).map(|group| group.name.as_str());
        let Last { id, operation, since, .. } = end;
        let error = kind.to_error(&Circumstances { operation, group: name, member: None });
        let frame = frames::error(id, error.class, &error.message);
        let last = Last { frame: Some(frame.clone()), ..end };
        self.deliver_last(caller, frame, last, Some(socket), since, io);
        io.note(super::Note::CallEnded {
            group,
            member: None,
            operation,
            outcome: error.outcome,
            took: std::time::Duration::ZERO,
        });
    }

    /// Sends a call to the member that its group's picker, or the page that it continues, chooses.
    pub(super) fn dispatch(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        let chosen = match call.pages.and_then(|pages| pages.member) {
            Some(member) => self.members.get(&member).filter(|state| state.linked).map(|_| member),
            None => match self.groups.get_mut(&call.group) {
                Some(group) => match group.picker.pick(&mut group.cursor, &call.tried) {
                    Pick::Member(member) => Some(member),
                    Pick::AllTried | Pick::NoneAvailable => None,
                },
                // The group left the document while its calls were on the way.
                None => None,
            },
        };
        match chosen {
            Some(member) => self.send_to(key, member, now, io),
            None => self.fail(key, Fault::NoMember, now, io),
        }
    }

    /// Sends a call's request to this member.
    pub(super) fn send_to(&mut self, key: CallKey, member: MemberId, now: Moment, io: &mut impl Io) {
        let route = self.open_at(key, member, now);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.tried.insert(member);
        call.route = route;
        match (route, &call.request) {
            (Some(route), Some(request)) => io.send(route.socket, request.rewrite_id(route.id)),
            _ => self.fail(key, Fault::MemberLost, now, io),
        }
    }

    /// Gives a call an id and a socket at the member.
    fn open_at(&mut self, key: CallKey, member: MemberId, now: Moment) -> Option<Route> {
        let state = self.members.get_mut(&member)?;
        let session = state.session?;
        let upstream = self.upstreams.get_mut(session)?;
        let socket = upstream.session.socket_for(None, now)?;
        let id = upstream.session.open(Work::Call(key), now);
        state.in_flight += 1;
        Some(Route { member, session, id, socket })
    }

    /// The members of a group that get calls: the fit ones; all that can be reached if too few of them are fit, for then
    /// the probes say more of what the members share than of each of them (panic threshold).
    fn available(&self, members: &[MemberId]) -> MemberSet {
        let state = |id: &MemberId| self.members.get(id).filter(|state| state.linked && !state.leaving);
        let reachable = members.iter().filter(|id| state(id).is_some());
        let fit =
            members.iter().filter(|id| state(id).is_some_and(|state| state.standing == Standing::Serving));
        let panics = fit.clone().count() * 100 < reachable.clone().count() * limits::PANIC_PERCENT;
        if panics { reachable.copied().collect() } else { fit.copied().collect() }
    }

    /// Rebuilds the pickers: after a change of the view, or of what a member can do.
    pub(super) fn rebuild_pickers(&mut self) {
        let view: Arc<View> = Arc::clone(&self.view);
        let mut before: HashMap<GroupId, GroupState> = std::mem::take(&mut self.groups);
        for group in view.groups() {
            let picker = group.policy.picker(&group.members, &self.available(&group.members));
            let state = match before.remove(&group.id) {
                Some(state) => GroupState { picker, ..state },
                None => GroupState {
                    picker,
                    cursor: Cursor::default(),
                    infos: None,
                    facades: ProbedFacades::default(),
                },
            };
            self.groups.insert(group.id, state);
        }
    }
}

impl super::Downstream {
    /// Whether a search continues another, and which member gave its cookie.
    fn pages_of(&self, head: &OperationHead, facade: u64) -> Option<Pages> {
        if head.operation != Operation::Search {
            return None;
        }
        // Options that cannot be read pass through unread (LEGACY 12): the member may understand them.
        let cookie = legacy::options_cookie(&head.search_options()).ok().flatten();
        let Some(cookie) = cookie.filter(|cookie| !cookie.is_empty()) else {
            return Some(Pages { facade, paging: Paging::Starts, member: None });
        };
        let member = self.pages.member(page(facade, cookie.as_bytes()));
        Some(Pages { facade, paging: Paging::Continues, member })
    }
}

/// Subscriptions stay open until somebody ends them, so they are counted apart.
pub(super) fn is_subscription(operation: Operation) -> bool {
    matches!(operation, Operation::ConnectorEventSubscription | Operation::SyncEventSubscription)
}
