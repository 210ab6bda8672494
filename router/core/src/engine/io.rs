//! What the engine asks of the world around it. The router gives it real sockets, tests and simulations a recorder.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::session::SocketId;

use super::event::{Answer, Ticket};
use super::keys::Slot;
use super::note::Note;
use super::peer::TurnedAway;
use crate::agreed::{Author, Change};
use crate::ids::MemberId;
use crate::view::{Endpoint, View};

/// The effects of the engine. None of them waits or fails: a frame for a socket that has just closed is dropped, and the
/// close is reported as an event.
pub trait Io {
    /// Queues a frame behind those that wait for the socket.
    fn send(&mut self, socket: SocketId, frame: Bytes);

    /// Queues a frame that answers what the peer asked of the router itself: a session check, a refused call. While many such frames wait
    /// for a caller, the caller's socket is not read.
    fn reply(&mut self, socket: SocketId, frame: Bytes) {
        self.send(socket, frame);
    }

    /// Hands a caller's message to the earlier process that the socket came from. Returns false if the socket came from no process, or
    /// that process is gone.
    fn hand_back(&mut self, _socket: SocketId, _message: &Bytes) -> bool {
        false
    }

    /// Lets nothing queued after this call leave the socket before the pause is over (WIRE 7, consequence 2).
    fn hold(&mut self, socket: SocketId, pause: Duration);

    /// Sends an empty WebSocket ping.
    fn ping(&mut self, socket: SocketId);

    /// Writes what is queued, then closes the socket; its end is reported by an event.
    fn close(&mut self, socket: SocketId);

    /// Closes a socket as [`Io::close`] does. The peer is told why in the Close frame, and the log and metrics are told too.
    fn turn_away(&mut self, socket: SocketId, why: TurnedAway) {
        let _ = why;
        self.close(socket);
    }

    /// What waits to be written to the socket.
    fn backlog(&self, socket: SocketId) -> Backlog;

    /// What waits to be written to the socket, in bytes, in memory and on disk together.
    fn backlog_bytes(&self, socket: SocketId) -> usize {
        self.backlog(socket).bytes()
    }

    /// Bytes that the socket moved since it was opened.
    fn moved(&self, socket: SocketId) -> Moved;

    /// What waits to be written to all sockets, exact to some KiB a socket.
    fn backlog_total(&self) -> Backlog;

    /// Dials a member for one of its slots; the outcome is reported by an event.
    fn dial(&mut self, member: MemberId, slot: Slot, endpoint: &Endpoint);

    /// Dials a router through which a member in client mode is to be used; the outcome is reported by an event.
    fn dial_via(&mut self, member: MemberId, router: u32);

    /// The members in client mode that are connected to this router, and get calls here: all of them, whenever one was added or has gone.
    /// Other routers of the cluster are told.
    fn present(&mut self, members: &BTreeSet<MemberId>);

    /// 64 random bits.
    fn random(&mut self) -> u64;

    /// Puts another view in force. The view has the names of new ids, and upgrades of sockets are judged by the view.
    fn publish(&mut self, view: &Arc<View>);

    /// Reports an event to the log and the metrics.
    fn note(&mut self, note: Note<'_>);

    /// Answers what an agent or an operator asked in an event, once all that follows from the event is done.
    fn answer(&mut self, ticket: Ticket, answer: Answer);

    /// Proposes a change to the routers of the cluster ([`Deciding::Together`](super::Deciding)). What becomes of the proposal is reported
    /// by an event. Nothing of the engine waits for that event.
    fn propose(&mut self, proposal: Proposal);
}

/// A change that a router of a cluster wants to have agreed.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Whose answer depends on the proposal. Comes back with [`Event::Agreed`](super::Event::Agreed) or
    /// [`Event::NotAgreed`](super::Event::NotAgreed). None: the router itself proposes, because of what it saw of members. Such a proposal may
    /// get lost without a word: it is made again.
    pub ticket: Option<Ticket>,
    /// The change.
    pub change: Change,
    /// Who wants it.
    pub author: Author,
}

/// What waits for a peer, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// In memory.
    pub memory: usize,
    /// In a spill file.
    pub disk: usize,
}

impl Backlog {
    /// All of it.
    pub fn bytes(self) -> usize {
        self.memory.saturating_add(self.disk)
    }
}

impl std::iter::Sum for Backlog {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            memory: sum.memory.saturating_add(part.memory),
            disk: sum.disk.saturating_add(part.disk),
        })
    }
}

/// What a socket moved since it was opened, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the peer.
    pub received: u64,
    /// Into the kernel, towards the peer.
    pub written: u64,
}
