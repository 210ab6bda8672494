//! What goes wrong around a handover: a later process that is told to end, that cannot be replaced in its turn, and what is said at the end.

use std::net::TcpStream;
use std::time::Duration;

use rcs_proto::messages::handover::Callers;
use rcs_rig::metrics::http_get;
use rcs_rig::scripted::{basic, upgrade_request};
use rustix::process::Signal;

use super::*;

/// Time in which a second answer would have come: it would be written before the process says that the earlier one has ended.
const NO_SECOND_ANSWER: Duration = Duration::from_millis(500);

/// Far less than a handover waits for callers that are connecting.
const A_MOMENT: Duration = Duration::from_millis(50);

/// Whoever has got an answer gets no "outcome unknown" when the process ends that gave the answer.
#[test]
fn an_answered_call_gets_no_second_answer_at_the_end_of_the_earlier_process() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let begun = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("the call");
    let mut next = site.router();
    at_member.socket.send(&answered(at_member.id()));
    let answer = idm.inbox.next("the answer of the earlier process", |frame| frame.answers(begun));
    assert!(answer.error().is_none(), "{answer:?}");
    await_end(&mut first);
    wait_until("the later process knows of the end", PATIENCE, || {
        next.process().said_on_stderr("the earlier process has answered its calls, and has ended")
    });
    idm.inbox.expect_none("a second answer", NO_SECOND_ANSWER, |frame| frame.answers(begun));
    assert_eq!(next.metrics().sum("rcs_calls_not_held_total", &[]), 0.0);
}

/// An operator who loses patience with a later process ends that process, and not the service.
#[test]
fn a_later_process_that_is_told_to_end_before_it_has_the_callers_takes_nothing_over() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    site.members[1].freeze();
    let mut later = site.later(&[]);
    wait_until("the later process waits for n2", PATIENCE, || {
        later.said_on_stderr("taking over from a running router") && site.members[0].sockets().len() > 1
    });
    later.signal(Signal::TERM);
    let status = later.wait(PATIENCE);
    assert!(!status.success(), "{status}: {:#?}", later.stderr_lines());
    wait_until("the running process knows", PATIENCE, || {
        first.process().said_on_stderr("nothing was handed over")
    });
    let call = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("a call after the handover that was ended");
    at_member.socket.send(&answered(at_member.id()));
    idm.inbox.next("its answer", |frame| frame.answers(call));
    assert!(first.is_ready());
}

/// Once a process has the callers, they must not lose it because no further process can be awaited.
#[test]
fn a_process_that_cannot_be_replaced_in_its_turn_serves_all_the_same() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    site.members[1].freeze();
    let later = site.later(&[]);
    wait_until("the later process waits for n2", PATIENCE, || {
        later.said_on_stderr("taking over from a running router")
    });
    // Neither can be removed as a file, nor listened at.
    std::fs::remove_file(site.place()).expect("the place was a socket");
    std::fs::create_dir(site.place()).expect("a folder takes its place");
    site.members[1].die();
    later.read_until("ready ", PATIENCE);
    await_end(&mut first);
    assert!(later.said_on_stderr("goes on without it"), "{:#?}", later.stderr_lines());
    let call = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("a call to the later process");
    at_member.socket.send(&answered(at_member.id()));
    idm.inbox.next("its answer", |frame| frame.answers(call));
    assert_eq!(http_get(first.admin(), "/readyz").0, 200);
}

/// The path is wrong by a slip: what is there stays.
#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    let site = Site::start();
    std::fs::write(site.place(), "precious").expect("the folder can be written to");
    let mut router = site.later(&[]);
    assert!(!router.wait(PATIENCE).success());
    assert!(router.said_on_stderr("is no Unix socket: choose another path"), "{:#?}", router.stderr_lines());
    assert_eq!(std::fs::read_to_string(site.place()).expect("it is there"), "precious");
}

/// A caller that is just being let in when the sockets are counted goes over with the others: it would be closed with the earlier process.
#[test]
fn a_caller_that_is_connecting_goes_over_too() {
    let site = Site::start();
    let first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let _idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 1);
    let request = upgrade_request(&format!("/openicf/{GROUP}"), Some(&basic("idm", "changeit")), None);
    let (half, rest) = request.split_at(request.len() / 2);
    let mut connecting = TcpStream::connect(first.listen()).expect("the router listens");
    connecting.write_all(half.as_bytes()).expect("the router reads");
    let mut later = Scripted::connect(&site.place());
    later.say(Kind::Hello(Hello { needs: vec!["callers-1".to_owned()], ..Hello::default() }));
    assert!(matches!(later.hear(), Some(Kind::Welcome(_))));
    later.say(Kind::Ask(Ask { served: vec![GROUP.to_owned(), "n1".to_owned(), "n2".to_owned()] }));
    // The sockets are not counted while the caller needs a moment for its request.
    later.0.set_read_timeout(Some(A_MOMENT)).expect("a Unix socket has timeouts");
    assert!(later.hear().is_none(), "the state was told without the caller that connects");
    later.0.set_read_timeout(Some(PATIENCE)).expect("a Unix socket has timeouts");
    connecting.write_all(rest.as_bytes()).expect("the router reads on");
    let Some(Kind::State(state)) = later.hear() else { panic!("no state") };
    let callers = Callers::decode(state.callers).expect("callers").callers;
    let handshakes: Vec<bool> = callers.iter().map(|caller| caller.session.is_some()).collect();
    assert_eq!(handshakes, [true, false]);
    // The handover fails, and the running process takes connections again.
    drop(later);
    FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 1);
}

/// A process that has handed over drains already: a signal bounds the time for that, as with every drain.
#[test]
fn a_signal_lets_the_earlier_process_finish_its_calls_and_a_second_one_ends_it() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let begun = idm.call_on(0, &create_request());
    let lost = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("a call");
    let _next = site.router();
    first.process().signal(Signal::TERM);
    wait_until("the earlier process has seen the signal", PATIENCE, || {
        first.process().said_on_stderr("another signal ends the router")
    });
    at_member.socket.send(&answered(at_member.id()));
    let answer =
        idm.inbox.next("an answer after the signal", |frame| frame.answers(begun) || frame.answers(lost));
    assert!(answer.error().is_none(), "{answer:?}");
    let left = if answer.answers(begun) { lost } else { begun };
    first.process().signal(Signal::TERM);
    first.process().wait(PATIENCE);
    let end = idm.inbox.next("the end of the call that is left", |frame| frame.answers(left));
    assert!(end.error().is_some(), "{end:?}");
}

/// What the shell of the operator has set for other commands is no option of the router.
#[test]
fn an_upgrade_takes_no_variable_from_the_shell() {
    let site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let output = Command::new(workspace::binary("rcs-router"))
        .args(["upgrade", &site.place()])
        .env("RCS_ROUTER_TOKEN", "of-another-router-0123456789abcdef")
        .output()
        .expect("the command starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let number = said.strip_prefix("process ").and_then(|rest| rest.split(' ').next()?.parse::<i32>().ok());
    let later = number.unwrap_or_else(|| panic!("{said}"));
    let _later = Orphan(Pid::from_raw(later).expect("a process"));
    await_end(&mut first);
    let variables = std::fs::read(format!("/proc/{later}/environ")).expect("it runs");
    assert!(!String::from_utf8_lossy(&variables).contains("of-another-router"));
}

/// A caller that has not read a whole frame is still on its way to the second process. A third process could not have its socket.
#[test]
fn a_router_is_not_replaced_again_while_a_caller_stands_within_a_frame() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::new(first.listen(), &format!("/openicf/{GROUP}"), Manners::Polite);
    let socket = idm.dial_with_receive_buffer(4_096);
    idm.shake_hands(&socket);
    let call = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("the call");
    socket.stall();
    at_member.socket.send(&frames::answer(at_member.id(), &created(&"x".repeat(FRAME_BYTES))));
    wait_until("the answer is on its way", PATIENCE, || {
        first.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]) == 0.0
    });
    let mut next = site.router();
    next.await_up(GROUP, &MEMBERS);
    let mut refused = site.later(&[]);
    assert!(!refused.wait(PATIENCE).success());
    assert!(refused.said_on_stderr("have not read a whole frame yet"), "{:#?}", refused.stderr_lines());
    socket.read_on();
    let answer = idm.inbox.next("the answer", |frame| frame.answers(call));
    assert!(answer.error().is_none());
    await_end(&mut first);
    let last = site.router();
    await_end(&mut next);
    let call = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("a call to the third process");
    at_member.socket.send(&answered(at_member.id()));
    idm.inbox.next("its answer", |frame| frame.answers(call));
    assert!(last.is_ready());
}

/// The process that had the calls dies, and one of its callers reads nothing: the others are told all the same.
#[test]
fn a_caller_that_reads_nothing_keeps_no_other_from_hearing_of_its_lost_call() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let path = format!("/openicf/{GROUP}");
    let mut stuck = FakeIdm::new(first.listen(), &path, Manners::Polite);
    let socket = stuck.dial_with_receive_buffer(4_096);
    stuck.shake_hands(&socket);
    stuck.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("the call of the caller that reads nothing");
    socket.stall();
    at_member.socket.send(&frames::answer(at_member.id(), &created(&"x".repeat(FRAME_BYTES))));
    wait_until("the answer is on its way", PATIENCE, || {
        first.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]) == 0.0
    });
    let mut idm = FakeIdm::connect(first.listen(), &path, 1);
    let lost = idm.call_on(0, &create_request());
    site.members[0].inbox.operation("the call of the other one");
    let _next = site.router();
    first.process().kill();
    let end = idm.inbox.next("the end of the lost call", |frame| frame.answers(lost));
    assert!(end.error().is_some(), "{end:?}");
}

/// More than the kernel keeps for a caller that does not read.
const FRAME_BYTES: usize = 16 << 20;
