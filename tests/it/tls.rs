//! The published framework over TLS on both ends, each with a certificate that the other end asks for (S01, S04, S06).

use std::path::Path;
use std::process::Command;

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::{ClientRcs, Rcs};
use rcs_rig::router::Router;
use rcs_rig::wait::wait_until;
use rcs_rig::workspace;
use tempfile::TempDir;

use crate::bounds::PATIENCE;

fn keytool(folder: &Path, arguments: &str) {
    let mut command = Command::new("keytool");
    command.current_dir(folder).args(arguments.split(' ')).args(["-storepass", "changeit", "-noprompt"]);
    let output = command.output().expect("keytool comes with Java");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "keytool {arguments}: {}", String::from_utf8_lossy(&said));
}

/// Stores of keytool: those of the router and of the Java peers, each with its own certificate and the other's.
struct Stores {
    scratch: TempDir,
}

impl Stores {
    fn make() -> Self {
        let scratch = workspace::scratch();
        let folder = scratch.path();
        for (who, kind) in [("router", "EC -groupname secp256r1"), ("java", "RSA -keysize 2048")] {
            keytool(
                folder,
                &format!(
                    "-genkeypair -alias {who} -keyalg {kind} -dname CN={who} -ext san=ip:127.0.0.1 -storetype PKCS12 -keystore {who}.p12"
                ),
            );
            keytool(folder, &format!("-exportcert -rfc -alias {who} -keystore {who}.p12 -file {who}.pem"));
        }
        keytool(folder, "-importcert -alias router -file router.pem -storetype PKCS12 -keystore trust.p12");
        Self { scratch }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }

    /// A router that shows its certificate, and asks for those of Java peers.
    fn router(&self, provider: &Path, more: &[&str]) -> Router {
        let (store, java) = (self.path("router.p12"), self.path("java.pem"));
        let options = [
            "--listen",
            "wss://127.0.0.1:0",
            "--key-store",
            &store,
            "--client-ca",
            &java,
            "--trust-store",
            &java,
        ];
        Router::start_with(provider, &[&options[..], more].concat())
    }
}

/// IDM (wss, with a certificate) -> router -> RCS (TLS, asks for a certificate), with stores of keytool.
#[test]
fn java_peers_and_the_router_prove_themselves_to_each_other() {
    let Some(java) = Java::or_skip("tls::java_peers_and_the_router_prove_themselves_to_each_other") else {
        return;
    };
    let stores = Stores::make();
    let folder = stores.scratch.path();
    let member = Rcs::start_with_tls(&java, "n1", &folder.join("java.p12"), &folder.join("trust.p12"));
    let document = format!(
        r#"{{"remoteConnectorServers": [{{"name": "n1", "host": "127.0.0.1", "port": {}, "key": "changeit", "useSSL": true}}],
            "remoteConnectorServersGroups": [{{"name": "g", "algorithm": "failover", "serversList": [{{"name": "n1"}}]}}]}}"#,
        member.port()
    );
    let provider = folder.join("provider.json");
    std::fs::write(&provider, document).expect("the scratch folder can be written");
    let router = stores.router(&provider, &[]);
    router.await_up("g", &["n1"]);
    let (own, trusted) = (stores.path("java.p12"), stores.path("trust.p12"));
    let mut idm =
        Idm::start_with(&java, &router.tls_url("g"), &["--keystore", &own, "--truststore", &trusted]);
    let connectors = idm.ask("connectors 2 20");
    assert!(connectors.starts_with("ok "), "{connectors}");
}

/// A Java IDM and a Java server in client mode whose certificates, in stores of keytool, are all that proves them: their keys are those that
/// everybody knows. A store whose certificate has no entry is refused.
#[test]
fn java_peers_are_known_by_their_certificates() {
    let Some(java) = Java::or_skip("tls::java_peers_are_known_by_their_certificates") else {
        return;
    };
    let scratch = workspace::scratch();
    let folder = scratch.path();
    let path = |name: &str| folder.join(name).display().to_string();
    for who in ["router", "idm", "rcs", "nobody"] {
        let line = format!(
            "-genkeypair -alias {who} -keyalg EC -groupname secp256r1 -dname CN={who} -ext san=ip:127.0.0.1,dns:{who}.example -storetype PKCS12 \
             -keystore {who}.p12"
        );
        keytool(folder, &line);
        keytool(folder, &format!("-exportcert -rfc -alias {who} -keystore {who}.p12 -file {who}.pem"));
    }
    keytool(folder, "-importcert -alias router -file router.pem -storetype PKCS12 -keystore trust.p12");
    let trusted: String = ["idm", "rcs", "nobody"]
        .map(|who| std::fs::read_to_string(path(&format!("{who}.pem"))).expect("keytool wrote it"))
        .concat();
    std::fs::write(path("clients.pem"), trusted).expect("the scratch folder can be written");
    let fingerprint = Command::new("keytool")
        .current_dir(folder)
        .args(["-list", "-keystore", "idm.p12", "-storepass", "changeit"])
        .output()
        .expect("keytool comes with Java");
    let listed = String::from_utf8_lossy(&fingerprint.stdout).into_owned();
    let fingerprint = listed.rsplit("(SHA-256):").next().unwrap_or_default().trim().to_owned();
    std::fs::write(
        path("credentials.toml"),
        format!(
            "[caller.idm]\ncertificates = [\"sha256:{fingerprint}\"]\ngroups = [\"*\"]\n[member.far]\ncertificates = [\"dns:rcs.example\"]\n"
        ),
    )
    .expect("the scratch folder can be written");
    let provider = Provider::new().client("far").group("g", "failover", &["far"]).write(folder);
    let (store, clients, credentials) = (path("router.p12"), path("clients.pem"), path("credentials.toml"));
    let router = Router::start_with(
        &provider,
        &[
            "--listen",
            "wss://127.0.0.1:0",
            "--key-store",
            &store,
            "--client-ca",
            &clients,
            "--credentials",
            &credentials,
        ],
    );
    let store = |who: &str| {
        ["--keystore".to_owned(), path(&format!("{who}.p12")), "--truststore".to_owned(), path("trust.p12")]
    };
    let url = router.tls_url("g").replace("/openicf/g", "/openicf");
    let mut rcs = java.peer("rcs-client", "far");
    rcs.args(["--url", &url, "--bundles", &java.bundles()]).args(store("rcs"));
    let _rcs = Process::start("Java RCS far", rcs);
    router.await_up("g", &["far"]);
    let options = store("idm");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut idm = Idm::start_with(&java, &router.tls_url("g"), &options);
    let connectors = idm.ask("connectors 1 20");
    assert!(connectors.starts_with("ok "), "{connectors}");

    let mut nobody = java.peer("idm-connect", "idm");
    nobody.args(["--url", &router.tls_url("g"), "--principal", "idm"]).args(store("nobody"));
    let nobody = Process::start("Java IDM with a certificate of nobody", nobody);
    let told = nobody.read_line("what became of it", PATIENCE);
    assert!(told.contains("Response code was not 101: 403"), "{told}");
    println!("Java was told: {told}");
}

/// The other direction: IDM (wss, asks for a certificate) <- router <- RCS in client mode (wss, with a certificate).
#[test]
fn java_peers_that_are_dialled_or_dial_the_router_prove_themselves_too() {
    /// Two 1.8.0 peers lose the list of connectors now and then when they meet (WIRE 7.1), so a second IDM is tried, and a third one.
    const ATTEMPTS: usize = 3;
    let test = "tls::java_peers_that_are_dialled_or_dial_the_router_prove_themselves_too";
    let Some(java) = Java::or_skip(test) else { return };
    let stores = Stores::make();
    let provider = Provider::new().client("c1").group("g", "failover", &["c1"]).write(stores.scratch.path());
    let config = stores.path("router.toml");
    std::fs::write(&config, "").expect("the scratch folder can be written");
    let router = stores.router(&provider, &["--config", &config]);
    let (own, trusted) = (stores.path("java.p12"), stores.path("trust.p12"));
    let shown = ["--keystore", own.as_str(), "--truststore", &trusted];
    let url = router.tls_url("c1").replace("/c1", "");
    let _member = ClientRcs::start_with(&java, "c1", &url, &[&["--principal", "c1"][..], &shown].concat());
    router.await_up("g", &["c1"]);
    let key = stores.path("idm.key");
    std::fs::write(&key, "changeit\n").expect("the scratch folder can be written");
    let gets_connectors = |attempt: usize| {
        let (mut idm, port) = Idm::listen_with(&java, &shown);
        let table = format!(
            "[idm.idm{attempt}]\nurl = \"wss://127.0.0.1:{port}/openicf/0\"\ngroup = \"g\"\nprincipal = \"anonymous\"\nkey_file = {key:?}\n\
             connections = 2\nnew_connections_interval = \"0s\"\n"
        );
        std::fs::write(&config, table).expect("the scratch folder can be written");
        let connections =
            || router.metrics().sum("rcs_idm_connections", &[("idm", &format!("idm{attempt}"))]);
        wait_until("the router has dialled", PATIENCE, || connections() == 2.0);
        idm.ask("connectors 2 20").starts_with("ok ")
    };
    assert!((0..ATTEMPTS).any(gets_connectors), "one of some IDMs gets the connectors");
}
