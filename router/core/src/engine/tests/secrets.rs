//! P9: a dump of the live state, whatever it holds at the moment, shows no payload and no key.

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::messages::*;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;

const CANARY: &str = "c4n4ry";

/// The canary as text, and as `Debug` writes the bytes of a `Vec` or a slice.
fn shows(text: &str) -> bool {
    let numbers: Vec<String> = CANARY.bytes().map(|byte| byte.to_string()).collect();
    let pretty: Vec<String> = text.lines().map(str::trim).map(str::to_owned).collect();
    text.contains(CANARY)
        || text.contains(&numbers.join(", "))
        || pretty.join(" ").contains(&numbers.join(", "))
}

fn canary() -> Bytes {
    Bytes::from_static(CANARY.as_bytes())
}

fn keyed(request: OperationRequest) -> OperationRequest {
    let connector_key = Some(messages_key(CONNECTOR));
    OperationRequest { connector_facade_key: canary(), connector_key, ..request }
}

fn secret_create() -> OperationRequest {
    let create = CreateOpRequest { create_attributes: canary(), ..Default::default() };
    OperationRequest { create: Some(create), ..Default::default() }
}

fn secret_row(id: i64, sequence: i64) -> Bytes {
    let object = ConnectorObject { object_class: "__ACCOUNT__".into(), attributes: canary() };
    let row = SearchOpResponse { sequence, result: None, connector_object: Some(object) };
    frames::answer(id, &OperationResponse { search: Some(row), ..Default::default() })
}

#[test]
fn a_dump_shows_the_canary_if_it_is_in_plain_sight() {
    assert!(shows(&format!("{:?}", canary())));
    assert!(shows(&format!("{:?}", CANARY.as_bytes())));
    assert!(shows(&format!("{:#?}", CANARY.as_bytes())));
}

#[test]
fn a_dump_of_the_engine_shows_no_payload() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    // In flight with its request; in flight with the end of its answer held back; a page that was given.
    world.feed(caller[0], frames::operation(1, &keyed(secret_create())));
    world.feed(caller[0], frames::operation(2, &keyed(search())));
    world.feed(caller[0], frames::operation(3, &keyed(page(CANARY))));
    let at_member = world.at_member(0);
    let by_id = |nth: usize| (at_member[nth].0, at_member[nth].1.message_id);
    let (socket, search_id) = by_id(1);
    world.feed(socket, secret_row(search_id, 1));
    world.feed(socket, search_end(search_id, 3, CANARY));
    let (socket, page_id) = by_id(2);
    world.feed(socket, search_end(page_id, 0, CANARY));
    assert!(!shows(&format!("{:?}", world.engine)), "{:?}", world.engine);
    assert!(!shows(&format!("{:#?}", world.engine)), "{:#?}", world.engine);

    // Kept for a caller that lost its sockets: answers, and what was sent last.
    let (socket, create_id) = by_id(0);
    world.apply(Event::Closed { socket: caller[0], unsent: vec![canary()] });
    let error = frames::error(create_id, "x.AlreadyExistsException", CANARY);
    world.feed(socket, error);
    assert!(!shows(&format!("{:?}", world.engine)), "{:?}", world.engine);
    // What the members and callers are probed with later, and what a dying member leaves behind.
    world.pass(Duration::from_secs(6));
    world.kill(0);
    assert!(!shows(&format!("{:?}", world.engine)), "{:?}", world.engine);
    assert!(world.io.notes.iter().all(|note| !shows(note)), "{:?}", world.io.notes);
}

#[test]
fn a_dump_of_what_is_on_its_way_shows_no_payload() {
    let call = Envelope::parse(frames::operation(1, &keyed(secret_create()))).unwrap();
    let row = Envelope::parse(secret_row(1, 1)).unwrap();
    let error = Envelope::parse(frames::error(1, "x.Exception", CANARY)).unwrap();
    for envelope in [call, row, error] {
        assert!(!shows(&format!("{envelope:?}")), "{envelope:?}");
        assert!(!shows(&format!("{:?}", envelope.kind)), "{:?}", envelope.kind);
        let inner = match &envelope.kind {
            Kind::Operation(head) => format!("{head:?}"),
            Kind::Answer(head) => format!("{head:?}"),
            Kind::Error(head) => format!("{head:?}"),
            other => unreachable!("{other:?}"),
        };
        assert!(!shows(&inner), "{inner}");
    }
}
