//! `GET /v1/quarantine`: the configurations that members were lost with. `POST /v1/quarantine/ID/release` releases one.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::ConfigurationReport;
use rcs_core::ids::ConfigurationId;
use serde::Serialize;

use super::json::Json;
use super::parts::Path;
use super::{Admin, no_answer, refusal};
use crate::control::Origin;

/// One configuration.
#[derive(Debug, Serialize)]
struct Row {
    /// The configuration's name, which does not reveal the configuration, and differs from one router process to the next.
    id: String,
    /// The configuration's connector, as `BUNDLE/VERSION/CONNECTOR`.
    connector: String,
    /// The members that were lost with the configuration.
    members: Vec<String>,
    seconds_ago: f64,
    seconds_left: f64,
    /// How often the configuration was quarantined, this time included.
    times: u32,
    /// Calls that were refused since the quarantine began.
    refused: u64,
}

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    match admin.control.quarantined().await {
        Ok(quarantined) => Json(rows(quarantined)).into_response(),
        Err(_) => no_answer(),
    }
}

pub(super) async fn release(State(admin): State<Admin>, origin: Origin, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<ConfigurationId>() else {
        let sentence =
            "the ID of a configuration is a hexadecimal number, as in the log or in GET /v1/quarantine";
        return refusal(StatusCode::BAD_REQUEST, sentence);
    };
    match admin.control.release(id, origin).await {
        Err(_) => no_answer(),
        Ok(Err(refused)) => refusal(StatusCode::NOT_FOUND, refused),
        Ok(Ok(left)) => Json(rows(left)).into_response(),
    }
}

fn rows(quarantined: Vec<ConfigurationReport>) -> Vec<Row> {
    quarantined.into_iter().map(row).collect()
}

fn row(configuration: ConfigurationReport) -> Row {
    Row {
        id: configuration.id.to_string(),
        connector: configuration.connector,
        members: configuration.members,
        seconds_ago: configuration.ago.as_secs_f64(),
        seconds_left: configuration.left.as_secs_f64(),
        times: configuration.times,
        refused: configuration.refused,
    }
}
