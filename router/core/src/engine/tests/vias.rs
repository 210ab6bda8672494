//! Members in client mode that are connected to another router. In the tests of the near router the far router is scripted, and in those of
//! the far router the near one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames::{self, Identity};
use rcs_proto::session::{Side, SocketId};

use super::world::*;
use crate::agreed::{Change, Document};
use crate::balance::Policy;
use crate::engine::*;
use crate::ids::MemberId;
use crate::settings::Settings;
use crate::view::*;

const UNKNOWN: &str = "Outcome unknown";

impl World {
    /// A group `g` of so many members in client mode, of which none is connected.
    fn of_clients(count: usize) -> Self {
        let mut world = Self::with_members_down(count, Policy::RoundRobin);
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let members = names.iter().map(|name| MemberSpec {
            name: name.clone(),
            link: Link::Accept,
            sockets: 1,
            ping_interval: world.ping_interval,
            admin: AdminState::Enabled,
        });
        let group = GroupSpec { name: "g".into(), policy: Policy::RoundRobin, members: names.clone() };
        let document = Some(Document { members: members.collect(), groups: vec![group] });
        world.io.dials.clear();
        world.agree(Change::Configured { document, settings: None });
        // The members that were dialled are let go before those that dial are taken on.
        world.pass(Duration::from_millis(10));
        world
    }

    fn id_of(&self, index: usize) -> MemberId {
        self.engine.view().member_named(&format!("n{index}")).unwrap().id
    }

    /// A process of a member dials, and lists its connectors.
    fn dial_in(&mut self, index: usize, process: &str) -> SocketId {
        let (socket, member) = (self.socket(), self.id_of(index));
        let by = DialledBy::Member(Arc::new(DialOrigin { address: "192.0.2.7".into() }));
        self.apply(Event::Opened { socket, side: Side::Accepted, peer: Peer::Member { member, by } });
        let identity = Identity { session_id: process.into(), public_key: Bytes::new() };
        self.feed(socket, frames::handshake_request(&identity));
        assert!(matches!(self.taken(socket)[0].kind, Kind::HandshakeResponse(_)));
        self.members[index].push(socket);
        self.tell(index);
        socket
    }

    /// Other routers say where members are.
    fn hear(&mut self, elsewhere: &[(usize, u32)]) {
        let all: BTreeMap<String, u32> =
            elsewhere.iter().map(|(member, router)| (format!("n{member}"), *router)).collect();
        self.apply(Event::Elsewhere(Arc::new(all)));
        self.pass(Duration::from_millis(1));
    }

    /// Answers the one dial of another router, which shows this session id.
    fn reach(&mut self, index: usize, router: u32, session: &str) -> SocketId {
        let (member, by) = (self.id_of(index), DialledBy::Router(router));
        assert_eq!(self.io.via_dials.pop_front(), Some((member, router)));
        let socket = self.socket();
        self.apply(Event::Opened { socket, side: Side::Dialled, peer: Peer::Member { member, by } });
        assert!(matches!(self.taken(socket)[0].kind, Kind::HandshakeRequest(_)));
        let identity = Identity { session_id: session.into(), public_key: Bytes::new() };
        self.feed(socket, frames::handshake_response(&identity));
        self.members[index].push(socket);
        self.tell(index);
        socket
    }

    /// A socket of router `number` that uses a member through this router; none if this router closes it.
    fn forwarder(&mut self, index: usize, number: u32) -> Option<SocketId> {
        let (socket, selector) = (self.socket(), Selector::Via(self.id_of(index)));
        let principal = format!("router {number}").into();
        let peer = Peer::Caller { selector, principal, allowed: Allowed::All };
        self.apply(Event::Opened { socket, side: Side::Accepted, peer });
        if self.io.closed.contains(&socket) {
            return None;
        }
        let identity = Identity { session_id: format!("of router {number}"), public_key: Bytes::new() };
        self.feed(socket, frames::handshake_request(&identity));
        assert!(matches!(self.taken(socket)[0].kind, Kind::HandshakeResponse(_)));
        self.pass(Duration::from_millis(250));
        Some(socket)
    }
}

/// The far router: two members, `n0` with one process that has one socket, and router 1 that forwards to it.
fn far() -> (World, SocketId, SocketId) {
    let mut world = World::of_clients(2);
    let member = world.dial_in(0, "p0");
    world.dial_in(1, "p1");
    let router = world.forwarder(0, 1).expect("the member is here");
    (world, member, router)
}

/// The near router: `n0` is used through router 2, `n1` is connected here.
fn near() -> (World, SocketId, SocketId) {
    let mut world = World::of_clients(2);
    world.hear(&[(0, 2)]);
    let via = world.reach(0, 2, "of router 2");
    let own = world.dial_in(1, "p1");
    (world, via, own)
}

/// Has the next call of a caller go to `n0`, whoever has its turn.
fn call_via(
    world: &mut World,
    caller: SocketId,
    id: i64,
    request: rcs_proto::messages::OperationRequest,
) -> i64 {
    for spare in 0..2 {
        world.call(caller, 900 + 10 * id + spare, get());
        let (member, socket, at) = world.only_request();
        world.feed(socket, answer(at));
        assert_eq!(world.at_caller(&[caller]).len(), 1);
        if member == 1 {
            break;
        }
    }
    world.call(caller, id, request);
    let (member, _, at) = world.only_request();
    assert_eq!(member, 0);
    at
}

fn says(envelopes: &[Envelope], id: i64, is: fn(&str, &str, i64) -> bool) -> bool {
    let [envelope] = envelopes else { panic!("one frame was expected: {envelopes:?}") };
    let error = error_of(envelope);
    envelope.message_id == id && is(&error.class, &error.message, id)
}

#[test]
fn a_forwarded_call_goes_to_its_member_alone_and_its_answer_comes_back_unchanged_but_for_the_id() {
    let (mut world, member, router) = far();
    // The list is the member's own, byte for byte.
    world.feed(router, frames::control_request(71, frames::Ask::ConnectorInfo, &[], &[]));
    let list = world.taken(router).remove(0);
    let Kind::ControlResponse(list) = list.kind else { panic!("a list: {list:?}") };
    assert_eq!(list.connector_infos, connector_infos(CONNECTOR));
    for id in 1..=6 {
        let request = if id % 2 == 0 { get() } else { create() };
        world.call(router, id, request);
        let (index, socket, at) = world.only_request();
        assert_eq!((index, socket), (0, member), "no turns are taken");
        assert_eq!(world.report_of(0).in_flight, 1);
        let came = answer(at);
        world.feed(member, came.clone());
        let went = world.taken(router).remove(0);
        assert_eq!(went.message_id, id);
        assert_eq!(went.rewrite_id(at), came);
    }
    // A stream, in order.
    world.call(router, 7, search());
    let (_, _, at) = world.only_request();
    for sequence in 1..=3 {
        world.feed(member, search_item(at, sequence));
    }
    world.feed(member, search_end(at, 3, ""));
    world.answer_pings();
    let frames: Vec<Bytes> = world.taken(router).iter().map(|frame| frame.rewrite_id(at)).collect();
    let mut sent: Vec<Bytes> = (1..=3).map(|sequence| search_item(at, sequence)).collect();
    sent.push(search_end(at, 3, ""));
    assert_eq!(frames, sent);
    // A cancel.
    world.call(router, 8, search());
    let (_, _, at) = world.only_request();
    world.feed(router, frames::cancel(8));
    let cancel = world.at_member(0).remove(0).1;
    assert!(matches!(cancel.kind, Kind::Cancel) && cancel.message_id == at, "{cancel:?}");
    assert_eq!(world.report_of(0).in_flight, 0);
    assert_eq!(
        (world.engine.report().callers, world.engine.callers().len()),
        (0, 0),
        "a router is no caller"
    );
}

#[test]
fn the_far_router_says_of_each_call_whether_it_may_have_run_and_ends_the_socket_behind_it() {
    let (mut world, member, router) = far();
    // One call is sent, one is still queued when the member dies.
    world.call(router, 1, create());
    let sent = world.only_request().2;
    world.call(router, 2, create());
    let queued: Vec<Bytes> = world.at_member(0).into_iter().map(|(_, frame)| frame.frame().clone()).collect();
    assert_eq!(queued.len(), 1);
    assert_ne!(sent, Envelope::parse(queued[0].clone()).unwrap().message_id);
    world.members[0].clear();
    world.apply(Event::Closed { socket: member, unsent: queued });
    let told = world.taken(router);
    let of = |id| told.iter().filter(|frame| frame.message_id == id).cloned().collect::<Vec<_>>();
    assert!(says(&of(1), 1, frames::is_lost_beyond));
    assert!(says(&of(2), 2, frames::is_not_forwarded));
    assert_eq!(world.io.closed.last(), Some(&router), "the loss shows as the end of the socket, too");
    assert_eq!(world.at_member(1).len(), 0, "the far router retries nothing");
    assert!(!world.io.present.contains(&world.id_of(0)));
    assert_eq!(world.forwarder(0, 1), None, "nothing is forwarded to a member that is not here");
}

#[test]
fn a_far_router_refuses_what_it_cannot_send_at_once() {
    let (mut world, _, router) = far();
    let mut settings = Settings::default();
    settings.defaults.member_in_flight_max = 1;
    world.set(&settings);
    world.call(router, 1, create());
    assert_eq!(world.at_member(0).len(), 1);
    world.call(router, 2, create());
    assert!(says(&world.taken(router), 2, frames::is_not_forwarded), "the member has no free place");
    world.mark(&[(0, Mark::Draining)]);
    world.call(router, 3, get());
    assert!(says(&world.taken(router), 3, frames::is_not_forwarded), "the member is drained");
    world.mark(&[]);
    world.apply(Event::Drain);
    assert_eq!(world.io.present, BTreeSet::new(), "a router that ends is used for no new call");
    world.call(router, 4, get());
    assert!(says(&world.taken(router), 4, frames::is_not_forwarded), "the router ends");
}

#[test]
fn a_call_is_not_forwarded_twice() {
    let (mut world, _, own) = near();
    assert_eq!(
        world.io.present,
        BTreeSet::from([world.id_of(1)]),
        "a member that is used through a router is not here"
    );
    assert_eq!(world.forwarder(0, 3), None);
    assert!(world.forwarder(1, 3).is_some());
    // Two routers that take the other one for the one that has the member.
    world.members[1].clear();
    world.apply(Event::Closed { socket: own, unsent: Vec::new() });
    world.hear(&[(0, 2), (1, 3)]);
    let _ = world.reach(1, 3, "of router 3");
    assert_eq!(world.forwarder(1, 3), None, "router 3 has to find the member itself");
}

#[test]
fn the_near_router_judges_what_the_far_one_says() {
    let (mut world, via, _) = near();
    assert_eq!(world.report_of(0).via, Some(2));
    let caller = world.caller("idm", 1)[0];
    // Not run: anything goes to another member.
    let at = call_via(&mut world, caller, 1, create());
    world.feed(via, frames::not_forwarded(at));
    let (member, socket, at) = world.only_request();
    assert_eq!(member, 1);
    world.feed(socket, answer(at));
    assert_eq!(world.at_caller(&[caller])[0].message_id, 1);
    assert_eq!(world.report_of(0).state.label(), "serving", "one refusal says nothing of the member");
    // Lost: a read is repeated, a change is not.
    let at = call_via(&mut world, caller, 2, get());
    world.feed(via, frames::lost_beyond(at));
    let (member, socket, at) = world.only_request();
    assert_eq!(member, 1);
    world.feed(socket, answer(at));
    assert_eq!(world.at_caller(&[caller])[0].message_id, 2);
    let at = call_via(&mut world, caller, 3, create());
    world.feed(via, frames::lost_beyond(at));
    let told = world.at_caller(&[caller]);
    assert!(error_of(&told[0]).message.contains(UNKNOWN), "{told:?}");
    assert_eq!(world.at_member(1).len(), 0);
    // A stream that has begun is not replayed, and does not look whole.
    let at = call_via(&mut world, caller, 4, search());
    world.feed(via, search_item(at, 1));
    world.feed(via, frames::lost_beyond(at));
    let told = world.at_caller(&[caller]);
    assert_eq!(told.len(), 2);
    assert!(matches!(told[1].kind, Kind::Error(_)), "{told:?}");
    assert_eq!(world.at_member(1).len(), 0);
}

#[test]
fn the_end_of_the_socket_of_a_far_router_is_the_loss_of_the_member() {
    let (mut world, via, _) = near();
    let caller = world.caller("idm", 1)[0];
    let at = call_via(&mut world, caller, 1, create());
    for spare in [2, 3] {
        world.call(caller, spare, create());
    }
    let queued: Vec<Bytes> = world.at_member(0).into_iter().map(|(_, frame)| frame.frame().clone()).collect();
    assert_eq!(queued.len(), 1, "calls 2 and 3 took turns");
    assert_ne!(Envelope::parse(queued[0].clone()).unwrap().message_id, at);
    assert_eq!(world.at_member(1).len(), 1);
    world.members[0].clear();
    world.apply(Event::Closed { socket: via, unsent: queued });
    assert!(error_of(&world.at_caller(&[caller])[0]).message.contains(UNKNOWN));
    assert_eq!(world.at_member(1).len(), 1, "the change that was never sent is sent elsewhere");
    // The router is dialled again as long as others say that the member is there.
    world.pass(Duration::from_secs(5));
    world.reach(0, 2, "of router 2 again");
    assert_eq!(world.report_of(0).via, Some(2));
}

#[test]
fn a_member_that_comes_here_is_used_directly_and_the_way_ends_with_its_last_call() {
    let (mut world, via, _) = near();
    let caller = world.caller("idm", 1)[0];
    let at = call_via(&mut world, caller, 1, create());
    let own = world.dial_in(0, "p0");
    assert_eq!((world.report_of(0).via, world.report_of(0).state.label()), (None, "serving"));
    world.pass(Duration::from_secs(1));
    assert!(!world.io.closed.contains(&via), "the call goes on");
    let next = call_via(&mut world, caller, 2, get());
    world.feed(own, answer(next));
    world.feed(via, answer(at));
    assert_eq!(world.at_caller(&[caller]).len(), 2);
    world.pass(Duration::from_secs(1));
    assert!(world.io.closed.contains(&via));
    assert!(world.io.present.contains(&world.id_of(0)));
    assert!(
        !world.io.notes.iter().any(|note| note.starts_with("MemberChangedIdentity")),
        "it is the same server"
    );
}

#[test]
fn a_way_is_let_go_when_the_far_router_does_not_name_the_member_any_more() {
    let (mut world, via, _) = near();
    let caller = world.caller("idm", 1)[0];
    let at = call_via(&mut world, caller, 1, create());
    world.hear(&[]);
    assert_eq!(world.report_of(0).state.label(), "down");
    world.call(caller, 2, get());
    let (member, socket, other) = world.only_request();
    assert_eq!(member, 1, "no new call takes the way");
    world.feed(socket, answer(other));
    world.feed(via, answer(at));
    assert_eq!(world.at_caller(&[caller]).len(), 2);
    world.pass(Duration::from_secs(1));
    assert!(world.io.closed.contains(&via));
    // Another router has the member now.
    world.members[0].clear();
    world.hear(&[(0, 4)]);
    world.reach(0, 4, "of router 4");
    assert_eq!(world.report_of(0).via, Some(4));
    // A drained member is used through no router; its calls end, and the socket goes.
    world.mark(&[(0, Mark::Draining)]);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.report_of(0).sockets, 0);
    world.members[0].clear();
    world.mark(&[]);
    world.pass(Duration::from_millis(1));
    world.reach(0, 4, "of router 4");
    // A failed dial is told, and tried again.
    let (member, reason) = (world.id_of(1), "router 2: no TCP connection".to_owned());
    world.members[1].clear();
    world.apply(Event::WayFailed { member, reason: reason.clone() });
    assert_eq!(world.report_of(1).error.map(|error| error.text), Some(reason));
}

#[test]
fn the_longest_timeout_of_the_members_groups_bounds_a_forwarded_call() {
    let (mut world, _, router) = far();
    let mut settings = Settings::default();
    let short = settings.defaults.deadlines.read;
    let mut of_group = settings.defaults.clone();
    of_group.deadlines.read = short * 3;
    settings.groups.insert("g".into(), of_group);
    world.set(&settings);
    world.call(router, 1, get());
    assert_eq!(world.at_member(0).len(), 1);
    world.pass(short * 2);
    assert!(world.at_caller(&[router]).is_empty(), "the router that forwards keeps the deadline");
    world.pass(short * 2);
    assert!(says(&world.at_caller(&[router]), 1, frames::is_lost_beyond));
    assert_eq!(world.report_of(0).in_flight, 0);
}

/// Members 0 and 1 are used through router 2, and member 2 is connected here. A read is at member 0.
fn near_with_two_behind_one() -> (World, [SocketId; 2], SocketId, i64) {
    let mut world = World::of_clients(3);
    world.hear(&[(0, 2), (1, 2)]);
    let dialled: Vec<MemberId> = world.io.via_dials.iter().map(|(member, _)| *member).collect();
    let first = usize::from(dialled[0] == world.id_of(1));
    let mut vias = [world.reach(first, 2, "of router 2"), world.reach(1 - first, 2, "of router 2")];
    if first == 1 {
        vias.reverse();
    }
    world.dial_in(2, "p2");
    let caller = world.caller("idm", 1)[0];
    for id in 1.. {
        world.call(caller, id, get());
        let (member, socket, at) = world.only_request();
        if member == 0 {
            return (world, vias, caller, at);
        }
        world.feed(socket, answer(at));
        assert_eq!(world.at_caller(&[caller]).len(), 1);
    }
    unreachable!("each member has its turn")
}

#[test]
fn a_router_that_dies_is_one_loss_however_many_members_were_used_through_it() {
    let (mut world, vias, caller, _) = near_with_two_behind_one();
    for (index, via) in vias.into_iter().enumerate() {
        world.members[index].clear();
        world.apply(Event::Closed { socket: via, unsent: Vec::new() });
        let (member, _, _) = world.only_request();
        assert_eq!(member, index + 1, "the read goes on");
    }
    // Nor is its configuration to blame.
    world.call(caller, 99, get());
    let asked = world.at_member(2);
    assert_eq!(asked.len(), 1, "{asked:?}");
    for (socket, frame) in asked {
        world.feed(socket, answer(frame.message_id));
    }
    assert_eq!(world.at_caller(&[caller])[0].message_id, 99);
}

#[test]
fn members_that_die_behind_a_router_are_losses_each() {
    let (mut world, vias, caller, at) = near_with_two_behind_one();
    world.feed(vias[0], frames::lost_beyond(at));
    let (member, _, at) = world.only_request();
    assert_eq!(member, 1);
    world.feed(vias[1], frames::lost_beyond(at));
    assert!(world.at_member(2).is_empty(), "a third member is spared");
    world.pass(crate::limits::POISON_PROOF_WAIT + Duration::from_secs(1));
    let told = world.at_caller(&[caller]);
    assert!(matches!(told[0].kind, Kind::Error(_)), "{told:?}");
}
