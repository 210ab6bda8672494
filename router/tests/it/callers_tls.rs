//! Callers that speak TLS: `--listen wss://ADDR`, the router's certificate and its renewal, and callers with certificates (S01, S04, P11).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rcs_proto::driver::WebSocket;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialError, DialTarget, DialTls, dial};
use rcs_proto::driver::endpoint::{Caller, EndpointConfig};
use rcs_proto::driver::tls::{Identity, Pins, client_config};
use rcs_proto::icf::Secret;
use rcs_proto::messages::{ConnectorKey, Locale, OperationRequest, TestOpRequest};
use rcs_rig::provider::Provider;
use rcs_rig::scripted::raw_exchange;
use rcs_rig::wait::wait_until;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, file, member, pem, provider, router, run, scratch};

/// A certificate with its key.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

pub(crate) fn made(common: &str, days: i64, issuer: Option<&Issuer<'_, &KeyPair>>) -> Made {
    let mut params =
        CertificateParams::new(vec!["127.0.0.1".to_owned(), format!("{common}.example")]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let now = std::time::SystemTime::now();
    let end = if days < 0 {
        now - day * days.unsigned_abs().try_into().unwrap()
    } else {
        now + day * days.try_into().unwrap()
    };
    params.not_before = (end - day * 400).into();
    params.not_after = (end + day / 2).into();
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        None => params.self_signed(&key).unwrap(),
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
    };
    Made {
        certificate: pem("CERTIFICATE", certificate.der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
        der: certificate.der().clone(),
    }
}

fn basic(principal: &str) -> DialAuthorization {
    let secret = Secret::new("changeit".to_owned());
    DialAuthorization::Basic(Credentials { principal: principal.to_owned(), secret })
}

/// What a client that trusts this certificate sends first.
pub(crate) fn hello(trusted: &Made) -> Vec<u8> {
    let config = client_config(std::slice::from_ref(&trusted.der), Pins::ForNamesItHas).unwrap();
    let mut client = rustls::ClientConnection::new(config, "127.0.0.1".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A router with a plain address and one with TLS.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) router: Router,
    pub(crate) tls: SocketAddr,
    pub(crate) runtime: tokio::runtime::Runtime,
    _member: rcs_rig::scripted::FakeMember,
}

impl Site {
    pub(crate) fn new(own: &Made, more: &[&str]) -> Self {
        Self::with(own, more, |document| document)
    }

    /// With more in the provider document.
    pub(crate) fn with(own: &Made, more: &[&str], change: impl FnOnce(Provider) -> Provider) -> Self {
        let folder = scratch();
        let member = member("n1");
        let document = Provider::new().server("n1", member.port(), 1).group("g", "roundrobin", &["n1"]);
        let document = change(document).write(folder.path());
        let (certificate, key) =
            (file(&folder, "tls.crt", &own.certificate), file(&folder, "tls.key", &own.key));
        let mut command =
            router(&["serve", "--dev", "--provider", document.to_str().unwrap(), "--admin", "127.0.0.1:0"]);
        command.args(["--listen", "127.0.0.1:0", "--listen", "wss://127.0.0.1:0=g"]);
        command.args(["--tls-cert", &certificate, "--tls-key", &key]).args(more);
        let router = Router::start(command);
        router.await_ready();
        let word = |word: &str| word.strip_prefix("listen=wss://")?.strip_suffix("=g")?.parse().ok();
        let tls = router
            .ready
            .split(' ')
            .find_map(word)
            .unwrap_or_else(|| panic!("no TLS address in {:?}", router.ready));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { folder, router, tls, runtime, _member: member }
    }

    pub(crate) fn target(&self, trusted: &Made, shown: Option<&Made>) -> DialTarget {
        let mut config = ClientConfig::clone(
            &client_config(std::slice::from_ref(&trusted.der), Pins::ForNamesItHas).unwrap(),
        );
        if let Some(shown) = shown {
            config.client_auth_cert_resolver =
                Identity::from_pem(shown.certificate.as_bytes(), shown.key.as_bytes()).unwrap().resolver();
        }
        DialTarget {
            host: "127.0.0.1".to_owned(),
            port: self.tls.port(),
            path: "/openicf".to_owned(),
            tls: Some(DialTls { config: Arc::new(config), server_name: None }),
            authorization: basic("idm"),
            connect_timeout: PATIENCE,
        }
    }

    pub(crate) fn dial(&self, trusted: &Made, shown: Option<&Made>) -> Result<WebSocket, DialError> {
        self.runtime.block_on(dial(&self.target(trusted, shown))).map(|(socket, _)| socket)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }
}

#[test]
fn callers_with_and_without_tls_are_told_apart() {
    let own = made("router", 300, None);
    let site = Site::new(&own, &[]);
    site.router.await_log("Peers must trust this certificate itself (self-signed, \"CN=router\")");
    site.dial(&own, None).expect("the certificate is trusted");

    // Without TLS at the address with TLS: the caller and the log are told.
    let answer = raw_exchange(site.tls, b"GET /openicf HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(
        answer.head.starts_with("HTTP/1.1 400 this address speaks TLS: dial it with useSSL"),
        "{answer:?}"
    );
    assert!(answer.closed && answer.body.contains("this address speaks TLS"), "{answer:?}");
    site.router.await_log("the peer does not speak TLS, but this listener does");
    // With TLS at the plain address.
    let mut plain = Site { tls: site.router.listen, ..site };
    let error = plain.dial(&own, None).map(drop).unwrap_err();
    assert!(matches!(error, DialError::NoTlsAnswer | DialError::PlainPeer), "{error}");
    plain.router.await_log("the peer speaks TLS, but this listener has none");
    // A caller that does not trust the router is told of in the log with the way out.
    let word = |word: &str| word.strip_prefix("listen=wss://")?.strip_suffix("=g")?.parse().ok();
    plain.tls = plain.router.ready.split(' ').find_map(word).unwrap();
    plain.dial(&made("other", 300, None), None).map(drop).unwrap_err();
    plain.router.await_log("the peer does not trust the certificate of this listener");
}

/// P11: a new certificate is used for new connections, open ones stay, and a bad pair changes nothing.
#[test]
fn a_new_certificate_is_in_force_without_a_dropped_socket() {
    let (old, new, ended) = (made("old", 10, None), made("new", 300, None), made("ended", -10, None));
    let site = Site::new(&old, &[]);
    site.router.await_log("the certificate of \"CN=old\" ends on ");
    let server = format!("http://{}", site.router.admin);
    let status = run(&["status", "--server", &server]);
    assert!(
        status.stdout.contains("warning: the router's certificate: the certificate of \"CN=old\" ends on"),
        "{status:?}"
    );
    let ends = |subject: &str| {
        let name = "rcs_own_certificate_not_after_timestamp_seconds";
        rcs_rig::metrics::Metrics::scrape(site.router.admin).sum(name, &[("subject", subject)])
    };
    assert!(ends("CN=old") > 1.7e9);
    let config = EndpointConfig::new(EndpointConfig::random_identity());
    let caller = site.runtime.block_on(Caller::connect(site.target(&old, None), 1, config)).unwrap();
    let asked = || {
        let key = ConnectorKey {
            bundle_name: "bundle".to_owned(),
            bundle_version: "1.0".to_owned(),
            connector_name: "none".to_owned(),
        };
        let call = OperationRequest {
            connector_key: Some(key),
            connector_facade_key: Bytes::from_static(b"facade"),
            locale: Some(Locale { language: "en".to_owned(), ..Default::default() }),
            test: Some(TestOpRequest {}),
            ..Default::default()
        };
        site.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, caller.ask(call)).await })
            .expect("an answer in time")
    };
    assert!(asked().is_ok());

    // Half of a pair, then a pair that has ended, then rubbish.
    site.write("tls.crt", &new.certificate);
    site.router.await_log("the private key does not belong to the certificate of \"CN=new\"");
    site.write("tls.crt", &ended.certificate);
    site.write("tls.key", &ended.key);
    site.router.await_log("expired on");
    site.write("tls.key", "rubbish");
    site.router.await_log("no private key in PEM form");
    assert!(site.router.get("/v1/files").1.contains("no private key"), "{:?}", site.router.get("/v1/files"));
    site.dial(&old, None).expect("the old pair is still in force");
    site.write("tls.crt", &new.certificate);
    site.write("tls.key", &new.key);
    wait_until("the new certificate is shown", PATIENCE, || site.dial(&new, None).is_ok());
    site.dial(&old, None).map(drop).unwrap_err();
    assert!(ends("CN=old") == 0.0 && ends("CN=new") > 1.7e9);
    assert!(!run(&["status", "--server", &server]).stdout.contains("warning"));
    let status = site.router.get("/v1/status").1;
    assert!(status.contains(r#""own_certificate":{"subject":"CN=new""#), "{status}");
    // The caller trusts the old certificate only, so it could not have dialled again.
    assert!(asked().is_ok(), "its socket is open");
    site.runtime.block_on(caller.close());
}

/// A secret that Kubernetes mounts: all files change at once, by a link to a folder.
#[test]
fn a_mounted_secret_is_followed() {
    let (old, new) = (made("old", 300, None), made("new", 300, None));
    let mounted = scratch();
    let put = |version: &str, made: &Made| {
        let folder = mounted.path().join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tls.crt"), &made.certificate).unwrap();
        fs::write(folder.join("tls.key"), &made.key).unwrap();
        std::os::unix::fs::symlink(version, mounted.path().join("..new")).unwrap();
        fs::rename(mounted.path().join("..new"), mounted.path().join("..data")).unwrap();
    };
    put("..1", &old);
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(Path::new("..data").join(name), mounted.path().join(name)).unwrap();
    }
    let path = |name: &str| mounted.path().join(name).to_str().unwrap().to_owned();
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let mut command =
        router(&["serve", "--dev", "--provider", document.to_str().unwrap(), "--admin", "127.0.0.1:0"]);
    command.args(["--listen", "127.0.0.1:0,wss://127.0.0.1:0"]);
    command.args(["--tls-cert", &path("tls.crt"), "--tls-key", &path("tls.key")]);
    let router = Router::start(command);
    put("..2", &new);
    router.await_log("the router's certificate changed and is in force for new connections");
    assert!(!router.process.said_on_stderr("nothing was changed"), "{}", router.process);
}

/// S04: callers prove themselves by certificates too.
#[test]
fn callers_are_asked_for_certificates() {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Our CA");
    let authority = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
    let (own, idm) =
        (made("router", 300, None), made("idm1", 300, Some(&Issuer::from_params(&params, &key))));
    let stranger = made("stranger", 300, None);
    let folder = scratch();
    let clients = file(&folder, "clients.pem", &authority);
    let site = Site::new(&own, &["--client-ca", &clients]);
    site.dial(&own, Some(&idm)).expect("the authority is trusted");
    let error = site.dial(&own, None).map(drop).unwrap_err();
    assert!(error.to_string().contains("asks for a certificate that it trusts"), "{error}");
    site.router.await_log("the peer showed no certificate, and this listener asks for one");
    // Of refusals of one kind within a second, a router logs the first one. So another router is asked.
    let site = Site::new(&own, &["--client-ca", &clients]);
    site.dial(&own, Some(&stranger)).map(drop).unwrap_err();
    site.router.await_log("\"CN=stranger\" is signed by itself, and is not trusted here");
    // The file of authorities is followed too.
    fs::write(&clients, format!("{authority}{}", stranger.certificate)).unwrap();
    wait_until("the pinned certificate is accepted", PATIENCE, || site.dial(&own, Some(&stranger)).is_ok());
}

#[test]
fn options_that_do_not_go_together_are_named() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let document = document.to_str().unwrap();
    let own = made("router", 300, None);
    let certificate = file(&folder, "tls.crt", &own.certificate);
    let bad = file(&folder, "bad.key", "rubbish");
    let serve = ["serve", "--dev", "--provider", document, "--admin", "127.0.0.1:0"];
    for (more, code, part) in [
        (
            &["--listen", "wss://127.0.0.1:0"][..],
            64,
            "--listen wss://127.0.0.1:0 needs a certificate: add --tls-cert",
        ),
        (&["--client-ca", &certificate], 64, "--client-ca needs a certificate of the router"),
        (&["--tls-cert", &certificate], 64, "--tls-key"),
        (&["--tls-cert", &certificate, "--tls-key", &bad], 65, "no private key in PEM form"),
        (&["--key-store", "/nowhere/keys.p12"], 65, "the key store /nowhere/keys.p12 cannot be read"),
    ] {
        let ran = run(&[&serve[..], more].concat());
        assert!(ran.code == Some(code) && ran.stderr.contains(part), "{more:?}: {ran:?}");
    }
    let check =
        run(&["check", "--dev", "--provider", document, "--tls-cert", &certificate, "--tls-key", &bad]);
    assert!(check.code == Some(65) && check.stderr.contains("no private key"), "{check:?}");
}

/// 10,000 handshakes that their peers never finish: half of the peers stop within their hello, the others behind it. A caller and a member in
/// client mode get in beside them, and an open socket does not notice.
#[test]
fn handshakes_that_nobody_finishes_keep_nobody_out() {
    const HANDSHAKES: usize = 10_000;
    rcs_proto::driver::descriptors::Descriptors::raise().unwrap();
    let own = made("router", 300, None);
    let site = Site::with(&own, &[], |document| document.client("onprem"));
    let open = site.dial(&own, None).unwrap();
    let hello = hello(&own);
    let used = || rcs_rig::metrics::Metrics::scrape(site.router.admin).sum("process_cpu_seconds_total", &[]);
    let (before, began) = (used(), std::time::Instant::now());
    let mut unfinished = Vec::new();
    for number in 0..HANDSHAKES {
        // A peer whose place went to another one is closed by the router. So one that cannot be opened or written to does not matter.
        let Ok(mut stream) = std::net::TcpStream::connect(site.tls) else { continue };
        let sent = if number % 2 == 0 { &hello[..hello.len() / 2] } else { &hello[..] };
        let _ = std::io::Write::write_all(&mut stream, sent);
        unfinished.push(stream);
        if number % 2_500 == 2_499 {
            site.dial(&own, None)
                .map(drop)
                .unwrap_or_else(|error| panic!("beside {number} handshakes: {error}"));
        }
    }
    site.dial(&own, None).expect("beside all of them");
    let mut member = site.target(&own, None);
    member.authorization = basic("onprem");
    let _member = site.runtime.block_on(dial(&member)).expect("a member in client mode, at the same address");
    let of_members =
        || rcs_rig::metrics::Metrics::scrape(site.router.admin).sum("rcs_sockets", &[("side", "upstream")]);
    wait_until("the router has the members' sockets, dialled and accepted", PATIENCE, || of_members() >= 2.0);
    println!(
        "{} unfinished handshakes in {:?} took {:.2} s of processor time",
        unfinished.len(),
        began.elapsed(),
        used() - before
    );
    assert_eq!(site.router.get("/livez").0, 200);
    drop((open, unfinished));
}
