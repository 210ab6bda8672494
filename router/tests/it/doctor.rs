//! `rcs-router doctor` names what is broken, each in one line that says what to do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use rcgen::generate_simple_self_signed;
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeMember, Manners, connector_infos_at};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, file, member, provider, run, scratch};
use crate::tls::TlsFront;

/// A document with one server, `n1`, whose fields differ in these.
fn document(folder: &TempDir, port: u16, more: Value) -> String {
    let mut server = json!({ "name": "n1", "host": "127.0.0.1", "port": port, "key": "a-key-of-the-test" });
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    file(folder, "provider.json", &json!({ "remoteConnectorServers": [server] }).to_string())
}

fn doctor(provider: &str, more: &[&str]) -> Ran {
    run(&[&["doctor", "--provider", provider], more].concat())
}

/// A port at which somebody gives this answer to whatever comes first, and then hangs up or waits.
fn answers(answer: &'static [u8], then_hangs_up: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let read = stream.read(&mut head);
            if read.is_ok() && stream.write_all(answer).is_ok() && !then_hangs_up {
                kept.push(stream);
            }
        }
    });
    port
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[track_caller]
fn names_the_fault(ran: &Ran, subject: &str, fault: &str, way_out: &str) {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let line = ran.stdout.lines().find(|line| line.starts_with(&format!("FAILED   {subject}: ")));
    let line = line.unwrap_or_else(|| panic!("nothing failed at {subject}: {ran:?}"));
    assert!(line.contains(fault) && line.contains(way_out), "{line}");
    assert!(!ran.stdout.contains("a-key-of-the-test"), "{}", ran.stdout);
}

#[test]
fn what_works_is_well() {
    let (folder, n1, n2) = (scratch(), member("n1"), member("n2"));
    let path = provider(&folder, &[("n1", &n1), ("n2", &n2)]);
    let ran = doctor(path.to_str().unwrap(), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ran.stdout);
    assert!(lines[0].starts_with("ok       files: can be used: "), "{}", lines[0]);
    for (line, (name, of)) in lines[1..].iter().zip([("n1", &n1), ("n2", &n2)]) {
        let expected = format!(
            "ok       member {name}: 127.0.0.1:{} answers without TLS, has the right key and ",
            of.port()
        );
        assert!(line.starts_with(&expected), "{line}");
    }
    assert_eq!(lines[3], "ok       group g: the 2 members that answer have the same connectors");
    assert_eq!(lines[4], "4 ok, 0 warnings, 0 failed");

    // One member, for programs.
    let ran = doctor(path.to_str().unwrap(), &["--member", "n2", "-o", "json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let subjects: Vec<&str> = value["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["subject"].as_str().unwrap())
        .collect();
    assert_eq!((ran.code, subjects), (Some(0), vec!["files", "member n2"]));
    names_the_fault(
        &doctor(path.to_str().unwrap(), &["--member", "n3"]),
        "member n3",
        "no server of this name",
        "rcs-router check",
    );
}

#[test]
fn files_with_faults_are_named() {
    let folder = scratch();
    let broken = file(&folder, "broken.json", "{");
    names_the_fault(&doctor(&broken, &[]), "provider", "cannot be used", "");
    names_the_fault(&doctor("/nowhere/provider.json", &[]), "provider", "cannot be read", "");
    let good = document(&folder, 1, json!({ "enabled": false }));
    let config = file(&folder, "router.toml", "[router]\nsocket_tll = \"1h\"\n");
    names_the_fault(&doctor(&good, &["--config", &config]), "config", "socket_tll", "Did you mean");
    let credentials = file(&folder, "credentials.toml", "[caller.a]\nhashes = [\"changeit\"]\n");
    let ran = doctor(&good, &["--credentials", &credentials]);
    names_the_fault(&ran, "credentials", "credentials.toml", "hash-key");
    assert!(
        ran.stdout.contains("ok       member n1: is disabled in the provider document"),
        "{}",
        ran.stdout
    );
    let store = file(&folder, "trust.pem", "no certificate");
    names_the_fault(&doctor(&good, &["--trust-store", &store]), "trust store", "trust.pem", "");
}

#[test]
fn servers_that_do_not_answer_are_named_with_the_reason() {
    let folder = scratch();
    let forbidden: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let missing: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let nothing = json!({});
    for (port, more, fault, way_out) in [
        (closed_port(), nothing.clone(), "no TCP connection", ""),
        (1, json!({ "host": "no-such-host.invalid" }), "no-such-host.invalid cannot be resolved", ""),
        (answers(forbidden, false), nothing.clone(), "refused our principal or key", "compare the keys"),
        (answers(missing, false), json!({ "websocketPath": "/other" }), "no OpenICF service at /other", ""),
        (answers(b"\x15\x03\x03\x00\x02\x02\x46", false), nothing.clone(), "answers with TLS", "set useSSL"),
        (answers(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", false), nothing.clone(), "not a WebSocket upgrade", ""),
        (answers(b"", true), nothing, "closed the connection without an answer", "it may want TLS"),
    ] {
        let ran = doctor(&document(&folder, port, more), &[]);
        names_the_fault(&ran, "member n1", fault, way_out);
    }
}

#[test]
fn what_is_wrong_with_tls_is_named() {
    let (folder, n1) = (scratch(), member("n1"));
    let front = TlsFront::start(&n1);
    let trusted = file(&folder, "trusted.pem", &front.certificate_pem);
    let path = document(&folder, front.address.port(), json!({ "useSSL": true, "key": "changeit" }));
    let well = doctor(&path, &["--trust-store", &trusted, "-o", "wide"]);
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(well.stdout.contains("answers over TLS"), "{}", well.stdout);
    names_the_fault(&doctor(&path, &[]), "provider", "useSSL", "--trust-store FILE");
    let other = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = file(&folder, "other.pem", &crate::support::pem("CERTIFICATE", other.cert.der()));
    names_the_fault(&doctor(&path, &["--trust-store", &other]), "member n1", "TLS handshake failed", "");
    let plain =
        document(&folder, answers(b"HTTP/1.1 400 Bad Request\r\n\r\n", false), json!({ "useSSL": true }));
    let ran = doctor(&plain, &["--trust-store", &trusted]);
    names_the_fault(&ran, "member n1", "does not speak TLS", "clear useSSL");
}

#[test]
fn what_is_wrong_with_the_connectors_is_named() {
    let folder = scratch();
    let empty = member("n1");
    empty.tell(Vec::<ConnectorInfo>::new().encode());
    let path = document(&folder, empty.port(), json!({ "key": "changeit" }));
    names_the_fault(&doctor(&path, &[]), "member n1", "has no connectors", "connectors folder");

    let (a, b) = (member("a"), member("b"));
    b.tell(connector_infos_at("9.9.9.9"));
    let path = provider(&folder, &[("a", &a), ("b", &b)]);
    let ran = doctor(path.to_str().unwrap(), &[]);
    names_the_fault(&ran, "group g", "b lacks rig.connector/1.0.0.0/", "Put the same bundles on all of them");
    assert!(ran.stdout.contains("has also rig.connector/9.9.9.9/"), "{}", ran.stdout);

    // It opens the WebSocket and says nothing.
    let silent = FakeMember::listen("n1", Manners::None);
    let path = Provider::new().server("n1", silent.port(), 1).client("c").write(folder.path());
    let ran = doctor(path.to_str().unwrap(), &[]);
    names_the_fault(&ran, "member n1", "did not introduce itself", "Restart the connector server");
    assert!(
        ran.stdout.contains("ok       member c: is in client mode and dials the router"),
        "{}",
        ran.stdout
    );
}
