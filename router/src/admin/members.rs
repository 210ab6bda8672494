//! `GET /v1/members`: the members of all groups with their state.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::{Administration, GroupReport, MemberReport, Report};
use serde::Serialize;

use super::json::Json;
use super::{Admin, no_answer};
use crate::clock::{rfc3339, wall};

/// One member in one group.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    name: &'a str,
    group: &'a str,
    algorithm: &'a str,
    /// What the member does for the calls of the group: a word of [`MemberState`](rcs_core::state::MemberState).
    state: &'static str,
    /// Since when the member is in this state (RFC 3339), and for how many seconds.
    since: String,
    state_seconds: u64,
    /// Why the member is not plainly serving, in a few words.
    reason: Option<&'a str>,
    /// When the state ends by itself, if time alone ends it (RFC 3339).
    until: Option<String>,
    /// The last failed attempt to reach the member, or the last connection that the router closed; kept while the member serves.
    last_error: Option<LastError<'a>>,
    /// Who opens the sockets: `server` if the router dials the member, `client` if the member dials the router.
    mode: &'static str,
    /// Where the member is dialled, as `HOST:PORT`; in client mode the IP address from which the member connected last.
    address: Option<&'a str>,
    /// The number of the router through which the member is used, because the member is connected there and not here.
    via: Option<u32>,
    /// What the member's server says of itself.
    server: Option<&'a str>,
    /// The digest of the bundle set that the member has.
    bundle_set: Option<String>,
    /// The median time of reads at the member in the last window with enough of them, in milliseconds.
    latency_ms: Option<f64>,
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

/// An error of the connection to a member.
#[derive(Debug, Serialize)]
struct LastError<'a> {
    reason: &'static str,
    text: &'a str,
    at: String,
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
        state: member.state.label(),
        since: rfc3339(member.since),
        state_seconds: wall().0.saturating_sub(member.since.0) / 1000,
        reason: member.reason.as_deref(),
        until: member.until.map(rfc3339),
        last_error: member.error.as_ref().map(|error| LastError {
            reason: error.label,
            text: &error.text,
            at: rfc3339(error.at),
        }),
        mode: member.mode.label(),
        address: member.address.as_deref(),
        via: member.via,
        server: member.server.as_deref(),
        bundle_set: member.set.map(|set| set.to_string()),
        latency_ms: member.latency.map(|time| time.as_secs_f64() * 1e3),
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
