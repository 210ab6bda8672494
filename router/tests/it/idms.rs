//! IDMs that the router dials (client mode of the router): the router is the connector server that dials, and the IDM calls over the sockets
//! that the router opened (P02, P04-P08, M02).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::metrics::Metrics;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeMember, Frame, Manners, Proxy, Refuser, Socket, basic, validate_request};
use rcs_rig::wait::wait_until;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, file, member, run, scratch};

/// A router with one member, and a configuration file.
struct Site {
    router: Router,
    member: FakeMember,
    folder: TempDir,
}

impl Site {
    /// The configuration has the tables of `config`. Keys are in `key` and `wrong.key`.
    fn start(config: impl Fn(&TempDir) -> String) -> Self {
        let (folder, member) = (scratch(), member("n"));
        let provider = document(&folder, &member);
        file(&folder, "key", "the-key\n");
        let config = file(&folder, "router.toml", &config(&folder));
        let router = Router::serve(&provider, &["--dev", "--config", &config]);
        router.await_ready();
        Self { router, member, folder }
    }

    fn configure(&self, config: &str) {
        file(&self.folder, "router.toml", config);
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.router.get("/v1/status").1).unwrap_or_default()
    }

    /// The row of the IDM that listens at this port.
    fn idm(&self, port: u16) -> Value {
        let status = self.status();
        let rows = status["idms"].as_array().cloned().unwrap_or_default();
        let is_it = |row: &Value| row["url"].as_str().is_some_and(|url| url.contains(&format!(":{port}/")));
        rows.into_iter().find(is_it).unwrap_or_default()
    }

    fn logged(&self, part: &str) -> usize {
        self.router.process.stderr_lines().iter().filter(|line| line.contains(part)).count()
    }

    /// Has an IDM make one call on this socket, and checks its answer.
    fn one_call(&mut self, idm: &mut FakeMember, socket: &Arc<Socket>, id: i64) {
        socket.send(&frames::operation(id, &validate_request()));
        answer(&self.member.inbox.operation("the call"));
        let answer = idm.inbox.next("the answer", |frame| frame.answers(id));
        assert!(answer.answer().is_some_and(|answer| answer.validate.is_some()), "{answer:?}");
    }
}

fn document(folder: &TempDir, member: &FakeMember) -> PathBuf {
    Provider::new().server("n", member.port(), 1).group("g", "failover", &["n"]).write(folder.path())
}

fn answer(call: &Frame) {
    let done = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &done));
}

/// An IDM that waits for connector servers in client mode. On the wire it accepts as a scripted member does, and sends the calls.
fn idm(name: &str) -> FakeMember {
    FakeMember::listen(name, Manners::Polite)
}

fn url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/openicf")
}

/// A table for the IDM `cloud` with these URLs and further lines. New connections follow each other at once.
fn table(folder: &TempDir, urls: &[u16], more: &str) -> String {
    let urls: Vec<String> = urls.iter().map(|port| url(*port)).collect();
    let key = folder.path().join("key").display().to_string();
    format!(
        "[idm.cloud]\nurl = {urls:?}\nkey_file = {key:?}\nnew_connections_interval = \"0s\"\nhousekeeping_interval = \"1s\"\n{more}\n"
    )
}

fn open(idm: &FakeMember) -> Vec<Arc<Socket>> {
    idm.sockets().into_iter().filter(|socket| !socket.is_closed()).collect()
}

/// Three IDM processes behind one name: each has its connections and its session, and one that goes takes nothing from the others.
#[test]
fn each_url_is_an_idm_of_its_own_that_comes_back_alone() {
    let mut idms = ["one", "two", "three"].map(idm);
    let ports = idms.each_ref().map(FakeMember::port);
    let mut site = Site::start(|folder| table(folder, &ports, "group = \"g\"\nconnections = 3"));
    for idm in &mut idms {
        let sockets = idm.await_sockets(3);
        for (id, socket) in (1..).zip(&sockets) {
            site.one_call(idm, socket, id);
        }
    }
    wait_until("all are connected", PATIENCE, || {
        ports.iter().all(|port| site.idm(*port)["connections"] == 3)
    });
    let status = site.status();
    assert_eq!((&status["condition"], &status["callers"]), (&"ok".into(), &3.into()), "{status}");
    let callers: Vec<Value> = serde_json::from_str(&site.router.get("/v1/callers").1).unwrap();
    for caller in &callers {
        assert_eq!(
            (&caller["principal"], &caller["dialled_by"], &caller["group"], &caller["sockets"]),
            (&"cloud".into(), &"router".into(), &"g".into(), &3.into())
        );
    }

    let [one, two, three] = &mut idms;
    let kept: Vec<_> = [&*one, &*three].map(open).into_iter().flatten().collect();
    two.die();
    wait_until("the loss is shown", PATIENCE, || site.idm(ports[1])["connections"] == 0);
    let warning = |status: &Value| status["warnings"].to_string();
    wait_until("what to do is said", PATIENCE, || {
        warning(&site.status()).contains("no TCP connection to 127.0.0.1")
    });
    let status = site.status();
    assert_eq!(status["condition"], "degraded", "{status}");
    assert!(warning(&status).contains("the IDM \\\"cloud\\\" at ws://"), "{status}");
    let connections = |port: u16| {
        let labels = [("idm", "cloud"), ("url", &*url(port))];
        Metrics::scrape(site.router.admin).sum("rcs_idm_connections", &labels)
    };
    assert_eq!(ports.map(connections), [3.0, 0.0, 3.0]);
    site.one_call(one, &open(one)[0], 11);

    let mut two = FakeMember::listen_on("two again", ports[1], Manners::Polite);
    let sockets = two.await_sockets(3);
    site.one_call(&mut two, &sockets[0], 1);
    wait_until("all is well again", PATIENCE, || site.status()["condition"] == "ok");
    assert_eq!(site.idm(ports[1])["failure"], Value::Null);
    assert!(kept.iter().all(|socket| !socket.is_closed()), "the others' sockets were never touched");
    assert_eq!((one.sockets().len(), three.sockets().len()), (3, 3));
}

/// `connectionTtl`: a new connection is there before an old one goes, and no call is lost. Never more than one connection beyond those that
/// are wanted.
#[test]
fn connections_are_replaced_at_their_age_under_load() {
    let mut idm = idm("idm");
    let port = idm.port();
    let mut site = Site::start(|folder| {
        table(folder, &[port], "group = \"g\"\nconnections = 2\nconnection_ttl = \"1s\"")
    });
    idm.await_sockets(2);
    let (mut id, mut open_calls) = (0, Vec::new());
    while idm.sockets().len() < 10 {
        let sockets = open(&idm);
        assert!((1..=3).contains(&sockets.len()), "{} connections are open", sockets.len());
        // The newest connection is the last one that closes, so a call does not go into a closing one.
        let newest = sockets.last().unwrap();
        id += 1;
        newest.send(&frames::operation(id, &validate_request()));
        open_calls.push(id);
        // Some calls are always under way while connections go.
        if open_calls.len() > 5 {
            answer(&site.member.inbox.operation("a call"));
            let first = open_calls.remove(0);
            let answered = idm.inbox.next("its answer", |frame| frame.answers(first));
            assert!(answered.answer().is_some(), "{answered:?}");
        }
    }
    let labels = [("side", "downstream")];
    let replaced = Metrics::scrape(site.router.admin).sum("rcs_sockets_rotated_total", &labels);
    assert!(replaced >= 5.0, "{replaced}");
    assert_eq!(site.status()["callers"], 1, "one session");
}

/// A wrong key is told once, and tried rarely. A right key in the file is tried at once.
#[test]
fn a_refusal_is_told_once_and_tried_rarely_until_the_key_changes() {
    let peer = Refuser::start("403 No");
    let port = peer.address().port();
    let begin = Instant::now();
    let site = Site::start(|folder| {
        table(folder, &[port], "principal = \"rcs1\"")
            .replace("housekeeping_interval = \"1s\"", "housekeeping_interval = \"4s\"")
    });
    site.router.await_log("refused the principal \"rcs1\" (HTTP 403): compare key_file");
    assert!(
        peer.head().contains(&format!("Authorization: {}\r\n", basic("rcs1", "the-key"))),
        "{}",
        peer.head()
    );
    wait_until("it is tried again", PATIENCE, || peer.requests() >= 3);
    assert!(begin.elapsed() >= Duration::from_secs(4), "each pause is 2 s at least");
    assert_eq!(site.logged("no connection"), 1, "{}", site.router.process);
    let shown = site.idm(port);
    assert!(shown["failure"].as_str().unwrap().contains("compare key_file"), "{shown}");

    file(&site.folder, "key", "the-new-key\n");
    let new = basic("rcs1", "the-new-key");
    wait_until("the new key is shown", PATIENCE, || peer.head().contains(&new));
    assert_eq!(site.logged("the-new-key") + site.logged("the-key"), 0);
}

/// P04-P07
#[test]
fn an_idm_is_dialled_through_a_proxy() {
    let (open_proxy, asking) = (Proxy::start(None), Proxy::start(Some(basic("user", "pass"))));
    let [mut near, mut far] = ["near", "far"].map(idm);
    let (near_port, far_port) = (near.port(), far.port());
    let config = |folder: &TempDir, password: &str| {
        let password = file(folder, "password", password);
        let through = |proxy: &Proxy| {
            format!("group = \"g\"\nproxy.host = \"127.0.0.1\"\nproxy.port = {}\n", proxy.port())
        };
        let far =
            format!("{}proxy.principal = \"user\"\nproxy.password_file = {password:?}\n", through(&asking));
        table(folder, &[near_port], &through(&open_proxy))
            + &table(folder, &[far_port], &far).replace("[idm.cloud]", "[idm.far]")
    };
    let mut site = Site::start(|folder| config(folder, "hidden-word\n"));
    site.router
        .await_log("refused our user or password (HTTP 407): set proxy.principal and proxy.password_file");
    let sockets = near.await_sockets(3);
    site.one_call(&mut near, &sockets[2], 1);
    assert_eq!((open_proxy.led(), asking.led()), (3, 0));
    file(&site.folder, "password", "pass\n");
    let sockets = far.await_sockets(3);
    site.one_call(&mut far, &sockets[0], 1);
    assert_eq!((asking.led(), site.logged("hidden-word")), (3, 0));
}

/// The tables follow the file. An IDM that is taken out loses its connections between calls.
#[test]
fn the_tables_of_idms_follow_the_file() {
    let [mut first, mut second] = ["first", "second"].map(idm);
    let (one, two) = (first.port(), second.port());
    let mut site = Site::start(|folder| table(folder, &[one], "group = \"later\""));
    site.router.await_log("the provider document has no group or server named \"later\"");
    assert!(site.idm(one)["failure"].as_str().unwrap().contains("correct group in [idm.NAME]"));
    site.configure(&table(&site.folder, &[one, two], "group = \"g\"\nconnections = 1"));
    let sockets = [first.await_sockets(1), second.await_sockets(1)].concat();
    sockets[0].send(&frames::operation(1, &validate_request()));
    let call = site.member.inbox.operation("the call");

    site.configure(&table(&site.folder, &[two], "group = \"g\"\nconnections = 2"));
    second.await_sockets(2);
    site.router.await_log("is not dialled any more");
    assert!(!sockets[0].is_closed(), "its call has no answer yet");
    answer(&call);
    first.inbox.next("the answer", |frame| frame.answers(1));
    wait_until("the last connection ends", PATIENCE, || sockets[0].is_closed());
    assert_eq!((site.idm(one), first.sockets().len()), (Value::Null, 1));

    // A file with a fault changes nothing.
    site.configure("[idm.cloud]\nurl = \"http://elsewhere\"\n");
    site.router.await_log("idm.cloud.url: \"http://elsewhere\" is not valid");
    let sockets = open(&second);
    assert_eq!(sockets.len(), 2);
    site.one_call(&mut second, &sockets[0], 7);
}

/// I03: no new connection, and the calls in flight have their answers.
#[test]
fn a_router_that_ends_dials_no_more() {
    let mut idm = idm("idm");
    let port = idm.port();
    let mut site = Site::start(|folder| table(folder, &[port], "connections = 2"));
    let sockets = idm.await_sockets(2);
    // Without a group the connector of the call decides.
    sockets[0].send(&frames::operation(1, &validate_request()));
    let call = site.member.inbox.operation("the call");
    site.router.process.signal(Signal::TERM);
    site.router.await_log("draining");
    sockets[1].finish();
    answer(&call);
    let answered = idm.inbox.next("the answer", |frame| frame.answers(1));
    assert!(answered.answer().is_some(), "{answered:?}");
    assert_eq!(site.router.process.wait(PATIENCE).code(), Some(0));
    wait_until("all connections are closed", PATIENCE, || open(&idm).is_empty());
    assert_eq!(idm.sockets().len(), 2, "none was dialled while the router ended");
}

/// `check` shows what is in force, and says of each fault what to do.
#[test]
fn check_reads_the_tables_and_their_files() {
    let (folder, member) = (scratch(), member("n"));
    let provider = document(&folder, &member).display().to_string();
    let key = file(&folder, "key", "hidden-word\n");
    let check = |config: &str| {
        let config = file(&folder, "router.toml", config);
        run(&["check", "--provider", &provider, "--config", &config])
    };
    let good = format!("[idm.cloud]\nurl = \"ws://h:1/openicf wss://h/openicf/0\"\nkey_file = {key:?}\n");
    let ran = check(&format!("{good}group = \"nobody\"\nproxy.host = \"p\"\n"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in [
        "The router dials the IDM cloud",
        "  * url = [\"ws://h:1/openicf\", \"wss://h/openicf/0\"]",
        "    connections = 3",
        "  * proxy.host = \"p\"",
        "Warning: idm.cloud.group: the provider file has no group or server named \"nobody\"",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(!format!("{ran:?}").contains("hidden-word"));
    for (config, says) in [
        ("[idm.cloud]\nkey_file = \"k\"\n".to_owned(), "idm.cloud: url is missing. Write the URL"),
        ("[idm.cloud]\nurl = \"wss://h\"\n".to_owned(), "idm.cloud: key_file is missing. Write the password"),
        (good.replace(&key, "/nowhere/key"), "idm.cloud.key_file: the file /nowhere/key cannot be read"),
        (good.replace("ws://h:1/openicf ", "h:1 "), "Use URLs that begin with ws:// or wss://"),
        (format!("{good}proxy.password_file = {key:?}\n"), "Add proxy.host, or remove them"),
        (format!("{good}trust_store = {key:?}\n"), "idm.cloud.trust_store: trust_store cannot be used"),
        (format!("{good}connection = 3\n"), "Did you mean connections?"),
        (format!("{good}connections = 11\n"), "Use 1 to 10"),
        ("[[idm]]\nname = \"cloud\"\n".to_owned(), "idm: it must be a table: [idm.NAME]"),
    ] {
        let ran = check(&config);
        assert!(ran.code == Some(65) && ran.stderr.contains(says), "{config}: {ran:?}");
    }
}
