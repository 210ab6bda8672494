use std::time::Duration;

use super::*;
use crate::engine::keys::CallTag;
use crate::engine::tests::parts::{FIRST, at, keys, process, view};
use crate::engine::tests::world::Recorder;
use crate::limits;
use rcs_proto::session::SocketId;

const ONE: SocketId = SocketId(1);
const TWO: SocketId = SocketId(2);

fn table() -> Members {
    let mut members = Members::default();
    members.add(view(1).members()[0].clone());
    members
}

/// What settling does, as far as this table goes.
fn settle(members: &mut Members, now: Moment) -> Vec<Turned> {
    let mut turned = Vec::new();
    while let Some(id) = members.next_changed() {
        turned.extend(members.review(id, now));
        members.plan(id);
    }
    members.bury();
    turned
}

/// A member with two sockets of one process, which told its connectors.
fn linked() -> Members {
    let mut members = table();
    for socket in [ONE, TWO] {
        members.join(FIRST, socket, (process("p"), None), at(0));
    }
    members.link(FIRST, at(0));
    assert_eq!(settle(&mut members, at(0)), [Turned::Up(0)]);
    members
}

#[test]
fn a_session_ends_with_its_last_socket_and_is_known_until_the_event_is_settled() {
    let mut members = linked();
    let key = members.get(FIRST).unwrap().session.unwrap();
    let call = keys::<CallTag>(1)[0];
    let route = members.open(FIRST, call, false, at(1)).unwrap();
    assert!(matches!(members.leave(key, ONE, at(1)), Some(Left::Sockets(calls)) if calls == [call]));
    assert!(matches!(members.leave(key, TWO, at(1)), Some(Left::Nothing(calls)) if calls == [call]));
    let lost = members.lost_process(Some(&route), None).map(Members::remote);
    assert_eq!(lost, Some((FIRST, "p".to_owned())));
    assert_eq!(members.lost_process(None, Some(FIRST)).map(Members::remote), lost);
    assert_eq!(members.close(&route, false), Freed::default());
    assert_eq!(settle(&mut members, at(1)), [Turned::Down(0)]);
    assert!(members.has_no_sessions() && members.session(key).is_none());
    members.assert_settled(|_| (0, 0));
    // The next process gets ids above those of the last (WIRE 4.2).
    members.join(FIRST, ONE, (process("q"), None), at(2));
    assert!(members.open(FIRST, call, false, at(2)).unwrap().id() > route.id());
}

#[test]
fn counts_change_with_the_calls_that_they_count() {
    let mut members = linked();
    let calls = keys::<CallTag>(3);
    let routes: Vec<Route> =
        calls.iter().map(|call| members.open(FIRST, *call, *call == calls[2], at(1)).unwrap()).collect();
    assert_eq!((members.get(FIRST).unwrap().in_flight(), members.get(FIRST).unwrap().busy()), (3, 2));
    assert_eq!(members.calls_at(FIRST), calls);
    assert_eq!(members.has_place(FIRST, 3), Ok(()));
    assert_eq!(members.has_place(FIRST, 2), Err(Out::Full));
    members.leaves(FIRST);
    assert!(!members.close(&routes[0], false).is_done && !members.close(&routes[2], true).is_done);
    assert!(members.close(&routes[1], false).is_done, "the last call of one that left");
    settle(&mut members, at(1));
    members.assert_settled(|_| (0, 0));
}

#[test]
fn each_reason_to_take_no_call_is_told_and_the_begun_go_on() {
    use Asking::{Begun, InPanic, New};
    let mut members = table();
    assert_eq!(members.takes(MemberId(9), New), Err(Out::Gone));
    assert_eq!(members.takes(FIRST, New), Err(Out::Down));
    assert_eq!(members.takes(FIRST, Begun), Err(Out::Down));
    members = linked();
    assert_eq!([New, InPanic, Begun].map(|asking| members.takes(FIRST, asking)), [Ok(()); 3]);
    for _ in 0..limits::PROBE_FALL {
        members.probed(FIRST, crate::health::Probe::Check, crate::health::Finding::Bad);
    }
    settle(&mut members, at(1));
    let unfit = Err(Out::Unfit(Unfit::ChecksUnanswered));
    assert_eq!([New, InPanic, Begun].map(|asking| members.takes(FIRST, asking)), [unfit, Ok(()), Ok(())]);
    members.mark(FIRST, Mark::Draining, at(2));
    assert_eq!(members.takes(FIRST, New), Err(Out::Draining));
    assert_eq!(members.takes(FIRST, Begun), Ok(()), "while its calls end");
    settle(&mut members, at(2));
    assert!(members.due(at(2)).contains(&FIRST), "a drain is looked at on each tick");
    assert_eq!(members.drain_goes_on(FIRST, at(2)), Some(Drain::Ending(None)));
    assert_eq!(members.takes(FIRST, Begun), Err(Out::Draining));
    members.mark(FIRST, Mark::Disabled, at(3));
    assert_eq!(members.takes(FIRST, New), Err(Out::Disabled));
    members.leaves(FIRST);
    assert_eq!(members.takes(FIRST, New), Err(Out::Gone));
}

#[test]
fn calls_wait_while_a_member_rests() {
    let mut members = linked();
    assert!(members.may_rest(FIRST, at(10)));
    members.rest(FIRST, at(11));
    assert_eq!(members.has_place(FIRST, 10), Err(Out::Resting));
    assert!(!members.end_rest_if_over(FIRST, at(10)) && members.end_rest_if_over(FIRST, at(11)));
    assert!(!members.may_rest(FIRST, at(11)), "not at once again");
    assert!(members.may_rest(FIRST, at(11) + limits::ROTATION_AGAIN));
}

#[test]
fn what_is_due_is_planned_from_what_is_there() {
    let (mut members, mut io) = (linked(), Recorder::default());
    let key = members.get(FIRST).unwrap().session.unwrap();
    assert_eq!(members.due(at(0)), [FIRST], "it is asked for its connectors, and tested");
    assert!(members.check(key, at(1), &mut io).is_none());
    members.choose_probe(FIRST, &[], at(1));
    settle(&mut members, at(1));
    assert!(members.due(at(1)).is_empty());
    let later = at(1) + limits::CHECK_PROBE_EVERY.max(limits::TEST_PROBE_EVERY) + Duration::from_secs(1);
    assert_eq!(members.due(later), [FIRST]);
    members.assert_settled(|_| (0, 0));
}
