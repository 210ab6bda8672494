//! What agents beside members tell: `GET /v1/members/MEMBER/challenge`, then `POST /v1/members/MEMBER/manifest` with the proof of
//! the member's key over that challenge.
//!
//! Whoever reaches the admin address may try, so nothing is believed and little is spent before the proof is right: no report
//! is parsed but for its nonce, nothing is remembered, and long ones are judged a few at a time. These requests have places
//! of their own, apart from those of probes.

mod body;
mod nonces;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rcs_core::engine::{AgentSays, UnknownMember};
use rcs_core::ids::MemberId;
use rcs_core::view::{Link, View};
use rcs_proto::limits::MANIFEST_BODY_BYTES_MAX;
use rcs_proto::manifest::{
    Challenge, Digest, Nonce, PROOF_HEADER, ProofKey, Report, ReportError, ReportedSet, Shown, WrongProof,
};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use self::body::BodyFault;
use self::nonces::{NonceFault, Nonces};
use super::{protected, refusal};
use crate::access::{Mode, is_known_key};
use crate::control::Control;
use crate::limits::{
    AGENT_HEARTBEAT_BYTES_MAX, AGENT_REQUEST_DEADLINE, AGENT_REQUESTS_MAX, AGENT_WHOLE_REPORTS_MAX,
};

/// Judges what agents say.
#[derive(Clone)]
pub(crate) struct Agents {
    control: Control,
    /// Members and their keys.
    view: watch::Receiver<Arc<View>>,
    mode: Mode,
    start: Instant,
    nonces: Arc<Mutex<Nonces>>,
    /// Places for long reports.
    room: Arc<Semaphore>,
    /// Which kinds of refusals the log tells of, by member, since a report of it was taken.
    told: Arc<Mutex<HashMap<MemberId, BTreeSet<StatusCode>>>>,
}

/// Why a request of an agent is refused. The sentence goes to whoever asked, and says what to do.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no member is named {0:?}: give the name that it has in the router's provider file")]
    NoMember(Shown),
    #[error("the router has no key of this member, as it does not dial it")]
    NoKey,
    #[error(
        "everybody knows this member's key, so its reports prove nothing: give the server and the provider file another one"
    )]
    KnownKey,
    #[error("the report has no proof: send it in the header {PROOF_HEADER}")]
    NoProof,
    #[error(transparent)]
    Body(#[from] BodyFault),
    #[error("the report has no nonce that can be read: {0}")]
    NoNonce(Shown),
    #[error(transparent)]
    Nonce(#[from] NonceFault),
    #[error(transparent)]
    Proof(#[from] WrongProof),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("the report is of the member {0:?}: post it under that name")]
    OtherMember(Shown),
    #[error("the router does not know this digest: send the whole manifest")]
    UnknownDigest,
    // It left the document while its report was judged.
    #[error(transparent)]
    Gone(#[from] UnknownMember),
    #[error("the routing loop does not answer")]
    NoAnswer,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoMember(_) | Self::Gone(_) => StatusCode::NOT_FOUND,
            Self::NoProof | Self::Proof(_) => StatusCode::UNAUTHORIZED,
            Self::NoKey | Self::KnownKey => StatusCode::FORBIDDEN,
            Self::Body(BodyFault::TooLarge(_)) | Self::Report(ReportError::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Body(BodyFault::Late) => StatusCode::REQUEST_TIMEOUT,
            Self::Nonce(NonceFault::TooMany) => StatusCode::TOO_MANY_REQUESTS,
            Self::Body(BodyFault::Broken)
            | Self::NoNonce(_)
            | Self::Nonce(_)
            | Self::Report(_)
            | Self::OtherMember(_) => StatusCode::BAD_REQUEST,
            Self::UnknownDigest => StatusCode::CONFLICT,
            Self::NoAnswer => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Agents {
    /// For the members of these views; with a random key for the challenges of this process.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub(crate) fn new(control: Control, view: watch::Receiver<Arc<View>>, mode: Mode) -> io::Result<Self> {
        let nonces = Nonces::new().map_err(|_| io::Error::other("no random numbers"))?;
        Ok(Self {
            control,
            view,
            mode,
            start: Instant::now(),
            nonces: Arc::new(Mutex::new(nonces)),
            room: Arc::new(Semaphore::new(AGENT_WHOLE_REPORTS_MAX)),
            told: Arc::default(),
        })
    }

    /// Its paths, with places of their own.
    pub(super) fn routes(self) -> Router {
        let router = Router::new()
            .route("/v1/members/{member}/challenge", get(challenge))
            .route("/v1/members/{member}/manifest", post(report))
            .with_state(self);
        protected(router, AGENT_REQUESTS_MAX, AGENT_REQUEST_DEADLINE)
    }

    /// The member of this name, and what its agent proves its reports with.
    fn member(&self, name: &str) -> Result<(MemberId, ProofKey), Refused> {
        let view = self.view.borrow();
        let member = view.member_named(name).ok_or_else(|| Refused::NoMember(Shown::new(name)))?;
        let Link::Dial(endpoint) = &member.spec.link else { return Err(Refused::NoKey) };
        let key = endpoint.key.expose();
        if self.mode == Mode::Production && is_known_key(key) {
            return Err(Refused::KnownKey);
        }
        Ok((member.id, ProofKey::of_key(key)))
    }

    async fn take(&self, name: &str, headers: &HeaderMap, body: Body) -> Result<Digest, Refused> {
        let (member, key) = self.member(name)?;
        let outcome = self.take_of(member, key, name, headers, body).await;
        self.log(member, name, &outcome);
        outcome
    }

    async fn take_of(
        &self,
        member: MemberId,
        key: ProofKey,
        name: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Digest, Refused> {
        let proof = headers.get(PROOF_HEADER).and_then(|proof| proof.to_str().ok());
        let proof = proof.ok_or(Refused::NoProof)?.to_owned();
        let place = self.place_for(body::stated_length(&body)).await;
        let body = body::read(body, MANIFEST_BODY_BYTES_MAX).await?;
        let (this, of) = (self.clone(), name.to_owned());
        // Thousands of files take a while, which is not to be the probes'. The place is free when it is done, whoever waits for it.
        let judged = tokio::task::spawn_blocking(move || {
            let report = this.judge(member, &key, &of, &body, &proof);
            drop(place);
            report
        });
        match judged.await.map_err(|_| Refused::NoAnswer)??.set {
            ReportedSet::Whole(files) => {
                let digest = files.digest();
                self.control
                    .agent_says(name, AgentSays::Files(Arc::new(files)))
                    .await
                    .map_err(|_| Refused::NoAnswer)??;
                Ok(digest)
            }
            ReportedSet::Unchanged(digest) => {
                let is_known = self
                    .control
                    .agent_says(name, AgentSays::StillThere(digest))
                    .await
                    .map_err(|_| Refused::NoAnswer)??;
                if is_known { Ok(digest) } else { Err(Refused::UnknownDigest) }
            }
        }
    }

    /// A place among the long reports; heartbeats need none, so that they come through beside them.
    async fn place_for(&self, length: Option<u64>) -> Option<OwnedSemaphorePermit> {
        if length.is_some_and(|length| length <= AGENT_HEARTBEAT_BYTES_MAX as u64) {
            return None;
        }
        let place = Arc::clone(&self.room).acquire_owned().await;
        Some(place.expect("the semaphore is never closed"))
    }

    /// The cheap questions come first; nothing but the nonce is read of what proves nothing.
    fn judge(
        &self,
        member: MemberId,
        key: &ProofKey,
        name: &str,
        body: &[u8],
        proof: &str,
    ) -> Result<Report, Refused> {
        let nonce = nonce_of(body)?;
        self.nonces().judge(member, &nonce, self.start.elapsed())?;
        key.verify(&nonce, name, body, proof)?;
        self.nonces().spend(member, nonce, self.start.elapsed())?;
        let report = Report::decode(body)?;
        if report.member != name {
            return Err(Refused::OtherMember(Shown::new(&report.member)));
        }
        Ok(report)
    }

    fn nonces(&self) -> MutexGuard<'_, Nonces> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each kind of refusal once for a member, until one of its reports is taken: strangers must not fill the log.
    fn log(&self, member: MemberId, name: &str, outcome: &Result<Digest, Refused>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(_) => drop(told.remove(&member)),
            // Every router that was started anew says so to every agent.
            Err(Refused::UnknownDigest) => {}
            Err(refused) => {
                // Members that left the document are not remembered for ever.
                let view = self.view.borrow();
                told.retain(|known, _| view.member(*known).is_some());
                if told.entry(member).or_default().insert(refused.status()) {
                    tracing::warn!(member = name, "a report of files was refused: {refused}");
                }
            }
        }
    }
}

async fn challenge(State(agents): State<Agents>, Path(name): Path<String>) -> Response {
    match agents.member(&name) {
        Ok((member, _)) => {
            let nonce = agents.nonces().issue(member, agents.start.elapsed());
            ([(header::CONTENT_TYPE, "application/json")], Challenge { nonce }.encode()).into_response()
        }
        Err(refused) => refusal(refused.status(), refused),
    }
}

async fn report(
    State(agents): State<Agents>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match agents.take(&name, &headers, body).await {
        Ok(digest) => Json(serde_json::json!({ "digest": digest.to_string() })).into_response(),
        Err(refused) => refusal(refused.status(), refused),
    }
}

/// The nonce alone, without keeping anything else.
fn nonce_of(body: &[u8]) -> Result<Nonce, Refused> {
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow)]
        nonce: Cow<'a, str>,
    }
    let form: Form<'_> =
        serde_json::from_slice(body).map_err(|error| Refused::NoNonce(Shown::new(&error.to_string())))?;
    form.nonce.parse().map_err(|_| Refused::from(ReportError::Nonce))
}
