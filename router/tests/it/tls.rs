//! Members behind TLS: trusted by the operator's store, or not at all (S01, S02, C07).

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, DnType, IsCa, KeyPair, generate_simple_self_signed,
};
use rcs_rig::scripted::FakeMember;
use rcs_rig::wait::wait_until;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{PATIENCE, Router, file, member, pem, provider, run, scratch};

/// A TLS end in front of a member, for as long as the runtime lives.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    pub(crate) certificate_pem: String,
    _runtime: tokio::runtime::Runtime,
}

impl TlsFront {
    pub(crate) fn start(member: &FakeMember) -> Self {
        Self::with(member, generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap())
    }

    pub(crate) fn with(member: &FakeMember, pair: CertifiedKey<KeyPair>) -> Self {
        let CertifiedKey { cert, signing_key } = pair;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(forward(listener, TlsAcceptor::from(Arc::new(config)), member.port()));
        Self { address, certificate_pem: pem("CERTIFICATE", cert.der()), _runtime: runtime }
    }
}

async fn forward(listener: TcpListener, acceptor: TlsAcceptor, port: u16) {
    while let Ok((outer, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A dialler that does not trust us ends here.
            let Ok(mut outer) = acceptor.accept(outer).await else { return };
            let Ok(mut inner) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

fn document(port: u16) -> String {
    format!(
        r#"{{"remoteConnectorServers": [{{"name": "n1", "host": "127.0.0.1", "port": {port}, "key": "changeit", "useSSL": true}}]}}"#
    )
}

#[test]
fn a_member_with_a_trusted_certificate_is_used() {
    let (folder, member) = (scratch(), member("n1"));
    let front = TlsFront::start(&member);
    let provider = file(&folder, "provider.json", &document(front.address.port()));
    let trust = file(&folder, "trust.pem", &front.certificate_pem);
    let router = Router::serve(provider.as_ref(), &["--dev", "--trust-store", &trust]);
    router.await_ready();
}

#[test]
fn a_member_with_another_certificate_is_not() {
    let (folder, member) = (scratch(), member("n1"));
    let front = TlsFront::start(&member);
    let provider = file(&folder, "provider.json", &document(front.address.port()));
    let other = pem("CERTIFICATE", generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.der());
    let trust = file(&folder, "trust.pem", &other);
    let router = Router::serve(provider.as_ref(), &["--dev", "--trust-store", &trust]);
    router.await_log("TLS");
    assert_eq!(router.get("/readyz").0, 503);
    assert!(member.sockets().is_empty(), "nothing was said to it");
}

/// Certificates as `keytool -genkeypair -dname CN=127.0.0.1` and `openssl req -x509` make them: without subjectAltName, or marked as an
/// authority's own.
fn as_the_vendors_pages_make_them(common: &str) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

/// S02: a certificate in the trust store is trusted for its names, and the router follows the store.
#[test]
fn a_certificate_as_the_vendors_pages_make_it_is_trusted_when_it_is_in_the_store() {
    let (folder, member) = (scratch(), member("n1"));
    let pair = as_the_vendors_pages_make_them("127.0.0.1");
    let der = pair.cert.der().to_vec();
    let front = TlsFront::with(&member, pair);
    let provider = file(&folder, "provider.json", &document(front.address.port()));
    let other = pem("CERTIFICATE", generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.der());
    let trust = file(&folder, "trust", &other);
    let router = Router::serve(provider.as_ref(), &["--dev", "--trust-store", &trust]);
    router.await_log("add this");
    std::fs::write(&trust, b"junk").unwrap();
    router.await_log("holds no certificate");
    std::fs::write(&trust, der).unwrap();
    router.await_log("the trust store changed");
    wait_until("the member is in use", PATIENCE, || router.get("/readyz").0 == 200);
}

/// A certificate that ends within 30 days is told by the metric, `status`, `check` and the log.
#[test]
fn a_certificate_that_ends_soon_is_told_wherever_an_operator_looks() {
    let (folder, member) = (scratch(), member("n1"));
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "rcs1");
    params.serial_number = Some(vec![0x0B].into());
    let end = std::time::SystemTime::now() + std::time::Duration::from_secs(10 * 24 * 60 * 60 + 600);
    params.not_after = end.into();
    let signing_key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&signing_key).unwrap();
    let front = TlsFront::with(&member, CertifiedKey { cert, signing_key });
    let provider = file(&folder, "provider.json", &document(front.address.port()));
    let trust = file(&folder, "trust.pem", &front.certificate_pem);
    let router = Router::serve(provider.as_ref(), &["--dev", "--trust-store", &trust]);
    router.await_ready();
    let sentence = "the certificate of \"CN=rcs1\" ends on ";
    router.await_log("in 10 days; from then on a member that shows it is refused");
    let server = format!("http://{}", router.admin);
    let status = run(&["status", "--server", &server]);
    assert!(status.code == Some(0) && status.stdout.contains(&format!("warning: {sentence}")), "{status:?}");
    let check = run(&["check", "--dev", "--provider", &provider, "--trust-store", &trust]);
    assert!(check.code == Some(0) && check.stdout.contains(sentence), "{check:?}");
    let labels = [("member", ""), ("subject", "CN=rcs1"), ("serial", "0b")];
    let name = "rcs_certificate_not_after_timestamp_seconds";
    let shown = || rcs_rig::metrics::Metrics::scrape(router.admin).sum(name, &labels);
    let expected = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((shown() - expected).abs() < 2.0, "{} {expected}", shown());

    // With a new store the old certificate is gone.
    let other = pem("CERTIFICATE", generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.der());
    std::fs::write(&trust, other).unwrap();
    wait_until("the old certificate is gone", PATIENCE, || shown() == 0.0);
    assert!(!run(&["status", "--server", &server]).stdout.contains("warning"));
}

#[test]
fn a_certificate_for_another_name_is_told_and_trusted_from_the_one_member_it_is_given_for() {
    let (folder, member) = (scratch(), member("n1"));
    let front = TlsFront::with(&member, as_the_vendors_pages_make_them("rcs1.example.com"));
    let provider = file(&folder, "provider.json", &document(front.address.port()));
    let trust = file(&folder, "trust.pem", &front.certificate_pem);
    let config = file(&folder, "router.toml", "");
    let router = Router::serve(provider.as_ref(), &["--dev", "--trust-store", &trust, "--config", &config]);
    router.await_log("rcs1.example.com");
    router.await_log("not for");
    std::fs::write(&config, format!("[member.n1]\ntrust_store = {trust:?}\n")).unwrap();
    wait_until("the member is in use", PATIENCE, || router.get("/readyz").0 == 200);
}

/// The same of an IDM that the router dials: the trust store of its table counts, and is followed.
#[test]
fn a_dialled_idm_is_trusted_by_the_store_of_its_table() {
    let (folder, server, idm) = (scratch(), member("n1"), member("idm"));
    let front = TlsFront::start(&idm);
    let provider = provider(&folder, &[("n1", &server)]);
    let key = file(&folder, "key", "the-key\n");
    let other = pem("CERTIFICATE", generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.der());
    let trust = file(&folder, "trust.pem", &other);
    let config = format!(
        "[idm.cloud]\nurl = \"wss://{}\"\nkey_file = {key:?}\ntrust_store = {trust:?}\nhousekeeping_interval = \"1s\"\n",
        front.address
    );
    let config = file(&folder, "router.toml", &config);
    let router = Router::serve(&provider, &["--dev", "--config", &config]);
    router.await_log("no connection: the TLS handshake failed");
    assert!(idm.sockets().is_empty(), "nothing was said to it");
    file(&folder, "trust.pem", &front.certificate_pem);
    assert_eq!(idm.await_sockets(3).len(), 3);
}

/// A stranger in the place of a member with TLS, or of an IDM with `wss://`, answers without TLS. The router does not go on without TLS: the
/// stranger hears a hello of TLS, and neither a name nor a key.
#[test]
fn whoever_answers_without_tls_gets_no_key() {
    let folder = scratch();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (mut stream, mut said) = (stream, [0; 4096]);
            let length = stream.read(&mut said).unwrap_or(0);
            let _ = stream.write_all(
                b"HTTP/1.1 301 Elsewhere\r\nLocation: ws://127.0.0.1:1/openicf\r\nContent-Length: 0\r\n\r\n",
            );
            let more = stream.read(&mut said[length..]).unwrap_or(0);
            let _ = told.send(said[..length + more].to_vec());
        }
    });
    let provider = file(&folder, "provider.json", &document(address.port()));
    let key = file(&folder, "key", "the-key\n");
    let trust = file(
        &folder,
        "trust.pem",
        &pem("CERTIFICATE", generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.der()),
    );
    let config = format!(
        "[idm.cloud]\nurl = \"wss://{address}/openicf\"\nkey_file = {key:?}\nhousekeeping_interval = \"1s\"\n"
    );
    let config = file(&folder, "router.toml", &config);
    let router = Router::serve(provider.as_ref(), &["--dev", "--trust-store", &trust, "--config", &config]);
    router.await_log("the peer does not speak TLS; clear useSSL here");
    router.await_log("the peer does not speak TLS: write ws:// in url");
    for _ in 0..6 {
        let said = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(said.first(), Some(&0x16), "a hello of TLS");
        let text = String::from_utf8_lossy(&said);
        assert!(!["GET ", "Authorization", "openicf"].iter().any(|part| text.contains(part)), "{text}");
    }
}
