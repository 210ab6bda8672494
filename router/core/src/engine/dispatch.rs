//! From a request to a member: limits, group, picker, id.

use std::collections::HashMap;
use std::sync::Arc;

use rcs_proto::envelope::{Envelope, Kind, OperationHead};
use rcs_proto::frames;
use rcs_proto::legacy;
use rcs_proto::operation::Operation;
use rcs_proto::session::{Last, SocketId};
use rcs_proto::time::Moment;

use super::admission::{Bounds, Places};
use super::affinity::{Facade, ProbedFacades, page};
use super::budget::RetryBudget;
use super::bundles::BundleOrders;
use super::probes::Standing;
use super::queue::Queue;
use super::stream_ends::{Paged, StreamHabits, StreamKind};
use super::upstream::MemberState;
use super::versions::Versions;
use super::{
    Call, CallKey, Caller, Deadline, DownstreamKey, Engine, Io, Pages, Progress, Route, Selector, Work,
};
use crate::balance::{Cursor, Picker};
use crate::bundles::group::GroupSets;
use crate::bundles::infos::{Shown, Visible};
use crate::health::Unfit;
use crate::ids::{GroupId, MemberId, MemberSet};
use crate::limits;
use crate::outlier::Outliers;
use crate::verdict::{Circumstances, ErrorKind, Fault, Paging};
use crate::view::{Group, Mark, View};

/// What a group needs to spread calls.
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) picker: Picker,
    pub(super) cursor: Cursor,
    /// The connectors that callers of this group are shown.
    pub(super) shown: Shown,
    /// How the ends of its streams look.
    pub(super) habits: StreamHabits,
    /// The configurations that its calls use.
    pub(super) facades: ProbedFacades,
    /// How its members compare.
    pub(super) outliers: Outliers,
    /// What it has left for retries.
    pub(super) budget: RetryBudget,
    /// Who may be sent, and who waits.
    pub(super) places: Places,
    /// Who takes calls for which connector; none while all members take the same ones.
    pub(super) versions: Option<Versions>,
    /// The bundle sets of its members, and who may serve with them.
    pub(super) sets: GroupSets,
    /// What the operator said of them at run time.
    pub(super) orders: BundleOrders,
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
        let group = match self.admit(caller, head, request.frame_bytes()) {
            Ok(group) => group,
            Err((kind, group)) => {
                let end = Last { id: request.message_id, operation, frame: None, since: now };
                return self.refuse(caller, socket, end, kind, group, io);
            }
        };
        let deadlines = self.view.group(group).map(|group| group.settings.deadlines).unwrap_or_default();
        let Some(downstream) = self.downstreams.get_mut(caller) else { return };
        let facade = downstream.facades.remember(head);
        let (pages, stream) = downstream.pages_of(head, &facade);
        if let Some(state) = self.groups.get_mut(&group) {
            state.facades.note(&facade, now);
            state.budget.called(now);
        }
        if is_subscription(operation) {
            downstream.subscriptions += 1;
        }
        let id = request.message_id;
        self.request_bytes += request.frame_bytes();
        let call = self.calls.insert(Call {
            number: self.explained.next_id(),
            is_explained: false,
            caller: Some(Caller { session: caller, id, socket: None }),
            group,
            operation,
            request: Some(request),
            pages,
            stream,
            route: None,
            waiting: None,
            tried: MemberSet::new(),
            touched: None,
            attempts: Default::default(),
            losses: Vec::new(),
            deadline: Deadline::of(operation, &facade, &deadlines, now),
            answer: Progress::Nothing,
            since: now,
            progressed_at: now,
        });
        downstream.session.accept(id, call, now);
        self.dispatch(call, now, io);
    }

    pub(super) fn group_of(&self, selector: Selector, head: &OperationHead) -> Result<GroupId, ErrorKind> {
        match selector {
            Selector::Group(group) => self.group_of_visible(group, head),
            Selector::ByConnectorKey => self.group_by_connector(head),
        }
    }

    /// A connector that callers of the group may not see, they may not use.
    fn group_of_visible(&self, group: GroupId, head: &OperationHead) -> Result<GroupId, ErrorKind> {
        let visible = self.view.group(group).map(|group| &group.settings.visible);
        let Some(visible @ Visible::Only(_)) = visible else { return Ok(group) };
        let connector = head.connector().ok_or(ErrorKind::UnknownConnector)?;
        if visible.allows(&connector) { Ok(group) } else { Err(ErrorKind::UnknownConnector) }
    }

    /// The one group that has the connector.
    fn group_by_connector(&self, head: &OperationHead) -> Result<GroupId, ErrorKind> {
        let connector = head.connector().ok_or(ErrorKind::UnknownConnector)?;
        // Not what members tell: one that is quarantined must not draw calls to its group.
        let has = |group: &&Group| {
            let state = self.groups.get(&group.id);
            state.is_some_and(|state| state.shown.has(&connector, state.stand_ins(group)))
        };
        let mut having = self.view.groups().iter().filter(has);
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
        let Last { id, operation, since, .. } = end;
        let call = self.explain_refusal(operation, group, kind, since);
        let name = group.and_then(|group| self.view.group(group)).map(|group| group.name.as_str());
        let error = kind.to_error(&Circumstances { operation, group: name, member: None });
        let frame = frames::error(id, error.class, &format!("{} (call {call})", error.message));
        let last = Last { frame: Some(frame.clone()), ..end };
        match (self.phase, self.downstreams.get_mut(caller)) {
            (super::Phase::Leaving, Some(caller)) => caller.keep(last),
            _ => self.deliver_last(caller, frame, last, Some(socket), since, io),
        }
        if kind.is_refusal() {
            io.note(super::Note::CallRefused { call, group, operation, reason: kind });
        }
        io.note(super::Note::CallEnded {
            call,
            group,
            member: None,
            operation,
            outcome: error.outcome,
            took: std::time::Duration::ZERO,
        });
    }

    /// Sends a call's request to this member.
    pub(super) fn send_to(&mut self, key: CallKey, member: MemberId, now: Moment, io: &mut impl Io) {
        let route = self.open_at(key, member, now);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.tried.insert(member);
        call.touched = call.touched.filter(|touched| *touched == member);
        call.route = route;
        match (route, &call.request) {
            (Some(route), Some(request)) => {
                let versions = self.groups.get_mut(&call.group).and_then(|group| group.versions.as_mut());
                let frame = match versions {
                    None => request.rewrite_id(route.id),
                    Some(versions) => versions.request_for(member, request, route.id),
                };
                io.send(route.socket, frame)
            }
            _ => self.fail(key, Fault::MemberLost, now, io),
        }
    }

    /// Gives a call an id and a socket at the member.
    fn open_at(&mut self, key: CallKey, member: MemberId, now: Moment) -> Option<Route> {
        let state = self.members.get_mut(&member)?;
        let session = state.session?;
        let upstream = self.upstreams.get_mut(session)?;
        let socket = upstream.session.socket_for(None, now)?;
        let call = self.calls.get(key)?;
        let id = upstream.session.open(Work::Call(key), now);
        state.in_flight += 1;
        if !is_subscription(call.operation) {
            state.busy += 1;
            if let Some(group) = self.groups.get_mut(&call.group) {
                group.places.in_flight += 1;
            }
        }
        Some(Route { member, session, id, socket, sent: now, is_watched: false })
    }

    /// The members of a group that get calls: the fit ones; all that can be reached if too few of them are fit, for then
    /// the probes say more of what the members share than of each of them (panic threshold). Members that may not serve for
    /// their bundle sets are none of them, in a panic neither (P5).
    fn available(&self, members: &[MemberId], sets: Option<&GroupSets>) -> MemberSet {
        let takes_calls = |state: &&MemberState| {
            state.linked
                && !state.leaving
                && state.member.mark == Mark::Enabled
                && state.standing != Standing::Unfit(Unfit::ShuttingDown)
        };
        let may_serve = |id: &MemberId| sets.is_some_and(|sets| sets.may_serve(*id));
        let state = |id: &MemberId| self.members.get(id).filter(|_| may_serve(id)).filter(takes_calls);
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
            // A group that is new knows nobody yet.
            let sets = before.get(&group.id).map(|state| &state.sets);
            let available = self.available(&group.members, sets);
            let picker = group.policy.picker(&group.members, &available);
            let bounds = Bounds::of(&group.settings);
            let mut state = match before.remove(&group.id) {
                Some(state) => GroupState { picker, places: Places { bounds, ..state.places }, ..state },
                None => GroupState {
                    picker,
                    cursor: Cursor::default(),
                    shown: Shown::default(),
                    habits: StreamHabits::default(),
                    facades: ProbedFacades::default(),
                    outliers: Outliers::default(),
                    budget: RetryBudget::default(),
                    places: Places {
                        bounds,
                        in_flight: self.in_flight_in(group.id),
                        queue: Queue::default(),
                    },
                    versions: None,
                    sets: GroupSets::new(group.settings.bundles),
                    orders: BundleOrders::default(),
                },
            };
            state.versions = self.versions_in(group, &state, available);
            self.groups.insert(group.id, state);
        }
        self.places_freed = true;
    }

    /// The calls at members of a group that is new in the view: it may have been there before, and left some.
    fn in_flight_in(&self, group: GroupId) -> usize {
        let calls = self.calls.iter().map(|(_, call)| call);
        calls
            .filter(|call| call.group == group && call.route.is_some() && !is_subscription(call.operation))
            .count()
    }
}

impl super::Downstream {
    /// Whether a search continues another, and which member gave its cookie; and what the end of a search or sync is judged by.
    fn pages_of(&self, head: &OperationHead, facade: &Facade) -> (Option<Pages>, Option<StreamKind>) {
        if head.operation != Operation::Search {
            return (None, StreamKind::of(head, facade, Paged::No));
        }
        // Options that cannot be read pass through unread (LEGACY 12): the member may understand them.
        let options = legacy::options_page(&head.search_options()).unwrap_or_default();
        let cookie = options.cookie.filter(|cookie| !cookie.is_empty());
        let paged = if options.has_size || cookie.is_some() { Paged::Yes } else { Paged::No };
        let pages = match cookie {
            None => Pages { facade: facade.digest, paging: Paging::Starts, member: None },
            Some(cookie) => {
                let member = self.pages.member(page(facade.digest, cookie.as_bytes()));
                Pages { facade: facade.digest, paging: Paging::Continues, member }
            }
        };
        (Some(pages), StreamKind::of(head, facade, paged))
    }
}

/// Subscriptions stay open until somebody ends them, so they are counted apart.
pub(super) fn is_subscription(operation: Operation) -> bool {
    matches!(operation, Operation::ConnectorEventSubscription | Operation::SyncEventSubscription)
}
