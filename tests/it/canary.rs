//! P9: secrets and payloads appear nowhere but on the wire. Canaries stand in for keys, passwords, facade keys, attributes, filters,
//! uids, scripts, cookies, and the texts of connectors' errors; the router logs all that it can, and every way of failing is
//! provoked. The dump of its state is looked at in rcs-core (`engine/tests/secrets.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::icf::{OperationOptions, Secret, Value};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{
    AuthenticateOpRequest, ConnectorEventSubscriptionOpRequest, CreateOpRequest, DeleteOpRequest,
    GetOpRequest, OperationRequest, ResolveUsernameOpRequest, Script, ScriptContext,
    ScriptOnConnectorOpRequest, SearchOpRequest, SyncOpRequest, SyncToken, Uid, UpdateOpRequest,
    sync_op_request,
};
use rcs_rig::canary::{canary, finds};
use rcs_rig::configured::Configured;
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::metrics::http_get;
use rcs_rig::ports::free_port;
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{
    CONNECTOR_INFOS, FakeIdm, FakeMember, Frame, Manners, raw_exchange, upgrade_request,
};
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::answers::row_of;
use crate::fleet::{document, path};
use crate::site::{GROUP, MEMBERS};

const BOUND: Duration = Duration::from_secs(10);
/// Over what a frame may have.
const TOO_LARGE: usize = (64 << 20) + 1;

#[test]
fn no_canary_of_scripted_peers_leaves_the_wire() {
    let scratch = workspace::scratch();
    let mut members: Vec<FakeMember> =
        ["n1", "n2", "n3"].map(|name| FakeMember::listen(name, Manners::Polite)).into();
    let provider = with_key(&document(&scratch, "failover", 1, &members));
    let mut router = verbose_router(&scratch, &provider);
    router.await_up(GROUP, &["n1", "n2", "n3"]);
    let mut idm = FakeIdm::new(router.listen(), &path(), Manners::Polite).with_key(&canary("caller-key"));
    let socket = idm.dial();
    idm.shake_hands(&socket);

    // Each call reaches its member with its canaries, and its connector's error, which repeats them, the caller.
    for (name, request) in requests() {
        let id = idm.call(&request);
        let call = members[0].inbox.operation(name);
        assert!(!finds(&call.bytes).is_empty(), "{name} carries no canary: nothing could be found");
        let class = "org.identityconnectors.framework.common.exceptions.AlreadyExistsException";
        call.socket.send(&frames::error(call.id(), class, &format!("{} exists", canary("error"))));
        assert_eq!(finds(&idm.answer(id).bytes).len(), 1, "{name}: the connector's error is passed on");
    }
    let mut own = Vec::new();
    own.extend(overstep(&mut idm, &mut members[0]));
    talk_nonsense(&router, &idm);
    own.extend(lose_members(&mut idm, &mut members));
    for error in &own {
        assert_eq!(finds(&error.bytes), Vec::<String>::new(), "{error:?}");
    }
    println!("{} errors in the router's own name", own.len());
    assert!(own.len() >= 12, "too few to prove anything: {own:?}");

    for (at, text) in bad_documents().iter().enumerate() {
        fs::write(&provider, text).expect("the provider file can be written");
        let refused = |line: &String| line.contains("nothing was changed");
        wait_until(&format!("bad document {at} is refused"), BOUND, || {
            router.process().stderr_lines().iter().filter(|line| refused(line)).count() > at
        });
    }
    judge(&mut router);
}

#[test]
fn no_canary_of_bad_documents_is_repeated() {
    let scratch = workspace::scratch();
    let file = scratch.path().join("provider.json");
    for text in bad_documents() {
        fs::write(&file, &text).expect("the scratch folder takes a file");
        assert!(!finds(text.as_bytes()).is_empty(), "no canary: nothing could be found");
        for command in ["check", "serve"] {
            let mut router = Command::new(workspace::binary("rcs-router"));
            router.env("RCS_LOG", "trace").arg(command).arg("--dev").arg("--provider").arg(&file);
            if command == "serve" {
                router.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
            }
            let output = router.output().expect("the router can be started");
            assert!(!output.status.success(), "{command} takes {text}");
            let said = [output.stdout, output.stderr].concat();
            assert!(!said.is_empty());
            assert_eq!(finds(&said), Vec::<String>::new(), "{command} of {text}");
        }
    }
    // What is good is described, and its keys are not.
    fs::write(&file, good_document(&scratch)).expect("the scratch folder takes a file");
    let mut check = Command::new(workspace::binary("rcs-router"));
    let output = check.arg("check").arg("--dev").arg("--provider").arg(&file).output();
    let output = output.expect("the router can be started");
    assert!(output.status.success());
    assert_eq!(finds(&[output.stdout, output.stderr].concat()), Vec::<String>::new());
}

#[test]
fn no_canary_of_real_peers_leaves_the_wire() {
    let Some(java) = Java::or_skip("canary::no_canary_of_real_peers_leaves_the_wire") else { return };
    let scratch = workspace::scratch();
    let mut members = MEMBERS.map(|member| {
        let port = free_port();
        let mut command = java.peer("rcs-server", member);
        let key = canary("member-key");
        command.args(["--port", &port.to_string(), "--bundles", &java.bundles(), "--password", &key]);
        let process = Process::start(member, command);
        process.read_until("ready ", Duration::from_secs(30));
        (port, process)
    });
    let servers = MEMBERS.iter().zip(&members);
    let provider = servers.fold(Provider::new(), |p, (name, (port, _))| p.server(name, *port, 2));
    let provider = with_key(&provider.group(GROUP, "failover", &MEMBERS).write(scratch.path()));
    let mut router = verbose_router(&scratch, &provider);
    router.await_up(GROUP, &MEMBERS);

    let password = canary("password");
    let mut idm = Idm::start_with(&java, &router.url(Some(GROUP)), &["--password", &canary("caller-key")]);
    let journal = Journal::new(scratch.path(), &canary("store-file"));
    let configured =
        format!("{} secret={} tags={}", journal.path().display(), canary("secret"), canary("tag"));
    idm.ok(&format!("use Rig storeFile={configured}"));
    let (uid, mail) = (canary("uid"), canary("mail"));
    idm.ok(&format!("create name={uid} mail={mail} password={password}"));
    // The connector's errors and answers hold values; they reach the caller.
    let twice = idm.ask(&format!("create name={uid} mail={mail} password={password}"));
    assert!(twice.contains("AlreadyExists") && twice.contains(&uid), "{twice}");
    assert_eq!(idm.ok(&format!("auth {uid} {password}")), uid);
    assert!(idm.ask(&format!("auth {uid} {}", canary("wrong"))).starts_with("err "));
    assert!(idm.ok(&format!("search mail={mail} rows")).contains(&mail));
    assert!(idm.ok(&format!("get {uid}")).contains(&mail));
    assert!(idm.ok(&format!("script {}", canary("script"))).contains(&canary("script")));
    assert!(idm.ask(&format!("search page=1 cookie={}", canary("cookie"))).starts_with("err "));
    idm.ok(&format!("update {uid} mail={}", canary("new-mail")));
    idm.ok("sync 0");
    let kept = fs::read(journal.path()).expect("the connector keeps a journal");
    assert!(finds(&kept).len() >= 4, "the members had the values: attribute, password, uid");

    // A change and a search are under way when the members are killed, one after the other.
    idm.ok(&format!("use Rig delayMillis=1500 storeFile={configured}"));
    for ((_, member), call) in members.iter_mut().zip(["create name", "update"]) {
        let name = if call == "update" { &uid } else { &canary("late-uid") };
        let joint = if call == "update" { " " } else { "=" };
        idm.begin(&format!("{call}{joint}{name} mail={mail}"));
        let in_flight = || router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]);
        wait_until("the call is under way", BOUND, || in_flight() >= 1.0);
        member.kill();
        let answer = idm.answer(call, BOUND);
        assert!(answer.contains("Outcome unknown"), "{answer}");
        assert_eq!(finds(answer.as_bytes()), Vec::<String>::new());
    }
    let nobody = idm.ask(&format!("get {uid}"));
    assert!(nobody.starts_with("err ") && finds(nobody.as_bytes()).is_empty(), "{nobody}");
    judge(&mut router);
}

/// A router that logs all it can, and whose callers need a canary for a key.
fn verbose_router(scratch: &TempDir, provider: &Path) -> Router {
    let key = scratch.path().join("caller-key");
    fs::write(&key, format!("{}\n{}\n", canary("caller-key"), canary("second-line")))
        .expect("a file is written");
    Router::start_logged(provider, &["--caller-key-file", &key.to_string_lossy()], Some("trace"))
}

/// The same document with a canary for every member's key.
fn with_key(provider: &Path) -> PathBuf {
    let text = fs::read_to_string(provider).expect("it was written just now");
    fs::write(provider, text.replace("changeit", &canary("member-key"))).expect("it can be written again");
    provider.to_path_buf()
}

/// One request of each kind that carries a payload.
fn requests() -> Vec<(&'static str, OperationRequest)> {
    let base = Configured::of(CONNECTOR_INFOS, "RigConnector")
        .with("storeFile", Value::String(canary("store-file")))
        .with("secret", Value::GuardedString(Secret::new(canary("secret"))))
        .request();
    let bytes = |kind: &str| Bytes::from(canary(kind));
    let uid = || Some(Uid { value: canary("uid"), revision: canary("revision") });
    let create = CreateOpRequest {
        create_attributes: bytes("attributes"),
        options: bytes("options"),
        ..Default::default()
    };
    let update =
        UpdateOpRequest { uid: uid(), replace_attributes: bytes("attributes"), ..Default::default() };
    let login =
        AuthenticateOpRequest { username: canary("user"), password: bytes("password"), ..Default::default() };
    let script = Script { script_language: "groovy".to_owned(), script_text: canary("script") };
    let script = ScriptContext { script: Some(script), script_arguments: bytes("arguments") };
    let sync =
        sync_op_request::Sync { token: Some(SyncToken { value: bytes("token") }), ..Default::default() };
    let resolve = ResolveUsernameOpRequest { username: canary("user"), ..Default::default() };
    vec![
        ("create", OperationRequest { create: Some(create), ..base.clone() }),
        ("update", OperationRequest { update: Some(update), ..base.clone() }),
        (
            "delete",
            OperationRequest {
                delete: Some(DeleteOpRequest { uid: uid(), ..Default::default() }),
                ..base.clone()
            },
        ),
        (
            "get",
            OperationRequest { get: Some(GetOpRequest { uid: uid(), ..Default::default() }), ..base.clone() },
        ),
        ("login", OperationRequest { authenticate: Some(login), ..base.clone() }),
        ("resolve", OperationRequest { resolve_username: Some(resolve), ..base.clone() }),
        (
            "script",
            OperationRequest {
                script_on_connector: Some(ScriptOnConnectorOpRequest {
                    script_context: Some(script),
                    options: Bytes::new(),
                }),
                ..base.clone()
            },
        ),
        ("search", search(&base, None)),
        ("page", search(&base, Some(&canary("cookie")))),
        (
            "sync",
            OperationRequest {
                sync: Some(SyncOpRequest { sync: Some(sync), latest_sync_token: None }),
                ..base
            },
        ),
    ]
}

fn search(base: &OperationRequest, cookie: Option<&str>) -> OperationRequest {
    let cookie = cookie.map(|c| ("PAGED_RESULTS_COOKIE".to_owned(), Value::String(c.to_owned())));
    let options =
        OperationOptions { case_insensitive: false, entries: cookie.into_iter().collect() }.encode();
    let search =
        SearchOpRequest { object_class: "__ACCOUNT__".to_owned(), filter: canary("filter").into(), options };
    OperationRequest { search: Some(search), ..base.clone() }
}

/// A deadline that passes, a request and an answer that are too large. Returns the errors.
fn overstep(idm: &mut FakeIdm, member: &mut FakeMember) -> Vec<Frame> {
    let limited = Configured::of(CONNECTOR_INFOS, "RigConnector")
        .with("storeFile", Value::String(canary("store-file")))
        .with_timeout("SearchApiOp", Duration::from_millis(300));
    let overdue = idm.call(&search(&limited.request(), None));
    member.inbox.operation("a search that takes too long");
    let mut errors = vec![idm.answer(overdue)];

    let long = Bytes::from(canary("attributes").repeat(TOO_LARGE / canary("attributes").len() + 1));
    let create = CreateOpRequest { create_attributes: long.clone(), ..Default::default() };
    let refused = idm.call(&OperationRequest { create: Some(create), ..limited.request() });
    errors.push(idm.answer(refused));
    let answered = idm.call(&search(&Configured::of(CONNECTOR_INFOS, "RigConnector").request(), None));
    let call = member.inbox.operation("a search with a row that is too large");
    call.socket.send(&frames::answer(call.id(), &row_of(1, long)));
    errors.push(idm.answer(answered));
    errors
}

/// What is no message, no handshake, no HTTP, from callers; and wrong credentials.
fn talk_nonsense(router: &Router, idm: &FakeIdm) {
    idm.socket(0).send(canary("no-message").as_bytes());
    idm.socket(0).send_text(&canary("text"));
    let mut other = FakeIdm::new(router.listen(), &path(), Manners::None).with_key(&canary("caller-key"));
    let socket = other.dial();
    socket.send(&frames::handshake_request(&rcs_rig::scripted::identity(&canary("session").repeat(20))));
    wait_until("an impossible handshake is refused", BOUND, || socket.is_closed());
    let socket = other.dial();
    socket.send_raw(canary("no-frame").as_bytes());
    wait_until("what is no WebSocket is refused", BOUND, || socket.is_closed());
    let protocol = Some("v1.openicf.forgerock.org");
    let basic = |pair: &str| {
        use base64::prelude::{BASE64_STANDARD, Engine};
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    };
    let wrong = canary("wrong-password");
    for authorization in
        [basic(&format!("anonymous:{wrong}")), basic(&wrong), format!("Bearer {wrong}"), wrong]
    {
        let request = upgrade_request(&path(), Some(&authorization), protocol);
        let answer = raw_exchange(router.listen(), request.as_bytes());
        assert!(matches!(answer.status, 401 | 403), "{answer:?}");
        let said = format!("{}{}", answer.head, answer.body);
        assert_eq!(finds(said.as_bytes()), Vec::<String>::new());
    }
    raw_exchange(router.listen(), format!("{}\r\n\r\n", canary("no-http")).as_bytes());
}

/// Everything is under way at the first member when it dies, what can moves to the second, which talks nonsense and is let go;
/// then there is no member at all. Returns the errors.
fn lose_members(idm: &mut FakeIdm, members: &mut [FakeMember]) -> Vec<Frame> {
    let mut ids: Vec<i64> = Vec::new();
    let subscription =
        ConnectorEventSubscriptionOpRequest { event_filter: canary("filter").into(), ..Default::default() };
    let (_, any) = requests().remove(0);
    let subscription =
        OperationRequest { connector_event_subscription: Some(subscription), create: None, ..any };
    for (name, request) in requests().into_iter().chain([("subscription", subscription)]) {
        ids.push(idm.call(&request));
        let call = members[0].inbox.operation(name);
        if name == "search" {
            call.socket.send(&frames::answer(call.id(), &row_of(1, canary("row").into())));
            let row = idm.inbox.next("the row", |f| f.answer().is_some());
            assert_eq!(finds(&row.bytes).len(), 1);
        }
    }
    members[0].die();
    // Reads that moved die with their second member, and take no third.
    members[1].inbox.operation("a read that moved").socket.send(canary("no-message").as_bytes());
    members[1].die();
    members[2].die();
    ids.push(idm.call(&requests().remove(3).1));
    ids.iter()
        .map(|id| idm.inbox.next_within("an error", BOUND, |f| f.id() == *id && f.error().is_some()))
        .collect()
}

/// Documents with canaries where keys are, or may be by mistake.
fn bad_documents() -> Vec<String> {
    let server = |more: &str| {
        format!(
            r#"{{"remoteConnectorServers":[{{"name":"n1","host":"127.0.0.1","port":1,"principal":"p",{more}}}],"remoteConnectorServersGroups":[]}}"#
        )
    };
    let key = canary("member-key");
    vec![
        server(&format!(r#""key":["{key}"]"#)),
        server(&format!(r#""key":{{"$crypto":{{"value":{{"data":"{key}"}},"type":"x"}}}}"#)),
        server(&format!(r#""key":"{key}","useSSL":"{key}""#))
            .replace("\"useSSL\":\"c4", "\"key2\":\"c4")
            .replace(r#""port":1"#, r#""port":"no port""#),
        server(&format!(r#""key":"{key}","key":"{key}2","password":"{key}""#))
            .replace(r#""name":"n1""#, r#""name":"""#),
        server(&format!(r#""key":"{key}""#)).replace("127.0.0.1", &format!("wss://user:{key}@host")),
        server(&format!(r#""key":"{key}""#)).replace("}]", ""),
        format!(r#"{{"remoteConnectorServers":[{{"key":"{key}"#),
        format!("key={key}\n"),
        format!(r#""{key}""#),
    ]
}

fn good_document(scratch: &TempDir) -> String {
    let provider = Provider::new().server("n1", 1, 2).group(GROUP, "failover", &["n1"]);
    fs::read_to_string(with_key(&provider.write(scratch.path()))).expect("it was written just now")
}

/// Looks at all that the router says of itself, ends it, and looks at all that it has said.
fn judge(router: &mut Router) {
    let paths = ["/metrics", "/livez", "/readyz", "/v1/members", "/v1/callers", "/v1/calls", "/v1/nothing"];
    let mut paths: Vec<String> = paths.map(str::to_owned).into();
    let calls = serde_json::from_str(&http_get(router.admin(), "/v1/calls").1);
    let calls: Vec<serde_json::Value> = calls.expect("a list of calls that met a fault");
    let ids: Vec<&str> = calls.iter().filter_map(|call| call["id"].as_str()).collect();
    assert!(!ids.is_empty(), "no call met a fault");
    paths.extend(ids.iter().map(|id| format!("/v1/calls/{id}")));
    for path in paths {
        let (status, body) = http_get(router.admin(), &path);
        assert!(path == "/v1/nothing" || !body.is_empty(), "{path}: {status}");
        assert_eq!(finds(body.as_bytes()), Vec::<String>::new(), "{path}");
    }
    let mut explain = Command::new(workspace::binary("rcs-router"));
    explain.args(["call", "explain", ids[0], "--server", &format!("http://{}", router.admin())]);
    let said = explain.output().expect("the router can be started");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(finds(&[said.stdout, said.stderr].concat()), Vec::<String>::new(), "explain");
    router.process().signal(Signal::TERM);
    router.process().wait(Duration::from_secs(30));
    let (stdout, stderr) = router.process().output();
    let log = [stdout, stderr].concat().join("\n");
    for level in ["DEBUG", "call"] {
        assert!(log.contains(level), "the log is not verbose: {log}");
    }
    println!("{} lines of log", log.lines().count());
    assert_eq!(finds(log.as_bytes()), Vec::<String>::new());
}
