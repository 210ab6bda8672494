//! `rcs-router doctor` beyond the members: IDMs that the router dials, issuers of access tokens, and IDM's document (C14, P02, P04-P07).

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rcs_rig::authorization::{AuthorizationServer, INTROSPECTION_PATH, KEYS_PATH, TOKEN_PATH};
use rcs_rig::scripted::{FakeMember, Gate, Manners, Proxy, Refuser, basic};
use rcs_rig::signed::{Signer, key_set};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::identities::hash;
use crate::support;
use crate::support::{Ran, member, provider, run, scratch};

const KEY: &str = "hidden-key";

/// A file that nobody else may read: several have secrets.
fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = support::file(folder, name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A folder with a provider document of one member, and the member.
struct Site {
    folder: TempDir,
    provider: String,
    member: FakeMember,
}

impl Site {
    fn new() -> Self {
        let (folder, member) = (scratch(), member("n1"));
        let provider = provider(&folder, &[("n1", &member)]).display().to_string();
        file(&folder, "key", &format!("{KEY}\n"));
        Self { folder, provider, member }
    }

    fn doctor(&self, more: &[&str]) -> Ran {
        run(&[&["doctor", "--provider", &self.provider, "-o", "wide"], more].concat())
    }

    /// With a table for the IDM `cloud`.
    fn dialling(&self, url: &str, more: &str) -> Ran {
        self.dialling_with(url, more, &[])
    }

    fn dialling_with(&self, url: &str, more: &str, arguments: &[&str]) -> Ran {
        let key = self.folder.path().join("key").display().to_string();
        let own =
            if more.contains("token_endpoint") { String::new() } else { format!("key_file = {key:?}\n") };
        let config = file(&self.folder, "router.toml", &format!("[idm.cloud]\nurl = {url:?}\n{own}{more}\n"));
        self.doctor(&[&["--config", &config], arguments].concat())
    }

    /// With this file of credentials.
    fn credentials(&self, text: &str) -> Ran {
        let credentials = file(&self.folder, "credentials.toml", text);
        self.doctor(&["--credentials", &credentials])
    }
}

fn url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/openicf")
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[track_caller]
fn line<'a>(ran: &'a Ran, word: &str, subject: &str) -> &'a str {
    let start = format!("{word:<8} {subject}: ");
    let found = ran.stdout.lines().find(|line| line.starts_with(&start));
    found.unwrap_or_else(|| panic!("no `{start}`: {ran:?}"))
}

/// The fault is the only thing that fails, and its line says what to do.
#[track_caller]
fn names_the_fault(ran: &Ran, subject: &str, fault: &str, way_out: &str) {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let line = line(ran, "FAILED", subject);
    assert!(line.contains(fault) && line.contains(way_out), "{line}");
    assert_eq!(ran.stdout.matches("FAILED").count(), 1, "{}", ran.stdout);
    assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
}

#[test]
fn an_idm_that_the_router_dials_is_walked_to() {
    let (site, idm) = (Site::new(), FakeMember::listen("idm", Manners::Polite));
    let to = url(idm.port());
    let well = site.dialling(&to, "");
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(line(&well, "ok", &format!("idm cloud {to} upgrade")).contains("lets \"cloud\" in"));
    assert!(line(&well, "ok", &format!("idm cloud {to} handshake")).contains("use --handshake"));

    let peer = |status| Refuser::start(status);
    let refused = [peer("401 Who"), peer("403 No"), peer("404 Where")];
    let [who, no, nowhere] = refused.each_ref().map(|peer| format!("ws://{}/openicf", peer.address()));
    for (to, step, fault, way_out) in [
        ("ws://no-such-host.invalid/openicf".to_owned(), "name", "cannot be resolved", ""),
        (url(closed_port()), "port", "no TCP connection", ""),
        (who, "upgrade", "HTTP 401", "key_file"),
        (no, "upgrade", "refused the principal \"cloud\"", "remoteConnectorClients"),
        (nowhere, "upgrade", "HTTP 404", "correct the path in url"),
        (to.replace("ws://", "wss://"), "TLS", "does not", "ws:// in url"),
    ] {
        names_the_fault(&site.dialling(&to, ""), &format!("idm cloud {to} {step}"), fault, way_out);
    }

    let proxy = Proxy::start(Some(basic("user", "pass")));
    let password = file(&site.folder, "proxy.key", "wrong\n");
    let through = format!(
        "proxy.host = \"127.0.0.1\"\nproxy.port = {}\nproxy.principal = \"user\"\nproxy.password_file = {password:?}",
        proxy.port()
    );
    names_the_fault(
        &site.dialling(&to, &through),
        &format!("idm cloud {to} proxy"),
        "HTTP 407",
        "proxy.password_file",
    );

    let silent = FakeMember::listen("silent", Manners::None);
    let to = url(silent.port());
    let ran = site.dialling_with(&to, "", &["--handshake"]);
    names_the_fault(
        &ran,
        &format!("idm cloud {to} handshake"),
        "did not introduce itself",
        "OpenICF service",
    );
    // One server alone was asked for.
    let ran = site.dialling_with(&to, "", &["--member", "n1"]);
    assert!(ran.code == Some(0) && !ran.stdout.contains("idm cloud"), "{ran:?}");
}

/// M04, A06: tokens for an IDM.
#[test]
fn a_token_that_does_not_come_is_named() {
    let (site, idm) = (Site::new(), FakeMember::listen("idm", Manners::Polite));
    let server = Arc::new(AuthorizationServer::start());
    let gate = Gate::before(&idm, &server);
    let to = url(gate.port());
    let secret = |text: &str| file(&site.folder, "client.secret", &format!("{text}\n"));
    let table = |path: &str| {
        format!(
            "token_endpoint = {:?}\nclient_id = \"RCSClient\"\nclient_secret_file = {path:?}",
            server.url(TOKEN_PATH)
        )
    };
    let well = site.dialling(&to, &table(&secret("client-secret")));
    assert_eq!(well.code, Some(0), "{well:?}");
    names_the_fault(
        &site.dialling(&to, &table(&secret(KEY))),
        &format!("idm cloud {to} token"),
        "RCSClient",
        "client_secret_file",
    );
    gate.refuse(Some(403));
    let ran = site.dialling(&to, &table(&secret("client-secret")));
    names_the_fault(&ran, &format!("idm cloud {to} upgrade"), "not as that of this server", "rsFilter");
}

#[test]
fn an_issuer_that_cannot_be_asked_is_named() {
    let site = Site::new();
    let signer = Signer::es256("k");
    let server = AuthorizationServer::start_with(|manner| manner.keys = key_set(&[&signer]));
    let secret = |text: &str| file(&site.folder, "introspection.secret", &format!("{text}\n"));
    let signing = |path: &str, more: &str| {
        format!("[issuer.kc]\njwks = '{}'\nissuer = 'https://kc.example.com'\n{more}\n", server.url(path))
    };
    let asking = |client: &str, secret: &str| {
        format!(
            "[issuer.am]\nintrospection = '{}'\nclient_id = '{client}'\nclient_secret_file = '{secret}'\n",
            server.url(INTROSPECTION_PATH)
        )
    };
    let es256 = "algorithms = ['ES256']";
    let well = site.credentials(&format!(
        "{}{}",
        signing(KEYS_PATH, es256),
        asking("RCSClient", &secret("client-secret"))
    ));
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(line(&well, "ok", "issuer kc").contains("1 key that counts"));
    assert!(line(&well, "ok", "issuer am").contains("knows the router's client"));
    names_the_fault(&site.credentials(&signing(KEYS_PATH, "")), "issuer kc", "", "algorithms");
    names_the_fault(
        &site.credentials(&signing("/elsewhere", es256)),
        "issuer kc",
        "cannot be fetched",
        "404",
    );
    names_the_fault(
        &site.credentials(&asking("RCSClient", &secret(KEY))),
        "issuer am",
        "cannot be asked",
        "401",
    );
    server.set(|manner| manner.is_down = true);
    names_the_fault(&site.credentials(&signing(KEYS_PATH, es256)), "issuer kc", "cannot be fetched", "");
    names_the_fault(
        &site.credentials(&asking("RCSClient", &secret("client-secret"))),
        "issuer am",
        "cannot be asked",
        "",
    );
}

/// C14: the document in which IDM has the router.
#[test]
fn an_idm_document_that_does_not_fit_is_named() {
    let (site, idm) = (Site::new(), FakeMember::listen("idm", Manners::Polite));
    let to = url(idm.port());
    let credentials = file(
        &site.folder,
        "credentials.toml",
        &format!(
            "[caller.idm-eu]\nhashes = [{:?}]\ngroups = [\"g\"]\n[member.far]\nhashes = [{:?}]\n",
            hash(KEY),
            hash("far-key-1")
        ),
    );
    let compared = |document: Value| {
        let path = file(&site.folder, "idm.json", &document.to_string());
        site.dialling_with(&to, "", &["--idm-document", &path, "--credentials", &credentials])
    };
    let with = |change: Value| {
        let mut entry = json!({ "name": "rcs", "host": "router.example.com", "port": 8759, "principal": "idm-eu", "key": KEY, "websocketPath": "openicf/g" });
        entry.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        compared(
            json!({ "remoteConnectorServers": [entry], "remoteConnectorClients": [{ "name": "cloud" }] }),
        )
    };
    let well = with(json!({}));
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(well.stdout.contains("\"rcs\"): is let in, and its calls go to \"g\""), "{}", well.stdout);
    assert!(
        well.stdout.contains("remoteConnectorClients[0] is \"cloud\", as [idm.cloud] is"),
        "{}",
        well.stdout
    );
    for (change, fault, way_out) in [
        (json!({ "key": "another-key" }), "wrong principal or key", "compare"),
        (
            json!({ "principal": "far", "key": "far-key-1" }),
            "those of the connector server \"far\"",
            "[caller.NAME]",
        ),
        (json!({ "key": "changeit" }), "known to everybody", "choose another key"),
        (json!({ "websocketPath": "openicf/hr" }), "names \"hr\"", "rcs-router check"),
        (json!({ "websocketPath": "other" }), "\"/other\"", "correct it"),
        (json!({ "useSSL": true }), "no certificate of the router", "--tls-cert"),
        (json!({ "protocol": "tcp" }), "before WebSockets", "\"websocket\""),
        (json!({ "port": "" }), "\"port\" is missing", "by hand"),
    ] {
        names_the_fault(&with(change), "IDM's document", fault, way_out);
    }
    let ran = compared(json!({ "remoteConnectorClients": [] }));
    names_the_fault(&ran, "IDM's document", "has no \"cloud\"", "add {\"type\": \"remoteConnectorClient\"");
    let past = with(json!({ "host": "127.0.0.1", "port": site.member.port() }));
    assert_eq!(past.code, Some(1), "{past:?}");
    assert!(line(&past, "warning", "IDM's document").contains("past the router"), "{}", past.stdout);
    // A name that IDM's document has as a server of the router's own: nothing of it is told.
    let crypto = with(json!({ "key": { "$crypto": {} } }));
    assert!(crypto.code == Some(0) && crypto.stdout.contains("its key is encrypted"), "{crypto:?}");
}

/// A01: a server in client mode can connect only with credentials of its own.
#[test]
fn servers_in_client_mode_without_credentials_are_named() {
    let folder = scratch();
    let document = json!({ "remoteConnectorClients": [{ "name": "onprem" }, { "name": "off", "enabled": false }, { "name": "far" }] });
    let provider = file(&folder, "provider.json", &document.to_string());
    let credentials =
        file(&folder, "credentials.toml", &format!("[member.far]\nhashes = [{:?}]\n", hash("far-key-1")));
    let says = "no server can connect as \"onprem\"";
    for (more, is_said) in [
        (&["--credentials", &*credentials][..], true),
        (&[], true),
        // In development the shared key proves every name.
        (&["--dev"], false),
    ] {
        let ran = run(&[&["check", "--provider", &provider], more].concat());
        assert_eq!((ran.code, ran.stdout.contains(says)), (Some(0), is_said), "{more:?}: {ran:?}");
        assert!(!ran.stdout.contains("connect as \"far\"") && !ran.stdout.contains("\"off\""), "{ran:?}");
    }
    let both = file(
        &folder,
        "both.toml",
        &format!("[member.far]\nhashes = [{0:?}]\n[member.onprem]\nhashes = [{0:?}]\n", hash("far-key-1")),
    );
    let ran = run(&["check", "--provider", &provider, "--credentials", &both]);
    assert!(ran.code == Some(0) && !ran.stdout.contains("Warning"), "{ran:?}");
}
