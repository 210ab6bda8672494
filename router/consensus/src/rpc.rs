//! What routers ask each other, whatever carries the question: tonic in a router, a simulated network in tests.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::messages::{
    AppendRequest, AppendResponse, ChangeRoutersRequest, ChangeRoutersResponse, HelloRequest, HelloResponse,
    PresenceRequest, PresenceResponse, ProposeRequest, ProposeResponse, ReadIndexRequest, ReadIndexResponse,
    Sender, SnapshotResponse, TakeOverRequest, TakeOverResponse, VoteRequest, VoteResponse, snapshot_part,
};
use crate::types::RouterId;

/// The version of the protocol between routers. A router answers this version and the one before.
pub const PROTOCOL: u32 = 1;

/// A router that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id, if it is known: a router that was never met has only an address.
    pub id: Option<RouterId>,
    /// `HOST:PORT` of its cluster address.
    pub address: String,
}

/// A question to another router.
#[derive(Clone, Debug)]
pub enum Request {
    /// Who are you?
    Hello(HelloRequest),
    /// A candidate asks for a vote.
    Vote(VoteRequest),
    /// The leader sends entries, or a heartbeat without any.
    Append(AppendRequest),
    /// The leader sends its snapshot to a router that needs entries which are purged.
    Snapshot {
        /// What the snapshot stands for.
        head: snapshot_part::Head,
        /// The machine's snapshot.
        content: Bytes,
    },
    /// Commands for the leader.
    Propose(ProposeRequest),
    /// How far is the log decided?
    ReadIndex(ReadIndexRequest),
    /// The leader stops, and the receiver should lead.
    TakeOver(TakeOverRequest),
    /// A change of the routers, for the leader.
    ChangeRouters(ChangeRoutersRequest),
    /// What the sender sees now, and no log has.
    Presence(PresenceRequest),
}

impl Request {
    /// Who asks, if the request says so.
    pub fn sender(&self) -> Option<&Sender> {
        match self {
            Self::Hello(request) => request.sender.as_ref(),
            Self::Vote(request) => request.sender.as_ref(),
            Self::Append(request) => request.sender.as_ref(),
            Self::Snapshot { head, .. } => head.sender.as_ref(),
            Self::Propose(request) => request.sender.as_ref(),
            Self::ReadIndex(request) => request.sender.as_ref(),
            Self::TakeOver(request) => request.sender.as_ref(),
            Self::ChangeRouters(request) => request.sender.as_ref(),
            Self::Presence(request) => request.sender.as_ref(),
        }
    }
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Response {
    Hello(HelloResponse),
    Vote(VoteResponse),
    Append(AppendResponse),
    Snapshot(SnapshotResponse),
    Propose(ProposeResponse),
    ReadIndex(ReadIndexResponse),
    TakeOver(TakeOverResponse),
    ChangeRouters(ChangeRoutersResponse),
    Presence(PresenceResponse),
}

/// Why another router gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The request did not reach the router: nothing was done.
    #[error("{0}")]
    Unreachable(
        /// What happened, without secrets.
        String,
    ),
    /// The request may have reached the router.
    #[error("{0}")]
    Lost(
        /// What happened, without secrets.
        String,
    ),
    /// The router refused the request, and says why: nothing was done.
    #[error("{0}")]
    Refused(
        /// The router's sentence.
        String,
    ),
}

/// Why a router refuses a request before it looks at the question. Each sentence is for the operator of the router that asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The request names no sender.
    #[error("the request names no sender: it does not come from a router of this version")]
    NoSender,
    /// Another version of the protocol.
    #[error(
        "this router speaks version {PROTOCOL} of the cluster protocol, not version {0}: upgrade the older router"
    )]
    Protocol(u32),
    /// A router of another cluster.
    #[error(
        "this router belongs to cluster {own}, not to {theirs}: two clusters are never merged. Give the router that asked \
         addresses of its own cluster, or empty its --data-dir and add it to this one"
    )]
    OtherCluster {
        /// The receiver's cluster.
        own: String,
        /// The sender's cluster.
        theirs: String,
    },
    /// A request for a router that had this address before.
    #[error(
        "this router is {own}, not {meant}: its store is not the one that the cluster knows. Remove {meant} from the cluster, and \
         add this router with `rcs-router cluster replace`"
    )]
    OtherRouter {
        /// The receiver.
        own: RouterId,
        /// Whom the sender meant.
        meant: RouterId,
    },
    /// The consensus part of this router has stopped.
    #[error("the consensus part of this router does not run: {0}")]
    Stopped(
        /// Why.
        String,
    ),
    /// The request makes no sense.
    #[error("the request cannot be read: {0}")]
    Malformed(
        /// What is wrong with it.
        String,
    ),
}

/// Carries requests to other routers.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Asks a router, and waits for the answer for `within` at most.
    ///
    /// # Errors
    /// [`Unanswered`]
    fn ask(
        &self,
        to: &Peer,
        request: Request,
        within: Duration,
    ) -> impl Future<Output = Result<Response, Unanswered>> + Send;
}

/// Answers the requests of other routers.
pub trait Receiver: Clone + Send + Sync + 'static {
    /// Answers a request.
    ///
    /// # Errors
    /// [`Rejected`]: nothing was done.
    fn receive(&self, request: Request) -> impl Future<Output = Result<Response, Rejected>> + Send;
}
