//! The admin address with TLS, and what needs a token at an address that other machines reach (S01, P12).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::driver::tls::{Pins, client_config};
use rcs_rig::metrics::http_request;
use rcs_rig::scripted::{FakeMember, raw_exchange};
use rcs_rig::wait::wait_until;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::callers_tls::{Made, hello, made};
use crate::support::{PATIENCE, Ran, Router, file, member, provider, router, run, run_command, scratch};

const TOKEN: &str = "t0ken";

/// A router alone with a data directory and a token of its own.
struct Site {
    folder: TempDir,
    router: Router,
    _member: FakeMember,
}

impl Site {
    fn start(admin: &str, more: &[&str]) -> Self {
        let folder = scratch();
        Self::start_in(folder, admin, more)
    }

    /// With this certificate, at an address with TLS.
    fn with_tls(own: &Made) -> Self {
        let folder = scratch();
        let (certificate, key) =
            (file(&folder, "tls.crt", &own.certificate), file(&folder, "tls.key", &own.key));
        Self::start_in(folder, "https://127.0.0.1:0", &["--tls-cert", &certificate, "--tls-key", &key])
    }

    fn start_in(folder: TempDir, admin: &str, more: &[&str]) -> Self {
        let member = member("n1");
        let document = provider(&folder, &[("n1", &member)]);
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (token, key) = (file(&folder, "token", TOKEN), file(&folder, "callers.key", "of-callers"));
        let mut command = router(&["serve", "--listen", "127.0.0.1:0", "--admin", admin]);
        command.args(["--provider", document.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
        command.args(["--admin-token-file", &token, "--caller-key-file", &key]).args(more);
        let router = Router::start(command);
        Self { folder, router, _member: member }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, scheme: &str, words: &str) -> Command {
        let mut command = router(&words.split(' ').collect::<Vec<_>>());
        command.args(["--server", &format!("{scheme}://127.0.0.1:{}", self.router.admin.port())]);
        command
    }

    /// Runs a command that trusts the certificate in this file.
    fn ask(&self, words: &str, trusted: &str, token: &str) -> Ran {
        let mut command = self.command("https", words);
        run_command({
            command.args(["--server-ca", trusted]).env("RCS_ROUTER_TOKEN", token);
            command
        })
    }
}

/// A connection that stays open, whose peer shows this certificate or none.
fn connect(address: SocketAddr, trusted: &Made) -> StreamOwned<ClientConnection, TcpStream> {
    let config = client_config(std::slice::from_ref(&trusted.der), Pins::ForNamesItHas).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// The status of `/livez`, read whole; none if the connection is not possible or has ended.
fn live(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> Option<u16> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    let whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        })?;
        (body.len() >= length).then(|| head.split(' ').nth(1)?.parse().ok())?
    };
    while whole(&answer).is_none() {
        stream.read_exact(&mut byte).ok()?;
        answer.push(byte[0]);
    }
    whole(&answer)
}

#[test]
fn commands_reach_an_admin_address_with_tls_and_know_whom_they_trust() {
    let own = made("router", 300, None);
    let site = Site::with_tls(&own);
    assert!(site.router.ready.contains(" admin=https://127.0.0.1:"), "{}", site.router.ready);
    let trusted = site.path("tls.crt");
    wait_until("the member serves", PATIENCE, || site.ask("status", &trusted, TOKEN).code == Some(0));
    let drained = site.ask("member drain g n1 --force", &trusted, TOKEN);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let events = site.ask("events -o json", &trusted, TOKEN);
    assert!(events.code == Some(0) && events.stdout.contains("\"mark\""), "{events:?}");
    let version = site.ask("version", &trusted, "");
    assert!(version.code == Some(0) && version.stdout.lines().count() == 2, "{version:?}");

    // Without the certificate, for another name, and without TLS on one of the two sides.
    let system = run_command(site.command("https", "status"));
    // 65 on a machine whose system trusts no authority at all.
    assert!(matches!(system.code, Some(69 | 65)) && system.stderr.contains("--server-ca"), "{system:?}");
    let mut by_name = router(&["status", "--server-ca", &trusted]);
    by_name.args(["--server", &format!("https://localhost:{}", site.router.admin.port())]);
    let by_name = run_command(by_name);
    assert!(by_name.code == Some(69) && by_name.stderr.contains("localhost"), "{by_name:?}");
    let plain = run_command(site.command("http", "status"));
    assert!(plain.code == Some(64) && plain.stderr.contains("this address speaks TLS"), "{plain:?}");
    let answer = raw_exchange(site.router.admin, b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answer.status == 400 && answer.body.contains("https:"), "{answer:?}");
    let other = Site::start("127.0.0.1:0", &[]);
    let to_plain = other.ask("status", &trusted, TOKEN);
    assert!(to_plain.code == Some(69) && to_plain.stderr.contains("does not speak TLS"), "{to_plain:?}");
}

#[test]
fn a_renewed_certificate_is_shown_to_new_clients_and_open_connections_stay() {
    let (before, after) = (made("router", 300, None), made("renewed", 300, None));
    let site = Site::with_tls(&before);
    let mut open = connect(site.router.admin, &before);
    wait_until("the router is alive", PATIENCE, || {
        live(&mut connect(site.router.admin, &before)) == Some(200)
    });
    assert!(live(&mut open).is_some(), "the first request");
    assert_eq!(live(&mut connect(site.router.admin, &after)), None, "not yet");
    for (name, text) in [("tls.crt", &after.certificate), ("tls.key", &after.key)] {
        std::fs::write(site.folder.path().join(name), text).unwrap();
    }
    let renewed = || live(&mut connect(site.router.admin, &after)).is_some();
    wait_until("the new certificate is shown", PATIENCE, || {
        // A connection may wait for 10 s at most between two requests.
        live(&mut open).expect("the open connection stays");
        renewed()
    });
    assert!(live(&mut open).is_some());
}

/// 10,000 handshakes, where the address has 128 places. Half of them stop within the first record, the others behind their hello.
#[test]
fn handshakes_that_never_end_keep_no_probe_out() {
    Descriptors::raise().unwrap();
    let own = made("router", 300, None);
    let site = Site::with_tls(&own);
    let hello = hello(&own);
    let began = Instant::now();
    let mut half = Vec::new();
    for number in 0..10_000 {
        let mut stream = TcpStream::connect(site.router.admin).unwrap();
        // A connection that has lost its place may be closed by now.
        let _ = stream.write_all(if number % 2 == 0 { &[0x16, 3, 1] } else { &hello });
        half.push(stream);
        if number % 2_500 == 2_499 {
            wait_until("a probe gets through", PATIENCE, || {
                live(&mut connect(site.router.admin, &own)) == Some(200)
            });
        }
    }
    let told = site.router.process.stderr_lines().len();
    assert!(told < 20 + 3 * (began.elapsed().as_secs() as usize + 2), "{}", site.router.process);
    drop(half);
}

#[test]
fn check_says_where_tokens_can_be_read_and_that_a_certificate_is_missing() {
    let (folder, member) = (scratch(), member("n1"));
    let document = provider(&folder, &[("n1", &member)]);
    let check = |admin: &str| run(&["check", "--provider", document.to_str().unwrap(), "--admin", admin]);
    let exposed = check("0.0.0.0:8760");
    assert!(
        exposed.code == Some(0) && exposed.stdout.contains("Warning: --admin 0.0.0.0:8760 has no TLS"),
        "{exposed:?}"
    );
    let quiet = check("127.0.0.1:8760");
    assert!(quiet.code == Some(0) && !quiet.stdout.contains("--admin"), "{quiet:?}");
    let bare = check("https://0.0.0.0:8760");
    assert!(bare.code == Some(64) && bare.stderr.contains("needs a certificate"), "{bare:?}");
}

#[test]
fn an_address_with_tls_needs_a_certificate() {
    let folder = scratch();
    let document = provider(&folder, &[]);
    let mut command = router(&["serve", "--dev", "--provider", document.to_str().unwrap()]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "https://127.0.0.1:0"]);
    let ran = run_command(command);
    assert!(ran.code == Some(64), "{ran:?}");
    assert!(ran.stderr.contains("--admin https://127.0.0.1:0 needs a certificate"), "{ran:?}");
}

/// Makes a token; returns its secret.
fn make(router: &Router, name: &str, role: &str) -> String {
    let body = format!(r#"{{"name": "{name}", "role": "{role}"}}"#);
    let own = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut made = (0, String::new());
    // The router's cluster comes to be first.
    wait_until("a token is made", PATIENCE, || {
        made = http_request(router.admin, "POST", "/v1/tokens", &own, body.as_bytes());
        made.0 == 201
    });
    let made: Value = serde_json::from_str(&made.1).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

#[test]
fn looking_from_other_machines_needs_a_token_and_probes_and_scrapes_do_not() {
    let site = Site::start("0.0.0.0:0", &[]);
    site.router.await_log("has no TLS: whoever listens on the network reads the API tokens");
    let viewer = make(&site.router, "look", "viewer");
    site.router.await_ready();
    let get = |path: &str, token: &str| {
        let header =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        http_request(site.router.admin, "GET", path, &header, b"")
    };
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(path, "").0, 200, "{path}");
    }
    for path in ["/v1/status", "/v1/members", "/v1/audit", "/v1/openapi.json", "/v1/events?follow=false", "/"]
    {
        let (status, body) = get(path, "");
        assert!(status == 401 && body.contains("--role viewer"), "{path}: {status} {body}");
        assert!(![401, 403].contains(&get(path, &viewer).0), "{path}");
    }
    assert_eq!(get("/v1/status", "wrong").0, 403);
    let asked = |token: &str| {
        let mut command = site.command("http", "member list");
        run_command({
            command.env("RCS_ROUTER_TOKEN", token);
            command
        })
    };
    let refused = asked("");
    assert!(refused.code == Some(64) && refused.stderr.contains("--token-file"), "{refused:?}");
    assert_eq!(asked(&viewer).code, Some(0));
    assert_eq!(asked(TOKEN).code, Some(0));
    let mut events = site.command("http", "events");
    let events = run_command({
        events.env("RCS_ROUTER_TOKEN", &viewer);
        events
    });
    assert_eq!(events.code, Some(0), "{events:?}");
}

#[test]
fn metrics_may_be_protected_too() {
    let site = Site::start("0.0.0.0:0", &["--protect-metrics"]);
    let viewer = make(&site.router, "prometheus", "viewer");
    let get = |header: &str| http_request(site.router.admin, "GET", "/metrics", header, b"");
    let (status, body) = get("");
    assert!(status == 401 && body.contains("--role viewer"), "{status} {body}");
    assert_eq!(get(&format!("Authorization: Bearer {viewer}\r\n")).0, 200);
    assert_eq!(site.router.get("/livez").0, 200);
}
