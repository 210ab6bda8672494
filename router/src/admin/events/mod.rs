//! `GET /v1/events`: what changes, as server-sent events, at the pace of each client.
//!
//! A stream keeps its place in two lists that exist anyway: the cluster's audit log and this router's sightings. So a stream costs
//! one batch of events, a slow client delays nobody, and a client that was away goes on where it was.

mod batch;
mod seats;
mod stream;

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use self::batch::{NotKnown, Reader};
pub(super) use self::seats::Seats;
use super::Admin;
use super::problem::Problem;
use crate::limits::EVENT_HEARTBEAT;
use crate::sightings::Position;

/// The query parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// The id of the latest event that the client has. The header `Last-Event-ID` counts before it.
    since: Option<String>,
    /// Whether the stream goes on with what happens after the request.
    #[serde(default = "follows")]
    follow: bool,
    /// The one group whose events are wanted, or a server that belongs to no group.
    group: Option<String>,
}

fn follows() -> bool {
    true
}

/// What a stream needs beside the state of the router.
#[derive(Clone)]
pub(super) struct Events {
    pub(super) admin: Admin,
    pub(super) seats: Seats,
}

pub(super) async fn show(
    State(Events { admin, seats }): State<Events>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    look: Result<Query<Look>, QueryRejection>,
) -> Response {
    match open(admin, seats, peer, &headers, look).await {
        Ok(body) => {
            // A proxy in between must neither keep the stream nor hold it back.
            let head = [
                (header::CONTENT_TYPE, "text/event-stream"),
                (header::CACHE_CONTROL, "no-store"),
                (header::HeaderName::from_static("x-accel-buffering"), "no"),
            ];
            (head, Body::new(body)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn open(
    admin: Admin,
    seats: Seats,
    peer: SocketAddr,
    headers: &HeaderMap,
    look: Result<Query<Look>, QueryRejection>,
) -> Result<Streamed, Problem> {
    let parameters = "use ?since=ID, ?group=NAME and ?follow=false only";
    let Query(look) = look.map_err(|error| Problem::request(error.body_text(), parameters))?;
    let known = known(headers, &look)?;
    if let Some(group) = &look.group {
        is_there(&admin, group).await?;
    }
    let Admin { cluster, sightings, .. } = admin;
    let news = sightings.news();
    if *news.borrow() {
        return Err(Problem::unavailable(
            "this router is shutting down",
            "ask another router of the cluster",
        ));
    }
    let seat = seats.take(peer.ip()).map_err(|full| Problem::too_many(full.to_string()))?;
    let mut reader = Reader::new(cluster, sightings, look.group.clone());
    let begun = match (known, look.follow) {
        (Some(known), _) => reader.go_on(known).await,
        (None, true) => reader.begin_now(),
        (None, false) => reader.begin_at_first(),
    };
    let gaps = begun.map_err(|NotKnown| {
        let why = "this router cannot tell now which changes the client has: no majority of the routers answers, or this router's part in the cluster is down";
        Problem::unavailable(why, "repeat the request later, or ask another router")
    })?;
    let (out, frames) = mpsc::channel(1);
    let (follow, heartbeat) = (look.follow, EVENT_HEARTBEAT);
    tokio::spawn(stream::run(
        stream::Stream { reader, out, news, follow, has_ended: false, heartbeat, _seat: seat },
        gaps,
    ));
    Ok(Streamed(frames))
}

/// Whether there is such a group now. A wrong name must not look like silence.
async fn is_there(admin: &Admin, group: &str) -> Result<(), Problem> {
    let silent = |_| Problem::unavailable("the router does not respond", "repeat the request later");
    let known = admin.control.status().await.map_err(silent)?;
    match known.report.groups.iter().any(|known| known.name == group) {
        true => Ok(()),
        false => Err(Problem::unknown(
            "no_group",
            &format!("there is no group named {group:?}: see GET /v1/status"),
        )),
    }
}

/// The place of a client that was here, or at another router, before.
fn known(headers: &HeaderMap, look: &Look) -> Result<Option<Position>, Problem> {
    let fix = "send the id of the last event as it was, or ask without it and read the state again";
    let wrong = |what: &str, why: &dyn std::fmt::Display| Problem::request(format!("{what}: {why}"), fix);
    let (what, text) = match headers.get("last-event-id") {
        // A browser that has seen no id sends an empty one.
        Some(value) if !value.is_empty() => {
            let text = value.to_str().map_err(|_| wrong("Last-Event-ID", &"it is not text"))?;
            ("Last-Event-ID", Some(text))
        }
        _ => ("since", look.since.as_deref()),
    };
    text.map(|text| text.parse().map_err(|error| wrong(what, &error))).transpose()
}

/// The body of an answer whose parts come from a task. Dropping it ends the task.
struct Streamed(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}
