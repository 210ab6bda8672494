//! openraft's requests to other routers, over whatever [`Transport`] there is.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, OptionalSend, Snapshot, Vote};
use prost::Message as _;
use tokio::sync::oneshot;

use crate::limits::{BULK_BYTES, HEARTBEAT, RAFT_REQUEST, SNAPSHOT_REQUEST, bulk_time};
use crate::messages as pb;
use crate::messages::append_response::Outcome;
use crate::rpc::{PROTOCOL, Peer, Request, Response, Transport, Unanswered};
use crate::types::{Address, RouterId, Types};
use crate::wire::{self, Missing};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) id: RouterId,
    pub(crate) cluster: Option<String>,
}

impl Me {
    /// The sender of a request to this router, if it is known which router that is.
    pub(crate) fn sender(&self, receiver: Option<RouterId>) -> pb::Sender {
        pb::Sender {
            protocol: PROTOCOL,
            cluster: self.cluster.clone().unwrap_or_default(),
            id: Some(self.id.into()),
            receiver: receiver.map(Into::into),
        }
    }
}

/// Makes the way to each router.
pub(crate) struct Network<R, T> {
    me: Me,
    transport: T,
    runtime: PhantomData<fn() -> R>,
}

impl<R, T> Network<R, T> {
    pub(crate) fn new(me: Me, transport: T) -> Self {
        Self { me, transport, runtime: PhantomData }
    }
}

/// The way to one router.
pub(crate) struct Link<R, T> {
    me: Me,
    peer: Peer,
    id: RouterId,
    transport: T,
    bulk: Option<Bulk>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: AsyncRuntime, T: Transport> RaftNetworkFactory<Types<R>> for Network<R, T> {
    type Network = Link<R, T>;

    async fn new_client(&mut self, target: RouterId, node: &Address) -> Link<R, T> {
        Link {
            me: self.me.clone(),
            peer: Peer { id: Some(target), address: node.cluster.clone() },
            id: target,
            transport: self.transport.clone(),
            bulk: None,
            runtime: PhantomData,
        }
    }
}

type Failed<E> = RPCError<RouterId, Address, RaftError<RouterId, E>>;

impl<R: AsyncRuntime, T: Transport> Link<R, T> {
    fn sender(&self) -> pb::Sender {
        self.me.sender(Some(self.id))
    }

    /// Sends many bytes of entries. openraft gives up each request after the time of one heartbeat, and makes the same request again: such a
    /// request waits for the one that is under way.
    async fn ask_in_bulk(&mut self, request: pb::AppendRequest) -> Result<Response, Unanswered> {
        let last = request.entries.last().and_then(|entry| entry.id);
        let is_under_way =
            |bulk: &Bulk| (bulk.vote, bulk.previous, bulk.last) == (request.vote, request.previous, last);
        let bulk = match self.bulk.take().filter(is_under_way) {
            Some(bulk) => bulk,
            None => {
                let (done, answer) = oneshot::channel();
                let (vote, previous) = (request.vote, request.previous);
                drop(R::spawn(send_in_bulk::<R, T>(
                    self.transport.clone(),
                    self.peer.clone(),
                    request,
                    done,
                )));
                Bulk { vote, previous, last, answer }
            }
        };
        let answer = (&mut self.bulk.insert(bulk).answer).await;
        self.bulk = None;
        answer.unwrap_or_else(|_| Err(Unanswered::Lost("the router stops".to_owned())))
    }
}

/// Entries in bulk that are under way.
struct Bulk {
    vote: Option<pb::Vote>,
    previous: Option<pb::LogId>,
    last: Option<pb::LogId>,
    answer: oneshot::Receiver<Result<Response, Unanswered>>,
}

/// Sends entries that take their time on a slow network, until nobody waits for the answer. openraft sends the router no heartbeat meanwhile,
/// so that the router would stand for election, and the entries would never arrive. Therefore requests without entries go beside them.
async fn send_in_bulk<R: AsyncRuntime, T: Transport>(
    transport: T,
    peer: Peer,
    request: pb::AppendRequest,
    mut done: oneshot::Sender<Result<Response, Unanswered>>,
) {
    let within = RAFT_REQUEST + bulk_time(request.encoded_len());
    let pb::AppendRequest { sender, vote, previous, committed, .. } = &request;
    let heartbeat = pb::AppendRequest {
        sender: sender.clone(),
        vote: *vote,
        previous: *previous,
        entries: Vec::new(),
        committed: *committed,
    };
    let heartbeats = async {
        loop {
            R::sleep(HEARTBEAT).await;
            let asked = transport.ask(&peer, Request::Append(heartbeat.clone()), RAFT_REQUEST).await;
            // A router that follows another leader by now says so: the entries are in vain.
            if let Ok(Response::Append(answer)) = asked
                && matches!(answer.outcome, Some(Outcome::HigherVote(_)))
            {
                return Response::Append(answer);
            }
        }
    };
    let asked = tokio::select! {
        biased;
        () = done.closed() => return,
        asked = transport.ask(&peer, Request::Append(request), within) => asked,
        answer = heartbeats => Ok(answer),
    };
    // If nobody waits any more, this router leads no more.
    let _ = done.send(asked);
}

/// A router that cannot be reached, or refuses, is asked again after a pause; one that was slow at once.
fn unanswered<E: std::error::Error>(error: &Unanswered) -> Failed<E> {
    match error {
        Unanswered::Unreachable(_) | Unanswered::Refused(_) => RPCError::Unreachable(Unreachable::new(error)),
        Unanswered::Lost(_) => RPCError::Network(NetworkError::new(error)),
    }
}

fn unreadable<E: std::error::Error>(error: &Missing) -> Failed<E> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn other_answer() -> Missing {
    Missing("the answer to the question that was asked")
}

impl<R: AsyncRuntime, T: Transport> RaftNetwork<Types<R>> for Link<R, T> {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types<R>>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<RouterId>, Failed<openraft::error::Infallible>> {
        let request = pb::AppendRequest {
            sender: Some(self.sender()),
            vote: Some(wire::vote(&request.vote)),
            previous: request.prev_log_id.as_ref().map(wire::log_id),
            entries: request.entries.iter().map(wire::entry).collect(),
            committed: request.leader_commit.as_ref().map(wire::log_id),
        };
        let asked = match request.encoded_len() > BULK_BYTES {
            true => self.ask_in_bulk(request).await,
            false => self.transport.ask(&self.peer, Request::Append(request), RAFT_REQUEST).await,
        };
        let Response::Append(answer) = asked.map_err(|error| unanswered(&error))? else {
            return Err(unreadable(&other_answer()));
        };
        read_append(&answer).map_err(|error| unreadable(&error))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<RouterId>,
        _: RPCOption,
    ) -> Result<VoteResponse<RouterId>, Failed<openraft::error::Infallible>> {
        let request = pb::VoteRequest {
            sender: Some(self.sender()),
            vote: Some(wire::vote(&request.vote)),
            last_log: request.last_log_id.as_ref().map(wire::log_id),
        };
        let asked = self.transport.ask(&self.peer, Request::Vote(request), RAFT_REQUEST).await;
        let Response::Vote(answer) = asked.map_err(|error| unanswered(&error))? else {
            return Err(unreadable(&other_answer()));
        };
        let vote = wire::read_vote(answer.vote.as_ref()).map_err(|error| unreadable(&error))?;
        let last = wire::read_log_id_if_any(answer.last_log.as_ref()).map_err(|error| unreadable(&error))?;
        Ok(VoteResponse::new(vote, last, answer.granted))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<RouterId>,
        snapshot: Snapshot<Types<R>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<RouterId>, StreamingError<Types<R>, Fatal<RouterId>>> {
        let content = *snapshot.snapshot;
        let head = pb::snapshot_part::Head {
            sender: Some(self.sender()),
            vote: Some(wire::vote(&vote)),
            meta: Some(wire::snapshot_meta(&snapshot.meta)),
            length: content.len() as u64,
        };
        let ask = self.transport.ask(&self.peer, Request::Snapshot { head, content }, SNAPSHOT_REQUEST);
        let asked = tokio::select! {
            biased;
            closed = cancel => return Err(closed.into()),
            asked = ask => asked,
        };
        let lost = |error: &(dyn std::error::Error + 'static)| {
            StreamingError::Unreachable(Unreachable::new(&Unanswered::Lost(error.to_string())))
        };
        let Response::Snapshot(answer) = asked.map_err(|error| lost(&error))? else {
            return Err(lost(&other_answer()));
        };
        let vote = wire::read_vote(answer.vote.as_ref()).map_err(|error| lost(&error))?;
        Ok(SnapshotResponse::new(vote))
    }

    /// The pauses between attempts to reach a router that is down.
    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(200)))
    }
}

fn read_append(answer: &pb::AppendResponse) -> Result<AppendEntriesResponse<RouterId>, Missing> {
    let outcome = answer.outcome.as_ref().ok_or(Missing("the outcome of an append"))?;
    Ok(match outcome {
        Outcome::Success(_) => AppendEntriesResponse::Success,
        Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
        Outcome::Partial(upto) => {
            AppendEntriesResponse::PartialSuccess(wire::read_log_id_if_any(upto.upto.as_ref())?)
        }
        Outcome::HigherVote(vote) => AppendEntriesResponse::HigherVote(wire::read_vote(Some(vote))?),
    })
}

/// An answer as a message.
pub(crate) fn append_response(answer: &AppendEntriesResponse<RouterId>) -> pb::AppendResponse {
    let outcome = match answer {
        AppendEntriesResponse::Success => Outcome::Success(true),
        AppendEntriesResponse::Conflict => Outcome::Conflict(true),
        AppendEntriesResponse::PartialSuccess(upto) => {
            Outcome::Partial(pb::append_response::Partial { upto: upto.as_ref().map(wire::log_id) })
        }
        AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(wire::vote(vote)),
    };
    pb::AppendResponse { outcome: Some(outcome) }
}
