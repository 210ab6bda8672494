//! `GET /v1/calls/ID`: why a call was refused, retried, or answered by the router itself with an error.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::{CallId, CallReport, StepReport};
use rcs_core::limits::EXPLAINED_CALLS_MAX;
use serde::Serialize;

use super::{Admin, no_answer, refusal};

/// One call.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    op: &'static str,
    group: Option<String>,
    seconds_ago: f64,
    /// Null while it is in flight.
    outcome: Option<&'static str>,
    took_ms: Option<f64>,
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

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let Ok(calls) = admin.control.explained().await else { return no_answer() };
    Json(calls.into_iter().map(row).collect::<Vec<_>>()).into_response()
}

fn row(call: CallReport) -> Row {
    Row {
        id: call.id.to_string(),
        op: call.operation,
        group: call.group,
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
