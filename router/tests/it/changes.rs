//! Members and groups are changed over the API and the command line, as whole documents and one by one.

use std::net::SocketAddr;
use std::path::PathBuf;

use rcs_rig::metrics::{http_post, http_request};
use rcs_rig::wait::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Ran, Router, file, member, provider, router, run_command, scratch};

const TOKEN: &str = "t0ken";
const KEY: &str = "a-key-that-nobody-shows";

/// A router alone with a data directory.
pub(crate) struct Alone {
    folder: TempDir,
    pub(crate) router: Router,
    provider: PathBuf,
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Alone {
    pub(crate) fn start(authority: &str) -> Self {
        Self::start_with(authority, &[])
    }

    pub(crate) fn start_with(authority: &str, options: &[&str]) -> Self {
        let folder = scratch();
        let members = [member("n1"), member("n2")];
        let provider = provider(&folder, &[("n1", &members[0]), ("n2", &members[1])]);
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let token = file(&folder, "token", TOKEN);
        let data = data.to_str().unwrap();
        let more = ["--dev", "--data-dir", data, "--authority", authority, "--admin-token-file", &token];
        let more = [&more[..], options].concat();
        let alone = Self { router: Router::serve(&provider, &more), provider, folder };
        wait_until("the files are in force, and the authority is known", PATIENCE, || {
            let (_, body) = alone.router.get("/v1/cluster");
            let seen: Value = serde_json::from_str(&body).unwrap_or_default();
            seen["revision"].as_u64().is_some_and(|revision| revision >= 2) && seen["authority"] == authority
        });
        wait_until("the groups are there", PATIENCE, || alone.get("/v1/groups").body[0]["name"] == "g");
        alone
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("scratch paths are UTF-8").to_owned()
    }

    /// Ends the router, and starts one with another data directory.
    pub(crate) fn restart(&mut self, data: &str) {
        let token = self.path("token");
        self.router =
            Router::serve(&self.provider, &["--dev", "--data-dir", data, "--admin-token-file", &token]);
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.router.admin
    }

    /// A request with the token.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("Authorization: Bearer {TOKEN}\r\n{headers}");
        let (status, body) = http_request(self.admin(), method, path, &headers, body.as_bytes());
        Answer { status, body: serde_json::from_str(&body).unwrap_or(Value::String(body)) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let (status, body) = self.router.get(path);
        Answer { status, body: serde_json::from_str(&body).unwrap_or_default() }
    }

    fn revision(&self) -> u64 {
        self.get("/v1/cluster").body["revision"].as_u64().unwrap()
    }

    /// Runs a command against the router, with the token.
    pub(crate) fn ask(&self, words: &str) -> Ran {
        let mut command = router(&words.split(' ').collect::<Vec<_>>());
        command.args(["--server", &format!("http://{}", self.admin())]).env("RCS_ROUTER_TOKEN", TOKEN);
        run_command(command)
    }
}

#[test]
fn a_document_is_applied_once_and_only_at_the_revision_that_it_was_made_for() {
    let alone = Alone::start("cluster");
    let (_, exported) = alone.router.get("/v1/export");
    assert!(exported.contains("as-it-was") && !exported.contains("changeit"), "{exported}");
    let same = alone.send("POST", "/v1/apply", "", &exported);
    assert_eq!((same.status, &same.body["result"]), (200, &json!("unchanged")), "{same:?}");
    let mut document: Value = serde_json::from_str(&exported).unwrap();
    let servers = document["remoteConnectorServers"].as_array_mut().unwrap();
    servers.push(json!({"name": "n3", "host": "127.0.0.1", "port": 1, "key": KEY}));
    document["remoteConnectorServersGroups"][0]["serversList"] = json!([{"name": "n3"}, {"name": "n1"}]);
    let text = document.to_string();
    let before = alone.revision();
    let dry = alone.send("POST", "/v1/apply?dry_run=true", "", &text);
    assert_eq!((dry.status, dry.body["changes"].as_array().map(Vec::len)), (200, Some(2)), "{dry:?}");
    assert_eq!(dry.body["changes"][1]["details"][0], "servers: n1 n2 becomes n3 n1", "{dry:?}");
    assert_eq!(alone.revision(), before, "a dry run changes nothing");
    let late = alone.send("POST", "/v1/apply", "If-Match: \"1\"\r\n", &text);
    assert_eq!((late.status, &late.body["revision"]), (412, &json!(before)), "{late:?}");
    assert_eq!(late.body["type"], "urn:rcs-router:problem:revision");
    assert!(
        late.body["fix"].is_string() && late.body["detail"].is_string() && late.body["title"].is_string()
    );
    let once = format!("If-Match: \"{before}\"\r\nIdempotency-Key: one\r\n");
    for (repeated, attempt) in [(Value::Null, 1), (Value::Bool(true), 2)] {
        let done = alone.send("POST", "/v1/apply", &once, &text);
        assert_eq!((done.status, &done.body["revision"]), (200, &json!(before + 1)), "{attempt}: {done:?}");
        assert_eq!(done.body["repeated"], repeated, "{attempt}");
    }
    let group = alone.get("/v1/groups/g").body;
    assert_eq!(group["servers"], json!(["n3", "n1"]), "the order is kept: {group}");
    wait_until("members are routed as the document says", PATIENCE, || {
        let rows = alone.get("/v1/members").body;
        rows.as_array().into_iter().flatten().any(|row| row["name"] == "n3" && row["group"] == "g")
    });
    let (_, exported) = alone.router.get("/v1/export");
    let (_, audit) = alone.router.get("/v1/audit");
    assert!(audit.contains("configure 3 members and 1 groups"), "{audit}");
    for (what, text) in [("export", exported), ("audit", audit), ("log", alone.router.process.to_string())] {
        assert!(!text.contains(KEY), "{what} shows no key: {text}");
    }
    let with_keys = alone.send("POST", "/v1/export", "", "");
    assert_eq!(with_keys.body["remoteConnectorServers"][2]["key"], KEY, "{with_keys:?}");
    for path in ["/v1/export", "/v1/apply"] {
        assert_eq!(http_post(alone.admin(), path, Some("wrong")).0, 403, "{path} needs the token");
    }
}

#[test]
fn what_is_wrong_with_a_change_is_told() {
    let alone = Alone::start("cluster");
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(rcs_core::limits::PROVIDER_DOCUMENT_BYTES_MAX));
    for (method, path, headers, body, status, word) in [
        ("POST", "/v1/apply", "", "{", 422, "document"),
        (
            "POST",
            "/v1/apply",
            "",
            r#"{"remoteConnectorServers": [{"name": "x", "host": "h", "port": 1}]}"#,
            422,
            "document",
        ),
        ("POST", "/v1/apply", "If-Match: 7\r\n", "{}", 400, "request"),
        ("POST", "/v1/apply?dryrun=true", "", "{}", 400, "request"),
        ("POST", "/v1/apply", "Idempotency-Key: \r\n", "{}", 400, "request"),
        ("POST", "/v1/apply", "", &long, 413, "too_long"),
        ("PUT", "/v1/groups/h", "", r#"{"servers": ["nobody"]}"#, 422, "document"),
        ("PUT", "/v1/groups/n1", "", r#"{"servers": ["n2"]}"#, 422, "document"),
        ("PUT", "/v1/groups/g", "If-None-Match: *\r\n", r#"{"servers": ["n2"]}"#, 409, "group_exists"),
        ("DELETE", "/v1/groups/h", "", "", 404, "no_group"),
        ("DELETE", "/v1/servers/n1", "", "", 409, "member_listed"),
        ("DELETE", "/v1/servers/n9", "", "", 404, "no_member"),
        ("PUT", "/v1/servers/n9", "", r#"{"host": "h", "port": 1}"#, 422, "document"),
        (
            "PUT",
            "/v1/servers/n9",
            "",
            r#"{"name": "n8", "host": "h", "port": 1, "key": "k"}"#,
            400,
            "request",
        ),
    ] {
        let before = alone.revision();
        let told = alone.send(method, path, headers, body);
        assert_eq!(told.status, status, "{method} {path} {headers}: {told:?}");
        assert_eq!(told.body["type"], format!("urn:rcs-router:problem:{word}"), "{method} {path}: {told:?}");
        assert_eq!(alone.revision(), before, "{method} {path} changed nothing");
    }
}

#[test]
fn a_cluster_of_servers_takes_a_name_an_algorithm_and_servers() {
    let alone = Alone::start("cluster");
    assert_eq!(alone.get("/v1/openapi.json").body["openapi"], "3.1.0");
    let key = file(&alone.folder, "key", KEY);
    let ok = |words: &str| {
        let ran = alone.ask(words);
        assert_eq!(ran.code, Some(0), "{words}: {ran:?}");
        assert!(!ran.stdout.contains(KEY), "{ran:?}");
        ran.stdout
    };
    let tried = ok(&format!("member add n3 --host 127.0.0.1 --port 1 --key-file {key} --dry-run"));
    assert!(tried.contains("member n3 added") && tried.contains("nothing was changed"), "{tried}");
    ok(&format!("member add n3 --host 127.0.0.1 --port 1 --key-file {key}"));
    let made = ok("group create hr --algorithm roundrobin --member n3 --member n1");
    assert!(made.starts_with("group hr added\nrevision "), "{made}");
    assert_eq!(
        ok("group list"),
        "GROUP  ALGORITHM   SERVERS\ng      roundrobin  n1 n2\nhr     roundrobin  n3 n1\n"
    );
    // The key stays if it is not given.
    let changed = ok("member add n3 --host 127.0.0.1 --port 2 --replace");
    assert!(changed.contains("member n3 changed: port: 1 becomes 2\n"), "{changed}");
    assert_eq!(alone.ask("member add n3 --host h").code, Some(65));
    let stale = alone.ask("group delete hr --if-revision 1");
    assert!(stale.code == Some(65) && stale.stderr.contains("expects revision 1"), "{stale:?}");
    let exported = ok("export");
    let path = file(&alone.folder, "exported.json", &exported);
    assert!(ok(&format!("diff -f {path}")).starts_with("nothing differs from revision "));
    ok("group delete hr");
    ok("member remove n3");
    let differs = alone.ask(&format!("diff -f {}", alone.provider.display()));
    assert_eq!(differs.code, Some(0), "{differs:?}");
    let differs = alone.ask(&format!("diff -f {path}"));
    assert!(
        differs.code == Some(65) && differs.stderr.contains("key"),
        "n3 has no key any more: {differs:?}"
    );
    let other = file(
        &alone.folder,
        "other.json",
        &exported.replace("roundrobin", "failover").replace("\"n3\"", "\"n2\""),
    );
    assert_eq!(alone.ask(&format!("diff -f {other}")).code, Some(65), "two members of one name");
    let fewer = r#"{"remoteConnectorServers": [{"name": "n1", "host": "127.0.0.1", "port": 1}]}"#;
    let fewer = file(&alone.folder, "fewer.json", fewer);
    let differs = alone.ask(&format!("diff -f {fewer}"));
    assert!(differs.code == Some(1) && differs.stdout.contains("member n2 removed"), "{differs:?}");
    let applied = ok(&format!("apply -f {fewer}"));
    assert!(applied.contains("group g removed"), "{applied}");
    let audit = ok("audit");
    for part in ["create group hr (roundrobin of n3 n1)", "add member n3", "delete group hr", "api token"] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
}

#[test]
fn where_the_file_decides_changes_are_refused_and_differences_are_shown() {
    let alone = Alone::start("file");
    let before = alone.revision();
    let refused = alone.ask("group create hr --algorithm failover --member n1");
    assert!(refused.code == Some(65) && refused.stderr.contains("authority"), "{refused:?}");
    let (_, exported) = alone.router.get("/v1/export");
    let path = file(&alone.folder, "exported.json", &exported.replace("roundrobin", "failover"));
    let applied = alone.ask(&format!("apply -f {path}"));
    assert!(applied.code == Some(65) && applied.stderr.contains("authority"), "{applied:?}");
    let differs = alone.ask(&format!("diff -f {path}"));
    assert!(
        differs.code == Some(1) && differs.stdout.contains("algorithm: roundrobin becomes failover"),
        "{differs:?}"
    );
    let tried = alone.send("PUT", "/v1/groups/hr?dry_run=true", "", r#"{"servers": ["n1"]}"#);
    assert!(tried.status == 200 && tried.body["refused"].is_string(), "{tried:?}");
    assert_eq!(alone.revision(), before);
}
