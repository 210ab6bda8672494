//! The files of the folder `examples` do what they are there to show. The programs read each of them without a doubt, and those that
//! fit on one machine run: connector servers, their agents, a router, and a caller that finds its group in each of three ways.
#![allow(
    clippy::panic,
    reason = "an example that cannot be read or run fails the test on the spot, with the reason"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcs_rig::metrics::Metrics;
use rcs_rig::process::Process;
use rcs_rig::wait::wait_until;
use rcs_rig::{hr, workspace};
use serde_json::Value;
use tempfile::TempDir;

use crate::bounds::PATIENCE;

const PROPERTIES: &str = "node/ConnectorServer.properties";
const SETTINGS: &str = "router.toml";
/// Whom the router trusts to vouch for servers with TLS.
const AUTHORITY: &str = "provider/authority.pem";

/// The documents, and what `rcs-router check` must say of each.
const DOCUMENTS: [(&str, &[&str]); 6] = [
    ("provider/one-server.json", &["n1  ws://127.0.0.1:8761/openicf  2 sockets"]),
    ("provider/groups.json", &["hr (failover)", "crm (roundrobin)", "1. n3  ws://127.0.0.1:8763/openicf"]),
    ("provider/tls.json", &["hr (roundrobin)", "2. rcs2  wss://rcs2.example.org:8759/openicf"]),
    ("idm/by-path.json", &["router  ws://127.0.0.1:8759/openicf/hr"]),
    ("idm/by-principal.json", &["router  ws://127.0.0.1:8759/openicf  "]),
    ("idm/by-connector.json", &["router  ws://127.0.0.1:8759/openicf  "]),
];

fn example(name: &str) -> PathBuf {
    workspace::root().join("examples").join(name)
}

fn document(name: &str) -> Value {
    let text = fs::read_to_string(example(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// One of our programs, away from the tester's environment.
fn program(name: &str) -> Command {
    let mut command = Command::new(workspace::binary(name));
    for variable in ["RCS_LOG", "RCS_ROUTER_CALLER_KEY_FILE", "RCS_ROUTER_TOKEN", "RCS_BENCH_KEY"] {
        command.env_remove(variable);
    }
    command
}

/// What a program that ends by itself printed; it must end well.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("our programs start");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?} ended with {status}\n{text}{}", String::from_utf8_lossy(&stderr));
    text
}

fn is_without_doubt(said: &str) -> bool {
    !["Errors (", "Warnings ("].iter().any(|heading| said.contains(heading))
}

#[test]
fn every_document_is_read_without_a_doubt() {
    for (name, parts) in DOCUMENTS {
        let mut check = program("rcs-router");
        check.arg("check").arg("--provider").arg(example(name));
        let said = said(check.arg("--trust-store").arg(example(AUTHORITY)));
        assert!(is_without_doubt(&said), "{name}:\n{said}");
        for part in parts {
            assert!(said.contains(part), "{name}: no {part:?} in\n{said}");
        }
    }
}

#[test]
fn the_settings_are_read_without_a_doubt() {
    let mut check = program("rcs-router");
    check.arg("check").arg("--provider").arg(example("provider/groups.json"));
    let said = said(check.arg("--config").arg(example(SETTINGS)));
    assert!(is_without_doubt(&said), "{said}");
    for part in ["12h", "8s", "15m", "200", "require_agent"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
}

#[test]
fn the_properties_are_read_without_a_doubt() {
    let said = said(program("rcs-node").arg("check").arg(example(PROPERTIES)));
    assert!(said.contains("127.0.0.1:8761"), "{said}");
    // Who may read the file is decided by the checkout.
    let said: String =
        said.lines().filter(|line| !line.contains("every user of this machine can read it")).collect();
    for doubt in ["changeit", "notice", "unknown", "warning"] {
        assert!(!said.contains(doubt), "{said}");
    }
}

/// A file that no test reads would be wrong one day, and one that the README does not name is found by nobody.
#[test]
fn every_example_is_tested_and_explained() {
    let mut found: Vec<String> = files(&example("")).iter().map(|file| name(file)).collect();
    found.sort();
    let mut tested: Vec<&str> = DOCUMENTS.iter().map(|(name, _)| *name).collect();
    tested.extend([PROPERTIES, SETTINGS, AUTHORITY, "README.md"]);
    tested.sort_unstable();
    assert_eq!(found, tested);
    let readme = fs::read_to_string(example("README.md")).expect("it was found above");
    let missing: Vec<&&str> = tested
        .iter()
        .filter(|name| **name != "README.md" && !readme.contains(&format!("]({name})")))
        .collect();
    assert!(missing.is_empty(), "examples/README.md does not explain {missing:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The path below the folder of the examples.
fn name(file: &Path) -> String {
    let inside = file.strip_prefix(example("")).expect("it was found there");
    inside.to_str().expect("names of ours are UTF-8").to_owned()
}

#[test]
fn groups_are_found_by_path_and_by_principal() {
    let site = Site::start("provider/groups.json", &["n1", "n2", "n3", "n4"], Some(SETTINGS));
    let _agents = ["n3", "n4"].map(|member| site.agent(member));
    for (group, member) in [("hr", "n1"), ("hr", "n2"), ("crm", "n3"), ("crm", "n4")] {
        site.await_up(group, member);
    }
    site.call(&document("idm/by-path.json"), None);
    let by_path = site.calls("hr", "n1");
    assert!(by_path > 0.0, "failover: the first server has them");
    site.call(&document("idm/by-principal.json"), None);
    assert!(site.calls("hr", "n1") > by_path, "the same group");
    assert_eq!(site.calls("hr", "n2"), 0.0, "the second server waits until the first is gone");
    site.call(&document("idm/by-path.json"), Some("openicf/crm"));
    assert!(site.calls("crm", "n3") > 0.0 && site.calls("crm", "n4") > 0.0, "round robin: both have them");
}

#[test]
fn a_server_alone_is_found_by_the_connector_that_it_has() {
    let site = Site::start("provider/one-server.json", &["n1"], None);
    site.await_up("n1", "n1");
    site.call(&document("idm/by-connector.json"), None);
    assert!(site.calls("n1", "n1") > 0.0);
}

/// The servers of a document, as the properties of the example say but for their ports, and a router before them.
struct Site {
    router: Process,
    listen: SocketAddr,
    admin: SocketAddr,
    csv: PathBuf,
    scratch: TempDir,
    _nodes: Vec<Process>,
}

impl Site {
    fn start(provider: &str, members: &[&str], settings: Option<&str>) -> Self {
        let scratch = workspace::scratch();
        let (nodes, ports): (Vec<_>, BTreeMap<_, _>) = members.iter().map(|name| node(name)).unzip();
        let mut command = program("rcs-router");
        command.arg("serve").arg("--provider").arg(on_ports(provider, &ports, scratch.path()));
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--caller-key-file"]);
        // The key of each of IDM's documents.
        command.arg(written(scratch.path(), "caller.key", "five-dry-nights\n"));
        if let Some(settings) = settings {
            command.arg("--config").arg(example(settings));
        }
        let router = Process::start("rcs-router", command);
        let ready = router.read_until("ready ", PATIENCE);
        let word = |key| ready.split(' ').find_map(|word| word.strip_prefix(key)?.parse().ok());
        let (listen, admin) = (word("listen="), word("admin="));
        Self {
            listen: listen.unwrap_or_else(|| panic!("no listen=ADDR in {ready:?}")),
            admin: admin.unwrap_or_else(|| panic!("no admin=ADDR in {ready:?}")),
            router,
            csv: hr::write(scratch.path()),
            scratch,
            _nodes: nodes,
        }
    }

    fn agent(&self, member: &str) -> Process {
        let mut command = program("rcs-node");
        command.arg("agent").arg("--properties").arg(example(PROPERTIES));
        command.args(["--member", member, "--report", &format!("http://{}", self.admin)]);
        Process::start(&format!("the agent of {member}"), command)
    }

    fn await_up(&self, group: &str, member: &str) {
        wait_until(&format!("{member} of {group} is up\n{}", self.router), PATIENCE, || {
            Metrics::scrape(self.admin).sum("rcs_member_up", &[("group", group), ("member", member)]) == 1.0
        });
    }

    /// Calls as an IDM with this document would, perhaps on another path; none may fail.
    fn call(&self, document: &Value, path: Option<&str>) {
        let server = &document["remoteConnectorServers"][0];
        let path = path.or(server["websocketPath"].as_str()).unwrap_or("openicf");
        let principal = server["principal"].as_str().expect("the documents have one");
        let key = server["key"].as_str().expect("the documents have one");
        let key = written(self.scratch.path(), "idm.key", key);
        let mut load = program("rcs-bench");
        load.args(["load", "--json", "--op", "get", "--duration", "300ms", "--warmup", "50ms"]);
        load.args(["--url", &format!("ws://{}/{path}", self.listen), "--principal", principal]);
        load.arg("--key-file").arg(key).arg("--set").arg(format!("csvFile={}", self.csv.display()));
        let report: Value = serde_json::from_str(&said(&mut load)).expect("--json prints JSON");
        assert!(report["result"]["ok"].as_u64().is_some_and(|ok| ok > 0), "{report}");
        assert_eq!(report["result"]["errors"], serde_json::json!({}), "{report}");
    }

    /// Calls that a member has answered.
    fn calls(&self, group: &str, member: &str) -> f64 {
        let labels = [("group", group), ("member", member), ("outcome", "ok")];
        Metrics::scrape(self.admin).sum("rcs_calls_total", &labels)
    }
}

/// A server with the properties of the example on a free port, and its name with that port.
fn node(name: &str) -> (Process, (String, u16)) {
    let mut command = program("rcs-node");
    command.arg("serve").arg("--properties").arg(example(PROPERTIES));
    command.args(["-D", "connectorserver.port=0"]);
    let process = Process::start(name, command);
    let ready = process.read_until("ready ", PATIENCE);
    let port = ready.rsplit(':').next().and_then(|port| port.trim().parse().ok());
    (process, (name.to_owned(), port.unwrap_or_else(|| panic!("no port in {ready:?}"))))
}

/// A provider document of the examples, with these ports by the servers' names.
fn on_ports(provider: &str, ports: &BTreeMap<String, u16>, folder: &Path) -> PathBuf {
    let mut document = document(provider);
    for server in document["remoteConnectorServers"].as_array_mut().expect("a list of servers") {
        let name = server["name"].as_str().expect("servers have names");
        server["port"] = ports[name].into();
    }
    written(folder, "provider.json", &document.to_string())
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    path
}
