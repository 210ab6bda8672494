//! Nobody notices what operators do: a member is drained and taken back, sockets are replaced, the router ends, all under the
//! load of a real Java IDM (P11, M07).

use std::fs;

use rcs_rig::idm::{Idm, Load};
use rcs_rig::java::Java;
use rcs_rig::metrics::{http_get, http_post};
use rcs_rig::router::Router;
use rcs_rig::wait::wait_until;
use rustix::process::Signal;
use serde_json::Value;

use crate::bounds::PATIENCE;
use crate::site::{GROUP, JavaSite, MEMBERS};

fn calls(router: &Router, member: &str) -> f64 {
    router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member), ("outcome", "ok")])
}

fn await_more_calls(router: &Router, member: &str, more: f64) {
    let now = calls(router, member);
    wait_until(&format!("{member} is in use"), PATIENCE, || calls(router, member) >= now + more);
}

fn state(router: &Router, member: &str) -> String {
    let rows: Vec<Value> =
        serde_json::from_str(&http_get(router.admin(), "/v1/members").1).expect("a JSON list");
    let row = rows.into_iter().find(|row| row["name"] == member).expect("the member is listed");
    row["admin_state"].as_str().expect("a word").to_owned()
}

/// Drains the second member under `load`, takes it back, and checks that the callers noticed nothing.
fn drain_under(java: &Java, load: &str) -> (Load, JavaSite) {
    let site = JavaSite::start(java);
    let router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(java, &router.url(Some(GROUP)), 1);
    idm.ok(&site.journal("journal").use_command());
    idm.ok("create name=u0");
    let sockets = idm.sockets_to(router.listen().port());

    idm.begin(&format!("load {load}"));
    await_more_calls(&router, "n2", 100.0);
    let (status, body) = http_post(router.admin(), "/v1/groups/g/members/n2/drain", None);
    assert_eq!(status, 200, "{body}");
    wait_until("n2 is drained", PATIENCE, || state(&router, "n2") == "drained");
    let at_rest = calls(&router, "n2");
    await_more_calls(&router, "n1", 100.0);
    assert_eq!(calls(&router, "n2"), at_rest, "a drained member is not called");
    let (status, body) = http_post(router.admin(), "/v1/groups/g/members/n2/undrain", None);
    assert_eq!(status, 200, "{body}");
    await_more_calls(&router, "n2", 100.0);

    let result = idm.load_answer();
    println!("drain and undrain under load {load}: {result:?}");
    assert_eq!((result.err, result.hung_threads), (0, 0), "{result:?}");
    assert_eq!(idm.sockets_to(router.listen().port()), sockets, "the caller's own sockets were touched");
    (result, site)
}

#[test]
fn a_member_is_drained_and_taken_back_without_a_failed_read() {
    let Some(java) = Java::or_skip("drain::a_member_is_drained_and_taken_back_without_a_failed_read") else {
        return;
    };
    drain_under(&java, "get 8 10 u0");
}

#[test]
fn a_member_is_drained_and_taken_back_without_a_failed_write() {
    let Some(java) = Java::or_skip("drain::a_member_is_drained_and_taken_back_without_a_failed_write") else {
        return;
    };
    let (load, site) = drain_under(&java, "create 8 10 w");
    check_writes(&site, load.ok);
}

/// Every create that was answered ok happened once, and no other did.
fn check_writes(site: &JavaSite, ok: u64) {
    let mut writes = site.journal("journal").writes("CREATE");
    writes.remove("u0");
    let twice: Vec<_> = writes.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "written twice: {twice:?}");
    assert_eq!(writes.len() as u64, ok);
}

/// Old sockets towards both members are replaced all the time.
fn rotate_under(java: &Java, load: &str) -> (Load, JavaSite) {
    let site = JavaSite::start(java);
    let config = site.scratch.path().join("router.toml");
    fs::write(&config, "[router]\nsocket_ttl = \"1s\"\n").expect("the scratch folder can be written to");
    let config = config.to_str().expect("scratch paths are UTF-8");
    let router = site.router_with("roundrobin", 2, &["--config", config]);
    let mut idm = Idm::start_through(java, &router.url(Some(GROUP)), 1);
    idm.ok(&site.journal("journal").use_command());
    idm.ok("create name=u0");
    let before: Vec<_> = MEMBERS.map(|member| calls(&router, member)).into();
    let result = idm.load(load);
    let rotated = router.metrics().sum("rcs_sockets_rotated_total", &[("side", "upstream")]);
    println!("{rotated} sockets replaced under load {load}: {result:?}");
    assert_eq!((result.err, result.hung_threads), (0, 0), "{result:?}");
    assert!(rotated >= 12.0, "only {rotated} sockets were replaced");
    for (member, before) in MEMBERS.iter().zip(before) {
        assert!(calls(&router, member) > before + 100.0, "{member} was in use");
    }
    (result, site)
}

#[test]
fn sockets_are_replaced_without_a_failed_read() {
    let Some(java) = Java::or_skip("drain::sockets_are_replaced_without_a_failed_read") else { return };
    rotate_under(&java, "get 8 20 u0");
}

#[test]
fn sockets_are_replaced_without_a_failed_write() {
    let Some(java) = Java::or_skip("drain::sockets_are_replaced_without_a_failed_write") else { return };
    let (load, site) = rotate_under(&java, "create 8 20 w");
    check_writes(&site, load.ok);
}

/// What was in flight is answered; what comes later is refused in words that say that it was not run. A thread of a 1.8.0 caller
/// that sends in the very moment in which its process handles our Close hangs there, whatever we do (WIRE 7.6, 9): its call has
/// left nobody's hands and was not run. How many did is printed; only routers that share a session can spare it them.
#[test]
fn a_router_that_ends_leaves_no_call_in_doubt() {
    let Some(java) = Java::or_skip("drain::a_router_that_ends_leaves_no_call_in_doubt") else { return };
    let site = JavaSite::start(&java);
    let mut router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&site.journal("journal").use_command());
    idm.ok("create name=u0");
    idm.begin("load create 8 6 w");
    await_more_calls(&router, "n2", 100.0);
    router.process().signal(Signal::TERM);
    assert!(router.process().wait(PATIENCE).success());
    let load = idm.load_answer();
    println!("SIGTERM under load, {} threads hung: {load:?}", load.hung_threads);
    let in_doubt: Vec<_> = load.errors.keys().filter(|error| error.contains("Outcome unknown")).collect();
    assert!(in_doubt.is_empty(), "{in_doubt:?}");
    check_writes(&site, load.ok);
}
