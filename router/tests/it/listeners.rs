//! Addresses of groups. An IDM may send neither a path nor a principal that names a group (OpenIDM 6.3.0 always sends `anonymous` and
//! `/openicf`). Such an IDM chooses its group by the address that it dials.

use std::fs;
use std::net::SocketAddr;

use rcs_rig::ports::free_port;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeIdm, FakeMember, raw_exchange, upgrade_request, validate_request};
use rcs_rig::wait::wait_until;
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, member, router, run, scratch};

/// anonymous:changeit
const OPENIDM: Option<&str> = Some("Basic YW5vbnltb3VzOmNoYW5nZWl0");
const PROTOCOL: Option<&str> = Some("v1.openicf.forgerock.org");

/// Two groups with the same connector. The router has an address for all groups, and an address for the group `a`.
struct Site {
    folder: TempDir,
    members: [FakeMember; 2],
    router: Router,
    own: SocketAddr,
}

impl Site {
    fn new(config: &str) -> Self {
        let folder = scratch();
        let members = [member("n1"), member("n2")];
        let document = Provider::new()
            .server("n1", members[0].port(), 1)
            .server("n2", members[1].port(), 1)
            .group("a", "failover", &["n1"])
            .group("b", "failover", &["n2"])
            .write(folder.path());
        let settings = folder.path().join("router.toml");
        fs::write(&settings, config).unwrap();
        let mut command = router(&["serve", "--dev", "--provider", document.to_str().unwrap()]);
        command.args(["--config", settings.to_str().unwrap(), "--admin", "127.0.0.1:0"]);
        command.args(["--listen", "127.0.0.1:0", "--listen", "localhost:0=a"]);
        let router = Router::start(command);
        router.await_ready();
        let own = |word: &str| word.strip_prefix("listen=")?.strip_suffix("=a")?.parse().ok();
        let own = router.ready.split_whitespace().find_map(own);
        let own =
            own.unwrap_or_else(|| panic!("the ready line names no address of the group: {}", router.ready));
        for member in &members {
            member.await_sockets(1);
        }
        Self { folder, members, router, own }
    }

    fn configure(&self, config: &str) {
        fs::write(self.folder.path().join("router.toml"), config).unwrap();
    }

    /// Calls as OpenIDM does. The call must come to the member with this number.
    fn call(&mut self, at: SocketAddr, number: usize) {
        let mut idm = FakeIdm::connect(at, "/openicf", 1);
        idm.call(&validate_request());
        self.members[number].inbox.operation(&format!("a call at {at} is for member {number}"));
    }
}

#[test]
fn the_address_of_a_group_chooses_the_group_and_nothing_else_can() {
    let mut site = Site::new("");
    site.call(site.own, 0);
    let callers = site.router.get("/v1/callers").1;
    assert!(callers.contains("\"group\":\"a\"") && !callers.contains("\"group\":null"), "{callers}");
    for (at, path, status) in [
        (site.own, "/openicf", 101),
        (site.own, "/openicf/a", 101),
        (site.own, "/openicf/b", 404),
        (site.own, "/elsewhere", 404),
        (site.router.listen, "/openicf/b", 101),
    ] {
        let answer = raw_exchange(at, upgrade_request(path, OPENIDM, PROTOCOL).as_bytes());
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    // If the address decides nothing and two groups have the connector, the error says what to do.
    let mut idm = FakeIdm::connect(site.router.listen, "/openicf", 1);
    let id = idm.call(&validate_request());
    let answer = idm.answer(id);
    let error = answer.error().unwrap_or_else(|| panic!("{answer:?}"));
    for part in ["/openicf/GROUP", "principal", "--listen ADDR=GROUP", "OpenIDM"] {
        assert!(error.message.contains(part), "no {part:?} in {error:?}");
    }
}

#[test]
fn the_address_of_a_group_follows_the_configuration_file_and_open_sockets_stay() {
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut site = Site::new(&format!("[group.b]\nlisten = \"{address}\"\n"));
    site.call(address, 1);
    let idm = FakeIdm::connect(address, "/openicf", 1);
    site.configure("");
    site.router.await_log("the address of the group is closed");
    wait_until("the address is closed", PATIENCE, || std::net::TcpStream::connect(address).is_err());
    assert!(!idm.socket(0).is_closed());
    site.configure(&format!("[group.a]\nlisten = \"{address}\"\n"));
    site.router.await_log("are accepted at its own address");
    site.call(address, 0);
    // If another program has the address, that is logged, and changes nothing else.
    site.configure(&format!("[group.a]\nlisten = \"{}\"\n", site.router.listen));
    site.router.await_log("cannot listen at the address of the group");
    site.router.await_alive();
}

#[test]
fn a_context_path_may_stand_before_the_path() {
    let site = Site::new("[router]\ncontext_path = \"/base\"\n");
    for (path, status) in [("/base/openicf/a", 101), ("/openicf/a", 101), ("/bass/openicf/a", 404)] {
        let answer = raw_exchange(site.router.listen, upgrade_request(path, OPENIDM, PROTOCOL).as_bytes());
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

#[test]
fn an_address_that_cannot_be_is_refused_before_anything_starts() {
    let folder = scratch();
    let member = member("n1");
    let document = crate::support::provider(&folder, &[("n1", &member)]);
    let provider = document.to_str().unwrap();
    let serve = ["serve", "--dev", "--provider", provider, "--admin", "127.0.0.1:0", "--listen"];
    for (listen, code, part) in [
        ("nowhere", 64, "HOST:PORT"),
        ("127.0.0.1:0=a/b", 64, "ADDR=GROUP"),
        (&format!("127.0.0.1:{}=g", member.port()), 69, "cannot listen on"),
    ] {
        let ran = run(&[&serve[..], &[listen]].concat());
        assert!(ran.code == Some(code) && ran.stderr.contains(part), "{listen}: {ran:?}");
    }
}
