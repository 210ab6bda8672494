//! Who is at the other end of a socket.

use std::sync::Arc;

use super::keys::Slot;
use super::selector::Selector;
use crate::ids::MemberId;

/// Who is at the other end of a socket.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A caller: it sends calls, and we answer.
    Caller {
        /// Which group its path or its principal chose.
        selector: Selector,
        /// The principal that it proved to be.
        principal: Arc<str>,
    },
    /// A member: we send calls, and it answers.
    Member {
        /// Which one.
        member: MemberId,
        /// For which of its slots we dialled; none: it dialled us.
        slot: Option<Slot>,
    },
}
