//! Asks an issuer's introspection endpoint about tokens (RFC 7662).
//!
//! A few requests at a time are under way, one for each token, and networks take turns. After a token that is not active the place of its
//! request rests, so wrong tokens load the authorization server with less than a hundred requests a second. An answer counts for a while. While the endpoint cannot be asked, tokens without such an answer are refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcs_oauth::https::{HttpsError, Part};
use rcs_proto::icf::Secret;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::Tag;
use super::claims::Claims;
use super::endpoint::Endpoint;
use super::fault::TokenFault;
use super::state::Health;
use crate::access::lanes::{self, Lanes};
use crate::clock::wall;
use crate::limits::{
    INTROSPECTION_PAUSE, INTROSPECTION_REST_MIN, INTROSPECTION_TRIED_EVERY, INTROSPECTIONS_MAX,
    INTROSPECTIONS_WAITING_MAX, TOKENS_REMEMBERED_MAX,
};

/// A text that is no token of anybody: an endpoint that works says that it is not active.
const TOKEN_OF_NOBODY: &str = "rcs-router-asks-whether-this-endpoint-answers";

/// The endpoint of one issuer, and what it said.
pub(super) struct Introspection {
    /// The name of the issuer's entry.
    name: String,
    endpoint: Endpoint,
    /// The id and secret by which the router asks.
    client: (String, Secret<String>),
    /// How long an answer counts.
    recheck: Duration,
    answers: Mutex<HashMap<Tag, Told>>,
    queue: Mutex<Queue>,
    seen: Mutex<Seen>,
}

/// How the requests went.
#[derive(Default)]
struct Seen {
    health: Health,
    /// When the last request failed; `None` after one that succeeded.
    failed_at: Option<Instant>,
    /// Whether a request is under way that finds out whether the endpoint answers again.
    is_tried: bool,
}

/// What the endpoint said of a token.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// What an active token says; `None`: the token is not active.
    pub(super) claims: Option<Arc<Claims>>,
    /// When the endpoint was asked.
    pub(super) asked: Instant,
}

struct Queue {
    jobs: Lanes<Job>,
    /// Who waits for the answer about each token that is queued or being asked about.
    waiting: HashMap<Tag, Vec<oneshot::Sender<Result<Told, TokenFault>>>>,
    working: usize,
}

#[derive(Debug)]
struct Job {
    tag: Tag,
    token: Secret<String>,
}

#[derive(Deserialize)]
struct Answer {
    active: bool,
    #[serde(flatten)]
    claims: Claims,
}

impl Introspection {
    /// An endpoint that has not been asked yet.
    pub(super) fn new(
        name: &str,
        endpoint: Endpoint,
        client: (String, Secret<String>),
        recheck: Duration,
    ) -> Arc<Self> {
        let queue =
            Queue { jobs: Lanes::new(INTROSPECTIONS_WAITING_MAX), waiting: HashMap::new(), working: 0 };
        Arc::new(Self {
            name: name.to_owned(),
            endpoint,
            client,
            recheck,
            answers: Mutex::default(),
            queue: Mutex::new(queue),
            seen: Mutex::default(),
        })
    }

    /// How long an answer counts. Open connections are asked about as often.
    pub(super) fn recheck(&self) -> Duration {
        self.recheck
    }

    /// How the requests to the endpoint went.
    pub(super) fn health(&self) -> Health {
        self.seen().health.clone()
    }

    /// Finds out whether an endpoint that failed answers again, if its time has come. Without this an outage would seem to last until somebody
    /// shows a token.
    pub(super) fn try_again(self: &Arc<Self>) {
        let mut seen = self.seen();
        let is_due = seen.failed_at.is_some_and(|at| at.elapsed() >= INTROSPECTION_TRIED_EVERY);
        if is_due && !std::mem::replace(&mut seen.is_tried, true) {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                let asked = Instant::now();
                let nobodys = Secret::new(TOKEN_OF_NOBODY.to_owned());
                let answer = this.endpoint.introspect::<Answer>(&nobodys, &this.client).await;
                // It was told in the log.
                let _ = this.take(answer, asked);
                this.seen().is_tried = false;
            });
        }
    }

    /// What the endpoint says of a token. An answer that still counts costs no request.
    ///
    /// # Errors
    /// [`TokenFault::NotAsked`], [`TokenFault::NotAccepted`], [`TokenFault::TooMany`]
    pub(super) async fn ask(
        self: &Arc<Self>,
        tag: Tag,
        token: &Secret<String>,
        from: IpAddr,
    ) -> Result<Told, TokenFault> {
        let known = self.answers().get(&tag).cloned();
        if let Some(told) = known.filter(|told| told.asked.elapsed() < self.recheck) {
            return Ok(told);
        }
        // An endpoint that has just failed is not asked for each connection of a storm.
        if self.seen().failed_at.is_some_and(|at| at.elapsed() < INTROSPECTION_PAUSE) {
            return Err(TokenFault::NotAsked);
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.queue();
            let Queue { jobs, waiting, working } = &mut *queue;
            match waiting.entry(tag) {
                Entry::Occupied(mut others) => others.get_mut().push(answer),
                Entry::Vacant(first) => {
                    let entry = lanes::Entry::Issuer(self.name.as_str().into());
                    let lost = jobs.push(from.into(), entry, Job { tag, token: token.clone() });
                    let lost = lost.map_err(|_| TokenFault::TooMany)?;
                    first.insert(vec![answer]);
                    // Whoever waits for a job that makes room learns of the drop.
                    lost.and_then(|lost| waiting.remove(&lost.tag)).into_iter().for_each(drop);
                }
            }
            if *working < INTROSPECTIONS_MAX {
                *working += 1;
                tokio::spawn(Arc::clone(self).work());
            }
        }
        match answered.await {
            Ok(told) => told,
            Err(_) => Err(TokenFault::TooMany),
        }
    }

    /// Asks about a text that is nobody's token.
    ///
    /// # Errors
    /// Why the endpoint cannot be asked.
    pub(super) async fn examine(&self) -> Result<(), String> {
        let nobodys = Secret::new(TOKEN_OF_NOBODY.to_owned());
        match self.ask_again(Tag::default(), &nobodys).await {
            // An endpoint may refuse a text that it did not make.
            Ok(_) | Err(TokenFault::NotAccepted(_)) => Ok(()),
            Err(_) => Err(self.health().failure.unwrap_or_else(|| "its answer is too long".to_owned())),
        }
    }

    /// Asks about the token of an open connection, whatever was said of the token before.
    ///
    /// # Errors
    /// [`TokenFault::NotAsked`], [`TokenFault::NotAccepted`]: the endpoint has not said what the token is.
    pub(super) async fn ask_again(&self, tag: Tag, token: &Secret<String>) -> Result<Told, TokenFault> {
        let asked = Instant::now();
        let answer = self.endpoint.introspect::<Answer>(token, &self.client).await;
        let told = self.take(answer, asked)?;
        let mut answers = self.answers();
        // Only an attacker has very many tokens.
        if answers.len() >= TOKENS_REMEMBERED_MAX && !answers.contains_key(&tag) {
            answers.retain(|_, told| told.asked.elapsed() < self.recheck);
            if answers.len() >= TOKENS_REMEMBERED_MAX {
                answers.clear();
            }
        }
        answers.insert(tag, told.clone());
        Ok(told)
    }

    /// Works until nothing waits.
    async fn work(self: Arc<Self>) {
        while let Some(job) = self.next() {
            let began = Instant::now();
            let told = self.ask_again(job.tag, &job.token).await;
            let waiting = self.queue().waiting.remove(&job.tag).unwrap_or_default();
            let is_active = told.as_ref().is_ok_and(|told| told.claims.is_some());
            for one in waiting {
                // The connection may have ended meanwhile.
                let _ = one.send(told.clone());
            }
            if !is_active {
                sleep(began.elapsed().clamp(INTROSPECTION_REST_MIN, INTROSPECTION_PAUSE)).await;
            }
        }
    }

    /// The next token that somebody still waits for; `None` ends the work.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        while let Some(job) = queue.jobs.pop() {
            let is_wanted =
                queue.waiting.get(&job.tag).is_some_and(|all| all.iter().any(|one| !one.is_closed()));
            if is_wanted {
                return Some(job);
            }
            queue.waiting.remove(&job.tag);
        }
        queue.working -= 1;
        None
    }

    /// What an answer means. Logs when an outage begins and ends.
    fn take(&self, answer: Result<Answer, HttpsError>, asked: Instant) -> Result<Told, TokenFault> {
        let mut seen = self.seen();
        let name = &self.name;
        match answer {
            Ok(answer) => {
                if seen.failed_at.take().is_some() {
                    tracing::info!(issuer = %name, "the introspection endpoint of the issuer answers again");
                }
                seen.health = Health { succeeded: Some(wall()), failure: None };
                Ok(Told { claims: answer.active.then(|| Arc::new(answer.claims)), asked })
            }
            // Nobody must be able to turn others away with a token that the endpoint dislikes.
            Err(HttpsError::Status { status }) if is_of_token(status) => Err(TokenFault::NotAccepted(status)),
            Err(HttpsError::TooLarge { part: Part::Body, .. }) => Err(TokenFault::NotAsked),
            Err(error) => {
                let why = in_words(&error);
                if seen.health.failure.as_ref() != Some(&why) {
                    tracing::error!(
                        issuer = %name,
                        "the introspection endpoint of the issuer cannot be asked: {why}\nuntil it can, tokens that were not asked about in \
                         the last {} s are refused with 503; open connections stay",
                        self.recheck.as_secs()
                    );
                }
                seen.health.failure = Some(why);
                seen.failed_at = Some(Instant::now());
                Err(TokenFault::NotAsked)
            }
        }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Tag, Told>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an answer with this status is about the token alone. 401 and 403 are about the router's own client, 408 and 429 about the endpoint.
fn is_of_token(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 401 | 403 | 408 | 429)
}

fn in_words(error: &HttpsError) -> String {
    match error {
        HttpsError::Status { status: status @ (401 | 403) } => format!(
            "the endpoint refuses the router with HTTP {status}: compare client_id and client_secret_file with the authorization server, and \
             allow this client to introspect tokens"
        ),
        other => other.to_string(),
    }
}
