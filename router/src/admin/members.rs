//! `GET /v1/members`: who is in which group, and how it fares.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::{GroupReport, MemberReport};
use serde::Serialize;

use super::{Admin, no_answer};

/// One member in one group.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    group: &'a str,
    algorithm: &'a str,
    /// What is observed.
    health: &'static str,
    /// What the operator wants.
    admin_state: &'static str,
    /// Why it is kept out; nothing does that yet.
    quarantine: Option<&'a str>,
    sockets: usize,
    /// Calls that it holds, of all its groups.
    in_flight: usize,
    connectors: &'a [String],
}

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let Ok(status) = admin.control.status().await else { return no_answer() };
    let rows = status.report.groups.iter().flat_map(|group| group.members.iter().map(move |m| row(group, m)));
    Json(rows.collect::<Vec<_>>()).into_response()
}

fn row<'a>(group: &'a GroupReport, member: &'a MemberReport) -> Row<'a> {
    Row {
        name: &member.name,
        group: &group.name,
        algorithm: group.algorithm,
        health: if member.up { "up" } else { member.unfit.unwrap_or("down") },
        admin_state: if member.enabled { "enabled" } else { "disabled" },
        quarantine: None,
        sockets: member.sockets,
        in_flight: member.in_flight,
        connectors: &member.connectors,
    }
}
