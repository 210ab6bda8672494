//! `GET /v1/callers`: the callers, their connections, and whether they reopen closed ones (WIRE 7.5).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::CallerReport;
use rcs_proto::session::Side;
use serde::Serialize;

use super::json::Json;
use super::{Admin, no_answer};

/// One caller's session.
#[derive(Debug, Serialize)]
struct Row {
    /// The principal that the caller proved. For an IDM that the router dials: the NAME of its table `[idm.NAME]`.
    principal: String,
    /// Who opened the connections: caller, or router (client mode of the router).
    dialled_by: &'static str,
    /// The group that the caller chose when it connected; null if the connector of each call decides.
    group: Option<String>,
    sockets: usize,
    /// Open calls of the caller, subscriptions included.
    in_flight: usize,
    subscriptions: usize,
    /// Whether the caller opens a new connection in place of one that closed: yes, no, unknown.
    redials: &'static str,
}

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let Ok(callers) = admin.control.callers().await else { return no_answer() };
    Json(callers.into_iter().map(row).collect::<Vec<_>>()).into_response()
}

fn row(caller: CallerReport) -> Row {
    Row {
        principal: caller.principal,
        dialled_by: match caller.side {
            Side::Accepted => "caller",
            Side::Dialled => "router",
        },
        group: caller.group,
        sockets: caller.sockets,
        in_flight: caller.calls,
        subscriptions: caller.subscriptions,
        redials: caller.redials.label(),
    }
}
