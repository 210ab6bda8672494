//! The files of a cluster's certificates.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcs_consensus::pki::{Authority, Existing, Files, Identity, PkiError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn load(folder: &Path, router: u32) -> Result<Identity, PkiError> {
    Identity::load(&Files::in_folder(folder, router), router, SystemTime::now())
}

fn cluster(routers: std::ops::RangeInclusive<u32>) -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::init("Identity team").unwrap();
    authority.write(folder.path()).unwrap();
    for router in routers {
        let hosts = ["router.example".to_owned(), "10.0.0.1".to_owned(), "::1".to_owned()];
        authority.issue(router, &hosts, 365 * DAY).unwrap().write(folder.path(), Existing::Keep).unwrap();
    }
    (folder, authority)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_and_its_routers_are_written_once_and_read_again() {
    let (folder, authority) = cluster(1..=2);
    let id = authority.cluster().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let folder = folder.path();
    assert_eq!((mode(&folder.join("ca.key")), mode(&folder.join("router-1.key"))), (0o600, 0o600));
    let identity = load(folder, 1).unwrap();
    assert_eq!((identity.name().cluster.as_str(), identity.name().router), (id.as_str(), 1));
    assert!(identity.warnings().is_empty(), "{:?}", identity.warnings());
    assert!(!format!("{identity:?}").contains("key"));

    let again = Authority::load(folder).unwrap();
    assert_eq!(again.cluster(), id);
    let issued = again.issue(1, &[], DAY).unwrap();
    let before = std::fs::read(folder.join("router-1.pem")).unwrap();
    for error in [again.write(folder).unwrap_err(), issued.write(folder, Existing::Keep).unwrap_err()] {
        assert!(matches!(&error, PkiError::Exists { .. }), "{error}");
    }
    assert_eq!(std::fs::read(folder.join("router-1.pem")).unwrap(), before);
    // What an authority that was read again signs is accepted like the rest.
    issued.write(folder, Existing::Replace).unwrap();
    assert_ne!(std::fs::read(folder.join("router-1.pem")).unwrap(), before);
    assert_eq!(mode(&folder.join("router-1.key")), 0o600);
    assert!(load(folder, 1).unwrap().until() < identity.until());
    assert_ne!(Authority::init("Identity team").unwrap().cluster(), id, "each cluster has an id of its own");
}

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let (own, _) = cluster(1..=2);
    let (other, _) = cluster(1..=1);
    let (own, other) = (own.path(), other.path());
    let files = Files::in_folder(own, 1);
    let at = |files: &Files, now: SystemTime| Identity::load(files, 1, now).unwrap_err().to_string();
    let now = SystemTime::now();
    let changed = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        files
    };
    for (files, now, says) in [
        (changed(&|files| files.key = own.join("no.key")), now, "no.key is missing. Make"),
        (changed(&|files| files.key = own.to_owned()), now, "a directory"),
        (changed(&|files| files.key = own.join("router-1.pem")), now, "BEGIN PRIVATE KEY"),
        (
            changed(&|files| files.key = own.join("router-2.key")),
            now,
            "not the key of the router's certificate",
        ),
        (
            changed(&|files| files.certificate = own.join("router-2.pem")),
            now,
            "is router 2's, but this is router 1",
        ),
        (changed(&|files| files.certificate = own.join("router-1.key")), now, "BEGIN CERTIFICATE"),
        (changed(&|files| files.certificate = own.join("ca.pem")), now, "names no router"),
        (changed(&|files| files.authorities = other.join("ca.pem")), now, "belongs to cluster"),
        (files.clone(), now + 366 * DAY, "expired on 2"),
        (files.clone(), now - DAY, "is not valid before 2"),
        (files.clone(), now + 4_000 * DAY, "ca.pem expired on 2"),
    ] {
        let text = at(&files, now);
        assert!(text.contains(says), "no {says:?} in {text}");
    }
    let soon = Identity::load(&files, 1, now + 340 * DAY).unwrap();
    assert!(soon.warnings()[0].contains("ends on 2"), "{:?}", soon.warnings());

    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&files.key, readable).unwrap();
    let warnings = load(own, 1).unwrap().warnings().to_vec();
    assert!(warnings[0].contains("chmod o-r"), "{warnings:?}");
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(at(&files, now).contains("chmod o-w"), "{}", at(&files, now));
}

#[test]
fn an_authority_with_the_same_name_and_another_key_did_not_sign_it() {
    let (own, _) = cluster(1..=1);
    let (other, _) = cluster(1..=1);
    // The cluster's id is the hash of the authority's key, so only an authority without an id can be taken for another one.
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let stranger = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    use base64::Engine as _;
    let body = base64::prelude::BASE64_STANDARD.encode(stranger.der());
    let path = other.path().join("stranger.pem");
    std::fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    let files = Files { authorities: path, ..Files::in_folder(own.path(), 1) };
    let error = Identity::load(&files, 1, SystemTime::now()).unwrap_err();
    assert!(matches!(error, PkiError::OtherAuthority { .. }), "{error}");
}

#[test]
fn an_authority_may_be_replaced_while_both_are_trusted() {
    let (own, _) = cluster(1..=1);
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let old = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    use base64::Engine as _;
    let body = base64::prelude::BASE64_STANDARD.encode(old.der());
    let path = own.path().join("ca.pem");
    let both = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{both}-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    let warnings = load(own.path(), 1).unwrap().warnings().to_vec();
    assert!(warnings.len() == 1 && warnings[0].contains("an authority is not used"), "{warnings:?}");
}

#[test]
fn a_certificate_that_makes_no_sense_is_not_made() {
    let authority = Authority::init("c").unwrap();
    for (router, hosts, days) in [
        (0, vec![], 1),
        (1, vec!["host:1".to_owned()], 1),
        (1, vec![String::new()], 1),
        (1, vec!["h".to_owned(); 33], 1),
        (1, vec![], 0),
    ] {
        assert!(
            matches!(authority.issue(router, &hosts, days * DAY), Err(PkiError::Request(_))),
            "{hosts:?}"
        );
    }
    for label in ["", "a\nb", &"x".repeat(65)] {
        assert!(matches!(Authority::init(label), Err(PkiError::Request(_))), "{label:?}");
    }
    authority.issue(u32::MAX, &["*.pods.example".to_owned()], Duration::MAX).unwrap();
}
