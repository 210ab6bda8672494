use std::time::Duration;

use super::*;
use crate::engine::keys::CallerTag;
use crate::engine::tests::parts::{at, keys, request};
use crate::ids::MemberId;
use crate::verdict::Stage;

fn deadline(seconds: u64) -> Deadline {
    Deadline::at_moment(at(seconds))
}

fn new(id: i64, deadline: Deadline) -> NewCall {
    NewCall {
        caller: CallerEnd::new(keys::<CallerTag>(1)[0], id),
        group: GroupId(0),
        configuration: ConfigurationDigest::numbered(0),
        operation: Operation::Get,
        request: request(id),
        pages: None,
        stream: None,
        deadline,
        hedge_after: None,
        forwarded_to: None,
    }
}

#[test]
fn the_bytes_of_requests_follow_the_calls_that_keep_them() {
    let mut calls = Calls::default();
    let bytes = request(1).frame_bytes();
    let (one, two) = (calls.insert(new(1, deadline(9)), at(0)), calls.insert(new(2, deadline(9)), at(0)));
    assert_eq!((calls.len(), calls.request_bytes()), (2, 2 * bytes));
    let end = calls.get(one).unwrap().caller.unwrap();
    calls.passed(one, end);
    assert_eq!((calls.get(one).unwrap().stage(), calls.request_bytes()), (Stage::PartlyAnswered, bytes));
    calls.remove(two, Outcome::Ok, at(1));
    calls.remove(one, Outcome::Ok, at(1));
    assert_eq!((calls.len(), calls.request_bytes()), (0, 0));
    assert!(calls.remove(one, Outcome::Ok, at(2)).is_none(), "a key never names a later call");
    calls.assert_settled();
}

#[test]
fn a_call_has_one_open_fault_and_the_loss_of_the_member_says_more_than_that_of_a_socket() {
    let mut calls = Calls::default();
    let open: Vec<CallKey> = (0..4).map(|id| calls.insert(new(id, deadline(9)), at(0))).collect();
    calls.fault(open[0], Fault::SocketLost);
    calls.fault(open[1], Fault::DeadlinePassed);
    calls.fault(open[0], Fault::MemberLost);
    calls.fault(open[1], Fault::MemberLost);
    calls.fault(open[2], Fault::MemberLost);
    calls.fault_by(open[3], Fault::ResourceFailing, request(3));
    // One that ended meanwhile is judged no more.
    calls.remove(open[2], Outcome::Cancelled, at(0));
    let judged: Vec<_> = std::iter::from_fn(|| calls.next_fault())
        .map(|open| (open.call, open.fault, open.error.is_some()))
        .collect();
    assert_eq!(
        judged,
        [
            (open[0], Fault::MemberLost, false),
            (open[1], Fault::DeadlinePassed, false),
            (open[3], Fault::ResourceFailing, true)
        ]
    );
    calls.assert_settled();
}

#[test]
fn a_call_is_given_up_at_its_deadline_or_when_it_waited_long_enough() {
    let mut calls = Calls::default();
    let (one, two) = (calls.insert(new(1, deadline(5)), at(0)), calls.insert(new(2, deadline(9)), at(0)));
    calls.wait(two, at(3));
    assert_eq!(calls.overdue(at(2)), []);
    assert_eq!(calls.overdue(at(3)), [(two, Overdue::Wait)]);
    assert!(calls.stop_waiting(two) && !calls.stop_waiting(two));
    assert_eq!(calls.overdue(at(6)), [(one, Overdue::Deadline)]);
    assert_eq!(calls.overdue(at(7)), [(one, Overdue::Deadline)], "until it ends");
    calls.remove(one, Outcome::Deadline, at(7));
    assert_eq!(calls.overdue(at(9)), [(two, Overdue::Deadline)]);
}

#[test]
fn a_deadline_that_moves_away_with_each_part_is_kept_without_a_plan_for_each() {
    let mut calls = Calls::default();
    let idle = Deadline::between_frames(Duration::from_secs(5), at(0));
    let call = calls.insert(NewCall { operation: Operation::Search, ..new(1, idle) }, at(0));
    for second in 1..=20 {
        calls.step(call, Part::Item { sequence: second as i64 }, 0, at(second), Bytes::new);
        assert_eq!(calls.due.len(), 1);
        assert_eq!(calls.overdue(at(second)), []);
    }
    assert_eq!(calls.overdue(at(25)), [(call, Overdue::Deadline)]);
}

#[test]
fn losses_of_processes_that_live_are_struck_off() {
    let mut calls = Calls::default();
    let call = calls.insert(new(1, deadline(9)), at(0));
    for (member, remote) in [(1, "a"), (2, "b")] {
        calls.sent(call, MemberId(member), None);
        calls
            .lost(call, Some(Loss { member: MemberId(member), remote: remote.into(), at: at(1), way: None }));
    }
    calls.strike_off(call, |loss| loss.remote == "b");
    let call = calls.get(call).unwrap();
    assert_eq!((call.attempts.losses, call.losses.len()), (1, 1));
    assert!(call.tried.contains(MemberId(1)) && !call.tried.contains(MemberId(2)));
}

#[test]
fn calls_that_are_held_back_are_asked_about_when_it_is_time() {
    let mut calls = Calls::default();
    let call = calls.insert(new(1, deadline(9)), at(0));
    calls.ask_about_held();
    calls.hold_back(call, at(2));
    assert!(calls.held_to_ask_about().is_empty(), "not before the next tick");
    calls.ask_about_held();
    assert_eq!(calls.held_to_ask_about().len(), 1);
    assert!(calls.held_to_ask_about().is_empty());
}

/// Calls that end in any order leave the others where they are found.
#[test]
fn calls_of_one_tick_are_planned_and_forgotten_in_any_order() {
    let mut calls = Calls::default();
    let mut open: Vec<CallKey> = (0..50).map(|id| calls.insert(new(id, deadline(5)), at(0))).collect();
    for step in 0..40 {
        let gone = open.swap_remove(step * 7 % open.len());
        calls.remove(gone, Outcome::Ok, at(1));
        calls.assert_settled();
    }
    let mut overdue: Vec<CallKey> = calls.overdue(at(5)).into_iter().map(|(key, _)| key).collect();
    overdue.sort_unstable();
    open.sort_unstable();
    assert_eq!(overdue, open);
    calls.assert_settled();
}
