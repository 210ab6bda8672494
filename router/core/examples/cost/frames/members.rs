//! Everything that a member may send.

use rcs_core::engine::*;
use rcs_core::limits as core;
use rcs_proto::envelope::Envelope;
use rcs_proto::frames::{self, Ask};
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::*;

pub(super) fn measure() {
    let mut scene = Scene::new(2, 1, 4);
    (0..16_000).for_each(|caller| scene.open(caller));
    let socket = scene.world.sent.front().expect("calls went to members").0;
    scene.world.sent.clear();
    let from = ("member with 8,000 calls", socket);
    let scene = &mut scene;
    let answer =
        |scene: &mut Scene, answer: OperationResponse| frames::answer(asked(scene, socket, get), &answer);
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
    row(scene, from, "change of configuration", |_| change());
    row(scene, from, "error", |scene| frames::error(asked(scene, socket, get), "a.B", "text"));
    row(scene, from, "error of 64 MiB", |scene| {
        frames::error(asked(scene, socket, get), "a.B", &"x".repeat(LARGE))
    });
    row(scene, from, "call to the router", |scene| get(next(scene)));
    row(scene, from, "call to the router, a facade key of 64 MiB", |scene| {
        search(next(scene), vec![b'A'; LARGE], &[])
    });
    row(scene, from, "cancel", |scene| frames::cancel(next(scene)));
    row(scene, from, "handshake, once more", |_| frames::handshake_request(&identity("again")));
    row(scene, from, "answer to a handshake", |_| frames::handshake_response(&identity("again")));
    streams(scene, from);
    let (member, _) = from;
    event(scene, member, "message over 64 MiB, or without room", |scene| Event::Oversize {
        socket,
        message_id: asked(scene, socket, get),
        what: OversizeFrame::Answer,
        bytes: 1 << 30,
        why: OversizeReason::Limit,
    });
    event(scene, member, "pong", |_| Event::Pong { socket });
    row(scene, from, "the same list of connectors", |_| frames::control_response(1, Some(infos())));
    for connectors in [50, core::MANIFEST_CONNECTORS_MAX] {
        let what = format!("another list, {connectors} connectors");
        row(scene, from, &what, |scene| frames::control_response(1, Some(list(connectors, next(scene)))));
    }
    row(scene, from, "a list of 16 MiB", |scene| {
        frames::control_response(1, Some(list(100_000, next(scene))))
    });
    // Last: the member with another list gets no calls, and the socket is gone.
    row(scene, from, "session check, 56 M ids: its socket is closed", |_| many_ids());
    event(scene, member, "no message of the protocol: its socket is closed", |_| Event::Garbage { socket });
}

/// Parts of answers of many frames.
fn streams(scene: &mut Scene, from: (&str, SocketId)) {
    let socket = from.1;
    let open = |id| search(id, b"facade".to_vec(), &[]);
    let item = |id: i64, sequence: i64, bytes: usize| {
        let object = ConnectorObject { attributes: vec![b'x'; bytes].into(), ..Default::default() };
        let item = SearchOpResponse { sequence, connector_object: Some(object), ..Default::default() };
        frames::answer(id, &OperationResponse { search: Some(item), ..Default::default() })
    };
    let end = |id: i64, count: i64, cookie: usize| {
        let result = SearchResult { paged_results_cookie: "c".repeat(cookie), ..Default::default() };
        let end = SearchOpResponse { sequence: count, result: Some(result), ..Default::default() };
        frames::answer(id, &OperationResponse { search: Some(end), ..Default::default() })
    };
    let mut sequence = 0;
    let id = asked(scene, socket, open);
    row(scene, from, "row of a search", |_| {
        sequence += 1;
        item(id, sequence, 1_000)
    });
    row(scene, from, "row, 60,000 rows ahead of a missing one", |scene| {
        if sequence < 60_000 {
            sequence += 10;
            (0..60_000).for_each(|_| {
                sequence += 1;
                scene.feed(socket, item(id, sequence, 0));
            });
        }
        sequence += 1;
        item(id, sequence, 1_000)
    });
    row(scene, from, "row of 64 MiB", |scene| item(asked(scene, socket, open), 1, LARGE));
    row(scene, from, "end of a search", |scene| end(asked(scene, socket, open), 0, 30));
    row(scene, from, "end before its rows", |scene| end(asked(scene, socket, open), 9, 30));
    row(scene, from, "end with a cookie of 64 MiB", |scene| end(asked(scene, socket, open), 0, LARGE));
    row(scene, from, "end of 64 MiB before its rows", |scene| end(asked(scene, socket, open), 9, LARGE));
    let batch = |id: i64| {
        let request = OperationRequest { batch: Some(BatchOpRequest::default()), ..Default::default() };
        with_body(id, request, &[])
    };
    row(scene, from, "token of a batch, 21 M times", |scene| {
        let batch_token = vec!["t".to_owned(); LARGE / 3];
        let token = BatchOpResult { batch_token, returns_results: true, ..Default::default() };
        let id = asked(scene, socket, batch);
        frames::answer(id, &OperationResponse { batch: Some(token), ..Default::default() })
    });
    row(scene, from, "result of a batch", |scene| {
        let result = BatchOpResult { task_id: "1".into(), uid: Some(Uid::default()), ..Default::default() };
        let id = asked(scene, socket, batch);
        frames::answer(id, &OperationResponse { batch: Some(result), ..Default::default() })
    });
    let subscribe = |id: i64| {
        let events = ConnectorEventSubscriptionOpRequest::default();
        let connector_key = Some(messages_key());
        let request = OperationRequest {
            connector_event_subscription: Some(events),
            connector_key,
            ..Default::default()
        };
        frames::operation(id, &request)
    };
    let id = asked(scene, socket, subscribe);
    row(scene, from, "event of a subscription", |_| {
        let event = ConnectorEventSubscriptionOpResponse::default();
        let answer = OperationResponse { connector_event_subscription: Some(event), ..Default::default() };
        frames::answer(id, &answer)
    });
}

/// Has a call go to this socket of a member, and returns the id that the call has there. `call` makes the call's frame from its id.
fn asked(scene: &mut Scene, socket: SocketId, call: impl Fn(i64) -> Bytes) -> i64 {
    for _ in 0..1_000 {
        let id = next(scene);
        scene.feed(scene.callers[0], call(id));
        while let Some((at, frame)) = scene.world.sent.pop_back() {
            if at == socket {
                return Envelope::parse(frame).expect("a request").message_id;
            }
        }
    }
    panic!("no request for this socket");
}
