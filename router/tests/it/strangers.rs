//! What strangers may try at the admin address: slow and silent connections, guessed tokens, web pages (P10, P12).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;

use crate::support::{AT_ONCE, PATIENCE, Router, file, member, provider, scratch};

/// More connections than the admin address holds at a time.
const MANY: usize = 150;

/// A router with one member and a token.
fn with_token(body: impl FnOnce(&Router)) {
    let folder = scratch();
    let member = member("n1");
    let token = file(&folder, "token", "the-token\n");
    let document = provider(&folder, &[("n1", &member)]);
    body(&Router::serve(&document, &["--dev", "--admin-token-file", &token]));
}

fn connect(admin: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status of an answer, and the rest. The status is 0 if the connection ended without an answer.
fn ask(admin: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = connect(admin);
    let mut answer = String::new();
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer).map(drop));
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

fn post(admin: SocketAddr, headers: &str) -> (u16, String) {
    let path = "/v1/groups/g/members/n1/drain?force=true";
    let head = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    ask(admin, &head)
}

/// Every kind of connection that takes a place and does nothing with it. Probes are answered beside all of them.
#[test]
fn probes_are_answered_whatever_other_connections_do() {
    with_token(|router| {
        router.await_ready();
        for (kind, said) in [
            ("silent", &b""[..]),
            ("slow heads", b"GET /livez HTTP/1.1\r\nX: "),
            ("idle", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("unread answers", &b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200)),
            (
                "bodies that trickle",
                b"POST /v1/members/n1/manifest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                  RCS-Agent-Proof: 00\r\nContent-Length: 4000000\r\n\r\n{",
            ),
        ] {
            let mut strangers: Vec<TcpStream> = (0..MANY).map(|_| connect(router.admin)).collect();
            for stranger in &mut strangers {
                // A connection that has lost its place may be closed by now.
                let _ = stranger.set_nonblocking(true).and_then(|()| stranger.write_all(said));
            }
            for byte in [b"a", b"b", b"c"] {
                let start = Instant::now();
                router.await_alive();
                assert_eq!(router.get("/readyz").0, 200);
                println!("{kind}: both probes answered after {:?}", start.elapsed());
                for stranger in &mut strangers {
                    let _ = stranger.write_all(byte);
                }
            }
        }
        let guess =
            b"POST /v1/groups/g/members/n1/drain HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\n\r\n";
        let guessers: Vec<TcpStream> = (0..MANY)
            .map(|number| {
                let mut guesser = connect_from([127, 0, 0, 2 + number as u8 % 16], router.admin);
                let _ = guesser.write_all(guess);
                guesser
            })
            .collect();
        router.await_alive();
        drop(guessers);
        assert_eq!(router.get("/v1/members").0, 200);
    });
}

/// A head has its own deadline, however steadily its bytes arrive.
#[test]
fn a_head_that_trickles_is_given_up() {
    with_token(|router| {
        let mut slow = connect(router.admin);
        slow.write_all(b"GET /livez HTTP/1.1\r\nX: ").unwrap();
        slow.set_nonblocking(true).unwrap();
        wait_until("the connection ends although bytes come", PATIENCE, || {
            let _ = slow.write_all(b"x");
            !matches!(slow.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        });
    });
}

/// A stranger's page in a browser on the router's machine changes nothing, even with `--dev`. The page also reads nothing under a name of
/// the stranger's that leads to the router.
#[test]
fn pages_change_nothing_and_read_nothing() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let router = Router::serve(&document, &["--dev", "--admin-host", "rcs.example.com"]);
    router.await_ready();
    let (host, port) = (router.admin, router.admin.port());
    let own = format!("Host: {host}\r\n");
    let page = format!("{own}Origin: http://evil.example\r\nContent-Type: text/plain\r\n");
    let form = format!("{own}Sec-Fetch-Site: cross-site\r\n");
    let rebound = format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n");
    for (headers, part) in [(&page, "web page"), (&form, "web page"), (&rebound, "--admin-host")] {
        let (status, answer) = post(host, headers);
        assert!(status == 403 && answer.contains(part), "{headers}: {answer}");
    }
    for path in ["/v1/members", "/metrics", "/v1/callers"] {
        let get = |host: &str| {
            ask(router.admin, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
        };
        let (status, answer) = get("evil.example");
        assert!(status == 403 && answer.contains("not known as"), "{path}: {answer}");
        for ours in ["rcs.example.com", "router", "10.0.0.1:1"] {
            assert_eq!(get(ours).0, 200, "{path} of {ours}");
        }
    }
    let refused = |reason| {
        let metrics = Metrics::scrape(router.admin);
        metrics.sum("rcs_admin_requests_refused_total", &[("reason", reason)])
    };
    assert_eq!((refused("cross_site"), refused("foreign_host")), (2.0, 4.0));
    let (_, members) = router.get("/v1/members");
    assert!(members.contains("\"admin_state\":\"enabled\""), "{members}");
    assert_eq!(post(host, &own).0, 200, "a program has no origin");
}

/// Wrong tokens are logged once a second for each address, counted, and bounded to a few a second. An operator in another network is let
/// in at once.
#[test]
fn guesses_leave_a_trace_and_are_slow() {
    with_token(|router| {
        let admin = router.admin;
        let start = Instant::now();
        let judged = thread::scope(|scope| {
            let guess = || post(admin, "Host: localhost\r\nAuthorization: Bearer guess\r\n").0;
            let guessers: Vec<_> = (0..60).map(|_| scope.spawn(guess)).collect();
            router.await_log("a request with a wrong API token was refused, from 127.0.0.1");
            let operator =
                socket_of([127, 0, 0, 2], admin, "Host: localhost\r\nAuthorization: Bearer the-token\r\n");
            assert!(operator.starts_with("HTTP/1.1 200"), "{operator}");
            let statuses: Vec<u16> = guessers.into_iter().map(|guesser| guesser.join().unwrap()).collect();
            assert!(statuses.iter().all(|status| [403, 429].contains(status)), "{statuses:?}");
            statuses.iter().filter(|status| **status == 403).count()
        });
        // Eight tokens a second are judged: those of the first moment, and those of each second after it.
        let most = 8 * (start.elapsed().as_secs() as usize + 2);
        assert!(judged <= most, "{judged} of 60 guesses were judged in {:?}", start.elapsed());
        router.await_log("more requests with a wrong API token in the last second from 127.0.0.1");
        let metrics = Metrics::scrape(admin);
        let refused = |reason| metrics.sum("rcs_admin_requests_refused_total", &[("reason", reason)]);
        assert_eq!(refused("wrong_token") + refused("too_many_wrong_tokens"), 60.0);
        assert!(!router.process.said_on_stderr("guess\""), "P9: no token in the log");
    });
}

/// A connection from an address of the loopback.
fn connect_from(from: [u8; 4], admin: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(admin).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks for a drain from an address of the loopback. Returns the whole answer.
fn socket_of(from: [u8; 4], admin: SocketAddr, headers: &str) -> String {
    let mut stream = connect_from(from, admin);
    stream.set_read_timeout(Some(AT_ONCE)).unwrap();
    let path = "/v1/groups/g/members/n1/drain?force=true";
    let head = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(head.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)).unwrap();
    answer
}
