//! Dialling and pumping over TLS, and what both ends are told when only one of them speaks it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::accept::{AcceptError, Credentials};
use super::dial::{DialAuthorization, DialError, DialTarget, DialTls, dial};
use super::listen::{Arrival, serve};
use super::socket::{self, SocketEvent, SocketHandle};
use super::tls::{ClientCertificates, Identity, ListenTls, server_config};
use crate::frames;
use crate::icf::Secret;
use crate::messages::{OperationRequest, TestOpRequest};
use crate::session::SocketId;

/// Bound of a wait for what must come, on a machine that may have many times the work that it has processors for.
const PATIENCE: Duration = Duration::from_secs(180);

/// A key pair for `localhost`: what a server presents, and what a client trusts.
fn pair() -> (ListenTls, DialTls) {
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
    (ListenTls::fixed(Arc::new(server)), tls)
}

async fn listener(tls: Option<ListenTls>) -> (SocketAddr, mpsc::Receiver<Arrival<()>>) {
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
        authorization: DialAuthorization::Basic(Credentials {
            principal: "p".to_owned(),
            secret: Secret::new("k".to_owned()),
        }),
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
    assert!(matches!(error, DialError::Refused { status: 400 }), "plain dial: {error}");
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

fn identity(certificate: &[u8], key: &rcgen::KeyPair) -> Identity {
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    };
    let (certificate, key) = (pem("CERTIFICATE", certificate), pem("PRIVATE KEY", &key.serialize_der()));
    Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
}

/// A certificate of this name with its key: signed by itself, or by an authority.
fn client(
    common: &str,
    issuer: Option<&rcgen::Issuer<'_, &rcgen::KeyPair>>,
) -> (Identity, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![format!("{common}.example")]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, common);
    let made = match issuer {
        None => params.self_signed(&key).unwrap(),
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
    };
    let identity = identity(made.der(), &key);
    (identity, made.der().clone())
}

/// S04: an authority's certificates and pinned ones are accepted, and a pinned certificate vouches for nobody else.
#[tokio::test]
async fn a_listener_knows_its_diallers_by_their_certificates() {
    let (authority_key, mut authority) =
        (rcgen::KeyPair::generate().unwrap(), rcgen::CertificateParams::default());
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Our CA");
    let of_authority = authority.self_signed(&authority_key).unwrap().der().clone();
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let (signed, _) = client("signed", Some(&issuer));
    let (pinned_key, pinned_params) = (
        rcgen::KeyPair::generate().unwrap(),
        rcgen::CertificateParams::new(vec!["pinned.example".to_owned()]).unwrap(),
    );
    let made = pinned_params.self_signed(&pinned_key).unwrap();
    let pinned = identity(made.der(), &pinned_key);
    let by_pinned = rcgen::Issuer::from_params(&pinned_params, &pinned_key);
    let (forged, _) = client("signed", Some(&by_pinned));
    let (stranger, _) = client("stranger", None);

    let (own, der) = client("listener", None);
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    let trusted = vec![of_authority, made.der().clone()];
    for (clients, shown, outcome) in [
        (ClientCertificates::Required(trusted.clone()), Some(&signed), Ok(Some("signed"))),
        (ClientCertificates::Required(trusted.clone()), Some(&pinned), Ok(None)),
        (ClientCertificates::Required(trusted.clone()), None, Err("showed no certificate")),
        (ClientCertificates::Required(trusted.clone()), Some(&stranger), Err("signed by itself")),
        (ClientCertificates::Required(trusted.clone()), Some(&forged), Err("not trusted here")),
        (ClientCertificates::Optional(trusted.clone()), None, Ok(None)),
        (ClientCertificates::Optional(trusted.clone()), Some(&stranger), Err("signed by itself")),
        (ClientCertificates::NotAsked, Some(&signed), Ok(None)),
    ] {
        let config = server_config(&own, &clients, &[]).unwrap();
        let (address, mut arrived) = listener(Some(ListenTls::fixed(config))).await;
        let mut config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        if let Some(identity) = shown {
            config.client_auth_cert_resolver = identity.resolver();
        }
        let tls = DialTls { config: Arc::new(config), server_name: Some("listener.example".to_owned()) };
        let to = target(address, Some(tls));
        let dialled = tokio::spawn(async move { dial(&to).await });
        let arrival = timeout(PATIENCE, arrived.recv()).await.expect("in time").unwrap();
        match (arrival.outcome, outcome) {
            (Ok((_, request, ())), Ok(common)) => {
                let found = request.client_certificate;
                let is_shown = shown.is_some() && !matches!(clients, ClientCertificates::NotAsked);
                assert_eq!(found.is_some(), is_shown, "{clients:?}");
                if let Some(common) = common {
                    let found = found.unwrap();
                    assert_eq!(found.common_name.as_deref(), Some(common));
                    assert_eq!(found.subject.as_deref(), Some("CN=signed"));
                    assert_eq!(found.names, ["dns:signed.example"]);
                }
                dialled.await.unwrap().unwrap();
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "no {part:?} in {error}");
                let told = dialled.await.unwrap().unwrap_err();
                assert!(matches!(told, DialError::Tls(_)), "the dialler is told: {told}");
            }
            (found, _) => panic!("{outcome:?}: {:?}", found.map(|_| ())),
        }
    }
}

/// A resumed session would go on with a certificate that nobody verified again, and that may have expired meanwhile.
#[tokio::test]
async fn a_listener_that_asks_for_certificates_verifies_them_in_each_handshake() {
    use tokio::io::AsyncReadExt as _;
    use tokio_rustls::rustls::HandshakeKind;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    let (own, der) = client("listener", None);
    let (shown, trusted) = client("idm", None);
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    for (clients, second) in [
        (ClientCertificates::NotAsked, HandshakeKind::Resumed),
        (ClientCertificates::Required(vec![trusted]), HandshakeKind::Full),
    ] {
        let mut config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        config.client_auth_cert_resolver = shown.resolver();
        let connector = TlsConnector::from(Arc::new(config));
        let acceptor = TlsAcceptor::from(server_config(&own, &clients, &[]).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            let name = "listener.example".try_into().unwrap();
            let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
            let (mut near, far) = (near.unwrap(), far.unwrap());
            kinds.push(near.get_ref().1.handshake_kind().unwrap());
            // The tickets come behind the handshake, before the end of the stream.
            drop(far);
            let _ = timeout(PATIENCE, near.read(&mut [0])).await.expect("in time");
        }
        assert_eq!(kinds, [HandshakeKind::Full, second], "{clients:?}");
    }
}
