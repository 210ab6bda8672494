//! `/v1/cluster`: the routers that agree with this one, and changes of them. `/v1/audit`: what was changed, and by whom.

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rcs_consensus::pki::Dates;
use rcs_consensus::{NotApplied, Role, RouterId, RoutersChange, Status};
use rcs_core::agreed::At;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::json::Json;
use super::parts::{Path, Query};
use super::{Admin, refusal};
use crate::clock::rfc3339;
use crate::cluster::Cluster;
use crate::control::Origin;
use crate::limits::{ROUTER_ANSWERS_WITHIN, ROUTER_ASKED_EVERY};

/// A router of the cluster.
#[derive(Debug, Serialize)]
struct Row {
    id: u32,
    /// Tells apart routers that had one number after each other.
    incarnation: String,
    address: String,
    /// `leader`, `voter` or `learner`.
    role: &'static str,
    /// The last entry of the log that the router is known to have; only the leader knows this.
    #[serde(skip_serializing_if = "Option::is_none")]
    replicated: Option<u64>,
    /// Until when the router's cluster certificate is valid (RFC 3339), if this router has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_until: Option<String>,
}

/// What this router knows of its cluster.
#[derive(Debug, Serialize)]
struct View {
    /// This router's number.
    id: u32,
    /// The cluster's id.
    cluster: Option<String>,
    /// What this router is.
    role: &'static str,
    /// Why the consensus part does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The leader's number; none while this router follows none.
    leader: Option<u32>,
    term: u64,
    voters: Vec<u32>,
    learners: Vec<u32>,
    /// The index of the last entry of the log that this router applied.
    applied: u64,
    /// The index of the last entry in this router's log.
    last_log: u64,
    snapshot: u64,
    /// Counts the changes that did something.
    revision: Option<u64>,
    /// Who decides members and groups: `file` or `cluster`.
    authority: Option<&'static str>,
    /// How long a sync of the disk takes, at the 99th percentile, in milliseconds.
    sync_ms: Option<f64>,
    /// How often the consensus part was started again after a failure.
    restarts: u64,
    /// Whether a change of the routers is half made.
    is_changing: bool,
    /// A sentence for a change that is half made, and for each certificate that ends soon.
    warnings: Vec<String>,
    routers: Vec<Row>,
}

fn view(cluster: &Cluster) -> View {
    let status = cluster.status().borrow().clone();
    let state = cluster.look(|state| (state.revision(), state.authority().label()));
    let certificates = cluster.certificates();
    let numbers = |ids: &[RouterId]| ids.iter().map(|id| id.number).collect();
    View {
        id: status.id.number,
        cluster: status.cluster.clone(),
        role: status.role.label(),
        reason: match &status.role {
            Role::Down { reason } => Some(reason.clone()),
            _ => None,
        },
        leader: status.leader.map(|id| id.number),
        term: status.term,
        voters: numbers(&status.voters),
        learners: numbers(&status.learners),
        applied: status.applied,
        last_log: status.last_log,
        snapshot: status.snapshot,
        revision: state.map(|(revision, _)| revision),
        authority: state.map(|(_, authority)| authority),
        sync_ms: status.sync_time.map(|time| time.as_secs_f64() * 1e3),
        restarts: status.restarts,
        is_changing: status.is_changing,
        warnings: half_made(&status).into_iter().chain(ending(&certificates)).collect(),
        routers: rows(&status, &certificates),
    }
}

/// What happens next, and what to do, while a change of the routers is half made.
fn half_made(status: &Status) -> Option<String> {
    let finishes = match status.leader {
        Some(leader) => format!("router {} leads, and finishes the change", leader.number),
        None => "the next leader finishes the change".to_owned(),
    };
    status.is_changing.then(|| {
        format!(
            "a change of the cluster's routers is half made. Until it is finished, each decision needs a majority of the routers before the \
             change and a majority of those after it, and no other change of the routers is accepted. {finishes} by itself once both \
             majorities can be reached: start the routers that do not run, and repeat `rcs-router cluster status`"
        )
    })
}

/// A sentence for each certificate that ends soon.
pub(super) fn ending(certificates: &BTreeMap<u32, Dates>) -> Vec<String> {
    let now = SystemTime::now();
    certificates.iter().filter_map(|(router, dates)| dates.warning(*router, now)).collect()
}

fn rows(status: &Status, certificates: &BTreeMap<u32, Dates>) -> Vec<Row> {
    let until = |dates: &Dates| rfc3339(At(u64::try_from(dates.until()).unwrap_or_default() * 1000));
    let row = |(id, address): (&RouterId, &String)| Row {
        id: id.number,
        incarnation: format!("{:08x}", id.incarnation),
        address: address.clone(),
        role: match id {
            id if status.leader == Some(*id) => "leader",
            id if status.voters.contains(id) => "voter",
            _ => "learner",
        },
        replicated: status.replicated.get(id).copied(),
        certificate_until: certificates.get(&id.number).map(until),
    };
    status.addresses.iter().map(row).collect()
}

/// The query parameters of a look.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// Whether the answer must have all that was acknowledged anywhere before the request came.
    #[serde(default)]
    consistent: bool,
}

impl Look {
    /// The cluster, once this router knows what the look asks for.
    async fn at(self, admin: &Admin) -> Result<&Cluster, Box<Response>> {
        let cluster = admin.cluster()?;
        if self.consistent {
            cluster.read_barrier().await.map_err(|error| Box::new(refusal(status(&error), error)))?;
        }
        Ok(cluster)
    }
}

pub(super) async fn show(State(admin): State<Admin>, Query(look): Query<Look>) -> Response {
    match look.at(&admin).await {
        Ok(cluster) => Json(view(cluster)).into_response(),
        Err(response) => *response,
    }
}

/// The query parameters of a change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Of the router that is added.
    address: Option<String>,
}

pub(super) async fn change(
    State(admin): State<Admin>,
    Path((number, change)): Path<(u32, String)>,
    Query(Options { address }): Query<Options>,
) -> Response {
    let cluster = match admin.cluster() {
        Ok(cluster) => cluster,
        Err(response) => return *response,
    };
    let done = match (change.as_str(), address) {
        ("add", Some(address)) => add(cluster, number, &address).await,
        ("replace", Some(address)) => replace(cluster, number, &address).await,
        ("add" | "replace", None) => {
            return refusal(StatusCode::BAD_REQUEST, "name the router's address: ?address=HOST:PORT");
        }
        ("promote", None) => by_number(cluster, number, RoutersChange::Promote).await,
        ("remove", None) => by_number(cluster, number, RoutersChange::Remove).await,
        ("promote" | "remove", Some(_)) => {
            return refusal(StatusCode::BAD_REQUEST, "?address is for add and replace only");
        }
        _ => return refusal(StatusCode::NOT_FOUND, "use add, replace, promote or remove"),
    };
    match done {
        Ok(()) => Json(view(cluster)).into_response(),
        Err(error) => refusal(status(&error), error),
    }
}

async fn add(cluster: &Cluster, number: u32, address: &str) -> Result<(), NotApplied> {
    let id = found(cluster, number, address).await?;
    cluster.change_routers(RoutersChange::AddLearner(id, address.to_owned())).await
}

/// The router of this number has an empty disk: the one that the cluster knows leaves, and the one at the address comes.
async fn replace(cluster: &Cluster, number: u32, address: &str) -> Result<(), NotApplied> {
    let id = found(cluster, number, address).await?;
    let known = known(&cluster.status().borrow(), number);
    if let Some(old) = known.filter(|old| *old != id) {
        cluster.change_routers(RoutersChange::Remove(old)).await?;
    }
    cluster.change_routers(RoutersChange::AddLearner(id, address.to_owned())).await
}

/// Who the router at the address is.
async fn found(cluster: &Cluster, number: u32, address: &str) -> Result<RouterId, NotApplied> {
    let until = Instant::now() + ROUTER_ANSWERS_WITHIN;
    let mut id = None;
    // A router that has just been started may need a moment, and an address that did not answer is not dialled again at once.
    while id.is_none() && Instant::now() < until {
        id = cluster.hello(address).await.and_then(|answer| answer.receiver?.id).map(RouterId::from);
        if id.is_none() {
            sleep(ROUTER_ASKED_EVERY).await;
        }
    }
    match id {
        None => Err(NotApplied::Refused(format!(
            "no router of this cluster answers at {address}: start it with --join and a certificate of this cluster"
        ))),
        Some(id) if id.number != number => Err(NotApplied::Refused(format!(
            "router {} answers at {address}, not router {number}",
            id.number
        ))),
        Some(id) => Ok(id),
    }
}

fn known(status: &Status, number: u32) -> Option<RouterId> {
    status.addresses.keys().find(|id| id.number == number).copied()
}

async fn by_number(
    cluster: &Cluster,
    number: u32,
    change: impl FnOnce(RouterId) -> RoutersChange,
) -> Result<(), NotApplied> {
    let id = known(&cluster.status().borrow(), number).ok_or_else(|| {
        NotApplied::Refused(format!("the cluster has no router {number}: see rcs-router cluster status"))
    })?;
    cluster.change_routers(change(id)).await
}

/// The HTTP status of a change that was not agreed.
pub(super) fn status(error: &NotApplied) -> StatusCode {
    match error {
        NotApplied::Refused(_) => StatusCode::CONFLICT,
        NotApplied::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        NotApplied::NotLeader
        | NotApplied::NoQuorum(_)
        | NotApplied::Overloaded
        | NotApplied::Unknown
        | NotApplied::Down(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The whole state as it is stored: with the keys of members, so it needs the token.
pub(super) async fn backup(State(admin): State<Admin>, Origin { who, from }: Origin) -> Response {
    let cluster = match admin.cluster() {
        Ok(cluster) => cluster,
        Err(response) => return *response,
    };
    if let Err(error) = cluster.read_barrier().await {
        return refusal(status(&error), error);
    }
    match cluster.look(|state| state.encode()) {
        Some(Ok(bytes)) => {
            tracing::info!(%who, %from, bytes = bytes.len(), "a backup of the cluster's state was taken; it holds the keys of members");
            ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
        }
        Some(Err(error)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error),
        None => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the consensus part of this router does not run: ask another router",
        ),
    }
}

/// One change, as `GET /v1/audit` shows it.
#[derive(Debug, Serialize)]
struct Change {
    index: u64,
    revision: u64,
    at: String,
    author: &'static str,
    who: String,
    from: String,
    /// What was wanted, in one word.
    action: String,
    /// What was wanted, in one line.
    line: String,
    /// `changed`, `unchanged`, or the kind of the refusal.
    result: String,
}

pub(super) async fn audit(State(admin): State<Admin>, Query(look): Query<Look>) -> Response {
    let cluster = match look.at(&admin).await {
        Ok(cluster) => cluster,
        Err(response) => return *response,
    };
    let found = cluster.look(|state| {
        let entry = |entry: &rcs_core::agreed::AuditEntry| Change {
            index: entry.index,
            revision: entry.revision,
            at: rfc3339(entry.at),
            author: entry.author.label(),
            who: entry.who.clone(),
            from: entry.from.clone(),
            action: entry.action.clone(),
            line: entry.line.clone(),
            result: entry.result.clone(),
        };
        state.audit().map(entry).collect::<Vec<_>>()
    });
    match found {
        Some(all) => Json(all).into_response(),
        None => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the consensus part of this router does not run: ask another router",
        ),
    }
}
