//! What a caller sees when members, sockets, callers or the router go away in the midst of a call (P1, P2, P3, P6, P11).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::icf::{OperationOptions, Value};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{
    OperationRequest, OperationResponse, SearchOpRequest, SearchOpResponse, SearchResult,
};
use rcs_rig::scripted::{FakeIdm, Frame, request, validate_request};
use rcs_rig::wait::{wait_for, wait_until};
use rustix::process::Signal;

use crate::answers::{create_request, row, search_request, validated};
use crate::bounds::{AT_ONCE, PATIENCE};
use crate::site::{GROUP, MEMBERS, ScriptedSite};

/// A frozen member's reads have moved within this. The router's timers bring it about in 8 s (P6; `rcs_core::limits` proves 10 s);
/// the call's own deadline would be 60 s.
const FROZEN_BOUND: Duration = Duration::from_secs(45);

#[test]
fn a_read_moves_to_the_next_member() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&validate_request());
    site.members[0].inbox.operation("the call");
    site.members[0].die();
    let moved = site.members[1].inbox.next_within("the call, moved", AT_ONCE, |f| f.operation().is_some());
    moved.socket.send(&frames::answer(moved.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

#[test]
fn a_search_that_delivered_nothing_moves_to_the_next_member() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&search_request());
    site.members[0].inbox.operation("the search");
    site.members[0].die();
    let moved = site.members[1].inbox.next_within("the search, moved", AT_ONCE, |f| f.operation().is_some());
    moved.socket.send(&frames::answer(moved.id(), &row(1)));
    assert!(idm.answer(id).answer().is_some());
}

#[test]
fn a_search_that_delivered_something_ends_in_an_error_and_is_not_replayed() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    call.socket.send(&frames::answer(call.id(), &row(1)));
    assert!(idm.answer(id).answer().is_some());
    site.members[0].die();
    assert!(idm.answer(id).error().is_some());
    nothing_but_a_test_reaches(&mut site, 1, &mut idm);
}

/// P2: at most once, and the caller is told that the outcome is not known.
#[test]
fn a_write_is_not_sent_again_and_its_caller_is_told() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&create_request());
    site.members[0].inbox.operation("the create");
    site.members[0].die();
    let lost = Instant::now();
    let answer = idm.answer(id);
    assert!(answer.at - lost < AT_ONCE, "answered after {:?}", answer.at - lost);
    let error = answer.error().expect("nobody knows whether the account was created");
    assert!(
        error.exception_class.ends_with(".ConnectorException"),
        "IDM must not repeat it: {}",
        error.exception_class
    );
    assert!(error.message.contains("Outcome unknown"), "{}", error.message);
    nothing_but_a_test_reaches(&mut site, 1, &mut idm);
}

#[test]
fn a_call_that_kills_members_takes_no_third_one_along() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let id = idm.call(&validate_request());
    for member in &mut site.members {
        member.inbox.operation("the poison");
        member.die();
    }
    assert!(idm.answer(id).error().is_some());
    // The configuration of the first call is quarantined by now.
    let other = Bytes::from_static(b"YW5vdGhlcg==");
    let next = idm.call(&OperationRequest { connector_facade_key: other, ..validate_request() });
    let answer = idm.answer(next);
    let class = answer.error().map(|e| e.exception_class.as_str());
    assert_eq!(class, Some("org.identityconnectors.framework.common.exceptions.ConnectionFailedException"));
    assert!(!idm.socket(0).is_closed(), "a 1.8.0 dialler would never come back (WIRE 7.5)");
}

/// The member keeps the call and answers on another socket of its session (WIRE 4.2): nothing may be sent twice.
#[test]
fn a_write_whose_socket_is_lost_is_answered_on_another() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(1);
    let id = idm.call(&create_request());
    let call = site.members[0].inbox.operation("the create");
    let sockets = site.members[0].await_sockets(2);
    let other = sockets.iter().find(|s| !Arc::ptr_eq(s, &call.socket)).expect("there are two");
    call.socket.reset();
    site.members[0].await_sockets(2);
    other.send(&frames::answer(call.id(), &crate::answers::created("u1")));
    assert!(idm.answer(id).answer().is_some_and(|a| a.create.is_some()));
    site.members[0].inbox.expect_none("the create came twice", Duration::ZERO, |f| f.operation().is_some());
}

#[test]
fn the_pages_of_a_search_stay_on_their_member_and_end_with_it() {
    let mut site = ScriptedSite::start("roundrobin", 1);
    let mut idm = site.idm(1);
    let cookie = "state-of-the-member";
    let id = idm.call(&page_request(None));
    let (home, call) = whoever_is_asked(&mut site);
    call.socket.send(&frames::answer(call.id(), &page_end(cookie)));
    assert!(idm.answer(id).answer().is_some());
    for _ in 0..6 {
        let id = idm.call(&page_request(Some(cookie)));
        let call = site.members[home].inbox.operation("the next page");
        call.socket.send(&frames::answer(call.id(), &page_end(cookie)));
        assert!(idm.answer(id).answer().is_some());
    }
    site.members[home].die();
    wait_until("the member is out of use", AT_ONCE, || !site.router.is_up(GROUP, MEMBERS[home]));
    let id = idm.call(&page_request(Some(cookie)));
    let answer = idm.answer(id);
    assert!(answer.error().is_some_and(|e| e.message.contains("first page")), "{answer:?}");
}

/// A frozen process keeps its sockets open; only its silence gives it away.
#[test]
fn a_frozen_member_is_out_of_use_and_its_reads_move() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    site.members[0].await_sockets(2);
    site.members[0].freeze();
    let id = idm.call(&validate_request());
    let moved =
        site.members[1].inbox.next_within("the call, moved", FROZEN_BOUND, |f| f.operation().is_some());
    moved.socket.send(&frames::answer(moved.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
    assert!(!site.router.is_up(GROUP, "n1"));
}

#[test]
fn the_loss_of_a_caller_cancels_its_streams() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    idm.socket(0).reset();
    idm.socket(1).reset();
    let fits = |f: &Frame| f.is_cancel() && f.id() == call.id();
    site.members[0].inbox.next_within("the cancel", AT_ONCE, fits);
}

#[test]
fn sigterm_lets_calls_finish() {
    drains(Signal::TERM);
}

#[test]
fn sigint_lets_calls_finish() {
    drains(Signal::INT);
}

fn drains(signal: Signal) {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&validate_request());
    let call = site.members[0].inbox.operation("the call");
    site.router.process().signal(signal);
    wait_until("the router says that it is not ready", AT_ONCE, || !site.router.is_ready());
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
    let status = site.router.process().wait(PATIENCE);
    assert!(status.success(), "ended with {status}");
}

/// Sends a test, answers it at member `at`, and checks that nothing else had come there.
fn nothing_but_a_test_reaches(site: &mut ScriptedSite, at: usize, idm: &mut FakeIdm) {
    let id = idm.call(&validate_request());
    let call = site.members[at].inbox.operation("a test");
    assert!(call.operation().is_some_and(|o| o.validate.is_some()), "{call:?} was sent again");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

/// The next call, and the number of the member that got it.
fn whoever_is_asked(site: &mut ScriptedSite) -> (usize, Frame) {
    wait_for("a member is asked", PATIENCE, || {
        let asked =
            site.members.iter_mut().map(|m| m.inbox.find(Duration::ZERO, |f| f.operation().is_some()));
        asked.enumerate().find_map(|(at, call)| Some((at, call?)))
    })
}

fn page_request(cookie: Option<&str>) -> OperationRequest {
    let mut entries = vec![("PAGE_SIZE".to_owned(), Value::Integer(1))];
    entries.extend(cookie.map(|c| ("PAGED_RESULTS_COOKIE".to_owned(), Value::String(c.to_owned()))));
    let options = OperationOptions { case_insensitive: false, entries }.encode();
    let search = SearchOpRequest { object_class: "__ACCOUNT__".to_owned(), filter: Bytes::new(), options };
    OperationRequest { search: Some(search), ..request() }
}

fn page_end(cookie: &str) -> OperationResponse {
    let result = SearchResult { paged_results_cookie: cookie.to_owned(), ..SearchResult::default() };
    let end = SearchOpResponse { sequence: 0, result: Some(result), connector_object: None };
    OperationResponse { search: Some(end), ..OperationResponse::default() }
}
