//! IDMs that the router dials with access tokens of a scripted authorization server (M04, P17, A03, A07, O03, O04): OAuth2 of the router in client
//! mode.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use rcs_proto::frames;
use rcs_proto::messages::OperationResponse;
use rcs_rig::authorization::{AuthorizationServer, Manner, TOKEN_PATH};
use rcs_rig::canary::{canary, finds};
use rcs_rig::metrics::Metrics;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeMember, Gate, Manners, Socket, validate_request};
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, file, member, run, scratch};

/// The client's secret.
fn secret() -> String {
    canary("client-secret")
}

/// A server whose tokens are canaries.
fn server(change: impl FnOnce(&mut Manner)) -> Arc<AuthorizationServer> {
    Arc::new(AuthorizationServer::start_with(|manner| {
        manner.clients = vec![("RCSClient".to_owned(), secret())];
        manner.makes = Arc::new(|_, n| canary(&format!("token-{n}")));
        change(manner);
    }))
}

fn idm() -> FakeMember {
    FakeMember::listen("idm", Manners::Polite)
}

/// A router with one member that dials one IDM, which lets nobody in without a token.
struct Site {
    router: Router,
    member: FakeMember,
    idm: FakeMember,
    gate: Gate,
    folder: TempDir,
    calls: i64,
}

impl Site {
    /// `more` are further lines of the IDM's table.
    fn start(server: &Arc<AuthorizationServer>, more: &str) -> Self {
        let (folder, member, idm) = (scratch(), member("n"), idm());
        let gate = Gate::before(&idm, server);
        let provider = Provider::new().server("n", member.port(), 1).write(folder.path());
        file(&folder, "secret", &format!("{}\n", secret()));
        let url = format!("ws://127.0.0.1:{}/openicf", gate.port());
        let config = file(&folder, "router.toml", &table(&folder, &url, &server.url(TOKEN_PATH), more));
        let router = Router::serve(&provider, &["--dev", "--config", &config]);
        router.await_ready();
        Self { router, member, idm, gate, folder, calls: 0 }
    }

    /// Has the IDM make one call over the newest connection, and checks its answer.
    fn call(&mut self) {
        let open = self.idm.await_sockets(1);
        self.call_on(&open[open.len() - 1].clone());
    }

    fn call_on(&mut self, socket: &Arc<Socket>) {
        self.calls += 1;
        let id = self.calls;
        socket.send(&frames::operation(id, &validate_request()));
        let call = self.member.inbox.operation("the call");
        let done = OperationResponse { validate: Some(Default::default()), ..Default::default() };
        call.socket.send(&frames::answer(call.id(), &done));
        let answer = self.idm.inbox.next("the answer", |frame| frame.answers(id));
        assert!(answer.answer().is_some_and(|answer| answer.validate.is_some()), "{answer:?}");
    }

    fn calls_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        while !is_done(self) {
            self.call();
        }
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.router.get("/v1/status").1).unwrap_or_default()
    }

    fn logged(&self, part: &str) -> usize {
        self.router.process.stderr_lines().iter().filter(|line| line.contains(part)).count()
    }

    /// Neither the secret nor a token is in the log, the status or the metrics.
    fn judge(&self) {
        assert!(!finds(secret().as_bytes()).is_empty(), "a canary that is not found proves nothing");
        for path in ["/v1/status", "/v1/callers", "/metrics"] {
            assert_eq!(finds(self.router.get(path).1.as_bytes()), Vec::<String>::new(), "{path}");
        }
        let log = self.router.process.stderr_lines().join("\n");
        assert_eq!(finds(log.as_bytes()), Vec::<String>::new());
    }
}

fn table(folder: &TempDir, url: &str, endpoint: &str, more: &str) -> String {
    let secret = folder.path().join("secret").display().to_string();
    format!(
        "[idm.cloud]\nurl = {url:?}\ntoken_endpoint = {endpoint:?}\nclient_id = \"RCSClient\"\nclient_secret_file = {secret:?}\n\
         scope = \"fr:idm:*\"\nnew_connections_interval = \"0s\"\nhousekeeping_interval = \"1s\"\n{more}\n"
    )
}

/// M04, O04: one token for all connections; one that is refused is replaced within the same dial, and nothing is complained about.
#[test]
fn the_router_dials_with_a_token_and_replaces_a_refused_one() {
    let server = server(|manner| {
        manner.extra.insert("new_field".to_owned(), json!({ "deep": [1, null] }));
    });
    let mut site = Site::start(&server, "connections = 2");
    let sockets = site.idm.await_sockets(2);
    for socket in &sockets {
        site.call_on(socket);
    }
    let asked = server.asked(TOKEN_PATH);
    assert_eq!(asked.len(), 1, "one request for all");
    assert_eq!(asked[0].client, Some(("RCSClient".to_owned(), secret())));
    assert_eq!(asked[0].field("scope"), Some("fr:idm:*"));
    // The life that the server says is an hour.
    let ends = Metrics::scrape(site.router.admin)
        .sum("rcs_idm_token_not_after_timestamp_seconds", &[("idm", "cloud")]);
    let left = ends - std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((3000.0..=3600.0).contains(&left), "{left} s left");
    assert!(site.status()["idms"][0]["token_ends"].as_str().is_some_and(|at| at.ends_with('Z')));
    let bearer = |n: usize| format!("Bearer {}", canary(&format!("token-{n}")));
    assert!(site.gate.shown().iter().all(|shown| *shown == bearer(1)));

    site.gate.revoke(&canary("token-1"));
    sockets.iter().for_each(|socket| socket.reset());
    site.idm.await_sockets(2);
    site.call();
    assert_eq!((site.gate.told(401), server.issued().len()), (1, 2), "{}", site.router.process);
    assert_eq!(site.gate.shown().last(), Some(&bearer(2)));
    assert_eq!(site.logged("no connection") + site.logged("no further connection"), 0);
    wait_until("nothing is missing", PATIENCE, || site.status()["condition"] == "ok");
    site.judge();
}

/// O03: a token is renewed before its end, and connections are replaced with it; no call fails.
#[test]
fn connections_are_replaced_before_their_token_ends() {
    let server = server(|manner| manner.life = Some(json!(4)));
    let mut site = Site::start(&server, "connections = 1\ntoken_end = \"replace\"\nconnection_ttl = \"off\"");
    site.calls_until(|site| site.gate.shown().into_iter().collect::<BTreeSet<_>>().len() >= 4);
    assert_eq!(site.gate.told(401), 0, "{}", site.router.process);
    site.judge();
}

/// A03: the secret changes at the server and in its file; no call is lost, and nothing is restarted.
#[test]
fn a_secret_is_changed_without_a_lost_call() {
    let server = server(|manner| manner.life = Some(json!(5)));
    let mut site = Site::start(&server, "connections = 1\nconnection_ttl = \"2s\"");
    site.calls_until(|_| server.issued().len() >= 2);
    let second = canary("second-secret");
    server.set(|manner| manner.clients = vec![("RCSClient".to_owned(), second.clone())]);
    site.calls_until(|site| site.logged("refuses the client \"RCSClient\" or its secret (HTTP 401)") > 0);
    fs::write(site.folder.path().join("secret"), format!("{second}\n")).unwrap();
    let client = Some(("RCSClient".to_owned(), second));
    let issued = server.issued().len();
    site.calls_until(|_| server.issued().len() > issued);
    assert_eq!(server.asked(TOKEN_PATH).last().unwrap().client, client);
    assert_eq!(site.gate.told(401), 0, "{}", site.router.process);
    site.judge();
}

/// An outage of the endpoint costs nothing while the token lives. The log tells it once; the status says what to do until it is over.
#[test]
fn an_outage_of_the_endpoint_is_told_once() {
    let server = server(|_| {});
    let mut site = Site::start(&server, "connections = 2");
    let sockets = site.idm.await_sockets(2);
    server.set(|manner| manner.refusal = Some((503, String::new())));
    // A refused token has the router ask for another one.
    site.gate.refuse(Some(401));
    sockets[0].reset();
    site.router.await_log("overloaded or out of order (HTTP 503)");
    site.gate.refuse(None);
    site.idm.await_sockets(2);
    site.call();
    let row = |site: &Site| site.status()["idms"][0].clone();
    wait_until("both are connected", PATIENCE, || row(&site)["connections"] == 2);
    let status = site.status();
    let told = status["idms"][0]["token_failure"].as_str().unwrap_or_default();
    assert!(told.contains("no new access token comes from http://127.0.0.1:"), "{status}");
    assert!(status["warnings"].to_string().contains("further connections need an access token"), "{status}");
    assert_eq!(status["condition"], "degraded", "{status}");
    let failing =
        |site: &Site| Metrics::scrape(site.router.admin).sum("rcs_idm_token_failing", &[("idm", "cloud")]);
    assert_eq!(failing(&site), 1.0);
    server.await_token_requests(server.asked(TOKEN_PATH).len() + 2);
    assert_eq!(site.logged("no new token: "), 1, "{}", site.router.process);
    assert_eq!(server.issued().len(), 1);

    server.set(|manner| manner.refusal = None);
    site.router.await_log("the token endpoint works again");
    wait_until("all is well again", PATIENCE, || site.status()["condition"] == "ok");
    assert_eq!((&row(&site)["token_failure"], failing(&site)), (&Value::Null, 0.0));
    site.judge();
}

/// Without a token nobody is dialled. The reason is in the status with the key that mends it, and the router comes by itself.
#[test]
fn a_refusal_of_the_endpoint_names_the_key_that_mends_it() {
    let server = server(|manner| manner.scopes.clear());
    let mut site = Site::start(&server, "connections = 1");
    site.router.await_log("no connection: there is no access token from http://127.0.0.1:");
    let failure = || site.status()["idms"][0]["failure"].as_str().unwrap_or_default().to_owned();
    wait_until("the status says so", PATIENCE, || failure().contains("refuses the scope \"fr:idm:*\""));
    assert!(failure().ends_with("(scope)"), "{}", failure());
    assert_eq!(site.gate.shown().len(), 0, "nobody is dialled without a token");
    server.set(|manner| manner.scopes.push("fr:idm:*".to_owned()));
    site.call();
    site.judge();
}

/// A07, P17: `check` says of each fault what to do.
#[test]
fn check_reads_the_keys_of_oauth2() {
    let (folder, member) = (scratch(), member("n"));
    let provider = Provider::new().server("n", member.port(), 1).write(folder.path()).display().to_string();
    file(&folder, "secret", &format!("{}\n", secret()));
    let check = |config: &str, more: &[&str]| {
        let config = file(&folder, "router.toml", config);
        run(&[&["check", "--provider", &provider, "--config", &config], more].concat())
    };
    let good = table(&folder, "ws://127.0.0.1:1/openicf", "http://127.0.0.1:2/token", "");
    let ran = check(&good, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in ["  * client_id = \"RCSClient\"", "  * scope = \"fr:idm:*\"", "    token_end = \"keep\""] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let far = table(&folder, "ws://idm.example.com/openicf", "http://127.0.0.1:2/token", "");
    let ran = check(&far, &["--dev"]);
    assert_eq!(ran.code, Some(0), "a trial may send tokens in clear: {ran:?}");
    let line = |key: &str| good.lines().find(|line| line.starts_with(key)).unwrap().to_owned() + "\n";
    let endpoint = |url: &str| table(&folder, "ws://127.0.0.1:1/openicf", url, "");
    for (config, says) in [
        (far, "idm.cloud: token_endpoint would send an access token in clear text to ws://idm.example.com"),
        (
            endpoint("http://am.example.com/token"),
            "http:// would send secrets in clear text to am.example.com",
        ),
        (endpoint("am.example.com"), "idm.cloud: token_endpoint is not valid: expected a URL"),
        (good.replace(&line("client_id"), ""), "idm.cloud: client_id is missing. Write the id"),
        (
            good.replace(&line("client_secret_file"), ""),
            "idm.cloud: client_secret_file is missing. Write the secret",
        ),
        (
            good.replace(&line("token_endpoint"), ""),
            "mean nothing without token_endpoint. Add token_endpoint",
        ),
        (
            format!("{good}principal = \"rcs1\"\n"),
            "an IDM is shown one of the two. Remove key_file and principal",
        ),
        (format!("{good}token_end = \"stop\"\n"), "Use \"keep\" or \"replace\""),
        (good.replace("/secret\"", "/nowhere\""), "idm.cloud.client_secret_file: the file"),
    ] {
        let ran = check(&config, &[]);
        assert!(ran.code == Some(65) && ran.stderr.contains(says), "{config}: {ran:?}");
        assert_eq!(finds(format!("{ran:?}").as_bytes()), Vec::<String>::new());
    }
}
