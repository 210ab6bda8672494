//! The admin address: health probes, metrics and the API over HTTP, on a thread and runtime of its own, so that a busy data plane
//! cannot starve them, and they cannot starve the data plane.

mod agents;
mod answering;
mod at;
mod behind;
mod bundles;
mod callers;
mod calls;
mod cluster;
mod connections;
mod events;
mod gate;
mod groups;
mod guard;
mod health;
mod hosts;
mod idm;
mod json;
mod marks;
mod members;
mod openapi;
mod parts;
mod problem;
mod provider;
mod quarantine;
mod requester;
mod status;
mod tokens;
mod told;
mod unknown;
mod wish;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use rcs_core::limits::PROVIDER_DOCUMENT_BYTES_MAX;
use rcs_proto::driver::tls::ListenTls;
use tokio::sync::oneshot;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

pub(crate) use self::agents::Agents;
pub use self::at::AdminAt;
use self::events::{Events, Seats};
pub(crate) use self::gate::{Gate, Metrics};
use self::guard::Guard;
use self::health::Pulse;
pub(crate) use self::hosts::Hosts;
use self::json::Json;
use crate::access::Access;
use crate::cluster::Cluster;
use crate::control::{Control, NoAnswer};
use crate::files::Files;
use crate::idms::Board;
use crate::limits::{
    ADMIN_LAST_ANSWERS, ADMIN_REQUEST_DEADLINE, ADMIN_REQUESTS_MAX, DOCUMENT_CHANGES_MAX,
    DOCUMENT_REQUEST_DEADLINE, ROUTER_CHANGES_MAX, ROUTERS_REQUEST_DEADLINE, TOKEN_CHANGES_MAX,
    TOKEN_REQUEST_BYTES_MAX,
};
use crate::metrics::{Format, Scraper};
use crate::sightings::Sightings;
use crate::unknown::Unknowns;

/// What the handlers of requests need.
#[derive(Clone)]
pub(crate) struct Admin {
    /// The way to the owner.
    pub(crate) control: Control,
    /// What is counted.
    pub(crate) scraper: Arc<Scraper>,
    /// The calls with an unknown outcome.
    pub(crate) unknowns: Unknowns,
    /// The state of each followed file.
    pub(crate) files: Files,
    /// The router's cluster; none for a router that keeps its state in memory.
    pub(crate) cluster: Option<Cluster>,
    /// What this router saw happen.
    pub(crate) sightings: Sightings,
    /// The IDMs that the router dials.
    pub(crate) idms: Board,
    /// Who may connect, with the issuers of access tokens.
    pub(crate) access: Access,
}

impl Admin {
    /// The router's cluster.
    ///
    /// # Errors
    /// The answer to a request about a cluster, if the router belongs to none.
    fn cluster(&self) -> Result<&Cluster, Box<Response>> {
        let none =
            "this router keeps its state in memory and belongs to no cluster: start it with --data-dir";
        self.cluster.as_ref().ok_or_else(|| Box::new(refusal(StatusCode::NOT_FOUND, none)))
    }
}

/// Who may do what, and how many at a time.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Who may change something.
    pub(crate) gate: Gate,
    /// Names of the admin address.
    pub(crate) hosts: Hosts,
    /// The certificate that is shown to clients; none at an address without TLS.
    pub(crate) tls: Option<ListenTls>,
    /// Connections at a time.
    pub(crate) connections: usize,
    /// Whether IDM's own interface is served too.
    pub(crate) has_idm_api: bool,
}

/// The running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    _stop: oneshot::Sender<()>,
}

/// Serves on a bound listener until the [`Server`] is dropped.
///
/// # Errors
/// If the thread or the runtime cannot be started.
pub(crate) fn start(listener: TcpListener, admin: Admin, rules: Rules, agents: Agents) -> io::Result<Server> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Rules { gate, hosts, tls, connections, has_idm_api } = rules;
    let gate = gate.with_cluster(admin.cluster.as_ref().map(Cluster::api_tokens));
    let guard = Arc::new(Guard::new(gate, hosts, admin.scraper.refusals()));
    let probes = probes(Pulse::new(admin.control.clone(), admin.files.clone()));
    let guarded =
        routes(admin, has_idm_api).layer(middleware::from_fn_with_state(Arc::clone(&guard), guard::stand));
    let service = guarded.merge(probes).merge(agents.routes());
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let served = tokio::select! {
            served = connections::serve(listener, tls, service, connections) => served,
            () = guard.tell() => Ok(()),
            _ = stopped => Ok(()),
        };
        // Nobody is let in any more. Requests that were made before are still answered.
        tokio::time::sleep(ADMIN_LAST_ANSWERS).await;
        served
    };
    thread::Builder::new().name("admin".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(serve) {
            tracing::error!(%error, "the admin address has stopped: health probes, metrics and the API are gone; restart the router");
        }
    })?;
    Ok(Server { _stop: stop })
}

/// Seconds after which a request that could not be answered is repeated.
const RETRY_AFTER_S: &str = "1";

const PATHS: &str = "use /livez, /readyz, /metrics, /v1/status, /v1/members, /v1/callers, /v1/calls, /v1/calls/open, /v1/calls/ID, /v1/unknown, \
    /v1/files, /v1/quarantine, /v1/cluster, /v1/audit, /v1/events, /v1/tokens, /v1/openapi.json, /v1/export, /v1/groups, /v1/servers, POST /v1/apply, PUT or DELETE /v1/groups/GROUP or \
    /v1/servers/SERVER, \
    /v1/groups/GROUP/bundles, or POST /v1/groups/GROUP/members/MEMBER/drain (undrain, enable, disable), \
    POST /v1/groups/GROUP/bundles/propose (commit, abort, pin), POST /v1/quarantine/ID/release, POST /v1/cluster/routers/N/add?address=HOST:PORT (replace, promote, remove), \
    POST /v1/cluster/backup, POST /v1/tokens, DELETE /v1/tokens/NAME\n";

/// Probes. Only the bound on connections stands before them, so they are answered whatever other clients do.
fn probes(pulse: Pulse) -> Router {
    Router::new().route("/livez", get(health::live)).route("/readyz", get(health::ready)).with_state(pulse)
}

fn routes(admin: Admin, has_idm_api: bool) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status::show))
        .route("/v1/members", get(members::list))
        .route("/v1/callers", get(callers::list))
        .route("/v1/calls", get(calls::list))
        .route("/v1/calls/open", get(calls::open))
        .route("/v1/files", get(files))
        .route("/v1/calls/{id}", get(calls::explain))
        .route("/v1/unknown", get(unknown::list))
        .route("/v1/unknown/acknowledge", post(unknown::acknowledge))
        .route("/v1/groups/{group}/members/{member}/{change}", post(marks::change))
        .route("/v1/groups/{group}/bundles", get(bundles::show))
        .route("/v1/groups/{group}/bundles/{change}", post(bundles::change))
        .route("/v1/quarantine", get(quarantine::list))
        .route("/v1/quarantine/{id}/release", post(quarantine::release))
        .route("/v1/cluster", get(cluster::show))
        .route("/v1/cluster/backup", post(cluster::backup))
        .route("/v1/audit", get(cluster::audit))
        .route("/v1/openapi.json", get(openapi::show))
        .route("/v1/export", get(provider::export))
        .route("/v1/groups", get(groups::list))
        .route("/v1/groups/{group}", get(groups::show))
        .route("/v1/servers", get(provider::servers))
        .route("/v1/servers/{server}", get(provider::server))
        .fallback(|| async { (StatusCode::NOT_FOUND, PATHS) })
        .with_state(admin.clone());
    // A stream outlives its request, which counts only until the stream begins.
    let streams = Router::new()
        .route("/v1/events", get(events::show))
        .route("/metrics", get(metrics))
        .with_state(Events { admin: admin.clone(), seats: Seats::default() });
    // A learner has to catch up, so these take longer, and they must not take the places of others.
    let routers = Router::new()
        .route("/v1/cluster/routers/{number}/{change}", post(cluster::change))
        .with_state(admin.clone());
    let idm = if has_idm_api { as_idm(admin.clone()) } else { Router::new() };
    protected(router.merge(streams), ADMIN_REQUESTS_MAX, ADMIN_REQUEST_DEADLINE)
        .merge(protected(routers, ROUTER_CHANGES_MAX, ROUTERS_REQUEST_DEADLINE))
        .merge(protected(
            documents(admin.clone()).merge(idm),
            DOCUMENT_CHANGES_MAX,
            DOCUMENT_REQUEST_DEADLINE,
        ))
        // Apart from documents, so that nobody who sends documents slowly keeps a token from being revoked.
        .merge(protected(api_tokens(admin), TOKEN_CHANGES_MAX, DOCUMENT_REQUEST_DEADLINE))
}

/// The routes of IDM's own interface.
fn as_idm(admin: Admin) -> Router {
    Router::new()
        .route("/openidm/config/provisioner.openicf.connectorinfoprovider", get(idm::document))
        .route("/openidm/config/provisioner.openicf.connectorinfoprovider", put(idm::put))
        .route("/openidm/system", post(idm::act))
        .layer(DefaultBodyLimit::max(PROVIDER_DOCUMENT_BYTES_MAX))
        .with_state(admin)
}

/// Changes of members and groups, which may bring a whole document.
fn documents(admin: Admin) -> Router {
    Router::new()
        .route("/v1/export", post(provider::export_keys))
        .route("/v1/apply", post(provider::apply))
        .route("/v1/groups/{group}", put(groups::put))
        .route("/v1/groups/{group}", delete(groups::delete))
        .route("/v1/servers/{server}", put(provider::put_server))
        .route("/v1/servers/{server}", delete(provider::delete_server))
        .layer(DefaultBodyLimit::max(PROVIDER_DOCUMENT_BYTES_MAX))
        .with_state(admin)
}

/// Tokens of the cluster for the API.
fn api_tokens(admin: Admin) -> Router {
    Router::new()
        .route("/v1/tokens", get(tokens::list))
        .route("/v1/tokens", post(tokens::create))
        .route("/v1/tokens/{name}", delete(tokens::revoke))
        .layer(DefaultBodyLimit::max(TOKEN_REQUEST_BYTES_MAX))
        .with_state(admin)
}

/// Limits the router to `requests` at a time, each with a timeout; requests over the limit are refused at once (load shedding).
fn protected(router: Router, requests: usize, deadline: Duration) -> Router {
    let protect = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(overload))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(requests))
        .layer(TimeoutLayer::new(deadline));
    router.layer(protect)
}

/// Every file that the router follows: since when its content is in force, and why the file on disk is not.
async fn files(State(admin): State<Admin>) -> Response {
    Json(&*admin.files.all()).into_response()
}

async fn metrics(State(Events { admin, seats }): State<Events>, headers: HeaderMap) -> Response {
    let Ok(status) = admin.control.status().await else { return no_answer() };
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
    match admin.scraper.text(&status.report, admin.cluster.as_ref(), seats.taken(), format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The refusal of a request under `/v1`: the text says what to do.
fn refusal(status: StatusCode, error: impl std::fmt::Display) -> Response {
    let mut response = (status, Json(serde_json::json!({ "error": error.to_string() }))).into_response();
    say_when(&mut response);
    response
}

/// What a router cannot do now, it can often do a moment later: a response with 503 says when to repeat the request.
fn say_when(response: &mut Response) {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
}

fn no_answer() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, NoAnswer)
}

async fn overload(error: BoxError) -> Response {
    if error.is::<tower::timeout::error::Elapsed>() {
        refusal(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout: the router did not finish this request in time; repeat it",
        )
    } else {
        refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "overload: too many requests to the admin address at a time; repeat it later",
        )
    }
}
