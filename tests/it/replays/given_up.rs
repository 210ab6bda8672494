//! OPENICF-3543 (fixed in 1.5.20.36, August 2026): a SEARCH or SYNC that timed out at its caller went on at the RCS, for no
//! cancel was sent. The caller's timeouts travel in the facade key, so the router knows them, and cancels.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::icf::{ApiConfiguration, ClassName};
use rcs_proto::legacy::facade_key;
use rcs_proto::messages::{OperationRequest, SyncOpRequest, sync_op_request};
use rcs_rig::scripted::{FakeIdm, Frame, request};

use crate::answers::{row, search_request};
use crate::fleet::Fleet;

const TIMEOUT: Duration = Duration::from_millis(800);
/// A cancel that is due is at the member within this.
const CANCELLED_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn openicf_3543_a_search_that_timed_out_is_cancelled() {
    times_out("SearchApiOp", search_request(), |_| {});
}

/// It may be busy sending: a row is no reason to let it run on beyond its time.
#[test]
fn openicf_3543_a_search_that_timed_out_amid_its_rows_is_cancelled() {
    times_out("SearchApiOp", search_request(), |call| {
        for n in 1..=3 {
            call.socket.send(&frames::answer(call.id(), &row(n)));
        }
    });
}

#[test]
fn openicf_3543_a_sync_that_timed_out_is_cancelled() {
    let sync = SyncOpRequest { sync: Some(sync_op_request::Sync::default()), latest_sync_token: None };
    times_out("SyncApiOp", OperationRequest { sync: Some(sync), ..request() }, |_| {});
}

/// The caller cancels by itself, drops its session, or is only cut off: the member hears of it each time.
#[test]
fn openicf_3543_a_search_that_its_caller_gave_up_is_cancelled() {
    let give_up: [fn(&mut FakeIdm, i64); 3] = [
        |idm, id| idm.socket(0).send(&frames::cancel(id)),
        |idm, _| idm.socket(0).finish(),
        |idm, _| idm.socket(0).reset(),
    ];
    let mut fleet = Fleet::start(1, "failover", 2);
    for (case, give_up) in give_up.into_iter().enumerate() {
        let mut idm = fleet.idm(1);
        let id = idm.call(&search_request());
        let (_, call) = fleet.asked("the search");
        call.socket.send(&frames::answer(call.id(), &row(1)));
        assert!(idm.answer(id).answer().is_some());
        give_up(&mut idm, id);
        let fits = |f: &Frame| f.is_cancel() && f.id() == call.id();
        fleet.members[0].inbox.next_within(&format!("the cancel of case {case}"), CANCELLED_WITHIN, fits);
    }
}

fn times_out(class: &str, request: OperationRequest, begin: impl Fn(&Frame)) {
    let mut fleet = Fleet::start(2, "failover", 2);
    let mut idm = fleet.idm(1);
    let since = Instant::now();
    let id = idm.call(&OperationRequest { connector_facade_key: limited(class), ..request });
    let (at, call) = fleet.asked("the call");
    begin(&call);
    let fits = |f: &Frame| f.is_cancel() && f.id() == call.id();
    fleet.members[at].inbox.next_within("the cancel at the member", TIMEOUT + CANCELLED_WITHIN, fits);
    let took = since.elapsed();
    assert!(took >= TIMEOUT, "given up after {took:?}, before its time");
    let error = idm.inbox.next("the error", |f| f.id() == id && f.error().is_some());
    let class = error.error().map(|e| e.exception_class.as_str()).unwrap_or_default();
    assert!(class.ends_with(".OperationTimeoutException"), "{class}");
    assert!(fleet.asked_now().is_none(), "it was begun again elsewhere");
    println!("cancelled {took:?} after its start, with a timeout of {TIMEOUT:?}");
}

/// A facade key that allows one operation so long.
fn limited(class: &str) -> Bytes {
    facade_key::encode(&ApiConfiguration {
        producer_buffer_size: 100,
        pooling_supported: false,
        pool: None,
        results_handlers: None,
        properties: Vec::new(),
        timeouts_ms: vec![(ClassName::plain(class), TIMEOUT.as_millis() as i32)],
        supported_operations: vec![ClassName::plain(class)],
    })
}
