//! What the rest of the process asks of the owner, besides the frames of sockets.

use std::sync::Arc;

use rcs_core::engine::{
    BundleChange, BundleRefusal, BundlesReport, CallId, CallReport, CallerReport, DialFailure, LastMember,
    MarkChange, MarkRefusal, Phase, Report, Selector, Slot, UnknownMember,
};
use rcs_core::ids::MemberId;
use rcs_core::view::View;
use rcs_proto::driver::WebSocket;
use rcs_proto::driver::listen::Unproven;
use rcs_proto::manifest::{Digest, FileManifest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::limits::{OWNER_ANSWER_DEADLINE, REQUEST_QUEUE_MAX};

/// One request.
#[derive(Debug)]
pub(crate) enum Request {
    /// A caller's upgrade succeeded.
    Accepted {
        /// The socket.
        socket: WebSocket,
        /// Its place among those that have proved nothing yet.
        unproven: Unproven,
        /// Which group it chose.
        selector: Selector,
        /// Who it is.
        principal: Arc<str>,
    },
    /// A dial that the engine asked for has ended.
    Dialled {
        /// The member.
        member: MemberId,
        /// Its slot.
        slot: Slot,
        /// The socket, or why there is none.
        outcome: Result<WebSocket, NotDialled>,
    },
    /// The provider file changed.
    View(Arc<View>),
    /// Take no new calls; end once those in flight have their answers.
    Drain,
    /// Tell the state.
    Status(oneshot::Sender<Status>),
    /// Tell of the callers.
    Callers(oneshot::Sender<Vec<CallerReport>>),
    /// Tell of one call.
    Explain(CallId, oneshot::Sender<Option<CallReport>>),
    /// Tell of the latest calls that there is something to tell of.
    Explained(oneshot::Sender<Vec<CallReport>>),
    /// Mark a member; tell the state after that, or why it was not done.
    Mark(MarkRequest, oneshot::Sender<Result<Status, MarkRefusal>>),
    /// Tell of the bundle sets of the group of this name.
    Bundles(String, oneshot::Sender<Option<BundlesReport>>),
    /// Change them; tell of them after that, or why it was not done.
    ChangeBundles(String, BundleChange, oneshot::Sender<Result<BundlesReport, BundleRefusal>>),
    /// The agent of the member of this name proved who it is, and reported these files.
    AgentReported(String, Arc<FileManifest>, oneshot::Sender<Result<(), UnknownMember>>),
    /// It says that they are those of this digest still; tell whether they are known.
    AgentHeard(String, Digest, oneshot::Sender<Result<bool, UnknownMember>>),
}

/// What an operator asks for one member.
#[derive(Clone, Debug)]
pub(crate) struct MarkRequest {
    /// The group that it is named by; the mark is the member's, in all its groups.
    pub(crate) group: String,
    /// Its name.
    pub(crate) member: String,
    /// What is to be done.
    pub(crate) change: MarkChange,
    /// Whether a group may be left without a member that serves.
    pub(crate) last: LastMember,
}

/// Why a member could not be reached.
#[derive(Debug)]
pub(crate) struct NotDialled {
    /// Whether to try again soon.
    pub(crate) failure: DialFailure,
    /// A sentence for the operator, without secrets.
    pub(crate) reason: String,
}

/// What the owner tells of itself.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Whether new calls are taken.
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
    /// Hands over a request; one that comes after the owner's end is dropped.
    pub(crate) async fn send(&self, request: Request) {
        let _ = self.0.send(request).await;
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

    /// Why one call was refused, repeated or failed, if that is remembered.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn explain(&self, id: CallId) -> Result<Option<CallReport>, NoAnswer> {
        self.ask(|answer| Request::Explain(id, answer)).await
    }

    /// The latest of such calls.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn explained(&self) -> Result<Vec<CallReport>, NoAnswer> {
        self.ask(Request::Explained).await
    }

    /// Marks a member.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; the mark may be set all the same.
    pub(crate) async fn mark(&self, request: MarkRequest) -> Result<Result<Status, MarkRefusal>, NoAnswer> {
        self.ask(|answer| Request::Mark(request, answer)).await
    }

    /// The bundle sets of a group, if there is one of this name.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn bundles(&self, group: &str) -> Result<Option<BundlesReport>, NoAnswer> {
        self.ask(|answer| Request::Bundles(group.to_owned(), answer)).await
    }

    /// Changes them.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; they may be changed all the same.
    pub(crate) async fn change_bundles(
        &self,
        group: &str,
        change: BundleChange,
    ) -> Result<Result<BundlesReport, BundleRefusal>, NoAnswer> {
        self.ask(|answer| Request::ChangeBundles(group.to_owned(), change, answer)).await
    }

    /// Hands over the files of a member.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`]; they may be taken all the same.
    pub(crate) async fn agent_reported(
        &self,
        member: &str,
        files: Arc<FileManifest>,
    ) -> Result<Result<(), UnknownMember>, NoAnswer> {
        self.ask(|answer| Request::AgentReported(member.to_owned(), files, answer)).await
    }

    /// Hands over a heartbeat; answers whether the files of this digest are known.
    ///
    /// # Errors
    /// [`NoAnswer`] after [`OWNER_ANSWER_DEADLINE`].
    pub(crate) async fn agent_heard(
        &self,
        member: &str,
        files: Digest,
    ) -> Result<Result<bool, UnknownMember>, NoAnswer> {
        self.ask(|answer| Request::AgentHeard(member.to_owned(), files, answer)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let ask = async {
            self.0.send(request(answer)).await.map_err(|_| NoAnswer)?;
            answered.await.map_err(|_| NoAnswer)
        };
        timeout(OWNER_ANSWER_DEADLINE, ask).await.unwrap_or(Err(NoAnswer))
    }
}
