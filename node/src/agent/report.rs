//! Reports the files to one router: requests a challenge, proves the member's key, and repeats the report before the router forgets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rcs_proto::manifest::{
    Challenge, Digest, FileManifest, HEAD_HEADER, PROOF_HEADER, ProofKey, Report, ReportError, ReportedSet,
    Shown,
};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::http::{self, Answer, HttpError, Request, RouterUrl};
use crate::limits::{AGENT_BACKOFF, AGENT_BACKOFF_MAX};

/// What agents call themselves.
pub const AGENT_NAME: &str = concat!("rcs-node ", env!("CARGO_PKG_VERSION"));

/// The files as the last scan found them; `None` while some file cannot be read.
pub(super) type Latest = Option<Arc<FileManifest>>;

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The member's name in the router's document.
    pub member: String,
    /// Its key.
    pub key: ProofKey,
}

/// Why a report was not accepted.
#[derive(Debug)]
pub enum ReportFault {
    /// No response, or not a router's.
    Unreachable(String),
    /// The router knows no such member.
    UnknownMember(Shown),
    /// The proof was refused.
    WrongKey(Shown),
    /// The router does not know the digest: it needs the whole manifest.
    WholeWanted(Shown),
    /// Another refusal.
    Refused(u16, Shown),
    /// The report cannot be written.
    NoReport(ReportError),
}

impl ReportFault {
    /// The kind of the fault: the operator has to do the same for all faults of a kind, so each kind is logged once.
    fn kind(&self) -> u16 {
        match self {
            Self::Unreachable(_) => 0,
            Self::UnknownMember(_) => 404,
            Self::WrongKey(_) => 401,
            Self::WholeWanted(_) => 409,
            Self::Refused(status, _) => *status,
            Self::NoReport(_) => 1,
        }
    }
}

impl fmt::Display for ReportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no report to the router: {why}"),
            Self::UnknownMember(said) => {
                write!(
                    f,
                    "the router does not know this member (it says: {said}); set --member to the name in the router's provider file"
                )
            }
            Self::WrongKey(said) => write!(
                f,
                "the router refuses the proof (it says: {said}); the key of this server and the member's key in the \
                 router's provider file must be the same"
            ),
            Self::WholeWanted(said) => {
                write!(
                    f,
                    "the router does not keep the reported manifest (it says: {said}); look at the router's log"
                )
            }
            Self::Refused(status, said) => {
                write!(f, "the router refuses the report with HTTP status {status} (it says: {said})")
            }
            Self::NoReport(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReportFault {}

impl From<HttpError> for ReportFault {
    fn from(error: HttpError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Reports once. `tls` is for a router with TLS.
///
/// # Errors
/// [`ReportFault`]
pub async fn report(
    url: &RouterUrl,
    tls: Option<&Arc<ClientConfig>>,
    identity: &Identity,
    set: ReportedSet,
) -> Result<(), ReportFault> {
    let member = in_path(&identity.member);
    let path = format!("/v1/members/{member}/challenge");
    let answer =
        http::exchange(url, tls, Request { method: "GET", path: &path, headers: "", body: b"" }).await?;
    let body = accepted(answer)?;
    let challenge = Challenge::decode(&body).map_err(|error| {
        ReportFault::Unreachable(format!("this is not the admin address of a router: {error}"))
    })?;
    let report =
        Report { member: identity.member.clone(), nonce: challenge.nonce, agent: AGENT_NAME.to_owned(), set };
    let body = report.encode().map_err(ReportFault::NoReport)?;
    let proof = identity.key.prove(&challenge.nonce, &identity.member, &body);
    let path = format!("/v1/members/{member}/manifest");
    // Routers read a report only for a proof in its head. Older routers ignore this proof.
    let head = identity.key.prove_head(&challenge.nonce, &identity.member, body.len() as u64);
    let headers =
        format!("Content-Type: application/json\r\n{HEAD_HEADER}: {head}\r\n{PROOF_HEADER}: {proof}\r\n");
    let answer =
        http::exchange(url, tls, Request { method: "POST", path: &path, headers: &headers, body: &body })
            .await?;
    accepted(answer).map(drop)
}

fn accepted(answer: Answer) -> Result<Vec<u8>, ReportFault> {
    let said = || Shown::new(String::from_utf8_lossy(&answer.body).trim());
    match answer.status {
        200..=299 => Ok(answer.body),
        401 | 403 => Err(ReportFault::WrongKey(said())),
        404 => Err(ReportFault::UnknownMember(said())),
        409 => Err(ReportFault::WholeWanted(said())),
        status => Err(ReportFault::Refused(status, said())),
    }
}

/// A name as one segment of a path.
fn in_path(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Keeps reporting to one router.
pub(super) struct Reporter {
    url: RouterUrl,
    tls: Option<Arc<ClientConfig>>,
    identity: Identity,
    interval: Duration,
    latest: watch::Receiver<Latest>,
    /// What the router has, as far as we know.
    told: Option<Digest>,
    /// What the log said last; `Ok` is the digest that was accepted.
    logged: Option<Result<Digest, u16>>,
    failures: u32,
}

impl Reporter {
    pub(super) fn new(
        url: RouterUrl,
        tls: Option<Arc<ClientConfig>>,
        identity: Identity,
        interval: Duration,
        latest: watch::Receiver<Latest>,
    ) -> Self {
        Self { url, tls, identity, interval, latest, told: None, logged: None, failures: 0 }
    }

    /// Ends with the agent.
    pub(super) async fn run(mut self) {
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                // After a failure the pause is kept: the router hears of the newest files when it is back.
                changed = self.latest.changed(), if self.failures == 0 => if changed.is_err() { return },
            }
            let latest = self.latest.borrow_and_update().clone();
            due = Instant::now()
                + match latest {
                    Some(manifest) => self.tell(&manifest).await,
                    None => self.interval,
                };
        }
    }

    /// Reports as much as is needed; gives the time to the next report.
    async fn tell(&mut self, manifest: &FileManifest) -> Duration {
        let digest = manifest.digest();
        let mut result = Err(ReportFault::WholeWanted(Shown::new("")));
        if self.told == Some(digest) {
            result =
                report(&self.url, self.tls.as_ref(), &self.identity, ReportedSet::Unchanged(digest)).await;
        }
        if let Err(ReportFault::WholeWanted(_)) = result {
            self.told = None;
            result =
                report(&self.url, self.tls.as_ref(), &self.identity, ReportedSet::Whole(manifest.clone()))
                    .await;
        }
        self.log(digest, &result);
        if result.is_ok() {
            self.told = Some(digest);
            self.failures = 0;
            return spread(self.interval);
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = AGENT_BACKOFF.saturating_mul(1 << (self.failures - 1).min(16));
        spread(doubled.min(AGENT_BACKOFF_MAX))
    }

    fn log(&mut self, digest: Digest, result: &Result<(), ReportFault>) {
        let state = result.as_ref().map(|()| digest).map_err(ReportFault::kind);
        if self.logged == Some(state) {
            return;
        }
        self.logged = Some(state);
        let router = &self.url;
        match result {
            Ok(()) => tracing::info!(%router, %digest, "the router has the manifest"),
            Err(fault) => tracing::warn!(%router, member = self.identity.member, "{fault}"),
        }
    }
}

/// Between 75 % and 100 % of a time: agents that were started at once shall not report at once for ever.
fn spread(time: Duration) -> Duration {
    time.mul_f64(0.75 + fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_one_segment() {
        assert_eq!(in_path("n1"), "n1");
        assert_eq!(in_path("a/../b c?é"), "a%2F..%2Fb%20c%3F%C3%A9");
    }
}
