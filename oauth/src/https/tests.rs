//! The client against a scripted server on loopback, with and without TLS.

use std::net::SocketAddr;
use std::time::Instant;

use rcs_proto::driver::tls::{Pins, client_config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use rcs_proto::icf::Secret;

use super::*;

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key pair for `localhost`: what a server presents, and what a client trusts.
fn pair() -> (TlsAcceptor, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(server)), client_config(&[certificate], Pins::ForNamesItHas).unwrap())
}

/// Reads one request whole, answers it with these bytes, and hangs up; gives the request.
async fn script<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) -> String {
    let mut asked = Vec::new();
    let whole = |asked: &[u8]| {
        let text = String::from_utf8_lossy(asked).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        (body.len() >= length.map_or(0, |length| length.parse().unwrap())).then_some(text)
    };
    loop {
        if let Some(text) = whole(&asked) {
            // A client that has read enough may hang up first.
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
            return text;
        }
        if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&asked).into_owned();
        }
    }
}

/// A server of one connection: its address, and in the end the request.
async fn server(tls: Option<TlsAcceptor>, answer: Vec<u8>) -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let asked = match tls {
            None => script(stream, &answer).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => script(stream, &answer).await,
                Err(error) => format!("no TLS: {error}"),
            },
        };
        let _ = tell.send(asked);
    });
    (address, told)
}

fn client() -> Https {
    Https::new(pair().1).within(PATIENCE)
}

fn plain(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/keys?a=b"), Plain::Loopback).unwrap()
}

async fn got(answer: impl Into<Vec<u8>>) -> Result<Response, HttpsError> {
    let (address, _asked) = server(None, answer.into()).await;
    client().up_to(1000).get(&plain(address), &[("X-A", "b")]).await
}

#[tokio::test]
async fn a_request_says_what_it_must() {
    let (address, asked) = server(None, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()).await;
    let answer = client().get(&plain(address), &[("Accept", "application/json")]).await.unwrap();
    assert_eq!((answer.status(), answer.body().as_ref()), (200, &b"hi"[..]));
    let asked = asked.await.unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get /keys?a=b http/1.1\r\n"), "{asked}");
    for line in [&format!("host: {address}"), "accept: application/json", "connection: close"] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line}: {asked}");
    }
    assert!(!asked.contains("content-length"), "{asked}");

    let (address, asked) = server(None, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let authorization = basic("id", &Secret::new("secret".to_owned()));
    let headers = [("Authorization", authorization.expose().as_str())];
    client().post_form(&plain(address), &headers, &[("token", "a b")]).await.unwrap();
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with("POST /keys?a=b HTTP/1.1\r\n") && asked.ends_with("\r\n\r\ntoken=a+b"),
        "{asked}"
    );
    assert!(asked.to_ascii_lowercase().contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
    assert!(asked.contains(" Basic aWQ6c2VjcmV0\r\n"), "{asked}");
}

#[tokio::test]
async fn answers_of_all_shapes_are_read() {
    for (answer, status, body) in [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n", 200, "hi!"),
        ("HTTP/1.0 401 No\r\n\r\nto the end", 401, "to the end"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nwaitmore", 503, "wai"),
        ("HTTP/1.1 204 Nothing\r\n\r\n", 204, ""),
    ] {
        let answer = got(answer).await.unwrap();
        assert_eq!((answer.status(), answer.body().as_ref()), (status, body.as_bytes()), "{body}");
    }
    let answer =
        got("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 12\r\n\r\n{\"a\":\"c4n\"}\n")
            .await
            .unwrap();
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["a"], "c4n");
    let wrong = answer.json::<Vec<u8>>().expect_err("another type").to_string();
    assert!(wrong.contains("another type") && !wrong.contains("c4n"), "{wrong}");
    assert!(!format!("{answer:?}").contains("c4n"), "{answer:?}");
}

#[tokio::test]
async fn each_failure_has_its_own_error() {
    let long = "x".repeat(HEAD_BYTES_MAX);
    let many = "X-Y: z\r\n".repeat(HEADERS_MAX + 1);
    for (answer, says) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: https://b/login?secret=1\r\n\r\n".to_owned(),
            "redirects (HTTP 302 to \"https://b/login\"), and redirects are not followed",
        ),
        ("HTTP/1.1 308 Moved\r\n\r\n".to_owned(), "redirects (HTTP 308), and"),
        (format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"), "the head of the answer has more than"),
        (format!("HTTP/1.1 200 OK\r\n{many}\r\n"), "the head of the answer has more than"),
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{}", "x".repeat(1001)),
            "the body of the answer has more than 1000 bytes",
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                format!("64\r\n{}\r\n", "x".repeat(100)).repeat(11)
            ),
            "the body of the answer has more than 1000 bytes",
        ),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "does not speak HTTP there"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi".to_owned(),
            "closed the connection before its answer was complete",
        ),
        (String::new(), "closed the connection before its answer was complete"),
    ] {
        let error = got(answer).await.expect_err(says).to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{says}: {error}");
    }
    let status = got("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let empty = status.json::<serde_json::Value>().expect_err("no JSON");
    assert!(
        matches!(&empty, HttpsError::NotJson { status: 500, words } if words == "it is empty"),
        "{empty}"
    );
    assert!(matches!(status.success(), Err(HttpsError::Status { status: 500 })));

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client().get(&plain(nobody), &[]).await.expect_err("nobody listens");
    assert!(matches!(&error, HttpsError::Connect(_)), "{error}");
    let url = Url::parse("https://no-such-host.invalid/", Plain::Loopback).unwrap();
    let error = client().get(&url, &[]).await.expect_err("no such host");
    assert!(matches!(&error, HttpsError::Resolve { .. }), "{error}");
    let error = client().get(&plain(nobody), &[("X", "a\r\nb")]).await.expect_err("two lines");
    assert!(matches!(&error, HttpsError::BadHeader(_)), "{error}");
}

#[tokio::test]
async fn the_deadline_is_for_the_whole_exchange() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = plain(listener.local_addr().unwrap());
    // A byte now and then must not put the end off.
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut asked).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    });
    let since = Instant::now();
    let error = client().within(Duration::from_millis(300)).get(&url, &[]).await.expect_err("no end");
    assert!(matches!(&error, HttpsError::Timeout { .. }), "{error}");
    assert!(since.elapsed() >= Duration::from_millis(300), "the limit was not used");
}

#[tokio::test]
async fn certificates_are_verified() {
    let answer = || b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec();
    let url = |host: &str, address: SocketAddr| {
        Url::parse(&format!("https://{host}:{}/", address.port()), Plain::Loopback).unwrap()
    };
    let (acceptor, trusting) = pair();
    let (address, _asked) = server(Some(acceptor.clone()), answer()).await;
    let trusting = Https::new(trusting).within(PATIENCE);
    assert_eq!(trusting.get(&url("localhost", address), &[]).await.unwrap().body().as_ref(), b"hi");

    let (address, asked) = server(Some(acceptor.clone()), answer()).await;
    let error = trusting.get(&url("127.0.0.1", address), &[]).await.expect_err("another name").to_string();
    assert!(error.starts_with("the TLS handshake with 127.0.0.1 failed: "), "{error}");
    assert!(asked.await.unwrap().starts_with("no TLS"), "nothing was sent");

    let (address, asked) = server(Some(acceptor), answer()).await;
    let headers = [("Authorization", "Basic c2VjcmV0")];
    let error = client().get(&url("localhost", address), &headers).await.expect_err("a stranger");
    assert!(matches!(&error, HttpsError::Tls { .. }), "{error}");
    assert!(asked.await.unwrap().starts_with("no TLS"), "nothing was sent");

    let (address, _asked) = server(None, answer()).await;
    let error = Https::without_tls().get(&url("localhost", address), &[]).await.expect_err("no TLS here");
    assert!(error.to_string().contains("trusts no certificate"), "{error}");

    // A peer without TLS, which answers at once, or hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 8];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let error = trusting.get(&url("localhost", address), &[]).await.expect_err("no TLS");
    assert!(matches!(&error, HttpsError::NotTls { .. }), "{error}");
}

/// P04-P07
#[tokio::test]
async fn a_proxy_leads_to_the_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, trusting) = pair();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        script(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        String::from_utf8(head).unwrap()
    });
    let proxy = HttpProxy { host: "127.0.0.1".to_owned(), port, credentials: None };
    let client = Https::new(trusting).within(PATIENCE).through(Some(proxy));
    // The name is the proxy's to resolve.
    let url = Url::parse("https://localhost:1/", Plain::Loopback).unwrap();
    assert_eq!(client.get(&url, &[]).await.unwrap().body().as_ref(), b"hi");
    assert!(asked.await.unwrap().starts_with("CONNECT localhost:1 HTTP/1.1\r\n"));
}
