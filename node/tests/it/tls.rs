//! The listener over TLS (S01, S02, S05, P23-P26).

use std::net::SocketAddr;
use std::sync::Arc;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialError, DialTarget, DialTls};
use rcs_proto::driver::endpoint::{Caller, ConnectError, EndpointConfig};
use rcs_proto::icf::Secret;
use rcs_rig::wait::wait_until;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::serving::Serving;
use crate::support::{PATIENCE, Scratch};

/// A PKCS12 store with a fresh self-signed key pair for `localhost`, and its certificate.
fn store() -> (Vec<u8>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = Certificate::from_der(made.cert.der()).expect("a certificate");
    let key = PrivateKey::from_der(&made.signing_key.serialize_der()).expect("a PKCS8 key");
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(&b"1"[..], key, [certificate]);
    store.add_entry("icf-rcs", KeyStoreEntry::PrivateKeyChain(chain));
    (store.writer("changeit").write().expect("a store"), made.cert.der().clone())
}

/// A node that speaks TLS, and its certificate.
fn node() -> (Serving, CertificateDer<'static>) {
    let scratch = Scratch::new();
    let (bytes, certificate) = store();
    scratch.file("security/keyStore.pkcs12", bytes);
    let properties = "connectorserver.useSSL=true\nconnectorserver.keyStoreFile=security/keyStore.pkcs12\n\
                      connectorserver.keyStoreType=PKCS12\nconnectorserver.keyStorePass=changeit\n\
                      connectorserver.keyPass=changeit\n";
    (Serving::with(scratch, properties, &["--dev"]), certificate)
}

fn target(address: SocketAddr, trusted: Option<CertificateDer<'static>>) -> DialTarget {
    let mut roots = RootCertStore::empty();
    let tls = trusted.map(|certificate| {
        roots.add(certificate).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        DialTls { config: Arc::new(config), server_name: Some("localhost".to_owned()) }
    });
    DialTarget {
        host: address.ip().to_string(),
        port: address.port(),
        path: "/openicf".to_owned(),
        tls,
        authorization: DialAuthorization::Basic(Credentials {
            principal: "anonymous".to_owned(),
            secret: Secret::new("changeit".to_owned()),
        }),
        connect_timeout: PATIENCE,
    }
}

async fn connect(target: DialTarget) -> Result<Caller, ConnectError> {
    Caller::connect(target, 2, EndpointConfig::new(EndpointConfig::random_identity())).await
}

#[tokio::test]
async fn a_caller_that_trusts_the_certificate_is_served() {
    let (node, certificate) = node();
    let caller = connect(target(node.address, Some(certificate))).await.expect("a session over TLS");
    assert!(!caller.connector_infos().await.expect("a list").is_empty());
    caller.close().await;
}

/// S02, C07: each mismatch has its sentence, at this end or in the node's log.
#[tokio::test]
async fn mismatches_are_told() {
    let (node, _) = node();
    let (_, stranger) = store();
    let error = connect(target(node.address, Some(stranger))).await.expect_err("not trusted");
    assert!(matches!(error, ConnectError::Dial(DialError::Tls(_))), "{error}");
    let error = connect(target(node.address, None)).await.expect_err("plain to TLS");
    assert!(matches!(error, ConnectError::Dial(_)), "{error}");
    let log = || node.process.said_on_stderr("the peer does not speak TLS, but this listener does");
    wait_until("the node's log names the mismatch", PATIENCE, log);

    let plain = Serving::start();
    let (_, certificate) = store();
    let error = connect(target(plain.address, Some(certificate))).await.expect_err("TLS to plain");
    assert!(matches!(error, ConnectError::Dial(_)), "{error}");
    let log = || plain.process.said_on_stderr("the peer speaks TLS, but this listener has none");
    wait_until("the node's log names the mismatch", PATIENCE, log);
}
