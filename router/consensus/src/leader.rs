//! What any router asks of the leader, as messages.

use bytes::Bytes;

use crate::messages as pb;
use crate::proposer::{Applied, NotApplied};
use crate::rpc::{Request, Response};
use crate::types::RouterId;
use crate::wire::Missing;

/// A change of the cluster's routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutersChange {
    /// The router follows the log, without a vote.
    AddLearner(RouterId, String),
    /// The router is reached at another address.
    Move(RouterId, String),
    /// The learner gets a vote.
    Promote(RouterId),
    /// The router leaves.
    Remove(RouterId),
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Propose(Bytes),
    ReadIndex,
    Change(RoutersChange),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Applied(Applied),
    Index(u64),
    Changed,
}

impl Question {
    pub(crate) fn request(&self, sender: pb::Sender) -> Request {
        let sender = Some(sender);
        match self {
            Self::Propose(command) => {
                Request::Propose(pb::ProposeRequest { sender, commands: vec![command.clone()] })
            }
            Self::ReadIndex => Request::ReadIndex(pb::ReadIndexRequest { sender }),
            Self::Change(change) => Request::ChangeRouters(pb::ChangeRoutersRequest {
                sender,
                change: Some(write_change(change)),
            }),
        }
    }
}

/// The answer of another router.
pub(crate) fn read_answer(response: Response) -> Result<Answer, NotApplied> {
    use pb::{change_routers_response as change, propose_response as propose, read_index_response as read};
    match response {
        Response::Propose(answer) => match answer.outcome {
            Some(propose::Outcome::Done(done)) => {
                let outcome = done.outcomes.into_iter().next().ok_or(NotApplied::Unknown)?;
                Ok(Answer::Applied(Applied { index: done.index, outcome: outcome.into() }))
            }
            Some(propose::Outcome::Failure(failure)) => Err(read_failure(failure)),
            None => Err(NotApplied::Unknown),
        },
        Response::ReadIndex(answer) => match answer.outcome {
            Some(read::Outcome::Index(index)) => Ok(Answer::Index(index)),
            Some(read::Outcome::Failure(failure)) => Err(read_failure(failure)),
            None => Err(NotApplied::Unknown),
        },
        Response::ChangeRouters(answer) => match answer.outcome {
            Some(change::Outcome::Membership(_)) => Ok(Answer::Changed),
            Some(change::Outcome::Failure(failure)) => Err(read_failure(failure)),
            None => Err(NotApplied::Unknown),
        },
        Response::Hello(_)
        | Response::Vote(_)
        | Response::Append(_)
        | Response::Snapshot(_)
        | Response::TakeOver(_)
        | Response::Presence(_) => Err(NotApplied::Unknown),
    }
}

pub(crate) fn write_failure(error: &NotApplied) -> pb::Failure {
    let problem = match error {
        NotApplied::NotLeader => pb::Problem::NotLeader,
        NotApplied::Unknown => pb::Problem::Unknown,
        NotApplied::Overloaded => pb::Problem::Overloaded,
        NotApplied::NoQuorum(_) | NotApplied::TooLarge(_) | NotApplied::Down(_) | NotApplied::Refused(_) => {
            pb::Problem::Refused
        }
    };
    pb::Failure { problem: problem.into(), reason: error.to_string(), leader: None }
}

fn read_failure(failure: pb::Failure) -> NotApplied {
    match failure.problem() {
        pb::Problem::NotLeader => NotApplied::NotLeader,
        pb::Problem::Overloaded => NotApplied::Overloaded,
        pb::Problem::Refused => NotApplied::Refused(failure.reason),
        pb::Problem::Unknown | pb::Problem::Unspecified => NotApplied::Unknown,
    }
}

fn write_change(change: &RoutersChange) -> pb::change_routers_request::Change {
    use pb::change_routers_request::Change;
    match change {
        RoutersChange::AddLearner(id, address) => {
            Change::AddLearner(pb::Router { id: Some((*id).into()), address: address.clone() })
        }
        RoutersChange::Move(id, address) => {
            Change::Move(pb::Router { id: Some((*id).into()), address: address.clone() })
        }
        RoutersChange::Promote(id) => Change::Promote((*id).into()),
        RoutersChange::Remove(id) => Change::Remove((*id).into()),
    }
}

pub(crate) fn read_change(request: pb::ChangeRoutersRequest) -> Result<RoutersChange, Missing> {
    use pb::change_routers_request::Change;
    Ok(match request.change.ok_or(Missing("the change"))? {
        Change::AddLearner(router) => {
            RoutersChange::AddLearner(router.id.ok_or(Missing("the router's id"))?.into(), router.address)
        }
        Change::Move(router) => {
            RoutersChange::Move(router.id.ok_or(Missing("the router's id"))?.into(), router.address)
        }
        Change::Promote(id) => RoutersChange::Promote(id.into()),
        Change::Remove(id) => RoutersChange::Remove(id.into()),
    })
}
