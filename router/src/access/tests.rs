use std::io::Write;

use rcs_core::ids::NameBook;
use rcs_core::view::{AdminState, MemberSpec};
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

async fn role(access: &Access, authorization: &Authorization) -> Result<Role, Refusal> {
    access.role(access.judge(authorization, FROM, Carried::InClear).await?.0, &view())
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
    assert_eq!(role(&access, &basic("n1", "second")).await.unwrap(), caller("n1", Allowed::All));
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
