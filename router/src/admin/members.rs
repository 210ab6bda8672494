//! `GET /v1/members`: the members of all groups with their state.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::{Administration, GroupReport, MemberReport, Report};
use serde::Serialize;

use super::{Admin, no_answer};

/// One member in one group.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    name: &'a str,
    group: &'a str,
    algorithm: &'a str,
    /// What is observed: up, down, or the reason why the member gets no calls.
    health: &'static str,
    /// Why the member gets no calls although it can be reached.
    unfit: Option<&'static str>,
    /// What the operator wants: enabled, draining, drained, disabled.
    admin_state: &'static str,
    /// Who took the member out of service, if it is not enabled: `operator` or `document`.
    admin_by: Option<&'static str>,
    /// Why the member is quarantined, if it is.
    quarantine: Option<&'a str>,
    sockets: usize,
    /// Open calls at the member, of all its groups.
    in_flight: usize,
    connectors: &'a [String],
}

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let Ok(status) = admin.control.status().await else { return no_answer() };
    Json(rows(&status.report).collect::<Vec<_>>()).into_response()
}

/// The member of a group.
pub(super) fn find<'a>(report: &'a Report, group: &str, member: &str) -> Option<Row<'a>> {
    rows(report).find(|row| row.group == group && row.name == member)
}

fn rows(report: &Report) -> impl Iterator<Item = Row<'_>> {
    report.groups.iter().flat_map(|group| group.members.iter().map(move |member| row(group, member)))
}

fn row<'a>(group: &'a GroupReport, member: &'a MemberReport) -> Row<'a> {
    Row {
        name: &member.name,
        group: &group.name,
        algorithm: group.algorithm,
        health: if member.up { "up" } else { member.unfit.unwrap_or("down") },
        unfit: member.unfit,
        admin_state: member.admin.label(),
        admin_by: match member.admin {
            Administration::Enabled => None,
            Administration::DisabledInDocument => Some("document"),
            Administration::Draining | Administration::Drained | Administration::Disabled => Some("operator"),
        },
        quarantine: member.quarantine.as_deref(),
        sockets: member.sockets,
        in_flight: member.in_flight,
        connectors: &member.connectors,
    }
}
