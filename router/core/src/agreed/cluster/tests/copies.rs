//! Snapshots and digests.

use super::*;
use crate::agreed::stored::FORMAT;

/// A state with something of everything.
pub(super) fn full() -> ClusterState {
    let mut copy = Copy::with(Authority::Cluster);
    for action in [
        Action::Seed([1, 2].into()),
        token("ops"),
        Action::GrantCaller { principal: "g".into(), name: "2026".into(), hash: Salted::new(9, SECRET) },
        calls(0..3),
        mark("a"),
        accept("g"),
        remove("a"),
        Action::Edit(Edit::AddMember(dialled("d"))),
        Action::Edit(Edit::ReplaceMember(dialled("b"))),
    ] {
        copy.does(Author::Operator, action);
    }
    copy.does(Author::Files, configure(Document::default()));
    copy.state
}

#[test]
fn a_snapshot_gives_back_the_same_state() {
    let state = full();
    let back = ClusterState::decode(&state.encode().unwrap()).unwrap();
    assert_eq!(back, state);
    assert_eq!(back.digest(), state.digest());
    assert_eq!(back.encode(), state.encode());
}

#[test]
fn a_digest_tells_states_apart_and_leaves_out_wording() {
    let mut one = full();
    let digest = one.digest().unwrap();
    for outcome in one.requests.0.values_mut() {
        if let CommandResult::Refused { sentence, .. } = &mut outcome.result {
            sentence.push_str(", as a newer release says");
        }
    }
    one.audit.drop_lines();
    assert_eq!(one.digest(), Ok(digest));
    one.apply(99, &command(12345, Author::Operator, mark("b")));
    assert_ne!(one.digest(), Ok(digest));
}

#[test]
fn a_snapshot_that_breaks_a_rule_is_refused() {
    let text = String::from_utf8(full().encode().unwrap()).unwrap();
    let without_b = text.replace(r#""name":"b""#, r#""name":"x""#);
    let request = r#"{"id":"00000000000000000000000000000002","#;
    let twice = text.replace(r#"{"id":"00000000000000000000000000000003","#, request);
    let callers = text.replace(r#""callers":{"g":{"2026":"#, r#""callers":{"g":{},"h":{"2026":"#);
    let revision = text.replace(
        &format!(r#""revision":{},"last""#, full().revision()),
        &format!(r#""revision":{},"last""#, u64::MAX),
    );
    for (name, wrong) in [
        ("a group lists nobody", without_b),
        ("an id twice", twice),
        ("no key", callers),
        ("no more revisions", revision),
    ] {
        assert_ne!(wrong, text, "{name}");
        assert!(ClusterState::decode(wrong.as_bytes()).is_err(), "{name}");
    }
    assert!(text.starts_with(&format!(r#"{{"format":{FORMAT},"kind":"snapshot","value":{{"applied":"#)));
}

/// Keys are in a snapshot because a router dials with them. They are nowhere else: neither in `Debug`, nor in the audit log, nor in
/// outcomes.
#[test]
fn keys_and_tokens_are_shown_nowhere() {
    let state = full();
    let snapshot = String::from_utf8(state.encode().unwrap()).unwrap();
    assert!(snapshot.contains(&format!("{SECRET}-b")), "the router dials with it");
    let token = Salted::new(3, SECRET);
    let commands = [
        command(1, Author::Operator, configure(document())),
        command(2, Author::Operator, Action::Edit(Edit::AddMember(dialled("d")))),
        command(3, Author::Operator, super::token("ops")),
        command(4, Author::Operator, Action::Seed([0x1234_5678_9abc_def0, 2].into())),
    ];
    let mut shown = format!("{state:?}{state:#?}{commands:?}{token:?}");
    for command in &commands {
        shown.push_str(&command.action.to_string());
    }
    let audit: Vec<_> = state.audit().collect();
    shown.push_str(&serde_json::to_string(&audit).unwrap());
    let outcomes: Vec<Outcome> = state.requests.0.iter().map(|(_, outcome)| outcome.clone()).collect();
    shown.push_str(&serde_json::to_string(&outcomes).unwrap());
    assert!(!shown.contains(SECRET), "a key is shown");
    let hash = serde_json::to_value(&token).unwrap();
    for hidden in [hash["hash"].as_str().unwrap(), "123456789abcdef0", "1311768467463790320"] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
}

/// The size is what routers send each other when one of them joins; run with `--nocapture` to see size and times.
#[test]
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn ten_thousand_members_in_a_thousand_groups_fit_in_a_few_megabytes() {
    let mut state = full();
    let name = |number| format!("connector-server-{number:05}.example.org");
    state.agreed.document.members = (0..10_000).map(|number| dialled(&name(number))).collect();
    let group = |number: usize| GroupSpec {
        name: format!("group-{number:04}"),
        policy: Policy::Failover,
        members: (10 * number..10 * number + 10).map(name).collect(),
    };
    state.agreed.document.groups = (0..1_000).map(group).collect();
    let start = std::time::Instant::now();
    let bytes = state.encode().unwrap();
    let written = start.elapsed();
    let back = ClusterState::decode(&bytes).unwrap();
    let read = start.elapsed() - written;
    println!(
        "10,000 members in 1,000 groups: {} bytes, written in {written:?}, read in {read:?}",
        bytes.len()
    );
    assert_eq!(back, state);
    assert!(bytes.len() < 4 << 20, "{} bytes", bytes.len());
}
