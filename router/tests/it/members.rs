//! Operators' marks from outside: the API, the command line, the token, and what the members' sockets see of it (P11).

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::metrics::{Metrics, http_post};
use rcs_rig::ports::free_port;
use rcs_rig::scripted::{FakeMember, Manners, connector_infos_at, validate_request};
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PATIENCE, Ran, Router, file, member, provider, router as command, run_command, scratch,
};

struct Site {
    router: Router,
    first: FakeMember,
    second: FakeMember,
    folder: TempDir,
}

impl Site {
    fn start(more: &[&str]) -> Self {
        let folder = scratch();
        let (first, second) = (member("n1"), member("n2"));
        let document = provider(&folder, &[("n1", &first), ("n2", &second)]);
        let router = Router::serve(&document, more);
        wait_until("both members are up", PATIENCE, || {
            let metrics = Metrics::scrape(router.admin);
            metrics.sum("rcs_member_up", &[]) == 2.0
        });
        Self { router, first, second, folder }
    }

    fn dev() -> Self {
        Self::start(&["--dev"])
    }

    fn post(&self, path: &str) -> (u16, Value) {
        self.post_with(path, None)
    }

    fn post_with(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let (status, body) = http_post(self.router.admin, &format!("/v1/groups/{path}"), token);
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}")))
    }

    fn member(&self, arguments: &[&str]) -> Ran {
        self.member_with(arguments, None)
    }

    fn member_with(&self, arguments: &[&str], token: Option<&str>) -> Ran {
        let server = format!("http://{}", self.router.admin);
        let mut command = command(&["member"]);
        command.args(arguments).args(["--server", &server]);
        if let Some(token) = token {
            command.env("RCS_ROUTER_TOKEN", token);
        }
        run_command(command)
    }

    fn row(&self, name: &str) -> Value {
        let rows: Vec<Value> = serde_json::from_str(&self.router.get("/v1/members").1).unwrap();
        rows.into_iter().find(|row| row["name"] == name).unwrap()
    }
}

#[test]
fn a_member_is_drained_and_taken_back_by_the_command_line() {
    let mut site = Site::dev();
    let socket = site.first.await_sockets(1).remove(0);
    let mut idm = site.router.idm("g");
    let id = idm.call(&validate_request());
    // Round robin: the first call is the first member's.
    let call = site.first.inbox.operation("the call");

    let ran = site.member(&["drain", "g", "n1"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            Some(0),
            "n1 of g: draining (by an operator; its last calls are ending), 1 call in flight, 1 socket\n"
        )
    );
    let ran = site.member(&["drain", "g", "n1", "--wait=1"]);
    assert!(ran.code == Some(69) && ran.stderr.contains("still in progress"), "{ran:?}");
    assert!(ran.stderr.contains("the member is draining (by an operator; its last calls"), "{ran:?}");
    assert!(!socket.is_closed(), "its call is not done");
    let answer = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &answer));
    assert!(idm.answer(id).answer().is_some());

    let ran = site.member(&["drain", "g", "n1", "--wait"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "n1 of g: drained (by an operator), 0 calls in flight, 0 sockets\n")
    );
    assert!(socket.is_closed());
    assert_eq!(Metrics::scrape(site.router.admin).sum("rcs_member_up", &[("member", "n1")]), 0.0);
    let ran = site.member(&["list"]);
    let line = ran.stdout.lines().find(|line| line.contains("n1")).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(line.contains("drained"), "{line}");

    // A changed document changes no mark.
    let third = member("n3");
    provider(&site.folder, &[("n1", &site.first), ("n2", &site.second), ("n3", &third)]);
    third.await_sockets(1);
    assert_eq!(site.row("n1")["admin_state"], "drained");

    let ran = site.member(&["undrain", "g", "n1", "--wait"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "n1 of g: serving, 0 calls in flight, 1 socket\n"));
    let rows: Vec<Value> = serde_json::from_str(&site.member(&["list", "-o", "json"]).stdout).unwrap();
    assert_eq!(rows.len(), 3);
}

#[test]
fn a_mark_goes_with_its_member() {
    let site = Site::dev();
    assert_eq!(site.post("g/members/n1/disable").0, 200);
    provider(&site.folder, &[("n2", &site.second)]);
    wait_until("n1 is gone", PATIENCE, || !site.router.get("/v1/members").1.contains("\"n1\""));
    provider(&site.folder, &[("n1", &site.first), ("n2", &site.second)]);
    wait_until("n1 is back", PATIENCE, || site.router.get("/v1/members").1.contains("\"n1\""));
    assert_eq!(site.row("n1")["admin_state"], "enabled");
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let site = Site::dev();
    assert_eq!(site.post("g/members/n1/disable").0, 200);
    for (path, status, part) in [
        ("x/members/n1/drain", 404, "no group"),
        ("g/members/x/drain", 404, "no member named"),
        ("g/members/n1/explode", 404, "use drain"),
        ("g/members/n1/undrain", 409, "enable it first"),
        ("g/members/n2/drain", 409, "--force"),
        ("g/members/n2/drain?force=maybe", 400, "force=true"),
    ] {
        let (answered, body) = site.post(path);
        let sentence = body["error"].as_str().unwrap();
        assert!(answered == status && sentence.contains(part), "{path}: {answered} {body}");
    }
    assert_eq!(site.router.get("/v1/groups/g/members/n1/drain").0, 405, "a look changes nothing");
    let (status, body) = site.post("g/members/n2/drain?force=true");
    assert_eq!(
        (status, &body["admin_state"], &body["admin_by"]),
        (200, &json!("draining"), &json!("operator"))
    );
    assert_eq!(body["mark_kept"], "in memory, until the router ends");
    wait_until("nobody is ready", PATIENCE, || site.router.get("/readyz").0 == 503);
}

#[test]
fn a_member_that_the_document_disables_is_not_marked() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    let document = provider(&folder, &[("n1", &first), ("n2", &second)]);
    let text = std::fs::read_to_string(&document).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["remoteConnectorServers"][0]["enabled"] = json!(false);
    std::fs::write(&document, value.to_string()).unwrap();
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();
    let (status, body) = http_post(router.admin, "/v1/groups/g/members/n1/enable", None);
    assert!(status == 409 && body.contains("enabled: false"), "{status} {body}");
    let rows: Vec<Value> = serde_json::from_str(&router.get("/v1/members").1).unwrap();
    assert_eq!((&rows[0]["admin_state"], &rows[0]["admin_by"]), (&json!("disabled"), &json!("document")));
}

#[test]
fn changes_need_the_token_and_looks_do_not() {
    let folder = scratch();
    let key = file(&folder, "caller.key", "a caller's key\n");
    let token = file(&folder, "token", "t0ken-of-operators\n");
    let site = Site::start(&["--caller-key-file", &key, "--admin-token-file", &token]);
    assert_eq!(site.router.get("/v1/members").0, 200);
    for (shown, status) in [(None, 401), (Some("wrong"), 403), (Some("t0ken-of-operators"), 200)] {
        assert_eq!(site.post_with("g/members/n1/drain", shown).0, status, "{shown:?}");
    }
    for (shown, code, part) in [
        (None, 64, "RCS_ROUTER_TOKEN"),
        (Some("wrong"), 64, "wrong token"),
        (Some("t0ken-of-operators"), 0, ""),
    ] {
        let ran = site.member_with(&["enable", "g", "n1"], shown);
        assert!(ran.code == Some(code) && ran.stderr.contains(part), "{shown:?}: {ran:?}");
    }
    assert!(!site.router.process.said_on_stderr("t0ken-of-operators"), "P9");
}

#[test]
fn without_a_token_nothing_can_be_changed_outside_development() {
    let folder = scratch();
    let key = file(&folder, "caller.key", "a caller's key\n");
    let site = Site::start(&["--caller-key-file", &key]);
    let (status, body) = site.post_with("g/members/n1/drain", Some("any"));
    assert!(status == 403 && body["error"].as_str().unwrap().contains("--admin-token-file"), "{body}");
}

#[test]
fn the_command_line_has_the_exit_codes_of_the_contract() {
    let site = Site::dev();
    for (arguments, code, part) in [
        (&["drain", "g", "x"][..], 65, "no member named"),
        (&["drain", "x", "n1"], 65, "no group"),
        (&["drain", "g"], 64, "MEMBER"),
        (&["explode", "g", "n1"], 64, "explode"),
    ] {
        let ran = site.member(arguments);
        assert!(ran.code == Some(code) && ran.stderr.contains(part), "{arguments:?}: {ran:?}");
    }
    for (server, code) in [("http://127.0.0.1:1", 69), ("127.0.0.1:1", 64), ("wss://127.0.0.1:1", 64)] {
        let ran = run_command(command(&["member", "list", "--server", server]));
        assert_eq!(ran.code, Some(code), "{server}: {ran:?}");
    }
}

/// What an operator sees of members that do not serve: a server that is not running, a host without an address, a wrong key, another
/// bundle set. `undrain --wait` fails for each of them, and reports why (P16).
#[test]
fn what_does_not_serve_is_not_called_fine() {
    let folder = scratch();
    let (first, other) = (member("n1"), member("n4"));
    other.tell(connector_infos_at("1.0.0.1"));
    let port = free_port();
    let write = |members: &[(&str, &FakeMember)]| {
        let document = provider(&folder, members);
        let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&document).unwrap()).unwrap();
        let servers = &mut value["remoteConnectorServers"];
        servers[1]["port"] = json!(port);
        servers[2]["host"] = json!("no-such-host.invalid");
        std::fs::write(&document, value.to_string()).unwrap();
        document
    };
    // The group's bundle set is that of n1.
    let three = [("n1", &first), ("n2", &first), ("n3", &first)];
    let router = Router::serve(&write(&three), &["--dev"]);
    router.await_ready();
    write(&[three[0], three[1], three[2], ("n4", &other)]);
    let server = format!("http://{}", router.admin);
    let run = |arguments: &[&str]| {
        let mut command = command(&["member"]);
        command.args(arguments).args(["--server", &server]);
        run_command(command)
    };
    let states = [
        ("n1", "serving", "-"),
        ("n2", "down", "connection refused"),
        ("n3", "down", "host name cannot be resolved"),
        ("n4", "quarantined", "bundle set differs: bundles diff g"),
    ];
    wait_until("each member has its state and reason", PATIENCE, || {
        let list = run(&["list"]).stdout;
        states.iter().all(|(name, state, reason)| {
            let line = list.lines().find(|line| line.contains(name)).unwrap_or_default();
            line.contains(state) && line.ends_with(reason)
        })
    });
    assert!(run(&["list"]).stdout.lines().all(|line| line.chars().count() <= 80));
    let wide = run(&["list", "-o", "wide"]).stdout;
    for part in
        ["Connection refused (os error 111)", "no-such-host.invalid:", "the host name no-such-host.invalid"]
    {
        assert!(wide.contains(part), "{part}: {wide}");
    }
    for (name, state, reason) in &states[1..] {
        let ran = run(&["undrain", "g", name, "--wait=1"]);
        let all = ran.stderr.contains(&format!("the member is {state} ({reason}")) && ran.stdout.is_empty();
        assert!(ran.code == Some(69) && all, "{name}: {ran:?}");
        assert!(
            ran.stderr.contains(&format!("{name} is {state} ({reason}")),
            "{name}: said while waiting: {ran:?}"
        );
    }
    let metrics = Metrics::scrape(router.admin);
    for (name, state, _) in states {
        assert_eq!(metrics.sum("rcs_member_state", &[("member", name), ("state", state)]), 1.0, "{name}");
        let of_group = [("group", "g"), ("member", name)];
        assert_eq!(metrics.sum("rcs_member_state", &of_group), 1.0, "{name} is in one state");
    }
}

/// If a group loses its last member, the log has a line about it, and another line when the outage is over.
#[test]
fn an_outage_of_a_group_and_its_end_are_logged() {
    let mut site = Site::dev();
    site.first.die();
    site.second.die();
    site.router.await_log("outage: no member of the group gets calls");
    site.router.await_log("n1 down, n2 down");
    let _back = FakeMember::listen_on("n1", site.first.port(), Manners::Polite);
    site.router.await_log("the outage of the group is over");
}

/// `call explain` names the fault, the verdict, and why no other member took the call.
#[test]
fn a_call_that_failed_can_be_asked_about() {
    let mut site = Site::dev();
    let mut idm = site.router.idm("g");
    let id = idm.call(&validate_request());
    site.first.inbox.operation("the call");
    let open = run_command({
        let mut command = command(&["call", "list", "--open"]);
        command.args(["--server", &format!("http://{}", site.router.admin)]);
        command
    });
    let line = open.stdout.lines().nth(1).unwrap_or_default();
    assert!(line.contains("validate  g      n1      anonymous") && line.ends_with("maybe_sent"), "{open:?}");
    site.first.die();
    let call = site.second.inbox.operation("the call, again");
    let answer = OperationResponse { validate: Some(Default::default()), ..Default::default() };
    call.socket.send(&frames::answer(call.id(), &answer));
    assert!(idm.answer(id).answer().is_some());

    let server = format!("http://{}", site.router.admin);
    let of_call = |arguments: &[&str]| {
        let mut command = command(&["call"]);
        command.args(arguments).args(["--server", &server]);
        run_command(command)
    };
    let calls: Vec<Value> = serde_json::from_str(&site.router.get("/v1/calls").1).unwrap();
    let call = calls[0]["id"].as_str().unwrap();
    let ran = of_call(&["explain", call]);
    for part in
        ["validate in group g", "ok after", "at n1 (maybe_sent): member_lost -> retry_elsewhere", "n2 free"]
    {
        assert!(ran.code == Some(0) && ran.stdout.contains(part), "{part}: {ran:?}");
    }
    let line = of_call(&["list"]).stdout.lines().nth(1).unwrap_or_default().to_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(
        words[0].ends_with('Z') && words[1..7] == [call, "validate", "g", "n1", "anonymous", "ok"],
        "{line}"
    );
    for part in ["caller: anonymous", "connector: "] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    for (more, listed) in [
        (&["--group", "g"][..], true),
        (&["--group", "x"], false),
        (&["--member", "n1", "--caller", "anonymous", "--outcome", "ok", "--since", "1h"], true),
        (&["--outcome", "deadline"], false),
    ] {
        let ran = of_call(&[&["list", "-o", "csv"], more].concat());
        let has = ran.stdout.lines().count() == 2 && ran.stdout.contains(&format!(",{call},validate,g,n1,"));
        assert!(ran.code == Some(0) && has == listed, "{more:?}: {ran:?}");
    }
    let ran = of_call(&["list", "--outcome", "fine"]);
    assert!(ran.code == Some(65) && ran.stderr.contains("connector_error"), "{ran:?}");
    for (id, part) in [("ffff", "nothing is kept"), ("no-number", "hexadecimal")] {
        let ran = of_call(&["explain", id]);
        assert!(ran.code == Some(65) && ran.stderr.contains(part), "{ran:?}");
    }

    let callers: Vec<Value> = serde_json::from_str(&site.router.get("/v1/callers").1).unwrap();
    assert_eq!((&callers[0]["group"], &callers[0]["redials"]), (&json!("g"), &json!("unknown")));
}
