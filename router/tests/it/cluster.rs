//! Routers of a cluster as processes: how they come together, what one of them is told and all of them follow, and what is left after
//! a kill.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use rcs_rig::metrics::{Metrics, http_get};
use rcs_rig::process::Process;
use rcs_rig::wait::wait_until;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, Ran, Router, file, member, provider, router, run, scratch};

/// A cluster on loopback.
pub(crate) struct Cluster {
    folder: TempDir,
    provider: PathBuf,
    /// The cluster address of each router.
    addresses: Vec<SocketAddr>,
    /// Where the others reach each router.
    reached: Vec<SocketAddr>,
    routers: Vec<Option<Router>>,
}

/// Ports that are free now.
pub(crate) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

impl Cluster {
    /// A cluster of so many routers with this provider file; none of them runs yet.
    pub(crate) fn new(count: usize, folder: TempDir, provider: PathBuf) -> Self {
        Self::behind(free_addresses(count), |addresses| addresses.to_vec(), folder, provider)
    }

    /// The same with routers that reach each other at these addresses.
    pub(crate) fn behind(
        addresses: Vec<SocketAddr>,
        reached: impl FnOnce(&[SocketAddr]) -> Vec<SocketAddr>,
        folder: TempDir,
        provider: PathBuf,
    ) -> Self {
        let routers = addresses.iter().map(|_| None).collect();
        let cluster = Self { folder, provider, reached: reached(&addresses), addresses, routers };
        cluster.certify();
        cluster
    }

    fn certify(&self) {
        let made = run(&["cluster", "init", "--peers", &self.peers(), "--dir", &self.path("certs")]);
        assert_eq!(made.code, Some(0), "{made:?}");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("scratch paths are UTF-8").to_owned()
    }

    pub(crate) fn peers(&self) -> String {
        let each = self.reached.iter().enumerate().map(|(place, address)| format!("{}={address}", place + 1));
        each.collect::<Vec<_>>().join(",")
    }

    /// Starts the router at this place.
    pub(crate) fn start(&mut self, place: usize, more: &[&str]) {
        let data = self.path(&format!("data-{}", place + 1));
        std::fs::create_dir_all(&data).unwrap();
        let mut command = router(&["serve", "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--provider").arg(&self.provider);
        command.args(["--id", &(place + 1).to_string(), "--cluster", &self.addresses[place].to_string()]);
        command.args(["--cluster-certs", &self.path("certs"), "--data-dir", &data]);
        command.args(more);
        self.routers[place] =
            Some(Router::started(Process::start(&format!("router-{}", place + 1), command)));
    }

    pub(crate) fn start_all(&mut self) {
        let peers = self.peers();
        for place in (0..self.routers.len()).rev() {
            self.start(place, &["--peers", &peers]);
        }
        for place in 0..self.routers.len() {
            self.router(place).await_alive();
            wait_until("the cluster has a leader and a document", PATIENCE, || {
                let seen = self.status(place);
                seen["leader"].is_u64() && seen["revision"].as_u64().is_some_and(|revision| revision >= 2)
            });
        }
    }

    pub(crate) fn router(&self, place: usize) -> &Router {
        self.routers[place].as_ref().expect("the router runs")
    }

    /// What a router says of the cluster.
    pub(crate) fn status(&self, place: usize) -> Value {
        let (_, body) = http_get(self.router(place).admin, "/v1/cluster");
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// The place of the leader, as this router sees it.
    pub(crate) fn leader(&self, place: usize) -> usize {
        let mut leader = None;
        wait_until("there is a leader", PATIENCE, || {
            leader = self.status(place)["leader"].as_u64();
            leader.is_some()
        });
        usize::try_from(leader.unwrap_or_default()).unwrap() - 1
    }

    /// Runs a command against a router.
    pub(crate) fn ask(&self, place: usize, words: &str) -> Ran {
        let server = format!("http://{}", self.router(place).admin);
        let mut arguments: Vec<&str> = words.split(' ').collect();
        arguments.extend(["--server", &server]);
        run(&arguments)
    }

    /// Kills a router as a crash would.
    pub(crate) fn kill(&mut self, place: usize) {
        drop(self.routers[place].take());
    }

    /// The state of a member, as a router sees it.
    fn member(&self, place: usize, name: &str) -> String {
        let (_, body) = http_get(self.router(place).admin, "/v1/members");
        let rows: Value = serde_json::from_str(&body).unwrap_or_default();
        let found = rows.as_array().into_iter().flatten().find(|row| row["name"] == name);
        found.map(|row| row["admin_state"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }
}

/// Three routers with two members behind them.
pub(crate) fn three() -> (Cluster, [rcs_rig::scripted::FakeMember; 2]) {
    let folder = scratch();
    let members = [member("n1"), member("n2")];
    let provider = provider(&folder, &[("n1", &members[0]), ("n2", &members[1])]);
    let mut cluster = Cluster::new(3, folder, provider);
    cluster.start_all();
    (cluster, members)
}

#[test]
fn what_one_router_is_told_all_follow_and_a_kill_of_the_leader_loses_nothing() {
    let (mut cluster, _members) = three();
    for place in 0..3 {
        cluster.router(place).await_ready();
        let seen = cluster.status(place);
        assert_eq!(seen["id"], place + 1);
        assert_eq!(seen["voters"].as_array().map(Vec::len), Some(3), "{seen}");
        assert_eq!(seen["learners"], serde_json::json!([]));
        for key in ["leader", "term", "applied"] {
            assert!(seen[key].as_u64().is_some_and(|value| value > 0), "{key}: {seen}");
        }
    }
    for place in 0..3 {
        wait_until("the ends of all certificates are known", PATIENCE, || {
            let seen = cluster.status(place);
            let routers = seen["routers"].as_array().map_or(&[][..], Vec::as_slice);
            routers.iter().filter(|row| row["certificate_until"].is_string()).count() == 3
        });
        let seen = cluster.status(place);
        assert_eq!((&seen["is_changing"], &seen["warnings"]), (&false.into(), &serde_json::json!([])));
        let metrics = Metrics::scrape(cluster.router(place).admin);
        let until = metrics.sum("rcs_cluster_certificate_not_after_timestamp_seconds", &[("router", "3")]);
        assert!(until > 1.7e9, "{until}");
    }
    let shown = cluster.ask(0, "cluster status").stdout;
    assert!(shown.contains("CERTIFICATE UNTIL") && !shown.contains("warning"), "{shown}");
    let told = cluster.ask(1, "member drain g n1");
    assert_eq!(told.code, Some(0), "{told:?}");
    for place in 0..3 {
        wait_until("every router follows the mark", PATIENCE, || {
            cluster.member(place, "n1").starts_with("drain")
        });
    }
    let leader = cluster.leader(0);
    cluster.kill(leader);
    let survivor = (leader + 1) % 3;
    wait_until("another router leads", PATIENCE, || cluster.leader(survivor) != leader);
    let told = cluster.ask(survivor, "member disable g n1");
    assert_eq!(told.code, Some(0), "{told:?}");
    let peers = cluster.peers();
    cluster.start(leader, &["--peers", &peers]);
    wait_until("the killed router has what was decided without it", PATIENCE, || {
        cluster.member(leader, "n1") == "disabled"
    });
    let (status, audit) = http_get(cluster.router(leader).admin, "/v1/audit?consistent=true");
    assert_eq!(status, 200, "{audit}");
    for part in ["mark member n1 as draining", "mark member n1 as disabled", "no token"] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
}

/// A router that has just started knows no group. So it does not say that there is none.
#[test]
fn a_router_that_knows_nothing_yet_says_so_and_names_no_group_as_missing() {
    let folder = scratch();
    let n1 = member("n1");
    let provider = provider(&folder, &[("n1", &n1)]);
    let mut cluster = Cluster::new(3, folder, provider);
    let peers = cluster.peers();
    cluster.start(0, &["--peers", &peers]);
    cluster.router(0).await_alive();
    let ask = |cluster: &Cluster, method: &str, path: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        rcs_rig::scripted::raw_exchange(cluster.router(0).admin, request.as_bytes())
    };
    for (method, path) in [
        ("POST", "/v1/groups/g/members/n1/drain"),
        ("POST", "/v1/groups/g/bundles/commit"),
        ("GET", "/v1/groups/g/bundles"),
    ] {
        let told = ask(&cluster, method, path);
        assert_eq!((told.status, told.header("retry-after")), (503, Some("1")), "{path}: {told:?}");
        assert!(told.body.contains("has not caught up with its cluster"), "{path}: {told:?}");
    }
    for place in [1, 2] {
        cluster.start(place, &["--peers", &peers]);
    }
    wait_until("the change is agreed", PATIENCE, || {
        let told = ask(&cluster, "POST", "/v1/groups/g/members/n1/drain");
        assert!([200, 409, 503].contains(&told.status), "the group is there, or not known yet: {told:?}");
        told.status != 503
    });
    let told = ask(&cluster, "POST", "/v1/groups/nobody/members/n1/drain");
    assert_eq!(told.status, 404, "{told:?}");
}

#[test]
fn without_a_majority_calls_go_on_and_changes_are_refused_with_a_sentence() {
    let (mut cluster, _members) = three();
    // Until the first bundle set is agreed, no member serves.
    wait_until("the groups are served", PATIENCE, || cluster.ask(0, "status").code == Some(0));
    let idm = cluster.router(0).idm("g");
    idm.handshake();
    for place in [1, 2] {
        cluster.kill(place);
    }
    wait_until("the last router knows that it is alone", PATIENCE, || {
        let told = cluster.ask(0, "member drain g n1");
        told.code == Some(69) && told.stderr.contains("no majority of the cluster's routers can be reached")
    });
    assert_eq!(cluster.member(0, "n1"), "enabled");
    assert_eq!(cluster.router(0).get("/v1/cluster").0, 200, "what is known stays readable");
    assert_eq!(cluster.ask(0, "cluster status --consistent").code, Some(69));
    wait_until("the status says so", PATIENCE, || {
        let status = cluster.ask(0, "status");
        status.code == Some(1) && status.stdout.contains("nothing can be changed")
    });
    assert_eq!(cluster.status(0)["leader"], Value::Null);
    let (status, _) = cluster.router(0).get("/readyz");
    assert_eq!(status, 200, "a router without a majority serves calls");
    let peers = cluster.peers();
    cluster.start(1, &["--peers", &peers]);
    wait_until("with a majority changes are made again", PATIENCE, || {
        cluster.ask(0, "member drain g n1").code == Some(0)
    });
}

#[test]
fn a_router_alone_keeps_its_state_over_a_restart_and_grows_to_three() {
    let folder = scratch();
    let members = [member("n1"), member("n2")];
    let provider = provider(&folder, &[("n1", &members[0]), ("n2", &members[1])]);
    let mut cluster = Cluster::new(3, folder, provider);
    let data = cluster.path("data-1");
    std::fs::create_dir_all(&data).unwrap();
    {
        let alone = Router::serve(&cluster.provider, &["--dev", "--data-dir", &data]);
        alone.await_ready();
        let server = format!("http://{}", alone.admin);
        let told = run(&["member", "drain", "g", "n1", "--server", &server]);
        assert_eq!(told.code, Some(0), "{told:?}");
    }
    // From now on it has a cluster address; its state stays.
    cluster.start(0, &[]);
    wait_until("the mark is kept", PATIENCE, || cluster.member(0, "n1").starts_with("drain"));
    for place in [1, 2] {
        cluster.start(place, &["--join"]);
        let added = cluster.ask(0, &format!("cluster add {}={}", place + 1, cluster.addresses[place]));
        assert_eq!(added.code, Some(0), "{added:?}");
        assert!(cluster.member(place, "n1").starts_with("drain"));
    }
    assert_eq!(cluster.status(2)["voters"], serde_json::json!([1, 2, 3]));
    // The disk of the third router is lost.
    cluster.kill(2);
    std::fs::remove_dir_all(cluster.path("data-3")).unwrap();
    let peers = cluster.peers();
    cluster.start(2, &["--peers", &peers]);
    cluster.router(2).await_log("its store was lost");
    let replaced = cluster.ask(0, &format!("cluster replace 3={}", cluster.addresses[2]));
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    wait_until("the replaced router has the mark", PATIENCE, || cluster.member(2, "n1").starts_with("drain"));
    let removed = cluster.ask(1, "cluster remove 3");
    assert_eq!(removed.code, Some(0), "{removed:?}");
    cluster.router(2).await_log("was removed from the cluster");
    assert_eq!(cluster.status(0)["voters"], serde_json::json!([1, 2]));
}

#[test]
fn a_changed_file_is_applied_by_the_leader_alone_and_a_backup_brings_all_back() {
    let (mut cluster, members) = three();
    let changed = provider(&cluster.folder, &[("n1", &members[0])]);
    assert_eq!(changed, cluster.provider);
    for place in 0..3 {
        wait_until("every router follows the changed file", PATIENCE, || {
            cluster.member(place, "n2").is_empty()
        });
    }
    let (_, audit) = http_get(cluster.router(1).admin, "/v1/audit");
    assert_eq!(audit.matches(r#""action":"configure""#).count(), 2, "each content was applied once: {audit}");
    let backup = cluster.path("backup.json");
    let taken = cluster.ask(1, &format!("cluster backup {backup}"));
    assert_eq!(taken.code, Some(0), "{taken:?}");
    for place in 0..3 {
        cluster.kill(place);
    }
    let data = cluster.path("data-1");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::create_dir_all(&data).unwrap();
    let address = format!("1={}", cluster.addresses[0]);
    let certs = cluster.path("certs");
    let arguments =
        ["cluster", "restore", "--data-dir", &data, "--router", &address, "--cluster-certs", &certs, &backup];
    let restored = run(&arguments);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(run(&arguments).code, Some(65), "a store is never overwritten");
    cluster.start(0, &[]);
    wait_until("the restored router leads", PATIENCE, || cluster.status(0)["role"] == "leader");
    assert_eq!(cluster.member(0, "n1"), "enabled");
    // And out of a router's own log, after the others are gone.
    cluster.kill(0);
    let recovered =
        run(&["cluster", "recover", "--from-this-router", "--data-dir", &data, "--router", &address]);
    assert_eq!(recovered.code, Some(0), "{recovered:?}");
    cluster.start(0, &[]);
    wait_until("the recovered router leads", PATIENCE, || cluster.status(0)["role"] == "leader");
    assert_eq!(cluster.member(0, "n1"), "enabled");
}

/// In Kubernetes a changed ConfigMap reaches the routers at different moments: a follower with the old files that becomes the leader must not
/// bring them back.
#[test]
fn a_new_leader_with_old_files_does_not_bring_them_back() {
    let (mut cluster, members) = three();
    let old = std::fs::read(&cluster.provider).unwrap();
    for place in 0..3 {
        let seen = cluster.path(&format!("data-{}/cluster.files", place + 1));
        wait_until("each router notes the files that the cluster has", PATIENCE, || {
            Path::new(&seen).exists()
        });
    }
    // Only the leader's copy is renewed: the other routers start again with the old one.
    let leader = cluster.leader(0);
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    let (copy, peers) = (cluster.path("old-provider.json"), cluster.peers());
    std::fs::write(&copy, old).unwrap();
    let shared = std::mem::replace(&mut cluster.provider, copy.into());
    for place in &others {
        cluster.kill(*place);
        cluster.start(*place, &["--peers", &peers]);
        let known = serde_json::json!(leader + 1);
        wait_until("the router is back", PATIENCE, || cluster.status(*place)["leader"] == known);
    }
    cluster.provider = shared;
    provider(&cluster.folder, &[("n1", &members[0])]);
    for place in &others {
        wait_until("every router follows the changed file", PATIENCE, || {
            cluster.status(*place)["leader"].is_u64() && cluster.member(*place, "n2").is_empty()
        });
    }
    cluster.kill(leader);
    let told = "the files of this router differ from what the cluster has in force";
    wait_until("the new leader leaves its old files alone", PATIENCE, || {
        others.iter().any(|place| cluster.router(*place).process.said_on_stderr(told))
    });
    for place in &others {
        assert!(cluster.member(*place, "n2").is_empty(), "the old files are in force again");
    }
}

#[test]
fn what_keeps_a_router_out_of_a_cluster_is_told() {
    let folder = scratch();
    let provider = provider(&folder, &[("n1", &member("n1"))]);
    let listed = file(&folder, "provider-path", "");
    let provider = provider.to_str().unwrap();
    let base =
        ["serve", "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--provider", provider];
    let directory = folder.path().join("data");
    std::fs::create_dir(&directory).unwrap();
    let directory = directory.to_str().unwrap();
    let certs = folder.path().join("none");
    let certs = certs.to_str().unwrap();
    for (more, code, says) in [
        (vec!["--cluster", "127.0.0.1:0"], 64, "--data-dir"),
        (vec!["--peers", "1=a:1"], 64, "--cluster"),
        (
            vec![
                "--cluster",
                "127.0.0.1:0",
                "--data-dir",
                directory,
                "--cluster-certs",
                certs,
                "--peers",
                "2=a:1",
            ],
            64,
            "--peers does not list router 1",
        ),
        (vec!["--cluster", "127.0.0.1:0", "--data-dir", directory, "--cluster-certs", certs], 65, "ca.pem"),
        (vec!["--data-dir", &listed], 69, "Make it a directory that this user may write"),
    ] {
        let arguments: Vec<&str> = base.iter().copied().chain(more.iter().copied()).collect();
        let ran = run(&arguments);
        assert!(ran.code == Some(code) && ran.stderr.contains(says), "{more:?}: {ran:?}");
    }
}
