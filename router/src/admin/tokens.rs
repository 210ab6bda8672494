//! `/v1/tokens`: the cluster's tokens for the API are listed, made and revoked. The secret of a token stands in one answer, and nowhere
//! else: the routers keep its hash.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcs_core::agreed::credentials::{ApiToken, Role, Salted};
use rcs_core::agreed::{Action, CommandRefusal, CommandResult};
use rcs_core::view::is_usable_name;
use rcs_proto::icf::Secret;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::json::Json;
use super::parts::Path;
use super::problem::Problem;
use super::provider::within;
use super::requester::Requester;
use super::wish::{Wish, tag, told};
use crate::cluster::Cluster;
use crate::limits::{TOKEN_REQUEST_BYTES_MAX, TOKEN_SECRET_BYTES};

/// How a secret begins: so programs that look for secrets in source code find one.
const PREFIX: &str = "rcs_";
const FORM: &str = "send {\"name\": \"NAME\", \"role\": \"viewer\"}; operator is the role that may change something, admin tokens and routers too";

/// The secret of a new token.
///
/// # Errors
/// The operating system has no random numbers.
pub(super) fn draw() -> Result<Secret<String>, Problem> {
    let mut bytes = [0; TOKEN_SECRET_BYTES];
    fill(&mut bytes)?;
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// Whether a text has the form of such a secret.
pub(super) fn has_form(text: &str) -> bool {
    // Base64 has four characters for three bytes.
    text.starts_with(PREFIX) && text.len() == PREFIX.len() + (TOKEN_SECRET_BYTES * 4).div_ceil(3)
}

fn fill(bytes: &mut [u8]) -> Result<(), Problem> {
    let no_randomness = |_| {
        Problem::unavailable(
            "the operating system has no random numbers for a secret",
            "repeat the request later",
        )
    };
    SystemRandom::new().fill(bytes).map_err(no_randomness)
}

/// A token, as answers have it.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    role: &'static str,
}

/// A token that was made now.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    /// The secret, for this once.
    token: &'a str,
    revision: u64,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    role: Role,
}

pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Problem> {
    let found = cluster(&admin)?.look(|state| {
        let row = |(name, role): (&str, Role)| (name.to_owned(), role);
        (state.revision(), state.credentials().api_tokens().map(row).collect::<Vec<_>>())
    });
    let (revision, tokens) = found.ok_or_else(|| {
        Problem::unavailable("the consensus part of this router does not run", "ask another router")
    })?;
    let rows: Vec<Row<'_>> = tokens.iter().map(|(name, role)| Row { name, role: role.label() }).collect();
    Ok((tag(revision), Json(rows)).into_response())
}

/// A repeated request makes no second secret: it is told that the first one was told.
pub(super) async fn create(
    State(admin): State<Admin>,
    wish: Wish,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let cluster = cluster(&admin)?;
    let body = within(body, TOKEN_REQUEST_BYTES_MAX, FORM)?;
    let Wanted { name, role } = serde_json::from_slice(&body)
        .map_err(|error| Problem::request(format!("the body describes no token: {error}"), FORM))?;
    refuse_bad_name(&name)?;
    refuse_dry_run(&wish)?;
    let wish = wish.of(&body);
    if let Some(earlier) = wish.earlier(cluster).await? {
        told(&earlier, Vec::new(), Vec::new(), true)?;
        return Err(Problem::told_once(&name));
    }
    let secret = draw()?;
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let hash = Salted::new(u128::from_be_bytes(salt), secret.expose());
    let action = Action::GrantApi { name: name.clone(), token: ApiToken { role, hash } };
    let outcome = wish.decide(cluster, action).await?;
    if let CommandResult::Refused { kind, sentence } = &outcome.result {
        return Err(Problem::refused(kind, sentence, Some(outcome.revision)));
    }
    // Of two requests with one key at the same time, one made the token. The other one has the outcome, and another secret.
    if cluster.api_tokens().find(secret.expose()).is_none_or(|(found, _)| found != name) {
        return Err(Problem::told_once(&name));
    }
    let made = Made {
        row: Row { name: &name, role: role.label() },
        token: secret.expose(),
        revision: outcome.revision,
    };
    Ok((StatusCode::CREATED, tag(outcome.revision), Json(made)).into_response())
}

pub(super) async fn revoke(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    wish: Wish,
) -> Result<Response, Problem> {
    let cluster = cluster(&admin)?;
    refuse_dry_run(&wish)?;
    if let Some(earlier) = wish.earlier(cluster).await? {
        return told(&earlier, Vec::new(), Vec::new(), true);
    }
    let outcome = wish.decide(cluster, Action::RevokeApi { name }).await?;
    told(&outcome, Vec::new(), Vec::new(), false)
}

fn cluster(admin: &Admin) -> Result<&Cluster, Problem> {
    admin.cluster.as_ref().ok_or_else(Problem::no_tokens)
}

/// Before anything stands in the log, whose entries every router keeps.
fn refuse_bad_name(name: &str) -> Result<(), Problem> {
    if Requester::is_reserved(name) {
        let sentence =
            format!("the audit log itself uses the name {name:?}: choose another name for the token");
        return Err(Problem::refused("bad_name", &sentence, None));
    }
    if !is_usable_name(name) {
        return Err((&CommandRefusal::BadName(name.to_owned())).into());
    }
    Ok(())
}

fn refuse_dry_run(wish: &Wish) -> Result<(), Problem> {
    match wish.is_dry_run() {
        true => Err(Problem::request("tokens have no dry run", "send the request without dry_run")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_its_form_and_is_never_the_same() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        assert_ne!(one, other);
        for (text, is_one) in [
            (one.expose().as_str(), true),
            (&one.expose()[1..], false),
            (&format!("{}x", one.expose()), false),
            ("rcs_", false),
            ("", false),
        ] {
            assert_eq!(has_form(text), is_one, "{} characters", text.len());
        }
    }
}
