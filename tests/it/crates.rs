//! What the shipped programs are built from: each carries only what its work needs.
#![allow(clippy::panic, reason = "a tree that cargo cannot draw fails the test on the spot")]

use std::env;
use std::process::Command;

use rcs_rig::workspace::root;

#[test]
fn a_router_without_the_demo_is_built_without_the_node() {
    let without = crates_in("rcs-router", &["--no-default-features"]);
    assert!(without.iter().any(|name| name == "rcs-core"), "a router's tree has its core: {without:?}");
    assert!(!without.iter().any(|name| name == "rcs-node"), "only the demo may bring the node: {without:?}");
    let with = crates_in("rcs-router", &[]);
    assert!(
        with.iter().any(|name| name == "rcs-node"),
        "the demo, and with it the node, is there by default"
    );
    let rest: Vec<_> = without.iter().filter(|name| !with.contains(name)).collect();
    assert!(
        rest.is_empty() && without.len() < with.len(),
        "the demo only adds crates, and {rest:?} are not there with it"
    );
}

#[test]
fn the_bench_is_built_without_the_test_suites() {
    let crates = crates_in("rcs-bench", &[]);
    assert!(crates.iter().any(|name| name == "rcs-rig"), "the drills use the rig: {crates:?}");
    for suites in ["rcs-tests", "proptest"] {
        assert!(!crates.iter().any(|name| name == suites), "{suites} is for tests alone");
    }
}

/// Names of the crates that end up in a package's programs, with these choices of features.
fn crates_in(package: &str, features: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args([
        "tree",
        "--offline",
        "--locked",
        "--package",
        package,
        "--edges",
        "normal",
    ]);
    cargo.args(["--prefix", "none", "--no-dedupe", "--format", "{p}"]).args(features);
    let output = cargo.output().expect("cargo, which runs this test, can be started");
    assert!(output.status.success(), "{cargo:?}: {}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let mut crates: Vec<String> =
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    crates.sort();
    crates.dedup();
    crates
}
