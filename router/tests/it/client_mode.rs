//! Members in client mode: they dial the router, and are members like those that the router dials.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::metrics::Metrics;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{
    FakeClient, FakeIdm, FakeMember, Frame, Inbox, basic, raw_exchange, upgrade_request, validate_request,
};
use rcs_rig::wait::{hold, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{AT_ONCE, PATIENCE, Router, member, router as command, run_command, scratch};

/// A router with the member `s`, which the router dials, and the members `c` and `d` in client mode.
struct Site {
    router: Router,
    dialled: FakeMember,
    folder: TempDir,
}

fn document(folder: &TempDir, dialled: &FakeMember, clients: &[&str]) -> PathBuf {
    let mut provider = Provider::new().server("s", dialled.port(), 1);
    for client in clients {
        provider = provider.client(client);
    }
    let members: Vec<&str> = ["s"].iter().chain(clients).copied().collect();
    provider.group("g", "roundrobin", &members).write(folder.path())
}

impl Site {
    fn start() -> Self {
        let (folder, dialled) = (scratch(), member("s"));
        let provider = document(&folder, &dialled, &["c", "d"]);
        let router = Router::serve(&provider, &["--dev"]);
        Self { router, dialled, folder }
    }

    fn client(&self, name: &str) -> FakeClient {
        self.nth_client(name, 0)
    }

    /// A server process of this name; each number is another process.
    fn nth_client(&self, name: &str, number: usize) -> FakeClient {
        FakeClient::new(self.router.listen, name, &format!("process-{name}-{number}"))
    }

    fn row(&self, name: &str) -> Value {
        let rows: Vec<Value> = serde_json::from_str(&self.router.get("/v1/members").1).unwrap();
        let is_it = |row: &Value| row["name"] == name && row["group"] == "g";
        rows.into_iter().find(is_it).unwrap_or(Value::Null)
    }

    #[track_caller]
    fn await_state(&self, name: &str, state: &str) -> Value {
        wait_until(&format!("{name} is {state}\n{}", self.router.process), PATIENCE, || {
            self.row(name)["state"] == state
        });
        self.row(name)
    }

    fn member(&self, arguments: &[&str]) -> String {
        let mut command = command(&["member"]);
        command.args(arguments).args(["--server", &format!("http://{}", self.router.admin)]);
        let ran = run_command(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    }

    fn is_up(&self, name: &str) -> f64 {
        Metrics::scrape(self.router.admin).sum("rcs_member_up", &[("member", name), ("group", "g")])
    }
}

fn answer(call: &Frame) {
    let done = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &done));
}

/// Has the IDM make one call, which must come to this member, and checks its answer.
fn one_call(idm: &mut FakeIdm, inbox: &mut Inbox) {
    let id = idm.call(&validate_request());
    answer(&inbox.operation("the call"));
    assert!(idm.answer(id).answer().is_some_and(|answer| answer.validate.is_some()));
}

/// A group of one member in server mode and two in client mode: each gets its turn, exactly; a member that dies costs its turn alone.
#[test]
fn members_that_dial_take_their_turns_with_those_that_are_dialled() {
    let mut site = Site::start();
    let never = site.await_state("c", "down");
    assert_eq!((&never["mode"], &never["address"]), (&"client".into(), &Value::Null));
    assert!(never["reason"].as_str().unwrap().contains("has not connected yet; check url"), "{never}");
    let (mut c, mut d) = (site.client("c").connect(2), site.client("d").connect(1));
    for name in ["s", "c", "d"] {
        site.await_state(name, "serving");
        assert_eq!(site.is_up(name), 1.0, "{name}");
    }
    let row = site.row("c");
    assert_eq!(
        (&row["mode"], &row["address"], &row["sockets"], &row["server"]),
        (&"client".into(), &"127.0.0.1".into(), &2.into(), &"java".into())
    );
    assert_eq!(site.row("s")["mode"], "server");
    let wide = site.member(&["list", "-o", "wide"]);
    assert!(wide.lines().any(|line| line.contains("client") && line.contains("127.0.0.1 ")), "{wide}");

    let mut idm = site.router.idm("g");
    for _ in 0..3 {
        one_call(&mut idm, &mut site.dialled.inbox);
        one_call(&mut idm, &mut c.inbox);
        one_call(&mut idm, &mut d.inbox);
    }

    // A call that was sent and not answered: a member that dies gives the call to another one.
    one_call(&mut idm, &mut site.dialled.inbox);
    let id = idm.call(&validate_request());
    c.inbox.operation("the call that is lost");
    c.die();
    answer(&d.inbox.operation("the call that was retried"));
    assert!(idm.answer(id).answer().is_some());
    let left = site.await_state("c", "down");
    assert!(left["reason"].as_str().unwrap().contains("the server has to dial again"), "{left}");
    assert_eq!((site.is_up("c"), &left["address"]), (0.0, &"127.0.0.1".into()));
    let asked = rcs_rig::metrics::http_get(site.router.admin, "/v1/status").1;
    assert!(asked.contains("degraded") && asked.contains("the server has to dial again"), "{asked}");

    // The same server, started again, is the same member.
    let mut again = site.nth_client("c", 1).connect(1);
    site.await_state("c", "serving");
    one_call(&mut idm, &mut site.dialled.inbox);
    one_call(&mut idm, &mut again.inbox);
    one_call(&mut idm, &mut d.inbox);
}

/// A 1.8.0 dialler never dials again (WIRE 7.5), so a drain costs a member in client mode no socket.
#[test]
fn a_drain_leaves_the_sockets_of_a_member_that_dials() {
    let mut site = Site::start();
    let mut c = site.client("c").connect(2);
    site.await_state("c", "serving");
    site.await_state("s", "serving");
    let mut idm = site.router.idm("g");
    let drained = site.member(&["drain", "g", "c", "--wait"]);
    assert_eq!(drained, "c of g: drained (by an operator), 0 calls in flight, 2 sockets\n");
    one_call(&mut idm, &mut site.dialled.inbox);
    one_call(&mut idm, &mut site.dialled.inbox);
    site.member(&["undrain", "g", "c", "--wait"]);
    one_call(&mut idm, &mut c.inbox);
    let disabled = site.member(&["disable", "g", "c", "--wait"]);
    assert_eq!(disabled, "c of g: disabled (by an operator), 0 calls in flight, 2 sockets\n");
    site.member(&["enable", "g", "c", "--wait"]);
    one_call(&mut idm, &mut site.dialled.inbox);
    one_call(&mut idm, &mut c.inbox);
    assert!(!c.lost_a_socket(), "each is the socket that the server opened at its start");
}

/// Only the document ends a healthy socket of a member in client mode: a server that is removed, or disabled there, is let go.
#[test]
fn a_member_that_leaves_the_document_loses_its_sockets() {
    let site = Site::start();
    let (c, d) = (site.client("c").connect(2), site.client("d").connect(1));
    site.await_state("c", "serving");
    site.await_state("d", "serving");
    document(&site.folder, &site.dialled, &["d"]);
    wait_until("the sockets of c end", PATIENCE, || c.socket(0).is_closed() && c.socket(1).is_closed());
    assert!(!d.lost_a_socket());
    assert_eq!(site.row("c"), Value::Null);
}

/// The path may name the member too, and never another one.
#[test]
fn the_path_may_name_the_member_and_no_other() {
    let site = Site::start();
    for (number, path) in ["/openicf/c", "/openicf/0/c", "/openicf/0", "/openicf/"].into_iter().enumerate() {
        let client = site.nth_client("c", number).at_path(path).connect(1);
        let has = |sockets: u64| site.row("c")["sockets"] == sockets;
        wait_until(path, PATIENCE, || has(1));
        client.die();
        wait_until(path, PATIENCE, || has(0));
    }
    let refused = |path: &str, principal: &str| {
        let request = upgrade_request(path, Some(&basic(principal, "changeit")), None);
        let refused = raw_exchange(site.router.listen, request.as_bytes());
        (refused.status, refused.head.lines().next().unwrap_or_default().to_owned())
    };
    for (path, principal, status, part) in [
        ("/openicf/d", "c", 403, "the credentials are those of \"c\", but the path names \"d\""),
        ("/openicf/0/d", "c", 403, "use /openicf/c, or the credentials of \"d\""),
        ("/openicf/s", "c", 403, "the path names \"s\""),
        ("/openicf/0/c/more", "c", 404, "use /openicf or /openicf/c"),
        ("/elsewhere", "c", 404, "use /openicf or /openicf/c"),
        ("/openicf/0", "nobody", 404, "no group or server named \"0\""),
    ] {
        let (answered, line) = refused(path, principal);
        assert!(answered == status && line.contains(part), "{path} {principal}: {line}");
    }
    site.router.await_log("the credentials are those of");
    // What was refused changed nothing.
    hold("c has no socket", AT_ONCE / 20, || site.row("c")["sockets"] == 0);
}

/// Several processes under one name (hostId): each is a member, in its turn, with its own health and marks. A process that comes back takes
/// the place that is free; a socket more of a process that is known goes to the process's member.
#[test]
fn each_host_of_one_name_is_a_member() {
    let (folder, dialled) = (scratch(), member("s"));
    let provider = document(&folder, &dialled, &["c"]);
    let config = folder.path().join("router.toml");
    std::fs::write(&config, "[member.c]\nhosts = 3\n").unwrap();
    let router = Router::serve(&provider, &["--dev", "--config", config.to_str().unwrap()]);
    let mut site = Site { router, dialled, folder };
    let (mut first, mut second) = (site.nth_client("c", 1).connect(1), site.nth_client("c", 2).connect(2));
    for (name, sockets) in [("c", 1), ("c@2", 2)] {
        let row = site.await_state(name, "serving");
        assert_eq!(row["sockets"], sockets, "{row}");
    }
    site.await_state("s", "serving");
    assert_eq!(site.row("c@3")["state"], "down");
    let mut idm = site.router.idm("g");
    // One more socket of the second process is no fourth server.
    second.dial();
    wait_until("the socket is the second host's", PATIENCE, || site.row("c@2")["sockets"] == 3);
    for _ in 0..2 {
        one_call(&mut idm, &mut site.dialled.inbox);
        one_call(&mut idm, &mut first.inbox);
        one_call(&mut idm, &mut second.inbox);
    }

    // Marks are of one host.
    site.member(&["drain", "g", "c@2"]);
    wait_until("c@2 is drained", PATIENCE, || site.row("c@2")["admin_state"] == "drained");
    one_call(&mut idm, &mut site.dialled.inbox);
    one_call(&mut idm, &mut first.inbox);
    one_call(&mut idm, &mut site.dialled.inbox);
    site.member(&["undrain", "g", "c@2"]);
    second.die();
    site.await_state("c@2", "down");
    assert_eq!(site.row("c")["state"], "serving");

    // Another process takes the free place, and the next one the third.
    let (mut again, mut third) = (site.nth_client("c", 4).connect(1), site.nth_client("c", 5).connect(1));
    for name in ["c@2", "c@3"] {
        site.await_state(name, "serving");
    }
    let mut turns = BTreeSet::new();
    for _ in 0..4 {
        let id = idm.call(&validate_request());
        let mut boxes = [&mut site.dialled.inbox, &mut first.inbox, &mut again.inbox, &mut third.inbox];
        wait_until("the call comes to one of the four", PATIENCE, || {
            let look =
                |inbox: &mut &mut Inbox| inbox.find(Duration::ZERO, |frame| frame.operation().is_some());
            let found = boxes.iter_mut().enumerate().find_map(|(at, inbox)| Some((at, look(inbox)?)));
            found.is_some_and(|(at, call)| {
                answer(&call);
                turns.insert(at)
            })
        });
        assert!(idm.answer(id).answer().is_some_and(|answer| answer.validate.is_some()));
    }
    assert_eq!(turns.len(), 4, "each has its turn");
}
