//! `/openidm/...`: the part of IDM's own REST interface that has to do with connector servers, as the vendor's pages show it. A
//! thin view over the same state as [`super::provider`]; served with `--idm-api` only.

use std::collections::HashSet;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcs_core::engine::MemberMode;
use rcs_core::provider::write::{GroupPlace, KeyForm, SYSTEM_TYPE, write};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::json::Json;
use super::problem::Problem;
use super::provider::{put_in_force, whole};
use super::wish::{Present, Wish};

/// The types of connector servers, with their display names.
const TYPES: [(&str, &str); 4] = [
    ("remoteConnectorServer", "Remote Connector Server"),
    ("remoteConnectorServersGroup", "Remote Connector Servers Group"),
    ("remoteConnectorClient", "Remote Connector Server in Client mode"),
    ("remoteConnectorClientsGroup", "Remote Connector Servers Group in Client mode"),
];
/// Fields that IDM keeps encrypted.
const SECRETS: [&str; 3] = ["key", "proxyPassword", "clientSecret"];

/// The whole document, as it is in force.
pub(super) async fn document(State(admin): State<Admin>) -> Response {
    match Present::known(&admin) {
        Ok(present) => {
            let written = write(&present.document, KeyForm::AsItWas, GroupPlace::AmongMembers);
            let mut value = serde_json::to_value(&written).unwrap_or_default();
            hide(&mut value);
            (present.tag(), Json(value)).into_response()
        }
        Err(problem) => problem.as_idm(),
    }
}

/// Puts a whole document in force, and answers with it.
pub(super) async fn put(
    State(admin): State<Admin>,
    wish: Result<Wish, Problem>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match replace(&admin, wish, body).await {
        Ok(response) => response,
        Err(problem) => problem.as_idm(),
    }
}

async fn replace(
    admin: &Admin,
    wish: Result<Wish, Problem>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let (wish, body) = (wish?, whole(body)?);
    let done = put_in_force(admin, wish, &body).await?;
    if done.status() != StatusCode::OK {
        return Ok(done);
    }
    let mut echo: Value = serde_json::from_slice(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body))
        .map_err(|error| Problem::request(error.to_string(), "send a JSON document"))?;
    hide(&mut echo);
    let tag = done.headers().get(header::ETAG).cloned();
    let mut response = Json(echo).into_response();
    response.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
    Ok(response)
}

/// The query parameters of an action.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "_action")]
    action: String,
}

/// What IDM needs to know before it makes a template.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    #[serde(rename = "type")]
    kind: String,
    system_type: String,
}

/// An action on the connector servers.
pub(super) async fn act(
    State(admin): State<Admin>,
    asked: Result<Query<Asked>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let action = asked.map(|Query(asked)| asked.action).unwrap_or_default();
    let done = match action.as_str() {
        "availableConnectorServers" => Ok(available()),
        "createConnectorServerCoreConfig" => whole(body).and_then(|body| core_config(&body)),
        "testConnectorServers" => tested(&admin).await,
        _ => Err(Problem::request(
            "unknown action",
            "use _action=availableConnectorServers, createConnectorServerCoreConfig or testConnectorServers",
        )),
    };
    match done {
        Ok(value) => Json(value).into_response(),
        Err(problem) => problem.as_idm(),
    }
}

fn available() -> Value {
    let row =
        |(kind, name): &(&str, &str)| json!({ "displayName": name, "systemType": SYSTEM_TYPE, "type": kind });
    json!({ "connectorServers": TYPES.iter().map(row).collect::<Vec<_>>() })
}

/// A template, which works only once it is filled in.
fn core_config(body: &[u8]) -> Result<Value, Problem> {
    let fix = "send {\"type\": \"remoteConnectorServer\", \"systemType\": \"provisioner.openicf\"}";
    let wanted: Template =
        serde_json::from_slice(body).map_err(|error| Problem::request(error.to_string(), fix))?;
    if wanted.system_type != SYSTEM_TYPE {
        return Err(Problem::request("unknown systemType", fix));
    }
    match wanted.kind.as_str() {
        "remoteConnectorServer" => Ok(json!({
            "displayName": "", "name": "", "host": "", "port": "", "enabled": true, "useSSL": false, "key": "password",
            "proxyHost": null, "proxyPort": 8080, "proxyUser": null, "proxyPassword": null,
            "housekeepingInterval": 600, "connectionGroupCheckInterval": 900, "pingPongInterval": 300,
            "webSocketConnections": 2,
        })),
        "remoteConnectorClient" => {
            Ok(json!({ "displayName": "", "name": "", "enabled": true, "useSSL": false }))
        }
        "remoteConnectorServersGroup" | "remoteConnectorClientsGroup" => {
            Ok(json!({ "displayName": "", "name": "", "serversList": [], "algorithm": "failover" }))
        }
        _ => Err(Problem::request("unknown type", "use a type that _action=availableConnectorServers shows")),
    }
}

/// Whether each connector server is connected.
async fn tested(admin: &Admin) -> Result<Value, Problem> {
    let status = admin.control.status().await;
    let status =
        status.map_err(|error| Problem::unavailable(error.to_string(), "repeat the request later"))?;
    let mut seen: HashSet<&str> = HashSet::new();
    let mut rows: Vec<Value> = Vec::new();
    for member in status.report.groups.iter().flat_map(|group| &group.members) {
        if !seen.insert(&member.name) {
            continue;
        }
        let kind = match member.mode {
            MemberMode::Server => "remoteConnectorServer",
            MemberMode::Client => "remoteConnectorClient",
        };
        let is_connected = member.sockets > 0;
        let mut row = json!({ "name": member.name, "type": kind, "ok": is_connected });
        if !is_connected {
            let error = member.error.as_ref().map(|error| error.text.as_str());
            let error = error.or(member.reason.as_deref()).unwrap_or("not connected");
            row["error"] = error.into();
        }
        rows.push(row);
    }
    Ok(json!({ "openicf": rows }))
}

/// Puts IDM's form of an encrypted value in the place of each secret.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if SECRETS.contains(&name.as_str()) && !field.is_null() {
                    *field = crypto();
                } else {
                    hide(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// The shape in which IDM shows a secret. What would be the encrypted value is random: nobody can read a secret out of it, and when
/// it is sent back, the member keeps its key.
fn crypto() -> Value {
    let random = || STANDARD.encode(fastrand::u128(..).to_be_bytes());
    json!({ "$crypto": { "type": "x-simple-encryption", "value": {
        "cipher": "AES/CBC/PKCS5Padding", "stableId": "openidm-sym-default", "salt": random(), "data": random(),
        "keySize": 16, "purpose": "idm.config.encryption", "iv": random(), "mac": random(),
    } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let mut document = json!({
            "remoteConnectorServers": [{"name": "a", "key": "first-key", "proxyPassword": null, "clientSecret": {"x": "second-key"}}],
            "key": ["third-key"],
        });
        hide(&mut document);
        let text = document.to_string();
        // The hyphen is no letter of base64: what stands in the place of a secret never spells one by chance.
        assert!(
            !["first-key", "second-key", "third-key"].iter().any(|secret| text.contains(secret)),
            "{text}"
        );
        assert_eq!(document["remoteConnectorServers"][0]["key"]["$crypto"]["value"]["keySize"], 16);
        assert_eq!(document["remoteConnectorServers"][0]["proxyPassword"], Value::Null);
    }
}
