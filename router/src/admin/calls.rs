//! `GET /v1/calls`, `/v1/calls/open` and `/v1/calls/ID`: calls that were refused, retried, or answered by the router itself with an
//! error, and calls in flight.

use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rcs_core::agreed::At;
use rcs_core::engine::{CallFilter, CallId, CallReport, StepReport};
use rcs_core::limits::{CALLS_REPORTED_MAX, EXPLAINED_CALLS_MAX};
use rcs_core::verdict::Outcome;
use serde::{Deserialize, Serialize};

use super::json::Json;
use super::parts::Path;
use super::{Admin, no_answer, refusal};
use crate::clock::{rfc3339, wall};
use crate::control::NoAnswer;
use crate::limits::CALLS_LISTED;

/// One call.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    op: &'static str,
    group: Option<String>,
    /// The member that has the call, or had it last.
    member: Option<String>,
    /// The principal of the caller.
    caller: Option<String>,
    connector: Option<String>,
    object_class: Option<String>,
    /// When the call came (RFC 3339).
    at: String,
    seconds_ago: f64,
    /// How far a call in flight has got.
    stage: Option<String>,
    /// Null while it is in flight.
    outcome: Option<&'static str>,
    took_ms: Option<f64>,
    /// The class of the exception that the caller got.
    exception: Option<String>,
    /// The router's sentence in that exception; null for an error of a connector, whose text may hold values.
    sentence: Option<String>,
    steps: Vec<Step>,
    steps_left_out: u32,
}

/// One fault.
#[derive(Debug, Serialize)]
struct Step {
    after_ms: f64,
    /// The member that had the call.
    member: Option<String>,
    /// How far the call had got at that member.
    stage: Option<String>,
    fault: String,
    verdict: String,
    /// The members of the group in their order, and why each could not run the call next.
    members: Vec<Chance>,
}

#[derive(Debug, Serialize)]
struct Chance {
    name: String,
    state: &'static str,
}

pub(super) async fn explain(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<CallId>() else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "the id of a call is a hexadecimal number, as in \"(call 1f3a)\" at the end of an error text, or in the log",
        );
    };
    match admin.control.explain(id).await {
        Err(_) => no_answer(),
        Ok(Some(call)) => Json(row(call)).into_response(),
        Ok(None) => {
            let sentence = format!(
                "nothing is kept of call {id}. Either it succeeded at once, or another router (or this router before its last \
                 restart) had the call, or it is not among the latest {EXPLAINED_CALLS_MAX} calls with a fault"
            );
            refusal(StatusCode::NOT_FOUND, sentence)
        }
    }
}

/// The query parameters of both lists.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) group: Option<String>,
    pub(super) member: Option<String>,
    pub(super) caller: Option<String>,
    outcome: Option<String>,
    /// Calls that came within this many seconds.
    since_seconds: Option<u32>,
    /// The most calls that are returned.
    limit: Option<usize>,
}

impl Query {
    /// The earliest time at which the calls came.
    pub(super) fn after(&self) -> Option<At> {
        self.since_seconds.map(|seconds| At(wall().0.saturating_sub(u64::from(seconds) * 1000)))
    }

    /// The most calls that are returned.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(CALLS_LISTED)
    }

    fn filter(self) -> Result<CallFilter, String> {
        if self.limit.is_some_and(|limit| !(1..=CALLS_REPORTED_MAX).contains(&limit)) {
            return Err(format!("limit is a number from 1 to {CALLS_REPORTED_MAX}"));
        }
        let (after, limit) = (self.after(), self.limit());
        let named = |word: &str| Outcome::ALL.into_iter().find(|outcome| outcome.label() == word);
        let outcome = match self.outcome.as_deref() {
            None => None,
            Some(word) => Some(named(word).ok_or_else(|| {
                let words = Outcome::ALL.map(Outcome::label).join(", ");
                format!("{word:?} is no outcome: use one of {words}")
            })?),
        };
        Ok(CallFilter { group: self.group, member: self.member, caller: self.caller, outcome, after, limit })
    }
}

/// What is said of a query with an unknown or malformed parameter.
const BAD_QUERY: &str =
    "unknown or malformed query parameter: use group, member, caller, outcome, since_seconds and limit";

/// The refusal of such a query.
pub(super) fn bad_query() -> Response {
    refusal(StatusCode::BAD_REQUEST, BAD_QUERY)
}

/// The query of a request, as axum reads it.
type Asked = Result<axum::extract::Query<Query>, QueryRejection>;

pub(super) async fn list(State(admin): State<Admin>, asked: Asked) -> Response {
    match filter(asked) {
        Err(sentence) => refusal(StatusCode::BAD_REQUEST, sentence),
        Ok(filter) => rows(admin.control.explained(filter).await),
    }
}

pub(super) async fn open(State(admin): State<Admin>, asked: Asked) -> Response {
    match filter(asked) {
        Err(sentence) => refusal(StatusCode::BAD_REQUEST, sentence),
        Ok(filter) => rows(admin.control.open_calls(filter).await),
    }
}

fn filter(asked: Asked) -> Result<CallFilter, String> {
    let axum::extract::Query(query) = asked.map_err(|_| BAD_QUERY.to_owned())?;
    query.filter()
}

fn rows(calls: Result<Vec<CallReport>, NoAnswer>) -> Response {
    let Ok(calls) = calls else { return no_answer() };
    Json(calls.into_iter().map(row).collect::<Vec<_>>()).into_response()
}

fn row(call: CallReport) -> Row {
    let (exception, sentence) = call.error.unzip();
    Row {
        id: call.id.to_string(),
        op: call.operation,
        group: call.group,
        member: call.member,
        caller: call.caller,
        connector: call.connector,
        object_class: call.object_class,
        at: rfc3339(call.at),
        stage: call.stage,
        exception,
        sentence: sentence.flatten(),
        seconds_ago: call.ago.as_secs_f64(),
        outcome: call.end.map(|(outcome, _)| outcome),
        took_ms: call.end.map(|(_, took)| ms(took)),
        steps: call.steps.into_iter().map(step).collect(),
        steps_left_out: call.more_steps,
    }
}

fn step(step: StepReport) -> Step {
    let members = step.members.into_iter().map(|(name, state)| Chance { name, state });
    Step {
        after_ms: ms(step.after),
        member: step.member,
        stage: step.stage,
        fault: step.fault,
        verdict: step.verdict,
        members: members.collect(),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
