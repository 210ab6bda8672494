//! Both ends of the upgrade on real sockets, against each other and against peers written out by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::accept::{
    AcceptError, Authorization, Credentials, Refusal, RefusalStatus, UpgradeRequest, accept,
};
use super::dial::{DialAuthorization, DialError, DialTarget, InClear, dial};
use super::{WebSocket, limits};
use crate::icf::Secret;

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(180);

type Outcome = Result<(WebSocket, UpgradeRequest, ()), AcceptError>;

/// A listener for one connection that lets everybody in who knows the key.
async fn acceptor() -> (SocketAddr, JoinHandle<Outcome>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        accept(stream, peer, |request| match &request.authorization {
            Authorization::Basic(user) if user.secret.expose() == "schlüssel:x" => Ok(()),
            Authorization::Basic(_) => Err(Refusal::new(RefusalStatus::Forbidden, "the key is wrong")),
            _ => Err(Refusal::new(RefusalStatus::Unauthorized, "credentials are missing")),
        })
        .await
    });
    (address, accepting)
}

fn target(address: SocketAddr, secret: &str) -> DialTarget {
    DialTarget {
        host: address.ip().to_string(),
        port: address.port(),
        path: "/openicf/hr%20files?x=1".to_owned(),
        tls: None,
        authorization: basic("ann é", secret),
        connect_timeout: PATIENCE,
    }
}

fn basic(principal: &str, secret: &str) -> DialAuthorization {
    DialAuthorization::Basic(Credentials {
        principal: principal.to_owned(),
        secret: Secret::new(secret.to_owned()),
    })
}

fn bearer(token: &str, in_clear: InClear) -> DialAuthorization {
    DialAuthorization::Bearer { token: Secret::new(token.to_owned()), in_clear }
}

/// Sends a request as it stands, and returns the whole answer.
async fn exchange(request: &[u8]) -> (String, Outcome) {
    let (address, accepting) = acceptor().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut length = 0;
    // A 101 leaves the connection open; everything else must end it.
    while !answer[..length].starts_with(b"HTTP/1.1 101") {
        match timeout(PATIENCE, stream.read(&mut answer[length..])).await.expect("an answer in time").unwrap()
        {
            0 => break,
            count => length += count,
        }
    }
    drop(stream);
    let outcome = timeout(PATIENCE, accepting).await.expect("accepting ends").unwrap();
    (String::from_utf8_lossy(&answer[..length]).into_owned(), outcome)
}

/// What the 1.8.0 dialler sends (WIRE 1.1): the subprotocol twice, `WebSocket`, an Origin of `wss` on `ws`.
fn java_request() -> String {
    "GET /openicf?a=b HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: localhost:8759\r\n\
     Origin: wss://localhost:8759\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Protocol: v1.openicf.forgerock.org\r\nSec-WebSocket-Protocol: v1.openicf.forgerock.org\r\n\
     Authorization: Basic YTpzY2hs/HNzZWw6eA==\r\nAccept: */*\r\n\
     User-Agent: OpenICF-Client-Version[1.8.0]\r\n\r\n"
        .to_owned()
}

#[tokio::test]
async fn the_java_diallers_request_is_accepted_as_it_comes() {
    let (answer, outcome) = exchange(java_request().as_bytes()).await;
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(answer.contains("Sec-WebSocket-Protocol: v1.openicf.forgerock.org\r\n"), "{answer}");
    let (_, request, ()) = outcome.unwrap();
    assert_eq!((request.path.as_str(), request.subprotocols.len()), ("/openicf", 1));
    assert!(matches!(&request.authorization, Authorization::Basic(user) if user.principal == "a"));
    assert!(!format!("{request:?}").contains("schl"), "P9: a secret in Debug");
}

/// RFC 6750, section 2.1.
#[tokio::test]
async fn a_bearer_token_has_the_characters_of_the_standard_and_is_never_shown() {
    for (header, token) in [
        ("Bearer a.b-c_d~e+f/g==", Some("a.b-c_d~e+f/g==")),
        ("bearer   abc ", Some("abc")),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer ==", None),
        ("Bearer a b", None),
        ("Bearer a=b", None),
        ("Bearer a\tb", None),
        ("Bearer \"abc\"", None),
        ("Bearer abc\r\nAuthorization: Bearer abc", None),
        ("DPoP abc", None),
    ] {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        let request = java_request().replace("Basic YTpzY2hs/HNzZWw6eA==", header);
        ours.write_all(request.as_bytes()).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut found = None;
        let refused = accept(theirs, ([127, 0, 0, 1], 1).into(), |request| {
            found = Some(request.authorization.clone());
            Err::<(), _>(Refusal::new(RefusalStatus::InvalidToken, "the token expired"))
        });
        assert!(refused.await.is_err());
        let expected = token
            .map_or(Authorization::Unusable, |token| Authorization::Bearer(Secret::new(token.to_owned())));
        assert_eq!(found, Some(expected), "{header}");
        assert!(!format!("{found:?}").contains("abc"), "P9");
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 401 the token expired\r\nWWW-Authenticate: Bearer "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn bytes_behind_the_head_are_the_first_frames() {
    let mut request = java_request().into_bytes();
    request.extend_from_slice(b"frames");
    let (_, outcome) = exchange(&request).await;
    assert_eq!(outcome.unwrap().0.leftover, Bytes::from_static(b"frames"));
}

#[tokio::test]
async fn refusals_say_why_and_end_the_connection() {
    let without = |line: &str| {
        let request = java_request();
        let lines: Vec<&str> = request.split("\r\n").filter(|kept| !kept.starts_with(line)).collect();
        lines.join("\r\n")
    };
    let with = |line: &str| java_request().replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
    let wrong_protocol = java_request().replace("v1.openicf.forgerock.org", "chat");
    let long = with(&format!("X-Long: {}", "x".repeat(9000)));
    let many = with("X: y\r\n".repeat(70).trim_end());
    let wrong_key = java_request().replace("YTpzY2hs/HNzZWw6eA==", "YTpi");
    let no_colon = java_request().replace("YTpzY2hs/HNzZWw6eA==", "YWJj");
    for (case, request, status, words) in [
        ("no credentials", without("Authorization"), 401, "credentials are missing"),
        ("no colon", no_colon, 401, "credentials are missing"),
        (
            "bearer",
            without("Authorization").replacen("\r\n", "\r\nAuthorization: Bearer x\r\n", 1),
            401,
            "missing",
        ),
        ("credentials twice", with("Authorization: Basic YTpi"), 401, "missing"),
        ("wrong key", wrong_key, 403, "the key is wrong"),
        ("unknown subprotocol", wrong_protocol, 400, "v1.openicf.forgerock.org"),
        ("plain GET", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 426, "WebSocket"),
        ("POST", java_request().replace("GET", "POST"), 400, "GET"),
        ("HTTP/1.0", java_request().replace("HTTP/1.1", "HTTP/1.0"), 400, "HTTP/1.1"),
        ("old version", java_request().replace("Version: 13", "Version: 8"), 426, "version 13"),
        ("no key", without("Sec-WebSocket-Key"), 400, "Sec-WebSocket-Key"),
        ("short key", java_request().replace("dGhlIHNhbXBsZSBub25jZQ==", "YQ=="), 400, "Sec-WebSocket-Key"),
        ("bad escape", java_request().replace("/openicf?", "/%zz?"), 400, "path"),
        ("control character", java_request().replace("/openicf?", "/%0a?"), 400, "path"),
        ("no Host", without("Host"), 400, "Host"),
        ("Host twice", with("Host: other"), 400, "Host"),
        ("a body", with("Content-Length: 5"), 400, "body"),
        ("chunks", with("Transfer-Encoding: chunked"), 400, "body"),
        ("not HTTP", "GET\u{1} \r\n\r\n".to_owned(), 400, "HTTP"),
        ("long head", long, 431, "8192"),
        ("many headers", many, 431, "64"),
    ] {
        let (answer, outcome) = exchange(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{case}: {answer}");
        assert!(answer.contains(words), "{case}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        match case {
            // Requests that health checks and browsers send.
            "plain GET" | "not HTTP" => {
                assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{case}: {answer}");
                assert!(head.contains("\r\nConnection: close"), "{case}: {answer}");
                assert!(head.contains("\r\nServer: OpenICF Connector Server\r\n"), "{case}: {answer}");
            }
            // A 1.8.0 client notices a refusal only if nothing announces a body (WIRE 1.1).
            _ => {
                assert_eq!(body, "", "{case}");
                for header in ["Content-", "Connection", "Transfer-", "Server"] {
                    assert!(!head.contains(&format!("\r\n{header}")), "{case}: {answer}");
                }
            }
        }
        assert_eq!(head.contains("WWW-Authenticate: Basic realm=\"openicf.forgerock.org\""), status == 401);
        assert!(
            matches!(outcome, Err(AcceptError::Refused(refusal)) if refusal.status.code() == status),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_length_of_zero_is_no_body() {
    let request = java_request().replacen("\r\n", "\r\nContent-Length: 0\r\n", 1);
    exchange(request.as_bytes()).await.1.expect("accepted");
}

/// A sentence may repeat what the peer sent. It must not add a header, and must have an end.
#[tokio::test]
async fn a_reason_phrase_is_one_bounded_line_of_ascii() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let sentence = format!("größe\r\nX-Evil: 1 {}", "x".repeat(4096));
        accept(stream, peer, |_| Err::<(), _>(Refusal::new(RefusalStatus::NotFound, sentence))).await
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(java_request().as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    drop(stream);
    accepting.await.unwrap().expect_err("refused");
    assert!(answer.starts_with("HTTP/1.1 404 gr??e??X-Evil: 1 xxx"), "{answer}");
    assert_eq!(answer.len(), "HTTP/1.1 404 ".len() + limits::REASON_PHRASE_BYTES + 4, "{answer}");
}

#[tokio::test]
async fn nothing_offered_is_accepted_and_nothing_is_echoed() {
    let request = java_request();
    let lines: Vec<&str> = request.split("\r\n").filter(|line| !line.contains("Protocol")).collect();
    let (answer, outcome) = exchange(lines.join("\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101") && !answer.contains("Protocol:"), "{answer}");
    outcome.unwrap();
}

#[tokio::test]
async fn what_is_no_http_is_named() {
    for (case, bytes, words) in [
        ("TLS", &b"\x16\x03\x01\x02\x00\x01"[..], "useSSL"),
        ("noise", &b"\x00\x01\x02"[..], "neither"),
        ("the older OpenICF protocol", &b"\xfa\xce\x00\x05"[..], "\"protocol\": \"websocket\""),
        ("nothing", &b""[..], "before it sent"),
        ("half a head", &b"GET / HTTP/1.1\r\n"[..], "before it sent"),
    ] {
        let (address, accepting) = acceptor().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let error = timeout(PATIENCE, accepting).await.expect("in time").unwrap().expect_err("no socket");
        assert!(error.to_string().contains(words), "{case}: {error}");
    }
}

#[tokio::test]
async fn a_peer_that_dribbles_its_request_is_cut_off_at_the_deadline() {
    let (address, accepting) = acceptor().await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let dribble = async {
        for byte in b"GET / HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'y')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = accepting => outcome.unwrap(),
        () = dribble => panic!("the test's own end failed"),
    };
    assert!(
        matches!(outcome, Err(AcceptError::Refused(refusal)) if refusal.status == RefusalStatus::RequestTimeout)
    );
    let took = start.elapsed();
    assert!(took >= limits::UPGRADE_DEADLINE && took < PATIENCE, "{took:?}");
}

#[tokio::test]
async fn our_dialler_and_our_acceptor_agree() {
    let (address, accepting) = acceptor().await;
    let (_, peer) = dial(&target(address, "schlüssel:x")).await.unwrap();
    assert_eq!(peer, address);
    let (_, request, ()) = accepting.await.unwrap().unwrap();
    assert_eq!(request.path, "/openicf/hr files");
    let expected =
        Credentials { principal: "ann é".to_owned(), secret: Secret::new("schlüssel:x".to_owned()) };
    assert_eq!(request.authorization, Authorization::Basic(expected));
}

/// A peer that answers every connection with these bytes and leaves it open, as a stock acceptor does for 30 s.
async fn peer_that_answers(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 2048];
        let read = stream.read(&mut request).await.unwrap();
        assert!(read > 0);
        stream.write_all(answer).await.unwrap();
        // Until the dialler hangs up.
        while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
    });
    address
}

#[tokio::test]
async fn a_failed_dial_says_what_to_do_and_never_the_key() {
    for (case, answer, words) in [
        ("wrong key, stock style", &b"HTTP/1.1 403 Failed To connect\r\n\r\n"[..], "compare the keys"),
        (
            "no credentials",
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
            "compare the keys",
        ),
        ("not found", b"HTTP/1.1 404 Not Found\r\n\r\n", "no OpenICF service at /openicf"),
        ("internal", b"HTTP/1.1 500 Oops\r\n\r\n", "HTTP 500"),
        ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x46", "set useSSL here"),
        ("another protocol", b"220 smtp ready\r\n", "not HTTP"),
        ("no accept key", b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n", "Sec-WebSocket-Accept"),
    ] {
        let address = peer_that_answers(answer).await;
        let start = Instant::now();
        let error = dial(&target(address, "geheim")).await.expect_err(case);
        let text = format!("{error} {error:?}");
        assert!(text.contains(words), "{case}: {text}");
        assert!(!text.contains("geheim"), "{case}: P9");
        assert!(start.elapsed() < PATIENCE / 2, "{case}: a refusal is not waited out");
    }
}

#[tokio::test]
async fn a_silent_peer_and_a_closed_port_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut silent = target(listener.local_addr().unwrap(), "geheim");
    silent.connect_timeout = Duration::from_millis(200);
    assert!(matches!(dial(&silent).await, Err(DialError::NoAnswer { .. })));
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert!(matches!(dial(&target(address, "geheim")).await, Err(DialError::Connect { .. })));
}

#[tokio::test]
async fn a_target_that_cannot_be_dialled_is_refused_before_any_connection() {
    let base = target(([127, 0, 0, 1], 9).into(), "key");
    let change = |change: &dyn Fn(&mut DialTarget)| {
        let mut target = base.clone();
        change(&mut target);
        target
    };
    for (case, target) in [
        ("header in the path", change(&|t| t.path = "/x HTTP/1.1\r\nA: b".to_owned())),
        ("no slash", change(&|t| t.path = "openicf".to_owned())),
        ("header in the host", change(&|t| t.host = "a\r\nb".to_owned())),
        ("colon in the principal", change(&|t| t.authorization = basic("a:b", "key"))),
        ("key beyond latin-1", change(&|t| t.authorization = basic("a", "ключ"))),
        ("no token", change(&|t| t.authorization = bearer("", InClear::ToLoopback))),
        ("header in the token", change(&|t| t.authorization = bearer("a\r\nb: c", InClear::ToLoopback))),
    ] {
        assert!(matches!(dial(&target).await, Err(DialError::BadTarget(_))), "{case}");
    }
}

/// A07: a token goes to this machine alone without TLS, and a refusal of it is told apart from that of a key.
#[tokio::test]
async fn a_token_is_sent_as_bearer_and_never_in_clear_to_others() {
    let (address, accepting) = acceptor().await;
    let dialled =
        DialTarget { authorization: bearer("t0k.en~+/=", InClear::ToLoopback), ..target(address, "") };
    let refused = dial(&dialled).await;
    assert!(matches!(refused, Err(DialError::TokenRefused { status: 401 })), "{refused:?}");
    assert!(!format!("{dialled:?}").contains("t0k.en"));
    drop(accepting);

    // An address of this machine that is no loopback address stands for another machine.
    let Some(own) = own_address() else { return };
    let listener = TcpListener::bind((own, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut dialled =
        DialTarget { authorization: bearer("t0ken", InClear::ToLoopback), ..target(address, "") };
    let error = dial(&dialled).await.expect_err("in clear").to_string();
    assert!(error.contains("an access token is not sent to") && error.contains("dial with TLS"), "{error}");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"", "nothing was sent");

    dialled.authorization = bearer("t0ken", InClear::ToAnybody);
    let dialling = tokio::spawn(async move { dial(&dialled).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    while !heard.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut heard).await.unwrap();
    }
    assert!(String::from_utf8(heard).unwrap().contains("\r\nAuthorization: Bearer t0ken\r\n"));
    dialling.abort();
}

/// The address by which this machine would reach another one; nothing is sent to find it.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    if address.is_loopback() || address.is_unspecified() {
        eprintln!("this machine has no other address than loopback: sending in clear is not tried");
        return None;
    }
    Some(address)
}
