//! The demo shows what it promises, and cleans up however it ends.

use rcs_rig::process::Process;
use rcs_rig::wait::wait_until;
use rustix::process::{Pid, Signal, test_kill_process};

use crate::support::{PATIENCE, router, run, scratch};

#[test]
fn three_users_are_read_and_a_killed_node_costs_nothing() {
    let ran = run(&["demo"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for part in
        ["Astrid Karlsen", "Dominik Meier", "Ruth Okafor", "0 failed, 0 hung", "every read was answered"]
    {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
}

#[test]
fn a_cluster_of_three_loses_its_leader_and_a_node_and_answers_every_read() {
    let ran = run(&["demo", "--routers", "3"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for part in ["led, killed", "leads now", "0 failed, 0 hung", "changes agreed", "every read was answered"]
    {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
}

/// A demo that is killed cannot end its processes; they notice by themselves.
#[test]
fn a_killed_demo_leaves_no_process() {
    // It cannot remove its files either.
    let folder = scratch();
    let mut command = router(&["demo"]);
    command.env("TMPDIR", folder.path());
    let mut demo = Process::start("demo", command);
    demo.read_until("reading on", PATIENCE);
    let children = children_of(demo.pid());
    assert_eq!(children.len(), 4, "a router and three nodes");
    demo.kill();
    wait_until("the demo's processes end", PATIENCE, || children.iter().all(|pid| !is_running(*pid)));
}

#[test]
fn an_interrupted_demo_leaves_no_process() {
    let mut demo = Process::start("demo", router(&["demo"]));
    demo.read_until("reading on", PATIENCE);
    let children = children_of(demo.pid());
    demo.signal(Signal::INT);
    assert_eq!(demo.wait(PATIENCE).code(), Some(69));
    assert!(children.iter().all(|pid| !is_running(*pid)));
}

/// Linux keeps them in /proc.
fn children_of(pid: u32) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .collect()
}

/// A process whose parent has died may be a zombie for a while: nobody is left to take its exit code.
fn is_running(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    test_kill_process(pid).is_ok() && !matches!(state, None | Some('Z' | 'X'))
}
