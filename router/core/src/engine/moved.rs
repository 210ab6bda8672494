//! What another process needs to know to go on with a caller: plain data under names.

use rcs_proto::session::SocketId;

use super::allowed::Allowed;

/// A caller that dialled this router, as another process takes it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedCaller {
    /// The group that the connection chose; none where the connector of each call decides.
    pub group: Option<String>,
    /// The principal that the caller proved.
    pub principal: String,
    /// The groups that the caller may use.
    pub allowed: Allowed,
    /// What is known of the caller's session; none for a socket whose handshake is not done.
    pub session: Option<MovedSession>,
    /// The open sockets, by the numbers of the process that has them.
    pub sockets: Vec<SocketId>,
}

/// A caller's session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovedSession {
    /// The session id that the caller showed.
    pub id: String,
    /// The ids of calls that have no answer yet. The earlier process has the calls, and answers them while it lives.
    pub open: Vec<i64>,
    /// Questions for connectors that have no answer yet. The later process answers them, and perhaps the earlier one too: a caller ignores
    /// the second answer.
    pub infos_wanted: Vec<i64>,
    /// Which members gave which pages of searches: the digest of the page's cookie, and the member's name.
    pub pages: Vec<(u64, String)>,
}
