//! What commands do to the cluster state.

mod copies;
mod random;

use rcs_proto::icf::Secret;

use super::*;
use crate::agreed::credentials::{ApiToken, Role, Salted};
use crate::agreed::limits::{
    ACKNOWLEDGED_MAX, AUDIT_ENTRIES_MAX, REQUESTS_REMEMBERED_MAX, SENTENCE_BYTES_MAX,
};
use crate::agreed::sets::{Content, SetsChange};
use crate::agreed::{At, EditRefusal, Refusal};
use crate::balance::Policy;
use crate::bundles::set::SetDigest;
use crate::engine::tests::parts::member;
use crate::view::{GroupSpec, Link, Mark, MemberSpec};

/// In every key, token and seed of these tests, and nowhere else.
pub(super) const SECRET: &str = "four-rainy-days";

pub(super) fn dialled(name: &str) -> MemberSpec {
    let mut spec = member(name);
    if let Link::Dial(endpoint) = &mut spec.link {
        endpoint.key = Secret::new(format!("{SECRET}-{name}"));
    }
    spec
}

/// Servers a and b in group `g`, and c alone.
pub(super) fn document() -> Document {
    let members = vec!["a".to_owned(), "b".to_owned()];
    let accepts = MemberSpec { link: Link::Accept, ..member("c") };
    Document {
        members: vec![dialled("a"), dialled("b"), accepts],
        groups: vec![GroupSpec { name: "g".into(), policy: Policy::RoundRobin, members }],
    }
}

pub(super) fn configure(document: Document) -> Action {
    let digest = Digest::of(format!("{document:?}").as_bytes());
    Action::Configure { document: Some(document), settings: None, digest }
}

pub(super) fn command(request: u128, author: Author, action: Action) -> Command {
    let (who, from) = ("ops".to_owned(), "10.0.0.7:4711".to_owned());
    let request = RequestId(request);
    Command { request, expected_revision: None, author, who, from, at: At(1_000), action }
}

/// A state, and the next index and request id for it.
pub(super) struct Copy {
    pub(super) state: ClusterState,
    next: u64,
}

impl Copy {
    pub(super) fn empty() -> Self {
        Self { state: ClusterState::default(), next: 1 }
    }

    /// With the document, and the authority that an operator chose.
    pub(super) fn with(authority: Authority) -> Self {
        let mut copy = Self::empty();
        assert_eq!(copy.does(Author::Files, configure(document())), "changed");
        copy.does(Author::Operator, Action::Authority(authority));
        copy
    }

    pub(super) fn outcome(&mut self, author: Author, action: Action) -> Outcome {
        self.next += 1;
        self.state.apply(self.next, &command(self.next.into(), author, action))
    }

    pub(super) fn does(&mut self, author: Author, action: Action) -> String {
        self.outcome(author, action).result.word().to_owned()
    }
}

fn remove(member: &str) -> Action {
    Action::Edit(Edit::RemoveMember { member: member.into() })
}

fn mark(member: &str) -> Action {
    Action::Mark { member: member.into(), mark: Mark::Draining }
}

fn accept(group: &str) -> Action {
    let set = SetDigest { wire: Digest::of(b"set"), files: None };
    Action::Sets { group: group.into(), change: SetsChange::AcceptFirst { set, content: Content::Some } }
}

fn calls(numbers: std::ops::Range<usize>) -> Action {
    let call = |number| UnknownOutcome { call: format!("1-{number:x}"), at: At(5) };
    Action::Acknowledge(numbers.map(call).collect())
}

fn token(name: &str) -> Action {
    let token = ApiToken { role: Role::Viewer, hash: Salted::new(3, SECRET) };
    Action::GrantApi { name: name.into(), token }
}

fn operator_token(name: &str) -> Action {
    let token = ApiToken { role: Role::Operator, hash: Salted::new(4, SECRET) };
    Action::GrantApi { name: name.into(), token }
}

#[test]
fn a_retry_has_the_first_outcome_and_does_nothing() {
    let mut copy = Copy::with(Authority::Cluster);
    let drain = command(77, Author::Operator, mark("a"));
    let first = copy.state.apply(10, &drain);
    let refused = copy.state.apply(11, &command(78, Author::Operator, mark("z")));
    copy.does(Author::Operator, Action::Mark { member: "a".into(), mark: Mark::Enabled });
    let before = copy.state.clone();
    assert_eq!(copy.state.apply(13, &drain), first);
    assert_eq!(copy.state.apply(14, &command(78, Author::Operator, mark("a"))), refused);
    assert_eq!((copy.state.revision(), copy.state.agreed()), (before.revision(), before.agreed()));
    assert_eq!(copy.state.audit().count(), before.audit().count());
    assert_eq!(copy.state.outcome(RequestId(77)), Some(&first));
    assert_eq!((refused.result.word(), copy.state.applied()), ("no_member", 14));
}

/// The first half of an id is made of a client's key, the second half of what the client wants.
#[test]
fn a_key_that_comes_with_another_content_is_seen() {
    let mut copy = Copy::with(Authority::Cluster);
    let id = |key: u128, content: u128| RequestId(key << 64 | content);
    copy.state.apply(10, &Command { request: id(7, 3), ..command(0, Author::Operator, mark("a")) });
    for (request, expected) in
        [(id(7, 3), false), (id(7, 4), true), (id(7, 0), true), (id(6, 3), false), (id(8, 3), false)]
    {
        assert_eq!(copy.state.is_other_content(request), expected, "{request}");
    }
}

#[test]
fn a_command_that_expects_another_revision_is_refused() {
    let mut copy = Copy::with(Authority::Cluster);
    let present = copy.state.revision();
    for (expected, word) in [(present - 1, "revision"), (present + 1, "revision"), (present, "changed")] {
        let command = Command {
            expected_revision: Some(expected),
            ..command(expected.into(), Author::Operator, mark("a"))
        };
        // The ids of this test and those of the copy's own commands differ.
        let command = Command { request: RequestId(1_000 + command.request.0), ..command };
        assert_eq!(copy.state.apply(20, &command).result.word(), word, "{expected} at {present}");
    }
    assert_eq!(copy.state.revision(), present + 1);
}

#[test]
fn everything_counts_in_one_revision_whoever_decides_it() {
    let mut copy = Copy::with(Authority::Cluster);
    let seed = |number: u64| Action::Seed([number, 2].into());
    for (action, word) in [
        (seed(1), "changed"),
        (seed(1), "unchanged"),
        (seed(2), "seed_set"),
        (token("t"), "changed"),
        (token("t"), "unchanged"),
        (operator_token("t"), "token_exists"),
        (token("no/name"), "bad_name"),
        (Action::RevokeApi { name: "t".into() }, "changed"),
        (Action::RevokeApi { name: "t".into() }, "no_credential"),
        (calls(0..2), "changed"),
        (calls(0..2), "unchanged"),
        (calls(1..3), "changed"),
        (calls(0..0), "bad_acknowledgement"),
        (calls(0..ACKNOWLEDGED_PER_COMMAND_MAX + 1), "bad_acknowledgement"),
        (mark("a"), "changed"),
        (accept("g"), "changed"),
        (accept("g"), "already_accepted"),
        (remove("a"), "member_listed"),
        (remove("c"), "changed"),
        (remove("c"), "no_member"),
    ] {
        let before = copy.state.revision();
        let outcome = copy.outcome(Author::Operator, action.clone());
        assert_eq!(outcome.result.word(), word, "{action}");
        assert_eq!(outcome.revision, before + u64::from(word == "changed"), "{action}");
        assert_eq!(outcome.revision, copy.state.revision(), "{action}");
    }
    assert_eq!(copy.state.seed().map(<[u64; 2]>::from), Some([1, 2]));
    assert!(copy.state.is_acknowledged(&UnknownOutcome { call: "1-2".into(), at: At(5) }));
    assert!(!copy.state.is_acknowledged(&UnknownOutcome { call: "1-2".into(), at: At(6) }));
}

/// For each authority and author: what a document, an edit, a mark and a first bundle set get.
#[test]
fn who_may_decide_what() {
    use Author::{Files, Operator, Router};
    let shorter = || Document { groups: Vec::new(), ..document() };
    for (authority, author, expected) in [
        (Authority::File, Files, ["changed", "changed", "changed", "changed"]),
        (Authority::File, Operator, ["file_decides", "file_decides", "changed", "changed"]),
        (Authority::File, Router, ["not_for_routers", "not_for_routers", "not_for_routers", "changed"]),
        (Authority::Cluster, Files, ["unchanged", "unchanged", "changed", "changed"]),
        (Authority::Cluster, Operator, ["changed", "changed", "changed", "changed"]),
        (Authority::Cluster, Router, ["not_for_routers", "not_for_routers", "not_for_routers", "changed"]),
    ] {
        let actions = [configure(shorter()), remove("c"), mark("a"), accept("a")];
        let mut copy = Copy::with(authority);
        let found = actions.map(|action| copy.does(author, action));
        assert_eq!(found, expected.map(str::to_owned), "{authority:?} {author:?}");
    }
}

#[test]
fn a_file_fills_an_empty_cluster_and_is_reported_afterwards_if_it_differs() {
    let mut copy = Copy::empty();
    copy.does(Author::Files, Action::Authority(Authority::Cluster));
    let state = |copy: &Copy| copy.state.files().map(|files| files.state);
    let same = || configure(document());
    let other = configure(Document { groups: Vec::new(), ..document() });
    assert_eq!(
        (copy.does(Author::Files, same()), state(&copy)),
        ("changed".into(), Some(FilesState::InForce))
    );
    assert_eq!(copy.does(Author::Files, other.clone()), "unchanged");
    let Action::Configure { digest, .. } = other.clone() else { panic!("another document") };
    let offered =
        OfferedFiles { digest, at: At(1_000), from: "10.0.0.7:4711".into(), state: FilesState::Differ };
    assert_eq!(copy.state.files(), Some(&offered));
    assert_eq!(copy.state.agreed().document(), &document());
    copy.does(Author::Files, same());
    assert_eq!(state(&copy), Some(FilesState::InForce), "it was mended");
    copy.does(Author::Operator, remove("c"));
    assert_eq!(state(&copy), None, "nobody knows how the files compare with this");
    copy.does(Author::Files, same());
    assert_eq!(state(&copy), Some(FilesState::Differ));
    copy.does(Author::Operator, Action::Authority(Authority::File));
    assert_eq!(state(&copy), None, "they have to be offered again");
    assert_eq!(copy.does(Author::Files, same()), "changed");
    let mut twice = document();
    twice.members.push(dialled("a"));
    assert_eq!(
        (copy.does(Author::Files, configure(twice)), state(&copy)),
        ("document".into(), Some(FilesState::Refused))
    );
}

#[test]
fn a_refusal_says_what_to_do_within_its_bound() {
    let mut copy = Copy::with(Authority::Cluster);
    let names = (0..900).map(|number| dialled(&format!("bad/{number}"))).collect();
    let outcome = copy.outcome(Author::Operator, configure(Document { members: names, groups: Vec::new() }));
    let CommandResult::Refused { kind, sentence } = &outcome.result else { panic!("{outcome:?}") };
    assert_eq!((kind.as_str(), sentence.len()), ("document", SENTENCE_BYTES_MAX));
    assert_eq!(Outcome::decode(&outcome.encode().unwrap()), Ok(outcome.clone()));
    let refused = CommandRefusal::from(EditRefusal::NoGroup("x".into()));
    assert_eq!(refused.to_string(), r#"there is no group named "x": create the group first"#);
    assert_eq!(refused.kind(), CommandRefusal::from(Refusal::NoGroup("x".into())).kind());
}

#[test]
fn the_audit_log_has_who_what_when_and_from_where() {
    let mut copy = Copy::with(Authority::Cluster);
    let before = copy.state.audit().count();
    copy.does(Author::Operator, mark("a"));
    copy.does(Author::Operator, mark("z\n\u{1b}[2J"));
    copy.does(Author::Files, configure(Document::default()));
    copy.does(Author::Router, accept("g"));
    copy.does(Author::Router, accept("g"));
    let noted: Vec<_> = copy.state.audit().skip(before).cloned().collect();
    let lines: Vec<_> = noted.iter().map(|entry| format!("{} {}", entry.result, entry.line)).collect();
    let set = SetDigest { wire: Digest::of(b"set"), files: None }.short();
    assert_eq!(
        lines,
        [
            "changed mark member a as draining".to_owned(),
            "no_member mark member z\\u{a}\\u{1b}[2J as draining".to_owned(),
            format!("changed accept set {set} as the first of group g"),
        ],
        "what files and routers offer without effect is left out"
    );
    let first = noted.first().unwrap();
    assert_eq!((first.who.as_str(), first.from.as_str(), first.at), ("ops", "10.0.0.7:4711", At(1_000)));
    assert_eq!((first.revision, first.author.label(), first.action.as_str()), (3, "operator", "mark"));
}

#[test]
fn whoever_knows_a_revision_gets_each_later_change_once() {
    let mut copy = Copy::with(Authority::Cluster);
    for name in ["a", "z", "b", "c"] {
        copy.does(Author::Operator, mark(name));
    }
    copy.does(Author::Router, accept("g"));
    let last = copy.state.revision();
    for known in 0..=last {
        let found: Vec<u64> = copy.state.changes_after(known).map(|entry| entry.revision).collect();
        assert_eq!(found, (known + 1..=last).collect::<Vec<_>>(), "after revision {known}");
    }
    assert_eq!(copy.state.changes_after(u64::MAX).count(), 0, "a revision that is not there yet");
    for number in 0..AUDIT_ENTRIES_MAX {
        copy.does(Author::Operator, calls(number..number + 1));
    }
    let first = copy.state.changes_after(2).next().map(|entry| entry.revision);
    assert_eq!(first, Some(last + 1), "the hole shows what is forgotten");
}

#[test]
fn nothing_grows_beyond_its_bound() {
    let mut copy = Copy::with(Authority::Cluster);
    let first = command(1, Author::Operator, Action::Authority(Authority::Cluster));
    copy.state.apply(1, &first);
    for number in 0..REQUESTS_REMEMBERED_MAX + 10 {
        copy.does(Author::Operator, Action::RevokeApi { name: number.to_string() });
    }
    for part in 0..ACKNOWLEDGED_MAX / ACKNOWLEDGED_PER_COMMAND_MAX + 1 {
        let from = part * ACKNOWLEDGED_PER_COMMAND_MAX;
        copy.does(Author::Operator, calls(from..from + ACKNOWLEDGED_PER_COMMAND_MAX));
    }
    assert_eq!(copy.state.outcome(RequestId(1)), None, "the oldest is forgotten");
    assert_eq!(copy.state.requests.0.iter().count(), REQUESTS_REMEMBERED_MAX);
    assert_eq!(copy.state.acknowledged.0.iter().count(), ACKNOWLEDGED_MAX);
    assert_eq!(copy.state.audit().count(), AUDIT_ENTRIES_MAX);
    let bytes = copy.state.encode().unwrap();
    assert!(bytes.len() < 8 << 20, "{} bytes", bytes.len());
    assert_eq!(ClusterState::decode(&bytes), Ok(copy.state));
}
