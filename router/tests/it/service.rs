//! Routers of a StatefulSet: all have the same arguments, each has a host name of its own, and they find each other by names of which the
//! addresses change. Each router has namespaces of its own for its host name and for the system's table of hosts, so the resolver is the real
//! one.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rcs_rig::metrics::http_get;
use rcs_rig::process::Process;
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, file, member, provider, router, run, scratch};

/// What makes a host of a process: its table of hosts, and its name.
const HOST: &str = r#"mount --bind "$0" /etc/hosts && hostname "$1" && shift && exec "$@""#;

/// Namespaces for one process. A user who is not root becomes root in them.
fn namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--uts"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// Whether this machine gives processes namespaces of their own.
fn or_skip(test: &str) -> bool {
    let has = namespaces().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !has {
        assert!(std::env::var_os("RCS_REQUIRE_ALL").is_none(), "{test} needs namespaces (unshare)");
        // Past the test runner's capture, or nobody would see what was not tested.
        let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: no namespaces");
    }
    has
}

/// Starts the pod with this ordinal. The pod's cluster address is there.
fn pod(folder: &TempDir, ordinal: usize, address: &str) -> Router {
    let path = |name: &str| folder.path().join(name);
    let data = path(&format!("data-{ordinal}"));
    std::fs::create_dir_all(&data).unwrap();
    let serve = router(&["serve", "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut command = namespaces();
    command.args(["sh", "-c", HOST]).arg(path("hosts")).arg(format!("rr-{ordinal}"));
    command.arg(serve.get_program()).args(serve.get_args());
    command.env_remove("RCS_LOG").env_remove("RCS_ROUTER_CALLER_KEY_FILE").env_remove("RCS_ROUTER_TOKEN");
    command.arg("--provider").arg(path("provider.json")).arg("--data-dir").arg(data);
    command.args(["--cluster", address, "--peers", "dns:peers.test", "--expect", "3"]);
    command.arg("--cluster-certs").arg(path("certs"));
    Router::started(Process::start(&format!("rr-{ordinal}"), command))
}

fn status(router: &Router) -> Value {
    serde_json::from_str(&http_get(router.admin, "/v1/cluster").1).unwrap_or_default()
}

/// Writes which pod has which address.
fn name(folder: &TempDir, addresses: &[&str]) {
    let row = |(ordinal, address): (usize, &&str)| format!("{address} rr-{ordinal}.peers.test\n");
    let rows: String = addresses.iter().enumerate().map(row).collect();
    // In place, as the file is mounted.
    file(folder, "hosts", &format!("127.0.0.1 localhost\n{rows}"));
}

#[test]
fn pods_with_the_same_arguments_make_one_cluster_and_follow_a_pod_to_its_new_address() {
    if !or_skip("a cluster of pods") {
        return;
    }
    let folder = scratch();
    let members = [member("n1"), member("n2")];
    let written = provider(&folder, &[("n1", &members[0]), ("n2", &members[1])]);
    assert_eq!(written, folder.path().join("provider.json"));
    let mut addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    // All pods have the same port; a port that is free at one of their addresses is free at all, but for bad luck.
    let port = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
    let listed: Vec<String> = (0..3).map(|at| format!("{}=rr-{at}.peers.test:{port}", at + 1)).collect();
    let certs = folder.path().join("certs");
    let made = run(&["cluster", "init", "--peers", &listed.join(","), "--dir", certs.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    // Nobody has a name yet: the names come when pods come.
    name(&folder, &[]);
    let start = |ordinal: usize, address: &str| pod(&folder, ordinal, &format!("{address}:{port}"));
    let mut pods: Vec<Router> = (0..3).map(|ordinal| start(ordinal, addresses[ordinal])).collect();
    for pod in &pods {
        pod.await_log("waiting for these routers to make the cluster");
        assert_eq!(status(pod)["role"], "waiting");
    }
    name(&folder, &addresses);
    for (ordinal, pod) in pods.iter().enumerate() {
        wait_until("the pods made one cluster", PATIENCE, || {
            let seen = status(pod);
            seen["leader"].is_u64() && seen["revision"].as_u64().is_some_and(|revision| revision >= 2)
        });
        let seen = status(pod);
        assert_eq!((&seen["id"], &seen["voters"]), (&json!(ordinal + 1), &json!([1, 2, 3])), "{seen}");
        assert!(seen.to_string().contains(&format!("rr-{ordinal}.peers.test:{port}")), "{seen}");
    }
    // The pod 1 comes back at another address, and the pod 2 is gone: the pods 0 and 1 need each other.
    drop(pods.drain(1..).collect::<Vec<_>>());
    addresses[1] = "127.0.0.9";
    name(&folder, &addresses);
    let moved = start(1, addresses[1]);
    let server = format!("http://{}", pods[0].admin);
    wait_until("the two pods have a majority", PATIENCE, || {
        run(&["member", "drain", "g", "n1", "--server", &server]).code == Some(0)
    });
    wait_until("the pod follows at its new address", PATIENCE, || {
        let (_, rows) = moved.get("/v1/members");
        let rows: Value = serde_json::from_str(&rows).unwrap_or_default();
        let n1 = rows.as_array().into_iter().flatten().find(|row| row["name"] == "n1");
        n1.is_some_and(|row| row["admin_state"].as_str().is_some_and(|mark| mark.starts_with("drain")))
    });
}

#[test]
fn what_a_service_cannot_say_is_told() {
    let folder = scratch();
    let provider = provider(&folder, &[("n1", &member("n1"))]);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let base = [
        "serve",
        "--dev",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--cluster",
        "127.0.0.1:0",
        "--cluster-certs",
        ".",
        "--provider",
        provider.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    for (more, says) in [
        (
            vec!["--peers", "dns:a b", "--expect", "3"],
            "write the headless service of the routers as dns:NAME",
        ),
        (vec!["--peers", "dns:peers"], "--peers dns: needs --expect N"),
        (vec!["--peers", "1=a:1", "--expect", "3"], "--expect goes with --peers dns:NAME only"),
        (vec!["--expect", "3"], "--peers"),
        (vec!["--peers", "dns:peers", "--expect", "99"], "99"),
    ] {
        let arguments: Vec<&str> = base.iter().copied().chain(more.iter().copied()).collect();
        let ran = run(&arguments);
        assert!(ran.code == Some(64) && ran.stderr.contains(says), "{more:?}: {ran:?}");
    }
}
