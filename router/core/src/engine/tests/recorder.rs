//! What the engine asked for, written down.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::session::SocketId;

use crate::engine::*;
use crate::ids::MemberId;
use crate::view::{Endpoint, View};

/// What the engine asked for.
#[derive(Default)]
pub(in crate::engine) struct Recorder {
    /// Frames by socket, in order, not yet looked at.
    pub(in crate::engine) sent: HashMap<SocketId, VecDeque<Bytes>>,
    /// Messages for an earlier process, by the socket that leads there.
    pub(super) handed_back: Vec<(SocketId, Bytes)>,
    /// The sockets that lead to an earlier process.
    pub(super) leads_back: BTreeSet<SocketId>,
    pub(super) dials: VecDeque<(MemberId, Slot)>,
    pub(super) via_dials: VecDeque<(MemberId, u32)>,
    pub(super) present: BTreeSet<MemberId>,
    pub(in crate::engine) closed: Vec<SocketId>,
    pub(in crate::engine) pinged: Vec<SocketId>,
    pub(in crate::engine) notes: Vec<String>,
    pub(super) answers: Vec<(Ticket, Answer)>,
    /// Proposals that the log has not taken yet.
    pub(super) proposals: Vec<Proposal>,
    pub(in crate::engine) backlog: HashMap<SocketId, usize>,
    /// What of it is on disk is in `spilled` instead.
    pub(super) spilled: HashMap<SocketId, usize>,
    pub(in crate::engine) moved: HashMap<SocketId, Moved>,
    /// Everything that was asked for, in order.
    pub(super) effects: Vec<String>,
    random: u64,
}

impl Io for Recorder {
    fn send(&mut self, socket: SocketId, frame: Bytes) {
        self.effects.push(format!("send {socket} {frame:?}"));
        self.sent.entry(socket).or_default().push_back(frame);
    }
    fn hand_back(&mut self, socket: SocketId, message: &Bytes) -> bool {
        let leads_back = self.leads_back.contains(&socket);
        if leads_back {
            self.effects.push(format!("hand back {socket} {message:?}"));
            self.handed_back.push((socket, message.clone()));
        }
        leads_back
    }
    fn hold(&mut self, socket: SocketId, pause: Duration) {
        self.effects.push(format!("hold {socket} {pause:?}"));
    }
    fn ping(&mut self, socket: SocketId) {
        self.effects.push(format!("ping {socket}"));
        self.pinged.push(socket);
    }
    fn close(&mut self, socket: SocketId) {
        self.effects.push(format!("close {socket}"));
        self.closed.push(socket);
    }
    fn backlog(&self, socket: SocketId) -> Backlog {
        let of = |bytes: &HashMap<SocketId, usize>| bytes.get(&socket).copied().unwrap_or(0);
        Backlog { memory: of(&self.backlog), disk: of(&self.spilled) }
    }
    fn moved(&self, socket: SocketId) -> Moved {
        self.moved.get(&socket).copied().unwrap_or_default()
    }
    fn backlog_total(&self) -> Backlog {
        Backlog { memory: self.backlog.values().sum(), disk: self.spilled.values().sum() }
    }
    fn dial(&mut self, member: MemberId, slot: Slot, endpoint: &Endpoint) {
        self.effects.push(format!("dial {member} {slot:?} {endpoint:?}"));
        self.dials.push_back((member, slot));
    }
    fn dial_via(&mut self, member: MemberId, router: u32) {
        self.effects.push(format!("dial {member} via router {router}"));
        self.via_dials.push_back((member, router));
    }
    fn present(&mut self, members: &BTreeSet<MemberId>) {
        self.effects.push(format!("present {members:?}"));
        self.present = members.clone();
    }
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 11
    }
    fn note(&mut self, note: Note<'_>) {
        self.notes.push(format!("{note:?}"));
        self.effects.push(format!("note {note:?}"));
    }
    fn publish(&mut self, view: &Arc<View>) {
        self.effects.push(format!("publish {} members", view.members().len()));
    }
    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(format!("answer {ticket:?} {answer:?}"));
        self.answers.push((ticket, answer));
    }
    fn propose(&mut self, proposal: Proposal) {
        self.effects.push(format!("propose {proposal:?}"));
        self.proposals.push(proposal);
    }
}
