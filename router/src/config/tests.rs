use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rcs_core::bundles::group::{BundlePolicy, NoneLeft, Reports};
use rcs_core::bundles::infos::Visible;
use rcs_core::settings::{Deadlines, RouterSettings, StreamEnd};

use super::*;

fn settings(text: &str) -> Settings {
    parse(text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}")).settings
}

#[test]
fn keys_and_trust_of_members_stand_beside_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("all.key"), "key-of-all\n").unwrap();
    fs::write(path("n1.key"), "key-of-n1\n").unwrap();
    let made = rcgen::generate_simple_self_signed(["n1".to_owned()]).unwrap();
    fs::write(path("n1.der"), made.cert.der()).unwrap();
    let text = format!(
        "[members]\nkey_file = {:?}\n[member.n1]\nkey_file = {:?}\ntrust_store = {:?}\n[member.\"n 2\"]\nkey_variable = \"off\"\n",
        path("all.key"),
        path("n1.key"),
        path("n1.der")
    );
    let found = parse(text.as_bytes()).unwrap().members.read().unwrap();
    assert_eq!(found.keys.others.unwrap().expose(), "key-of-all");
    assert_eq!(found.keys.by_name.keys().collect::<Vec<_>>(), ["n1"]);
    assert_eq!(found.keys.by_name["n1"].expose(), "key-of-n1");
    assert_eq!(found.trust.keys().collect::<Vec<_>>(), ["n1"]);
    let text = "[members]\nkey_file = \"/nowhere/key\"\n[member.n1]\nkey_variable = \"NO_SUCH_VARIABLE_1\"\n[member.n2]\ntrust_store = \"/dev/null\"\n";
    let faults = parse(text.as_bytes()).unwrap().members.read().unwrap_err();
    for (fault, part) in
        faults.iter().zip(["members.key_file", "member.n1.key_variable", "member.n2.trust_store"])
    {
        assert!(fault.starts_with(part), "{fault}");
    }
    assert_eq!(faults.len(), 3, "all at once");
    let faults =
        parse(b"[members]\nkey_file = \"a\"\nkey_variable = \"B\"\ntrust_store = \"c\"\n[member]\nn1 = 3\n")
            .unwrap_err();
    assert!(
        faults.len() == 3 && faults.iter().any(|fault| fault.contains("Remove one of the two")),
        "{faults:?}"
    );
}

fn repository(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(file)).unwrap()
}

#[test]
fn an_empty_file_says_the_defaults() {
    assert_eq!(settings(""), Settings::default());
    assert_eq!(settings("[router]\n[defaults]\n[group]\n"), Settings::default());
}

#[test]
fn a_group_inherits_what_it_does_not_say_wherever_the_defaults_stand() {
    let settings = settings(
        r#"
        [group.hr]
        deadlines.read = "5s"
        ejection = { failures = "off" }
        [group."Human Resources"]
        stream_end = "as_it_came"
        test_every = "off"
        [defaults]
        deadlines.login = "3s"
        queue_max = 0
        [router]
        socket_ttl = "1h"
        caller_ping_every = "off"
        "#,
    );
    let login = Duration::from_secs(3);
    assert_eq!((settings.defaults.deadlines.login, settings.defaults.queue_max), (login, 0));
    let hr = settings.group("hr");
    let read = Duration::from_secs(5);
    assert_eq!(hr.deadlines, Deadlines { login, read, ..Deadlines::default() });
    assert_eq!((hr.ejection.failures, hr.queue_max, hr.stream_end), (0, 0, StreamEnd::AsLearned));
    let other = settings.group("Human Resources");
    assert_eq!((other.test_every, other.stream_end), (None, StreamEnd::AsItCame));
    assert_eq!(other.deadlines, settings.defaults.deadlines);
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(
        settings.router,
        RouterSettings { socket_ttl: hour, caller_ping_every: None, ..RouterSettings::default() }
    );
}

#[test]
fn a_group_says_what_its_bundle_sets_must_be() {
    let (wire, files) = ("a".repeat(64), "b".repeat(64));
    let settings = settings(&format!(
        r#"
        [defaults.bundles]
        reports = "require_agent"
        visible = ["rig.connector", "*/[1.0,2.0)/a.B"]
        [group.hr.bundles]
        none_left = "fail_closed"
        serving_min = 2
        pinned = "{wire}+{files}"
        visible = ["*"]
        stand_ins = ["rig.connector/[1.0.0.0,1.1.0.0)"]
        "#
    ));
    let (hr, other) = (settings.group("hr"), settings.group("other"));
    let policy =
        BundlePolicy { reports: Reports::RequireAgent, none_left: NoneLeft::FailClosed, serving_min: 2 };
    assert_eq!((hr.bundles, &hr.visible), (policy, &Visible::All));
    assert_eq!(hr.pinned.map(|set| set.to_string()), Some(format!("{wire}+{files}")));
    assert_eq!(hr.stand_ins.0.len(), 1);
    assert_eq!(other.bundles, BundlePolicy { reports: Reports::RequireAgent, ..BundlePolicy::default() });
    assert!(
        matches!(&other.visible, Visible::Only(references) if references.len() == 2),
        "{:?}",
        other.visible
    );
    assert_eq!((other.pinned, other.stand_ins.0.len()), (None, 0));
}

#[test]
fn every_fault_is_told_at_once_with_its_line_its_key_and_what_to_do() {
    let faults = parse(
        br#"
[router]
accepts_per_second = 0
[defaults]
deadlines.read = "5 minutes"
deadlines = "long"
[group.hr]
deadlines.read = 5
deadlines.reed = "5s"
queue_max = -1
in_flight_max = 0x10
retry_percent = 101
stream_end = "as_it_was"
test_every = "0s"
ejection = { base = "2m", cap = "1m" }
[group."a/b"]
[groups.hr]
"#,
    )
    .unwrap_err();
    assert!(
        faults[0].contains("line 6") && faults[0].contains("not valid TOML"),
        "a table twice is no TOML: {faults:?}"
    );

    let faults = parse(
        br#"
[router]
accepts_per_second = 0
[defaults]
deadlines.read = "5 minutes"
[group.hr]
deadlines.read = 5
deadlines.reed = "5s"
queue_max = -1
in_flight_max = 0x10
retry_percent = 101
stream_end = "as_it_was"
test_every = "0s"
ejection = { base = "2m", cap = "1m" }
[group."a/b"]
[group.csv]
ejection = 5
[groups.hr]
"#,
    )
    .unwrap_err();
    let expected = [
        "line 3: router.accepts_per_second: 0 is not valid. Use 1 to 100000.",
        "line 5: defaults.deadlines.read: \"5 minutes\" is not valid. Use \"1s\" to \"1d\"; a time is a whole number",
        "line 6: group.hr.ejection: base is longer than cap",
        "line 7: group.hr.deadlines.read: 5 is not valid",
        "line 8: group.hr.deadlines.reed: unknown key. Did you mean deadlines.read?",
        "line 9: group.hr.queue_max: -1 is not valid. Use 0 to 65536.",
        "line 10: group.hr.in_flight_max: 0x10 is not valid",
        "line 11: group.hr.retry_percent: 101 is not valid. Use 0 to 100.",
        "line 12: group.hr.stream_end: \"as_it_was\" is not valid. Use \"as_learned\" or \"as_it_came\".",
        "line 13: group.hr.test_every: \"0s\" is not valid. Use \"1s\" to \"1h\", or \"off\"",
        "line 15: group.a/b: not a valid group name",
        "line 17: group.csv.ejection: it must be a table",
        "line 18: groups: unknown table. Did you mean [group.NAME]?",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\n{expected}");
    }
}

/// A known name in another case or with one slip is named, and so is the table that a key belongs in.
#[test]
fn what_was_meant_by_an_unknown_name_is_named() {
    for (text, says) in [
        ("[router]\nsocket-ttl = \"1h\"", "line 2: router.socket-ttl: unknown key. Did you mean socket_ttl?"),
        ("[router]\nSocket_TTL = \"1h\"", "line 2: router.Socket_TTL: unknown key. Did you mean socket_ttl?"),
        (
            "[router]\nqueue_max = 5",
            "line 2: router.queue_max: this key belongs in [defaults], for all groups, or in [group.NAME]. Move it there.",
        ),
        (
            "[defaults]\nsocket_ttl = \"1h\"",
            "line 2: defaults.socket_ttl: this key belongs in [router]. Move it there.",
        ),
        (
            "[defaults]\nlisten = \"[::1]:1\"",
            "line 2: defaults.listen: this key belongs in [group.NAME]. Move it there.",
        ),
        (
            "[members]\ntrust_store = \"a\"",
            "line 2: members.trust_store: this key belongs in [member.NAME]. Move it there.",
        ),
        (
            "[group.hr.deadline]\nread = \"1s\"",
            "line 1: group.hr.deadline: unknown key. Did you mean deadlines?",
        ),
        ("[Router]", "line 1: Router: unknown table. Did you mean [router]?"),
        ("[default]", "line 1: default: unknown table. Did you mean [defaults]?"),
        (
            "[servers]",
            "line 1: servers: unknown table. Use [router], [defaults], [group.NAME], [members] or [member.NAME].",
        ),
        (
            "[members]\nnothing_like = 1",
            "line 2: members.nothing_like: unknown key. members may have: key_file, key_variable.",
        ),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), [says], "{text}");
    }
}

#[test]
fn files_that_are_no_text_are_told_so() {
    for (bytes, reason) in [
        (b"a = \xFF".to_vec(), "not UTF-8"),
        (b"[router".to_vec(), "line 1: not valid TOML"),
        (vec![b'#'; CONFIG_BYTES_MAX + 1], "longer than"),
    ] {
        let faults = parse(&bytes).unwrap_err();
        assert!(faults[0].contains(reason), "{faults:?}");
    }
    let many: String = (0..1_000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(parse(many.as_bytes()).unwrap_err().len(), CONFIG_FAULTS_MAX);
}

/// Whatever a file holds, it is read or it has faults, one a line.
#[test]
fn no_text_brings_the_reader_down_p10() {
    let example = repository("router/router.toml.example").into_bytes();
    let mut random = fastrand::Rng::with_seed(20_261_121);
    let pieces: [&[u8]; 8] = [b"[", b"]", b"\"", b"=", b".", b"\n", b"{", b"\"\"\"\n"];
    for _ in 0..300 {
        let mut text = example.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..text.len());
            let end = (at + random.usize(..20)).min(text.len());
            text.splice(at..end, random.choice(pieces).unwrap_or_default().iter().copied());
        }
        if let Err(faults) = parse(&text) {
            assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.contains('\n')), "{faults:?}");
        }
    }
    for deep in [b"[".repeat(10_000), b"a=[".repeat(10_000), b"a={b=".repeat(10_000), b"a.".repeat(10_000)] {
        assert!(parse(&deep).is_err());
    }
    let faults = parse(b"[defaults]\n\"a\\nb\" = 1\nqueue_wait = \"\"\"\nx\"\"\"\n").unwrap_err();
    assert!(faults.len() == 2 && faults.iter().all(|fault| !fault.contains('\n')), "{faults:?}");
}

#[test]
fn a_bad_file_leaves_what_the_good_one_said_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.toml");
    let mut file = ConfigFile::new(&path);
    assert!(matches!(file.reload(), Some(Err(ConfigError::Unreadable { .. }))));
    assert!(file.reload().is_none());
    fs::write(&path, "[defaults]\nqueue_max = 7").unwrap();
    file.reload().unwrap().unwrap();
    fs::write(&path, "[defaults]\nqueue_max = 7.5").unwrap();
    let error = file.reload().unwrap().unwrap_err().to_string();
    assert!(error.contains("router.toml cannot be used") && error.contains("line 2"), "{error}");
    assert!(file.reload().is_none());
    assert_eq!(file.settings().defaults.queue_max, 7);
}

/// The example has every key with its default, in the words of the tables.
#[test]
fn the_example_file_says_the_defaults_of_every_key() {
    let example = repository("router/router.toml.example");
    assert_eq!(settings(&example), Settings::default());
    let mut wanted = String::from("[router]\n");
    rows(&mut wanted, ROUTER, &RouterSettings::default());
    wanted.push_str("[defaults]\n");
    rows(&mut wanted, GROUP, &GroupSettings::default());
    let keys = |text: &str| -> Vec<String> {
        let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("##");
        text.lines().filter(said).map(str::to_owned).collect()
    };
    assert_eq!(keys(&example), keys(&wanted), "wanted:\n{wanted}");
    let of_members = MEMBERS.iter().chain(MEMBER).map(|key| key.name);
    for name in OWN_GROUP.iter().map(|key| key.name).chain(of_members).chain(IDM.iter().map(|key| key.name)) {
        assert!(example.contains(&format!("## {name} = ")), "no {name} in the example");
    }
}

fn rows<S: Clone>(text: &mut String, keys: &[Key<S>], default: &S) {
    for key in keys {
        let (about, choice) = (key.about, key.choice());
        writeln!(text, "# {about}. Values: {choice}\n{} = {}\n", key.name, key.shown(default)).unwrap();
    }
}
