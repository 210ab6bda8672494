//! What the rest of the process asks of the owner. (Frames of sockets reach the owner by another queue.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rcs_core::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use rcs_core::agreed::sets::{BundleChange, BundleRefusal};
use rcs_core::agreed::{self, Agreed, At, Author, Change};
use rcs_core::engine::{
    AgentSays, Allowed, Answer, BundlesReport, CallFilter, CallId, CallReport, CallerReport,
    ConfigurationReport, DialFailure, DialOrigin, MovedCaller, NotQuarantined, Phase, Report, Selector, Slot,
    Ticket, UnknownMember, Wish,
};
use rcs_core::ids::{ConfigurationId, MemberId};
use rcs_core::settings::Settings;
use rcs_proto::driver::WebSocket;
use rcs_proto::driver::listen::Unproven;
use rcs_proto::driver::socket::{CloseReason, SocketHandle};
use rcs_proto::session::SocketId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::access::{Lease, Revoked};
use crate::handover::Arrived;
use crate::limits::{AGREED_ANSWER_DEADLINE, OWNER_ANSWER_DEADLINE, REQUEST_QUEUE_MAX};
use crate::strangers::Presented;

/// One request.
#[derive(Debug)]
pub(crate) enum Request {
    /// A caller's upgrade succeeded.
    Accepted {
        /// The socket.
        socket: WebSocket,
        /// The socket's place among sockets from which no frame has come yet.
        unproven: Unproven,
        /// Which group the connection chose, if it chose one.
        selector: Selector,
        /// The principal that the caller proved.
        principal: Arc<str>,
        /// The groups that the caller may use.
        allowed: Allowed,
        /// What the connection presented.
        presented: Presented,
        /// The lease of the connection, if a token or certificate let it in.
        lease: Option<Lease>,
    },
    /// A member in client mode opened a socket to this router.
    Joined {
        /// The socket.
        socket: WebSocket,
        /// The socket's place among sockets from which no frame has come yet.
        unproven: Unproven,
        /// The member whose name the credential is for.
        member: MemberId,
        /// What else is known of the member.
        origin: DialOrigin,
        /// What the connection presented.
        presented: Presented,
        /// The lease of the connection, if a token or certificate let it in.
        lease: Option<Lease>,
    },
    /// Report the sockets that can be handed over to a later process.
    Movable(oneshot::Sender<Vec<(SocketId, SocketHandle)>>),
    /// Report the callers as a later process takes them over, with everything that was read from their sockets.
    MovedCallers(oneshot::Sender<Vec<MovedCaller>>),
    /// The callers are handed over to a later process: answer the calls that are open, then end.
    Parted,
    /// Report the calls without an answer of each caller, by each of its sockets.
    CallsOfSockets(oneshot::Sender<Vec<(SocketId, Vec<i64>)>>),
    /// Report what operators decided.
    Agreed(oneshot::Sender<Box<Agreed>>),
    /// A caller comes from an earlier process.
    Arrived(Arrived),
    /// The calls that the earlier process still has, by its numbers of sockets.
    EarlierHas(Vec<(u64, Vec<i64>)>),
    /// The earlier process is gone, and everything it wrote has been passed on.
    EarlierGone {
        /// Whether it has said that every call has its answer.
        is_done: bool,
    },
    /// The earlier process has died, and what it wrote to callers that do not read is still on its way.
    EarlierDied,
    /// Close the connections of tokens and certificates that are revoked or have expired.
    Revoked(Vec<Revoked>),
    /// Another router uses a member in client mode through this one.
    Forwarding {
        /// The socket.
        socket: WebSocket,
        /// The member.
        selector: Selector,
        /// The number of the other router.
        router: u32,
    },
    /// Through which router each member in client mode can be used that is connected to another router, by the name of the member.
    Elsewhere(Arc<BTreeMap<String, u32>>),
    /// The dial of a router that the engine asked for has ended, through which a member is to be used.
    DialledVia {
        /// The member.
        member: MemberId,
        /// The number of the router.
        router: u32,
        /// The socket, or why there is none: a sentence for the operator, without secrets.
        outcome: Result<WebSocket, String>,
    },
    /// The router dialled an IDM, which let the router in.
    Reached {
        /// The socket.
        socket: WebSocket,
        /// The name under which the IDM is configured.
        idm: Arc<str>,
        /// The group that the IDM's calls go to; none: the connector of each call decides.
        group: Option<Arc<str>>,
        /// Told the socket's id once a frame has come from the IDM.
        joined: oneshot::Sender<SocketId>,
        /// Told when and why the socket ended.
        ended: oneshot::Sender<CloseReason>,
    },
    /// Close a socket of an IDM that the router dialled, once no answer needs it.
    Retire(SocketId),
    /// A dial that the engine asked for has ended.
    Dialled {
        /// The member.
        member: MemberId,
        /// The slot that the dial was for.
        slot: Slot,
        /// The socket, or why there is none.
        outcome: Result<WebSocket, NotDialled>,
    },
    /// The operator's files changed. A router of a cluster offers its files to the cluster instead.
    Configure(Configuration),
    /// The cluster decided something.
    Decided(Decided),
    /// The cluster did not decide what this router's engine proposed with the ticket.
    NotAgreed {
        /// The ticket.
        ticket: Ticket,
        /// Why, and what to do.
        reason: String,
    },
    /// All that the cluster has decided so far. The sender learns when the engine follows it.
    Restored(Box<Agreed>, Option<oneshot::Sender<()>>),
    /// What this router's engine proposed with the ticket is part of the state that [`Request::Restored`] brought.
    Included(Ticket),
    /// Take no new calls; end once those in flight have their answers.
    Drain,
    /// Report the state.
    Status(oneshot::Sender<Status>),
    /// Report the callers.
    Callers(oneshot::Sender<Vec<CallerReport>>),
    /// Report the explanation of one call.
    Explain(CallId, oneshot::Sender<Option<CallReport>>),
    /// Report the latest calls that have an explanation and that the filter selects.
    Explained(CallFilter, oneshot::Sender<Vec<CallReport>>),
    /// Report the calls in flight that the filter selects.
    OpenCalls(CallFilter, oneshot::Sender<Vec<CallReport>>),
    /// Report the bundle sets of the group of this name.
    Bundles(String, oneshot::Sender<Option<BundlesReport>>),
    /// Report the configurations that are quarantined.
    Quarantined(oneshot::Sender<Vec<ConfigurationReport>>),
    /// An operator asks for a change, or an agent reports something.
    Ask(Ask, oneshot::Sender<Answer>),
}

/// Who wants a change, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// A name: the token's, or a word for a part of the router.
    pub(crate) who: String,
    /// The address that the request came from.
    pub(crate) from: String,
}

/// A decision of the log that concerns the engine.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The change.
    pub(crate) change: Change,
    /// Who wanted it.
    pub(crate) author: Author,
    /// When it was agreed.
    pub(crate) at: At,
    /// The ticket of this router's engine, if the engine proposed the change for an operator.
    pub(crate) ticket: Option<Ticket>,
    /// The revision of the state after it.
    pub(crate) revision: u64,
    /// Why the cluster refused it, for the operator; none if the cluster did not.
    pub(crate) refusal: Option<String>,
}

/// The content of the operator's files.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Configuration {
    /// Members and groups.
    pub(crate) document: Arc<agreed::Document>,
    /// The settings, if there is a file with them.
    pub(crate) settings: Option<Box<Settings>>,
}

/// A request that the engine answers by a ticket.
#[derive(Debug)]
pub(crate) enum Ask {
    /// An operator asks for this.
    Operator(Wish, Origin),
    /// The agent of the member of this name proved its identity, and reports this.
    Agent(String, AgentSays),
}

/// Why a member could not be reached.
#[derive(Debug)]
pub(crate) struct NotDialled {
    /// The kind of failure.
    pub(crate) failure: DialFailure,
    /// A sentence for the operator, without secrets.
    pub(crate) reason: String,
}

/// The state that the owner reports.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Whether new calls are accepted.
    pub(crate) phase: Phase,
    /// Members, callers and calls.
    pub(crate) report: Report,
}

/// The sending end; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Control(mpsc::Sender<Request>);

/// The owner did not respond in time, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the routing loop did not respond in time: the router is overloaded or shutting down. Repeat the request later"
)]
pub(crate) struct NoAnswer;

/// A channel to an owner.
pub(crate) fn channel() -> (Control, mpsc::Receiver<Request>) {
    let (requests, receiver) = mpsc::channel(REQUEST_QUEUE_MAX);
    (Control(requests), receiver)
}

impl Control {
    /// Hands over a request. After the owner has ended, the request is dropped.
    pub(crate) async fn send(&self, request: Request) {
        let _ = self.0.send(request).await;
    }

    /// Hands over all that the cluster has decided so far. Returns once the engine follows it, or the owner has ended: so at most one whole
    /// state waits.
    pub(crate) async fn restored(&self, agreed: Agreed) {
        let (done, followed) = oneshot::channel();
        self.send(Request::Restored(Box::new(agreed), Some(done))).await;
        let _ = followed.await;
    }

    /// The state now.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn status(&self) -> Result<Status, NoAnswer> {
        self.ask(Request::Status).await
    }

    /// The callers now.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn callers(&self) -> Result<Vec<CallerReport>, NoAnswer> {
        self.ask(Request::Callers).await
    }

    /// Why one call was refused, retried or failed, if that is remembered.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn explain(&self, id: CallId) -> Result<Option<CallReport>, NoAnswer> {
        self.ask(|answer| Request::Explain(id, answer)).await
    }

    /// The latest calls that were refused, retried or failed and that the filter selects.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn explained(&self, filter: CallFilter) -> Result<Vec<CallReport>, NoAnswer> {
        self.ask(|answer| Request::Explained(filter, answer)).await
    }

    /// The calls in flight that the filter selects.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn open_calls(&self, filter: CallFilter) -> Result<Vec<CallReport>, NoAnswer> {
        self.ask(|answer| Request::OpenCalls(filter, answer)).await
    }

    /// Marks a member; returns the state after that.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; the mark may be set all the same.
    pub(crate) async fn mark(
        &self,
        group: String,
        member: String,
        change: MarkChange,
        last: LastMember,
        origin: Origin,
    ) -> Result<Result<Status, MarkRefusal>, NoAnswer> {
        let wish = Wish::Mark { group, member, change, last };
        match self.agree(wish, origin).await? {
            Answer::Marked(Ok(())) => self.status().await.map(Ok),
            Answer::Marked(Err(refused)) => Ok(Err(refused)),
            Answer::Bundles(_) | Answer::Agent(_) | Answer::Released(_) => Err(NoAnswer),
        }
    }

    /// The configurations that are quarantined.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn quarantined(&self) -> Result<Vec<ConfigurationReport>, NoAnswer> {
        self.ask(Request::Quarantined).await
    }

    /// Releases a configuration. Returns the configurations that are quarantined afterwards.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; the configuration may be released all the same.
    pub(crate) async fn release(
        &self,
        id: ConfigurationId,
        origin: Origin,
    ) -> Result<Result<Vec<ConfigurationReport>, NotQuarantined>, NoAnswer> {
        match self.agree(Wish::Release(id), origin).await? {
            Answer::Released(Ok(())) => self.quarantined().await.map(Ok),
            Answer::Released(Err(refused)) => Ok(Err(refused)),
            Answer::Marked(_) | Answer::Bundles(_) | Answer::Agent(_) => Err(NoAnswer),
        }
    }

    /// The bundle sets of a group, if there is one of this name.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn bundles(&self, group: &str) -> Result<Option<BundlesReport>, NoAnswer> {
        self.ask(|answer| Request::Bundles(group.to_owned(), answer)).await
    }

    /// Changes the bundle sets of a group; returns the bundle sets after the change.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; the change may be made all the same.
    pub(crate) async fn change_bundles(
        &self,
        group: &str,
        change: BundleChange,
        last: LastMember,
        origin: Origin,
    ) -> Result<Result<BundlesReport, BundleRefusal>, NoAnswer> {
        let wish = Wish::Bundles { group: group.to_owned(), change, last };
        match self.agree(wish, origin).await? {
            Answer::Bundles(Ok(())) => self.bundles(group).await?.map(Ok).ok_or(NoAnswer),
            Answer::Bundles(Err(refused)) => Ok(Err(refused)),
            Answer::Marked(_) | Answer::Agent(_) | Answer::Released(_) => Err(NoAnswer),
        }
    }

    /// Hands over an agent's report; returns whether the router knows the files of the report.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; the engine may have the report all the same.
    pub(crate) async fn agent_says(
        &self,
        member: &str,
        says: AgentSays,
    ) -> Result<Result<bool, UnknownMember>, NoAnswer> {
        match self.ask(|answer| Request::Ask(Ask::Agent(member.to_owned(), says), answer)).await? {
            Answer::Agent(known) => Ok(known),
            Answer::Marked(_) | Answer::Bundles(_) | Answer::Released(_) => Err(NoAnswer),
        }
    }

    /// What an operator asks for may have to be agreed by the routers of a cluster.
    async fn agree(&self, wish: Wish, origin: Origin) -> Result<Answer, NoAnswer> {
        let request = |answer| Request::Ask(Ask::Operator(wish, origin), answer);
        self.ask_within(AGREED_ANSWER_DEADLINE, request).await
    }

    /// Whether the owner has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Asks the owner.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, NoAnswer> {
        self.ask_within(OWNER_ANSWER_DEADLINE, request).await
    }

    async fn ask_within<T>(
        &self,
        deadline: Duration,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let ask = async {
            self.0.send(request(answer)).await.map_err(|_| NoAnswer)?;
            answered.await.map_err(|_| NoAnswer)
        };
        timeout(deadline, ask).await.unwrap_or(Err(NoAnswer))
    }
}
