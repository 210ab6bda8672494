//! `GET /v1/export` and `POST /v1/apply`: all members and groups as IDM's own document. `PUT /v1/servers/NAME` and its like: one member
//! as its entry in that document.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rcs_core::agreed::{Action, Document, Edit};
use rcs_core::limits::PROVIDER_DOCUMENT_BYTES_MAX;
use rcs_core::provider::write::{Entry, GroupPlace, KeyForm, as_written, entry, write};
use rcs_core::provider::{Keys, Properties, Reading, Severity, read_with};
use rcs_core::view::{Link, MemberSpec};
use rcs_proto::manifest::Digest;
use serde_json::{Value, json};

use super::Admin;
use super::json::Json;
use super::parts::Path;
use super::problem::Problem;
use super::wish::{Known, Present, Wish};
use crate::control::Origin;
use crate::document::undialable;

/// Without keys: each is a placeholder.
pub(super) async fn export(State(admin): State<Admin>) -> Response {
    match Present::known(&admin) {
        Ok(present) => shown(&present, KeyForm::AsItWas),
        Err(problem) => problem.into_response(),
    }
}

/// With the keys of members in clear. A POST, so that it needs the token.
pub(super) async fn export_keys(State(admin): State<Admin>, Origin { who, from }: Origin) -> Response {
    match Present::known(&admin) {
        Ok(present) => {
            tracing::info!(%who, %from, "the provider document was exported with the keys of members");
            shown(&present, KeyForm::Clear)
        }
        Err(problem) => problem.into_response(),
    }
}

fn shown(present: &Present, keys: KeyForm) -> Response {
    let written = write(&present.document, keys, GroupPlace::OwnArrays);
    match serde_json::to_string_pretty(&written) {
        Ok(text) => {
            let text = rcs_cli::printable::lines(&text).into_owned() + "\n";
            (present.tag(), [(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(error) => Problem::unavailable(error.to_string(), "please report this").into_response(),
    }
}

pub(super) async fn apply(
    State(admin): State<Admin>,
    wish: Wish,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    put_in_force(&admin, wish, &whole(body)?).await
}

/// All members and groups are what this document says.
///
/// # Errors
/// The document has faults, or the change is not made.
pub(super) async fn put_in_force(admin: &Admin, wish: Wish, body: &[u8]) -> Result<Response, Problem> {
    let wish = wish.of(body);
    let present = match wish.present(admin).await? {
        Known::Present(present) => present,
        Known::Answered(answer) => return Ok(*answer),
    };
    let (document, warnings) = read(body, &present.document)?;
    let action = Action::Configure {
        document: Some(in_present_order(document, &present.document)),
        settings: None,
        digest: Digest::of(body),
    };
    wish.carry_out(admin, &present, action, warnings).await
}

/// The body of a request.
///
/// # Errors
/// It is too long, or did not come.
pub(super) fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    within(body, PROVIDER_DOCUMENT_BYTES_MAX, "split the document over several routers")
}

/// The body of a request for which the server has this bound.
///
/// # Errors
/// It is too long, for which there is this fix; or it did not come.
pub(super) fn within(
    body: Result<Bytes, BytesRejection>,
    bytes_max: usize,
    fix: &'static str,
) -> Result<Bytes, Problem> {
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_long(bytes_max, fix),
        _ => Problem::request(error.body_text(), "send the request again"),
    })
}

/// A document that says what is in force in another order of members is the one in force.
fn in_present_order(document: Document, present: &Document) -> Document {
    if document == as_written(present) { present.clone() } else { document }
}

/// Reads a document. Members whose key is encrypted, a placeholder or missing keep their key.
fn read(body: &[u8], present: &Document) -> Result<(Document, Vec<String>), Problem> {
    let key = |member: &MemberSpec| match &member.link {
        Link::Dial(endpoint) => Some((member.name.clone(), endpoint.key.clone())),
        Link::Accept => None,
    };
    let keys = Keys { kept: present.members.iter().filter_map(key).collect(), ..Keys::default() };
    // Placeholders of the environment are the router's secrets: a request does not read them.
    let reading = read_with(body, &Properties::new(), &keys);
    let texts =
        |reading: &Reading, severity| reading.of(severity).map(ToString::to_string).collect::<Vec<_>>();
    let Some(provider) = &reading.provider else {
        return Err(Problem::faulty(texts(&reading, Severity::Error)));
    };
    let faults = undialable(provider);
    if !faults.is_empty() {
        return Err(Problem::faulty(faults));
    }
    Ok((provider.document(), texts(&reading, Severity::Warning)))
}

// --- single members ---

pub(super) async fn servers(State(admin): State<Admin>) -> Result<Response, Problem> {
    let present = Present::known(&admin)?;
    let entries: Vec<Entry> =
        present.document.members.iter().map(|member| entry(member, KeyForm::AsItWas)).collect();
    Ok((present.tag(), Json(entries)).into_response())
}

pub(super) async fn server(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let present = Present::known(&admin)?;
    let found = present.document.members.iter().find(|member| member.name == name);
    let member = found.ok_or_else(|| {
        Problem::unknown("no_member", &format!("there is no member named {name:?}: see GET /v1/servers"))
    })?;
    Ok((present.tag(), Json(entry(member, KeyForm::AsItWas))).into_response())
}

pub(super) async fn put_server(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    wish: Wish,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = whole(body)?;
    let (text, wish) = (as_document(&name, &body)?, wish.of(&body));
    let present = match wish.present(&admin).await? {
        Known::Present(present) => present,
        Known::Answered(answer) => return Ok(*answer),
    };
    let (document, warnings) = read(text.as_bytes(), &present.document)?;
    let member = document.members.into_iter().next().ok_or_else(|| {
        Problem::request("the body is the entry of a group", "send it to PUT /v1/groups/NAME")
    })?;
    let is_there = present.document.members.iter().any(|known| known.name == name);
    let edit =
        if is_there && !wish.is_new_only { Edit::ReplaceMember(member) } else { Edit::AddMember(member) };
    wish.carry_out(&admin, &present, Action::Edit(edit), warnings).await
}

pub(super) async fn delete_server(
    State(admin): State<Admin>,
    Path(member): Path<String>,
    wish: Wish,
) -> Result<Response, Problem> {
    match wish.present(&admin).await? {
        Known::Present(present) => {
            let action = Action::Edit(Edit::RemoveMember { member });
            wish.carry_out(&admin, &present, action, Vec::new()).await
        }
        Known::Answered(answer) => Ok(*answer),
    }
}

/// A document with this entry alone; the name of the path is the name of the entry.
fn as_document(name: &str, body: &[u8]) -> Result<String, Problem> {
    let fix =
        "send a JSON object as in IDM's document: {\"host\": \"HOST\", \"port\": 8759, \"key\": \"KEY\"}";
    let parsed = serde_json::from_slice(body);
    let mut fields = match parsed {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(Problem::request("the body is no JSON object", fix)),
        Err(error) => return Err(Problem::request(format!("the body is not JSON: {error}"), fix)),
    };
    match fields.insert("name".to_owned(), name.into()) {
        Some(Value::String(other)) if other != name && !other.is_empty() => {
            return Err(Problem::request(
                "the path and the body have different names",
                "leave out the name in the body",
            ));
        }
        _ => {}
    }
    let is_client = fields.get("type").is_some_and(|kind| kind == "remoteConnectorClient");
    let place = if is_client { "remoteConnectorClients" } else { "remoteConnectorServers" };
    Ok(json!({ place: [fields] }).to_string())
}
