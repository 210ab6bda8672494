//! The admin address: what each path answers, and that it holds under too many connections.

use std::io::Write;
use std::net::TcpStream;

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::metrics::Metrics;
use rcs_rig::scripted::validate_request;
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Router, member, provider, scratch};

#[test]
fn ready_with_the_first_member_and_not_before() {
    let folder = scratch();
    let mut first = member("n1");
    let mut second = member("n2");
    let document = provider(&folder, &[("n1", &first), ("n2", &second)]);
    second.die();
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();
    let (status, body) = router.get("/readyz");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body), (200, json!({"ready": true, "members_up": 1, "members": 2})));
    router.await_alive();
    assert_eq!(router.get("/livez").1, "live\n");

    first.die();
    wait_until("a dead member is noticed", PATIENCE, || router.get("/readyz").0 == 503);
    let body: Value = serde_json::from_str(&router.get("/readyz").1).unwrap();
    assert_eq!(body["reason"], "no member is up");
    // Alive is not ready.
    router.await_alive();
}

#[test]
fn members_and_metrics_tell_the_same() {
    let folder = scratch();
    let mut member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    router.await_ready();
    let mut idm = router.idm("g");
    let id = idm.call(&validate_request());
    let call = member.inbox.operation("the call");

    let one = [("group", "g"), ("member", "n1")];
    let row = members(&router).remove(0);
    assert_eq!((&row["name"], &row["group"], &row["health"]), (&json!("n1"), &json!("g"), &json!("up")));
    assert_eq!((&row["in_flight"], &row["admin_state"]), (&json!(1), &json!("enabled")));
    assert!(row["quarantine"].is_null());
    let metrics = Metrics::scrape(router.admin);
    assert_eq!(metrics.sum("rcs_calls_in_flight", &one), 1.0);
    assert_eq!(metrics.sum("rcs_member_up", &one), 1.0);
    assert_eq!(metrics.sum("rcs_member_quarantined", &one), 0.0);
    assert_eq!(metrics.sum("rcs_callers", &[]), 1.0);
    assert_eq!(metrics.sum("rcs_sockets", &[("side", "downstream")]), 1.0);
    assert_eq!(metrics.sum("rcs_sockets", &[("side", "upstream")]), 1.0);

    let answer = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &answer));
    assert!(idm.answer(id).answer().is_some());
    let metrics = Metrics::scrape(router.admin);
    let labels = [("group", "g"), ("member", "n1"), ("op", "validate"), ("outcome", "ok")];
    assert_eq!(metrics.sum("rcs_calls_total", &labels), 1.0);
    assert_eq!(metrics.sum("rcs_calls_in_flight", &one), 0.0);
    assert_eq!(metrics.sum("rcs_call_duration_seconds_count", &[("group", "g"), ("op", "validate")]), 1.0);
}

#[test]
fn failed_dials_are_counted() {
    let folder = scratch();
    let mut gone = member("n1");
    let document = provider(&folder, &[("n1", &gone)]);
    gone.die();
    let router = Router::serve(&document, &["--dev"]);
    let failures = || Metrics::scrape(router.admin).sum("rcs_dial_failures_total", &[("member", "n1")]);
    wait_until("it is dialled again and again", PATIENCE, || failures() >= 2.0);
}

#[test]
fn other_paths_and_methods_are_refused() {
    let folder = scratch();
    let member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    let (status, body) = router.get("/");
    assert!(status == 404 && body.contains("/metrics"), "{body}");
    assert_eq!(router.get("/v1/nothing").0, 404);
}

/// A client that was made from the description reads one form of refusal, whatever part of a request is wrong.
#[test]
fn what_cannot_be_read_is_refused_in_json() {
    let folder = scratch();
    let member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    for path in [
        "/v1/calls?limit=0",
        "/v1/calls?limit=1001",
        "/v1/calls/open?limit=1001",
        "/v1/calls?since_seconds=99999999999",
        "/v1/unknown?limit=10001",
        "/v1/cluster?consistent=maybe",
        "/v1/audit?since=1",
        "/v1/groups/%FF/bundles",
        "/v1/groups/%FF",
    ] {
        let (status, body) = router.get(path);
        let told: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e} in {body}"));
        assert!(status == 400 && told["error"].is_string(), "{path}: {status} {body}");
    }
    assert_eq!(router.get("/v1/unknown?limit=10000").0, 200);
}

/// P10: connections that say nothing do not add up, and probes get through beside them.
#[test]
fn silent_connections_do_not_keep_probes_out() {
    let folder = scratch();
    let member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    let mut silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(router.admin).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /met").unwrap();
    }
    router.await_alive();
}

fn members(router: &Router) -> Vec<Value> {
    let (status, body) = router.get("/v1/members");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e} in {body}"))
}
