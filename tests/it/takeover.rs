//! A later router process takes over from the running one: callers' sockets, their calls, the addresses (P14).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use prost::Message as _;
use rcs_proto::frames;
use rcs_proto::messages::handover::message::Kind;
use rcs_proto::messages::handover::{Ask, Built, Done, Hello, Message};
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::metrics::{http_get, http_post};
use rcs_rig::ports::free_port;
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, FakeMember, Frame, Manners};
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::answers::{create_request, created, search_request};
use crate::bounds::PATIENCE;
use crate::site::{GROUP, JavaSite, MEMBERS, scripted_provider};

mod edges;

/// Scripted members, and routers that take over from each other in front of them.
struct Site {
    members: [FakeMember; 2],
    scratch: TempDir,
    /// The path of a Unix socket has 107 bytes at most, so the socket is not below the target folder.
    meeting: TempDir,
}

impl Site {
    fn start() -> Self {
        let members = MEMBERS.map(|name| FakeMember::listen(name, Manners::Polite));
        Self { members, scratch: workspace::scratch(), meeting: meeting() }
    }

    fn place(&self) -> String {
        place(&self.meeting)
    }

    fn router(&self) -> Router {
        self.router_with(&[])
    }

    fn router_with(&self, options: &[&str]) -> Router {
        let provider = scripted_provider(&self.scratch, "failover", 1, &self.members);
        let place = place(&self.meeting);
        Router::start_with(&provider, &[&["--take-over", &place], options].concat())
    }

    /// A later process whose provider file has no member that can be reached. Returns what it said at its end.
    fn useless(&self, options: &[&str]) -> String {
        let folder = workspace::scratch();
        let elsewhere = Provider::new()
            .server("n1", free_port(), 1)
            .server("n2", free_port(), 1)
            .group(GROUP, "failover", &MEMBERS)
            .write(folder.path());
        let mut command = Command::new(workspace::binary("rcs-router"));
        command.arg("serve").arg("--provider").arg(&elsewhere);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dev"]);
        command.args(["--take-over", &place(&self.meeting)]).args(options);
        let output = command.output().expect("a later process starts");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A later process that is not waited for.
    fn later(&self, options: &[&str]) -> Process {
        let provider = scripted_provider(&self.scratch, "failover", 1, &self.members);
        let mut command = Command::new(workspace::binary("rcs-router"));
        command.arg("serve").arg("--provider").arg(&provider);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dev"]);
        command.args(["--take-over", &place(&self.meeting)]).args(options);
        Process::start("later rcs-router", command)
    }
}

fn meeting() -> TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

fn place(meeting: &TempDir) -> String {
    meeting.path().join("take-over").to_string_lossy().into_owned()
}

fn answered(id: i64) -> Bytes {
    frames::answer(id, &created("made"))
}

/// The running process ends by itself, without an error.
fn await_end(router: &mut Router) {
    let status = router.process().wait(PATIENCE);
    assert!(status.success(), "{status}: {:#?}", router.process().stderr_lines());
}

#[test]
fn calls_of_both_processes_are_answered_on_the_same_sockets() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let begun = idm.call_on(0, &create_request());
    // A change is not cancelled at a member, a search is.
    let cancelled = idm.call_on(1, &search_request());
    let at_member = |site: &mut Site, reason: &str| site.members[0].inbox.operation(reason);
    let of = |site: &mut Site, is_search: bool| {
        let fits = |frame: &Frame| frame.operation().is_some_and(|call| call.search.is_some() == is_search);
        site.members[0].inbox.next("a call", fits)
    };
    let (one, other) = (of(&mut site, false), of(&mut site, true));

    let mut next = site.router();
    assert_eq!((next.listen(), next.admin()), (first.listen(), first.admin()));
    next.await_up(GROUP, &MEMBERS);
    assert!(first.process().is_running(), "it has two calls");

    // A new call goes to the later process, which has a session of its own with the member.
    let later = idm.call_on(0, &create_request());
    let third = at_member(&mut site, "the call to the later process");
    assert_ne!(third.socket.number(), one.socket.number());
    third.socket.send(&answered(third.id()));
    idm.inbox.next("the answer of the later process", |frame| frame.answers(later));

    // A cancel finds the process that has the call, and so does the member's answer.
    idm.socket(0).send(&frames::cancel(cancelled));
    site.members[0].inbox.next("the cancel", |frame| frame.is_cancel() && frame.id() == other.id());
    one.socket.send(&answered(one.id()));
    let answer = idm.inbox.next("the answer of the earlier process", |frame| frame.answers(begun));
    assert!(answer.error().is_none(), "{answer:?}");
    await_end(&mut first);

    // And again, from the later one to a third.
    let open = idm.call_on(1, &create_request());
    let fourth = at_member(&mut site, "a call to the second process");
    let third_router = site.router();
    fourth.socket.send(&answered(fourth.id()));
    idm.inbox.next("the answer of the second process", |frame| frame.answers(open));
    await_end(&mut next);
    let last = idm.call_on(0, &create_request());
    let fifth = at_member(&mut site, "a call to the third process");
    fifth.socket.send(&answered(fifth.id()));
    idm.inbox.next("the answer of the third process", |frame| frame.answers(last));
    assert!(third_router.is_ready());
}

/// Whatever becomes of the later process before the callers are its own, the running one goes on.
#[test]
fn a_later_process_that_cannot_serve_takes_nothing_over() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 1);
    let said = site.useless(&[]);
    assert!(said.contains("group \"g\" has a member that gets calls here"), "{said}");
    let call = idm.call(&create_request());
    let at_member = site.members[0].inbox.operation("a call after the failed handover");
    at_member.socket.send(&answered(at_member.id()));
    idm.inbox.next("its answer", |frame| frame.answers(call));
    assert!(first.is_ready());
    let lines = first.process().stderr_lines();
    assert!(lines.iter().any(|line| line.contains("nothing was handed over")), "{lines:#?}");
}

/// The process that had the calls dies: its callers are told at once.
#[test]
fn calls_of_an_earlier_process_that_is_killed_end_within_a_second() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let lost = idm.call_on(0, &create_request());
    site.members[0].inbox.operation("the call");
    let _next = site.router();
    first.process().kill();
    let killed = Instant::now();
    let end = idm.inbox.next("the end of the lost call", |frame| frame.answers(lost));
    println!("told {:?} after the kill", killed.elapsed());
    let text = &end.error().expect("an error").message;
    assert!(text.starts_with("Outcome unknown: the router process that had this call has ended"), "{text}");
}

/// Marks, the work list of unknown outcomes, and the right to decide go over with the data directory.
#[test]
fn what_is_stored_goes_over_and_comes_back_if_the_handover_fails() {
    let mut site = Site::start();
    let data = workspace::scratch();
    let options = ["--data-dir", data.path().to_str().expect("scratch paths are UTF-8")];
    let mut first = site.router_with(&options);
    first.await_up(GROUP, &MEMBERS);
    let change = |router: &Router, change: &str| {
        let path = format!("/v1/groups/{GROUP}/members/n2/{change}");
        wait_until(&format!("{change} is agreed"), PATIENCE, || {
            http_post(router.admin(), &path, None).0 == 200
        });
    };
    change(&first, "drain");
    let said = site.useless(&[]);
    assert!(said.contains("one process has --data-dir"), "{said}");
    // A later process that dies before it has the callers: it waits for n2, which does not answer.
    site.members[1].freeze();
    let mut doomed = site.later(&options);
    wait_until("the later process has the store", PATIENCE, || {
        doomed.said_on_stderr("taking over from a running router")
            && http_get(first.admin(), "/v1/cluster").1.contains("\"down\"")
    });
    doomed.kill();
    change(&first, "undrain");
    change(&first, "drain");

    // A call whose outcome nobody knows, once its member dies.
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let lost = idm.call_on(0, &create_request());
    site.members[0].inbox.operation("the call");
    let next = site.router_with(&options);
    site.members[0].die();
    let end = idm.inbox.next("the end of the lost call", |frame| frame.answers(lost));
    assert!(end.error().is_some_and(|error| error.message.starts_with("Outcome unknown")), "{end:?}");
    await_end(&mut first);
    let get = |path: &str| http_get(next.admin(), path).1;
    assert!(get("/v1/members").contains("drained"), "{}", get("/v1/members"));
    wait_until("the unknown outcome is on the list", PATIENCE, || get("/v1/unknown").contains("create"));
    change(&next, "undrain");
}

/// A real IDM of 1.8.0, which never dials again, under load.
#[test]
fn a_java_idm_notices_nothing_of_five_handovers() {
    let Some(java) = Java::or_skip("takeover::a_java_idm_notices_nothing_of_five_handovers") else { return };
    let site = JavaSite::start(&java);
    let meeting = meeting();
    let place = place(&meeting);
    let mut router = site.router_with("roundrobin", 2, &["--take-over", &place]);
    let port = router.listen().port();
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&site.journal("journal").use_command());
    idm.ok("create name=u0");
    let sockets = idm.sockets_to(port);
    idm.begin("load create+get 8 20 u0 w");
    for round in 0..5 {
        wait_until("calls pass", PATIENCE, || {
            router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("outcome", "ok")]) >= 200.0
        });
        let began = Instant::now();
        let next = site.router_with("roundrobin", 2, &["--take-over", &place]);
        let took = began.elapsed();
        await_end(&mut router);
        let frozen = router.process().stderr_lines().into_iter().find(|line| line.contains("frozen_ms"));
        println!("handover {round}: {took:?} from start to ready; {}", frozen.unwrap_or_default());
        router = next;
    }
    let load = idm.load_answer();
    println!("five handovers under load: {load:?}");
    assert_eq!((load.err, load.hung_threads), (0, 0), "{load:?}");
    assert_eq!(idm.sockets_to(port), sockets, "the caller's own sockets were touched");
    let writes = site.journal("journal").writes("CREATE");
    let twice: Vec<_> = writes.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "changes that were not made once: {twice:?}");
    assert_eq!(writes.len() as u64, load.done["create"] + 1, "and u0");
    assert_eq!(idm.ask("test"), "ok");
}

/// A later process that this test plays: it says what it is told to say, and no more.
struct Scripted(UnixStream);

impl Scripted {
    fn connect(place: &str) -> Self {
        let stream = UnixStream::connect(place).expect("a router waits there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a Unix socket has timeouts");
        Self(stream)
    }

    fn say(&mut self, kind: Kind) {
        let bytes = Message { kind: Some(kind) }.encode_to_vec();
        let size = u32::try_from(bytes.len()).expect("a small message");
        // The running process may have given up by now.
        let _ = self.0.write_all(&[&size.to_be_bytes(), [0; 4].as_slice(), &bytes].concat());
    }

    /// The next message; `None` at the end. Descriptors beside it are closed.
    fn hear(&mut self) -> Option<Kind> {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).ok()?;
        let number =
            |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
        let (size, descriptors) = (number(0), number(4));
        let mut rest = vec![0; descriptors.div_ceil(200) + size];
        self.0.read_exact(&mut rest).ok()?;
        Message::decode(&rest[descriptors.div_ceil(200)..]).expect("a message").kind
    }
}

/// Dead, silent or confused at any point: the running process goes on with all its callers.
#[test]
fn a_later_process_that_fails_at_any_point_changes_nothing() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let place = site.place();
    let hello = || Kind::Hello(Hello { needs: vec!["callers-1".to_owned()], ..Hello::default() });
    let ask = || Kind::Ask(Ask { served: vec![GROUP.to_owned(), "n1".to_owned(), "n2".to_owned()] });
    let later = || Scripted::connect(&place);
    let points: [(&str, &[usize]); 4] =
        [("hello", &[]), ("ask", &[0]), ("built", &[0, 1]), ("running", &[0, 1, 2])];
    let mut round = 0;
    for (point, said) in points {
        for way in ["dies", "hangs", "talks nonsense"] {
            // A call is open meanwhile, on each socket in turn.
            let call = idm.call_on(round % 2, &create_request());
            round += 1;
            let at_member = site.members[0].inbox.operation("a call");
            let mut scripted = later();
            for step in said {
                scripted.say([hello(), ask(), Kind::Built(Built {})][*step].clone());
                assert!(scripted.hear().is_some(), "{point}, {step}");
            }
            match way {
                "dies" => drop(scripted),
                "hangs" => while scripted.hear().is_some_and(|kind| !matches!(kind, Kind::Refused(_))) {},
                _ => {
                    scripted.say(Kind::Done(Done::default()));
                    while scripted.hear().is_some_and(|kind| !matches!(kind, Kind::Refused(_))) {}
                }
            }
            at_member.socket.send(&answered(at_member.id()));
            idm.inbox.next(&format!("an answer after a later process that {way} at {point}"), |frame| {
                frame.answers(call)
            });
        }
    }
    let next = site.router();
    await_end(&mut first);
    let call = idm.call_on(0, &create_request());
    let at_member = site.members[0].inbox.operation("a call");
    at_member.socket.send(&answered(at_member.id()));
    idm.inbox.next("an answer of the process that did not fail", |frame| frame.answers(call));
    assert!(next.is_ready());
}

/// The IDM reads nothing while the routers change: a frame to it is cut by its full socket, and thousands wait behind it.
#[test]
fn a_java_idm_that_stands_still_gets_its_whole_search_from_two_processes() {
    let name = "takeover::a_java_idm_that_stands_still_gets_its_whole_search_from_two_processes";
    let Some(java) = Java::or_skip(name) else { return };
    let site = JavaSite::start(&java);
    let meeting = meeting();
    let place = place(&meeting);
    let mut router = site.router_with("roundrobin", 2, &["--take-over", &place]);
    let journal = site.journal("journal");
    journal.seed(ROWS, 1024);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    idm.ok(&journal.use_command());
    let all = format!("ok {ROWS} cookie=null u1..u{ROWS} ordered");
    for _ in 0..2 {
        idm.begin("search");
        let in_flight = |router: &Router| router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]);
        wait_until("the search runs", PATIENCE, || in_flight(&router) >= 1.0);
        idm.process().freeze();
        let next = site.router_with("roundrobin", 2, &["--take-over", &place]);
        assert!(router.process().is_running(), "it has rows for an IDM that does not read");
        idm.process().thaw();
        assert_eq!(idm.answer("search", PATIENCE), all);
        await_end(&mut router);
        router = next;
    }
    assert_eq!(idm.ask("test"), "ok");
}

const ROWS: usize = 100_000;

/// A process that is not this test's child. It ends with this value.
struct Orphan(Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(self.0, Signal::TERM);
    }
}

#[test]
fn one_command_upgrades_a_router_with_its_own_options() {
    let mut site = Site::start();
    let mut first = site.router();
    first.await_up(GROUP, &MEMBERS);
    let mut idm = FakeIdm::connect(first.listen(), &format!("/openicf/{GROUP}"), 2);
    let upgrade = |place: &str| {
        let output = Command::new(workspace::binary("rcs-router"))
            .args(["upgrade", place])
            .output()
            .expect("the command starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (is_done, said) = upgrade(&site.place());
    assert!(is_done, "{said}");
    let number = said.strip_prefix("process ").and_then(|rest| rest.split(' ').next()?.parse::<i32>().ok());
    let _later = Orphan(number.and_then(Pid::from_raw).unwrap_or_else(|| panic!("{said}")));
    assert!(said.contains(&format!("process {} answers the calls", first.process().pid())), "{said}");
    // The later process says that it is ready where the first one said so.
    first.process().read_until("ready ", PATIENCE);
    await_end(&mut first);
    let call = idm.call(&create_request());
    let at_member = site.members[0].inbox.operation("a call to the later process");
    at_member.socket.send(&answered(at_member.id()));
    idm.inbox.next("an answer of the later process", |frame| frame.answers(call));
    assert!(first.is_ready(), "at the same address");

    let (is_done, said) = upgrade(&site.place().replace("take-over", "nowhere"));
    assert!(!is_done && said.contains("no router can be upgraded"), "{said}");
}

/// Callers of the crowd, with two sockets each.
const CALLERS: usize = 500;
/// Calls of each caller that are open while the processes change.
const CALLS: usize = 20;
/// Callers' sockets stand still for so long at most, on a machine that may have many times the work that it has processors for. On a quiet
/// one it is 100 ms (the drill `take-over` measures).
const FROZEN_WITHIN_MS: u64 = 1_000;

#[test]
fn a_thousand_sockets_with_ten_thousand_open_calls_go_over_at_once() {
    let mut site = Site::start();
    let config = site.scratch.path().join("router.toml");
    std::fs::write(&config, "[group.g]\nmember_in_flight_max = 20000\n")
        .expect("the scratch folder can be written to");
    let options = ["--config", config.to_str().expect("scratch paths are UTF-8")];
    let mut first = site.router_with(&options);
    first.await_up(GROUP, &MEMBERS);
    let path = format!("/openicf/{GROUP}");
    let mut idms: Vec<FakeIdm> = (0..CALLERS).map(|_| FakeIdm::connect(first.listen(), &path, 2)).collect();
    let open: Vec<Vec<i64>> = idms
        .iter_mut()
        .map(|idm| (0..CALLS).map(|n| idm.call_on(n % 2, &create_request())).collect())
        .collect();
    let calls: Vec<Frame> =
        (0..CALLERS * CALLS).map(|_| site.members[0].inbox.operation("one of the calls")).collect();
    let next = site.router_with(&options);
    let frozen = first.process().stderr_lines().into_iter().find_map(|line| {
        Some((
            line.split_once(" sockets=")?.1.to_owned(),
            line.split_once("frozen_ms=")?.1.trim().parse::<u64>().ok()?,
        ))
    });
    let (sockets, frozen) = frozen.expect("the earlier process says how long it took");
    println!("handed over with {} calls open: {sockets}", calls.len());
    assert!(sockets.starts_with(&format!("{} ", 2 * CALLERS)), "{sockets}");
    assert!(frozen <= FROZEN_WITHIN_MS, "{frozen} ms");
    for call in &calls {
        call.socket.send(&answered(call.id()));
    }
    for (idm, ids) in idms.iter_mut().zip(open) {
        for id in ids {
            let answer = idm.inbox.next("an answer of the earlier process", |frame| frame.answers(id));
            assert!(answer.error().is_none(), "{answer:?}");
        }
    }
    await_end(&mut first);
    for idm in &mut idms {
        let call = idm.call(&create_request());
        let at_member = site.members[0].inbox.operation("a call to the later process");
        at_member.socket.send(&answered(at_member.id()));
        idm.inbox.next("an answer of the later process", |frame| frame.answers(call));
    }
    assert!(next.is_ready());
}

/// An address that a group got by a reload is not among the sockets that the first process was started with.
#[test]
fn an_address_that_came_by_a_reload_is_served_by_the_later_process_too() {
    let site = Site::start();
    let config = site.scratch.path().join("router.toml");
    std::fs::write(&config, "").expect("the scratch folder can be written to");
    let options = ["--config", config.to_str().expect("scratch paths are UTF-8")];
    let mut first = site.router_with(&options);
    first.await_up(GROUP, &MEMBERS);
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let is_served = || TcpStream::connect(address).is_ok();
    std::fs::write(&config, format!("[group.g]\nlisten = \"{address}\"\n")).expect("it can be written again");
    wait_until("the group has its address", PATIENCE, is_served);
    let mut idm = FakeIdm::connect(address, "/openicf", 1);
    let _next = site.router_with(&options);
    await_end(&mut first);
    wait_until("the later process listens there", PATIENCE, is_served);
    for idm in [&mut idm, &mut FakeIdm::connect(address, "/openicf", 1)] {
        assert!(!idm.ask_for_connectors(PATIENCE).is_empty());
    }
}

/// A connection that is accepted in the moment of a handover goes over as well.
#[test]
fn callers_that_connect_while_processes_change_stay_connected() {
    const HANDOVERS: usize = 5;
    let site = Site::start();
    let mut router = site.router();
    router.await_up(GROUP, &MEMBERS);
    let (listen, path) = (router.listen(), format!("/openicf/{GROUP}"));
    let is_over = AtomicBool::new(false);
    let (mut idms, last) = thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            let mut idms = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                idms.push(FakeIdm::connect(listen, &path, 1));
            }
            idms
        });
        for _ in 0..HANDOVERS {
            let next = site.router();
            await_end(&mut router);
            router = next;
        }
        is_over.store(true, Ordering::SeqCst);
        (connecting.join().expect("every connection is let in"), router)
    });
    println!("{} callers connected during {HANDOVERS} handovers", idms.len());
    for idm in &mut idms {
        assert!(!idm.socket(0).is_closed());
        assert!(!idm.ask_for_connectors(PATIENCE).is_empty());
    }
    drop(last);
}
