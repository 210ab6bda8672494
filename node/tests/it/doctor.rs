//! `rcs-node doctor` names what is broken, each in one line that says what to do (C14).

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rcs_rig::authorization::TOKEN_PATH;
use rcs_rig::scripted::{FakeMember, Gate, Manners, Proxy, Refuser, basic};
use rcs_rig::wait::wait_for;
use serde_json::{Value, json};

use crate::dial::url;
use crate::dial_tls::{Certificates, TlsIdm, certificate, key_store, trust_store};
use crate::dial_token::{secret, server};
use crate::serving::Serving;
use crate::support::{PATIENCE, Ran, Scratch, run, text};

/// Keys that no output may show.
const PASSWORD: &str = "hidden-password";

/// Runs the doctor on a server in client mode. `properties` are further lines, without their prefix.
fn client(scratch: &Scratch, url: &str, properties: &[&str], arguments: &[&str]) -> Ran {
    let mut lines = format!("connectorserver.url={url}\nconnectorserver.connectorServerName=onprem\n");
    for line in properties {
        lines.push_str(&format!("connectorserver.{line}\n"));
    }
    if !properties.iter().any(|line| line.starts_with("password=") || line.starts_with("tokenEndpoint=")) {
        lines.push_str(&format!("connectorserver.password={PASSWORD}\n"));
    }
    doctor(scratch, &lines, arguments)
}

/// Runs the doctor on a file.
fn doctor(scratch: &Scratch, properties: &str, arguments: &[&str]) -> Ran {
    let file = scratch.file("conf/ConnectorServer.properties", properties);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    scratch.file("connectors/README", "");
    scratch.file("lib/README", "");
    run(&[&["doctor", text(&file)], arguments].concat(), b"")
}

/// The line of a finding.
#[track_caller]
fn line<'a>(ran: &'a Ran, word: &str, subject: &str) -> &'a str {
    let start = format!("{word:<8} {subject}: ");
    let found = ran.stdout.lines().find(|line| line.starts_with(&start));
    assert!(found.is_some(), "no `{start}`: {ran:?}");
    found.unwrap_or_default()
}

/// The fault is the only thing that fails, and its line says what to do.
#[track_caller]
fn names_the_fault(ran: &Ran, subject: &str, fault: &str, way_out: &str) {
    assert_eq!(ran.code, 2, "{ran:?}");
    let line = line(ran, "FAILED", subject);
    assert!(line.contains(fault) && line.contains(way_out), "{line}");
    let failed = ran.stdout.lines().filter(|line| line.starts_with("FAILED")).count();
    assert_eq!(failed, 1, "{}", ran.stdout);
    for hidden in [PASSWORD, secret().as_str()] {
        assert!(!format!("{ran:?}").contains(hidden), "{ran:?}");
    }
}

fn document(scratch: &Scratch, value: Value) -> String {
    text(&scratch.file("idm.json", value.to_string())).to_owned()
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// An IDM that asks for connectors after the handshake, as real ones do.
fn idm() -> FakeMember {
    FakeMember::listen("idm", Manners::Polite)
}

#[test]
fn what_works_is_well() {
    let (scratch, idm) = (Scratch::new(), idm());
    let provider =
        document(&scratch, json!({ "remoteConnectorClients": [{ "name": "onprem", "enabled": true }] }));
    let ran = client(&scratch, &url(idm.port()), &[], &["--provider", &provider]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let subject = format!("url {}", url(idm.port()));
    for step in ["port", "upgrade", "handshake"] {
        line(&ran, "ok", &format!("{subject} {step}"));
    }
    assert!(line(&ran, "ok", "IDM's document").contains("remoteConnectorClients[0] is \"onprem\""));
    assert!(line(&ran, "ok", "connectors").contains("CSVFileConnector"), "{}", ran.stdout);
    assert!(
        idm.sockets()
            .iter()
            .all(|socket| wait_for("it hangs up", PATIENCE, || socket.is_closed().then_some(true)))
    );

    // The same for programs.
    let ran = client(&scratch, &url(idm.port()), &[], &["-o", "json"]);
    let value: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let all = value["findings"].as_array().expect("a list");
    assert!(all.len() >= 5 && all.iter().all(|finding| finding["health"] == "ok"), "{value}");
    assert!(!ran.stdout.contains(PASSWORD));
}

/// C14, P01: what IDM's document says of a server that dials.
#[test]
fn a_document_that_does_not_fit_a_client_is_named() {
    let idm = idm();
    for (value, fault, way_out) in [
        (
            json!({ "remoteConnectorClients": [] }),
            "has no \"onprem\"",
            "add {\"type\": \"remoteConnectorClient\"",
        ),
        (
            json!({ "remoteConnectorClients": [{ "name": "OnPrem" }] }),
            "has \"OnPrem\" and not \"onprem\"",
            "write one of them",
        ),
        (
            json!({ "remoteConnectorServers": [{ "name": "onprem" }] }),
            "as a server that IDM dials",
            "move the entry",
        ),
        (
            json!({ "remoteConnectorClients": [{ "name": "onprem", "enabled": false }] }),
            "\"enabled\": false",
            "set it to true",
        ),
        (
            json!({ "enabled": false, "remoteConnectorClients": [{ "name": "onprem" }] }),
            "whole document",
            "set it to true",
        ),
        (json!({ "mappings": [] }), "is not IDM's document", "connectorinfoprovider.json"),
    ] {
        let scratch = Scratch::new();
        let provider = document(&scratch, value);
        let ran = client(&scratch, &url(idm.port()), &[], &["--provider", &provider]);
        names_the_fault(&ran, "IDM's document", fault, way_out);
    }
}

/// Each place at which the way to a peer may end.
#[test]
fn where_the_way_to_a_peer_ends_is_named() {
    let peer = |status| Refuser::start(status);
    let refused = [peer("401 Who"), peer("403 No"), peer("404 Where"), peer("503 Later")];
    let [who, no, wh, later] = refused.each_ref().map(|peer| format!("ws://{}/openicf", peer.address()));
    let closed = url(closed_port());
    for (to, step, fault, way_out) in [
        (
            "ws://no-such-host.invalid/openicf".to_owned(),
            "name",
            "no-such-host.invalid cannot be resolved",
            "",
        ),
        (closed, "port", "no TCP connection to 127.0.0.1", ""),
        (who, "upgrade", "HTTP 401", "set connectorserver.principal and connectorserver.password"),
        (no, "upgrade", "refused the principal \"onprem\"", "compare connectorserver.password"),
        (wh, "upgrade", "HTTP 404", "correct the path in connectorserver.url"),
        (later, "upgrade", "HTTP 503", "look in its log"),
    ] {
        let ran = client(&Scratch::new(), &to, &[], &[]);
        names_the_fault(&ran, &format!("url {to} {step}"), fault, way_out);
    }
}

/// P04-P07: the proxy.
#[test]
fn what_is_wrong_with_a_proxy_is_named() {
    let (idm, proxy) = (idm(), Proxy::start(Some(basic("user", "pass"))));
    let (to, port) = (url(idm.port()), format!("proxyPort={}", proxy.port()));
    let through = ["proxyHost=127.0.0.1", &port, "proxyPrincipal=user"];
    let well = client(&Scratch::new(), &to, &[&through[..], &["proxyPassword=pass"]].concat(), &[]);
    assert!(well.code == 0 && well.stdout.contains("proxy: 127.0.0.1:"), "{well:?}");
    let ran = client(&Scratch::new(), &to, &[&through[..], &["proxyPassword=wrong"]].concat(), &[]);
    names_the_fault(&ran, &format!("url {to} proxy"), "HTTP 407", "set connectorserver.proxyPrincipal");
    let nobody = format!("proxyPort={}", closed_port());
    let ran = client(&Scratch::new(), &to, &["proxyHost=127.0.0.1", &nobody], &[]);
    names_the_fault(
        &ran,
        &format!("url {to} proxy"),
        "no TCP connection to 127.0.0.1",
        "connectorserver.proxyPort",
    );
    assert!(!ran.stdout.contains("takes connections"), "{}", ran.stdout);
}

/// P20-P26, S02: certificates.
#[test]
fn what_is_wrong_with_tls_is_named() {
    let peer = TlsIdm::start(Certificates::NotAsked);
    let trusting = |made| {
        let scratch = Scratch::new();
        scratch.file("security/truststore.pkcs12", trust_store(made));
        scratch
    };
    let stores = ["trustStoreFile=security/truststore.pkcs12", "trustStorePass=changeit"];
    let well = client(&trusting(&peer.own), &peer.url(), &stores, &[]);
    let found = line(&well, "ok", &format!("url {} TLS", peer.url()));
    assert!(found.contains("is trusted, and valid until"), "{found}");
    let (other, plain) = (certificate("localhost"), idm());
    let by_address = peer.url().replace("localhost", "127.0.0.1");
    let in_clear = peer.url().replace("wss", "ws");
    let to_plain = format!("wss://localhost:{}/openicf", plain.port());
    for (trusted, to, step, fault, way_out) in [
        (&other, peer.url(), "TLS", "the TLS handshake failed", "trust"),
        (&peer.own, by_address, "TLS", "not for \"127.0.0.1\"", ""),
        (&peer.own, in_clear, "TLS", "answers with TLS", "wss:// in connectorserver.url"),
        (&peer.own, to_plain, "TLS", "does not", "ws:// in connectorserver.url"),
    ] {
        let ran = client(&trusting(trusted), &to, &stores, &[]);
        names_the_fault(&ran, &format!("url {to} {step}"), fault, way_out);
    }
    let ran = client(&Scratch::new(), &peer.url(), &stores, &[]);
    names_the_fault(&ran, "properties", "security/truststore.pkcs12", "");
    let wrong = ["trustStoreFile=security/truststore.pkcs12", "trustStorePass=another"];
    let ran = client(&trusting(&peer.own), &peer.url(), &wrong, &[]);
    names_the_fault(&ran, "properties", "truststore.pkcs12", "trustStorePass");
}

/// P17: the token.
#[test]
fn what_is_wrong_with_a_token_is_named() {
    let (idm, server) = (idm(), server(|_| {}));
    let gate = Gate::before(&idm, &server);
    let to = url(gate.port());
    let endpoint = format!("tokenEndpoint={}", server.url(TOKEN_PATH));
    let own = format!("clientSecret={}", secret());
    let with = |secret: &str, scope: &str| {
        client(&Scratch::new(), &to, &[&endpoint, "clientId=RCSClient", secret, scope], &[])
    };
    let well = with(&own, "scope=fr:idm:*");
    assert_eq!(well.code, 0, "{well:?}");
    assert!(line(&well, "ok", "token").contains("\"RCSClient\""));
    let subject = format!("url {to} token");
    names_the_fault(
        &with("clientSecret=hidden-password", "scope=fr:idm:*"),
        &subject,
        "RCSClient",
        "connectorserver.clientSecret",
    );
    names_the_fault(&with(&own, "scope=other"), &subject, "other", "connectorserver.scope");
    gate.refuse(Some(403));
    names_the_fault(
        &with(&own, "scope=fr:idm:*"),
        &format!("url {to} upgrade"),
        "not as that of this server",
        "rsFilter",
    );
    server.set(|manner| manner.is_down = true);
    names_the_fault(
        &with(&own, "scope=fr:idm:*"),
        &subject,
        "no access token",
        "connectorserver.tokenEndpoint",
    );
}

/// With `--handshake` the doctor is the server for a moment.
#[test]
fn a_peer_that_does_not_answer_or_does_not_ask_is_named() {
    let silent = FakeMember::listen("silent", Manners::None);
    let to = url(silent.port());
    let ran = client(&Scratch::new(), &to, &[], &["--handshake"]);
    names_the_fault(
        &ran,
        &format!("url {to} handshake"),
        "did not introduce itself",
        "leads to an OpenICF service",
    );
    // It shakes hands, and never asks for connectors: so does a router that takes the server for a caller.
    let idle = idm();
    let to = url(idle.port());
    let ran = client(&Scratch::new(), &to, &[], &["--handshake"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let found = line(&ran, "warning", &format!("url {to} connectors"));
    assert!(found.contains("may take \"onprem\" for a caller") && found.contains("[member.NAME]"), "{found}");
}

#[test]
fn what_is_wrong_with_the_properties_is_named() {
    let scratch = Scratch::new();
    let ran = run(&["doctor", text(&scratch.path("missing"))], b"");
    names_the_fault(&ran, "properties", "cannot be read", "");
    let ran = doctor(
        &Scratch::new(),
        "connectorserver.url=http://a/openicf\nconnectorserver.connectorServerName=a\n",
        &[],
    );
    names_the_fault(&ran, "properties", "connectorserver.url", "ws:// or wss://");
    let idm = idm();
    let ran = client(&Scratch::new(), &url(idm.port()), &["password=changeit"], &[]);
    names_the_fault(&ran, "properties", "which everybody knows", "--dev");
    let ran = client(&Scratch::new(), &url(idm.port()), &["prot=1"], &[]);
    assert!(
        ran.code == 1 && line(&ran, "warning", "properties").contains("connectorserver.port?"),
        "{ran:?}"
    );
}

/// P27, P28: folders that cannot be read.
#[test]
fn what_is_wrong_with_the_bundles_is_named() {
    let (scratch, idm) = (Scratch::new(), idm());
    let ran = client(&scratch, &url(idm.port()), &["bundleDir=lib/README"], &[]);
    names_the_fault(&ran, "bundles", "is not a folder", "connectorserver.bundleDir");
}

const KEY: &str = "xOS4IeeE6eb/AhMbhxZEC37PgtE\\=";

/// The key is `Passw0rd`.
fn listening(port: u16, more: &str) -> String {
    format!(
        "connectorserver.address=127.0.0.1\nconnectorserver.port={port}\nconnectorserver.key={KEY}\n{more}"
    )
}

/// C01, C06, C07, C14: a server that listens, and what IDM dials.
#[test]
fn a_document_that_does_not_fit_a_server_is_named() {
    let port = closed_port();
    let good = json!({ "name": "rcs1", "host": "127.0.0.1", "port": port, "key": "Passw0rd", "pingPongInterval": 60 });
    let compared = |change: Value, arguments: &[&str]| {
        let scratch = Scratch::new();
        let mut entry = good.clone();
        entry.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let provider = document(&scratch, json!({ "remoteConnectorServers": [entry] }));
        doctor(&scratch, &listening(port, ""), &[&["--provider", &provider], arguments].concat())
    };
    let well = compared(json!({}), &["--name", "rcs1"]);
    assert_eq!(well.code, 0, "{well:?}");
    let found = line(&well, "ok", "IDM's document");
    assert!(
        found.contains("agrees with the properties") && found.contains("300 s here, 60 s at IDM"),
        "{found}"
    );
    line(&well, "ok", "port");
    for (change, fault, way_out) in [
        (json!({ "port": 1 }), "IDM dials port 1", "make them equal"),
        (json!({ "port": "" }), "\"port\" is missing", "by hand"),
        (json!({ "useSSL": true }), "useSSL is true in IDM", "Make them equal"),
        (json!({ "key": "hidden-password" }), "not the key of this server", "rcs-node set-key"),
        (json!({ "key": "password" }), "of IDM's template", "rcs-node set-key"),
        (json!({ "enabled": false }), "does not use this server", "set it to true"),
        (json!({ "websocketPath": "other" }), "\"/other\"", "remove websocketPath"),
        (json!({ "protocol": "tcp" }), "before WebSockets", "\"websocket\""),
        (json!({ "host": "127.0.0.2" }), "listens on 127.0.0.1 only", "connectorserver.address"),
        (json!({ "host": "192.0.2.7" }), "which no other machine reaches", "connectorserver.address"),
    ] {
        names_the_fault(&compared(change, &[]), "IDM's document", fault, way_out);
    }
    names_the_fault(
        &compared(json!({}), &["--name", "rcs2"]),
        "IDM's document",
        "has no \"rcs2\"",
        "\"rcs1\"",
    );
}

/// P32-P36: key, port, certificate.
#[test]
fn what_is_wrong_with_a_server_is_named() {
    let free = closed_port();
    let ran = doctor(&Scratch::new(), &format!("connectorserver.port={free}\n"), &[]);
    names_the_fault(&ran, "properties", "default key", "rcs-node set-key");

    // Somebody else has the port; or this server, while it runs.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("an address").port();
    std::thread::spawn(move || other.incoming().for_each(drop));
    names_the_fault(
        &doctor(&Scratch::new(), &listening(port, ""), &[]),
        "port",
        "no connector server",
        "choose another connectorserver.port",
    );
    let node = Serving::start();
    let port = node.address.port();
    let ran = doctor(&Scratch::new(), &listening(port, ""), &[]);
    assert!(ran.code == 0 && line(&ran, "ok", "port").contains("as this one does while it runs"), "{ran:?}");

    let scratch = Scratch::new();
    let made = certificate("localhost");
    let store = scratch.file("security/keyStore.pkcs12", key_store(&made));
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).expect("the store is ours");
    let tls = |pass: &str| {
        listening(
            free,
            &format!(
                "connectorserver.useSSL=true\nconnectorserver.keyStoreFile=security/keyStore.pkcs12\nconnectorserver.keyStorePass={pass}\n"
            ),
        )
    };
    let ran = doctor(&scratch, &tls("changeit"), &[]);
    assert!(ran.code == 0 && line(&ran, "ok", "TLS").contains("valid"), "{ran:?}");
    names_the_fault(
        &doctor(&scratch, &tls("hidden-password"), &[]),
        "properties",
        "keyStore.pkcs12",
        "keyStorePass",
    );
    let with_tls = tls("changeit").replace(&format!("port={free}"), &format!("port={port}"));
    names_the_fault(&doctor(&scratch, &with_tls, &[]), "port", "without TLS", "restart the server");
    drop(node);
}

#[test]
fn the_doctor_ends_within_its_bounds() {
    // A peer that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = url(silent.local_addr().expect("an address").port());
    let began = std::time::Instant::now();
    let ran = client(&Scratch::new(), &to, &[], &[]);
    names_the_fault(&ran, &format!("url {to} upgrade"), "no HTTP answer", "");
    assert!(began.elapsed() < Duration::from_secs(60));
}
