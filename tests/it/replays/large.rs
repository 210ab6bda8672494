//! OPENICF-3538: one very large Get result exhausted the heap of the RCS. Through the router it is one call's business: it
//! arrives whole, or fails alone, and costs memory only while it is on its way.

use std::fs;
use std::time::{Duration, Instant};

use rcs_proto::frames;
use rcs_proto::messages::{GetOpRequest, GetOpResponse, OperationRequest, OperationResponse};
use rcs_rig::scripted::{FakeIdm, Manners, request, validate_request};
use rcs_rig::wait::wait_until;

use crate::answers::validated;
use crate::fleet::{Fleet, path};

const LARGE: usize = 48 << 20;
/// At most this much of it may be left behind: allocators keep some.
const KEPT_BYTES: u64 = 16 << 20;
const ROUNDS: usize = 4;

#[test]
fn openicf_3538_a_very_large_get_result_to_a_caller_that_does_not_read() {
    let mut fleet = Fleet::start(1, "failover", 2);
    let mut slow = FakeIdm::new(fleet.router.listen(), &path(), Manners::Polite);
    let socket = slow.dial_with_receive_buffer(16 << 10);
    slow.shake_hands(&socket);
    let mut other = fleet.idm(1);
    let get = OperationRequest { get: Some(GetOpRequest::default()), ..request() };
    let object = GetOpResponse { connector_object: vec![b'x'; LARGE].into() };
    let object = OperationResponse { get: Some(object), ..OperationResponse::default() };
    let before = resident_bytes(&mut fleet);
    for round in 0..ROUNDS {
        socket.stall();
        let id = slow.call(&get);
        let (_, call) = fleet.asked("the get");
        call.socket.send(&frames::answer(call.id(), &object));
        let mut worst = Duration::ZERO;
        for _ in 0..50 {
            let asked = Instant::now();
            let quick = other.call(&validate_request());
            let (_, call) = fleet.asked("another caller's validate");
            call.socket.send(&frames::answer(call.id(), &validated()));
            assert!(other.answer(quick).answer().is_some());
            worst = worst.max(asked.elapsed());
        }
        assert!(worst < Duration::from_secs(1), "another caller waited {worst:?}");
        socket.read_on();
        assert_eq!(slow.answer(id).bytes.len() - LARGE, frames::answer(id, &object).len() - LARGE);
        wait_until("the router holds no call", Duration::from_secs(5), || fleet.in_flight() == 0);
        let now = resident_bytes(&mut fleet);
        println!("round {round}: {} MiB resident, {worst:?} worst of another caller", now >> 20);
    }
    let last = resident_bytes(&mut fleet);
    assert!(last < before + KEPT_BYTES, "{before} bytes at first, {last} after {ROUNDS} rounds");
}

/// Memory of the router, bytes.
fn resident_bytes(fleet: &mut Fleet) -> u64 {
    let pid = fleet.router.process().pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
    kib.expect("Linux tells a process's memory") << 10
}
