//! A router that dials a real Java IDM, in front of Java servers of both modes (M01, C08, P2, P4).
#![allow(clippy::panic, reason = "an IDM that never gets its connectors fails the test on the spot")]

use std::fs;
use std::path::Path;

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::metrics::http_get;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::{ClientRcs, Rcs};
use rcs_rig::router::Router;
use rcs_rig::wait::wait_until;
use rcs_rig::{transcript, workspace};

use crate::bounds::{AT_ONCE, PATIENCE};
use crate::client_mode::DIRECTIONS;
use crate::site::GROUP;

/// The member in server mode, and the two in client mode.
const MEMBERS: [&str; 3] = ["near", "far1", "far2"];
/// Connections are replaced all the time.
pub(crate) const RENEWED: &str = "connection_ttl = \"2s\"";
/// Java IDMs that are started until one holds the connectors. Two 1.8.0 peers lose the list now and then when they meet (WIRE 7.1).
const ATTEMPTS: usize = 3;

/// Starts a Java IDM that listens, and has the router dial it for this group; returns the IDM once it holds all connectors. Each IDM is a table
/// of its own in the router's configuration file, in place of the one before. `more` are further lines of the table. The table is returned,
/// too.
pub(crate) fn dialled_for(
    java: &Java,
    router: &Router,
    config: &Path,
    group: &str,
    more: &str,
) -> (Idm, String) {
    let key = config.with_file_name("idm.key");
    fs::write(&key, "changeit\n").expect("scratch is there");
    let holds_connectors = |attempt: usize| {
        let (mut idm, port) = Idm::listen(java);
        let name = format!("{group}-{}-{attempt}", java.framework().version().replace('.', ""));
        let table = format!(
            "[idm.{name}]\nurl = \"ws://127.0.0.1:{port}/openicf/0\"\ngroup = {group:?}\nprincipal = \"anonymous\"\nkey_file = {key:?}\n\
             connections = 2\nnew_connections_interval = \"0s\"\nhousekeeping_interval = \"1s\"\n{more}\n",
        );
        fs::write(config, &table).expect("scratch is there");
        let name = format!("\"{name}\"");
        wait_until(&format!("the router has dialled for {group}"), PATIENCE, || {
            http_get(router.admin(), "/v1/callers").1.contains(&name)
        });
        (idm.ask("connectors 2 20") == transcript::CONNECTORS).then_some((idm, table))
    };
    (0..ATTEMPTS).find_map(holds_connectors).expect("one of some IDMs gets the connectors")
}

/// One site for all: each Java process costs seconds. All the time, connections that are two seconds old are replaced.
#[test]
fn a_java_idm_that_is_dialled_calls_as_directly() {
    let Some(java) = Java::or_skip("router_dials::a_java_idm_that_is_dialled_calls_as_directly") else {
        return;
    };
    let scratch = workspace::scratch();
    let near = Rcs::start(&java, "near");
    let provider = Provider::new()
        .server("near", near.port(), 2)
        .client("far1")
        .client("far2")
        .group(GROUP, "roundrobin", &MEMBERS)
        .write(scratch.path());
    let config = scratch.path().join("router.toml");
    fs::write(&config, "").expect("scratch is there");
    let router = Router::start_with(&provider, &["--config", &config.display().to_string()]);
    let _far1 = ClientRcs::start(&java, "far1", &router.url(None));
    let mut far2 = ClientRcs::start(&java, "far2", &router.url(None));
    router.await_up(GROUP, &MEMBERS);

    // The router dials both ends, or the IDM alone: the whole conversation is as it is without a router.
    for member in ["near", "far1"] {
        let (mut idm, _) = dialled_for(&java, &router, &config, member, RENEWED);
        let journal = Journal::new(scratch.path(), member);
        idm.ok(&journal.use_command());
        let differences = transcript::differences(&mut idm, transcript::RIG, &[member]);
        assert!(differences.is_empty(), "{member}: {}", differences.join("\n"));
    }

    // A group of both modes: exact turns.
    let (mut idm, _) = dialled_for(&java, &router, &config, GROUP, RENEWED);
    let journal = Journal::new(scratch.path(), "group");
    idm.ok(&journal.use_command());
    idm.ok("create name=u0");
    let load = idm.load("get 8 3 u0");
    assert_eq!((load.err, load.hung_threads), (0, 0), "{load:?}");
    assert!(load.ok > 100 && load.spread(&MEMBERS) <= 1, "{load:?}");

    // A member is killed under load: no read fails, and no create is doubled.
    let served = |member| {
        router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member), ("outcome", "ok")])
    };
    let before = served("far2");
    idm.begin("load get+create 8 5 u0 w");
    wait_until("the load has begun", PATIENCE, || served("far2") > before + 50.0);
    far2.kill();
    wait_until("the killed server is out of use", AT_ONCE, || !router.is_up(GROUP, "far2"));
    let killed = idm.load_answer();
    assert_eq!(killed.hung_threads, 0, "{killed:?}");
    let reads_failed = killed.errors.keys().filter(|error| !error.contains("utcome unknown")).count();
    assert_eq!(reads_failed, 0, "{killed:?}");
    let twice: Vec<_> = journal.writes("CREATE").into_iter().filter(|(_, n)| *n > 1).collect();
    assert!(twice.is_empty(), "written twice: {twice:?}");

    let replaced = router.metrics().sum("rcs_sockets_rotated_total", &[("side", "downstream")]);
    assert!(replaced >= 4.0, "connections were replaced meanwhile: {replaced}");
    println!("{DIRECTIONS}");
}
