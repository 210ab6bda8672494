//! Dialling and pumping over TLS, and what both ends are told when only one of them speaks it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::accept::{AcceptError, Credentials};
use super::dial::{DialError, DialTarget, DialTls, dial};
use super::listen::{Arrival, serve};
use super::socket::{self, SocketEvent, SocketHandle};
use crate::frames;
use crate::icf::Secret;
use crate::messages::{OperationRequest, TestOpRequest};
use crate::session::SocketId;

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(180);

/// A key pair for `localhost`: what a server presents, and what a client trusts.
fn pair() -> (TlsAcceptor, DialTls) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tls = DialTls { config: Arc::new(client), server_name: Some("localhost".to_owned()) };
    (TlsAcceptor::from(Arc::new(server)), tls)
}

async fn listener(tls: Option<TlsAcceptor>) -> (SocketAddr, mpsc::Receiver<Arrival<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrivals, arrived) = mpsc::channel(4);
    tokio::spawn(serve(listener, tls, |_| Ok(()), arrivals));
    (address, arrived)
}

fn target(address: SocketAddr, tls: Option<DialTls>) -> DialTarget {
    DialTarget {
        host: address.ip().to_string(),
        port: address.port(),
        path: "/openicf".to_owned(),
        tls,
        credentials: Credentials { principal: "p".to_owned(), secret: Secret::new("k".to_owned()) },
        connect_timeout: PATIENCE,
    }
}

async fn arrival(arrived: &mut mpsc::Receiver<Arrival<()>>) -> Result<super::WebSocket, AcceptError> {
    let arrival = timeout(PATIENCE, arrived.recv()).await.expect("an arrival in time").unwrap();
    arrival.outcome.map(|(socket, ..)| socket)
}

type Pumped = (SocketHandle, socket::Reports);

fn pump(socket: super::WebSocket) -> Pumped {
    let (events, received) = mpsc::channel(16);
    (socket::spawn(SocketId(1), socket, &Default::default(), events), received)
}

async fn frame_id(pumped: &mut Pumped) -> i64 {
    match timeout(PATIENCE, pumped.1.recv()).await.expect("a frame in time").unwrap().open().1 {
        SocketEvent::Frame(envelope) => envelope.message_id,
        other => panic!("{other:?}"),
    }
}

fn request(id: i64, bytes: usize) -> Bytes {
    let connector_facade_key = Bytes::from(vec![b'x'; bytes]);
    let test = Some(TestOpRequest {});
    frames::operation(id, &OperationRequest { connector_facade_key, test, ..Default::default() })
}

#[tokio::test]
async fn reading_goes_on_over_tls_while_writing_is_stuck_p13() {
    let (acceptor, tls) = pair();
    let (address, mut arrived) = listener(Some(acceptor)).await;
    let (dialled, _) = timeout(PATIENCE, dial(&target(address, Some(tls)))).await.expect("in time").unwrap();
    let mut ours = pump(arrival(&mut arrived).await.unwrap());
    // Full, so that the other end stops to read.
    let (events, mut theirs) = mpsc::channel(1);
    let peer = socket::spawn(SocketId(2), dialled, &Default::default(), events);
    for id in 1..=8 {
        ours.0.send(request(id, 4 << 20)).unwrap();
    }
    for id in 1..=500 {
        peer.send(request(id, 2000)).unwrap();
        assert_eq!(frame_id(&mut ours).await, id);
    }
    assert!(ours.0.backlog_bytes() > 8 << 20, "writing was not stuck");
    for id in 1..=8 {
        let (_, event) = timeout(PATIENCE, theirs.recv()).await.expect("in time").unwrap().open();
        assert!(matches!(event, SocketEvent::Frame(envelope) if envelope.message_id == id));
    }
}

#[tokio::test]
async fn each_mismatch_is_named_at_both_ends_c07() {
    let (acceptor, trusted) = pair();
    let (_, stranger) = pair();
    let (with_tls, mut tls_arrived) = listener(Some(acceptor)).await;
    let (plain, mut plain_arrived) = listener(None).await;

    let error = dial(&target(with_tls, None)).await.unwrap_err();
    assert!(matches!(error, DialError::TlsPeer | DialError::Closed), "plain dial: {error}");
    assert!(matches!(arrival(&mut tls_arrived).await, Err(AcceptError::PlainOnTls)));

    let error = dial(&target(plain, Some(trusted.clone()))).await.unwrap_err();
    assert!(matches!(error, DialError::NoTlsAnswer | DialError::PlainPeer), "TLS dial: {error}");
    assert!(matches!(arrival(&mut plain_arrived).await, Err(AcceptError::TlsOnPlain)));

    let error = dial(&target(with_tls, Some(stranger))).await.unwrap_err();
    assert!(matches!(error, DialError::Tls(_)), "a certificate of somebody else: {error}");
    assert!(matches!(arrival(&mut tls_arrived).await, Err(AcceptError::Tls(_))));

    let mut renamed = trusted;
    renamed.server_name = Some("elsewhere".to_owned());
    let error = dial(&target(with_tls, Some(renamed))).await.unwrap_err();
    assert!(matches!(error, DialError::Tls(_)), "another name: {error}");
}

#[tokio::test]
async fn a_peer_that_answers_a_tls_hello_in_clear_text_or_not_at_all_has_no_tls() {
    let (_, tls) = pair();
    for answer in [Some(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]), None] {
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut target = target(peer.local_addr().unwrap(), Some(tls.clone()));
        target.connect_timeout = Duration::from_millis(500);
        let answering = tokio::spawn(async move {
            let (mut stream, _): (TcpStream, _) = peer.accept().await.unwrap();
            if let Some(answer) = answer {
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            }
            stream
        });
        let error = timeout(PATIENCE, dial(&target)).await.expect("in time").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("clear useSSL here"), "{text}");
        drop(answering.await.unwrap());
    }
}
