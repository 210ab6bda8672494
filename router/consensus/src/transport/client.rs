//! Asks other routers.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use prost::Message as _;
use tokio::time::{Instant, timeout_at};
use tonic::codegen::{Service, http};
use tonic::{Code, Status};

use super::credentials::Credentials;
use super::dial::Connection;
use super::link::Link;
use super::stream::{Dial, Tcp};
use super::{snapshot, words};
use crate::limits::{BULK_BYTES, LINKS_MAX, MESSAGE_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use crate::messages::consensus_client::ConsensusClient;
use crate::rpc::{Peer, Request, Response, Transport, Unanswered};

/// Carries requests to other routers. Clones share their connections.
#[derive(Clone, Debug)]
pub struct TonicTransport<D = Tcp>(Arc<Inner<D>>);

#[derive(Debug)]
struct Inner<D> {
    way: D,
    credentials: Credentials,
    links: Mutex<HashMap<(String, Lane), Used>>,
}

#[derive(Debug)]
struct Used {
    link: Arc<Link>,
    last: Instant,
}

/// Requests of different lanes have connections of their own, so that heartbeats and votes never queue behind bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    /// Votes, small entries and heartbeats.
    Raft,
    /// What is forwarded to the leader.
    Forwarded,
    /// Snapshots, and whatever is large.
    Bulk,
}

impl Lane {
    fn of(request: &Request, bytes: usize) -> Self {
        match request {
            Request::Snapshot { .. } => Self::Bulk,
            _ if bytes > BULK_BYTES => Self::Bulk,
            Request::Hello(_) | Request::Vote(_) | Request::Append(_) | Request::TakeOver(_) => Self::Raft,
            Request::Propose(_)
            | Request::ReadIndex(_)
            | Request::ChangeRouters(_)
            | Request::Presence(_) => Self::Forwarded,
        }
    }
}

impl TonicTransport {
    /// A transport over TCP without connections: they are dialled when they are needed.
    pub fn new(credentials: Credentials) -> Self {
        Self::over(Tcp, credentials)
    }
}

impl<D: Dial> TonicTransport<D> {
    /// The same over another network than TCP.
    pub fn over(way: D, credentials: Credentials) -> Self {
        Self(Arc::new(Inner { way, credentials, links: Mutex::default() }))
    }

    fn link(&self, address: &str, lane: Lane) -> Arc<Link> {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, now) = ((address.to_owned(), lane), Instant::now());
        if links.len() >= LINKS_MAX && !links.contains_key(&key) {
            let oldest = links.iter().min_by_key(|(_, used)| used.last).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| links.remove(&oldest));
        }
        let used = links.entry(key).or_insert_with(|| Used { link: Link::new(address), last: now });
        used.last = now;
        Arc::clone(&used.link)
    }
}

impl<D: Dial> Transport for TonicTransport<D> {
    /// Asks a router. A message of more than [`MESSAGE_BYTES_MAX`], or a snapshot of more than [`SNAPSHOT_BYTES_MAX`], is
    /// [`Unanswered::Refused`] before it is sent.
    async fn ask(&self, to: &Peer, request: Request, within: Duration) -> Result<Response, Unanswered> {
        let bytes = checked_size(&request)?;
        let until = Instant::now() + within;
        let says = |text: String| format!("the router at {} {text}", to.address);
        let link = self.link(&to.address, Lane::of(&request, bytes));
        let mut retried = false;
        loop {
            let connected = link.connection(&self.0.way, &self.0.credentials, until).await;
            let connection = connected.map_err(|reason| Unanswered::Unreachable(says(reason)))?;
            if let Some(id) = to.id.filter(|id| id.number != connection.peer.router) {
                let is = connection.peer.router;
                let text =
                    format!("is router {is}, not router {}: correct the address of router {0}", id.number);
                return Err(Unanswered::Unreachable(says(text)));
            }
            let left = until.saturating_duration_since(Instant::now());
            let answer = timeout_at(until, exchange(connection, request.clone(), left)).await;
            match answer {
                Ok(Ok(response)) => return Ok(response),
                // The connection had ended, which is only seen now. Nothing was sent.
                Ok(Err(Failure::Unsent)) if !retried => retried = true,
                Ok(Err(Failure::Unsent)) => {
                    return Err(Unanswered::Unreachable(says("closes its connections".to_owned())));
                }
                Ok(Err(Failure::Refused(sentence))) => {
                    return Err(Unanswered::Refused(says(format!("refuses: {sentence}"))));
                }
                Ok(Err(Failure::Lost(reason))) => {
                    return Err(Unanswered::Lost(says(format!("gave no answer: {reason}"))));
                }
                Err(_) => return Err(Unanswered::Lost(says(format!("gave no answer within {within:?}")))),
            }
        }
    }
}

/// The bytes that the request takes, if routers accept so many.
fn checked_size(request: &Request) -> Result<usize, Unanswered> {
    let (bytes, most) = match request {
        Request::Hello(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::Vote(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::Append(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::Snapshot { content, .. } => (content.len(), SNAPSHOT_BYTES_MAX),
        Request::Propose(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::ReadIndex(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::ChangeRouters(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::TakeOver(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
        Request::Presence(request) => (request.encoded_len(), MESSAGE_BYTES_MAX),
    };
    if bytes <= most {
        return Ok(bytes);
    }
    let text = format!("the request has {bytes} bytes, more than the {most} that routers accept");
    Err(Unanswered::Refused(text))
}

enum Failure {
    /// Certainly nothing was sent.
    Unsent,
    Refused(String),
    Lost(String),
}

async fn exchange(connection: Connection, request: Request, within: Duration) -> Result<Response, Failure> {
    let mut client =
        ConsensusClient::with_origin(Sends(connection.send), http::Uri::from_static("https://router"))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
    fn timed<T>(message: T, within: Duration) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(within);
        request
    }
    let answer = match request {
        Request::Hello(it) => {
            client.hello(timed(it, within)).await.map(|it| Response::Hello(it.into_inner()))
        }
        Request::Vote(it) => {
            client.request_vote(timed(it, within)).await.map(|it| Response::Vote(it.into_inner()))
        }
        Request::Append(it) => {
            client.append(timed(it, within)).await.map(|it| Response::Append(it.into_inner()))
        }
        Request::Snapshot { head, content } => {
            let parts = snapshot::parts(head, content);
            client.install_snapshot(timed(parts, within)).await.map(|it| Response::Snapshot(it.into_inner()))
        }
        Request::Propose(it) => {
            client.propose(timed(it, within)).await.map(|it| Response::Propose(it.into_inner()))
        }
        Request::ReadIndex(it) => {
            client.read_index(timed(it, within)).await.map(|it| Response::ReadIndex(it.into_inner()))
        }
        Request::ChangeRouters(it) => {
            client.change_routers(timed(it, within)).await.map(|it| Response::ChangeRouters(it.into_inner()))
        }
        Request::Presence(it) => {
            client.presence(timed(it, within)).await.map(|it| Response::Presence(it.into_inner()))
        }
        Request::TakeOver(it) => {
            client.take_over(timed(it, within)).await.map(|it| Response::TakeOver(it.into_inner()))
        }
    };
    answer.map_err(|status| failure(&status))
}

fn failure(status: &Status) -> Failure {
    // A status with a source was made on this side.
    match std::error::Error::source(status) {
        Some(source) => match source.downcast_ref() {
            Some(SendError::Unsent) => Failure::Unsent,
            _ => Failure::Lost(words::chain(source)),
        },
        None => match status.code() {
            Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied => {
                Failure::Refused(words::told(status.message()))
            }
            Code::Unimplemented => {
                Failure::Refused("it does not know this request: upgrade the older router".to_owned())
            }
            code => Failure::Lost(format!("{code:?}: {}", words::told(status.message()))),
        },
    }
}

/// Sends requests of the generated client on one connection.
struct Sends(hyper::client::conn::http2::SendRequest<tonic::body::Body>);

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the connection had ended")]
    Unsent,
    #[error("the connection ended")]
    Broken(#[source] hyper::Error),
}

impl Service<http::Request<tonic::body::Body>> for Sends {
    type Response = http::Response<Incoming>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, SendError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.poll_ready(context).map_err(|_| SendError::Unsent)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let sent = self.0.try_send_request(request);
        Box::pin(async move {
            sent.await.map_err(|mut error| match error.take_message() {
                Some(_) => SendError::Unsent,
                None => SendError::Broken(error.into_error()),
            })
        })
    }
}

impl fmt::Debug for Sends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sends")
    }
}
