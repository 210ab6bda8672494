//! Who is at the other end of a socket.

use std::sync::Arc;

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
