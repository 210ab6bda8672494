//! Answers the requests of one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::codegen::{BoxFuture, http};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, Streaming};

use super::refusals::Reason;
use super::shared::Shared;
use super::snapshot;
use crate::limits::{MESSAGE_BYTES_MAX, REQUEST_TIME_MAX, SNAPSHOT_REQUEST};
use crate::messages::consensus_server::{Consensus, ConsensusServer};
use crate::messages::{
    AppendRequest, AppendResponse, ChangeRoutersRequest, ChangeRoutersResponse, HelloRequest, HelloResponse,
    PresenceRequest, PresenceResponse, ProposeRequest, ProposeResponse, ReadIndexRequest, ReadIndexResponse,
    Sender, SnapshotPart, SnapshotResponse, TakeOverRequest, TakeOverResponse, VoteRequest, VoteResponse,
};
use crate::pki::Name;
use crate::rpc::{PROTOCOL, Receiver, Rejected, Request, Response};

/// Answers one peer.
pub(super) struct Answers<R> {
    receiver: R,
    /// Whom the peer's certificate names.
    peer: Name,
    shared: Arc<Shared>,
}

/// The whole service of one connection: counts what is refused, by whatever part of it.
pub(super) struct Counted<R: Receiver> {
    inner: TowerToHyperService<ConsensusServer<Answers<R>>>,
    router: u32,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl<R: Receiver> Counted<R> {
    pub(super) fn new(receiver: R, peer: Name, address: SocketAddr, shared: Arc<Shared>) -> Self {
        let router = peer.router;
        let answers = Answers { receiver, peer, shared: Arc::clone(&shared) };
        let server = ConsensusServer::new(answers)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { inner: TowerToHyperService::new(server), router, address, shared }
    }
}

impl<R: Receiver> Service<http::Request<Incoming>> for Counted<R> {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let (answer, shared) = (self.inner.call(request), Arc::clone(&self.shared));
        let (router, address) = (self.router, self.address);
        Box::pin(async move {
            let answer = answer.await?;
            // An answer without content has its status among its headers.
            if let Some(status) = Status::from_header_map(answer.headers())
                && let Some(reason) = reason(status.code())
            {
                shared.refusals.note(Some(router), address, reason, status.message());
            }
            Ok(answer)
        })
    }
}

fn reason(code: Code) -> Option<Reason> {
    match code {
        Code::Ok => None,
        Code::PermissionDenied => Some(Reason::Forged),
        Code::DeadlineExceeded | Code::Cancelled => Some(Reason::Late),
        _ => Some(Reason::Request),
    }
}

fn rejected(rejected: &Rejected) -> Status {
    let sentence = rejected.to_string();
    match rejected {
        Rejected::NoSender | Rejected::Protocol(_) | Rejected::Malformed(_) => {
            Status::invalid_argument(sentence)
        }
        Rejected::OtherCluster { .. } | Rejected::OtherRouter { .. } | Rejected::Stopped(_) => {
            Status::failed_precondition(sentence)
        }
    }
}

impl<R: Receiver> Answers<R> {
    /// Whether the request comes from whom its connection belongs to. The cluster may be missing: it is not made yet. The certificate proves
    /// it in any case.
    fn admit(&self, sender: Option<&Sender>) -> Result<(), Status> {
        let sender = sender.ok_or_else(|| rejected(&Rejected::NoSender))?;
        // The version first: another one may give the other fields another meaning. There is no version before the first one.
        let is_spoken = (PROTOCOL.saturating_sub(1).max(1)..=PROTOCOL).contains(&sender.protocol);
        if !is_spoken {
            return Err(rejected(&Rejected::Protocol(sender.protocol)));
        }
        let claimed = sender.id.map_or(0, |id| id.number);
        if claimed != self.peer.router {
            return Err(Status::permission_denied(format!(
                "the request claims to come from router {claimed}, but the certificate of its connection is router {}'s: give each \
                 router its own certificate and --id",
                self.peer.router
            )));
        }
        if !sender.cluster.is_empty() && sender.cluster != self.peer.cluster {
            let (own, theirs) = (self.peer.cluster.clone(), sender.cluster.clone());
            return Err(rejected(&Rejected::OtherCluster { own, theirs }));
        }
        Ok(())
    }

    async fn answer<Q, A>(
        &self,
        request: tonic::Request<Q>,
        ask: fn(Q) -> Request,
        take: fn(Response) -> Option<A>,
    ) -> Result<tonic::Response<A>, Status> {
        let until = Instant::now() + time_given(request.metadata(), REQUEST_TIME_MAX);
        let request = ask(request.into_inner());
        self.admit(request.sender())?;
        self.receive(request, until, take).await
    }

    async fn receive<A>(
        &self,
        request: Request,
        until: Instant,
        take: fn(Response) -> Option<A>,
    ) -> Result<tonic::Response<A>, Status> {
        let late = |_| Status::deadline_exceeded("the request was not answered in time");
        let received = timeout_at(until, self.receiver.receive(request)).await.map_err(late)?;
        let answer = received.map_err(|error| rejected(&error))?;
        let other = || Status::internal("the answer is of another kind: this is a fault of the router");
        take(answer).map(tonic::Response::new).ok_or_else(other)
    }
}

/// The time that the sender gives (`grpc-timeout`), within the bound.
fn time_given(metadata: &MetadataMap, most: Duration) -> Duration {
    let given = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    given.and_then(parse_time).map_or(most, |given| given.min(most))
}

fn parse_time(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

macro_rules! take {
    ($kind:ident) => {
        |response| match response {
            Response::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

type Answered<A> = Result<tonic::Response<A>, Status>;

#[tonic::async_trait]
impl<R: Receiver> Consensus for Answers<R> {
    async fn hello(&self, request: tonic::Request<HelloRequest>) -> Answered<HelloResponse> {
        self.answer(request, Request::Hello, take!(Hello)).await
    }

    async fn request_vote(&self, request: tonic::Request<VoteRequest>) -> Answered<VoteResponse> {
        self.answer(request, Request::Vote, take!(Vote)).await
    }

    async fn append(&self, request: tonic::Request<AppendRequest>) -> Answered<AppendResponse> {
        self.answer(request, Request::Append, take!(Append)).await
    }

    async fn install_snapshot(
        &self,
        request: tonic::Request<Streaming<SnapshotPart>>,
    ) -> Answered<SnapshotResponse> {
        let within = time_given(request.metadata(), SNAPSHOT_REQUEST);
        let until = Instant::now() + within;
        let mut stream = request.into_inner();
        let head = timeout(within, snapshot::head(&mut stream)).await;
        let late = |_| Status::deadline_exceeded("the snapshot did not come in time");
        let head = head.map_err(late)??;
        self.admit(head.sender.as_ref())?;
        let Ok(_turn) = self.shared.snapshots.try_acquire() else {
            return Err(Status::failed_precondition("this router takes other snapshots: try again later"));
        };
        let content = timeout_at(until, snapshot::content(&mut stream, head.length)).await;
        let content = content.map_err(late)??;
        self.receive(Request::Snapshot { head, content }, until, take!(Snapshot)).await
    }

    async fn propose(&self, request: tonic::Request<ProposeRequest>) -> Answered<ProposeResponse> {
        self.answer(request, Request::Propose, take!(Propose)).await
    }

    async fn read_index(&self, request: tonic::Request<ReadIndexRequest>) -> Answered<ReadIndexResponse> {
        self.answer(request, Request::ReadIndex, take!(ReadIndex)).await
    }

    async fn take_over(&self, request: tonic::Request<TakeOverRequest>) -> Answered<TakeOverResponse> {
        self.answer(request, Request::TakeOver, take!(TakeOver)).await
    }

    async fn change_routers(
        &self,
        request: tonic::Request<ChangeRoutersRequest>,
    ) -> Answered<ChangeRoutersResponse> {
        self.answer(request, Request::ChangeRouters, take!(ChangeRouters)).await
    }

    async fn presence(&self, request: tonic::Request<PresenceRequest>) -> Answered<PresenceResponse> {
        self.answer(request, Request::Presence, take!(Presence)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_time_is_read_in_every_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("999999999n", None),
            ("+1S", None),
            ("S", None),
            ("", None),
            ("1é", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }
}
