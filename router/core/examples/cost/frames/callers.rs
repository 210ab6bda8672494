//! Everything that a caller may send.

use rcs_core::engine::*;
use rcs_core::limits as core;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames::{self, Ask};
use rcs_proto::icf::exceptions;
use rcs_proto::messages::*;
use rcs_proto::session::{Side, SocketId};

use super::*;

pub(super) fn measure() {
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
    row(scene, from, "call, a new facade key of 3.5 KB", |scene| {
        let id = next(scene);
        search(id, format!("{id:03500}").into_bytes(), &[])
    });
    row(scene, from, "call, a known facade key of 3.5 KB", |scene| {
        search(next(scene), vec![b'A'; 3_500], &[])
    });
    row(scene, from, "call, a facade key of 4 MiB", |scene| {
        let id = next(scene);
        search(id, vec![b'A' + (id % 26) as u8; core::FACADE_KEY_BYTES_MAX], &[])
    });
    row(scene, from, "call, a facade key of 64 MiB", |scene| search(next(scene), vec![b'A'; LARGE], &[]));
    row(scene, from, "search, 32 M fields of two bytes", |scene| {
        search(next(scene), Vec::new(), &[0x48, 1].repeat(LARGE / 2))
    });
    row(scene, from, "search, options of 64 MiB", |scene| {
        let body = SearchOpRequest { options: vec![b'A'; LARGE].into(), ..Default::default() };
        search(next(scene), Vec::new(), &body.encode_to_vec())
    });
    row(scene, from, "batch, 21 M tokens", |scene| {
        let mut body = vec![0x08, 1];
        body.extend_from_slice(&[0x1a, 1, b't'].repeat(LARGE / 3));
        let request = OperationRequest { batch: Some(BatchOpRequest::default()), ..Default::default() };
        with_body(next(scene), request, &body)
    });
    row(scene, from, "sync", |scene| {
        let sync = SyncOpRequest { sync: Some(sync_op_request::Sync::default()), ..Default::default() };
        let request =
            OperationRequest { sync: Some(sync), connector_key: Some(messages_key()), ..Default::default() };
        frames::operation(next(scene), &request)
    });
    row(scene, from, "subscription", |scene| {
        let events = ConnectorEventSubscriptionOpRequest::default();
        let request = OperationRequest {
            connector_event_subscription: Some(events),
            connector_key: Some(messages_key()),
            ..Default::default()
        };
        frames::operation(next(scene), &request)
    });
    row(scene, from, "change of configuration", |_| change());
    row(scene, from, "cancel of nothing", |scene| frames::cancel(next(scene)));
    row(scene, from, "session check, no ids", |scene| {
        frames::control_request(next(scene), Ask::Check, &[], &[])
    });
    row(scene, from, "session check, the most ids", |scene| {
        frames::control_request(next(scene), Ask::Check, &apart, &open)
    });
    row(scene, from, "session check, 56 M ids", |_| many_ids());
    row(scene, from, "answer to a session check, a list of 16 MiB", |scene| {
        frames::control_response(1, Some(list(100_000, next(scene))))
    });
    row(scene, from, "handshake, once more", |_| frames::handshake_request(&identity("again")));
    row(scene, from, "answer to a handshake", |_| frames::handshake_response(&identity("again")));
    row(scene, from, "refusal of an unknown answer", |_| {
        frames::error(-7, exceptions::CONNECTOR, "Connection received response before handshake")
    });
    row(scene, from, "error of 64 MiB", |_| frames::error(1, "a.B", &"x".repeat(LARGE)));
    row(scene, from, "answer to no call", |_| {
        frames::answer(99, &OperationResponse { get: Some(GetOpResponse::default()), ..Default::default() })
    });
    row(scene, from, "no message of the protocol", |_| Bytes::from_static(&[0xff; 64]));
    let (caller, socket) = from;
    event(scene, caller, "message over 64 MiB, or without room", |scene| Event::Oversize {
        socket,
        message_id: next(scene),
        what: OversizeFrame::Request,
        bytes: 1 << 30,
        why: OversizeReason::Limit,
    });
    event(scene, caller, "pong", |_| Event::Pong { socket });
    handshakes();
}

/// Sockets that open, and the first frames on them.
fn handshakes() {
    let mut scene = Scene::new(4, 1, 1);
    (0..4_000).for_each(|caller| {
        let socket = scene.accept();
        scene.feed(socket, frames::handshake_request(&identity(&format!("idm {caller}"))));
    });
    let scene = &mut scene;
    event(scene, "caller beside 4,000 others", "connection", |scene| {
        scene.next_socket += 1;
        let peer = Peer::Caller {
            selector: Selector::ByConnectorKey,
            principal: "any".into(),
            allowed: Allowed::All,
        };
        Event::Opened { socket: SocketId(scene.next_socket), side: Side::Accepted, peer }
    });
    let mut opened = scene.accept();
    for (what, new) in [("first handshake of a session", true), ("handshake of one more socket", false)] {
        event(scene, "caller beside 4,000 others", what, |scene| {
            opened = scene.accept();
            let name = if new { format!("new {}", next(scene)) } else { format!("idm {}", next(scene)) };
            let envelope = Envelope::parse(frames::handshake_request(&identity(&name))).unwrap();
            Event::Frame { socket: opened, frame: scene.read(opened, envelope) }
        });
    }
    event(scene, "caller beside 4,000 others", "close of a socket", |_| Event::Closed {
        socket: opened,
        unsent: Vec::new(),
    });
}
