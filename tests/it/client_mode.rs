//! Real Java connector servers in client mode, which dial the router, behind a real Java IDM (M01, C08, P2, P4).

use std::path::PathBuf;
use std::time::Duration;

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::metrics::http_get;
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::{ClientRcs, Rcs};
use rcs_rig::router::Router;
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::{transcript, workspace};
use tempfile::TempDir;

use crate::bounds::{AT_ONCE, PATIENCE};
use crate::site::GROUP;

/// The member in server mode, and the two in client mode.
const MEMBERS: [&str; 3] = ["near", "far1", "far2"];

fn provider(scratch: &TempDir, dialled: &Rcs, clients: &[&str]) -> PathBuf {
    let mut provider = Provider::new().server("near", dialled.port(), 2);
    for client in clients {
        provider = provider.client(client);
    }
    let members: Vec<&str> = ["near"].iter().chain(clients).copied().collect();
    provider.group(GROUP, "roundrobin", &members).write(scratch.path())
}

fn calls(router: &Router, member: &str) -> f64 {
    router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member), ("outcome", "ok")])
}

/// One site for all: each Java process costs seconds.
#[test]
fn java_servers_in_client_mode_are_members_like_any_other() {
    let Some(java) = Java::or_skip("client_mode::java_servers_in_client_mode_are_members_like_any_other")
    else {
        return;
    };
    let scratch = workspace::scratch();
    let dialled = Rcs::start(&java, "near");
    let router = Router::start(&provider(&scratch, &dialled, &["far1", "far2"]));
    // Each path form in which a server may dial.
    let _c = ClientRcs::start(&java, "far1", &router.url(Some("0")));
    let mut d = ClientRcs::start(&java, "far2", &router.url(Some("0/far2")));
    router.await_up(GROUP, &MEMBERS);

    // The whole conversation, as directly: an IDM that dials the router, and a server that dials the router.
    let mut alone = Idm::start_through(&java, &router.url(Some("far1")), 1);
    assert_eq!(alone.ask("connectors 2"), transcript::CONNECTORS);
    let journal = Journal::new(scratch.path(), "conversation");
    alone.ok(&journal.use_command());
    let differences = transcript::differences(&mut alone, transcript::RIG, &["far1"]);
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    // A group of both modes: exact turns, and the two sockets of each Java dialler are used and kept.
    let mut idm = in_group(&java, &router);
    let journal = Journal::new(scratch.path(), "group");
    idm.ok(&journal.use_command());
    idm.ok("create name=u0");
    let load = idm.load("get 8 2 u0");
    assert_eq!((load.err, load.hung_threads), (0, 0), "{load:?}");
    assert!(load.ok > 100 && load.spread(&MEMBERS) <= 1, "{load:?}");

    // One of the two is killed under load: no read fails, and no create is doubled.
    idm.begin("load get+create 8 5 u0 w");
    let before = calls(&router, "far2");
    wait_until("the load has begun", PATIENCE, || calls(&router, "far2") > before + 50.0);
    d.kill();
    wait_until("the killed server is out of use", AT_ONCE, || !router.is_up(GROUP, "far2"));
    let killed = idm.load_answer();
    assert_eq!(killed.hung_threads, 0, "{killed:?}");
    let reads_failed = killed.errors.keys().filter(|error| !error.contains("utcome unknown")).count();
    assert_eq!(reads_failed, 0, "{killed:?}");
    assert!(killed.err <= 8, "more errors than calls in flight: {killed:?}");
    let twice: Vec<_> = journal.writes("CREATE").into_iter().filter(|(_, n)| *n > 1).collect();
    assert!(twice.is_empty(), "written twice: {twice:?}");

    // Started again, it is the same member.
    let _d = ClientRcs::start(&java, "far2", &router.url(Some("far2")));
    router.await_up(GROUP, &["far2"]);

    // WIRE 7.5: a published 1.8.0 never dials again. Its sockets end with its entry in the document; back in the document, it is waited for.
    provider(&scratch, &dialled, &["far2"]);
    wait_until("far1 has left", PATIENCE, || !http_get(router.admin(), "/v1/members").1.contains("\"far1\""));
    provider(&scratch, &dialled, &["far1", "far2"]);
    wait_until("far1 is waited for", PATIENCE, || reason(&router, "far1").is_some());
    hold("a 2.0.4 dials again within 0.1 s, a 1.8.0 never", Duration::from_secs(2), || {
        !router.is_up(GROUP, "far1")
    });
    let said = reason(&router, "far1").unwrap_or_default();
    assert!(said.contains("has not connected yet"), "{said}");
    println!("{DIRECTIONS}");
}

/// What the test above has shown, and that of `router_dials` for a router that dials, as docs/client-mode.md keeps it.
pub(crate) const DIRECTIONS: &str = "\
| who dials: IDM and router | who dials: router and server | shown with | conversation | turns, lost member |
|---|---|---|---|---|
| the IDM | the router (server mode) | Java 1.8.0 on both ends | as directly | exact, nothing failed |
| the IDM | the server (client mode) | Java 1.8.0 on both ends | as directly | exact, nothing failed |
| the router (client mode of the router) | the router (server mode) | Java 1.8.0 on both ends | as directly | exact, nothing failed |
| the router (client mode of the router) | the server (client mode) | Java 1.8.0 on both ends | as directly | exact, nothing failed |";

fn in_group(java: &Java, router: &Router) -> Idm {
    Idm::start_through(java, &router.url(Some(GROUP)), 1)
}

/// Why a member is down.
fn reason(router: &Router, member: &str) -> Option<String> {
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(&http_get(router.admin(), "/v1/members").1).ok()?;
    let row = rows.into_iter().find(|row| row["name"] == member && row["group"] == GROUP)?;
    row["reason"].as_str().map(str::to_owned)
}

/// A Java server in client mode whose name has a caller's entry: it would stay connected, and get no calls. It is refused at once, in the one
/// form that a 1.8.0 peer notices.
#[test]
fn a_java_server_with_a_callers_credential_is_told_on_both_sides() {
    let Some(java) =
        Java::or_skip("client_mode::a_java_server_with_a_callers_credential_is_told_on_both_sides")
    else {
        return;
    };
    let scratch = workspace::scratch();
    let provider = Provider::new().client("far").group(GROUP, "failover", &["far"]).write(scratch.path());
    let key = scratch.path().join("far.key");
    std::fs::write(&key, "changeit\n").expect("the scratch folder can be written");
    let hash = std::process::Command::new(workspace::binary("rcs-router"))
        .args(["hash-key", "--dev", "--file"])
        .arg(key)
        .output()
        .expect("the router runs");
    let hash = String::from_utf8_lossy(&hash.stdout).trim().to_owned();
    let entry = format!("[caller.far]\nhashes = ['{hash}']\ngroups = [\"*\"]\n");
    let credentials = scratch.path().join("credentials.toml");
    std::fs::write(&credentials, &entry).expect("the scratch folder can be written");
    let mut router = Router::start_with(&provider, &["--credentials", &credentials.display().to_string()]);
    let _far = ClientRcs::start(&java, "far", &router.url(None));
    let said = "is a server in client mode, but its credentials are a caller's: write [member.NAME]";
    wait_until("the router tells its operator", PATIENCE, || router.process().said_on_stderr(said));
    // The same dial, by the role that says what became of it.
    let mut command = java.peer("idm-connect", "far");
    command.args(["--url", &router.url(None), "--principal", "far"]);
    let told = Process::start("the dial of a Java server", command).read_line("what became of it", PATIENCE);
    assert!(told.contains("Response code was not 101: 403"), "{told}");
    println!("the Java peer was told: {told}");

    drop(router);
    std::fs::write(
        &credentials,
        entry.replace("[caller.far]", "[member.far]").replace("groups = [\"*\"]\n", ""),
    )
    .expect("the scratch folder can be written");
    let router = Router::start_with(&provider, &["--credentials", &credentials.display().to_string()]);
    let _far = ClientRcs::start(&java, "far", &router.url(None));
    router.await_up(GROUP, &["far"]);
}

#[test]
fn the_docs_keep_the_table_of_directions() {
    let kept =
        std::fs::read_to_string(workspace::root().join("docs/client-mode.md")).expect("the page is there");
    assert!(kept.contains(DIRECTIONS), "docs/client-mode.md lacks:\n{DIRECTIONS}");
}
