//! OAuth2 with a real authorization server, Keycloak (M04, A01, A03, A04, P9, P12): the router accepts its tokens, by introspection and by
//! its key set, and gets tokens from it.
#![allow(
    clippy::panic,
    reason = "a peer that is not what it should be fails the test on the spot, with the reason"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rcs_rig::canary::{canary, finds};
use rcs_rig::hr;
use rcs_rig::keycloak::{Keycloak, SCOPE, access_token, claims};
use rcs_rig::metrics::http_get;
use rcs_rig::node::{DiallingNode, Node};
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, Manners, bearer, raw_exchange, upgrade_request};
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::workspace;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bounds::PATIENCE;
use crate::node_dials::Reader;

const GROUP: &str = "hr";
/// Clients of Keycloak, and for how many seconds their tokens live. The tokens of `near` and `far` end while the test runs.
const CLIENTS: [(&str, u32); 6] =
    [("router", 300), ("steady", 300), ("near", 20), ("far", 20), ("idm", 300), ("stranger", 300)];
/// A04: a client that is deactivated is cut off within this.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(60);

/// The first secret of a client.
fn secret(client: &str) -> String {
    canary(&format!("secret-of-{client}"))
}

/// Three routers, and what is connected to them.
///
/// ```text
/// idm ─▶ asked (introspection) ─▶ near: a node that dials
///                              ─▶ far:  a router that dials ─▶ n: a node
/// idm ─▶ signed (key set)      ─▶ steady: a node that dials both
/// ```
struct Site {
    keycloak: Keycloak,
    asked: Router,
    signed: Router,
    far: Router,
    near: DiallingNode,
    steady: DiallingNode,
    agent: Process,
    _listening: Node,
    folder: TempDir,
    /// Further secrets, which Keycloak has drawn.
    drawn: Vec<String>,
}

impl Site {
    fn start(keycloak: Keycloak) -> Self {
        let folder = workspace::scratch();
        for (client, life) in CLIENTS {
            keycloak.add_client(client, &secret(client), life);
            write(&folder, &format!("{client}.secret"), &format!("{}\n", secret(client)));
        }
        let place = |name: &str| {
            let place = folder.path().join(name);
            fs::create_dir_all(&place).expect("the scratch folder takes a folder");
            place
        };
        let secret_file = |client: &str| folder.path().join(format!("{client}.secret")).display().to_string();
        let trusted = keycloak.certificate().display().to_string();

        let provider = Provider::new().client("near").client("far").client("steady").group(
            GROUP,
            "roundrobin",
            &["near", "far"],
        );
        let provider = provider.group("s", "failover", &["steady"]);
        let names = "[caller.idm]\ntoken = 'kc'\ngroups = ['*']\n[member.near]\ntoken = 'kc'\n[member.far]\ntoken = 'kc'\n[member.steady]\ntoken = 'kc'\n";
        let by_asking = format!(
            "[issuer.kc]\nintrospection = '{}'\nclient_id = 'router'\nclient_secret_file = '{}'\ntrust_store = '{trusted}'\n",
            keycloak.endpoint("token/introspect"),
            secret_file("router"),
        );
        let by_keys = format!(
            "[issuer.kc]\njwks = '{}'\nissuer = '{}'\nscopes = ['{SCOPE}']\ntrust_store = '{trusted}'\n",
            keycloak.endpoint("certs"),
            keycloak.issuer(),
        );
        let accepting = |place: &Path, issuer: &str| {
            let credentials = place.join("credentials.toml");
            fs::write(&credentials, format!("{issuer}{names}")).expect("the scratch folder takes a file");
            let credentials = credentials.display().to_string();
            Router::start_logged(&provider.write(place), &["--credentials", &credentials], Some("trace"))
        };
        let asked = accepting(&place("asked"), &by_asking);
        let signed = accepting(&place("signed"), &by_keys);

        let of_node = |client: &str| {
            [
                format!("tokenEndpoint={}", keycloak.endpoint("token")),
                format!("clientId={client}"),
                format!("clientSecretFile={}", secret_file(client)),
                format!("scope={SCOPE}"),
                format!("trustStoreFile={trusted}"),
                "trustStoreType=PEM".to_owned(),
            ]
        };
        let node = |client: &str, urls: &str, more: &str| {
            let properties = of_node(client);
            let properties: Vec<&str> = properties.iter().map(String::as_str).chain([more]).collect();
            DiallingNode::start_logged(&place(client), client, urls, 2, &properties, Some("trace"))
        };
        let near = node("near", &asked.url(None), "connectionTtl=3");
        let steady =
            node("steady", &format!("{} {}", asked.url(None), signed.url(None)), "connectionTtl=3000");

        let listening = Node::start(&place("n"));
        let config = place("far").join("router.toml");
        let table = format!(
            "[idm.far]\nurl = '{}'\ntoken_endpoint = '{}'\nclient_id = 'far'\nclient_secret_file = '{}'\nscope = '{SCOPE}'\ntrust_store = '{trusted}'\n\
             connections = 2\nconnection_ttl = '3s'\nnew_connections_interval = '0s'\nhousekeeping_interval = '1s'\n",
            asked.url(None),
            keycloak.endpoint("token"),
            secret_file("far"),
        );
        fs::write(&config, table).expect("the scratch folder takes a file");
        let behind = Provider::new().server("n", listening.port(), 2).write(&place("far"));
        let far = Router::start_logged(&behind, &["--config", &config.display().to_string()], Some("trace"));

        // An agent reads the properties of its server, and the secret among them.
        let mut agent = Command::new(workspace::binary("rcs-node"));
        agent.args(["agent", "--interval", "1s", "--report", &format!("http://{}", asked.admin())]);
        agent.arg("--properties").arg(steady.properties()).arg("--key-file").arg(secret_file("stranger"));
        let agent = Process::start("rcs-node agent", {
            agent.env("RCS_LOG", "trace");
            agent
        });
        let drawn = Vec::new();
        Self { keycloak, asked, signed, far, near, steady, agent, _listening: listening, folder, drawn }
    }

    fn token(&self, client: &str) -> String {
        access_token(&self.keycloak.grant(client, &secret(client), SCOPE))
    }

    /// A caller of a group that shows a token.
    fn caller(&self, router: &Router, group: &str) -> Reader {
        let mut idm = FakeIdm::new(router.listen(), &format!("/openicf/{group}"), Manners::Polite)
            .with_token(&self.token("idm"));
        for _ in 0..2 {
            let socket = idm.dial();
            idm.shake_hands(&socket);
        }
        Reader::of(idm, &self.folder.path().join("hr.csv").display().to_string())
    }
}

fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("the scratch folder takes a file");
}

fn status(router: &Router) -> Value {
    serde_json::from_str(&http_get(router.admin(), "/v1/status").1).unwrap_or_default()
}

fn logged(process: &Process, part: &str) -> usize {
    process.stderr_lines().iter().filter(|line| line.contains(part)).count()
}

/// The router refuses a token with this status and sentence.
#[track_caller]
fn refused(router: &Router, path: &str, token: &str, status: u16, part: &str) {
    let request = upgrade_request(path, Some(&bearer(token)), Some("v1.openicf.forgerock.org"));
    let answer = raw_exchange(router.listen(), request.as_bytes());
    assert!(answer.status == status && answer.head.contains(part), "not {status} {part:?}: {answer:?}");
}

/// One test for all: Keycloak alone takes longer to start than everything else takes.
#[test]
fn a_real_authorization_server() {
    let Some(keycloak) = Keycloak::or_skip("keycloak::a_real_authorization_server") else { return };
    let began = Instant::now();
    let mut site = Site::start(keycloak);
    hr::write(site.folder.path());
    site.asked.await_up(GROUP, &["near", "far"]);
    site.asked.await_up("s", &["steady"]);
    site.signed.await_up("s", &["steady"]);
    println!("{:?}: connected", began.elapsed());

    tokens_are_accepted_and_refused(&site);
    let deactivated = Instant::now();
    site.keycloak.set_client("steady", |client| client["enabled"] = json!(false));
    secrets_are_changed(&mut site);
    println!("{:?}: secrets changed", began.elapsed());
    a_deactivated_client_is_cut_off(&mut site, deactivated);
    println!("{:?}: cut off, and back", began.elapsed());
    an_outage_closes_nothing(&mut site);
    println!("{:?}: outage", began.elapsed());
    nothing_leaks(&mut site);
    println!("{:?}: looked for secrets", began.elapsed());
}

/// A01, P12: a token proves the name of its client, and no other token proves anything.
fn tokens_are_accepted_and_refused(site: &Site) {
    let (by_asking, by_keys) = (&site.asked, &site.signed);
    site.caller(by_asking, GROUP).read(20);
    let metrics = by_asking.metrics();
    let served =
        |member| metrics.sum("rcs_calls_total", &[("group", GROUP), ("member", member), ("outcome", "ok")]);
    assert_eq!((served("near"), served("far")), (10.0, 10.0), "exact turns");
    site.caller(by_keys, "s").read(10);

    let granted = site.keycloak.grant("near", &secret("near"), &format!("openid {SCOPE}"));
    let (token, id_token) =
        (access_token(&granted), granted["id_token"].as_str().expect("Keycloak gives ID tokens"));
    let (said, id_said) = (claims(&token), claims(id_token));
    assert!(!finds(token.as_bytes()).is_empty(), "a canary that is not found proves nothing");
    // What the documents say of Keycloak's tokens.
    assert_eq!(
        (&said["azp"], &said["typ"], &said["aud"]),
        (&json!("near"), &json!("Bearer"), &Value::Null),
        "{said}"
    );
    assert_eq!((&id_said["azp"], &id_said["typ"]), (&json!("near"), &json!("ID")), "{id_said}");
    for router in [by_asking, by_keys] {
        refused(router, "/openicf", id_token, 401, "another type");
        refused(router, "/openicf", &site.token("stranger"), 403, "client stranger, which has no entry");
        refused(router, "/openicf/far", &token, 403, "but the path names");
    }
    let unscoped = access_token(&site.keycloak.grant("near", &secret("near"), "openid"));
    refused(by_keys, "/openicf", &unscoped, 401, "lacks the scope");
    let changed = format!("{}AAAAAAAA", &token[..token.len() - 8]);
    refused(by_keys, "/openicf", &changed, 401, "not signed by [issuer.kc]");
    refused(by_asking, "/openicf", &changed, 401, "is not active");

    for (router, kind) in [(by_asking, "introspection"), (by_keys, "jwks")] {
        let issuer = &status(router)["issuers"][0];
        assert_eq!(
            (&issuer["issuer"], &issuer["kind"], &issuer["up"]),
            (&json!("kc"), &json!(kind), &json!(true))
        );
        assert!(issuer["last_success"].is_string() && issuer["failure"].is_null(), "{issuer}");
    }
    let ends = site.far.metrics().sum("rcs_idm_token_not_after_timestamp_seconds", &[("idm", "far")]);
    let now = std::time::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs_f64();
    assert!((now - 5.0..now + 30.0).contains(&ends), "{ends} at {now}");
    assert!(status(&site.far)["idms"][0]["token_ends"].is_string(), "{}", status(&site.far));
}

/// A03: secrets change in Keycloak, which voids the old ones at once, and then in their files. No call fails, and nothing is restarted.
fn secrets_are_changed(site: &mut Site) {
    let mut reader = site.caller(&site.asked, GROUP);
    let second = canary("second-secret-of-near");
    site.keycloak.set_client("near", |client| client["secret"] = json!(second));
    let drawn = site.keycloak.regenerate_secret("far");
    let is_refused = |process: &Process, client: &str| {
        logged(process, &format!("refuses the client \"{client}\" or its secret (HTTP 401)")) > 0
    };
    let works_again = |process: &Process| logged(process, "the token endpoint works again") > 0;
    let mut reads_until =
        |site: &mut Site, reason: &str, is_done: &dyn Fn(&Process) -> bool, client: &str| {
            wait_until(reason, PATIENCE, || {
                reader.read(1);
                is_done(match client {
                    "near" => site.near.process(),
                    _ => site.far.process(),
                })
            });
        };
    for (client, new) in [("near", &second), ("far", &drawn)] {
        reads_until(site, "the old secret is refused", &|process| is_refused(process, client), client);
        write(&site.folder, &format!("{client}.secret"), &format!("{new}\n"));
    }
    for client in ["near", "far"] {
        reads_until(site, "a token came for the new secret", &works_again, client);
    }
    site.drawn.push(drawn);
}

/// A04: an administrator deactivates the client in Keycloak.
fn a_deactivated_client_is_cut_off(site: &mut Site, since: Instant) {
    let mut by_keys = site.caller(&site.signed, "s");
    wait_until("the member is cut off", CUT_OFF_WITHIN, || !site.asked.is_up("s", "steady"));
    println!("a deactivated client was cut off after {:?}", since.elapsed());
    assert!(since.elapsed() < CUT_OFF_WITHIN, "{:?}", since.elapsed());
    let told = logged(site.asked.process(), "connections are closed whose token");
    assert_eq!(told, 1, "one line for both connections\n{}", site.asked.process());
    wait_until("the node says why", PATIENCE, || {
        logged(site.steady.process(), "refuses the client \"steady\" or its secret (HTTP 401)") > 0
    });
    // With a key set nobody hears of it, as the documents say.
    by_keys.read(10);
    assert!(site.signed.is_up("s", "steady"));
    site.keycloak.set_client("steady", |client| client["enabled"] = json!(true));
    site.asked.await_up("s", &["steady"]);
    site.caller(&site.asked, "s").read(10);
}

/// Keycloak hangs. Connections stay, calls are answered, the status says what is wrong, and what is over is seen to be over.
fn an_outage_closes_nothing(site: &mut Site) {
    let mut reader = site.caller(&site.asked, "s");
    let token = site.token("idm");
    site.keycloak.process().freeze();
    refused(&site.asked, "/openicf", "nobody-has-seen-it", 503, "[issuer.kc] cannot be asked");
    let issuer = |site: &Site| status(&site.asked)["issuers"][0].clone();
    assert_eq!(issuer(site)["up"], json!(false));
    let told = status(&site.asked);
    assert!(
        told["warnings"].to_string().contains("the issuer \\\"kc\\\" of access tokens cannot be asked"),
        "{told}"
    );
    assert_eq!(told["condition"], "degraded", "{told}");
    // With a key set a token is verified without Keycloak.
    let mut idm = FakeIdm::new(site.signed.listen(), "/openicf/s", Manners::Polite).with_token(&token);
    let socket = idm.dial();
    idm.shake_hands(&socket);
    hold("calls are answered", Duration::from_secs(2), || {
        reader.read(1);
        true
    });
    site.keycloak.process().thaw();
    wait_until("the router finds out by itself", PATIENCE, || issuer(site)["up"] == json!(true));
}

/// P9: no secret and no token is in a log, in what a router shows, or in what the operating system shows of a process.
fn nothing_leaks(site: &mut Site) {
    let drawn = site.drawn.clone();
    let judge = |what: &str, text: &[u8]| {
        assert_eq!(finds(text), Vec::<String>::new(), "{what}");
        let text = String::from_utf8_lossy(text);
        assert!(
            !drawn.iter().any(|secret| text.contains(secret)),
            "a secret that Keycloak drew is in {what}"
        );
    };
    for router in [&site.asked, &site.signed, &site.far] {
        for path in ["/metrics", "/v1/status", "/v1/members", "/v1/callers", "/v1/files", "/v1/calls"] {
            judge(path, http_get(router.admin(), path).1.as_bytes());
        }
    }
    let processes = [
        ("asked", site.asked.process() as &Process),
        ("signed", site.signed.process()),
        ("far", site.far.process()),
        ("near", site.near.process()),
        ("steady", site.steady.process()),
        ("agent", &site.agent),
    ];
    let mut lines = 0;
    for (name, process) in processes {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{}/{file}", process.pid()));
            judge(&format!("{file} of {name}"), &bytes.expect("the process runs"));
        }
        let log = process.stderr_lines().join("\n");
        assert!(log.contains("DEBUG") || log.contains("TRACE"), "the log of {name} is not verbose: {log}");
        lines += log.lines().count();
        judge(&format!("the log of {name}"), log.as_bytes());
    }
    println!("{lines} lines of log, and no secret or token");
}
