//! The worst frame of each kind that a peer may send: what the frame costs the reading task of its socket, and the owner.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use rcs_core::engine::*;
use rcs_core::limits as core;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames::{self, Ask, Identity};
use rcs_proto::icf::{ConnectorInfo, ConnectorKey, exceptions};
use rcs_proto::legacy::Wire;
use rcs_proto::limits;
use rcs_proto::messages::*;
use rcs_proto::session::{Side, SocketId};

use crate::scene::{Scene, get, infos};

/// Times that each frame is fed.
const ROUNDS: usize = 7;
/// A socket of a caller whose calls choose the group.
const ANY: SocketId = SocketId(1_000_000);

pub(crate) fn measure() {
    println!("| from | frame | bytes | reading task | owner |\n|---|---|---|---|---|");
    of_callers();
    of_lists();
    of_members();
}

/// Feeds the frame several times, a second apart, and prints the longest times.
fn row(scene: &mut Scene, from: (&str, SocketId), what: &str, mut frame: impl FnMut(&mut Scene) -> Bytes) {
    let (mut read, mut owned, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for _ in 0..ROUNDS {
        scene.now = scene.now + Duration::from_secs(1);
        let frame = frame(scene);
        bytes = frame.len();
        let since = Instant::now();
        let envelope = Envelope::parse(frame);
        read = read.max(since.elapsed());
        let event = match envelope {
            Ok(envelope) => Event::Frame { socket: from.1, envelope },
            Err(_) => Event::Garbage { socket: from.1 },
        };
        let since = Instant::now();
        scene.engine.apply(event, scene.now, &mut scene.world);
        owned = owned.max(since.elapsed());
        scene.world.sent.clear();
    }
    println!("| {} | {what} | {} | {} | {} |", from.0, size(bytes), time(read), time(owned));
}

fn size(bytes: usize) -> String {
    match bytes {
        0..10_240 => bytes.to_string(),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        0..1_000 => format!("{:.1} us", time.as_secs_f64() * 1e6),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}

/// A call with this facade key and these bytes as the body of a search.
fn search(id: i64, facade_key: Vec<u8>, body: &[u8]) -> Bytes {
    let key = messages_key();
    let request = OperationRequest {
        connector_key: Some(key),
        connector_facade_key: facade_key.into(),
        search: Some(SearchOpRequest::default()),
        ..Default::default()
    };
    // The empty search is the last field, two bytes: its tag and a length of zero.
    let mut operation = request.encode_to_vec();
    operation.pop();
    prost::encoding::encode_varint(body.len() as u64, &mut operation);
    operation.extend_from_slice(body);
    let mut inner = vec![0x1a];
    prost::encoding::encode_varint(operation.len() as u64, &mut inner);
    inner.extend_from_slice(&operation);
    let mut frame = vec![0x08];
    prost::encoding::encode_varint(id as u64, &mut frame);
    frame.push(0x12);
    prost::encoding::encode_varint(inner.len() as u64, &mut frame);
    frame.extend_from_slice(&inner);
    frame.into()
}

fn messages_key() -> rcs_proto::messages::ConnectorKey {
    rcs_proto::messages::ConnectorKey {
        bundle_name: "b".into(),
        bundle_version: "1.0".into(),
        connector_name: "Rig".into(),
    }
}

fn next(scene: &mut Scene) -> i64 {
    scene.next_id += 1;
    scene.next_id
}

const LARGE: usize = core::FRAME_BYTES_MAX - (1 << 16);

fn of_callers() {
    let mut scene = Scene::new(4, 1, 1);
    (0..core::CALLS_PER_SESSION_MAX - 64).for_each(|_| scene.open(0));
    scene.world.sent.clear();
    let from = ("caller with 16,320 calls open", scene.callers[0]);
    let open: Vec<i64> = (1..=limits::CHECK_IDS_MAX as i64).collect();
    let apart: Vec<i64> = open.iter().map(|id| -id).collect();
    let scene = &mut scene;
    row(scene, from, "call", |scene| get(next(scene)));
    row(scene, from, "call, its id in use", |_| get(1));
    row(scene, from, "call, a facade key of 1 MiB", |scene| {
        let id = next(scene);
        search(id, vec![b'A' + (id % 26) as u8; 1 << 20], &[])
    });
    row(scene, from, "call, a facade key of 64 MiB", |scene| search(next(scene), vec![b'A'; LARGE], &[]));
    row(scene, from, "search, 32 M fields of two bytes", |scene| {
        search(next(scene), Vec::new(), &[0x48, 1].repeat(LARGE / 2))
    });
    row(scene, from, "search, options of 64 MiB", |scene| {
        let body = SearchOpRequest { options: vec![b'A'; LARGE].into(), ..Default::default() };
        search(next(scene), Vec::new(), &body.encode_to_vec())
    });
    row(scene, from, "cancel of nothing", |scene| frames::cancel(next(scene)));
    row(scene, from, "session check, no ids", |scene| {
        frames::control_request(next(scene), Ask::Check, &[], &[])
    });
    row(scene, from, "session check, the most ids", |scene| {
        frames::control_request(next(scene), Ask::Check, &apart, &open)
    });
    row(scene, from, "session check, 56 M ids", |_| {
        let mut body = vec![0x12];
        prost::encoding::encode_varint(LARGE as u64, &mut body);
        body.resize(body.len() + LARGE, 7);
        let mut inner = vec![0x12];
        prost::encoding::encode_varint(body.len() as u64, &mut inner);
        inner.extend_from_slice(&body);
        let mut frame = vec![0x08, 1, 0x12];
        prost::encoding::encode_varint(inner.len() as u64, &mut frame);
        frame.extend_from_slice(&inner);
        frame.into()
    });
    row(scene, from, "handshake, once more", |_| frames::handshake_request(&identity("again")));
    row(scene, from, "refusal of an unknown answer", |_| {
        frames::error(-7, exceptions::CONNECTOR, "Connection received response before handshake")
    });
    row(scene, from, "error of 64 MiB", |_| frames::error(1, "a.B", &"x".repeat(LARGE)));
    row(scene, from, "answer to no call", |_| {
        frames::answer(99, &OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() })
    });
    row(scene, from, "no message of the protocol", |_| Bytes::from_static(&[0xff; 64]));
}

fn identity(session_id: &str) -> Identity {
    Identity { session_id: session_id.to_owned(), public_key: Bytes::new() }
}

fn of_lists() {
    for groups in [60, 1_000] {
        let mut scene = Scene::new(groups, groups, 1);
        let peer = Peer::Caller { selector: Selector::ByConnectorKey, principal: "any".into() };
        scene.apply(Event::Opened { socket: ANY, side: Side::Accepted, peer });
        scene.feed(ANY, frames::handshake_request(&identity("any")));
        let what = format!("question for connectors, {groups} groups");
        row(&mut scene, ("caller", ANY), &what, |scene| {
            frames::control_request(next(scene), Ask::ConnectorInfo, &[], &[])
        });
    }
}

fn of_members() {
    let mut scene = Scene::new(2, 1, 4);
    (0..16_000).for_each(|caller| scene.open(caller));
    let socket = scene.world.sent.front().expect("calls went to members").0;
    scene.world.sent.clear();
    let from = ("member with 8,000 calls", socket);
    let scene = &mut scene;
    let answer = |scene: &mut Scene, answer: OperationResponse| {
        scene.open(0);
        while let Some((at, frame)) = scene.world.sent.pop_back() {
            if at == socket {
                return frames::answer(Envelope::parse(frame).expect("a request").message_id, &answer);
            }
            scene.open(0);
        }
        panic!("no request for this socket");
    };
    row(scene, from, "answer", |scene| {
        answer(scene, OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() })
    });
    row(scene, from, "answer of 64 MiB", |scene| {
        let get = GetOpResponse { connector_object: vec![b'x'; LARGE].into() };
        answer(scene, OperationResponse { get: Some(get), ..Default::default() })
    });
    row(scene, from, "answer to no call", |_| {
        frames::answer(
            1 << 40,
            &OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() },
        )
    });
    let open: Vec<i64> = (1..=limits::CHECK_IDS_MAX as i64).collect();
    row(scene, from, "session check, the most ids", |scene| {
        frames::control_request(next(scene), Ask::Check, &open, &open)
    });
    row(scene, from, "the same list of connectors", |_| frames::control_response(1, Some(infos())));
    for connectors in [50, core::MANIFEST_CONNECTORS_MAX] {
        let what = format!("another list, {connectors} connectors");
        row(scene, from, &what, |scene| frames::control_response(1, Some(list(connectors, next(scene)))));
    }
    row(scene, from, "a list of 16 MiB", |scene| {
        frames::control_response(1, Some(list(100_000, next(scene))))
    });
    row(scene, from, "change of configuration", |_| {
        let event = ConfigurationChangeEvent::default();
        frames::operation(0, &OperationRequest { configuration_change: Some(event), ..Default::default() })
    });
}

/// A list of connectors that differs with `number`.
fn list(connectors: usize, number: i64) -> Bytes {
    let info = |at: usize| ConnectorInfo {
        display_name_key: Some(format!("name of connector {at}")),
        category_key: None,
        key: ConnectorKey {
            bundle_name: format!("a.bundle.of.many.{at}"),
            bundle_version: format!("1.{number}"),
            connector_name: "a.bundle.of.many.Connector".to_owned(),
        },
        messages: None,
        configuration: None,
    };
    (0..connectors).map(info).collect::<Vec<_>>().encode()
}
