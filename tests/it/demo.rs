//! `rcs-router demo` (DESIGN 9; issue 3, a).

use std::fs;
use std::process::Command;
use std::time::Duration;

use rcs_tests::process::Process;
use rcs_tests::wait::wait_until;
use rcs_tests::workspace;

const BOUND: Duration = Duration::from_secs(60);
/// The demo itself, its router if that is a process of its own, and three nodes.
const PROCESSES: usize = 4;

#[test]
fn the_demo_succeeds_and_leaves_nothing_behind() {
    let mark = format!("RCS_TEST_DEMO={}", std::process::id());
    let (name, value) = mark.split_once('=').expect("the mark is a variable");
    let mut command = Command::new(workspace::binary("rcs-router"));
    command.arg("demo").env(name, value);
    let mut demo = Process::start("rcs-router demo", command);
    wait_until("the demo has its children", BOUND, || marked(&mark) >= PROCESSES);
    let status = demo.wait(BOUND);
    assert!(status.success(), "the demo ended with {status}\n{demo}");
    wait_until("its children are gone", Duration::from_secs(5), || marked(&mark) == 0);
    wait_until("its output is complete", Duration::from_secs(5), || demo.has_said_all());
    let text = demo.output().0.join("\n");
    println!("{text}");
    assert!(text.contains("0 failed, 0 hung"), "{text}");
    assert!(text.contains("killed"), "{text}");
}

/// Running processes that have inherited the variable `mark`; a zombie has no environment any more.
fn marked(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc can be listed");
    let environments = processes.flatten().filter_map(|e| fs::read(e.path().join("environ")).ok());
    environments.filter(|all| all.split(|b| *b == 0).any(|v| v == mark.as_bytes())).count()
}
