//! A router that dials a real Java IDM, in front of Java servers of both modes (M01, M02, C08, P2, P4).

use std::fs;
use std::path::PathBuf;

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::metrics::http_get;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::{ClientRcs, Rcs};
use rcs_rig::router::Router;
use rcs_rig::wait::wait_until;
use rcs_rig::{transcript, workspace};
use tempfile::TempDir;

use crate::bounds::{AT_ONCE, PATIENCE};
use crate::client_mode::DIRECTIONS;
use crate::site::GROUP;

/// The member in server mode, and the two in client mode.
const MEMBERS: [&str; 3] = ["near", "far1", "far2"];
/// Sessions that a Java IDM is given until it holds the connectors. Two 1.8.0 peers lose the list now and then when they meet (WIRE 7.1).
const SESSIONS: usize = 3;

/// A Java IDM that listens, and the configuration file of the router that dials it.
struct Listening {
    idm: Idm,
    port: u16,
    config: PathBuf,
    key: PathBuf,
    /// How many tables the file has had. Each table is another session.
    tables: usize,
}

impl Listening {
    fn start(java: &Java, scratch: &TempDir) -> Self {
        let (idm, port) = Idm::listen(java);
        let [config, key] = ["router.toml", "idm.key"].map(|name| scratch.path().join(name));
        fs::write(&key, "changeit\n").expect("scratch is there");
        fs::write(&config, "").expect("scratch is there");
        Self { idm, port, config, key, tables: 0 }
    }

    /// Has the router dial the IDM for this group, until the IDM holds all connectors.
    fn dialled_for(&mut self, router: &Router, group: &str) {
        for _ in 0..SESSIONS {
            self.tables += 1;
            let table = format!(
                "[idm.java{}]\nurl = \"ws://127.0.0.1:{}/openicf/0\"\ngroup = {group:?}\nprincipal = \"anonymous\"\nkey_file = {:?}\n\
                 connections = 2\nnew_connections_interval = \"0s\"\nconnection_ttl = \"2s\"\n",
                self.tables, self.port, self.key
            );
            fs::write(&self.config, table).expect("scratch is there");
            let name = format!("\"java{}\"", self.tables);
            wait_until(&format!("the router has dialled for {group}"), PATIENCE, || {
                http_get(router.admin(), "/v1/callers").1.contains(&name)
            });
            if self.idm.ask("connectors 2 20") == transcript::CONNECTORS {
                return;
            }
        }
        panic!("{SESSIONS} sessions in a row did not bring the IDM the connectors of {group}");
    }

    /// The whole conversation, which must be as it is without a router.
    fn converse(&mut self, scratch: &TempDir, member: &str) {
        let journal = Journal::new(scratch.path(), member);
        self.idm.ok(&journal.use_command());
        let differences = transcript::differences(&mut self.idm, transcript::RIG, &[member]);
        assert!(differences.is_empty(), "{member}: {}", differences.join("\n"));
    }
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
    let mut listening = Listening::start(&java, &scratch);
    let config = listening.config.display().to_string();
    let router = Router::start_with(&provider, &["--config", &config]);
    let _far1 = ClientRcs::start(&java, "far1", &router.url(None));
    let mut far2 = ClientRcs::start(&java, "far2", &router.url(None));
    router.await_up(GROUP, &MEMBERS);

    // The router dials both ends, or the IDM alone.
    for member in ["near", "far1"] {
        listening.dialled_for(&router, member);
        listening.converse(&scratch, member);
    }

    // A group of both modes: exact turns.
    listening.dialled_for(&router, GROUP);
    let journal = Journal::new(scratch.path(), "group");
    listening.idm.ok(&journal.use_command());
    listening.idm.ok("create name=u0");
    let load = listening.idm.load("get 8 3 u0");
    assert_eq!((load.err, load.hung_threads), (0, 0), "{load:?}");
    assert!(load.ok > 100 && load.spread(&MEMBERS) <= 1, "{load:?}");

    // A member is killed under load: no read fails, and no create is doubled.
    let served = |member| {
        router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member), ("outcome", "ok")])
    };
    let before = served("far2");
    listening.idm.begin("load get+create 8 5 u0 w");
    wait_until("the load has begun", PATIENCE, || served("far2") > before + 50.0);
    far2.kill();
    wait_until("the killed server is out of use", AT_ONCE, || !router.is_up(GROUP, "far2"));
    let killed = listening.idm.load_answer();
    assert_eq!(killed.hung_threads, 0, "{killed:?}");
    let reads_failed = killed.errors.keys().filter(|error| !error.contains("utcome unknown")).count();
    assert_eq!(reads_failed, 0, "{killed:?}");
    let twice: Vec<_> = journal.writes("CREATE").into_iter().filter(|(_, n)| *n > 1).collect();
    assert!(twice.is_empty(), "written twice: {twice:?}");

    let replaced = router.metrics().sum("rcs_sockets_rotated_total", &[("side", "downstream")]);
    assert!(replaced >= 4.0, "connections were replaced meanwhile: {replaced}");
    println!("{DIRECTIONS}");
}
