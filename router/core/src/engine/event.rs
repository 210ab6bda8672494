//! What happens to the engine. An [`Event`] is the only way to change the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::manifest::{Digest, FileManifest};
use rcs_proto::session::{Side, SocketId};

use super::frame::Frame;
use super::keys::Slot;
use super::moved::MovedCaller;
use super::peer::Peer;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::agreed::sets::{BundleChange, BundleRefusal};
use crate::agreed::{Agreed, At, Author, Change};
use crate::ids::{ConfigurationId, MemberId};

/// Something that happened. [`Event`] has no `Debug`, for frames are payload.
#[derive(Clone)]
pub enum Event {
    /// A socket was upgraded.
    Opened {
        /// The socket.
        socket: SocketId,
        /// Which end dialled. Which end calls is another fact: the router may dial a caller, and a member may dial the router.
        side: Side,
        /// Who is at the other end of the socket.
        peer: Peer,
    },
    /// A caller comes from an earlier process, which has handed these sockets over.
    Moved {
        /// What the earlier process knew of the caller. The numbers of the sockets in there are those of the earlier process.
        caller: Box<MovedCaller>,
        /// The sockets.
        sockets: Vec<SocketId>,
    },
    /// The earlier process still has these calls of one caller, and no others.
    EarlierHas {
        /// A socket of the caller.
        socket: SocketId,
        /// The ids of the calls.
        open: Vec<i64>,
    },
    /// The earlier process is gone, and everything that it wrote has been passed on. Calls that it did not answer end with an error.
    EarlierGone {
        /// Whether it has said that every call has its answer. What is known of its calls is older than its last answers.
        is_done: bool,
    },
    /// An attempt to reach a member failed.
    DialFailed {
        /// The member.
        member: MemberId,
        /// Which of the member's slots the attempt was for.
        slot: Slot,
        /// The kind of failure. It also decides whether the next attempt follows soon.
        failure: DialFailure,
        /// A sentence for the operator, without secrets.
        reason: String,
    },
    /// Another router could not be reached, through which a member was to be used.
    WayFailed {
        /// The member.
        member: MemberId,
        /// A sentence for the operator, without secrets.
        reason: String,
    },
    /// Through which router each member in client mode can be used that is connected to another router: the number of the router by the name
    /// of the member. Replaces what was known before.
    Elsewhere(Arc<BTreeMap<String, u32>>),
    /// The dialler wants a socket of a caller closed that it dialled, because of the socket's age, or because the caller is not wanted any more.
    /// The socket is closed once no answer needs it.
    Retire {
        /// The socket.
        socket: SocketId,
    },
    /// A frame arrived.
    Frame {
        /// On this socket.
        socket: SocketId,
        /// The frame, as its socket's reading task read it.
        frame: Frame,
    },
    /// A frame was dropped, because it was over the size limit, or there was no room for it. Only the frame's head was read.
    Oversize {
        /// On this socket.
        socket: SocketId,
        /// The message id of the frame.
        message_id: i64,
        /// Whether the frame was a request or (part of) an answer.
        what: OversizeFrame,
        /// The size of the frame.
        bytes: usize,
        /// Why the frame was dropped.
        why: OversizeReason,
    },
    /// A binary frame arrived that is no message of the protocol.
    Garbage {
        /// On this socket.
        socket: SocketId,
    },
    /// What let a socket in counts no more, such as a token that was revoked: the socket is closed.
    Revoked {
        /// The socket.
        socket: SocketId,
        /// A sentence for the operator, without secrets.
        reason: String,
    },
    /// A pong arrived.
    Pong {
        /// On this socket.
        socket: SocketId,
    },
    /// A socket is gone, whichever end closed it. The last event of a socket.
    Closed {
        /// The socket.
        socket: SocketId,
        /// Queued frames that the peer certainly did not receive. Any other frame may have arrived.
        unsent: Vec<Bytes>,
    },
    /// The moment that [`super::Engine::next_wake`] named has come.
    Wake,
    /// A change was agreed: by the operator's files, or by the routers' log. A router of a cluster gets every entry of the log that its
    /// copy of the log applies, in the order of the log, also the entries that other routers proposed.
    Agreed {
        /// The change.
        change: Change,
        /// Who wanted it.
        author: Author,
        /// When the change was agreed. All routers of a cluster are given the same moment: the log's.
        at: At,
        /// The ticket of the [`Proposal`](super::Proposal), if this engine made the proposal for an operator. The ticket is answered with
        /// what became of the change.
        ticket: Option<Ticket>,
    },
    /// A proposal was not agreed, or nobody knows in time whether it was. The ticket is answered with the reason. If the log has the change
    /// all the same, [`Event::Agreed`] still follows, and the ticket is not answered again.
    NotAgreed {
        /// The ticket of the [`Proposal`](super::Proposal).
        ticket: Ticket,
        /// A sentence for the operator: why, and what to do.
        reason: String,
    },
    /// A snapshot of the routers' log was installed. The snapshot replaces all that is agreed. What the router sees stays: sessions, health,
    /// calls in flight.
    Restored(Box<Agreed>),
    /// A change that this engine proposed for an operator is part of the state that [`Event::Restored`] brought. The ticket is answered with
    /// success.
    Included {
        /// The ticket of the [`Proposal`](super::Proposal).
        ticket: Ticket,
    },
    /// An operator asks for a change. The engine judges the change by what this router sees, and then has it agreed.
    Operator {
        /// Returned with the answer: [`Answer::Marked`], [`Answer::Bundles`] or [`Answer::Released`]. In a cluster, the answer to a mark or a
        /// change of bundle sets comes with a later event: [`Event::Agreed`], [`Event::Included`] or [`Event::NotAgreed`]. No two events have one ticket.
        ticket: Ticket,
        /// What is asked for.
        wish: Wish,
    },
    /// The agent beside a member proved its identity, and reported something.
    Agent {
        /// Comes back with the answer: [`Answer::Agent`].
        ticket: Ticket,
        /// The member's name.
        member: String,
        /// What the agent reported.
        says: AgentSays,
    },
    /// The process is asked to end: no new calls, and subscriptions end.
    Drain,
    /// The time to drain is over: every call that is left gets its answer now. New calls are kept, without an answer.
    DrainOver,
    /// Let callers go. Repeated until [`super::Engine::has_callers`] returns false, with pauses in which peers can close.
    LetGo {
        /// How many callers to begin with, besides those that the event before this one began with.
        callers: usize,
    },
}

/// Why a large frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OversizeReason {
    /// The frame is over the limit for one frame.
    Limit,
    /// The room that all large frames share was taken, or the frame came too slowly to keep its room.
    Overload,
}

/// Which side of a call an over-long frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OversizeFrame {
    /// A caller's request.
    Request,
    /// A frame of a member's answer.
    Answer,
}

/// Why a member could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// No address is known for the host name.
    NameNotResolved,
    /// Nothing listens at the address.
    ConnectionRefused,
    /// No connection was made in time.
    TimedOut,
    /// The network failed in another way: no route, or a connection that was reset.
    Unreachable,
    /// The server accepted the connection and did not answer in time.
    NoAnswer,
    /// The server closed the connection without an answer.
    Closed,
    /// The server answered with an HTTP status other than those for a wrong key or path.
    HttpStatus,
    /// The server refused our principal or key.
    WrongKey,
    /// The server has no OpenICF service at the path of the document.
    WrongPath,
    /// The TLS handshake failed: a certificate, a name, a version.
    TlsFailed,
    /// The document says `useSSL`, and the server speaks no TLS.
    NoTls,
    /// The server speaks TLS, and the document does not say `useSSL`.
    WantsTls,
    /// The answer is not that of an OpenICF server.
    NotOpenIcf,
    /// The document's target cannot be dialled, or the router lacks what it needs to dial the target.
    BadTarget,
}

impl DialFailure {
    /// The words that an operator reads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NameNotResolved => "host name cannot be resolved",
            Self::ConnectionRefused => "connection refused",
            Self::TimedOut => "connection timed out",
            Self::Unreachable => "cannot be reached",
            Self::NoAnswer => "no answer to the HTTP upgrade",
            Self::Closed => "connection closed without an answer",
            Self::HttpStatus => "refused with an HTTP status",
            Self::WrongKey => "wrong key or principal",
            Self::WrongPath => "no OpenICF service at this path",
            Self::TlsFailed => "TLS handshake failed",
            Self::NoTls => "useSSL is set, and the server has no TLS",
            Self::WantsTls => "the server needs TLS: set useSSL",
            Self::NotOpenIcf => "not an OpenICF server",
            Self::BadTarget => "cannot be dialled",
        }
    }

    /// Whether only the operator can mend the failure. Then the next attempt is made later than after failures that may be gone at any
    /// moment.
    pub const fn is_lasting(self) -> bool {
        match self {
            Self::WrongKey
            | Self::WrongPath
            | Self::TlsFailed
            | Self::NoTls
            | Self::WantsTls
            | Self::NotOpenIcf
            | Self::BadTarget => true,
            Self::NameNotResolved
            | Self::ConnectionRefused
            | Self::TimedOut
            | Self::Unreachable
            | Self::NoAnswer
            | Self::Closed
            | Self::HttpStatus => false,
        }
    }
}

/// Who decides what is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deciding {
    /// This router alone: what is wished is agreed and followed within the same event.
    Alone,
    /// The routers of a cluster: what is wished is proposed ([`Io::propose`](super::Io::propose)), and followed once the cluster's log has
    /// it ([`Event::Agreed`]). Calls never wait for the log.
    Together,
}

/// Whether new calls are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New calls are accepted.
    Serving,
    /// New calls are refused; calls in flight go on.
    Draining,
    /// New calls are kept until the router closes their caller's sockets, and are then refused.
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
        /// Whether a group, or a connector version in use, may be left without a member that serves.
        last: LastMember,
    },
    /// Change the bundle sets of a group.
    Bundles {
        /// The group's name.
        group: String,
        /// What is to be done.
        change: BundleChange,
        /// Whether a connector version in use may be left without a member.
        last: LastMember,
    },
    /// Release a configuration that is quarantined.
    Release(ConfigurationId),
}

/// What the agent beside a member reports.
#[derive(Clone, Debug)]
pub enum AgentSays {
    /// These are the member's files.
    Files(Arc<FileManifest>),
    /// The files are still those of this digest.
    StillThere(Digest),
}

/// Where the answer to an event goes: a number that the shell puts into the event, and the engine gives back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The answer to what an agent or an operator asked, given once all that follows from the event is done. Each ticket is answered once.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Wish::Mark`]: whether the member has the mark now. A refused mark changes nothing.
    Marked(Result<(), MarkRefusal>),
    /// To [`Wish::Bundles`]: whether the change was made. A refused change changes nothing.
    Bundles(Result<(), BundleRefusal>),
    /// Answers [`Wish::Release`]: whether the configuration was released.
    Released(Result<(), NotQuarantined>),
    /// To [`Event::Agent`]: whether the router knows the files of the digest that the agent named. If not, the agent must report all
    /// files.
    Agent(Result<bool, UnknownMember>),
}

/// An operator asked to release a configuration that is not quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no configuration {0} is quarantined in this router: `rcs-router quarantine list` names those that are"
)]
pub struct NotQuarantined(pub ConfigurationId);

/// An agent reports for a member that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the provider document has no server named {0:?}: give the agent the name of a server in the document"
)]
pub struct UnknownMember(pub String);
