//! Client certificates that prove who a caller is (S04, X07, A04).

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rcs_proto::driver::endpoint::{Caller, EndpointConfig};
use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;

use crate::callers_tls::{Made, Site, made};
use crate::support::{PATIENCE, file, pem, run, scratch};

/// An authority, and what it signs with.
struct Authority {
    key: KeyPair,
    params: CertificateParams,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { key, params, pem }
    }

    fn sign(&self, common: &str, days: i64) -> Made {
        made(common, days, Some(&Issuer::from_params(&self.params, &self.key)))
    }
}

const ENTRIES: &str = "[caller.other]\ncertificates = [\"cn:idm2\"]\ngroups = [\"*\"]\n";

/// The right certificate, those of others, and none; then the entry goes, and with it the connections that it let in.
#[test]
fn a_certificate_proves_a_caller_until_its_entry_is_gone() {
    let (ours, theirs) = (Authority::new("Our CA"), Authority::new("Their CA"));
    let own = made("router", 300, None);
    let (folder, idm) =
        (scratch(), "[caller.idm]\ncertificates = [\"dns:idm1.example\"]\ngroups = [\"*\"]\n");
    let clients = file(&folder, "clients.pem", &ours.pem);
    let credentials = file(&folder, "credentials.toml", &format!("{idm}{ENTRIES}"));
    let options = ["--client-ca", &clients, "--credentials", &credentials];
    let site = Site::new(&own, &options);
    let good = ours.sign("idm1", 300);
    site.dial(&own, Some(&good)).expect("the certificate is in the entry of idm");
    site.dial(&own, Some(&ours.sign("idm1", 300))).expect("a renewed certificate has the same name");
    let log = |part: &str| site.router.await_log(part);

    // The user name is idm each time.
    site.dial(&own, Some(&ours.sign("idm2", 300))).map(drop).unwrap_err();
    log("the certificate is that of other, but the credentials name idm");
    site.dial(&own, Some(&ours.sign("idm1", -2))).map(drop).unwrap_err();
    log("\"CN=idm1\" expired on");
    // Of refusals of one kind within a second, a router logs the first one. So another router is asked.
    let second = Site::new(&own, &options);
    second.dial(&own, Some(&ours.sign("idm3", 300))).map(drop).unwrap_err();
    second.router.await_log("the name idm is not proved by this certificate (\"CN=idm3\", sha256:");
    second.dial(&own, Some(&theirs.sign("idm1", 300))).map(drop).unwrap_err();
    second.router.await_log("\"CN=idm1\" is signed by \"CN=Their CA\", which is not trusted here");
    drop(second);

    let config = || EndpointConfig::new(EndpointConfig::random_identity());
    let open = site.runtime.block_on(Caller::connect(site.target(&own, Some(&good)), 1, config())).unwrap();
    let sockets = || Metrics::scrape(site.router.admin).sum("rcs_sockets", &[("side", "downstream")]);
    // The two sockets that never greeted are gone after a while.
    wait_until("one socket is open", PATIENCE, || sockets() == 1.0);
    // Several names at once: the old one goes while the new one is there.
    let both = idm.replace("[\"dns", "[\"cn:idm1\", \"dns");
    file(&folder, "credentials.toml", &format!("{both}{ENTRIES}"));
    log("the file of credentials changed");
    file(&folder, "credentials.toml", &format!("{}{ENTRIES}", idm.replace("dns:idm1.example", "cn:idm1")));
    wait_until("the change is in force", PATIENCE, || {
        site.router.process.to_string().matches("the file of credentials changed").count() == 2
    });
    assert_eq!(sockets(), 1.0, "the certificate still proves the name");
    file(&folder, "credentials.toml", ENTRIES);
    log("the entry of idm has its certificate");
    wait_until("the connection is closed", PATIENCE, || sockets() == 0.0);
    site.runtime.block_on(open.close());
}

/// An entry that no certificate can reach is told of before somebody needs it.
#[test]
fn entries_with_certificates_need_callers_that_are_asked() {
    let folder = scratch();
    let credentials = file(&folder, "credentials.toml", ENTRIES);
    let provider = file(&folder, "provider.json", "{\"remoteConnectorServers\": []}");
    let check = run(&["check", "--provider", &provider, "--credentials", &credentials]);
    assert!(
        check.stderr.contains("add --client-ca FILE") || check.stdout.contains("add --client-ca FILE"),
        "{check:?}"
    );
}
