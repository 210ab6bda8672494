//! Outputs that cannot be written delay nobody (P10). Signals that do not mean the end are ignored.

use std::process::Stdio;
use std::time::Duration;

use rcs_rig::scripted::{FakeIdm, raw_exchange, upgrade_request};
use rcs_rig::streams::{closed_pipe, full_disk, full_pipe};
use rcs_rig::wait::wait_until;
use rustix::process::Signal;

use crate::serving::Serving;
use crate::support::{PATIENCE, Scratch, rcs_node, text};

/// x:y, which is a wrong key.
const WRONG: &str = "Basic eDp5";
/// A pipe holds 64 KiB: some 300 lines.
const REFUSED: usize = 400;
/// An idle node must end long before its drain time, which is 25 s.
const IDLE_END: Duration = Duration::from_secs(15);

#[test]
fn a_log_that_cannot_be_written_is_not_felt() {
    let (_unread, full) = full_pipe();
    for (what, log) in [("closed pipe", closed_pipe()), ("full disk", full_disk()), ("full pipe", full)] {
        let node = Serving::logging_to(Scratch::new(), "", &["--dev"], log);
        for _ in 0..REFUSED {
            let request = upgrade_request("/openicf", Some(WRONG), Some("v1.openicf.forgerock.org"));
            assert_eq!(raw_exchange(node.address, request.as_bytes()).status, 403, "{what}");
        }
        drop(FakeIdm::connect(node.address, "/openicf", 1));
        assert_eq!(node.end(Signal::TERM, IDLE_END).code(), Some(0), "{what}");
    }
}

#[test]
fn signals_that_mean_no_end_are_none() {
    let node = Serving::logging_to(Scratch::new(), "", &["--dev"], Stdio::piped());
    for signal in [Signal::USR1, Signal::USR2, Signal::PIPE, Signal::HUP] {
        node.process.signal(signal);
    }
    wait_until("it says so", PATIENCE, || node.process.said_on_stderr("SIGHUP is ignored: restart"));
    drop(FakeIdm::connect(node.address, "/openicf", 1));
    assert_eq!(node.end(Signal::TERM, IDLE_END).code(), Some(0));
}

#[test]
fn a_wrong_filter_is_refused_with_the_levels() {
    for command in [&["serve", "--properties", "none"][..], &["agent", "--properties", "none", "--once"]] {
        let ran = rcs_node().args(command).env("RCS_LOG", "verbose").output().expect("rcs-node starts");
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(64), "{told}");
        assert!(told.contains("The levels are off, error, warn, info, debug, trace;"), "{told}");
    }
}

#[test]
fn commands_end_quietly_if_their_reader_has_gone_and_fail_if_it_cannot_be_written() {
    let scratch = Scratch::new();
    let file = scratch.file("a.properties", "connectorserver.port=0\n");
    let beside = ["agent", "--once", "--properties", text(&file)];
    for arguments in [&["--help"][..], &["check", "--dev", text(&file)], &beside] {
        for (stream, code) in [(closed_pipe(), 0), (full_disk(), 70)] {
            let child = rcs_node().args(arguments).stdout(stream).stderr(Stdio::piped()).spawn();
            let ran = child.and_then(|child| child.wait_with_output()).expect("rcs-node starts");
            let told = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {told}");
            assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        }
    }
}
