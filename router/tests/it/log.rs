//! A log that cannot be written delays nobody (P10), all lines of the log go through the queue, and a wrong filter is refused.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::process::Process;
use rcs_rig::scripted::{raw_exchange, upgrade_request, validate_request};
use rcs_rig::streams::{closed_pipe, full_disk, full_pipe, named_pipe, read_named_pipe};
use rcs_rig::wait::wait_until;
use rustix::process::Signal;

use crate::support::{AT_ONCE, Router, member, provider, router, run_command, scratch};

/// x:y, which is a wrong key.
const WRONG: &str = "Basic eDp5";
/// A pipe holds 64 KiB: some 300 lines.
const REFUSED: usize = 400;
/// An idle router must end long before its drain time, which is 25 s.
const IDLE_END: Duration = Duration::from_secs(15);

/// A router that logs all it can to this stream.
fn serve(provider: &std::path::Path, log: Stdio) -> Router {
    let mut command = router(&["serve", "--provider", provider.to_str().unwrap(), "--dev"]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).env("RCS_LOG", "trace");
    Router::started(Process::start_logging_to("rcs-router", command, log))
}

/// Strangers, a caller, the admin address and the end of the router work as if the log could be written.
fn nothing_is_felt(what: &str, log: Stdio) -> u64 {
    let folder = scratch();
    let mut member = member("n1");
    let mut router = serve(&provider(&folder, &[("n1", &member)]), log);
    router.await_ready();
    for _ in 0..REFUSED {
        let request = upgrade_request("/openicf/g", Some(WRONG), Some("v1.openicf.forgerock.org"));
        assert_eq!(raw_exchange(router.listen, request.as_bytes()).status, 403, "{what}");
    }
    let mut idm = router.idm("g");
    let id = idm.call(&validate_request());
    let call = member.inbox.operation("the call");
    let answer = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &answer));
    assert!(idm.answer(id).answer().is_some(), "{what}");
    router.await_alive();
    let metrics = router.get("/metrics").1;
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("rcs_log_lines_dropped_total "));
    let dropped = dropped.and_then(|count| count.parse().ok()).expect("the metric is there");
    for signal in [Signal::USR1, Signal::USR2, Signal::HUP, Signal::PIPE] {
        router.process.signal(signal);
    }
    router.await_alive();
    router.process.signal(Signal::TERM);
    assert_eq!(router.process.wait(IDLE_END).code(), Some(0), "{what}");
    dropped
}

#[test]
fn a_log_whose_reader_is_gone_is_not_felt() {
    assert!(nothing_is_felt("closed pipe", closed_pipe()) > 0);
}

#[test]
fn a_log_on_a_full_disk_is_not_felt() {
    assert!(nothing_is_felt("full disk", full_disk()) > 0);
}

/// The lines fit into the queue, so no line is lost yet.
#[test]
fn a_log_that_nobody_reads_is_not_felt() {
    let (_unread, log) = full_pipe();
    nothing_is_felt("full pipe", log);
}

/// Lines that nobody could read are counted in the log, as soon as somebody reads again.
#[test]
fn lost_lines_are_told_when_the_log_can_be_written_again() {
    let folder = scratch();
    let member = member("n1");
    let path = folder.path().join("log");
    let (reader, log) = named_pipe(&path);
    let router = serve(&provider(&folder, &[("n1", &member)]), log);
    router.await_ready();
    drop(reader);
    wait_until("lines are lost", AT_ONCE, || {
        router.process.signal(Signal::HUP);
        !router.get("/metrics").1.contains("rcs_log_lines_dropped_total 0\n")
    });
    let lines = BufReader::new(read_named_pipe(&path)).lines().map_while(Result::ok);
    router.process.signal(Signal::HUP);
    let told = lines.take(1000).find(|line| line.contains(" were lost: ") || line.contains(" was lost: "));
    assert!(told.as_deref().is_some_and(|line| line.contains(" WARN ")), "{told:?}");
}

/// A name that a peer chose cannot forge a line of the log.
#[test]
fn a_peer_writes_no_line_of_its_own() {
    let folder = scratch();
    let member = member("n1");
    let router = serve(&provider(&folder, &[("n1", &member)]), Stdio::piped());
    router.await_ready();
    // "a\r\n2026-01-01  INFO forged\x1b[2J:changeit"
    let principal = "Basic YQ0KMjAyNi0wMS0wMSAgSU5GTyBmb3JnZWQbWzJKOmNoYW5nZWl0";
    let request = upgrade_request("/openicf/g", Some(principal), Some("v1.openicf.forgerock.org"));
    let answer = raw_exchange(router.listen, request.as_bytes());
    assert_eq!(answer.status, 101, "{answer:?}");
    router.await_log("\\r\\n2026-01-01  INFO forged");
    for line in router.process.stderr_lines() {
        assert!(!line.contains(['\r', '\x1b']) && !line.starts_with("2026-01-01"), "{line:?}");
    }
}

#[test]
fn hangup_reads_the_files_at_once() {
    let folder = scratch();
    let member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    router.await_ready();
    router.process.signal(Signal::HUP);
    router.await_log("SIGHUP: the files were read again; they have not changed since the last look");
}

#[test]
fn a_wrong_filter_is_refused_with_the_levels() {
    let mut command = router(&["serve", "--provider", "none.json", "--dev"]);
    command.env("RCS_LOG", "verbose");
    let ran = run_command(command);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(64), ""), "{ran:?}");
    assert!(
        ran.stderr
            .contains("\"verbose\" is not a level. The levels are off, error, warn, info, debug, trace;"),
        "{ran:?}"
    );
}
