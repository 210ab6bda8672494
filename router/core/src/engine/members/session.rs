//! One session of a member. It ends when its last socket closes.

use std::collections::VecDeque;

use bytes::Bytes;
use rcs_proto::messages::handshake_message::ServerType;
use rcs_proto::session::{Remote, Session, SocketId};
use rcs_proto::time::Moment;

use crate::bundles::group::Server;
use crate::engine::facade::ConfigurationDigest;
use crate::engine::keys::Work;
use crate::engine::list::MemberList;
use crate::ids::MemberId;

/// One session of a member.
#[derive(Debug)]
pub(in crate::engine) struct MemberSession {
    pub(super) member: MemberId,
    /// The session id that its process showed.
    pub(super) remote: String,
    /// The router through which the session leads to the member; none if the member itself is at the other end.
    pub(super) via: Option<u32>,
    /// Since when the session gets no new calls, although its sockets are open.
    pub(super) parted_at: Option<Moment>,
    pub(super) session: Session<Work>,
    /// The highest id of a call that the session has answered. Ids are given in the order in which calls are sent.
    pub(super) answered: i64,
    /// The connectors that the session reported last.
    pub(super) told: Option<MemberList>,
    /// Session checks sent since the list came.
    pub(super) checks_since_told: u32,
    /// Session checks in a row that were not answered in time.
    pub(super) checks_missed: u32,
    /// Calls that were given up without an answer, the latest last. Most members go on with such calls.
    pub(super) given_up: VecDeque<GivenUp>,
}

/// A call that was given up without an answer.
#[derive(Clone, Debug)]
pub(in crate::engine) struct GivenUp {
    pub(in crate::engine) configuration: ConfigurationDigest,
    /// The connector key of its request.
    pub(in crate::engine) connector: Bytes,
    /// When it was sent.
    pub(in crate::engine) sent: Moment,
    /// When it was given up.
    pub(in crate::engine) at: Moment,
}

impl MemberSession {
    /// The member.
    pub(in crate::engine) fn member(&self) -> MemberId {
        self.member
    }

    /// Open sockets that are ready.
    pub(in crate::engine) fn sockets(&self) -> impl Iterator<Item = SocketId> {
        self.session.sockets()
    }
}

/// Which server a peer says that it is. rcs-node says the same as a Java server, and neither gives a version (B09).
pub(super) fn server_of(remote: &Remote) -> Option<Server> {
    let product = match remote.server_type {
        ServerType::Java => "java",
        ServerType::Dotnet => "dotnet",
        ServerType::Unknown => return None,
    };
    Some(Server { product: product.to_owned(), version: None })
}
