//! Reports of agents that run beside members: `GET /v1/members/MEMBER/challenge`, then `POST /v1/members/MEMBER/manifest` with the
//! proof of the member's key over that challenge.
//!
//! Everybody who reaches the admin address may send a report. So the head of a report has a proof of the member's key, and only then the
//! report gets a place and is read. Reports of older agents have a proof at their end only, and share a few places. Until the proof over a
//! report's bytes is verified, little is spent on the report: only its nonce is parsed, and nothing is remembered.

mod body;
mod nonces;
mod places;

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
    Challenge, Digest, HEAD_HEADER, Head, Nonce, PROOF_HEADER, ProofKey, Report, ReportError, ReportedSet,
    Shown, WrongProof,
};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use self::body::BodyFault;
use self::nonces::{NonceFault, Nonces};
use self::places::{NoPlace, Place, Places};
use super::{protected, refusal};
use crate::access::{Mode, is_known_key};
use crate::control::{Control, NoAnswer};
use crate::limits::{AGENT_REQUEST_DEADLINE, AGENT_REQUESTS_MAX};

/// Judges the reports of agents.
#[derive(Clone)]
pub(crate) struct Agents {
    control: Control,
    /// Members and their keys.
    view: watch::Receiver<Arc<View>>,
    mode: Mode,
    start: Instant,
    nonces: Arc<Mutex<Nonces>>,
    places: Arc<Places>,
    /// The kinds of refusals already logged, by member, since the member's last accepted report.
    told: Arc<Mutex<HashMap<MemberId, BTreeSet<StatusCode>>>>,
}

/// Why a request of an agent is refused. The text is sent to the agent, and says what to do.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no member is named {0:?}: use the member's name in the router's provider file")]
    NoMember(Shown),
    #[error(
        "this member is in client mode, so the router has no key to check its reports with: run it in server mode"
    )]
    NoKey,
    #[error(
        "everybody knows this member's default key, so a report proves nothing: set another key at the server and in the provider file"
    )]
    KnownKey,
    #[error("the report has no proof: send it in the header {PROOF_HEADER}")]
    NoProof,
    #[error("the report must be JSON: send Content-Type: application/json")]
    NoJson,
    #[error("a report whose head has a proof needs a length: send Content-Length")]
    NoLength,
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error(transparent)]
    Body(#[from] BodyFault),
    #[error("the report has no nonce, or is not valid JSON: {0}")]
    NoNonce(Shown),
    #[error(transparent)]
    Nonce(#[from] NonceFault),
    #[error(transparent)]
    Proof(#[from] WrongProof),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("the report is about the member {0:?}: post it under that name")]
    OtherMember(Shown),
    #[error("the router does not know this digest: send the whole manifest")]
    UnknownDigest,
    // The member left the provider file while its report was judged.
    #[error(transparent)]
    Gone(#[from] UnknownMember),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("the router failed to judge the report: see its log")]
    NotJudged,
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
            Self::NoJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::Nonce(NonceFault::TooMany) | Self::NoPlace(NoPlace::Member) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Body(BodyFault::Broken)
            | Self::NoNonce(_)
            | Self::Nonce(_)
            | Self::Report(_)
            | Self::OtherMember(_) => StatusCode::BAD_REQUEST,
            Self::UnknownDigest => StatusCode::CONFLICT,
            Self::NoAnswer(_) | Self::NotJudged | Self::NoPlace(NoPlace::Unproven) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
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
            places: Arc::new(Places::new()),
            told: Arc::default(),
        })
    }

    /// The paths for agents. A challenge is made at once and stored nowhere, so it needs no place.
    pub(super) fn routes(self) -> Router {
        let reports = Router::new().route("/v1/members/{member}/manifest", post(report));
        let challenges = Router::new().route("/v1/members/{member}/challenge", get(challenge));
        let reports = reports.with_state(self.clone());
        protected(reports, AGENT_REQUESTS_MAX, AGENT_REQUEST_DEADLINE).merge(challenges.with_state(self))
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
        if !is_json(headers) {
            return Err(Refused::NoJson);
        }
        let proof = headers.get(PROOF_HEADER).and_then(|proof| proof.to_str().ok());
        let proof = proof.ok_or(Refused::NoProof)?.to_owned();
        let (place, spent) = self.place_for(member, &key, name, headers, body::stated_length(&body)).await?;
        let body = body::read(body, MANIFEST_BODY_BYTES_MAX).await?;
        let (this, of) = (self.clone(), name.to_owned());
        // Thousands of files take a while, which is not to be the probes'. The place is free when it is done, whoever waits for it.
        let judged = tokio::task::spawn_blocking(move || {
            let report = this.judge(member, &key, &of, &body, (&proof, spent));
            drop(place);
            report
        });
        match judged.await.map_err(|_| Refused::NotJudged)??.set {
            ReportedSet::Whole(files) => {
                let digest = files.digest();
                self.control.agent_says(name, AgentSays::Files(Arc::new(files))).await??;
                Ok(digest)
            }
            ReportedSet::Unchanged(digest) => {
                let is_known = self.control.agent_says(name, AgentSays::StillThere(digest)).await??;
                if is_known { Ok(digest) } else { Err(Refused::UnknownDigest) }
            }
        }
    }

    /// A place for a report. If the report's head has a proof, also the nonce that the head used up.
    async fn place_for(
        &self,
        member: MemberId,
        key: &ProofKey,
        name: &str,
        headers: &HeaderMap,
        bytes: Option<u64>,
    ) -> Result<(Place, Option<Nonce>), Refused> {
        let Some(head) = headers.get(HEAD_HEADER) else { return Ok((self.places.unproven(bytes)?, None)) };
        let head: Head = head.to_str().map_err(|_| WrongProof)?.parse()?;
        let bytes = bytes.ok_or(Refused::NoLength)?;
        if bytes > MANIFEST_BODY_BYTES_MAX as u64 {
            return Err(BodyFault::TooLarge(MANIFEST_BODY_BYTES_MAX).into());
        }
        self.nonces().judge(member, head.nonce(), self.start.elapsed())?;
        key.verify_head(&head, name, bytes)?;
        // An attacker that overhears a head and repeats it comes too late: the nonce is used up.
        self.nonces().spend(member, *head.nonce(), self.start.elapsed())?;
        Ok((self.places.of_member(member, bytes).await?, Some(*head.nonce())))
    }

    /// The cheap questions come first; nothing but the nonce is read of what proves nothing.
    fn judge(
        &self,
        member: MemberId,
        key: &ProofKey,
        name: &str,
        body: &[u8],
        (proof, spent): (&str, Option<Nonce>),
    ) -> Result<Report, Refused> {
        let nonce = nonce_of(body)?;
        let is_spent = spent == Some(nonce);
        if !is_spent {
            self.nonces().judge(member, &nonce, self.start.elapsed())?;
        }
        key.verify(&nonce, name, body, proof)?;
        if !is_spent {
            self.nonces().spend(member, nonce, self.start.elapsed())?;
        }
        let report = Report::decode(body)?;
        if report.member != name {
            return Err(Refused::OtherMember(Shown::new(&report.member)));
        }
        Ok(report)
    }

    fn nonces(&self) -> MutexGuard<'_, Nonces> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs each kind of refusal once per member, until a report of the member is accepted: strangers must not fill the log.
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

/// Whether the body is JSON: a form of a web page cannot send JSON without asking the router first.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
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
