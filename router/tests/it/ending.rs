//! The end of the process: no new callers, calls in flight go on, and nothing holds it for ever.

use std::net::TcpStream;
use std::time::Duration;

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::scripted::validate_request;
use rcs_rig::wait::wait_until;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Router, SOON, member, provider, scratch};

/// An idle router must not use its drain time.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn an_idle_router_ends_at_once() {
    let folder = scratch();
    let member = member("n1");
    for signal in [Signal::TERM, Signal::INT] {
        let mut router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
        router.await_ready();
        let idm = router.idm("g");
        router.process.signal(signal);
        let status = router.process.wait(AT_ONCE);
        assert!(status.success(), "{signal:?}: {status}");
        wait_until("its sockets are closed", SOON, || idm.socket(0).is_closed());
    }
}

#[test]
fn a_draining_router_takes_nobody_new_and_finishes_its_calls() {
    let folder = scratch();
    let mut member = member("n1");
    let mut router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    router.await_ready();
    let mut idm = router.idm("g");
    let first = idm.call(&validate_request());
    let call = member.inbox.operation("the call");
    router.process.signal(Signal::TERM);
    wait_until("it says that it drains", SOON, || {
        let (status, body) = router.get("/readyz");
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        status == 503 && body["reason"] == "draining"
    });
    wait_until("nobody listens for callers", SOON, || TcpStream::connect(router.listen).is_err());
    assert_eq!(router.get("/livez").0, 200, "a draining router is alive");

    let second = idm.call(&validate_request());
    let answer = idm.answer(second);
    let error = answer.error().expect("a new call is refused");
    assert!(error.message.contains("shutting down"), "{error:?}");

    let answer = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &answer));
    assert!(idm.answer(first).answer().is_some(), "the call in flight has its answer");
    assert!(router.process.wait(AT_ONCE).success());
}

#[test]
fn a_second_signal_ends_it_with_calls_open() {
    let folder = scratch();
    let mut member = member("n1");
    let mut router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    router.await_ready();
    let mut idm = router.idm("g");
    idm.call(&validate_request());
    member.inbox.operation("the call");
    router.process.signal(Signal::TERM);
    router.await_log("draining");
    assert!(router.process.is_running(), "it waits for the call");
    router.process.signal(Signal::INT);
    assert!(router.process.wait(AT_ONCE).success());
}
