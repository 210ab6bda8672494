//! Client mode with OAuth2 (M04, P17, A03, A07, O03, O04): tokens of a scripted authorization server, and a peer that lets nobody in
//! without one.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use rcs_rig::authorization::{AuthorizationServer, Manner, TOKEN_PATH};
use rcs_rig::canary::{canary, finds};
use rcs_rig::process::Process;
use rcs_rig::scripted::Gate;
use rcs_rig::wait::wait_until;
use serde_json::json;

use crate::dial::{Dialling, call, idm, url};
use crate::support::{PATIENCE, Scratch};

/// The secret of the node's client.
pub(crate) fn secret() -> String {
    canary("client-secret")
}

/// A server whose tokens are canaries.
pub(crate) fn server(change: impl FnOnce(&mut Manner)) -> Arc<AuthorizationServer> {
    Arc::new(AuthorizationServer::start_with(|manner| {
        manner.clients = vec![("RCSClient".to_owned(), secret())];
        manner.makes = Arc::new(|_, n| canary(&format!("token-{n}")));
        change(manner);
    }))
}

/// A node at the gate. `properties` are further lines, without their prefix.
fn start_in(scratch: Scratch, gate: &Gate, server: &AuthorizationServer, properties: &[&str]) -> Dialling {
    let endpoint = format!("tokenEndpoint={}", server.url(TOKEN_PATH));
    let lines = [&[endpoint.as_str(), "clientId=RCSClient", "scope=fr:idm:*"], properties].concat();
    Dialling::start_logging(scratch, &url(gate.port()), &lines, "trace")
}

fn start(gate: &Gate, server: &AuthorizationServer, properties: &[&str]) -> Dialling {
    let secret = format!("clientSecret={}", secret());
    start_in(Scratch::new(), gate, server, &[&[secret.as_str()], properties].concat())
}

fn requests(server: &AuthorizationServer) -> usize {
    server.asked(TOKEN_PATH).len()
}

/// Lines of the log by which an operator is told that a connection is missing.
fn complaints(node: &Dialling) -> usize {
    let lines = node.process.stderr_lines();
    lines.iter().filter(|line| line.contains(" WARN ") && line.contains("no connection: ")).count()
}

/// Neither the secret nor a token is in the log, the command line or the environment.
pub(crate) fn judge(process: &Process) {
    let log = [process.stderr_lines(), vec![process.to_string()]].concat().join("\n");
    assert!(log.contains("DEBUG") || log.contains("TRACE"), "the log is not verbose: {log}");
    assert_eq!(finds(log.as_bytes()), Vec::<String>::new());
    for file in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{file}", process.pid());
        assert_eq!(finds(&fs::read(&path).expect("the node runs")), Vec::<String>::new(), "{path}");
    }
}

/// M04, P17: one token for all sockets, proved by Basic, shown as Bearer; whatever else the answer has.
#[test]
fn a_node_dials_with_a_token() {
    let mut idm = idm();
    let server = server(|manner| {
        manner.token_type = Some("bearer".to_owned());
        manner.extra.insert("new_field".to_owned(), json!({ "deep": [1, null] }));
    });
    let gate = Gate::before(&idm, &server);
    let node = start(&gate, &server, &[]);
    let sockets = idm.await_sockets(3);
    call(&mut idm, &sockets[0], 1);
    let asked = server.asked(TOKEN_PATH);
    assert_eq!(asked.len(), 1, "one request for all");
    assert_eq!(asked[0].client, Some(("RCSClient".to_owned(), secret())));
    let form = [("grant_type", "client_credentials"), ("scope", "fr:idm:*")];
    assert_eq!(asked[0].form, form.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let bearer = format!("Bearer {}", canary("token-1"));
    assert!(gate.shown().iter().all(|shown| *shown == bearer));
    assert!(!finds(bearer.as_bytes()).is_empty(), "a canary that is not found proves nothing");
    judge(&node.process);
}

/// O03: a token is renewed before its end, and sockets that are opened later show the new one.
#[test]
fn a_token_that_ends_is_renewed_before() {
    let mut idm = idm();
    let server = server(|manner| manner.life = Some(json!(4)));
    let gate = Gate::before(&idm, &server);
    let node = start(&gate, &server, &["connectionTtl=2", "webSocketConnections=1"]);
    let mut id = 0;
    let used = || gate.shown().into_iter().collect::<BTreeSet<_>>().len();
    while used() < 3 {
        let open = idm.await_sockets(1);
        id += 1;
        call(&mut idm, &open[open.len() - 1], id);
    }
    assert_eq!(gate.told(401), 0, "{}", node.process);
    judge(&node.process);
}

/// O04: a revoked token is replaced within the same dial, and the log has nothing to complain about.
#[test]
fn a_revoked_token_is_replaced_at_once() {
    let mut idm = idm();
    let server = server(|_| {});
    let gate = Gate::before(&idm, &server);
    let node = start(&gate, &server, &["webSocketConnections=2"]);
    let sockets = idm.await_sockets(2);
    gate.revoke(&canary("token-1"));
    sockets.iter().for_each(|socket| socket.reset());
    let sockets = idm.await_sockets(2);
    call(&mut idm, &sockets[0], 1);
    assert_eq!((gate.told(401), server.issued().len()), (1, 2), "{}", node.process);
    assert_eq!(complaints(&node), 0, "{}", node.process);
    judge(&node.process);
}

/// O04: a peer that refuses every token is told once, and causes no flood of token requests.
#[test]
fn a_peer_that_refuses_every_token_causes_no_loop() {
    for (status, says) in [
        (
            401,
            "refused the access token of the client \"RCSClient\" (HTTP 401): check that the peer accepts tokens",
        ),
        // A06: IDM's rsFilter has no mapping for the client.
        (403, "map the client to a user in the rsFilter of conf/authentication.json"),
    ] {
        let mut idm = idm();
        let server = server(|_| {});
        let gate = Gate::before(&idm, &server);
        gate.refuse(Some(status));
        let node = start(&gate, &server, &[]);
        node.await_log(says);
        wait_until("it goes on trying", PATIENCE, || gate.told(status) >= 6);
        let (dials, tokens) = (gate.told(status), requests(&server));
        assert!(tokens < dials, "{tokens} tokens for {dials} dials");
        assert_eq!(complaints(&node), 1, "{}", node.process);
        judge(&node.process);
        // Once the peer is mended, the node comes by itself.
        gate.refuse(None);
        let sockets = idm.await_sockets(3);
        call(&mut idm, &sockets[0], 1);
    }
}

/// An outage of the endpoint: the token in use serves until its end, and the log says what is wrong, and when it is over.
#[test]
fn an_outage_of_the_endpoint_costs_nothing_while_the_token_lives() {
    let mut idm = idm();
    let server = server(|manner| manner.life = Some(json!(60)));
    let gate = Gate::before(&idm, &server);
    let node = start(&gate, &server, &["webSocketConnections=2"]);
    let sockets = idm.await_sockets(2);
    server.set(|manner| manner.is_down = true);
    // Renewal is tried because a peer refuses the token; other connections go on with it.
    gate.refuse(Some(401));
    sockets[0].reset();
    node.await_log("no new token: 127.0.0.1 closed the connection before its answer was complete; the token in use is valid for another");
    gate.refuse(None);
    let sockets = idm.await_sockets(2);
    call(&mut idm, &sockets[0], 1);
    assert_eq!(server.issued().len(), 1);
    server.set(|manner| manner.is_down = false);
    node.await_log("the token endpoint works again");
    judge(&node.process);
}

/// An endpoint that is not there at the start, and one that is slow, are waited for.
#[test]
fn a_node_waits_for_its_endpoint() {
    let mut idm = idm();
    let server = server(|manner| manner.is_down = true);
    let gate = Gate::before(&idm, &server);
    let node = start(&gate, &server, &[]);
    node.await_log("no connection: there is no access token from http://127.0.0.1:");
    assert_eq!(gate.shown().len(), 0, "nobody is dialled without a token");
    server.set(|manner| (manner.is_down, manner.is_slow) = (false, true));
    let before = requests(&server);
    server.await_token_requests(before + 1);
    server.set(|manner| manner.is_slow = false);
    let sockets = idm.await_sockets(3);
    call(&mut idm, &sockets[0], 1);
    judge(&node.process);
}

/// A03: the secret is changed at the server and in its file, in either order; no call is lost, and no restart is needed.
#[test]
fn a_secret_is_changed_without_a_lost_call() {
    let mut idm = idm();
    let server = server(|manner| manner.life = Some(json!(5)));
    let gate = Gate::before(&idm, &server);
    let scratch = Scratch::new();
    let file = scratch.file("secret", format!("{}\n", secret()));
    let properties = ["clientSecretFile=secret", "connectionTtl=2", "webSocketConnections=1"];
    let node = start_in(scratch, &gate, &server, &properties);
    let mut id = 0;
    let mut calls_until = |done: &dyn Fn() -> bool| {
        while !done() {
            let open = idm.await_sockets(1);
            id += 1;
            call(&mut idm, &open[open.len() - 1], id);
        }
    };
    let with = |secret: &str| {
        let client = Some(("RCSClient".to_owned(), secret.to_owned()));
        server.asked(TOKEN_PATH).iter().filter(|asked| asked.client == client).count()
    };
    calls_until(&|| server.issued().len() >= 2);
    // The server first: renewals fail meanwhile, and the token in use serves.
    let second = canary("second-secret");
    server.set(|manner| manner.clients = vec![("RCSClient".to_owned(), second.clone())]);
    calls_until(&|| node.logged("refuses the client \"RCSClient\" or its secret (HTTP 401)") > 0);
    fs::write(&file, format!("{second}\n")).expect("the scratch folder takes a file");
    let issued = server.issued().len();
    calls_until(&|| with(&second) > 0 && server.issued().len() > issued);
    // The file first: the server takes both for a while.
    let third = canary("third-secret");
    server.set(|manner| manner.clients.push(("RCSClient".to_owned(), third.clone())));
    fs::write(&file, format!("{third}\n")).expect("the scratch folder takes a file");
    calls_until(&|| with(&third) > 0);
    server.set(|manner| manner.clients.retain(|(_, secret)| *secret == third));
    let issued = server.issued().len();
    calls_until(&|| server.issued().len() > issued + 1);
    assert_eq!(gate.told(401), 0, "{}", node.process);
    judge(&node.process);
}

/// How an endpoint refuses, and what the log says.
type Refusing = (fn(&mut Manner), &'static str);

/// P16, P17: each refusal of the endpoint names its property, once; when the endpoint is mended, the node comes by itself.
#[test]
fn each_refusal_of_the_endpoint_names_its_property() {
    let cases: [Refusing; 6] = [
        (|manner| manner.scopes.clear(), "refuses the scope \"fr:idm:*\" (HTTP 400)"),
        (
            |manner| manner.clients.clear(),
            "(connectorserver.clientId, connectorserver.clientSecret or its file)",
        ),
        (|manner| manner.refusal = Some((503, String::new())), "overloaded or out of order (HTTP 503)"),
        (|manner| manner.refusal = Some((200, "<html>".to_owned())), "it is not JSON; check the URL"),
        (|manner| manner.token_type = Some("DPoP".to_owned()), "only Bearer can be used"),
        (
            |manner| manner.makes = Arc::new(|_, _| canary("two lines\n")),
            "characters that no header may have",
        ),
    ];
    let started = cases.map(|(change, says)| {
        let idm = idm();
        let server = server(change);
        let gate = Gate::before(&idm, &server);
        (start(&gate, &server, &[]), idm, server, gate, says)
    });
    for (node, mut idm, server, gate, says) in started {
        node.await_log(says);
        server.await_token_requests(2);
        assert_eq!(complaints(&node), 1, "{}", node.process);
        assert_eq!(gate.shown().len(), 0, "nobody is dialled without a token");
        judge(&node.process);
        server.set(|manner| {
            let good = Manner { makes: Arc::new(|_, n| canary(&format!("token-{n}"))), ..Manner::default() };
            *manner = Manner { clients: vec![("RCSClient".to_owned(), secret())], ..good };
        });
        let sockets = idm.await_sockets(3);
        call(&mut idm, &sockets[0], 1);
    }
}

/// `tokenEnd`: connections outlive their token, or are replaced before its end, without a lost call.
#[test]
fn connections_are_kept_or_replaced_at_the_end_of_their_token() {
    let (mut keeping, mut replacing) = (idm(), idm());
    let server = server(|manner| manner.life = Some(json!(4)));
    let gates = [&keeping, &replacing].map(|idm| Gate::before(idm, &server));
    let one = "webSocketConnections=1";
    let _keeps = start(&gates[0], &server, &[one]);
    let replaces = start(&gates[1], &server, &[one, "tokenEnd=replace"]);
    let kept = keeping.await_sockets(1);
    let mut id = 0;
    while replacing.sockets().len() < 4 {
        let open = replacing.await_sockets(1);
        id += 1;
        call(&mut replacing, &open[open.len() - 1], id);
    }
    assert_eq!(gates[1].told(401), 0, "{}", replaces.process);
    // Three replacements are three tokens: the one of the kept connection is over by then.
    assert!(!kept[0].is_closed() && keeping.sockets().len() == 1);
    call(&mut keeping, &kept[0], 1);
    judge(&replaces.process);
}

/// A04: a client that is deactivated cannot dial any more, and comes back when it is active again.
#[test]
fn a_deactivated_client_comes_back() {
    let mut idm = idm();
    let server = server(|_| {});
    let gate = Gate::before(&idm, &server);
    let node = start(&gate, &server, &["webSocketConnections=1"]);
    let sockets = idm.await_sockets(1);
    server.set(|manner| {
        manner.inactive.insert("RCSClient".to_owned());
        manner.refusal = Some((401, json!({ "error": "invalid_client" }).to_string()));
    });
    sockets[0].reset();
    node.await_log("the client is active");
    server.set(|manner| {
        manner.inactive.clear();
        manner.refusal = None;
    });
    let sockets = idm.await_sockets(1);
    call(&mut idm, &sockets[0], 1);
    judge(&node.process);
}
