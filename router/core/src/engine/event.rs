//! What happens to the engine. An [`Event`] is the only way to change it.

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::envelope::Envelope;
use rcs_proto::manifest::{Digest, FileManifest};
use rcs_proto::session::{Side, SocketId};

use super::keys::Slot;
use super::peer::Peer;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::agreed::sets::{BundleChange, BundleRefusal};
use crate::agreed::{Author, Change};
use crate::ids::MemberId;

/// Something that happened in the world. It has no `Debug`: frames are payload.
#[derive(Clone)]
pub enum Event {
    /// A socket was upgraded.
    Opened {
        /// The socket.
        socket: SocketId,
        /// Whether we dialled it. Independent of who calls whom: a caller may be dialled, a member may dial us.
        side: Side,
        /// Who is at its other end.
        peer: Peer,
    },
    /// An attempt to reach a member failed.
    DialFailed {
        /// The member.
        member: MemberId,
        /// For which of its slots.
        slot: Slot,
        /// Whether to try again soon.
        failure: DialFailure,
        /// A sentence for the operator, without secrets.
        reason: String,
    },
    /// A frame arrived.
    Frame {
        /// On this socket.
        socket: SocketId,
        /// What was read of it.
        envelope: Envelope,
    },
    /// A frame over the size limit arrived and was dropped; its head was read.
    Oversize {
        /// On this socket.
        socket: SocketId,
        /// Its message id.
        message_id: i64,
        /// Whether it was a request or (part of) an answer.
        what: OversizeFrame,
        /// Its size.
        bytes: usize,
    },
    /// A binary frame arrived that is no message of the protocol.
    Garbage {
        /// On this socket.
        socket: SocketId,
    },
    /// A pong arrived.
    Pong {
        /// On this socket.
        socket: SocketId,
    },
    /// A socket is gone, whoever closed it. The last event of a socket.
    Closed {
        /// The socket.
        socket: SocketId,
        /// Queued frames that its peer cannot have; anything else may have arrived.
        unsent: Vec<Bytes>,
    },
    /// The moment that [`super::Engine::next_wake`] named has come.
    Wake,
    /// A change was agreed: by the operator's files, or by the routers' log.
    Agreed {
        /// The change.
        change: Change,
        /// Who wanted it.
        author: Author,
    },
    /// An operator asks for a change. It is judged by what this router sees, and then agreed.
    Operator {
        /// The answer's address: [`Answer::Marked`] or [`Answer::Bundles`].
        ticket: Ticket,
        /// What is asked for.
        wish: Wish,
    },
    /// The agent beside a member proved who it is, and said something.
    Agent {
        /// The answer's address: [`Answer::Agent`].
        ticket: Ticket,
        /// The member's name.
        member: String,
        /// What it said.
        says: AgentSays,
    },
    /// The process is asked to end: no new calls, and subscriptions end.
    Drain,
    /// The time for that is over: every call that is left gets its answer now, and new ones are kept.
    DrainOver,
    /// Let so many callers go. Repeated until [`super::Engine::has_callers`] says no, with pauses in which peers can close.
    LetGo {
        /// How many, beyond those that were begun with the last time.
        callers: usize,
    },
}

/// Which side of a call an over-long frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OversizeFrame {
    /// A caller's request.
    Request,
    /// A frame of a member's answer.
    Answer,
}

/// Why a member could not be reached, as far as the next attempt depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// It does not listen, or does not answer: it may at any moment.
    Unreachable,
    /// It refused our credentials, or what it speaks is not what the document says: only the operator can mend that.
    Refused,
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They are.
    Serving,
    /// They are refused; those in flight go on.
    Draining,
    /// New calls are kept until the router closes their caller's sockets, and are refused then.
    Leaving,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Mark a member.
    Mark {
        /// The group that the member is named by; the mark is the member's, in all its groups.
        group: String,
        /// The member's name.
        member: String,
        /// What is to be done.
        change: MarkChange,
        /// Whether a group may be left without a member that serves.
        last: LastMember,
    },
    /// Change the bundle sets of a group.
    Bundles {
        /// The group's name.
        group: String,
        /// What is to be done.
        change: BundleChange,
    },
}

/// What the agent beside a member says.
#[derive(Clone, Debug)]
pub enum AgentSays {
    /// These are the member's files.
    Files(Arc<FileManifest>),
    /// The files are still those of this digest.
    StillThere(Digest),
}

/// Where the answer to an event goes: a number that the world gives out and the engine gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// The answer to what an agent or an operator asked, given once all that follows from the event is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Wish::Mark`]: whether the member has the mark now. Nothing is changed if it is refused.
    Marked(Result<(), MarkRefusal>),
    /// To [`Wish::Bundles`]: whether the change was made. Nothing is changed if it is refused.
    Bundles(Result<(), BundleRefusal>),
    /// To what an agent said: whether the files of the digest that it named are known; if not, it must report all of them.
    Agent(Result<bool, UnknownMember>),
}

/// An agent speaks of a member that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the provider document has no server named {0:?}: give the agent the name of a server in the document"
)]
pub struct UnknownMember(pub String);
