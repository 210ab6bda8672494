//! `GET /v1/unknown`, `POST /v1/unknown/acknowledge`: the work list of calls with an unknown outcome.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::calls::{self, bad_query};
use super::json::Json;
use super::{Admin, refusal};
use crate::clock::rfc3339;
use crate::control::Origin;
use crate::limits::UNKNOWN_OUTCOMES_MAX;
use crate::unknown::{Entry, Which};

/// The oldest calls come first, because an operator looks at them first.
pub(super) async fn list(
    State(admin): State<Admin>,
    query: Result<Query<calls::Query>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else { return bad_query() };
    if !(1..=UNKNOWN_OUTCOMES_MAX).contains(&query.limit()) {
        let sentence = format!("limit is a number from 1 to {UNKNOWN_OUTCOMES_MAX}");
        return refusal(StatusCode::BAD_REQUEST, sentence);
    }
    let after = query.after().map(rfc3339);
    let is = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
    };
    let fits = |entry: &Entry| {
        is(&query.group, Some(&entry.group))
            && is(&query.member, entry.member.as_deref())
            && is(&query.caller, entry.caller.as_deref())
            // Times of this form sort as texts.
            && after.as_ref().is_none_or(|after| *after <= entry.at)
    };
    let mut entries = admin.unknowns.list(fits);
    entries.truncate(query.limit());
    Json(entries).into_response()
}

/// The query parameters of an acknowledgement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledge {
    id: Option<String>,
    at: Option<String>,
    #[serde(default)]
    all: bool,
}

pub(super) async fn acknowledge(
    State(admin): State<Admin>,
    Origin { who, from }: Origin,
    query: Result<Query<Acknowledge>, QueryRejection>,
) -> Response {
    let which = match query {
        Ok(Query(Acknowledge { id: Some(id), at, all: false })) => Which::Call { id, at },
        Ok(Query(Acknowledge { id: None, at: None, all: true })) => Which::All,
        _ => {
            return refusal(
                StatusCode::BAD_REQUEST,
                "say which call: id=ID, with at=TIME if needed, or all=true",
            );
        }
    };
    match admin.unknowns.acknowledge(&which) {
        Err(refused) => refusal(StatusCode::NOT_FOUND, refused),
        Ok(count) => {
            tracing::info!(%who, %from, count, ?which, "an operator acknowledged unknown outcomes");
            let (open, _) = admin.unknowns.counts();
            Json(serde_json::json!({ "acknowledged": count, "open": open })).into_response()
        }
    }
}
