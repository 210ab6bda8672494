//! Tokens with roles: made, used, revoked, and misused (P12).

use rcs_rig::metrics::{Metrics, http_request};
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};

use crate::changes::{Alone, Answer};
use crate::cluster::three;
use crate::support::{PATIENCE, Ran, Router, file, member, provider, run, run_command, scratch};

const CONFIG: &str = "/openidm/config/provisioner.openicf.connectorinfoprovider";

/// A request with this token.
fn send(router: &Router, token: &str, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let headers = format!("Authorization: Bearer {token}\r\n{headers}");
    let (status, body) = http_request(router.admin, method, path, &headers, body.as_bytes());
    Answer { status, body: serde_json::from_str(&body).unwrap_or(Value::String(body)) }
}

/// Makes a token; returns its secret.
fn make(alone: &Alone, name: &str, role: &str) -> String {
    let made = alone.send("POST", "/v1/tokens", "", &json!({"name": name, "role": role}).to_string());
    assert_eq!(
        (made.status, &made.body["name"], &made.body["role"]),
        (201, &json!(name), &json!(role)),
        "{made:?}"
    );
    made.body["token"].as_str().unwrap().to_owned()
}

fn drain(router: &Router, token: &str) -> Answer {
    send(router, token, "POST", "/v1/groups/g/members/n1/drain", "", "")
}

/// Runs a command against a router, with this token.
fn ask(router: &Router, token: &str, words: &str) -> Ran {
    let mut command = crate::support::router(&words.split(' ').collect::<Vec<_>>());
    command.args(["--server", &format!("http://{}", router.admin)]).env("RCS_ROUTER_TOKEN", token);
    run_command(command)
}

fn refused(router: &Router, reason: &str) -> f64 {
    Metrics::scrape(router.admin).sum("rcs_admin_requests_refused_total", &[("reason", reason)])
}

#[test]
fn a_viewer_reads_an_operator_changes_and_the_audit_log_names_the_token() {
    let alone = Alone::start_with("cluster", &["--idm-api"]);
    let (viewer, operator) = (make(&alone, "look", "viewer"), make(&alone, "ops", "operator"));
    for secret in [&viewer, &operator] {
        assert!(
            secret.starts_with("rcs_") && secret.len() >= 4 + 22,
            "128 bits at least, and a known beginning"
        );
    }
    let read = |method, path| send(&alone.router, &viewer, method, path, "", "").status;
    assert_eq!(read("GET", CONFIG), 200, "a viewer reads what needs a token");
    assert_eq!(read("POST", "/openidm/system?_action=availableConnectorServers"), 200);
    assert_eq!(read("GET", "/v1/members"), 200);

    let told = drain(&alone.router, &viewer);
    assert_eq!(
        (told.status, &told.body["type"]),
        (403, &json!("urn:rcs-router:problem:read_only_token")),
        "{told:?}"
    );
    assert!(told.body["fix"].as_str().is_some_and(|fix| fix.contains("role operator")), "{told:?}");
    let as_idm = send(&alone.router, &viewer, "PUT", CONFIG, "", "{}");
    assert_eq!((as_idm.status, &as_idm.body["code"]), (403, &json!(403)), "IDM's form: {as_idm:?}");
    assert_eq!(read("GET", "/v1/tokens"), 403, "names of tokens are for operators");
    let by_command = ask(&alone.router, &viewer, "member drain g n1");
    assert!(by_command.code == Some(64) && by_command.stderr.contains("role operator"), "{by_command:?}");
    assert_eq!(refused(&alone.router, "read_only_token"), 4.0);
    alone.router.await_log("has the role viewer, which only reads");
    assert_eq!(alone.get("/v1/members").body[0]["admin_state"], "enabled", "nothing was changed");

    assert_eq!(drain(&alone.router, &operator).status, 200);
    let put = send(&alone.router, &operator, "PUT", "/v1/groups/h", "", r#"{"servers": ["n1"]}"#);
    assert_eq!(put.status, 200, "{put:?}");
    let audit = alone.get("/v1/audit").body;
    for (action, who) in [("grant_api", "api token"), ("mark", "ops"), ("create_group", "ops")] {
        let found = audit.as_array().unwrap().iter().find(|entry| entry["action"] == action);
        assert_eq!(found.map(|entry| &entry["who"]), Some(&json!(who)), "{action}: {audit}");
    }
    let log = alone.router.process.to_string();
    for (what, text) in [("audit", audit.to_string()), ("log", log)] {
        assert!(!text.contains(&viewer) && !text.contains(&operator), "{what} shows no secret");
    }
}

#[test]
fn the_command_line_makes_lists_and_revokes_tokens() {
    let alone = Alone::start("cluster");
    let made = alone.ask("token create ci --role admin");
    assert_eq!(made.code, Some(0), "{made:?}");
    let secret = made.stdout.trim().to_owned();
    assert!(secret.starts_with("rcs_") && made.stderr.contains("this once"), "{}", made.stderr);
    let by_token = ask(&alone.router, &secret, "token create look --role viewer -o json");
    let made: Value = serde_json::from_str(&by_token.stdout).unwrap();
    assert!(
        made["token"].is_string() && made["role"] == "viewer",
        "an admin's token makes tokens: {by_token:?}"
    );
    let listed = alone.ask("token list");
    assert_eq!(listed.stdout, "TOKEN  ROLE\nci     admin\nlook   viewer\n");
    let tokens = send(&alone.router, &secret, "GET", "/v1/tokens", "", "").body;
    assert_eq!(
        tokens,
        json!([{"name": "ci", "role": "admin"}, {"name": "look", "role": "viewer"}]),
        "no hash"
    );
    for (words, code, says) in [
        ("token create ci --role viewer", 65, "already"),
        ("token create a/b --role viewer", 65, "cannot be used"),
        ("token create x --role root", 64, "viewer"),
        ("token revoke nobody", 65, "no credential"),
    ] {
        let ran = alone.ask(words);
        assert!(ran.code == Some(code) && ran.stderr.contains(says), "{words}: {ran:?}");
    }
    assert_eq!(alone.ask("token revoke ci").code, Some(0));
    assert_eq!(alone.ask("token list").stdout, "TOKEN  ROLE\nlook   viewer\n");
    let gone = ask(&alone.router, &secret, "token list");
    assert!(gone.code == Some(64) && gone.stderr.contains("wrong token"), "{gone:?}");
}

#[test]
fn an_operator_changes_neither_tokens_nor_routers() {
    let alone = Alone::start("cluster");
    let (operator, admin) = (make(&alone, "ops", "operator"), make(&alone, "root", "admin"));
    let create = r#"{"name": "more", "role": "viewer"}"#;
    for (method, path, body) in [
        ("POST", "/v1/tokens", create),
        ("DELETE", "/v1/tokens/root", ""),
        ("POST", "/v1/cluster/routers/2/remove", ""),
    ] {
        let told = send(&alone.router, &operator, method, path, "", body);
        assert_eq!(
            (told.status, &told.body["type"]),
            (403, &json!("urn:rcs-router:problem:not_admin_token")),
            "{path}: {told:?}"
        );
        assert!(told.body["fix"].as_str().is_some_and(|fix| fix.contains("role admin")), "{told:?}");
    }
    assert_eq!(refused(&alone.router, "not_admin_token"), 3.0);
    alone.router.await_log("the API token \"ops\" has the role operator");
    assert_eq!(send(&alone.router, &operator, "GET", "/v1/tokens", "", "").status, 200);
    assert_eq!(drain(&alone.router, &operator).status, 200);
    assert_eq!(send(&alone.router, &admin, "POST", "/v1/tokens", "", create).status, 201);
    assert_eq!(drain(&alone.router, &admin).status, 200);
    let by_command = ask(&alone.router, &operator, "token create x --role viewer");
    assert!(by_command.code == Some(64) && by_command.stderr.contains("role admin"), "{by_command:?}");
}

#[test]
fn what_is_wrong_with_a_request_for_a_token_is_told() {
    let alone = Alone::start("file");
    make(&alone, "taken", "viewer");
    let long = format!(r#"{{"name": "{}", "role": "viewer"}}"#, "x".repeat(5_000));
    for (path, body, status, word) in [
        ("/v1/tokens", "", 400, "request"),
        ("/v1/tokens", r#"{"name": "a"}"#, 400, "request"),
        ("/v1/tokens", r#"{"name": "a", "role": "root"}"#, 400, "request"),
        ("/v1/tokens", r#"{"name": "a", "role": "viewer", "token": "mine"}"#, 400, "request"),
        ("/v1/tokens", r#"{"name": "", "role": "viewer"}"#, 422, "bad_name"),
        ("/v1/tokens", r#"{"name": "a/b", "role": "viewer"}"#, 422, "bad_name"),
        ("/v1/tokens", r#"{"name": "api token", "role": "viewer"}"#, 422, "bad_name"),
        ("/v1/tokens", r#"{"name": "taken", "role": "viewer"}"#, 409, "token_exists"),
        ("/v1/tokens?dry_run=true", r#"{"name": "a", "role": "viewer"}"#, 400, "request"),
        ("/v1/tokens", &long, 413, "too_long"),
    ] {
        let told = alone.send("POST", path, "", body);
        assert_eq!(told.status, status, "{path} {body:.60}: {told:?}");
        assert_eq!(told.body["type"], format!("urn:rcs-router:problem:{word}"), "{body:.60}");
    }
    let unknown = alone.send("DELETE", "/v1/tokens/nobody", "", "");
    assert_eq!(
        (unknown.status, &unknown.body["type"]),
        (404, &json!("urn:rcs-router:problem:no_credential"))
    );
    // Room for 64.
    for number in 1..64 {
        make(&alone, &number.to_string(), "viewer");
    }
    let over = alone.send("POST", "/v1/tokens", "", r#"{"name": "a", "role": "viewer"}"#);
    assert_eq!(
        (over.status, &over.body["type"]),
        (409, &json!("urn:rcs-router:problem:too_many")),
        "{over:?}"
    );
}

/// The answer to a request is lost, or somebody replays what was seen: no second secret is made, and nothing else is done in its name.
#[test]
fn a_repeated_request_makes_no_second_token_and_a_key_stands_for_one_request() {
    let alone = Alone::start("cluster");
    let key = "Idempotency-Key: one\r\n";
    let wanted = r#"{"name": "ci", "role": "operator"}"#;
    let made = alone.send("POST", "/v1/tokens", key, wanted);
    assert_eq!(made.status, 201, "{made:?}");
    let again = alone.send("POST", "/v1/tokens", key, wanted);
    assert_eq!(
        (again.status, &again.body["type"]),
        (409, &json!("urn:rcs-router:problem:told_once")),
        "{again:?}"
    );
    assert!(
        again.body["token"].is_null() && again.body["fix"].as_str().is_some_and(|fix| fix.contains("revoke"))
    );
    let other = alone.send("POST", "/v1/tokens", key, r#"{"name": "other", "role": "operator"}"#);
    assert_eq!(
        (other.status, &other.body["type"]),
        (422, &json!("urn:rcs-router:problem:reused_key")),
        "{other:?}"
    );
    let secret = made.body["token"].as_str().unwrap();
    assert_eq!(
        send(&alone.router, secret, "GET", "/v1/tokens", "", "").body.as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(alone.send("DELETE", "/v1/tokens/ci", key, "").status, 200, "another path, another request");
    // The token is revoked now: neither it nor the request that made it comes back.
    let again = alone.send("POST", "/v1/tokens", key, wanted);
    assert_eq!(
        (again.status, &again.body["type"]),
        (409, &json!("urn:rcs-router:problem:told_once")),
        "{again:?}"
    );
    assert_eq!(drain(&alone.router, secret).status, 403);
    let repeated = alone.send("DELETE", "/v1/tokens/ci", key, "");
    assert_eq!((repeated.status, &repeated.body["repeated"]), (200, &json!(true)), "{repeated:?}");

    let put =
        |servers: &str| alone.send("PUT", "/v1/groups/h", key, &format!(r#"{{"servers": [{servers}]}}"#));
    let first = put("\"n1\"");
    assert_eq!((first.status, &first.body["result"]), (200, &json!("changed")), "{first:?}");
    assert_eq!(alone.send("DELETE", "/v1/groups/h", "", "").status, 200);
    let replayed = put("\"n1\"");
    assert_eq!((replayed.status, &replayed.body["repeated"]), (200, &json!(true)), "{replayed:?}");
    assert_eq!(alone.get("/v1/groups/h").status, 404, "a replay changes nothing");
    let changed = put("\"n2\"");
    assert_eq!(
        (changed.status, &changed.body["type"]),
        (422, &json!("urn:rcs-router:problem:reused_key")),
        "{changed:?}"
    );
}

/// Every route that changes something, by the description of the API: with a viewer's token, a revoked one, one of another cluster, and
/// none.
#[test]
fn no_route_of_the_description_changes_anything_for_a_token_that_may_not() {
    let alone = Alone::start_with("cluster", &["--idm-api"]);
    let elsewhere = Alone::start("cluster");
    let viewer = make(&alone, "look", "viewer");
    let revoked = make(&alone, "gone", "operator");
    assert_eq!(alone.send("DELETE", "/v1/tokens/gone", "", "").status, 200);
    let foreign = make(&elsewhere, "ops", "operator");
    assert_eq!(drain(&elsewhere.router, &foreign).status, 200, "it is good where it was made");
    let description = alone.get("/v1/openapi.json").body;
    let mut routes: Vec<(String, String)> = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"] == json!([{"token": []}]) {
                routes
                    .push((method.to_uppercase(), path.replace("{change}", "drain").replace(['{', '}'], "")));
            }
        }
    }
    routes.push(("PUT".to_owned(), CONFIG.to_owned()));
    assert!(routes.len() > 12, "{routes:?}");
    let before = alone.get("/v1/cluster").body["revision"].clone();
    for (method, path) in &routes {
        let told = send(&alone.router, &viewer, method, path, "", "{}");
        assert_eq!(told.status, 403, "a viewer: {method} {path}: {told:?}");
    }
    assert_eq!(refused(&alone.router, "read_only_token"), routes.len() as f64, "each is counted");
    let lines = alone.router.process.to_string().matches("a change was refused, from 127.0.0.1").count();
    assert!(lines < routes.len(), "told once a second, not for each request: {lines} lines");
    // A wrong token waits for a second: one route of each kind is enough.
    for (kind, token) in [("revoked", &revoked), ("of another cluster", &foreign)] {
        for (method, path) in [("POST", "/v1/apply"), ("GET", "/v1/tokens"), ("GET", CONFIG)] {
            let told = send(&alone.router, token, method, path, "", "{}");
            assert_eq!(told.status, 403, "{kind}: {method} {path}: {told:?}");
        }
    }
    assert_eq!(refused(&alone.router, "wrong_token"), 6.0);
    assert_eq!(alone.get("/v1/cluster").body["revision"], before, "nothing was changed");
}

/// What one router grants and revokes, all routers follow; also one that was down meanwhile, and a leader that dies takes no token along.
#[test]
fn a_token_is_good_at_every_router_until_it_is_revoked() {
    let (mut cluster, _members) = three();
    let made = cluster.ask(0, "token create ci --role operator");
    assert_eq!(made.code, Some(0), "{made:?}");
    let secret = made.stdout.trim().to_owned();
    let list = |router: &Router| send(router, &secret, "GET", "/v1/tokens", "", "").status;
    for place in 0..3 {
        wait_until("the token is good here too", PATIENCE, || list(cluster.router(place)) == 200);
    }
    let leader = cluster.leader(0);
    cluster.kill(leader);
    let survivor = (leader + 1) % 3;
    wait_until("another router leads", PATIENCE, || cluster.leader(survivor) != leader);
    assert_eq!(list(cluster.router(survivor)), 200);
    let other = cluster.ask(survivor, "token create other --role viewer");
    assert_eq!(other.code, Some(0), "{other:?}");
    let revoked = cluster.ask(survivor, "token revoke ci");
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(list(cluster.router(survivor)), 403, "at once where it was revoked");
    let peers = cluster.peers();
    cluster.start(leader, &["--peers", &peers]);
    for place in 0..3 {
        wait_until("it is refused at every router", PATIENCE, || list(cluster.router(place)) == 403);
    }
}

#[test]
fn a_router_that_keeps_its_state_in_memory_says_what_to_do() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let token = file(&folder, "token", "t0ken");
    let router = Router::serve(&document, &["--dev", "--admin-token-file", &token]);
    for words in ["token create ci --role viewer", "token list", "token revoke ci"] {
        let ran = ask(&router, "t0ken", words);
        assert!(ran.code == Some(65) && ran.stderr.contains("--data-dir"), "{words}: {ran:?}");
    }
    assert_eq!(run(&["token", "create", "ci"]).code, Some(64), "a token has a role");
}
