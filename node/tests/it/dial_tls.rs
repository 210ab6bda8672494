//! Client mode over TLS (P20-P26, S01, S02), and the vendor's sample files at work (P39).

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{CertifiedKey, KeyPair};
use rcs_rig::process::Process;
use rcs_rig::scripted::{FakeMember, Gate, Manners};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::dial::Dialling;
use crate::dial_token::{judge, secret, server};
use crate::support::{CLIENT_SAMPLE, PATIENCE, SERVER_SAMPLE, Scratch, rcs_node, text};

pub(crate) fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate")
}

/// A key store as keytool makes one.
pub(crate) fn key_store(made: &CertifiedKey<KeyPair>) -> Vec<u8> {
    let key = PrivateKey::from_der(&made.signing_key.serialize_der()).expect("a PKCS8 key");
    let certificate = Certificate::from_der(made.cert.der()).expect("a certificate");
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(&b"1"[..], key, [certificate]);
    store.add_entry("icf-rcs", KeyStoreEntry::PrivateKeyChain(chain));
    store.writer("changeit").write().expect("a store")
}

/// A trust store as keytool makes one.
pub(crate) fn trust_store(made: &CertifiedKey<KeyPair>) -> Vec<u8> {
    let mut store = KeyStore::new();
    let certificate = Certificate::from_der(made.cert.der()).expect("a certificate");
    store.add_entry("idm", KeyStoreEntry::Certificate(certificate));
    store.writer("changeit").write().expect("a store")
}

fn pem(made: &CertifiedKey<KeyPair>) -> String {
    let text = STANDARD.encode(made.cert.der());
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Whether callers of a server must show a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificates {
    NotAsked,
    Required,
}

/// A scripted IDM behind an end of TLS.
pub(crate) struct TlsIdm {
    idm: FakeMember,
    pub(crate) own: CertifiedKey<KeyPair>,
    /// The certificate of the node that it trusts.
    nodes: CertifiedKey<KeyPair>,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    runtime: tokio::runtime::Runtime,
}

impl TlsIdm {
    pub(crate) fn start(certificates: Certificates) -> Self {
        let idm = FakeMember::listen("idm", Manners::Polite);
        let (own, nodes) = (certificate("localhost"), certificate("node"));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has them");
        let builder = match certificates {
            Certificates::NotAsked => builder.with_no_client_auth(),
            Certificates::Required => {
                let mut roots = RootCertStore::empty();
                roots.add(nodes.cert.der().clone()).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
        let config = builder.with_single_cert(vec![own.cert.der().clone()], key).expect("a pair");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = front(&runtime, acceptor.clone(), idm.port());
        Self { idm, own, nodes, address, acceptor, runtime }
    }

    /// Another end of TLS, in front of this port.
    fn front(&self, port: u16) -> SocketAddr {
        front(&self.runtime, self.acceptor.clone(), port)
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://localhost:{}/openicf", self.address.port())
    }
}

/// Speaks TLS, and plain TCP to this port.
fn front(runtime: &tokio::runtime::Runtime, acceptor: TlsAcceptor, port: u16) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.expect("the IDM listens");
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

const TRUST: [&str; 2] = ["trustStoreFile=security/truststore.pkcs12", "trustStorePass=changeit"];
const OWN: [&str; 2] = ["keyStoreFile=security/keyStore.pkcs12", "keyStorePass=changeit"];

/// P20-P26: PKCS12 and PEM, and a certificate of the node's own where the peer asks for one.
#[test]
fn stores_of_both_kinds_are_used() {
    let peer = TlsIdm::start(Certificates::Required);
    let scratch = Scratch::new();
    scratch.file("security/truststore.pkcs12", trust_store(&peer.own));
    scratch.file("security/keyStore.pkcs12", key_store(&peer.nodes));
    let node = Dialling::start_in(scratch, &peer.url(), &[&TRUST[..], &OWN[..]].concat());
    peer.idm.await_sockets(3);
    drop(node);

    let peer = TlsIdm::start(Certificates::NotAsked);
    let scratch = Scratch::new();
    scratch.file("security/ca.pem", pem(&peer.own));
    let properties = ["trustStoreFile=security/ca.pem", "trustStoreType=PEM"];
    let _node = Dialling::start_in(scratch, &peer.url(), &properties);
    peer.idm.await_sockets(3);
}

/// S02, P16: each mismatch has its sentence.
#[test]
fn what_does_not_fit_is_told_in_words() {
    let asking = TlsIdm::start(Certificates::Required);
    // A peer without TLS hangs up on a hello.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let plain_port = plain.local_addr().expect("an address").port();
    std::thread::spawn(move || plain.incoming().for_each(drop));
    let trust = |peer: &CertifiedKey<KeyPair>| {
        let scratch = Scratch::new();
        scratch.file("security/truststore.pkcs12", trust_store(peer));
        scratch
    };
    let started = [
        // Both certificates have the same subject, so the one in the store is taken for the issuer's.
        (trust(&certificate("localhost")), asking.url(), "the TLS handshake failed: the certificate"),
        (trust(&asking.own), asking.url().replace("localhost", "127.0.0.1"), "not for \"127.0.0.1\""),
        (trust(&asking.own), asking.url().replace("wss", "ws"), "wss:// in connectorserver.url"),
        (
            trust(&asking.own),
            format!("wss://localhost:{plain_port}/openicf"),
            "write ws:// in connectorserver.url",
        ),
    ]
    .map(|(scratch, url, says)| (Dialling::start_in(scratch, &url, &TRUST), says));
    for (node, says) in &started {
        node.await_log(says);
    }
}

/// P39, M04: the client sample runs as it is, but for its placeholders. All that it says is used: the OAuth2 client over TLS as well.
#[test]
fn the_vendors_client_sample_runs() {
    let peer = TlsIdm::start(Certificates::Required);
    let server = server(|manner| manner.clients = vec![("my-client-id".to_owned(), secret())]);
    let gate = Gate::before(&peer.idm, &server);
    let idm_port = peer.front(gate.port()).port();
    let endpoint_port = peer.front(server.address().port()).port();
    let scratch = Scratch::new();
    let mut sample = String::from_utf8(CLIENT_SAMPLE.to_vec()).expect("text");
    for (placeholder, value) in [
        ("wss://my-tenant.forgeblocks.com:8443", format!("wss://localhost:{idm_port}")),
        ("https://my-tenant.forgeblocks.com", format!("https://localhost:{endpoint_port}")),
        ("my-client-secret", secret()),
    ] {
        assert!(sample.contains(placeholder), "{placeholder}");
        sample = sample.replace(placeholder, &value);
    }
    let file = scratch.file("conf/ConnectorServer.properties", sample);
    scratch.file("security/truststore.pkcs12", trust_store(&peer.own));
    scratch.file("security/keyStore.pkcs12", key_store(&peer.nodes));
    let mut command = rcs_node();
    command.args(["serve", "--properties", text(&file)]).env("RCS_LOG", "trace");
    let node = Process::start("rcs-node", command);
    assert_eq!(node.read_line("the ready line", PATIENCE), "ready client myConnectorServer");
    peer.idm.await_sockets(1);
    assert!(gate.told(101) > 0 && gate.told(401) == 0, "{node}");
    let asked = server.asked("/am/oauth2/realms/root/realms/alpha/access_token");
    assert_eq!((asked.len(), asked[0].field("scope")), (1, Some("fr:idm:*")));
    judge(&node);
}

/// P39: so does the server sample.
#[test]
fn the_vendors_server_sample_runs() {
    let scratch = Scratch::new();
    let own = certificate("localhost");
    let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
    scratch.file("security/truststore.pkcs12", trust_store(&own));
    scratch.file("security/keyStore.pkcs12", key_store(&own));
    let mut command = rcs_node();
    // Another test may have the port of the sample.
    command.args(["serve", "--dev", "--properties", text(&file), "-D", "connectorserver.port=0"]);
    let node = Process::start("rcs-node", command);
    assert!(node.read_line("the ready line", PATIENCE).starts_with("ready 0.0.0.0:"));
}
