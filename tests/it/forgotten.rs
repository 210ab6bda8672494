//! Calls whose request or answer was lost while nobody noticed: their callers hear of it in bounded time (P1, WIRE 9).

use std::time::{Duration, Instant};

use rcs_proto::frames::{self, Ask};
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::scripted::FakeIdm;
use rcs_rig::wait::hold;
use rustix::process::Signal;
use serde_json::Value;

use crate::bounds::PATIENCE;
use crate::site::{GROUP, JavaSite, ScriptedSite};

/// An idle session of a framework 1.8.0 is this old when its router dies. More than the 12 minutes after which it gives up soon.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// One round of its session checks, and a moment.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(250);

#[test]
fn a_call_of_which_the_router_knows_nothing_ends() {
    let site = ScriptedSite::start("failover", 1);
    let mut idm = FakeIdm::connect(site.router.listen(), &format!("/openicf/{GROUP}"), 2);
    // A router before this one had the call, or its answer was lost.
    let lost = idm.fresh_id();
    let began = Instant::now();
    for _ in 0..3 {
        let check = idm.fresh_id();
        idm.socket(0).send(&frames::control_request(check, Ask::Check, &[], &[lost, check]));
        let found = idm.inbox.find(Duration::from_secs(5), |frame| frame.answers(lost));
        if let Some(frame) = found {
            let text = &frame.error().expect("an error").message;
            assert!(text.starts_with("Outcome unknown: "), "{text}");
            println!("told after {:?}", began.elapsed());
            return;
        }
    }
    idm.inbox.next_within("the end of the lost call", PATIENCE, |frame| frame.answers(lost));
}

/// 30 idle minutes without a session check from the router harm nothing. When the router dies then, the framework gives its open calls
/// up at its own next check: within 4 minutes, where it took 13 before. The time is what this is about, so with `RCS_LONG=1` only.
#[test]
fn the_calls_of_a_dead_router_end_at_the_next_check() {
    if std::env::var_os("RCS_LONG").is_none() {
        println!("left out without RCS_LONG=1");
        return;
    }
    let Some(java) = Java::or_skip("forgotten::the_calls_of_a_dead_router_end_at_the_next_check") else {
        return;
    };
    let site = JavaSite::start(&java);
    let mut router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&format!("{} delayMillis=20000", site.journal("journal").use_command()));
    let port = router.listen().port();
    let sockets = idm.sockets_to(port);
    assert_eq!(sockets.len(), 2, "a 1.8.0 dialler has two sockets");
    let mut looked = Instant::now();
    hold("the sockets of an idle IDM stay", IDLE, || {
        let is_due = looked.elapsed() > Duration::from_secs(5);
        if is_due {
            looked = Instant::now();
        }
        !is_due || idm.sockets_to(port) == sockets
    });
    assert_eq!(idm.ask("test"), "ok", "the session is as good as new");

    idm.begin("load create 16 270 w");
    hold("16 calls are open", Duration::from_secs(10), || true);
    let in_flight = router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]);
    assert!(in_flight >= 16.0, "{in_flight} calls are open");
    router.process().signal(Signal::KILL);
    let answer = idm.answer("load", Duration::from_secs(500));
    let load: Value = serde_json::from_str(answer.strip_prefix("ok ").expect("a result")).expect("JSON");
    println!("16 calls open at a router that is killed: {load}");
    assert_eq!(load["hung_threads"], 0, "{load}");
    let worst = Duration::from_secs_f64(load["worst_ms"].as_f64().expect("a time") / 1000.0);
    assert!(worst <= GIVEN_UP_WITHIN, "the last call ended after {worst:?}");
}
