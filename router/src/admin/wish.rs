//! What requests that change members and groups have in common: the revision that they expect, the key that tells a retry, and whether
//! they only ask what would change.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rcs_core::agreed::{
    Action, Author, Authority, CommandRefusal, CommandResult, Document, Outcome, Refusal, RequestId,
};
use rcs_core::provider::changes::{Difference, differences};
use rcs_core::view::{Hosts, View};
use rcs_proto::manifest::Digest;
use serde::Serialize;

use super::Admin;
use super::json::Json;
use super::problem::Problem;
use crate::cluster::{Cluster, new_request};
use crate::control::Origin;
use crate::limits::{CHANGES_SHOWN_MAX, IDEMPOTENCY_KEY_BYTES_MAX};

/// How a change is wanted.
#[derive(Debug)]
pub(super) struct Wish {
    request: RequestId,
    /// The client's key and path, hashed; none: nobody can repeat this request.
    key: Option<u64>,
    expected: Option<u64>,
    is_dry_run: bool,
    /// `If-None-Match: *`: nothing of the name may exist.
    pub(super) is_new_only: bool,
    origin: Origin,
}

/// What is in force.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) revision: u64,
    pub(super) document: Document,
    hosts: Hosts,
    authority: Authority,
}

/// What is known before a change.
#[derive(Debug)]
pub(super) enum Known {
    Present(Present),
    /// The request was answered before, with this.
    Answered(Box<Response>),
}

/// What a change did, or would do.
#[derive(Serialize)]
struct Answer {
    revision: u64,
    /// `changed` or `unchanged`.
    result: &'static str,
    dry_run: bool,
    /// This is the outcome of an earlier request with the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    /// Why the change would be refused, although the document can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    changes: Vec<Row>,
    /// Changes that are left out of the list.
    #[serde(skip_serializing_if = "is_zero")]
    changes_more: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    change: &'static str,
    what: &'static str,
    name: String,
    /// What differs, field by field.
    details: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Present {
    /// What this router knows now.
    ///
    /// # Errors
    /// The router has no state, or cannot tell now.
    pub(super) fn known(admin: &Admin) -> Result<Self, Problem> {
        let cluster = admin.cluster.as_ref().ok_or_else(Problem::no_cluster)?;
        Self::of(cluster)
    }

    fn of(cluster: &Cluster) -> Result<Self, Problem> {
        let look = cluster.look(|state| Self {
            revision: state.revision(),
            document: state.agreed().document().clone(),
            hosts: state.agreed().settings().hosts.clone(),
            authority: state.authority(),
        });
        look.ok_or_else(|| {
            Problem::unavailable("the consensus part of this router does not run", "ask another router")
        })
    }

    /// The value of the `ETag` header.
    pub(super) fn tag(&self) -> [(header::HeaderName, String); 1] {
        tag(self.revision)
    }
}

/// The `ETag` header for a revision.
pub(super) fn tag(revision: u64) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{revision}\""))]
}

impl Wish {
    /// The same wish with this content: the body of the request.
    pub(super) fn of(self, content: &[u8]) -> Self {
        Self { request: request_id(self.key, content), ..self }
    }

    /// Whether the request only asks what would change.
    pub(super) fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    /// What became of this request, if it was carried out before. Afterwards this router knows all that any router had acknowledged before
    /// this request.
    ///
    /// # Errors
    /// The state is not known; or the client's key belongs to a request with another content.
    pub(super) async fn earlier(&self, cluster: &Cluster) -> Result<Option<Outcome>, Problem> {
        cluster.read_barrier().await?;
        let seen = cluster.look(|state| {
            let is_reused = self.key.is_some() && state.is_other_content(self.request);
            (state.outcome(self.request).cloned(), is_reused)
        });
        match seen {
            Some((Some(outcome), _)) => Ok(Some(outcome)),
            Some((None, true)) => Err(Problem::reused_key()),
            Some((None, false)) | None => Ok(None),
        }
    }

    /// Has an action agreed.
    ///
    /// # Errors
    /// The change is not agreed. The outcome may be a refusal.
    pub(super) async fn decide(&self, cluster: &Cluster, action: Action) -> Result<Outcome, Problem> {
        Ok(cluster.change(self.request, self.expected, Author::Operator, &self.origin, action).await?)
    }

    /// What is in force, as far as any router had acknowledged it before this request.
    ///
    /// # Errors
    /// The state is not known; or this request was refused before.
    pub(super) async fn present(&self, admin: &Admin) -> Result<Known, Problem> {
        let cluster = admin.cluster.as_ref().ok_or_else(Problem::no_cluster)?;
        match self.earlier(cluster).await? {
            Some(outcome) => {
                told(&outcome, Vec::new(), Vec::new(), true).map(|answer| Known::Answered(Box::new(answer)))
            }
            None => Present::of(cluster).map(Known::Present),
        }
    }

    /// Carries the change out, or says what it would do.
    ///
    /// # Errors
    /// The change is refused, or not agreed.
    pub(super) async fn carry_out(
        &self,
        admin: &Admin,
        present: &Present,
        action: Action,
        warnings: Vec<String>,
    ) -> Result<Response, Problem> {
        let cluster = admin.cluster.as_ref().ok_or_else(Problem::no_cluster)?;
        let after = after(&action, &present.document, &present.hosts);
        let changes = after.as_ref().map(|after| differences(&present.document, after));
        if self.is_dry_run {
            if let Some(expected) = self.expected.filter(|expected| *expected != present.revision) {
                return Err((&CommandRefusal::Revision { expected, present: present.revision }).into());
            }
            let is_same = after.as_ref().is_ok_and(|after| *after == present.document);
            let changes = changes.map_err(|refusal| Problem::from(&**refusal))?;
            let refused =
                (present.authority == Authority::File).then(|| CommandRefusal::FileDecides.to_string());
            return Ok(answer(present.revision, is_same, changes, |answer| Answer {
                dry_run: true,
                refused,
                warnings,
                ..answer
            }));
        }
        let outcome = self.decide(cluster, action).await?;
        told(&outcome, changes.unwrap_or_default(), warnings, false)
    }
}

/// The answer to a change with this outcome.
///
/// # Errors
/// The change is refused.
pub(super) fn told(
    outcome: &Outcome,
    changes: Vec<Difference>,
    warnings: Vec<String>,
    repeated: bool,
) -> Result<Response, Problem> {
    let is_same = match &outcome.result {
        CommandResult::Changed => false,
        CommandResult::Unchanged => true,
        CommandResult::Refused { kind, sentence } => {
            return Err(Problem::refused(kind, sentence, Some(outcome.revision)));
        }
    };
    Ok(answer(outcome.revision, is_same, changes, |answer| Answer { repeated, warnings, ..answer }))
}

fn answer(
    revision: u64,
    is_same: bool,
    changes: Vec<Difference>,
    with: impl FnOnce(Answer) -> Answer,
) -> Response {
    let changes_more = changes.len().saturating_sub(CHANGES_SHOWN_MAX);
    let row = |change: Difference| Row {
        change: change.kind.label(),
        what: change.what.label(),
        name: change.name,
        details: change.details,
    };
    let answer = Answer {
        revision,
        result: if is_same { "unchanged" } else { "changed" },
        dry_run: false,
        repeated: false,
        refused: None,
        changes: changes.into_iter().take(CHANGES_SHOWN_MAX).map(row).collect(),
        changes_more,
        warnings: Vec::new(),
    };
    (StatusCode::OK, tag(revision), Json(with(answer))).into_response()
}

/// The document after a change of members and groups.
fn after(action: &Action, present: &Document, hosts: &Hosts) -> Result<Document, Box<CommandRefusal>> {
    let document = match action {
        Action::Configure { document: Some(document), .. } => document.clone(),
        Action::Edit(edit) => edit.apply(present).map_err(|refusal| Box::new(refusal.into()))?,
        _ => present.clone(),
    };
    View::check(&document.members, &document.groups, hosts)
        .map_err(|errors| Box::new(Refusal::Document(errors).into()))?;
    Ok(document)
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(origin) = Origin::from_request_parts(parts, state).await;
        let key = key(parts)?;
        Ok(Self {
            request: request_id(key, b""),
            key,
            expected: expected(&parts.headers)?,
            is_dry_run: is_dry_run(parts.uri.query())?,
            is_new_only: parts.headers.get(header::IF_NONE_MATCH).is_some_and(is_any),
            origin,
        })
    }
}

fn key(parts: &Parts) -> Result<Option<u64>, Problem> {
    let Some(key) = parts.headers.get("idempotency-key") else { return Ok(None) };
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Problem::request(
            format!("Idempotency-Key has {} bytes", key.len()),
            "send a text that is drawn at random for each change, of 1 to 255 bytes",
        ));
    }
    // The same key on another path is another request.
    let path = format!("{} {}\n", parts.method, parts.uri.path());
    Ok(Some(hash(&[path.as_bytes(), key.as_bytes()].concat())))
}

/// The id of a request: its first half is made of the client's key, its second half of the content. So a router sees a key that comes with
/// another content ([`rcs_core::agreed::ClusterState::is_other_content`]).
fn request_id(key: Option<u64>, content: &[u8]) -> RequestId {
    key.map_or_else(new_request, |key| RequestId(u128::from(key) << 64 | u128::from(hash(content))))
}

fn hash(bytes: &[u8]) -> u64 {
    Digest::of(bytes).bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if is_any(value) {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')?.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::request(
            "If-Match is no revision",
            "send the revision as the ETag of an answer has it, with its quotes: If-Match: \"7\"",
        )
    })
}

/// Programs that were made for IDM send the star in quotes.
fn is_any(value: &HeaderValue) -> bool {
    value == "*" || value == "\"*\""
}

fn is_dry_run(query: Option<&str>) -> Result<bool, Problem> {
    match query.unwrap_or_default() {
        "" | "dry_run=false" => Ok(false),
        "dry_run=true" => Ok(true),
        _ => Err(Problem::request(
            "unknown query parameter",
            "use dry_run=true to see what would change, or no parameter",
        )),
    }
}
