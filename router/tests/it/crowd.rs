//! Crowds at the callers' address. Strangers' connections keep no caller out, and use up no descriptors that the router needs (P10).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::scripted::{FakeIdm, FakeMember, Manners, upgrade_request, validate_request};
use rcs_rig::wait::wait_until;

use crate::support::{PATIENCE, Router, member, provider, router, scratch};

/// Connections of strangers at a time, and connections that come while callers connect.
const STRANGERS: usize = 10_000;
const MORE: usize = 500;
/// The longest wait of a caller beside the strangers, on a machine with ten times as much work as processors. On a quiet machine the wait
/// is below a second. It was 24 s there when each silent connection had a place.
const SOON: Duration = Duration::from_secs(20);
/// Descriptors that a router may open in these tests, and how many of them callers' connections may have at most.
const FEW: usize = 256;
const FEW_CALLERS: usize = 192;

fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// Asks for a WebSocket with the key. Returns the first line of the answer; empty if there is no answer.
fn ask(router: &Router) -> (TcpStream, String) {
    // anonymous:changeit
    let request = upgrade_request("/openicf/g", Some("Basic YW5vbnltb3VzOmNoYW5nZWl0"), None);
    let mut stream = TcpStream::connect(router.listen).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut line = [0; 12];
    let answered = stream.read_exact(&mut line).is_ok();
    let line = if answered { String::from_utf8_lossy(&line).into_owned() } else { String::new() };
    (stream, line)
}

/// A router whose process is started with a limit of open files, as `ulimit` takes it.
fn limited(limit: &str, document: &Path) -> Router {
    let document = document.to_str().unwrap();
    let arguments =
        ["serve", "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--provider", document];
    let wanted = router(&arguments);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit {limit} && exec \"$0\" \"$@\""));
    command.arg(wanted.get_program()).args(wanted.get_args());
    for (name, _) in wanted.get_envs() {
        command.env_remove(name);
    }
    Router::start(command)
}

#[test]
fn callers_are_let_in_at_once_beside_silent_strangers() {
    Descriptors::raise().unwrap();
    let folder = scratch();
    let member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    router.await_ready();
    let start = Instant::now();
    let mut strangers = silent(router.listen, STRANGERS);
    let came = start.elapsed();
    for _ in 0..4 {
        let asked = Instant::now();
        let (_caller, answer) = ask(&router);
        assert_eq!(answer, "HTTP/1.1 101");
        println!("{STRANGERS} strangers came in {came:?}; a caller was in after {:?}", asked.elapsed());
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        strangers.extend(silent(router.listen, MORE));
    }
    router.await_log(
        "more connections in the last second: silent or slow while others waited (last from 127.0.0.1:",
    );
    let told = router.process.stderr_lines().iter().filter(|line| line.contains("refused")).count();
    let most = 3 * (start.elapsed().as_secs() as usize + 2);
    assert!(told <= most, "{told} lines in {:?}", start.elapsed());
    router.await_alive();
}

#[test]
fn a_router_with_few_descriptors_keeps_some_for_members_and_operators() {
    let folder = scratch();
    let mut first = member("n1");
    let port = first.port();
    let router = limited(&format!("-n {FEW}"), &provider(&folder, &[("n1", &first)]));
    router.await_log("256 files and connections may be open");
    router.await_ready();
    let mut idm = router.idm("g");

    let strangers = silent(router.listen, 400);
    let (_caller, answer) = ask(&router);
    assert_eq!(answer, "HTTP/1.1 101", "the silent ones make room");
    router.await_alive();
    assert_eq!(router.get("/v1/members").0, 200);
    drop(strangers);

    // First come callers whose connections may not be dropped. Then more connect, until another one finds no descriptors.
    let _sessions: Vec<FakeIdm> = (0..9).map(|_| FakeIdm::connect(router.listen, "/openicf/g", 16)).collect();
    let mut callers = Vec::new();
    wait_until("a caller is refused", PATIENCE, || {
        let (stream, answer) = ask(&router);
        callers.push(stream);
        assert!(callers.len() <= FEW_CALLERS, "callers take what is kept");
        answer.is_empty()
    });
    router.await_log("a connection was refused: as many connections are open as this process may have");
    router.await_alive();
    assert_eq!(router.get("/v1/members").0, 200);

    first.die();
    wait_until("the member is gone", PATIENCE, || router.get("/readyz").0 == 503);
    let _strangers = silent(router.listen, 400);
    let second = FakeMember::listen_on("n1", port, Manners::Polite);
    router.await_ready();
    let id = idm.call(&validate_request());
    let mut second = second;
    let call = second.inbox.operation("the call");
    let answer = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &answer));
    assert!(idm.answer(id).answer().is_some());
    assert!(!router.process.said_on_stderr("cannot accept connections"), "{}", router.process);
}

#[test]
fn the_soft_limit_of_descriptors_is_raised() {
    let folder = scratch();
    let member = member("n1");
    let router = limited("-S -n 256", &provider(&folder, &[("n1", &member)]));
    router.await_log("(the soft limit was 256, and was raised to the hard limit)");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", router.process.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    router.await_ready();
}
