//! OAuth2 with a real authorization server, Keycloak (M04, A01, A03, A04, P9, P12): the router accepts its tokens, by introspection and by
//! its key set, and gets tokens from it.

mod site;

use std::fs;
use std::time::{Duration, Instant};

use rcs_rig::canary::{canary, finds};
use rcs_rig::hr;
use rcs_rig::keycloak::{Keycloak, SCOPE, access_token, claims};
use rcs_rig::metrics::http_get;
use rcs_rig::process::Process;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, Manners, bearer, raw_exchange, upgrade_request};
use rcs_rig::wait::{hold, wait_until};
use serde_json::{Value, json};

use self::site::{GROUP, Site, logged, secret, status, write};
use crate::bounds::PATIENCE;

/// A04: a client that is deactivated is cut off within this.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(60);

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
    // It takes up to half a minute until it is cut off. Meanwhile secrets change.
    site.set_steady(false);
    secrets_are_changed(&mut site);
    println!("{:?}: secrets changed", began.elapsed());
    a_deactivated_client_is_cut_off(&mut site);
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
                site.is_cut_off();
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
fn a_deactivated_client_is_cut_off(site: &mut Site) {
    let mut by_keys = site.caller(&site.signed, "s");
    wait_until("the member is cut off", PATIENCE, || site.is_cut_off());
    println!("a deactivated client was cut off after {:?}", site.cut_off_after);
    assert!(site.cut_off_after.is_some_and(|time| time < CUT_OFF_WITHIN), "{:?}", site.cut_off_after);
    let told = logged(site.asked.process(), "connections are closed whose token");
    assert_eq!(told, 1, "one line for both connections\n{}", site.asked.process());
    wait_until("the node says why", PATIENCE, || {
        logged(site.steady.process(), "refuses the client \"steady\" or its secret (HTTP 401)") > 0
    });
    // With a key set nobody hears of it, as the documents say.
    by_keys.read(10);
    assert!(site.signed.is_up("s", "steady"));
    site.set_steady(true);
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
