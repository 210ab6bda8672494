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
        /// The member's slot that we dialled for; none if the member dialled us.
        slot: Option<Slot>,
    },
}
