//! The table of open sockets: which session each socket belongs to, when it is pinged, and how far its replacement by a fresh socket
//! is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rcs_proto::session::{Handshake, Side, SocketId};
use rcs_proto::time::Moment;

use super::agenda::Agenda;
use super::frame::Frame;
use super::io::{Io, Moved};
use super::keys::{CallKey, CallerKey, MemberSessionKey, Slot};
use super::peer::Peer;
use crate::ids::MemberId;
use crate::limits;

/// An open socket.
#[derive(Debug)]
struct Socket {
    belongs: Belongs,
    /// Which end dialled.
    side: Side,
    /// Time between two pings of a member's socket; none if pings are off. For callers' sockets see [`SocketSettings`].
    ping_every: Option<Duration>,
    pinged_at: Moment,
    /// Pings since the last sign of life.
    unanswered: u32,
    /// Pings that were sent, and how many of them are answered.
    pings: Pings,
    /// Calls that wait for a pong, in the order of their pings.
    awaiting: VecDeque<Awaiting>,
    /// The bytes that the socket had moved at its last ping.
    moved: Moved,
    opened_at: Moment,
    turn: Turn,
    /// The earliest moment at which the socket's replacement may begin, if sockets are replaced.
    turn_from: Moment,
    /// The moments in the table's agendas.
    ping_planned: Option<Moment>,
    turn_planned: Option<Moment>,
}

/// Pings of a socket. All pings are empty, because Java logs a line for any other (WIRE 1.2), so pongs are counted.
#[derive(Clone, Copy, Debug, Default)]
struct Pings {
    sent: u64,
    answered: u64,
}

/// A call that waits for a pong.
#[derive(Clone, Copy, Debug)]
struct Awaiting {
    call: CallKey,
    /// The number of the ping.
    ping: u64,
    /// When the call stops waiting.
    until: Moment,
}

/// Where an open socket belongs.
#[derive(Debug)]
pub(super) enum Belongs {
    /// The handshake is under way: the session is not known yet.
    Greeting(Box<Handshake<Frame>>, Peer),
    /// To a caller's session.
    Caller(CallerKey),
    /// To a member's session, for one of the member's slots if we dialled it.
    Member { session: MemberSessionKey, member: MemberId, slot: Option<Slot> },
}

/// Whose socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A member's.
    Member { session: MemberSessionKey, member: MemberId, slot: Option<Slot> },
    /// A caller's.
    Caller(CallerKey),
}

/// How far the replacement of a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// No replacement is under way.
    InUse,
    /// Another socket is being dialled for the slot.
    Awaiting,
    /// The other socket joined the session at this moment.
    Replaced(Moment),
    /// Nothing new is sent on the old socket since this moment.
    Retired(Moment),
    /// No answer needs the old socket, which was dialled to a caller. Answers on the caller's other sockets wait for a moment, so that none of
    /// the caller's threads is about to send when the old socket closes.
    Parting,
    /// The close of the old socket is written. What the peer had sent by then is still read.
    Closing,
}

impl Turn {
    /// Whether another socket has taken, or had taken, the place of this socket.
    fn is_replaced(self) -> bool {
        !matches!(self, Self::InUse | Self::Awaiting)
    }
}

impl Belongs {
    fn owner(&self) -> Option<Owner> {
        match self {
            Self::Member { session, member, slot } => {
                Some(Owner::Member { session: *session, member: *member, slot: *slot })
            }
            Self::Caller(key) => Some(Owner::Caller(*key)),
            Self::Greeting(..) => None,
        }
    }

    /// The member at the other end, before and after the handshake.
    pub(super) fn member(&self) -> Option<MemberId> {
        match self {
            Self::Member { member, .. } | Self::Greeting(_, Peer::Member { member, .. }) => Some(*member),
            Self::Caller(_) | Self::Greeting(_, Peer::Caller { .. }) => None,
        }
    }
}

impl Socket {
    /// A new socket. Its ping interval starts now.
    fn new(belongs: Belongs, side: Side, ping_every: Option<Duration>, now: Moment) -> Self {
        Self {
            belongs,
            side,
            ping_every,
            pinged_at: now,
            unanswered: 0,
            pings: Pings::default(),
            awaiting: VecDeque::new(),
            moved: Moved::default(),
            opened_at: now,
            turn: Turn::InUse,
            turn_from: now,
            ping_planned: None,
            turn_planned: None,
        }
    }

    fn ping(&mut self, id: SocketId, io: &mut impl Io) {
        self.pings.sent += 1;
        io.ping(id);
    }

    /// Forgets the calls whose wait for a pong is over.
    fn forget_waits(&mut self, now: Moment) {
        let over = self.awaiting.partition_point(|waits| waits.until <= now);
        self.awaiting.drain(..over);
    }

    /// Whether bytes moved since the last look that only a living peer can have moved. A long message may hold up the pong behind it,
    /// so such bytes count as a sign of life. Bytes that the kernel takes into an empty queue say nothing of the peer.
    fn is_moving(&mut self, moved: Moved, backlog: usize) -> bool {
        let before = std::mem::replace(&mut self.moved, moved);
        moved.received != before.received || backlog > 0 && moved.written != before.written
    }
}

/// What the view says of all sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SocketSettings {
    /// Time between two pings of a caller's socket; none: no pings.
    pub(super) caller_ping_every: Option<Duration>,
    /// Age at which a socket is replaced by a fresh one; none: never.
    pub(super) ttl: Option<Duration>,
}

/// A socket that is gone.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) belongs: Belongs,
    /// Whether another socket has the place of this socket.
    pub(super) is_replaced: bool,
    /// Calls that wait for a pong of this socket.
    pub(super) awaiting: Vec<CallKey>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<SocketId, Socket>,
    /// The sockets towards each member, including sockets whose handshake is under way.
    of_member: BTreeMap<MemberId, BTreeSet<SocketId>>,
    /// Sockets whose replacement was begun.
    turning: BTreeSet<SocketId>,
    pings: Agenda<SocketId>,
    turns: Agenda<SocketId>,
    settings: SocketSettings,
}

impl Sockets {
    // --- what is there ---

    /// Takes in a socket whose peer is to shake hands.
    pub(super) fn greet(&mut self, id: SocketId, handshake: Handshake<Frame>, peer: Peer, now: Moment) {
        let is_new = !self.open.contains_key(&id);
        assert!(is_new, "{id} was opened twice");
        let side = handshake.side();
        self.insert(id, Socket::new(Belongs::Greeting(Box::new(handshake), peer), side, None, now));
    }

    /// Which end dialled a socket that has shaken hands, and its peer. The socket belongs nowhere until [`Sockets::open`] says where.
    pub(super) fn take_greeting(&mut self, id: SocketId) -> Option<(Side, Peer)> {
        match self.remove(id)?.belongs {
            Belongs::Greeting(handshake, peer) => Some((handshake.side(), peer)),
            Belongs::Caller(_) | Belongs::Member { .. } => unreachable!("{id} shook hands twice"),
        }
    }

    /// A socket has joined a session. `ping_every` is for members' sockets.
    pub(super) fn open(
        &mut self,
        id: SocketId,
        belongs: Belongs,
        side: Side,
        ping_every: Option<Duration>,
        now: Moment,
    ) {
        self.insert(id, Socket::new(belongs, side, ping_every, now));
    }

    fn insert(&mut self, id: SocketId, socket: Socket) {
        if let Some(member) = socket.belongs.member() {
            self.of_member.entry(member).or_default().insert(id);
        }
        self.open.insert(id, socket);
        self.plan(id);
    }

    /// A socket is gone.
    pub(super) fn remove(&mut self, id: SocketId) -> Option<Gone> {
        let mut socket = self.open.remove(&id)?;
        self.pings.plan(id, &mut socket.ping_planned, None);
        self.turns.plan(id, &mut socket.turn_planned, None);
        self.turning.remove(&id);
        if let Some(member) = socket.belongs.member()
            && let Some(of_it) = self.of_member.get_mut(&member)
        {
            of_it.remove(&id);
            if of_it.is_empty() {
                self.of_member.remove(&member);
            }
        }
        let awaiting = socket.awaiting.into_iter().map(|waits| waits.call).collect();
        Some(Gone { is_replaced: socket.turn.is_replaced(), belongs: socket.belongs, awaiting })
    }

    /// Whether the other end dialled.
    pub(super) fn is_accepted(&self, id: SocketId) -> bool {
        self.open.get(&id).is_some_and(|socket| socket.side == Side::Accepted)
    }

    /// Every open socket, and where it belongs.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketId, &Belongs)> {
        self.open.iter().map(|(id, socket)| (*id, &socket.belongs))
    }

    /// Where a socket belongs.
    pub(super) fn belongs(&self, id: SocketId) -> Option<&Belongs> {
        self.open.get(&id).map(|socket| &socket.belongs)
    }

    /// A frame came from a socket, which is a sign of life: returns where the socket belongs.
    pub(super) fn heard(&mut self, id: SocketId) -> Option<&mut Belongs> {
        let socket = self.open.get_mut(&id)?;
        socket.unanswered = 0;
        Some(&mut socket.belongs)
    }

    /// Every socket towards a member, in the order in which they were opened.
    pub(super) fn of(&self, member: MemberId) -> Vec<SocketId> {
        self.of_member.get(&member).map(|of_it| of_it.iter().copied().collect()).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Follows the settings of a view.
    pub(super) fn set(&mut self, settings: SocketSettings) {
        if std::mem::replace(&mut self.settings, settings) != settings {
            let all: Vec<SocketId> = self.open.keys().copied().collect();
            all.into_iter().for_each(|id| self.plan(id));
        }
    }

    // --- pings ---

    /// Pings the sockets whose ping is due. Returns the sockets of members, and those that the router dialled, that have answered none of the
    /// last pings, which are not pinged again. A ping towards a caller that dialled only keeps middle boxes from closing an idle socket, because a
    /// 1.8.0 dialler would not come back (WIRE 7.5).
    pub(super) fn ping(&mut self, now: Moment, io: &mut impl Io) -> Vec<SocketId> {
        let mut silent = Vec::new();
        for id in self.pings.due(now) {
            let Some(socket) = self.open.get_mut(&id) else { continue };
            if socket.is_moving(io.moved(id), io.backlog_bytes(id)) {
                socket.unanswered = 0;
            }
            let is_watched = matches!(socket.belongs, Belongs::Member { .. }) || socket.side == Side::Dialled;
            if is_watched && socket.unanswered >= limits::PING_MISSES_MAX {
                silent.push(id);
                continue;
            }
            socket.forget_waits(now);
            if socket.awaiting.is_empty() && socket.unanswered == 0 {
                // A pong that was lost, or that answered two pings, would be missing in the count for ever.
                socket.pings.answered = socket.pings.sent;
            }
            socket.unanswered = socket.unanswered.saturating_add(1);
            socket.pinged_at = now;
            socket.ping(id, io);
            self.plan(id);
        }
        silent
    }

    /// Pings a socket that [`Sockets::ping`] returned once more. Returns false if the socket was silent for as long as the last member of
    /// a group may be.
    pub(super) fn ping_once_more(&mut self, id: SocketId, now: Moment, io: &mut impl Io) -> bool {
        let Some(socket) = self.open.get_mut(&id) else { return false };
        if socket.unanswered >= limits::PING_MISSES_OF_LAST_MAX {
            return false;
        }
        socket.unanswered += 1;
        socket.pinged_at = now;
        socket.ping(id, io);
        self.plan(id);
        true
    }

    /// Pings a socket for a call: until this moment, [`Sockets::ponged`] names the call once everything has arrived that the peer wrote before
    /// it read this ping. Returns false if the socket is gone.
    pub(super) fn ping_for(
        &mut self,
        id: SocketId,
        call: CallKey,
        (now, until): (Moment, Moment),
        io: &mut impl Io,
    ) -> bool {
        let Some(socket) = self.open.get_mut(&id).filter(|socket| socket.turn != Turn::Closing) else {
            return false;
        };
        socket.ping(id, io);
        socket.forget_waits(now);
        if socket.awaiting.len() >= limits::CALLS_MAX {
            // The oldest call goes on without the pong when its own wait is over.
            socket.awaiting.pop_front();
        }
        socket.awaiting.push_back(Awaiting { call, ping: socket.pings.sent, until });
        true
    }

    /// A pong came: returns the calls that waited for it.
    pub(super) fn ponged(&mut self, id: SocketId) -> Vec<CallKey> {
        let Some(socket) = self.open.get_mut(&id) else { return Vec::new() };
        socket.unanswered = 0;
        socket.pings.answered = (socket.pings.answered + 1).min(socket.pings.sent);
        let answered = socket.pings.answered;
        let count = socket.awaiting.partition_point(|waits| waits.ping <= answered);
        socket.awaiting.drain(..count).map(|waits| waits.call).collect()
    }

    /// Whether no socket of a member has answered its last ping, for longer than a member that is well takes.
    pub(super) fn is_silent(&self, member: MemberId, now: Moment) -> bool {
        let mut sockets = self.of(member).into_iter().filter_map(|id| self.open.get(&id));
        sockets.all(|socket| {
            let is_late = now.since(socket.pinged_at) >= limits::ANSWER_AWAITED;
            socket.unanswered >= limits::PING_MISSES_MAX || socket.unanswered > 0 && is_late
        })
    }

    /// Whether bytes moved on a socket since the last look that only a living peer can have moved.
    pub(super) fn is_moving(&mut self, id: SocketId, io: &impl Io) -> bool {
        let socket = self.open.get_mut(&id);
        socket.is_some_and(|socket| socket.is_moving(io.moved(id), io.backlog_bytes(id)))
    }

    fn plan(&mut self, id: SocketId) {
        let Some(socket) = self.open.get_mut(&id) else { return };
        let every = match socket.belongs {
            Belongs::Caller(_) => self.settings.caller_ping_every,
            Belongs::Member { .. } => socket.ping_every,
            Belongs::Greeting(..) => None,
        };
        // Nothing is written behind a close.
        let ping_at = every.filter(|_| socket.turn != Turn::Closing).map(|every| socket.pinged_at + every);
        self.pings.plan(id, &mut socket.ping_planned, ping_at);
        // The shell has a caller's socket replaced that it dialled.
        let is_shells = socket.side == Side::Dialled && matches!(socket.belongs, Belongs::Caller(_));
        let may_turn = socket.turn == Turn::InUse && socket.belongs.owner().is_some() && !is_shells;
        let ttl = self.settings.ttl.filter(|_| may_turn);
        let turn_at = ttl.map(|ttl| (socket.opened_at + share_of(ttl, id)).max(socket.turn_from));
        self.turns.plan(id, &mut socket.turn_planned, turn_at);
    }

    // --- replacement ---

    /// How far the replacement of a socket is.
    pub(super) fn turn(&self, id: SocketId) -> Option<(Owner, Turn)> {
        let socket = self.open.get(&id)?;
        Some((socket.belongs.owner()?, socket.turn))
    }

    /// The replacement of a socket goes on.
    pub(super) fn set_turn(&mut self, id: SocketId, turn: Turn) {
        let Some(socket) = self.open.get_mut(&id) else { return };
        socket.turn = turn;
        match turn {
            Turn::InUse => self.turning.remove(&id),
            _ => self.turning.insert(id),
        };
        self.plan(id);
    }

    /// A socket stays in use after all, as if it were new.
    pub(super) fn reinstate(&mut self, id: SocketId, now: Moment) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.opened_at = now;
        }
        self.set_turn(id, Turn::InUse);
    }

    /// A new socket joined for this slot: it replaces the sockets that the slot had before.
    pub(super) fn replace_by(&mut self, new: SocketId, member: MemberId, slot: Slot, now: Moment) {
        for id in self.of(member) {
            let Some(socket) = self.open.get(&id) else { continue };
            let is_there = matches!(socket.belongs, Belongs::Member { slot: Some(at), .. } if at == slot);
            if id != new && is_there && !socket.turn.is_replaced() {
                self.set_turn(id, Turn::Replaced(now));
            }
        }
    }

    /// The sockets whose replacement is under way and is up to us.
    pub(super) fn under_way(&self) -> Vec<SocketId> {
        let is_ours = |id: &&SocketId| {
            let turn = self.open.get(*id).map(|socket| socket.turn);
            matches!(turn, Some(Turn::Replaced(_) | Turn::Retired(_)))
        };
        self.turning.iter().filter(is_ours).copied().collect()
    }

    /// The sockets whose replacement was begun, with their owners.
    pub(super) fn turning(&self) -> impl Iterator<Item = Owner> {
        self.turning.iter().filter_map(|id| self.open.get(id)?.belongs.owner())
    }

    /// The sockets that are old enough to be replaced, the first opened first.
    pub(super) fn old_ones(&self, now: Moment) -> Vec<(SocketId, Owner)> {
        let mut due = self.turns.due(now);
        due.sort_unstable();
        due.into_iter().filter_map(|id| Some((id, self.open.get(&id)?.belongs.owner()?))).collect()
    }

    /// A socket that is old enough cannot be replaced now: [`Sockets::old_ones`] returns it again from this moment on.
    pub(super) fn turn_not_before(&mut self, id: SocketId, at: Moment) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.turn_from = at;
            self.plan(id);
        }
    }

    /// The old socket of a member, if the socket only waits for a moment in which it can be closed.
    pub(super) fn retired_of(&self, member: MemberId) -> Option<SocketId> {
        let is_retired = |id: &SocketId| matches!(self.open.get(id).map(|s| s.turn), Some(Turn::Retired(_)));
        self.of_member.get(&member)?.iter().copied().find(is_retired)
    }

    /// What must be true between two events.
    #[cfg(test)]
    pub(super) fn assert_settled(&self) {
        let of_member: usize = self.of_member.values().map(BTreeSet::len).sum();
        assert_eq!(of_member, self.open.values().filter(|socket| socket.belongs.member().is_some()).count());
        let is_turning = |socket: &&Socket| socket.turn != Turn::InUse;
        assert_eq!(self.turning.len(), self.open.values().filter(is_turning).count());
        let planned = |of: fn(&Socket) -> Option<Moment>| self.open.values().filter_map(of).count();
        assert_eq!(self.pings.len(), planned(|socket| socket.ping_planned));
        assert_eq!(self.turns.len(), planned(|socket| socket.turn_planned));
    }
}

/// Between three quarters of the TTL and all of it, so that sockets of one age do not turn at once.
fn share_of(ttl: Duration, id: SocketId) -> Duration {
    let mixed = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
    ttl / 256 * (192 + mixed as u32)
}

#[cfg(test)]
mod tests;
