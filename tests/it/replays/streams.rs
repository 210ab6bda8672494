//! A stream that is cut: OPENICF-1855 (its users asked for a query end marker) and `AbstractLoadBalancingAlgorithm`, which
//! begins again at the next node. What was delivered is a prefix, nothing comes twice, and the cut is never taken for the end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::{
    OperationRequest, OperationResponse, SyncDelta, SyncOpRequest, SyncOpResponse, SyncToken,
    sync_op_request, sync_op_response,
};
use rcs_rig::scripted::{FakeIdm, Frame, Socket, request};

use crate::answers::{end_of_rows, row, search_request};
use crate::fleet::Fleet;

const ROWS: i64 = 12;
const AT_ONCE: Duration = Duration::from_secs(1);

/// Ways in which a stream's socket ends.
const ENDS: [fn(&Socket); 3] = [Socket::finish, Socket::send_close, Socket::reset];

/// One kind of stream.
struct Stream {
    request: OperationRequest,
    /// Result `n`, from 1.
    item: fn(i64) -> OperationResponse,
    /// The end after `n` results.
    end: fn(i64) -> OperationResponse,
    /// The sequence of a frame, and whether it is a result.
    read: fn(&OperationResponse) -> (i64, bool),
}

#[test]
fn openicf_1855_a_search_cut_after_every_kth_result() {
    cut_after_every_result(&Stream {
        request: search_request(),
        item: row,
        end: end_of_rows,
        read: |answer| {
            let search = answer.search.as_ref().expect("a search is answered with search frames");
            (search.sequence, search.connector_object.is_some())
        },
    });
}

#[test]
fn openicf_1855_a_sync_cut_after_every_kth_result() {
    let sync = sync_op_request::Sync { object_class: "__ACCOUNT__".to_owned(), ..Default::default() };
    let sync = SyncOpRequest { sync: Some(sync), latest_sync_token: None };
    cut_after_every_result(&Stream {
        request: OperationRequest { sync: Some(sync), ..request() },
        item: |n| sync_frame(n, Some(SyncDelta::default()), None),
        end: |n| sync_frame(n, None, Some(SyncToken { value: Bytes::from_static(b"7") })),
        read: |answer| {
            let sync = answer.sync.as_ref().and_then(|s| s.sync.as_ref()).expect("sync frames only");
            (sync.sequence, sync.sync_delta.is_some())
        },
    });
}

fn cut_after_every_result(stream: &Stream) {
    let mut fleet = Fleet::start(ROWS as usize + 2, "failover", 1);
    let mut idm = fleet.idm(1);
    for sent in 0..=ROWS {
        let id = idm.call(&stream.request);
        let (at, call) = fleet.asked("the stream");
        for n in 1..=sent {
            call.socket.send(&frames::answer(call.id(), &(stream.item)(n)));
        }
        let by = sent as usize % ENDS.len();
        ENDS[by](&call.socket);
        fleet.members[at].die();
        let died = Instant::now();
        if sent == 0 {
            // Nothing was delivered: it may begin again elsewhere, and its caller sees one whole stream.
            let (_, again) = fleet.asked("the stream, begun again");
            for n in 1..=ROWS {
                again.socket.send(&frames::answer(again.id(), &(stream.item)(n)));
            }
            again.socket.send(&frames::answer(again.id(), &(stream.end)(ROWS)));
            let (delivered, error) = take(&mut idm, id, stream);
            assert!(delivered == ROWS && error.is_none(), "{delivered} results, {error:?}");
            continue;
        }
        let (delivered, error) = take(&mut idm, id, stream);
        assert!(error.is_some(), "cut after {sent} of {ROWS}: a short success of {delivered}");
        assert!(died.elapsed() < AT_ONCE, "cut after {sent}: told after {:?}", died.elapsed());
        assert!(delivered <= sent && (by == 2 || delivered == sent), "cut after {sent}: {delivered} arrived");
        let error = error.and_then(|frame| frame.error().cloned()).unwrap_or_default();
        let class = error.exception_class;
        assert!(class.ends_with(".RetryableException"), "cut after {sent}: {class}");
        assert!(fleet.asked_now().is_none(), "cut after {sent}: it was begun again");
    }
}

/// Takes a stream to its end: how many results came, each once and in order, and the error if that ended it.
fn take(idm: &mut FakeIdm, id: i64, stream: &Stream) -> (i64, Option<Frame>) {
    let mut delivered = 0;
    loop {
        let frame = idm.answer(id);
        let Some(answer) = frame.answer() else { return (delivered, Some(frame)) };
        let (sequence, is_result) = (stream.read)(answer);
        if !is_result {
            assert_eq!(sequence, delivered, "the end does not count what came");
            return (delivered, None);
        }
        assert_eq!(sequence, delivered + 1, "not a prefix");
        delivered = sequence;
    }
}

fn sync_frame(
    sequence: i64,
    sync_delta: Option<SyncDelta>,
    sync_token: Option<SyncToken>,
) -> OperationResponse {
    let sync = sync_op_response::Sync { sequence, sync_token, sync_delta };
    let sync = SyncOpResponse { sync: Some(sync), latest_sync_token: None };
    OperationResponse { sync: Some(sync), ..OperationResponse::default() }
}
