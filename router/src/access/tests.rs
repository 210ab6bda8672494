use std::io::Write;

use rcs_core::engine::Allowed;
use rcs_core::ids::NameBook;
use rcs_core::settings::Settings;
use rcs_core::view::{AdminState, Link, MemberSpec, View};
use rcs_proto::driver::accept::UpgradeRequest;
use rcs_proto::driver::said::Said;
use rcs_proto::icf::Secret;

use super::*;

const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

impl Access {
    pub(crate) fn load(key_file: Option<&Path>, mode: Mode) -> Result<Self, AccessError> {
        Self::open(KeyFiles { shared: key_file, named: None }, mode).map(|(access, _)| access)
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn basic(principal: &str, key: &str) -> Authorization {
    let (principal, secret) = (principal.to_owned(), Secret::new(key.to_owned()));
    Authorization::Basic(Credentials { principal, secret })
}

/// A view with the member `n1` in client mode.
fn view() -> View {
    let (name, sockets, ping_interval) = ("n1".to_owned(), 1, None);
    let member = MemberSpec { name, link: Link::Accept, sockets, ping_interval, admin: AdminState::Enabled };
    View::build(&mut NameBook::default(), vec![member], Vec::new()).unwrap()
}

/// What is judged when nothing but an `Authorization` header came.
fn bare(authorization: &Authorization, carried: Carried) -> Shows<'_> {
    Shows { authorization, certificate: None, from: FROM, carried }
}

fn request(target: &str) -> UpgradeRequest {
    UpgradeRequest {
        path: target.split('?').next().unwrap_or_default().to_owned(),
        authorization: Authorization::Absent,
        subprotocols: Vec::new(),
        peer: (FROM, 1).into(),
        said: Said::new([], target),
        client_certificate: None,
    }
}

async fn role(access: &Access, authorization: &Authorization) -> Result<Role, Refusal> {
    let proved = access.judge(bare(authorization, Carried::InClear)).await?.0;
    access.role(proved, &request("/openicf"), None, &view())
}

fn caller(principal: &str, allowed: Allowed) -> Role {
    Role::Caller { principal: principal.into(), allowed }
}

/// P12, A09
#[test]
fn well_known_keys_are_refused_outside_development() {
    for key in KNOWN_KEYS {
        let file = file(key);
        let error = Access::load(Some(file.path()), Mode::Production).unwrap_err();
        assert!(matches!(error, AccessError::File { .. }), "{key}");
        assert!(!error.to_string().contains(key), "P9: {error}");
        assert!(Access::load(Some(file.path()), Mode::Development).is_ok(), "{key}");
    }
    let none = Access::load(None, Mode::Production).unwrap_err();
    assert!(none.to_string().contains("--credentials"), "{none}");
}

#[tokio::test]
async fn the_first_two_lines_are_keys() {
    let file = file("s3cr\u{e9}t\r\nsecond\n");
    let access = Access::load(Some(file.path()), Mode::Production).unwrap();
    let idm = caller("idm", Allowed::All);
    assert_eq!(role(&access, &basic("idm", "s3cr\u{e9}t")).await.unwrap(), idm);
    assert_eq!(role(&access, &basic("n2", "second")).await.unwrap(), caller("n2", Allowed::All));
    for wrong in ["", "s3cr", "s3cr\u{e9}t\r", "changeit", "secon"] {
        let refusal = role(&access, &basic("idm", wrong)).await.unwrap_err();
        assert_eq!(refusal.status, RefusalStatus::Forbidden, "{wrong:?}");
    }
    for none in [Authorization::Absent, Authorization::Unusable] {
        assert_eq!(role(&access, &none).await.unwrap_err().status, RefusalStatus::Unauthorized);
    }
    assert!(!format!("{access:?}").contains("s3cr"));
}

#[test]
fn a_key_no_caller_could_send_is_refused() {
    for text in ["", "\nkey", "k\u{20ac}y", "k\u{0}y"] {
        let file = file(text);
        let error = Access::load(Some(file.path()), Mode::Development);
        assert!(matches!(error, Err(AccessError::File { .. })), "{text:?}");
    }
}

/// X07, P12: each name is bound to its own credential, whatever else somebody knows.
#[tokio::test]
async fn a_name_of_the_file_is_proved_by_its_own_key_alone() {
    let hash = |key: &str| Hash::of(key, [3; 16]).text().to_owned();
    let named = file(&format!(
        "[caller.idm]\nhashes = ['{}', '{}']\ngroups = ['hr']\n[caller.late]\nhashes = ['{}']\ngroups = ['*']\nexpires = 2020-01-01\n\
         [member.n1]\nhashes = ['{}']\n[member.n2]\nhashes = ['{}']\n",
        hash("idm's"),
        hash("idm's old"),
        hash("late's"),
        hash("n1's"),
        hash("n2's"),
    ));
    let shared = file("shared");
    let files = KeyFiles { shared: Some(shared.path()), named: Some(named.path()) };
    let (access, followed) = Access::open(files, Mode::Production).unwrap();
    let n1 = view().member_named("n1").unwrap().id;
    for (principal, key, expected) in [
        ("idm", "idm's", Ok(caller("idm", Allowed::only(["hr"])))),
        ("idm", "idm's old", Ok(caller("idm", Allowed::only(["hr"])))),
        ("n1", "n1's", Ok(Role::Member(n1))),
        ("anybody", "shared", Ok(caller("anybody", Allowed::All))),
        ("idm", "shared", Err(RefusalStatus::Forbidden)),
        ("n1", "shared", Err(RefusalStatus::Forbidden)),
        ("n1", "n2's", Err(RefusalStatus::Forbidden)),
        ("idm", "n1's", Err(RefusalStatus::Forbidden)),
        ("anybody", "idm's", Err(RefusalStatus::Forbidden)),
        ("n2", "n2's", Err(RefusalStatus::NotFound)),
        ("late", "late's", Err(RefusalStatus::NotAllowed)),
        ("late", "wrong", Err(RefusalStatus::Forbidden)),
        ("idm", "changeit", Err(RefusalStatus::Forbidden)),
    ] {
        let found = role(&access, &basic(principal, key)).await.map_err(|refusal| refusal.status);
        assert_eq!(found, expected, "{principal} {key}");
    }
    let only = KeyFiles { shared: None, named: Some(named.path()) };
    let (access, _) = Access::open(only, Mode::Production).unwrap();
    assert!(role(&access, &basic("anybody", "shared")).await.is_err());

    // The file is followed. A bad file changes nothing, and is told once.
    let mut follower = followed.named.unwrap();
    assert!(follower.look().is_none());
    std::fs::write(named.path(), "[caller.idm]\nhashes = ['s3cr3t']\ngroups = ['hr']\n").unwrap();
    let why = follower.look().unwrap().unwrap_err();
    assert!(why.contains("caller.idm hashes: number 1") && !why.contains("s3cr3t"), "{why}");
    assert!(follower.look().is_none());
    std::fs::write(
        named.path(),
        format!("[caller.idm]\nhashes = ['{}']\ngroups = ['hr']\n", hash("changeit")),
    )
    .unwrap();
    assert!(follower.look().unwrap().unwrap_err().contains("everybody knows"));
    std::fs::write(named.path(), format!("[caller.new]\nhashes = ['{}']\ngroups = ['hr']\n", hash("new's")))
        .unwrap();
    assert_eq!(follower.look().unwrap().unwrap(), (1, 0));
}

/// In development a member's name and the well-known key make a connection that member, unless the file names the member.
#[tokio::test]
async fn development_has_one_key_for_all_names_that_have_no_credential() {
    let named = file(&format!(
        "[caller.idm]\nhashes = ['{}']\ngroups = ['hr']\n",
        Hash::of("changeit", [3; 16]).text()
    ));
    let files = KeyFiles { shared: None, named: Some(named.path()) };
    let (access, _) = Access::open(files, Mode::Development).unwrap();
    assert!(matches!(role(&access, &basic("n1", "changeit")).await, Ok(Role::Member(_))));
    assert_eq!(role(&access, &basic("idm", "changeit")).await, Ok(caller("idm", Allowed::only(["hr"]))));
    assert_eq!(role(&access, &basic("other", "changeit")).await, Ok(caller("other", Allowed::All)));
}

fn certificate(common: &str) -> Arc<ClientCertificate> {
    Arc::new(ClientCertificate {
        subject: Some(format!("CN={common}")),
        common_name: Some(common.to_owned()),
        names: vec![format!("dns:{common}.example")],
        fingerprint: [7; 32],
        key_fingerprint: [8; 32],
    })
}

/// S04, X07: a certificate proves the names of the entries that have it, and all that a connection says of itself must agree.
#[tokio::test]
async fn a_certificate_proves_the_name_of_its_entry_and_no_other() {
    let key = Hash::of("key", [3; 16]);
    let hash = key.text();
    let named = file(&format!(
        "[caller.idm]\ncertificates = ['dns:idm.example']\ngroups = ['hr']\n[caller.other]\ncertificates = ['cn:other']\nhashes = ['{hash}']\n\
         groups = ['*']\n[caller.keyed]\nhashes = ['{hash}']\ngroups = ['*']\n[member.n1]\ncertificates = ['cn:rcs', 'cn:both']\n\
         [caller.late]\ncertificates = ['cn:late']\ngroups = ['*']\nexpires = 2020-01-01\n[caller.both]\ncertificates = ['cn:both']\ngroups = ['*']\n"
    ));
    let shared = file("shared");
    let files = KeyFiles { shared: Some(shared.path()), named: Some(named.path()) };
    let (access, followed) = Access::open(files, Mode::Production).unwrap();
    let proves = async |shown: Option<&str>, authorization: &Authorization| {
        let certificate = shown.map(certificate);
        let certificate = certificate.as_ref();
        let judged = access.judge(Shows { certificate, ..bare(authorization, Carried::Privately) }).await;
        judged
            .map(|(proved, lease)| (proved.name().to_owned(), lease.is_some()))
            .map_err(|refusal| (refusal.status, refusal.sentence))
    };
    let none = Authorization::Absent;
    for (shown, authorization, name, by_certificate) in [
        (Some("idm"), &none, "idm", true),
        (Some("idm"), &basic("idm", "whatever"), "idm", true),
        (Some("idm"), &basic("idm", "changeit"), "idm", true),
        (Some("idm"), &basic("anonymous", "changeit"), "idm", true),
        (Some("rcs"), &none, "n1", true),
        (Some("both"), &basic("both", ""), "both", true),
        (Some("both"), &basic("n1", ""), "n1", true),
        (Some("other"), &basic("other", "wrong"), "other", true),
        (Some("stranger"), &basic("other", "key"), "other", false),
        (None, &basic("other", "key"), "other", false),
        (Some("stranger"), &basic("keyed", "key"), "keyed", false),
        (Some("stranger"), &basic("anybody", "shared"), "anybody", false),
    ] {
        let found = proves(shown, authorization).await;
        assert_eq!(found, Ok((name.to_owned(), by_certificate)), "{shown:?} {authorization:?}");
    }
    for (shown, authorization, status, part) in [
        (None, &none, RefusalStatus::Unauthorized, "credentials are missing"),
        (Some("stranger"), &none, RefusalStatus::Unauthorized, "credentials are missing"),
        (Some("idm"), &Authorization::Unusable, RefusalStatus::Unauthorized, "credentials are missing"),
        (
            None,
            &basic("idm", "shared"),
            RefusalStatus::NotAllowed,
            "is proved by a certificate, and none came",
        ),
        (Some("stranger"), &basic("idm", "x"), RefusalStatus::NotAllowed, "(\"CN=stranger\", sha256:0707"),
        (
            Some("idm"),
            &basic("keyed", "key"),
            RefusalStatus::NotAllowed,
            "is that of idm, but the credentials name keyed",
        ),
        (Some("idm"), &basic("anybody", "shared"), RefusalStatus::NotAllowed, "is that of idm, but"),
        (
            Some("both"),
            &none,
            RefusalStatus::NotAllowed,
            "is that of both and n1: send the one that is meant",
        ),
        (Some("both"), &basic("anonymous", "x"), RefusalStatus::NotAllowed, "send the one that is meant"),
        (Some("late"), &none, RefusalStatus::NotAllowed, "expired"),
        (Some("stranger"), &basic("other", "wrong"), RefusalStatus::Forbidden, "wrong principal or key"),
    ] {
        let (found, sentence) = proves(shown, authorization).await.unwrap_err();
        assert!(found == status && sentence.contains(part), "{shown:?} {authorization:?}: {sentence}");
    }

    // An entry that changes in another way keeps its connections. One whose certificate goes loses them.
    let certificate = certificate("idm");
    let shows = Shows { certificate: Some(&certificate), ..bare(&none, Carried::Privately) };
    let (_, lease) = access.judge(shows).await.unwrap();
    let lease = lease.unwrap();
    let leases = &access.named.as_ref().unwrap().certificates;
    let mut follower = followed.named.unwrap();
    let mut change = |text: &str| {
        std::fs::write(named.path(), text).unwrap();
        follower.look().unwrap().unwrap();
        leases.revoked(&access.named.as_ref().unwrap().table.borrow())
    };
    let added = "[caller.idm]\ncertificates = ['cn:new', 'dns:idm.example']\ngroups = ['crm']\n";
    assert_eq!((change(added), lease.is_over()), (Vec::new(), false));
    let revoked = change("[caller.idm]\ncertificates = ['cn:new']\ngroups = ['crm']\n");
    assert!(
        revoked[0].leases == [lease.id()] && revoked[0].reason.contains("the entry of idm"),
        "{revoked:?}"
    );
    assert!(lease.is_over() && change("").is_empty(), "each is told once");
}

/// X07: one rule for the places in which a member may name itself, and no place has the name of another credential.
#[test]
fn a_member_names_itself_in_one_of_several_places_and_takes_no_other_name() {
    let member = |name: &str, link| MemberSpec {
        name: name.to_owned(),
        link,
        sockets: 1,
        ping_interval: None,
        admin: AdminState::Enabled,
    };
    let members = vec![member("n1", Link::Accept), member("n2", Link::Accept), member("n3", Link::Accept)];
    let mut settings = Settings::default();
    settings.router.member_name_header = Some("X-Name".to_owned());
    settings.router.member_name_parameter = Some("server".to_owned());
    let built = View::build(&mut NameBook::default(), members, Vec::new()).unwrap();
    let view = built.with_settings(&settings);
    let access = Access::load(None, Mode::Development).unwrap();
    let is = |proved: &Proved, header: &[&str], target: &str| {
        let headers = header.iter().map(|value| ("x-name", value.as_bytes()));
        let request = UpgradeRequest { said: Said::new(headers, target), ..request(target) };
        match access.role(proved.clone(), &request, None, &view) {
            Ok(Role::Member(member)) => view.member(member).unwrap().spec.name.clone(),
            Ok(Role::Caller { .. }) => "a caller".to_owned(),
            Err(refusal) => format!("{} {}", refusal.status.code(), refusal.sentence),
        }
    };
    let proved = |name: &str, owns: &[&str]| Proved::Member {
        name: name.into(),
        owns: owns.iter().map(|name| (*name).to_owned()).collect(),
    };
    let (own, pool) = (proved("n1", &["n1"]), proved("rcs", &["n1", "n2"]));
    let caller = Proved::Caller { principal: "idm".into(), allowed: Allowed::All };
    let (server, shared) = (
        Proved::Caller { principal: "n1".into(), allowed: Allowed::All },
        Proved::Shared("anonymous".into()),
    );
    for (who, header, target, expected) in [
        (&own, &[][..], "/openicf", "n1"),
        (&own, &[], "/openicf/0", "n1"),
        (&own, &[], "/openicf/n1", "n1"),
        (&own, &[], "/openicf/0/n1", "n1"),
        (&own, &["n1"], "/openicf/0/n1?server=n1", "n1"),
        (&pool, &["n2"], "/openicf", "n2"),
        (&pool, &[], "/openicf?server=n2", "n2"),
        (&pool, &[], "/openicf/n1", "n1"),
        (&pool, &[], "/openicf/2/n2", "n2"),
        (&caller, &[], "/openicf/n1", "a caller"),
        (&server, &[], "/openicf/hr", "a caller"),
        (&shared, &["n2"], "/openicf", "n2"),
        (
            &own,
            &[],
            "/openicf/n2",
            "403 the credentials are those of \"n1\", but the path names \"n2\": use /openicf/n1",
        ),
        (
            &own,
            &["n2"],
            "/openicf",
            "403 the credentials are those of \"n1\", but the header X-Name names \"n2\"",
        ),
        (&own, &[], "/openicf?server=n2", "but the parameter server names \"n2\""),
        (
            &pool,
            &[],
            "/openicf",
            "403 the credentials of \"rcs\" are those of several servers (\"n1\", \"n2\")",
        ),
        (
            &pool,
            &["n3"],
            "/openicf",
            "403 the credentials of \"rcs\" are those of the servers \"n1\", \"n2\", but the header",
        ),
        (
            &pool,
            &["n1"],
            "/openicf/n2",
            "403 the path names \"n2\", but the header X-Name names \"n1\": name one server",
        ),
        (
            &pool,
            &["n1", "n2"],
            "/openicf",
            "403 the header X-Name names \"n1\", but the header X-Name names \"n2\"",
        ),
        (&pool, &["n1"], "/openicf?server=n2", "but the parameter server names \"n2\": name one server"),
        (&pool, &[""], "/openicf", "400 the header X-Name is empty"),
        (&own, &[], "/openicf?server=%FF", "400 the parameter server is empty or no UTF-8 text"),
        (
            &caller,
            &["n1"],
            "/openicf",
            "403 the header X-Name names the server \"n1\", but the credentials of \"idm\" are a caller's",
        ),
        (
            &server,
            &[],
            "/openicf",
            "403 \"n1\" is a server in client mode, but its credentials are a caller's",
        ),
        (&server, &[], "/openicf/n1", "403 \"n1\" is a server in client mode"),
        (&shared, &["nobody"], "/openicf", "403 the header X-Name names the server \"nobody\""),
    ] {
        let found = is(who, header, target);
        assert!(
            found == expected || found.contains(' ') && found.contains(expected),
            "{target} {header:?}: {found}"
        );
    }
    let production = Access { mode: Mode::Production, ..access.clone() };
    let refused =
        production.role(Proved::Shared("n1".into()), &request("/openicf"), None, &view).unwrap_err();
    assert!(refused.sentence.contains("the shared key is for callers"), "{refused:?}");
    assert!(production.role(Proved::Shared("n1".into()), &request("/openicf"), Some("g"), &view).is_ok());
}
