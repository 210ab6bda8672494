//! Answers the requests of other routers.

use openraft::error::RaftError;
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft::{AsyncRuntime, Snapshot};

use crate::consensus::{Consensus, read_index_here};
use crate::leader::{read_change, write_failure};
use crate::machine::Machine;
use crate::messages as pb;
use crate::network::append_response;
use crate::proposer::NotApplied;
use crate::rpc::{PROTOCOL, Receiver, Rejected, Request, Response, Transport};
use crate::running::Running;
use crate::status::Role;
use crate::types::RouterId;
use crate::wire::{self, Missing};

impl From<Missing> for Rejected {
    fn from(missing: Missing) -> Self {
        Self::Malformed(missing.to_string())
    }
}

fn stopped<E: std::error::Error>(error: RaftError<RouterId, E>) -> Rejected {
    Rejected::Stopped(error.to_string())
}

impl<R: AsyncRuntime, T: Transport, M: Machine> Receiver for Consensus<R, T, M> {
    async fn receive(&self, request: Request) -> Result<Response, Rejected> {
        self.check(&request)?;
        let running = self.running();
        let running =
            || running.clone().ok_or_else(|| Rejected::Stopped("it has failed, and is started again".into()));
        Ok(match request {
            Request::Hello(_) => Response::Hello(self.introduce().await),
            Request::Vote(request) => Response::Vote(vote(&running()?, &request).await?),
            Request::Append(request) => Response::Append(append(&running()?, request).await?),
            Request::Snapshot { head, content } => {
                let (vote, meta) =
                    (wire::read_vote(head.vote.as_ref())?, wire::read_snapshot_meta(head.meta.as_ref())?);
                let snapshot = Snapshot { meta, snapshot: Box::new(content) };
                let running = running()?;
                // In a task of its own: the sender may give up, and then this request is dropped, but openraft goes on.
                let installed = R::spawn(async move { running.install(vote, snapshot).await }).await;
                let installed = installed.map_err(|error| Rejected::Stopped(error.to_string()))?;
                let answer = installed.map_err(|error| Rejected::Stopped(error.to_string()))?;
                Response::Snapshot(pb::SnapshotResponse { vote: Some(wire::vote(&answer.vote)) })
            }
            Request::Propose(request) => Response::Propose(propose(&running()?, request).await),
            Request::ReadIndex(_) => {
                let outcome = match read_index_here(&running()?).await {
                    Ok(index) => pb::read_index_response::Outcome::Index(index),
                    Err(error) => pb::read_index_response::Outcome::Failure(write_failure(&error)),
                };
                Response::ReadIndex(pb::ReadIndexResponse { outcome: Some(outcome) })
            }
            Request::Presence(_) => {
                return Err(Rejected::Malformed("this router keeps no presence of others".to_owned()));
            }
            Request::TakeOver(_) => {
                let elect = running()?.raft.trigger().elect().await;
                elect.map_err(|error| Rejected::Stopped(error.to_string()))?;
                Response::TakeOver(pb::TakeOverResponse {})
            }
            Request::ChangeRouters(request) => {
                let change = read_change(request)?;
                let done = self.change_routers_here(&running()?, change).await;
                let outcome = match done {
                    Ok(()) => pb::change_routers_response::Outcome::Membership(pb::Membership::default()),
                    Err(error) => pb::change_routers_response::Outcome::Failure(write_failure(&error)),
                };
                Response::ChangeRouters(pb::ChangeRoutersResponse { outcome: Some(outcome) })
            }
        })
    }
}

impl<R: AsyncRuntime, T: Transport, M: Machine> Consensus<R, T, M> {
    /// Whether the request is one for this router: for a receiver that stands before this one, and answers some requests itself.
    ///
    /// # Errors
    /// [`Rejected`]
    pub fn check(&self, request: &Request) -> Result<(), Rejected> {
        let me = &self.shared.me;
        let sender = request.sender().ok_or(Rejected::NoSender)?;
        if sender.protocol != PROTOCOL {
            return Err(Rejected::Protocol(sender.protocol));
        }
        if let Some(own) = me.cluster.as_ref().filter(|own| **own != sender.cluster) {
            return Err(Rejected::OtherCluster { own: own.clone(), theirs: sender.cluster.clone() });
        }
        match sender.receiver.map(RouterId::from) {
            Some(meant) if meant != me.id => Err(Rejected::OtherRouter { own: me.id, meant }),
            None if !matches!(request, Request::Hello(_)) => Err(Missing("whom the request is for").into()),
            _ => Ok(()),
        }
    }

    async fn introduce(&self) -> pb::HelloResponse {
        let running = self.running();
        let status = self.status().borrow().clone();
        let has_log = match &running {
            Some(running) => running.has_log().await,
            None => true,
        };
        let leader = status.leader.and_then(|id| {
            Some(pb::Router { id: Some(id.into()), address: status.addresses.get(&id)?.clone() })
        });
        let routers = running
            .filter(|_| status.role != Role::Removed)
            .map(|running| wire::stored_membership(&running.raft.metrics().borrow().membership_config));
        let forming = self.shared.forming();
        pb::HelloResponse {
            receiver: Some(self.shared.me.sender(None)),
            has_log,
            leader,
            term: status.term,
            routers,
            forming,
        }
    }
}

async fn vote<R: AsyncRuntime, M: Machine>(
    running: &Running<R, M>,
    request: &pb::VoteRequest,
) -> Result<pb::VoteResponse, Rejected> {
    let asked = VoteRequest {
        vote: wire::read_vote(request.vote.as_ref())?,
        last_log_id: wire::read_log_id_if_any(request.last_log.as_ref())?,
    };
    let answer = running.raft.vote(asked).await.map_err(stopped)?;
    Ok(pb::VoteResponse {
        vote: Some(wire::vote(&answer.vote)),
        granted: answer.vote_granted,
        last_log: answer.last_log_id.as_ref().map(wire::log_id),
    })
}

async fn append<R: AsyncRuntime, M: Machine>(
    running: &Running<R, M>,
    request: pb::AppendRequest,
) -> Result<pb::AppendResponse, Rejected> {
    let entries = request.entries.into_iter().map(wire::read_entry).collect::<Result<Vec<_>, _>>()?;
    let prev_log_id = wire::read_log_id_if_any(request.previous.as_ref())?;
    // openraft panics on entries that do not follow each other.
    let mut expected = prev_log_id.map_or(0, |at| at.index.saturating_add(1));
    for entry in &entries {
        if entry.log_id.index != expected {
            return Err(Rejected::Malformed(format!("entry {expected} is missing")));
        }
        expected = expected.saturating_add(1);
    }
    let asked = AppendEntriesRequest {
        vote: wire::read_vote(request.vote.as_ref())?,
        prev_log_id,
        entries,
        leader_commit: wire::read_log_id_if_any(request.committed.as_ref())?,
    };
    Ok(append_response(&running.raft.append_entries(asked).await.map_err(stopped)?))
}

async fn propose<R: AsyncRuntime, M: Machine>(
    running: &Running<R, M>,
    request: pb::ProposeRequest,
) -> pb::ProposeResponse {
    use pb::propose_response::{Done, Outcome};
    let is_leader = {
        let metrics = running.raft.metrics();
        let metrics = metrics.borrow();
        metrics.current_leader == Some(metrics.id)
    };
    let mut commands = request.commands.into_iter();
    let outcome = match (commands.next(), commands.next()) {
        _ if !is_leader => Outcome::Failure(write_failure(&NotApplied::NotLeader)),
        (Some(command), None) => match running.proposer.propose(command).await {
            Ok(applied) => {
                Outcome::Done(Done { index: applied.index, outcomes: vec![applied.outcome.into()] })
            }
            Err(error) => Outcome::Failure(write_failure(&error)),
        },
        _ => Outcome::Failure(write_failure(&NotApplied::Refused("a proposal is one command".to_owned()))),
    };
    pb::ProposeResponse { outcome: Some(outcome) }
}
