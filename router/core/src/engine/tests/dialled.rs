//! Callers that the router dials: who dials says nothing of who calls (M01).

use std::time::Duration;

use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::messages::{ConnectorEventSubscriptionOpResponse, OperationRequest, OperationResponse};
use rcs_proto::session::{Side, SocketId};

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::settings::{RouterSettings, Settings};

const A_WHILE: Duration = Duration::from_secs(1);

fn session_id(handshake: &rcs_proto::envelope::Envelope) -> String {
    match &handshake.kind {
        Kind::HandshakeRequest(message) | Kind::HandshakeResponse(message) => message.session_id.clone(),
        other => panic!("no handshake: {other:?}"),
    }
}

fn retire(world: &mut World, socket: SocketId) {
    world.apply(Event::Retire { socket });
    world.pass(A_WHILE);
}

#[test]
fn the_router_introduces_itself_first_and_is_called_then() {
    let mut world = World::with_members(1, Policy::Failover);
    let accepted = world.join_caller("idm", 1);
    let shown = session_id(&world.at_caller(&accepted)[0]);
    let (_, first) = world.dial_caller(Selector::ByConnectorKey);
    assert!(matches!(first.kind, Kind::HandshakeRequest(_)) && session_id(&first) != shown);

    // With the session id of the caller that dialled, and in its group. The two are callers of their own all the same.
    let dialled = world.dialled_caller("idm", 2);
    let callers = world.engine.callers();
    assert_eq!(callers.iter().map(|caller| caller.side).collect::<Vec<_>>(), [Side::Accepted, Side::Dialled]);
    assert_eq!((callers[1].principal.as_str(), callers[1].sockets), ("dialled", 2));
    world.call(dialled[1], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&dialled).len(), 1);
    assert!(world.at_caller(&accepted).is_empty());
}

#[test]
fn a_caller_that_listens_and_never_introduces_itself_is_closed() {
    let mut world = World::with_members(1, Policy::Failover);
    let (socket, _) = world.dial_caller(Selector::ByConnectorKey);
    world.pass(rcs_proto::limits::HANDSHAKE_DEADLINE + A_WHILE);
    assert_eq!(world.io.closed, [socket]);
    assert!(world.engine.callers().is_empty());
}

/// A peer that dialled is told sooner than one that was dialled. A caller that has greeted may be idle for ever.
#[test]
fn a_peer_that_dials_and_never_greets_is_closed_and_an_idle_caller_is_not() {
    let mut world = World::with_members(1, Policy::Failover);
    let idle = world.caller("idle", 1);
    let socket = world.socket();
    let (selector, principal, allowed) = (Selector::ByConnectorKey, "silent".into(), Allowed::All);
    let peer = Peer::Caller { selector, principal, allowed };
    world.apply(Event::Opened { socket, side: Side::Accepted, peer });
    world.pass(limits::GREETING_DEADLINE - A_WHILE);
    assert_eq!(world.io.closed, []);
    world.pass(2 * A_WHILE);
    assert_eq!(world.io.closed, [socket]);
    world.pass(2 * limits::HANDSHAKE_DEADLINE);
    assert!(!world.io.closed.contains(&idle[0]));
}

/// `connectionTtl`: nothing that was begun is lost.
#[test]
fn a_retired_socket_ends_behind_its_last_answer() {
    let mut world = World::with_members(1, Policy::Failover);
    let idm = world.dialled_caller("idm", 2);
    let mut streams = Vec::new();
    for call in 1..=2 {
        world.call(idm[0], call, search());
        let (_, socket, id) = world.only_request();
        world.feed(socket, search_item(id, 1));
        streams.push((socket, id));
    }
    // Answers take sockets in turn, so each socket has one of the two.
    let carried = |world: &mut World, socket| world.taken(socket).len();
    assert_eq!([carried(&mut world, idm[0]), carried(&mut world, idm[1])], [1, 1]);
    retire(&mut world, idm[0]);
    world.pass(limits::ROTATION_MAX * 2);
    assert!(world.io.closed.is_empty(), "an answer is on its way there");

    world.call(idm[0], 3, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    assert_eq!(
        [carried(&mut world, idm[0]), carried(&mut world, idm[1])],
        [0, 1],
        "new answers go elsewhere"
    );
    for (socket, id) in streams {
        world.feed(socket, search_end(id, 1, ""));
    }
    // Answers on the other socket wait while this one closes: a Java thread that sends into a closing socket hangs (WIRE 9).
    world.pass(A_WHILE * 2);
    let pause = limits::PARTING_WAIT + limits::PARTING_CLOSE;
    let at = |effect: String| world.io.effects.iter().position(|done| *done == effect).expect(&effect);
    assert!(at(format!("hold {} {pause:?}", idm[1])) < at(format!("close {}", idm[0])));
    assert_eq!(world.io.closed, [idm[0]]);
    assert_eq!(world.engine.callers()[0].sockets, 1);
}

/// An IDM that is not wanted any more loses its last socket between two calls.
#[test]
fn the_last_socket_stays_while_the_caller_has_a_call() {
    let mut world = World::with_members(1, Policy::Failover);
    let idm = world.dialled_caller("idm", 2);
    world.call(idm[0], 1, create());
    let (_, socket, id) = world.only_request();
    idm.iter().for_each(|socket| retire(&mut world, *socket));
    assert_eq!(world.io.closed.len(), 1);
    let left = *idm.iter().find(|socket| !world.io.closed.contains(socket)).unwrap();
    world.pass(limits::ROTATION_MAX * 2);
    assert_eq!(world.io.closed.len(), 1, "the call has no answer yet");
    world.feed(socket, answer(id));
    assert_eq!(world.taken(left).len(), 1);
    world.pass(A_WHILE);
    assert_eq!(world.io.closed.len(), 2);
}

/// A subscription has no end that could be waited for.
#[test]
fn a_subscription_goes_on_over_another_socket() {
    let mut world = World::with_members(1, Policy::Failover);
    let idm = world.dialled_caller("idm", 2);
    let subscribe =
        OperationRequest { connector_event_subscription: Some(Default::default()), ..Default::default() };
    world.call(idm[0], 1, subscribe);
    let (_, member, id) = world.only_request();
    let event = |id| {
        let event = ConnectorEventSubscriptionOpResponse { completed: false, ..Default::default() };
        frames::answer(
            id,
            &OperationResponse { connector_event_subscription: Some(event), ..Default::default() },
        )
    };
    world.feed(member, event(id));
    let on = |world: &mut World| idm.iter().position(|socket| !world.taken(*socket).is_empty()).unwrap();
    let first = on(&mut world);
    retire(&mut world, idm[first]);
    assert_eq!(world.io.closed, [idm[first]]);
    world.apply(Event::Closed { socket: idm[first], unsent: Vec::new() });
    world.feed(member, event(id));
    assert_eq!(on(&mut world), 1 - first);
}

/// P08: the router can dial again, so a socket whose peer is silent is given up. The socket of an IDM that dialled is not.
#[test]
fn a_dialled_socket_that_answers_no_ping_is_closed() {
    let mut world = World::with_members_down(1, Policy::Failover);
    let every = Duration::from_secs(10);
    let router = RouterSettings { caller_ping_every: Some(every), ..RouterSettings::default() };
    world.set(&Settings { router, ..Settings::default() });
    let (dialled, accepted) = (world.dialled_caller("one", 1), world.join_caller("two", 1));
    let pings = 2 * limits::PING_MISSES_MAX;
    for _ in 0..pings * 40 {
        world.now = world.now + limits::TICK;
        world.apply(Event::Wake);
        world.io.pinged.clear();
    }
    assert_eq!(world.io.closed, dialled);
    assert!(!world.io.closed.contains(&accepted[0]));
}

/// Only the shell replaces a socket that it dialled, and only those.
#[test]
fn the_age_that_the_settings_give_sockets_is_for_others() {
    let mut world = World::with_members(1, Policy::Failover);
    let ttl = Duration::from_secs(60);
    let router = RouterSettings { socket_ttl: Some(ttl), ..RouterSettings::default() };
    world.set(&Settings { router, ..Settings::default() });
    let (dialled, accepted) = (world.dialled_caller("one", 3), world.caller("two", 2));
    // As if the keeper had dialled a socket anew.
    world.apply(Event::Closed { socket: dialled[0], unsent: Vec::new() });
    world.dialled_caller("one", 1);
    world.apply(Event::Retire { socket: accepted[0] });
    world.pass(ttl * 3);
    let of_callers = |socket: &SocketId| dialled.contains(socket) || accepted.contains(socket);
    assert!(!world.io.closed.iter().any(of_callers), "{:?}", world.io.closed);
}
