//! Searches of 20,000 rows of 1 KB, and callers that do not read (P13).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::{OperationResponse, SearchOpResponse, SearchResult};
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::scripted::{FakeIdm, Frame, Manners, Socket, validate_request};
use rcs_rig::wait::{hold, wait_until};

use crate::answers::{row_of, search_request, validated};
use crate::bounds::{AT_ONCE, PATIENCE};
use crate::site::{GROUP, JavaSite, ScriptedSite};

const ROWS: usize = 20_000;
const STALL: Duration = Duration::from_secs(3);
#[test]
fn twenty_thousand_rows_arrive_in_order() {
    let Some(java) = Java::or_skip("stream::twenty_thousand_rows_arrive_in_order") else { return };
    let site = JavaSite::start(&java);
    let router = site.router("roundrobin", 2);
    let journal = site.journal("journal");
    journal.seed(ROWS, 1024);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&journal.use_command());
    let all = format!("ok {ROWS} cookie=null u1..u{ROWS} ordered");
    assert_eq!(idm.ask("search"), all);
    assert_eq!(idm.ask("search stall=3000"), all, "a slow handler, with a socket that is read on");

    idm.begin("search");
    let in_flight = || router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]);
    wait_until("the search runs", PATIENCE, || in_flight() >= 1.0);
    idm.process().freeze();
    hold("the whole IDM stands still", STALL, || true);
    idm.process().thaw();
    let answer = idm.answer("search", PATIENCE);
    assert!(answer == all || answer.starts_with("err "), "a short success: {answer}");
    assert_eq!(idm.ask("test"), "ok");
}

#[test]
fn a_reader_that_stalls_gets_all_rows_and_the_member_never_waits() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = stalling_idm(&site);
    let id = idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    idm.socket(0).stall();
    let slowest = send_rows(&call.socket, call.id(), ROWS, 1024);
    assert!(slowest < AT_ONCE, "the member had to wait {slowest:?} for one frame to be taken");
    hold("the caller does not read", STALL, || true);
    idm.socket(0).read_on();
    assert_eq!(rows(&mut idm, id), Ok(ROWS));
}

#[test]
fn a_reader_that_never_reads_fails_its_own_call_only() {
    const ROW: usize = 8 << 10;
    const BEYOND_ANY_BOUND: usize = (256 << 20) / ROW;
    // What it does with a disk is in the suite `pressure`.
    let mut site = ScriptedSite::start_with("failover", 2, &["--spill-dir", "none"]);
    let mut idm = stalling_idm(&site);
    let id = idm.call(&search_request());
    let call = site.members[0].inbox.operation("the search");
    idm.socket(0).stall();
    let (socket, member_id) = (Arc::clone(&call.socket), call.id());
    let slowest = send_rows(&socket, member_id, BEYOND_ANY_BOUND, ROW);
    assert!(slowest < AT_ONCE, "the member had to wait {slowest:?} for one frame to be taken");
    site.members[0].inbox.next("the cancel at the member", |f| f.is_cancel() && f.id() == member_id);

    let mut other = site.idm(1);
    let test = other.call(&validate_request());
    let asked = site.members[0].inbox.operation("another caller's test");
    asked.socket.send(&frames::answer(asked.id(), &validated()));
    assert!(other.answer(test).answer().is_some());

    idm.socket(0).read_on();
    let error = rows(&mut idm, id).expect_err("a short success");
    assert!(!error.is_empty());
}

fn stalling_idm(site: &ScriptedSite) -> FakeIdm {
    let mut idm = FakeIdm::new(site.router.listen(), &format!("/openicf/{GROUP}"), Manners::Polite);
    let socket = idm.dial_with_receive_buffer(16 << 10);
    idm.shake_hands(&socket);
    idm
}

/// Sends rows 1..=n and the end; returns the longest time that one send took. A Java member cuts the search short when one of its
/// frames is not taken for 100 ms (WIRE 5.3). A router that passed its caller's stall on would not take it at all.
fn send_rows(socket: &Socket, id: i64, n: usize, bytes: usize) -> Duration {
    let pad = Bytes::from(vec![b'x'; bytes]);
    let mut slowest = Duration::ZERO;
    for sequence in 1..=n {
        let frame = frames::answer(id, &row_of(sequence as i64, pad.clone()));
        let start = Instant::now();
        socket.send(&frame);
        slowest = slowest.max(start.elapsed());
    }
    let result =
        SearchResult { total_paged_results: -1, remaining_paged_results: -1, ..SearchResult::default() };
    let end = SearchOpResponse { sequence: n as i64, result: Some(result), connector_object: None };
    socket
        .send(&frames::answer(id, &OperationResponse { search: Some(end), ..OperationResponse::default() }));
    slowest
}

/// Takes a search's answer to its end: the number of rows if they were complete and in order, or the error that ended it.
fn rows(idm: &mut FakeIdm, id: i64) -> Result<usize, String> {
    let mut next = 1;
    loop {
        let frame = idm.inbox.next_within("a row, the end or an error", PATIENCE, |f: &Frame| f.answers(id));
        if let Some(error) = frame.error() {
            return Err(format!("{}: {}", error.exception_class, error.message));
        }
        let row =
            frame.answer().and_then(|a| a.search.as_ref()).expect("a search is answered with search frames");
        if row.connector_object.is_none() {
            assert_eq!(row.sequence, next - 1, "the end does not count the rows that came");
            return Ok((next - 1) as usize);
        }
        assert_eq!(row.sequence, next, "rows out of order");
        next += 1;
    }
}
