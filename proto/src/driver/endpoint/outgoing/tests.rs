//! Our calls, with peers in the test's hands.

use super::super::answer::{self, Source};
use super::super::rig::{Rig, end, item, parsed, search_request, test_answer, test_request};
use super::*;
use crate::messages::{BatchOpResult, OperationResponse};

struct Calling {
    rig: Rig,
    outgoing: Outgoing,
}

impl Calling {
    fn new() -> Self {
        Self { rig: Rig::new(), outgoing: Outgoing::default() }
    }

    fn call(&mut self, key: u64, request: &OperationRequest) -> Source {
        let (sink, source) = answer::many();
        self.outgoing.open(key, request, sink, &mut self.rig.net);
        source
    }

    fn answer(&mut self, key: u64, frame: Bytes) {
        self.outgoing.answered(key, parsed(frame), &mut self.rig.net);
    }

    /// The next request or cancel that reaches the peer.
    async fn sent(&mut self) -> (SocketId, Envelope) {
        self.rig.frame().await
    }
}

async fn frames_of(mut source: Source) -> Vec<Result<Bytes, RemoteError>> {
    let mut frames = Vec::new();
    while let Some(answer) = source.next().await {
        let over = answer.is_err();
        frames.push(answer.map(|envelope| envelope.frame().clone()));
        if over {
            break;
        }
    }
    frames
}

#[tokio::test]
async fn items_are_given_in_order_and_the_end_waits_for_them() {
    let mut calling = Calling::new();
    let (no, _) = calling.rig.join("P").await;
    let source = calling.call(1, &search_request());
    let (_, request) = calling.sent().await;
    let id = request.message_id;
    for frame in [item(id, 2), end(id, 3), item(id, 1), item(id, 1)] {
        calling.answer(1, frame);
    }
    assert_eq!(calling.rig.net.open_key(no, id), Some(1), "one item is missing");
    calling.answer(1, item(id, 3));
    assert_eq!(calling.rig.net.open_key(no, id), None);
    assert_eq!(frames_of(source).await, [item(id, 1), item(id, 2), item(id, 3), end(id, 3)].map(Ok));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_fails_the_call_and_cancels_it_at_the_peer() {
    let mut calling = Calling::new();
    let (_, socket) = calling.rig.join("P").await;
    let source = calling.call(1, &search_request());
    let (_, request) = calling.sent().await;
    calling.answer(1, test_answer(request.message_id));
    assert_eq!(frames_of(source).await, [Err(RemoteError::Garbled)]);
    let (on, cancel) = calling.sent().await;
    assert_eq!((on, cancel.frame()), (socket, &frames::cancel(request.message_id)));
    // The peer's own error ends a call without a cancel, and tells which.
    let source = calling.call(2, &test_request());
    let (_, request) = calling.sent().await;
    calling.answer(2, frames::error(request.message_id, "some.Class", "why"));
    let error = RemoteError::Peer { class: "some.Class".to_owned(), message: "why".to_owned() };
    assert_eq!(frames_of(source).await, [Err(error)]);
    let _unary = calling.call(3, &test_request());
    assert!(matches!(calling.sent().await.1.kind, Kind::Operation(_)), "no cancel in between");
}

#[tokio::test]
async fn a_refused_call_is_sent_again_so_many_times_and_then_fails_as_not_run() {
    let mut calling = Calling::new();
    calling.rig.join("P").await;
    let source = calling.call(1, &test_request());
    let (_, request) = calling.sent().await;
    for _ in 0..REFUSALS_MAX {
        calling.outgoing.refused(1);
        calling.outgoing.repeat_refused(&mut calling.rig.net);
        assert_eq!(calling.sent().await.1.frame(), request.frame());
    }
    calling.outgoing.repeat_refused(&mut calling.rig.net);
    assert_eq!(calling.outgoing.calls.len(), 1, "nothing was refused since");
    calling.outgoing.refused(1);
    calling.outgoing.repeat_refused(&mut calling.rig.net);
    assert_eq!(frames_of(source).await, [Err(RemoteError::NotSent)]);
}

#[tokio::test]
async fn calls_of_a_lost_peer_fail_by_whether_they_may_have_been_run() {
    let mut calling = Calling::new();
    let nobody = calling.call(1, &test_request());
    assert_eq!(frames_of(nobody).await, [Err(RemoteError::NotSent)]);
    let (no, socket) = calling.rig.join("P").await;
    let sent = calling.call(2, &test_request());
    let unsent = calling.call(3, &test_request());
    let ids = [calling.sent().await, calling.sent().await].map(|(_, request)| request.message_id);
    calling.rig.kill(socket).await;
    calling.rig.bury(socket).await;
    // As if the second request had come back with its socket: nobody is there to take it.
    calling.outgoing.resend(no, ids[1], &mut calling.rig.net);
    calling.outgoing.lose(no, &mut calling.rig.net);
    assert_eq!(frames_of(sent).await, [Err(RemoteError::ConnectionLost)]);
    assert_eq!(frames_of(unsent).await, [Err(RemoteError::NotSent)]);
    assert!(calling.outgoing.calls.is_empty());
}

#[tokio::test]
async fn a_call_that_is_cancelled_vanished_or_answered_too_large_is_forgotten() {
    let mut calling = Calling::new();
    let (no, _) = calling.rig.join("P").await;
    let (cancelled, vanished, large) = (
        calling.call(1, &test_request()),
        calling.call(2, &test_request()),
        calling.call(3, &test_request()),
    );
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(calling.sent().await.1.message_id);
    }
    let Calling { rig, outgoing } = &mut calling;
    outgoing.cancel(1, &mut rig.net);
    outgoing.vanished(2, &mut rig.net);
    outgoing.oversize(no, ids[2], 99, &mut rig.net);
    outgoing.oversize(no, ids[2], 99, &mut rig.net);
    assert!(outgoing.calls.is_empty() && ids.iter().all(|id| rig.net.open_key(no, *id).is_none()));
    assert_eq!(rig.frame().await.1.frame(), &frames::cancel(ids[0]));
    assert!(frames_of(cancelled).await.is_empty());
    assert_eq!(frames_of(vanished).await, [Err(RemoteError::ConnectionLost)]);
    assert_eq!(frames_of(large).await, [Err(RemoteError::Oversize { bytes: 99 })]);
}

#[tokio::test]
async fn a_batch_is_over_with_its_token_its_completion_and_its_last_result() {
    let token = |returns_results| BatchOpResult { returns_results, ..Default::default() };
    let result = |complete| BatchOpResult { task_id: "0".to_owned(), complete, ..Default::default() };
    let complete = || BatchOpResult { complete: true, ..Default::default() };
    let request = OperationRequest { batch: Some(Default::default()), ..Default::default() };
    let mut calling = Calling::new();
    calling.rig.join("P").await;
    for (key, (case, parts, is_over)) in (1..).zip([
        ("all three", vec![token(true), result(false), result(true), complete()], true),
        ("in another order", vec![complete(), result(true), token(true)], true),
        ("no results promised", vec![complete(), token(false)], true),
        ("a result is missing", vec![token(true), result(false), complete()], false),
        ("no token yet", vec![result(true), complete()], false),
    ]) {
        let source = calling.call(key, &request);
        let id = calling.sent().await.1.message_id;
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            assert!(calling.outgoing.calls.contains_key(&key), "{case}: over before part {index}");
            let part = OperationResponse { batch: Some(part), ..Default::default() };
            calling.answer(key, frames::answer(id, &part));
        }
        assert_eq!(!calling.outgoing.calls.contains_key(&key), is_over, "{case}");
        calling.outgoing.vanished(key, &mut calling.rig.net);
        let given = frames_of(source).await;
        assert_eq!(given.iter().filter(|frame| frame.is_ok()).count(), count, "{case}");
    }
}

#[test]
fn the_request_tells_what_its_answer_is_made_of() {
    assert!(matches!(Progress::of(&search_request()), Progress::Stream(..)));
    assert!(matches!(Progress::of(&test_request()), Progress::Plain));
    // A sync that only wants the latest token has one answer.
    let token = OperationRequest { sync: Some(Default::default()), ..Default::default() };
    assert!(matches!(Progress::of(&token), Progress::Plain));
    let batch = OperationRequest { batch: Some(Default::default()), ..Default::default() };
    assert!(matches!(Progress::of(&batch), Progress::Batch { .. }));
}
