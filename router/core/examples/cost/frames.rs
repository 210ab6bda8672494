//! The worst frame of each kind that a peer may send: what the frame costs the reading task of its socket, and the owner.

mod callers;
mod members;

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use rcs_core::engine::*;
use rcs_core::limits as core;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames::{self, Ask, Identity};
use rcs_proto::icf::{ConnectorInfo, ConnectorKey};
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
    callers::measure();
    of_lists();
    members::measure();
}

/// Feeds the frame several times, a second apart, and prints the medians of the times.
fn row(scene: &mut Scene, from: (&str, SocketId), what: &str, mut frame: impl FnMut(&mut Scene) -> Bytes) {
    let (mut read, mut owned, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        scene.now = scene.now + Duration::from_secs(1);
        let frame = frame(scene);
        bytes = frame.len();
        let since = Instant::now();
        let parsed = Envelope::parse(frame).map(|envelope| scene.read(from.1, envelope));
        read.push(since.elapsed());
        let event = match parsed {
            Ok(frame) => Event::Frame { socket: from.1, frame },
            Err(_) => Event::Garbage { socket: from.1 },
        };
        let since = Instant::now();
        scene.engine.apply(event, scene.now, &mut scene.world);
        owned.push(since.elapsed());
        scene.world.sent.clear();
    }
    println!(
        "| {} | {what} | {} | {} | {} |",
        from.0,
        size(bytes),
        time(crate::median(read)),
        time(crate::median(owned))
    );
}

/// Applies what is no frame several times, and prints the median of the times.
fn event(scene: &mut Scene, from: &str, what: &str, mut event: impl FnMut(&mut Scene) -> Event) {
    let mut owned = Vec::new();
    for _ in 0..ROUNDS {
        scene.now = scene.now + Duration::from_secs(1);
        let event = event(scene);
        let since = Instant::now();
        scene.engine.apply(event, scene.now, &mut scene.world);
        owned.push(since.elapsed());
        scene.world.sent.clear();
    }
    println!("| {from} | {what} | | | {} |", time(crate::median(owned)));
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
    let request = OperationRequest {
        connector_facade_key: facade_key.into(),
        search: Some(SearchOpRequest::default()),
        ..Default::default()
    };
    with_body(id, request, body)
}

/// A call whose last field is an empty message, with this body in its place.
fn with_body(id: i64, request: OperationRequest, body: &[u8]) -> Bytes {
    let request = OperationRequest { connector_key: Some(messages_key()), ..request };
    // The empty message takes two bytes: its tag and a length of zero.
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

fn identity(session_id: &str) -> Identity {
    Identity { session_id: session_id.to_owned(), public_key: Bytes::new() }
}

fn of_lists() {
    for groups in [60, 1_000] {
        let mut scene = Scene::new(groups, groups, 1);
        let peer = Peer::Caller {
            selector: Selector::ByConnectorKey,
            principal: "any".into(),
            allowed: Allowed::All,
        };
        scene.apply(Event::Opened { socket: ANY, side: Side::Accepted, peer });
        scene.feed(ANY, frames::handshake_request(&identity("any")));
        let what = format!("question for connectors, {groups} groups");
        row(&mut scene, ("caller", ANY), &what, |scene| {
            frames::control_request(next(scene), Ask::ConnectorInfo, &[], &[])
        });
    }
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

/// A configuration that changed.
fn change() -> Bytes {
    let change = ConfigurationChangeEvent::default();
    frames::operation(0, &OperationRequest { configuration_change: Some(change), ..Default::default() })
}

/// A session check with a list that fills the message.
fn many_ids() -> Bytes {
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
}
