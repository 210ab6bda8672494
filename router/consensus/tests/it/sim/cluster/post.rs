//! How simulated routers ask each other: the crate's transport on the simulated network.

use std::fmt;
use std::time::Duration;

use openraft::AsyncRuntime;
use prost::Message as _;
use rcs_consensus::Consensus;
use rcs_consensus::limits::{BULK_BYTES, PING_EVERY, PING_WAIT};
use rcs_consensus::rpc::{Peer, Receiver, Rejected, Request, Response, Transport, Unanswered};

use crate::sim::invariants::Watch;
use crate::sim::ledger::Ledger;
use crate::sim::network::{Failure, Network, Node, Service};
use crate::sim::runtime::{SimRuntime, sleep};

/// The consensus part of a simulated router.
pub(crate) type Part = Consensus<SimRuntime, Post, Ledger>;

/// A connection on which nothing comes back for so long is dead: what the real transport's pings find out.
const SILENCE_MAX: Duration = PING_EVERY.saturating_add(PING_WAIT);

/// A request with a short name for the trace.
#[derive(Clone)]
pub(crate) struct Letter(Request);

/// A router that listens.
#[derive(Clone)]
pub(crate) struct Host(pub(crate) Part);

/// One router's way to all others.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) me: Node,
    pub(crate) network: Network<Host>,
    pub(crate) watch: Watch,
}

/// The address of a router.
pub(crate) fn address(number: u32) -> String {
    format!("n{number}:1")
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = |vote: &Option<rcs_consensus::messages::Vote>| {
            vote.and_then(|vote| vote.leader).map_or(0, |leader| leader.term)
        };
        match &self.0 {
            Request::Append(append) => write!(
                f,
                "append term {} after {} +{} decided {}",
                term(&append.vote),
                append.previous.map_or(0, |at| at.index),
                append.entries.len(),
                append.committed.map_or(0, |at| at.index)
            ),
            Request::Vote(vote) => write!(f, "vote term {}", term(&vote.vote)),
            Request::Snapshot { content, .. } => write!(f, "snapshot {}", content.len()),
            Request::Hello(_) => f.write_str("hello"),
            Request::Presence(_) => f.write_str("presence"),
            Request::Propose(_) => f.write_str("propose"),
            Request::ReadIndex(_) => f.write_str("read index"),
            Request::ChangeRouters(_) => f.write_str("change routers"),
            Request::TakeOver(_) => f.write_str("take over"),
        }
    }
}

impl Service for Host {
    type Request = Letter;
    type Response = Result<Response, Rejected>;

    fn handle(
        &self,
        _: Node,
        Letter(request): Letter,
    ) -> impl Future<Output = Self::Response> + Send + 'static {
        let part = self.0.clone();
        async move { part.receive(request).await }
    }
}

impl Transport for Post {
    async fn ask(&self, to: &Peer, request: Request, within: Duration) -> Result<Response, Unanswered> {
        if let Request::Append(append) = &request {
            self.watch.sent(append);
        }
        let within = match &request {
            // Takes its time, on a connection that answers pings.
            Request::ChangeRouters(_) => within,
            _ => within.min(SILENCE_MAX),
        };
        let number = to.address.trim_start_matches('n').trim_end_matches(":1").parse();
        let number = number.map_err(|_| Unanswered::Unreachable(format!("{} is no address", to.address)))?;
        let passage = match &request {
            Request::Append(append) if append.encoded_len() > BULK_BYTES => {
                self.network.passage(append.encoded_len())
            }
            _ => Duration::ZERO,
        };
        let call = async {
            if passage > Duration::ZERO {
                sleep(passage).await;
            }
            self.network.call(self.me, number, Letter(request)).await
        };
        match SimRuntime::timeout(within, call).await {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(Rejected::Stopped(why)))) => Err(Unanswered::Unreachable(why)),
            Ok(Ok(Err(rejected))) => Err(Unanswered::Refused(rejected.to_string())),
            Ok(Err(Failure::Refused)) => Err(Unanswered::Unreachable("nobody listens".to_owned())),
            Ok(Err(Failure::Reset)) => Err(Unanswered::Lost("the router died".to_owned())),
            Err(_) => Err(Unanswered::Lost("no answer".to_owned())),
        }
    }
}
