use bytes::Bytes;
use rcs_proto::operation::Operation;

use super::*;
use crate::engine::io::Backlog;
use crate::engine::keys::CallTag;
use crate::engine::tests::parts::{at, keys};
use crate::engine::tests::world::Recorder;

fn id(remote: &str) -> CallerId {
    CallerId {
        selector: Selector::ByConnectorKey,
        principal: "idm".into(),
        side: Side::Accepted,
        remote: remote.into(),
    }
}

/// One caller with sockets 1 and 2.
fn table() -> (Callers, CallerKey) {
    let mut callers = Callers::default();
    let key = callers.add(id("a"));
    for socket in [1, 2] {
        callers.join(key, SocketId(socket), at(0)).unwrap();
    }
    (callers, key)
}

fn last(id: i64) -> Last {
    Last { id, operation: Operation::Get, frame: Some(Bytes::from_static(b"end")), since: at(1), refusals: 0 }
}

#[test]
fn a_session_is_found_by_all_that_names_it_and_has_its_sockets_at_most() {
    let (mut callers, key) = table();
    assert_eq!(callers.named(&id("a")), Some(key));
    let other = CallerId { principal: "other".into(), ..id("a") };
    assert_eq!(callers.named(&other), None, "nobody joins by knowing the id");
    let dialled = CallerId { side: Side::Dialled, ..id("a") };
    assert_eq!(callers.named(&dialled), None, "nobody joins the session of an IDM that we dialled");
    for socket in 3..=limits::SOCKETS_PER_SESSION_MAX as u64 {
        callers.join(key, SocketId(socket), at(0)).unwrap();
    }
    assert_eq!(callers.join(key, SocketId(999), at(0)), Err(NotJoined::TooManySockets));
    callers.assert_settled(&[]);
}

#[test]
fn the_ends_of_answers_are_kept_for_a_caller_without_sockets_and_delivered_when_it_is_back() {
    let ((mut callers, key), mut io) = (table(), Recorder::default());
    let left = callers.leave(key, SocketId(1), at(1)).unwrap();
    assert_eq!((left.sockets, left.is_away, left.may_redial), (1, false, true));
    let left = callers.leave(key, SocketId(2), at(1)).unwrap();
    assert_eq!((left.sockets, left.is_away, left.may_redial), (0, true, false));
    callers.deliver_last(&CallerEnd::new(key, 7), Bytes::from_static(b"end"), last(7), at(2), &mut io);
    assert!(io.sent.is_empty());
    assert_eq!(callers.first_leaver(), Some(key));
    callers.join(key, SocketId(3), at(3)).unwrap();
    callers.deliver_kept(key, at(3), &mut io);
    assert_eq!(io.sent[&SocketId(3)], [Bytes::from_static(b"end")]);
    callers.deliver_kept(key, at(3), &mut io);
    assert_eq!(io.sent[&SocketId(3)].len(), 1, "once");
    assert!(!callers.is_gone(key, at(1_000)) && callers.first_leaver().is_none());
}

#[test]
fn whether_a_caller_redials_is_learned_from_what_it_does() {
    let (mut callers, key) = table();
    assert!(!callers.may_lose_one(key), "unknown");
    callers.leave(key, SocketId(1), at(1));
    callers.learn_redials(key, at(2));
    assert_eq!(callers.get(key).unwrap().redials, Redials::Unknown, "it has time");
    callers.join(key, SocketId(3), at(3)).unwrap();
    assert!(callers.may_lose_one(key));
    callers.leave(key, SocketId(3), at(4));
    callers.learn_redials(key, at(4) + limits::CALLER_KEPT);
    assert_eq!(callers.get(key).unwrap().redials, Redials::No);
}

#[test]
fn subscriptions_are_counted_apart() {
    let (mut callers, key) = table();
    let calls = keys::<CallTag>(2);
    let (call, subscription) = (CallerEnd::new(key, 1), CallerEnd::new(key, 2));
    callers.accept(&call, calls[0], false, at(1));
    callers.accept(&subscription, calls[1], true, at(1));
    let caller = callers.get(key).unwrap();
    assert_eq!((caller.open_calls(), caller.subscriptions()), (2, 1));
    assert!(caller.is_at_its_limit(Operation::Get, 1) && !caller.is_at_its_limit(Operation::Get, 2));
    callers.assert_settled(&[(call, false), (subscription, true)]);
    callers.finish(&subscription, true);
    callers.finish(&call, false);
    callers.assert_settled(&[]);
}

#[test]
fn a_slow_socket_fails_its_own_call_and_not_those_of_callers_that_read() {
    let ((mut callers, key), mut io) = (table(), Recorder::default());
    let end = callers.deliver(&CallerEnd::new(key, 1), Bytes::from_static(b"row"), at(1), &mut io);
    assert!(!callers.is_backlogged(&end, 1, Waits::OnDisk, &io));
    let slow = if end.is_pinned_to(SocketId(1)) { SocketId(1) } else { SocketId(2) };
    io.backlog.insert(slow, limits::CALL_BACKLOG_MAX.memory + 1);
    assert!(callers.is_backlogged(&end, 1, Waits::OnDisk, &io));
    let other = callers.add(id("b"));
    callers.join(other, SocketId(9), at(1)).unwrap();
    assert!(!callers.is_backlogged(&CallerEnd::new(other, 1), 1, Waits::OnDisk, &io));
    assert_ne!(io.backlog_total(), Backlog::default());
}

#[test]
fn a_caller_is_left_socket_by_socket() {
    let ((mut callers, key), mut io) = (table(), Recorder::default());
    callers.close_down_to(key, 1, &mut io);
    assert_eq!((io.closed.len(), callers.connected().count()), (1, 1));
    assert_eq!(callers.take_going(), [key]);
    callers.close_down_to(key, 0, &mut io);
    assert_eq!((io.closed.len(), callers.connected().count(), callers.take_going().len()), (2, 0, 0));
    callers.remove(key);
    assert!(callers.is_empty());
}

/// All callers together hold what the process allows. Beyond half of it, each caller can add only little, and time frees memory (P10).
#[test]
fn what_is_remembered_of_all_callers_is_bounded_and_given_back() {
    let (mut callers, mut io) = (Callers::default(), Recorder::default());
    let frame = Bytes::from(vec![0; 512 << 10]);
    let mut keys = Vec::new();
    for number in 0..400u64 {
        let key = callers.add(id(&number.to_string()));
        callers.join(key, SocketId(number), at(0)).unwrap();
        for id in 0..4 {
            let last = Last { frame: Some(frame.clone()), ..last(id) };
            callers.deliver_last(&CallerEnd::new(key, id), frame.clone(), last, at(1), &mut io);
        }
        io.sent.clear();
        keys.push(key);
    }
    callers.assert_settled(&[]);
    assert!(callers.remembered > limits::REMEMBERED_BYTES_MAX / 4, "{}", callers.remembered);
    assert!(callers.remembered < limits::REMEMBERED_BYTES_MAX / 2 + (2 << 20), "{}", callers.remembered);
    callers.forget_old_answers(at(5));
    assert!(callers.remembered > 0, "none is old");
    callers.forget_old_answers(
        at(1) + rcs_proto::limits::RECENT_ANSWER_KEPT + std::time::Duration::from_secs(1),
    );
    assert_eq!(callers.remembered, 0);
    callers.assert_settled(&[]);
    // Answers for a caller that is away count as well, until the caller is forgotten.
    callers.leave(keys[0], SocketId(0), at(20));
    let late = Last { frame: Some(frame.clone()), since: at(20), ..last(9) };
    callers.deliver_last(&CallerEnd::new(keys[0], 9), frame, late, at(20), &mut io);
    assert_eq!(callers.remembered, 512 << 10);
    callers.remove(keys[0]);
    assert_eq!(callers.remembered, 0);
}
