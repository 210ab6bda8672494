//! Two generals: a change is in flight when its peer dies, at each point of the call's life (FoundationDB's
//! `commit_unknown_result`). It runs at most once, and its caller is never left without an answer or with a wrong one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::{
    BatchOpRequest, BatchOpResult, CreateOpRequest, DeleteOpRequest, DeleteOpResponse, OperationRequest,
    OperationResponse, ScriptOnConnectorOpRequest, ScriptOnConnectorOpResponse, ScriptOnResourceOpRequest,
    ScriptOnResourceOpResponse, UpdateOpRequest, UpdateOpResponse,
};
use rcs_rig::scripted::{FakeIdm, Frame, request, validate_request};
use rcs_rig::wait::{wait_for, wait_until};

use crate::answers::{create_request, created, validated};
use crate::fleet::Fleet;

/// From the death to the caller's answer.
const AT_ONCE: Duration = Duration::from_secs(1);
const OUTCOME_UNKNOWN: &str = "Outcome unknown";
/// More than the kernel keeps between two processes, so that a member that does not read has only a part of it.
const LONG: usize = 24 << 20;

/// When the member dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The request lies in its kernel, unread.
    BeforeItReads,
    /// A part of the request lies there; the rest has never left the router.
    WithinTheRequest,
    /// It has the request, and is killed.
    AfterTheRequest,
    /// It has the request, and ends without a word.
    AfterTheRequestByFin,
    /// It has the request, and closes as WebSockets do.
    AfterTheRequestByClose,
    /// One byte of the answer's header is out.
    AfterOneByte,
    /// Half of the answer is out.
    WithinTheAnswer,
    /// All but the last byte of the answer is out.
    BeforeTheLastByte,
    /// The first of two fragments of the answer is out.
    BetweenFragments,
    /// It has answered another call, which nobody made.
    AfterAnAnswerToNobody,
    /// The answer is out, and may die in the kernel with the connection.
    AfterTheAnswer,
    /// The answer is out, and has arrived.
    AfterTheAnswerByFin,
    /// The answer is out twice.
    AfterTwoAnswers,
}

/// What the caller may hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    Unknown,
    Success,
    Either,
}

use Cut as C;

const CUTS: [(Cut, Hears); 13] = [
    (C::BeforeItReads, Hears::Either),
    (C::WithinTheRequest, Hears::Either),
    (C::AfterTheRequest, Hears::Unknown),
    (C::AfterTheRequestByFin, Hears::Unknown),
    (C::AfterTheRequestByClose, Hears::Unknown),
    (C::AfterOneByte, Hears::Unknown),
    (C::WithinTheAnswer, Hears::Unknown),
    (C::BeforeTheLastByte, Hears::Unknown),
    (C::BetweenFragments, Hears::Unknown),
    (C::AfterAnAnswerToNobody, Hears::Unknown),
    (C::AfterTheAnswer, Hears::Either),
    (C::AfterTheAnswerByFin, Hears::Success),
    (C::AfterTwoAnswers, Hears::Success),
];

#[test]
fn a_create_at_each_cut() {
    let long = CreateOpRequest { create_attributes: vec![b'x'; LONG].into(), ..Default::default() };
    let long = OperationRequest { create: Some(long), ..request() };
    at_each_cut(&create_request(), Some(&long), &created("u1"));
}

#[test]
fn an_update_at_each_cut() {
    let update = OperationRequest { update: Some(UpdateOpRequest::default()), ..request() };
    let done =
        OperationResponse { update: Some(UpdateOpResponse::default()), ..OperationResponse::default() };
    at_each_cut(&update, None, &done);
}

#[test]
fn a_delete_at_each_cut() {
    let delete = OperationRequest { delete: Some(DeleteOpRequest::default()), ..request() };
    let done = OperationResponse { delete: Some(DeleteOpResponse {}), ..OperationResponse::default() };
    at_each_cut(&delete, None, &done);
}

#[test]
fn a_script_on_a_connector_at_each_cut() {
    let script = Some(ScriptOnConnectorOpRequest::default());
    let script = OperationRequest { script_on_connector: script, ..request() };
    let done = ScriptOnConnectorOpResponse { object: Bytes::from_static(b"done") };
    let done = OperationResponse { script_on_connector: Some(done), ..OperationResponse::default() };
    at_each_cut(&script, None, &done);
}

#[test]
fn a_script_on_a_resource_at_each_cut() {
    let script = Some(ScriptOnResourceOpRequest::default());
    let script = OperationRequest { script_on_resource: script, ..request() };
    let done = ScriptOnResourceOpResponse { object: Bytes::from_static(b"done") };
    let done = OperationResponse { script_on_resource: Some(done), ..OperationResponse::default() };
    at_each_cut(&script, None, &done);
}

/// A batch has several frames: after the first one its outcome is unknown too.
#[test]
fn a_batch_of_which_one_task_was_answered() {
    let mut fleet = Fleet::start(2, "failover", 1);
    let mut idm = fleet.idm(1);
    let id = idm.call(&OperationRequest { batch: Some(BatchOpRequest::default()), ..request() });
    let (at, call) = fleet.asked("the batch");
    let task = BatchOpResult { task_id: "0".to_owned(), ..BatchOpResult::default() };
    let task = OperationResponse { batch: Some(task), ..OperationResponse::default() };
    call.socket.send(&frames::answer(call.id(), &task));
    assert!(idm.answer(id).answer().is_some());
    fleet.members[at].die();
    assert_unknown(&idm.answer(id), "a batch");
    nothing_else_was_sent(&mut fleet, &mut idm, "a batch");
}

/// Plays one call for each cut. A member dies each time; the next one of the group takes its place.
fn at_each_cut(request: &OperationRequest, long: Option<&OperationRequest>, done: &OperationResponse) {
    let mut fleet = Fleet::start(CUTS.len() + 1, "failover", 1);
    let mut idm = fleet.idm(1);
    for (at, (cut, hears)) in CUTS.into_iter().enumerate() {
        let request = match cut {
            C::WithinTheRequest => match long {
                Some(long) => long,
                None => {
                    fleet.members[at].die();
                    wait_until("it is out of use", AT_ONCE, || !is_up(&fleet, at));
                    continue;
                }
            },
            _ => request,
        };
        let (id, died) = play(&mut fleet, &mut idm, at, cut, request, done);
        let (answer, ran_elsewhere) = outcome(&mut fleet, &mut idm, id, at, done);
        assert!(answer.at - died < AT_ONCE, "{cut:?}: answered after {:?}", answer.at - died);
        fleet.members[at].die();
        let unread = fleet.members[at].inbox.find(Duration::ZERO, |f| f.operation().is_some()).is_none();
        let ran_here = !(reads_nothing(cut) && unread);
        assert!(!(ran_here && ran_elsewhere), "{cut:?}: it ran twice");
        wait_until("it is out of use", AT_ONCE, || !is_up(&fleet, at));
        match (answer.answer().is_some(), hears) {
            (true, Hears::Success | Hears::Either) => {}
            (false, Hears::Unknown | Hears::Either) => assert_unknown(&answer, &format!("{cut:?}")),
            (heard, _) => unreachable!("{cut:?}: success {heard}, expected {hears:?}: {answer:?}"),
        }
        nothing_else_was_sent(&mut fleet, &mut idm, &format!("{cut:?}"));
        idm.inbox.expect_none("it had its answer", Duration::ZERO, |f| f.answers(id));
    }
}

/// Makes the call, and lets member `at` die at the cut.
fn play(
    fleet: &mut Fleet,
    idm: &mut FakeIdm,
    at: usize,
    cut: Cut,
    request: &OperationRequest,
    done: &OperationResponse,
) -> (i64, Instant) {
    if reads_nothing(cut) {
        fleet.members[at].await_sockets(1)[0].stall();
    }
    let id = idm.call(request);
    if reads_nothing(cut) {
        wait_until("the router has sent it", Duration::from_secs(5), || fleet.in_flight() > 0);
    } else {
        answer_up_to(&fleet.members[at].inbox.operation(&format!("{cut:?}: the call")), cut, done);
    }
    // What was sent whole, and ended by FIN, arrives; the rest may be lost in the kernel.
    if !matches!(cut, C::AfterTheAnswerByFin | C::AfterTwoAnswers) {
        fleet.members[at].die();
    }
    (id, Instant::now())
}

fn reads_nothing(cut: Cut) -> bool {
    matches!(cut, C::BeforeItReads | C::WithinTheRequest)
}

/// Sends what is out of the answer at the cut, and ends the socket where the cut says how.
fn answer_up_to(call: &Frame, cut: Cut, done: &OperationResponse) {
    let (socket, answer) = (&call.socket, frames::answer(call.id(), done));
    match cut {
        C::BeforeItReads | C::WithinTheRequest | C::AfterTheRequest => {}
        C::AfterTheRequestByFin => socket.finish(),
        C::AfterTheRequestByClose => socket.send_close(),
        C::AfterOneByte => socket.send_part(&answer, 1),
        C::WithinTheAnswer => socket.send_part(&answer, answer.len() / 2 + 2),
        C::BeforeTheLastByte => {
            socket.send_part(&answer, answer.len() + 1);
            socket.finish();
        }
        C::BetweenFragments => {
            // FIN bit off: more of it would come.
            let head = [0x02, (answer.len() - 1) as u8];
            socket.send_raw(&[&head[..], &answer[..answer.len() - 1]].concat());
            socket.finish();
        }
        C::AfterAnAnswerToNobody => socket.send(&frames::answer(call.id() + 1_000, done)),
        C::AfterTheAnswer => socket.send(&answer),
        C::AfterTheAnswerByFin => {
            socket.send(&answer);
            socket.finish();
        }
        C::AfterTwoAnswers => {
            socket.send_together(&[&answer, &answer]);
            socket.finish();
        }
    }
}

/// The caller's answer; a member that the call moved to runs it.
fn outcome(
    fleet: &mut Fleet,
    idm: &mut FakeIdm,
    id: i64,
    dead: usize,
    done: &OperationResponse,
) -> (Frame, bool) {
    let mut moved = false;
    let answer = wait_for("an answer", Duration::from_secs(5), || {
        for member in fleet.members.iter_mut().skip(dead + 1) {
            if let Some(call) = member.inbox.find(Duration::ZERO, |f| f.operation().is_some()) {
                assert!(!std::mem::replace(&mut moved, true), "sent to two more members");
                call.socket.send(&frames::answer(call.id(), done));
            }
        }
        idm.inbox.find(Duration::ZERO, |f| f.answers(id))
    });
    (answer, moved)
}

/// A call behind it is the next thing that any member gets.
fn nothing_else_was_sent(fleet: &mut Fleet, idm: &mut FakeIdm, case: &str) {
    let id = idm.call(&validate_request());
    let (_, call) = fleet.asked("a validate");
    assert!(call.operation().is_some_and(|o| o.validate.is_some()), "{case}: {call:?} was sent again");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

fn assert_unknown(answer: &Frame, case: &str) {
    assert!(answer.error().is_some(), "{case}: {answer:?} is no error");
    let error = answer.error().cloned().unwrap_or_default();
    assert!(error.message.contains(OUTCOME_UNKNOWN), "{case}: {}", error.message);
    assert!(
        error.exception_class.ends_with(".ConnectorException"),
        "{case}: IDM would repeat a {}",
        error.exception_class
    );
}

fn is_up(fleet: &Fleet, at: usize) -> bool {
    fleet.router.is_up(crate::site::GROUP, &crate::fleet::name(at))
}
