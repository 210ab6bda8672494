//! An authorization server that is away for longer than tokens live (O03, A04, P1).

use std::time::Duration;

use rcs_rig::authorization::{AuthorizationServer, INTROSPECTION_PATH, TOKEN_PATH};
use rcs_rig::metrics::http_get;
use rcs_rig::node::DiallingNode;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, bearer, raw_exchange, upgrade_request};
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::{hr, workspace};
use serde_json::{Value, json};

use crate::bounds::PATIENCE;
use crate::node_dials::Reader;

/// How long the server is away, and how long tokens live, in seconds. With `RCS_LONG=1` as long as real outages are.
const OUTAGE: (u64, u64) = (6, 2);
const OUTAGE_LONG: (u64, u64) = (600, 60);

/// Connections stay, and every call is answered, although the tokens of the connections end. New connections are refused meanwhile. After the
/// outage everything is as before, without a restart of anything.
#[test]
fn an_outage_that_outlives_tokens_costs_no_call() {
    let (outage, life) = if std::env::var_os("RCS_LONG").is_some() { OUTAGE_LONG } else { OUTAGE };
    let (folder, scratch) = (workspace::scratch(), workspace::scratch());
    let csv = hr::write(scratch.path()).display().to_string();
    let server = AuthorizationServer::start_with(|manner| {
        manner.clients = ["c1", "router"].map(|name| (name.to_owned(), format!("secret-of-{name}"))).to_vec();
        manner.life = Some(json!(life));
    });
    let secret = scratch.path().join("router.secret");
    std::fs::write(&secret, "secret-of-router\n").expect("the scratch folder takes a file");
    let credentials = scratch.path().join("credentials.toml");
    let text = format!(
        "[issuer.as]\nintrospection = '{}'\nclient_id = 'router'\nclient_secret_file = '{}'\nrecheck = '1s'\nleeway = '1s'\n\
         [member.c1]\ntoken = 'as'\n",
        server.url(INTROSPECTION_PATH),
        secret.display()
    );
    std::fs::write(&credentials, text).expect("the scratch folder takes a file");
    let provider = Provider::new().client("c1").group("hr", "roundrobin", &["c1"]).write(scratch.path());
    let router = Router::start_with(&provider, &["--credentials", &credentials.display().to_string()]);
    let endpoint = format!("tokenEndpoint={}", server.url(TOKEN_PATH));
    let properties = [endpoint.as_str(), "clientId=c1", "clientSecret=secret-of-c1"];
    let mut node = DiallingNode::start_with(folder.path(), "c1", &router.url(None), 2, &properties);
    router.await_up("hr", &["c1"]);
    let mut reader = Reader::of(FakeIdm::connect(router.listen(), "/openicf/hr", 2), &csv);
    reader.read(10);

    server.set(|manner| manner.is_down = true);
    let request =
        upgrade_request("/openicf", Some(&bearer("nobody-has-seen-it")), Some("v1.openicf.forgerock.org"));
    assert_eq!(raw_exchange(router.listen(), request.as_bytes()).status, 503);
    let ended = server.issued();
    hold("calls are answered while the authorization server is away", Duration::from_secs(outage), || {
        reader.read(1);
        router.is_up("hr", "c1")
    });
    assert!(ended.iter().all(|token| !server.is_active(token)), "every token has ended");
    let status: Value = serde_json::from_str(&http_get(router.admin(), "/v1/status").1).unwrap_or_default();
    assert_eq!(
        (&status["condition"], &status["issuers"][0]["up"]),
        (&json!("degraded"), &json!(false)),
        "{status}"
    );

    server.set(|manner| manner.is_down = false);
    wait_until("a token comes by itself", PATIENCE, || server.issued().len() > ended.len());
    wait_until("the router sees the end of the outage by itself", PATIENCE, || {
        http_get(router.admin(), "/v1/status").1.contains("\"condition\":\"ok\"")
    });
    reader.read(10);
    node.kill();
    node.restart();
    router.await_up("hr", &["c1"]);
    reader.read(10);
}
