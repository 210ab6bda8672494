use super::*;
use crate::engine::keys::{CallerTag, MemberSessionTag};
use crate::engine::peer::DialledBy;
use crate::engine::tests::parts::{FIRST, at, keys};
use crate::engine::tests::world::Recorder;

fn of_member(slot: u8) -> Belongs {
    Belongs::Member { session: keys::<MemberSessionTag>(1)[0], member: FIRST, slot: Some(Slot(slot)) }
}

fn table() -> Sockets {
    let mut sockets = Sockets::default();
    let second = Duration::from_secs(1);
    sockets.set(SocketSettings { caller_ping_every: Some(30 * second), ttl: None });
    sockets.open(SocketId(1), of_member(0), Side::Accepted, Some(2 * second), at(0));
    sockets.open(SocketId(2), Belongs::Caller(keys::<CallerTag>(1)[0]), Side::Accepted, None, at(0));
    sockets
}

#[test]
fn a_member_that_answers_no_ping_is_silent_and_a_caller_never_is() {
    let (mut sockets, mut io) = (table(), Recorder::default());
    let mut silent = Vec::new();
    for second in 0..=120 {
        silent.extend(sockets.ping(at(second), &mut io));
        for gone in silent.iter().copied().filter(|socket| *socket == SocketId(1)) {
            sockets.remove(gone);
        }
        sockets.assert_settled();
    }
    assert_eq!(silent, [SocketId(1)]);
    let to = |socket| io.pinged.iter().filter(|pinged| **pinged == socket).count();
    assert_eq!((to(SocketId(1)), to(SocketId(2))), (limits::PING_MISSES_MAX as usize, 4));
}

#[test]
fn a_frame_a_pong_or_moving_bytes_are_signs_of_life() {
    let (mut sockets, mut io) = (table(), Recorder::default());
    for second in 0..=40 {
        match second % 2 {
            0 => drop(sockets.heard(SocketId(1))),
            _ => drop(io.moved.insert(SocketId(1), Moved { received: second, written: 0 })),
        }
        assert!(sockets.ping(at(second), &mut io).is_empty());
    }
}

#[test]
fn sockets_are_found_by_their_member_from_the_handshake_on() {
    let mut sockets = table();
    let identity = rcs_proto::frames::Identity { session_id: "s".into(), public_key: bytes::Bytes::new() };
    let (handshake, _) = Handshake::start(rcs_proto::session::Side::Dialled, &identity, at(0));
    sockets.greet(SocketId(3), handshake, Peer::Member { member: FIRST, by: DialledBy::Us(Slot(1)) }, at(0));
    assert_eq!(sockets.of(FIRST), [SocketId(1), SocketId(3)]);
    assert!(matches!(sockets.take_greeting(SocketId(3)), Some((Side::Dialled, Peer::Member { .. }))));
    assert_eq!(sockets.of(FIRST), [SocketId(1)]);
    sockets.open(SocketId(3), of_member(1), Side::Accepted, None, at(1));
    sockets.remove(SocketId(1));
    assert_eq!(sockets.of(FIRST), [SocketId(3)]);
    sockets.remove(SocketId(3));
    assert!(sockets.of(FIRST).is_empty() && sockets.remove(SocketId(3)).is_none());
    sockets.assert_settled();
}

#[test]
fn old_sockets_are_found_by_their_age_and_a_new_one_takes_the_place_of_one() {
    let mut sockets = table();
    let ttl = Duration::from_secs(100);
    sockets.set(SocketSettings { caller_ping_every: None, ttl: Some(ttl) });
    assert!(sockets.old_ones(at(74)).is_empty(), "three quarters of the TTL at least");
    let old: Vec<SocketId> = sockets.old_ones(at(100)).into_iter().map(|(id, _)| id).collect();
    assert_eq!(old, [SocketId(1), SocketId(2)]);
    sockets.turn_not_before(SocketId(2), at(110));
    assert_eq!((sockets.old_ones(at(100)).len(), sockets.old_ones(at(110)).len()), (1, 2));
    sockets.set_turn(SocketId(1), Turn::Awaiting);
    assert!(sockets.under_way().is_empty() && sockets.turning().count() == 1);
    sockets.open(SocketId(4), of_member(0), Side::Accepted, None, at(101));
    sockets.replace_by(SocketId(4), FIRST, Slot(0), at(101));
    assert_eq!(sockets.under_way(), [SocketId(1)]);
    sockets.set_turn(SocketId(1), Turn::Retired(at(102)));
    assert_eq!(sockets.retired_of(FIRST), Some(SocketId(1)));
    assert!(sockets.remove(SocketId(1)).unwrap().is_replaced);
    sockets.assert_settled();
}
