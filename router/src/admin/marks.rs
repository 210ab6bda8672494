//! `POST /v1/groups/GROUP/members/MEMBER/drain` (undrain, enable, disable): takes a member out of service and back.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rcs_core::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use serde::{Deserialize, Serialize};

use super::json::Json;
use super::members::{Row, find};
use super::parts::Path;
use super::{Admin, behind, no_answer, refusal};
use crate::control::Origin;

/// The query parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Whether the last member that can serve, or that has a connector version in use, may be taken out of service.
    #[serde(default)]
    force: bool,
}

/// A member with its new mark.
#[derive(Debug, Serialize)]
struct Marked<'a> {
    #[serde(flatten)]
    member: Row<'a>,
    /// How long the mark is kept.
    mark_kept: &'static str,
}

pub(super) async fn change(
    State(admin): State<Admin>,
    origin: Origin,
    Path((group, member, change)): Path<(String, String, String)>,
    options: Result<Query<Options>, QueryRejection>,
) -> Response {
    let Some(change) = parse(&change) else {
        let sentence =
            format!("{change:?} is not a change of a member: use drain, undrain, enable or disable");
        return refusal(StatusCode::NOT_FOUND, sentence);
    };
    let last = match options {
        Ok(Query(Options { force: true })) => LastMember::Released,
        Ok(Query(Options { force: false })) => LastMember::Kept,
        Err(_) => {
            return refusal(
                StatusCode::BAD_REQUEST,
                "unknown query parameter: only force=true or force=false is allowed",
            );
        }
    };
    match admin.control.mark(group.clone(), member.clone(), change, last, origin).await {
        Err(_) => no_answer(),
        Ok(Err(refused @ MarkRefusal::NotListed(_))) => {
            behind::not_found(&admin, (&group, Some(&member)), refused).await
        }
        Ok(Err(refused)) => refusal(status(&refused), refused),
        Ok(Ok(status)) => match find(&status.report, &group, &member) {
            Some(member) => {
                let mark_kept = match admin.cluster {
                    None => "in memory, until the router ends",
                    Some(_) => "on disk, by every router of the cluster",
                };
                Json(Marked { member, mark_kept }).into_response()
            }
            None => no_answer(),
        },
    }
}

fn parse(word: &str) -> Option<MarkChange> {
    use MarkChange::{Disable, Drain, Enable, Undrain};
    [Drain, Undrain, Enable, Disable].into_iter().find(|change| change.label() == word)
}

fn status(refused: &MarkRefusal) -> StatusCode {
    match refused {
        MarkRefusal::NotListed(_) => StatusCode::NOT_FOUND,
        MarkRefusal::NotAgreed(_) => StatusCode::SERVICE_UNAVAILABLE,
        MarkRefusal::DisabledInDocument(_)
        | MarkRefusal::Disabled(_)
        | MarkRefusal::Refused(_)
        | MarkRefusal::LastOne { .. }
        | MarkRefusal::LastWithVersion { .. } => StatusCode::CONFLICT,
    }
}
