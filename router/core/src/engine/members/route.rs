//! The member's end of a call.

use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use crate::engine::keys::MemberSessionKey;
use crate::ids::MemberId;

/// The member's end of a call. Opaque: only the table of members knows the fields, and whether another router stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Route {
    pub(super) member: MemberId,
    /// Which of the member's sessions: a restarted member is another one.
    pub(super) session: MemberSessionKey,
    /// The id that we gave to the call.
    pub(super) id: i64,
    /// The socket that carried the request.
    pub(super) socket: SocketId,
    /// When the request was sent there.
    pub(super) sent: Moment,
}

impl Route {
    /// The member that has the call.
    pub(in crate::engine) fn member(&self) -> MemberId {
        self.member
    }

    /// Whether this socket carried the request.
    pub(in crate::engine) fn is_on(&self, socket: SocketId) -> bool {
        self.socket == socket
    }

    /// Whether the request is the one that went out on this socket of this session under this id.
    pub(in crate::engine) fn is(&self, session: MemberSessionKey, socket: SocketId, id: i64) -> bool {
        (self.session, self.socket, self.id) == (session, socket, id)
    }

    /// The id that the request carries on its way to the member.
    pub(in crate::engine) fn id(&self) -> i64 {
        self.id
    }

    /// The session that the request was sent in.
    pub(in crate::engine) fn session(&self) -> MemberSessionKey {
        self.session
    }

    /// When the request was sent.
    pub(in crate::engine) fn sent(&self) -> Moment {
        self.sent
    }
}
