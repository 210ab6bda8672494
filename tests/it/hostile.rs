//! Hostile callers that have the key. The memory that they can make the router hold is bounded for the process, and other callers are
//! served (P10, P15).

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rcs_proto::frames::{self, Ask};
use rcs_rig::scripted::{FakeIdm, Socket, validate_request};
use rcs_rig::wait::wait_until;

use crate::answers::validated;
use crate::bounds::PATIENCE;
use crate::site::ScriptedSite;

/// Memory that the router takes without hostile callers, with room for buffers that are growing, and for memory that the system's
/// allocator gives back late.
const QUIET_KIB: u64 = 160 << 10;
/// The room that all large messages of callers share.
const ROOM_KIB: u64 = 256 << 10;

/// A message of 63 MiB is announced, and all but its last bytes are sent.
fn half_message(socket: Arc<Socket>) {
    const BYTES: usize = 63 << 20;
    let mut head = vec![0x82, 0xff];
    head.extend((BYTES as u64).to_be_bytes());
    head.extend([0; 4]);
    socket.send_raw(&head);
    for _ in 0..BYTES / (1 << 20) - 1 {
        if socket.is_closed() {
            return;
        }
        socket.send_raw(&[0; 1 << 20]);
    }
}

#[test]
fn half_messages_of_callers_take_a_bounded_room_that_is_given_back() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut steady = site.idm(1);
    let mut bad: Vec<FakeIdm> = (0..8).map(|_| site.idm(1)).collect();
    let senders: Vec<_> = bad
        .iter()
        .map(|idm| {
            let socket = Arc::clone(idm.socket(0));
            thread::spawn(move || half_message(socket))
        })
        .collect();
    // The memory is measured while the callers send, and while some of them wait for room.
    let since = Instant::now();
    let mut calls = 0;
    while since.elapsed() < Duration::from_secs(5) || !senders.iter().all(thread::JoinHandle::is_finished) {
        call(&mut site, &mut steady);
        calls += 1;
        assert!(since.elapsed() < PATIENCE, "what finds no room is dropped, and so is read to its end");
    }
    let peak = status_kib(&mut site, "VmHWM:");
    assert!(peak < ROOM_KIB + QUIET_KIB, "{peak} KiB at most for half messages of 504 MiB");
    bad.clear();
    wait_until("the memory is given back", PATIENCE, || status_kib(&mut site, "VmRSS:") < QUIET_KIB);
    call(&mut site, &mut steady);
    println!("{calls} calls beside; {peak} KiB at most, {} KiB after", status_kib(&mut site, "VmRSS:"));
}

#[test]
fn a_caller_that_asks_and_does_not_read_stops_itself() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut steady = site.idm(1);
    let mut bad = FakeIdm::new(site.router.listen(), "/openicf/g", rcs_rig::scripted::Manners::Polite);
    let socket = bad.dial_with_receive_buffer(8 << 10);
    bad.shake_hands(&socket);
    socket.stall();
    let flood = {
        let socket = Arc::clone(&socket);
        thread::spawn(move || {
            let questions: Vec<u8> = (1..=1_000)
                .flat_map(|id| masked(&frames::control_request(id, Ask::ConnectorInfo, &[], &[])))
                .collect();
            for _ in 0..1_000 {
                if socket.is_closed() {
                    return;
                }
                socket.send_raw(&questions);
            }
        })
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        call(&mut site, &mut steady);
    }
    let peak = status_kib(&mut site, "VmHWM:");
    assert!(!flood.is_finished(), "a million questions without a reader are not taken");
    assert!(peak < QUIET_KIB, "{peak} KiB");
    call(&mut site, &mut steady);
    // The socket is busy with the flood until its other end has closed.
    drop(site);
    flood.join().expect("the flood ends with its router");
}

/// A small message as a client's WebSocket frame, masked with zeros.
fn masked(message: &[u8]) -> Vec<u8> {
    assert!(message.len() < 126, "a small message");
    let mut frame = vec![0x82, 0x80 | message.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(message);
    frame
}

/// Checks that the caller is served.
fn call(site: &mut ScriptedSite, idm: &mut FakeIdm) {
    let id = idm.call(&validate_request());
    let call = site.members[0].inbox.operation("a call");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

fn status_kib(site: &mut ScriptedSite, field: &str) -> u64 {
    let pid = site.router.process().pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
