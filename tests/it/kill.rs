//! A member is killed with SIGKILL under load and started again (P1, P2, P3).

use std::collections::BTreeMap;
use std::time::Duration;

use rcs_rig::idm::{Idm, Load};
use rcs_rig::java::Java;
use rcs_rig::router::Router;
use rcs_rig::wait::wait_until;

use crate::bounds::{AT_ONCE, PATIENCE};
use crate::site::{GROUP, JavaSite};

/// Runs `load`, kills the second member under it, starts it again, and checks that the caller noticed nothing but answers.
/// Returns what the load counted, and how often the journal holds each create.
fn under_load(java: &Java, load: &str) -> (Load, BTreeMap<String, usize>) {
    let mut site = JavaSite::start(java);
    let router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(java, &router.url(Some(GROUP)), 1);
    let journal = site.journal("journal");
    idm.ok(&journal.use_command());
    idm.ok("create name=u0");
    let sockets = idm.sockets_to(router.listen().port());
    assert_eq!(sockets.len(), 2, "a 1.8.0 dialler has two sockets");

    idm.begin(&format!("load {load}"));
    await_more_calls(&router, 500.0);
    site.members[1].kill();
    wait_until("the killed member is out of use", AT_ONCE, || !router.is_up(GROUP, "n2"));
    let alone = calls(&router, "n1");
    wait_until("the other member carries on", PATIENCE, || calls(&router, "n1") > alone + 500.0);
    site.members[1].restart(java);
    let back = await_more_calls(&router, 1.0);

    let result = idm.load_answer();
    println!("load {load}: {result:?}; the killed member was in use {back:?} after it listened again");
    assert_eq!(result.hung_threads, 0, "{result:?}");
    // A lost member's calls are answered at once.
    assert!(result.worst_ms < AT_ONCE.as_secs_f64() * 1000.0, "{result:?}");
    assert_eq!(idm.sockets_to(router.listen().port()), sockets, "the caller's own sockets were touched");
    assert_eq!(idm.ask("test"), "ok");
    (result, journal.writes("CREATE"))
}

/// Waits until the second member has finished `more` calls from now on; answers how long that took.
fn await_more_calls(router: &Router, more: f64) -> Duration {
    let now = calls(router, "n2");
    wait_until("the second member is in use", PATIENCE, || calls(router, "n2") >= now + more)
}

fn calls(router: &Router, member: &str) -> f64 {
    router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member), ("outcome", "ok")])
}

#[test]
fn no_read_fails() {
    let Some(java) = Java::or_skip("kill::no_read_fails") else { return };
    let (load, _) = under_load(&java, "get 8 20 u0");
    assert_eq!(load.err, 0, "{load:?}");
}

#[test]
fn no_write_is_doubled_or_lost_in_silence() {
    let Some(java) = Java::or_skip("kill::no_write_is_doubled_or_lost_in_silence") else { return };
    let (load, mut writes) = under_load(&java, "create 8 20 w");
    assert_eq!(writes.remove("u0"), Some(1));
    let twice: Vec<_> = writes.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "written twice: {twice:?}");
    let happened = writes.len() as u64;
    println!("{happened} creates in the journal");
    assert!(load.ok <= happened, "{} answered ok, {happened} happened: {load:?}", load.ok);
    assert!(happened <= load.ok + load.err, "{happened} happened, more than were asked for: {load:?}");
    assert!(load.err <= 8, "more errors than calls in flight: {load:?}");
}
