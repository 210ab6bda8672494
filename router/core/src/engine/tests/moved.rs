//! Callers whose sockets come from an earlier process (P14).

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Ask, Identity};
use rcs_proto::session::{Side, SocketId};

use super::world::{World, answer, create, error_of, get, start_at};
use crate::balance::Policy;
use crate::engine::*;
use crate::limits::{NOT_HELD_WAIT, TICK};

const EARLIER: [SocketId; 2] = [SocketId(9_001), SocketId(9_002)];

fn caller(open: &[i64]) -> MovedCaller {
    MovedCaller {
        group: Some("g".into()),
        principal: "anonymous".into(),
        allowed: Allowed::All,
        session: Some(MovedSession { id: "idm".into(), open: open.to_vec(), ..MovedSession::default() }),
        sockets: EARLIER.to_vec(),
    }
}

/// A world to which a caller comes with these calls open.
fn world(open: &[i64]) -> World {
    let mut world = World::with_members(2, Policy::RoundRobin);
    world.io.leads_back.extend(EARLIER);
    world.apply(Event::Moved { caller: Box::new(caller(open)), sockets: EARLIER.to_vec() });
    world
}

/// The ids of calls that ended with "Outcome unknown" at these sockets, with the beginning of its reason.
fn unknown(world: &mut World, reason: &str) -> Vec<i64> {
    let frames: Vec<_> = EARLIER.into_iter().flat_map(|socket| world.taken(socket)).collect();
    let errors = frames.into_iter().filter(|frame| matches!(frame.kind, Kind::Error(_)));
    let mut ids: Vec<i64> = errors
        .map(|frame| {
            let text = &error_of(&frame).message;
            assert!(text.starts_with(&format!("Outcome unknown: {reason}")), "{text}");
            frame.message_id
        })
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_caller_that_moved_goes_on_without_a_handshake_or_a_pause() {
    let mut world = world(&[]);
    assert_eq!(world.engine.callers().len(), 1);
    assert_eq!(world.engine.callers()[0].sockets, 2);
    let effects = world.io.effects.clone();
    assert!(
        !effects.iter().any(|effect| EARLIER.iter().any(|socket| effect.contains(&format!("{socket} "))))
    );
    world.call(EARLIER[1], 70, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    let answers: Vec<_> = EARLIER.into_iter().flat_map(|socket| world.taken(socket)).collect();
    assert_eq!(answers.iter().map(|frame| frame.message_id).collect::<Vec<_>>(), [70]);
    // Another socket of the same IDM joins the same session.
    world.caller("idm", 1);
    assert_eq!(world.engine.callers().len(), 1);
}

#[test]
fn a_cancel_goes_to_the_process_that_has_the_call() {
    let mut world = world(&[50]);
    world.call(EARLIER[0], 60, create());
    world.feed(EARLIER[0], frames::cancel(60));
    assert!(world.io.handed_back.is_empty(), "this call is ours");
    world.feed(EARLIER[1], frames::cancel(50));
    assert_eq!(world.io.handed_back, [(EARLIER[1], frames::cancel(50))]);
    // A socket that the IDM opened since leads nowhere.
    let later = world.caller("idm", 1);
    world.feed(later[0], frames::cancel(50));
    assert_eq!(world.io.handed_back.len(), 2);
    // Once the earlier process has answered, the cancel came too late.
    world.apply(Event::EarlierHas { socket: EARLIER[0], open: vec![] });
    world.feed(EARLIER[0], frames::cancel(50));
    assert_eq!(world.io.handed_back.len(), 2);
}

#[test]
fn a_call_of_the_earlier_process_is_no_call_that_nobody_holds() {
    let mut world = world(&[50, 51]);
    let check = |world: &mut World, id: i64, waits: &[i64]| {
        world.feed(EARLIER[0], frames::control_request(id, Ask::Check, &[], waits));
    };
    check(&mut world, 90, &[40, 50, 51, 90]);
    world.pass(NOT_HELD_WAIT + 2 * TICK);
    assert_eq!(unknown(&mut world, "the router holds no call"), [40]);
    // The answer of 50 went out, and was lost on its way.
    world.apply(Event::EarlierHas { socket: EARLIER[1], open: vec![51] });
    check(&mut world, 91, &[50, 51, 91]);
    world.pass(NOT_HELD_WAIT + 2 * TICK);
    assert_eq!(unknown(&mut world, "the router holds no call"), [50]);
    assert!(!world.engine.is_idle());
}

#[test]
fn calls_of_an_earlier_process_that_died_end_at_once() {
    let mut world = world(&[50, 51, 52]);
    world.call(EARLIER[0], 60, get());
    world.apply(Event::EarlierHas { socket: EARLIER[1], open: vec![51, 52] });
    assert!(!world.engine.is_idle());
    world.apply(Event::EarlierGone { is_done: false });
    assert_eq!(unknown(&mut world, "the router process that had this call has ended"), [51, 52]);
    assert_eq!(world.io.notes.iter().filter(|note| note.contains("CallsNotHeld { calls: 2 }")).count(), 1);
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert!(world.engine.is_idle());
    world.apply(Event::EarlierGone { is_done: false });
    assert!(unknown(&mut world, "").is_empty(), "once");
}

/// What the later process knows of the calls is older than the last answers.
#[test]
fn an_earlier_process_that_has_answered_everything_leaves_no_alarm() {
    let mut world = world(&[50, 51]);
    world.apply(Event::EarlierGone { is_done: true });
    assert!(unknown(&mut world, "").is_empty());
    assert!(world.engine.is_idle());
    assert!(!world.io.notes.iter().any(|note| note.contains("CallsNotHeld")), "{:?}", world.io.notes);
}

#[test]
fn a_caller_that_leaves_waits_for_no_earlier_process() {
    let mut world = world(&[50]);
    for socket in EARLIER {
        world.apply(Event::Closed { socket, unsent: Vec::new() });
    }
    world.pass(crate::limits::CALLER_KEPT + Duration::from_secs(1));
    assert!(world.engine.is_idle());
    assert!(world.engine.callers().is_empty());
}

/// What one process says of its callers is what the next one needs.
#[test]
fn one_engine_takes_over_what_another_one_tells() {
    let mut first = World::with_members(1, Policy::Failover);
    let sockets = first.caller("idm", 2);
    let other = first.join_caller("idm 2", 1);
    first.call(sockets[0], 10, get());
    first.call(sockets[1], 11, create());
    let greeting = SocketId(500);
    let peer = Peer::Caller {
        selector: Selector::ByConnectorKey,
        principal: "anonymous".into(),
        allowed: Allowed::All,
    };
    first.apply(Event::Opened { socket: greeting, side: Side::Accepted, peer });
    let told = first.engine.moved_callers();
    assert_eq!(told.len(), 3);
    let open: Vec<_> =
        first.engine.calls_of_sockets().into_iter().filter(|(_, open)| !open.is_empty()).collect();
    // By both of its sockets: a later process may have only one of them.
    assert_eq!(open.iter().map(|(_, ids)| ids.as_slice()).collect::<Vec<_>>(), [[10, 11], [10, 11]]);
    let ids: Vec<_> =
        told.iter().map(|caller| caller.session.as_ref().map(|session| session.id.as_str())).collect();
    assert_eq!(ids, [Some("idm"), Some("idm 2"), None]);
    assert_eq!((&told[1].sockets, &told[2].sockets), (&other, &vec![greeting]));
    assert_eq!(told[2].group, None);

    let now = first.now;
    let mut next = World::starting(start_at(now), 1, Policy::Failover);
    next.start(0);
    for (number, caller) in told.into_iter().enumerate() {
        let sockets = (0..caller.sockets.len()).map(|n| SocketId(9_000 + 10 * number as u64 + n as u64));
        let sockets: Vec<SocketId> = sockets.collect();
        next.apply(Event::Moved { caller: Box::new(caller), sockets });
    }
    assert_eq!(next.engine.callers().len(), 2);
    assert!(!next.engine.is_idle());
    // The IDM whose handshake was not done shakes hands with the next process.
    let identity = Identity { session_id: "idm 3".into(), public_key: Bytes::new() };
    next.feed(SocketId(9_020), frames::handshake_request(&identity));
    assert_eq!(next.engine.callers().len(), 3);
    // Told on, as if the next process were to be replaced as well.
    let again = next.engine.moved_callers();
    assert_eq!(again[0].session.as_ref().map(|session| session.open.clone()), Some(vec![10, 11]));
    let nothing: Option<Bytes> = next.io.handed_back.pop().map(|(_, message)| message);
    assert_eq!(nothing, None);
}
