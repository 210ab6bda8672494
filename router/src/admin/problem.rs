//! Refusals of the routes that change members and groups, as `application/problem+json` (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rcs_consensus::NotApplied;
use rcs_core::agreed::CommandRefusal;
use serde::Serialize;

use super::cluster::status;
use super::json;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// The reason in one word, for programs.
    kind: String,
    title: &'static str,
    detail: String,
    fix: &'static str,
    revision: Option<u64>,
    faults: Box<[String]>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// What to do.
    fix: &'a str,
    /// The present revision, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Every fault of a document.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    faults: &'a [String],
}

/// Status, title and fix of the refusals that have one of their own, by their word.
const KNOWN: &[(&[&str], StatusCode, &str, &str)] = &[
    (
        &["revision"],
        StatusCode::PRECONDITION_FAILED,
        "the state has another revision",
        "read the state again, and repeat the change with the new ETag if the change is still right",
    ),
    (
        &["file_decides"],
        StatusCode::CONFLICT,
        "the files decide members and groups",
        "change the provider file, or start the routers with --authority cluster",
    ),
    (&["no_group"], StatusCode::NOT_FOUND, "no such group", "use a name that GET /v1/groups shows"),
    (&["no_credential"], StatusCode::NOT_FOUND, "no such token", "use a name that GET /v1/tokens shows"),
    (
        &["token_exists"],
        StatusCode::CONFLICT,
        "the name is taken",
        "choose another name, or revoke the token of this name first: DELETE /v1/tokens/NAME",
    ),
    (
        &["bad_name"],
        StatusCode::UNPROCESSABLE_ENTITY,
        "the name cannot be used",
        "choose another name, as the detail says",
    ),
    (&["no_member"], StatusCode::NOT_FOUND, "no such member", "use a name that GET /v1/servers shows"),
    (
        &["group_exists", "member_exists"],
        StatusCode::CONFLICT,
        "the name is taken",
        "choose another name, or replace what has this name: send the request without If-None-Match",
    ),
    (
        &["member_listed"],
        StatusCode::CONFLICT,
        "groups list the member",
        "replace those groups by groups without the member first",
    ),
    (
        &["document", "bad_member"],
        StatusCode::UNPROCESSABLE_ENTITY,
        "the document cannot be used",
        "correct every fault, and send the request again",
    ),
];

impl Problem {
    /// A request that is wrong in itself.
    pub(super) fn request(detail: impl Into<String>, fix: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request", "the request is wrong", detail, fix)
    }

    /// A body over the bound.
    pub(super) fn too_long(bytes_max: usize, fix: &'static str) -> Self {
        let detail = format!("the body has more than {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", "the body is too long", detail, fix)
    }

    /// A change with a token that may only read.
    pub(super) fn read_only(detail: String) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "read_only_token",
            "the token may only read",
            detail,
            "send a token with the role operator: rcs-router token create NAME --role operator makes one",
        )
    }

    /// A change of tokens or routers with a token of an operator.
    pub(super) fn not_admin(detail: String) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not_admin_token",
            "the token does not administer",
            detail,
            "send a token with the role admin: rcs-router token create NAME --role admin makes one",
        )
    }

    /// A client's key that came with another request before.
    pub(super) fn reused_key() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "reused_key",
            "the Idempotency-Key belongs to another request",
            "a request with the same Idempotency-Key and another content was carried out before; this one was not",
            "draw a new Idempotency-Key at random for each change",
        )
    }

    /// A token was made for an earlier request with the same key, and nobody can tell its secret again.
    pub(super) fn told_once(name: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "told_once",
            "the token was made before",
            format!(
                "an earlier request with this Idempotency-Key made the token {name:?}, and its answer told the secret, which is stored nowhere"
            ),
            "if the answer was lost: revoke the token, and make one with a new Idempotency-Key",
        )
    }

    /// The router keeps its state in memory, and nobody could share its tokens.
    pub(super) fn no_tokens() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_cluster",
            "the router keeps its state in memory",
            "this router keeps its state in memory, so it has no tokens beside its own: start it with --data-dir",
            "start the router with --data-dir",
        )
    }

    /// A document or an entry of one that has faults.
    pub(super) fn faulty(faults: Vec<String>) -> Self {
        let first = faults.first().cloned().unwrap_or_default();
        let detail = match faults.len() {
            1 => first,
            many => format!("{many} faults, the first: {first}"),
        };
        Self { faults: faults.into(), ..Self::refused("document", &detail, None) }
    }

    /// The router has no state that could be changed or shown.
    pub(super) fn unavailable(detail: impl Into<String>, fix: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the state is not available", detail, fix)
    }

    /// More of something than the router allows at a time.
    pub(super) fn too_many(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many",
            "too many event streams",
            detail,
            "close event streams that nobody reads, ask another router, or repeat the request later",
        )
    }

    /// The router keeps its state in memory.
    pub(super) fn no_cluster() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_cluster",
            "the router keeps its state in memory",
            "this router keeps its state in memory, and its provider file alone decides members and groups",
            "start the router with --data-dir",
        )
    }

    /// Nothing of this name.
    pub(super) fn unknown(kind: &str, detail: &str) -> Self {
        Self::refused(kind, detail, None)
    }

    /// What the cluster refused, with its word and sentence.
    pub(super) fn refused(kind: &str, sentence: &str, revision: Option<u64>) -> Self {
        let known = KNOWN.iter().find(|(kinds, ..)| kinds.contains(&kind));
        let (status, title, fix) = known.map_or(
            (
                StatusCode::CONFLICT,
                "the change is refused",
                "do what the detail says, then repeat the request",
            ),
            |(_, status, title, fix)| (*status, title, fix),
        );
        Self { revision, ..Self::new(status, kind, title, sentence, fix) }
    }

    /// The same in the form of IDM's own refusals.
    pub(super) fn as_idm(&self) -> Response {
        as_idm(self.status, &format!("{}: {}", self.detail, self.fix))
    }

    fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
        fix: &'static str,
    ) -> Self {
        let (kind, detail) = (kind.to_owned(), detail.into());
        Self { status, kind, title, detail, fix, revision: None, faults: Box::default() }
    }
}

/// A refusal in the form of IDM's own.
pub(super) fn as_idm(status: StatusCode, message: &str) -> Response {
    let told = serde_json::json!({
        "code": status.as_u16(),
        "reason": status.canonical_reason(),
        "message": message,
    });
    (status, json::Json(told)).into_response()
}

impl From<&CommandRefusal> for Problem {
    fn from(refusal: &CommandRefusal) -> Self {
        let revision = match refusal {
            CommandRefusal::Revision { present, .. } => Some(*present),
            _ => None,
        };
        Self::refused(refusal.kind(), &refusal.to_string(), revision)
    }
}

impl From<NotApplied> for Problem {
    fn from(error: NotApplied) -> Self {
        let fix = match error {
            NotApplied::TooLarge(_) => "send less in one request",
            _ => "repeat the request, with the same Idempotency-Key, when the cluster has a leader",
        };
        Self::new(
            status(&error),
            "not_agreed",
            "the routers did not agree on the change",
            error.to_string(),
            fix,
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let shown = Shown {
            kind: format!("urn:rcs-router:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            fix: self.fix,
            revision: self.revision,
            faults: &self.faults,
        };
        let mut response = (self.status, json::text(&shown, "application/problem+json")).into_response();
        if let Some(tag) = self.revision.and_then(|revision| format!("\"{revision}\"").parse().ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        super::say_when(&mut response);
        response
    }
}
