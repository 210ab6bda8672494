//! Real HTTP proxies, tinyproxy and squid, on the way of a router that dials an IDM, and of a node that dials a router (P04-P07).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_proto::frames;
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::metrics::http_get;
use rcs_rig::node::{DiallingNode, Node};
use rcs_rig::provider::Provider;
use rcs_rig::proxy::{Kind, PASSWORD, RealProxy, USER, Users};
use rcs_rig::rcs::Rcs;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeMember, Manners, Socket, validate_request};
use rcs_rig::wait::wait_until;
use rcs_rig::{hr, ports, workspace};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::answers::validated;
use crate::bounds::PATIENCE;
use crate::node_dials::Reader;
use crate::router_dials::dialled_for;

const GROUP: &str = "hr";
/// What the router and the node say of a proxy that refused their user. tinyproxy answers a wrong password with 401.
const REFUSED: &str = "refused our user or password (HTTP 40";

/// A router that dials a scripted IDM through proxies, in front of a scripted member.
struct Dialler {
    router: Router,
    member: FakeMember,
    idm: FakeMember,
    config: PathBuf,
    password: PathBuf,
    scratch: TempDir,
}

impl Dialler {
    fn start() -> Self {
        let (scratch, member) = (workspace::scratch(), FakeMember::listen("n", Manners::Polite));
        let provider = Provider::new()
            .server("n", member.port(), 1)
            .group(GROUP, "failover", &["n"])
            .write(scratch.path());
        let path = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            std::fs::write(&path, text).expect("scratch is there");
            path
        };
        let (config, password) = (path("router.toml", ""), path("password", "wrong-word\n"));
        path("key", "the-key\n");
        let router = Router::start_with(&provider, &["--config", &config.display().to_string()]);
        router.await_up(GROUP, &["n"]);
        Self { router, member, idm: FakeMember::listen("idm", Manners::Polite), config, password, scratch }
    }

    /// Has the router dial this port through a proxy, in place of what it dialled before. `name` is of the IDM, `more` are further lines.
    fn dial(&self, name: &str, port: u16, proxy: &RealProxy, more: &str) {
        let key = self.scratch.path().join("key");
        let text = format!(
            "[idm.{name}]\nurl = \"ws://127.0.0.1:{port}/openicf\"\nkey_file = {key:?}\ngroup = \"{GROUP}\"\nconnections = 2\n\
             new_connections_interval = \"0s\"\nhousekeeping_interval = \"1s\"\nproxy.host = \"127.0.0.1\"\nproxy.port = {}\n{more}\n",
            proxy.port()
        );
        std::fs::write(&self.config, text).expect("scratch is there");
    }

    /// The settings of the user at the proxy. The password is what the file says.
    fn user(&self) -> String {
        format!("proxy.principal = \"{USER}\"\nproxy.password_file = {:?}", self.password)
    }

    fn call(&mut self, socket: &Arc<Socket>, id: i64) {
        socket.send(&frames::operation(id, &validate_request()));
        let call = self.member.inbox.operation("the call");
        call.socket.send(&frames::answer(call.id(), &validated()));
        assert!(self.idm.inbox.next("the answer", |frame| frame.answers(id)).answer().is_some());
    }

    fn says(&mut self, part: &str) {
        let process = self.router.process();
        wait_until(&format!("the log says {part:?}\n{process}"), PATIENCE, || process.said_on_stderr(part));
        let admin = self.router.admin();
        wait_until("the status says the same", PATIENCE, || http_get(admin, "/v1/status").1.contains(part));
    }

    fn logged(&mut self, part: &str) -> usize {
        self.router.process().stderr_lines().iter().filter(|line| line.contains(part)).count()
    }
}

/// With and without a user, a user too few, a wrong password. Then what a proxy may do beside that: refuse the target, not reach the target,
/// take the connection and never answer, not run. Each time the log and `status` say what to do, once.
fn a_router_dials_an_idm_through(kind: Kind, test: &str) {
    let mut site = Dialler::start();
    let port = site.idm.port();
    let Some(mut asking) = RealProxy::start(kind, Users::One, &[], test) else { return };
    site.dial("a", port, &asking, "");
    site.says(&format!("{REFUSED}7): set proxy.principal and proxy.password_file"));
    site.dial("b", port, &asking, &site.user());
    wait_until("the wrong password is told", PATIENCE, || site.logged(REFUSED) == 2);
    assert!(site.idm.sockets().is_empty(), "nothing was led to it");
    std::fs::write(&site.password, format!("{PASSWORD}\n")).expect("scratch is there");
    let sockets = site.idm.await_sockets(2);
    for (id, socket) in (1..).zip(&sockets) {
        site.call(socket, id);
    }
    asking.kill();
    wait_until("all went by the proxy", PATIENCE, || sockets.iter().all(|socket| socket.is_closed()));
    assert_eq!(site.logged(PASSWORD) + site.logged("wrong-word"), 0, "P9");

    let free = ports::free_port();
    let mut open = RealProxy::start(kind, Users::Everybody, &[port, free], test).expect("it was there");
    let narrow = RealProxy::start(kind, Users::Everybody, &[free], test).expect("it was there");
    site.dial("c", port, &narrow, "");
    site.says(&format!(
        "it does not allow connections to 127.0.0.1:{port} (HTTP 403): have the proxy allow CONNECT"
    ));
    site.dial("d", free, &open, "");
    site.says(&format!("it does not lead to 127.0.0.1:{free} (HTTP 5"));
    // The proxy's machine accepts connections, and the proxy does not read.
    open.process().freeze();
    site.dial("e", port, &open, "");
    site.says("did not lead to the target within 10s: check the host and port in url");
    open.process().thaw();
    let sockets = site.idm.await_sockets(2);
    site.call(&sockets[0], 11);

    // Under load the proxy dies, and comes back.
    sockets[0].send(&frames::operation(12, &validate_request()));
    let lost = site.member.inbox.operation("the call in flight");
    open.kill();
    site.says("does not help: no TCP connection to 127.0.0.1");
    assert!(sockets.iter().all(|socket| socket.is_closed()));
    lost.socket.send(&frames::answer(lost.id(), &validated()));
    let before = site.logged("no connection");
    open.restart();
    let sockets = site.idm.await_sockets(2);
    site.call(&sockets[1], 13);
    assert_eq!(site.logged("no connection"), before, "a fault that lasts is told once");
}

#[test]
fn a_router_dials_an_idm_through_tinyproxy() {
    a_router_dials_an_idm_through(Kind::Tinyproxy, "proxies::a_router_dials_an_idm_through_tinyproxy");
}

#[test]
fn a_router_dials_an_idm_through_squid() {
    a_router_dials_an_idm_through(Kind::Squid, "proxies::a_router_dials_an_idm_through_squid");
}

/// A real Java IDM, with a real Java server behind the router. The proxy dies and comes back.
#[test]
fn a_java_idm_is_dialled_through_squid() {
    const TEST: &str = "proxies::a_java_idm_is_dialled_through_squid";
    let Some(java) = Java::or_skip(TEST) else { return };
    let Some(mut proxy) = RealProxy::start(Kind::Squid, Users::Everybody, &[], TEST) else { return };
    let scratch = workspace::scratch();
    let near = Rcs::start(&java, "near");
    let provider = Provider::new().server("near", near.port(), 2).group(GROUP, "failover", &["near"]);
    let config = scratch.path().join("router.toml");
    std::fs::write(&config, "").expect("scratch is there");
    let router =
        Router::start_with(&provider.write(scratch.path()), &["--config", &config.display().to_string()]);
    router.await_up(GROUP, &["near"]);
    let through = format!("proxy.host = \"127.0.0.1\"\nproxy.port = {}", proxy.port());
    let (mut idm, _) = dialled_for(&java, &router, &config, GROUP, &through);
    let journal = Journal::new(scratch.path(), "group");
    idm.ok(&journal.use_command());
    idm.ok("create name=u0");
    let connections = || router.metrics().sum("rcs_idm_connections", &[]);
    wait_until("both connections are there", PATIENCE, || connections() == 2.0);
    proxy.kill();
    wait_until("both connections are gone", PATIENCE, || connections() == 0.0);
    proxy.restart();
    wait_until("both connections are back", PATIENCE, || connections() == 2.0);
    let load = idm.load("get 4 2 u0");
    assert!((load.err, load.hung_threads) == (0, 0) && load.ok > 20, "{load:?}");
}

/// The member `c1` in client mode, behind a proxy, beside the member `n1` in server mode.
struct Members {
    router: Router,
    _listening: Node,
    scratch: TempDir,
    folder: TempDir,
    reader: Reader,
}

impl Members {
    fn start() -> Self {
        let [scratch, near, folder] = [(); 3].map(|()| workspace::scratch());
        let listening = Node::start(near.path());
        let provider = Provider::new().server("n1", listening.port(), 2).client("c1");
        let router = Router::start(&provider.group(GROUP, "roundrobin", &["n1", "c1"]).write(scratch.path()));
        router.await_up(GROUP, &["n1"]);
        let csv = hr::write(scratch.path()).display().to_string();
        let reader = Reader::connect(&router, &csv);
        Self { router, _listening: listening, scratch, folder, reader }
    }

    fn node(&self, proxy: &RealProxy, more: &[&str]) -> DiallingNode {
        let url = format!("ws://{}/openicf", self.router.listen());
        let (host, port) = ("proxyHost=127.0.0.1".to_owned(), format!("proxyPort={}", proxy.port()));
        let through = [&[host.as_str(), port.as_str()], more].concat();
        DiallingNode::start_with(self.folder.path(), "c1", &url, 2, &through)
    }
}

fn says(node: &mut DiallingNode, part: &str) {
    let process = node.process();
    wait_until(&format!("the node says {part:?}\n{process}"), PATIENCE, || process.said_on_stderr(part));
}

fn a_node_dials_a_router_through(kind: Kind, test: &str) {
    let Some(asking) = RealProxy::start(kind, Users::One, &[], test) else { return };
    let mut site = Members::start();
    let user = format!("proxyPrincipal={USER}");
    for more in [&[][..], &[&user, "proxyPassword=wrong-word"]] {
        let mut node = site.node(&asking, more);
        says(&mut node, REFUSED);
        says(&mut node, "): set connectorserver.proxyPrincipal and connectorserver.proxyPassword");
        assert!(!node.process().said_on_stderr("wrong-word"), "P9");
    }
    let node = site.node(&asking, &[&user, &format!("proxyPassword={PASSWORD}")]);
    site.router.await_up(GROUP, &["c1"]);
    site.reader.read(20);
    drop((node, asking));

    let narrow = RealProxy::start(kind, Users::Everybody, &[ports::free_port()], test).expect("it was there");
    says(&mut site.node(&narrow, &[]), "(HTTP 403): have the proxy allow CONNECT to this host and port");
    let mut open = RealProxy::start(kind, Users::Everybody, &[], test).expect("it was there");
    open.process().freeze();
    let mut node = site.node(&open, &[]);
    says(&mut node, "did not lead to the target within 10s: check the host and port in connectorserver.url");
    open.process().thaw();
    site.router.await_up(GROUP, &["c1"]);

    // The proxy dies under load: the reads go to the other member, and none fails. It comes back, and so does the node.
    site.reader.read(20);
    let mut killed = false;
    wait_until("the member behind the proxy is down", PATIENCE, || {
        site.reader.read(5);
        if !std::mem::replace(&mut killed, true) {
            open.process().signal(Signal::KILL);
        }
        !site.router.is_up(GROUP, "c1")
    });
    says(&mut node, "does not help: no TCP connection to 127.0.0.1");
    site.reader.read(20);
    open.kill();
    open.restart();
    site.router.await_up(GROUP, &["c1"]);
    site.reader.read(20);
    let lines = node.process().stderr_lines();
    let told = lines.iter().filter(|line| line.contains("no TCP connection")).count();
    assert_eq!(told, 1, "told once\n{}", node.process());
    assert!(Path::new(site.scratch.path()).exists());
}

#[test]
fn a_node_dials_a_router_through_tinyproxy() {
    a_node_dials_a_router_through(Kind::Tinyproxy, "proxies::a_node_dials_a_router_through_tinyproxy");
}

#[test]
fn a_node_dials_a_router_through_squid() {
    a_node_dials_a_router_through(Kind::Squid, "proxies::a_node_dials_a_router_through_squid");
}
