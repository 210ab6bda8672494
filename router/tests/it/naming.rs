//! How a member in client mode names itself, names that are not its own (X07), and peers that are neither callers nor members.

use std::time::{Duration, Instant};

use rcs_proto::frames::{self, Identity};
use rcs_proto::messages::handshake_message::ServerType;
use rcs_rig::metrics::Metrics;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{
    FakeClient, FakeIdm, FakeMember, Manners, Socket, basic, raw_exchange, upgrade_request, validate_request,
};
use rcs_rig::wait::wait_until;
use tempfile::TempDir;

use crate::identities::hash;
use crate::support::{PATIENCE, Router, file, member, scratch};

const PROTOCOL: Option<&str> = Some("v1.openicf.forgerock.org");

/// A router with the member `s`, and `c` and `d` in client mode, in the group `g`.
fn site(more: impl FnOnce(&TempDir) -> Vec<String>) -> (Router, FakeMember, TempDir) {
    let (folder, dialled) = (scratch(), member("s"));
    let provider = Provider::new().server("s", dialled.port(), 1).client("c").client("d");
    let provider = provider.group("g", "roundrobin", &["s", "c", "d"]).write(folder.path());
    let more = more(&folder);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    (Router::serve(&provider, &more), dialled, folder)
}

fn turned_away(router: &Router, reason: &str) -> f64 {
    Metrics::scrape(router.admin).sum("rcs_connections_turned_away_total", &[("reason", reason)])
}

/// What a socket was told when it was closed.
#[track_caller]
fn goodbye(router: &Router, socket: &Socket) -> (u16, String) {
    wait_until(&format!("the socket is closed\n{}", router.process), PATIENCE, || socket.is_closed());
    socket.close_received().expect("a Close frame says why")
}

/// Who does not say what it is hears of it within 5 s, and so does the operator. Callers that are idle are left alone.
#[test]
fn a_peer_that_never_greets_is_told_what_it_presented() {
    let (router, _dialled, _folder) = site(|_| vec!["--dev".to_owned()]);
    let idle = FakeIdm::connect(router.listen, "/openicf/g", 1);
    let began = Instant::now();
    let mut silent = FakeIdm::new(router.listen, "/openicf/g", Manners::Polite).with_principal("probe");
    let silent = silent.dial();
    let (code, reason) = goodbye(&router, &silent);
    assert_eq!(
        (code, &*reason),
        (
            1008,
            "no OpenICF handshake in 4 s from caller probe at /openicf/g: send it first, or see the router's log"
        )
    );
    println!("a silent peer was told after {:?}", began.elapsed());
    assert!(began.elapsed() >= Duration::from_secs(4), "not too early: {:?}", began.elapsed());
    router.await_log(
        "it dialled /openicf/g and was let in as a caller (user name \"probe\"), but nothing came within 4 s",
    );
    assert_eq!((turned_away(&router, "silent"), turned_away(&router, "no_handshake")), (1.0, 0.0));

    let mut early = FakeIdm::new(router.listen, "/openicf", Manners::Polite);
    let early = early.dial();
    early.send(&frames::operation(1, &validate_request()));
    assert_eq!(goodbye(&router, &early).0, 1008);
    router.await_log("messages came, but no handshake within 4 s");

    let mut server = FakeClient::new(router.listen, "c", "silent").at_path("/openicf/0/c");
    let server = server.open();
    let (_, reason) = goodbye(&router, &server);
    assert!(reason.contains("from server c at /openicf/0/c"), "{reason}");
    router.await_log("was let in as the server \"c\" in client mode, but nothing came");
    assert!(!idle.socket(0).is_closed(), "an IDM may be idle for as long as it likes");
}

fn identity(session: &str) -> Identity {
    Identity { session_id: session.to_owned(), public_key: bytes::Bytes::new() }
}

/// Our own handshake, with the server type of .NET in place of Java's: field 2 of the message.
fn handshake_of_dotnet() -> Vec<u8> {
    let mut handshake = frames::handshake_request(&identity("dotnet")).to_vec();
    let java = [2 << 3, ServerType::Java as u8];
    let at = handshake.windows(2).position(|bytes| bytes == java).expect("the handshake has a server type");
    handshake[at + 1] = ServerType::Dotnet as u8;
    handshake
}

/// What a connection is follows from its credential. Who shows to be the other thing is told.
#[test]
fn a_server_among_callers_and_a_caller_among_servers_are_told() {
    let (router, _dialled, _folder) = site(|_| vec!["--dev".to_owned()]);
    let mut server = FakeIdm::new(router.listen, "/openicf", Manners::Polite).with_principal("ad");
    let server = server.dial();
    server.send(&handshake_of_dotnet());
    let (code, reason) = goodbye(&router, &server);
    assert!(code == 1008 && reason.contains("you are a server, but ad at /openicf is a caller"), "{reason}");
    router.await_log("give the server an entry [member.NAME]");

    let mut caller = FakeClient::new(router.listen, "c", "an-idm").connect(1);
    let socket = std::sync::Arc::clone(caller.socket(0));
    socket.send(&frames::operation(7, &validate_request()));
    let error = caller.inbox.next("the call's error", |frame| frame.answers(7));
    assert!(error.error().is_some_and(|error| error.message.contains("was not run")), "{error:?}");
    let (_, reason) = goodbye(&router, &socket);
    assert!(reason.contains("you call, but c at /openicf is a server"), "{reason}");
    router.await_log("it sent a call, and connector servers send none");
    assert_eq!(
        (turned_away(&router, "server_among_callers"), turned_away(&router, "caller_among_members")),
        (1.0, 1.0)
    );

    let mut odd = FakeIdm::new(router.listen, "/openicf", Manners::Polite);
    let odd = odd.dial();
    odd.send(&frames::handshake_response(&identity("wrong-side")));
    assert_eq!(goodbye(&router, &odd).0, 1002, "as the protocol's own error");
    assert_eq!(turned_away(&router, "bad_handshake"), 1.0);
}

/// The name may come in the path, in a header and in a parameter, and it must be one that the credential owns.
#[test]
fn a_header_or_a_parameter_names_the_member() {
    let (router, _dialled, folder) = site(|folder| {
        let config = file(
            folder,
            "router.toml",
            "[router]\nmember_name_header = \"X-Server\"\nmember_name_parameter = \"server\"\n",
        );
        let credentials = file(
            folder,
            "credentials.toml",
            &format!(
                "[member.pool]\nhashes = ['{}']\nmembers = ['c', 'd']\n[caller.c]\nhashes = ['{}']\ngroups = ['*']\n",
                hash("pool-key"),
                hash("callers-key")
            ),
        );
        let shared = file(folder, "shared.key", "shared-key\n");
        [["--config", &config], ["--credentials", &credentials], ["--caller-key-file", &shared]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    });
    let ask = |target: &str, header: &str, principal: &str, key: &str| {
        let request = upgrade_request(target, Some(&basic(principal, key)), PROTOCOL);
        let request = request.replacen("Host:", &format!("{header}Host:"), 1);
        crate::identities::told(std::net::TcpStream::connect(router.listen).unwrap(), &request)
    };
    for (target, header, principal, key, status, part) in [
        ("/openicf", "X-Server: c\r\n", "pool", "pool-key", 101, ""),
        ("/openicf/0?server=d", "", "pool", "pool-key", 101, ""),
        ("/openicf/0/d", "x-server: d\r\n", "pool", "pool-key", 101, ""),
        ("/openicf", "", "c", "shared-key", 403, "wrong principal or key"),
        ("/openicf/g", "", "c", "callers-key", 101, ""),
        ("/openicf", "", "idm", "shared-key", 101, ""),
        (
            "/openicf",
            "",
            "pool",
            "pool-key",
            403,
            "are those of several servers (\"c\", \"d\"): name one, such as by the path",
        ),
        ("/openicf", "X-Server: s\r\n", "pool", "pool-key", 403, "but the header X-Server names \"s\""),
        (
            "/openicf/c?server=d",
            "",
            "pool",
            "pool-key",
            403,
            "but the parameter server names \"d\": name one server",
        ),
        (
            "/openicf",
            "X-Server: c\r\n",
            "idm",
            "shared-key",
            403,
            "the credentials of \"idm\" are a caller's",
        ),
        (
            "/openicf",
            "",
            "c",
            "callers-key",
            403,
            "its credentials are a caller's: write [member.NAME] instead",
        ),
        (
            "/openicf",
            "",
            "d",
            "shared-key",
            403,
            "\"d\" is a server in client mode, and the shared key is for callers",
        ),
    ] {
        let (answered, line) = ask(target, header, principal, key);
        assert!(answered == status && line.contains(part), "{target} {header:?} {principal}: {line}");
    }
    // Each refusal that is not the first of its kind within a second is counted in the log.
    router.await_log("the credentials of \"pool\" are those of several servers");
    drop(folder);
    let refused = raw_exchange(router.listen, upgrade_request("/openicf", None, PROTOCOL).as_bytes());
    assert_eq!(refused.status, 401);
}
