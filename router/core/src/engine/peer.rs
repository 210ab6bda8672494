//! Who is at the other end of a socket.

use std::sync::Arc;

use rcs_proto::session::{HandshakeError, Side};

use super::allowed::Allowed;
use super::keys::Slot;
use super::selector::Selector;
use crate::ids::MemberId;

/// Who is at the other end of a socket.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A caller, which sends calls and gets answers from us.
    Caller {
        /// The group that the connection's path or principal chose, if one did.
        selector: Selector,
        /// The principal that the caller proved.
        principal: Arc<str>,
        /// The groups that the caller may use.
        allowed: Allowed,
    },
    /// A member, which gets calls from us and sends answers.
    Member {
        /// The member.
        member: MemberId,
        /// How the socket came about.
        by: DialledBy,
    },
}

/// Which end opened a member's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialledBy {
    /// We dialled, for this slot of the member.
    Us(Slot),
    /// The member dialled (client mode).
    Member(Arc<DialOrigin>),
    /// We dialled the router of this number, to which the member is connected (`via`).
    Router(u32),
}

/// What is known of a member in client mode before its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOrigin {
    /// The IP address that the socket comes from.
    pub address: String,
}

impl Peer {
    /// Whether the peer dialled this router, and was let in by its credential. Other routers are told apart by their certificates.
    pub(super) fn has_dialled(&self, side: Side) -> bool {
        side == Side::Accepted
            && match self {
                Self::Caller { selector, .. } => selector.forwards_to().is_none(),
                Self::Member { .. } => true,
            }
    }
}

impl DialledBy {
    /// The slot that we dialled for.
    pub(super) fn slot(&self) -> Option<Slot> {
        match self {
            Self::Us(slot) => Some(*slot),
            Self::Member(_) | Self::Router(_) => None,
        }
    }

    /// The router through which the socket leads to the member.
    pub(super) fn via(&self) -> Option<u32> {
        match self {
            Self::Router(router) => Some(*router),
            Self::Us(_) | Self::Member(_) => None,
        }
    }
}

/// Why a peer that dialled, and was let in by its credential, is turned away. None of these sockets is a healthy socket of a caller: either
/// its handshake never came, or the peer showed that it is something else than what its credential says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// Nothing came in time: no handshake, and no other frame.
    Silent,
    /// Frames came in time, but no handshake.
    NoHandshake,
    /// The handshake cannot be used.
    Handshake(HandshakeError),
    /// A connector server of .NET showed a caller's credential. No IDM is written in .NET.
    ServerAmongCallers,
    /// A peer with a member's credential sent a call. Connector servers never call.
    CallerAmongMembers,
}

impl TurnedAway {
    /// All labels.
    pub const LABELS: [&'static str; 5] =
        ["silent", "no_handshake", "bad_handshake", "server_among_callers", "caller_among_members"];

    /// One word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::NoHandshake => "no_handshake",
            Self::Handshake(_) => "bad_handshake",
            Self::ServerAmongCallers => "server_among_callers",
            Self::CallerAmongMembers => "caller_among_members",
        }
    }
}
