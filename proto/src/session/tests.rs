//! Sessions fed frame by frame.

use std::time::Duration;

use super::*;
use crate::frames::{Ask, Identity};
use crate::messages::{OperationRequest, OperationResponse, TestOpRequest, TestOpResponse};

fn at(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn identity() -> Identity {
    Identity { session_id: "ROUTER".into(), public_key: Bytes::from_static(b"key") }
}

fn parsed(frame: Bytes) -> Envelope {
    Envelope::parse(frame).unwrap()
}

fn test_request(id: i64) -> Envelope {
    parsed(frames::operation(id, &OperationRequest { test: Some(TestOpRequest {}), ..Default::default() }))
}

fn test_answer(id: i64) -> Envelope {
    parsed(frames::answer(id, &OperationResponse { test: Some(TestOpResponse {}), ..Default::default() }))
}

fn last(id: i64, ms: u64) -> Last {
    Last {
        id,
        operation: Operation::Test,
        frame: Some(test_answer(id).frame().clone()),
        since: at(ms),
        refusals: 0,
    }
}

fn joined(sockets: &[u64]) -> Session<u32> {
    let mut session = Session::new();
    for socket in sockets {
        session.join(SocketId(*socket), at(0));
    }
    session
}

fn joined_as(mut session: Session<u32>) -> Session<u32> {
    session.join(SocketId(1), at(0));
    session
}

#[test]
fn both_ends_shake_hands_and_keep_what_came_before() {
    let (mut dialler, first) = Handshake::start(Side::Dialled, &identity(), at(0));
    let (mut acceptor, none) = Handshake::start(Side::Accepted, &identity(), at(0));
    assert!(none.is_none());
    assert!(matches!(acceptor.receive(test_request(1), &identity()), HandshakeStep::Wait));
    let HandshakeStep::Done { remote, reply: Some(reply), parked } =
        acceptor.receive(parsed(first.unwrap()), &identity())
    else {
        panic!("the acceptor is done with the first frame")
    };
    assert_eq!((remote.session_id.as_str(), parked.len(), parked[0].message_id), ("ROUTER", 1, 1));
    let done = dialler.receive(parsed(reply.clone()), &identity());
    assert!(matches!(done, HandshakeStep::Done { reply: None, .. }));
    let (mut other, _) = Handshake::start(Side::Accepted, &identity(), at(0));
    assert!(matches!(
        other.receive(parsed(reply), &identity()),
        HandshakeStep::Failed(HandshakeError::WrongSide(Side::Accepted))
    ));
}

#[test]
fn a_peer_that_floods_before_its_handshake_is_refused() {
    let (mut handshake, _) = Handshake::start(Side::Accepted, &identity(), at(0));
    let steps: Vec<_> = (0..=limits::PARKED_FRAMES_MAX)
        .map(|id| handshake.receive(test_request(id as i64), &identity()))
        .collect();
    assert!(matches!(steps.last(), Some(HandshakeStep::Failed(HandshakeError::TooMuchBefore))));
    assert!(!handshake.is_overdue(at(10)));
    assert!(handshake.is_overdue(at(0) + limits::HANDSHAKE_DEADLINE));
}

#[test]
fn frames_take_turns_over_sockets_and_pins_hold_while_their_socket_lives() {
    let mut session = joined(&[1, 2]);
    let late = at(1_000);
    let turns: Vec<_> = (0..4).map(|_| session.socket_for(None, late).unwrap().0).collect();
    assert!(turns == [1, 2, 1, 2] || turns == [2, 1, 2, 1], "{turns:?}");
    assert_eq!(session.socket_for(Some(SocketId(2)), late), Some(SocketId(2)));
    assert_eq!(session.leave(SocketId(2)), 1);
    assert_eq!(session.socket_for(Some(SocketId(2)), late), Some(SocketId(1)));
    assert_eq!(session.leave(SocketId(1)), 0);
    assert_eq!(session.socket_for(None, late), None);
}

#[test]
fn a_young_socket_comes_last() {
    let mut session = joined(&[1]);
    session.join(SocketId(2), at(5_000));
    for _ in 0..4 {
        assert_eq!(session.socket_for(None, at(5_010)), Some(SocketId(1)));
    }
    session.leave(SocketId(1));
    assert_eq!(
        (session.socket_for(None, at(5_010)), session.is_ready(at(5_010))),
        (Some(SocketId(2)), false)
    );
}

#[test]
fn answers_find_their_call_and_late_ones_are_ignored() {
    let mut session = joined(&[1]);
    let id = session.open(7, at(0));
    assert!(matches!(session.receive(&test_answer(id), at(1)), Event::Answer(7)));
    assert_eq!(session.close(id), Some(7));
    assert!(matches!(session.receive(&test_answer(id), at(1)), Event::Ignored(Ignored::UnknownId)));
    assert_eq!(session.open(8, at(2)), id + 1);
}

#[test]
fn an_id_in_use_is_refused_and_the_running_call_goes_on() {
    let mut session = joined(&[1]);
    assert!(matches!(session.receive(&test_request(-5), at(0)), Event::Call));
    assert!(session.accept(-5, 1, at(0)));
    let Event::Reply(reply) = session.receive(&test_request(-5), at(0)) else { panic!("reply") };
    let Kind::Error(error) = parsed(reply).kind else { panic!("error") };
    assert_eq!(error.class, "java.lang.IllegalStateException");
    assert!(matches!(session.receive(&parsed(frames::cancel(-5)), at(0)), Event::Cancel(1)));
    session.finish(-5);
    assert!(matches!(
        session.receive(&parsed(frames::cancel(-5)), at(0)),
        Event::Ignored(Ignored::UnknownId)
    ));
    assert!(matches!(session.receive(&test_request(-5), at(0)), Event::Call));
}

/// WIRE 7.1: an error about a response carries the response's id, which may be that of a request of ours.
#[test]
fn a_refused_answer_never_ends_our_own_call_of_the_same_id() {
    let mut session = joined(&[1]);
    let id = session.open(3, at(0));
    let answer = test_answer(id).frame().clone();
    session.sent_last(SocketId(1), last(id, 300), at(300));
    let text = "Connection received response before handshake";
    let refusal = parsed(frames::error(id, exceptions::CONNECTOR, text));
    let Event::AnswerRefused(Some(again)) = session.receive(&refusal, at(310)) else {
        panic!("the answer is to be sent again")
    };
    assert_eq!(again.frame, Some(answer));
    let text = "Connection received request before handshake";
    let refusal = parsed(frames::error(id, exceptions::CONNECTOR, text));
    assert!(matches!(session.receive(&refusal, at(310)), Event::NotRun(3)));
}

#[test]
fn connectors_are_asked_for_until_they_are_known() {
    let mut session = joined(&[1]);
    session.want_connector_infos(at(0));
    assert!(session.due_check(at(10), &[]).is_none(), "the socket is still held back");
    let (_, frame) = session.due_check(at(300), &[]).unwrap();
    assert_eq!(frame, frames::control_request(1, Ask::ConnectorInfo, &[], &[1]));
    assert!(session.due_check(at(310), &[]).is_none());
    let again = at(300) + limits::INFOS_AGAIN;
    let (_, frame) = session.due_check(again, &[]).unwrap();
    assert_eq!(frame, frames::control_request(2, Ask::ConnectorInfo, &[], &[2]));
    let infos = parsed(frames::control_response(2, Some(Bytes::from_static(b"list"))));
    assert!(matches!(session.receive(&infos, again), Event::ConnectorInfos(_)));
    let (_, frame) = session.due_check(again + limits::CHECK_EVERY, &[]).unwrap();
    assert_eq!(frame, frames::control_request(3, Ask::Check, &[], &[3]));
}

#[test]
fn connectors_that_are_known_are_asked_for_with_the_next_check_and_at_its_rhythm() {
    let mut session = joined(&[1]);
    session.want_connector_infos(at(0));
    session.due_check(at(300), &[]).unwrap();
    let infos = |id| parsed(frames::control_response(id, Some(Bytes::from_static(b"list"))));
    session.receive(&infos(1), at(310));
    let first = at(300) + limits::INFOS_AGAIN;
    let (_, frame) = session.due_check(first, &[]).unwrap();
    assert_eq!(frame, frames::control_request(2, Ask::Check, &[], &[2]));
    session.recheck_connector_infos();
    assert!(session.due_check(first + limits::INFOS_AGAIN, &[]).is_none(), "no sooner than a check");
    let second = first + limits::CHECK_EVERY;
    let (_, frame) = session.due_check(second, &[]).unwrap();
    assert_eq!(frame, frames::control_request(3, Ask::ConnectorInfo, &[], &[3]));
    assert!(session.due_check(second + limits::INFOS_AGAIN, &[]).is_none(), "its answer has a check's time");
    session.receive(&infos(3), second);
    let (_, frame) = session.due_check(second + limits::CHECK_EVERY, &[]).unwrap();
    assert_eq!(frame, frames::control_request(4, Ask::Check, &[], &[4]));
}

/// The lists of the session check that is due.
fn lists_of(session: &mut Session<u32>, now: Moment, elsewhere: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let (_, frame) = session.due_check(now, elsewhere).expect("a check is due");
    let Kind::ControlRequest(request) = parsed(frame).kind else { panic!("a check") };
    (request.local_request_id.clone(), request.remote_request_id.clone())
}

/// WIRE 4.4, and section 8: checks that leave out a call that another router executes make the peer fail it.
#[test]
fn a_check_lists_the_calls_that_are_executed_here_and_elsewhere() {
    let mut session = joined(&[1]);
    let due = |checks: u32| at(1_000) + limits::CHECK_EVERY * checks;
    assert_eq!(lists_of(&mut session, due(1), &[]), (vec![], vec![1]));
    let open = session.open(1, due(1));
    for id in [90, 7, 30] {
        session.accept(id, 2, due(1));
    }
    session.finish(7);
    // 30 moves from one router to the other, and both list it for a while.
    let (local, remote) = lists_of(&mut session, due(2), &[-5, 60, 30]);
    assert_eq!((local, remote), (vec![-5, 30, 60, 90], vec![open, open + 1]));
    assert_eq!(lists_of(&mut session, due(3), &[]), (vec![30, 90], vec![open, open + 2]));
}

/// What is sent must not depend on the order of a hash table, which differs from process to process.
#[test]
fn calls_are_listed_and_given_in_the_order_of_their_ids() {
    let mut session = joined(&[1]);
    let ids: Vec<i64> = (0..200).map(|_| session.open(0, at(0))).collect();
    let keys: Vec<u32> = (1..=200).collect();
    let mut session = joined(&[1]);
    for key in &keys {
        session.open(*key, at(0));
        session.accept(i64::from(*key) * 3, *key, at(0));
    }
    assert_eq!((session.open_keys(), session.executing_keys()), (keys.clone(), keys.clone()));
    let (local, remote) = lists_of(&mut session, at(1_000) + limits::CHECK_EVERY, &[]);
    assert_eq!(local, ids.iter().map(|id| id * 3).collect::<Vec<_>>());
    assert_eq!(remote, (1..=201).collect::<Vec<_>>());
    let check = parsed(frames::control_request(90, Ask::Check, &[], &[]));
    for minute in 1..=limits::CHECK_MISSES_MAX {
        let Event::Control(checked) = session.receive(&check, at(u64::from(minute) * 60_000)) else {
            panic!("control")
        };
        let expected = if minute < limits::CHECK_MISSES_MAX { vec![] } else { keys.clone() };
        assert_eq!((&checked.vanished, &checked.abandoned), (&expected, &expected), "check {minute}");
    }
}

/// WIRE 4.3: a peer refuses an id that is in use, whichever router sent it.
#[test]
fn two_routers_of_one_session_id_never_give_a_peer_the_same_id() {
    let mut given = std::collections::HashSet::new();
    let router = |n| joined_as(Session::new().with_ids(Ids::class(n, 2)));
    let (mut first, mut second) = (router(1), router(2));
    let mut last = (0, 0);
    for round in 1..=50 {
        let now = at(1_000) + limits::CHECK_EVERY * round;
        // Calls, and the checks in between: they share one counter.
        let check = lists_of(&mut first, now, &[]).1;
        let ids = (first.open(1, now), second.open(2, now));
        assert!(ids.0 > last.0 && ids.1 > last.1, "ids rise: {last:?} {ids:?}");
        assert_eq!((ids.0 % 2, ids.1 % 2), (1, 0));
        last = ids;
        for id in [*check.last().unwrap(), ids.0, ids.1] {
            assert!(given.insert(id), "{id} was given twice");
        }
        assert_eq!((first.last_id(), second.last_id()), ids);
        if round % 10 == 0 {
            // The second one begins a new session behind whatever either gave so far.
            let behind = first.last_id().max(second.last_id());
            second = router(2);
            second.go_on_after(behind);
            assert_eq!(second.last_id(), behind);
        }
    }
}

#[test]
fn a_session_that_changes_its_class_never_goes_back() {
    let mut session = joined(&[1]);
    let ids: Vec<i64> = (0..5).map(|_| session.open(1, at(0))).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    let mut session = session.with_ids(Ids::class(2, 4));
    assert_eq!((session.last_id(), session.open(1, at(0)), session.open(1, at(0))), (5, 6, 10));
    session.go_on_after(3);
    assert_eq!(session.open(1, at(0)), 14, "an earlier session's ids are behind already");
}

#[test]
fn calls_that_the_peer_no_longer_lists_are_found_after_three_checks() {
    let mut session = joined(&[1]);
    let lost = session.open(1, at(0));
    let listed = session.open(2, at(0));
    session.accept(50, 3, at(0));
    session.accept(51, 4, at(0));
    let mut found = Vec::new();
    for minute in 1..=3 {
        let now = at(minute * 60_000);
        let fresh = session.open(9, now);
        let check = parsed(frames::control_request(90, Ask::ConnectorInfo, &[listed], &[51]));
        let Event::Control(checked) = session.receive(&check, now) else { panic!("control") };
        assert!(checked.wants_connector_infos);
        found.push((checked.vanished, checked.abandoned));
        session.close(fresh);
    }
    assert_eq!(found, [(vec![], vec![]), (vec![], vec![]), (vec![1], vec![3])]);
    assert_eq!(session.close(lost), Some(1));
}

/// WIRE 9: a Java caller waits for an answer that was lost until its connection ends, and names the call in each of its checks.
#[test]
fn a_check_tells_which_calls_are_waited_for_and_not_here() {
    let mut session = joined(&[1]);
    session.accept(50, 3, at(0));
    let check = |id| parsed(frames::control_request(id, Ask::Check, &[], &[40, 50, 60, 90]));
    let Event::Control(checked) = session.receive(&check(90), at(60_000)) else { panic!("control") };
    assert_eq!(checked.not_held, Some(vec![40, 60]), "50 is here, 90 is the check");
    let Event::Control(checked) = session.receive(&check(91), at(60_001)) else { panic!("control") };
    assert_eq!(checked.not_held, None, "the lists are compared once a second at most");
    session.finish(50);
    let Event::Control(checked) = session.receive(&check(92), at(120_000)) else { panic!("control") };
    assert_eq!(checked.not_held, Some(vec![40, 50, 60, 90]), "also where nothing is open");
    let many: Vec<i64> = (1_000..60_000).collect();
    let check_of_many = parsed(frames::control_request(94, Ask::Check, &[], &many));
    let Event::Control(checked) = session.receive(&check_of_many, at(150_000)) else { panic!("control") };
    assert_eq!(checked.not_held.as_deref(), many.get(..limits::CHECK_NOT_HELD_MAX), "not all of a long list");
    session.sent_last(SocketId(1), last(40, 179_000), at(179_000));
    let Event::Control(checked) = session.receive(&check(93), at(180_000)) else { panic!("control") };
    assert_eq!(checked.not_held, Some(vec![50, 60, 90]), "the answer to 40 is on its way");
}

#[test]
fn last_frames_of_a_dead_socket_are_sent_again_and_old_ones_forgotten() {
    let mut session = joined(&[1, 2]);
    for (socket, id, ms) in [(1, 10, 0), (1, 11, 9_000), (2, 12, 9_500), (1, 13, 12_000)] {
        session.sent_last(SocketId(socket), last(id, ms), at(ms));
    }
    session.leave(SocketId(1));
    let again: Vec<i64> =
        session.unconfirmed(SocketId(1), at(12_500)).into_iter().map(|last| last.id).collect();
    assert_eq!(again, [11, 13]);
    assert!(session.unconfirmed(SocketId(1), at(12_500)).is_empty());
}

/// WIRE 7.3: a cancel and its call may change places on the way.
#[test]
fn a_call_that_was_cancelled_before_it_came_is_not_run_and_answered_once() {
    let mut session = joined(&[1]);
    let cancel = parsed(frames::cancel(50));
    assert!(matches!(session.receive(&cancel, at(0)), Event::Ignored(Ignored::UnknownId)));
    let Event::Reply(reply) = session.receive(&test_request(50), at(10)) else { panic!("an answer") };
    assert!(matches!(parsed(reply).kind, Kind::Error(_)));
    assert!(matches!(session.receive(&test_request(50), at(20)), Event::Call), "the id may be used again");
    // A cancel that comes after the answer stands for nothing.
    session.accept(60, 1, at(30));
    session.finish(60);
    session.receive(&parsed(frames::cancel(60)), at(40));
    assert!(matches!(session.receive(&test_request(60), at(50)), Event::Call));
    session.receive(&parsed(frames::cancel(70)), at(60));
    let late = at(60) + limits::EARLY_CANCEL_KEPT + Duration::from_millis(1);
    assert!(matches!(session.receive(&test_request(70), late), Event::Call), "kept for a while only");
}

#[test]
fn ends_without_room_for_their_frames_are_still_known() {
    let mut session = joined(&[1]);
    let large = Bytes::from(vec![0; limits::RECENT_ANSWER_BYTES_MAX / 4]);
    for id in 1..=10 {
        session.sent_last(SocketId(1), Last { frame: Some(large.clone()), ..last(id, 0) }, at(0));
    }
    let text = "Connection received response before handshake";
    for id in [2, 9] {
        let refusal = parsed(frames::error(id, exceptions::CONNECTOR, text));
        let Event::AnswerRefused(Some(last)) = session.receive(&refusal, at(1)) else { panic!("known") };
        assert_eq!(last.frame.is_some(), id == 9);
    }
    session.sent_last(SocketId(1), Last { frame: Some(large), ..last(11, 2) }, at(2));
    let known = session.unconfirmed(SocketId(1), at(3));
    let whole: Vec<i64> = known.iter().filter(|last| last.frame.is_some()).map(|last| last.id).collect();
    assert_eq!((known.len(), whole), (9, vec![7, 8, 10, 11]));
}

/// The memory that a storm took is given back by time, and not only when the next answer comes.
#[test]
fn recent_answers_give_their_memory_back_when_they_are_old() {
    let mut session = joined(&[1]);
    let frame = Bytes::from(vec![0; 1000]);
    for id in 1..=100 {
        session.sent_last(SocketId(1), Last { frame: Some(frame.clone()), ..last(id, 0) }, at(0));
    }
    session.sent_last(SocketId(1), Last { frame: Some(frame.clone()), ..last(101, 5_000) }, at(5_000));
    assert_eq!(session.recent_bytes(), 101_000);
    session.limit_recent(50_000);
    assert_eq!(session.recent_bytes(), 50_000);
    let next = session.forget_old_answers(at(9_000)).expect("all are young");
    assert!(next > at(10_000) && session.recent_bytes() == 50_000);
    let next = session.forget_old_answers(next).expect("one is left");
    assert_eq!(session.recent_bytes(), 1_000);
    assert_eq!((session.forget_old_answers(next), session.recent_bytes()), (None, 0));
}

/// A peer that refuses the same answer over and over is not answered for ever.
#[test]
fn an_answer_that_is_refused_again_and_again_is_given_up() {
    let mut session = joined(&[1]);
    session.sent_last(SocketId(1), last(1, 0), at(0));
    let text = "Connection received response before handshake";
    let refusal = parsed(frames::error(1, exceptions::CONNECTOR, text));
    let mut resent = 0u32;
    for ms in (0..60_000).step_by(200) {
        if let Event::AnswerRefused(Some(last)) = session.receive(&refusal, at(ms)) {
            resent += 1;
            session.sent_last(SocketId(1), last, at(ms));
        }
    }
    assert_eq!(resent, u32::from(limits::ANSWER_REFUSALS_MAX));
}

/// A peer may check as often as it likes. If each check were compared with 16,384 calls, the work would have no bound.
#[test]
fn lists_of_checks_are_compared_once_a_second_and_every_check_is_answered() {
    let mut session = joined(&[1]);
    session.accept(5, 1, at(0));
    let check = parsed(frames::control_request(9, Ask::Check, &[], &[9]));
    let mut abandoned = Vec::new();
    for ms in (10_000..13_000).step_by(10) {
        let Event::Control(checked) = session.receive(&check, at(ms)) else {
            panic!("every check counts as one")
        };
        assert_eq!(checked.id, 9);
        if !checked.abandoned.is_empty() {
            abandoned.push((ms, checked.abandoned));
        }
    }
    assert_eq!(abandoned, [(12_000, vec![1])], "the third comparison");
}
