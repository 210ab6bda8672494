//! Callers and members that prove their names by access tokens (A01, A04, A07), and what happens when their authorization server changes its
//! keys, deactivates a client, or is down.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcs_rig::authorization::{AuthorizationServer, INTROSPECTION_PATH, KEYS_PATH, Manner, TOKEN_PATH};
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{
    FakeClient, FakeIdm, FakeMember, Manners, basic, bearer, raw_exchange, upgrade_request,
};
use rcs_rig::signed::{Signer, key_set, seconds_from_now};
use rcs_rig::wait::{hold, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::identities::{p99_of_questions, told, under_attack};
use crate::support::{PATIENCE, Router, file, member, router, run_command, scratch};

const PROTOCOL: Option<&str> = Some("v1.openicf.forgerock.org");
/// The issuer of signed tokens.
const ISS: &str = "https://kc.example.com/realms/x";
const SECRET: &str = "introspection-s3cr3t";

/// A group of a member that the router dials and of the member `onprem` in client mode, and an authorization server.
struct Site {
    server: AuthorizationServer,
    folder: TempDir,
    provider: PathBuf,
    _dialled: FakeMember,
}

impl Site {
    fn new(change: impl FnOnce(&mut Manner)) -> Self {
        let (folder, dialled) = (scratch(), member("s"));
        let provider = Provider::new().server("s", dialled.port(), 1).client("onprem");
        let provider = provider.group("g", "roundrobin", &["s", "onprem"]).write(folder.path());
        let server = AuthorizationServer::start_with(|manner| {
            let names = ["router", "onprem", "idm", "batch", "stranger"];
            manner.clients = names.map(|name| (name.to_owned(), SECRET.to_owned())).to_vec();
            change(manner);
        });
        Self { server, folder, provider, _dialled: dialled }
    }

    /// An issuer with an introspection endpoint.
    fn asked(&self, more: &str) -> String {
        let secret = file(&self.folder, "introspection.secret", &format!("{SECRET}\n"));
        let url = self.server.url(INTROSPECTION_PATH);
        format!(
            "[issuer.am]\nintrospection = '{url}'\nclient_id = 'router'\nclient_secret_file = '{secret}'\nrecheck = '1s'\n{more}\n"
        )
    }

    /// An issuer with a key set.
    fn signing(&self, more: &str) -> String {
        let url = self.server.url(KEYS_PATH);
        format!("[issuer.am]\njwks = '{url}'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n{more}\n")
    }

    fn credentials(&self, issuer: &str) -> String {
        let text =
            format!("{issuer}[caller.idm]\ntoken = 'am'\ngroups = ['g']\n[member.onprem]\ntoken = 'am'\n");
        file(&self.folder, "credentials.toml", &text)
    }

    fn route(&self, issuer: &str) -> Router {
        Router::serve(&self.provider, &["--credentials", &self.credentials(issuer)])
    }

    /// A fresh token of a client.
    fn token(&self, client: &str) -> String {
        let form = "grant_type=client_credentials";
        let request = format!(
            "POST {TOKEN_PATH} HTTP/1.1\r\nHost: as\r\nAuthorization: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            basic(client, SECRET),
            form.len()
        );
        let answer = raw_exchange(self.server.address(), request.as_bytes());
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        body["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer:?}")).to_owned()
    }
}

fn claims(client: &str) -> Value {
    json!({ "iss": ISS, "azp": client, "exp": seconds_from_now(600) })
}

/// The status of an upgrade with a token, and the line that says why.
fn ask(listen: SocketAddr, token: &str) -> (u16, String) {
    told(TcpStream::connect(listen).unwrap(), &upgrade_request("/openicf", Some(&bearer(token)), PROTOCOL))
}

fn is_let_in(listen: SocketAddr, token: &str) -> bool {
    ask(listen, token).0 == 101
}

#[track_caller]
fn refused((found, line): (u16, String), status: u16, part: &str) {
    assert!(found == status && line.contains(part), "not {status} {part:?}: {line}");
}

fn caller(router: &Router, token: &str) -> FakeIdm {
    let mut idm = FakeIdm::new(router.listen, "/openicf/g", Manners::Polite).with_token(token);
    let socket = idm.dial();
    idm.shake_hands(&socket);
    idm
}

/// Opaque tokens, as PingAM has them. A client that is deactivated loses its open connections, and gets no new one, until it is active again.
#[test]
fn a_deactivated_client_is_cut_off_and_others_stay() {
    let site = Site::new(|_| {});
    let mut router = site.route(&site.asked(""));
    router.await_ready();
    let (of_idm, of_member) = (site.token("idm"), site.token("onprem"));
    let mut idm = caller(&router, &of_idm);
    let onprem = FakeClient::new(router.listen, "onprem", "process-1").with_token(&of_member).connect(2);
    assert!(!idm.ask_for_connectors(PATIENCE).is_empty());
    // Ten sockets more of one token: the authorization server is not asked ten times.
    for _ in 0..10 {
        let socket = idm.dial();
        idm.shake_hands(&socket);
    }
    assert!(site.server.asked(INTROSPECTION_PATH).len() < 10);

    refused(ask(router.listen, "opaque-999"), 401, "[issuer.am] says that the token is not active");
    let stranger = site.token("stranger");
    refused(ask(router.listen, &stranger), 403, "client stranger, which has no entry");
    let wrong = upgrade_request("/openicf/g", Some(&bearer("opaque-999")), PROTOCOL);
    let challenge = raw_exchange(router.listen, wrong.as_bytes());
    assert_eq!(challenge.header("www-authenticate").map(|value| value.contains("invalid_token")), Some(true));
    let as_key = upgrade_request("/openicf/g", Some(&basic("idm", &of_idm)), PROTOCOL);
    refused(told(TcpStream::connect(router.listen).unwrap(), &as_key), 403, "wrong principal or key");

    // A04
    site.server.set(|manner| manner.inactive = ["onprem".to_owned()].into());
    wait_until("the member's sockets are closed", PATIENCE, || {
        onprem.socket(0).is_closed() && onprem.socket(1).is_closed()
    });
    router.await_log("the token of onprem is revoked");
    let told =
        router.process.stderr_lines().iter().filter(|line| line.contains("connections are closed")).count();
    assert_eq!(told, 1, "one line for both sockets");
    refused(ask(router.listen, &of_member), 401, "the client was deactivated");
    assert!(!idm.ask_for_connectors(PATIENCE).is_empty(), "the other client stays");
    site.server.set(|manner| manner.inactive.clear());
    wait_until("the client is let in again", PATIENCE, || is_let_in(router.listen, &of_member));

    // A signed token whose issuer has no entry may be one of the authorization server that is asked.
    let signer = Signer::es256("k");
    let signed = signer.sign(&claims("idm"));
    let text = signed.clone();
    site.server.set(|manner| manner.makes = Arc::new(move |_, _| text.clone()));
    assert_eq!(site.token("idm"), signed);
    assert!(is_let_in(router.listen, &signed));

    // An outage closes nothing, and answers that still count go on counting. Others are told.
    site.server.set(|manner| manner.is_down = true);
    wait_until("the outage is told", PATIENCE, || ask(router.listen, "opaque-998").0 == 503);
    refused(ask(router.listen, "opaque-997"), 503, "[issuer.am] cannot be asked");
    router.await_log("the introspection endpoint of the issuer cannot be asked");
    assert!(!idm.ask_for_connectors(PATIENCE).is_empty(), "open connections stay");
    assert!(router.get("/metrics").1.contains("rcs_issuer_up{issuer=\"am\"} 0"));
    let status = || serde_json::from_str::<Value>(&router.get("/v1/status").1).unwrap_or_default();
    let (told, issuer) = (status(), status()["issuers"][0].clone());
    assert_eq!(
        (&told["condition"], &issuer["kind"], &issuer["up"]),
        (&json!("degraded"), &json!("introspection"), &json!(false))
    );
    assert!(issuer["failure"].is_string() && issuer["last_success"].is_string(), "{issuer}");
    assert!(
        told["warnings"].to_string().contains("so new connections with its tokens are refused"),
        "{told}"
    );
    site.server.set(|manner| manner.is_down = false);
    wait_until("it is asked again", PATIENCE, || is_let_in(router.listen, &of_idm));
    router.await_log("answers again");
    assert!(router.get("/metrics").1.contains("rcs_issuer_up{issuer=\"am\"} 1"));

    let shown = router.get("/metrics").1 + &router.get("/v1/files").1 + &router.get("/v1/members").1;
    router.process.signal(rustix::process::Signal::TERM);
    assert!(router.process.wait(PATIENCE).success());
    let (out, err) = router.process.output();
    for line in out.iter().chain(&err).map(String::as_str).chain([shown.as_str()]) {
        assert!(![SECRET, "opaque-"].iter().any(|secret| line.contains(secret)), "P9: {line}");
    }
}

/// Signed tokens, as Keycloak has them. The authorization server changes its keys, sends nonsense, and is down.
#[test]
fn keys_change_without_a_refused_token_and_an_outage_is_survived() {
    let (one, two, three) = (Signer::es256("one"), Signer::es256("two"), Signer::es256("three"));
    let site = Site::new(|manner| {
        manner.keys = key_set(&[&one]);
        manner.is_down = true;
    });
    // An authorization server that is down keeps no router from starting.
    let router = site.route(&site.signing("keys_age = '8s'"));
    router.await_ready();
    refused(ask(router.listen, &one.sign(&claims("idm"))), 503, "no valid keys of [issuer.am]");
    site.server.set(|manner| manner.is_down = false);
    wait_until("the keys are fetched", PATIENCE, || is_let_in(router.listen, &one.sign(&claims("idm"))));
    let mut idm = caller(&router, &one.sign(&claims("idm")));
    let _onprem = FakeClient::new(router.listen, "onprem", "process-1")
        .with_token(&one.sign(&claims("onprem")))
        .connect(1);

    // The first token of a new key is let in.
    site.server.set(|manner| manner.keys = key_set(&[&one, &two]));
    assert!(is_let_in(router.listen, &two.sign(&claims("idm"))), "a new key");
    assert!(is_let_in(router.listen, &one.sign(&claims("idm"))), "the old key");
    // Strangers name unknown keys: the set is not fetched for each of them.
    let before = site.server.asked(KEYS_PATH).len();
    let unknown = three.sign(&claims("idm"));
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| refused(ask(router.listen, &unknown), 401, "names a key (kid)"));
        }
    });
    let fetched = site.server.asked(KEYS_PATH).len() - before;
    assert!((1..=3).contains(&fetched), "fetched {fetched} times for 20 tokens");
    // A key that is withdrawn signs nothing any more, not even tokens that were verified before.
    let old = one.sign(&claims("idm"));
    assert!(is_let_in(router.listen, &old));
    site.server.set(|manner| manner.keys = key_set(&[&two]));
    refused(ask(router.listen, &unknown), 401, "names a key (kid)");
    refused(ask(router.listen, &old), 401, "names a key (kid)");

    // Nonsense instead of keys, and then nothing at all: the keys that are known stay in force for a while.
    site.server.set(|manner| manner.keys = format!("{{\"keys\":[{}{{}}]}}", "{},".repeat(500)));
    refused(ask(router.listen, &three.sign(&claims("idm"))), 503, "cannot be fetched again");
    router.await_log("more than 64 keys");
    assert!(is_let_in(router.listen, &two.sign(&claims("idm"))));
    site.server.set(|manner| manner.keys = format!("{{\"x\":\"{}\"}}", "x".repeat(400 << 10)));
    refused(ask(router.listen, &three.sign(&claims("idm"))), 503, "cannot be fetched again");
    router.await_log("bytes");
    router.await_log("the keys of the issuer cannot be fetched");
    site.server.set(|manner| manner.is_down = true);
    wait_until("the keys are too old", PATIENCE, || ask(router.listen, &two.sign(&claims("idm"))).0 == 503);
    assert!(!idm.ask_for_connectors(PATIENCE).is_empty(), "open connections stay");
}

/// `after_expiry`: by default a connection outlives its token.
#[test]
fn a_connection_outlives_its_token_unless_the_entry_says_otherwise() {
    let signer = Signer::es256("k");
    let site = Site::new(|manner| manner.keys = key_set(&[&signer]));
    let short = |client: &str| {
        let mut claims = claims(client);
        claims["exp"] = json!(seconds_from_now(3));
        signer.sign(&claims)
    };
    let (keeps, closes) = (site.route(&site.signing("leeway = '0s'")), {
        let other = Site::new(|manner| manner.keys = key_set(&[&signer]));
        let router = other.route(&other.signing("leeway = '0s'\nafter_expiry = 'close'"));
        (router, other)
    });
    keeps.await_ready();
    closes.0.await_ready();
    let token = short("idm");
    let mut kept = caller(&keeps, &token);
    let closed = caller(&closes.0, &token);
    wait_until("the connection is closed", PATIENCE, || closed.socket(0).is_closed());
    closes.0.await_log("after_expiry of [issuer.am] is close");
    refused(ask(keeps.listen, &token), 401, "expired at 20");
    assert!(!kept.ask_for_connectors(PATIENCE).is_empty());
}

/// An authorization server calls every expired token inactive. That is no reason to close what the token opened.
#[test]
fn a_token_that_expires_is_not_taken_for_one_that_is_revoked() {
    let site = Site::new(|manner| manner.life = Some(json!(4)));
    let router = site.route(&site.asked("leeway = '3s'"));
    router.await_ready();
    let token = site.token("idm");
    let mut idm = caller(&router, &token);
    wait_until("the token expires", PATIENCE, || !site.server.is_active(&token));
    wait_until("it opens nothing more", PATIENCE, || ask(router.listen, &token).0 == 401);
    // The router asks once a second about tokens that it takes for fresh.
    hold("the connection stays", Duration::from_secs(5), || !idm.socket(0).is_closed());
    assert!(!idm.ask_for_connectors(PATIENCE).is_empty());
}

/// A07: whoever can read the network could use the token.
#[test]
fn a_token_that_comes_over_a_network_needs_tls() {
    let signer = Signer::es256("k");
    let site = Site::new(|_| {});
    let keys = file(&site.folder, "keys.json", &key_set(&[&signer]));
    let issuer = format!("[issuer.am]\njwks_file = '{keys}'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n");
    let credentials = site.credentials(&issuer);
    // An address of this machine that is no loopback address stands for another machine.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).map(|address| address.ip());
    let Some(own) = own.ok().filter(|own| !own.is_loopback() && !own.is_unspecified()) else {
        return println!("this machine has no other address than loopback");
    };
    let provider = site.provider.to_str().unwrap();
    for (mode, status, part) in [(None, 403, "must not come without TLS"), (Some("--dev"), 101, "")] {
        let listen = format!("{own}:0");
        let mut command = router(&["serve", "--provider", provider, "--admin", "127.0.0.1:0"]);
        command.args(["--listen", &listen, "--credentials", &credentials]).args(mode);
        let router = Router::start(command);
        refused(ask(router.listen, &signer.sign(&claims("idm"))), status, part);
    }
}

/// The file of credentials is followed, with the files that it names: the router's own secret, and keys in a file.
#[test]
fn secrets_and_keys_in_files_are_followed() {
    let (one, two) = (Signer::es256("one"), Signer::es256("two"));
    let site = Site::new(|_| {});
    let keys = file(&site.folder, "keys.json", &key_set(&[&one]));
    let issuer = format!("[issuer.am]\njwks_file = '{keys}'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n");
    let credentials = site.credentials(&issuer);
    let provider = site.provider.to_str().unwrap();
    let check = || run_command(router(&["check", "--provider", provider, "--credentials", &credentials]));
    assert_eq!(check().code, Some(0));
    let router = Router::serve(&site.provider, &["--credentials", &credentials]);
    router.await_ready();
    assert!(is_let_in(router.listen, &one.sign(&claims("idm"))));
    std::fs::write(&keys, "{\"keys\":").unwrap();
    router.await_log("issuer.am jwks_file");
    assert_eq!(check().code, Some(65));
    assert!(is_let_in(router.listen, &one.sign(&claims("idm"))), "the last good keys stay in force");
    std::fs::write(&keys, key_set(&[&two])).unwrap();
    router.await_log("the file of credentials changed");
    assert!(is_let_in(router.listen, &two.sign(&claims("idm"))));
    refused(ask(router.listen, &one.sign(&claims("idm"))), 401, "names a key (kid)");

    // Another issuer, with a wrong secret of the router's own, which is then put right.
    let secret = file(&site.folder, "own.secret", "wrong-s3cr3t\n");
    let url = site.server.url(INTROSPECTION_PATH);
    let asks = format!(
        "[issuer.am]\nintrospection = '{url}'\nclient_id = 'router'\nclient_secret_file = '{secret}'\nrecheck = '1s'\n"
    );
    let _ = site.credentials(&asks);
    wait_until("the issuer is another one", PATIENCE, || {
        ask(router.listen, &site.token("idm")).1.contains("[issuer.am] cannot be asked")
    });
    router.await_log("compare client_id and client_secret_file");
    std::fs::write(&secret, SECRET).unwrap();
    wait_until("the secret is right", PATIENCE, || is_let_in(router.listen, &site.token("idm")));
    assert!(!router.process.said_on_stderr("s3cr3t"));
}

/// A thousand wrong tokens a second, signed and opaque ones, from another network. A steady caller feels nothing, the authorization server is
/// asked at a pace, and a good token that was never seen is let in.
#[test]
fn wrong_tokens_cost_their_senders_and_nobody_else() {
    let (signer, forger) = (Signer::es256("k"), Signer::es256("k"));
    let site = Site::new(|manner| manner.keys = key_set(&[&signer]));
    let secret = file(&site.folder, "introspection.secret", SECRET);
    let text = format!(
        "[issuer.am]\njwks = '{}'\nissuer = '{ISS}'\nalgorithms = ['ES256']\n\
         [issuer.opaque]\nintrospection = '{}'\nclient_id = 'router'\nclient_secret_file = '{secret}'\n\
         [caller.idm]\ntoken = 'am'\ngroups = ['g']\n[caller.batch]\ntoken = 'opaque'\ngroups = ['g']\n",
        site.server.url(KEYS_PATH),
        site.server.url(INTROSPECTION_PATH)
    );
    let router =
        Router::serve(&site.provider, &["--credentials", &file(&site.folder, "credentials.toml", &text)]);
    router.await_ready();
    let listen = router.listen;
    let mut steady = caller(&router, &signer.sign(&claims("idm")));
    let mut questions = |number| p99_of_questions(&mut steady, number);
    let quiet = questions(200);
    let forger = Arc::new(forger);
    let makes = move |number: u64, sent: u64| match sent % 2 {
        0 => bearer(&format!("opaque-wrong-{number}-{sent}")),
        _ => {
            let mut claims = claims("idm");
            claims["jti"] = json!(format!("{number}-{sent}"));
            bearer(&forger.sign(&claims))
        }
    };
    let (refused, (busy, fresh), took) = under_attack(listen, 1, makes, || {
        wait_until("wrong tokens are refused", PATIENCE, || {
            router.process.said_on_stderr("more connections in the last second: token not valid")
        });
        let busy = questions(200);
        let began = Instant::now();
        assert!(is_let_in(listen, &signer.sign(&claims("idm"))), "a good signed token");
        let (status, line) = ask(listen, &site.token("batch"));
        assert_eq!(status, 101, "a good opaque token, as networks take turns: {line}");
        (busy, began.elapsed())
    });
    let asked = site.server.asked(INTROSPECTION_PATH).len();
    println!(
        "quiet {quiet:?}, busy {busy:?}, fresh {fresh:?}; in {took:?} the attackers were told {refused:?}, the issuer was asked {asked} times"
    );
    assert!(refused.keys().all(|status| [401, 503].contains(status)), "{refused:?}");
    // On a busy machine everything is slow, so the bounds are wide. The figures above say more.
    assert!(busy < Duration::from_millis(500) + 10 * quiet, "{busy:?} after {quiet:?}");
    assert!(fresh < Duration::from_secs(10), "{fresh:?}");
    assert!((asked as f64) < 20.0 + 100.0 * took.as_secs_f64(), "{asked} times in {took:?}");
}
