//! What frames cost the owner: large keys, lists and messages are read in the tasks of their sockets (P10).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::icf::{ConnectorInfo, ConnectorKey};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::ids::MemberId;
use crate::limits;
use crate::view::{Endpoint, View};

/// Times that each frame is measured. The least time counts: whatever else the machine does only adds to a time.
const ROUNDS: u32 = 9;

fn call_with(id: i64, facade_key: Vec<u8>, options: usize) -> Bytes {
    let search = SearchOpRequest { options: vec![b'A'; options].into(), ..Default::default() };
    let request = OperationRequest {
        connector_key: Some(messages_key(CONNECTOR)),
        connector_facade_key: facade_key.into(),
        search: Some(search),
        ..Default::default()
    };
    frames::operation(id, &request)
}

/// Takes frames and nothing else: what other tests write down of a frame costs more than the frame.
#[derive(Default)]
struct Quiet {
    sent: Vec<Bytes>,
}

impl Io for Quiet {
    fn send(&mut self, _: SocketId, frame: Bytes) {
        self.sent.push(frame);
    }
    fn hold(&mut self, _: SocketId, _: Duration) {}
    fn ping(&mut self, _: SocketId) {}
    fn close(&mut self, _: SocketId) {}
    fn backlog(&self, _: SocketId) -> Backlog {
        Backlog::default()
    }
    fn moved(&self, _: SocketId) -> Moved {
        Moved::default()
    }
    fn backlog_total(&self) -> Backlog {
        Backlog::default()
    }
    fn dial(&mut self, _: MemberId, _: Slot, _: &Endpoint) {}
    fn dial_via(&mut self, _: MemberId, _: u32) {}
    fn present(&mut self, _: &std::collections::BTreeSet<MemberId>) {}
    fn random(&mut self) -> u64 {
        7
    }
    fn publish(&mut self, _: &Arc<View>) {}
    fn note(&mut self, _: Note<'_>) {}
    fn answer(&mut self, _: Ticket, _: Answer) {}
    fn propose(&mut self, _: Proposal) {}
}

/// The least time that such a frame takes to be read, and the least time that it takes the owner. `frame` makes it from a number. Each
/// frame has one frame of the router's as its consequence, and the last one of these is returned.
#[expect(clippy::disallowed_methods, reason = "it measures, and nothing depends on what")]
fn cost(
    world: &mut World,
    socket: SocketId,
    frame: impl Fn(u32) -> Bytes,
) -> (Duration, Duration, Option<Envelope>) {
    let (mut read, mut owned) = (Duration::MAX, Duration::MAX);
    let mut io = Quiet::default();
    for round in 0..ROUNDS {
        let frame = frame(round);
        let since = Instant::now();
        let frame = world.reader.read(Envelope::parse(frame).unwrap());
        read = read.min(since.elapsed());
        let since = Instant::now();
        world.engine.apply(Event::Frame { socket, frame }, world.now, &mut io);
        owned = owned.min(since.elapsed());
    }
    let last = io.sent.pop().map(|frame| Envelope::parse(frame).unwrap());
    (read, owned, last)
}

#[test]
fn a_socket_digests_each_configuration_once_and_the_owner_none() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    let before = world.reader.digested;
    for id in 1..=20 {
        let key = vec![b'A' + (id % 2) as u8; 3_500];
        world.feed(caller, call_with(id, key, 0));
    }
    assert_eq!(world.at_member(0).len(), 20);
    let once = world.reader.digested - before;
    assert!((7_000..7_200).contains(&once), "two keys of 3,500 bytes, and their connector: {once} bytes");
    // What the engine no longer remembers is read anew: the reader keeps no configuration alive.
    let gone = Bytes::from_static(b"gone");
    let mut reader = FrameReader::default();
    for id in 1..=3 {
        drop(reader.read(Envelope::parse(call_with(id, gone.to_vec(), 0)).unwrap()));
    }
    assert_eq!(reader.digested % 3, 0);
    assert!(reader.digested >= 3 * gone.len());
}

#[test]
fn a_large_facade_key_costs_the_owner_what_any_request_of_its_size_costs() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    let large = limits::FACADE_KEY_BYTES_MAX;
    let (read, key, _) = cost(&mut world, caller, |round| {
        let key = vec![b'A' + round as u8; large];
        call_with(1 + i64::from(round), key, 0)
    });
    let (_, body, _) =
        cost(&mut world, caller, |round| call_with(100 + i64::from(round), b"small".to_vec(), large));
    eprintln!(
        "a key of {large} bytes: read in {read:?}, owner {key:?}; a body of the same size: owner {body:?}"
    );
    assert!(key < body * 4, "owner: {key:?} for a large key, {body:?} for a large body");
}

#[test]
fn a_call_with_a_facade_key_over_the_bound_is_refused_unread_and_says_what_to_do() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    let (_, small, _) =
        cost(&mut world, caller, |round| call_with(1 + i64::from(round), b"small".to_vec(), 0));
    let digested = world.reader.digested;
    let key = vec![b'A'; 16 << 20];
    let (_, large, refused) =
        cost(&mut world, caller, |round| call_with(100 + i64::from(round), key.clone(), 0));
    assert_eq!(world.reader.digested, digested);
    let refused = refused.unwrap();
    let message = &error_of(&refused).message;
    assert!(
        message.contains("larger than 4 MiB") && message.contains("Keep certificates, scripts"),
        "{message}"
    );
    assert!(message.contains("search was not run"), "{message}");
    eprintln!("owner: {small:?} for a small call, {large:?} for a refused key of 16 MiB");
    // The frame is dropped, which takes some time for its size. Reading it would take 10,000 times as long.
    assert!(large < small * 200, "owner: {large:?} for a refused key, {small:?} for a small call");
    // So is a connector key that no connector has.
    let long = OperationRequest {
        connector_key: Some(rcs_proto::messages::ConnectorKey {
            bundle_name: "b".repeat(limits::CONNECTOR_KEY_BYTES_MAX),
            ..messages_key(CONNECTOR)
        }),
        ..get()
    };
    world.feed(caller, frames::operation(1_000, &long));
    assert!(error_of(&world.at_caller(&[caller])[0]).message.contains("4 KiB"));
}

#[test]
fn a_large_request_costs_the_owner_no_look_at_its_fields() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    let bytes = 4 << 20;
    let many_fields = |id: i64| {
        // Two bytes a field: an unknown number with the value 1.
        let body = [0x48, 1].repeat(bytes / 2);
        let request = OperationRequest {
            connector_key: Some(messages_key(CONNECTOR)),
            connector_facade_key: Bytes::from_static(b"facade"),
            search: Some(SearchOpRequest::default()),
            ..Default::default()
        };
        // The empty search is the last field, two bytes: its tag and a length of zero.
        let mut operation = request.encode_to_vec();
        operation.pop();
        prost::encoding::encode_varint(body.len() as u64, &mut operation);
        operation.extend_from_slice(&body);
        let mut inner = vec![0x1a];
        prost::encoding::encode_varint(operation.len() as u64, &mut inner);
        inner.extend_from_slice(&operation);
        let mut frame = vec![0x08];
        prost::encoding::encode_varint(id as u64, &mut frame);
        frame.push(0x12);
        prost::encoding::encode_varint(inner.len() as u64, &mut frame);
        frame.extend_from_slice(&inner);
        Bytes::from(frame)
    };
    let (read, fields, _) = cost(&mut world, caller, |round| many_fields(1 + i64::from(round)));
    let (_, plain, _) =
        cost(&mut world, caller, |round| call_with(100 + i64::from(round), b"facade".to_vec(), bytes));
    eprintln!("2 M fields: read in {read:?}, owner {fields:?}; one field of the same size: owner {plain:?}");
    assert!(fields < plain * 4, "owner: {fields:?} for 2 M fields, {plain:?} for one");
}

/// A list of connectors that differs with its version.
fn list(connectors: usize, version: u32) -> Bytes {
    let info = |at: usize| ConnectorInfo {
        display_name_key: Some(format!("name of connector {at}")),
        category_key: None,
        key: ConnectorKey {
            bundle_name: format!("a.bundle.of.many.{at}"),
            bundle_version: format!("1.{version}"),
            connector_name: "a.bundle.of.many.Connector".to_owned(),
        },
        messages: None,
        configuration: None,
    };
    (0..connectors).map(info).collect::<Vec<_>>().encode()
}

#[test]
fn a_list_of_connectors_is_read_in_the_task_of_its_socket() {
    let mut world = World::with_members_down(1, Policy::Failover);
    world.start_with(0, list(limits::MANIFEST_CONNECTORS_MAX, 0));
    assert_eq!(world.standings(), ["matching"]);
    let socket = world.members[0][0];
    let told =
        |version: u32| frames::control_response(1, Some(list(limits::MANIFEST_CONNECTORS_MAX, version)));
    let (read, new, _) = cost(&mut world, socket, |round| told(1 + round));
    let (reread, same, _) = cost(&mut world, socket, |_| told(ROUNDS));
    eprintln!(
        "1,024 connectors: read in {read:?}, owner {new:?}; the same again: {reread:?}, owner {same:?}"
    );
    assert!(new < read, "owner: {new:?}, reading: {read:?}");
    assert!(same * 20 < read && reread * 4 < read, "{same:?} and {reread:?} unchanged, {read:?} read");
}
