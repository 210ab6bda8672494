//! Golden files of the log and of snapshots: `stored/NAME.json`. What stands in them is a contract with the routers of other releases: this
//! release must read each of them, and write the same value byte for byte.
//!
//! Never edit a file. A change of the format gets a new number, files of its own, and a reader for the old ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcs_core::agreed::credentials::{ApiToken, Role, Salted};
use rcs_core::agreed::sets::{Content, SetsChange};
use rcs_core::agreed::{
    Action, At, Author, Authority, ClusterState, Command, CommandResult, Document, Edit, Outcome, RequestId,
    UnknownOutcome,
};
use rcs_core::balance::Policy;
use rcs_core::bundles::digest::Digest;
use rcs_core::bundles::infos::Visible;
use rcs_core::bundles::policy::{BundlePolicy, NoneLeft, Reports};
use rcs_core::bundles::range::StandIns;
use rcs_core::bundles::set::SetDigest;
use rcs_core::settings::{Deadlines, Ejection, GroupSettings, RouterSettings, Settings, StreamEnd};
use rcs_core::view::{AdminState, Endpoint, GroupSpec, Hosts, Link, Mark, MemberSpec, Transport};
use rcs_proto::icf::Secret;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored").join(name)
}

fn dialled(name: &str, transport: Transport) -> MemberSpec {
    let endpoint = Endpoint {
        host: format!("{name}.example.org"),
        port: 8759,
        path: "/openicf".into(),
        transport,
        principal: "anonymous".into(),
        key: Secret::new(format!("clé \"{name}\"")),
    };
    let ping_interval = Some(Duration::from_millis(2_500));
    MemberSpec {
        name: name.into(),
        link: Link::Dial(endpoint),
        sockets: 2,
        ping_interval,
        admin: AdminState::Enabled,
    }
}

fn accepts(name: &str) -> MemberSpec {
    let (link, admin) = (Link::Accept, AdminState::Disabled);
    MemberSpec { name: name.into(), link, sockets: 2, ping_interval: None, admin }
}

fn group(name: &str, policy: Policy, members: &[&str]) -> GroupSpec {
    GroupSpec { name: name.into(), policy, members: members.iter().map(|name| (*name).into()).collect() }
}

fn document() -> Document {
    Document {
        members: vec![dialled("n1", Transport::Plain), dialled("n2", Transport::Tls), accepts("n3")],
        groups: vec![group("hr", Policy::RoundRobin, &["n1", "n2"]), group("crm", Policy::Failover, &["n2"])],
    }
}

fn set(number: u8) -> SetDigest {
    SetDigest { wire: Digest::of(&[number]), files: (number > 1).then(|| Digest::of(&[number, number])) }
}

fn stand_ins() -> StandIns {
    let rules = ["org.example.csv/[1.5.0.0,1.6.0.0)", "*/1.5.20.0/org.example.Db"];
    StandIns(rules.map(|rule| rule.parse().expect("a rule")).into())
}

/// Every field differs from its default, so that none can be left out unseen.
fn settings() -> Settings {
    let router = RouterSettings {
        caller_in_flight_max: 100,
        context_path: "/base".into(),
        accepts_per_second: 50,
        caller_ping_every: None,
        socket_ttl: Some(Duration::from_secs(3_600)),
        member_name_header: None,
        member_name_parameter: None,
    };
    let deadlines = Deadlines {
        login: Duration::from_millis(1_500),
        read: Duration::from_secs(2),
        change: Duration::from_secs(3),
        script: Duration::from_secs(4),
        stream_idle: Duration::from_secs(5),
    };
    let ejection = Ejection {
        failures: 11,
        latency_percent: 1_200,
        base: Duration::from_secs(13),
        cap: Duration::from_secs(14),
    };
    let own = GroupSettings {
        listen: Some("[::1]:8759".parse().expect("an address")),
        deadlines,
        in_flight_max: 6,
        member_in_flight_max: 7,
        queue_max: 8,
        queue_wait: Duration::from_millis(250),
        retry_percent: 9,
        hedge_after: Some(Duration::from_secs(10)),
        test_every: None,
        stream_end: StreamEnd::AsItCame,
        ejection,
        bundles: BundlePolicy {
            reports: Reports::RequireAgent,
            none_left: NoneLeft::FailClosed,
            serving_min: 2,
        },
        pinned: Some(set(2)),
        visible: Visible::Only(stand_ins().0),
        stand_ins: stand_ins(),
    };
    let (defaults, groups) = (GroupSettings::default(), [("hr".to_owned(), own)].into());
    // Written only where a server has several hosts: see the test of hosts.
    Settings { router, defaults, groups, hosts: Hosts::new() }
}

/// A command of each kind, under the name of its file.
fn commands() -> Vec<(&'static str, Command)> {
    let [hr, n1, n3] = ["hr", "n1", "n3"].map(String::from);
    let edit = Action::Edit;
    let of_hr = |change| Action::Sets { group: "hr".into(), change };
    let hash = Salted::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, "a long random token");
    let both = Action::Configure {
        document: Some(document()),
        settings: Some(Box::new(settings())),
        digest: Digest::of(b"the files"),
    };
    let content = Content::Some;
    let call = |call: &str| UnknownOutcome { call: call.into(), at: At(1_796_000_000_001) };
    let actions = [
        ("seed", Action::Seed([0x0123_4567_89ab_cdef, 1].into())),
        ("configure", both),
        ("authority", Action::Authority(Authority::Cluster)),
        ("create-group", edit(Edit::CreateGroup(group("erp", Policy::Failover, &["n3", "n1"])))),
        ("replace-group", edit(Edit::ReplaceGroup(group("erp", Policy::RoundRobin, &["n1"])))),
        ("add-member-dialled", edit(Edit::AddMember(dialled("n4", Transport::Tls)))),
        ("add-member-accepted", edit(Edit::AddMember(accepts("n5")))),
        ("replace-member", edit(Edit::ReplaceMember(accepts("n4")))),
        ("add-to-group", edit(Edit::AddToGroup { group: hr.clone(), member: n3.clone(), position: Some(0) })),
        (
            "add-to-group-last",
            edit(Edit::AddToGroup { group: hr.clone(), member: "n4".into(), position: None }),
        ),
        ("remove-from-group", edit(Edit::RemoveFromGroup { group: hr.clone(), member: n3 })),
        ("remove-member", edit(Edit::RemoveMember { member: "n5".into() })),
        ("delete-group", edit(Edit::DeleteGroup { group: "erp".into() })),
        ("mark", Action::Mark { member: n1, mark: Mark::Draining }),
        ("mark-disabled", Action::Mark { member: "n2".into(), mark: Mark::Disabled }),
        ("mark-enabled", Action::Mark { member: "n2".into(), mark: Mark::Enabled }),
        (
            "sets-accept-first",
            Action::Sets { group: "n3".into(), change: SetsChange::AcceptFirst { set: set(1), content } },
        ),
        (
            "sets-follow",
            Action::Sets {
                group: "n3".into(),
                change: SetsChange::Follow { set: set(3), content: Content::Empty },
            },
        ),
        ("sets-learn-files", of_hr(SetsChange::LearnFiles { set: set(2) })),
        ("sets-propose", of_hr(SetsChange::Propose { set: set(3), stand_ins: Some(stand_ins()) })),
        ("sets-abort", of_hr(SetsChange::Abort)),
        ("sets-commit", of_hr(SetsChange::Commit)),
        ("sets-pin", of_hr(SetsChange::Pin { set: set(1) })),
        ("sets-stand-ins", of_hr(SetsChange::StandIns { rules: stand_ins() })),
        (
            "grant-api",
            Action::GrantApi {
                name: "ci".into(),
                token: ApiToken { role: Role::Viewer, hash: hash.clone() },
            },
        ),
        (
            "grant-api-operator",
            Action::GrantApi {
                name: "ops".into(),
                token: ApiToken { role: Role::Operator, hash: hash.clone() },
            },
        ),
        ("revoke-api", Action::RevokeApi { name: "ci".into() }),
        (
            "grant-caller",
            Action::GrantCaller { principal: hr.clone(), name: "2026".into(), hash: hash.clone() },
        ),
        ("grant-caller-next", Action::GrantCaller { principal: hr.clone(), name: "2027".into(), hash }),
        ("revoke-caller", Action::RevokeCaller { principal: hr, name: "2026".into() }),
        ("acknowledge", Action::Acknowledge(vec![call("1-1f3a"), call("2-0")])),
        (
            "configure-offered",
            Action::Configure {
                document: None,
                settings: Some(Box::default()),
                digest: Digest::of(b"later"),
            },
        ),
    ];
    let numbered = (1u128..).zip(actions);
    let command = |(number, (name, action)): (u128, (&'static str, Action))| {
        let is_of_router = matches!(&action, Action::Seed(_)) || name == "sets-accept-first";
        let author = match name {
            "configure" | "configure-offered" => Author::Files,
            _ if is_of_router => Author::Router,
            _ => Author::Operator,
        };
        let command = Command {
            request: RequestId(number << 100 | number),
            // Not the revision by then, so that a refusal is among the outcomes.
            expected_revision: (name == "mark-disabled").then_some(1),
            author,
            who: "ops@example.org".into(),
            from: "192.0.2.7:4711".into(),
            at: At(1_796_000_000_000 + number as u64),
            action,
        };
        (name, command)
    };
    numbered.map(command).collect()
}

/// The state after all these commands, each applied in the form in which it stands in its file.
fn state() -> (ClusterState, Vec<(&'static str, Outcome)>) {
    let mut state = ClusterState::default();
    let applied = (1u64..).zip(commands()).map(|(index, (name, command))| {
        let stored = command.encode().expect("a command that can be written");
        (name, state.apply_stored(index, &stored).expect("a command of this release"))
    });
    let outcomes = applied.collect();
    (state, outcomes)
}

fn assert_golden(name: &str, written: &[u8]) {
    let path = golden(name);
    let stored = fs::read(&path).unwrap_or_default();
    let (written, stored) = (String::from_utf8_lossy(written), String::from_utf8_lossy(&stored));
    assert!(written == stored, "{} should be, by this release:\n{written}", path.display());
}

#[test]
fn a_command_of_each_kind_is_read_and_written_as_in_its_file() {
    for (name, command) in commands() {
        let name = format!("command-{name}.json");
        assert_golden(&name, &command.encode().unwrap());
        let read = Command::decode(&fs::read(golden(&name)).unwrap());
        assert_eq!(read, Ok(command), "{name}");
    }
}

/// A release without hosts reads what a cluster without hosts writes.
#[test]
fn hosts_are_written_where_a_server_has_several() {
    let with = |hosts: Hosts| {
        let (_, mut command) = commands().into_iter().find(|(name, _)| *name == "configure-offered").unwrap();
        let settings = Some(Box::new(Settings { hosts, ..Settings::default() }));
        command.action = Action::Configure { document: None, settings, digest: Digest::of(b"later") };
        command
    };
    assert_golden("command-configure-offered.json", &with(Hosts::new()).encode().unwrap());
    let command = with([("n3".to_owned(), 3)].into());
    assert_golden("command-configure-hosts.json", &command.encode().unwrap());
    assert_eq!(Command::decode(&fs::read(golden("command-configure-hosts.json")).unwrap()), Ok(command));
}

#[test]
fn the_outcomes_of_the_stored_commands_stay_what_they_are() {
    let (_, outcomes) = state();
    let line = |(name, outcome): &(&str, Outcome)| {
        format!("{name}: {} at revision {}\n", outcome.result.word(), outcome.revision)
    };
    assert_golden("outcomes.txt", outcomes.iter().map(line).collect::<String>().as_bytes());
    let (kind, sentence) = ("revision".into(), "read the state again".into());
    for (name, result) in [
        ("outcome-changed.json", CommandResult::Changed),
        ("outcome-unchanged.json", CommandResult::Unchanged),
        ("outcome-refused.json", CommandResult::Refused { kind, sentence }),
    ] {
        let outcome = Outcome { revision: 7, result };
        assert_golden(name, &outcome.encode().unwrap());
        assert_eq!(Outcome::decode(&fs::read(golden(name)).unwrap()), Ok(outcome), "{name}");
    }
}

/// Sentences for people may be worded in another way by each release, so they are those of the file.
#[test]
fn a_snapshot_is_read_and_written_as_in_its_file() {
    let (state, _) = state();
    let stored = fs::read(golden("snapshot.json")).unwrap();
    let read = ClusterState::decode(&stored).unwrap();
    assert_golden("snapshot.json", &read.encode().unwrap());
    assert_eq!((read.agreed(), read.credentials()), (state.agreed(), state.credentials()));
    assert_eq!(read.digest(), state.digest(), "the same commands still lead to the same state");
    assert_golden("snapshot-digest.txt", format!("{}\n", read.digest().unwrap()).as_bytes());
}

#[test]
fn what_a_newer_release_wrote_is_refused_with_a_way_out() {
    for name in ["command-mark.json", "outcome-changed.json", "snapshot.json"] {
        let text = fs::read_to_string(golden(name)).unwrap();
        let newer = text.replacen(r#""format":1"#, r#""format":2"#, 1);
        let bytes = newer.as_bytes();
        let error = match name {
            "snapshot.json" => ClusterState::decode(bytes).unwrap_err(),
            "outcome-changed.json" => Outcome::decode(bytes).unwrap_err(),
            _ => Command::decode(bytes).unwrap_err(),
        };
        assert!(error.to_string().contains("upgrade this router"), "{name}: {error}");
    }
}
