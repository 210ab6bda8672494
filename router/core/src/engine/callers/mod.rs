//! The table of callers: sessions of IDMs, what was delivered to each caller, what is owed to it, and what is remembered of it.

mod caller;
mod deliver;
mod earlier;
mod missing;
mod pages;
mod remembered;
mod shown;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::session::{Event as SessionEvent, Last, Side, SocketId};
use rcs_proto::time::Moment;

pub(super) use self::caller::Caller;
pub use self::caller::Redials;
pub(super) use self::deliver::Waits;
pub(super) use self::shown::ShownEdition;
use super::agenda::Agenda;
use super::allowed::Allowed;
use super::facade::Facade;
use super::io::Io;
use super::keys::{CallKey, CallerKey, CallerTag};
use super::selector::Selector;
use crate::arena::Arena;
use crate::ids::{GroupId, MemberId};
use crate::limits;

/// Identifies a caller: two connections with all four fields equal belong to one session. The principal is one of the fields, so
/// that knowing a session id is not enough to join the session. The side is one of the fields, so that an IDM that dials the router never
/// joins the session of an IDM that the router dials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallerId {
    /// The way in.
    pub(super) selector: Selector,
    /// The principal that the caller proved. For a caller that the router dials: the name under which the caller is configured.
    pub(super) principal: Arc<str>,
    /// Which end dialled.
    pub(super) side: Side,
    /// The session id that the caller showed.
    pub(super) remote: String,
}

/// Callers with something in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Users {
    /// The number of callers.
    pub(super) callers: usize,
    /// Some of their principals, each once.
    pub(super) principals: BTreeSet<Arc<str>>,
}

impl Users {
    fn add(&mut self, principal: &Arc<str>) {
        self.callers += 1;
        if self.principals.len() < limits::IN_USE_SHOWN_MAX {
            self.principals.insert(Arc::clone(principal));
        }
    }

    /// Their principals as texts.
    pub(super) fn names(&self) -> Vec<String> {
        self.principals.iter().map(ToString::to_string).collect()
    }
}

/// The caller's end of a call. Opaque: only this table knows which session, and which socket, an answer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallerEnd {
    session: CallerKey,
    id: i64,
    /// The socket that all frames of the answer go to, while it lives: order is kept per socket (WIRE 11.3).
    socket: Option<SocketId>,
}

impl CallerEnd {
    /// The end of a call that this session gave this id. No socket is chosen for the answer yet.
    pub(super) fn new(session: CallerKey, id: i64) -> Self {
        Self { session, id, socket: None }
    }

    /// The id that the caller gave to the call, which all frames of the answer carry.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// The caller's session.
    pub(super) fn session(&self) -> CallerKey {
        self.session
    }

    /// The same end, without a socket for the rest of the answer: the next part chooses one.
    pub(super) fn unpinned(self) -> Self {
        Self { socket: None, ..self }
    }

    /// Whether the frames of the answer go to this socket.
    pub(super) fn is_pinned_to(&self, socket: SocketId) -> bool {
        self.socket == Some(socket)
    }
}

/// Why a socket does not join a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotJoined {
    /// There are as many callers as may be, and all of them are connected.
    TooManyCallers,
    /// The caller has as many sockets as it may.
    TooManySockets,
}

/// What is left of a caller when a socket has left its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Its other sockets.
    pub(super) sockets: usize,
    /// Whether this was the caller's last socket.
    pub(super) is_away: bool,
    /// Whether to watch from now on if the caller opens a socket in place of this one.
    pub(super) may_redial: bool,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Callers {
    sessions: Arena<CallerTag, Caller>,
    by_id: BTreeMap<CallerId, CallerKey>,
    /// Callers that have one socket left, which is closed next.
    going: Vec<CallerKey>,
    /// When the operator is next told of callers that wait for connectors; `None` while no caller waits.
    tell_of_waiting_at: Option<Moment>,
    /// When calls that nobody holds are answered.
    agenda: Agenda<CallerKey>,
    /// The number of these calls, of all callers together.
    missing: usize,
    /// Calls that an earlier process has, of all callers together.
    earlier: usize,
    /// When recent answers are too old to be sent again.
    old_answers: Agenda<CallerKey>,
    /// Bytes that are remembered of all callers together.
    remembered: usize,
}

impl Callers {
    // --- what is there ---

    pub(super) fn get(&self, key: CallerKey) -> Option<&Caller> {
        self.sessions.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (CallerKey, &Caller)> {
        self.sessions.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.by_id.is_empty()
    }

    /// The session of this caller.
    pub(super) fn named(&self, id: &CallerId) -> Option<CallerKey> {
        self.by_id.get(id).copied()
    }

    /// Whether no further caller finds a place.
    pub(super) fn is_full(&self) -> bool {
        self.sessions.len() >= limits::DOWNSTREAM_SESSIONS_MAX
    }

    /// The caller that left first, and has not come back.
    pub(super) fn first_leaver(&self) -> Option<CallerKey> {
        let left = self.sessions.iter().filter_map(|(key, caller)| Some((caller.left_at?, key)));
        left.min_by_key(|(left_at, _)| *left_at).map(|(_, key)| key)
    }

    // --- sockets ---

    /// Takes a new caller on.
    pub(super) fn add(&mut self, id: CallerId) -> CallerKey {
        let key = self.sessions.insert(Caller::new(id.clone()));
        self.by_id.insert(id, key);
        key
    }

    /// A socket joins a caller's session.
    ///
    /// # Errors
    /// [`NotJoined::TooManySockets`]
    pub(super) fn join(&mut self, key: CallerKey, socket: SocketId, now: Moment) -> Result<(), NotJoined> {
        let caller = self.sessions.get_mut(key).expect("a session that was just found, or made");
        if caller.session.sockets().count() >= limits::SOCKETS_PER_SESSION_MAX {
            return Err(NotJoined::TooManySockets);
        }
        caller.session.join(socket, now);
        caller.left_at = None;
        if caller.lost_at.take().is_some() {
            caller.redials = Redials::Yes;
        }
        self.plan(key);
        Ok(())
    }

    /// The caller may use these groups from now on, as its newest socket proved.
    pub(super) fn allow(&mut self, key: CallerKey, allowed: Allowed) {
        if let Some(caller) = self.sessions.get_mut(key) {
            caller.allowed = allowed;
        }
    }

    /// A socket of a caller is gone.
    pub(super) fn leave(&mut self, key: CallerKey, socket: SocketId, now: Moment) -> Option<Left> {
        let caller = self.sessions.get_mut(key)?;
        let sockets = caller.session.leave(socket);
        let may_redial = caller.lost_at.is_none();
        caller.lost_at.get_or_insert(now);
        caller.infos_wanted.retain(|(asked_on, _)| *asked_on != socket);
        let is_away = sockets == 0 && caller.left_at.is_none();
        if is_away {
            caller.left_at = Some(now);
        }
        self.plan(key);
        Some(Left { sockets, is_away, may_redial })
    }

    /// Ends a caller's session.
    pub(super) fn remove(&mut self, key: CallerKey) {
        if let Some(mut caller) = self.sessions.remove(key) {
            self.agenda.plan(key, &mut caller.planned, None);
            self.old_answers.plan(key, &mut caller.old_at, None);
            self.remembered -= caller.remembered_bytes();
            self.missing -= caller.missing.len();
            self.earlier -= caller.earlier.len();
            self.by_id.remove(&caller.id);
        }
    }

    /// Whether a caller has been away for as long as its session is kept.
    pub(super) fn is_gone(&self, key: CallerKey, now: Moment) -> bool {
        let left_at = self.sessions.get(key).and_then(|caller| caller.left_at);
        left_at.is_some_and(|left_at| now.since(left_at) >= limits::CALLER_KEPT)
    }

    /// Learns that a caller had the time to replace a socket and did not.
    pub(super) fn learn_redials(&mut self, key: CallerKey, now: Moment) {
        let Some(caller) = self.sessions.get_mut(key) else { return };
        if caller.lost_at.is_some_and(|at| now.since(at) >= limits::CALLER_KEPT) {
            caller.redials = Redials::No;
        }
    }

    /// Whether the router may close an old socket of a caller: the caller was seen to open a new socket in place of one that closed,
    /// and has another socket.
    pub(super) fn may_lose_one(&self, key: CallerKey) -> bool {
        self.sessions.get(key).is_some_and(|caller| {
            caller.redials == Redials::Yes
                && caller.lost_at.is_none()
                && caller.session.sockets().count() > 1
                && caller.earlier.is_empty()
        })
    }

    /// Sends nothing new on this socket.
    pub(super) fn retire(&mut self, key: CallerKey, socket: SocketId) {
        if let Some(caller) = self.sessions.get_mut(key) {
            caller.session.retire(socket);
        }
    }

    /// Takes that back.
    pub(super) fn reinstate(&mut self, key: CallerKey, socket: SocketId) {
        if let Some(caller) = self.sessions.get_mut(key) {
            caller.session.reinstate(socket);
        }
    }

    /// A socket that is being closed by us belongs to the session no longer.
    pub(super) fn let_go_of(&mut self, key: CallerKey, socket: SocketId) {
        if let Some(caller) = self.sessions.get_mut(key) {
            caller.session.leave(socket);
            self.plan(key);
        }
    }

    // --- frames and calls ---

    /// What a frame of a caller means.
    pub(super) fn receive(
        &mut self,
        key: CallerKey,
        envelope: &Envelope,
        now: Moment,
    ) -> Option<SessionEvent<CallKey>> {
        self.change(key, |caller, _| caller.session.receive(envelope, now))
    }

    /// Notes the configuration that a call names.
    pub(super) fn remember(&mut self, key: CallerKey, facade: &Arc<Facade>) {
        self.change(key, |caller, room| caller.facades.remember(facade, room));
    }

    /// Changes what is remembered of a caller. `change` gets the number of bytes that may be remembered of the caller.
    fn change<T>(&mut self, key: CallerKey, change: impl FnOnce(&mut Caller, usize) -> T) -> Option<T> {
        let room = match self.remembered < limits::REMEMBERED_BYTES_MAX / 2 {
            true => usize::MAX,
            false => limits::REMEMBERED_TIGHT_BYTES,
        };
        let caller = self.sessions.get_mut(key)?;
        let before = caller.remembered_bytes();
        let changed = change(caller, room);
        self.remembered = self.remembered + caller.remembered_bytes() - before;
        Some(changed)
    }

    /// Drops answers that are too old to be sent again.
    pub(super) fn forget_old_answers(&mut self, now: Moment) {
        for key in self.old_answers.due(now) {
            let next = self.change(key, |caller, _| caller.session.forget_old_answers(now)).flatten();
            if let Some(caller) = self.sessions.get_mut(key) {
                self.old_answers.plan(key, &mut caller.old_at, next);
            }
        }
    }

    /// A call of this caller names this connector, by its key as in the request.
    pub(super) fn uses(&mut self, key: CallerKey, connector: &Bytes, now: Moment) {
        if let Some(caller) = self.sessions.get_mut(key) {
            caller.uses.note(connector, now);
        }
    }

    /// The connectors that callers of a group used lately, by their keys as in requests. These are the callers on the group's way in. If
    /// `by_connector` has the name of the group, callers for whom the connector decides are included.
    pub(super) fn uses_in(
        &self,
        group: GroupId,
        by_connector: Option<&str>,
        now: Moment,
    ) -> BTreeMap<&Bytes, Users> {
        let mut all: BTreeMap<&Bytes, Users> = BTreeMap::new();
        let may_call = |caller: &&Caller| match caller.id.selector {
            Selector::Group(own) => own == group,
            Selector::ByConnectorKey => by_connector.is_some_and(|name| caller.allowed.has(name)),
            // The router that forwards has the caller, and knows what the caller uses.
            Selector::Via(_) => false,
        };
        for caller in self.sessions.iter().map(|(_, caller)| caller).filter(may_call) {
            for connector in caller.uses.lately(now) {
                all.entry(connector).or_default().add(&caller.id.principal);
            }
        }
        all
    }

    /// The number of callers for whom the connector decides, that may use the group of this name, and that used such a connector lately.
    pub(super) fn used_by_connector(
        &self,
        group: &str,
        now: Moment,
        is_such: impl Fn(&Bytes) -> bool,
    ) -> usize {
        let open = self.by_connector().filter(|caller| caller.allowed.has(group));
        open.filter(|caller| caller.uses.lately(now).any(&is_such)).count()
    }

    fn by_connector(&self) -> impl Iterator<Item = &Caller> {
        let callers = self.sessions.iter().map(|(_, caller)| caller);
        callers.filter(|caller| caller.id.selector == Selector::ByConnectorKey)
    }

    /// The different rights of the callers for whom the connector decides.
    pub(super) fn rights_by_connector(&self) -> BTreeSet<&Allowed> {
        self.by_connector().map(|caller| &caller.allowed).collect()
    }

    /// Whether a known caller is on the way in of this group.
    pub(super) fn is_way_in(&self, group: GroupId) -> bool {
        self.sessions.iter().any(|(_, caller)| caller.id.selector == Selector::Group(group))
    }

    /// The number of known callers on the way in of this group, and the number of their open calls.
    pub(super) fn on_way_in(&self, group: GroupId) -> (Users, usize) {
        let (mut users, mut calls) = (Users::default(), 0);
        for (_, caller) in self.sessions.iter().filter(|(_, of)| of.id.selector == Selector::Group(group)) {
            users.add(&caller.id.principal);
            calls += caller.open_calls();
        }
        (users, calls)
    }

    /// The groups that known callers chose with their way in.
    pub(super) fn ways_in(&self) -> BTreeSet<GroupId> {
        self.sessions.iter().filter_map(|(_, caller)| caller.id.selector.group()).collect()
    }

    /// A call of this caller is executed under the id that the caller gave it.
    pub(super) fn accept(&mut self, end: &CallerEnd, call: CallKey, is_subscription: bool, now: Moment) {
        let Some(caller) = self.sessions.get_mut(end.session) else { return };
        caller.session.accept(end.id, call, now);
        if caller.missing.len() > 0 {
            let before = caller.missing.len();
            caller.missing.is_held(end.id);
            self.missing -= before - caller.missing.len();
        }
        caller.subscriptions += usize::from(is_subscription);
    }

    /// A call of this caller is executed no longer.
    pub(super) fn finish(&mut self, end: &CallerEnd, is_subscription: bool) {
        let Some(caller) = self.sessions.get_mut(end.session) else { return };
        caller.session.finish(end.id);
        caller.subscriptions -= usize::from(is_subscription);
    }

    /// The next page of a search has its state at this member.
    pub(super) fn remember_page(&mut self, end: &CallerEnd, page: u64, member: MemberId) {
        if let Some(caller) = self.sessions.get_mut(end.session) {
            caller.pages.remember(page, member);
        }
    }

    // --- calls that nobody holds ---

    /// A session check of a caller named these calls as open, and nobody here holds them.
    pub(super) fn waits_for(&mut self, key: CallerKey, mut ids: Vec<i64>, now: Moment) {
        let Some(caller) = self.sessions.get_mut(key) else { return };
        // Questions for connectors that cannot be answered yet are no calls.
        ids.retain(|id| {
            caller.infos_wanted.iter().all(|(_, asked)| asked != id) && !caller.earlier.contains(id)
        });
        let others = self.missing - caller.missing.len();
        let room = limits::NOT_HELD_MAX.saturating_sub(self.missing);
        caller.missing.listed(&ids, room, now + limits::NOT_HELD_WAIT);
        self.missing = others + caller.missing.len();
        self.plan(key);
    }

    /// Whether a caller was told that nobody knows the outcome of this call.
    pub(super) fn was_told(&self, key: CallerKey, id: i64) -> bool {
        self.sessions.get(key).is_some_and(|caller| caller.missing.was_told(id))
    }

    /// The callers that wait for calls which are to be answered now.
    pub(super) fn due(&self, now: Moment) -> Vec<CallerKey> {
        self.agenda.due(now)
    }

    fn plan(&mut self, key: CallerKey) {
        if let Some(caller) = self.sessions.get_mut(key) {
            let at = caller.missing.next().filter(|_| caller.session.is_connected());
            self.agenda.plan(key, &mut caller.planned, at);
        }
    }

    // --- connectors ---

    /// A caller asked for connectors, and there is nothing to answer yet.
    pub(super) fn wants_infos(&mut self, key: CallerKey, socket: SocketId, id: i64, now: Moment) {
        self.tell_of_waiting_at.get_or_insert(now + limits::LIST_WAIT_TOLD_AFTER);
        let Some(caller) = self.sessions.get_mut(key) else { return };
        if caller.infos_wanted.len() < limits::SOCKETS_PER_SESSION_MAX * 4 {
            caller.infos_wanted.push((socket, id));
        }
    }

    /// The callers whose questions for connectors wait.
    pub(super) fn waiting_for_infos(&self) -> Vec<CallerKey> {
        let waiting = self.sessions.iter().filter(|(_, caller)| !caller.infos_wanted.is_empty());
        waiting.map(|(key, _)| key).collect()
    }

    /// The number of callers on each way in whose questions for connectors wait. Empty if it is too early to tell the operator.
    pub(super) fn waiting_to_be_told(&mut self, now: Moment) -> BTreeMap<Selector, usize> {
        let mut waiting = BTreeMap::new();
        if self.tell_of_waiting_at.is_some_and(|at| at <= now) {
            let keys = self.waiting_for_infos();
            for caller in keys.into_iter().filter_map(|key| self.sessions.get(key)) {
                *waiting.entry(caller.id.selector).or_default() += 1;
            }
            self.tell_of_waiting_at = (!waiting.is_empty()).then(|| now + limits::LIST_WAIT_TOLD_EVERY);
        }
        waiting
    }

    /// How many callers on this way in wait for connectors.
    pub(super) fn waiting_on(&self, selector: Selector) -> usize {
        let callers = self.sessions.iter().map(|(_, caller)| caller);
        callers.filter(|caller| caller.id.selector == selector && !caller.infos_wanted.is_empty()).count()
    }

    /// The waiting questions of one caller, taken out to be answered: socket and id.
    pub(super) fn take_infos_wanted(&mut self, key: CallerKey) -> Vec<(SocketId, i64)> {
        self.sessions.get_mut(key).map(|caller| std::mem::take(&mut caller.infos_wanted)).unwrap_or_default()
    }

    /// A caller was shown this list.
    pub(super) fn was_shown(&mut self, key: CallerKey, edition: Option<ShownEdition>) {
        if let Some(caller) = self.sessions.get_mut(key) {
            caller.shown = edition;
        }
    }

    /// Connected callers on this way in that were shown a list which lacks something of the present one. Where the connector decides, only
    /// callers with these rights are counted.
    pub(super) fn behind(&self, selector: Selector, rights: Option<&Allowed>, now: &ShownEdition) -> usize {
        let callers = self.sessions.iter().map(|(_, caller)| caller);
        let is_on_it = |caller: &&Caller| {
            caller.id.selector == selector && rights.is_none_or(|rights| *rights == caller.allowed)
        };
        let of_it = callers.filter(is_on_it).filter(|caller| caller.session.is_connected());
        of_it.filter(|caller| caller.shown.is_some_and(|shown| !shown.covers(now))).count()
    }

    /// The callers that used this exact facade key, which has this digest.
    pub(super) fn users_of(&self, facade_key: &[u8], digest: u64) -> Vec<CallerKey> {
        let users = self.sessions.iter().filter(|(_, caller)| caller.facades.contains(facade_key, digest));
        users.map(|(key, _)| key).collect()
    }

    // --- the end of the router ---

    /// Callers that have a socket which is not being closed.
    pub(super) fn connected(&self) -> impl Iterator<Item = CallerKey> {
        self.sessions.iter().filter(|(_, caller)| caller.session.is_connected()).map(|(key, _)| key)
    }

    /// The routers that forward calls to this member, and are connected.
    pub(super) fn forwarding_to(&self, member: MemberId) -> Vec<CallerKey> {
        let is_it = |caller: &Caller| caller.id.selector == Selector::Via(member);
        let all = self.sessions.iter().filter(|(_, caller)| caller.session.is_connected() && is_it(caller));
        all.map(|(key, _)| key).collect()
    }

    /// How many callers are known, without routers that forward calls.
    pub(super) fn known(&self) -> usize {
        self.sessions.iter().filter(|(_, caller)| caller.id.selector.forwards_to().is_none()).count()
    }

    /// The callers that have one socket left, taken out to be closed.
    pub(super) fn take_going(&mut self) -> Vec<CallerKey> {
        std::mem::take(&mut self.going)
    }

    /// Closes all but `left` sockets of a caller.
    pub(super) fn close_down_to(&mut self, key: CallerKey, left: usize, io: &mut impl Io) {
        let Some(caller) = self.sessions.get_mut(key) else { return };
        let sockets: Vec<SocketId> = caller.session.sockets().skip(left).collect();
        for socket in sockets {
            caller.session.leave(socket);
            io.close(socket);
        }
        if left > 0 {
            self.going.push(key);
        }
        self.plan(key);
    }

    /// What must be true between two events. `open` lists each open call's end, and whether it is a subscription.
    #[cfg(test)]
    pub(super) fn assert_settled(&self, open: &[(CallerEnd, bool)]) {
        for (key, caller) in self.sessions.iter() {
            let of_it = || open.iter().filter(|(end, _)| end.session == key);
            assert_eq!(caller.session.executing_count(), of_it().count(), "calls of {key:?}");
            assert_eq!(caller.subscriptions, of_it().filter(|(_, is_subscription)| *is_subscription).count());
            // A call that came meanwhile leaves a moment at which there is nothing to do.
            let at = caller.missing.next().filter(|_| caller.session.is_connected());
            assert!(at.is_none_or(|at| caller.planned.is_some_and(|planned| planned <= at)), "{key:?}");
            assert_eq!(self.by_id.get(&caller.id), Some(&key));
        }
        assert_eq!(self.by_id.len(), self.sessions.len());
        let missing: usize = self.sessions.iter().map(|(_, caller)| caller.missing.len()).sum();
        assert_eq!(self.missing, missing, "calls that nobody holds");
        let earlier: usize = self.sessions.iter().map(|(_, caller)| caller.earlier.len()).sum();
        assert_eq!(self.earlier, earlier, "calls that an earlier process has");
        let remembered: usize = self.sessions.iter().map(|(_, caller)| caller.remembered_bytes()).sum();
        assert_eq!(self.remembered, remembered, "bytes that are remembered");
    }
}

/// The error for a caller whose answer arrived from the member and was lost on its way to the caller.
fn lost_on_the_way(last: &Last) -> Bytes {
    let error = crate::verdict::ErrorKind::of_lost(last.operation).to_error_on_the_way(last.operation);
    rcs_proto::frames::error(last.id, error.class, &error.message)
}

#[cfg(test)]
mod tests;
