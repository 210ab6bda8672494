//! The end of a router's cluster certificate: every surface says so in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, file, member, pem, provider, run, scratch};

const DAY: Duration = Duration::from_secs(86_400);

/// Certificates of another authority than ours, of which the router's one ends at this time. They are valid since a year ago.
fn certify(folder: &TempDir, end: SystemTime) {
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = (SystemTime::now() - 355 * DAY).into();
        params
    };
    let mut authority = named("an authority of ours");
    authority.not_after = (SystemTime::now() + 3_000 * DAY).into();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let mut own = named("router 1");
    own.not_after = end.into();
    own.subject_alt_names = vec![SanType::URI("spiffe://c0ffee/router/1".try_into().unwrap())];
    let own_key = KeyPair::generate().unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    file(folder, "ca.pem", &pem("CERTIFICATE", certificate.der()));
    file(folder, "router-1.pem", &pem("CERTIFICATE", own.der()));
    let path = file(folder, "router-1.key", &pem("PRIVATE KEY", &own_key.serialize_der()));
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_certificate_that_ends_soon_is_told_by_every_surface() {
    let folder = scratch();
    let n1 = member("n1");
    let end = SystemTime::now() + 10 * DAY + Duration::from_secs(600);
    certify(&folder, end);
    let (certs, data) = (folder.path().to_str().unwrap(), folder.path().join("data"));
    std::fs::create_dir(&data).unwrap();
    let more =
        ["--dev", "--id", "1", "--cluster", "127.0.0.1:0", "--peers", "1=127.0.0.1:9", "--cluster-certs"];
    let more = [&more[..], &[certs, "--data-dir", data.to_str().unwrap()]].concat();
    let router = Router::serve(&provider(&folder, &[("n1", &n1)]), &more);
    router.await_ready();
    let server = format!("http://{}", router.admin);
    let ask =
        |words: &str| run(&[&words.split(' ').collect::<Vec<_>>()[..], &["--server", &server]].concat());
    router.await_log("router-1.pem ends on ");
    wait_until("the group is served", PATIENCE, || ask("status").code == Some(0));
    let sentence = "warning: the cluster certificate of router 1 ends on ";
    for words in ["status", "cluster status"] {
        let shown = ask(words);
        assert!(shown.code == Some(0) && shown.stdout.contains(sentence), "{words}: {shown:?}");
        assert!(shown.stdout.contains("in 10 days: run `rcs-router cluster init` again"), "{shown:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&ask("cluster status -o json").stdout).unwrap();
    assert!(
        json["routers"][0]["certificate_until"].as_str().is_some_and(|until| until.ends_with('Z')),
        "{json}"
    );
    let shown = Metrics::scrape(router.admin);
    let until = shown.sum("rcs_cluster_certificate_not_after_timestamp_seconds", &[("router", "1")]);
    let expected = end.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((until - expected).abs() < 2.0, "{until} {expected}");
    assert!(shown.sum("rcs_cluster_applied_index", &[("cluster", "c0ffee")]) > 0.0);
}
