//! A demo that ends by itself cleans up; what it shows, and how it ends otherwise, the router's own tests check.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rcs_rig::process::Process;
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;

const BOUND: Duration = Duration::from_secs(60);
/// The demo itself, its router and three nodes.
const PROCESSES: usize = 5;

#[test]
fn a_demo_that_ends_leaves_no_process() {
    let mark = format!("RCS_TEST_DEMO={}", std::process::id());
    let (name, value) = mark.split_once('=').expect("the mark is a variable");
    let mut command = Command::new(workspace::binary("rcs-router"));
    command.arg("demo").env(name, value);
    let mut demo = Process::start("rcs-router demo", command);
    wait_until("the demo has its children", BOUND, || marked(&mark) == PROCESSES);
    let status = demo.wait(BOUND);
    assert!(status.success(), "the demo ended with {status}\n{demo}");
    wait_until("its children are gone", Duration::from_secs(5), || marked(&mark) == 0);
}

/// Running processes that have inherited the variable `mark`; a zombie has no environment any more.
fn marked(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc can be listed");
    let environments = processes.flatten().filter_map(|e| fs::read(e.path().join("environ")).ok());
    environments.filter(|all| all.split(|b| *b == 0).any(|v| v == mark.as_bytes())).count()
}
